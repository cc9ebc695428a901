"""Drilling: the records behind a figure, as far as the one who asks may see them, and what each of them adds to it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, true

from rapport import Invalid, Measure, Problem, Reader
from rapport import gettext as _
from rapport_warehouse import store
from rapport_warehouse.axes import Axis, value_of
from rapport_warehouse.cube import Working, asking, parts_of
from rapport_warehouse.facts import Along, Facts, slices
from rapport_warehouse.question import HIDDEN, REST, Question, Value, days_of, plain

MOST = 200


@dataclass(frozen=True, slots=True)
class Drilled:
    """A record behind a figure."""

    id: UUID
    title: str
    url: str
    at: dt.date | dt.datetime
    """The day or moment on which it counts."""
    value: Value | str
    """What it adds: 1 where records are counted, else the amount, number or time that is summed or averaged; where
    different values are counted, the value as text."""


@dataclass(frozen=True, slots=True)
class Drill:
    """A page of the records behind a figure."""

    entity: str
    measure: str
    """For a ratio that was drilled, the measure above its line."""
    records: Sequence[Drilled]
    next: str | None
    """Give it as `cursor` for the page that follows; None on the last."""

    @property
    def ids(self) -> list[UUID]:
        """The ids of the records, in order."""
        return [each.id for each in self.records]

    @property
    def values(self) -> list[Value | str]:
        """What each adds to the figure."""
        return [each.value for each in self.records]

    def to_json(self) -> dict[str, Any]:
        """As programs get it."""
        return {
            "entity": self.entity,
            "measure": self.measure,
            "items": [
                {"id": str(each.id), "title": each.title, "url": each.url, "at": each.at.isoformat(),
                 "value": each.value if isinstance(each.value, str) else plain(each.value)}
                for each in self.records
            ],
            "next": self.next,
        }  # fmt: skip


def drill(
    reader: Reader,
    question: Question,
    row: Sequence[str] = (),
    column: Sequence[str] = (),
    measure: str = "",
    *,
    limit: int = 50,
    cursor: str | None = None,
) -> Drill:
    """The records behind one figure of an answer, by the keys of its row and column headings; fewer keys: of a total.

    In a column of one of several currencies its key is the last. Of a ratio these are the records of the measure
    above the line; name the other one to see that.
    """
    if not 1 <= limit <= MOST:
        raise Invalid(Problem("limit", _("must be between 1 and %(most)s.", most=MOST)))
    with store.warehouse(reader.site) as connection, asking(reader, connection) as session:
        known = store.as_of(reader.site)
        assert known is not None
        working = Working(reader, session, question, known)
        part = _part(working, measure)
        facts = Facts(working.asking, part)
        along = {name: facts.along(axis) for name, axis in working.axes.items()}
        facts.build()
        since, until = days_of(question, reader.today())
        entity: Any = facts.entity
        conditions = [
            facts.between(since, until), facts.condition(part), slices(along, question.where),
            *_at_row(working, along, row), *_at_column(working, facts, along, part, column),
        ]  # fmt: skip
        if cursor:
            conditions.append(entity.id > _place(cursor))
        value: Any = facts.value(part) if part.how != "count" else entity.id
        title = getattr(entity, entity.meta.display)
        statement = facts.joined(select(entity.id, title, facts.at, value)).where(*conditions)
        found = session.execute(statement.order_by(entity.id).limit(limit + 1)).all()
        meta = reader.site.meta(entity)
        records = [
            Drilled(each[0], str(each[1] or each[0]), f"/{meta.name}/{each[0]}" if meta.listed else "", each[2],
                    _adds(part, each[3]))
            for each in found[:limit]
        ]  # fmt: skip
        return Drill(meta.name, part.name, records, str(records[-1].id) if len(found) > limit else None)


def _adds(measure: Measure, value: Any) -> Value | str:
    match measure.how:
        case "count":
            return 1
        case "distinct":
            return str(value)
        case _:
            found: Value = value
            return found


def _part(working: Working, name: str) -> Measure:
    """The measure whose records are meant."""
    for measure in working.measures:
        parts = parts_of(working.reader, measure)
        if not name or name == measure.name:
            return parts[0]
        for part in parts:
            if part.name == name:
                return part
    raise Invalid(Problem("measure", _("names '%(name)s', which is not part of the question.", name=name)))


def _at_row(working: Working, along: dict[str, Along], keys: Sequence[str]) -> list[ColumnElement[bool]]:
    if len(keys) > len(working.rows):
        raise Invalid(Problem("row", _("has more keys than the question has row dimensions.")))
    conditions = []
    for axis, key in zip(working.rows, keys, strict=False):
        here = along[axis.name]
        if key == REST:
            if axis is not working.rows[0] or not working.question.top:
                raise _no_key("row", axis, key)
            shown = working.first()
            conditions.append(true() if shown is None else here.among(shown).is_(False))
        elif working.question.running and axis is working.rows[-1] and key:
            conditions.append(here.value() <= _value(axis, key, "row"))  # with all that came before
        else:
            conditions.append(_is(here, axis, key, "row"))
    return conditions


def _at_column(
    working: Working, facts: Facts, along: dict[str, Along], part: Measure, keys: Sequence[str]
) -> list[ColumnElement[bool]]:
    axes = working.columns
    if len(keys) > len(axes) + 1:
        raise Invalid(Problem("column", _("has more keys than the question has column dimensions.")))
    conditions = [_is(along[axis.name], axis, key, "column") for axis, key in zip(axes, keys, strict=False)]
    if len(keys) > len(axes) and part.currency:
        conditions.append(facts.currency(part) == keys[-1])
    return conditions


def _is(along: Along, axis: Axis, key: str, place: str) -> ColumnElement[bool]:
    if key not in {HIDDEN, ""}:
        _value(axis, key, place)
    found: ColumnElement[bool] = along.among([key])
    return found


def _value(axis: Axis, key: str, place: str) -> Any:
    try:
        return value_of(axis, key)
    except (ValueError, KeyError):
        raise _no_key(place, axis, key) from None


def _no_key(place: str, axis: Axis, key: str) -> Invalid:
    return Invalid(Problem(place, _("'%(key)s' is no key of %(name)s.", key=key, name=axis.name)))


def _place(cursor: str) -> UUID:
    try:
        return UUID(cursor)
    except ValueError:
        raise Invalid(Problem("cursor", _("is not one that this list gave."))) from None
