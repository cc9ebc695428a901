"""A lively calendar to try: everybody's week, with customers where there are some."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from rapport import Customer, Membership, Unit, User
from rapport_calendar import service
from rapport_calendar.entities import Appointment, Attendee

VISITS = (
    (0, "10:00", 90, "First talk"),
    (0, "15:30", 60, "Offer in detail"),
    (1, "09:30", 120, "Site visit"),
    (1, "14:00", 45, "Call about delivery"),
    (2, "11:00", 60, "Demonstration"),
    (2, "11:30", 60, "Contract"),
    (3, "10:00", 60, "Quarterly review"),
    (3, "16:00", 60, "Follow-up"),
    (4, "09:00", 60, "Thank-you visit"),
)
"""Day of the week, time, minutes and what about."""
PLACES = ("At theirs", "Meeting room 2", "Video call", "")


def load(unit: Unit) -> None:
    """Put the weeks before, of and after today in, the same every time but for the days."""
    people = unit.reader.all(User, User.active.is_(True), order=User.id, limit=12)
    teams = {each.user_id: each.team_id for each in unit.reader.all(Membership, order=Membership.id)}
    everybody = unit.reader.all(Customer, Customer.archived_at.is_(None), order=Customer.id, limit=200)
    monday = unit.reader.today() - dt.timedelta(days=unit.reader.today().weekday())
    places, customers = itertools.cycle(PLACES), itertools.cycle(everybody or [None])
    for number, user in enumerate(people):
        own = {"owner_id": user.id, "team_id": teams.get(user.id), "zone": user.time_zone}
        _week_of(unit, own, number, monday, places, [next(customers) for _ in range(len(VISITS) * 3)])
    if len(people) > 1:
        _together(unit, people, teams, monday)


def _week_of(
    unit: Unit,
    own: dict[str, Any],
    number: int,
    monday: dt.date,
    places: Iterator[str],
    customers: Sequence[Customer | None],
) -> None:
    waiting = iter(customers)
    for week in (-7, 0, 7):
        for day, time, minutes, title in VISITS[number % 3 :: 2]:
            customer = next(waiting)
            local = dt.datetime.combine(monday + dt.timedelta(days=week + day), dt.time.fromisoformat(time))
            made = _make(unit, own, local, minutes, title=title, place=next(places), remind_minutes=15,
                         customer_id=customer.id if customer is not None else None,
                         status="held" if week < 0 else "confirmed")  # fmt: skip
            if customer is not None and customer.email:
                unit.create(
                    Attendee,
                    {
                        "appointment_id": made.id,
                        "customer_id": customer.id,
                        "email": customer.email,
                        "name": customer.name,
                        "answer": ("accepted", "open", "tentative")[day % 3],
                    },
                )
    lunch = dt.datetime.combine(monday - dt.timedelta(days=7), dt.time(12, 30))
    _make(unit, own, lunch, 45, title="Lunch", busy=False, rule="FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR")
    doctor = dt.datetime.combine(monday + dt.timedelta(days=number % 5), dt.time(17))
    _make(unit, own, doctor, 60, title="Dentist", private=True)
    if number % 3 == 0:
        first = monday + dt.timedelta(days=8)
        unit.create(Appointment, {**own, "title": "Energy fair", "all_day": True, "starts_on": first,
                                  "ends_on": first + dt.timedelta(days=1), "place": "Lyon"})  # fmt: skip


def _together(unit: Unit, people: Sequence[User], teams: dict[Any, Any], monday: dt.date) -> None:
    """What everybody comes to."""
    host = people[0]
    own = {"owner_id": host.id, "team_id": teams.get(host.id), "zone": host.time_zone}
    start = dt.datetime.combine(monday - dt.timedelta(days=14), dt.time(9))
    meeting = _make(unit, own, start, 30, title="Sales meeting", rule="FREQ=WEEKLY;BYDAY=MO", remind_minutes=10)
    for user in people[1:]:
        unit.create(Attendee, {"appointment_id": meeting.id, "user_id": user.id, "email": user.email, "name": user.name,
                               "answer": "accepted"})  # fmt: skip


def _make(unit: Unit, own: dict[str, Any], local: dt.datetime, minutes: int, **values: Any) -> Appointment:
    when = service.timed(local, dt.timedelta(minutes=minutes), own["zone"])
    return service.create(unit, {**own, **when, **values}, local=local)
