"""What may be asked: the measures and dimensions of one person, which suit each other, and what a dimension holds."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import select

from rapport import Invalid, Problem, Reader
from rapport import gettext as _
from rapport.figures import fold, folded
from rapport_warehouse import store
from rapport_warehouse.axes import (
    CALENDARS,
    ROUND,
    Axis,
    axis_of,
    every_axis,
    key_of,
    members_of,
    value_in,
    within,
)  # fmt: skip
from rapport_warehouse.cube import asking, info_of, measure_of, parts_of, suits
from rapport_warehouse.question import DimensionInfo, Member, Offer, add_months
from rapport_warehouse.shape import fiscal_start

MOST = 1_000
PERIODS = 24
"""So many of the last months or years are offered to choose from."""


def offered(reader: Reader) -> Offer:
    """The measures this person may ask for, and for each the dimensions that suit it."""
    site = reader.site
    measures = [found for each in site.measures if (found := measure_of(reader, each.name)) is not None]
    axes = list(every_axis(reader))
    fits: dict[str, frozenset[str]] = {}
    by_parts: dict[tuple[tuple[str, str], ...], frozenset[str]] = {}
    for measure in measures:
        key = tuple((part.of, part.at) for part in parts_of(reader, measure))
        if key not in by_parts:
            by_parts[key] = frozenset(axis.name for axis in axes if suits(reader, axis, measure))
        fits[measure.name] = by_parts[key]
    used = frozenset().union(*fits.values())
    dimensions = [axis.info(site) for axis in axes if axis.name in used]
    groups = {each.name: _(site.meta_named(parts_of(reader, each)[0].of).plural) for each in measures}
    return Offer([info_of(each) for each in measures], dimensions, fits, groups)


def dimension_of(reader: Reader, name: str) -> DimensionInfo:
    """A dimension by its name; Invalid where there is none that this person may use."""
    return _axis(reader, name).info(reader.site)


def members(reader: Reader, dimension: str, *, search: str = "", limit: int = 50) -> list[Member]:
    """What can be chosen from to slice by a dimension: those whose title has the searched text, by title."""
    if not 1 <= limit <= MOST:
        raise Invalid(Problem("limit", _("must be between 1 and %(most)s.", most=MOST)))
    axis = _axis(reader, dimension)
    with store.warehouse(reader.site) as connection, asking(reader, connection) as session:
        if axis.unit:
            values = _dates(axis, reader)
        elif axis.field is not None and axis.field.choices:
            values = [choice.value or None for choice in axis.field.choices]
        elif axis.field is not None and axis.field.kind == "flag":
            values = [True, False]
        else:
            values = [row[0] for row in session.execute(_statement(axis, reader, search, limit))]
        named = members_of(axis, reader, session, {key_of(axis, value): value for value in values})
        found = list(named.values())
        if search:
            found = [each for each in found if fold(search) in fold(each.title)]
        if not axis.unit and not (axis.field is not None and axis.field.choices):
            found.sort(key=lambda each: (fold(each.title), each.key))
        return found[:limit]


def _axis(reader: Reader, name: str) -> Axis:
    axis = axis_of(reader, name)
    if axis is None:
        raise Invalid(Problem("dimension", _("names '%(name)s', which is unknown.", name=name)))
    return axis


def _statement(axis: Axis, reader: Reader, search: str, limit: int) -> Any:
    entity: Any = reader.site.entities[axis.record or axis.of]
    if axis.record:
        title = getattr(entity, entity.meta.display)
        statement = select(entity.id).where(entity.archived_at.is_(None)).order_by(folded(title), entity.id)
        if search:
            statement = statement.where(folded(title).contains(fold(search), autoescape=True))
        return statement.limit(limit)
    value = value_in(axis, entity)
    inner = select(value.label("value")).where(entity.archived_at.is_(None)).subquery()
    statement = select(inner.c.value).distinct().where(inner.c.value.is_not(None)).order_by(inner.c.value)
    return statement.limit(MOST)


def _dates(axis: Axis, reader: Reader) -> list[Any]:
    if axis.unit in ROUND:
        return list(ROUND[axis.unit])
    if axis.unit in CALENDARS:
        return []
    today, start = reader.today(), fiscal_start(reader.site)
    days: list[dt.date] = []
    for back in range(PERIODS):
        if axis.unit in {"day", "week"}:
            days.append(today - dt.timedelta(days=back * (7 if axis.unit == "week" else 1)))
        else:
            step = {"month": 1, "quarter": 3}.get(axis.unit, 12)
            days.append(add_months(today, -back * step))
    return list(dict.fromkeys(within(axis.unit, day, start) for day in days))
