"""Who bought on which day for how much: what segments, lifetime value and retention are worked out from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Date, Integer, case, cast, func, literal, select, type_coerce
from sqlalchemy.dialects.postgresql import aggregate_order_by

from rapport import Invalid, JobContext, Measure, Reader, ScopedSession, Site, system, utcnow
from rapport import gettext as _

Row = tuple[Any, dt.date, Decimal]
"""Customer, day, amount."""
Array = Any
CENT = 10_000
"""Amounts are counted in whole parts of this size, so that no cent gets lost."""
ACTOR = system("insights")
USUAL = ("sales.order_amount", "sales.won_amount")
"""What purchases are unless the settings say otherwise: the first of these that has any."""
RETURNED, UNMATCHED = "returned", "returned_before"


@dataclass(frozen=True, eq=False)
class Purchases:
    """Purchases, those of one customer on one day as one, in the order of customer and day.

    They are kept in columns, for there may be millions; `rows` has them one by one.
    """

    customers: Sequence[Any]
    """Those who bought, in order."""
    whose: Array
    """Of each purchase, the place of the customer among them."""
    days: Array
    """Of each purchase, the day as its ordinal."""
    amounts: Array
    """Of each purchase, the amount in parts of CENT."""
    until: dt.date
    """The last day that is known of, with or without a purchase."""
    currency: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What was not counted as it came, by reason: how many."""

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Each purchase by itself."""
        columns = zip(self.whose.tolist(), self.days.tolist(), self.amounts.tolist(), strict=True)
        days: dict[int, dt.date] = {}
        found: list[Row] = []
        for whose, day, amount in columns:
            if day not in days:
                days[day] = dt.date.fromordinal(day)
            found.append((self.customers[whose], days[day], Decimal(amount) / CENT))
        return tuple(found)

    @property
    def since(self) -> dt.date:
        """The day of the first purchase."""
        return dt.date.fromordinal(int(self.days.min())) if len(self.days) else self.until

    def up_to(self, day: dt.date) -> Purchases:
        """Those up to a day, as if that were the last one known of."""
        return self._those(self.days <= day.toordinal(), day)

    def after(self, day: dt.date) -> Purchases:
        """Those after a day."""
        return self._those(self.days > day.toordinal(), self.until)

    def _those(self, wanted: Array, until: dt.date) -> Purchases:
        columns = (self.whose[wanted], self.days[wanted], self.amounts[wanted])
        return Purchases(self.customers, *columns, until, self.currency)

    def by_customer(self) -> Iterator[tuple[Any, list[tuple[dt.date, Decimal]]]]:
        """Each customer with their days and amounts, the earliest first."""
        for customer, rows in groupby(self.rows, key=lambda row: row[0]):
            yield customer, [(day, amount) for _customer, day, amount in rows]


def purchases_from(
    rows: Iterable[Row], until: dt.date | None = None, currency: str = "", left_out: Mapping[str, int] | None = None
) -> Purchases:
    """Purchases from rows of customer, day and amount, in any order.

    What one customer bought on one day is one purchase. Where more came back on a day than was bought, the rest is
    taken off the latest purchases before it, and a purchase that came back whole never was one. What came back of
    purchases before the first row is left out. `left_out` tells how many days there were on which at least as much came
    back as was bought, and on how many of them something came back of which nothing is known.
    """
    days: dict[tuple[Any, dt.date], Decimal] = {}
    came_back: set[tuple[Any, dt.date]] = set()
    for customer, day, amount in rows:
        days[customer, day] = days.get((customer, day), Decimal(0)) + amount
        if amount < 0:
            came_back.add((customer, day))
    rows_of = groupby(((customer, day, days[customer, day]) for customer, day in sorted(days)), key=lambda row: row[0])
    customers: list[Any] = []
    whose: list[int] = []
    kept: list[tuple[int, int]] = []
    told = {RETURNED: 0, UNMATCHED: 0}
    for customer, own in rows_of:
        found = _taken_off(
            [(day.toordinal(), round(amount * CENT), (customer, day) in came_back) for _c, day, amount in own], told
        )  # fmt: skip
        if found:
            whose += [len(customers)] * len(found)
            customers.append(customer)
            kept += found
    last = until or max((day for _customer, day in days), default=dt.date.min)
    return Purchases(customers, *_columns(whose, kept), last, currency, {**told, **(left_out or {})})


def _taken_off(days: Iterable[tuple[int, int, bool]], told: dict[str, int]) -> list[tuple[int, int]]:
    """One customer's purchases by day, with what came back taken off the latest before it."""
    kept: list[tuple[int, int]] = []
    for day, amount, came_back in days:
        if amount > 0 or (amount == 0 and not came_back):
            kept.append((day, amount))
            continue
        told[RETURNED] += 1
        rest = amount
        while rest < 0 and kept:
            earlier, before = kept.pop()
            rest += before
            if rest > 0:
                kept.append((earlier, rest))
        told[UNMATCHED] += rest < 0
    return kept


def _columns(whose: Sequence[int], kept: Sequence[tuple[int, int]]) -> tuple[Array, Array, Array]:
    import numpy as np

    both = np.array(kept, dtype=np.int64).reshape(len(kept), 2)
    return np.array(whose, dtype=np.int64), both[:, 0].copy(), both[:, 1].copy()


# Of the site ---------------------------------------------------------------------------------------------------------


