"""What is kept: appointments, who attends them, the addresses of feeds, and how often a task comes again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Index, UniqueConstraint, and_, inspect, or_, select
from sqlalchemy.orm import Mapped

from rapport import UUID, Actor, Choice, Entity, Extension, Owned, Problem, field, ref, utcnow, uuid7
from rapport import gettext as _
from rapport_calendar import recurrence, zones

HOUR = dt.timedelta(hours=1)
LONGEST = dt.timedelta(days=366)
PART_OF_IT = {"manager": "read create update delete export import", "member": "read create update delete export import",
              "viewer": "read"}  # fmt: skip


class Appointment(
    Owned,
    Entity,
    name="calendar.appointment",
    title="Appointment",
    icon="calendar-event",
    roles={"manager": "read create update delete export import",
           "member": "read:team create update:team delete:own export import", "viewer": "read:team"},
):  # fmt: skip
    """A meeting, a visit, a day off: when it is, on whose clock, and whether it repeats."""

    __table_args__ = (
        UniqueConstraint("owner_id", "uid", "occurrence"),
        Index("ix_calendar_appointment_window", "owner_id", "over_at", "starts_at"),
    )

    title: Mapped[str] = field(label="Title", searchable=True, in_list=True)
    starts_at: Mapped[dt.datetime] = field(label="Begins", default=utcnow, in_list=True)
    ends_at: Mapped[dt.datetime | None] = field(label="Ends", in_list=True, help="Left empty: an hour later.")
    all_day: Mapped[bool] = field(label="All day", default=False)
    starts_on: Mapped[dt.date | None] = field(label="First day", help="Of what takes whole days.")
    ends_on: Mapped[dt.date | None] = field(label="Last day")
    zone: Mapped[str] = field(
        label="Time zone", default="", help="Whose clock it keeps to. Left empty: that of its owner."
    )
    rule: Mapped[str] = field(
        label="Repeats", default="", help="As calendars write it: FREQ=WEEKLY;BYDAY=MO. Left empty: it does not."
    )
    customer_id: Mapped[UUID | None] = ref("customer", in_list=True)
    place: Mapped[str] = field(label="Place", default="", searchable=True)
    note: Mapped[str] = field(label="Note", kind="longtext", default="")
    status: Mapped[str] = field(
        label="Status",
        choices=[Choice("confirmed", "Planned", "blue"), Choice("tentative", "Tentative", "yellow"),
                 Choice("held", "Held", "green"), Choice("missed", "Did not happen", "orange"),
                 Choice("cancelled", "Cancelled", "red")],
        default="confirmed", in_list=True,
    )  # fmt: skip
    busy: Mapped[bool] = field(label="Counts as busy", default=True)
    private: Mapped[bool] = field(
        label="Private", default=False, help="Others see that the time is taken, and nothing else."
    )
    remind_minutes: Mapped[int | None] = field(label="Remind so many minutes before")
    uid: Mapped[str] = field(label="Number in other calendars", readonly=True, hidden=True, default="", indexed=True)
    sequence: Mapped[int] = field(label="Sequence", readonly=True, hidden=True, default=0)
    """Counts the changes that those invited must hear of."""
    starts_local: Mapped[str] = field(label="Begins on its clock", readonly=True, hidden=True, default="")
    """What a series is counted from: in October the clock still shows nine, whatever hour that is in UTC."""
    exceptions: Mapped[list[Any]] = field(
        label="Times taken out", kind="json", readonly=True, hidden=True, default=list
    )
    extra: Mapped[list[Any]] = field(label="Further times", kind="json", readonly=True, hidden=True, default=list)
    series_id: Mapped[UUID | None] = ref("calendar.appointment", label="Series", readonly=True, on_delete="CASCADE")
    occurrence: Mapped[str] = field(label="Instead of", readonly=True, hidden=True, default="")
    """For one of a series that was changed by itself: the time it would have had, on the series' clock."""
    over_at: Mapped[dt.datetime | None] = field(secret=True, readonly=True)
    """When it, or the last time of its series, is over; None for a series without an end."""

    def complete(self, session: Any) -> None:
        """Without a zone or a team of its own it has those of the person who makes it."""
        actor: Actor = session.actor
        if not self.zone:
            self.zone = actor.time_zone
        if not inspect(self).has_identity and self.team_id is None and self.owner_id == actor.id:
            self.team_id = min(actor.team_ids, default=None)

    def prepare(self) -> None:
        """Keep the moments, the days and what the clock shows in step, whichever of them was given."""
        self.uid = self.uid or f"{uuid7()}@rapport"
        self._wrong: list[Problem] = []
        zone = zones.known(self.zone or "UTC")
        if zone is None:
            self._wrong.append(Problem("zone", _("is no time zone. Write one such as Europe/Berlin.")))
            return
        self.zone = zone
        try:
            self.rule = recurrence.tidy(self.rule or "")
        except ValueError as error:
            self._wrong.append(Problem("rule", str(error)))
            return
        if self.all_day:
            self._keep_days()
        else:
            self.starts_on = self.ends_on = None
            if not self.starts_local or zones.instant_of(self.local_start, zone) != self.starts_at:
                self.starts_local = recurrence.key(zones.local_of(self.starts_at, zone))
            if self.ends_at is None:
                self.ends_at = self.starts_at + HOUR
        if self._possible():
            self._say_when_over()

    def _keep_days(self) -> None:
        if self.starts_on is None:
            self.starts_on = zones.local_of(self.starts_at, self.zone).date()
        if self.ends_on is None:
            self.ends_on = self.starts_on
        self.starts_local = recurrence.key(dt.datetime.combine(self.starts_on, dt.time()))
        self.starts_at = zones.day_begins(self.starts_on, self.zone)
        self.ends_at = zones.day_begins(self.ends_on + dt.timedelta(days=1), self.zone)

    def _possible(self) -> bool:
        assert self.ends_at is not None
        last = "ends_on" if self.all_day else "ends_at"
        if self.ends_at < self.starts_at:
            self._wrong.append(Problem(last, _("is before the beginning.")))
        elif self.ends_at - self.starts_at > LONGEST:
            self._wrong.append(Problem(last, _("is more than a year after the beginning.")))
        elif self.starts_at.year not in recurrence.YEARS:
            self._wrong.append(Problem("starts_on" if self.all_day else "starts_at", _("is too far from today.")))
        elif self.rule and not recurrence.ever(self.local_start, self.rule, self.zone):
            self._wrong.append(Problem("rule", _("never comes true.")))
        return not self._wrong

    def _say_when_over(self) -> None:
        self.over_at = self.ends_at
        if self.repeats:
            last = recurrence.last_time(self.local_start, self.rule, self.zone, self.extra) if self.rule else None
            if not self.rule:
                last = max(recurrence.time_of(each) for each in self.extra)
            self.over_at = None if last is None else self.span(max(last, self.local_start))[1]

    def validate(self) -> Sequence[Problem]:
        """It has a zone there is, a rule one can follow, and ends after it begins."""
        return self._wrong

    @classmethod
    def follow_up(cls, records: Sequence[Any], session: Any) -> None:
        """Have those who want to be reminded be reminded, of the next time there is."""
        from rapport_calendar.reminders import plan

        plan(records, session)

    @property
    def local_start(self) -> dt.datetime:
        """What the clock of its zone shows when it begins."""
        return recurrence.time_of(self.starts_local)

    @property
    def local_length(self) -> dt.timedelta:
        """How long it takes by the clock."""
        if self.all_day:
            assert self.starts_on is not None
            assert self.ends_on is not None
            return self.ends_on - self.starts_on + dt.timedelta(days=1)
        assert self.ends_at is not None
        return zones.local_of(self.ends_at, self.zone) - self.local_start

    @property
    def repeats(self) -> bool:
        """Whether it is a series."""
        return bool(self.rule or self.extra)

    def span(self, local: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
        """From when to when it takes place, the time it begins at this on its clock."""
        assert self.ends_at is not None
        begin = zones.instant_of(local, self.zone)
        if local == self.local_start:
            return begin, self.ends_at
        end = zones.instant_of(local + self.local_length, self.zone)
        return begin, end if end >= begin else begin + (self.ends_at - self.starts_at)

    @classmethod
    def row_scope(cls, scope: ColumnElement[bool] | None, actor: Actor, action: str) -> ColumnElement[bool] | None:
        """Who attends one reads it, wherever they work; one that is private nobody else but its owner does."""
        if action != "read":
            return scope
        attendees = Attendee.__table__.alias()
        attending = cls.id.in_(select(attendees.c.appointment_id).where(attendees.c.user_id == actor.id))
        mine = or_(cls.owner_id == actor.id, attending)
        allowed = or_(mine, cls.private.is_(False))
        return allowed if scope is None else and_(or_(scope, attending), allowed)


class Attendee(
    Entity,
    name="calendar.attendee",
    title="Attendee",
    icon="user-check",
    listed=False,
    display="name",
    roles=PART_OF_IT,
):
    """Somebody who is asked to come: one of us, a customer, or a mere address; and what they answered."""

    appointment_id: Mapped[UUID] = ref("calendar.appointment")
    user_id: Mapped[UUID | None] = ref("user", on_delete="CASCADE", in_list=True)
    customer_id: Mapped[UUID | None] = ref("customer", in_list=True)
    email: Mapped[str] = field(label="E-mail", kind="email", default="", indexed=True)
    name: Mapped[str] = field(label="Name", default="", in_list=True)
    optional: Mapped[bool] = field(label="Need not come", default=False)
    answer: Mapped[str] = field(
        label="Answer",
        choices=[Choice("open", "No answer yet"), Choice("accepted", "Comes", "green"),
                 Choice("tentative", "Perhaps", "yellow"), Choice("declined", "Does not come", "red")],
        default="open", in_list=True,
    )  # fmt: skip
    answered_at: Mapped[dt.datetime | None] = field(label="Answered", readonly=True)
    comment: Mapped[str] = field(label="Comment", default="")
    told_sequence: Mapped[int] = field(secret=True, readonly=True, default=-1)
    """Up to which change of the appointment they were told; -1: not invited yet."""

    def validate(self) -> Sequence[Problem]:
        """An attendee is somebody."""
        if self.user_id is None and self.customer_id is None and not self.email and not self.name:
            return [Problem("email", _("is missing. Name a colleague, a customer or an address."))]
        return []


class Feed(
    Entity,
    name="calendar.feed",
    title="Calendar feed",
    icon="rss",
    listed=False,
    display="name",
):
    """An address under which another calendar reads appointments. Whoever knows it reads what its user may read."""

    user_id: Mapped[UUID] = ref("user")
    team_id: Mapped[UUID | None] = ref("team", on_delete="CASCADE")
    name: Mapped[str] = field(label="Name", default="")
    stamp: Mapped[str] = field(secret=True, readonly=True, default="")
    """Part of the address: with another stamp, the old address leads nowhere."""


class Repetition(Extension, of="task", name="calendar.repetition", title="Repetition"):
    """A task that comes again: when one is done, the next is there."""

    repeats: Mapped[str] = field(
        label="Comes again",
        choices=[Choice("", "Never"), Choice("FREQ=DAILY", "Every day"),
                 Choice("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", "Every working day"), Choice("FREQ=WEEKLY", "Every week"),
                 Choice("FREQ=WEEKLY;INTERVAL=2", "Every two weeks"), Choice("FREQ=MONTHLY", "Every month"),
                 Choice("FREQ=MONTHLY;INTERVAL=3", "Every three months"), Choice("FREQ=YEARLY", "Every year")],
        default="",
        help="Once the task is done, the next one is made, due at its next time after today.",
    )  # fmt: skip
