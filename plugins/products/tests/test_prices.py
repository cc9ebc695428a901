"""What a product costs depends on the book, the quantity and the day."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from rapport_products import Price, PriceBook, Product, catalogue, price_of

from rapport import Invalid
from rapport.testing import TestApp

NEW_YEAR = dt.date(2030, 1, 1)


@pytest.fixture
def shop(make_app: Callable[..., contextlib.AbstractContextManager[TestApp]]) -> Iterator[TestApp]:
    with make_app(plugins=["products"]) as app:
        yield app


def make(app: TestApp, entity: Any, **values: Any) -> Any:
    with app.site.write(app.admin) as unit:
        return unit.create(entity, values)


def test_the_price_follows_book_quantity_and_day(shop):
    panel = make(shop, Product, name="Panel", price="100")
    old = make(shop, PriceBook, name="2029", valid_from="2029-01-01", valid_to="2029-12-31")
    new = make(shop, PriceBook, name="2030", valid_from=NEW_YEAR)
    for book, quantity, price in ((old, 1, 90), (new, 1, 95), (new, 10, 80)):
        make(shop, Price, price_book_id=book.id, product_id=panel.id, min_quantity=quantity, price=price)
    with shop.site.read(shop.admin) as reader:

        def cost(quantity: int, book: PriceBook | None, on: dt.date, **more: Any) -> Decimal | None:
            return price_of(reader, panel, Decimal(quantity), book, on, **more)

        assert cost(1, old, dt.date(2029, 12, 31)) == 90
        assert cost(1, old, NEW_YEAR) == 100  # that book is over: the list price counts
        assert [cost(quantity, new, NEW_YEAR) for quantity in (1, 9, 10, 500)] == [95, 95, 80, 80]
        assert cost(1, None, NEW_YEAR) == 95  # nobody named a book: the newest valid one
        assert cost(1, None, dt.date(2028, 1, 1)) == 100
        assert cost(1, None, NEW_YEAR, currency="ILS") is None


def test_a_book_does_not_end_before_it_begins_and_a_currency_is_one(shop):
    with pytest.raises(Invalid) as refused:
        make(shop, PriceBook, name="X", valid_from="2030-01-02", valid_to="2030-01-01", currency="euros")
    assert {problem.field for problem in refused.value.problems} >= {"currency"}
    with pytest.raises(Invalid, match="valid_to is before the first day"):
        make(shop, PriceBook, name="X", valid_from="2030-01-02", valid_to="2030-01-01")
    with pytest.raises(Invalid, match="cost must not be negative"):
        make(shop, Product, name="Panel", cost="-1")


def test_prices_are_in_the_currency_an_administrator_decided(shop):
    with shop.site.db.write() as connection:
        shop.site.settings.set(connection, "products.currency", "ILS")
    assert make(shop, Product, name="Panel", price="1").currency == "ILS"


def test_the_page_of_a_product_says_what_it_costs_today_and_the_sample_is_made_once(shop):
    with shop.site.write(shop.admin) as unit:
        first = catalogue(unit)
    with shop.site.write(shop.admin) as unit:
        assert [each.id for each in catalogue(unit)] == [each.id for each in first]
    browser = shop.browser(shop.admin)
    page = browser.get(f"/products.product/{first[0].id}").text
    assert "Prices today" in page
    assert "Prices in euros" in page
    assert "Gross profit at the list price" in page
    assert "Heat pump" in browser.get("/products.product?filter=" + "active = true").text
