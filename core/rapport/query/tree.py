"""The parts a filter is made of: conditions, joined by and, or and not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal
from uuid import UUID

from rapport.entities.base import EntityMeta, meta_of
from rapport.errors import Invalid, Problem

MAX_TEXT = 4_000
MAX_DEPTH = 10
MAX_NODES = 200
MAX_LIST = 200
MAX_HOPS = 2

Op = Literal["=", "!=", "<", "<=", ">", ">=", "in", "contains", "starts", "ends", "has", "empty", "between"]
Unit = Literal["hours", "days", "weeks", "months", "years"]
Span = Literal["week", "month", "quarter", "year"]

OPS: tuple[Op, ...] = (
    "=", "!=", "<", "<=", ">", ">=", "in", "contains", "starts", "ends", "has", "empty", "between",
)  # fmt: skip
UNITS: tuple[Unit, ...] = ("hours", "days", "weeks", "months", "years")
SPANS: tuple[Span, ...] = ("week", "month", "quarter", "year")


@dataclass(frozen=True, slots=True)
class Me:
    """The person who asks."""


@dataclass(frozen=True, slots=True)
class Moment:
    """`today` or `now`, with what is added or taken away: `today + 1 months - 3 days`."""

    base: Literal["today", "now"]
    shifts: tuple[tuple[int, Unit], ...] = ()


@dataclass(frozen=True, slots=True)
class Period:
    """`this month`, `last quarter`, `next week`: every day of it. `step` is 0, -1 or 1."""

    step: Literal[-1, 0, 1]
    span: Span


Value = str | Decimal | bool | Me | Moment | Period


@dataclass(frozen=True, slots=True)
class Compare:
    """One condition: a field, an operator, and the values it needs (none for `empty`, two for `between`)."""

    path: tuple[str, ...]
    op: Op
    values: tuple[Value, ...] = ()
    at: int | None = field(default=None, compare=False, repr=False)
    """Where it stands in the text, for errors."""


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Filter


Filter = Compare | And | Or | Not


@dataclass(frozen=True, slots=True)
class FilterContext:
    """What `now`, `today` and `me` mean, and where days begin."""

    now: dt.datetime
    today: dt.date
    user_id: UUID | None = None
    zone: dt.tzinfo = dt.UTC
    meta_of: Callable[[str], EntityMeta] = meta_of
    """What is known of a kind of record: a site knows of more fields than the class behind it."""


def problem(message: str, at: int | None = None) -> Invalid:
    """A filter that cannot be used, and the place in its text where that shows."""
    return Invalid(Problem("filter", message if at is None else f"at character {at + 1}: {message}"))


def conditions(filter: Filter) -> Iterator[Compare]:
    """Every single condition, from left to right: to see which fields a filter asks about."""
    match filter:
        case Compare():
            yield filter
        case Not(part):
            yield from conditions(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from conditions(part)


def bounded(filter: Filter) -> Filter:
    """The same filter, if it is within the limits. Built in code or parsed, none gets further without this."""
    count = _measure(filter, 1)
    if count > MAX_NODES:
        raise problem(f"has {count} parts; at most {MAX_NODES} are allowed. Use `in (…)` for a list of values.")
    return filter


def _measure(filter: Filter, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise problem(f"is nested too deeply; at most {MAX_DEPTH} levels are allowed.")
    match filter:
        case Compare():
            return 1
        case Not(part):
            return 1 + _measure(part, depth + 1)
        case And(parts) | Or(parts):
            return 1 + sum(_measure(part, depth + 1) for part in parts)
