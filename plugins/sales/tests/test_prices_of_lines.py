"""A line of an opportunity takes its price from the price book, and money is in the currency of the house."""

from __future__ import annotations

from typing import Any

from rapport_products import Price, PriceBook, Product
from rapport_sales import Line


def test_a_line_takes_its_price_from_the_book_of_its_opportunity(sales: Any):
    panel = sales.make(Product, name="Panel", price="100")
    book = sales.make(PriceBook, name="Friends")
    sales.make(Price, price_book_id=book.id, product_id=panel.id, min_quantity=5, price="60")
    made = sales.deal(price_book_id=book.id)
    assert sales.make(Line, opportunity_id=made.id, product_id=panel.id, quantity=5).total == 300
    assert sales.make(Line, opportunity_id=made.id, product_id=panel.id, quantity=4).total == 400
    assert sales.make(Line, opportunity_id=made.id, product_id=panel.id, price="1").total == 1


def test_amounts_are_in_the_currency_an_administrator_decided(sales: Any):
    with sales.app.site.db.write() as connection:
        sales.app.site.settings.set(connection, "products.currency", "ILS")
    assert sales.deal().currency == "ILS"
    assert sales.deal(currency="usd").currency == "USD"
