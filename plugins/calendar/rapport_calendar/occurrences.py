"""What takes place in a stretch of time: single appointments and each time of those that repeat, and who is free."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import defer

from rapport import Reader, Site, system
from rapport_calendar import recurrence, zones
from rapport_calendar.entities import Appointment, Attendee

MOST = 1000
"""So many appointments and series are read for one window; a calendar with more in it could not be looked at."""
LONGEST_WINDOW = dt.timedelta(days=800)
DAY = dt.timedelta(days=1)
GONE = ("cancelled", "missed")
STEP = dt.timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time of an appointment."""

    appointment: Appointment
    begin: dt.datetime
    end: dt.datetime
    local: dt.datetime
    """When it begins, on its own clock; of a series, this tells its times apart."""

    @property
    def key(self) -> str:
        """Which of the series it is: 2026-03-29T09:00:00."""
        return recurrence.key(self.local)

    def days(self, zone: str) -> tuple[dt.date, dt.date]:
        """The first and the last day it touches. What takes whole days has the same days everywhere."""
        if self.appointment.all_day:
            return self.local.date(), (self.local + self.appointment.local_length - DAY).date()
        last = max(self.begin, self.end - dt.timedelta(microseconds=1))
        return zones.local_of(self.begin, zone).date(), zones.local_of(last, zone).date()


def within(after: dt.datetime, before: dt.datetime) -> list[ColumnElement[bool]]:
    """Conditions on appointments that may take place in [after, before); a day more, as whole days have no zone."""
    return [
        Appointment.starts_at < before + DAY,
        or_(Appointment.over_at.is_(None), Appointment.over_at > after - DAY),
        Appointment.archived_at.is_(None),
    ]


def of_people(user_ids: Collection[UUID]) -> ColumnElement[bool]:
    """Appointments of these people: their own, and those they were asked to and did not decline."""
    asked = select(Attendee.appointment_id).where(
        Attendee.user_id.in_(user_ids), Attendee.answer != "declined", Attendee.archived_at.is_(None)
    )
    return or_(Appointment.owner_id.in_(user_ids), Appointment.id.in_(asked))


def occurrences(
    reader: Reader, after: dt.datetime, before: dt.datetime, *where: ColumnElement[bool], gone: bool = False
) -> list[Occurrence]:
    """Every time in [after, before) of the appointments that the reader may see and that meet conditions, in order."""
    before = min(before, after + LONGEST_WINDOW)
    conditions = [*within(after, before), *where]
    if not gone:
        conditions.append(Appointment.status.not_in(GONE))
    found = reader.all(Appointment, *conditions, order=(Appointment.starts_at, Appointment.id), limit=MOST)
    return in_order(each for appointment in found for each in times_of(appointment, after, before))


def in_order(found: Iterable[Occurrence]) -> list[Occurrence]:
    """By beginning; what takes longer first, as it stands further to the side."""
    return sorted(found, key=lambda each: (each.begin, -(each.end - each.begin).total_seconds(), each.appointment.id))


def times_of(appointment: Appointment, after: dt.datetime, before: dt.datetime) -> list[Occurrence]:
    """The times of one appointment that touch [after, before)."""
    if not appointment.repeats:
        local = appointment.local_start
        begin, end = appointment.span(local)
        return [Occurrence(appointment, begin, end, local)] if _touches(appointment, begin, end, after, before) else []
    zone = appointment.zone
    spare = DAY if appointment.all_day else dt.timedelta(hours=3)  # clocks that are put back in the meantime
    locals_ = recurrence.walk(
        appointment.local_start, appointment.rule, zone=zone,
        after=zones.local_of(after, zone) - max(appointment.local_length, STEP) - spare,
        before=zones.local_of(before, zone) + spare,
        without=appointment.exceptions, extra=appointment.extra,
    )  # fmt: skip
    spans = ((local, *appointment.span(local)) for local in locals_)
    return [
        Occurrence(appointment, begin, end, local)
        for local, begin, end in spans
        if _touches(appointment, begin, end, after, before)
    ]


def _touches(
    appointment: Appointment, begin: dt.datetime, end: dt.datetime, after: dt.datetime, before: dt.datetime
) -> bool:
    spare = DAY if appointment.all_day else dt.timedelta()
    return begin < before + spare and (end > after - spare or begin == end >= after)


def next_time(appointment: Appointment, after: dt.datetime) -> Occurrence | None:
    """The first time of an appointment that begins after a moment, within two years."""
    found = times_of(appointment, after, after + LONGEST_WINDOW)
    return next((each for each in found if each.begin > after), None)


# Who is free ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taken:
    """A time at which somebody is busy, and nothing else about it."""

    begin: dt.datetime
    end: dt.datetime
    appointment_id: UUID
    """For telling it from what one may read; never shown."""


def taken(
    site: Site, user_ids: Collection[UUID], after: dt.datetime, before: dt.datetime
) -> Mapping[UUID, list[Taken]]:
    """When these people are busy, also for those who may not read why: only times leave this function."""
    busy: dict[UUID, list[Taken]] = {user_id: [] for user_id in user_ids}
    if not user_ids:
        return busy
    with site.read(system("who is free when")) as reader:
        counts = (Appointment.busy.is_(True), Appointment.status.not_in(GONE))
        found = reader.session.scalars(
            select(Appointment)
            .where(*within(after, before), *counts, of_people(user_ids))
            .order_by(Appointment.starts_at, Appointment.id)
            .limit(MOST)
            .options(defer(Appointment.note), defer(Appointment.custom))
        ).all()
        asked = reader.session.execute(
            select(Attendee.appointment_id, Attendee.user_id).where(
                Attendee.appointment_id.in_([each.id for each in found]), Attendee.user_id.in_(user_ids),
                Attendee.answer != "declined", Attendee.archived_at.is_(None),
            )
        ).all()  # fmt: skip
    people = {each.id: {user_id for user_id in user_ids if user_id == each.owner_id} for each in found}
    for row in asked:
        people[row.appointment_id] |= {user_id for user_id in user_ids if user_id == row.user_id}
    for appointment in found:
        for each in times_of(appointment, after, before):
            for user_id in people[appointment.id]:
                busy[user_id].append(Taken(each.begin, each.end, appointment.id))
    return busy


def merged(times: Iterable[Taken]) -> list[tuple[dt.datetime, dt.datetime]]:
    """Busy times without their overlaps, in order."""
    joined: list[tuple[dt.datetime, dt.datetime]] = []
    for begin, end in sorted((each.begin, each.end) for each in times):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


@dataclass(frozen=True, slots=True)
class Hours:
    """When somebody works, on the clock of a zone."""

    zone: str
    begin: dt.time = dt.time(9)
    end: dt.time = dt.time(17)
    days_off: Sequence[int] = (5, 6)
    """Monday is 0."""


def free_times(
    site: Site, user_ids: Collection[UUID], hours: Hours, *, after: dt.datetime, days: int, minutes: int, most: int = 12
) -> list[tuple[dt.datetime, dt.datetime]]:
    """The first times at which all of these people are free, within hours, from a moment on and for some days."""
    length = dt.timedelta(minutes=minutes)
    before = after + dt.timedelta(days=min(days, 60))
    busy = merged(each for times in taken(site, user_ids, after, before).values() for each in times)
    found: list[tuple[dt.datetime, dt.datetime]] = []
    day = zones.local_of(after, hours.zone).date()
    while len(found) < most and zones.day_begins(day, hours.zone) < before:
        if day.weekday() not in hours.days_off:
            opens = zones.instant_of(dt.datetime.combine(day, hours.begin), hours.zone)
            closes = zones.instant_of(dt.datetime.combine(day, hours.end), hours.zone)
            found += _gaps(max(opens, _rounded(after)), closes, busy, length)
        day += DAY
    return found[:most]


def _gaps(
    opens: dt.datetime, closes: dt.datetime, busy: Sequence[tuple[dt.datetime, dt.datetime]], length: dt.timedelta
) -> list[tuple[dt.datetime, dt.datetime]]:
    """Up to three beginnings in each gap of a day: more of one gap tell nothing new."""
    found: list[tuple[dt.datetime, dt.datetime]] = []
    at = opens
    for begin, end in [*[each for each in busy if each[1] > opens and each[0] < closes], (closes, closes)]:
        tries = 0
        while at + length <= begin and tries < 3:
            found.append((at, at + length))
            at, tries = at + max(length, dt.timedelta(minutes=30)), tries + 1
        at = max(at, _rounded(end))
    return found


def _rounded(at: dt.datetime) -> dt.datetime:
    """The next quarter of an hour."""
    over = dt.timedelta(minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond)
    return at + (STEP - over if over else dt.timedelta())
