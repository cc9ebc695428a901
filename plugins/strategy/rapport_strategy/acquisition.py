"""By which way customers come, what each way costs for one of them, and how many of them stay."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Mapped, Session

from rapport import Customer, Entity, Interaction, Problem, Reader, field, known_currency, not_negative
from rapport import gettext as _
from rapport_strategy import hookspecs
from rapport_strategy.common import DECIDED, formats_of, tidy_currency
from rapport_strategy.hookspecs import Acquired, Bought

YEAR = 365
MOST = 200
SHOWN = 8


class Spending(
    Entity, name="strategy.spending", title="Cost of winning customers", plural="Costs of winning customers",
    icon="cash", roles=DECIDED, display="source",
):  # fmt: skip
    """What was spent in a time for a source of customers, such as a fair or advertisements."""

    source: Mapped[str] = field(
        label="Source", in_list=True, searchable=True, help="As it stands in the customers’ field of that name."
    )
    from_on: Mapped[dt.date] = field(label="From", in_list=True)
    until_on: Mapped[dt.date] = field(label="Until", in_list=True)
    amount: Mapped[Decimal] = field(label="Amount", in_list=True)
    currency: Mapped[str] = field(
        label="Currency", default="", max_length=3, in_list=True,
        help="The ISO 4217 code. Left empty: that of the business.",
    )  # fmt: skip
    note: Mapped[str] = field(label="Note", default="")

    def complete(self, session: Session) -> None:
        """Amounts are in some currency."""
        self.currency = tidy_currency(session, self.currency)

    def validate(self) -> Sequence[Problem]:
        """A time that ends after it begins, and an amount."""
        problems = known_currency(self.currency)
        if self.from_on is not None and self.until_on is not None and self.until_on < self.from_on:
            problems.append(Problem("until_on", _("is before the beginning.")))
        return [*problems, *not_negative("amount", self.amount)]


@dataclass(frozen=True, slots=True)
class Way:
    """One way customers come by."""

    kind: str
    """source or campaign."""
    name: str
    customers: int
    cost: Decimal | None
    """In the currency of the business; None where nothing is known."""
    before: int = 0
    """How many came by it in the year before the last twelve months: those of whom one can say whether they stayed."""
    stayed: int = 0

    @property
    def each(self) -> Decimal | None:
        """What one customer cost."""
        return self.cost / self.customers if self.cost is not None and self.customers else None

    @property
    def retention(self) -> float | None:
        """The share of those who came before and were there again in the last twelve months."""
        return self.stayed / self.before if self.before else None

    @property
    def lost(self) -> int:
        """Those who came before and were not heard of in the last twelve months."""
        return self.before - self.stayed


@dataclass(frozen=True, slots=True)
class Ways:
    """All ways, with the whole."""

    since: dt.date
    until: dt.date
    sources: Sequence[Way]
    campaigns: Sequence[Way]

    @property
    def all(self) -> Way:
        """All sources together."""
        costs = [way.cost for way in (*self.sources, *self.campaigns) if way.cost is not None]
        return Way(
            "source", "", sum(way.customers for way in self.sources), sum(costs, Decimal(0)) if costs else None,
            sum(way.before for way in self.sources), sum(way.stayed for way in self.sources),
        )  # fmt: skip


def ways(reader: Reader, since: dt.date, until: dt.date) -> Ways:
    """By source and by campaign: who came in a time, what it cost, and who of the year before stayed."""
    currency = str(reader.site.settings.get("core.currency"))
    costs: list[Acquired] = [
        *_spent(reader, since, until, currency),
        *reader.site.hooks.collect(hookspecs.ask_strategy_costs, reader=reader, since=since, until=until),
    ]
    spent: dict[tuple[str, str], Decimal] = {}
    known: dict[str, int] = {}
    for each in costs:
        if each.currency == currency:
            key = (each.kind, each.channel)
            spent[key] = spent.get(key, Decimal(0)) + each.amount
        if each.kind == "campaign" and each.customers is not None:
            known[each.channel] = max(known.get(each.channel, 0), each.customers)
    came = _came(reader, since, until)
    stayed = _stayed(reader, until)
    names = {*came, *stayed, *(name for kind, name in spent if kind == "source")}
    sources = [
        Way("source", name, came.get(name, 0), spent.get(("source", name)), *stayed.get(name, (0, 0)))
        for name in names
    ]  # fmt: skip
    campaigns = [Way("campaign", name, known.get(name, 0), spent.get(("campaign", name)))
                 for name in {*known, *(name for kind, name in spent if kind == "campaign")}]  # fmt: skip
    return Ways(since, until, _sorted(sources), _sorted(campaigns))


def _sorted(found: Sequence[Way]) -> list[Way]:
    return sorted(found, key=lambda way: (-way.customers, -way.before, way.name))[:MOST]


def _spent(reader: Reader, since: dt.date, until: dt.date, currency: str) -> list[Acquired]:
    """What was noted by hand, as much of it as falls into the time, day by day."""
    here = (Spending.from_on <= until, Spending.until_on >= since, Spending.archived_at.is_(None))
    found = []
    for each in reader.all(Spending, *here, limit=5000):
        days = (each.until_on - each.from_on).days + 1
        inside = (min(each.until_on, until) - max(each.from_on, since)).days + 1
        found.append(Acquired(each.source, "source", each.amount * inside / days, each.currency))
    return found


def _came(reader: Reader, since: dt.date, until: dt.date) -> dict[str, int]:
    rows = reader.session.execute(
        select(Customer.source, func.count())
        .where(*_made(since, until)).group_by(Customer.source)
    )  # fmt: skip
    return {row[0] or "": row[1] for row in rows}


def _made(since: dt.date, until: dt.date) -> tuple[Any, ...]:
    begin = dt.datetime.combine(since, dt.time(), dt.UTC)
    end = dt.datetime.combine(until + dt.timedelta(days=1), dt.time(), dt.UTC)
    return (Customer.archived_at.is_(None), Customer.created_at >= begin, Customer.created_at < end)


def came_back(reader: Reader) -> Bought:
    """What tells that a customer is still one: a purchase where a module keeps those, else being in touch."""
    found: Bought | None = reader.site.hooks.first(hookspecs.strategy_came_back)
    if found is not None and reader.actor.may(found.entity.meta.permission("read")):
        return found
    return Bought(Interaction, Interaction.customer_id, Interaction.at, (Interaction.archived_at.is_(None),))


def _stayed(reader: Reader, until: dt.date) -> dict[str, tuple[int, int]]:
    """Of those who came in the year before the last twelve months: how many, and how many were there again since."""
    middle = until - dt.timedelta(days=YEAR)
    again = came_back(reader)
    since: Any = dt.datetime.combine(middle, dt.time(), dt.UTC)
    if again.at.type.python_type is dt.date:
        since = middle
    there = exists(
        select(again.entity.id).where(again.customer_id == Customer.id, again.at >= since, *again.where)
        .correlate(Customer)
    )  # fmt: skip
    rows = reader.session.execute(
        select(Customer.source, func.count(), func.count().filter(there))
        .where(*_made(middle - dt.timedelta(days=YEAR), middle - dt.timedelta(days=1)))
        .group_by(Customer.source)
    )
    return {row[0] or "": (row[1], row[2]) for row in rows}


def facts(reader: Reader, days: int = YEAR) -> Mapping[str, Any]:
    """The ways of the last days, with the pictures."""
    until = reader.today()
    found = ways(reader, until - dt.timedelta(days=days - 1), until)
    formats, currency = formats_of(reader), str(reader.site.settings.get("core.currency"))
    priced = [way for way in (*found.sources, *found.campaigns) if way.each is not None][:20]
    judged = [way for way in found.sources if way.retention is not None][:20]

    def name(way: Way) -> str:
        return way.name or _("Not said")

    return {
        "ways": found, "currency": currency, "days": days, "bought": came_back(reader).entity is not Interaction,
        "cost_chart": {
            "type": "bar", "horizontal": "auto", "title": _("Cost of one new customer"),
            "x": [name(way) for way in priced], "unit": "money",
            "currency": currency,
            "series": [{"name": _("Cost of one new customer"), "data": [float(way.each or 0) for way in priced]}],
        } if priced else None,
        "cost_table": {
            "columns": [_("Way"), _("Cost of one new customer")],
            "rows": [[name(way), formats.money(way.each or Decimal(0), currency)] for way in priced],
        },
        "stay_chart": {
            "type": "bar", "horizontal": "auto", "title": _("Customers who stayed"),
            "x": [name(way) for way in judged], "unit": "percent",
            "series": [{"name": _("Stayed"), "data": [round(way.retention or 0, 4) for way in judged]}],
        } if judged else None,
        "stay_table": {
            "columns": [_("Way"), _("Came the year before"), _("Stayed")],
            "rows": [[name(way), formats.number(way.before), formats.percent(way.retention or 0)] for way in judged],
        },
    }  # fmt: skip


def panel_facts(reader: Reader) -> Mapping[str, Any]:
    """The ways most customers came by in the last twelve months, with what one cost, as a card of a dashboard."""
    until = reader.today()
    found = ways(reader, until - dt.timedelta(days=YEAR - 1), until)
    shown = [way for way in (*found.sources, *found.campaigns) if way.customers or way.cost is not None]
    return {"ways": sorted(shown, key=lambda way: -way.customers)[:SHOWN], "whole": found.all,
            "currency": str(reader.site.settings.get("core.currency"))}  # fmt: skip
