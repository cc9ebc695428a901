"""Beside the calendar: an appointment to come is a next step; a feed is of its person alone."""

from __future__ import annotations

from collections.abc import Sequence

from rapport_calendar import Appointment

from rapport import Reader, hookimpl, utcnow
from rapport_strategy.hookspecs import Duty, NextStep


@hookimpl
def ask_strategy_duties() -> Sequence[Duty]:
    return [
        Duty("calendar.appointment", "owner_id", "move",
             open='status in ("confirmed", "tentative") and (starts_at >= now or rule != "")'),
        Duty("calendar.attendee", "user_id", "move", open="appointment.starts_at >= now"),
        Duty("calendar.feed", "user_id", "end", why="whoever knows its address reads it: a successor makes another"),
    ]  # fmt: skip


@hookimpl
def ask_strategy_next_steps(reader: Reader) -> Sequence[NextStep]:
    to_come = (Appointment.archived_at.is_(None), Appointment.starts_at >= utcnow(),
               Appointment.status.in_(("confirmed", "tentative")))  # fmt: skip
    return [NextStep(Appointment, Appointment.customer_id, to_come)]
