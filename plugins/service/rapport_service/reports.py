"""The reports of the help desk: how many cases of which sort, how quickly, how many on time, and what waits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, case, func, outerjoin, select

from rapport import N_, Choice, Field, Reader, Report, User, utcnow
from rapport import gettext as _
from rapport_service.entities import DONE, KINDS, PRIORITIES, STATUSES, Case
from rapport_service.queues import Queue
from rapport_service.sla import GOALS, Clock

DAYS = 90
READ = "service.case.read"
SINCE = Field("since", "Since", "date", help="Cases opened since that day. Left empty: the last 90 days.")
BY: dict[str, tuple[str, Any]] = {
    "queue": ("Queue", Queue.name), "kind": ("Kind", Case.kind), "priority": ("Priority", Case.priority),
    "status": ("Status", Case.status), "category": ("Category", Case.category), "channel": ("Channel", Case.channel),
    "agent": ("Agent", User.name),
}  # fmt: skip
GROUPS = tuple(Choice(name, label) for name, (label, _column) in BY.items())
GROUP = Field("by", "By", "choice", choices=GROUPS, default="kind")
WORDS = {choice.value: choice.label for choice in [*KINDS, *PRIORITIES, *STATUSES]}
AGES = (
    (1, N_("Up to a day")), (3, N_("1 to 3 days")), (7, N_("3 to 7 days")), (30, N_("7 to 30 days")),
    (None, N_("Longer than 30 days")),
)  # fmt: skip


def reports() -> list[Report]:
    """Every report of the help desk."""
    name = Field("name", "Of", "text")
    count = Field("cases", "Cases", "integer")
    return [
        Report(
            "service.cases", "Cases by sort", needs=READ, icon="lifebuoy", rows=cases_by, fields=[SINCE, GROUP],
            help="How many cases were opened, how many of them are solved, complaints and questions of quality, and "
                 "what customers said of it.",
            columns=[name, count, Field("solved", "Solved", "integer"), Field("share", "Share in %", "decimal"),
                     Field("complaints", "Complaints in %", "decimal"), Field("quality", "Quality in %", "decimal"),
                     Field("reopened", "Reopened", "integer"), Field("answers", "Ratings", "integer"),
                     Field("satisfaction", "Satisfaction", "decimal")],
        ),
        Report(
            "service.times", "How quickly we answer and solve", needs=READ, icon="clock", rows=times,
            fields=[SINCE, GROUP],
            help="Hours from opening to the first response and to the solution: half of the cases took no longer than "
                 "the median, nine of ten no longer than the last column.",
            columns=[name, Field("measure", "Time to", "choice", choices=GOAL_CHOICES), count,
                     Field("median", "Median in hours", "decimal"), Field("ninetieth", "90 % within hours", "decimal")],
        ),
        Report(
            "service.levels", "Agreed times kept", needs=READ, icon="clock-check", rows=levels, fields=[SINCE, GROUP],
            help="Of each target, how often it was kept and missed; and in per cent of those that have ended or are "
                 "late.",
            columns=[name, Field("measure", "Target", "choice", choices=tuple(GOALS)),
                     Field("kept", "Kept", "integer"), Field("missed", "Missed", "integer"),
                     Field("running", "Running", "integer"), Field("rate", "Kept in %", "decimal")],
        ),
        Report(
            "service.backlog", "What waits, by age", needs=READ, icon="hourglass", rows=backlog,
            help="Cases that are not solved, by how long ago they were opened.",
            columns=[Field("age", "Age", "text"), count, Field("nobody", "Nobody’s", "integer"),
                     Field("pending", "Waiting for the customer", "integer"), Field("late", "Late", "integer")],
        ),
    ]  # fmt: skip


GOAL_CHOICES = (Choice("first_response", "First response", "azure"), Choice("resolution", "Solution", "indigo"))


def counted(reader: Reader, since: dt.date | None) -> list[ColumnElement[bool]]:
    """Which cases count: opened since a day, and not merged into another."""
    day = since or reader.today() - dt.timedelta(days=DAYS)
    begins = dt.datetime.combine(day, dt.time(), ZoneInfo(reader.actor.time_zone))
    return [Case.opened_at >= begins, Case.archived_at.is_(None), Case.merged_into_id.is_(None)]


def named(by: str) -> tuple[Any, Any]:
    """What cases are grouped by, and from where that is read."""
    column = BY.get(by, BY["kind"])[1]
    if by == "queue":
        return func.coalesce(column, ""), outerjoin(Case, Queue, Queue.id == Case.queue_id)
    if by == "agent":
        return func.coalesce(column, ""), outerjoin(Case, User, User.id == Case.owner_id)
    return func.coalesce(column, ""), Case


def cases_by(reader: Reader, since: dt.date | None, by: str | None) -> list[SimpleNamespace]:
    """One line for each sort, the most frequent first."""
    name, source = named(by or "kind")
    count = func.count(Case.id)
    rows = reader.session.execute(
        select(
            name.label("name"), count.label("cases"), _number(Case.status.in_(DONE)).label("solved"),
            _number(Case.kind == "complaint").label("complaints"), _number(Case.kind == "quality").label("quality"),
            _number(Case.reopened > 0).label("reopened"), func.count(Case.satisfaction).label("answers"),
            func.sum(Case.satisfaction).label("points"),
        )
        .select_from(source).where(*counted(reader, since)).group_by(name).order_by(count.desc(), name)
    ).all()  # fmt: skip
    total = sum(row.cases for row in rows)
    return [
        SimpleNamespace(
            name=shown(row.name), cases=row.cases, solved=row.solved, share=_percent(row.cases, total),
            complaints=_percent(row.complaints, row.cases), quality=_percent(row.quality, row.cases),
            reopened=row.reopened, answers=row.answers,
            satisfaction=_rounded(Decimal(int(row.points)) / row.answers) if row.answers else None,
        )
        for row in rows
    ]  # fmt: skip


def times(reader: Reader, since: dt.date | None, by: str | None) -> list[SimpleNamespace]:
    """Median and ninetieth percentile of both times, one query each."""
    lines = []
    for measure, column in (("first_response", Case.response_seconds), ("resolution", Case.solving_seconds)):
        lines += [
            SimpleNamespace(name=shown(row.name), measure=measure, cases=row.cases, median=_hours(row.low, row.high),
                            ninetieth=_hours(row.ninetieth, row.ninetieth))
            for row in reader.session.execute(percentiles(by or "kind", column, counted(reader, since)))
        ]  # fmt: skip
    return sorted(lines, key=lambda line: (line.name, line.measure))


def percentiles(by: str, seconds: Any, where: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """By sort: how many, the two in the middle (or the one, twice), and the one within which nine of ten are.

    The ranks are counted by the database, in a way that both know: percentile `p` of `n` is the `ceil(p * n)`th.
    """
    name, source = named(by)
    ranked = (
        select(
            name.label("name"), seconds.label("seconds"), func.count().over(partition_by=name).label("n"),
            func.row_number().over(partition_by=name, order_by=(seconds, Case.id)).label("place"),
        )
        .select_from(source).where(*where, seconds.is_not(None)).subquery().c
    )  # fmt: skip

    def at(place: Any) -> Any:
        return func.max(case((ranked.place == place, ranked.seconds)))

    low, high, ninth = (ranked.n + 1) // 2, (ranked.n + 2) // 2, (ranked.n * 9 + 9) // 10
    columns = (at(low).label("low"), at(high).label("high"), at(ninth).label("ninetieth"))
    return select(ranked.name, func.max(ranked.n).label("cases"), *columns).group_by(ranked.name).order_by(ranked.name)


def levels(reader: Reader, since: dt.date | None, by: str | None) -> list[SimpleNamespace]:
    """One line for each sort and target."""
    name, source = named(by or "kind")
    missed = Clock.missed_at.is_not(None)
    rows = reader.session.execute(
        select(
            name.label("name"), Clock.goal.label("measure"), _number(missed).label("missed"),
            _number(~missed & (Clock.state == "done")).label("kept"),
            _number(~missed & (Clock.state != "done")).label("running"),
        )
        .select_from(source).join(Clock, Clock.case_id == Case.id).where(*counted(reader, since))
        .group_by(name, Clock.goal).order_by(name, Clock.goal)
    ).all()  # fmt: skip
    return [
        SimpleNamespace(name=shown(row.name), measure=row.measure, kept=row.kept, missed=row.missed,
                        running=row.running, rate=_percent(row.kept, row.kept + row.missed))
        for row in rows
    ]  # fmt: skip


def backlog(reader: Reader) -> list[SimpleNamespace]:
    """Open cases by age: one query."""
    now = utcnow()
    place = case(
        *((Case.opened_at > now - dt.timedelta(days=days), rank) for rank, (days, _label) in enumerate(AGES) if days),
        else_=len(AGES) - 1,
    )
    rows = reader.session.execute(
        select(place.label("place"), func.count(Case.id).label("cases"),
               _number(Case.owner_id.is_(None)).label("nobody"), _number(Case.status == "pending").label("pending"),
               _number(Case.on_time == "late").label("late"))
        .where(Case.status.not_in(DONE), Case.archived_at.is_(None)).group_by(place)
    ).all()  # fmt: skip
    found = {row.place: row for row in rows}
    return [
        SimpleNamespace(age=_(label), cases=row.cases if row else 0, nobody=row.nobody if row else 0,
                        pending=row.pending if row else 0, late=row.late if row else 0)
        for rank, (_days, label) in enumerate(AGES) for row in [found.get(rank)]
    ]  # fmt: skip


def shown(name: str) -> str:
    """A sort as people read it."""
    return _(WORDS[name]) if name in WORDS else name or _("None")


def _number(condition: ColumnElement[bool]) -> Any:
    """How many meet a condition."""
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _percent(part: int, whole: int) -> Decimal | None:
    return _rounded(Decimal(100) * part / whole) if whole else None


def _hours(low: int | None, high: int | None) -> Decimal | None:
    return None if low is None or high is None else _rounded(Decimal(low + high) / 2 / 3600)


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"))
