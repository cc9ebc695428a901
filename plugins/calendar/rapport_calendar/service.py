"""Changing appointments: one of a series, this and those after it, or all; calling them off; noting that they were."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select

from rapport import Customer, Entity, Interaction, Invalid, NotFound, Problem, Unit, User, utcnow
from rapport import gettext as _
from rapport import ngettext as _n
from rapport_calendar import recurrence, zones
from rapport_calendar.entities import Appointment, Attendee
from rapport_calendar.occurrences import times_of

Scope = Literal["one", "following", "all"]
SCOPES: tuple[Scope, ...] = ("one", "following", "all")
ENTITY = "calendar.appointment"
COPIED = (
    "title",
    "ends_at",
    "all_day",
    "starts_on",
    "ends_on",
    "zone",
    "rule",
    "customer_id",
    "place",
    "note",
    "status",
    "busy",
    "private",
    "remind_minutes",
    "owner_id",
    "team_id",
    "starts_at",
)
WHEN = {"starts_at", "ends_at", "all_day", "starts_on", "ends_on", "zone", "starts_local", "rule"}
TELLING = {*WHEN, "place", "title", "status"}
"""A change of these must reach those who were invited."""


def timed(local: dt.datetime, length: dt.timedelta, zone: str) -> dict[str, Any]:
    """The values of an appointment that begins when a clock shows this, and takes so long by it."""
    return {"all_day": False, "zone": zone, "starts_at": zones.instant_of(local, zone),
            "ends_at": zones.instant_of(local + length, zone)}  # fmt: skip


def create(unit: Unit, values: Mapping[str, Any], *, local: dt.datetime | None = None) -> Appointment:
    """Make an appointment. `local` says what its clock shows where it tells more than the moment does."""
    made = unit.create(Appointment, values)
    if local is not None and not made.all_day and made.starts_local != recurrence.key(local):
        made.starts_local = recurrence.key(local)
        unit.flush()
    return made


def change(
    unit: Unit, appointment: Appointment, values: Mapping[str, Any], *, scope: Scope = "all", occurrence: str = "",
    version: int | None = None,
) -> Appointment:  # fmt: skip
    """Change an appointment; of a series, the `occurrence`, it and those after it, or all. Returns what was changed."""
    if not appointment.repeats:
        return _update(unit, appointment, values, version=version)
    at = the_time(appointment, occurrence) if occurrence else appointment.local_start
    if scope == "one":
        return _change_one(unit, appointment, at, values, version=version)
    if scope == "following" and at > appointment.local_start:
        return _split(unit, appointment, at, values, version=version)
    return _change_all(unit, appointment, at, values, version=version)


def the_time(appointment: Appointment, occurrence: str) -> dt.datetime:
    """The time of a series that a key names. NotFound when it has no such time."""
    try:
        at = recurrence.time_of(occurrence)
        begin, end = appointment.span(at)
    except (ValueError, OverflowError):
        raise NotFound(_("There is no such time in this series.")) from None
    if all(each.local != at for each in times_of(appointment, begin, end + dt.timedelta(seconds=1))):
        raise NotFound(_("There is no such time in this series."))
    return at


def _update(unit: Unit, appointment: Appointment, values: Mapping[str, Any], version: int | None = None) -> Appointment:
    told = {name: getattr(appointment, name) for name in TELLING}
    unit.update(appointment, values, version=version)
    if any(getattr(appointment, name) != old for name, old in told.items()):
        appointment.sequence += 1
        unit.flush()
    return appointment


def _change_one(
    unit: Unit, series: Appointment, at: dt.datetime, values: Mapping[str, Any], version: int | None
) -> Appointment:
    """Take one time out of the series and put an appointment of its own in its place."""
    unit.update(series, {}, version=version)
    begin, end = series.span(at)
    here = {name: getattr(series, name) for name in COPIED} | {"rule": "", "starts_at": begin, "ends_at": end}
    if series.all_day:
        here |= {"starts_on": at.date(), "ends_on": (at + series.local_length).date() - dt.timedelta(days=1)}
    made = unit.create(Appointment, {**here, **values, "rule": ""})
    made.uid, made.series_id, made.occurrence = series.uid, series.id, recurrence.key(at)
    made.sequence = series.sequence + 1
    _copy_attendees(unit, series, made)
    _take_out(series, at)
    unit.flush()
    return made


def _change_all(
    unit: Unit, series: Appointment, at: dt.datetime, values: Mapping[str, Any], version: int | None
) -> Appointment:
    """Change every time of a series, as its `at` was changed: later by an hour, then all are later by an hour."""
    moved = _moved(series, at, values)
    first = series.local_start + moved
    shifted = dict(values)
    if WHEN & set(values):
        length = _length(series, values)
        shifted |= _when(first, length, series, values)
    _update(unit, series, shifted, version=version)
    if moved:
        series.exceptions = [_shifted(each, moved) for each in series.exceptions]
        series.extra = [_shifted(each, moved) for each in series.extra]
        if "rule" not in values or values["rule"] == series.rule:
            series.rule = recurrence.turned(series.rule, moved_days(series.local_start - moved, series.local_start))
        for each in _changed_ones(unit, series):
            each.occurrence = _shifted(each.occurrence, moved)
    unit.flush()
    return series


def _split(
    unit: Unit, series: Appointment, at: dt.datetime, values: Mapping[str, Any], version: int | None
) -> Appointment:
    """End the series before `at`, and go on with a new one from there."""
    unit.update(series, {}, version=version)
    rule = series.rule
    if count := recurrence.part(rule, "COUNT"):
        before = sum(1 for each in recurrence.times(series.local_start, rule, series.zone) if each < at)
        rule = recurrence.with_parts(rule, COUNT=str(max(1, int(count) - before)))
    moved = _moved(series, at, values)
    first = at + moved
    shifted = {name: getattr(series, name) for name in COPIED} | {"rule": rule} | dict(values)
    shifted |= _when(first, _length(series, values), series, values)
    if shifted["rule"] == rule:
        shifted["rule"] = recurrence.turned(rule, moved_days(at, first))
    made = unit.create(Appointment, shifted)
    made.exceptions = [_shifted(each, moved) for each in series.exceptions if recurrence.time_of(each) >= at]
    made.extra = [_shifted(each, moved) for each in series.extra if recurrence.time_of(each) >= at]
    for each in _changed_ones(unit, series):
        if recurrence.time_of(each.occurrence) >= at:
            each.uid, each.series_id, each.occurrence = made.uid, made.id, _shifted(each.occurrence, moved)
    _copy_attendees(unit, series, made)
    _end_before(series, at)
    unit.flush()
    return made


def _end_before(series: Appointment, at: dt.datetime) -> None:
    last = at - dt.timedelta(seconds=1)
    if series.rule:
        ended = zones.instant_of(last, series.zone)
        series.rule = recurrence.with_parts(series.rule, COUNT="", UNTIL=f"{ended:%Y%m%dT%H%M%SZ}")
    series.exceptions = [each for each in series.exceptions if recurrence.time_of(each) < at]
    series.extra = [each for each in series.extra if recurrence.time_of(each) < at]
    series.sequence += 1


def _moved(series: Appointment, at: dt.datetime, values: Mapping[str, Any]) -> dt.timedelta:
    """By how much the time `at` of a series is moved, by the clock."""
    if values.get("all_day", series.all_day):
        first = values.get("starts_on")
        return dt.timedelta() if first is None else dt.datetime.combine(_day(first), dt.time()) - at
    begins = values.get("starts_at")
    if begins is None:
        return dt.timedelta()
    return zones.local_of(_instant(begins), values.get("zone") or series.zone) - at


def _length(series: Appointment, values: Mapping[str, Any]) -> dt.timedelta:
    if values.get("all_day", series.all_day):
        first, last = values.get("starts_on"), values.get("ends_on")
        if first is None:
            return series.local_length
        return _day(last or first) - _day(first) + dt.timedelta(days=1)
    begin, end = values.get("starts_at"), values.get("ends_at")
    if begin is None or end is None:
        return series.local_length
    return _instant(end) - _instant(begin)


def _when(first: dt.datetime, length: dt.timedelta, series: Appointment, values: Mapping[str, Any]) -> dict[str, Any]:
    zone = values.get("zone") or series.zone
    if values.get("all_day", series.all_day):
        return {"all_day": True, "zone": zone, "starts_on": first.date(),
                "ends_on": (first + length).date() - dt.timedelta(days=1)}  # fmt: skip
    return timed(first, length, zone)


def _day(value: Any) -> dt.date:
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(value)


def _instant(value: Any) -> dt.datetime:
    return value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)


def moved_days(before: dt.datetime, after: dt.datetime) -> dt.timedelta:
    """By how many days something was moved, whatever the hour."""
    return after.date() - before.date()


def _shifted(key: str, by: dt.timedelta) -> str:
    return recurrence.key(recurrence.time_of(key) + by)


def _take_out(series: Appointment, at: dt.datetime) -> None:
    series.exceptions = sorted({*series.exceptions, recurrence.key(at)})


def _changed_ones(unit: Unit, series: Appointment) -> Sequence[Appointment]:
    return unit.reader.all(Appointment, Appointment.series_id == series.id, limit=recurrence.MOST)


def _copy_attendees(unit: Unit, source: Appointment, target: Appointment) -> None:
    for each in attendees_of(unit, source):
        copy = unit.create(
            Attendee,
            {"appointment_id": target.id, "user_id": each.user_id, "customer_id": each.customer_id, "email": each.email,
             "name": each.name, "optional": each.optional, "answer": each.answer},
        )  # fmt: skip
        copy.told_sequence = each.told_sequence
    unit.flush()


def attendees_of(unit: Unit, appointment: Appointment) -> list[Attendee]:
    """Who is asked to come, in the order they were asked."""
    here = (Attendee.appointment_id == appointment.id, Attendee.archived_at.is_(None))
    return list(unit.session.scalars(select(Attendee).where(*here).order_by(Attendee.id).limit(200)))


def call_off(unit: Unit, appointment: Appointment, *, scope: Scope = "all", occurrence: str = "") -> None:
    """Cancel an appointment; of a series one time, one and those after it, or all. What was is kept."""
    if appointment.repeats and scope == "one":
        _take_out(appointment, the_time(appointment, occurrence))
        appointment.sequence += 1
        unit.update(appointment, {})
        return
    if appointment.repeats and scope == "following" and occurrence:
        at = the_time(appointment, occurrence)
        if at > appointment.local_start:
            unit.update(appointment, {})
            for each in _changed_ones(unit, appointment):
                if recurrence.time_of(each.occurrence) >= at:
                    _update(unit, each, {"status": "cancelled"})
            _end_before(appointment, at)
            unit.flush()
            return
    for each in _changed_ones(unit, appointment):
        _update(unit, each, {"status": "cancelled"})
    _update(unit, appointment, {"status": "cancelled"})


# Who comes -----------------------------------------------------------------------------------------------------------


def ask_people(unit: Unit, appointment: Appointment, people: Sequence[Mapping[str, Any]]) -> None:
    """Have exactly these attend: each with user_id, customer_id or email. Who stays keeps their answer."""
    now = {_who(each): each for each in attendees_of(unit, appointment)}
    wanted = {_named(unit, each): each for each in people}
    for who, attendee in now.items():
        if who not in wanted:
            unit.archive(attendee)
    for who in wanted:
        if who not in now:
            user_id, customer_id, email, name = who
            unit.create(
                Attendee,
                {"appointment_id": appointment.id, "user_id": user_id, "customer_id": customer_id, "email": email,
                 "name": name},
            )  # fmt: skip


_Who = tuple[UUID | None, UUID | None, str, str]


def _who(attendee: Attendee) -> _Who:
    return attendee.user_id, attendee.customer_id, attendee.email, attendee.name


def _named(unit: Unit, person: Mapping[str, Any]) -> _Who:
    """Somebody with the name and address that are known of them."""
    user_id, customer_id = person.get("user_id"), person.get("customer_id")
    if user_id is not None:
        user = unit.get(User, UUID(str(user_id)))
        return user.id, None, user.email, user.name
    if customer_id is not None:
        customer = unit.get(Customer, UUID(str(customer_id)))
        return None, customer.id, customer.email, customer.name
    email = str(person.get("email", "")).strip()
    try:
        email = Attendee.meta.fields["email"].load(email) or ""
    except ValueError as error:
        raise Invalid(Problem("people", f"{email}: {_(str(error))}")) from None
    found = unit.reader.all(User, User.email == email, User.active.is_(True), limit=1)
    if found:
        return found[0].id, None, found[0].email, found[0].name
    known = unit.reader.all(Customer, Customer.email == email, Customer.archived_at.is_(None), limit=1) if email else []
    if known:
        return None, known[0].id, known[0].email, known[0].name
    return None, None, email, str(person.get("name", ""))[:200]


# What becomes of it --------------------------------------------------------------------------------------------------


def hold(unit: Unit, records: Sequence[Entity], values: Mapping[str, Any]) -> str:
    """Note that appointments took place: each becomes a meeting on its customer's timeline."""
    done = 0
    for record in records:
        assert isinstance(record, Appointment)
        if record.status == "held":
            continue
        meeting = record
        if record.repeats:  # the newest time that has begun, which leaves the series
            past = times_of(record, utcnow() - dt.timedelta(days=400), utcnow())
            if not past:
                raise Invalid(Problem(None, _("No time of this series has begun yet.")))
            meeting = _change_one(unit, record, past[-1].local, {}, version=None)
        unit.update(meeting, {"status": "held"})
        _note_meeting(unit, meeting, str(values.get("outcome") or ""))
        done += 1
    return _n("%(num)s appointment is noted as held.", "%(num)s appointments are noted as held.", done)


