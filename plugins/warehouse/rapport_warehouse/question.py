"""What can be asked of the warehouse, and what comes back: measures by rows and columns, in a time, sliced."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from rapport import Field, Invalid, Problem
from rapport import gettext as _

HIDDEN = "?hidden"
"""The key of the one member that stands for every record that is out of reach."""
REST = "?rest"
"""The key of the one member that stands for all but the first few."""
MAX_CELLS = 10_000
MAX_MEASURES = 12
MAX_AXES = 4
MAX_KEYS = 1_000
MAX_TOP = 1_000
COMPARES = ("", "previous", "year")
DECIMAL, INSTANT = Field("value", "", "decimal"), Field("as_of", "", "instant")
"""How the API writes such values."""
Value = int | Decimal | float | None


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know: `Question(("sales.won_amount",), rows=("date.month",), period="this year")`."""

    measures: tuple[str, ...]
    """Names of measures."""
    rows: tuple[str, ...] = ()
    """Names of dimensions; dates are `date.day`, `date.week`, `date.month` and so on."""
    columns: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Slices: of a dimension, the keys that are let through."""
    since: dt.date | None = None
    until: dt.date | None = None
    """The first and the last day, as the one who asks has days."""
    period: str = ""
    """Instead of these: "this month", "last quarter", "last 90 days", "last 12 months", "this year"."""
    compare: str = ""
    """"previous": beside each figure that of the period before, equally long; "year": that of a year earlier."""
    order: str = ""
    """A measure or a dimension, with a minus before it for the largest first. Without it dates stand in their order,
    and everything else with the largest first measure on top."""
    top: int = 0
    """The first so many of the first row dimension; the rest stand together as one."""
    running: bool = False
    """Each figure with all those before it added, along the dates of the rows."""
    share: bool = False
    """Beside each figure its share of the total."""

    def to_json(self) -> dict[str, Any]:
        """As it is kept and sent: only what was said."""
        said: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "where":
                value = {name: list(keys) for name, keys in value.items()}
            elif isinstance(value, tuple):
                value = list(value)
            elif isinstance(value, dt.date):
                value = value.isoformat()
            if value or each.name == "measures":
                said[each.name] = value
        return said

    @classmethod
    def from_json(cls, data: Any) -> Question:
        """Read what `to_json` made, or what a program sent. Invalid names everything that is not as it should be."""
        if not isinstance(data, Mapping):
            raise Invalid(Problem(None, _("A question is an object with measures, rows and so on.")))
        problems: list[Problem] = []
        read: dict[str, Any] = {}
        for name, value in data.items():
            try:
                read[str(name)] = _READERS[str(name)](value)
            except KeyError:
                known = ", ".join(_READERS)
                problems.append(Problem(str(name), _("is no part of a question. Known: %(known)s.", known=known)))
            except ValueError as error:
                problems.append(Problem(str(name), str(error)))
        if not problems and not read.get("measures"):
            problems.append(Problem("measures", _("is missing. Name at least one measure.")))
        if problems:
            raise Invalid(problems)
        return cls(**read)


@dataclass(frozen=True, slots=True)
class Member:
    """One of what a dimension tells apart: a month, a person, a country."""

    key: str
    title: str
    url: str = ""


Heading = tuple[Member, ...]
"""A member of each row dimension, or of each column dimension."""


@dataclass(frozen=True, slots=True)
class MeasureInfo:
    """A measure as it was answered."""

    name: str
    title: str
    kind: str
    currency: str = ""
    """Of amounts, where there is only one; otherwise the last member of a column's heading is the currency."""
    better: str = "up"
    help: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure; None where there is none, such as the average of nothing."""

    value: Value
    compared: Value = None
    """The same in the period that it is compared with."""
    share: Decimal | None = None
    """Its part of the total of its column."""


NOTHING = Cell(None)


@dataclass(frozen=True, slots=True)
class Answer:
    """Figures by rows and columns, with every total asked of the records and none added up from rounded figures."""

    measures: Sequence[MeasureInfo]
    rows: Sequence[Heading]
    columns: Sequence[Heading]
    cells: Mapping[tuple[int, int, str], Cell]
    row_titles: Sequence[str]
    """What the row dimensions are called."""
    column_titles: Sequence[str]
    row_totals: Mapping[tuple[int, str], Cell]
    """Of a row over all columns, by row and measure. Empty for amounts in several currencies."""
    column_totals: Mapping[tuple[int, str], Cell]
    """Of a column over all rows, by column and measure."""
    subtotals: Mapping[tuple[tuple[str, ...], int, str], Cell]
    """With several row dimensions: by the keys of the first ones, column and measure."""
    total: Mapping[str, Cell]
    as_of: dt.datetime
    note: str = ""
    since: dt.date | None = None
    until: dt.date | None = None
    compared_since: dt.date | None = None
    compared_until: dt.date | None = None

    def cell(self, row: int, column: int, measure: str) -> Cell:
        """A figure by its place."""
        return self.cells.get((row, column, measure), NOTHING)

    def value(self, row: int = 0, column: int = 0, measure: str = "") -> Value:
        """A figure by its place, bare; without a name that of the first measure."""
        return self.cell(row, column, measure or self.measures[0].name).value

    def to_json(self) -> dict[str, Any]:
        """As programs get it: counts as numbers, decimals as text, as everywhere in the API."""
        names = [each.name for each in self.measures]
        columns = range(len(self.columns))
        return {
            "measures": [
                {"name": each.name, "title": each.title, "kind": each.kind, "currency": each.currency,
                 "better": each.better}
                for each in self.measures
            ],
            "row_titles": list(self.row_titles),
            "column_titles": list(self.column_titles),
            "rows": [_heading(heading) for heading in self.rows],
            "columns": [_heading(heading) for heading in self.columns],
            "cells": [
                [{name: _cell(self.cell(row, column, name)) for name in names} for column in columns]
                for row in range(len(self.rows))
            ],
            "row_totals": [
                {name: _cell(self.row_totals[row, name]) for name in names if (row, name) in self.row_totals}
                for row in range(len(self.rows))
            ],
            "column_totals": [
                {name: _cell(self.column_totals.get((column, name), NOTHING)) for name in names} for column in columns
            ],
            "subtotals": [
                {"rows": list(keys), "column": column, "measure": name, **_cell(cell)}
                for (keys, column, name), cell in self.subtotals.items()
            ],
            "total": {name: _cell(self.total[name]) for name in names if name in self.total},
            "since": _day_text(self.since),
            "until": _day_text(self.until),
            "compared_since": _day_text(self.compared_since),
            "compared_until": _day_text(self.compared_until),
            "as_of": INSTANT.dump(self.as_of),
            "note": self.note,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class DimensionInfo:
    """A dimension that may be asked for."""

    name: str
    title: str
    help: str = ""
    group: str = ""
    """What it is a property of: Date, Customer, Opportunity."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What one person may ask for."""

    measures: Sequence[MeasureInfo]
    dimensions: Sequence[DimensionInfo]
    fits: Mapping[str, frozenset[str]]
    """Of each measure, the names of the dimensions that suit it."""
    groups: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Of each measure, what it is counted of: Opportunities."""

    def suiting(self, measures: Sequence[str]) -> list[DimensionInfo]:
        """The dimensions that suit all of these measures."""
        return [each for each in self.dimensions if all(each.name in self.fits.get(name, ()) for name in measures)]


# Reading -------------------------------------------------------------------------------------------------------------


def _names(most: int) -> Any:
    def read(value: Any) -> tuple[str, ...]:
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
            raise ValueError(_("must be a list of names."))
        if len(given) > most:
            raise ValueError(_("may hold at most %(most)s.", most=most))
        return tuple(dict.fromkeys(given))

    return read


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError(_("must be text."))
    return value


def _one_of(*known: str) -> Any:
    def read(value: Any) -> str:
        if value not in known:
            raise ValueError(_("must be one of %(allowed)s.", allowed=", ".join(each for each in known if each)))
        return str(value)

    return read


def _day(value: Any) -> dt.date | None:
    if value is None or value == "":
        return None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(_("must be a date, such as 2026-11-23.")) from None


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "false": False, "0": False, "": False}
    if not isinstance(value, str) or value not in known:
        raise ValueError(_("must be true or false."))
    return known[value]


def _whole(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if isinstance(value, bool | float) or not 0 <= number <= MAX_TOP:
        raise ValueError(_("must be a whole number from 0 to %(most)s.", most=MAX_TOP))
    return number


def _slices(value: Any) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise ValueError(_("must be an object of dimensions and the keys that are let through."))
    read = _names(MAX_KEYS)
    return {str(name): read(keys) for name, keys in value.items()}


_READERS: Mapping[str, Any] = {
    "measures": _names(MAX_MEASURES), "rows": _names(MAX_AXES), "columns": _names(MAX_AXES), "where": _slices,
    "since": _day, "until": _day, "period": _text, "compare": _one_of(*COMPARES), "order": _text, "top": _whole,
    "running": _flag, "share": _flag,
}  # fmt: skip


def _heading(heading: Heading) -> list[dict[str, str]]:
    return [{"key": each.key, "title": each.title, "url": each.url} for each in heading]


def plain(value: Value) -> int | str | float | None:
    """A figure as JSON has it."""
    return str(DECIMAL.dump(value)) if isinstance(value, Decimal) else value


def _cell(cell: Cell) -> dict[str, Any]:
    said: dict[str, Any] = {"value": plain(cell.value)}
    if cell.compared is not None:
        said["compared"] = plain(cell.compared)
    if cell.share is not None:
        said["share"] = plain(cell.share)
    return said


def _day_text(day: dt.date | None) -> str | None:
    return None if day is None else day.isoformat()


# Periods -------------------------------------------------------------------------------------------------------------

PERIOD = re.compile(r"(today|yesterday)|(this|last|next) (week|month|quarter|year)|last (\d{1,4}) "
                    r"(days|weeks|months|quarters|years)")  # fmt: skip
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
Span = tuple[dt.date | None, dt.date | None]


def days_of(question: Question, today: dt.date) -> Span:
    """The first and the last day that a question is about."""
    if not question.period:
        if question.since and question.until and question.since > question.until:
            raise Invalid(Problem("until", _("is before the first day.")))
        return question.since, question.until
    if question.since or question.until:
        raise Invalid(Problem("period", _("cannot be said together with a first or last day.")))
    found = PERIOD.fullmatch(question.period.strip().lower())
    if found is None:
        raise Invalid(Problem("period", _(
            "is unknown. Write this month, last quarter, last 90 days, last 12 months, this year or today."
        )))  # fmt: skip
    try:
        return _period(found, today)
    except (OverflowError, ValueError):
        raise Invalid(Problem("period", _("reaches too far."))) from None


def _period(found: re.Match[str], today: dt.date) -> tuple[dt.date, dt.date]:
    one, which, span, number, many = found.groups()
    day = dt.timedelta(days=1)
    if one:
        at = today if one == "today" else today - day
        return at, at
    if many == "days":
        return today - dt.timedelta(days=int(number) - 1), today
    unit = span or many[:-1]
    count = int(number) if number else 1
    step = {"this": 0, "last": -1, "next": 1}[which] if which else 1 - count
    if unit == "week":
        monday = today - dt.timedelta(days=today.weekday())
        return monday + dt.timedelta(weeks=step), monday + dt.timedelta(weeks=step + count) - day
    months = _MONTHS[unit]
    first = today.replace(day=1, month=(today.month - 1) // months * months + 1)
    return add_months(first, step * months), add_months(first, (step + count) * months) - day


def add_months(day: dt.date, number: int) -> dt.date:
    """The same day of another month, or the last that month has."""
    year, month = divmod(day.year * 12 + day.month - 1 + number, 12)
    return day.replace(year=year, month=month + 1, day=min(day.day, calendar.monthrange(year, month + 1)[1]))


def days_before(compare: str, since: dt.date | None, until: dt.date | None) -> tuple[dt.date, dt.date]:
    """The days that a time is compared with: as many months before, where it is whole months, else as many days."""
    if since is None or until is None:
        raise Invalid(Problem("compare", _("needs a period, or a first and a last day.")))
    day = dt.timedelta(days=1)
    try:
        if compare == "year":
            return add_months(since, -12), add_months(until + day, -12) - day
        if since.day == 1 and (until + day).day == 1:
            months = (until.year - since.year) * 12 + until.month - since.month + 1
            return add_months(since, -months), since - day
        return since - (until - since) - day, since - day
    except (OverflowError, ValueError):
        raise Invalid(Problem("compare", _("reaches too far back."))) from None
