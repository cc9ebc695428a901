"""The facts behind the pieces that products show: what a product costs in which price book."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rapport import Panel, Reader
from rapport_products.prices import offers_of

Facts = Mapping[str, Any]


def panels() -> list[Panel]:
    """Every panel of products, by place."""
    return [
        Panel("products.product.side", "Prices today", "products/prices.html", prices_facts, "products.price.read",
              "tag", 20),
    ]  # fmt: skip


def prices_facts(reader: Reader, record: Any) -> Facts:
    """The list price's exceptions, and what is earned at the list price."""
    earned = None
    if record.price is not None and record.cost is not None:
        earned = record.price - record.cost
    return {"offers": offers_of(reader, record), "earned": earned, "currency": record.currency}
