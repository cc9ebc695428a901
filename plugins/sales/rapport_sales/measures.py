"""The figures of sales that can be asked for by any dimension: leads, opportunities, quotes, orders and their lines."""

from __future__ import annotations

from typing import Any

from sqlalchemy import type_coerce

from rapport import Dimension, Measure, days_between

DEAL, QUOTE, ORDER, LINE = "sales.opportunity", "sales.quote", "sales.order", "sales.order_line"
WON, LOST, CLOSED, OPEN = (
    'stage.kind = "won"',
    'stage.kind = "lost"',
    'stage.kind != "open"',
    'stage.kind = "open"',
)
SOLD = 'status in ("placed", "fulfilled")'
LINE_SOLD = 'order.status in ("placed", "fulfilled")'
ACCEPTED = 'status = "accepted"'
SENT = "sent_at is not empty"


def measures() -> list[Measure]:
    """Every figure of sales."""
    return [*_of_leads(), *_of_opportunities(), *_of_quotes(), *_of_orders()]


def _of_leads() -> list[Measure]:
    lead = "sales.lead"
    converted = 'status = "converted"'
    return [
        Measure("sales.leads", "Leads", of=lead, help="By the day they came."),
        Measure("sales.leads_converted", "Leads converted", of=lead, at="converted_at", filter=converted,
                help="By the day they became customers."),
        Measure("sales.leads_of_worth", "Leads that became customers", of=lead, filter=converted,
                help="By the day they came, so that they can be compared with all that came then."),
        Measure("sales.lead_conversion", "Leads converted, share", over=("sales.leads_of_worth", "sales.leads"),
                kind="percent", help="Of the leads that came in a time, how many became customers since."),
    ]  # fmt: skip


def _of_opportunities() -> list[Measure]:
    return [
        Measure("sales.opened", "Opportunities opened", of=DEAL, at="started_on"),
        Measure("sales.opened_amount", "Amount opened", of=DEAL, how="sum", value="amount", at="started_on",
                kind="money", currency="currency"),
        Measure("sales.closed", "Opportunities closed", of=DEAL, at="closed_on", filter=CLOSED),
        Measure("sales.won", "Opportunities won", of=DEAL, at="closed_on", filter=WON),
        Measure("sales.lost", "Opportunities lost", of=DEAL, at="closed_on", filter=LOST, better="down"),
        Measure("sales.won_amount", "Amount won", of=DEAL, how="sum", value="amount", at="closed_on", filter=WON,
                kind="money", currency="currency"),
        Measure("sales.lost_amount", "Amount lost", of=DEAL, how="sum", value="amount", at="closed_on", filter=LOST,
                kind="money", currency="currency", better="down"),
        Measure("sales.win_rate", "Win rate", over=("sales.won", "sales.closed"), kind="percent",
                help="Of the opportunities closed, how many were won."),
        Measure("sales.cycle_time", "Days to win", of=DEAL, how="average", value=_days_to_close, at="closed_on",
                filter=WON, kind="days", better="down", help="From the day work on it began to the day it was won."),
        Measure("sales.average_deal", "Average opportunity won", of=DEAL, how="average", value="amount",
                at="closed_on", filter=WON, kind="money", currency="currency"),
        Measure("sales.customers_won", "Customers who bought", of=DEAL, how="distinct", value="customer_id",
                at="closed_on", filter=WON),
        Measure("sales.pipeline", "Open opportunities", of=DEAL, at="expected_close_on", filter=OPEN,
                help="By the day they are expected to close."),
        Measure("sales.pipeline_amount", "Amount of open opportunities", of=DEAL, how="sum", value="amount",
                at="expected_close_on", filter=OPEN, kind="money", currency="currency",
                help="By the day they are expected to close."),
        Measure("sales.stage_moves", "Moves between stages", of="transition", at="at",
                filter='entity = "sales.opportunity"'),
    ]  # fmt: skip


def _of_quotes() -> list[Measure]:
    return [
        Measure("sales.quotes", "Quotes sent", of=QUOTE, at="sent_at", filter=SENT),
        Measure("sales.quotes_accepted", "Quotes accepted", of=QUOTE, at="sent_at",
                filter=f"{ACCEPTED} and {SENT}", help="By the day they were sent."),
        Measure("sales.quote_amount", "Amount of quotes sent", of=QUOTE, how="sum", value="total", at="sent_at",
                filter=SENT, kind="money", currency="currency"),
        Measure("sales.acceptance", "Quotes accepted, share", over=("sales.quotes_accepted", "sales.quotes"),
                kind="percent"),
    ]  # fmt: skip


