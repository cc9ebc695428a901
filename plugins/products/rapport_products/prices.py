"""Prices: what a product costs for this customer's price book, this quantity and this day."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from rapport import Reader
from rapport_products.entities import Price, PriceBook, Product


def price_of(
    reader: Reader, product: Product, quantity: Decimal = Decimal(1), price_book: PriceBook | None = None,
    on: dt.date | None = None, *, currency: str = "",
) -> Decimal | None:  # fmt: skip
    """What one unit costs; None where there is no price in this currency.

    The price book named, else the newest valid one in the currency, decides, with its price for the largest quantity
    reached. Where it is silent or not valid on the day, the product's list price counts.
    """
    wanted = currency or (price_book.currency if price_book is not None else product.currency)
    book_id = price_book.id if price_book is not None else None
    return find_price(
        reader.session, product, quantity, price_book_id=book_id, on=on or reader.today(), currency=wanted
    )


def find_price(
    session: Session, product: Product, quantity: Decimal, *, price_book_id: UUID | None, on: dt.date, currency: str
) -> Decimal | None:
    """`price_of`, for code that has a session only."""
    statement = (
        select(Price.price)
        .join(PriceBook, PriceBook.id == Price.price_book_id)
        .where(
            Price.product_id == product.id, Price.min_quantity <= quantity, Price.archived_at.is_(None),
            PriceBook.active, PriceBook.archived_at.is_(None), PriceBook.currency == currency,
            or_(PriceBook.valid_from.is_(None), PriceBook.valid_from <= on),
            or_(PriceBook.valid_to.is_(None), PriceBook.valid_to >= on),
        )
        .order_by(PriceBook.valid_from.desc().nulls_last(), PriceBook.id.desc(), Price.min_quantity.desc())
        .limit(1)
    )  # fmt: skip
    if price_book_id is not None:
        statement = statement.where(Price.price_book_id == price_book_id)
    found: Decimal | None = session.scalar(statement)
    if found is not None:
        return found
    return product.price if product.currency == currency else None


@dataclass(frozen=True, slots=True)
class Offer:
    """A price of a product in a price book that is valid on the day."""

    book: str
    currency: str
    min_quantity: Decimal
    price: Decimal


def offers_of(reader: Reader, product: Product, *, limit: int = 12) -> list[Offer]:
    """What a product costs today in every price book that is in use, the newest book first."""
    if not (reader.actor.may("products.price.read") and reader.actor.may("products.price_book.read")):
        return []
    today = reader.today()
    rows = reader.session.execute(
        select(PriceBook.name, PriceBook.currency, Price.min_quantity, Price.price)
        .join(PriceBook, PriceBook.id == Price.price_book_id)
        .where(
            Price.product_id == product.id, Price.archived_at.is_(None), PriceBook.active,
            PriceBook.archived_at.is_(None), or_(PriceBook.valid_from.is_(None), PriceBook.valid_from <= today),
            or_(PriceBook.valid_to.is_(None), PriceBook.valid_to >= today),
        )
        .order_by(PriceBook.valid_from.desc().nulls_last(), PriceBook.id.desc(), Price.min_quantity)
        .limit(limit)
    )  # fmt: skip
    return [Offer(*row) for row in rows]
