"""A day, a week or a month laid out: which days, and where on a day each appointment stands, beside which others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from rapport import Formats, Reader, Task, utcnow
from rapport.i18n import calendars
from rapport_calendar import zones
from rapport_calendar.entities import Appointment
from rapport_calendar.occurrences import Occurrence, occurrences, of_people, taken

VIEWS = ("week", "day", "three", "month", "agenda")
TONES = ("indigo", "teal", "orange", "pink", "lime", "cyan", "purple", "red", "green", "yellow", "azure")
ROWS = 4
"""Rows of an hour."""
LANES = 6
"""So many appointments stand beside each other; what is further to the side stands upon the last."""
FIRST_HOUR, LAST_HOUR = 7, 20
"""Hours that are shown though nothing is in them."""
DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """The days of a view, and where one goes from it."""

    view: str
    first: dt.date
    last: dt.date
    on: dt.date
    before: dt.date
    after: dt.date

    @property
    def days(self) -> list[dt.date]:
        """Each of its days."""
        return [self.first + DAY * number for number in range((self.last - self.first).days + 1)]


@dataclass(slots=True)
class Block:
    """An appointment on a day: what it says, and where it stands."""

    title: str
    time: str
    url: str
    tone: str
    begin: dt.datetime
    end: dt.datetime
    begins: str = ""
    """When it begins, for where there is no room for more."""
    top: int = 0
    bottom: int = 1
    lane: int = 0
    lanes: int = 1
    id: str = ""
    at: str = ""
    """Which of a series it is."""
    version: int = 0
    movable: bool = False
    repeats: bool = False
    masked: bool = False
    """Only that the time is taken may be known."""
    faint: bool = False
    status: str = ""
    place: str = ""
    person: str = ""
    start_local: str = ""


@dataclass(slots=True)
class Day:
    """A day with all that stands on it."""

    date: dt.date
    number: str
    weekday: str
    other: str
    """The same day in the calendar of the rest of the world, where the reader has another."""
    today: bool
    off: bool
    outside: bool = False
    """Not of the month that is looked at."""
    all_day: list[Block] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)

    @property
    def filled(self) -> bool:
        """Whether anything stands on it."""
        return bool(self.all_day or self.blocks or self.tasks)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A view as it is shown."""

    span: Span
    days: Sequence[Day]
    first_hour: int
    last_hour: int
    now_row: int | None
    """Where the line of the present stands."""


def span_of(view: str, on: dt.date, formats: Formats) -> Span:
    """The days that a view shows around one."""
    if view == "month":
        first, last = month_of(on, formats.calendar)
        grid = week_start(first, formats.first_weekday)
        return Span(view, grid, week_start(last, formats.first_weekday) + 6 * DAY, on,
                    month_of(first - DAY, formats.calendar)[0], last + DAY)  # fmt: skip
    length = {"day": 1, "three": 3, "agenda": 14}.get(view, 7)
    first = week_start(on, formats.first_weekday) if view == "week" else on
    return Span(view, first, first + DAY * (length - 1), on, first - DAY * length, first + DAY * length)


def week_start(day: dt.date, first_weekday: int) -> dt.date:
    """The day its week begins with: Monday, in Israel Sunday, in Iran Saturday."""
    return day - DAY * ((day.weekday() - first_weekday) % 7)


def month_of(day: dt.date, calendar: calendars.Calendar) -> tuple[dt.date, dt.date]:
    """The first and the last day of its month, as the reader's calendar counts months."""
    number = calendars.parts(day, calendar)[2]
    first = day - DAY * (number - 1)
    last = first + DAY * 27
    while calendars.parts(last + DAY, calendar)[2] != 1:
        last += DAY
    return first, last


def title_of(span: Span, formats: Formats) -> str:
    """What a view is called: the month, the day, or from when to when."""
    if span.view == "month":
        return month_title(span.on, formats)
    if span.first == span.last:
        return formats.date(span.first, "full")
    return f"{formats.date(span.first, 'medium')} – {formats.date(span.last, 'medium')}"


