"""Objectives: what is to be reached by when, how far it is, and whether that is on the way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session

from rapport import Choice, Entity, Invalid, JobContext, Owned, Problem, Reader, Team, Unit, User, field, ref
from rapport import gettext as _
from rapport_strategy.common import DECIDED, SCOPED, check_measure, formats_of, site_of, written
from rapport_strategy.measuring import value_of

JOB = "strategy.measure"
IMPERATIVES = [
    Choice("customers", "Acquiring the right customers", "blue"),
    Choice("value", "Crafting the right value proposition", "indigo"),
    Choice("processes", "Instituting the best processes", "teal"),
    Choice("employees", "Motivating employees", "orange"),
    Choice("retention", "Learning to retain customers", "green"),
]
STATES = {
    "waiting": Choice("waiting", "Not begun", "secondary"),
    "unknown": Choice("unknown", "Nothing measured yet", "secondary"),
    "on_track": Choice("on_track", "On track", "green"),
    "behind": Choice("behind", "Behind", "orange"),
    "reached": Choice("reached", "Target reached", "teal"),
    "missed": Choice("missed", "Target missed", "red"),
}
POINTS = 60
"""About so many days of an objective's time are drawn."""


class Objective(
    Owned, Entity, name="strategy.objective", title="Objective", icon="target-arrow", roles=DECIDED, display="title"
):
    """Something to be reached by a day, told by a measure or by readings noted by hand.

    It is measured as its owner sees the figures; who may read objectives sees that one number.
    """

    title: Mapped[str] = field(label="Objective", searchable=True, in_list=True)
    imperative: Mapped[str] = field(label="Imperative", choices=IMPERATIVES, in_list=True)
    measure: Mapped[str] = field(
        label="Measure", default="", in_list=True,
        help="Its name, such as core.new_customers or sales.win_rate. Left empty: readings are noted by hand.",
    )  # fmt: skip
    only: Mapped[dict[str, Any]] = field(
        label="Only for", kind="json", default=dict,
        help='Dimensions with the keys that count, such as {"core.country": ["FR"]}. Left empty: everything.',
    )  # fmt: skip
    counted: Mapped[str] = field(
        label="Counted", choices=[Choice("since", "Since it began"), Choice("days", "Over the last days")],
        default="since", help="A number of customers is counted since it began; a rate is looked at over some days.",
    )  # fmt: skip
    days: Mapped[int] = field(label="Days", default=90, help="How many, where it is looked at over the last days.")
    start: Mapped[Decimal | None] = field(
        label="Value at the start", help="Left empty: measured for the days before it begins, or 0 where it is counted."
    )
    target: Mapped[Decimal] = field(label="Target", in_list=True)
    from_on: Mapped[dt.date] = field(label="From", in_list=True)
    until_on: Mapped[dt.date] = field(label="Until", in_list=True)
    value: Mapped[Decimal | None] = field(label="Now", readonly=True, in_list=True, section="Progress")
    measured_on: Mapped[dt.date | None] = field(label="Measured on", readonly=True, section="Progress")
    state: Mapped[str] = field(
        label="State", choices=list(STATES.values()), default="waiting", readonly=True, in_list=True, section="Progress"
    )
    trouble: Mapped[str] = field(label="Why it is not measured", default="", readonly=True, section="Progress")

    def complete(self, session: Session) -> None:
        """A measure has to be one of this site, and its slice has to suit it."""
        check_measure(session, self.measure)
        unknown = [name for name in self.only or {} if name not in site_of(session).dimensions]
        if unknown:
            raise Invalid(Problem("only", _("names '%(name)s', which is no dimension of this site.", name=unknown[0])))

    def validate(self) -> Sequence[Problem]:
        """It ends after it begins, and its slice is made of lists."""
        problems = []
        if self.from_on is not None and self.until_on is not None and self.until_on < self.from_on:
            problems.append(Problem("until_on", _("is before the beginning.")))
        if not all(isinstance(keys, list) and keys for keys in (self.only or {}).values()):
            problems.append(Problem("only", _("must give a list of keys for each dimension.")))
        if not 1 <= (self.days or 0) <= 3660:
            problems.append(Problem("days", _("must be between 1 and 3660.")))
        if self.counted == "days" and self.start is not None and self.start == self.target:
            problems.append(Problem("start", _("is the target already.")))
        return problems


class Reading(
    Entity, name="strategy.reading", title="Reading", icon="ruler-measure", listed=False, roles=DECIDED, display="on"
):
    """What an objective came to on a day: as measured in the night, or noted by hand where it has no measure."""

    __table_args__ = (UniqueConstraint("objective_id", "on"),)

    objective_id: Mapped[UUID] = ref("strategy.objective")
    on: Mapped[dt.date] = field(label="Day", in_list=True)
    value: Mapped[Decimal] = field(label="Value", in_list=True)

    @classmethod
    def follow_up(cls, records: Sequence[Reading], session: Any) -> None:
        """The newest reading is where an objective that is noted by hand stands."""
        ids = {each.objective_id for each in records}
        told = select(Objective).where(Objective.id.in_(ids), Objective.measure == "")
        for objective in session.scalars(told, execution_options=SCOPED):
            newest = (
                select(Reading).where(Reading.objective_id == objective.id, Reading.archived_at.is_(None))
                .order_by(Reading.on.desc()).limit(1)
            )  # fmt: skip
            last = session.scalars(newest, execution_options=SCOPED).one_or_none()
            if last is not None and (objective.value, objective.measured_on) != (last.value, last.on):
                objective.value, objective.measured_on = last.value, last.on
                objective.state = state_of(last.value, objective.start or Decimal(0), objective.target,
                                           objective.from_on, objective.until_on, last.on)  # fmt: skip


