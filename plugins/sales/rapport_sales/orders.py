"""Orders: what a customer has ordered; checked before it is placed, so that it goes through at the first attempt."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from rapport_products import CURRENCY_HELP, Product, tidy_currency
from sqlalchemy import Index, inspect, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    Choice,
    Customer,
    Entity,
    Formats,
    Invalid,
    Owned,
    Problem,
    Reader,
    Unit,
    field,
    known_currency,
    ref,
    setting_of,
    utcnow,
)
from rapport import gettext as _
from rapport_sales.entities import PART_OF_OPPORTUNITY, WORK
from rapport_sales.hookspecs import Shortage, Wanted, ask_sales_availability
from rapport_sales.lines import Priced, add_up
from rapport_sales.numbers import next_numbers

STATUS = [
    Choice("draft", "Draft", "secondary"),
    Choice("placed", "Placed", "blue"),
    Choice("fulfilled", "Fulfilled", "green"),
    Choice("cancelled", "Cancelled", "red"),
]
SOLD = ("placed", "fulfilled")
"""What counts as sold."""


class Order(Owned, Entity, name="sales.order", title="Order", icon="shopping-cart",
            roles={**WORK, "portal": "read"}, display="number"):  # fmt: skip
    """What a customer orders, from a draft over the check to delivery."""

    __table_args__ = (
        Index("ix_sales_order_status", "status", "ordered_on"),
        Index("ix_sales_order_customer", "customer_id", "ordered_on"),
        Index("ix_sales_order_mine", "owner_id", "status", "ordered_on"),
    )

    number: Mapped[str | None] = field(
        label="Number", unique=True, searchable=True, in_list=True, aliases=["order_number", "order_id", "order"],
        help="Left empty, it is the next one of the year.",
    )  # fmt: skip
    customer_id: Mapped[UUID] = ref("customer", label="Customer", on_delete="RESTRICT", in_list=True)
    contact_id: Mapped[UUID | None] = ref("customer", label="Contact person")
    subject: Mapped[str] = field(label="Subject", default="", searchable=True, in_list=True)
    status: Mapped[str] = field(label="Status", choices=STATUS, default="draft", readonly=True, in_list=True)
    ordered_on: Mapped[dt.date | None] = field(
        label="Ordered on", in_list=True, help="Left empty, it is the day on which it is placed."
    )
    total: Mapped[Decimal] = field(
        label="Total", kind="money", currency="currency", default=Decimal(0), readonly=True, in_list=True
    )
    currency: Mapped[str] = field(label="Currency", default="", max_length=3, help=CURRENCY_HELP)
    price_book_id: Mapped[UUID | None] = ref("products.price_book", label="Price book")
    address: Mapped[dict[str, str]] = field(
        label="Deliver to", kind="address", default=dict, section="Delivery",
        help="Left empty, it is the customer’s address.",
    )  # fmt: skip
    wanted_on: Mapped[dt.date | None] = field(label="Wanted by", section="Delivery")
    note: Mapped[str] = field(label="Note", kind="longtext", default="", section="Delivery")
    campaign: Mapped[str] = field(
        label="Campaign", default="", indexed=True, section="Origin", help="The code of the campaign that brought it."
    )
    opportunity_id: Mapped[UUID | None] = ref("sales.opportunity", label="Opportunity", section="Origin")
    quote_id: Mapped[UUID | None] = ref("sales.quote", label="Quote", section="Origin")
    regular: Mapped[Decimal] = field(
        label="Regular total", kind="money", currency="currency", default=Decimal(0), readonly=True, section="Figures",
        help="Without any discount.",
    )  # fmt: skip
    cost: Mapped[Decimal] = field(
        label="Cost", kind="money", currency="currency", default=Decimal(0), readonly=True, section="Figures",
        help="Gross profit is the total less this.",
    )  # fmt: skip
    loops: Mapped[int] = field(
        label="Rework loops", default=0, readonly=True, section="Check", help="How often the check stopped it."
    )
    stopped_for: Mapped[str] = field(
        label="Why it was stopped", kind="longtext", default="", readonly=True, section="Check"
    )
    placed_at: Mapped[dt.datetime | None] = field(label="Placed", readonly=True, section="Check")
    fulfilled_at: Mapped[dt.datetime | None] = field(label="Fulfilled", readonly=True, section="Check")

    @property
    def is_open(self) -> bool:
        """Whether it may still be written."""
        return self.status == "draft"

    def complete(self, session: Session) -> None:
        """Money is in some currency, and goods go to the customer."""
        self.currency = tidy_currency(session, self.currency)
        if not inspect(self).persistent:
            if not self.address and (customer := session.get(Customer, self.customer_id)) is not None:
                self.address = dict(customer.address or {})
        elif inspect(self).attrs["currency"].history.has_changes() and self.is_open:
            for line in session.scalars(select(OrderLine).where(OrderLine.order_id == self.id)):
                line.currency = self.currency

    def validate(self) -> Sequence[Problem]:
        """What was placed is agreed: currency and prices stay."""
        problems = known_currency(self.currency)
        state = inspect(self)
        if state.persistent and not self.is_open and not state.attrs["status"].history.has_changes():
            told = _("cannot change any more: the order is placed. Cancel it and make another.")
            fixed = ("currency", "price_book_id", "ordered_on")
            problems += [Problem(name, told) for name in fixed if state.attrs[name].history.has_changes()]
        return problems

    @classmethod
    def follow_up(cls, records: Sequence[Order], session: Session) -> None:
        """Number those that have no number yet: only now is it sure that they are kept."""
        ids = [record.id for record in records]
        bare = session.scalars(select(Order).where(Order.id.in_(ids), Order.number.is_(None)).order_by(Order.id)).all()
        for record, number in zip(bare, next_numbers(session, "O", len(bare)) if bare else (), strict=True):
            record.number = number


class OrderLine(Priced, Entity, name="sales.order_line", title="Line of an order", plural="Lines of orders",
                icon="list-details", roles=PART_OF_OPPORTUNITY, listed=False, display="description"):  # fmt: skip
    """A product within an order: how many, at which price, less which discount, and what it costs us."""

    PARENT: ClassVar[str] = "order_id"

    order_id: Mapped[UUID] = ref("sales.order", label="Order")

    def parent(self, session: Session) -> Order | None:
        """Its order."""
        return session.get(Order, self.order_id)

    @classmethod
    def follow_up(cls, records: Sequence[OrderLine], session: Session) -> None:
        """An order is the total of its lines."""
        add_up(session, Order, OrderLine, {line.order_id for line in records})


def order_lines(session: Session, order: Order) -> Sequence[OrderLine]:
    """The lines of an order, in order. Who may see the order may see them."""
    statement = select(OrderLine).where(OrderLine.order_id == order.id, OrderLine.archived_at.is_(None))
    ordered = statement.order_by(OrderLine.position, OrderLine.id)
    return session.scalars(ordered, execution_options={"rapport_scoped": True}).all()


# The check -----------------------------------------------------------------------------------------------------------


def check(unit: Unit, order: Order) -> list[Problem]:
    """Everything that keeps an order from being placed: what is missing, what is wrong, what cannot be had."""
    lines = order_lines(unit.session, order)
    ids = {line.product_id for line in lines if line.product_id}
    found = unit.session.scalars(select(Product).where(Product.id.in_(ids)), execution_options={"rapport_scoped": True})
    products = {each.id: each for each in found}
    return [
        *_missing(unit, order, lines),
        *_wrong(unit.session, order, lines, products),
        *_unavailable(unit, order, lines, products),
    ]


def _missing(unit: Unit, order: Order, lines: Sequence[OrderLine]) -> list[Problem]:
    problems = [] if lines else [Problem(None, _("The order has no lines yet. Add what is ordered."))]
    meta = unit.site.meta(Order)
    for name in str(setting_of(unit.session, "sales.order_needs") or "").replace(",", " ").split():
        fields = [known for known in (name, f"{name}_id") if known in meta.fields]
        if fields and not getattr(order, fields[0]):
            problems.append(Problem(fields[0], _("is missing.")))
    return problems


def _wrong(
    session: Session, order: Order, lines: Sequence[OrderLine], products: Mapping[UUID, Product]
) -> list[Problem]:
    problems = []
    customer = session.get(Customer, order.customer_id)
    if customer is None or customer.archived_at is not None:
        problems.append(Problem("customer_id", _("is archived. Restore the customer, or order for another.")))
    for line in lines:
        product = products.get(line.product_id) if line.product_id else None
        if product is not None and (not product.active or product.archived_at is not None):
            problems.append(Problem(None, _("%(product)s is not on sale any more.", product=product.name)))
    if order.wanted_on is not None and order.wanted_on < utcnow().date():
        problems.append(Problem("wanted_on", _("is past. Choose a day to come.")))
    return problems


def _unavailable(
    unit: Unit, order: Order, lines: Sequence[OrderLine], products: Mapping[UUID, Product]
) -> list[Problem]:
    """One question for all products, to every plugin that knows; nobody who knows is no refusal."""
    amounts: dict[UUID, Decimal] = {}
    for line in lines:
        if line.product_id is not None and line.product_id in products:
            amounts[line.product_id] = amounts.get(line.product_id, Decimal(0)) + line.quantity
    wanted = [Wanted(key, products[key].code or "", amount, order.wanted_on) for key, amount in amounts.items()]
    if not wanted:
        return []
    answers: list[Any] = unit.site.hooks.collect(ask_sales_availability, wanted=wanted, session=unit.session)
    return [answer if isinstance(answer, Problem) else _short(unit, answer, products[answer.product_id])
            for answer in answers if isinstance(answer, Problem) or answer.product_id in products]  # fmt: skip


def _short(unit: Unit, shortage: Shortage, product: Product) -> Problem:
    actor: Any = unit.actor
    formats = Formats(actor.language, actor.time_zone, actor.calendar or None)
    number = formats.number(shortage.available)
    if shortage.again_on is not None:
        told = _("Of %(product)s only %(number)s can be had; more from %(day)s on.", product=product.name,
                 number=number, day=formats.date(shortage.again_on))  # fmt: skip
        return Problem(None, told)
    return Problem(None, _("Of %(product)s only %(number)s can be had.", product=product.name, number=number))


# From the draft to the customer --------------------------------------------------------------------------------------


def place(unit: Unit, order: Order) -> list[Problem]:
    """Place an order if the check finds nothing; else it stays a draft, with every reason, and a loop is counted."""
    _only(order, "draft")
    unit.update(order, {})  # whoever may change it
    problems = check(unit, order)
    if problems:
        order.loops += 1
        order.stopped_for = "\n".join(said(order, problem) for problem in problems)
    else:
        order.status, order.stopped_for = "placed", ""
        order.placed_at, order.ordered_on = utcnow(), order.ordered_on or unit.reader.today()
    unit.flush()
    return problems


def said(order: Order, problem: Problem) -> str:
    """A problem as a sentence, with the label of its field."""
    field_ = order.meta.fields.get(problem.field or "")
    label = field_.label if field_ is not None else ""
    return f"{_(label)} {problem.message}" if label else problem.message


def fulfil(unit: Unit, order: Order) -> None:
    """Everything was delivered."""
    _only(order, "placed")
    unit.update(order, {})
    order.status, order.fulfilled_at = "fulfilled", utcnow()
    unit.flush()


def cancel(unit: Unit, order: Order) -> None:
    """It will not come to anything: it is kept, and counts no more."""
    _only(order, "draft", "placed")
    unit.update(order, {})
    order.status = "cancelled"
    unit.flush()


def _only(order: Order, *status: str) -> None:
    if order.status not in status:
        labels = {choice.value: choice.label for choice in STATUS}
        told = _("is “%(status)s”, so that cannot be done with it.", status=_(labels[order.status]))
        raise Invalid(Problem("status", told))


def placed_before(_reader: Reader, rows: Sequence[dict[str, Any]]) -> Mapping[int, Sequence[Problem]]:
    """For imports: these orders were placed, in another system, on the day they say."""
    for row in rows:
        row["status"] = "placed"
    return {}
