"""Calling a list, told as stories through the pages and the API, each on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
import threading
from typing import Any

import pytest
from rapport_callcenter import Answer, Call, CallList, Disposition, calling, figures

from plugins.callcenter.tests.conftest import Centre
from rapport import Conflict, FrequencyCap, Interaction, QuietHours, Suppression, Task
from rapport.customers.erasing import erase
from rapport.customers.service import merge

SCRIPT = (
    {"key": "hello", "text": "Good morning {{ customer.name }}, this is {{ agent.name }}.",
     "question": "Have you a pool?", "answers": "Yes > offer\nNo > bye"},
    {"key": "wait", "text": "Never said."},
    {"key": "offer", "text": "Our robot cleans it.", "question": "Which colour?"},
    {"key": "bye", "text": "Thank you, and good bye."},
)  # fmt: skip


def shown(browser: Any) -> str:
    return str(browser.get("/callcenter/calling").get_data(as_text=True))


def entry_on(page: str) -> str:
    found = re.search(r"/callcenter/calling/([0-9a-f-]{36})/finish", page)
    assert found is not None, page
    return found[1]


def test_an_agent_calls_one_customer_after_the_other_along_a_script(centre: Any, clock: Any):
    app = centre.app
    ada, _bob, _cleo = centre.people("Ada", "Bob", "Cleo", tags=["pool"])
    centre.people("Dan", agreed=False, tags=["pool"])
    centre.people("Eve")
    script = centre.script("Robots", SCRIPT)
    spring = centre.call_list(campaign="SPRING", filter='tags has "pool"', script_id=str(script.id))
    entries = centre.entries(spring)
    assert {name: each.state for name, each in entries.items()} == {
        "Ada": "new", "Bob": "new", "Cleo": "new", "Dan": "refused"}  # fmt: skip
    assert "have not agreed" in entries["Dan"].reason

    mo = app.user("Mo Member")
    browser = app.browser(mo)
    assert "Spring" in shown(browser)
    app.submit(browser, "/callcenter/calling/next", {"list_id": spring.id})
    page = shown(browser)
    assert "Ada" in page
    assert "Good morning Ada, this is Mo Member." in page
    one = f"/callcenter/calling/{entry_on(page)}"
    interested, none, later = (centre.disposition(name).id for name in ("Interested", "No answer", "Call back"))
    assert app.submit(browser, f"{one}/finish", {"disposition_id": interested}).status_code == 409  # not called yet

    app.submit(browser, f"{one}/dial", {})
    app.submit(browser, f"{one}/answer", {"key": "hello", "answer": "Yes"})
    assert "Our robot cleans it." in shown(browser)
    app.submit(browser, f"{one}/answer", {"key": "offer", "answer": "Green"})
    clock.forward(minutes=3)
    app.submit(browser, f"{one}/finish", {"disposition_id": interested, "note": "Wants one soon"})

    # The next one comes by itself; nobody answers, and they are tried again in four hours.
    page = shown(browser)
    assert "Bob" in page
    one = f"/callcenter/calling/{entry_on(page)}"
    app.submit(browser, f"{one}/dial", {})
    app.submit(browser, f"{one}/finish", {"disposition_id": none})

    # Cleo wants to be called tomorrow, by Mo; without a time that cannot be said.
    page = shown(browser)
    one = f"/callcenter/calling/{entry_on(page)}"
    app.submit(browser, f"{one}/dial", {})
    assert app.submit(browser, f"{one}/finish", {"disposition_id": later}).status_code == 422
    wished = {"disposition_id": later, "call_back_in": "1d", "by_me": "true", "note": "Is on the train"}
    app.submit(browser, f"{one}/finish", wished)
    assert "Start calling" not in shown(browser)
    assert {name: each.state for name, each in centre.entries(spring).items()} == {
        "Ada": "done", "Bob": "again", "Cleo": "call_back", "Dan": "refused"}  # fmt: skip

    # After a day the call-back comes first, but only to Mo; somebody else gets Bob.
    clock.forward(days=1)
    noa = app.browser(app.user("Noa"))
    app.submit(noa, "/callcenter/calling/next", {"list_id": spring.id})
    assert "Bob" in shown(noa)
    app.submit(browser, "/callcenter/calling/next", {"list_id": spring.id})
    page = shown(browser)
    assert "Cleo" in page
    assert "Is on the train" in page

    # What happened is on the timeline, as what it was.
    with app.site.read(app.admin) as reader:
        told = reader.all(Interaction, Interaction.customer_id == ada.id)
        assert [(each.kind, each.direction, each.outcome, each.minutes, each.body) for each in told] == [
            ("call", "out", "Interested", 3, "Wants one soon")]  # fmt: skip
        call = reader.get(Call, told[0].about_id)
        assert (call.talked, call.agent_id, call.result) == (180, mo.id, "success")
        answers = reader.all(Answer, Answer.call_id == call.id, order=Answer.id)
        assert [(each.question, each.answer) for each in answers] == [
            ("Have you a pool?", "Yes"), ("Which colour?", "Green")]  # fmt: skip
        (of_list,) = figures(reader, "list")
        assert (of_list.label, of_list.calls, of_list.spoken, of_list.success) == ("Spring", 3, 2, 1)
        assert [(each.label, each.calls) for each in figures(reader, "agent")] == [("Mo Member", 3)]
    report = browser.get("/reports/callcenter.outgoing?by=list").get_data(as_text=True)
    assert "33.33" in report
    page = app.browser().get(f"/callcenter.call_list/{spring.id}").get_data(as_text=True)
    assert "have not agreed" in page
    assert "could not show this" not in page


def test_who_may_not_be_called_is_not_called_however_late_they_said_so(centre: Any, clock: Any):
    app = centre.app
    ada, bob, cleo, dan = centre.people("Ada", "Bob", "Cleo", "Dan")
    spring = centre.call_list()
    mo = app.user("Mo Member")
    browser = app.browser(mo)
    app.submit(browser, "/callcenter/calling/next", {"list_id": spring.id})
    page = shown(browser)
    # Between taking and dialling, Ada asks for peace: the gate is asked in that moment, and Bob comes instead.
    centre.make(Suppression, customer_id=ada.id, reason="asked")
    centre.make(Suppression, customer_id=bob.id, channel="call", reason="complaint")
    app.submit(browser, f"/callcenter/calling/{entry_on(page)}/dial", {})
    page = shown(browser)
    assert "Cleo" in page
    assert "Do not contact" in page
    with app.site.read(app.admin) as reader:
        assert reader.all(Call) == []
        assert reader.get(CallList, spring.id).refused == 2

    # A wrong number is never dialled again, and who wants to be left alone is.
    app.submit(browser, f"/callcenter/calling/{entry_on(page)}/dial", {})
    app.submit(
        browser,
        f"/callcenter/calling/{entry_on(page)}/finish",
        {"disposition_id": centre.disposition("Wrong number").id},
    )
    page = shown(browser)
    app.submit(browser, f"/callcenter/calling/{entry_on(page)}/dial", {})
    app.submit(
        browser,
        f"/callcenter/calling/{entry_on(page)}/finish",
        {"disposition_id": centre.disposition("Do not call").id},
    )
    again = centre.call_list("Again")
    assert {name: each.state for name, each in centre.entries(again).items()} == dict.fromkeys(
        ("Ada", "Bob", "Cleo", "Dan"), "refused")  # fmt: skip
    with app.site.read(app.admin) as reader:
        kept = reader.all(Suppression, Suppression.reason.in_(("asked", "other")), order=Suppression.id)
        assert [(each.customer_id, bool(each.address)) for each in kept] == [
            (ada.id, False), (cleo.id, True), (dan.id, False)]  # fmt: skip


def test_calls_count_for_caps_and_keep_to_hours_teams_and_attempts(centre: Any, clock: Any):
    app = centre.app
    centre.people("Ada")
    centre.make(Disposition, name="Later today", result="not_reached", retry_after=60, task="Look up the number")
    spring = centre.call_list(most_attempts=2)
    mo = app.user("Mo Member")

    def call() -> str:
        with app.site.write(mo) as unit:
            entry = calling.take_next(unit, unit.get(CallList, spring.id))
            if entry is None:
                return ""
            if calling.dial(unit, entry) is None:
                return str(entry.reason)
            calling.finish(unit, entry, unit.get(Disposition, centre.disposition("Later today").id))
            return str(entry.state)

    assert call() == "again"
    assert call() == ""
    clock.forward(hours=2)
    cap = centre.make(FrequencyCap, name="Once a week", most=1, days=7)
    assert call() == ""
    assert "Once a week" in centre.entries(spring)["Ada"].reason
    with app.site.write(app.admin) as unit:
        unit.archive(unit.get(FrequencyCap, cap.id))
    again = centre.call_list("Second", filter='name = "Ada"', most_attempts=2)
    spring = again
    assert call() == "again"
    clock.forward(hours=2)
    assert call() == "given_up"
    with app.site.read(app.admin) as reader:
        tasks = reader.all(Task)
        assert [each.title for each in tasks] == ["Look up the number"] * 3
        assert {each.due_on for each in tasks} == {clock.now.date() + dt.timedelta(days=1)}

    # By the clock of the business, and only by the team.
    late = centre.call_list("Late", hours_from="18:00", hours_to="20:00")
    team = app.team("Evening")
    theirs = centre.make(CallList, name="Theirs", team_id=str(team.id))
    browser = app.browser(mo)
    for one, told in ((late, "It is not that time now"), (theirs, "is not being called")):
        app.submit(browser, "/callcenter/calling/next", {"list_id": one.id})
        assert told in shown(browser)
    centre.press("callcenter.call_list", theirs, "fill")
    app.settle()
    assert "Theirs" not in shown(browser)
    assert "Theirs" in shown(app.browser(app.user("Eva Evening", teams=[team])))


def test_lists_come_in_order_by_a_field_or_at_random_and_the_same_seed_gives_the_same_order(centre: Any):
    names = [f"Customer {number}" for number in range(12)]
    centre.people(*names)
    assert list(centre.entries(centre.call_list("Listed"))) == names
    by_name = centre.call_list("By name", ordering="sorted", sort="-name")
    assert list(centre.entries(by_name)) == sorted(names, reverse=True)
    drawn = [list(centre.entries(centre.call_list(f"Seed {seed}", ordering="random", seed=seed))) for seed in (7, 7, 8)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sorted(drawn[0]) == sorted(names)


def test_two_agents_never_get_the_same_customer_and_a_lease_lapses(centre: Any, clock: Any):
    app = centre.app
    names = [f"Customer {number}" for number in range(10)]
    centre.people(*names)
    lists = [centre.call_list("One"), centre.call_list("Two")]  # the same people on both
    agents = [app.user(f"Agent {number}") for number in range(8)]
    got: list[Any] = []
    begin = threading.Barrier(len(agents))

    def take(number: int) -> None:
        begin.wait()
        with app.site.write(agents[number]) as unit:
            entry = calling.take_next(unit, unit.get(CallList, lists[number % 2].id))
            got.append(entry.customer_id if entry is not None else None)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(len(agents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert None not in got
    assert len(set(got)) == len(got) == len(agents)

    # Whoever asks again has the same one; whoever is gone for too long has lost theirs to somebody else.
    with app.site.write(agents[0]) as unit:
        held = calling.current(unit.reader)
        assert calling.take_next(unit, unit.get(CallList, lists[0].id)).id == held.id
    clock.forward(minutes=16)
    with app.site.write(app.user("Nina New")) as unit:
        taken = {calling.take_next(unit, unit.get(CallList, lists[0].id)).customer_id}
    assert taken <= set(got)
    with app.site.write(agents[0]) as unit:
        try:
            calling.dial(unit, unit.get(type(held), held.id))
            lost = False
        except Conflict:
            lost = True
    assert lost


def test_a_campaign_that_sends_by_telephone_puts_people_on_its_list(centre: Any):
    from rapport import send

    app = centre.app
    ada, bob = centre.people("Ada", "Bob")
    with app.site.write(app.admin) as unit:
        for customer in (ada, bob):
            send(unit, channel="call", customer=customer, purpose="marketing", campaign="FALL",
                 body="Ask about the pool")  # fmt: skip
    app.settle()
    with app.site.read(app.admin) as reader:
        (made,) = reader.all(CallList)
        assert (made.name, made.campaign, made.purpose, made.members) == ("FALL", "FALL", "marketing", 2)
    assert [each.note for each in centre.entries(made).values()] == ["Ask about the pool"] * 2


HOLDS = """
import sys, time
from pathlib import Path
from rapport.config import Config
from rapport.site import Site
from rapport_callcenter import CallList, take_next
from rapport import UUID

