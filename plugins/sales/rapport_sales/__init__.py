"""Sales: leads, opportunities on a pipeline, products and prices, and what to do next."""

from rapport_sales.entities import Lead, Line, Opportunity, Price, PriceBook, Product
from rapport_sales.leads import Conversion, convert_lead, next_in_turn
from rapport_sales.prices import price_of
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

__all__ = [
    "Conversion",
    "Lead",
    "Line",
    "Opportunity",
    "PipelineTotals",
    "Price",
    "PriceBook",
    "Product",
    "Result",
    "Total",
    "ageing",
    "convert_lead",
    "lose",
    "next_in_turn",
    "pipeline_totals",
    "plan_next_step",
    "price_of",
    "reopen",
    "win",
    "win_loss",
]
