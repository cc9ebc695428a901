"""Who works with what, how soon, how good the records are; and a rollout with its targets."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from rapport_strategy import Activity, Rollout
from rapport_strategy.adoption import JOB, curves, people_in_reach, quality, target_on, teams_of, use_of

from rapport import Customer, Invalid, Task, Team


def use_it(story: Any, who: Any, records: int, name: str = "Customer") -> None:
    """Somebody makes so many records, as from the web."""
    for number in range(records):
        story.make(Customer, by=who, name=f"{name} {number} of {who.name}")


def test_what_people_change_is_counted_once_for_each_day_and_module(strategy: Any, clock: Any):
    mia, noa = strategy.app.user("Mia Member"), strategy.app.user("Noa New")
    use_it(strategy, mia, 6)
    strategy.run(JOB)
    strategy.run(JOB)  # counting again changes nothing
    clock.forward(days=1)
    use_it(strategy, mia, 2, "Later")
    strategy.make(Customer, by=noa.through("import"), name="From a list")  # an import is nobody's use
    strategy.run(JOB)
    rows = strategy.all(Activity, Activity.user_id == mia.id)
    assert [(each.module, each.actions, each.made) for each in rows] == [("core", 6, 6), ("core", 2, 2)]
    assert strategy.all(Activity, Activity.user_id == noa.id) == []


def test_active_is_who_did_enough_in_seven_days_and_how_soon_is_told(strategy: Any, clock: Any):
    team = strategy.app.team("North")
    mia, noa = (strategy.app.user(name, teams=[team]) for name in ("Mia Member", "Noa New"))
    clock.forward(days=3)
    use_it(strategy, mia, 5)
    use_it(strategy, noa, 4)
    customer = strategy.all(Customer, Customer.owner_id == mia.id)[0]
    strategy.make(Task, by=mia, title="Call", customer_id=customer.id)
    strategy.run(JOB)
    with strategy.app.site.read(strategy.app.admin) as reader:
        uses = {each.name: each for each in use_of(reader, people_in_reach(reader))}
        north = next(each for each in teams_of(reader, list(uses.values())) if each.name == "North")
    assert (uses["Mia Member"].active, uses["Noa New"].active) == (True, False)
    assert uses["Mia Member"].first_after == 3
    assert (uses["Mia Member"].customers, uses["Mia Member"].with_next) == (5, 1)
    assert (north.active_share, north.customers, north.with_next) == (0.5, 9, 1)
    clock.forward(days=8)
    with strategy.app.site.read(strategy.app.admin) as reader:
        assert not any(each.active for each in use_of(reader, people_in_reach(reader)))


def test_people_see_their_own_figures_managers_their_teams_and_nobody_else_ranks(strategy: Any):
    people = strategy.app.actors()  # a manager and a member in the North, a stranger in the South
    use_it(strategy, people.member, 5)
    use_it(strategy, people.stranger, 7)
    strategy.run(JOB)

    def seen(who: Any) -> set[str]:
        with strategy.app.site.read(who) as reader:
            return set(people_in_reach(reader).values())

    assert seen(people.member) == {"Mo Member"}
    assert seen(people.manager) == {"Mo Member", "Mona Manager", "Vera Viewer"}
    assert "Sam Stranger" in seen(people.admin)
    own = strategy.app.browser(people.member).get("/strategy/adoption").get_data(as_text=True)
    assert "Your own figures" in own
    assert "Sam Stranger" not in own
    assert "Mona Manager" not in own
    assert "Sam Stranger" not in strategy.app.browser(people.manager).get("/strategy/adoption").get_data(as_text=True)
    assert "Sam Stranger" in strategy.app.browser().get("/strategy/adoption").get_data(as_text=True)
    assert strategy.app.api(people.manager).get("/api/v1/strategy.activity").status_code == 403


def test_how_complete_customers_are(strategy: Any):
    ada = strategy.make(Customer, name="Ada", email="ada@example.com", phone="+12015550001", address={"city": "Rome"})
    strategy.make(Customer, name="Ada L.", email="ada@example.com")
    strategy.make(Customer, name="Bob", phone="+12015550002")
    strategy.make(Customer, name="bob", phone="+12015550002")
    strategy.make(Task, title="Call", customer_id=ada.id)
    strategy.make(Task, title="Called", customer_id=ada.id, done_at="2026-01-01T10:00:00Z")
    with strategy.app.site.read(strategy.app.admin) as reader:
        found = quality(reader)
    assert (found.customers, found.email, found.phone, found.address) == (4, 2, 3, 1)
    assert (found.owner, found.next_step, found.double, found.stale) == (4, 1, 2, 0)


def test_a_rollout_is_on_its_way_or_behind(strategy: Any, clock: Any):
    team: Team = strategy.app.team("North")
    people = [strategy.app.user(f"Seller {number}", teams=[team]) for number in range(4)]
    with strategy.app.site.read(strategy.app.admin) as reader:
        today = reader.today()
    it = strategy.make(Rollout, title="Sales first", module="core", team_id=team.id, starts_on=today,
                       champion_id=people[0].id)  # fmt: skip
    for week in range(2):
        for person in people[: week + 2]:  # two in the first week, three in the second
            use_it(strategy, person, 5, f"Week {week}")
        clock.forward(days=7)
    strategy.run(JOB)
    with strategy.app.site.read(people[3]) as reader:  # the share of the team is no secret
        (curve,) = curves(reader, [reader.get(Rollout, it.id)])
    measured, targets = (each["data"] for each in curve.chart["series"])
    assert measured[:2] == [0.5, 0.75]
    assert curve.state == "on_track"
    assert curve.champion == "Seller 0"
    assert targets[0] < targets[-1]
    for months, share in ((6, 0.8), (12, 0.95)):
        day = dt.date(today.year + (today.month - 1 + months) // 12, (today.month - 1 + months) % 12 + 1, 1)
        day = min(day + dt.timedelta(days=today.day - 1), day + dt.timedelta(days=27))
        assert target_on(it, day) == pytest.approx(share, abs=0.02)
    clock.forward(days=300)
    with strategy.app.site.read(strategy.app.admin) as reader:
        assert curves(reader, [reader.get(Rollout, it.id)])[0].state == "behind"
    with pytest.raises(Invalid, match="first target"):
        strategy.change(it, then_months=3)
