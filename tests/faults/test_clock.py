"""A worker through the nights when the clocks change, in six zones, while somebody sets the clock wrong."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, select

from rapport import Job, Schedule, schedules
from rapport.entities import utcnow
from rapport.jobs import run_next
from rapport.schedules import schedule_table, tick
from rapport.testing.app import TestApp
from tests.kernel.test_schedules import ZONES
from tests.torture import LONG, tally

pytestmark = [pytest.mark.timeout(3600), pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]
YEARS = range(2021, 2026) if LONG else (2025,)
TIMES = ("00:30", "02:15", "02:30", "23:45")


def changes(zone: str) -> list[dt.datetime]:
    """The moments at which the clocks of a zone change; in one that keeps its time, the new year."""
    where, found = ZoneInfo(zone), []
    for year in YEARS:
        moment = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
        hours = [moment + dt.timedelta(hours=n) for n in range(366 * 24)]
        offsets = [each.astimezone(where).utcoffset() for each in hours]
        jumps = [hour for hour, here, then in zip(hours[1:], offsets, offsets[1:], strict=False) if here != then]
        found += jumps or [moment]
    return found


@pytest.fixture
def ran(app: TestApp) -> list[dt.datetime]:
    """When the job of the schedule ran."""
    noted: list[dt.datetime] = []
    for registry in (app.site.jobs, app.site.schedules):
        registry._frozen = False
    app.site.jobs.add("alpha", Job("alpha.note", "Note", lambda context: noted.append(utcnow())))
    return noted


def walk(app: TestApp, ran: list[dt.datetime], clock: Any, zone: str, at: str, change: dt.datetime) -> list[dt.date]:
    """Two days about a change, with a clock that now and then is put wrong; the local dates that had no one run."""
    chance, where = random.Random(f"{zone} {at} {change}"), ZoneInfo(zone)
    app.site.schedules._items.clear()
    clock.now = change - dt.timedelta(hours=28)
    with app.site.db.write() as connection:
        connection.execute(delete(schedule_table))
        app.site.settings.set(connection, "core.zone", zone)
    app.site.schedules.add("alpha", Schedule("alpha.note", "alpha.note", f"daily at {at}"))
    ran.clear()
    begun, true, kept, end = clock.now, clock.now, [], change + dt.timedelta(hours=44)
    while true < end:
        true += dt.timedelta(minutes=30)
        wrong = chance.choice([*[0] * 12, -24, -1, 1]) if true < end else 0  # in the end somebody puts it right
        clock.now = true + dt.timedelta(hours=wrong)
        with app.site.db.read() as connection:
            due = connection.scalar(select(schedule_table.c.due_at))
        if tick(app.site):
            assert due is not None
            kept.append(due)
        while run_next(app.site):
            pass
    assert len(ran) == len(kept)
    local = Counter(moment.astimezone(where).date() for moment in kept)
    first, last = begun.astimezone(where), true.astimezone(where)
    days = [first.date() + dt.timedelta(days=n) for n in range(1, (last.date() - first.date()).days)]
    return [day for day in days if local[day] != 1]


def test_each_local_date_has_one_run_through_every_change_of_the_clocks(app: TestApp, ran: list[Any], clock: Any):
    nights, wrong = 0, []
    for zone in ZONES:
        for number, change in enumerate(changes(zone)):
            for at in TIMES if LONG else TIMES[number % 2 :: 2]:
                wrong += [(zone, at, day) for day in walk(app, ran, clock, zone, at, change)]
                nights += 1
    assert not wrong
    assert nights >= 20
    tally("D13", "nights when the clocks change", tried=nights, zones=len(ZONES), wrong=0)


def test_a_schedule_that_counts_hours_is_found(app: TestApp, ran: list[Any], clock: Any, monkeypatch: Any):
    """The control: the next run is a day of 24 hours after the last."""
    monkeypatch.setattr(schedules, "next_run", lambda rule, zone, after: after + dt.timedelta(hours=24))
    (change, _autumn) = changes("Europe/Berlin")[-2:]
    wrong = walk(app, ran, clock, "Europe/Berlin", "23:45", change)
    assert wrong
    tally("D13", "nights when the clocks change", control=len(wrong))
