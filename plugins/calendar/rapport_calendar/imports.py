"""Taking in .ics files: each appointment becomes one of the reader's own, or refused with line and reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select

from rapport import Entity, Invalid, Unit, batched, load_values
from rapport import gettext as _
from rapport_calendar import recurrence, service, zones
from rapport_calendar.entities import Appointment, Attendee
from rapport_calendar.ical import Event, Refusal, read


@dataclass(slots=True)
class Taken:
    """What became of a file."""

    made: int = 0
    changed: int = 0
    same: int = 0
    refusals: list[Refusal] = field(default_factory=list)


def take(unit: Unit, data: bytes) -> Taken:
    """Take a file in, as appointments of the actor's. What is there already, by its UID, is brought up to date.

    What is new is saved at once, and those who attend after that: a few statements, however many there are.
    """
    found = read(data, zone=unit.actor.time_zone)
    taken = Taken(refusals=list(found.refusals))
    events = sorted(found.events, key=lambda each: bool(each.occurrence))  # series before what was changed of them
    known = _known(unit, events)
    attended: list[tuple[Appointment, Event]] = []
    for event in events:
        with _refusing(event, taken):
            here = _take_one(unit, event, known, taken, cancelled=found.method == "CANCEL")
            if here is not None and event.people:
                attended.append((here, event))
    unit.flush()
    _add_people(unit, attended, taken)
    taken.refusals.sort(key=lambda each: each.line)
    return taken


@contextmanager
def _refusing(event: Event, taken: Taken) -> Iterator[None]:
    """Within the block, what is wrong with an event refuses it and no other."""
    try:
        yield
    except Invalid as error:
        reason = "; ".join(f"{_(problem.field or '')} {problem.message}".strip() for problem in error.problems)
        taken.refusals.append(Refusal(event.line, reason))


E = TypeVar("E", bound=Entity)
_Known = dict[tuple[str, str], Appointment]


def _known(unit: Unit, events: Sequence[Event]) -> _Known:
    """The actor's appointments that the file speaks of, read at once."""
    found: _Known = {}
    for part in batched(sorted({event.uid for event in events if event.uid})):
        mine = (Appointment.owner_id == unit.actor.id, Appointment.uid.in_(part))
        found |= {(each.uid, each.occurrence): each for each in unit.session.scalars(select(Appointment).where(*mine))}
    return found


def _take_one(unit: Unit, event: Event, known: _Known, taken: Taken, *, cancelled: bool) -> Appointment | None:
    here = known.get((event.uid, event.occurrence)) if event.uid else None
    if here is not None and here.sequence >= event.sequence and here.archived_at is None and not cancelled:
        taken.same += 1
        return None
    values = values_of(event, unit.actor.time_zone)
    if cancelled:
        values["status"] = "cancelled"
    # Before the rest, which is judged with them: what a series is counted from tells more than the moment does.
    facts: dict[str, Any] = {"sequence": event.sequence}
    if not event.all_day:
        facts["starts_local"] = recurrence.key(event.local)
    if event.occurrence:
        facts["occurrence"] = event.occurrence
    else:
        facts |= {"exceptions": sorted(set(event.exceptions)), "extra": sorted(set(event.extra))}
    if here is None:
        here = _built(unit, Appointment, values, **facts, **({"uid": event.uid} if event.uid else {}))
        unit.session.add(here)
        taken.made += 1
    else:
        if here.archived_at is not None:
            unit.restore(here)
        try:
            for name, value in facts.items():
                setattr(here, name, value)
            unit.update(here, values)
        except Invalid:
            unit.session.expire(here)  # it stays as it was
            raise
        taken.changed += 1
    if event.occurrence:
        _put_into_series(here, known.get((event.uid, "")))
    known[here.uid, here.occurrence] = here
    return here


def _built(unit: Unit, entity: type[E], values: Mapping[str, Any], **facts: Any) -> E:
    """A record that is checked and not saved yet, from input and from what only Rapport sets. Invalid says why not."""
    unit.actor.require(entity.meta.permission("create"))
    record, problems = unit.build(entity, {**load_values(unit.site.meta(entity), values), **facts})
    if problems:
        raise Invalid(problems)
    return record


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


def _add_people(unit: Unit, attended: Sequence[tuple[Appointment, Event]], taken: Taken) -> None:
    """Who attends, for looking at: nobody is invited by an import."""
    there: dict[UUID, set[str]] = {appointment.id: set() for appointment, _event in attended}
    for ids in batched(there):
        here = (Attendee.appointment_id.in_(ids), Attendee.archived_at.is_(None))
        for attendee in unit.session.scalars(select(Attendee).where(*here)):
            there[attendee.appointment_id].add(attendee.email)
    for appointment, event in attended:
        with _refusing(event, taken):
            unit.session.add_all(_people(unit, appointment, event, there[appointment.id]))
    unit.flush()


def _people(unit: Unit, appointment: Appointment, event: Event, there: set[str]) -> Iterator[Attendee]:
    for person in event.people:
        try:
            email = Attendee.meta.fields["email"].load(person.email) or ""
        except ValueError:
            email = ""
        if (not email and not person.name) or (email and email in there):
            continue
        there.add(email)
        yield _built(
            unit, Attendee,
            {"appointment_id": appointment.id, "email": email, "name": person.name or email, "answer": person.answer,
             "optional": person.optional},
        )  # fmt: skip
