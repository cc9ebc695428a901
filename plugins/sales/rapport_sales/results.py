"""What was sold, by whom, to whom and when: the one ground that quotas, rankings and margins stand on."""

from __future__ import annotations

import datetime as dt
from typing import Any

from rapport_products import Product
from sqlalchemy import BigInteger, ColumnElement, Subquery, and_, case, func, literal, select, type_coerce

from rapport import Choice, Reader, Stage
from rapport_sales.entities import Line, Opportunity
from rapport_sales.orders import SOLD, Order, OrderLine

PERIODS = [Choice("month", "Month"), Choice("quarter", "Quarter"), Choice("year", "Year")]
MEASURES = [
    Choice("amount", "Amount", "blue"),
    Choice("margin", "Margin", "green"),
    Choice("units", "Units", "azure"),
    Choice("customers", "Customers won", "purple"),
]
IN_MONEY = ("amount", "margin")
WHOLE = 10_000
"""Decimals are kept with four places: a product of two has eight."""


def period_of(kind: str, day: dt.date) -> tuple[dt.date, dt.date]:
    """The first and the last day of the month, quarter or year that a day lies in."""
    months = {"month": 1, "quarter": 3, "year": 12}[kind]
    first = day.replace(month=(day.month - 1) // months * months + 1, day=1)
    after = (first + dt.timedelta(days=31 * months)).replace(day=1)  # at most two days into the month after
    return first, after - dt.timedelta(days=1)


def is_won() -> ColumnElement[bool]:
    """Of an opportunity: won, and not archived."""
    won = select(Stage.id).where(Stage.kind == "won")
    return and_(Opportunity.stage_id.in_(won), Opportunity.archived_at.is_(None))


def cost_of_line() -> ColumnElement[Any]:
    """What the goods of a line cost us; null where the product has no cost in the line's currency."""
    product = type_coerce(Line.quantity, BigInteger) * type_coerce(Product.cost, BigInteger) // WHOLE
    return case((Product.currency == Line.currency, type_coerce(product, Line.total.type)))


def sales(reader: Reader, first: dt.date, last: dt.date) -> Subquery:
    """Every sale between two days: `id`, `owner_id`, `customer_id`, `day`, `currency`, `amount`, `margin`, `units`.

    They are the orders, or the opportunities won, as the setting `sales.results_from` says.
    """
    return _orders(first, last) if from_orders(reader) else _won(first, last)


def from_orders(reader: Reader) -> bool:
    """Whether a sale is an order; else it is an opportunity that was won."""
    return bool(reader.site.settings.get("sales.results_from") == "orders")


def _won(first: dt.date, last: dt.date) -> Subquery:
    """Units and margin come from the lines. Of lines whose cost nobody knows, the margin does not count."""
    within = (is_won(), Opportunity.closed_on.between(first, last))
    lines = (
        select(
            Line.opportunity_id,
            func.sum(Line.quantity).label("units"),
            func.sum(type_coerce(Line.total - cost_of_line(), Line.total.type)).label("margin"),
        )
        .join(Opportunity, Opportunity.id == Line.opportunity_id)
        .outerjoin(Product, Product.id == Line.product_id)
        .where(*within)
        .group_by(Line.opportunity_id)
        .subquery()
    )
    return (
        select(
            Opportunity.id, Opportunity.owner_id, Opportunity.customer_id, Opportunity.closed_on.label("day"),
            Opportunity.currency, Opportunity.amount, lines.c.units, lines.c.margin,
        )
        .outerjoin(lines, lines.c.opportunity_id == Opportunity.id)
        .where(*within)
        .subquery()
    )  # fmt: skip


def _orders(first: dt.date, last: dt.date) -> Subquery:
    """Gross profit is what an order comes to, less what it costs."""
    within = (_is_sold(), Order.ordered_on.between(first, last))
    lines = (
        select(OrderLine.order_id, func.sum(OrderLine.quantity).label("units"))
        .join(Order, Order.id == OrderLine.order_id)
        .where(*within, OrderLine.archived_at.is_(None))
        .group_by(OrderLine.order_id)
        .subquery()
    )
    return (
        select(
            Order.id, Order.owner_id, Order.customer_id, Order.ordered_on.label("day"), Order.currency,
            Order.total.label("amount"), lines.c.units,
            type_coerce(Order.total - Order.cost, Order.total.type).label("margin"),
        )
        .outerjoin(lines, lines.c.order_id == Order.id)
        .where(*within)
        .subquery()
    )  # fmt: skip


def _is_sold() -> ColumnElement[bool]:
    return and_(Order.status.in_(SOLD), Order.archived_at.is_(None))


def first_sales(reader: Reader) -> Subquery:
    """The day each customer bought for the first time: `customer_id`, `day`."""
    sale: Any = Order if from_orders(reader) else Opportunity
    day, sold = (Order.ordered_on, _is_sold()) if from_orders(reader) else (Opportunity.closed_on, is_won())
    return select(sale.customer_id, func.min(day).label("day")).where(sold).group_by(sale.customer_id).subquery()


def measured(measure: str, sold: Subquery) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """What a measure adds up of sales, and in which currency; those that are no money have none."""
    if measure == "customers":
        return func.count(sold.c.customer_id.distinct()), literal("")
    return func.sum(sold.c[measure]), sold.c.currency if measure in IN_MONEY else literal("")


def limited(measure: str, statement: Any, sold: Subquery, reader: Reader) -> Any:
    """For customers won, only the first sale to each counts."""
    if measure != "customers":
        return statement
    first = first_sales(reader)
    return statement.join(first, and_(first.c.customer_id == sold.c.customer_id, first.c.day == sold.c.day))
