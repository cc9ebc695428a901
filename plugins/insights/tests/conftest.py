"""What the stories of insights have in common."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from rapport_insights.training import ask
from rapport_sales import Order

from rapport import Customer, utcnow
from rapport.testing import TestApp


class Shop:
    """A site with insights and sales, and short ways to tell a story about it."""

    def __init__(self, app: TestApp) -> None:
        self.app = app

    def people(self, count: int, prefix: str = "Person", **values: Any) -> list[Customer]:
        """Some customers, made at once."""
        with self.app.site.write(self.app.admin) as unit:
            made = [unit.build(Customer, {"name": f"{prefix} {number:04}", **values})[0] for number in range(count)]
            unit.insert_many(made)
        return made

    def orders(self, bought: list[tuple[Customer, int, Any]]) -> None:
        """Orders that were placed so many days ago, for so much."""
        today = utcnow().date()
        with self.app.site.write(self.app.admin) as unit:
            made = [
                unit.build(Order, {"customer_id": customer.id, "status": "fulfilled", "total": Decimal(amount),
                                   "currency": "EUR", "ordered_on": today - dt.timedelta(days=days)})[0]
                for customer, days, amount in bought
            ]  # fmt: skip
            unit.insert_many(made)

    def usual(self, count: int = 150, days: int = 700) -> list[Customer]:
        """Customers who buy at rates of their own, until they stop: as in life, and each time the same."""
        chance, people = random.Random(7), self.people(count)
        bought: list[tuple[Customer, int, Any]] = []
        for each in people:
            rate, leaves, mean = chance.gammavariate(0.8, 1 / 40), chance.betavariate(1, 4), chance.uniform(20, 200)
            at = chance.uniform(0, days / 2)
            while at < days:
                bought.append((each, days - int(at), round(chance.uniform(0.5, 1.5) * mean, 2)))
                if chance.random() < leaves and len(bought) > 1:
                    break
                at += chance.expovariate(rate) + 1
        self.orders(bought)
        return people

    def train(self, *kinds: str, job: str = "insights.train") -> None:
        """Have models trained, as the button does."""
        with self.app.site.db.write() as connection:
            for kind in kinds:
                ask(connection, job, kind)
        self.app.settle()

    def all(self, entity: Any, *where: Any) -> list[Any]:
        """Records as they are now, the oldest first."""
        with self.app.site.read(self.app.admin) as reader:
            return list(reader.all(entity, *where))

    def found(self, filter: str) -> list[str]:
        """The names of the customers a filter finds, as above their list."""
        asked = {"filter": filter, "sort": "name", "fields": "name", "limit": 200}
        return [
            each["name"] for each in self.app.client.get("/api/v1/customer", query_string=asked).get_json()["items"]
        ]


@pytest.fixture
def shop(make_app: Callable[..., contextlib.AbstractContextManager[TestApp]]) -> Iterator[Shop]:
    """A shop without customers yet."""
    with make_app(plugins=["insights", "sales"]) as app:
        yield Shop(app)
