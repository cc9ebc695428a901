"""What the calendar shows on other pages, and on the page of an appointment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from flask import request
from sqlalchemy import or_, select

from rapport import NotFound, Panel, Reader, User, utcnow
from rapport_calendar import forms, zones
from rapport_calendar.entities import Appointment, Attendee
from rapport_calendar.occurrences import DAY, Occurrence, next_time, occurrences, of_people, times_of
from rapport_calendar.pages import occurrence_of
from rapport_calendar.week import tone_of

Facts = Mapping[str, Any]
READ = "calendar.appointment.read"


def panels() -> list[Panel]:
    """Every panel of the calendar, by place."""
    return [
        Panel("home", "Your day", "calendar/today.html", today_facts, READ, "calendar-event", 10),
        Panel("customer.side", "Appointments", "calendar/of_customer.html", customer_facts, READ, "calendar-event", 30),
        Panel("calendar.appointment.side", "When", "calendar/when.html", when_facts, READ, "clock", 10),
        Panel("calendar.appointment.side", "Who comes", "calendar/who.html", who_facts, READ, "users", 20),
    ]


def today_facts(reader: Reader) -> Facts:
    """The appointments of today and tomorrow that are not over; the one that is about to begin stands out."""
    assert reader.actor.id is not None
    zone, now = reader.actor.time_zone, utcnow()
    end = zones.day_begins(reader.today() + 2 * DAY, zone)
    found = occurrences(reader, now, end, of_people([reader.actor.id]))
    return {"items": [_item(each, reader, now) for each in found if each.days(zone)[1] >= reader.today()][:8]}


def _item(occurrence: Occurrence, reader: Reader, now: dt.datetime) -> dict[str, Any]:
    appointment = occurrence.appointment
    day = occurrence.days(reader.actor.time_zone)[0]
    minutes = appointment.remind_minutes
    soon = (
        not appointment.all_day
        and minutes is not None
        and dt.timedelta() <= occurrence.begin - now <= dt.timedelta(minutes=minutes)
    )
    return {
        "appointment": appointment, "begin": occurrence.begin, "end": occurrence.end, "day": max(day, reader.today()),
        "soon": soon, "now": not appointment.all_day and occurrence.begin <= now < occurrence.end,
        "tone": tone_of(appointment.owner_id),
        "url": f"/calendar.appointment/{appointment.id}" + (f"?at={occurrence.key}" if appointment.repeats else ""),
    }  # fmt: skip


def customer_facts(reader: Reader, record: Any) -> Facts:
    """The next appointments with a customer, and the last that is over."""
    now = utcnow()
    asked = select(Attendee.appointment_id).where(Attendee.customer_id == record.id)
    with_them = or_(Appointment.customer_id == record.id, Appointment.id.in_(asked))
    found = occurrences(reader, now, now + dt.timedelta(days=120), with_them)
    return {"items": [_item(each, reader, now) for each in found[:5]], "customer_id": record.id,
            "may_create": reader.actor.may("calendar.appointment.create")}  # fmt: skip


def when_facts(reader: Reader, record: Any) -> Facts:
    """When it is, for the reader and on its own clock, how often, and what can be done with it."""
    try:
        occurrence = occurrence_of(record, request.args.get("at", ""))
    except NotFound:
        occurrence = None
    if occurrence is None:
        occurrence = next_time(record, utcnow()) if record.repeats else None
        occurrence = occurrence or next(iter(times_of(record, *record.span(record.local_start))), None)
    at = occurrence.key if occurrence is not None and record.repeats else ""
    repeats = dict(forms.REPEATS).get(_bare(record.rule), record.rule) if record.rule else ""
    return {
        "occurrence": occurrence,
        "at": at,
        "repeats": repeats,
        "own_zone": reader.actor.time_zone,
        "may_change": reader.actor.may("calendar.appointment.update") and record.archived_at is None,
        "elsewhere": record.zone if record.zone != reader.actor.time_zone and not record.all_day else "",
    }


def _bare(rule: str) -> str:
    from rapport_calendar.recurrence import with_parts

    return with_parts(rule, UNTIL="")


def who_facts(reader: Reader, record: Any) -> Facts:
    """Who is asked to come and what they said; for one who was asked, the buttons to say it."""
    here = (Attendee.appointment_id == record.id, Attendee.archived_at.is_(None))
    people = reader.all(Attendee, *here, order=Attendee.id, limit=200)
    choices = {choice.value: choice for choice in Attendee.meta.fields["answer"].choices}
    mine = next((each for each in people if each.user_id is not None and each.user_id == reader.actor.id), None)
    owner = reader.titles(User, [record.owner_id]).get(record.owner_id, "")
    return {
        "people": people,
        "choices": choices,
        "mine": mine,
        "owner": owner,
        "open": record.status not in ("cancelled", "held"),
    }
