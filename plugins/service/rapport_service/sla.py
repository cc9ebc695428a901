"""Service levels: within which business hours a case is to be answered and solved, and what happens when it is not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Index, UniqueConstraint, select
from sqlalchemy.orm import Mapped

from rapport import Choice, Entity, Problem, field, ref
from rapport import gettext as _
from rapport_service.entities import LAID_OUT, PRIORITIES, SCOPED, Case, check_filter
from rapport_service.hours import ALWAYS, Schedule, read_spans

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
GOALS = [
    Choice("first_response", "First response", "azure"),
    Choice("next_response", "Next response", "blue"),
    Choice("resolution", "Solution", "indigo"),
]
EXAMPLE = "Such as 9-12, 13-17. Left empty: closed."


class Hours(Entity, name="service.hours", title="Business hours", plural="Business hours", icon="clock-hour-9",
            roles=LAID_OUT, display="name", natural_key=("name",)):  # fmt: skip
    """When we are there: the hours of a week, by the clocks of a place."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    zone: Mapped[str] = field(label="Time zone", default="UTC", in_list=True, help="Such as Europe/Paris.")
    monday: Mapped[str] = field(label="Monday", default="9-17", in_list=True, section="Week", help=EXAMPLE)
    tuesday: Mapped[str] = field(label="Tuesday", default="9-17", section="Week")
    wednesday: Mapped[str] = field(label="Wednesday", default="9-17", section="Week")
    thursday: Mapped[str] = field(label="Thursday", default="9-17", section="Week")
    friday: Mapped[str] = field(label="Friday", default="9-17", in_list=True, section="Week")
    saturday: Mapped[str] = field(label="Saturday", default="", in_list=True, section="Week")
    sunday: Mapped[str] = field(label="Sunday", default="", section="Week")

    def validate(self) -> Sequence[Problem]:
        """There is such a place, its hours can be read, and it opens some time."""
        problems, week = [], []
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            problems.append(Problem("zone", _("is no time zone. Write one such as Europe/Paris.")))
        for name in DAYS:
            try:
                week.append(read_spans(getattr(self, name) or ""))
            except ValueError as error:
                text = _("cannot be read: “%(text)s”. Write hours such as 9-12, 13-17.", text=str(error))
                problems.append(Problem(name, text))
        if not problems and not any(week):
            problems.append(Problem("monday", _("is empty, as every other day. Open on one of them.")))
        return problems

    def schedule(self, days_off: Iterable[dt.date]) -> Schedule:
        """The hours as one can count with them."""
        week = tuple(read_spans(getattr(self, name) or "") for name in DAYS)
        return Schedule(ZoneInfo(self.zone), week, frozenset(days_off))


class Holiday(Entity, name="service.holiday", title="Day off", plural="Days off", icon="beach", roles=LAID_OUT,
              listed=False, display="name", natural_key=("hours_id", "day")):  # fmt: skip
    """A day on which we are not there."""

    __table_args__ = (UniqueConstraint("hours_id", "day"),)

    hours_id: Mapped[UUID] = ref("service.hours", label="Business hours")
    day: Mapped[dt.date] = field(label="Day", in_list=True)
    name: Mapped[str] = field(label="Name", in_list=True)


