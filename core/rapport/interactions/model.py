"""What happened with a customer (interactions), and what is to be done (tasks)."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, inspect, select, update
from sqlalchemy.orm import Mapped

from rapport.customers.model import Customer
from rapport.entities import Choice, Entity, Owned, field, ref, utcnow
from rapport.files import find_files
from rapport.records.session import SCOPED

WORK = {
    "manager": "read create update delete export import",
    "member": "read create update:team delete:own export",
    "viewer": "read",
}


ORGANISATIONS = "core.organisations"
"""In the info of a session: where customers work, by their ids, for who makes many interactions at once."""


class Interaction(Owned, Entity, name="interaction", title="Interaction", icon="messages", roles=WORK,
                  display="subject"):  # fmt: skip
    """One contact with a customer, in or out, by whichever channel; or a note about them."""

    __table_args__ = (
        Index("ix_interaction_timeline", "customer_id", "at", "id"),
        Index("ix_interaction_recent", "at", "id"),
        Index("ix_interaction_organisation", "organisation_id", "at", "id"),
        Index("ix_interaction_thread", "thread_id", "at", "id"),
        UniqueConstraint("channel", "external_id"),
    )

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
    channel: Mapped[str] = field(label="Channel", default="", section="Where it is from")
    source: Mapped[str] = field(
        label="Source", default="", section="Where it is from", help="The mailbox, file or program it came from."
    )
    external_id: Mapped[str | None] = field(label="Known outside as", section="Where it is from")
    thread_id: Mapped[UUID | None] = field(label="Thread", kind="id", readonly=True, section="Where it is from")
    organisation_id: Mapped[UUID | None] = ref(
        "customer", label="Organisation", readonly=True, section="Where it is from"
    )
    """Where the person worked at the time: the contact is on the organisation's timeline too, and stays there."""

    def complete(self, session: Any) -> None:
        """A contact with a person is one with their organisation as well. Who took part is told when it was."""
        state: Any = inspect(self)
        if not state.persistent and self.organisation_id is None and self.customer_id is not None:
            known = session.info.get(ORGANISATIONS, {})
            if self.customer_id in known:
                self.organisation_id = known[self.customer_id]
                return
            theirs = select(Customer.organisation_id).where(Customer.id == self.customer_id)
            self.organisation_id = session.scalar(theirs, execution_options=SCOPED)
        elif state.persistent and state.attrs["at"].history.has_changes():
            told = update(Participant).where(Participant.interaction_id == self.id).values(at=self.at)
            session.execute(told, execution_options={**SCOPED, "synchronize_session": False})


class Participant(Entity, name="participant", title="Participant", icon="user", listed=False, display="address",
                  roles={"manager": "read create update delete export", "member": "read create delete export",
                         "viewer": "read"}):  # fmt: skip
    """Somebody who took part in an interaction beside its customer: a colleague, another customer, or an address."""

    __table_args__ = (
        Index("ix_participant_timeline", "customer_id", "at", "interaction_id"),
        UniqueConstraint("interaction_id", "customer_id"),
    )

    interaction_id: Mapped[UUID] = ref("interaction")
    role: Mapped[str] = field(
        label="Role",
        choices=[Choice("from", "From"), Choice("to", "To"), Choice("cc", "Copy to"), Choice("attendee", "Attendee")],
        default="attendee",
        in_list=True,
    )
    customer_id: Mapped[UUID | None] = ref("customer", in_list=True)
    user_id: Mapped[UUID | None] = ref("user", in_list=True, on_delete="SET NULL")
    address: Mapped[str] = field(label="Address or number", default="", in_list=True)
    name: Mapped[str] = field(label="Name", default="", in_list=True)
    at: Mapped[dt.datetime | None] = field(secret=True, readonly=True)
    """When the interaction was: timelines are read in its order."""

    def complete(self, session: Any) -> None:
        """Keep the time of the interaction."""
        if self.at is None and self.interaction_id is not None:
            when = select(Interaction.at).where(Interaction.id == self.interaction_id)
            self.at = session.scalar(when, execution_options=SCOPED)


class Attachment(Owned, Entity, name="attachment", title="Attachment", icon="paperclip", listed=False, display="name",
                 roles={"manager": "read create update delete export",
                        "member": "read create update:own delete:own export", "viewer": "read"}):  # fmt: skip
    """A file that belongs to an interaction: the offer that was sent, the notes of a meeting."""

    interaction_id: Mapped[UUID] = ref("interaction")
    file: Mapped[UUID] = field(label="File", kind="file", in_list=True)
    name: Mapped[str] = field(
        label="Name", default="", searchable=True, help="Left empty, it is called as the file is called."
    )

    def complete(self, session: Any) -> None:
        """Call it as the file is called, unless somebody has given it a name."""
        if not self.name and self.file is not None:
            found = find_files(session, [self.file])
            self.name = found[self.file].name if self.file in found else ""


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
