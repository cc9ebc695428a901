"""Calendar: appointments, who is free when, invitations by mail, and feeds for other calendars."""

from rapport_calendar.entities import Appointment, Attendee
from rapport_calendar.invitations import take_reply

__all__ = ["Appointment", "Attendee", "take_reply"]
