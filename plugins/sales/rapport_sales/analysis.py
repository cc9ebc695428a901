"""Why deals are won and lost, and what is left of what was sold: by reason, competitor, person, source and more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rapport_products import Product
from sqlalchemy import case, func, select

from rapport import Choice, Customer, Field, Reader, Report, Stage, User
from rapport import gettext as _
from rapport_sales.entities import REASONS, Line, Opportunity
from rapport_sales.results import cost_of_line, is_won

DAYS = 90
CLOSED_BY = [
    Choice("reason", "Reason"),
    Choice("competitor", "Competitor"),
    Choice("person", "Person"),
    Choice("source", "Source"),
    Choice("campaign", "Campaign"),
]
MARGIN_BY = [
    Choice("product", "Product"),
    Choice("person", "Person"),
    Choice("customer", "Customer"),
    Choice("source", "Source"),
    Choice("campaign", "Campaign"),
]
SINCE = [
    Field("since", "Since", "date", help="Left empty: the last 90 days."),
    Field("until", "Until", "date", help="Left empty: today."),
]


def reports() -> list[Report]:
    """Wins and losses, and margins."""
    return [
        Report(
            "sales.win_loss", "Wins and losses", needs="sales.opportunity.read", icon="scale",
            help="Closed opportunities, by what decided them, who had them or where they came from.",
            fields=[Field("by", "Grouped by", "choice", choices=tuple(CLOSED_BY), default="reason"), *SINCE],
            columns=[
                Field("what", "Group", "text"),
                Field("won", "Won", "integer"),
                Field("lost", "Lost", "integer"),
                Field("rate", "Success rate in %", "integer"),
                Field("won_amount", "Amount won", "money", currency="currency"),
                Field("lost_amount", "Amount lost", "money", currency="currency"),
                Field("currency", "Currency", "text"),
            ],
            rows=win_loss, template="sales/win_loss_picture.html", order=30,
        ),
        Report(
            "sales.margins", "Margins of deals won", needs="sales.opportunity.read", icon="report-money",
            help="What was sold, what it cost, and what is left. What nobody knows the cost of stands by itself.",
            fields=[Field("by", "Grouped by", "choice", choices=tuple(MARGIN_BY), default="product"), *SINCE],
            columns=[
                Field("what", "Group", "text"),
                Field("units", "Units", "decimal"),
                Field("revenue", "Sold", "money", currency="currency"),
                Field("cost", "Cost", "money", currency="currency"),
                Field("margin", "Margin", "money", currency="currency"),
                Field("rate", "Margin in %", "integer"),
                Field("unknown", "Sold without known cost", "money", currency="currency"),
                Field("currency", "Currency", "text"),
            ],
            rows=margins, template="sales/margins_picture.html", order=40,
        ),
    ]  # fmt: skip


def win_loss(
    reader: Reader, by: str = "reason", since: dt.date | None = None, until: dt.date | None = None
) -> Sequence[WinLoss]:
    """Won and lost between two days, one line for each group and currency, the most frequent first of each."""
    key: Any = Opportunity.owner_id if by == "person" else getattr(Opportunity, by)
    won, lost = Stage.kind == "won", Stage.kind == "lost"
    amount = func.coalesce(Opportunity.amount, 0)
    statement = (
        select(key, Opportunity.currency, func.sum(case((won, 1), else_=0)), func.sum(case((lost, 1), else_=0)),
               func.sum(case((won, amount), else_=0)), func.sum(case((lost, amount), else_=0)))
        .join(Stage, Stage.id == Opportunity.stage_id)
        .where(Stage.kind != "open", Opportunity.closed_on.between(*_days(reader, since, until)),
               Opportunity.archived_at.is_(None))
        .group_by(key, Opportunity.currency)
    )  # fmt: skip
    found = reader.session.execute(statement).all()
    say = _said(reader, by, [row[0] for row in found])
    lines = [
        WinLoss(say(row[0]), row[2], row[3], round(100 * row[2] / (row[2] + row[3])), row[4], row[5], row[1])
        for row in found
    ]
    return sorted(lines, key=lambda each: (each.currency, -each.won - each.lost, each.what))


@dataclass(frozen=True, slots=True)
class WinLoss:
    """How often deals of one group were won and lost."""

    what: str
    won: int
    lost: int
    rate: int
    won_amount: Decimal
    lost_amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Margin:
    """What is left of what was sold: margin = sold with known cost - cost; its share is of what was sold with it."""

    what: str
    units: Decimal
    revenue: Decimal
    cost: Decimal
    margin: Decimal
    rate: int | None
    unknown: Decimal
    currency: str


def margins(
    reader: Reader, by: str = "product", since: dt.date | None = None, until: dt.date | None = None
) -> Sequence[Margin]:
    """Lines of what was won between two days, one line for each group and currency, the largest margin first."""
    columns: dict[str, Any] = {
        "product": Line.product_id, "person": Opportunity.owner_id, "customer": Opportunity.customer_id,
        "source": Opportunity.source, "campaign": Opportunity.campaign,
    }  # fmt: skip
    key, cost = columns[by], cost_of_line()
    unknown = func.coalesce(func.sum(case((cost.is_(None), Line.total))), 0)
    statement = (
        select(
            key, Line.currency, func.sum(Line.quantity), func.sum(Line.total), func.coalesce(func.sum(cost), 0), unknown
        )
        .join(Opportunity, Opportunity.id == Line.opportunity_id)
        .outerjoin(Product, Product.id == Line.product_id)
        .where(is_won(), Opportunity.closed_on.between(*_days(reader, since, until)))
        .group_by(key, Line.currency)
    )
    found = reader.session.execute(statement).all()
    say = _said(reader, by, [row[0] for row in found])
    lines = []
    for group, currency, units, revenue, spent, blind in found:
        known = revenue - blind
        rate = round(100 * (known - spent) / known) if known else None
        lines.append(Margin(say(group), units, revenue, spent, known - spent, rate, blind, currency))
    return sorted(lines, key=lambda each: (each.currency, -each.margin, each.what))


def _days(reader: Reader, since: dt.date | None, until: dt.date | None) -> tuple[dt.date, dt.date]:
    return since or reader.today() - dt.timedelta(days=DAYS), until or reader.today()


def _said(reader: Reader, by: str, groups: Sequence[Any]) -> Callable[[Any], str]:
    """What a group is called."""
    entity: Any = {"person": User, "customer": Customer, "product": Product}.get(by)
    if entity is not None:
        names = reader.titles(entity, groups)
        return lambda group: names.get(group, _("Nobody") if by == "person" else _("Without a product"))
    labels = {choice.value: choice.label for choice in REASONS} if by == "reason" else {}
    return lambda group: _(labels[group]) if group in labels else group or _("Not said")
