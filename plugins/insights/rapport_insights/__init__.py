"""Insights: what purchases tell of customers, learned in jobs, measured, and kept as fields of the customer."""

from rapport_insights.entities import Model, Score
from rapport_insights.kinds import Kind, Trained, Work
from rapport_insights.purchases import Purchases, purchases_from

__all__ = ["Kind", "Model", "Purchases", "Score", "Trained", "Work", "purchases_from"]
