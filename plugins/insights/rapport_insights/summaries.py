"""Each customer's purchases in a few figures, as arrays to calculate with."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np

from rapport_insights.purchases import Purchases

Array = Any
WEEK = 7.0


@dataclass(frozen=True, slots=True)
class Summaries:
    """One place of each array is one customer. Times are in weeks, as the sources of the models have them."""

    customers: list[Any]
    x: Array
    """On how many days they bought after the first one."""
    t_x: Array
    """From the first purchase to the last."""
    age: Array
    """From the first purchase until the last day that is known of."""
    mean: Array
    """What they spent on each of the days after the first one, on average; 0 where there was none."""
    spent: Array
    """All of it."""

    def __len__(self) -> int:
        return len(self.customers)


def summaries(purchases: Purchases) -> Summaries:
    """The figures of all customers who bought, in the order of the purchases."""
    customers: list[Any] = []
    found: list[tuple[int, int, int, float, float]] = []
    for customer, days in purchases.by_customer():
        customers.append(customer)
        first, last = days[0][0].toordinal(), days[-1][0].toordinal()
        again = sum(float(amount) for _day, amount in days[1:])
        found.append((len(days) - 1, first, last, again, again + float(days[0][1])))
    table = np.array(found, dtype=float).reshape(len(found), 5)
    x, begun, ended, later, spent = table.T
    until = float(purchases.until.toordinal())
    return Summaries(customers, x, (ended - begun) / WEEK, (until - begun) / WEEK, later / np.maximum(x, 1), spent)


def counts_within(purchases: Purchases, since: dt.date, customers: list[Any]) -> tuple[Array, Array]:
    """On how many days each of some customers bought after a day, and for how much."""
    places = {customer: place for place, customer in enumerate(customers)}
    many, money = np.zeros(len(customers)), np.zeros(len(customers))
    for customer, day, amount in purchases.rows:
        if day > since and (place := places.get(customer)) is not None:
            many[place] += 1
            money[place] += float(amount)
    return many, money
