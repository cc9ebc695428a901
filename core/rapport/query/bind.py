"""A condition meets its entity: is there such a field, does the value suit it, and which plain tests does it mean."""

from __future__ import annotations

import calendar
import datetime as dt
import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeVar
from uuid import UUID

from rapport.entities.base import EntityMeta, meta_of
from rapport.entities.fields import ADDRESS_PARTS, KINDS, Field
from rapport.query.tree import (
    MAX_HOPS,
    Compare,
    Filter,
    FilterContext,
    Me,
    Moment,
    Period,
    Unit,
    Value,
    bounded,
    conditions,
    problem,
)  # fmt: skip

D = TypeVar("D", dt.date, dt.datetime)
TestOp = Literal["eq", "lt", "le", "gt", "ge", "in", "contains", "starts", "ends", "has", "filled"]
TEXTS = {"text", "longtext", "email", "phone", "url"}
NUMBERS = {"integer", "decimal", "money"}
IDS = {"reference", "id", "file"}
_ORDER = ("=", "!=", "<", "<=", ">", ">=", "in", "between", "empty")
_LOOKS = ("contains", "starts", "ends")
_ALLOWED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(TEXTS, (*_ORDER, *_LOOKS)),
    **dict.fromkeys((*NUMBERS, "date", "instant"), _ORDER),
    **dict.fromkeys((*IDS, "choice"), ("=", "!=", "in", "empty")),
    "flag": ("=", "!=", "empty"),
    "tags": ("has", "empty"),
    "address": ("empty",),
    "address part": ("=", "!=", "in", "empty", *_LOOKS),
}
_UNKEPT = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads: over these references to this field, or to one part of an address."""

    hops: tuple[Field, ...]
    field: Field
    part: str | None = None

    @property
    def kind(self) -> str:
        """The kind of value found there."""
        return "address part" if self.part else self.field.kind


@dataclass(frozen=True, slots=True)
class Bound:
    """A condition in plain tests. True when all tests of one group hold for the value; the opposite if `negated`.

    No test holds for a missing value. `!=`, `is empty` and a `not` before them are therefore true for it.
    """

    place: Place
    groups: tuple[tuple[tuple[TestOp, Any], ...], ...]
    negated: bool = False


def check(filter: Filter, meta: EntityMeta, meta_of: Callable[[str], EntityMeta] = meta_of) -> Filter:
    """The same filter, if it fits the entity; Invalid otherwise. For keeping a view or a rule that runs later."""
    somewhen = FilterContext(now=dt.datetime(2000, 1, 1, tzinfo=dt.UTC), today=dt.date(2000, 1, 1), meta_of=meta_of)
    for condition in conditions(bounded(filter)):
        bind(condition, meta, somewhen)
    return filter


def bind(condition: Compare, meta: EntityMeta, context: FilterContext) -> Bound:
    """Check one condition against the entity and say it in plain tests. Raises Invalid with the reason."""
    place = _find(condition, meta, context)
    name, op = ".".join(condition.path), condition.op
    if op not in _ALLOWED.get(place.kind, ()):
        raise problem(_not_allowed(name, place, op), condition.at)
    if op == "empty":
        return Bound(place, ((("filled", None),),), negated=True)
    try:
        values = [_operand(value, place, context) for value in condition.values]
    except ValueError as error:
        raise problem(f"{name} {error}", condition.at) from None
    return Bound(place, _groups(op, values), negated=op == "!=")


def _not_allowed(name: str, place: Place, op: str) -> str:
    allowed = _ALLOWED.get(place.kind)
    if allowed is None:
        return f"{name} cannot be filtered."
    words = ["is empty" if word == "empty" else word for word in allowed]
    return f"'{'is empty' if op == 'empty' else op}' does not suit {name} ({place.kind}). Allowed: {', '.join(words)}."


# Finding the field ---------------------------------------------------------------------------------------------------


def _find(condition: Compare, meta: EntityMeta, context: FilterContext) -> Place:
    hops: list[Field] = []
    *references, last = condition.path
    for position, name in enumerate(references):
        fields = visible(meta)
        if (field := fields.get(name)) and field.kind == "address" and position == len(references) - 1:
            if last not in ADDRESS_PARTS:
                raise problem(_unknown(f"{meta.name} {name}", "part", last, ADDRESS_PARTS), condition.at)
            return Place(tuple(hops), field, last)
        reference = fields.get(name.removesuffix("_id") + "_id")
        if reference is None or reference.target is None:
            known = [f.name.removesuffix("_id") for f in fields.values() if f.target]
            raise problem(_unknown(meta.name, "reference", name, known), condition.at)
        if len(hops) == MAX_HOPS:
            raise problem(f"a path leads over at most {MAX_HOPS} references.", condition.at)
        hops.append(reference)
        meta = _meta_of(reference.target, condition, context)
    found = visible(meta).get(last)
    if found is None:
        raise problem(_unknown(meta.name, "field", last, list(visible(meta))), condition.at)
    return Place(tuple(hops), found)


def visible(meta: EntityMeta) -> dict[str, Field]:
    """The fields a filter may know of. Secret ones do not exist for it."""
    return {name: field for name, field in meta.fields.items() if not field.secret}


def key_of(field: Field, meta: EntityMeta) -> Field | None:
    """The sibling that keeps the folded text of a field, as `name_key` does for `name`: secret, and set by Rapport."""
    key = meta.fields.get(f"{field.name}_key")
    return key if key is not None and key.secret and key.readonly and key.kind == field.kind == "text" else None


def _meta_of(entity: str, condition: Compare, context: FilterContext) -> EntityMeta:
    try:
        return context.meta_of(entity)
    except LookupError:
        raise problem(f"the module of {entity} is switched off.", condition.at) from None


def _unknown(owner: str, noun: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name[:60], known, n=1)
    if near:
        return f"{owner} has no {noun} '{name[:60]}'. Did you mean '{near[0]}'?"
    return f"{owner} has no {noun} '{name[:60]}'. Known: {', '.join(sorted(known)) or 'none'}."


# Reading values ------------------------------------------------------------------------------------------------------

Operand = tuple[Any, Any]
"""A point is (value, None); a stretch of time is (first moment, first moment after it)."""


def _operand(value: Value, place: Place, context: FilterContext) -> Operand:
    kind, field = place.kind, place.field
    match value:
        case Me():
            if not (field.target == "user" or (field.kind == "reference" and field.name == "id")):
                raise ValueError("does not point at a user, so it cannot be compared with 'me'.")
            return context.user_id, None
        case Moment() | Period() if kind not in {"date", "instant"}:
            raise ValueError("cannot be compared with a date.")
        case Moment("now") if kind == "date":
            raise ValueError("is a date. Compare it with 'today'.")
        case Moment("now", shifts):
            return _shift(context.now, shifts), None
        case Moment(_, shifts):
            return _days(_shift(context.today, shifts), None, kind, context)
        case Period():
            return _days(*_period(value, context.today), kind, context)
        case str() if kind == "instant" and len(value) <= 10:
            return _days(KINDS["date"].load(value, field), None, kind, context)
        case _:
            return _plain(value, kind, field), None


def _plain(value: Value, kind: str, field: Field) -> Any:
    if kind == "flag":
        if not isinstance(value, bool):
            raise ValueError("is compared with true or false.")
        return value
    if kind in NUMBERS:
        if isinstance(value, bool):
            raise ValueError("is compared with a number, such as 1234.50.")
        if kind == "integer" and isinstance(value, Decimal) and value != int(value):
            raise ValueError("is compared with a whole number, such as 42.")
        return KINDS[kind].load(value, field)
    if not isinstance(value, str):
        noun = "date" if kind in {"date", "instant"} else "text"
        raise ValueError(f"is compared with a {noun} in quotes.")
    if kind in {"date", "instant", "choice"}:
        return KINDS[kind].load(value, field)
    if kind in IDS:
        return _id(value, field)
    if _UNKEPT.search(value):
        raise ValueError("cannot hold the characters of this text.")
    if kind == "tags":
        return " ".join(value.split())
    return value


def _id(value: str, field: Field) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise ValueError(f"is compared with the id of a {field.target or 'record'}.") from None


def _groups(op: str, values: Sequence[Operand]) -> tuple[tuple[tuple[TestOp, Any], ...], ...]:
    values = [value for value in values if value != (None, None)]  # nobody is 'me' here
    if not values:
        return ()
    if op in {"=", "!=", "in"}:
        points: list[Any] = [low for low, end in values if end is None]
        stretches: list[tuple[tuple[TestOp, Any], ...]] = [
            (("ge", low), ("lt", end)) for low, end in values if end is not None
        ]
        if not points:
            return tuple(stretches)
        return ((("eq", points[0]) if len(points) == 1 else ("in", tuple(points)),), *stretches)
    if op == "between":
        return ((_edge(">=", values[0]), _edge("<=", values[1])),)
    if op in {"<", "<=", ">", ">="}:
        return ((_edge(op, values[0]),),)
    return (((_LOOK[op], values[0][0]),),)


_LOOK: dict[str, TestOp] = {"contains": "contains", "starts": "starts", "ends": "ends", "has": "has"}


def _edge(op: str, operand: Operand) -> tuple[TestOp, Any]:
    """One side of a stretch: after `this month` is from the first moment of the next month on."""
    low, end = operand
    match op:
        case "<":
            return "lt", low
        case "<=":
            return ("le", low) if end is None else ("lt", end)
        case ">":
            return ("gt", low) if end is None else ("ge", end)
        case _:
            return "ge", low


# Time ----------------------------------------------------------------------------------------------------------------


def _days(first: dt.date, after: dt.date | None, kind: str, context: FilterContext) -> Operand:
    """From a first day up to the day `after`; a single day if that is None."""
    if kind == "date":
        return first, after
    end = after or _shift(first, ((1, "days"),))
    return _start_of(first, context), _start_of(end, context)


def _start_of(day: dt.date, context: FilterContext) -> dt.datetime:
    try:
        return dt.datetime.combine(day, dt.time.min, tzinfo=context.zone).astimezone(dt.UTC)
    except OverflowError:  # the first or last day of the calendar
        return dt.datetime.combine(day, dt.time.min, tzinfo=dt.UTC)


MOMENTS = ("today", "now")


def moment_of(value: Value, kind: str, context: FilterContext) -> dt.date | dt.datetime:
    """What `today + 30 days` means as the value of a field of this kind; Invalid for anything else."""
    if not isinstance(value, Moment):
        raise problem("is no moment. Write today + 30 days.")
    if value.base == "now" and kind == "date":
        raise problem("is a date. Write today, not now.")
    if value.base == "now":
        return _shift(context.now, value.shifts)
    found: dt.date | dt.datetime = _days(_shift(context.today, value.shifts), None, kind, context)[0]
    return found


def _shift(moment: D, shifts: Sequence[tuple[int, Unit]]) -> D:
    for number, unit in shifts:
        try:
            if unit in {"months", "years"}:
                moment = _add_months(moment, number * (12 if unit == "years" else 1))
            else:
                moment = moment + dt.timedelta(**{unit: number})
        except OverflowError:
            moment = _edge_of_time(moment, number)
    return moment


def _add_months(moment: Any, number: int) -> Any:
    """The same day of another month, or the last that month has."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + number, 12)
    if not dt.MINYEAR <= year <= dt.MAXYEAR:
        raise OverflowError
    return moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))


def _edge_of_time(moment: Any, direction: int) -> Any:
    kind = type(moment)
    edge = kind.max if direction > 0 else kind.min
    return edge.replace(tzinfo=dt.UTC) if isinstance(moment, dt.datetime) else edge


def _period(period: Period, today: dt.date) -> tuple[dt.date, dt.date]:
    """The first day of the period and the first day after it. Weeks begin on Monday."""
    if period.span == "week":
        first = _shift(today, ((-today.weekday(), "days"), (period.step, "weeks")))
        return first, _shift(first, ((1, "weeks"),))
    months = {"month": 1, "quarter": 3, "year": 12}[period.span]
    first = today.replace(day=1, month=(today.month - 1) // months * months + 1)
    first = _shift(first, ((period.step * months, "months"),))
    return first, _shift(first, ((months, "months"),))
