"""Zones: what clocks show in a place, and the moment that is, also where clocks are put forward or back."""

from __future__ import annotations

import datetime as dt
import functools
from zoneinfo import ZoneInfo

from rapport.i18n import time_zones

WINDOWS = {
    "AUS Eastern Standard Time": "Australia/Sydney",
    "Central Europe Standard Time": "Europe/Budapest",
    "Central European Standard Time": "Europe/Warsaw",
    "Central Standard Time": "America/Chicago",
    "China Standard Time": "Asia/Shanghai",
    "E. Europe Standard Time": "Europe/Chisinau",
    "Eastern Standard Time": "America/New_York",
    "FLE Standard Time": "Europe/Kyiv",
    "GMT Standard Time": "Europe/London",
    "GTB Standard Time": "Europe/Athens",
    "India Standard Time": "Asia/Kolkata",
    "Iran Standard Time": "Asia/Tehran",
    "Israel Standard Time": "Asia/Jerusalem",
    "Mountain Standard Time": "America/Denver",
    "Pacific Standard Time": "America/Los_Angeles",
    "Romance Standard Time": "Europe/Paris",
    "Russian Standard Time": "Europe/Moscow",
    "Tokyo Standard Time": "Asia/Tokyo",
    "Turkey Standard Time": "Europe/Istanbul",
    "W. Europe Standard Time": "Europe/Berlin",
}
"""What Outlook calls the zones it is mostly set to."""


def instant_of(local: dt.datetime, zone: str) -> dt.datetime:
    """The moment a clock in a zone shows a time.

    A time that clocks skip is taken as if they had not been put forward yet (02:30 becomes 03:30), a time that they
    show twice as the first of the two: what RFC 5545 says.
    """
    return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(dt.UTC)


def local_of(at: dt.datetime, zone: str) -> dt.datetime:
    """What a clock in a zone shows at a moment, without saying where."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def day_begins(day: dt.date, zone: str) -> dt.datetime:
    """The moment a day begins in a zone; where midnight is skipped, when the clocks show the day first."""
    return instant_of(dt.datetime.combine(day, dt.time()), zone)


@functools.cache
def names() -> list[str]:
    """Every zone one may choose, those that only stand for others left out."""
    aside = ("Etc/", "SystemV/", "US/", "posix/", "right/")
    return sorted(name for name in time_zones() if ("/" in name and not name.startswith(aside)) or name == "UTC")


def known(name: str) -> str | None:
    """The zone behind a name as calendars write them: Europe/Berlin, /freeassociation/…/Europe/Berlin, or Outlook's."""
    name = name.strip().strip('"')
    for each in (name, WINDOWS.get(name, ""), "/".join(name.split("/")[-2:]), "/".join(name.split("/")[-3:])):
        if each in time_zones():
            return each
    return None
