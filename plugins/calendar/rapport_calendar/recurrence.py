"""Recurrence: when something that repeats takes place, on the clock of its zone, whatever is done to clocks."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator
from itertools import islice

from dateutil.rrule import rrule, rrulestr

from rapport import gettext as _
from rapport_calendar.zones import local_of

MOST = 2000
"""So many times of one series are looked at in one window."""
YEARS = range(1900, 2200)
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
PARTS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO",
         "BYSETPOS", "BYHOUR", "BYMINUTE", "BYSECOND"}  # fmt: skip
_CYCLE = 19 * 400
"""Weekdays and leap years repeat every 400 years. Rules are walked shortly before the last year that dates have, so
that one which never comes true (30 February) ends soon instead of after 8,000 years."""


def tidy(text: str) -> str:
    """A rule as it is kept: `FREQ=WEEKLY;BYDAY=MO`. ValueError, with what is wrong, for one we do not follow."""
    text = text.strip().upper().removeprefix("RRULE:").rstrip(";")
    if not text:
        return ""
    if len(text) > 400:
        raise ValueError(_("is too long."))
    parts = dict(part.partition("=")[::2] for part in text.split(";"))
    if unknown := sorted(set(parts) - PARTS):
        raise ValueError(_("has a part that is not known: %(part)s.", part=unknown[0]))
    if parts.get("FREQ") not in FREQUENCIES:
        raise ValueError(_("must repeat by the day, week, month or year, such as FREQ=WEEKLY;BYDAY=MO."))
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError(_("may end after a number of times or on a day, not both."))
    for number in ("INTERVAL", "COUNT"):
        if number in parts and not 1 <= _whole(parts[number]) <= 10_000:
            raise ValueError(_("has a number that is not between 1 and 10000."))
    if any(len(parts.get(each, "").split(",")) > 1 for each in ("BYHOUR", "BYMINUTE", "BYSECOND")):
        raise ValueError(_("may name one time of day only."))
    if "UNTIL" in parts:
        until_of(parts["UNTIL"])
    # Which the library looks for beyond the end of the year, and then fails.
    most = 53 if parts["FREQ"] == "YEARLY" and "BYMONTH" not in parts else 5
    if any(len(found) > 2 or int(found) > most for found in re.findall(r"\d+", parts.get("BYDAY", ""))):
        raise ValueError(_("is no rule of recurrence."))
    try:
        rrulestr(";".join(f"{name}={value}" for name, value in parts.items() if name != "UNTIL"))
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(_("is no rule of recurrence.")) from error
    return ";".join(f"{name}={value}" for name, value in parts.items())


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def until_of(text: str) -> dt.datetime:
    """The UNTIL of a rule: a moment if it is in UTC, else what the clock shows; a mere day counts to its end."""
    try:
        if len(text) == 8:
            return dt.datetime.combine(dt.datetime.strptime(text, "%Y%m%d"), dt.time.max)  # noqa: DTZ007 - a day has no zone
        made = dt.datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - its zone stands beside it
    except ValueError:
        raise ValueError(_("ends on a day that is none.")) from None
    return made.replace(tzinfo=dt.UTC) if text.endswith("Z") else made


def part(rule: str, name: str) -> str:
    """One part of a rule, empty where it is missing."""
    return dict(each.partition("=")[::2] for each in rule.split(";") if each).get(name, "")


def with_parts(rule: str, **parts: str) -> str:
    """A rule with parts changed; an empty one is left out."""
    now = {**dict(each.partition("=")[::2] for each in rule.split(";") if each), **parts}
    return ";".join(f"{name}={value}" for name, value in now.items() if value)


def walk(
    start: dt.datetime, rule: str, *, zone: str, after: dt.datetime, before: dt.datetime,
    without: Collection[str] = (), extra: Collection[str] = (),
) -> list[dt.datetime]:  # fmt: skip
    """The times a series begins in [after, before), as its zone's clock shows them; at most MOST of them.

    `without` and `extra` are times as `key` writes them. All times are without a zone: they are what the clock shows.
    """
    found = {each for text in extra if after <= (each := time_of(text)) < before}
    if after <= start < before:
        found.add(start)  # the first time counts, whether or not it fits the rule
    if rule:
        found.update(islice(_rule_times(start, rule, zone, after, before), MOST))
    out = set(without)
    return sorted(each for each in found if key(each) not in out)[:MOST]


def _rule_times(
    start: dt.datetime, rule: str, zone: str, after: dt.datetime, before: dt.datetime
) -> Iterator[dt.datetime]:
    end = before
    if until := part(rule, "UNTIL"):
        last = until_of(until)
        end = min(end, (local_of(last, zone) if last.tzinfo else last) + dt.timedelta(microseconds=1))
    first = start if part(rule, "COUNT") else _nearer(start, rule, after)
    rest = with_parts(rule, UNTIL="")
    moved = rrulestr(rest, dtstart=first.replace(year=first.year + _CYCLE))
    assert isinstance(moved, rrule)
    for each in moved:
        time = each.replace(year=each.year - _CYCLE)
        if time >= end:
            return
        if time >= after:
            yield time


def _nearer(start: dt.datetime, rule: str, after: dt.datetime) -> dt.datetime:
    """A later start of the same series, so that one which is years old need not be walked from its beginning."""
    days = {"DAILY": 1, "WEEKLY": 7}.get(part(rule, "FREQ"))
    if days is None or after <= start:
        return start
    step = dt.timedelta(days=days * int(part(rule, "INTERVAL") or 1))
    return start + max(0, (after - start) // step - 1) * step


def times(start: dt.datetime, rule: str, zone: str, *, most: int = MOST) -> list[dt.datetime]:
    """The first times of a series, without regard to what was taken out of it."""
    return list(islice(_rule_times(start, rule, zone, start, dt.datetime(YEARS.stop, 1, 1)), most))  # noqa: DTZ001 - what a clock shows


def last_time(start: dt.datetime, rule: str, zone: str, extra: Collection[str] = ()) -> dt.datetime | None:
    """When a series begins for the last time; None for one without an end, or with more than MOST times."""
    if not part(rule, "COUNT") and not part(rule, "UNTIL"):
        return None
    known = times(start, rule, zone, most=MOST + 1)
    if len(known) > MOST:
        return None
    return max([start, *known, *(time_of(each) for each in extra)])


def ever(start: dt.datetime, rule: str, zone: str) -> bool:
    """Whether a rule comes true at all."""
    return next(_rule_times(start, rule, zone, start, dt.datetime(YEARS.stop, 1, 1)), None) is not None  # noqa: DTZ001 - what a clock shows


def key(time: dt.datetime) -> str:
    """How a time of a series is written where it stands for that time: 2026-03-29T09:00:00."""
    return time.isoformat(timespec="seconds")


def time_of(text: str) -> dt.datetime:
    """The time that `key` wrote. ValueError for anything else."""
    made = dt.datetime.fromisoformat(text)
    if made.tzinfo is not None:
        raise ValueError(_("must be a time without its zone."))
    return made


def turned(rule: str, by: dt.timedelta) -> str:
    """The rule of a series that was moved by days: every Monday becomes every Tuesday."""
    weekdays = part(rule, "BYDAY").split(",")
    if not by.days or part(rule, "FREQ") != "WEEKLY" or weekdays == [""]:
        return rule
    moved = sorted({(WEEKDAYS.index(day) + by.days) % 7 for day in weekdays if day in WEEKDAYS})
    return with_parts(rule, BYDAY=",".join(WEEKDAYS[day] for day in moved))
