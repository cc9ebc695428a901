"""Cases: what customers ask, report or complain about, until it is solved."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import rapport_products  # noqa: F401 - cases point at its products
from sqlalchemy import Index, inspect, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped

from rapport import Choice, Entity, Invalid, Owned, Problem, field, ref, utcnow, uuid7
from rapport import gettext as _

WORK = {
    "manager": "read create update delete export import",
    "member": "read create update export",
    "viewer": "read",
}
LAID_OUT = {"manager": "read create update delete export import", "member": "read", "viewer": "read"}
"""What managers decide and everybody works by."""
SCOPED = {"rapport_scoped": True}
"""Of statements that do not depend on what the person who causes them may see."""
STATUSES = [
    Choice("new", "New", "azure"),
    Choice("open", "Open", "blue"),
    Choice("pending", "Waiting for the customer", "orange"),
    Choice("hold", "On hold", "purple"),
    Choice("solved", "Solved", "green"),
    Choice("closed", "Closed", "secondary"),
]
OPEN, PAUSED, DONE = ("new", "open"), ("pending", "hold"), ("solved", "closed")
"""Statuses in which we are to act, in which others are, and in which nobody is."""
NEXT: Mapping[str, tuple[str, ...]] = {
    "new": ("open", "pending", "hold", "solved", "closed"),
    "open": ("pending", "hold", "solved", "closed"),
    "pending": ("open", "hold", "solved", "closed"),
    "hold": ("open", "pending", "solved", "closed"),
    "solved": ("open", "closed"),
    "closed": ("open",),
}
"""The life cycle: where a case may go from each status."""
KINDS = [
    Choice("question", "Question", "azure"),
    Choice("problem", "Problem", "orange"),
    Choice("complaint", "Complaint", "red"),
    Choice("request", "Request", "blue"),
    Choice("quality", "Quality", "purple"),
]
PRIORITIES = [
    Choice("urgent", "Urgent", "red"),
    Choice("high", "High", "orange"),
    Choice("normal", "Normal", "secondary"),
    Choice("low", "Low", "muted"),
]
RANKS = {choice.value: rank for rank, choice in enumerate(PRIORITIES)}
ON_TIME = [
    Choice("", "No agreement"),
    Choice("running", "On time", "blue"),
    Choice("paused", "Paused", "secondary"),
    Choice("late", "Late", "red"),
    Choice("kept", "Kept", "green"),
    Choice("missed", "Missed", "red"),
]
FIRST_NUMBER = 10_001


class Case(Owned, Entity, name="service.case", title="Case", icon="lifebuoy", display="subject",
           roles={**WORK, "portal": "read create"}):  # fmt: skip
    """Something a customer asks, reports or complains about, until it is solved."""

    past_log = True  # what follows from its clocks

    __table_args__ = (
        Index("ix_service_case_mine", "owner_id", "status", "due_at"),
        Index("ix_service_case_queue", "queue_id", "status", "due_at"),
        Index("ix_service_case_customer", "customer_id", "opened_at"),
        Index("ix_service_case_opened", "opened_at", "id"),
        Index("ix_service_case_status", "status", "due_at"),
    )

    number: Mapped[str] = field(
        label="Number", default="", unique=True, searchable=True, in_list=True,
        aliases=["ticket", "ticket_number", "case_id", "case_number"], help="Left empty, it is the next one.",
    )  # fmt: skip
    subject: Mapped[str] = field(label="Subject", searchable=True, in_list=True, aliases=["title", "summary"])
    customer_id: Mapped[UUID] = ref("customer", in_list=True, aliases=["requester", "contact", "account"])
    status: Mapped[str] = field(label="Status", choices=STATUSES, default="new", in_list=True)
    priority: Mapped[str] = field(
        label="Priority", choices=PRIORITIES, default="normal", in_list=True, aliases=["seriousness", "severity"]
    )
    kind: Mapped[str] = field(label="Kind", choices=KINDS, default="question", indexed=True, in_list=True)
    category: Mapped[str] = field(
        label="Category", default="", indexed=True, searchable=True, aliases=["type", "service_type"]
    )
    product_id: Mapped[UUID | None] = ref("products.product", label="Product")
    description: Mapped[str] = field(label="Description", kind="longtext", default="", searchable=True)
    queue_id: Mapped[UUID | None] = ref("service.queue", label="Queue", aliases=["workgroup", "group", "department"])
    channel: Mapped[str] = field(
        label="Channel", default="", indexed=True, help="How it came to us: email, call, portal …"
    )
    opened_at: Mapped[dt.datetime] = field(
        label="Opened", default=utcnow, section="Times", hidden=True, aliases=["created", "opened", "reported"]
    )
    first_response_at: Mapped[dt.datetime | None] = field(
        label="First response", section="Times", hidden=True, aliases=["first_response", "first_reply"]
    )
    solved_at: Mapped[dt.datetime | None] = field(label="Solved", section="Times", hidden=True, aliases=["resolved"])
    closed_at: Mapped[dt.datetime | None] = field(label="Closed", section="Times", hidden=True)
    waiting_since: Mapped[dt.datetime | None] = field(
        label="Customer waits since", readonly=True, section="Times", hidden=True
    )
    due_at: Mapped[dt.datetime | None] = field(label="Due", readonly=True, section="Times", hidden=True)
    on_time: Mapped[str] = field(
        label="Agreed times", choices=ON_TIME, default="", readonly=True, indexed=True, section="Times", hidden=True
    )
    sla_id: Mapped[UUID | None] = ref("service.sla", label="Service level", readonly=True, section="Times", hidden=True)
    reopened: Mapped[int] = field(label="Times reopened", default=0, readonly=True, hidden=True, section="Result")
    satisfaction: Mapped[int | None] = field(
        label="Satisfaction", section="Result", readonly=True, help="From 1 to 10, as the customer said."
    )
    merged_into_id: Mapped[UUID | None] = ref(
        "service.case", label="Merged into", readonly=True, section="Result", hidden=True, on_delete="SET NULL"
    )
    response_seconds: Mapped[int | None] = field(secret=True, readonly=True)
    solving_seconds: Mapped[int | None] = field(secret=True, readonly=True)
    """How long it took, for medians: what both databases sort alike."""

    def complete(self, session: Any) -> None:
        """Every case has a number."""
        if not self.number:
            self.number = next_number(session)

    def prepare(self) -> None:
        """Times follow the status, and how long it took follows the times."""
        before = status_before(self)
        if self.status in DONE:
            self.solved_at = self.solved_at or self.closed_at or utcnow()
        if self.status == "closed":
            self.closed_at = self.closed_at or utcnow()
        if before in DONE and self.status not in DONE:
            self.solved_at = self.closed_at = None
            self.reopened = (self.reopened or 0) + 1
        self.response_seconds = _seconds(self.opened_at, self.first_response_at)
        self.solving_seconds = _seconds(self.opened_at, self.solved_at)

    def validate(self) -> Sequence[Problem]:
        """A case goes its way, and happens in order."""
        problems = []
        before = status_before(self)
        if before and self.status not in NEXT[before]:
            labels = {choice.value: _(choice.label) for choice in STATUSES}
            problems.append(Problem("status", _(
                "cannot go from “%(before)s” to “%(after)s”. Choose one of: %(choices)s.", before=labels[before],
                after=labels.get(self.status, self.status), choices=", ".join(labels[each] for each in NEXT[before]),
            )))  # fmt: skip
        for name in ("first_response_at", "solved_at", "closed_at"):
            at = getattr(self, name)
            if at is not None and self.opened_at is not None and at < self.opened_at:
                problems.append(Problem(name, _("is before the case was opened.")))
        if self.satisfaction is not None and not 1 <= self.satisfaction <= 10:
            problems.append(Problem("satisfaction", _("must be between 1 and 10.")))
        return problems

    def __str__(self) -> str:
        return self.subject


class Counter(Entity, name="service.counter", title="Counter", icon="123", roles={}, listed=False):
    """The last number that was given to a case. Written only by `next_number`."""

    past_log = True  # it counts in a statement of its own

    name: Mapped[str] = field(label="Name", unique=True, readonly=True)
    value: Mapped[int] = field(label="Value", default=0, readonly=True)


def next_number(session: Any) -> str:
    """The next free number, counted in the caller's transaction; those that were given by hand or import are passed."""
    while True:
        number = str(_count(session, "case"))
        taken = select(Case.id).where(Case.number == number)
        if session.scalar(taken, execution_options=SCOPED) is None:
            return number


