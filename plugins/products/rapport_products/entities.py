"""What the business sells: products, price books, and the prices in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, Session

from rapport import Entity, Problem, field, known_currency, not_negative, ref, setting_of
from rapport import gettext as _

CATALOGUE = {"manager": "read create update delete export import", "member": "read export", "viewer": "read"}
CURRENCY_HELP = "The ISO 4217 code, such as EUR. Left empty, it is the currency of prices."


class Product(Entity, name="products.product", title="Product", icon="package", roles=CATALOGUE, display="name"):
    """Something the business sells."""

    name: Mapped[str] = field(label="Name", searchable=True, in_list=True, indexed=True, aliases=["product"])
    code: Mapped[str | None] = field(
        label="Code", unique=True, searchable=True, in_list=True, aliases=["sku", "product_code", "article"]
    )
    family: Mapped[str] = field(
        label="Family", default="", indexed=True, in_list=True, aliases=["series", "category"],
        help="Products of a kind, for lists and statistics.",
    )  # fmt: skip
    price: Mapped[Decimal | None] = field(
        label="List price", kind="money", currency="currency", in_list=True, section="Price",
        aliases=["sales_price", "list_price", "unit_price"], help="What it costs where no price book says otherwise.",
    )  # fmt: skip
    cost: Mapped[Decimal | None] = field(
        label="Unit cost", kind="money", currency="currency", section="Price", aliases=["unit_cost", "cost_price"],
        help="What one costs us to make or buy. Gross profit is what it sells for, less this.",
    )  # fmt: skip
    currency: Mapped[str] = field(label="Currency", default="", max_length=3, section="Price", help=CURRENCY_HELP)
    unit: Mapped[str] = field(label="Unit", default="", section="Price", help="Piece, hour, metre …")
    active: Mapped[bool] = field(label="On sale", default=True, in_list=True)
    description: Mapped[str] = field(label="Description", kind="longtext", default="", searchable=True)

    def complete(self, session: Session) -> None:
        """A price is in some currency."""
        self.currency = tidy_currency(session, self.currency)

    def validate(self) -> Sequence[Problem]:
        """Nothing costs less than nothing."""
        return [
            *not_negative("price", self.price),
            *not_negative("cost", self.cost),
            *known_currency(self.currency),
        ]


class PriceBook(Entity, name="products.price_book", title="Price book", icon="book-2", roles=CATALOGUE, display="name"):
    """The prices of a time, a market or a kind of customer, in one currency."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    currency: Mapped[str] = field(label="Currency", default="", max_length=3, in_list=True, help=CURRENCY_HELP)
    valid_from: Mapped[dt.date | None] = field(label="Valid from", in_list=True, help="Left empty: always was.")
    valid_to: Mapped[dt.date | None] = field(label="Valid to", in_list=True, help="The last day. Left empty: open end.")
    active: Mapped[bool] = field(label="In use", default=True, in_list=True)

    def complete(self, session: Session) -> None:
        """Prices are in some currency."""
        self.currency = tidy_currency(session, self.currency)

    def validate(self) -> Sequence[Problem]:
        """A price book does not end before it begins."""
        problems = known_currency(self.currency)
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            problems.append(Problem("valid_to", _("is before the first day.")))
        return problems


class Price(Entity, name="products.price", title="Price", icon="tag", roles=CATALOGUE, listed=False, display="price"):
    """What a product costs in a price book, from a quantity on."""

    __table_args__ = (UniqueConstraint("price_book_id", "product_id", "min_quantity"),)

    price_book_id: Mapped[UUID] = ref("products.price_book", label="Price book", in_list=True)
    product_id: Mapped[UUID] = ref("products.product", label="Product", in_list=True)
    price: Mapped[Decimal] = field(label="Price", kind="money", currency="currency", in_list=True)
    currency: Mapped[str] = field(label="Currency", default="", readonly=True)
    min_quantity: Mapped[Decimal] = field(
        label="From quantity", default=Decimal(1), in_list=True, help="The price counts from this quantity on."
    )

    def complete(self, session: Session) -> None:
        """Its currency is that of the book."""
        book = session.get(PriceBook, self.price_book_id)
        self.currency = book.currency if book is not None else ""

    def validate(self) -> Sequence[Problem]:
        """Nothing costs less than nothing."""
        return [*not_negative("price", self.price), *not_negative("min_quantity", self.min_quantity)]


# Rules that all who deal in money share ------------------------------------------------------------------------------


def tidy_currency(session: Session, currency: str | None) -> str:
    """The code in capitals; the currency of prices, else of the business, where none is given."""
    given = (currency or "").strip().upper()
    return given or str(setting_of(session, "products.currency") or setting_of(session, "core.currency"))
