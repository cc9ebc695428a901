"""iCalendar (RFC 5545): reading what other calendars wrote, and writing what they read."""

from rapport_calendar.ical.reading import MAX_BYTES, Event, Person, Read, Refusal, read
from rapport_calendar.ical.writing import write

__all__ = ["MAX_BYTES", "Event", "Person", "Read", "Refusal", "read", "write"]
