"""When somebody leaves: everything they look after goes to others, and nothing is left behind."""

from __future__ import annotations

from typing import Any

import pytest
from rapport_email import Mail
from rapport_strategy import Handover, begin
from rapport_strategy.handover import ENDS, UNDO_JOB, counted, shares

from rapport import Actor, Customer, Interaction, Invalid, Task, User, column_of, enqueue_job, utcnow, uuid7
from rapport.plugins import discover
from rapport.testing.values import Examples

from .conftest import Strategy


def hand_over(story: Any, who: Actor, **how: Any) -> Handover:
    """Do it, and let the worker work."""
    with story.app.site.write(story.app.admin) as unit:
        made = begin(unit, unit.get(User, who.id), **how)
    story.app.settle()
    done: Handover = story.again(made)
    return done


def test_all_of_it_goes_to_one_person_and_the_account_ends(strategy: Any):
    leo, mia = strategy.app.user("Leo Leaver"), strategy.app.user("Mia Member")
    customers = [strategy.make(Customer, by=leo, name=f"Customer {number}") for number in range(5)]
    open_ = strategy.make(Task, by=leo, title="Call back", customer_id=customers[0].id)
    done = strategy.make(Task, by=leo, title="Called", done_at=utcnow().isoformat())
    client, browser = strategy.app.api(leo), strategy.app.browser(leo)
    assert client.get("/api/v1/customer").status_code == 200
    page = strategy.app.browser().get(f"/strategy/handover/{leo.id}").get_data(as_text=True)
    assert "Customers" in page

    it = hand_over(strategy, leo, successor=mia.id)

    assert (it.state, it.moved, it.total, it.left) == ("done", 6, 6, [])
    assert {each.owner_id for each in strategy.all(Customer)} == {mia.id}
    assert strategy.again(open_).owner_id == mia.id
    assert strategy.again(done).owner_id == leo.id  # who did it is history
    with strategy.app.site.read(strategy.app.admin) as reader:
        assert not reader.get(User, leo.id).active
    strategy.app.site.forget_actors()
    assert client.get("/api/v1/customer").status_code == 401
    assert browser.get("/customer").status_code == 302  # to the sign-in
    page = strategy.app.browser().get(f"/strategy/handover/{leo.id}").get_data(as_text=True)
    assert "Nothing is left behind" in page
    log = strategy.app.browser().get("/admin/audit?entity=customer").get_data(as_text=True)
    assert "Mia Member" in log


def test_it_can_be_taken_back_but_for_what_changed_since(strategy: Any):
    leo, mia, noa = (strategy.app.user(name) for name in ("Leo Leaver", "Mia Member", "Noa New"))
    first, second = (strategy.make(Customer, by=leo, name=name) for name in ("Ada", "Bob"))
    it = hand_over(strategy, leo, successor=mia.id)
    strategy.change(second, owner_id=str(noa.id))
    with strategy.app.site.write(strategy.app.admin) as unit:
        enqueue_job(unit.session.connection(), UNDO_JOB, {"handover": str(it.id)}, actor=strategy.app.admin)
    strategy.app.settle()
    assert strategy.again(first).owner_id == leo.id
    assert strategy.again(second).owner_id == noa.id
    back = strategy.again(it)
    assert (back.state, back.moved) == ("undone", 2)
    assert "Owner was changed since" in " ".join(back.left)


def test_a_team_shares_it_evenly_and_a_customer_keeps_one_person_for_all_of_theirs(strategy: Any):
    team = strategy.app.team("South")
    leo = strategy.app.user("Leo Leaver", teams=[team])
    two = {strategy.app.user(name, teams=[team]).id for name in ("Mia Member", "Noa New")}
    for number in range(6):
        customer = strategy.make(Customer, by=leo, name=f"Customer {number}")
        strategy.make(Task, by=leo, title="Call", customer_id=customer.id)
        strategy.make(Task, by=leo, title="Write", customer_id=customer.id)
    hand_over(strategy, leo, rule="team", team=team.id)
    owners = {each.id: each.owner_id for each in strategy.all(Customer)}
    assert sorted(list(owners.values()).count(each) for each in two) == [3, 3]
    assert all(task.owner_id == owners[task.customer_id] for task in strategy.all(Task))


def test_one_kind_may_go_to_somebody_else(strategy: Any):
    leo, mia, noa = (strategy.app.user(name) for name in ("Leo Leaver", "Mia Member", "Noa New"))
    strategy.make(Customer, by=leo, name="Ada")
    strategy.make(Task, by=leo, title="Tidy up")
    form = {"rule": "one", "successor_id": str(mia.id), "to:task": str(noa.id)}
    answer = strategy.app.submit(strategy.app.browser(), f"/strategy/handover/{leo.id}", form)
    assert answer.status_code == 302
    strategy.app.settle()
    assert [each.owner_id for each in strategy.all(Customer)] == [mia.id]
    assert [each.owner_id for each in strategy.all(Task)] == [noa.id]


