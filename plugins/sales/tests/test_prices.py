"""What a product costs depends on the book, the quantity and the day."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from rapport_sales import Line, Price, PriceBook, Product, price_of

from rapport import Invalid

NEW_YEAR = dt.date(2030, 1, 1)


def test_the_price_follows_book_quantity_and_day(sales: Any):
    panel = sales.make(Product, name="Panel", price="100")
    old = sales.make(PriceBook, name="2029", valid_from="2029-01-01", valid_to="2029-12-31")
    new = sales.make(PriceBook, name="2030", valid_from=NEW_YEAR)
    for book, quantity, price in ((old, 1, 90), (new, 1, 95), (new, 10, 80)):
        sales.make(Price, price_book_id=book.id, product_id=panel.id, min_quantity=quantity, price=price)
    with sales.app.site.read(sales.app.admin) as reader:

        def cost(quantity: int, book: PriceBook | None, on: dt.date, **more: Any) -> Decimal | None:
            return price_of(reader, panel, Decimal(quantity), book, on, **more)

        assert cost(1, old, dt.date(2029, 12, 31)) == 90
        assert cost(1, old, NEW_YEAR) == 100  # that book is over: the list price counts
        assert [cost(quantity, new, NEW_YEAR) for quantity in (1, 9, 10, 500)] == [95, 95, 80, 80]
        assert cost(1, None, NEW_YEAR) == 95  # nobody named a book: the newest valid one
        assert cost(1, None, dt.date(2028, 1, 1)) == 100
        assert cost(1, None, NEW_YEAR, currency="ILS") is None


def test_a_line_takes_its_price_from_the_book_of_its_opportunity(sales: Any):
    panel = sales.make(Product, name="Panel", price="100")
    book = sales.make(PriceBook, name="Friends")
    sales.make(Price, price_book_id=book.id, product_id=panel.id, min_quantity=5, price="60")
    made = sales.deal(price_book_id=book.id)
    assert sales.make(Line, opportunity_id=made.id, product_id=panel.id, quantity=5).total == 300
    assert sales.make(Line, opportunity_id=made.id, product_id=panel.id, quantity=4).total == 400
    assert sales.make(Line, opportunity_id=made.id, product_id=panel.id, price="1").total == 1


def test_a_book_does_not_end_before_it_begins_and_a_currency_is_one(sales: Any):
    with pytest.raises(Invalid) as refused:
        sales.make(PriceBook, name="X", valid_from="2030-01-02", valid_to="2030-01-01", currency="euros")
    assert {problem.field for problem in refused.value.problems} >= {"currency"}
    with pytest.raises(Invalid, match="valid_to is before the first day"):
        sales.make(PriceBook, name="X", valid_from="2030-01-02", valid_to="2030-01-01")


def test_amounts_are_in_the_currency_an_administrator_decided(sales: Any):
    with sales.app.site.db.write() as connection:
        sales.app.site.settings.set(connection, "sales.currency", "ILS")
    assert sales.make(Product, name="Panel", price="1").currency == "ILS"
    assert sales.deal().currency == "ILS"
    assert sales.deal(currency="usd").currency == "USD"
