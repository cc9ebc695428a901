"""The words of a text as people search for them: five languages, phone numbers, and names written together or apart."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rapport.query.fold import fold

MAX_DOCUMENT = 10_000
MAX_QUERY = 200
MAX_QUERY_WORDS = 12
_MAX_WORD = 100
# One letter of these is a word to search for: Chinese, Japanese and Korean do not part words by spaces.
_CJK = (
    "\u1100-\u11ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Vowel signs of Indian and South-East Asian scripts belong to their words, though Python's \w leaves them out.
_SIGNS = "\u0900-\u0dff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_WORD = re.compile(rf"[{_CJK}]|(?:(?![{_CJK}_])[\w{_SIGNS}])+")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_CJK_LETTER = re.compile(rf"[{_CJK}]")
# Parts that people also write as one: O'Brien, Jean-Pierre, and Persian or Arabic words with or without a space.
# Each begins where a word does: else a long word would be read to its end from every letter of it.
_JOINED = re.compile(r"(?<![a-z0-9])[a-z0-9]++(?:['-][a-z0-9]++)+")
_ARABIC = re.compile(r"(?<![\u0620-\u06ff])[\u0620-\u06ff]++(?: ++[\u0620-\u06ff]++)+")
_LINKED = re.compile(r"['-]")
_PHONE = re.compile(r"\d[\d ()./-]{5,24}\d")
_DIGITS = re.compile(r"\D+")
_LIGATURES = str.maketrans(
    {"œ": "oe", "Œ": "oe", "æ": "ae", "Æ": "ae", "ß": "ss", "ẞ": "ss", "þ": "th", "Þ": "th", "\u200c": " "}
)
_LIGATURE = re.compile(f"[{''.join(map(chr, _LIGATURES))}]")


def normalise(text: str) -> str:
    """The text without anything that people leave out or write otherwise: case, accents, joiners, other digits."""
    if text.isascii():
        return text.lower()
    # Joiners become spaces before folding would drop them: both ways of writing are looked after by `tokens`.
    if _LIGATURE.search(text):
        text = text.translate(_LIGATURES)
    return fold(unicodedata.normalize("NFKC", text))


def tokens(text: str) -> list[str]:
    """The words under which a text is found: first all in their order, then other ways to write some of them."""
    return tokens_of(normalise(text[:MAX_DOCUMENT]))


def tokens_of(plain: str) -> list[str]:
    """As `tokens`, for a text that is normalised already."""
    found: list[str] = (_ASCII_WORD if plain.isascii() else _WORD).findall(plain)
    if len(plain) > _MAX_WORD:
        found = [word[:_MAX_WORD] for word in found]
    for phone in _PHONE.findall(plain):
        found += _phone_tokens(phone if phone.isdecimal() else _DIGITS.sub("", phone))
    if "'" in plain or "-" in plain:
        for linked in _JOINED.findall(plain):
            found += _together(_LINKED.split(linked))
    if not plain.isascii():
        for run in _ARABIC.findall(plain):
            found += _together(run.split())
    return found


def _phone_tokens(digits: str) -> list[str]:
    """All digits; the last 10 and 9, which is most countries' number without its code; all from the end."""
    length = len(digits)
    if not 7 <= length <= 15:
        return []
    if length > 10:
        return [digits, digits[-10:], digits[-9:], _from_the_end(digits)]
    return [digits, digits[-9:], _from_the_end(digits)] if length == 10 else [digits, _from_the_end(digits)]


def _from_the_end(digits: str) -> str:
    # The beginning of this is the end of the number: found by its last four digits, or without any country's code.
    return f"end{digits[::-1]}"


def _together(parts: Sequence[str]) -> list[str]:
    pairs = [first + second for first, second in pairwise(parts)]
    return [*pairs, "".join(parts)] if 2 < len(parts) < 6 else pairs


# Queries -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Term:
    """A word to find, or a phrase of single letters. `prefix`: the word may go on."""

    words: tuple[str, ...]
    prefix: bool = False


Ways = tuple[tuple[tuple[Term, ...], ...], ...]
"""What to find: every group; of a group one way; of a way every term."""


def query_ways(query: str) -> Ways:
    """What a query asks for. The last word may be unfinished; words are also tried together where people join them."""
    plain = normalise(query[:MAX_QUERY]).strip()
    groups: list[tuple[tuple[Term, ...], ...]] = []
    end = 0
    for phone in _PHONE_QUERY.finditer(plain):
        groups += _word_groups(plain[end : phone.start()])
        digits = _DIGITS.sub("", phone[0])
        digits = digits.lstrip("0") or digits
        begin, end_of = Term((digits,), prefix=True), Term((_from_the_end(digits),), prefix=True)
        apart = tuple(Term((word,), prefix=True) for word in _WORD.findall(phone[0]))
        groups.append(((begin,), (end_of,), apart))
        end = phone.end()
    groups += _word_groups(plain[end:], last=True)
    return tuple(groups[:MAX_QUERY_WORDS])


# A number as people type it, from four digits on.
_PHONE_QUERY = re.compile(r"(?<![\w.@-])\+?\(?\d(?:[ ()./-]{0,2}\d){3,14}(?![\w@])")
_CHUNK = re.compile(rf"[{_CJK}]+|(?:(?![{_CJK}_])[\w{_SIGNS}'-])+")


def _word_groups(plain: str, *, last: bool = False) -> Iterator[tuple[tuple[Term, ...], ...]]:
    chunks = _CHUNK.findall(plain)
    run: list[str] = []
    for position, chunk in enumerate(chunks):
        final = last and position == len(chunks) - 1
        if _CJK_LETTER.match(chunk):
            yield ((Term(tuple(chunk)),),)
            continue
        words = _WORD.findall(chunk)
        follows = chunks[position + 1] if position + 1 < len(chunks) else ""
        run += words
        if run and _is_arabic(run[-1]) and _is_arabic(follows) and len(run) < 4:
            continue  # its neighbour may be written together with it
        if run:
            yield tuple(_ways_to_write(run, prefix=final))
        run = []


def _is_arabic(word: str) -> bool:
    return "\u0620" <= word[:1] <= "\u06ff"


def _ways_to_write(words: Sequence[str], *, prefix: bool) -> Iterator[tuple[Term, ...]]:
    """The words apart, and with neighbours together: a b c, ab c, a bc."""
    if len(words) > 4:
        yield tuple(Term((word[:_MAX_WORD],), prefix and word is words[-1]) for word in words)
        return
    for way in _divisions(tuple(words)):
        yield tuple(Term((word[:_MAX_WORD],), prefix and n == len(way) - 1) for n, word in enumerate(way))


def _divisions(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not words:
        yield ()
        return
    for size in (1, 2):
        if size <= len(words):
            head = "".join(words[:size])
            for rest in _divisions(words[size:]):
                yield (head, *rest)
