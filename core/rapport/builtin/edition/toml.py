"""TOML for people to read and go on with; Python reads it by itself, but does not write it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

BARE = re.compile(r"[A-Za-z0-9_-]+")
NONE = "none"
"""TOML has no null: within a value of many parts, such as a role's grants, this word stands for it."""


def to_toml(data: Mapping[str, Any]) -> str:
    """A document: plain values first, then tables, then arrays of tables, each below its header."""
    return "\n".join(_table((), data)).strip() + "\n"


def _table(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    nested = {name: value for name, value in table.items() if _is_nested(value) and isinstance(value, Mapping)}
    arrays = {name: value for name, value in table.items() if _is_nested(value) and name not in nested}
    for name, value in table.items():
        if name not in nested and name not in arrays:
            yield f"{_key(name)} = {_value(value)}"
    for name, value in nested.items():
        inner = (*path, name)
        plain = not all(_is_nested(each) for each in value.values())
        yield from (*(("", f"[{'.'.join(map(_key, inner))}]") if plain else ()), *_table(inner, value))
    for name, tables in arrays.items():
        inner = (*path, name)
        for each in tables:
            yield from ("", f"[[{'.'.join(map(_key, inner))}]]", *_table(inner, each))


def _is_nested(value: Any) -> bool:
    """Whether a value gets headers of its own: a table with something in it, or a list of tables."""
    if isinstance(value, str) or not value:
        return False
    return isinstance(value, Mapping) or (
        isinstance(value, Sequence) and all(isinstance(each, Mapping) for each in value)
    )


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {_value(each)}" for name, each in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _text(NONE if value is None else str(value))


def _text(text: str) -> str:
    # JSON's strings are TOML's, but for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def with_nones(value: Any) -> Any:
    """A value as it was before it was written: the word for nothing becomes nothing."""
    if isinstance(value, Mapping):
        return {name: with_nones(each) for name, each in value.items()}
    if isinstance(value, list):
        return [with_nones(each) for each in value]
    return None if value == NONE else value
