"""Cases, from what customers write and say to what is solved, on time or late."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from rapport_service import Case, take_next
from rapport_service.macros import Macro
from rapport_service.queues import Agent, Queue
from rapport_service.sla import Clock, Escalation, Holiday, Hours, Sla, Target

from rapport import Incoming, Interaction, Task, receive, system, utcnow
from rapport.testing import Actors, TestApp
from rapport.testing.paper import sent

pytestmark = [pytest.mark.usefixtures("paper"), pytest.mark.plugins("paper", "service")]
HELP = "help@example.com"


class Desk:
    """A help desk, and short ways to tell a story about it."""

    def __init__(self, app: TestApp) -> None:
        self.app = app
        self.count = 0

    def make(self, entity: Any, **values: Any) -> Any:
        with self.app.site.write(self.app.admin) as unit:
            return unit.create(entity, values)

    def change(self, record: Any, **values: Any) -> None:
        with self.app.site.write(self.app.admin) as unit:
            unit.update(unit.get(type(record), record.id), values)
        self.app.settle()

    def again(self, record: Any) -> Any:
        with self.app.site.read(self.app.admin) as reader:
            return reader.get(type(record), record.id)

    def writes(self, text: str, *, subject: str = "It leaks", answers: str = "", to: str = HELP) -> None:
        """Ada writes a slip to us."""
        self.count += 1
        with self.app.site.write(self.app.admin) as unit:
            receive(unit, Incoming(
                "slip", f"in-{self.count}", "ada@example.com", name="Ada", subject=subject, body=text, source=to,
                references=[answers] if answers else [],
            ))  # fmt: skip
        self.app.settle()

    def cases(self) -> list[Case]:
        with self.app.site.read(self.app.admin) as reader:
            return reader.all(Case)

    def clocks(self, case: Case) -> dict[str, Clock]:
        with self.app.site.read(self.app.admin) as reader:
            return {each.goal: each for each in reader.all(Clock, Clock.case_id == case.id)}

    def button(self, browser: Any, record: Any, name: str, **form: Any) -> Any:
        answer = self.app.submit(browser, f"/{record.meta.name}/{record.id}/do/{name}", form)
        assert answer.status_code == 302, answer.get_data(as_text=True)
        self.app.settle()
        return answer


@pytest.fixture
def desk(app: TestApp) -> Desk:
    return Desk(app)


def test_what_a_customer_writes_becomes_a_case_is_answered_and_opens_again(
    app: TestApp, desk: Desk, actors: Actors
) -> None:
    queue = desk.make(Queue, name="Help", takes=f'channel = "slip" and source = "{HELP}"')
    desk.writes("Nothing for the help desk", to="sales@example.com")
    assert desk.cases() == []
    desk.writes("My skimmer leaks.")
    (case,) = desk.cases()
    assert (case.subject, case.status, case.queue_id, case.channel) == ("It leaks", "new", queue.id, "slip")
    assert case.number == "10001"
    assert case.waiting_since is not None

    # The agent answers on the case's page, and the case waits for the customer.
    agent = app.browser(actors.member)
    page = agent.get(f"/service.case/{case.id}").get_data(as_text=True)
    assert "My skimmer leaks." in page
    assert "The customer waits since" in page
    form = {"what": "answer", "text": "Turn the ring to the left.", "status": "pending"}
    assert app.submit(agent, f"/service.case/{case.id}/answer", form).status_code == 302
    assert (
        app.submit(agent, f"/service.case/{case.id}/answer", {"what": "note", "text": "An old ring"}).status_code == 302
    )
    app.settle()
    (slip,) = sent(app.site)
    assert (slip["to"], slip["subject"], slip["body"]) == (
        "ada@example.com",
        "Re: It leaks",
        "Turn the ring to the left.",
    )
    case = desk.again(case)
    assert case.status == "pending"
    assert case.first_response_at is not None
    assert case.waiting_since is None

    # What she writes back belongs to the same case, which opens again, even when it was closed.
    desk.writes("It does not help.", answers=f"paper-{slip['message']}")
    assert len(desk.cases()) == 1
    assert desk.again(case).status == "open"
    desk.button(agent, case, "solve")
    desk.button(agent, case, "close")
    assert desk.again(case).solved_at is not None
    desk.writes("Still leaking!", answers=f"paper-{slip['message']}")
    case = desk.again(case)
    assert (case.status, case.reopened, case.solved_at) == ("open", 1, None)
    page = agent.get(f"/service.case/{case.id}").get_data(as_text=True)
    for said in ("My skimmer leaks.", "Turn the ring to the left.", "An old ring", "Still leaking!"):
        assert said in page
    assert "An old ring" not in str(sent(app.site))

    # A case goes its way only.
    refused = app.client.patch(f"/api/v1/service.case/{case.id}", json={"status": "new"},
                               headers={"If-Match": f'"{case.version}"'})  # fmt: skip
    assert refused.status_code == 422
    assert "cannot go from" in refused.get_data(as_text=True)


def test_a_call_becomes_a_case_by_a_button_and_macros_answer_many_at_once(
    app: TestApp, desk: Desk, actors: Actors
) -> None:
    ada = app.create_customer(name="Ada", given_name="Ada", email="ada@example.com")
    call = desk.make(Interaction, customer_id=ada.id, kind="call", direction="in", subject="Where is my order?")
    agent = app.browser(actors.member)
    desk.button(agent, call, "case")
    (case,) = desk.cases()
    assert (case.subject, case.channel, case.owner_id) == ("Where is my order?", "call", actors.member.id)
    macro = desk.make(
        Macro, name="Sorry", text="Dear {{ customer.given_name }}, sorry for {{ case.number }}!", note="Was late",
        status="solved", kind="complaint", priority="high",
    )  # fmt: skip
    wrong = app.client.post("/api/v1/service.macro", json={"name": "Wrong", "text": "Dear {{ customer.age }}"})
    assert "unknown name “customer.age”" in wrong.get_data(as_text=True)
    filled = agent.get(f"/service.case/{case.id}/text?macro={macro.id}&text=Hello").get_data(as_text=True)
    assert "Hello\n\nDear Ada, sorry for 10001!" in filled
    other = desk.make(Case, customer_id=ada.id, subject="And my invoice?")
    chosen = {"ids": [str(case.id), str(other.id)], "macro": str(macro.id), "do": "macro"}
    done = app.submit(agent, "/service.case/bulk", chosen)
    assert done.status_code in {200, 302}, done.get_data(as_text=True)
    app.settle()
    assert sorted(slip["body"] for slip in sent(app.site)) == [
        "Dear Ada, sorry for 10001!", "Dear Ada, sorry for 10002!",
    ]  # fmt: skip
    assert {(each.status, each.kind, each.priority) for each in desk.cases()} == {("solved", "complaint", "high")}


def test_two_cases_become_one_and_two_again(app: TestApp, desk: Desk, actors: Actors) -> None:
    desk.make(Queue, name="Help", takes='channel = "slip"')
    sla = desk.make(Sla, name="All")
    desk.make(Target, sla_id=sla.id, first_response=60, resolution=600)
    desk.writes("It leaks.", subject="One")
    desk.writes("It still leaks.", subject="Two")
    one, two = desk.cases()
    desk.make(Task, title="Look at the ring", about_entity="service.case", about_id=two.id, customer_id=two.customer_id)
    before = [_plain(desk, each) for each in (one, two)]
    agent = app.browser(actors.member)
    desk.button(agent, two, "merge", into=str(one.id))
    page = agent.get(f"/service.case/{one.id}").get_data(as_text=True)
    assert "It leaks." in page
    assert "It still leaks." in page
    merged = desk.again(two)
    assert (merged.status, merged.merged_into_id) == ("closed", one.id)
    desk.writes("To the second.", subject="Re: Two", answers="in-2")
    assert "To the second." in agent.get(f"/service.case/{one.id}").get_data(as_text=True)
    desk.button(agent, merged, "unmerge")
    assert [_plain(desk, each) for each in (one, two)] == before
    first, second = (agent.get(f"/service.case/{each.id}").get_data(as_text=True) for each in (one, two))
    assert "To the second." in second
    assert "To the second." not in first
    assert "It still leaks." not in first
    stranger = app.create_customer(name="Bob")
    theirs = desk.make(Case, customer_id=stranger.id, subject="Three")
    refused = app.submit(agent, f"/service.case/{theirs.id}/do/merge", {"into": str(one.id)})
    assert "Only cases of one customer become one." in refused.get_data(as_text=True)


def _plain(desk: Desk, case: Case) -> Any:
    """A case with its clocks and what is about it, but for its version."""
    with desk.app.site.read(desk.app.admin) as reader:
        fields = [name for name in Case.meta.fields if name not in {"version", "updated_at"}]
        clocks = reader.all(Clock, Clock.case_id == case.id)
        about = [reader.all(entity, entity.about_id == case.id) for entity in (Task,)]
        return (
            [getattr(reader.get(Case, case.id), name) for name in fields],
            [[getattr(each, name) for name in Clock.meta.fields if name not in {"version", "updated_at"}]
             for each in clocks],
            [[each.id for each in some] for some in about],
        )  # fmt: skip


def test_cases_go_to_those_who_have_the_skills_and_the_room(app: TestApp, desk: Desk) -> None:
    team = app.team("Service")
    people = {name: app.user(f"{name} Agent", teams=[team]) for name in ("Ann", "Ben", "Cleo")}
    desk.make(Agent, user_id=people["Ann"].id, skills=["pools", "french"], capacity=2)
    desk.make(Agent, user_id=people["Ben"].id, skills=["pools"], capacity=2)
    desk.make(Agent, user_id=people["Cleo"].id, skills=[], capacity=9)
    desk.make(Queue, name="Pools", team_id=team.id, skills=["pools"], routing="least_load", filter='kind = "problem"')
    by_hand = desk.make(Queue, name="By hand", team_id=team.id, filter='kind = "question"', position=1)
    ada = app.create_customer(name="Ada")

    def loads() -> dict[str, int]:
        open_cases = [each for each in desk.cases() if each.status == "open"]
        return {name: sum(each.owner_id == person.id for each in open_cases) for name, person in people.items()}

    with app.site.write(system("test")) as unit:
        for _each in range(5):
            unit.create(Case, {"customer_id": ada.id, "subject": "Leak", "kind": "problem"})
    app.settle()
    assert loads() == {"Ann": 2, "Ben": 2, "Cleo": 0}
    waiting = [each for each in desk.cases() if each.owner_id is None]
    assert len(waiting) == 1  # nobody has room; who solves one gets the next
    solved = next(each for each in desk.cases() if each.owner_id == people["Ben"].id)
    desk.change(solved, status="solved")
    assert loads() == {"Ann": 2, "Ben": 2, "Cleo": 0}
    assert [each for each in desk.cases() if each.owner_id is None] == []

    # Where nothing is handed out, the most urgent is taken, and by one person only.
    with app.site.write(system("test")) as unit:
        for priority in ("low", "urgent", "normal"):
            unit.create(Case, {"customer_id": ada.id, "subject": priority, "priority": priority})
    app.settle()
    assert app.submit(app.browser(people["Cleo"]), "/service/next", {}).status_code == 302
    with app.site.write(people["Cleo"]) as unit:
        second = take_next(unit, by_hand.id)
        assert second is not None
    assert second.subject == "normal"
    page = app.browser(people["Cleo"]).get("/service").get_data(as_text=True)
    assert "urgent" in page
    assert "Ann Agent" in page
    assert "2 / 9" in page
    full = app.submit(app.browser(people["Ann"]), "/service/next", {})
    assert full.headers["Location"] == "/service?full=1"


def test_clocks_run_in_business_hours_pause_and_escalate_when_it_is_time(
    app: TestApp, desk: Desk, actors: Actors, clock: Any
) -> None:
    monday = utcnow().replace(hour=7, minute=0, second=0, microsecond=0)
    monday += dt.timedelta(days=(7 - monday.weekday()) % 7 + 7)
    clock.forward(seconds=(monday - utcnow()).total_seconds())
    hours = desk.make(Hours, name="Day", zone="UTC", monday="9-12, 13-17")
    desk.make(Holiday, hours_id=hours.id, day=(monday + dt.timedelta(days=1)).date().isoformat(), name="Fair")
    wrong = app.client.post("/api/v1/service.hours", json={"name": "Odd", "monday": "9 to 5"})
    assert "cannot be read" in wrong.get_data(as_text=True)
    sla = desk.make(Sla, name="Important", filter='priority in ("high", "urgent")', hours_id=hours.id)
    desk.make(Target, sla_id=sla.id, first_response=60, next_response=120, resolution=480)
    desk.make(Target, sla_id=sla.id, priority="urgent", first_response=30, resolution=240)
    boss = app.user("Boss Agent", roles=["manager"])
    desk.make(Escalation, sla_id=sla.id, goal="resolution", minutes_before=60, notify_id=boss.id)
    desk.make(Escalation, sla_id=sla.id, goal="resolution", raise_priority=True, owner_id=boss.id)
    desk.make(Queue, name="Help", takes='channel = "slip"')
    desk.writes("It leaks.")
    (case,) = desk.cases()
    assert desk.clocks(case) == {}  # a normal one has no agreement
    desk.change(case, priority="high")
    clocks = desk.clocks(case)
    assert clocks["first_response"].due_at == monday + dt.timedelta(hours=3)  # 10:00, as we open at 9
    assert clocks["resolution"].due_at == monday + dt.timedelta(days=2, hours=3)  # 7 h on Monday, Tuesday is off
    assert desk.again(case).due_at == monday + dt.timedelta(hours=3)
    clock.forward(hours=2, minutes=30)
    app.settle()
    agent = app.browser(actors.member)
    listed = agent.get("/service.case").get_data(as_text=True)
    assert "30 minutes left" in listed
    desk.button(agent, case, "take")
    app.submit(agent, f"/service.case/{case.id}/answer", {"what": "answer", "text": "Turn it.", "status": "pending"})
    app.settle()
    clocks = desk.clocks(case)
    assert (clocks["first_response"].state, clocks["first_response"].missed_at) == ("done", None)
    assert (clocks["resolution"].state, clocks["resolution"].left_seconds) == ("paused", 450 * 60)

    # The customer writes a day later: the clock runs on from there, and the next response has its own.
    clock.forward(days=2, hours=0, minutes=30)  # Wednesday, 10:00
    slip = sent(app.site)[0]
    desk.writes("No.", answers=f"paper-{slip['message']}")
    clocks = desk.clocks(case)
    assert clocks["resolution"].due_at == monday + dt.timedelta(days=3, hours=2, minutes=30)  # Thursday, 9:30
    assert clocks["next_response"].due_at == monday + dt.timedelta(days=2, hours=5)
    assert desk.again(case).on_time == "running"

    clock.forward(hours=3)
    app.settle()
    assert desk.again(case).on_time == "late"
    assert desk.clocks(case)["next_response"].missed_at == monday + dt.timedelta(days=2, hours=5)
    assert "1 hour late" in agent.get("/service").get_data(as_text=True)

    # So long before the solution is due the boss is told, and when it is missed it is theirs.
    clock.forward(days=1)
    app.settle()
    case = desk.again(case)
    assert (case.priority, case.owner_id, case.on_time) == ("urgent", boss.id, "late")
    desk.change(case, status="solved")
    assert desk.again(case).on_time == "missed"
    with app.site.read(app.admin) as reader:
        found = {each.measure: each for each in app.site.reports["service.levels"].rows(reader, None, "queue")}
    assert (found["first_response"].kept, found["next_response"].missed, found["resolution"].missed) == (1, 1, 1)
