"""Who bought on which day for how much: what segments, lifetime value and retention are worked out from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rapport import Invalid, JobContext
from rapport import gettext as _

Row = tuple[Any, dt.date, Decimal]
"""Customer, day, amount."""


@dataclass(frozen=True, slots=True)
class Purchases:
    """Purchases, those of one customer on one day as one, in the order of customer and day."""

    rows: tuple[Row, ...]
    until: dt.date
    """The last day that is known of, with or without a purchase."""
    currency: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What was not counted, by reason: how many rows."""

    def up_to(self, day: dt.date) -> Purchases:
        """Those up to a day, as if that were the last one known of."""
        return Purchases(tuple(row for row in self.rows if row[1] <= day), day, self.currency)


def purchases_from(
    rows: Iterable[Row], until: dt.date | None = None, currency: str = "", left_out: Mapping[str, int] | None = None
) -> Purchases:
    """Purchases from rows of customer, day and amount, in any order; those of one customer on one day are one."""
    days: dict[tuple[Any, dt.date], Decimal] = {}
    for customer, day, amount in rows:
        days[customer, day] = days.get((customer, day), Decimal(0)) + amount
    merged = tuple((customer, day, days[customer, day]) for customer, day in sorted(days))
    last = until or max((row[1] for row in merged), default=dt.date.min)
    return Purchases(merged, last, currency, dict(left_out or {}))


def read_purchases(context: JobContext) -> Purchases:
    """The purchases of the site, by the setting `insights.purchases`. Invalid, in plain words, where there are none."""
    raise Invalid(_("Nothing on this site tells of purchases."))
