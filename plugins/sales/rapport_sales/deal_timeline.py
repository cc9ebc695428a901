"""On a customer's timeline: when quotes went out and were answered, and what was ordered."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from sqlalchemy import func

from rapport import Reader, TimelineItem, gettext
from rapport_sales.customers import numbers
from rapport_sales.orders import Order
from rapport_sales.quotes import Quote


def timeline(reader: Reader, customer_id: UUID, limit: int, before: dt.datetime | None) -> list[TimelineItem]:
    """The newest first; two queries."""
    items = []
    if reader.actor.may("sales.quote.read"):
        last = func.coalesce(Quote.answered_at, Quote.sent_at)
        found = reader.all(Quote, Quote.customer_id == customer_id, Quote.sent_at.is_not(None), order=last.desc(),
                           limit=limit)  # fmt: skip
        items += [item for quote in found for item in _of_quote(reader, quote)]
    if reader.actor.may("sales.order.read"):
        placed = reader.all(Order, Order.customer_id == customer_id, Order.placed_at.is_not(None),
                            order=Order.placed_at.desc(), limit=limit)  # fmt: skip
        items += [
            TimelineItem(at=order.placed_at, title=gettext("Order placed"), icon="shopping-cart",
                         id=f"sales:order:{order.id}", text=_worth(reader, order.number or "", order),
                         url=f"/sales.order/{order.id}", kind="order", color="green")
            for order in placed if order.placed_at is not None
        ]  # fmt: skip
    return [item for item in items if before is None or item.at < before]


def _of_quote(reader: Reader, quote: Quote) -> list[TimelineItem]:
    told = []
    if quote.sent_at is not None:
        told.append((quote.sent_at, gettext("Quote sent"), "file-text", "blue"))
    if quote.answered_at is not None and quote.status == "declined":
        told.append((quote.answered_at, gettext("Quote declined"), "circle-x", "red"))
    elif quote.answered_at is not None:
        told.append((quote.answered_at, gettext("Quote accepted"), "circle-check", "green"))
    return [
        TimelineItem(at=at, title=title, icon=icon, id=f"sales:quote:{quote.id}:{place}", kind="quote", color=color,
                     text=_worth(reader, quote.name, quote), url=f"/sales.quote/{quote.id}")
        for place, (at, title, icon, color) in enumerate(told)
    ]  # fmt: skip


def _worth(reader: Reader, name: str, record: Quote | Order) -> str:
    return f"{name} · {numbers(reader).money(record.total, record.currency)}"
