"""The outbox: what is to be sent to customers, what became of it, and why something was not sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Index, inspect
from sqlalchemy.orm import Mapped

from rapport.entities import Choice, Entity, field, ref
from rapport.errors import Problem
from rapport.i18n.catalogs import N_, _

if TYPE_CHECKING:
    from rapport.records import Unit

STATES = (
    Choice("waiting", "Waiting", "azure"), Choice("held", "Waits for approval", "yellow"),
    Choice("refused", "Not sent", "red"), Choice("sending", "Being sent", "azure"), Choice("sent", "Sent", "green"),
    Choice("delivered", "Arrived", "green"), Choice("bounced", "Came back", "red"), Choice("failed", "Failed", "red"),
    Choice("doubtful", "Perhaps sent", "orange"), Choice("cancelled", "Cancelled", "muted"),
)  # fmt: skip
WENT_OUT = ("sending", "sent", "delivered", "bounced", "doubtful")
"""The states of what reached a customer, or may have."""
CONTENT = ("channel", "address", "purpose_id", "campaign", "subject", "body", "html", "account")
MAX_HTML = 1_000_000
FIRST_WORDS = 80


class Message(
    Entity, name="message", title="Message", icon="send", display="subject",
    roles={"manager": "read create send approve export", "member": "read create send export", "viewer": "read"},
    verbs={"send": N_("Send without approval"), "approve": N_("Approve")},
):  # fmt: skip
    """One thing to be sent to one customer. Whichever way it comes into being, the gate decides what becomes of it."""

    __table_args__ = (
        Index("ix_message_counted", "customer_id", "claimed_at"),
        Index("ix_message_state", "state", "id"),
        Index("ix_message_external", "channel", "external_id"),
    )

    customer_id: Mapped[UUID] = ref("customer", in_list=True)
    channel: Mapped[str] = field(label="Channel", in_list=True)
    address: Mapped[str] = field(
        label="Address or number", default="", in_list=True, help="Left empty, it is the customer's."
    )
    purpose_id: Mapped[UUID] = ref("purpose", on_delete="RESTRICT", in_list=True)
    campaign: Mapped[str] = field(label="Campaign", default="", indexed=True)
    subject: Mapped[str] = field(label="Subject", default="", in_list=True)
    body: Mapped[str] = field(label="Text", kind="longtext", default="")
    html: Mapped[str] = field(label="HTML", kind="longtext", default="", max_length=MAX_HTML)
    about_entity: Mapped[str] = field(label="About (kind)", default="")
    about_id: Mapped[UUID | None] = field(label="About", kind="id", indexed=True)
    reply_to_id: Mapped[UUID | None] = ref("interaction", label="Answer to", on_delete="SET NULL")
    account: Mapped[str] = field(label="Account", default="", help="Which of the channel's accounts sends it.")
    not_before: Mapped[dt.datetime | None] = field(label="Not before")
    sender_id: Mapped[UUID | None] = ref(
        "user", label="Sender", on_delete="SET NULL", readonly=True, in_list=True, section="Sending"
    )
    state: Mapped[str] = field(
        label="State", choices=STATES, default="waiting", readonly=True, in_list=True, section="Sending"
    )
    reason: Mapped[str] = field(
        label="Reason", kind="longtext", default="", readonly=True, in_list=True, section="Sending"
    )
    attempts: Mapped[int] = field(label="Attempts", default=0, readonly=True, section="Sending")
    claimed_at: Mapped[dt.datetime | None] = field(label="Begun", readonly=True, section="Sending")
    sent_at: Mapped[dt.datetime | None] = field(label="Sent", readonly=True, in_list=True, section="Sending")
    external_id: Mapped[str] = field(label="Known outside as", default="", readonly=True, section="Sending")
    thread_id: Mapped[UUID | None] = field(label="Thread", kind="id", readonly=True, indexed=True, section="Sending")
    interaction_id: Mapped[UUID | None] = ref("interaction", on_delete="SET NULL", readonly=True, section="Sending")
    approved_by_id: Mapped[UUID | None] = ref(
        "user", label="Approved by", on_delete="SET NULL", readonly=True, section="Sending"
    )
    approved_at: Mapped[dt.datetime | None] = field(label="Approved", readonly=True, section="Sending")

    def prepare(self) -> None:
        """What has no subject is listed by its first words."""
        if not self.subject and self.body:
            words = " ".join(self.body.split())
            self.subject = words if len(words) <= FIRST_WORDS else f"{words[: FIRST_WORDS - 1]}…"

    def validate(self) -> Sequence[Problem]:
        """An empty message is none."""
        if not self.body and not self.html and not self.subject:
            return [Problem("body", _("is missing."))]
        return []


class MessageFile(Entity, name="message_file", title="File of a message", plural="Files of messages", icon="paperclip",
                  roles={"manager": "read export", "member": "read export", "viewer": "read"}, listed=False,
                  display="name"):  # fmt: skip
    """A file that goes out with a message."""

    message_id: Mapped[UUID] = ref("message")
    file: Mapped[UUID] = field(label="File", kind="file", in_list=True)
    name: Mapped[str] = field(label="Name", default="")


def keep_content(unit: Unit, record: Entity) -> list[Problem]:
    """A save step: what the gate has seen stays as it was. To say something else, cancel it and write anew."""
    if not isinstance(record, Message):
        return []
    state: Any = inspect(record)
    changed = [name for name in CONTENT if state.attrs[name].history.has_changes()]
    text = _("cannot be changed any more. Cancel the message and write a new one.")
    return [Problem(name, text) for name in changed]
