"""Lines of quotes and orders: which product, how many, at which price, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from rapport_products import Product, find_price
from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Mapped, Session

from rapport import Invalid, Problem, field, not_negative, ref, utcnow
from rapport import gettext as _

CENT = Decimal("0.01")


class Priced:
    """A line within a quote or an order, its parent: a product, priced by the parent's price book and currency."""

    PARENT: ClassVar[str] = ""
    """The field that points at the parent."""

    product_id: Mapped[UUID | None] = ref("products.product", label="Product", on_delete="RESTRICT")
    description: Mapped[str] = field(
        label="Description", default="", in_list=True, help="Left empty, it is the product’s name."
    )
    quantity: Mapped[Decimal] = field(label="Quantity", default=Decimal(1), in_list=True)
    price: Mapped[Decimal | None] = field(
        label="Price", kind="money", currency="currency", in_list=True,
        help="Of one unit. Left empty, it comes from the price book, else the product’s list price.",
    )  # fmt: skip
    discount: Mapped[Decimal] = field(label="Discount in %", default=Decimal(0), in_list=True)
    total: Mapped[Decimal] = field(
        label="Total", kind="money", currency="currency", default=Decimal(0), readonly=True, in_list=True
    )
    regular: Mapped[Decimal] = field(
        label="Regular total", kind="money", currency="currency", default=Decimal(0), readonly=True,
        help="What it would be without any discount, at the price of the price book or list.",
    )  # fmt: skip
    unit_cost: Mapped[Decimal | None] = field(
        label="Unit cost", kind="money", currency="currency",
        help="Left empty, it is the product’s, if that is in the same currency.",
    )  # fmt: skip
    cost: Mapped[Decimal] = field(label="Cost", kind="money", currency="currency", default=Decimal(0), readonly=True)
    currency: Mapped[str] = field(label="Currency", default="", readonly=True)
    position: Mapped[int] = field(label="Position", default=0)

    def complete(self, session: Session) -> None:
        """Take the currency from the parent; words, price and cost from the product."""
        parent = self.parent(session)
        if parent is None:
            return
        line: Any = self
        line._closed = not parent.is_open
        self.currency = parent.currency
        product = session.get(Product, self.product_id) if self.product_id else None
        usual: Decimal | None = None
        if product is not None:
            self.description = self.description or product.name
            usual = find_price(
                session, product, self.quantity, price_book_id=parent.price_book_id, on=utcnow().date(),
                currency=self.currency,
            )  # fmt: skip
            if self.unit_cost is None and product.currency == self.currency:
                self.unit_cost = product.cost
        if self.price is None:
            self.price = usual
        self.regular = cents(max(usual or Decimal(0), self.price or Decimal(0)) * self.quantity)

    def prepare(self) -> None:
        """Quantity times price, less the discount, to the cent; and quantity times cost."""
        self.total = cents((self.price or Decimal(0)) * self.quantity * (100 - self.discount) / 100)
        self.cost = cents((self.unit_cost or Decimal(0)) * self.quantity)

    def validate(self) -> Sequence[Problem]:
        """A line is about something, its figures make sense, and its parent is still being written."""
        problems = [*not_negative("price", self.price), *not_negative("unit_cost", self.unit_cost)]
        if not self.description:
            problems.append(Problem("description", _("is missing. Name a product, or describe what is offered.")))
        if self.price is None:
            problems.append(Problem("price", _("is missing: neither price book nor product has one in this currency.")))
        if self.quantity <= 0:
            problems.append(Problem("quantity", _("must be more than 0.")))
        if not 0 <= self.discount <= 100:
            problems.append(Problem("discount", _("must be between 0 and 100.")))
        state: Any = inspect(self)
        if state.persistent and state.attrs[self.PARENT].history.deleted:
            problems.append(Problem(self.PARENT, _("cannot change. Add the line to the other one instead.")))
        if vars(self).pop("_closed", False):
            problems.append(Problem(self.PARENT, _("is not a draft any more, so its lines stay as they are.")))
        return problems

    def parent(self, session: Session) -> Any:
        """The quote or order it belongs to."""
        raise NotImplementedError


def cents(amount: Decimal) -> Decimal:
    """To the cent."""
    return amount.quantize(CENT)


def add_up(session: Session, parent: Any, line: Any, ids: Iterable[UUID]) -> None:
    """Let parents be the total of their lines. Lines of what is no draft any more are not taken away."""
    link = getattr(line, line.PARENT)
    rows = session.execute(
        select(link, func.sum(line.total), func.sum(line.regular), func.sum(line.cost), func.count())
        .where(link.in_(list(ids)), line.archived_at.is_(None))
        .group_by(link)
    )
    sums = {row[0]: row[1:] for row in rows}
    for each in session.scalars(select(parent).where(parent.id.in_(list(ids)))):
        total, regular, cost, _count = sums.get(each.id, (Decimal(0), Decimal(0), Decimal(0), 0))
        total, regular, cost = (cents(Decimal(amount)) for amount in (total, regular, cost))
        if (each.total, each.regular, each.cost) == (total, regular, cost):
            continue
        if not each.is_open:
            raise Invalid(Problem(line.PARENT, _("is not a draft any more, so its lines stay as they are.")))
        each.total, each.regular, each.cost = total, regular, cost


def copied(line: Any) -> dict[str, Any]:
    """What a copy of a line begins with; those of opportunities know no cost."""
    names = ("product_id", "description", "quantity", "price", "discount", "position", "unit_cost")
    return {name: getattr(line, name) for name in names if hasattr(line, name)}
