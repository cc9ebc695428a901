"""Business hours agree with whoever looks at a clock on the wall every minute, also when clocks are changed."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from rapport_service.hours import ALWAYS, DAY, Schedule, read_spans

# Days around which clocks are changed, also at midnight and by half an hour, and some in the middle of nowhere.
CHANGES = [
    ("Europe/Berlin", dt.date(2026, 3, 29)), ("Europe/Berlin", dt.date(2026, 10, 25)),
    ("America/New_York", dt.date(2026, 3, 8)), ("America/New_York", dt.date(2026, 11, 1)),
    ("Australia/Lord_Howe", dt.date(2026, 4, 5)), ("Australia/Lord_Howe", dt.date(2026, 10, 4)),
    ("Africa/Cairo", dt.date(2026, 4, 24)), ("Africa/Cairo", dt.date(2026, 10, 29)),
    ("Asia/Kathmandu", dt.date(2026, 6, 1)), ("Pacific/Auckland", dt.date(2026, 4, 5)),
]  # fmt: skip


@some.composite
def spans(draw):
    """Openings of a day, at whole minutes, apart from each other."""
    edges = sorted(draw(some.sets(some.integers(0, DAY), max_size=6)))
    return tuple(zip(edges[::2], edges[1::2], strict=False))


@some.composite
def cases(draw):
    """Hours, and two whole minutes near a day on which clocks change."""
    zone, day = draw(some.sampled_from(CHANGES))
    week = tuple(draw(spans()) for _ in range(7))
    off = draw(some.sets(some.integers(-2, 2), max_size=2))
    schedule = Schedule(ZoneInfo(zone), week, frozenset(day + dt.timedelta(days=each) for each in off))
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
    start = noon + dt.timedelta(minutes=draw(some.integers(-2 * DAY, DAY)))
    return schedule, start, draw(some.integers(0, 2 * DAY))


def open_at(schedule: Schedule, at: dt.datetime) -> bool:
    """What the clock on the wall says."""
    local = at.astimezone(schedule.zone)
    minute = local.hour * 60 + local.minute
    return local.date() not in schedule.days_off and any(a <= minute < b for a, b in schedule.week[local.weekday()])


def counted(schedule: Schedule, start: dt.datetime, minutes: int) -> list[bool]:
    return [open_at(schedule, start + dt.timedelta(minutes=each)) for each in range(minutes)]


@settings(max_examples=120, deadline=None)
@given(cases())
def test_hours_between_two_moments_are_the_minutes_that_a_clock_shows_as_open(case) -> None:
    schedule, start, minutes = case
    end = start + dt.timedelta(minutes=minutes)
    assert schedule.between(start, end) == 60 * sum(counted(schedule, start, minutes))


@settings(max_examples=120, deadline=None)
@given(cases(), some.integers(1, 900))
def test_so_many_open_minutes_later_is_when_a_clock_has_shown_so_many(case, wanted) -> None:
    schedule, start, minutes = case
    end = schedule.after(start, 60 * wanted)
    seen = counted(schedule, start, minutes)
    if sum(seen) >= wanted:
        minute = next(each for each in range(minutes) if sum(seen[: each + 1]) == wanted)
        assert end == start + dt.timedelta(minutes=minute + 1)
    else:
        assert end > start + dt.timedelta(minutes=minutes) or not any(schedule.week)


def test_hours_are_written_as_people_write_them() -> None:
    assert read_spans("9-12, 13:30–17") == ((540, 720), (810, 1020))
    assert read_spans("") == ()
    assert read_spans("0-24") == ((0, DAY),)
    for wrong in ("9", "17-9", "9-25", "9-12, 11-13", "9:75-10", "morning"):
        with pytest.raises(ValueError, match=r".+"):
            read_spans(wrong)
    at = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    assert ALWAYS.after(at, 3600) == at + dt.timedelta(hours=1)
    assert ALWAYS.between(at, at - dt.timedelta(hours=1)) == 0
