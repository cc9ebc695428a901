"""Models are trained by jobs, kept in versions, and what they say of customers are fields like any other."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rapport_insights import Model, Score
from rapport_insights.kinds import KINDS
from rapport_insights.training import SCORE
from rapport_marketing import Segment, members
from sqlalchemy import select

from rapport import Customer, Invalid, Task
from rapport.access.model import Role
from rapport.workflows import Workflow, WorkflowInstance

from .conftest import Shop


def test_without_purchases_training_fails_in_plain_words(make_app: Any) -> None:
    with make_app(plugins=["insights"]) as app:
        shop = Shop(app)
        shop.train("rfm", "rfm")
        (model,) = shop.all(Model)
        assert (model.state, model.number, model.name) == ("failed", 1, "Recency, frequency, money 1")
        assert model.note.startswith("Nothing on this site tells of purchases. Switch the module sales on")
    with make_app(plugins=["insights", "sales"]) as app:
        shop = Shop(app)
        shop.train("rfm")
        assert shop.all(Model)[-1].note == (
            "There are no purchases yet: nothing is found under “Amount of orders, Amount won”."
        )


def test_what_was_learned_of_customers_filters_sorts_and_shows(shop: Any) -> None:
    shop.usual()
    shop.train("rfm", "lifetime", "retention")
    models = {each.kind: each for each in shop.all(Model)}
    assert {kind: each.state for kind, each in models.items()} == dict.fromkeys(models, "current"), [
        each.note for each in models.values()
    ]
    scores = shop.all(Score)
    assert models["rfm"].scored == models["lifetime"].scored == len(scores) == 150
    best = [each for each in scores if each.rfm_segment == "champions"]
    assert len(best) > 5
    assert len(shop.found('insights_rfm_segment = "champions"')) == len(best)
    assert len(shop.found("insights_alive_chance < 30")) == sum(
        each.alive_chance is not None and each.alive_chance < 30 for each in scores
    )
    asked = {"sort": "-insights_lifetime_value", "fields": "name,insights_lifetime_value", "limit": 3}
    top = shop.app.client.get("/api/v1/customer", query_string=asked).get_json()["items"]
    values = sorted((each.lifetime_value for each in scores), reverse=True)
    assert [Decimal(each["insights_lifetime_value"]) for each in top] == values[:3]
    assert models["lifetime"].errors["purchases_mae"]["model"] > 0
    assert sum(models["rfm"].parameters["segments"].values()) == 150

    shop.train("rfm", job=SCORE)  # nothing has changed, so nothing is written
    assert [each.version for each in shop.all(Score)] == [each.version for each in scores]


def test_pages_tell_what_was_learned_and_only_to_those_who_may_know(shop: Any) -> None:
    actors = shop.app.actors()
    empty = shop.app.browser().get("/insights").get_data(as_text=True)
    assert empty.count("Not trained yet.") == len(KINDS)
    assert "Not worked out yet" in shop.app.browser().get("/insights/retention").get_data(as_text=True)
    people = shop.usual()
    manager = shop.app.browser(actors.manager)
    assert shop.app.submit(manager, "/insights/train/lifetime", {}).status_code == 302
    waiting = manager.get("/insights").get_data(as_text=True)
    assert 'hx-get="/insights/progress/lifetime"' in waiting
    assert "It begins in a moment." in waiting
    shop.app.settle()
    assert "Done." in manager.get("/insights/progress/lifetime").get_data(as_text=True)
    shop.train("rfm", "retention")
    page = manager.get("/insights").get_data(as_text=True)
    assert "Purchases per customer: mean error" in page
    assert "Plain way: at the pace so far" in page
    assert "Champions" in page
    retention = manager.get("/insights/retention").get_data(as_text=True)
    assert "<polyline" in retention
    assert "Half have come back after" in retention
    customer = manager.get(f"/customer/{people[0].id}").get_data(as_text=True)
    assert "What their purchases say" in customer
    assert "In the next 12 months about" in customer
    (model,) = shop.all(Model, Model.kind == "lifetime")
    told = manager.get(f"/insights.model/{model.id}").get_data(as_text=True)
    assert "Foretold and come true" in told
    for text in (page, retention, customer, told):
        assert "could not show this" not in text

    viewer = shop.app.browser(actors.viewer)
    assert "Train now" not in viewer.get("/insights").get_data(as_text=True)
    assert shop.app.submit(viewer, "/insights/train/rfm", {}).status_code == 403
    assert shop.app.submit(manager, "/insights/train/nothing", {}).status_code == 404


def test_whoever_sees_some_customers_only_is_told_nothing_of_the_others(shop: Any) -> None:
    member = shop.app.actors().member
    people = shop.usual()
    shop.train("rfm", "retention")
    with shop.app.site.write(shop.app.admin) as unit:
        unit.create(Role, {"name": "member", "grants": {"customer.read": "own"}})
        unit.update(unit.get(Customer, people[0].id), {"owner_id": str(member.id)})
    shop.app.site.forget_actors()
    limited = shop.app.site.actor(member.id)
    with shop.app.site.read(limited) as reader:
        assert reader.all(Model) == []
        assert reader.session.scalars(select(Score.of_id)).all() == [people[0].id]
    browser = shop.app.browser(limited)
    page = browser.get("/insights").get_data(as_text=True)
    assert "They are shown to those who may see all customers." in page
    assert browser.get("/insights/retention").get_data(as_text=True).count("They are shown to those") == 1


def test_a_former_version_is_kept_and_used_again(shop: Any) -> None:
    shop.usual()
    shop.train("rfm")
    (first,) = shop.all(Model)
    before = {each.of_id: each.rfm_segment for each in shop.all(Score)}
    newcomers = shop.people(60, "Rich")
    shop.orders([(each, 1, 9000) for each in newcomers])
    shop.train("rfm")
    former, second = shop.all(Model)
    assert [(former.state, former.number), (second.state, second.number)] == [("former", 1), ("current", 2)]
    after = {each.of_id: each.rfm_segment for each in shop.all(Score)}
    assert any(after[each] != segment for each, segment in before.items())
    action = shop.app.site.actions["insights.model:use"]
    with shop.app.site.write(shop.app.admin) as unit:
        told = action.run(unit, [unit.get(Model, first.id)], {})
        assert told.startswith("Version 1 is in use again.")
        with pytest.raises(Invalid, match="only a version that was in use before"):
            action.run(unit, [unit.get(Model, first.id)], {})
    shop.app.settle()
    assert [each.state for each in shop.all(Model)] == ["current", "former"]
    assert {each.of_id: each.rfm_segment for each in shop.all(Score) if each.of_id in before} == before


WIN_BACK = """
name: win_back
entity: customer
start: {event: updated, when: 'insights_rfm_segment = "at_risk"'}
initial: calling
states:
  calling:
    entry: [{task: {title: "Call {name}", for: role:admin}}]
    final: true
