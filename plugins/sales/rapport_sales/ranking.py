"""Who sold how much, beside what they were to sell: the ranking of a month, a quarter or a year."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from rapport import Field, Reader, Report, User
from rapport_sales import results
from rapport_sales.quotas import people_targets, period_name, share
from rapport_sales.results import MEASURES, PERIODS, period_of

SHOWN = 6


@dataclass(frozen=True, slots=True)
class Rank:
    """One person's place."""

    rank: int
    person: str
    value: Decimal
    currency: str
    sales: int
    quota: Decimal | None
    attained: int | None
    user_id: UUID


def report() -> Report:
    """The ranking, with a picture."""
    return Report(
        "sales.ranking", "Ranking with quotas", needs="sales.opportunity.read", icon="trophy",
        help="What everybody sold in a period, by the measure you choose, beside their quota.",
        fields=[
            Field("measure", "Measure", "choice", choices=tuple(MEASURES), default="amount"),
            Field("period", "Period", "choice", choices=tuple(PERIODS), default="quarter"),
            Field("on", "Day in it", "date", help="Left empty: today."),
        ],
        columns=[
            Field("person", "Person", "text"),
            Field("rank", "Rank", "integer"),
            Field("value", "Result", "decimal"),
            Field("currency", "Currency", "text"),
            Field("sales", "Sales", "integer"),
            Field("quota", "Quota", "decimal"),
            Field("attained", "Attained in %", "integer"),
        ],
        rows=rows, template="sales/ranking_picture.html", order=20,
    )  # fmt: skip


def rows(reader: Reader, measure: str = "amount", period: str = "quarter", on: dt.date | None = None) -> Sequence[Rank]:
    """Everybody who sold something or has a quota, the best first, each currency by itself."""
    first, last = period_of(period, on or reader.today())
    sold = results.sales(reader, first, last)
    total, currency = results.measured(measure, sold)
    statement = select(sold.c.owner_id, currency, total, func.count(sold.c.id.distinct()))
    statement = results.limited(measure, statement, sold, reader).where(sold.c.owner_id.is_not(None))
    grouped = statement.group_by(sold.c.owner_id, *((sold.c.currency,) if measure in results.IN_MONEY else ()))
    made = {(row[0], row[1]): (Decimal(row[2] or 0), row[3]) for row in reader.session.execute(grouped)}
    targets = people_targets(reader, measure, period, first)
    names = reader.titles(User, [key[0] for key in (*made, *targets)])

    def place(key: tuple[UUID, str]) -> tuple[str, Decimal, str]:
        return key[1], -made.get(key, (Decimal(0), 0))[0], names.get(key[0], "")

    order = sorted({*made, *targets}, key=place)
    ranks: dict[str, int] = {}
    found = []
    for user_id, unit in order:
        ranks[unit] = ranks.get(unit, 0) + 1
        value, count = made.get((user_id, unit), (Decimal(0), 0))
        target = targets.get((user_id, unit))
        found.append(Rank(ranks[unit], names.get(user_id, ""), value, unit, count, target,
                          share(value, target) if target else None, user_id))  # fmt: skip
    return found


def panel_facts(reader: Reader) -> Mapping[str, Any]:
    """The ranking of this quarter by the measure of the site, for the first pages."""
    measure = str(reader.site.settings.get("sales.ranking_measure"))
    ranks = rows(reader, measure)
    label = next(choice.label for choice in MEASURES if choice.value == measure)
    first, _last = period_of("quarter", reader.today())
    return {"ranks": ranks[:SHOWN], "more": len(ranks) > SHOWN, "measure": measure, "label": label,
            "period": period_name("quarter", first), "me": reader.actor.id,
            "most": most_of(ranks)}  # fmt: skip


def most_of(ranks: Sequence[Rank]) -> dict[str, Decimal]:
    """The longest bar of each currency."""
    most: dict[str, Decimal] = {}
    for each in ranks:
        most[each.currency] = max(most.get(each.currency, Decimal(0)), each.value, each.quota or Decimal(0))
    return most
