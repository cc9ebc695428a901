"""Improvements: heard, decided with a reason, done with a result; and those that came from a customer."""

from __future__ import annotations

from typing import Any

import pytest
from rapport_strategy import Suggestion, Vote

from rapport import Invalid, Task

from .conftest import Strategy


def test_who_can_decide_gets_it_and_who_had_the_idea_hears_of_it(strategy: Any):
    people = strategy.app.actors()
    idea = strategy.make(Suggestion, by=people.member, title="Answer within a day", text="Today it takes three.")
    strategy.app.settle()
    assert (idea.owner_id, idea.made_by_id) == (people.manager.id, people.member.id)
    (task,) = strategy.all(Task)
    assert (task.title, task.owner_id, task.about_id) == ("Decide: Answer within a day", people.manager.id, idea.id)

    assert strategy.do(idea, "vote", by=people.stranger).status_code < 400
    assert strategy.again(idea).votes == 1
    strategy.do(idea, "vote", by=people.stranger)  # once is enough
    assert (strategy.again(idea).votes, len(strategy.all(Vote))) == (1, 1)

    strategy.do(idea, "accept", by=people.member, reason="I like it")
    assert strategy.again(idea).status == "heard"  # who had it does not decide
    strategy.do(idea, "accept", by=people.manager, reason="Customers leave over it")
    strategy.app.settle()
    decided = strategy.again(idea)
    assert (decided.status, decided.reason, decided.decided_by_id) == (
        "accepted", "Customers leave over it", people.manager.id,
    )  # fmt: skip
    assert strategy.again(task).done_at is not None
    strategy.do(idea, "done", by=people.manager, result="A rota for the mailbox")
    strategy.app.settle()
    assert strategy.again(idea).status == "done"
    home = strategy.app.browser(people.member).get("/").get_data(as_text=True)
    assert "A rota for the mailbox" in home


def test_a_decision_says_why_and_a_measure_is_one_there_is(strategy: Any):
    people = strategy.app.actors()
    idea = strategy.make(Suggestion, by=people.member, title="Fewer meetings")
    strategy.do(idea, "refuse", by=people.manager, reason="")
    assert strategy.again(idea).status == "heard"
    strategy.do(idea, "refuse", by=people.manager, reason="There are three a year")
    assert strategy.again(idea).status == "refused"
    with pytest.raises(Invalid, match="is no measure of this site"):
        strategy.make(Suggestion, title="More", measure="sales.none")


def test_the_settings_may_name_who_decides(strategy: Any):
    boss = strategy.app.user("Bea Boss", roles=["manager"])
    strategy.app.actors()
    strategy.setting("strategy.decider", boss.email)
    assert strategy.make(Suggestion, by=strategy.app.actors().member, title="Idea").owner_id == boss.id


def test_what_a_customer_suggested_to_service_comes_back_with_its_result(make_app: Any):
    from rapport_service import Suggestion as Heard

    with make_app(plugins=["strategy", "service"]) as app:
        story = Strategy(app)
        manager = app.actors().manager
        ada = app.create_customer(name="Ada")
        heard = story.make(Heard, title="Ship on Saturdays", about="service", customer_id=ada.id)
        app.settle()
        story.do(heard, "improve", by=manager)
        (idea,) = story.all(Suggestion)
        assert (idea.title, idea.customer_id, story.again(heard).status) == ("Ship on Saturdays", ada.id, "considered")
        story.do(idea, "accept", by=app.admin, reason="Others do")
        app.settle()
        assert story.again(heard).status == "accepted"
        story.do(idea, "done", by=app.admin, result="From May on")
        app.settle()
        assert (story.again(heard).status, story.again(heard).result) == ("done", "From May on")
