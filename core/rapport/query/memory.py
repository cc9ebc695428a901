"""A filter for one record at hand: workflow conditions and rules ask it without a query."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from rapport.entities.base import EntityMeta
from rapport.entities.types import join_tags
from rapport.query.bind import Place, TestOp, bind
from rapport.query.fold import fold
from rapport.query.tree import And, Compare, Filter, FilterContext, Not, Or, bounded

Record = Mapping[str, Any]


def matches(filter: Filter, meta: EntityMeta, record: Record, context: FilterContext) -> bool:
    """Whether a record meets the filter, exactly as the database would say.

    The record holds its fields by name, and under `customer` the fields of the record that `customer_id` points at,
    as far as the filter asks for them.
    """
    return matcher(filter, meta, context)(record)


def matcher(filter: Filter, meta: EntityMeta, context: FilterContext) -> Callable[[Record], bool]:
    """The filter as a function of a record: checked once, asked often."""
    return _compile(bounded(filter), meta, context)


def _compile(filter: Filter, meta: EntityMeta, context: FilterContext) -> Callable[[Record], bool]:
    match filter:
        case And(parts):
            every = [_compile(part, meta, context) for part in parts]
            return lambda record: all(part(record) for part in every)
        case Or(parts):
            some = [_compile(part, meta, context) for part in parts]
            return lambda record: any(part(record) for part in some)
        case Not(part):
            opposite = _compile(part, meta, context)
            return lambda record: not opposite(record)
        case Compare():
            bound = bind(filter, meta, context)
            place, negated = bound.place, bound.negated
            groups = [[_test(op, value) for op, value in group] for group in bound.groups]

            def condition(record: Record) -> bool:
                value = _value_at(place, record)
                met = value is not None and any(all(test(value) for test in group) for group in groups)
                return met is not negated

            return condition


def _value_at(place: Place, record: Record | None) -> Any:
    for hop in place.hops:
        assert record is not None
        if record.get(hop.name) is None:
            return None
        # A caller who forgot to bring the record behind gets a KeyError, not a wrong answer.
        record = record[hop.name.removesuffix("_id")]
        if record is None:  # out of reach
            return None
    assert record is not None
    value = record[place.field.name]
    return value.get(place.part) if place.part and value is not None else value


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip


_LOOK: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "starts": lambda text, part: text.startswith(part),
    "ends": lambda text, part: text.endswith(part),
}


def _test(op: TestOp, wanted: Any) -> Callable[[Any], bool]:
    if op in _ORDER:
        compare = _ORDER[op]
        return lambda value: compare(value, wanted)
    if op == "filled":
        return lambda value: value not in ("", (), {}, [])
    if op == "in":
        return frozenset(wanted).__contains__
    if op == "has":
        tag = fold(f"\n{wanted}\n")
        return lambda value: tag in fold(join_tags(value))
    text = fold(wanted)
    return lambda value: _LOOK[op](fold(value), text)
