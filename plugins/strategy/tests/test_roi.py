"""What the CRM costs and brings, by the formula, against figures worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rapport_strategy import Case, Factor, Part, worked_out
from rapport_strategy.roi import scenarios, success_rate

from rapport import Invalid

D = Decimal
COSTS = {"implementation": D(4), "staff": D(3), "overhead": D("1.5"), "hardware": D("0.5"), "storage": D("0.25"),
         "training": D(2), "upgrades": D("0.75")}  # fmt: skip
"""12 for each customer."""


def test_the_formula_gives_what_paper_and_pencil_give():
    # 1,000 customers cost 12 each: 12,000. Success: 0.2 × 0.5 + 0.5 × 0.4 + 0.3 × 0.8 = 0.54.
    # Each brings 60: 1,000 × 60 × 0.54 = 32,400. ROI: 32,400 − 12,000 = 20,400, which is 1.7 times the cost.
    parts = [Part("Office efficiency", D("0.2"), D("0.5")), Part("Sales growth", D("0.5"), D("0.4")),
             Part("Customer growth", D("0.3"), D("0.8"))]  # fmt: skip
    result = worked_out(1000, D(60), COSTS, parts)
    assert (result.per_customer, result.cost) == (D(12), D(12000))
    assert (result.success, result.returned, result.roi, result.ratio) == (D("0.54"), D(32400), D(20400), D("1.7"))


def test_a_success_below_the_cost_is_a_loss():
    # 12,000 for what brings 1,000 × 20 × 0.3 = 6,000: 6,000 are lost, half of what was spent.
    result = worked_out(1000, D(20), COSTS, [Part("Sales growth", D(1), D("0.3"))])
    assert (result.returned, result.roi, result.ratio) == (D(6000), D(-6000), D("-0.5"))


def test_weights_that_are_not_1_together_are_refused_or_divided_by_their_sum():
    parts = [Part("Sales growth", D("0.5"), D("0.4")), Part("Customer growth", D("0.3"), D("0.8"))]
    rate, wrong, _told = success_rate(parts, "refuse")
    assert rate is None
    assert "add up to 0.8; together they must be 1" in wrong
    rate, wrong, told = success_rate(parts, "share")  # (0.2 + 0.24) / 0.8
    assert (rate, wrong) == (D("0.55"), "")
    assert "add up to 0.8, so each was divided by that" in told
    assert success_rate([Part("Nothing", D(0), D(1))], "share")[0] is None
    assert "Nothing is measured yet of: Win rate" in success_rate([Part("Win rate", D(1), None)], "refuse")[1]


def test_scenarios_stand_side_by_side_with_their_arithmetic(strategy: Any):
    for number in range(3):
        strategy.app.create_customer(name=f"Customer {number}")
    costs = {name: str(cost) for name, cost in COSTS.items()}
    plan = strategy.make(Case, title="Plan", customers=1000, gross_profit="60", **costs)
    now = strategy.make(Case, title="Now", gross_profit="60", staff="1", weights="share")
    for case, weight, success in ((plan, "0.4", "0.5"), (plan, "0.6", "0.25"), (now, "0.5", "0.1")):
        strategy.make(Factor, case_id=case.id, title="Sales growth", weight=weight, success=success)
    with strategy.app.site.read(strategy.app.admin) as reader:
        first, second = scenarios(reader, [plan, now])
    assert (first.result.roi, second.result.customers) == (D(9000), 3)  # 1,000 × 60 × 0.35 − 12,000
    assert (second.result.returned, second.result.roi) == (D("18.0"), D("15.0"))  # 3 × 60 × 0.1, less 3
    assert [step.value for step in first.steps][-2:] == ["€21,000.00", "€9,000.00"]
    browser = strategy.app.browser()
    page = browser.get("/strategy/roi").get_data(as_text=True)
    assert "€9,000.00" in page
    assert "each was divided by that" in page
    assert "€9,000.00" in browser.get(f"/strategy.case/{plan.id}").get_data(as_text=True)
    assert "Plan" in browser.get("/strategy").get_data(as_text=True)


def test_a_factor_is_a_number_or_a_measure_there_is(strategy: Any):
    case = strategy.make(Case, title="Plan", gross_profit="60")
    strategy.make(Factor, case_id=case.id, title="Growth", weight="1")
    with strategy.app.site.read(strategy.app.admin) as reader:
        assert "Nothing is measured yet of: Growth" in scenarios(reader, [case])[0].result.wrong
    with pytest.raises(Invalid, match="is no measure of this site"):
        strategy.make(Factor, case_id=case.id, title="Growth", weight="1", measure="sales.nothing")
    with pytest.raises(Invalid, match="between 0 and 1"):
        strategy.make(Factor, case_id=case.id, title="Growth", weight="40", success="0.4")
