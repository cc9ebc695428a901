"""Guessing which column of a file belongs to which field, in five languages and the words of other programs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from rapidfuzz import fuzz

from rapport.query.fold import fold


class FieldLike(Protocol):
    """What is needed of a field. `aliases`, where there are any, are further names people use for it."""

    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str: ...


_AWAY = re.compile(r"[\s\W_]+")
_FIRST_VALUE = re.compile(r"^(e mail|email|phone|website|organization|address) 1( value)?(?= |$)")
CLOSE_ENOUGH = 90


@cache
def plain(header: str) -> str:
    """A header without case, accents, signs and spaces, so that `E-Mail_Address*` is `e mail address`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", header)
    return _AWAY.sub(" ", fold(words)).strip()


@cache
def _ideas() -> dict[str, str]:
    """Every known header, in its plain form, and the idea it stands for."""
    known: dict[str, str] = {}
    idea = ""
    for line in Path(__file__).with_name("headers.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            for word in filter(None, line.split("|")):
                known.setdefault(plain(word), idea)
        elif line and not line.startswith("#"):
            idea = line
    known.pop("", None)
    known |= {word.replace(" ", ""): idea for word, idea in list(known.items())}
    return known


def idea_of(header: str) -> str | None:
    """The idea a header stands for, such as `email` for `E-mail 1 - Value`; None for one we do not know."""
    text = plain(header)
    known = _ideas()
    for form in (text, _FIRST_VALUE.sub(r"\1", text), text.replace(" ", ""), text.removesuffix(" value")):
        if form in known:
            return known[form]
    return None


def is_known_header(header: str) -> bool:
    """Whether a cell is surely a column's title and not a value."""
    return idea_of(header) is not None


def suggest_mapping(columns: Sequence[str], fields: Iterable[FieldLike]) -> dict[str, str]:
    """The field for each column we dare to guess. No field is given twice: the surer guess wins, then the earlier.

    Surest is the field's own name or label, then an alias, then a word known to mean the same, then a mere misspelling.
    """
    candidates: list[tuple[float, int, int, str, str]] = []
    for order, field in enumerate(fields):
        names = [field.name, field.label]
        aliases = list(getattr(field, "aliases", ()))
        own = {plain(name) for name in names}
        other = {plain(alias) for alias in aliases}
        ideas = {idea for name in (*names, *aliases) if (idea := idea_of(name))}
        for position, column in enumerate(columns):
            score = _score(column, own, other, ideas)
            if score >= CLOSE_ENOUGH:
                candidates.append((-score, position, order, column, field.name))
    chosen: dict[str, str] = {}
    taken: set[str] = set()
    for _, _, _, column, name in sorted(candidates):
        if column not in chosen and name not in taken:
            chosen[column] = name
            taken.add(name)
    return {column: chosen[column] for column in columns if column in chosen}


def _score(column: str, own: set[str], other: set[str], ideas: set[str]) -> float:
    text = plain(column)
    if not text:
        return 0.0
    if text in own:
        return 100.0
    if text in other:
        return 99.0
    idea = idea_of(column)
    if idea is not None:
        return 97.0 if idea in ideas else 0.0
    return max((fuzz.ratio(text, name) for name in own | other if len(name) > 3), default=0.0)
