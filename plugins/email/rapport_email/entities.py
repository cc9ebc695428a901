"""What is kept: accounts, templates, what a mail was beyond its interaction, and what a mailbox brought beside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    LANGUAGES,
    N_,
    Choice,
    ContactPoint,
    Customer,
    Entity,
    Interaction,
    Owned,
    Problem,
    field,
    ref,
    utcnow,
)
from rapport import gettext as _
from rapport_email import writing

SECURITY = [
    Choice("tls", "TLS from the start", "green"), Choice("starttls", "STARTTLS", "green"),
    Choice("none", "None: only within one’s own network", "orange"),
]  # fmt: skip
MAX_PAGE = 2_000_000


class Account(
    Owned, Entity, name="email.account", title="E-mail account", icon="mailbox", display="email",
    roles={"manager": "read", "member": "read:team"},
):  # fmt: skip
    """An address that mail is sent from and fetched for. It is its owner's, a team's, or with `shared` everybody's.

    Passwords are set on its own page, kept encrypted, and shown nowhere.
    """

    email: Mapped[str] = field(label="Address", kind="email", unique=True, searchable=True, in_list=True)
    name: Mapped[str] = field(label="Name of the sender", default="", help="Left empty: the name of the business.")
    shared: Mapped[bool] = field(
        label="Shared with everybody", default=False, in_list=True, help="Otherwise its owner and its team use it."
    )
    active: Mapped[bool] = field(label="In use", default=True, in_list=True)
    purposes: Mapped[tuple[str, ...]] = field(
        label="Only for the purposes", kind="tags", help="The short names of purposes; left empty: for all of them."
    )
    signature: Mapped[str] = field(label="Signature", kind="longtext", default="")
    smtp_host: Mapped[str] = field(
        label="Server", default="", section=N_("Sending (SMTP)"), help="Left empty: it does not send."
    )
    smtp_port: Mapped[int] = field(label="Port", default=587, section=N_("Sending (SMTP)"))
    smtp_security: Mapped[str] = field(
        label="Encryption", choices=SECURITY, default="starttls", section=N_("Sending (SMTP)")
    )
    smtp_user: Mapped[str] = field(label="User name", default="", section=N_("Sending (SMTP)"))
    imap_host: Mapped[str] = field(
        label="Server", default="", section=N_("Fetching (IMAP)"), help="Left empty: nothing is fetched."
    )
    imap_port: Mapped[int] = field(label="Port", default=993, section=N_("Fetching (IMAP)"))
    imap_security: Mapped[str] = field(
        label="Encryption", choices=SECURITY, default="tls", section=N_("Fetching (IMAP)")
    )
    imap_user: Mapped[str] = field(label="User name", default="", section=N_("Fetching (IMAP)"))
    folders: Mapped[tuple[str, ...]] = field(
        label="Folders with what comes in", kind="tags", default=("INBOX",), section=N_("Fetching (IMAP)")
    )
    sent_folders: Mapped[tuple[str, ...]] = field(
        label="Folders with what went out", kind="tags", section=N_("Fetching (IMAP)"),
        help="Such as Sent: what was written in another mail program is on the timeline too.",
    )  # fmt: skip
    first_days: Mapped[int] = field(
        label="Days to look back at first", default=30, section=N_("Fetching (IMAP)"),
        help="Older mails stay where they are.",
    )  # fmt: skip
    mark_read: Mapped[bool] = field(label="Mark what was fetched as read", default=False, section=N_("Fetching (IMAP)"))
    smtp_secret: Mapped[str] = field(secret=True, readonly=True, default="")
    imap_secret: Mapped[str] = field(secret=True, readonly=True, default="")

    @classmethod
    def is_shared(cls) -> ColumnElement[bool]:
        """Shared accounts are for everybody who may read any."""
        return cls.shared.is_(True)

    def validate(self) -> Sequence[Problem]:
        """Servers are names with a port; an account does something."""
        problems = [
            Problem(name, _("must be between 1 and 65535."))
            for name in ("smtp_port", "imap_port") if not 1 <= (getattr(self, name) or 0) <= 65535
        ]  # fmt: skip
        problems += [
            Problem(name, _("must be the name of a server, such as mail.example.com."))
            for name in ("smtp_host", "imap_host") if any(sign in (getattr(self, name) or "") for sign in " /@\\")
        ]  # fmt: skip
        if not 0 <= (self.first_days or 0) <= 3650:
            problems.append(Problem("first_days", _("must be between 0 and 3650.")))
        return problems


class Place(
    Entity, name="email.place", title="Mailbox folder", icon="folder", display="folder", listed=False,
    roles={"manager": "read", "member": "read"},
):  # fmt: skip
    """How far a folder of an account was read, and how that goes. The folder with no name stands for sending."""

    past_log = True  # how far it was read

    __table_args__ = (UniqueConstraint("account_id", "folder"),)

    account_id: Mapped[UUID] = ref("email.account")
    folder: Mapped[str] = field(label="Folder", default="", in_list=True)
    uidvalidity: Mapped[int] = field(label="Generation of its numbers", default=0, readonly=True)
    uid: Mapped[int] = field(label="Read up to number", default=0, readonly=True)
    since: Mapped[dt.date] = field(label="Read from")
    seen_at: Mapped[dt.datetime | None] = field(label="Last looked at", readonly=True, in_list=True)
    taken: Mapped[int] = field(label="Mails kept", default=0, readonly=True, in_list=True)
    waiting: Mapped[int] = field(label="Still to be read", default=0, readonly=True, in_list=True)
    error: Mapped[str] = field(label="Problem", default="", readonly=True, in_list=True)
    failing_since: Mapped[dt.datetime | None] = field(label="Failing since", readonly=True, in_list=True)


KINDS = [
    Choice("personal", "Written by somebody"), Choice("automatic", "Automatic answer"), Choice("list", "Newsletter"),
]  # fmt: skip


class Mail(
    Entity, name="email.mail", title="Mail", icon="mail", display="message_id", listed=False,
    roles={"manager": "read update", "member": "read update", "viewer": "read"},
):  # fmt: skip
    """What a mail was beyond its interaction: its HTML, its kind, whether somebody still has to answer."""

    interaction_id: Mapped[UUID] = ref("interaction")
    account_id: Mapped[UUID | None] = ref("email.account", on_delete="SET NULL", readonly=True)
    message_id: Mapped[str] = field(label="Message-ID", default="", readonly=True, in_list=True)
    digest: Mapped[str] = field(secret=True, readonly=True, default="")
    kind: Mapped[str] = field(label="Kind", choices=KINDS, default="personal", readonly=True, in_list=True)
    reply_to: Mapped[str] = field(label="Answers go to", default="", readonly=True)
    notes: Mapped[str] = field(label="What had to be repaired", default="", readonly=True)
    open: Mapped[bool] = field(label="Waits for an answer", default=False, indexed=True)
    page: Mapped[str] = field(secret=True, readonly=True, kind="longtext", default="", max_length=MAX_PAGE)
    """Its HTML as it came. It is cleaned each time it is shown."""


class Picture(
    Entity, name="email.picture", title="Picture in a mail", icon="photo", display="content_id", listed=False,
    roles={"manager": "read", "member": "read", "viewer": "read"},
):  # fmt: skip
    """A picture that stands in the midst of a mail's HTML."""

    mail_id: Mapped[UUID] = ref("email.mail")
    content_id: Mapped[str] = field(label="Content-ID", default="", readonly=True)
    media_type: Mapped[str] = field(label="Type", default="", readonly=True)
    file: Mapped[UUID | None] = field(label="File", kind="file")


