"""Who bought on which day for how much: what segments, lifetime value and retention are worked out from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Date, cast, func, literal, select

from rapport import Invalid, JobContext, Measure, Reader, ScopedSession, Site, system, utcnow
from rapport import gettext as _

Row = tuple[Any, dt.date, Decimal]
"""Customer, day, amount."""
ACTOR = system("insights")
USUAL = ("sales.order_amount", "sales.won_amount")
"""What purchases are unless the settings say otherwise: the first of these that has any."""
RETURNED, UNMATCHED = "returned", "returned_before"


@dataclass(frozen=True, slots=True)
class Purchases:
    """Purchases, those of one customer on one day as one, in the order of customer and day."""

    rows: tuple[Row, ...]
    until: dt.date
    """The last day that is known of, with or without a purchase."""
    currency: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What was not counted as it came, by reason: how many."""

    @property
    def since(self) -> dt.date:
        """The day of the first purchase."""
        return min((row[1] for row in self.rows), default=self.until)

    def up_to(self, day: dt.date) -> Purchases:
        """Those up to a day, as if that were the last one known of."""
        return Purchases(tuple(row for row in self.rows if row[1] <= day), day, self.currency)

    def after(self, day: dt.date) -> Purchases:
        """Those after a day."""
        return Purchases(tuple(row for row in self.rows if row[1] > day), self.until, self.currency)

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
    kept: list[Row] = []
    told = {RETURNED: 0, UNMATCHED: 0}
    first = 0
    for customer, day in sorted(days):
        if first < len(kept) and kept[first][0] != customer:
            first = len(kept)
        amount = days[customer, day]
        if amount > 0 or (amount == 0 and (customer, day) not in came_back):
            kept.append((customer, day, amount))
            continue
        told[RETURNED] += 1
        while amount < 0 and len(kept) > first:
            _customer, earlier, before = kept.pop()
            amount += before
            if amount > 0:
                kept.append((customer, earlier, amount))
        told[UNMATCHED] += amount < 0
    last = until or max((day for _customer, day in days), default=dt.date.min)
    return Purchases(tuple(kept), last, currency, {**told, **(left_out or {})})


# Of the site ---------------------------------------------------------------------------------------------------------


def read_purchases(context: JobContext) -> Purchases:
    """The purchases of the site, by the setting `insights.purchases`. Invalid, in plain words, where there are none."""
    from rapport_warehouse import refresh

    site = context.site
    measures = chosen(site)
    refresh(site, tell=lambda what: context.progress(0, 0, _("Reading")))
    for measure in measures:
        found = read_measure(site, measure)
        if found.rows:
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
    from rapport_warehouse import as_of, warehouse

    entity: Any = site.entities[measure.of]
    zone, currency = str(site.settings.get("core.zone") or "UTC"), str(site.settings.get("core.currency"))
    value = measure.value(entity) if callable(measure.value) else getattr(entity, measure.value)
    customer, at = getattr(entity, str(_customer_of(site, measure))), getattr(entity, measure.at)
    is_instant = site.meta(entity).fields[measure.at].kind == "instant"
    day = cast(func.timezone(zone, at), Date) if is_instant else at
    coin = getattr(entity, measure.currency) if measure.currency else literal(currency)
    known = as_of(site)
    until = (known or utcnow()).astimezone(ZoneInfo(zone)).date()
    rows: list[Row] = []
    left_out = {"no_customer": 0, "no_day": 0, "other_currency": 0, "to_come": 0}
    with warehouse(site) as connection, ScopedSession(connection, ACTOR, site.entities) as session:
        reader = Reader(site, ACTOR, session)
        statement = (
            select(customer, day, coin, func.sum(value), func.count())
            .where(*reader.conditions(entity, filter=measure.filter or None), value.is_not(None))
            .group_by(customer, day, coin)
        )
        for whose, on, code, amount, many in session.execute(statement):
            if whose is None:
                left_out["no_customer"] += many
            elif on is None:
                left_out["no_day"] += many
            elif code != currency:
                left_out["other_currency"] += many
            elif on > until:
                left_out["to_come"] += many
            else:
                rows.append((whose, on, amount))
    return purchases_from(rows, until, currency, left_out)


def said_of_left_out(left_out: Mapping[str, int]) -> list[tuple[str, int]]:
    """What was not counted as it came, in words, each with how many."""
    words = {
        "no_customer": _("Without a customer"), "no_day": _("Without a day"), "to_come": _("On a day to come"),
        "other_currency": _("In another currency"),
        RETURNED: _("Days on which as much came back as was bought, or more: taken off the purchases before"),
        UNMATCHED: _("Days on which something came back of which no purchase is known"),
    }  # fmt: skip
    return [(words[name], many) for name, many in left_out.items() if many and name in words]
