"""The figures of marketing that can be asked for by any dimension: whom campaigns reach, what comes of it, its cost."""

from __future__ import annotations

from rapport import Dimension, Measure
from rapport_marketing.campaigns import NO_INTEREST
from rapport_marketing.figures import REACHED


def _one_of(values: tuple[str, ...]) -> str:
    return "(" + ", ".join(f'"{value}"' for value in values) + ")"


TOUCHED = f"campaign is not empty and state in {_one_of(REACHED)}"
INTERESTED = f"not kind in {_one_of(NO_INTEREST)}"


def measures() -> list[Measure]:
    """Every figure of marketing."""
    response, sale = "marketing.response", "marketing.sale"
    return [
        Measure("marketing.touches", "Messages of campaigns", of="message", at="sent_at", filter=TOUCHED),
        Measure("marketing.people_touched", "Customers reached by campaigns", of="message", how="distinct",
                value="customer_id", at="sent_at", filter=TOUCHED),
        Measure("marketing.responses", "Responses", of=response, at="at", filter=INTERESTED,
                help="Without complaints and those who said that they are not interested."),
        Measure("marketing.responded", "Customers who responded", of=response, how="distinct", value="customer_id",
                at="at", filter=INTERESTED),
        Measure("marketing.no_interest", "Complaints and no interest", of=response, at="at",
                filter=f"kind in {_one_of(NO_INTEREST)}", better="down"),
        Measure("marketing.response_value", "Value of responses", of=response, how="sum", value="value", at="at",
                filter=INTERESTED, kind="money", currency="currency"),
        Measure("marketing.response_rate", "Responses for each message",
                over=("marketing.responses", "marketing.touches"), kind="percent"),
        Measure("marketing.costs", "Cost of campaigns", of="marketing.cost", how="sum", value="amount", at="on",
                kind="money", currency="currency", better="down"),
        Measure("marketing.cost_per_response", "Cost of a response",
                over=("marketing.costs", "marketing.responses"), kind="money", better="down"),
        Measure("marketing.revenue", "Revenue of campaigns", of=sale, how="sum", value="revenue", at="on",
                kind="money", currency="currency", help="As it was noted by hand at the campaign."),
        Measure("marketing.profit", "Profit of campaigns", of=sale, how="sum", value="profit", at="on", kind="money",
                currency="currency", help="As it was noted by hand at the campaign."),
        Measure("marketing.revenue_for_cost", "Revenue for each unit of cost",
                over=("marketing.revenue", "marketing.costs"), kind="decimal"),
        Measure("marketing.budget", "Budget of campaigns", of="marketing.campaign", how="sum", value="budget",
                at="planned_from", kind="money", currency="currency", help="By the day they begin."),
        Measure("marketing.submissions", "Web forms filled in", of="marketing.submission", at="at"),
    ]  # fmt: skip


def dimensions() -> list[Dimension]:
    """What is told apart in marketing."""
    return [
        Dimension("marketing.campaign", "Campaign", of="marketing.campaign", value="id"),
        Dimension("marketing.campaign_status", "Status of the campaign", of="marketing.campaign", value="status"),
        Dimension("marketing.touch_campaign", "Campaign of the message", of="message", value="campaign"),
        Dimension("marketing.response_kind", "Kind of response", of="marketing.response", value="kind"),
        Dimension("marketing.list", "List", of="marketing.list", value="id"),
        Dimension("marketing.cost_kind", "Kind of cost", of="marketing.cost", value="kind"),
        Dimension("marketing.form", "Web form", of="marketing.form", value="id"),
    ]
