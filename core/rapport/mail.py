"""Mail to users of Rapport itself, such as reset links. Mail to customers goes through the interaction gate."""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import replace
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from sqlalchemy import Connection

from rapport.access import system
from rapport.contributions import Job
from rapport.errors import ConfigError, Invalid, NotFound, Problem
from rapport.files import StoredFile, find_files, let_go, path_of
from rapport.i18n.catalogs import _
from rapport.jobs import JobContext, enqueue_job

if TYPE_CHECKING:
    from rapport.site import Site

log = logging.getLogger("rapport.mail")
TIMEOUT_SECONDS = 20
MOST_ATTACHED_MB = 10
"""What is larger, many a mail server refuses; on the way it grows by a third."""


def send_mail(site: Site, *, to: str, subject: str, text: str) -> None:
    """Have a mail sent by a job: it survives a mail server that is down, and costs the request no time."""
    with site.db.write() as connection:
        enqueue_mail(site, connection, to=to, subject=subject, text=text)
    site.wake()


def enqueue_mail(
    site: Site,
    connection: Connection,
    *,
    to: str,
    subject: str,
    text: str,
    files: Sequence[StoredFile] = (),
    user_id: UUID | None = None,
) -> None:
    """The same in the caller's transaction: the mail goes out only if that commits.

    With a `user_id` it is for that user: while it waits they may become inactive, and then it is not sent.
    `files` go along. Each was stored for this mail alone, and is forgotten once the mail is out.
    """
    if sum(file.size for file in files) > MOST_ATTACHED_MB * 1024 * 1024:
        raise Invalid(Problem(None, _("The files are too large for a mail: at most %(limit)s MB.",
                                      limit=MOST_ATTACHED_MB)))  # fmt: skip
    if not site.config.mail_url:
        log.warning("no mail was sent to %s: mail_url is not set in rapport.toml", to)
        return
    arguments: dict[str, Any] = {
        "to": to, "subject": subject, "text": text, "message_id": make_msgid(domain="rapport.invalid")
    }  # fmt: skip
    if files:
        arguments["files"] = [str(file.id) for file in files]
    enqueue_job(connection, "core.mail", arguments, actor=replace(system("mail"), id=user_id))


def deliver_mail(
    context: JobContext, *, to: str, subject: str, text: str, message_id: str, files: Sequence[str] = ()
) -> None:
    """Hand one mail to the mail server; a failure is tried again by the job's rules, with the same Message-ID."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = context.site.config.mail_from, to, subject
    message["Date"], message["Message-ID"] = formatdate(usegmt=True), message_id
    message.set_content(text)
    attached = [UUID(each) for each in files]
    _attach(context.site, message, attached)
    _hand_over(context.site, message)
    if attached:
        let_go(context, attached)


def _attach(site: Site, message: EmailMessage, ids: Sequence[UUID]) -> None:
    with site.db.read() as connection:
        known = find_files(connection, ids)
    for file_id in ids:
        path = path_of(site.config, file_id)
        if file_id not in known or not path.exists():
            raise NotFound(f"The file {file_id} of the mail '{message['Subject']}' to {message['To']} is gone.")
        main, _slash, sub = known[file_id].media_type.partition("/")
        message.add_attachment(path.read_bytes(), main, sub, filename=known[file_id].name)


def _hand_over(site: Site, message: EmailMessage) -> None:
    config = site.config
    parts = urlsplit(config.mail_url)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ConfigError("mail_url in rapport.toml must look like smtp://user:password@host:587 or smtps://host.")
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            parts.hostname, parts.port or 465, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(parts.hostname, parts.port or 25, timeout=TIMEOUT_SECONDS)
    with server:
        if parts.username and parts.scheme == "smtp":
            server.starttls(context=ssl.create_default_context())
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message)


MAIL_JOB = Job("core.mail", "Send a mail to a user", deliver_mail, attempts=8)
