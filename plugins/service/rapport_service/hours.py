"""Business hours: when we answer, and how much of that lies between two moments, whatever the clocks do."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

DAY = 24 * 60
MOST_DAYS = 3700
"""So far ahead hours are looked for; whoever is open less than once in ten years is never open."""
_SPAN = re.compile(r"\s*(\d{1,2})(?::(\d{2}))?\s*[-–]\s*(\d{1,2})(?::(\d{2}))?\s*")
Spans = tuple[tuple[int, int], ...]
"""Openings of a day, in minutes from midnight, in order and apart from each other."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The hours of a week as clocks of a zone show them, without the days off."""

    zone: ZoneInfo
    week: tuple[Spans, ...]
    """Monday first."""
    days_off: frozenset[dt.date] = frozenset()

    @property
    def always(self) -> bool:
        """Whether there is no moment at which it is closed."""
        return not self.days_off and all(spans == ((0, DAY),) for spans in self.week)

    def between(self, start: dt.datetime, end: dt.datetime) -> int:
        """The open seconds between two moments; none where the end comes first."""
        if end <= start:
            return 0
        if self.always:
            return round((end - start).total_seconds())
        total = 0.0
        for opens, closes in self._openings(start, end):
            total += max(0.0, (min(closes, end) - max(opens, start)).total_seconds())
        return round(total)

    def after(self, start: dt.datetime, seconds: int) -> dt.datetime:
        """The moment when so many open seconds have passed since `start`; at once where none are left."""
        if seconds <= 0:
            return start
        if self.always:
            return start + dt.timedelta(seconds=seconds)
        left = float(seconds)
        for opens, closes in self._openings(start, start + dt.timedelta(days=MOST_DAYS)):
            begins = max(opens, start)
            here = (closes - begins).total_seconds()
            if here >= left:
                return begins + dt.timedelta(seconds=left)
            left -= max(0.0, here)
        return start + dt.timedelta(days=MOST_DAYS)

    def _openings(self, start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
        """The openings that touch a time, as moments in UTC, in order."""
        day = (start.astimezone(self.zone) - dt.timedelta(days=1)).date()
        last = (end.astimezone(self.zone) + dt.timedelta(days=1)).date()
        while day <= last:
            if day not in self.days_off:
                for first, until in self.week[day.weekday()]:
                    midnight = dt.datetime.combine(day, dt.time())
                    piece = (midnight + dt.timedelta(minutes=first), midnight + dt.timedelta(minutes=until))
                    yield from _moments(self.zone, *piece)
            day += dt.timedelta(days=1)


ALWAYS = Schedule(ZoneInfo("UTC"), (((0, DAY),),) * 7)
"""Around the clock."""


def read_spans(text: str) -> Spans:
    """The openings of a day as people write them, "9-12, 13:30-17"; nothing: closed. ValueError for anything else."""
    spans = []
    for part in filter(str.strip, re.split(r"[,;]", text)):
        found = _SPAN.fullmatch(part)
        if found is None:
            raise ValueError(part.strip())
        first = int(found[1]) * 60 + int(found[2] or 0)
        until = int(found[3]) * 60 + int(found[4] or 0)
        if not 0 <= first < until <= DAY or int(found[2] or 0) > 59 or int(found[4] or 0) > 59:
            raise ValueError(part.strip())
        spans.append((first, until))
    spans.sort()
    for (_first, until), (begins, _until) in itertools.pairwise(spans):
        if begins < until:
            raise ValueError(text.strip())
    return tuple(spans)


def _moments(zone: ZoneInfo, opens: dt.datetime, closes: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """When clocks of a zone show a time between two others. An hour that clocks skip is not there, and one that they
    show twice is there twice."""
    around = dt.timedelta(hours=26)
    start, end = opens.replace(tzinfo=dt.UTC) - around, closes.replace(tzinfo=dt.UTC) + around
    for begins, ends, offset in _steady(zone, start, end):
        first = max(begins, opens.replace(tzinfo=dt.UTC) - offset)
        last = min(ends, closes.replace(tzinfo=dt.UTC) - offset)
        if first < last:
            yield first, last


def _steady(
    zone: ZoneInfo, start: dt.datetime, end: dt.datetime
) -> Iterator[tuple[dt.datetime, dt.datetime, dt.timedelta]]:
    """A time in parts in each of which clocks stay as far from UTC as they are."""
    here, there = _offset(zone, start), _offset(zone, end)
    if here == there:
        yield start, end, here
        return
    before, after = start, end
    while after - before > dt.timedelta(seconds=1):
        middle = before + (after - before) / 2
        middle = middle.replace(microsecond=0)
        if _offset(zone, middle) == here:
            before = middle
        else:
            after = middle
    yield start, after, here
    yield after, end, there


def _offset(zone: ZoneInfo, at: dt.datetime) -> dt.timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset
