"""Figures and what tells them apart, checked: do they name records and fields that exist, and which way leads there?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from rapport.contributions import Dimension, Measure
from rapport.entities.base import EntityMeta
from rapport.entities.fields import ADDRESS_PARTS, Field
from rapport.errors import Invalid
from rapport.query.bind import check
from rapport.query.filter import parse
from rapport.query.fold import fold, folded
from rapport.query.sql import compile_filter
from rapport.records.session import ScopedSession

if TYPE_CHECKING:
    from rapport.site import Site

__all__ = [
    "HOWS",
    "KINDS",
    "MAX_HOPS",
    "TOLD_APART",
    "ScopedSession",
    "compile_filter",
    "field_at",
    "fold",
    "folded",
    "parse",
    "way_to",
    "wrong_with_dimension",
    "wrong_with_measure",
]
"""Also what modules need that work figures out elsewhere: the filters, and the session that sees no more than its
actor, for a connection of theirs."""

HOWS = ("count", "sum", "average", "least", "most", "distinct")
KINDS = ("integer", "decimal", "money", "percent", "hours", "days")
MAX_HOPS = 3
"""Over so many references a dimension may lie from the records that are counted."""
NUMBERS = {"integer", "decimal", "money"}
TOLD_APART = {"choice", "text", "flag", "reference", "email", "phone", "url"}
"""Kinds of fields that a dimension may have."""

_WAYS: WeakKeyDictionary[Site, dict[tuple[str, str, str], tuple[Field, ...] | None]] = WeakKeyDictionary()
"""What was found before: the records of a site stay as they are for as long as it is the same one."""


def field_at(site: Site, entity: str, path: str) -> tuple[tuple[Field, ...], Field, str] | None:
    """Where a path such as `order.ordered_on` or `address.country` leads: references, field, part of an address."""
    hops: list[Field] = []
    meta = _meta(site, entity)
    *before, last = path.split(".")
    for position, name in enumerate(before):
        if meta is None:
            return None
        field = meta.fields.get(name)
        if field is not None and field.kind == "address" and position == len(before) - 1 and not field.secret:
            return (tuple(hops), field, last) if last in ADDRESS_PARTS else None
        reference = meta.fields.get(f"{name.removesuffix('_id')}_id")
        if reference is None or not reference.target or reference.secret:
            return None
        hops.append(reference)
        meta = _meta(site, reference.target)
    found = meta.fields.get(last) if meta is not None else None
    return None if found is None or found.secret else (tuple(hops), found, "")


def way_to(site: Site, start: str, target: str, via: str = "") -> tuple[Field, ...] | None:
    """The references that lead from one kind of record to another; None where none do, or two do equally well.

    The shortest way is taken; of several as short, the one by references that are named after what they point at.
    With `via`, the way leads over a reference of that name, unless it starts where it ends.
    """
    known = _WAYS.setdefault(site, {})
    if (start, target, via) not in known:
        known[start, target, via] = _way_to(site, start, target, via)
    return known[start, target, via]


def _way_to(site: Site, start: str, target: str, via: str) -> tuple[Field, ...] | None:
    if start == target:
        return ()
    ways: list[tuple[Field, ...]] = [()]
    for _hop in range(MAX_HOPS):
        ways = [(*way, field) for way in ways for field in _onwards(site, start, way)]
        there = [way for way in ways if way[-1].target == target and (not via or via in {each.name for each in way})]
        if there:
            ranked = sorted((sum(not _named_after(each) for each in way), at) for at, way in enumerate(there))
            if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
                return None
            return there[ranked[0][1]]
    return None


def _onwards(site: Site, start: str, way: Sequence[Field]) -> Iterator[Field]:
    """The references on from where a way leads, without going round in circles."""
    been = {start, *(each.target for each in way)}
    meta = _meta(site, way[-1].target or "" if way else start)
    for field in meta.references if meta is not None else ():
        if field.target not in been and not field.secret and not field.extension and _meta(site, field.target or ""):
            yield field


def _named_after(reference: Field) -> bool:
    return reference.name == f"{(reference.target or '').rpartition('.')[2]}_id"


def _meta(site: Site, entity: str) -> EntityMeta | None:
    return site.meta_named(entity) if entity in site.entities else None


# What is wrong -------------------------------------------------------------------------------------------------------


def wrong_with_measure(site: Site, measure: Measure) -> list[str]:
    """What a measure names that does not exist or does not fit, as sentences that begin with its name."""
    return [f"{measure.name}: {said}" for said in _in_measure(site, measure)]


def wrong_with_dimension(site: Site, dimension: Dimension) -> list[str]:
    """What a dimension names that does not exist or does not fit, as sentences that begin with its name."""
    return [f"{dimension.name}: {said}" for said in _in_dimension(site, dimension)]


def _in_measure(site: Site, measure: Measure) -> Iterator[str]:
    if measure.kind not in KINDS:
        yield _unknown("kind", measure.kind, KINDS)
    if measure.better not in {"up", "down"}:
        yield _unknown("better", measure.better, ("up", "down"))
    if measure.over is not None:
        yield from _in_ratio(site, measure, measure.over)
        return
    meta = _meta(site, measure.of)
    if meta is None:
        yield _unknown("kind of record", measure.of, (entity.meta.name for entity in site.entities))
        return
    if measure.how not in HOWS:
        yield _unknown("how", measure.how, HOWS)
    yield from _in_value(meta, measure)
    when = field_at(site, measure.of, measure.at)
    if when is None or when[1].kind not in {"date", "instant"} or when[2]:
        yield f"at='{measure.at}' is no date or moment of {measure.of}."
    if measure.filter:
        try:
            check(parse(measure.filter), meta, site.meta_named)
        except Invalid as error:
            yield f"its filter cannot be used: {'; '.join(each.message for each in error.problems)}"
    if (measure.kind == "money") != bool(measure.currency):
        yield "what is money names the field with its currency, and nothing else does."
    elif measure.currency and ((code := meta.fields.get(measure.currency)) is None or code.kind != "text"):
        yield _unknown("currency", measure.currency, meta.fields)


def _in_ratio(site: Site, measure: Measure, over: tuple[str, str]) -> Iterator[str]:
    if measure.of or measure.value or measure.filter or measure.currency:
        yield "a ratio has no records, value, filter or currency of its own."
    for name in over:
        if name not in site.measures:
            yield _unknown("measure", name, (each.name for each in site.measures))
        elif site.measures[name].over is not None:
            yield f"it divides by or into '{name}', which is a ratio itself."


def _in_value(meta: EntityMeta, measure: Measure) -> Iterator[str]:
    if measure.how == "count" and measure.value:
        yield "what is counted has no value. Say how='sum' or how='distinct'."
    elif measure.how != "count" and not measure.value:
        yield f"how='{measure.how}' needs a value."
    elif isinstance(measure.value, str) and measure.value:
        field = meta.fields.get(measure.value)
        if field is None or field.secret:
            yield _unknown("field", measure.value, (each.name for each in meta.visible))
        elif measure.how == "distinct" and field.kind in {"tags", "address", "json"}:
            yield f"the values of '{measure.value}' ({field.kind}) cannot be told apart."
        elif measure.how != "distinct" and field.kind not in NUMBERS:
            yield f"'{measure.value}' ({field.kind}) is no number."


def _in_dimension(site: Site, dimension: Dimension) -> Iterator[str]:
    if dimension.of not in site.entities:
        yield _unknown("kind of record", dimension.of, (entity.meta.name for entity in site.entities))
        return
    if dimension.value != "id":
        found = field_at(site, dimension.of, dimension.value)
        if found is None or found[0]:
            meta = site.meta_named(dimension.of)
            yield _unknown("field", dimension.value, (each.name for each in meta.visible))
        elif found[1].kind not in TOLD_APART and not found[2]:
            yield f"records cannot be told apart by '{dimension.value}' ({found[1].kind})."
    if dimension.via and not any(
        each.name == dimension.via and each.target == dimension.of
        for entity in site.entities
        for each in site.meta(entity).references
    ):
        yield f"no kind of record has a reference '{dimension.via}' to {dimension.of}."


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"there is no {what} '{name}'." + (f" Did you mean '{near[0]}'?" if near else "")
