"""Writing .ics files: appointments and series with the zones they keep to, as every calendar reads them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from icalendar import Alarm, Calendar, vCalAddress, vRecur, vText
from icalendar import Event as Written

from rapport_calendar import recurrence, zones

if TYPE_CHECKING:
    from rapport_calendar.entities import Appointment, Attendee

PRODUCT = "-//Rapport//Calendar//EN"
ANSWERS = {"open": "NEEDS-ACTION", "accepted": "ACCEPTED", "declined": "DECLINED", "tentative": "TENTATIVE"}
STATUSES = {"tentative": "TENTATIVE", "cancelled": "CANCELLED", "missed": "CANCELLED"}


def write(
    appointments: Sequence[Appointment], *, name: str = "", method: str = "",
    people: Mapping[UUID, Sequence[Attendee]] | None = None, organizers: Mapping[UUID, tuple[str, str]] | None = None,
    hours: int = 0,
) -> bytes:  # fmt: skip
    """A file of appointments. `people` attend them, `organizers` are name and address of their owners.

    `hours` says how often a calendar that follows a feed may ask again.
    """
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    if method:
        calendar.add("method", method)
    if name:
        calendar.add("name", name)
        calendar.add("x-wr-calname", name)
    if hours:
        calendar.add("refresh-interval", dt.timedelta(hours=hours), parameters={"value": "DURATION"})
        calendar.add("x-published-ttl", f"PT{hours}H")
    changed: dict[tuple[UUID | None, str], list[str]] = {}
    for each in appointments:
        if each.series_id is not None:
            changed.setdefault((each.owner_id, each.uid), []).append(each.occurrence)
    for each in appointments:
        owner = (organizers or {}).get(each.owner_id) if each.owner_id is not None else None
        here = changed.get((each.owner_id, each.uid), []) if each.series_id is None else []
        calendar.add_component(_event(each, here, (people or {}).get(each.id, ()), owner))
    calendar.add_missing_timezones()
    written: bytes = calendar.to_ical()
    return written


def _event(
    appointment: Appointment, changed: Sequence[str], people: Sequence[Attendee], owner: tuple[str, str] | None
) -> Written:
    event = Written()
    event.add("uid", appointment.uid)
    event.add("dtstamp", appointment.updated_at)
    event.add("created", appointment.created_at)
    event.add("last-modified", appointment.updated_at)
    event.add("sequence", appointment.sequence)
    event.add("summary", appointment.title)
    _add_times(event, appointment, changed)
    for name, text in (("location", appointment.place), ("description", appointment.note)):
        if text:
            event.add(name, text)
    event.add("status", STATUSES.get(appointment.status, "CONFIRMED"))
    event.add("transp", "OPAQUE" if appointment.busy else "TRANSPARENT")
    if appointment.private:
        event.add("class", "PRIVATE")
    if owner is not None and people:
        event.add("organizer", _person(*owner))
    for each in people:
        if not each.email:
            continue
        person = _person(each.name, each.email)
        person.params["partstat"] = vText(ANSWERS[each.answer])
        person.params["role"] = vText("OPT-PARTICIPANT" if each.optional else "REQ-PARTICIPANT")
        person.params["rsvp"] = vText("TRUE")
        event.add("attendee", person, encode=False)
    if appointment.remind_minutes is not None:
        alarm = Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", appointment.title)
        alarm.add("trigger", dt.timedelta(minutes=-appointment.remind_minutes))
        event.add_component(alarm)
    return event


def _add_times(event: Written, appointment: Appointment, changed: Sequence[str]) -> None:
    local = appointment.local_start
    event.add("dtstart", _when(appointment, local))
    if appointment.all_day:
        event.add("dtend", (local + appointment.local_length).date())
    else:
        event.add("dtend", _when(appointment, local + appointment.local_length))
    if appointment.rule:
        event.add("rrule", vRecur.from_ical(_rule(appointment)))
    out = [each for each in appointment.exceptions if each not in changed]
    if out:
        event.add("exdate", [_when(appointment, recurrence.time_of(each)) for each in out])
    if appointment.extra:
        event.add("rdate", [_when(appointment, recurrence.time_of(each)) for each in appointment.extra])
    if appointment.occurrence:
        event.add("recurrence-id", _when(appointment, recurrence.time_of(appointment.occurrence)))


def _when(appointment: Appointment, local: dt.datetime) -> dt.date | dt.datetime:
    if appointment.all_day:
        return local.date()
    return local.replace(tzinfo=dt.UTC if appointment.zone == "UTC" else ZoneInfo(appointment.zone))


def _rule(appointment: Appointment) -> str:
    """The rule with its end as RFC 5545 wants it: a day where there are days, else a moment in UTC."""
    until = recurrence.part(appointment.rule, "UNTIL")
    if not until:
        return appointment.rule
    end = recurrence.until_of(until)
    if appointment.all_day:
        day = (zones.local_of(end, appointment.zone) if end.tzinfo else end).date()
        return recurrence.with_parts(appointment.rule, UNTIL=f"{day:%Y%m%d}")
    moment = end if end.tzinfo else zones.instant_of(end, appointment.zone)
    return recurrence.with_parts(appointment.rule, UNTIL=f"{moment:%Y%m%dT%H%M%SZ}")


def _person(name: str, email: str) -> vCalAddress:
    person = vCalAddress(f"mailto:{email}")
    if name:
        person.params["cn"] = vText(name)
    return person