def _count(session: Any, name: str) -> int:
    connection, now = session.connection(), utcnow()
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    first = dialect.insert(Counter).values(
        id=uuid7(), version=1, name=name, value=FIRST_NUMBER - 1, created_at=now, updated_at=now, archived_at=None
    )
    connection.execute(first.on_conflict_do_nothing(index_elements=["name"]))
    counted = update(Counter).where(Counter.name == name).values(value=Counter.value + 1).returning(Counter.value)
    return int(connection.scalar(counted) or FIRST_NUMBER)


def status_before(case: Case) -> str:
    """The status that a case had before the change that is being saved; empty where it does not change."""
    state: Any = inspect(case)
    history = state.attrs["status"].history
    return str(history.deleted[0]) if state.persistent and history.has_changes() and history.deleted else ""


def check_filter(session: Any, entity: type[Entity], name: str, text: str) -> None:
    """Invalid, naming the field, unless the text is a condition on records of the kind."""
    try:
        session.unit.reader.conditions(entity, filter=text or None)
    except Invalid as error:
        raise Invalid([Problem(name, problem.message) for problem in error.problems]) from None


def _seconds(start: dt.datetime | None, end: dt.datetime | None) -> int | None:
    return None if start is None or end is None else max(0, round((end - start).total_seconds()))
