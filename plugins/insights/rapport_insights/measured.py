"""What happened in a stretch of time, by the measures that plugins bring: with each customer, and in all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, case, func, literal, select

from rapport import Invalid, Measure, Problem, Reader, ScopedSession, Site
from rapport import gettext as _
from rapport_insights.kinds import Work
from rapport_insights.scores import ACTOR

WINDOWS = (90, 365)
CUSTOMER = "customer_id"


@contextmanager
def counting(work: Work) -> Iterator[Reader]:
    """A reader of the warehouse, which knows all that was committed up to now."""
    from rapport_warehouse import refresh, warehouse

    refresh(work.site, tell=lambda what: work.tell(0, 0, _("Reading")))
    with warehouse(work.site) as connection, ScopedSession(connection, ACTOR, work.site.entities) as session:
        yield Reader(work.site, ACTOR, session)


def windows(work: Work, on: dt.date) -> dict[Any, dict[str, float]]:
    """By customer, what happened with them in the 90 and 365 days up to a day.

    Only measures that count whatever there is of a kind: what the others count depends on how records stand today, and
    that may have come about after the day.
    """
    found: dict[Any, dict[str, float]] = {}
    with counting(work) as reader:
        for measure in work.site.measures:
            if _tells_customers_apart(work.site, measure):
                for who, *figures in reader.session.execute(_by_customer(reader, measure, on)):
                    row = found.setdefault(who, {})
                    for window, figure in zip(WINDOWS, figures, strict=True):
                        row[f"{measure.name}@{window}"] = float(figure or 0)
    names = {name for row in found.values() for name in row}
    return {who: {**dict.fromkeys(names, 0.0), **row} for who, row in found.items()}


def moments(work: Work, name: str) -> tuple[list[tuple[dt.date, int, float]], str]:
    """Day, hour and figure of everything that a measure counts or adds up, in any order; and its currency.

    Of amounts in several currencies, only those in the most frequent one. Invalid when the measure does not suit.
    """
    site = work.site
    measure = site.measures.get(name)
    if measure is None or measure.of not in site.entities:
        raise Invalid(Problem(None, _("Nothing on this site tells “%(name)s”.", name=name)))
    if not _adds_up(measure):
        raise Invalid(Problem(None, _("“%(name)s” cannot be forecast: it does not add up.", name=_(measure.title))))
    entity: Any = site.entities[measure.of]
    at, value = getattr(entity, measure.at), _value(entity, measure)
    money = getattr(entity, measure.currency) if measure.currency else literal("")
    zone = ZoneInfo(str(site.settings.get("core.zone") or "UTC"))
    with counting(work) as reader:
        counted = reader.conditions(entity, filter=measure.filter or None)
        rows = reader.session.execute(select(at, value, money).where(*counted, at.is_not(None))).all()
    currencies = [row[2] or "" for row in rows]
    most = max(set(currencies), key=currencies.count, default="")
    found = []
    for moment, figure, currency in rows:
        if (currency or "") == most:
            here = moment.astimezone(zone) if isinstance(moment, dt.datetime) else None
            day, hour = (here.date(), here.hour) if here is not None else (moment, 0)
            found.append((day, hour, float(figure or 0)))
    return found, most


def _adds_up(measure: Measure) -> bool:
    return measure.over is None and measure.how in {"count", "sum"} and "." not in measure.at


def _tells_customers_apart(site: Site, measure: Measure) -> bool:
    if not _adds_up(measure) or measure.filter or measure.of not in site.entities or measure.of.startswith("insights."):
        return False
    reference = site.meta_named(measure.of).fields.get(CUSTOMER)
    return reference is not None and reference.target == "customer"


def _by_customer(reader: Reader, measure: Measure, on: dt.date) -> Any:
    entity: Any = reader.site.entities[measure.of]
    at, value = getattr(entity, measure.at), _value(entity, measure)
    end = _edge(reader.site, measure, on + dt.timedelta(days=1))
    figures = []
    for window in WINDOWS:
        start = _edge(reader.site, measure, on + dt.timedelta(days=1 - window))
        figures.append(func.sum(case((and_(at >= start, at < end), value), else_=0)))
    return (
        select(entity.customer_id, *figures)
        .where(*reader.conditions(entity), entity.customer_id.is_not(None), at < end)
        .group_by(entity.customer_id)
    )


def _edge(site: Site, measure: Measure, day: dt.date) -> dt.date | dt.datetime:
    """The beginning of a day, as the measure has its days."""
    if site.meta_named(measure.of).fields[measure.at].kind == "date":
        return day
    return dt.datetime.combine(day, dt.time(), ZoneInfo(str(site.settings.get("core.zone") or "UTC")))


def _value(entity: Any, measure: Measure) -> Any:
    if measure.how == "count":
        return literal(1)
    return getattr(entity, measure.value) if isinstance(measure.value, str) else measure.value(entity)
