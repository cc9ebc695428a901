"""The facts behind the pieces that quotes and orders show: the way to the customer, the versions, what is earned."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rapport import Panel, Reader
from rapport.documents import can_draw
from rapport_sales import papers
from rapport_sales.quotes import Quote, can_be_answered, is_expired

Facts = Mapping[str, Any]


def deal_panels() -> list[Panel]:
    """Every panel of quotes and orders, by place."""
    return [
        Panel("sales.quote.side", "To the customer", "sales/quote_side.html", quote_facts, "sales.quote.read",
              "send", 10),
        Panel("sales.order.side", "Check and profit", "sales/order_side.html", order_facts, "sales.order.read",
              "checklist", 10),
    ]  # fmt: skip


def quote_facts(reader: Reader, record: Any) -> Facts:
    """The paper, the link, the versions, and what is earned."""
    versions = reader.all(Quote, Quote.number == record.number, order=Quote.revision, limit=50) if record.number else []
    over = record.status == "draft" and record.discount > Decimal(str(reader.site.settings.get("sales.discount_limit")))
    return {
        "quote": record, "drawn": can_draw(), "link": papers.link(reader.site, record), "versions": versions,
        "open": can_be_answered(reader.session, record), "expired": is_expired(record), "over": over, **profit(record),
    }  # fmt: skip


def order_facts(reader: Reader, record: Any) -> Facts:
    """What stopped it, and what is earned."""
    return {"order": record, "reasons": record.stopped_for.splitlines(), **profit(record)}


def profit(record: Any) -> dict[str, Any]:
    """Gross profit: the total less what it costs us; and its share of the total."""
    earned: Decimal = record.total - record.cost
    return {"profit": earned, "margin": earned / record.total if record.total else None}