def _of_orders() -> list[Measure]:
    return [
        Measure("sales.orders", "Orders", of=ORDER, at="ordered_on", filter=SOLD),
        Measure("sales.order_amount", "Amount of orders", of=ORDER, how="sum", value="total", at="ordered_on",
                filter=SOLD, kind="money", currency="currency"),
        Measure("sales.order_cost", "Cost of orders", of=ORDER, how="sum", value="cost", at="ordered_on",
                filter=SOLD, kind="money", currency="currency", better="down"),
        Measure("sales.gross_profit", "Gross profit", of=ORDER, how="sum", value=_gross_profit, at="ordered_on",
                filter=SOLD, kind="money", currency="currency", help="What orders come to, less what they cost us."),
        Measure("sales.margin", "Margin", over=("sales.gross_profit", "sales.order_amount"), kind="percent",
                help="Gross profit as a share of the amount of orders."),
        Measure("sales.average_order", "Average order", of=ORDER, how="average", value="total", at="ordered_on",
                filter=SOLD, kind="money", currency="currency"),
        Measure("sales.buyers", "Customers who ordered", of=ORDER, how="distinct", value="customer_id",
                at="ordered_on", filter=SOLD),
        Measure("sales.orders_right", "Orders right the first time", of=ORDER, at="ordered_on",
                filter=f"{SOLD} and loops = 0"),
        Measure("sales.first_time_right", "Right the first time, share", over=("sales.orders_right", "sales.orders"),
                kind="percent"),
        Measure("sales.units", "Units ordered", of=LINE, how="sum", value="quantity", at="order.ordered_on",
                filter=LINE_SOLD, kind="decimal"),
        Measure("sales.line_amount", "Amount by product", of=LINE, how="sum", value="total", at="order.ordered_on",
                filter=LINE_SOLD, kind="money", currency="currency", help="Of the lines of orders."),
        Measure("sales.line_cost", "Cost by product", of=LINE, how="sum", value="cost", at="order.ordered_on",
                filter=LINE_SOLD, kind="money", currency="currency", better="down", help="Of the lines of orders."),
        Measure("sales.line_profit", "Gross profit by product", of=LINE, how="sum", value=_gross_profit,
                at="order.ordered_on", filter=LINE_SOLD, kind="money", currency="currency",
                help="Of the lines of orders."),
    ]  # fmt: skip


def dimensions() -> list[Dimension]:
    """What is told apart in sales."""
    return [
        Dimension("sales.lead_source", "Source of the lead", of="sales.lead", value="source"),
        Dimension("sales.lead_campaign", "Campaign of the lead", of="sales.lead", value="campaign"),
        Dimension("sales.lead_status", "Status of the lead", of="sales.lead", value="status"),
        Dimension("sales.lead_rating", "Rating of the lead", of="sales.lead", value="rating"),
        Dimension("sales.lead_industry", "Industry of the lead", of="sales.lead", value="industry"),
        Dimension("sales.lead_country", "Country of the lead", of="sales.lead", value="address.country"),
        Dimension("sales.territory", "Territory", of="sales.territory", value="id"),
        Dimension("sales.opportunity", "Opportunity", of=DEAL, value="id"),
        Dimension("sales.stage", "Stage", of=DEAL, value="stage_id"),
        Dimension("sales.reason", "Reason won or lost", of=DEAL, value="reason"),
        Dimension("sales.competitor", "Competitor", of=DEAL, value="competitor"),
        Dimension("sales.source", "Source of the opportunity", of=DEAL, value="source"),
        Dimension("sales.campaign", "Campaign of the opportunity", of=DEAL, value="campaign"),
        Dimension("sales.forecast", "Forecast", of=DEAL, value="forecast"),
        Dimension("sales.quote_status", "Status of the quote", of=QUOTE, value="status"),
        Dimension("sales.order_status", "Status of the order", of=ORDER, value="status"),
        Dimension("sales.order_campaign", "Campaign of the order", of=ORDER, value="campaign"),
    ]


def _days_to_close(deal: Any) -> Any:
    return days_between(deal.started_on, deal.closed_on)


def _gross_profit(sold: Any) -> Any:
    return type_coerce(sold.total - sold.cost, sold.total.type)
