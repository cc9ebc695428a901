"""What sales asks other plugins: whether what is ordered can be had."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy.orm import Session

from rapport import hook


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many of a product an order asks for, and by when; None for as soon as can be."""

    product_id: UUID
    code: str
    """The product's own code, by which other systems know it; "" without one."""
    quantity: Decimal
    by: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Shortage:
    """A product that cannot be had as wanted."""

    product_id: UUID
    available: Decimal = Decimal(0)
    again_on: dt.date | None = None
    """When there will be enough, if that is known."""


@hook("ask", Shortage)
def ask_sales_availability(wanted: Sequence[Wanted], session: Session) -> Sequence[Shortage]:
    """Say which of the products that an order asks for cannot be had: one question for all its lines.

    *Kind* ask. *Transaction* the order's. *On failure* the order is not placed, and the reason is told.
    """
