"""Schedules: one run for each local date whatever the clocks do, each run one job, missed ones made up for once."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from rapport import Job, Schedule, next_run
from rapport.jobs import job_table
from rapport.lifecycle import enable
from rapport.schedules import WEEKDAYS, schedule_table, tick
from rapport.testing import TestApp
from tests.torture import tally

BEGIN, END = dt.date(2021, 1, 1), dt.date(2025, 12, 31)
DATES = [BEGIN + dt.timedelta(days=n) for n in range((END - BEGIN).days + 1)]
ZONES = ("Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Europe/Helsinki", "UTC")


def local_runs(rule: str, zone: str) -> list[dt.datetime]:
    """Each run within five years, on the clocks of the zone."""
    where = ZoneInfo(zone)
    runs, after = [], dt.datetime.combine(BEGIN, dt.time(), where) - dt.timedelta(seconds=1)
    while (after := next_run(rule, zone, after)).astimezone(where).date() <= END:
        runs.append(after.astimezone(where))
    return runs


# 00:30 is left out or comes twice in Santiago, 02:15 in Lord Howe by half an hour, 02:30 in Berlin and New York, 03:30
# in Helsinki; 23:45 comes twice on the evening when Santiago goes back.
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", ["00:00", "00:30", "01:45", "02:15", "02:30", "03:30", "12:00", "23:45"])
def test_a_daily_run_comes_once_on_every_local_date_of_five_years(zone: str, at: str):
    runs = local_runs(f"daily at {at}", zone)
    assert [run.date() for run in runs] == DATES
    late = [run for run in runs if f"{run:%H:%M}" != at]
    assert len(late) <= 5  # only where that time does not exist, and then as much later as the clocks jump
    assert all(f"{run - dt.timedelta(hours=1):%H:%M}" <= at < f"{run:%H:%M}" for run in late)
    tally("D13", "local dates of five years in six zones", tried=len(runs), missing=0, twice=0)


def test_the_nights_when_the_clocks_change_in_berlin():
    before = dt.datetime(2026, 3, 28, 12, tzinfo=dt.UTC)
    assert next_run("daily at 02:30", "Europe/Berlin", before) == dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC)
    before = dt.datetime(2026, 10, 24, 12, tzinfo=dt.UTC)
    first = next_run("daily at 02:30", "Europe/Berlin", before)
    assert first == dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC)
    assert next_run("daily at 02:30", "Europe/Berlin", first) == dt.datetime(2026, 10, 26, 1, 30, tzinfo=dt.UTC)


def test_a_date_that_a_place_left_out_has_no_run():
    """Samoa went from the 29th of December 2011 to the 31st."""
    after, runs = dt.datetime(2011, 12, 29, tzinfo=ZoneInfo("Pacific/Apia")), []
    for _ in range(3):
        after = next_run("daily at 09:00", "Pacific/Apia", after)
        runs.append(after.astimezone(ZoneInfo("Pacific/Apia")).day)
    assert runs == [29, 31, 1]


@pytest.mark.parametrize("zone", ZONES)
def test_weeks_and_months(zone: str):
    weekly = local_runs("weekly on Sunday, wednesday at 02:30", zone)
    assert [run.date() for run in weekly] == [
        date for date in DATES if WEEKDAYS[date.weekday()] in {"sunday", "wednesday"}
    ]
    monthly = local_runs("monthly on 31 at 02:30", zone)
    assert Counter((run.year, run.month) for run in monthly) == Counter({(date.year, date.month): 1 for date in DATES})
    assert all((run + dt.timedelta(days=1)).day == 1 for run in monthly)


def test_minutes_go_on_evenly_through_every_night():
    after = dt.datetime(2026, 10, 24, 22, 7, tzinfo=dt.UTC)
    for expected in range(15, 15 * 40, 15):
        after = next_run("every 15 minutes", "Europe/Berlin", after)
        assert after == dt.datetime(2026, 10, 24, 22, tzinfo=dt.UTC) + dt.timedelta(minutes=expected)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("hourly", "is no rule of a schedule. Write: every 15 minutes; daily at 03:30;"),
        ("daily at 25:00", "is no rule of a schedule"),
        ("every 0 minutes", "is no rule of a schedule"),
        ("weekly on moonday at 08:00", "'moonday' is no day of the week. Write: monday, tuesday"),
        ("monthly on 32 at 08:00", "names no day of a month"),
    ],
)
def test_a_rule_that_cannot_be_read_is_told_how_it_is_written(rule: str, said: str):
    with pytest.raises(ValueError, match=said):
        next_run(rule, "UTC", dt.datetime.now(dt.UTC))


# On a site ------------------------------------------------------------------------------------------------------------


def with_schedule(app: TestApp, rule: str) -> list[dt.datetime]:
    """A schedule of a job that notes when it ran."""
    from rapport.entities import utcnow

    ran: list[dt.datetime] = []
    for registry in (app.site.jobs, app.site.schedules):
        registry._frozen = False
    app.site.jobs.add("alpha", Job("alpha.note", "Note", lambda context, text: ran.append(utcnow())))
    app.site.schedules.add("alpha", Schedule("alpha.note", "alpha.note", rule, {"text": "now"}))
    tick(app.site)
    return ran


def waiting(app: TestApp) -> list[str]:
    with app.site.db.read() as connection:
        names = select(job_table.c.name).where(job_table.c.state == "waiting", job_table.c.name.startswith("alpha."))
        return list(connection.scalars(names))


def test_a_job_comes_round_and_is_made_up_for_once_after_a_week_without_a_worker(app, clock):
    clock.now = dt.datetime(2026, 10, 20, 12, tzinfo=dt.UTC)
    ran = with_schedule(app, "daily at 02:30")
    app.settle()
    assert ran == []
    clock.forward(hours=24)
    app.settle()
    app.settle()
    assert len(ran) == 1
    clock.forward(days=7)
    app.settle()
    assert len(ran) == 2
    clock.forward(hours=15)
    app.settle()
    assert len(ran) == 3


def test_of_many_workers_one_asks_for_the_job(app, clock):
    import threading

    with_schedule(app, "every 5 minutes")
    clock.forward(minutes=5)
    gate = threading.Barrier(4)

    def look() -> None:
        gate.wait()
        tick(app.site)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waiting(app) == ["alpha.note"]
    clock.forward(minutes=5)
    tick(app.site)
    assert waiting(app) == ["alpha.note"]  # the former one still waits


def test_a_new_zone_of_the_business_moves_its_schedules(app, clock):
    clock.now = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
    with_schedule(app, "daily at 08:00")

    def due() -> dt.datetime:
        with app.site.db.read() as connection:
            return connection.scalars(
                select(schedule_table.c.due_at).where(schedule_table.c.name == "alpha.note")
            ).one()

    assert due() == dt.datetime(2026, 1, 11, 8, tzinfo=dt.UTC)
    with app.site.db.write() as connection:
        app.site.settings.set(connection, "core.zone", "America/New_York")
    tick(app.site)
    assert due() == dt.datetime(2026, 1, 10, 13, tzinfo=dt.UTC)


def test_what_ended_long_ago_is_forgotten(app, clock):
    clock.now = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
    with_schedule(app, "monthly on 1 at 00:00")
    app.settle()
    clock.forward(days=25)
    app.settle()
    with app.site.db.write() as connection:
        connection.execute(update(job_table).where(job_table.c.name == "alpha.note").values(message="the oldest"))
    clock.forward(days=40)
    app.settle()
    with app.site.db.read() as connection:
        messages = connection.scalars(select(job_table.c.message).where(job_table.c.name == "alpha.note")).all()
    assert messages
    assert "the oldest" not in messages


ALPHA = """
from rapport import Schedule, Job, hookimpl

@hookimpl
def register_jobs(): return [Job("alpha.work", "Work", lambda context: None)]

@hookimpl
def register_schedules(): return [Schedule("alpha.morning", "alpha.work", "daily at 08:00")]
"""


@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        ("daily at 08:00", "each morning", "its schedule 'alpha.morning' cannot be kept: 'each morning' is no rule"),
        ('"alpha.work", "daily', '"alpha.wrok", "daily', "is for the job 'alpha.wrok', which nobody has"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_found_before_the_plugin_is_on(app, plugin_on_disk, there, instead, said):
    plugin_on_disk("alpha", ALPHA.replace(there, instead))
    with pytest.raises(Exception, match=said):
        enable(app.site.config, "alpha")
