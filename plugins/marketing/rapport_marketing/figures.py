"""The figures of campaigns: what they cost and brought, their return, and what is left of the annual budget.

Return on investment: ROI = (gross profit - cost) / cost, for the campaign and its time. Source: P. Farris and others,
"Marketing Metrics", 2nd edition, Wharton 2010, chapter 10 (return on marketing investment, with the contribution of the
sales instead of their revenue).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, distinct, func, or_, select

from rapport import Entity, Message, Reader, Site
from rapport_marketing import hookspecs
from rapport_marketing.campaigns import NO_INTEREST, Budget, Campaign, Cost, Response, Sale
from rapport_marketing.common import Amounts, add
from rapport_marketing.hookspecs import Sales

REACHED = ("sent", "delivered")
"""The states of a message that reached its customer, as far as one knows."""


def sources(site: Site) -> list[Sales]:
    """Where sales are kept: our own notes, and the orders of another module where there is one."""
    own = Sales(entity=Sale, customer_id=Sale.customer_id, campaign=Sale.campaign, on=Sale.on, currency=Sale.currency,
                revenue=Sale.revenue, profit=Sale.profit, where=(Sale.archived_at.is_(None),))  # fmt: skip
    orders = site.hooks.first(hookspecs.marketing_sales)
    return [own, orders] if orders is not None else [own]


def may_see(reader: Reader, source: Sales) -> bool:
    """Whether the reader may look into where sales are kept at all."""
    entity: type[Entity] = source.entity
    return reader.actor.may(entity.meta.permission("read"))


@dataclass(slots=True)
class Figures:
    """What became of a campaign. Amounts are by currency, and those of two currencies are never added up."""

    messages: int = 0
    """Put into the outbox."""
    reached: int = 0
    """Customers whom a message reached."""
    refused: int = 0
    responded: int = 0
    """Customers who answered with interest."""
    responses: int = 0
    bought: int = 0
    """Customers with a sale."""
    sales: int = 0
    cost: Amounts = field(default_factory=dict)
    revenue: Amounts = field(default_factory=dict)
    profit: Amounts = field(default_factory=dict)

    def roi(self, currency: str) -> Decimal | None:
        """(gross profit - cost) / cost; None where nothing was spent."""
        cost = self.cost.get(currency, Decimal(0))
        return (self.profit.get(currency, Decimal(0)) - cost) / cost if cost else None

    @property
    def currencies(self) -> list[str]:
        """Every currency of the figures, in order."""
        return sorted({*self.cost, *self.revenue, *self.profit})


def figures_of(reader: Reader, campaigns: Sequence[Campaign]) -> dict[UUID, Figures]:
    """The figures of many campaigns with a few queries, however many they are."""
    found = {each.id: Figures() for each in campaigns}
    by_code = {each.code: found[each.id] for each in campaigns}
    if not found:
        return found
    _count_messages(reader, by_code)
    _count_responses(reader, found)
    for campaign_id, currency, amount in reader.session.execute(
        select(Cost.campaign_id, Cost.currency, func.sum(Cost.amount))
        .where(Cost.campaign_id.in_(found), Cost.archived_at.is_(None))
        .group_by(Cost.campaign_id, Cost.currency)
    ):
        add(found[campaign_id].cost, currency, amount)
    for source in sources(reader.site):
        if may_see(reader, source):
            _count_sales(reader, source, by_code)
    return found


def _count_messages(reader: Reader, by_code: Mapping[str, Figures]) -> None:
    if not reader.actor.may("message.read"):
        return
    out = Message.state.in_(REACHED)
    statement = (
        select(Message.campaign, func.count(), func.count().filter(Message.state == "refused"),
               func.count(distinct(Message.customer_id)).filter(out))
        .where(Message.campaign.in_(by_code))
        .group_by(Message.campaign)
    )  # fmt: skip
    for code, messages, refused, reached in reader.session.execute(statement):
        figures = by_code[code]
        figures.messages, figures.refused, figures.reached = messages, refused, reached


def _count_responses(reader: Reader, found: Mapping[UUID, Figures]) -> None:
    statement = (
        select(Response.campaign_id, func.count(), func.count(distinct(Response.customer_id)))
        .where(Response.campaign_id.in_(found), Response.archived_at.is_(None), Response.kind.not_in(NO_INTEREST))
        .group_by(Response.campaign_id)
    )
    for campaign_id, responses, people in reader.session.execute(statement):
        found[campaign_id].responses, found[campaign_id].responded = responses, people


def _count_sales(reader: Reader, source: Sales, by_code: Mapping[str, Figures]) -> None:
    here = (source.campaign.in_(list(by_code)), *source.where)
    sums = (
        select(source.campaign, source.currency, func.count(), func.sum(source.revenue), func.sum(source.profit))
        .where(*here).group_by(source.campaign, source.currency)
    )  # fmt: skip
    for code, currency, sales, revenue, profit in reader.session.execute(sums):
        figures = by_code[code]
        figures.sales += sales
        add(figures.revenue, currency, revenue)
        add(figures.profit, currency, profit)
    buyers = select(source.campaign, func.count(distinct(source.customer_id))).where(*here).group_by(source.campaign)
    for code, people in reader.session.execute(buyers):
        by_code[code].bought += people


# The annual budget ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """What became of an annual budget so far."""

    planned: Decimal
    committed: Decimal
    """Approved for campaigns of the year, and not yet spent by them."""
    spent: Decimal
    """Paid for campaigns of the year."""
    asked: Decimal = Decimal(0)
    """Asked for and not yet decided."""

    @property
    def left(self) -> Decimal:
        """What may still be given to campaigns."""
        return self.planned - self.committed - self.spent


def budget_uses(reader: Reader, budgets: Iterable[Budget]) -> dict[UUID, BudgetUse]:
    """What is committed, spent and left of annual budgets, with two queries."""
    wanted = list(budgets)
    if not wanted:
        return {}
    years = or_(*(and_(Campaign.year == each.year, Campaign.currency == each.currency) for each in wanted))
    campaigns = reader.session.execute(
        select(Campaign.id, Campaign.year, Campaign.currency, Campaign.budget, Campaign.budget_state).where(
            years, Campaign.status != "cancelled", Campaign.archived_at.is_(None)
        )
    ).all()
    spent = _spent(reader, years)
    found = {}
    for budget in wanted:
        committed, asked = Decimal(0), Decimal(0)
        paid = sum((amount for (year, currency, _id), amount in spent.items()
                    if (year, currency) == (budget.year, budget.currency)), Decimal(0))  # fmt: skip
        for row in campaigns:
            if (row.year, row.currency) != (budget.year, budget.currency) or row.budget is None:
                continue
            if row.budget_state == "approved":
                committed += max(row.budget - spent.get((row.year, row.currency, row.id), Decimal(0)), Decimal(0))
            elif row.budget_state == "asked":
                asked += row.budget
        found[budget.id] = BudgetUse(budget.amount, committed, paid, asked)
    return found


def _spent(reader: Reader, years: ColumnElement[bool]) -> dict[tuple[str | None, str, UUID], Decimal]:
    """What campaigns cost so far, by budget year, currency and campaign; also those that were cancelled."""
    rows = reader.session.execute(
        select(Campaign.year, Cost.currency, Campaign.id, func.sum(Cost.amount))
        .join(Cost, Cost.campaign_id == Campaign.id)
        .where(years, Cost.currency == Campaign.currency, Cost.archived_at.is_(None))
        .group_by(Campaign.year, Cost.currency, Campaign.id)
    )
    return {(row[0], row[1], row[2]): row[3] or Decimal(0) for row in rows}


def budget_for(reader: Reader, campaign: Campaign) -> Budget | None:
    """The annual budget that pays for a campaign."""
    found = reader.all(
        Budget, Budget.year == (campaign.year or ""), Budget.currency == campaign.currency, Budget.archived_at.is_(None)
    )
    return found[0] if found else None


# Lists ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ListFigures:
    """What a list cost, and who of it answered."""

    members: int = 0
    responses: int = 0
    responded: int = 0
    bought: int = 0


def list_figures(reader: Reader, lists: Collection[UUID], since: dt.date | None = None) -> dict[UUID, ListFigures]:
    """How many are on lists, answered and bought, with a few queries. Who is on two lists counts for both."""
    from rapport_marketing.lists import ListMember

    found = {each: ListFigures() for each in lists}
    if not found:
        return found
    of_list = (ListMember.list_id.in_(found), ListMember.archived_at.is_(None))
    for list_id, people in reader.session.execute(
        select(ListMember.list_id, func.count()).where(*of_list).group_by(ListMember.list_id)
    ):
        found[list_id].members = people
    answered: list[ColumnElement[bool]] = [Response.kind.not_in(NO_INTEREST), Response.archived_at.is_(None)]
    if since is not None:
        answered.append(func.date(Response.at) >= since)
    statement = (
        select(ListMember.list_id, func.count(), func.count(distinct(Response.customer_id)))
        .join(Response, Response.customer_id == ListMember.customer_id)
        .where(*of_list, *answered, or_(Response.list_id.is_(None), Response.list_id == ListMember.list_id))
        .group_by(ListMember.list_id)
    )
    for list_id, responses, people in reader.session.execute(statement):
        found[list_id].responses, found[list_id].responded = responses, people
    for source in sources(reader.site):
        if may_see(reader, source):
            buyers = (
                select(ListMember.list_id, func.count(distinct(source.customer_id)))
                .join(source.entity, source.customer_id == ListMember.customer_id)
                .where(*of_list, source.campaign != "", *source.where)
                .group_by(ListMember.list_id)
            )
            for list_id, people in reader.session.execute(buyers):
                found[list_id].bought += people
    return found
