"""What customers bring, from the tenth that brings most to the tenth that brings least, and what is decided on each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Mapped

from rapport import Choice, Customer, Extension, Invalid, JobContext, Problem, Reader, batched, field
from rapport import gettext as _
from rapport_strategy import hookspecs
from rapport_strategy.common import formats_of
from rapport_strategy.hookspecs import Worth
from rapport_strategy.measuring import column_of_currency

JOB = "strategy.decide"
TENTHS = 10
DECISIONS = [
    Choice("invest", "Invest", "green"),
    Choice("manage", "Manage cost", "azure"),
    Choice("divest", "Divest", "orange"),
]
BRINGS = ("sales.gross_profit", "marketing.profit", "sales.order_amount", "sales.won_amount")
"""Measures of what customers bring, the best first: where the settings name none, the first that the site has."""
ASKED_AT_ONCE = 2000
"""Customers in one question to the warehouse."""


class Tenth(Extension, of="customer", name="strategy.tenth", title="What they bring"):
    """Which tenth of the customers somebody is in by their profit, and what is decided. The job writes it."""

    tenth: Mapped[int | None] = field(label="Tenth", readonly=True, help="1 brings most, 10 least.")
    profit: Mapped[Decimal | None] = field(label="Profit by measures", readonly=True)
    decision: Mapped[str | None] = field(label="Decision by tenth", choices=DECISIONS, readonly=True)
    decided_on: Mapped[dt.date | None] = field(label="Put there on", readonly=True)


def tenths(profits: Mapping[UUID, Decimal]) -> dict[UUID, int]:
    """Put customers into ten groups of as equal a size as can be, those with most profit first."""
    order = sorted(profits, key=lambda each: (-profits[each], each))
    return {each: place * TENTHS // len(order) + 1 for place, each in enumerate(order)}


def decision_for(tenth: int, profit: Decimal, invest: int) -> str:
    """Invest in the first tenths, part with whom one loses by, keep down the cost of the others."""
    if profit < 0:
        return "divest"
    return "invest" if tenth <= invest and profit > 0 else "manage"


def source_of(reader: Reader) -> Worth | None:
    """Where another module keeps what customers bring, if one does."""
    return reader.site.hooks.first(hookspecs.strategy_worth)


def decide_all(context: JobContext) -> str:
    """Put every customer of whom something is known into their tenth. What did not change is not written."""
    site = context.site
    with site.read(context.actor) as reader:
        source = source_of(reader)
        profits = kept_by(reader, source) if source is not None else measured(reader)
        today = reader.today()
    places = tenths(profits)
    invest = int(site.settings.get("strategy.invest_tenths") or 2)
    looked = changed = 0
    for ids in batched([*profits, *_forgotten(context, profits)]):
        with site.write(context.actor) as unit:
            rows = {each.of_id: each for each in unit.session.scalars(select(Tenth).where(Tenth.of_id.in_(ids)))}
            for customer_id in ids:
                tenth, profit = places.get(customer_id), profits.get(customer_id)
                decision = None
                if source is None and tenth is not None and profit is not None:
                    decision = decision_for(tenth, profit, invest)
                facts = {"tenth": tenth, "profit": None if source is not None else profit, "decision": decision}
                row = rows.get(customer_id)
                if row is not None and all(getattr(row, name) == value for name, value in facts.items()):
                    continue
                changed += 1
                row = row or Tenth(of_id=customer_id)
                for name, value in {**facts, "decided_on": today}.items():
                    setattr(row, name, value)
                unit.session.add(row)
        looked += len(ids)
        context.progress(min(looked, len(profits)), len(profits))
    return _("%(num)s customers were looked at, %(changed)s changed.", num=len(profits), changed=changed)


def _forgotten(context: JobContext, profits: Mapping[UUID, Decimal]) -> list[UUID]:
    """Customers who are in a tenth, and of whom nothing is known any more."""
    with context.site.read(context.actor) as reader:
        placed = reader.session.scalars(select(Tenth.of_id).where(Tenth.tenth.is_not(None)))
        return [each for each in placed if each not in profits]


def kept_by(reader: Reader, source: Worth) -> dict[UUID, Decimal]:
    """Profits as another module keeps them."""
    rows = reader.session.execute(
        select(source.customer_id, source.profit).select_from(source.entity)
        .join(Customer, Customer.id == source.customer_id)
        .where(source.profit.is_not(None), Customer.archived_at.is_(None))
    )  # fmt: skip
    return {row[0]: row[1] for row in rows}


def measures_of(reader: Reader) -> tuple[list[str], list[str]]:
    """The measures that count for and against: those the settings name, else those there are."""
    site = reader.site
    words = str(site.settings.get("strategy.profit_measures") or "").replace(",", " ").split()
    if words:
        unknown = [word for word in words if word.lstrip("-") not in site.measures]
        if unknown:
            raise Invalid(Problem(None, _("The setting “Measures of profit” names '%(name)s', which is no measure of "
                                          "this site.", name=unknown[0])))  # fmt: skip
        return [word for word in words if word[0] != "-"], [word[1:] for word in words if word[0] == "-"]
    best = next((name for name in BRINGS if name in site.measures), None)
    return ([best] if best is not None else []), []


def measured(reader: Reader) -> dict[UUID, Decimal]:
    """Profits by the measures, of the last months, in the currency of the business, for every customer with any."""
    plus, minus = measures_of(reader)
    if not plus:
        return {}
    from rapport_warehouse import NotFilled, Question, answer

    months = int(reader.site.settings.get("strategy.profit_months") or 12)
    today, currency = reader.today(), str(reader.site.settings.get("core.currency"))
    since = today - dt.timedelta(days=round(months * 30.4375))
    found: dict[UUID, Decimal] = {}
    living = select(Customer.id).where(Customer.archived_at.is_(None)).order_by(Customer.id)
    live = [str(each) for each in reader.session.scalars(living)]
    for name, sign in [*((each, 1) for each in plus), *((each, -1) for each in minus)]:
        for keys in batched(live, ASKED_AT_ONCE):
            try:
                said = answer(reader, Question(measures=(name,), rows=("core.customer",), since=since, until=today,
                                               where={"core.customer": keys}))  # fmt: skip
            except NotFilled:
                return {}
            column = column_of_currency(said, currency)
            for row, heading in enumerate(said.rows):
                value = said.cell(row, column, name).value
                if value is not None:
                    key = UUID(heading[0].key)
                    found[key] = found.get(key, Decimal(0)) + sign * Decimal(str(value))
    return found


# On pages ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A tenth of the customers."""

    tenth: int
    customers: int
    profit: Decimal
    decisions: Mapping[str, int]


