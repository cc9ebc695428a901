"""Workflows as they are kept: definitions with their versions, what runs, what waits, and what was done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint, Uuid, func, select
from sqlalchemy.orm import Mapped

from rapport.db.tables import metadata
from rapport.entities import Choice, Entity, Owned, field, ref, utcnow
from rapport.entities.types import Instant, Json
from rapport.i18n.catalogs import N_

MAX_SOURCE = 100_000


class Workflow(Entity, name="workflow", title="Workflow", icon="sitemap", listed=False, display="title",
               roles={"manager": "start", "member": "start"}, natural_key=("name",),
               verbs={"start": N_("Start")}):  # fmt: skip
    """A workflow, as its administrators write it. Each change of its text is a version of its own."""

    name: Mapped[str] = field(label="Name", unique=True, default="", in_list=True, help="Left empty: as the text says.")
    source: Mapped[str] = field(label="Definition", kind="longtext", max_length=MAX_SOURCE)
    active: Mapped[bool] = field(
        label="Active", default=True, in_list=True, help="Off, nothing starts; what runs is brought to its end."
    )
    active_since: Mapped[dt.datetime | None] = field(label="Active since", readonly=True)
    """What happened before is not its business."""
    title: Mapped[str] = field(label="Title", default="", readonly=True, in_list=True)
    entity: Mapped[str] = field(label="Kind of record", default="", readonly=True, in_list=True)
    number: Mapped[int] = field(label="Version", default=0, readonly=True, in_list=True)

    @classmethod
    def follow_up(cls, records: Sequence[Any], session: Any) -> None:
        """A text that is not the last version's becomes the next version, and what it starts by time is planned."""
        from rapport.workflows.starting import plan

        for record in records:
            if record.archived_at is None and not _is_gone(record):
                last = session.scalar(
                    select(WorkflowVersion)
                    .where(WorkflowVersion.workflow_id == record.id)
                    .order_by(WorkflowVersion.number.desc())
                    .limit(1)
                )
                if last is None or last.source != record.source:
                    record.number = 1 if last is None else last.number + 1
                    session.add(WorkflowVersion(workflow_id=record.id, number=record.number, source=record.source))
                plan(session, record)


class WorkflowVersion(Entity, name="workflow_version", title="Version of a workflow", plural="Versions of workflows",
                      icon="versions", listed=False, roles={}, display="number"):  # fmt: skip
    """What a workflow said at one time. What runs keeps to the version it began with, until it is moved on purpose."""

    __table_args__ = (UniqueConstraint("workflow_id", "number"),)

    workflow_id: Mapped[UUID] = ref("workflow", readonly=True)
    number: Mapped[int] = field(label="Number", readonly=True, in_list=True)
    source: Mapped[str] = field(label="Definition", kind="longtext", readonly=True, max_length=MAX_SOURCE)


STATUS = [
    Choice("running", "Running", "azure"), Choice("finished", "Finished", "green"),
    Choice("stopped", "Stopped", "red"), Choice("cancelled", "Cancelled", "secondary"),
]  # fmt: skip


class WorkflowInstance(Entity, name="workflow_instance", title="Run of a workflow", plural="Runs of workflows",
                       icon="route", listed=False, roles={}, display="entity"):  # fmt: skip
    """A workflow under way with one record. Who may see the record may see this."""

    __table_args__ = (
        Index("ix_workflow_instance_record", "entity", "record_id"),
        Index("ix_workflow_instance_states", "workflow_id", "status", "version_id", "states"),
        Index("ix_workflow_instance_customer", "customer_id", "status"),
    )

    workflow_id: Mapped[UUID] = ref("workflow", readonly=True, on_delete="RESTRICT")
    version_id: Mapped[UUID] = ref("workflow_version", label="Version", readonly=True, on_delete="RESTRICT")
    entity: Mapped[str] = field(label="Kind of record", readonly=True)
    record_id: Mapped[UUID] = field(label="Record", kind="id", readonly=True)
    customer_id: Mapped[UUID | None] = field(label="Customer", kind="id", readonly=True)
    """Whose answers it hears of."""
    states: Mapped[tuple[str, ...]] = field(label="States", kind="tags", readonly=True)
    status: Mapped[str] = field(label="Status", choices=STATUS, default="running", readonly=True)
    reason: Mapped[str] = field(label="Why it stopped", kind="longtext", default="", readonly=True)
    trace: Mapped[list[Any]] = field(label="What led there", kind="json", default=list, readonly=True)
    facts: Mapped[dict[str, Any]] = field(label="Facts", kind="json", default=dict, readonly=True)
    """What events brought along."""
    steps: Mapped[int] = field(label="Steps", default=0, readonly=True)
    depth: Mapped[int] = field(label="Depth", default=0, readonly=True)
    """How many workflows caused each other up to this one."""
    cause_id: Mapped[UUID | None] = field(label="Cause", kind="id", readonly=True)
    """The step of another instance that led to it."""
    started_by_id: Mapped[UUID | None] = ref("user", label="Started by", readonly=True)
    started_at: Mapped[dt.datetime] = field(label="Started", default=utcnow, readonly=True)
    finished_at: Mapped[dt.datetime | None] = field(label="Ended", readonly=True)
    running_key: Mapped[str | None] = field(label="Running", unique=True, secret=True, readonly=True)
    """While it runs: one at a time of a workflow with a record."""
    start_key: Mapped[str | None] = field(label="Occasion", unique=True, secret=True, readonly=True)
    """What starts only once, such as this year's birthday."""


