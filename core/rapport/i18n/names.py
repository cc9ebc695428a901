"""Names of people: in the order their language writes them."""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Literal

from rapport.i18n.characters import without_marks

Script = Literal["latin", "han", "kana", "hangul", "arabic", "hebrew", "other"]

_SCRIPTS: tuple[tuple[str, Script], ...] = (
    ("CJK ", "han"), ("HIRAGANA", "kana"), ("KATAKANA", "kana"), ("HANGUL", "hangul"), ("ARABIC", "arabic"),
    ("HEBREW", "hebrew"), ("LATIN", "latin"),
)  # fmt: skip
_FAMILY_FIRST = {"han", "kana", "hangul"}
_TWO_CHARACTER_FAMILIES = frozenset({
    "欧阳", "司马", "上官", "诸葛", "司徒", "夏侯", "皇甫", "尉迟", "公孙", "慕容", "令狐", "宇文", "长孙", "东方",
    "独孤", "南宫", "端木", "西门", "轩辕", "申屠", "太史", "呼延", "闻人", "澹台", "钟离", "万俟", "淳于", "单于",
    "公冶",
})  # fmt: skip
# Words that begin a family name: the name of Ludwig van Beethoven is van Beethoven.
_PARTICLES = frozenset({
    "van", "von", "der", "den", "ten", "ter", "de", "del", "della", "di", "da", "das", "dos", "do",
    "du", "des", "la", "le", "al", "el", "bin", "bint", "ibn", "ben", "bat", "bar", "abu", "st",
    "saint", "بن", "ابن", "ابو", "ال", "بنت", "בן", "בת", "בר", "אבו",
})  # fmt: skip
_ZERO_WIDTH_NON_JOINER = "\u200c"


def script_of(text: str) -> Script:
    """The script of a name, by its first letter."""
    return next((_script_of_letter(char) for char in text if char.isalpha()), "other")


@functools.lru_cache(maxsize=4096)
def _script_of_letter(letter: str) -> Script:
    name = unicodedata.name(letter, "")
    return next((script for start, script in _SCRIPTS if name.startswith(start)), "other")


def full_name(given: str, family: str, lang: str = "") -> str:
    """A person's whole name. Chinese, Japanese and Korean names put the family first and leave no space.

    The letters decide, not `lang`: a Chinese customer may well be kept as Wei Zhang. It settles names without letters.
    """
    given, family = given.strip(), family.strip()
    if not given or not family:
        return given or family
    if given.isascii() and family.isascii() and lang != "zh":
        return f"{given} {family}"  # most of a long list, without looking at letters
    scripts = {script_of(given), script_of(family)}
    if scripts <= _FAMILY_FIRST or (scripts == {"other"} and lang == "zh"):
        return family + given
    return f"{given} {family}"


def initials(name: str) -> str:
    """One or two letters for an avatar: AL for Ada Lovelace, 小明 for 王小明, م‌ر for مینا رضایی."""
    words = [word for word in re.split(r"[\s\-–_.,/&()]+", without_marks(name)) if any(map(str.isalnum, word))]
    if not words:
        return "?"
    script = script_of(words[0])
    if script in _FAMILY_FIRST:
        letters = [char for char in "".join(words) if char.isalnum()]
        return "".join(letters[-2:] if len(letters) <= 4 else letters[:2])
    firsts = [next(char for char in word if char.isalnum()) for word in words]
    chosen = [firsts[0]] if len(firsts) == 1 else [firsts[0], firsts[-1]]
    # Two Arabic letters side by side would join into one shape.
    return (_ZERO_WIDTH_NON_JOINER if script == "arabic" else "").join(char.upper()[:1] for char in chosen)


def split_name(text: str) -> tuple[str, str]:
    """Given and family name of a name written in one, as well as can be told: for imports, where a person may look."""
    name = " ".join(text.split())
    if "," in name or "،" in name:
        family, given = (part.strip() for part in re.split("[,،]", name, maxsplit=1))
        return given, family
    words = name.split(" ")
    if script_of(name) in _FAMILY_FIRST:
        if len(words) > 1:
            return " ".join(words[1:]), words[0]
        if len(name) < 2:
            return "", name
        size = 2 if len(name) > 2 and name[:2] in _TWO_CHARACTER_FAMILIES else 1
        return name[size:], name[:size]
    if len(words) == 1:
        return name, ""
    start = next(
        (i for i, word in enumerate(words[1:-1], 1) if word.casefold().strip("'’") in _PARTICLES), len(words) - 1
    )
    return " ".join(words[:start]), " ".join(words[start:])
