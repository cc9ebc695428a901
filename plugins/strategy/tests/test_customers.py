"""What customers bring, by which way they come, what one costs, and who stays."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from rapport_marketing import Campaign, Cost, Response, Sale
from rapport_strategy import Spending, Tenth
from rapport_strategy.acquisition import ways
from rapport_strategy.worth import by_tenth, decision_for, tenths
from rapport_warehouse import refresh

from rapport import Customer, Interaction

from .conftest import Strategy

D = Decimal


def test_ten_groups_of_equal_size_those_who_bring_most_first():
    profits: dict[UUID, Decimal] = {uuid4(): D(100 - number) for number in range(25)}
    places = tenths(profits)
    sizes = [list(places.values()).count(tenth) for tenth in range(1, 11)]
    assert sizes == [3, 2, 3, 2, 3, 2, 3, 2, 3, 2]
    order = sorted(profits, key=lambda each: -profits[each])
    assert [places[each] for each in order] == sorted(places.values())
    assert tenths({}) == {}
    assert [decision_for(*each, 2) for each in ((1, D(5)), (2, D(5)), (3, D(5)), (1, D(0)), (9, D(-1)))] == [
        "invest", "invest", "manage", "manage", "divest",
    ]  # fmt: skip


def test_by_measures_each_customer_gets_a_tenth_and_a_decision_to_filter_by(strategy: Any):
    strategy.setting("strategy.profit_measures", "core.interactions -core.tasks")
    people = [strategy.make(Customer, name=f"Customer {number:02}") for number in range(10)]
    for number, customer in enumerate(people):
        for _each in range(10 - number):
            strategy.make(Interaction, customer_id=customer.id, kind="note", subject="Note")
    refresh(strategy.app.site)
    strategy.run("strategy.decide")
    found = strategy.app.client.get("/api/v1/customer?fields=name,strategy_tenth,strategy_decision&sort=name")
    rows = found.get_json()["items"]
    assert [each["strategy_tenth"] for each in rows] == list(range(1, 11))
    assert [each["strategy_decision"] for each in rows] == ["invest", "invest"] + ["manage"] * 8
    best = strategy.app.client.get("/api/v1/customer", query_string={"filter": 'strategy_decision = "invest"'})
    assert len(best.get_json()["items"]) == 2
    strategy.run("strategy.decide")  # what did not change is not written
    assert {each.version for each in strategy.all(Tenth)} == {1}
    page = strategy.app.browser().get("/strategy/customers").get_data(as_text=True)
    assert "Invest · 1" in page


def test_with_marketing_its_decision_stands_and_there_is_no_second_one(make_app: Any):
    with make_app(plugins=["strategy", "marketing"]) as app:
        story = Strategy(app)
        campaign = story.make(Campaign, name="Skimmer")
        rich, poor = (app.create_customer(name=name) for name in ("Rich", "Poor"))
        for who, profit in ((rich, 1200), (poor, -20)):
            story.make(Sale, campaign_id=campaign.id, customer_id=who.id, revenue="2000", profit=profit)
        story.run("marketing.decide")
        story.run("strategy.decide")
        assert sorted((each.tenth, each.decision, each.profit) for each in story.all(Tenth)) == [
            (1, None, None), (6, None, None),
        ]  # fmt: skip
        with app.site.read(app.admin) as reader:
            rows = by_tenth(reader)
        assert [(row.tenth, row.profit, row.decisions) for row in rows] == [
            (1, D(1200), {"invest": 1}), (6, D(-20), {"divest": 1}),
        ]  # fmt: skip
        assert "/marketing.strategy" in app.browser().get("/strategy/customers").get_data(as_text=True)


def test_what_a_new_customer_costs_and_who_stays_by_the_way_they_came(strategy: Any, clock: Any):
    # Two years ago, nearly: four by the fair, two by friends. A year later two and two of them are heard of again.
    first = [strategy.make(Customer, name=f"Fair {number}", source="Fair") for number in range(4)]
    friends = [strategy.make(Customer, name=f"Friend {number}", source="Friends") for number in range(2)]
    clock.forward(days=500)
    for customer in (*first[:2], *friends):
        strategy.make(Interaction, customer_id=customer.id, kind="note", subject="Still here")
    for number in range(5):
        strategy.make(Customer, name=f"New {number}", source="Fair")
    with strategy.app.site.read(strategy.app.admin) as reader:
        today = reader.today()
    # 100 days, of which the last 50 fall into the time looked at: half of 2,000.
    strategy.make(Spending, source="Fair", amount="2000", from_on=(today - dt.timedelta(days=99)).isoformat(),
                  until_on=today.isoformat())  # fmt: skip
    strategy.make(Spending, source="Fair", amount="9", currency="CHF", from_on=today.isoformat(),
                  until_on=today.isoformat())  # fmt: skip
    with strategy.app.site.read(strategy.app.admin) as reader:
        found = ways(reader, today - dt.timedelta(days=49), today)
    by_name = {way.name: way for way in found.sources}
    fair, friend = by_name["Fair"], by_name["Friends"]
    assert (fair.customers, fair.cost, fair.each) == (5, D(1000), D(200))
    assert (fair.before, fair.stayed, fair.lost, fair.retention) == (4, 2, 2, 0.5)
    assert (friend.customers, friend.cost, friend.retention) == (0, None, 1.0)
    assert (found.all.each, found.all.retention) == (D(200), 4 / 6)
    page = strategy.app.browser().get("/strategy/acquisition").get_data(as_text=True)
    assert "Fair" in page
    assert "€400.00" in page  # over a year, all of the 2,000 counts


def test_campaigns_tell_what_they_cost_and_whom_they_won(make_app: Any):
    with make_app(plugins=["strategy", "marketing"]) as app:
        story = Strategy(app)
        campaign = story.make(Campaign, name="Skimmer")
        story.make(Cost, campaign_id=campaign.id, amount="300", kind="other")
        for number in range(3):
            customer = app.create_customer(name=f"Customer {number}")
            story.make(Response, campaign_id=campaign.id, customer_id=customer.id)
        with app.site.read(app.admin) as reader:
            (way,) = ways(reader, reader.today() - dt.timedelta(days=30), reader.today()).campaigns
        assert (way.name, way.customers, way.each) == ("Skimmer", 3, D(100))
        viewer = app.actors().viewer
        assert app.browser(viewer).get("/strategy/acquisition").status_code == 200
