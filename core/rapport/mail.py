"""Mail to users of Rapport itself, such as reset links. Mail to customers goes through the interaction gate."""

from __future__ import annotations

import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection

from rapport.access import system
from rapport.contributions import Job
from rapport.errors import ConfigError
from rapport.jobs import JobContext, enqueue_job

if TYPE_CHECKING:
    from rapport.site import Site

log = logging.getLogger("rapport.mail")
TIMEOUT_SECONDS = 20


def send_mail(site: Site, *, to: str, subject: str, text: str) -> None:
    """Have a mail sent by a job: it survives a mail server that is down, and costs the request no time."""
    with site.db.write() as connection:
        enqueue_mail(site, connection, to=to, subject=subject, text=text)
    site.wake()


def enqueue_mail(site: Site, connection: Connection, *, to: str, subject: str, text: str) -> None:
    """The same in the caller's transaction: the mail goes out only if that commits."""
    if not site.config.mail_url:
        log.warning("no mail was sent to %s: mail_url is not set in rapport.toml", to)
        return
    arguments = {"to": to, "subject": subject, "text": text, "message_id": make_msgid(domain="rapport.invalid")}
    enqueue_job(connection, "core.mail", arguments, actor=system("mail"))


def deliver_mail(context: JobContext, *, to: str, subject: str, text: str, message_id: str) -> None:
    """Hand one mail to the mail server; a failure is tried again by the job's rules, with the same Message-ID."""
    config = context.site.config
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = config.mail_from, to, subject
    message["Date"], message["Message-ID"] = formatdate(usegmt=True), message_id
    message.set_content(text)
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