# Progress ------------------------------------------------------------------------------------------------------------


def expected(start: Decimal, target: Decimal, first: dt.date, last: dt.date, on: dt.date) -> Decimal:
    """Where a straight line from the start to the target is on a day."""
    if on <= first:
        return start
    if on >= last:
        return target
    return start + (target - start) * (on - first).days / (last - first).days


def state_of(
    value: Decimal | None, start: Decimal, target: Decimal, first: dt.date, last: dt.date, on: dt.date, *,
    cap: bool = False,
) -> str:  # fmt: skip
    """Where an objective stands on a day. A `cap` is not to be exceeded until the end, such as defections in a year."""
    if on < first:
        return "waiting"
    if value is None:
        return "unknown"
    if cap:
        if on >= last:
            return "reached" if value <= target else "missed"
        return "on_track" if value <= expected(start, target, first, last, on) else "behind"
    up = target >= start
    if value >= target if up else value <= target:
        return "reached"
    if on >= last:
        return "missed"
    line = expected(start, target, first, last, on)
    return "on_track" if (value >= line if up else value <= line) else "behind"


def progress_of(value: Decimal | None, start: Decimal, target: Decimal) -> float | None:
    """How much of the way is done: 0 at the start, 1 at the target."""
    if value is None or target == start:
        return None
    return float((value - start) / (target - start))


def is_cap(reader: Reader, objective: Objective) -> bool:
    """Whether the target is the most there may be: something counted of which less is better."""
    measure = reader.site.measures.get(objective.measure)
    return objective.counted == "since" and measure is not None and measure.better == "down"


# Measuring -----------------------------------------------------------------------------------------------------------


def measure_all(context: JobContext) -> str:
    """Measure every objective whose time has come, each with the rights of its owner, and note it down."""
    site, measured, troubled = context.site, 0, 0
    with site.read(context.actor) as reader:
        found = reader.all(Objective, Objective.archived_at.is_(None), Objective.measure != "", limit=1000)
        today = reader.today()
    for number, each in enumerate(found):
        context.progress(number, len(found))
        last = each.until_on + dt.timedelta(days=7)  # what is noted late still counts
        if each.from_on > today or (today > last and each.measured_on is not None and each.measured_on >= last):
            continue
        trouble = measure(context, each, min(today, each.until_on))
        measured, troubled = measured + (not trouble), troubled + bool(trouble)
    return _("%(num)s objectives were measured, %(wrong)s could not be.", num=measured, wrong=troubled)


def measure(context: JobContext, objective: Objective, on: dt.date) -> str:
    """Measure one objective for a day; why that cannot be done, or nothing."""
    site = context.site
    actor = site.actor(objective.owner_id) if objective.owner_id is not None else None
    values: dict[str, Any] = {}
    value, start = None, objective.start
    if actor is None:
        trouble = _("Nobody owns it who can sign in: give it to somebody. It is measured as its owner sees it.")
    else:
        try:
            with site.read(actor) as reader:
                start = start if start is not None else _start(reader, objective)
                value = _value(reader, objective, on)
            trouble = "" if value is not None else _("The measure gives nothing for this time yet.")
        except Invalid as error:
            trouble = str(error)
    with site.write(context.actor) as unit:
        kept = unit.get(Objective, objective.id)
        if value is not None:
            note_reading(unit, kept, on, value)
            values = {"value": value, "measured_on": on}
            if kept.start is None and start is not None:
                values["start"] = start
        for name, new in {**values, "trouble": trouble[:500]}.items():
            if getattr(kept, name) != new:
                setattr(kept, name, new)
        begin, cap = kept.start or Decimal(0), is_cap(unit.reader, kept)
        state = state_of(kept.value, begin, kept.target, kept.from_on, kept.until_on, on, cap=cap)
        if kept.state != state:
            kept.state = state
    return trouble


def note_reading(unit: Unit, objective: Objective, on: dt.date, value: Decimal) -> None:
    """Keep one reading of a day: a later one replaces it."""
    of_day = select(Reading).where(Reading.objective_id == objective.id, Reading.on == on)
    kept = unit.session.scalars(of_day).one_or_none()
    if kept is None:
        unit.session.add(Reading(objective_id=objective.id, on=on, value=value))
    elif kept.value != value:
        kept.value = value