def _note_meeting(unit: Unit, appointment: Appointment, outcome: str) -> None:
    customers = {appointment.customer_id} | {each.customer_id for each in attendees_of(unit, appointment)}
    assert appointment.ends_at is not None
    minutes = int((appointment.ends_at - appointment.starts_at).total_seconds() // 60)
    for customer_id in sorted(each for each in customers if each is not None):
        unit.create(
            Interaction,
            {"customer_id": customer_id, "kind": "meeting", "at": appointment.starts_at, "subject": appointment.title,
             "body": appointment.note, "outcome": outcome, "minutes": None if appointment.all_day else minutes,
             "owner_id": appointment.owner_id, "team_id": appointment.team_id, "about_entity": ENTITY,
             "about_id": appointment.id},
        )  # fmt: skip


def miss(unit: Unit, records: Sequence[Entity], values: Mapping[str, Any]) -> str:
    """Note that appointments did not take place."""
    for record in records:
        unit.update(record, {"status": "missed"})
    return _("Noted.")


def forget(customer: Customer, session: Any) -> None:
    """A person is erased: they attend nothing under their name any more."""
    for attendee in session.scalars(select(Attendee).where(Attendee.customer_id == customer.id)):
        attendee.name, attendee.email, attendee.comment = "—", "", ""
    for appointment in session.scalars(select(Appointment).where(Appointment.customer_id == customer.id)):
        appointment.title, appointment.note, appointment.place = "—", "", ""
