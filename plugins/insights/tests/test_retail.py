"""245,903 lines of a real shop: what is wrong in them is treated and counted, the rest is as plain Python has it."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from rapport_insights import Purchases, purchases_from, rfm, survival
from rapport_insights.purchases import RETURNED, UNMATCHED

FOLDER = Path(os.environ.get("RAPPORT_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "data"
LINES = FOLDER / "03_transactions" / "online_retail_2010-12_to_2011-06.csv.gz"
pytestmark = pytest.mark.skipif(not LINES.is_file(), reason="needs Online Retail in ../shared/data/03_transactions")

Line = tuple[str, dt.date, Decimal]


def lines() -> Iterator[dict[str, str]]:
    with gzip.open(LINES, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def treated() -> tuple[list[Line], Counter[str]]:
    """The lines that tell of purchases, and how many of the others there are by reason; each is left out for the first.

    A cancellation (its invoice begins with C) is kept: it takes its amount off the purchases before it.
    """
    told: Counter[str] = Counter()
    seen: set[tuple[str, ...]] = set()
    rows = []
    for line in lines():
        told["lines"] += 1
        key = tuple(line.values())
        amount = int(line["Quantity"]) * Decimal(line["UnitPrice"])
        if key in seen:
            told["duplicates"] += 1
        elif not line["CustomerID"]:
            told["no customer"] += 1
        elif not amount:
            told["no price"] += 1
        elif amount < 0 and not line["InvoiceNo"].startswith("C"):
            told["returns without cancellation"] += 1
        else:
            told["cancelled"] += amount < 0
            rows.append(
                (line["CustomerID"].removesuffix(".0"), dt.date.fromisoformat(line["InvoiceDate"][:10]), amount)
            )
        seen.add(key)
    return rows, told


@pytest.fixture(scope="module")
def shop() -> tuple[Purchases, list[Line], Counter[str]]:
    rows, told = treated()
    return purchases_from(rows, left_out=told), rows, told


def test_every_line_is_kept_or_reported(shop: tuple[Purchases, list[Line], Counter[str]]) -> None:
    purchases, rows, told = shop
    assert told == {"lines": 245903, "duplicates": 2012, "no customer": 68988, "no price": 13, "cancelled": 4224}
    assert len(rows) == 245903 - 2012 - 68988 - 13
    assert purchases.left_out["no customer"] == 68988
    # What came back is taken off; only what came back of earlier purchases than the first line is lost
    kept, net = sum(row[2] for row in purchases.rows), sum(amount for _customer, _day, amount in rows)
    days: dict[tuple[str, dt.date], Decimal] = defaultdict(Decimal)
    for customer, day, amount in rows:
        days[customer, day] += amount
    lost = Decimal(0)
    for each in {customer for customer, _day in days}:  # a balance that falls below nothing has lost so much
        balance = Decimal(0)
        for _day, amount in sorted((day, amount) for (customer, day), amount in days.items() if customer == each):
            lost += max(-(balance + amount), Decimal(0))
            balance = max(balance + amount, Decimal(0))
    assert kept - lost == net
    assert purchases.left_out[RETURNED] == sum(amount <= 0 for amount in days.values())
    assert all(amount > 0 for _customer, _day, amount in purchases.rows)
    assert 0 < purchases.left_out[UNMATCHED] < purchases.left_out[RETURNED]


def test_classes_and_cohorts_are_those_of_plain_python(shop: tuple[Purchases, list[Line], Counter[str]]) -> None:
    purchases, _rows, _told = shop
    placed = rfm.place(purchases)
    theirs: dict[str, list[tuple[dt.date, Decimal]]] = defaultdict(list)
    for customer, day, amount in purchases.rows:
        theirs[customer].append((day, amount))
    assert [(each.customer, each.often, each.money) for each in placed] == [
        (customer, len(days), sum(amount for _day, amount in days)) for customer, days in sorted(theirs.items())
    ]
    assert {each.customer: purchases.until - dt.timedelta(days=each.days) for each in placed} == {
        customer: max(day for day, _amount in days) for customer, days in theirs.items()
    }
    for name in "rfm":
        classes = Counter(getattr(each, name) for each in placed)
        assert set(classes) <= {1, 2, 3, 4, 5}
    money = sorted(each.money for each in placed)
    fifth = len(money) / 5
    assert [sum(each.m == of for each in placed) for of in range(1, 6)] == pytest.approx([fifth] * 5, abs=2)
    best = [each for each in placed if each.segment == "champions"]
    assert sum(each.money for each in best) > sum(money) / 3
    found = survival.cohorts(purchases)
    assert [each.month.isoformat()[:7] for each in found] == [
        "2010-12", "2011-01", "2011-02", "2011-03", "2011-04", "2011-05", "2011-06",
    ]  # fmt: skip
    assert sum(each.size for each in found) == len(theirs)
    for each in found:
        came = [days for days in theirs.values() if min(days)[0].replace(day=1) == each.month]
        assert each.active == tuple(
            sum(any(12 * (day.year - each.month.year) + day.month - each.month.month == later for day, _a in days)
                for days in came)
            for later in range(len(each.active))
        )  # fmt: skip