def read_purchases(context: JobContext) -> Purchases:
    """The purchases of the site, by the setting `insights.purchases`. Invalid, in plain words, where there are none."""
    from rapport_warehouse import refresh

    site = context.site
    measures = chosen(site)
    refresh(site, tell=lambda what: context.progress(0, 0, _("Reading")))
    for measure in measures:
        found = read_measure(site, measure)
        if len(found.days):
            return found
    names = ", ".join(_(measure.title) for measure in measures)
    raise Invalid(_("There are no purchases yet: nothing is found under “%(names)s”.", names=names))


def chosen(site: Site) -> list[Measure]:
    """The measures that may tell of purchases; the first that has any counts."""
    named = str(site.settings.get("insights.purchases") or "").strip()
    found = [site.measures[name] for name in ([named] if named else USUAL) if name in site.measures]
    if named and not found:
        raise Invalid(_("The setting “Purchases are” names “%(name)s”, and there is no such measure.", name=named))
    if not found:
        raise Invalid(_("Nothing on this site tells of purchases. Switch the module sales on, or name a measure of "
                        "amounts in the setting “Purchases are”."))  # fmt: skip
    for measure in found:
        if measure.kind != "money" or measure.how != "sum" or _customer_of(site, measure) is None:
            raise Invalid(_("“%(title)s” tells no amounts of customers: purchases cannot be read from it.",
                            title=_(measure.title)))  # fmt: skip
    return found


def _customer_of(site: Site, measure: Measure) -> str | None:
    """The field of the measure's records that says whose purchase it is."""
    fields = site.meta_named(measure.of).references
    names = [field.name for field in fields if field.target == "customer"]
    return "customer_id" if "customer_id" in names else names[0] if names else None


def read_measure(site: Site, measure: Measure) -> Purchases:
    """What a measure tells of purchases, read from the warehouse, in the currency of the business."""
    from rapport_warehouse import as_of, in_parts, warehouse

    entity: Any = site.entities[measure.of]
    zone, currency = str(site.settings.get("core.zone") or "UTC"), str(site.settings.get("core.currency"))
    value = measure.value(entity) if callable(measure.value) else getattr(entity, measure.value)
    customer, at = getattr(entity, str(_customer_of(site, measure))), getattr(entity, measure.at)
    is_instant = site.meta(entity).fields[measure.at].kind == "instant"
    day = cast(func.timezone(zone, at), Date) if is_instant else at
    coin = getattr(entity, measure.currency) if measure.currency else literal(currency)
    known = as_of(site)
    until = (known or utcnow()).astimezone(ZoneInfo(zone)).date()
    with warehouse(site) as connection, ScopedSession(connection, ACTOR, site.entities) as session:
        reader = Reader(site, ACTOR, session)
        each = (
            select(customer.label("customer"), day.label("day"), coin.label("coin"), func.count().label("many"),
                   cast(func.sum(in_parts(value)), BigInteger).label("amount"))
            .where(*reader.conditions(entity, filter=measure.filter or None), value.is_not(None))
            .group_by(customer, day, coin)
        ).subquery()  # fmt: skip
        why = case(
            (each.c.customer.is_(None), "no_customer"), (each.c.day.is_(None), "no_day"),
            (each.c.coin.is_distinct_from(currency), "other_currency"), (each.c.day > until, "to_come"), else_="",
        )  # fmt: skip
        told = select(
            why.label("why"), case((why == "", each.c.customer)).label("customer"), each.c.many, each.c.amount,
            (type_coerce(each.c.day - dt.date.min, Integer) + 1).label("day"),
        ).subquery()  # fmt: skip
        statement = select(
            told.c.why, told.c.customer, func.sum(told.c.many),
            *(func.list(aggregate_order_by(column, told.c.day)).filter(told.c.why == "")
              for column in (told.c.day, told.c.amount)),
        ).group_by(told.c.why, told.c.customer).order_by(told.c.customer)  # fmt: skip
        return _read(session.execute(statement), until, currency)


def _read(found: Iterable[Any], until: dt.date, currency: str) -> Purchases:
    """Purchases from a row of each customer: why they do not count, who, how many there are, their days and amounts."""
    import numpy as np

    left_out = {"no_customer": 0, "no_day": 0, "other_currency": 0, "to_come": 0, RETURNED: 0, UNMATCHED: 0}
    customers: list[Any] = []
    columns: list[tuple[Array, Array]] = []
    for why, customer, many, days, amounts in found:
        if why:
            left_out[why] += int(many)
            continue
        own = np.array(days, dtype=np.int64), np.array(amounts, dtype=np.int64)
        if min(amounts) < 0:
            each = _taken_off([(*pair, pair[1] < 0) for pair in zip(days, amounts, strict=True)], left_out)
            if not each:
                continue
            own = _columns((), each)[1:]
        customers.append(customer)
        columns.append(own)
    whose = np.repeat(np.arange(len(customers)), [len(own) for own, _amounts in columns])
    every = [np.concatenate([np.empty(0, np.int64), *(own[place] for own in columns)]) for place in (0, 1)]
    return Purchases(customers, whose, every[0], every[1], until, currency, left_out)


def said_of_left_out(left_out: Mapping[str, int]) -> list[tuple[str, int]]:
    """What was not counted as it came, in words, each with how many."""
    words = {
        "no_customer": _("Without a customer"), "no_day": _("Without a day"), "to_come": _("On a day to come"),
        "other_currency": _("In another currency"),
        RETURNED: _("Days on which as much came back as was bought, or more: taken off the purchases before"),
        UNMATCHED: _("Days on which something came back of which no purchase is known"),
    }  # fmt: skip
    return [(words[name], many) for name, many in left_out.items() if many and name in words]
