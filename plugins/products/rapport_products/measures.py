"""What is sold tells sales, cases and returns apart: product and family."""

from __future__ import annotations

from rapport import Dimension


def dimensions() -> list[Dimension]:
    """What is told apart by products."""
    return [
        Dimension("products.product", "Product", of="products.product", value="id"),
        Dimension("products.family", "Family of products", of="products.product", value="family"),
    ]
