"""Warehouse: every figure of the business, by whatever tells it apart, from a copy made for counting."""

from rapport_warehouse.generations import NotFilled
from rapport_warehouse.store import Refreshed, as_of, refresh, warehouse

__all__ = ["NotFilled", "Refreshed", "as_of", "refresh", "warehouse"]
