"""Lists page by page: sorted, always in the same order, and each page found by where the last one ended."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, false, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session

from rapport.entities.base import Entity, EntityMeta, column_of
from rapport.entities.custom import custom_missing
from rapport.entities.fields import KINDS, Field
from rapport.errors import Invalid, Problem
from rapport.query.bind import TEXTS, key_of

MAX_KEYS = 5
MAX_CURSOR = 20_000
_UNSORTABLE = {"tags", "address", "json", "file"}
_WORDS = TEXTS | {"choice"}
_UNKEPT = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class SortKey:
    """One column to sort by. Missing values count as larger than any other."""

    field: Field
    descending: bool

    @property
    def text(self) -> str:
        """As in `sort=-amount`."""
        return f"-{self.field.name}" if self.descending else self.field.name


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and the cursor of the next page; None when this was the last."""

    items: Sequence[Any]
    next_cursor: str | None


def parse_sort(sort: str, meta: EntityMeta) -> tuple[SortKey, ...]:
    """Read `-amount,name`. The id comes last of its own accord, so that the order is always complete.

    A text with a folded sibling, `name_key`, sorts by that: names sort by letters, not by case and accents.
    """
    keys: list[SortKey] = []
    for part in sort.split(",") if sort.strip() else ():
        name = part.strip().removeprefix("-")
        field = meta.fields.get(name)
        if field is None or field.secret:
            raise Invalid(Problem("sort", f"names '{name[:60]}', which {meta.name} does not have."))
        if field.kind in _UNSORTABLE:
            raise Invalid(Problem("sort", f"cannot use {name}: {field.kind} has no order."))
        keys.append(SortKey(key_of(field, meta) or field, part.strip().startswith("-")))
    if len({key.field.name for key in keys}) < len(keys) or len(keys) > MAX_KEYS:
        raise Invalid(Problem("sort", f"may name at most {MAX_KEYS} fields, each once."))
    if all(key.field.name != "id" for key in keys):
        # In the direction of the last key: one index serves both.
        keys.append(SortKey(meta.fields["id"], bool(keys) and keys[-1].descending))
    return tuple(keys)


def apply_paging(
    statement: Select[Any], entity: type[Entity], keys: Sequence[SortKey], cursor: str | None, limit: int
) -> Select[Any]:
    """Order a select of `entity`, begin after `cursor`, and take one row more than `limit` to know whether more follow.

    The values of the sort keys are added as last columns of each row, for `make_page`.
    """
    columns = [column_of(entity, key.field) for key in keys]
    if cursor:
        statement = statement.where(_after(columns, keys, _read_cursor(cursor, entity, keys)))
    order = [part for column, key in zip(columns, keys, strict=True) for part in _ordered(column, key)]
    shown = [column.label(f"sort_key_{n}") for n, column in enumerate(columns)]
    return statement.add_columns(*shown).order_by(None).order_by(*order).limit(limit + 1)


def make_page(rows: Sequence[Any], entity: type[Entity], keys: Sequence[SortKey], limit: int) -> Page:
    """The page in the rows that `apply_paging` asked for."""
    if len(rows) <= limit:
        return Page(rows, None)
    last = rows[limit - 1][-len(keys) :]
    return Page(rows[:limit], _write_cursor(last, entity, keys))


def bounded_count(session: Session | Connection, statement: Select[Any], cap: int = 10_000) -> tuple[int, bool]:
    """How many rows, and whether that is exact: counting stops at `cap`, so that a huge list costs no more."""
    rows = statement.order_by(None).limit(cap + 1).subquery()
    count = session.scalar(select(func.count()).select_from(rows)) or 0
    return (count, True) if count <= cap else (cap, False)


# Order ---------------------------------------------------------------------------------------------------------------


def _ordered(column: ColumnElement[Any], key: SortKey) -> list[ColumnElement[Any]]:
    ordered = column.desc() if key.descending else column.asc()
    if not key.field.nullable:
        return [ordered]  # said without NULLS, so that an index can serve it
    if key.field.custom:  # most records may lack it: said as its index has it
        missing = custom_missing(column)
        return [missing.desc() if key.descending else missing.asc(), ordered]
    return [ordered.nulls_first() if key.descending else ordered.nulls_last()]


def _after(
    columns: Sequence[ColumnElement[Any]], keys: Sequence[SortKey], values: Sequence[Any]
) -> ColumnElement[bool]:
    """Rows after these values. A tuple where the database can compare one, else step by step."""
    if len({key.descending for key in keys}) == 1 and not any(key.field.nullable for key in keys):
        row, last = tuple_(*columns), tuple_(*map(_bound, keys, columns, values))
        return row < last if keys[0].descending else row > last
    (column, *columns), (key, *keys), (value, *values) = columns, keys, values
    beyond = _beyond(column, key, value)
    if not keys:
        return beyond
    same = column.is_(None) if value is None else column == _bound(key, column, value)
    return or_(beyond, and_(same, _after(columns, keys, values)))


def _beyond(column: ColumnElement[Any], key: SortKey, value: Any) -> ColumnElement[bool]:
    if value is None:
        return column.is_not(None) if key.descending else false()
    last = _bound(key, column, value)
    if key.descending:
        return column < last
    return or_(column > last, column.is_(None)) if key.field.nullable else column > last


def _bound(key: SortKey, column: ColumnElement[Any], value: Any) -> ColumnElement[Any]:
    # A cursor may be bent: PostgreSQL would refuse to read a large number as the integer of the column.
    return literal(value, BigInteger() if key.field.kind == "integer" else column.type)


# Cursors -------------------------------------------------------------------------------------------------------------


def _stamp(entity: type[Entity], keys: Sequence[SortKey]) -> str:
    order = f"{entity.meta.name}:{','.join(key.text for key in keys)}"
    return hashlib.sha256(order.encode()).hexdigest()[:12]


def _write_cursor(values: Sequence[Any], entity: type[Entity], keys: Sequence[SortKey]) -> str:
    shown = [key.field.dump(value) for key, value in zip(keys, values, strict=True)]
    text = json.dumps([_stamp(entity, keys), *shown], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, entity: type[Entity], keys: Sequence[SortKey]) -> list[Any]:
    refused = Invalid(Problem("cursor", "does not belong to this list. Start again without it."))
    if len(cursor) > MAX_CURSOR:
        raise refused
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        stamp, *shown = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if stamp != _stamp(entity, keys):
            raise refused
        return [_value(value, key.field) for value, key in zip(shown, keys, strict=True)]
    except (ValueError, TypeError, RecursionError):
        raise refused from None


def _value(value: Any, field: Field) -> Any:
    if value is None:
        if field.nullable:
            return None
        raise ValueError("may not be missing.")
    if field.kind not in _WORDS:
        return KINDS[field.kind].load(value, field)
    if not isinstance(value, str) or _UNKEPT.search(value):
        raise ValueError("is not a text.")
    return value