def month_title(day: dt.date, formats: Formats) -> str:
    """A month and its year: November 2026, آذر ۱۴۰۵."""
    from babel.dates import format_skeleton

    from rapport import LANGUAGES

    if formats.calendar == "gregorian":
        return str(format_skeleton("yMMMM", dt.datetime.combine(day, dt.time()), locale=LANGUAGES[formats.lang].locale))
    year, month, _number = calendars.parts(day, formats.calendar)
    name = calendars.month_name(year, month, formats.calendar, formats.lang)
    return f"{name} {digits(formats, year)}"


def digits(formats: Formats, number: int) -> str:
    """A number in the reader's digits, without groups."""
    return "".join(formats.number(int(each)) for each in str(number))


def sheet(reader: Reader, span: Span, people: Mapping[UUID, str], formats: Formats) -> Sheet:
    """All that stands on the days of a view, of these people."""
    zone = str(formats.zone)
    days = {day: _day(day, span, formats) for day in span.days}
    after, before = zones.day_begins(span.first, zone), zones.day_begins(span.last + DAY, zone)
    found = occurrences(reader, after, before, of_people(list(people)))
    blocks = [_block(each, people, formats, reader) for each in found]
    blocks += _masked(reader, people, after, before, {each.appointment.id for each in found}, formats)
    for occurrence, block in zip(found, blocks, strict=False):
        if occurrence.appointment.all_day or occurrence.end - occurrence.begin >= DAY:
            first, last = occurrence.days(zone)
            for day in (each for each in days if first <= each <= last):
                days[day].all_day.append(block)
        else:
            _put(block, days, zone)
    for block in blocks[len(found) :]:
        if block.end - block.begin >= DAY - dt.timedelta(hours=2):
            for day in (each for each in days if block.begin.date() <= each < block.end.date()):
                days[day].all_day.append(block)
        else:
            _put(block, days, zone)
    for task in _tasks(reader, span, people):
        days[cast("dt.date", task.due_on)].tasks.append(task)
    shown = list(days.values())
    first_hour, last_hour = _hours(shown)
    for each in shown:
        lay_out(each.blocks)
        for block in each.blocks:
            block.top = max(0, block.top - first_hour * ROWS)
            block.bottom = max(block.top + 1, block.bottom - first_hour * ROWS)
    now = zones.local_of(utcnow(), zone)
    row = (now.hour - first_hour) * ROWS + now.minute * ROWS // 60
    here = now.date() in days and first_hour <= now.hour < last_hour
    return Sheet(span, shown, first_hour, last_hour, row if here else None)


def _day(day: dt.date, span: Span, formats: Formats) -> Day:
    own = calendars.parts(day, formats.calendar)
    other = formats.date(day, "medium", "gregorian") if formats.calendar != "gregorian" else ""
    number = (
        calendars.in_words(day, "hebrew", "he").split(" ")[0]
        if formats.calendar == "hebrew" and formats.lang == "he"
        else digits(formats, own[2])
    )
    outside = span.view == "month" and own[1] != calendars.parts(span.on, formats.calendar)[1]
    return Day(day, number, formats.weekday(day, short=span.view != "day"), other,
               today=day == zones.local_of(utcnow(), str(formats.zone)).date(), off=day.weekday() in formats.weekend,
               outside=outside)  # fmt: skip


def _block(occurrence: Occurrence, people: Mapping[UUID, str], formats: Formats, reader: Reader) -> Block:
    appointment = occurrence.appointment
    owner = appointment.owner_id
    mine = owner == reader.actor.id
    hidden = (
        appointment.private and not mine and reader.actor.is_admin
    )  # an administrator's reader is limited in nothing
    begin, end = (formats.here(each) for each in (occurrence.begin, occurrence.end))
    time = "" if appointment.all_day else f"{formats.time(occurrence.begin)} – {formats.time(occurrence.end)}"
    return Block(
        title="" if hidden else appointment.title,
        time=time,
        url=""
        if hidden
        else f"/calendar.appointment/{appointment.id}" + (f"?at={occurrence.key}" if appointment.repeats else ""),
        tone=tone_of(owner),
        begin=begin,
        begins="" if appointment.all_day else formats.time(occurrence.begin),
        end=end,
        id=str(appointment.id),
        at=occurrence.key if appointment.repeats else "",
        version=appointment.version,
        movable=not hidden and not appointment.all_day and _may_change(appointment, reader),
        repeats=appointment.repeats,
        masked=hidden,
        faint=not appointment.busy or appointment.status == "tentative",
        status=appointment.status,
        place="" if hidden else appointment.place,
        person=people.get(owner, "") if owner is not None and len(people) > 1 else "",
        start_local=begin.replace(tzinfo=None).isoformat(timespec="minutes"),
    )