class Sla(Entity, name="service.sla", title="Service level", icon="clock-check", roles=LAID_OUT, display="name",
          natural_key=("name",)):  # fmt: skip
    """How quickly cases of a sort are to be answered and solved."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    filter: Mapped[str] = field(
        label="Cases it is for", kind="longtext", default="", in_list=True,
        help='A condition, such as: customer.tags has "vip". Left empty: all that no other is for.',
    )  # fmt: skip
    hours_id: Mapped[UUID | None] = ref(
        "service.hours", label="Business hours", in_list=True, help="Left empty: around the clock."
    )
    position: Mapped[int] = field(label="Position", default=0, help="The first whose condition fits is taken.")
    active: Mapped[bool] = field(label="In use", default=True, in_list=True)

    def complete(self, session: Any) -> None:
        """Its condition is such as can be asked."""
        check_filter(session, Case, "filter", self.filter)


class Target(Entity, name="service.target", title="Target", icon="target", roles=LAID_OUT, listed=False,
             display="priority", natural_key=("sla_id", "priority")):  # fmt: skip
    """Within how many minutes of business hours cases of a priority are to be answered and solved."""

    sla_id: Mapped[UUID] = ref("service.sla", label="Service level")
    priority: Mapped[str] = field(
        label="Priority", choices=[Choice("any", "Every other"), *PRIORITIES], default="any", in_list=True
    )
    first_response: Mapped[int | None] = field(
        label="First response in minutes", in_list=True, help="Of business hours. Left empty: no such target."
    )
    next_response: Mapped[int | None] = field(label="Next response in minutes", in_list=True)
    resolution: Mapped[int | None] = field(label="Solution in minutes", in_list=True)

    def validate(self) -> Sequence[Problem]:
        """Time is needed for everything."""
        return [
            Problem(name, _("must be more than 0.")) for name in ("first_response", "next_response", "resolution")
            if (minutes := getattr(self, name)) is not None and minutes <= 0
        ]  # fmt: skip


class Escalation(Entity, name="service.escalation", title="Escalation", icon="alarm", roles=LAID_OUT, listed=False,
                 display="goal", natural_key=("sla_id", "goal", "minutes_before")):  # fmt: skip
    """What is done before or when a target is missed."""

    sla_id: Mapped[UUID] = ref("service.sla", label="Service level")
    goal: Mapped[str] = field(label="Target", choices=[Choice("any", "Any"), *GOALS], default="any", in_list=True)
    minutes_before: Mapped[int] = field(
        label="Minutes before", default=0, in_list=True,
        help="Of business hours before it is due. 0: when it is missed. Less than 0: so long after.",
    )  # fmt: skip
    notify_owner: Mapped[bool] = field(label="Tell the owner", default=True, in_list=True)
    notify_id: Mapped[UUID | None] = ref("user", label="Tell somebody else", in_list=True, on_delete="SET NULL")
    raise_priority: Mapped[bool] = field(label="Raise the priority", default=False, in_list=True)
    queue_id: Mapped[UUID | None] = ref("service.queue", label="Move to the queue", in_list=True)
    owner_id: Mapped[UUID | None] = ref("user", label="Give it to", in_list=True, on_delete="SET NULL")


class Clock(Entity, name="service.clock", title="Clock", icon="hourglass", listed=False, display="goal",
            roles={"manager": "read export", "member": "read export", "viewer": "read"}):  # fmt: skip
    """One target of one case: how much time is left, whether it runs, and whether it was kept."""

    __table_args__ = (Index("ix_service_clock_report", "goal", "ended_at"),)

    case_id: Mapped[UUID] = ref("service.case", label="Case", readonly=True, hidden=True)
    goal: Mapped[str] = field(label="Target", choices=GOALS, default="resolution", readonly=True, in_list=True)
    minutes: Mapped[int] = field(label="Minutes", default=0, readonly=True, in_list=True)
    state: Mapped[str] = field(
        label="State",
        choices=[
            Choice("running", "Running", "blue"), Choice("paused", "Paused", "secondary"),
            Choice("done", "Done", "green"),
        ],
        default="running", readonly=True, in_list=True,
    )  # fmt: skip
    started_at: Mapped[dt.datetime | None] = field(label="Began", readonly=True)
    since: Mapped[dt.datetime | None] = field(label="Runs since", readonly=True)
    left_seconds: Mapped[int] = field(label="Seconds left then", default=0, readonly=True)
    due_at: Mapped[dt.datetime | None] = field(label="Due", readonly=True, in_list=True)
    missed_at: Mapped[dt.datetime | None] = field(label="Missed", readonly=True, in_list=True)
    ended_at: Mapped[dt.datetime | None] = field(label="Ended", readonly=True, in_list=True)
    escalated: Mapped[list[Any]] = field(label="Escalations done", kind="json", default=list, readonly=True)


def schedules_of(session: Any, sla_ids: Iterable[UUID | None]) -> Mapping[UUID, Schedule]:
    """The hours of service levels: two queries, however many there are."""
    wanted = [each for each in set(sla_ids) if each is not None]
    rows = session.execute(
        select(Sla.id, Hours).outerjoin(Hours, Hours.id == Sla.hours_id).where(Sla.id.in_(wanted)),
        execution_options=SCOPED,
    ).all()
    off: dict[UUID, list[dt.date]] = {}
    known = {hours.id for _id, hours in rows if hours is not None}
    days = select(Holiday.hours_id, Holiday.day).where(Holiday.hours_id.in_(known), Holiday.archived_at.is_(None))
    for hours_id, day in session.execute(days, execution_options=SCOPED):
        off.setdefault(hours_id, []).append(day)
    return {sla_id: ALWAYS if hours is None else hours.schedule(off.get(hours.id, ())) for sla_id, hours in rows}
