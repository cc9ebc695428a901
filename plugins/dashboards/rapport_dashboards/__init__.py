"""Dashboards: cards and charts for each role, filters across cards, targets, and alerts that tell once."""

from rapport_dashboards.boards import Asked, cards_of, dashboards_of
from rapport_dashboards.entities import Alert, AlertState, Card, Dashboard, Target

__all__ = ["Alert", "AlertState", "Asked", "Card", "Dashboard", "Target", "cards_of", "dashboards_of"]