def _may_change(appointment: Appointment, reader: Reader) -> bool:
    """Whether it may be dragged. The write path decides in the end."""
    reach = reader.actor.reach("calendar.appointment.update")
    if reach in {None, "all"}:
        return reach == "all"
    return appointment.owner_id == reader.actor.id or (reach == "team" and appointment.team_id in reader.actor.team_ids)


def tone_of(user_id: UUID | None) -> str:
    """The colour of a person: the same on every day and for everybody who looks."""
    return TONES[sum(user_id.bytes) % len(TONES)] if user_id is not None else "neutral"


def _masked(
    reader: Reader,
    people: Mapping[UUID, str],
    after: dt.datetime,
    before: dt.datetime,
    seen: set[UUID],
    formats: Formats,
) -> list[Block]:
    """The times at which others are busy with what one may not read."""
    others = [each for each in people if each != reader.actor.id]
    blocks = []
    for user_id, times in taken(reader.site, others, after, before).items():
        for each in times:
            if each.appointment_id not in seen:
                begin, end = formats.here(each.begin), formats.here(each.end)
                time = f"{formats.time(each.begin)} – {formats.time(each.end)}"
                blocks.append(
                    Block(
                        "",
                        time,
                        "",
                        tone_of(user_id),
                        begin,
                        end,
                        formats.time(each.begin),
                        masked=True,
                        person=people[user_id],
                    )
                )
    return blocks


def _put(block: Block, days: Mapping[dt.date, Day], zone: str) -> None:
    """On the day it begins, and on the next where it goes on after midnight."""
    begin, end = block.begin.replace(tzinfo=None), block.end.replace(tzinfo=None)
    day = begin.date()
    while day <= end.date():
        top = 0 if day > begin.date() else _row(begin)
        bottom = 24 * ROWS if day < end.date() else -(-(end.hour * 60 + end.minute) * ROWS // 60)
        if day in days and (bottom > top or day == begin.date()):
            days[day].blocks.append(_copy(block, top, max(bottom, top + 2)))
        day += DAY


def _copy(block: Block, top: int, bottom: int) -> Block:
    from dataclasses import replace

    return replace(block, top=top, bottom=min(bottom, 24 * ROWS))


def _row(local: dt.datetime) -> int:
    return local.hour * ROWS + local.minute * ROWS // 60


def _hours(days: Iterable[Day]) -> tuple[int, int]:
    tops = [block.top // ROWS for day in days for block in day.blocks]
    bottoms = [-(-block.bottom // ROWS) for day in days for block in day.blocks]
    return min([FIRST_HOUR, *tops]), max([LAST_HOUR, *bottoms])


def lay_out(blocks: list[Block]) -> None:
    """Give each block its lane, so that those at the same time stand beside each other."""
    blocks.sort(key=lambda each: (each.top, -each.bottom))
    cluster: list[Block] = []
    reached = -1
    for block in blocks:
        if block.top >= reached and cluster:
            _share(cluster)
            cluster = []
        ends: dict[int, int] = {}
        for other in cluster:
            ends[other.lane] = max(ends.get(other.lane, 0), other.bottom)
        block.lane = next((lane for lane in range(LANES) if ends.get(lane, -1) <= block.top), LANES - 1)
        cluster.append(block)
        reached = max(reached, block.bottom) if len(cluster) > 1 else block.bottom
    _share(cluster)


def _share(cluster: Sequence[Block]) -> None:
    lanes = max((block.lane for block in cluster), default=0) + 1
    for block in cluster:
        block.lanes = lanes


def _tasks(reader: Reader, span: Span, people: Mapping[UUID, str]) -> list[Any]:
    return reader.all(
        Task, Task.owner_id.in_(list(people)), Task.due_on.between(span.first, span.last), Task.done_at.is_(None),
        Task.archived_at.is_(None), order=(Task.due_on, Task.id), limit=500,
    )  # fmt: skip
