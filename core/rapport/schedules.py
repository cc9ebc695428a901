"""Schedules: work that comes round, at a time of day as people say it, whatever the clocks do.

A rule is a sentence: `every 15 minutes`, `daily at 03:30`, `weekly on monday, friday at 08:00` or
`monthly on 1 at 06:00`. A day that a month does not have is its last one. The time of day is that of a time zone, and
there is one run for each local date: on the night when 02:30 comes twice, at the first; when it does not come, as much
later as the clocks jump.
"""

from __future__ import annotations

import calendar
import datetime as dt
import logging
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Column, Row, Table, Text, select, update
from sqlalchemy.dialects import postgresql, sqlite

from rapport.access import system
from rapport.contributions import Schedule, Setting
from rapport.db.tables import metadata
from rapport.entities.types import Instant, utcnow
from rapport.errors import PluginError
from rapport.i18n import time_zones
from rapport.jobs import enqueue_job

if TYPE_CHECKING:
    from rapport.site import Site

log = logging.getLogger("rapport.schedules")
WEEKDAYS = tuple(day.lower() for day in calendar.day_name)
MINUTES = re.compile(r"every (?:minute|(?P<minutes>[1-9]\d{0,3}) minutes)")
DAYS = re.compile(
    r"(?:daily|weekly on (?P<weekdays>[a-z]+(?:, ?[a-z]+)*)|monthly on (?P<day>\d{1,2}))"
    r" at (?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)"
)
DAY = dt.timedelta(days=1)
LONGEST = 40
"""Days within which every rule has a date."""

schedule_table = Table(
    "schedule",
    metadata,
    Column("name", Text, primary_key=True),
    # As it was when `due_at` was worked out: with another rule or zone that is worked out anew
    Column("rule", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
)

ZONE_SETTING = Setting(
    "core.zone", "Time zone of the business",
    choices=("", *sorted(name for name in time_zones() if "/" in name and not name.startswith("Etc/")), "UTC"),
    help="Schedules and quiet hours keep its time. Empty: as rapport.toml says.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was read: every so many minutes, or at a time of those local dates that fit."""

    minutes: int = 0
    at: dt.time = dt.time()
    fits: Callable[[dt.date], bool] = lambda day: True


def parse_rule(text: str) -> Rule:
    """Read a rule; ValueError says how it is written."""
    words = " ".join(text.lower().split())
    if found := MINUTES.fullmatch(words):
        return Rule(minutes=int(found["minutes"] or 1))
    found = DAYS.fullmatch(words)
    if found is None:
        raise ValueError(
            f"'{text}' is no rule of a schedule. Write: every 15 minutes; daily at 03:30; "
            f"weekly on monday, friday at 08:00; monthly on 1 at 06:00."
        )
    at = dt.time(int(found["hour"]), int(found["minute"]))
    if found["weekdays"]:
        names = found["weekdays"].replace(",", " ").split()
        if wrong := [name for name in names if name not in WEEKDAYS]:
            raise ValueError(f"'{wrong[0]}' is no day of the week. Write: {', '.join(WEEKDAYS)}.")
        days = {WEEKDAYS.index(name) for name in names}
        return Rule(at=at, fits=lambda day: day.weekday() in days)
    if found["day"]:
        number = int(found["day"])
        if not 1 <= number <= 31:
            raise ValueError(f"'{text}' names no day of a month. Write a number from 1 to 31.")
        return Rule(at=at, fits=lambda day: day.day == min(number, calendar.monthrange(day.year, day.month)[1]))
    return Rule(at=at)


def next_run(rule: str, zone: str, after: dt.datetime) -> dt.datetime:
    """The first moment after another at which a rule has work done, in UTC."""
    read, where = parse_rule(rule), ZoneInfo(zone)
    if read.minutes:
        step = read.minutes * 60
        return dt.datetime.fromtimestamp((int(after.timestamp()) // step + 1) * step, dt.UTC)
    day = after.astimezone(where).date() - DAY
    for _ in range(LONGEST):
        if read.fits(day) and (run := _moment(day, read.at, where)) is not None and run > after:
            return run
        day += DAY
    raise AssertionError(f"'{rule}' has no date within {LONGEST} days")


def _moment(day: dt.date, at: dt.time, zone: ZoneInfo) -> dt.datetime | None:
    """When it is that time on a local date; None on one of the few that a place has left out altogether."""
    run = dt.datetime.combine(day, at, zone).astimezone(dt.UTC)
    return run if run.astimezone(zone).date() == day else None


def check_schedules(schedules: Sequence[Schedule], jobs: Collection[str]) -> None:
    """PluginError when a schedule's rule cannot be read, or nobody has its job."""
    for schedule in schedules:
        try:
            parse_rule(schedule.rule)
        except ValueError as error:
            raise PluginError(f"its schedule '{schedule.name}' cannot be kept: {error}") from None
        if schedule.job not in jobs:
            raise PluginError(f"its schedule '{schedule.name}' is for the job '{schedule.job}', which nobody has.")


def zone_of(site: Site) -> str:
    """The time zone of the business."""
    decided: str = site.settings.get(ZONE_SETTING.name)
    return decided or site.config.time_zone


def tick(site: Site) -> int:
    """Have the jobs of all schedules done whose time has come; returns how many. Safe to run in many processes.

    The job and the next time are one transaction. Times that passed while nobody worked are made up for once.
    """
    now, zone = utcnow(), zone_of(site)
    with site.db.read() as connection:
        known = {row.name: row for row in connection.execute(select(schedule_table))}
    asked = 0
    for schedule in site.schedules:
        row = known.get(schedule.name)
        if row is None or (row.rule, row.zone) != (schedule.rule, zone):
            _note(site, schedule, zone, now)
        elif row.due_at <= now:
            asked += _ask(site, schedule, row, now)
    return asked


def _note(site: Site, schedule: Schedule, zone: str, now: dt.datetime) -> None:
    values = {"rule": schedule.rule, "zone": zone, "due_at": next_run(schedule.rule, zone, now)}
    dialect: Any = sqlite if site.db.is_sqlite else postgresql
    new = dialect.insert(schedule_table).values(name=schedule.name, **values)
    with site.db.write() as connection:
        connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=values))


def _ask(site: Site, schedule: Schedule, row: Row[Any], now: dt.datetime) -> int:
    table = schedule_table.c
    with site.db.write() as connection:
        moved = connection.execute(
            update(schedule_table)
            .where(table.name == row.name, table.rule == row.rule, table.zone == row.zone, table.due_at == row.due_at)
            .values(due_at=next_run(row.rule, row.zone, now))
        )
        if moved.rowcount:
            # While one still waits, as where nobody works on jobs, there is no second.
            actor = system(f"schedule {schedule.name}")
            arguments = dict(schedule.arguments)
            enqueue_job(connection, schedule.job, arguments, actor=actor, key=f"schedule {schedule.name}")
    return moved.rowcount
