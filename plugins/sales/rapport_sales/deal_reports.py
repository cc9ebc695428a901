"""Reports of orders: what was earned, by what and by whom, and how often one was right the first time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rapport_products import Product
from sqlalchemy import case, func, select

from rapport import Choice, Field, Reader, Report, User, gettext
from rapport_sales.orders import SOLD, Order, OrderLine

DAYS = 90
BY = (Choice("product", "Product"), Choice("person", "Person"), Choice("campaign", "Campaign"))


@dataclass(frozen=True, slots=True)
class Earned:
    """What was sold of something or by somebody, in one currency."""

    what: str
    orders: int
    total: Decimal
    cost: Decimal
    currency: str

    @property
    def profit(self) -> Decimal:
        """Gross profit: what it sold for, less what it costs us."""
        return self.total - self.cost

    @property
    def margin(self) -> Decimal | None:
        """Gross profit as a share of the total, in percent."""
        return (self.profit * 100 / self.total).quantize(Decimal("0.1")) if self.total else None


@dataclass(frozen=True, slots=True)
class Right:
    """How many orders of a person were placed at the first attempt."""

    person: str
    placed: int
    first_time: int
    loops: int

    @property
    def share(self) -> Decimal:
        """First time right, in percent of the orders placed."""
        return (Decimal(self.first_time) * 100 / self.placed).quantize(Decimal("0.1"))

    @property
    def per_order(self) -> Decimal:
        """Rework loops for each order placed."""
        return (Decimal(self.loops) / self.placed).quantize(Decimal("0.01"))


def deal_reports() -> list[Report]:
    """Every report of orders."""
    days = [Field("since", "Since", "date", help="Left empty: the last 90 days."),
            Field("until", "Until", "date", help="Left empty: today.")]  # fmt: skip
    return [
        Report(
            "sales.margin", "Gross profit", needs="sales.order.read", icon="coin", order=110,
            help="Orders placed or fulfilled in a time: total, cost, and gross profit, which is total less cost.",
            fields=[Field("by", "By", "choice", choices=BY, default="product"), *days],
            columns=[
                Field("what", "Of", "text"), Field("orders", "Orders", "integer"),
                Field("total", "Total", "money", currency="currency"),
                Field("cost", "Cost", "money", currency="currency"),
                Field("profit", "Gross profit", "money", currency="currency"),
                Field("margin", "Margin in %", "decimal"), Field("currency", "Currency", "text"),
            ],
            rows=earned,
        ),
        Report(
            "sales.first_time_right", "First time right", needs="sales.order.read", icon="checklist", order=120,
            help="Orders placed in a time: how many passed the check at the first attempt, and how often the others "
                 "went back.",
            fields=days,
            columns=[
                Field("person", "Person", "text"), Field("placed", "Orders placed", "integer"),
                Field("first_time", "At the first attempt", "integer"),
                Field("share", "First time right in %", "decimal"), Field("loops", "Rework loops", "integer"),
                Field("per_order", "Loops per order", "decimal"),
            ],
            rows=first_time_right,
        ),
    ]  # fmt: skip


def earned(reader: Reader, by: str, since: dt.date | None, until: dt.date | None) -> Sequence[Any]:
    """What was sold in a time and what is left of it; amounts of two currencies are never added up."""
    line = by == "product"
    source: Any = OrderLine if line else Order
    what: Any = {"product": Product.name, "person": User.name, "campaign": Order.campaign}[by or "product"]
    total = func.sum(source.total)
    statement = select(what, func.count(func.distinct(Order.id)), total, func.sum(source.cost), Order.currency)
    if line:
        statement = (
            statement.select_from(OrderLine)
            .join(Order, Order.id == OrderLine.order_id)
            .outerjoin(Product, Product.id == OrderLine.product_id)
            .where(OrderLine.archived_at.is_(None))
        )
    elif by == "person":
        statement = statement.select_from(Order).outerjoin(User, User.id == Order.owner_id)
    rows = reader.session.execute(
        statement.where(*_sold(reader, since, until)).group_by(what, Order.currency).order_by(total.desc(), what)
    )
    return [Earned(row[0] or gettext("None"), row[1], row[2], row[3], row[4]) for row in rows]


def first_time_right(reader: Reader, since: dt.date | None, until: dt.date | None) -> Sequence[Any]:
    """By person, and of all together."""
    rows = reader.session.execute(
        select(User.name, func.count(), func.sum(case((Order.loops == 0, 1), else_=0)), func.sum(Order.loops))
        .select_from(Order)
        .outerjoin(User, User.id == Order.owner_id)
        .where(*_sold(reader, since, until))
        .group_by(User.name)
        .order_by(User.name)
    )
    people = [Right(row[0] or gettext("Nobody"), row[1], int(row[2]), int(row[3])) for row in rows]
    if len(people) > 1:
        sums = [sum(numbers) for numbers in zip(*((each.placed, each.first_time, each.loops) for each in people),
                                                strict=True)]  # fmt: skip
        people.append(Right(gettext("All together"), *sums))
    return people


def _sold(reader: Reader, since: dt.date | None, until: dt.date | None) -> list[Any]:
    today = reader.today()
    return [Order.status.in_(SOLD), Order.archived_at.is_(None),
            Order.ordered_on >= (since or today - dt.timedelta(days=DAYS)),
            Order.ordered_on <= (until or today)]  # fmt: skip
