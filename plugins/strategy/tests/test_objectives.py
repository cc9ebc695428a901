"""Objectives against their straight line: on figures alone, noted by hand, and measured from the warehouse."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from rapport_strategy import Objective, Reading, Suggestion
from rapport_strategy.objectives import expected, progress_of, state_of
from rapport_warehouse import refresh

from rapport import Customer, Invalid

D, FIRST, LAST = Decimal, dt.date(2026, 1, 1), dt.date(2026, 4, 11)
"""A hundred days."""


def on(days: int) -> dt.date:
    """So many days after the beginning."""
    return FIRST + dt.timedelta(days=days)


@pytest.mark.parametrize(("value", "day", "state"), [
    (D(0), -1, "waiting"), (None, 5, "unknown"), (D(20), 20, "on_track"), (D(19), 20, "behind"),
    (D(100), 20, "reached"), (D(99), 100, "missed"), (D(100), 100, "reached"),
])  # fmt: skip
def test_what_is_to_rise_is_on_track_while_it_is_above_the_line(value: Any, day: int, state: str):
    assert state_of(value, D(0), D(100), FIRST, LAST, on(day)) == state


def test_what_is_to_fall_is_on_track_while_it_is_below_the_line():
    assert expected(D(40), D(20), FIRST, LAST, on(50)) == D(30)
    assert state_of(D(29), D(40), D(20), FIRST, LAST, on(50)) == "on_track"
    assert state_of(D(31), D(40), D(20), FIRST, LAST, on(50)) == "behind"
    assert state_of(D(20), D(40), D(20), FIRST, LAST, on(50)) == "reached"
    assert (progress_of(D(30), D(40), D(20)), progress_of(D(5), D(5), D(5))) == (0.5, None)


def test_the_most_there_may_be_is_reached_only_at_the_end():
    assert state_of(D(5), D(0), D(20), FIRST, LAST, on(50), cap=True) == "on_track"
    assert state_of(D(15), D(0), D(20), FIRST, LAST, on(50), cap=True) == "behind"
    assert state_of(D(20), D(0), D(20), FIRST, LAST, LAST, cap=True) == "reached"
    assert state_of(D(21), D(0), D(20), FIRST, LAST, LAST, cap=True) == "missed"


def test_one_without_a_measure_is_noted_by_hand_and_drawn(strategy: Any):
    it = strategy.make(Objective, title="Know our suppliers", imperative="value", start="0", target="100",
                       from_on=FIRST.isoformat(), until_on=LAST.isoformat())  # fmt: skip
    strategy.make(Reading, objective_id=it.id, on=on(50).isoformat(), value="60")
    strategy.make(Reading, objective_id=it.id, on=on(20).isoformat(), value="10")  # an older one, noted late
    now = strategy.again(it)
    assert (now.value, now.measured_on, now.state) == (D(60), on(50), "on_track")
    for page in ("/strategy", "/strategy/objectives", f"/strategy.objective/{it.id}"):
        shown = strategy.app.browser().get(page).get_data(as_text=True)
        assert "Know our suppliers" in shown
        assert "could not show this" not in shown


def test_it_is_a_measure_and_a_slice_of_this_site(strategy: Any):
    facts = {"title": "More", "imperative": "customers", "target": "5", "from_on": "2026-01-01",
             "until_on": "2026-02-01"}  # fmt: skip
    with pytest.raises(Invalid, match=r"is no measure of this site\. There are: core\."):
        strategy.make(Objective, **facts, measure="core.nothing")
    with pytest.raises(Invalid, match="is no dimension of this site"):
        strategy.make(Objective, **facts, measure="core.new_customers", only={"core.nowhere": ["FR"]})
    with pytest.raises(Invalid, match="before the beginning"):
        strategy.make(Objective, **{**facts, "until_on": "2025-01-01"})


def test_it_is_measured_each_night_as_its_owner_sees_the_figures(strategy: Any, clock: Any):
    people = strategy.app.actors()
    with strategy.app.site.read(strategy.app.admin) as reader:
        today = reader.today()
    facts = {"imperative": "customers", "measure": "core.new_customers", "target": "8",
             "from_on": (today - dt.timedelta(days=9)).isoformat(),
             "until_on": (today + dt.timedelta(days=30)).isoformat()}  # fmt: skip
    it = strategy.make(Objective, by=people.manager, title="Eight more", **facts)
    nobodys = strategy.make(Objective, title="Nobody’s", **facts)
    strategy.change(nobodys, owner_id=None)
    for number in range(3):
        strategy.make(Customer, name=f"Customer {number}")
    refresh(strategy.app.site)
    strategy.run("strategy.measure")
    now = strategy.again(it)
    assert (now.value, now.start, now.measured_on, now.state, now.trouble) == (D(3), D(0), today, "on_track", "")
    assert "Nobody owns it" in strategy.again(nobodys).trouble

    clock.forward(days=5)
    for number in range(5):
        strategy.make(Customer, name=f"Later {number}")
    refresh(strategy.app.site)
    strategy.run("strategy.measure")
    strategy.run("strategy.measure")  # the same day again replaces its reading
    now = strategy.again(it)
    assert (now.value, now.state) == (D(8), "reached")
    readings = strategy.all(Reading, Reading.objective_id == it.id)
    assert [(each.on, each.value) for each in readings] == [(today, D(3)), (today + dt.timedelta(days=5), D(8))]
    assert "could not show" not in strategy.app.browser().get("/strategy").get_data(as_text=True)
    report = strategy.app.api(people.viewer).get(f"/api/v1/strategy.objective/{it.id}").get_json()
    assert (report["value"], report["state"]) == ("8.00", "reached")


def test_an_improvement_has_its_figure_before_and_after(strategy: Any, clock: Any):
    idea = strategy.make(Suggestion, title="Greet newcomers", measure="core.new_customers", days=10)
    strategy.make(Customer, name="Ada")
    clock.forward(days=5)
    strategy.do(idea, "accept", by=strategy.app.admin, reason="Worth a try")
    refresh(strategy.app.site)
    strategy.run("strategy.effects")
    assert (strategy.again(idea).before, strategy.again(idea).after) == (D(1), None)
    strategy.do(idea, "done", by=strategy.app.admin, result="Done")
    clock.forward(days=3)
    for number in range(4):
        strategy.make(Customer, name=f"Customer {number}")
    clock.forward(days=8)
    refresh(strategy.app.site)
    strategy.run("strategy.effects")
    assert (strategy.again(idea).before, strategy.again(idea).after) == (D(1), D(4))
    page = strategy.app.browser().get(f"/strategy.suggestion/{idea.id}").get_data(as_text=True)
    assert "What the figures say" in page
