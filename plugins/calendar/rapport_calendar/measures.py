"""The figures of the calendar that can be asked for by any dimension: appointments, kept and missed."""

from __future__ import annotations

from rapport import Dimension, Measure

APPOINTMENT = "calendar.appointment"
ONCE = "A series counts once, on its first day."


def measures() -> list[Measure]:
    """Every figure of the calendar."""
    return [
        Measure("calendar.appointments", "Appointments", of=APPOINTMENT, at="starts_at",
                filter='status != "cancelled"', help=ONCE),
        Measure("calendar.with_customers", "Appointments with customers", of=APPOINTMENT, at="starts_at",
                filter='status != "cancelled" and customer_id is not empty', help=ONCE),
        Measure("calendar.missed", "Appointments missed", of=APPOINTMENT, at="starts_at", filter='status = "missed"',
                better="down", help=ONCE),
    ]  # fmt: skip


def dimensions() -> list[Dimension]:
    """What is told apart in the calendar."""
    return [Dimension("calendar.status", "Status of the appointment", of=APPOINTMENT, value="status")]
