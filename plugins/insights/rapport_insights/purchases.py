"""Who bought on which day for how much: what segments, lifetime value and retention are worked out from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from typing import Any

from rapport import Invalid, JobContext
from rapport import gettext as _

Row = tuple[Any, dt.date, Decimal]
"""Customer, day, amount."""
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


def read_purchases(context: JobContext) -> Purchases:
    """The purchases of the site, by the setting `insights.purchases`. Invalid, in plain words, where there are none."""
    raise Invalid(_("Nothing on this site tells of purchases."))
