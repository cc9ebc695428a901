"""How long until customers come back or leave: by the sources' formulas, and on real customers."""

from __future__ import annotations

import csv
import datetime as dt
import os
from decimal import Decimal
from pathlib import Path

import pytest
from rapport_insights import purchases_from, survival

from .test_cdnow import cdnow

FOLDER = Path(os.environ.get("RAPPORT_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "data"
TELCO = FOLDER / "04_churn"


def test_the_curve_of_a_textbook_is_as_there() -> None:
    """6-mercaptopurine in acute leukaemia (Freireich and others 1963), the example of most books on survival."""
    times = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    relapse = [True, True, True, False, True, False, True, False, False, True, True, False, False, False, True, True,
               False, False, False, False, False]  # fmt: skip
    steps = survival.survival(times, relapse)
    assert [step.time for step in steps] == [6, 7, 10, 13, 16, 22, 23]
    assert [step.at_risk for step in steps] == [21, 17, 15, 12, 11, 7, 6]
    shares = (0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482)
    assert [step.share for step in steps] == pytest.approx(shares, abs=1e-4)
    # Kalbfleisch, Prentice: the limits by log(-log) of the first step and the last
    assert (steps[0].low, steps[0].high) == pytest.approx((0.6197, 0.9516), abs=1e-4)
    assert (steps[-1].low, steps[-1].high) == pytest.approx((0.1881, 0.6801), abs=1e-4)
    assert survival.share_at(steps, 5) == 1
    assert survival.share_at(steps, 12) == pytest.approx(0.7529, abs=1e-4)
    assert survival.time_at(steps, 0.5) == 23
    assert survival.survival([3, 3], [True, True]) == [survival.Step(3, 2, 2, 0.0, 0.0, 0.0)]


def test_second_purchases_and_cohorts_of_cdnow_are_those_of_plain_python() -> None:
    purchases = purchases_from(cdnow())
    days: dict[int, set[dt.date]] = {}
    for customer, day, _amount in cdnow():
        days.setdefault(customer, set()).add(day)
    times, came = survival.second_purchases(purchases)
    assert (len(times), sum(came)) == (2357, sum(len(each) > 1 for each in days.values()))
    steps = survival.survival(times, came)
    # As long as nobody's time is over, the curve is the plain share
    assert survival.share_at(steps, 90) == pytest.approx(
        1 - sum(came and time <= 90 for time, came in zip(times, came, strict=True)) / 2357
    )
    theirs = {customer: {(day.year, day.month) for day in each} for customer, each in days.items()}
    found = survival.cohorts(purchases)
    assert [(each.month, each.size) for each in found] == [
        (month, sum(min(months) == (month.year, month.month) for months in theirs.values()))
        for month in (dt.date(1997, 1, 1), dt.date(1997, 2, 1), dt.date(1997, 3, 1))
    ]
    assert [len(each.active) for each in found] == [18, 17, 16]
    assert found[1].active[5] == sum(
        min(months) == (1997, 2) and (1997, 7) in months for months in theirs.values()
    )  # fmt: skip
    assert sum(map(sum, (each.active for each in found))) == sum(map(len, theirs.values()))


def test_what_came_back_is_taken_off_the_purchases_before_it() -> None:
    first, second, third = (dt.date(2026, 1, day) for day in (5, 12, 19))
    purchases = purchases_from([
        ("ada", first, Decimal(50)), ("ada", second, Decimal(30)), ("ada", second, Decimal(10)),
        ("ada", third, Decimal(-60)), ("bob", first, Decimal(20)), ("bob", second, Decimal(-20)),
        ("eve", first, Decimal(-5)), ("eve", second, Decimal(7)), ("dan", first, Decimal(0)),
        ("dan", second, Decimal(8)), ("dan", second, Decimal(-8)),
    ])  # fmt: skip
    assert purchases.rows == (("ada", first, Decimal(30)), ("dan", first, Decimal(0)), ("eve", second, Decimal(7)))
    assert purchases.left_out == {"returned": 4, "returned_before": 1}
    assert purchases.until == third


@pytest.mark.skipif(not TELCO.is_dir(), reason="needs the telecom customers in ../shared/data/04_churn")
def test_the_months_until_7043_real_subscribers_leave() -> None:
    (file,) = TELCO.glob("*.csv")
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [(int(row["tenure"]), row["Churn"] == "Yes", row["Contract"]) for row in csv.DictReader(lines)]
    assert (len(rows), sum(left for _months, left, _contract in rows)) == (7043, 1869)
    steps = survival.survival([row[0] for row in rows], [row[1] for row in rows])
    share, variance = 1.0, 0.0
    for step in steps:  # the product, and Greenwood's sum, written out again
        watched = sum(months >= step.time for months, _left, _contract in rows)
        left = sum(left and months == step.time for months, left, _contract in rows)
        share, variance = share * (watched - left) / watched, variance + left / watched / (watched - left)
        assert (step.at_risk, step.happened) == (watched, left)
        assert step.share == pytest.approx(share)
        assert step.low < share < step.high
        # Within so narrow limits, those by log(-log) are the plain ones
        assert step.high - step.low == pytest.approx(2 * survival.NORMAL * share * variance**0.5, rel=0.05)
    monthly, two_years = (
        survival.survival([row[0] for row in rows if row[2] == name], [row[1] for row in rows if row[2] == name])
        for name in ("Month-to-month", "Two year")
    )
    assert survival.share_at(monthly, 24) < 0.6 < 0.99 < survival.share_at(two_years, 24)
