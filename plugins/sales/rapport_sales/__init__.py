"""Sales: leads, opportunities on a pipeline, and what to do next."""

from rapport_sales.assignment import AssignmentRule, assign, next_in_turn
from rapport_sales.entities import Lead, Line, Opportunity
from rapport_sales.hookspecs import Shortage, Wanted
from rapport_sales.leads import Conversion, convert_lead
from rapport_sales.orders import Order, OrderLine, place
from rapport_sales.quotas import Quota, attained
from rapport_sales.quotes import Quote, QuoteLine, quote_for, revise
from rapport_sales.scoring import ScoreModel, ScoreRule
from rapport_sales.service import (
    PipelineTotals,
    Result,
    Total,
    ageing,
    lose,
    pipeline_totals,
    plan_next_step,
    reopen,
    win,
    win_loss,
)
from rapport_sales.territories import Territory

__all__ = [
    "AssignmentRule",
    "Conversion",
    "Lead",
    "Line",
    "Opportunity",
    "Order",
    "OrderLine",
    "PipelineTotals",
    "Quota",
    "Quote",
    "QuoteLine",
    "Result",
    "ScoreModel",
    "ScoreRule",
    "Shortage",
    "Territory",
    "Total",
    "Wanted",
    "ageing",
    "assign",
    "attained",
    "convert_lead",
    "lose",
    "next_in_turn",
    "pipeline_totals",
    "place",
    "plan_next_step",
    "quote_for",
    "reopen",
    "revise",
    "win",
    "win_loss",
]
