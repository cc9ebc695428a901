"""What is expected: of a customer, whether they will leave and what they may buy next; of the business, its figures."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from rapport import Choice, Entity, Extension, field

FORECASTS = {"manager": "read export"}
"""The figures of the whole business are for those who may see all of it."""


class Outlook(Extension, of="customer", name="insights.outlook", title="Outlook"):
    """What models expect of a customer. Jobs fill it in, and only where something changed."""

    __table_args__ = (Index("ix_insights_outlook_churn", "churn"), Index("ix_insights_outlook_next", "next_product"))

    churn: Mapped[int | None] = field(
        label="Chance to leave in %",
        readonly=True,
        help="How likely it is that they leave; the settings say what that is.",
    )
    churn_reasons: Mapped[list[Any] | None] = field(label="Why they may leave", kind="json", readonly=True, hidden=True)
    next_product: Mapped[str | None] = field(
        label="Next product", readonly=True, help="What customers buy who bought the same, and this one has not yet."
    )
    next_products: Mapped[list[Any] | None] = field(label="Next products", kind="json", readonly=True, hidden=True)


class Forecast(
    Entity, name="insights.forecast", title="Forecast", icon="chart-line", roles=FORECASTS, listed=False, display="kind"
):  # fmt: skip
    """One figure that is expected, and between what it will be four times of five. Jobs replace them all."""

    __table_args__ = (UniqueConstraint("kind", "starts_on", "hour"),)

    kind: Mapped[str] = field(
        label="What", readonly=True, in_list=True,
        choices=[Choice("sales_forecast", "Forecast of sales"), Choice("call_forecast", "Forecast of calls")],
    )  # fmt: skip
    measure: Mapped[str] = field(label="Measure", readonly=True, in_list=True)
    starts_on: Mapped[dt.date] = field(label="From", readonly=True, in_list=True)
    hour: Mapped[int] = field(label="Hour", default=0, readonly=True, in_list=True)
    low: Mapped[Decimal] = field(label="At least", readonly=True, in_list=True)
    expected: Mapped[Decimal] = field(label="Expected", readonly=True, in_list=True)
    high: Mapped[Decimal] = field(label="At most", readonly=True, in_list=True)
    currency: Mapped[str] = field(label="Currency", default="", readonly=True)
