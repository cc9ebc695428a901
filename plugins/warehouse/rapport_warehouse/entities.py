"""Saved reports: a question to the warehouse under a name, for oneself, a team or everybody, and sent by mail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, UniqueConstraint, or_, select
from sqlalchemy.orm import Mapped

from rapport import Actor, Choice, Entity, Owned, Problem, field, next_run, ref, utcnow
from rapport import gettext as _
from rapport.i18n import time_zones

DELIVERY = "warehouse.delivery"
ROLES = {
    "manager": "read create update delete",
    "member": "read:own create update:own delete:own",
    "viewer": "read:own",
}
SHARED = [Choice("me", "Only me"), Choice("team", "My team"), Choice("everybody", "Everybody")]
OFTEN = [Choice("day", "Each day"), Choice("workday", "Monday to Friday"), Choice("week", "Each week"),
         Choice("month", "Each month")]  # fmt: skip
WEEKDAYS = [
    Choice("monday", "Monday"), Choice("tuesday", "Tuesday"), Choice("wednesday", "Wednesday"),
    Choice("thursday", "Thursday"), Choice("friday", "Friday"), Choice("saturday", "Saturday"),
    Choice("sunday", "Sunday"),
]  # fmt: skip
FORMATS = [Choice("pdf", "PDF"), Choice("xlsx", "Excel"), Choice("csv", "CSV")]
LAST_DAY, LAST_HOUR = 31, 23


class Report(
    Owned, Entity, name="warehouse.report", title="Saved report", icon="report-analytics", listed=False, roles=ROLES,
):  # fmt: skip
    """A question that somebody wants to ask again. Whoever opens it sees what their own rights let them see."""

    name: Mapped[str] = field(label="Name", max_length=80)
    query: Mapped[str] = field(label="Question", kind="longtext", help="The question as it stands in the address.")
    shared: Mapped[str] = field(label="Who finds it", default="me", choices=SHARED)

    @classmethod
    def is_shared(cls) -> ColumnElement[bool]:
        """What is for everybody is found by people who otherwise see their own only."""
        return cls.shared == "everybody"

    @classmethod
    def row_scope(cls, scope: ColumnElement[bool] | None, actor: Actor, action: str) -> ColumnElement[bool] | None:
        """A team's report is found by the team."""
        if scope is None or action != "read" or not actor.team_ids:
            return scope
        return or_(scope, (cls.shared == "team") & cls.team_id.in_(actor.team_ids))

    def validate(self) -> Sequence[Problem]:
        """What is for a team names the team."""
        wrong = self.shared == "team" and self.team_id is None
        return [Problem("team_id", _("is needed: whose report is it?"))] if wrong else []


class Delivery(
    Owned, Entity, name=DELIVERY, title="Report by mail", plural="Reports by mail", icon="mail-forward", listed=False,
    display="name", roles=ROLES,
):  # fmt: skip
    """A saved report that goes to people's mailboxes in a rhythm: to each with what they may see."""

    name: Mapped[str] = field(label="Subject", max_length=80, searchable=True, in_list=True)
    report_id: Mapped[UUID | None] = ref("warehouse.report", label="Saved report", on_delete="SET NULL", in_list=True)
    format: Mapped[str] = field(label="Kind of file", choices=FORMATS, default="pdf", in_list=True)
    often: Mapped[str] = field(label="How often", choices=OFTEN, default="week", in_list=True)
    weekday: Mapped[str] = field(
        label="Day of the week", choices=WEEKDAYS, default="monday", help="For what comes each week."
    )
    day: Mapped[int] = field(
        label="Day of the month",
        default=1,
        help="For what comes each month; a day that a month does not have is its last one.",
    )
    hour: Mapped[int] = field(label="Hour", default=7)
    zone: Mapped[str] = field(label="Time zone", default="UTC")
    active: Mapped[bool] = field(label="Is sent", default=True, in_list=True)
    due_at: Mapped[dt.datetime | None] = field(label="Next time", readonly=True, in_list=True)
    problem: Mapped[str] = field(label="What is wrong", kind="longtext", default="", readonly=True)

    @classmethod
    def row_scope(cls, scope: ColumnElement[bool] | None, actor: Actor, action: str) -> ColumnElement[bool] | None:
        """Whoever gets it finds it, to see why and to have it stop."""
        if scope is None or action != "read":
            return scope
        own = Recipient.__table__.c  # the bare table: its own scope is not asked again
        return or_(scope, cls.id.in_(select(own.delivery_id).where(own.user_id == actor.id)))

    @property
    def rule(self) -> str:
        """Its rhythm, as schedules are written."""
        days = {"day": "daily", "workday": "weekly on monday, tuesday, wednesday, thursday, friday",
                "week": f"weekly on {self.weekday}", "month": f"monthly on {self.day}"}  # fmt: skip
        return f"{days[self.often]} at {self.hour:02}:00"

    def validate(self) -> Sequence[Problem]:
        """Its rhythm can be kept."""
        problems = []
        if not 0 <= self.hour <= LAST_HOUR:
            problems.append(Problem("hour", _("must be between 0 and %(most)s.", most=LAST_HOUR)))
        if not 1 <= self.day <= LAST_DAY:
            problems.append(Problem("day", _("must be between 1 and %(most)s.", most=LAST_DAY)))
        if self.zone not in time_zones():
            problems.append(Problem("zone", _("is no time zone. Write one such as Europe/Berlin.")))
        return problems

    def prepare(self) -> None:
        """Whenever it is changed, the next time is worked out anew; but what is due already stays due."""
        now = utcnow()
        if not self.active:
            self.due_at = None
            return
        self.problem = ""
        if (self.due_at is None or self.due_at > now) and not self.validate():
            self.due_at = next_run(self.rule, self.zone, now)


class Recipient(
    Entity, name="warehouse.recipient", title="Recipient of a report", plural="Recipients of reports", icon="user",
    listed=False, display="id",
    roles={"manager": "read create delete", "member": "read create delete", "viewer": "read"},
):  # fmt: skip
    """Somebody who gets a report by mail, and how it went the last time."""

    __table_args__ = (UniqueConstraint("delivery_id", "user_id"),)

    delivery_id: Mapped[UUID] = ref(DELIVERY, label="Report by mail")
    user_id: Mapped[UUID] = ref("user", label="Person", in_list=True)
    sent_at: Mapped[dt.datetime | None] = field(label="Sent", readonly=True, in_list=True)
    problem: Mapped[str] = field(label="What is wrong", kind="longtext", default="", readonly=True, in_list=True)

    @classmethod
    def row_scope(cls, scope: ColumnElement[bool] | None, actor: Actor, action: str) -> ColumnElement[bool] | None:
        """Recipients are read with their delivery, and chosen by its owner."""
        if action == "read" or actor.reach(f"{DELIVERY}.update") == "all":
            return scope
        own = Delivery.__table__.c
        mine: ColumnElement[bool] = cls.delivery_id.in_(select(own.id).where(own.owner_id == actor.id))
        return mine if scope is None else scope & mine