"""


def test_a_score_that_changes_starts_a_workflow_and_fills_a_segment(make_app: Any, clock: Any) -> None:
    with make_app(plugins=["insights", "sales", "marketing"]) as app:
        shop = Shop(app)
        shop.usual()
        good, *_rest = shop.people(1, "Good")
        shop.orders([(good, days, 400) for days in (300, 200, 150, 100, 60, 5)])
        shop.train("rfm")
        assert shop.found('name = "Good 0000" and insights_rfm_segment = "champions"') == ["Good 0000"]
        with app.site.db.write() as connection:
            app.site.settings.set(connection, "insights.train_days", 0)  # else the night would learn new limits
        with app.site.write(app.admin) as unit:
            segment = unit.create(Segment, {"name": "To win back", "filter": 'insights_rfm_segment = "at_risk"'})
            unit.create(Workflow, {"source": WIN_BACK})
        app.settle()
        clock.forward(days=900)
        shop.train("rfm", job=SCORE)  # by the limits of then: whoever has not bought for so long is at risk
        (score,) = shop.all(Score, Score.of_id == good.id)
        assert score.rfm_segment == "at_risk"
        begun = shop.all(WorkflowInstance, WorkflowInstance.record_id == good.id)
        assert [each.status for each in begun] == ["finished"]
        assert "Call Good 0000" in {each.title for each in shop.all(Task)}
        with app.site.read(app.admin) as reader:
            assert good.id in set(reader.session.scalars(members(reader, reader.get(Segment, segment.id))))
        shop.train("rfm", job=SCORE)
        assert len(shop.all(WorkflowInstance, WorkflowInstance.record_id == good.id)) == 1
