"""What happened with a customer (interactions), and what is to be done (tasks)."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from rapport.entities import Choice, Entity, Owned, field, ref, utcnow

WORK = {
    "manager": "read create update delete export import",
    "member": "read create update:team delete:own export",
    "viewer": "read",
}


class Interaction(Owned, Entity, name="interaction", title="Interaction", icon="messages", roles=WORK,
                  display="subject"):  # fmt: skip
    """One contact with a customer, in or out, by whichever channel; or a note about them."""

    __table_args__ = (Index("ix_interaction_timeline", "customer_id", "at", "id"),)

    customer_id: Mapped[UUID] = ref("customer", in_list=True)
    kind: Mapped[str] = field(label="Kind", default="note", in_list=True)
    """The name of a registered interaction type: call, note, meeting, e-mail."""
    direction: Mapped[str] = field(
        label="Direction", choices=[Choice("out", "Outgoing"), Choice("in", "Incoming"), Choice("", "None")], default=""
    )
    at: Mapped[dt.datetime] = field(label="When", default=utcnow, in_list=True)
    subject: Mapped[str] = field(label="Subject", default="", searchable=True, in_list=True)
    body: Mapped[str] = field(label="Content", kind="longtext", default="", searchable=True)
    outcome: Mapped[str] = field(label="Outcome", default="")
    minutes: Mapped[int | None] = field(label="Duration in minutes")
    about_entity: Mapped[str] = field(label="About (kind)", default="")
    about_id: Mapped[UUID | None] = field(label="About", kind="id", indexed=True)
    """The record it was about, such as an opportunity; `about_entity` names its entity."""


class Task(Owned, Entity, name="task", title="Task", icon="checkbox", roles=WORK, display="title"):
    """Something to do by a day, usually for a customer."""

    __table_args__ = (Index("ix_task_open", "owner_id", "done_at", "due_on"),)

    title: Mapped[str] = field(label="Task", searchable=True, in_list=True)
    due_on: Mapped[dt.date | None] = field(label="Due", in_list=True)
    customer_id: Mapped[UUID | None] = ref("customer", in_list=True)
    priority: Mapped[str] = field(
        label="Priority",
        choices=[Choice("high", "High", "red"), Choice("normal", "Normal", "secondary"), Choice("low", "Low", "muted")],
        default="normal",
    )
    done_at: Mapped[dt.datetime | None] = field(label="Done", in_list=True)
    note: Mapped[str] = field(label="Note", kind="longtext", default="")
    about_entity: Mapped[str] = field(label="About (kind)", default="")
    about_id: Mapped[UUID | None] = field(label="About", kind="id", indexed=True)
