"""A filter for the database: SQLAlchemy expressions, with every value as a bound parameter."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    and_,
    cast,
    false,
    inspect,
    literal,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.orm import aliased

from rapport.entities.base import Entity, column_of, entity_class
from rapport.entities.custom import custom_missing
from rapport.entities.fields import Field
from rapport.query.bind import TEXTS, Place, TestOp, bind, key_of
from rapport.query.fold import fold, folded, holds
from rapport.query.tree import And, Compare, Filter, FilterContext, Not, Or, bounded


def compile_filter(filter: Filter, entity: type[Entity], context: FilterContext) -> ColumnElement[bool]:
    """The filter as a condition on rows of `entity`. Raises Invalid when it does not fit the entity.

    Conditions on a record behind a reference are ORM selects of their own, so row scopes hold for them too: what is
    out of the actor's reach counts as missing.
    """
    return _compile(bounded(filter), entity, context)


def _compile(filter: Filter, entity: type[Entity], context: FilterContext) -> ColumnElement[bool]:
    match filter:
        case And(parts):
            return and_(true(), *(_compile(part, entity, context) for part in parts))
        case Or(parts):
            return or_(false(), *(_compile(part, entity, context) for part in parts))
        case Not(part):
            return _not(_compile(part, entity, context))
        case Compare():
            bound = bind(filter, context.meta_of(entity.meta.name), context)
            met = _at(bound.place, 0, entity, bound.groups)
            return _not(met) if bound.negated else met


def _not(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    # SQL's unknown counts as not met, and the opposite of not met is met: two values, as in memory.
    return condition.self_group().is_not(true())


def _at(place: Place, hop: int, entity: Any, groups: Any) -> ColumnElement[bool]:
    if hop < len(place.hops):
        reference = place.hops[hop]
        assert reference.target is not None
        target = _behind(entity_class(reference.target), hop)
        behind = select(target.id).where(_at(place, hop + 1, target, groups))
        return column_of(entity, reference).in_(behind)
    return or_(false(), *(and_(*(_test(op, value, entity, place) for op, value in group)) for group in groups))


@functools.lru_cache(maxsize=256)
def _behind(entity: type[Entity], hop: int) -> Any:
    """The entity under another name: a customer's organisation is a customer too. Costly to make, safe to share."""
    return aliased(entity)


_ESCAPE = "/"
_ORDER: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "eq": operator.eq, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip


def _test(op: TestOp, value: Any, entity: Any, place: Place) -> ColumnElement[bool]:
    column, field = column_of(entity, place.field), place.field
    if place.part:
        column = column[place.part].as_string()
    if op == "filled":
        return _filled(column, "text" if place.part else field.kind)
    if op == "in":
        return _there(column, field, column.in_([_value(one, field) for one in value]))
    if op in _ORDER:
        return _there(column, field, _ORDER[op](column, _value(value, field)))
    if op == "has":
        tag, tags = fold("\n" + value + "\n"), type_coerce(column, Text)
        # Most records have no tags: folding each of them would be nearly all the work.
        return and_(tags != "", holds(folded(tags), literal(tag, Text), literal(f"%{_escaped(tag)}%", Text)))
    text = _folded(entity, field, column)
    look = {"contains": ("%", "%"), "starts": ("", "%"), "ends": ("%", "")}[op]
    return text.like(_escaped(fold(value)).join(look), escape=_ESCAPE)


def _there(column: ColumnElement[Any], field: Field, met: ColumnElement[bool]) -> ColumnElement[bool]:
    """A comparison with a custom field, said so that its index serves it.

    Not one with a choice or a yes or no: many records have the same, and SQLite had better walk along the order.
    """
    if not field.custom or field.kind in {"choice", "flag"}:
        return met
    return and_(custom_missing(column).is_(false()), met)


def _escaped(text: str) -> str:
    return re.sub(r"[%_/]", rf"{_ESCAPE}\g<0>", text)


def _value(value: Any, field: Field) -> Any:
    # PostgreSQL would refuse to read a large number as the integer of the column.
    return literal(value, BigInteger) if field.kind == "integer" else value


def _folded(entity: Any, field: Field, column: ColumnElement[Any]) -> ColumnElement[str]:
    """The text as `fold` gives it; from the sibling column that keeps it, where there is one."""
    key = key_of(field, inspect(entity).mapper.class_.meta)
    return folded(column) if key is None else column_of(entity, key)


def _filled(column: ColumnElement[Any], kind: str) -> ColumnElement[bool]:
    if kind in TEXTS or kind == "choice":
        return column != ""
    if kind == "tags":
        return type_coerce(column, Text) != ""
    if kind == "address":
        return and_(column.is_not(None), cast(column, Text) != "{}")
    return column.is_not(None)
