"""A lively telephone: two sites, three queues, a script, a list that is being called, and two weeks of calls."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from rapport import Consent, Customer, Membership, Purpose, Unit, User, utcnow
from rapport_callcenter import lists
from rapport_callcenter.entities import (
    CHANNEL,
    Agent,
    Call,
    CallList,
    Disposition,
    Queue,
    Script,
    Site,
    Step,
    WrapUp,
)

SITES = ("Lyon", "Shiraz")
QUEUES: tuple[dict[str, Any], ...] = (
    {"name": "Orders", "number": "+33478000001", "skill": "orders", "priority": 1},
    {"name": "Help", "number": "+33478000002", "skill": "", "overflow_after": 20},
    {"name": "راهنمایی", "number": "+987136000003", "skill": "fa"},
)
STEPS = (
    {"key": "hello", "title": "Hello", "question": "Is this a good moment?", "answers": "Yes > need\nNo > later",
     "text": "Good day {{ customer.name }}, this is {{ agent.name }} of {{ business.name }}."},
    {"key": "need", "title": "What they need", "question": "Do you plan something new this year?",
     "answers": "Yes > offer\nNot sure > offer\nNo > thanks", "text": "We have not spoken for a while."},
    {"key": "offer", "title": "Our offer", "question": "What would matter most to you?",
     "text": "We would be glad to look at it with you{% if customer.city %} in {{ customer.city }}{% endif %}."},
    {"key": "thanks", "title": "Thank you", "text": "Thank you for your time, and good bye."},
    {"key": "later", "title": "Later", "text": "When may I call again?"},
)  # fmt: skip
DAYS, A_DAY = 10, 6
"""So many days before today, with so many calls each way."""
MOST_AGENTS, MOST_CALLED = 4, 24


def load(unit: Unit) -> None:
    """Put it in, the same every time but for the days, which count back from today."""
    people = unit.reader.all(
        Customer, Customer.phone != "", Customer.archived_at.is_(None), order=Customer.id, limit=MOST_CALLED
    )
    users = unit.reader.all(User, User.active.is_(True), order=User.id, limit=MOST_AGENTS)
    sites = [unit.create(Site, {"name": name}) for name in SITES]
    queues = [
        unit.create(Queue, {**values, "site_id": sites[number // 2].id}) for number, values in enumerate(QUEUES)
    ]  # fmt: skip
    for number, user in enumerate(users):
        skills = ["orders", "fa"] if user.language == "fa" else ["orders"][: number % 2 + 1]
        unit.create(Agent, {"user_id": user.id, "site_id": sites[number % 2].id, "skills": skills,
                            "extension": f"sim-{101 + number}" if number else "100"})  # fmt: skip
    if people and users:
        calls = _Calls(unit, people, users, sites, queues)
        calls.list_them()
        calls.two_weeks()


class _Calls:
    """Everything that was said on the telephone."""

    def __init__(
        self, unit: Unit, people: Sequence[Customer], users: Sequence[User], sites: Sequence[Site],
        queues: Sequence[Queue],
    ) -> None:  # fmt: skip
        self.unit, self.people, self.users, self.sites, self.queues = unit, people, users, sites, queues
        self.dice = random.Random(5)  # noqa: S311 - it plays, and hides nothing
        self.ends = unit.reader.all(Disposition, order=Disposition.position)
        self.codes = unit.reader.all(WrapUp, order=WrapUp.position)

    def list_them(self) -> None:
        """A list with its script; most have agreed to be called, some have not."""
        unit = self.unit
        script = unit.create(Script, {"name": "How are you?", "note": "For customers we have not heard of for long."})
        for position, values in enumerate(STEPS):
            unit.create(Step, {**values, "script_id": script.id, "position": position})
        purposes = unit.reader.all(Purpose, Purpose.name == "marketing", limit=1)
        agreed = [each for number, each in enumerate(self.people) if number % 6 != 5]
        for customer in agreed if purposes else []:
            unit.create(Consent, {"customer_id": customer.id, "purpose_id": purposes[0].id, "channel": CHANNEL,
                                  "state": "granted", "given_by": "phone"})  # fmt: skip
        team = unit.reader.all(Membership, Membership.user_id == self.users[0].id, limit=1)
        self.called = unit.create(CallList, {
            "name": "How are you?", "campaign": "CARE", "script_id": script.id, "ordering": "random", "seed": 7,
            "hours_from": "00:00", "hours_to": "23:59", "owner_id": self.users[0].id,
            "team_id": team[0].team_id if team else None,
        })  # fmt: skip
        self.called.team_id = None  # everybody may try it out
        lists.add(unit, self.called, [each.id for each in self.people])
        self.called.state = "open"
        lists.count(unit, self.called)

    def two_weeks(self) -> None:
        """Calls of working days, up to now."""
        zone = ZoneInfo(str(self.unit.site.settings.get("core.zone") or "UTC"))
        now = utcnow()
        for back in range(DAYS, -1, -1):
            day = now.astimezone(zone).date() - dt.timedelta(days=back)
            for _number in range(A_DAY):
                at = dt.datetime.combine(day, dt.time(8 + self.dice.randrange(10), self.dice.randrange(60)), zone)
                if at < now:
                    self._make(self._came_in(at))
                    self._make(self._went_out(at))

    def _came_in(self, at: dt.datetime) -> dict[str, Any]:
        queue, waited = self.dice.choice(self.queues), int(self.dice.expovariate(1 / 18))
        about = {"direction": "in", "rang_at": at, "queue_id": queue.id, "waited": waited}
        customer = self.dice.choice(self.people)
        known = {**about, "customer_id": customer.id, "number": customer.phone}
        if waited > 35:
            return {**known, "status": "abandoned", "site_id": queue.site_id}
        number = self.dice.randrange(len(self.users))
        code = self.dice.choices(self.codes, [9, 5, 3, 2, 2, 1, *[1] * 9][: len(self.codes)])[0]
        return {
            **known, "status": "ended", "agent_id": self.users[number].id, "site_id": self.sites[number % 2].id,
            "talked": 40 + self.dice.randrange(400), "wrap_up_id": code.id, "resolved": self.dice.random() < 0.8,
            "satisfaction": self.dice.randint(5, 10),
        }  # fmt: skip

    def _went_out(self, at: dt.datetime) -> dict[str, Any]:
        customer, end = self.dice.choice(self.people), self.dice.choice(self.ends[:6])
        talked = None if end.result == "not_reached" else 30 + self.dice.randrange(300)
        return {
            "direction": "out", "status": "ended", "rang_at": at, "customer_id": customer.id, "number": customer.phone,
            "list_id": self.called.id, "disposition_id": end.id, "talked": talked,
            "agent_id": self.dice.choice(self.users).id,
        }  # fmt: skip

    def _make(self, values: dict[str, Any]) -> None:
        self.unit.create(Call, values)
