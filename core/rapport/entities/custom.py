"""Custom fields: what an administrator adds to a kind of record, kept typed in one JSON column of its table.

A value stands under its field's name and a mark of its type, `{"x_size:d": 1250000}`, so that a record can be read
without asking which fields there are, and so that both databases compare, sort and index it as what it is.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Dialect, String, Text, TypeDecorator, Uuid
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import InternalTraversal

from rapport.entities.types import Fixed, Json, Tags, Words, decimal_text, from_whole, instant_text, join_tags, to_whole

PREFIX = "x_"
"""Every custom field's name begins with it, so that no later version of a plugin can need the same name."""
NAME = re.compile(r"x_[a-z][a-z0-9_]{0,40}")


class IsoDate(TypeDecorator[dt.date]):
    """A day as text, which JSON can hold and both databases sort."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dt.date | None, dialect: Dialect) -> str | None:
        return None if value is None else value.isoformat()

    def process_result_value(self, value: str | None, dialect: Dialect) -> dt.date | None:
        return None if value is None else dt.date.fromisoformat(value)


class IsoInstant(TypeDecorator[dt.datetime]):
    """A moment in UTC as text of one length, so that its order is that of time."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else _sortable(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> dt.datetime | None:
        return None if value is None else dt.datetime.fromisoformat(value)


def _sortable(value: dt.datetime) -> str:
    return value.astimezone(dt.UTC).isoformat(timespec="microseconds")


def _same(value: Any) -> Any:
    return value


# mark: (the type of the column expression, Python to JSON, JSON to Python)
_MARKS: dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "s": (Words, _same, _same),
    "n": (BigInteger(), _same, _same),
    "b": (Boolean(), _same, _same),
    "d": (Fixed(), to_whole, from_whole),
    "t": (IsoDate(), dt.date.isoformat, dt.date.fromisoformat),
    "i": (IsoInstant(), _sortable, dt.datetime.fromisoformat),
    "u": (Uuid(), lambda value: value.hex, UUID),
    "g": (Tags(), join_tags, lambda text: tuple(text.split("\n")[1:-1])),
}  # fmt: skip
_MARK_OF_TYPE: dict[type, str] = {
    str: "s", int: "n", bool: "b", Decimal: "d", dt.date: "t", dt.datetime: "i", UUID: "u", tuple: "g",
}  # fmt: skip
MARK_OF_KIND = {
    "text": "s", "longtext": "s", "choice": "s", "email": "s", "phone": "s", "url": "s", "integer": "n", "flag": "b",
    "decimal": "d", "money": "d", "date": "t", "instant": "i", "reference": "u", "tags": "g",
}  # fmt: skip
"""The kinds a custom field may have, and the mark its values are kept under."""


class Custom(TypeDecorator[dict[str, Any]]):
    """The column `custom` of every entity: values by name in Python, marked by type in the database."""

    impl = Json
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> dict[str, Any] | None:
        if not value:
            return None
        out = {}
        for name, each in value.items():
            if each is not None:
                mark = _MARK_OF_TYPE[type(each)]
                out[f"{name}:{mark}"] = _MARKS[mark][1](each)
        return out or None

    def process_result_value(self, value: Mapping[str, Any] | None, dialect: Dialect) -> dict[str, Any]:
        return {key[:-2]: _MARKS[key[-1]][2](each) for key, each in (value or {}).items()}


class custom_value(FunctionElement[Any]):
    """One custom field as an expression to select, compare and sort by; an index on the same expression serves it."""

    inherit_cache = True
    name = "custom_value"
    # The place is part of the statement, so statements for two fields must not be taken for the same.
    _traverse_internals = [  # noqa: RUF012 - as SQLAlchemy's own elements have it
        *FunctionElement._traverse_internals,
        ("place", InternalTraversal.dp_string),
    ]

    def __init__(self, column: Any, name: str, kind: str) -> None:
        if not NAME.fullmatch(name):
            raise ValueError(f"'{name}' cannot name a custom field. Write x_ and small letters: x_size.")
        mark = MARK_OF_KIND[kind]
        self.type = _MARKS[mark][0]
        self.place = f"{name}:{mark}"
        super().__init__(column)


@compiles(custom_value)
def _on_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    (column,) = element.clauses
    # Written out, not bound: an expression index only serves the very same text.
    place = compiler.render_literal_value(element.place, String())
    return f"({compiler.process(column, **kw)} ->> {place})"


@compiles(custom_value, "postgresql")
def _on_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    text = _on_sqlite(element, compiler, **kw)
    if isinstance(element.type, BigInteger | Fixed):
        return f"CAST({text} AS BIGINT)"
    if isinstance(element.type, Boolean | Uuid):
        return f"CAST({text} AS {'UUID' if isinstance(element.type, Uuid) else 'BOOLEAN'})"
    return f'({text} COLLATE "C")'


class custom_missing(FunctionElement[bool]):
    """Whether a custom field is missing, said as its index has it.

    SQLite counts what is missing as smallest and sorts it last only by a column of its own, which every comparison
    must name for the index to serve it. PostgreSQL's index sorts it last by itself: there this is a constant.
    """

    inherit_cache = True
    name = "custom_missing"
    type = Boolean()


@compiles(custom_missing)
def _missing_on_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    (value,) = element.clauses
    return f"({compiler.process(value, **kw)} IS NULL)"


@compiles(custom_missing, "postgresql")
def _missing_on_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return "(1 IS NULL)"


def json_form(value: Any) -> Any:
    """A custom field's value as the API and the log of changes write it; the same as its kind's `dump`."""
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, dt.datetime):
        return instant_text(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def set_custom(record: Any, name: str, value: Any) -> None:
    """Give a custom field of a record a value; None takes it away. The column changes as a whole, so it is noticed."""
    kept = {key: each for key, each in (record.custom or {}).items() if key != name}
    record.custom = kept if value is None else {**kept, name: value}