def test_only_administrators_hand_over_and_only_to_somebody_who_works_here(strategy: Any):
    people = strategy.app.actors()
    leo, empty = strategy.app.user("Leo Leaver"), strategy.app.team("Empty")
    assert strategy.app.browser(people.manager).get(f"/strategy/handover/{leo.id}").status_code == 403
    with strategy.app.site.write(strategy.app.admin) as unit:
        unit.update(unit.get(User, people.viewer.id), {"active": False})
        leaver = unit.get(User, leo.id)
        with pytest.raises(Invalid, match="somebody else who works here"):
            begin(unit, leaver, successor=people.viewer.id)
        with pytest.raises(Invalid, match="somebody else who works here"):
            begin(unit, leaver, successor=leo.id)
        with pytest.raises(Invalid, match="Say who gets what is left"):
            begin(unit, leaver)
        with pytest.raises(Invalid, match="a team with somebody else in it"):
            begin(unit, leaver, rule="team", team=empty.id)


def test_on_a_site_with_every_module_nothing_names_the_leaver_any_more(make_app: Any):
    """The test finds its own subjects: every field of every kind of record that may name somebody."""
    every = sorted(name for name, info in discover().items() if "strategy" in name or "rapport-" in info.distribution)
    with make_app(plugins=every) as app:
        story = Strategy(app)
        leo, mia = app.user("Leo Leaver", roles=["manager"]), app.user("Mia Member")
        named = _name_everywhere(story, leo)
        assert len(named) > 25
        with app.site.read(app.admin) as reader:
            seen = {each.share.key for each in counted(reader, leo.id)}
        assert named <= seen | _kept(app.site)

        it = hand_over(story, leo, successor=mia.id)

        assert (it.state, it.left) == ("done", [])
        with app.site.read(app.admin) as reader:
            assert counted(reader, leo.id) == []
            for entity in app.site.entities:
                for each in app.site.meta(entity).references:
                    if each.target != "user" or each.readonly or each.extension:
                        continue
                    key = f"{entity.meta.name}.{each.name}"
                    left = reader.all(entity, column_of(entity, each) == leo.id, entity.archived_at.is_(None))
                    assert key in _kept(app.site) or not left, key


def _kept(site: Any) -> set[str]:
    """What says who did something, not who is to do something; each with its reason in the duties."""
    kept = {each.key for each in shares(site) if each.duty.what == "keep" and not each.field.readonly}
    assert all(each.duty.why for each in shares(site) if each.key in kept)
    assert kept <= {
        "interaction.owner_id", "participant.user_id", "attachment.owner_id", "membership.user_id",
        "user_role.user_id", "token.user_id", "sales.quota.user_id", "callcenter.call.agent_id",
        "marketing.asset_version.owner_id",
    }, kept  # fmt: skip
    return kept


def _name_everywhere(story: Any, who: Actor) -> set[str]:
    """One record for each field of any kind that may name somebody, where such a record can be made at all."""
    app, examples, named = story.app, Examples(), set()
    with app.site.write(app.admin) as unit:  # an alert watches a figure, not a list
        figure = examples.make(unit, app.site.entities["dashboards.card"], shape="figure")
    examples._parents["dashboards.card"] = figure.id
    for share in shares(app.site):
        if share.duty.what == "keep":
            continue
        with app.site.write(app.admin) as unit:
            facts = {**_begun(share.entity), share.field.name: str(who.id)}
            needed = [each for each in share.entity.meta.fields.values() if each.readonly and each.required]
            if needed:  # made by its module, not by people
                given = {each.name: uuid7() if each.kind == "id" else "word" for each in needed}
                record: Any = share.entity(**{share.field.name: who.id}, **given)
                unit.session.add(record)
            else:
                record = examples.make(unit, share.entity, **facts)
            if share.entity is Interaction:  # one that waits for an answer: others are history
                unit.create(Mail, {"interaction_id": record.id, "open": True})
        examples._parents[share.entity.meta.name] = record.id  # what is part of it is part of this one
        assert getattr(record, share.field.name) == who.id, share.key
        named.add(share.key)
    return named


def _begun(entity: Any) -> dict[str, Any]:
    """What makes a record one that is still to be looked after: not done, and in the first of its states."""
    known = {name: entity.meta.fields[name] for name in entity.meta.fields}
    ends = {name: None for name in ENDS if name in known and not known[name].readonly}
    states = {name: known[name].choices[0].value for name in ("status", "state")
              if name in known and known[name].choices and not known[name].readonly}  # fmt: skip
    return {**ends, **states, **FITTING.get(entity.meta.name, {})}


FITTING = {
    "calendar.appointment": {"starts_at": "2099-01-01T10:00:00Z", "ends_at": None, "starts_on": None, "ends_on": None,
                             "all_day": False, "rule": "", "zone": "UTC"},
    "dashboards.dashboard": {"shared": "nobody"},
    "webhook": {"url": "https://example.com/hook", "events": ["*"]},
    "inbound_hook": {"makes": "customer", "mapping": "name = customer.name"},
}  # fmt: skip
"""What rules of their own ask of a record that any value would not meet."""
