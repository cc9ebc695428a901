"""Reminders: so many minutes before an appointment, those of us who come get a mail, once for each time of a series.

A job waits for the next time there is and plans the one after it. A change plans anew: the job that waits for a time
which is no longer there finds nothing to do.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from rapport import Formats, JobContext, Unit, User, enqueue_job, system, use_language, utcnow
from rapport import gettext as _
from rapport_calendar import invitations
from rapport_calendar.entities import Appointment
from rapport_calendar.occurrences import GONE, Occurrence, next_time, times_of
from rapport_calendar.service import attendees_of

JOB = "calendar.remind"


def plan(records: Sequence[Appointment], session: Any) -> None:
    """Enqueue the reminder of the next time of each appointment that wants one."""
    for appointment in records:
        if wants(appointment):
            _plan_next(session.connection(), appointment, utcnow())


def wants(appointment: Appointment) -> bool:
    """Whether anybody is to be reminded of it."""
    return appointment.remind_minutes is not None and appointment.status not in GONE and appointment.archived_at is None


def _plan_next(connection: Any, appointment: Appointment, after: dt.datetime) -> None:
    before = dt.timedelta(minutes=appointment.remind_minutes or 0)
    found = next_time(appointment, after + before)
    if found is not None:
        begin = found.begin.isoformat()
        enqueue_job(
            connection, JOB, {"appointment_id": str(appointment.id), "begin": begin}, actor=system("calendar"),
            due_at=found.begin - before, key=f"{appointment.id}:{begin}",
        )  # fmt: skip


def remind(context: JobContext, *, appointment_id: str, begin: str) -> str:
    """The job: mail those of us who come, if it still takes place then, and plan the next time."""
    at = dt.datetime.fromisoformat(begin)
    with context.site.write(system("calendar reminder")) as unit:
        found = unit.reader.all(Appointment, Appointment.id == UUID(appointment_id), limit=1)
        if not found or not wants(found[0]):
            return _("It no longer takes place.")
        appointment = found[0]
        time = next(
            (each for each in times_of(appointment, at, at + dt.timedelta(seconds=1)) if each.begin == at), None
        )
        if time is None:
            return _("It was moved.")
        for user in _who(unit, appointment):
            _mail(unit, user, time)
        before = dt.timedelta(minutes=appointment.remind_minutes or 0)
        _plan_next(unit.session.connection(), appointment, max(utcnow(), at - before))
    return ""


def _who(unit: Unit, appointment: Appointment) -> Sequence[User]:
    ids = {each.user_id for each in attendees_of(unit, appointment) if each.answer != "declined"} | {
        appointment.owner_id
    }
    here = (User.id.in_([each for each in ids if each is not None]), User.active.is_(True))
    return unit.session.scalars(select(User).where(*here).order_by(User.id)).all()


def _mail(unit: Unit, user: User, time: Occurrence) -> None:
    appointment, formats = time.appointment, Formats(user.language, user.time_zone)
    with use_language(user.language, ["rapport_calendar"]):
        subject = _("%(time)s: %(title)s", time=formats.time(time.begin), title=appointment.title)
        link = f"{unit.site.config.base_url.rstrip('/')}/calendar.appointment/{appointment.id}"
        lines = [
            appointment.title,
            formats.instant(time.begin, "full"),
            *([appointment.place] if appointment.place else []),
        ]
        invitations.mail_user(unit, user.email, subject, "\n".join([*lines, "", link]))
