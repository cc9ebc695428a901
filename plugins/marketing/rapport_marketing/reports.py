"""The reports of marketing: what campaigns and lists cost and brought, and what is left of the budgets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement

from rapport import Field, Reader, Report
from rapport_marketing import attribution
from rapport_marketing.campaigns import STATUS, Budget, Campaign
from rapport_marketing.figures import budget_uses, figures_of, list_figures
from rapport_marketing.lists import CustomerList

MOST = 500


def reports() -> list[Report]:
    """Every report of marketing."""
    return [
        Report(
            "marketing.campaigns", "Campaigns and their return", needs="marketing.campaign.read", icon="speakerphone",
            help="Return on investment: (gross profit − cost) ÷ cost. Amounts of two currencies are never added up.",
            fields=[Field("since", "Begun since", "date", help="Left empty: all of them.")],
            columns=[
                Field("name", "Campaign", "text"),
                Field("status", "Status", "choice", choices=tuple(STATUS)),
                Field("reached", "Reached", "integer"),
                Field("responded", "Answered", "integer"),
                Field("bought", "Bought", "integer"),
                Field("cost", "Cost", "money", currency="currency"),
                Field("revenue", "Revenue", "money", currency="currency"),
                Field("profit", "Gross profit", "money", currency="currency"),
                Field("roi", "Return in %", "decimal"),
                Field("currency", "Currency", "text"),
            ],
            rows=campaigns,
        ),
        Report(
            "marketing.lists", "Lists and their answers", needs="marketing.list.read", icon="list-check",
            help="What an answer cost: the cost of the list by the people on it who answered a campaign.",
            columns=[
                Field("name", "List", "text"),
                Field("source", "Source", "text"),
                Field("members", "Customers", "integer"),
                Field("responded", "Answered", "integer"),
                Field("bought", "Bought", "integer"),
                Field("cost", "Cost", "money", currency="currency"),
                Field("per_response", "Cost per answer", "money", currency="currency"),
                Field("currency", "Currency", "text"),
            ],
            rows=lists,
        ),
        Report(
            "marketing.budgets", "Annual budgets", needs="marketing.budget.read", icon="pig-money",
            help="Left is what was planned, less what is approved for campaigns of the year, less what they spent.",
            columns=[
                Field("year", "Year", "text"),
                Field("planned", "Planned", "money", currency="currency"),
                Field("asked", "Asked for", "money", currency="currency"),
                Field("committed", "Committed", "money", currency="currency"),
                Field("spent", "Spent", "money", currency="currency"),
                Field("left", "Left", "money", currency="currency"),
                Field("currency", "Currency", "text"),
            ],
            rows=budgets,
        ),
        attribution.report(),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign in one currency."""

    name: str
    status: str
    reached: int
    responded: int
    bought: int
    cost: Decimal
    revenue: Decimal
    profit: Decimal
    roi: Decimal | None
    currency: str


def campaigns(reader: Reader, since: dt.date | None) -> Sequence[CampaignRow]:
    """A line for each campaign and currency, the newest first."""
    where: list[ColumnElement[bool]] = [Campaign.archived_at.is_(None)]
    if since is not None:
        where.append(Campaign.planned_from >= since)
    found = reader.all(Campaign, *where, order=(Campaign.planned_from.desc(), Campaign.id), limit=MOST)
    figures = figures_of(reader, found)
    rows = []
    for campaign in found:
        these = figures[campaign.id]
        for currency in these.currencies or [campaign.currency]:
            roi = these.roi(currency)
            rows.append(
                CampaignRow(
                    campaign.name, campaign.status, these.reached, these.responded, these.bought,
                    these.cost.get(currency, Decimal(0)), these.revenue.get(currency, Decimal(0)),
                    these.profit.get(currency, Decimal(0)), round(roi * 100, 1) if roi is not None else None, currency,
                )
            )  # fmt: skip
    return rows


@dataclass(frozen=True, slots=True)
class ListRow:
    """A list and what became of it."""

    name: str
    source: str
    members: int
    responded: int
    bought: int
    cost: Decimal | None
    per_response: Decimal | None
    currency: str


def lists(reader: Reader) -> Sequence[ListRow]:
    """A line for each list, the newest first."""
    found = reader.all(CustomerList, CustomerList.archived_at.is_(None), order=CustomerList.id.desc(), limit=MOST)
    figures = list_figures(reader, [each.id for each in found])
    rows = []
    for each in found:
        these = figures[each.id]
        each_cost = each.cost / these.responded if each.cost is not None and these.responded else None
        rows.append(
            ListRow(each.name, each.source, these.members, these.responded, these.bought, each.cost,
                    round(each_cost, 2) if each_cost is not None else None, each.currency)
        )  # fmt: skip
    return rows


def budgets(reader: Reader) -> Sequence[Any]:
    """A line for each annual budget, the newest year first."""
    found = reader.all(Budget, Budget.archived_at.is_(None), order=(Budget.year.desc(), Budget.currency), limit=MOST)
    uses = budget_uses(reader, found)
    return [
        BudgetRow(each.year, uses[each.id].planned, uses[each.id].asked, uses[each.id].committed, uses[each.id].spent,
                  uses[each.id].left, each.currency)
        for each in found
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """An annual budget and what became of it."""

    year: str
    planned: Decimal
    asked: Decimal
    committed: Decimal
    spent: Decimal
    left: Decimal
    currency: str