class Approval(Owned, Entity, name="approval", title="Approval", icon="rubber-stamp", listed=False, display="title",
               roles={}):  # fmt: skip
    """A question of a workflow to one person, their owner, and the answer."""

    __table_args__ = (Index("ix_approval_open", "owner_id", "decision"),)

    instance_id: Mapped[UUID] = field(label="Run of a workflow", kind="id", indexed=True, readonly=True)
    state: Mapped[str] = field(label="State", readonly=True)
    turn: Mapped[int] = field(label="Turn", default=0, readonly=True)
    """The step in which the state began: a state may be entered again, and then asks anew."""
    title: Mapped[str] = field(label="Question", readonly=True, in_list=True)
    note: Mapped[str] = field(label="Note", kind="longtext", default="", readonly=True)
    about_entity: Mapped[str] = field(label="About (kind)", readonly=True)
    about_id: Mapped[UUID] = field(label="About", kind="id", readonly=True)
    decision: Mapped[str] = field(
        label="Answer",
        choices=[
            Choice("", "Open", "azure"), Choice("approved", "Approved", "green"), Choice("rejected", "Rejected", "red"),
            Choice("withdrawn", "No longer asked"),
        ],
        default="", readonly=True, in_list=True,
    )  # fmt: skip
    comment: Mapped[str] = field(label="Comment", kind="longtext", default="", readonly=True)
    due_at: Mapped[dt.datetime | None] = field(label="Until", readonly=True, in_list=True)
    decided_at: Mapped[dt.datetime | None] = field(label="Answered", readonly=True)
    delegated_by_id: Mapped[UUID | None] = ref("user", label="Handed over by", readonly=True)


step_table = Table(
    "workflow_step",
    metadata,
    # Also the batch of all that was changed in it, in the log
    Column("id", Uuid, primary_key=True),
    Column("instance_id", Uuid, ForeignKey("workflow_instance.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("event", Text, nullable=False),
    # The states before and after
    Column("source", Json, nullable=False),
    Column("target", Json, nullable=False),
    # [source, event, target] for each transition, and what was done, in words
    Column("moves", Json, nullable=False),
    Column("done", Json, nullable=False),
    Column("actor_id", Uuid),
    Column("actor", Text, nullable=False),
    Column("cause_id", Uuid),
    UniqueConstraint("instance_id", "number"),
)

timer_table = Table(
    "workflow_timer",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("instance_id", Uuid, ForeignKey("workflow_instance.id", ondelete="CASCADE"), nullable=False),
    Column("state", Text, nullable=False),
    # after.N, deadline or escalate
    Column("name", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
    Index("ix_workflow_timer_instance", "instance_id"),
)

link_table = Table(
    "workflow_link",
    metadata,
    # A task or a message that an instance waits for
    Column("other_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("instance_id", Uuid, ForeignKey("workflow_instance.id", ondelete="CASCADE"), nullable=False),
    Column("state", Text, nullable=False),
    Index("ix_workflow_link_instance", "instance_id", "state"),
)

member_table = Table(
    "workflow_member",
    metadata,
    # Records that meet the condition of a segment, so that the next ones who enter it are known
    Column("workflow_id", Uuid, ForeignKey("workflow.id", ondelete="CASCADE"), primary_key=True),
    Column("record_id", Uuid, primary_key=True),
)


def counts(session: Any, workflow_id: UUID) -> dict[str, int]:
    """How many run in each state of a workflow."""
    rows = session.execute(
        select(WorkflowInstance.states, func.count())
        .where(WorkflowInstance.workflow_id == workflow_id, WorkflowInstance.status == "running")
        .group_by(WorkflowInstance.states),
        execution_options={"rapport_scoped": True},
    )
    found: dict[str, int] = {}
    for states, number in rows:
        for state in states:
            found[state] = found.get(state, 0) + number
    return found


def _is_gone(record: Any) -> bool:
    from sqlalchemy import inspect

    return bool(inspect(record).deleted or inspect(record).detached)
