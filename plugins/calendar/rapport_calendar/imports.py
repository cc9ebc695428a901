"""Taking in .ics files: each appointment becomes one of the reader's own, or refused with line and reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from rapport import Invalid, Unit
from rapport import gettext as _
from rapport_calendar import recurrence, service, zones
from rapport_calendar.entities import Appointment, Attendee
from rapport_calendar.ical import Event, Refusal, read
from rapport_calendar.service import attendees_of


@dataclass(slots=True)
class Taken:
    """What became of a file."""

    made: int = 0
    changed: int = 0
    same: int = 0
    refusals: list[Refusal] = field(default_factory=list)


def take(unit: Unit, data: bytes) -> Taken:
    """Take a file in, as appointments of the actor's. What is there already, by its UID, is brought up to date."""
    found = read(data, zone=unit.actor.time_zone)
    taken = Taken(refusals=list(found.refusals))
    events = sorted(found.events, key=lambda each: bool(each.occurrence))  # series before what was changed of them
    known = _known(unit, events)
    for event in events:
        try:
            _take_one(unit, event, known, taken, cancelled=found.method == "CANCEL")
        except Invalid as error:
            reason = "; ".join(f"{_(problem.field or '')} {problem.message}".strip() for problem in error.problems)
            taken.refusals.append(Refusal(event.line, reason))
    taken.refusals.sort(key=lambda each: each.line)
    return taken


_Known = dict[tuple[str, str], Appointment]


def _known(unit: Unit, events: Sequence[Event]) -> _Known:
    """The actor's appointments that the file speaks of, read at once."""
    uids = sorted({event.uid for event in events if event.uid})
    found: _Known = {}
    for start in range(0, len(uids), 500):
        part = uids[start : start + 500]
        mine = (Appointment.owner_id == unit.actor.id, Appointment.uid.in_(part))
        found |= {(each.uid, each.occurrence): each for each in unit.session.scalars(select(Appointment).where(*mine))}
    return found


def _take_one(unit: Unit, event: Event, known: _Known, taken: Taken, *, cancelled: bool) -> None:
    here = known.get((event.uid, event.occurrence)) if event.uid else None
    if here is not None and here.sequence >= event.sequence and here.archived_at is None and not cancelled:
        taken.same += 1
        return
    values = values_of(event, unit.actor.time_zone)
    if cancelled:
        values["status"] = "cancelled"
    local = event.local
    if here is None:
        here = service.create(unit, values, local=local)
        here.uid = event.uid or here.uid
        taken.made += 1
    else:
        if here.archived_at is not None:
            unit.restore(here)
        try:
            unit.update(here, values)
        except Invalid:
            unit.session.expire(here)  # it stays as it was
            raise
        if not here.all_day:
            here.starts_local = recurrence.key(local)
        taken.changed += 1
    here.sequence = event.sequence
    if event.occurrence:
        here.occurrence = event.occurrence
        _put_into_series(here, known.get((event.uid, "")))
    else:
        here.exceptions, here.extra = sorted(set(event.exceptions)), sorted(set(event.extra))
    unit.flush()
    known[here.uid, here.occurrence] = here
    _add_people(unit, here, event)


def values_of(event: Event, own_zone: str) -> dict[str, Any]:
    """An event of a file as the values of an appointment. What has no zone is at that time on the reader's clock."""
    zone = event.zone or own_zone
    if event.all_day:
        first = event.local.date()
        last = (event.local + event.length).date() - dt.timedelta(days=1)
        when: dict[str, Any] = {"all_day": True, "zone": zone, "starts_on": first, "ends_on": last,
                                "starts_at": zones.day_begins(first, zone), "ends_at": None}  # fmt: skip
    else:
        when = service.timed(event.local, event.length, zone)
    return {**event.values, **when, **({"rule": ""} if event.occurrence else {})}


def _put_into_series(changed: Appointment, series: Appointment | None) -> None:
    if series is None:
        return
    changed.series_id = series.id
    if changed.occurrence not in series.exceptions:
        series.exceptions = sorted([*series.exceptions, changed.occurrence])


def _add_people(unit: Unit, appointment: Appointment, event: Event) -> None:
    """Who attends, for looking at: nobody is invited by an import."""
    now = {each.email for each in attendees_of(unit, appointment)}
    for person in event.people:
        try:
            email = Attendee.meta.fields["email"].load(person.email) or ""
        except ValueError:
            email = ""
        if (not email and not person.name) or (email and email in now):
            continue
        unit.create(
            Attendee,
            {"appointment_id": appointment.id, "email": email, "name": person.name or email, "answer": person.answer,
             "optional": person.optional},
        )  # fmt: skip
        now.add(email)
