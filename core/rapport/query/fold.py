"""Letters that people take for the same: case, accents, Persian and Arabic keyboards, digits of three scripts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from sqlalchemy import Boolean, String, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

# What Unicode's decomposition does not tell. One character becomes one character: `translate` of PostgreSQL can do
# no more, and all three places that fold must say the same.
_SAME = {
    **dict(zip("øđłħŧıØĐŁĦŦ", "odlhtiodlht", strict=True)),
    **dict(zip("يىئےأإآٱةۀۂؤكﻙ", "ییییااااههه" + "وکک", strict=True)),
    **dict(zip("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹", "01234567890123456789", strict=True)),
    **dict(zip("ёЁς", "ееσ", strict=True)),
    **dict(zip("’‘ʼ´′‐‑‒–—−", "'''''------", strict=True)),
    **dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000", " "),
}
# Joiners, direction marks, soft hyphen, Arabic vowel signs and tatweel, Hebrew points, combining accents.
_GONE = [
    *"\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u0640\u0670",
    *map(chr, range(0x0300, 0x0370)),
    *map(chr, range(0x064B, 0x0660)),
    *(chr(code) for code in range(0x0591, 0x05C8) if code not in {0x05BE, 0x05C0, 0x05C3, 0x05C6}),
]
# Letters whose accents and case fold: Latin (with Vietnamese and full-width), Greek; Cyrillic folds case only.
_ACCENTED = (*range(0x00C0, 0x0250), *range(0x1E00, 0x1F00), *range(0x0370, 0x0400))
_CASED = (*range(0x41, 0x5B), *range(0x0400, 0x0530))
_FULL_WIDTH = range(0xFF01, 0xFF5F)


def _mapping() -> dict[int, str]:
    table = {code: chr(code).lower() for code in _CASED}
    table |= {code: chr(code - 0xFEE0).lower() for code in _FULL_WIDTH}
    for code in _ACCENTED:
        letter = unicodedata.normalize("NFD", chr(code))[0].lower()
        if len(letter) == 1:
            table[code] = _SAME.get(letter, letter)
    table |= {ord(letter): same for letter, same in _SAME.items()}
    return {code: letter for code, letter in table.items() if chr(code) != letter} | {ord(c): "" for c in _GONE}


_TABLE = _mapping()


def fold(text: str) -> str:
    """The form in which texts are compared by `contains`, `starts`, `ends` and `has`, and in which lists sort names."""
    return text.lower() if text.isascii() else text.translate(_TABLE)


def install_functions(dbapi_connection: Any) -> None:
    """Teach a new SQLite connection to fold. Every engine must call it when it connects."""
    dbapi_connection.create_function("fold", 1, _fold_value, deterministic=True)


def _fold_value(value: Any) -> str | None:
    return None if value is None else fold(str(value))


class folded(FunctionElement[str]):
    """A text column or expression, folded by the database exactly as `fold` does."""

    type = Text()
    inherit_cache = True
    name = "fold"


@compiles(folded)
def _folded(element: Any, compiler: Any, **kw: Any) -> str:
    return f"fold({compiler.process(element.clauses, **kw)})"


# Databases without a function of ours ---------------------------------------------------------------------------------

# translate() walks its whole table for every letter, so each text gets the smallest table that does for it.
_SCRIPTS = ("\u0080-\u017f\u2010-\u2019", "\u0590-\u06ff\u200b-\u200f", "\u0400-\u052f", "\u2e80-\u9fff")


def _tables(letters: str = "\u0080-\uffff") -> tuple[str, str]:
    """From and to, for these letters; ASCII is left to lower(). What has no counterpart in `to` is deleted."""
    wanted = re.compile(f"[{letters}]")
    table = {chr(code): to for code, to in _TABLE.items() if wanted.match(chr(code))}
    kept = [letter for letter, to in table.items() if to]
    return "".join(kept) + "".join(letter for letter, to in table.items() if not to), "".join(table[k] for k in kept)


def folded_by_translate(
    sql: str, quoted: Callable[[str], str], *, lower: str, is_ascii: str, matches: Callable[[str], str]
) -> str:
    """Folding said by translate(), for databases that know no other way.

    `sql` is the text, `lower` the same with small letters instead of ASCII capitals, `is_ascii` the question whether it
    is nothing but ASCII, and `matches` makes the one whether it fits a pattern. `quoted` writes a text as SQL does.
    """
    cases = [f"WHEN {is_ascii} THEN {lower}"]
    for letters in _SCRIPTS:
        pattern = quoted(f"^[\u0001-\u007f{letters}]*$")
        cases.append(f"WHEN {matches(pattern)} THEN translate({lower}, {', '.join(map(quoted, _tables(letters)))})")
    return f"CASE {' '.join(cases)} ELSE translate({lower}, {', '.join(map(quoted, _tables()))}) END"


@compiles(folded, "postgresql")
def _folded_on_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    (text,) = element.clauses
    sql = compiler.process(text, **kw)
    return folded_by_translate(
        sql,
        lambda value: str(compiler.render_literal_value(value, String())),
        lower=f'lower({sql} COLLATE "C")',
        is_ascii=f"octet_length({sql}) = char_length({sql})",
        matches=lambda pattern: f"{sql} ~ {pattern}",
    )


# Whether a text is in another ---------------------------------------------------------------------------------------


class holds(FunctionElement[bool]):
    """`holds(text, part, pattern)`: whether the part is in the text; the pattern says the same for LIKE.

    PostgreSQL takes LIKE on what it has no figures of for something that hardly a row meets, and reads and sorts the
    whole table where it could walk along the order of a list and soon has its fifty rows.
    """

    type = Boolean()
    inherit_cache = True
    _is_implicitly_boolean = True  # else SQLAlchemy adds "= 1" for SQLite, which then asks this first, of every row


@compiles(holds)
def _holds(element: Any, compiler: Any, **kw: Any) -> str:
    text, _part, pattern = element.clauses
    return f"({compiler.process(text, **kw)} LIKE {compiler.process(pattern, **kw)} ESCAPE '/')"


@compiles(holds, "postgresql")
def _holds_on_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    text, part, _pattern = element.clauses
    return f"(strpos({compiler.process(text, **kw)}, {compiler.process(part, **kw)}) > 0)"