home, url, user, call_list, keep = sys.argv[1:]
config = Config(home=Path(home), database_url=url, secret_key="test " * 8, testing=True, plugins=("callcenter",),
                base_url="http://localhost")
site = Site.open(config)
with site.write(site.actor(UUID(user))) as unit:
    entry = take_next(unit, unit.get(CallList, UUID(call_list)))
    if keep == "killed within":
        print(entry.customer_id, flush=True)
        time.sleep(60)
print(entry.customer_id, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("when", ["killed within", "killed after"])
def test_a_killed_process_keeps_nobody_from_being_called(make_app: Any, tmp_path: Any, database_url: str, when: str):
    with make_app(plugins=["callcenter"]) as app:
        centre = Centre(app)
        with app.site.write(app.admin) as unit:
            for hours in unit.reader.all(QuietHours):
                unit.archive(hours)  # the other process has the clock on the wall
        first, second = centre.people("Ada", "Bob")
        spring = centre.call_list()
        mo, noa = app.user("Mo Member"), app.user("Noa")
        command = [sys.executable, "-c", HOLDS, str(tmp_path), database_url, str(mo.id), str(spring.id), when]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == str(first.id)
            process.kill()
        # Within its transaction: as if it had never asked. After it: the lease holds, and Mo comes back to the same.
        expected = first if when == "killed within" else second
        with app.site.write(noa) as unit:
            assert calling.take_next(unit, unit.get(CallList, spring.id)).customer_id == expected.id
        if when == "killed after":
            with app.site.read(mo) as reader:
                assert calling.current(reader).customer_id == first.id


def test_merging_keeps_one_place_on_the_list_and_erasing_keeps_the_figures_alone(centre: Any):
    app = centre.app
    ada, twin = centre.people("Ada", "Ada Twin")
    spring = centre.call_list()
    mo = app.user("Mo Member")
    with app.site.write(mo) as unit:
        entry = calling.take_next(unit, unit.get(CallList, spring.id))
        calling.dial(unit, entry)
        calling.finish(unit, entry, unit.get(Disposition, centre.disposition("Not interested").id), note="Her secret")
    merge(app.site, app.admin, twin.id, [ada.id])
    assert list(centre.entries(spring)) == ["Ada Twin"]
    with app.site.read(app.admin) as reader:
        (call,) = reader.all(Call)
        assert call.customer_id == twin.id
        assert reader.get(Interaction, call.interaction_id).customer_id == twin.id
    erase(app.site, app.admin, twin.id)
    with app.site.read(app.admin) as reader:
        (call,) = reader.all(Call)
        assert (call.customer_id, call.number, call.note, call.result) == (None, "", "", "refused")
        assert figures(reader, "list")[0].calls == 1