def _start(reader: Reader, objective: Objective) -> Decimal | None:
    if objective.counted == "since":
        return Decimal(0)
    before = objective.from_on - dt.timedelta(days=1)
    return value_of(reader, objective.measure, until=before, days=objective.days, where=objective.only)


def _value(reader: Reader, objective: Objective, on: dt.date) -> Decimal | None:
    since = objective.from_on if objective.counted == "since" else None
    return value_of(reader, objective.measure, until=on, days=objective.days, since=since, where=objective.only)


# On pages ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """An objective as it is drawn."""

    it: Objective
    state: Choice
    measure: str
    now: str
    begin: str
    goal: str
    line: str
    """Where it should be today."""
    progress: float | None
    who: str
    team: str
    chart: Mapping[str, Any]
    table: Mapping[str, Any]


def shown(reader: Reader, objectives: Sequence[Objective]) -> list[Shown]:
    """Objectives with their way so far, with three queries."""
    readings: dict[UUID, list[Reading]] = {}
    ids = [each.id for each in objectives]
    statement = select(Reading).where(Reading.objective_id.in_(ids)).order_by(Reading.on)
    for each in reader.session.scalars(statement, execution_options=SCOPED):
        readings.setdefault(each.objective_id, []).append(each)
    names = reader.titles(User, [each.owner_id for each in objectives])
    teams = reader.titles(Team, [each.team_id for each in objectives])
    return [_shown(reader, each, readings.get(each.id, []), names, teams) for each in objectives]


def _shown(
    reader: Reader, it: Objective, readings: Sequence[Reading], names: Mapping[UUID, str], teams: Mapping[UUID, str]
) -> Shown:
    formats, today, site = formats_of(reader), reader.today(), reader.site
    measure = site.measures.get(it.measure)
    kind = measure.kind if measure is not None else "decimal"
    currency = str(site.settings.get("core.currency"))
    begin = it.start or Decimal(0)
    points = _points(it, begin, readings)
    lines = [expected(begin, it.target, it.from_on, it.until_on, day) for day, _value in points]

    def text(value: Decimal | None) -> str:
        return written(formats, value, kind, currency)

    days = [formats.date(day, "short") for day, _value in points]
    return Shown(
        it=it, state=STATES[it.state], measure=_(measure.title) if measure is not None else it.measure or _("By hand"),
        now=text(it.value), begin=text(begin), goal=text(it.target),
        line=text(expected(begin, it.target, it.from_on, it.until_on, today)),
        progress=progress_of(it.value, begin, it.target),
        who=names.get(it.owner_id, "") if it.owner_id else "", team=teams.get(it.team_id, "") if it.team_id else "",
        chart={
            "type": "line", "title": it.title, "x": days, "unit": kind, "currency": currency,
            "target": float(it.target),
            "series": [
                {"name": _("Measured"), "data": [None if value is None else float(value) for _day, value in points]},
                {"name": _("Straight line"), "data": [round(float(each), 6) for each in lines]},
            ],
        },
        table={
            "columns": [_("Day"), _("Measured"), _("Straight line")],
            "rows": [[day, text(value), text(line)]
                     for day, (_on, value), line in zip(days, points, lines, strict=True)],
        },
    )  # fmt: skip


def _points(it: Objective, begin: Decimal, readings: Sequence[Reading]) -> list[tuple[dt.date, Decimal | None]]:
    """Days at an even distance, so that a straight line is drawn straight, each with the newest reading up to it."""
    days = (it.until_on - it.from_on).days
    step = max(1, -(-days // POINTS))
    marks = [it.from_on + dt.timedelta(days=number) for number in range(0, days, step)]
    points: list[tuple[dt.date, Decimal | None]] = []
    for day in [*marks, it.until_on]:
        known = [each.value for each in readings if each.on <= day]
        over = not readings or readings[-1].on <= day - dt.timedelta(days=step)
        value = known[-1] if known and not over else begin if day == it.from_on else None
        points.append((day, value))
    return points


def objective_facts(reader: Reader, record: Objective) -> Mapping[str, Any]:
    """The way of one objective, for its page."""
    return {"each": shown(reader, [record])[0]}


def standing(reader: Reader, limit: int = 200) -> list[Objective]:
    """The objectives that are not archived, those whose time ends first before the others."""
    return reader.all(Objective, Objective.archived_at.is_(None), order=(Objective.until_on, Objective.id), limit=limit)


def panel_facts(reader: Reader) -> Mapping[str, Any]:
    """The objectives under way, for the first pages."""
    today = reader.today()
    under_way = (Objective.archived_at.is_(None), Objective.from_on <= today, Objective.until_on >= today)
    found = reader.all(Objective, *under_way, order=(Objective.until_on, Objective.id), limit=6)
    return {"rows": shown(reader, found)}


def measure_now(unit: Unit, records: Sequence[Objective], values: Mapping[str, Any]) -> str:
    """Have the objectives measured, soon."""
    from rapport import enqueue_job, system

    enqueue_job(unit.session.connection(), JOB, {}, actor=system("objectives"), key="now")
    return _("They are being measured.")
