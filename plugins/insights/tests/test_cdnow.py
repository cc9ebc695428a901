"""2,357 real customers: their figures are the published ones, so are the models', and the models foretell better."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from rapport_insights import Purchases, bgnbd, gamma_gamma, lifetime, purchases_from, rfm
from rapport_insights.summaries import counts_within, summaries

SAMPLES = Path(__file__).parent / "samples"
CUT = dt.date(1997, 9, 30)
"""The papers learn from the purchases until this day, and foretell those of the 39 weeks after it."""


def cdnow() -> Iterator[tuple[int, dt.date, Decimal]]:
    for line in (SAMPLES / "cdnow.txt").read_text("ascii").splitlines():
        _of_all, customer, day, _many, amount = line.split()
        yield int(customer), dt.date(int(day[:4]), int(day[4:6]), int(day[6:])), Decimal(amount)


@pytest.fixture(scope="module")
def purchases() -> Purchases:
    return purchases_from(cdnow())


def test_every_customers_figures_are_the_published_ones(purchases: Purchases) -> None:
    with (SAMPLES / "cdnow_summary.csv").open(encoding="ascii", newline="") as file:
        published = {int(row["ID"]): row for row in csv.DictReader(file)}
    known = summaries(purchases.up_to(CUT))
    assert known.customers == sorted(published)
    assert len(known) == 2357
    for name, found in (("x", known.x), ("t_x", known.t_x), ("T", known.age), ("zbar", known.mean)):
        told = np.array([float(published[each][name]) for each in known.customers])
        # The published figures have two places; one that lies between two of them may have been cut instead of rounded
        assert np.abs(told - found).max() < 0.0051, name


def test_the_parameters_are_the_published_ones(purchases: Purchases) -> None:
    known = summaries(purchases.up_to(CUT))
    rates, amounts = lifetime.learn(known)
    # Fader, Hardie, Lee 2005, table 2: r, alpha, a, b, and the logarithm of the likelihood
    assert (rates.r, rates.alpha, rates.a, rates.b) == pytest.approx((0.243, 4.414, 0.793, 2.426), rel=0.01)
    assert bgnbd.log_likelihood(rates, known.x, known.t_x, known.age) == pytest.approx(-9582.4, abs=0.1)
    # Fader, Hardie 2013, for the 946 customers who came back: p, q, gamma
    assert (amounts.p, amounts.q, amounts.gamma) == pytest.approx((6.25, 3.74, 15.44), rel=0.01)
    paid = known.x > 0
    assert (int(paid.sum()), round(float(lifetime.link(known)), 2)) == (946, 0.11)
    best = gamma_gamma.log_likelihood(amounts, known.x[paid], np.maximum(known.mean[paid], 1e-9))
    for factor in (0.9, 1.1):
        worse = gamma_gamma.Parameters(amounts.p * factor, amounts.q, amounts.gamma)
        assert gamma_gamma.log_likelihood(worse, known.x[paid], np.maximum(known.mean[paid], 1e-9)) < best


def test_a_customer_of_the_papers_is_foretold_as_there(purchases: Purchases) -> None:
    """Fader, Hardie, Lee 2005, page 280: somebody with x = 2, t_x = 30.43, T = 38.86 buys 1.226 times in 39 weeks."""
    rates = bgnbd.Parameters(0.243, 4.414, 0.793, 2.426)
    one = (np.array([2.0]), np.array([30.43]), np.array([38.86]))
    assert bgnbd.expected(rates, *one, 39.0)[0] == pytest.approx(1.226, abs=0.001)
    assert 0.7 < bgnbd.alive(rates, *one)[0] < 0.75
    assert bgnbd.alive(rates, np.array([0.0]), np.array([0.0]), np.array([38.86]))[0] == 1
    # Two who came back once and spent 20 each time, and eight times: the one that is known better is believed more
    amounts = gamma_gamma.Parameters(6.25, 3.74, 15.44)
    seldom, often, never = gamma_gamma.expected(amounts, np.array([1.0, 8.0, 0.0]), np.array([20.0, 20.0, 0.0]))
    of_all = 6.25 * 15.44 / 2.74
    assert never == pytest.approx(of_all)
    assert 20 < often < seldom < never


def test_the_later_purchases_are_foretold_better_than_by_the_pace_so_far(purchases: Purchases) -> None:
    foretold = lifetime.try_out(purchases, CUT)
    errors = lifetime.errors(foretold)
    for name in ("purchases_mae", "purchases_rmse", "money_mae"):
        assert errors[name]["model"] < 0.8 * errors[name]["baseline"], name
    assert errors["purchases_mae"]["model"] < errors["purchases_mae"]["last"]
    assert abs(foretold.model.sum() / foretold.true.sum() - 1) < 0.13  # 1,882 came; the model says 1,654
    assert foretold.pace.sum() / foretold.true.sum() > 1.5
    told = lifetime.groups(foretold)
    assert [each["customers"] for each in told] == [1411, 439, 214, 100, 62, 38, 29, 64]
    assert all(abs(each["told"] - each["true"]) < abs(each["pace"] - each["true"]) for each in told)
    assert "better than" in lifetime._note(foretold)


def test_values_are_what_the_months_ahead_bring_less_the_discount(purchases: Purchases) -> None:
    known = summaries(purchases)
    rates, amounts = lifetime.learn(known)
    _alive, many, plain = lifetime.values(known, rates, amounts, 12, 1.0, 0.0)
    assert plain == pytest.approx(many * lifetime.mean_amounts(amounts, known))
    _alive, _many, half = lifetime.values(known, rates, amounts, 12, 0.5, 0.0)
    assert half == pytest.approx(plain / 2)
    _alive, _many, later = lifetime.values(known, rates, amounts, 12, 1.0, 0.15)
    assert (later < plain).all()
    assert later.sum() > plain.sum() / 1.15


def test_classes_are_those_of_plain_python_and_tell_who_buys_again(purchases: Purchases) -> None:
    placed = {each.customer: each for each in rfm.place(purchases)}
    theirs: dict[int, list[tuple[dt.date, Decimal]]] = {}
    for customer, day, amount in cdnow():
        theirs.setdefault(customer, []).append((day, amount))
    last = dt.date(1998, 6, 30)
    figures = {customer: (-(last - max(day for day, _amount in rows)).days, len({day for day, _amount in rows}),
                          sum(amount for _day, amount in rows)) for customer, rows in theirs.items()}  # fmt: skip
    assert {each: (-one.days, one.often, one.money) for each, one in placed.items()} == figures
    for at, name in enumerate("rfm"):
        values = sorted(each[at] for each in figures.values())
        middle = {value: (2 * values.index(value) + values.count(value)) / 2 for value in set(values)}
        classes = {each: 1 + int(5 * (middle[figure[at]]) // len(values)) for each, figure in figures.items()}
        assert {each: getattr(one, name) for each, one in placed.items()} == classes
    assert rfm.place_by(purchases, rfm.limits_of(list(placed.values()))) == list(placed.values())
    assert sum(rfm.shares(list(placed.values())).values()) == 2357
    told = rfm.try_out(purchases, CUT)["auc"]
    many, _money = counts_within(purchases, CUT, list(range(1, 2358)))
    before = {each.customer: each for each in rfm.place(purchases.up_to(CUT))}
    pairs = [(before[each].r + before[each].f + before[each].m, bool(many[each - 1])) for each in before]
    good, bad = ([score for score, again in pairs if again is which] for which in (True, False))
    wins = sum((one > other) + (one == other) / 2 for one in good for other in bad)
    assert told["model"] == pytest.approx(wins / len(good) / len(bad), abs=1e-4)
    assert told["model"] > told["baseline"] + 0.03 > 0.7
