"""Warehouse: every figure of the business, by whatever tells it apart, from a copy made for counting."""

from rapport_warehouse.cube import answer
from rapport_warehouse.drilling import Drill, Drilled, drill
from rapport_warehouse.generations import NotFilled
from rapport_warehouse.history import customer_history
from rapport_warehouse.offer import members, offered
from rapport_warehouse.question import (
    HIDDEN,
    REST,
    Answer,
    Cell,
    DimensionInfo,
    Heading,
    MeasureInfo,
    Member,
    Offer,
    Question,
)
from rapport_warehouse.shape import in_parts
from rapport_warehouse.store import Refreshed, as_of, refresh, warehouse

__all__ = [
    "HIDDEN",
    "REST",
    "Answer",
    "Cell",
    "DimensionInfo",
    "Drill",
    "Drilled",
    "Heading",
    "MeasureInfo",
    "Member",
    "NotFilled",
    "Offer",
    "Question",
    "Refreshed",
    "answer",
    "as_of",
    "customer_history",
    "drill",
    "in_parts",
    "members",
    "offered",
    "refresh",
    "warehouse",
]
