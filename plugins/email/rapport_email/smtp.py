"""Handing mails to a server by SMTP, and telling apart what it means when that does not work.

The one moment that counts is the end of DATA: before it nothing has been sent, whatever happens; after the server's
answer it is known. A connection that breaks in between leaves it in doubt, and that is said (`InDoubt`).
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage

from rapport import PermanentFailure, TemporaryFailure
from rapport import gettext as _
from rapport_email.kinds import is_hard, status_in

TIMEOUT_SECONDS = 30


class InDoubt(RuntimeError):
    """The connection broke after the mail was handed over and before the server answered."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where and as whom to send."""

    host: str
    port: int
    security: str
    user: str = ""
    password: str = ""


def deliver(server: Server, mail: EmailMessage, *, sender: str, to: str) -> None:
    """Send a mail. TemporaryFailure, PermanentFailure and InDoubt say what became of it otherwise."""
    data = mail.as_bytes()
    with connected(server) as smtp:
        _step(smtp.mail(sender, ["body=8bitmime"] if smtp.has_extn("8bitmime") else []), about_recipient=False)
        _step(smtp.rcpt(to), about_recipient=True)
        try:
            _step(smtp.docmd("data"), about_recipient=False, wanted=354)
            smtp.send(_stuffed(data))
        except (smtplib.SMTPException, OSError) as error:
            raise TemporaryFailure(_why(error)) from error  # without its last line the server drops it
        try:
            smtp.send(b".\r\n")
            answer = smtp.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise InDoubt(_why(error)) from error
        _step(answer, about_recipient=True)


def check(server: Server) -> str:
    """Try to sign in, and send nothing. Returns what went wrong; empty when all is well."""
    try:
        with connected(server):
            return ""
    except (TemporaryFailure, PermanentFailure) as failure:
        return failure.reason


@contextmanager
def connected(server: Server) -> Iterator[smtplib.SMTP]:
    """A connection that is signed in. What fails before a mail is handed over can be tried again."""
    try:
        smtp = _connect(server)
    except (smtplib.SMTPException, OSError, UnicodeError, ValueError) as error:
        raise TemporaryFailure(_why(error)) from error
    try:
        yield smtp
    finally:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            smtp.quit()
        smtp.close()


def _connect(server: Server) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if server.security == "tls":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_SECONDS, context=context)
    else:
        smtp = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
    try:
        if server.security == "starttls":
            smtp.starttls(context=context)
        smtp.ehlo_or_helo_if_needed()
        if server.user:
            smtp.login(server.user, server.password)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _stuffed(data: bytes) -> bytes:
    """A mail as DATA takes it: a line that begins with a dot gets a second one, and the last line has an end."""
    data = re.sub(rb"\r?\n", b"\r\n", data)
    data = re.sub(rb"(?m)^\.", b"..", data)
    return data if data.endswith(b"\r\n") else data + b"\r\n"


def _step(answer: tuple[int, bytes], *, about_recipient: bool, wanted: int = 0) -> None:
    """The server's answer to one step: 4xx is for now, 5xx for good."""
    code, said = answer
    if code == wanted or (not wanted and 200 <= code < 300):
        return
    text = said.decode("utf-8", "replace")
    reason = f"{code} {' '.join(text.split())}"[:400]
    if not 500 <= code < 600:
        raise TemporaryFailure(reason)
    raise PermanentFailure(reason, suppress=about_recipient and is_hard(status_in(text), text))


def _why(error: BaseException) -> str:
    """An error in words for whoever set the account up."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return _("The server does not accept the user name and password: %(why)s", why=_answer(error))
    if isinstance(error, smtplib.SMTPResponseException):
        return _("The server answered: %(why)s", why=_answer(error))
    if isinstance(error, ssl.SSLCertVerificationError):
        return _("The server’s certificate cannot be trusted: %(why)s.", why=error.verify_message)
    if isinstance(error, TimeoutError):
        return _("The server does not answer in time.")
    if isinstance(error, ConnectionRefusedError):
        return _("Nothing answers at that server and port.")
    return f"{type(error).__name__}: {error}"[:300]


def _answer(error: smtplib.SMTPResponseException) -> str:
    said: bytes | str = error.smtp_error
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return f"{error.smtp_code} {' '.join(text.split())}"[:300]