class Notice(
    Entity, name="email.notice", title="Mailbox notice", icon="mail-exclamation", display="reason", listed=False,
    roles={"manager": "read delete", "member": "read"},
):  # fmt: skip
    """What a mailbox brought that is no conversation: reports about sent mails, and mails that could not be read."""

    account_id: Mapped[UUID] = ref("email.account")
    at: Mapped[dt.datetime] = field(label="When", default=utcnow, in_list=True)
    kind: Mapped[str] = field(
        label="Kind",
        choices=[
            Choice("bounce", "Came back", "red"), Choice("soft", "Not for now", "orange"),
            Choice("complaint", "Marked as spam", "red"), Choice("automatic", "Automatic answer"),
            Choice("delivered", "Arrived", "green"), Choice("unreadable", "Could not be read", "orange"),
        ],
        default="unreadable", readonly=True, in_list=True,
    )  # fmt: skip
    folder: Mapped[str] = field(label="Folder", default="", readonly=True)
    address: Mapped[str] = field(label="Address", default="", readonly=True, in_list=True)
    reason: Mapped[str] = field(label="Reason", default="", readonly=True, in_list=True)
    message_id: Mapped[UUID | None] = ref("message", label="Message", on_delete="SET NULL", readonly=True)
    external_id: Mapped[str] = field(label="Message-ID", default="", readonly=True, indexed=True)
    file: Mapped[UUID | None] = field(label="As it came", kind="file", readonly=True)