def by_tenth(reader: Reader) -> list[Row]:
    """The tenths with what they bring and what is decided: of the customers that somebody may see."""
    source = source_of(reader)
    profit: Any = Tenth.profit if source is None else source.profit
    decision: Any = Tenth.decision if source is None else source.decision
    statement = (
        select(Tenth.tenth, decision, func.count(), func.sum(profit))
        .join(Customer, Customer.id == Tenth.of_id)
        .where(Tenth.tenth.is_not(None), Customer.archived_at.is_(None))
        .group_by(Tenth.tenth, decision)
    )
    if source is not None:
        statement = statement.join(source.entity, source.customer_id == Tenth.of_id)
    found: dict[int, tuple[int, Decimal, dict[str, int]]] = {}
    for tenth, decided, customers, summed in reader.session.execute(statement):
        if tenth is None:
            continue
        before = found.get(tenth, (0, Decimal(0), {}))
        decisions = {**before[2], **({decided: customers} if decided else {})}
        found[tenth] = (before[0] + customers, before[1] + (summed or Decimal(0)), decisions)
    return [Row(tenth, *found[tenth]) for tenth in sorted(found)]


def facts(reader: Reader) -> Mapping[str, Any]:
    """The tenths, the picture of how much comes from how few, and where the decisions are made."""
    rows, formats = by_tenth(reader), formats_of(reader)
    currency = str(reader.site.settings.get("core.currency"))
    gains = sum((row.profit for row in rows), Decimal(0))
    running, shares = Decimal(0), []
    for row in rows:
        running += row.profit
        shares.append(round(float(running / gains), 4) if gains > 0 else 0.0)
    labels = [_("%(num)s. tenth", num=formats.number(row.tenth)) for row in rows]
    source = source_of(reader)
    return {
        "rows": rows, "currency": currency, "sum": gains, "decisions": DECISIONS,
        "decided_by": source.decided_by if source is not None else "",
        "chart": {
            "type": "bar", "title": _("Profit by tenth of the customers"), "x": labels, "unit": "money",
            "currency": currency, "series": [{"name": _("Profit"), "data": [float(row.profit) for row in rows]}],
        },
        "curve": {
            "type": "line", "title": _("How much comes from how few"), "unit": "percent",
            "x": [formats.percent(number / 10) for number in range(len(rows) + 1)],
            "series": [
                {"name": _("Of the profit"), "data": [0.0, *shares]},
                {"name": _("If all brought the same"), "data": [round(n / max(len(rows), 1), 4)
                                                               for n in range(len(rows) + 1)]},
            ],
        },
        "table": {
            "columns": [_("Tenth"), _("Customers"), _("Profit"), _("Share so far")],
            "rows": [[label, formats.number(row.customers), formats.money(row.profit, currency), formats.percent(part)]
                     for label, row, part in zip(labels, rows, shares, strict=True)],
        },
    }  # fmt: skip