class Template(
    Owned, Entity, name="email.template", title="E-mail template", icon="template", display="title",
    roles={"manager": "read create update delete export import", "member": "read create update:own delete:own",
           "viewer": "read"},
    natural_key=("name", "language"),
):  # fmt: skip
    """A mail to write again and again, in one language. Its words in braces are filled in for each customer."""

    __table_args__ = (UniqueConstraint("name", "language"),)

    name: Mapped[str] = field(label="Short name", in_list=True, help="The same in every language: welcome.")
    language: Mapped[str] = field(
        label="Language", choices=[Choice(code, each.name) for code, each in LANGUAGES.items()], default="en",
        in_list=True,
    )  # fmt: skip
    title: Mapped[str] = field(label="Title", searchable=True, in_list=True)
    purpose: Mapped[str] = field(label="Purpose", default="service", help="The short name of a purpose.")
    subject: Mapped[str] = field(label="Subject")
    body: Mapped[str] = field(label="Text", kind="longtext", help="Names in braces: {{ customer.name }}.")
    html: Mapped[str] = field(label="HTML", kind="longtext", default="", help="Left empty, it is made from the text.")

    def validate(self) -> Sequence[Problem]:
        """A template that cannot be filled in is refused now, not when it is to be sent."""
        return [
            Problem(name, fault)
            for name in ("subject", "body", "html") if (fault := writing.fault_in(getattr(self, name) or ""))
        ]  # fmt: skip


def forget(customer: Customer, session: Session) -> None:
    """What mailboxes reported of somebody who is being erased; their mails are part of them and go by themselves."""
    scoped = {"rapport_scoped": True}
    points = select(ContactPoint.value).where(ContactPoint.customer_id == customer.id, ContactPoint.kind == "email")
    addresses = {customer.email, *session.scalars(points, execution_options=scoped)} - {"", None}
    for notice in session.scalars(select(Notice).where(Notice.address.in_(addresses)), execution_options=scoped):
        session.delete(notice)


def settled(interaction: Interaction, session: Session) -> None:
    """Somebody wrote in a thread: nothing of it waits for an answer any more."""
    if interaction.channel != "email" or interaction.direction != "out" or interaction.thread_id is None:
        return
    waiting = (
        select(Mail)
        .join(Interaction, Interaction.id == Mail.interaction_id)
        .where(Interaction.thread_id == interaction.thread_id, Interaction.at <= interaction.at, Mail.open.is_(True))
    )
    for mail in session.scalars(waiting):
        mail.open = False
