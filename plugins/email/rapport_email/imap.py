"""Reading a mailbox by IMAP: the next mails of a folder after those that were read, whatever happened meanwhile."""

from __future__ import annotations

import datetime as dt
import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from imap_tools import BaseMailBox, MailBox, MailBoxStartTls, MailBoxUnencrypted, MailMessageFlags
from imap_tools.errors import ImapToolsError

from rapport import RapportError
from rapport import gettext as _

TIMEOUT_SECONDS = 60
AT_ONCE = 200
"""Mails of one folder in one run; the rest waits for the next, so that no mailbox keeps the others waiting."""


class Unreachable(RapportError):
    """The server cannot be reached, or does not let us in; the text says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where and as whom to fetch."""

    host: str
    port: int
    security: str
    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A mail on the server: its number in the folder, and how many bytes it has."""

    uid: int
    size: int


class Mailbox:
    """A connection that is signed in."""

    def __init__(self, box: BaseMailBox) -> None:
        self._box = box

    def folders(self) -> list[str]:
        """The names of all folders."""
        return [each.name for each in self._box.folder.list()]

    def open(self, folder: str, *, writing: bool = False) -> int:
        """Turn to a folder; returns its UIDVALIDITY. Numbers from before another one mean nothing."""
        with _said(_("the folder “%(name)s”", name=folder)):
            self._box.folder.set(folder, readonly=not writing)
            return int(self._box.folder.status(folder, ["UIDVALIDITY"])["UIDVALIDITY"])

    def after(self, uid: int, since: dt.date) -> list[Found]:
        """The mails with a higher number that came since a day, the oldest first, with their sizes."""
        with _said(_("the list of mails")):
            day = since.strftime("%d-") + _MONTHS[since.month - 1] + since.strftime("-%Y")
            numbers = self._box.uids(f"UID {uid + 1}:* SINCE {day}")
            # A server answers `n:*` with the last mail even where its number is lower.
            wanted = sorted(int(each) for each in numbers if int(each) > uid)
            sizes = self._sizes(wanted[:AT_ONCE])
            return [Found(each, sizes.get(each, 0)) for each in wanted]

    def _sizes(self, uids: Sequence[int]) -> dict[int, int]:
        if not uids:
            return {}
        _state, answer = self._box.client.uid("fetch", ",".join(map(str, uids)), "(UID RFC822.SIZE)")
        sizes = {}
        for line in answer:
            if isinstance(line, bytes):
                uid, size = re.search(rb"\bUID (\d+)", line), re.search(rb"RFC822\.SIZE (\d+)", line)
                if uid and size:
                    sizes[int(uid[1])] = int(size[1])
        return sizes

    def read(self, uid: int, most: int) -> bytes:
        """The bytes of a mail, at most so many; it is not marked as read. Empty when it is gone."""
        with _said(_("a mail")):
            _state, answer = self._box.client.uid("fetch", str(uid), f"(BODY.PEEK[]<0.{most}>)")
        return next((each[1] for each in answer if isinstance(each, tuple) and isinstance(each[1], bytes)), b"")

    def mark_read(self, uids: Sequence[int]) -> None:
        """Mark mails as read, for accounts that want that."""
        with _said(_("the marks")):
            self._box.flag([str(each) for each in uids], MailMessageFlags.SEEN, True)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@contextmanager
def connected(server: Server) -> Iterator[Mailbox]:
    """A signed-in connection for a `with`. Unreachable when that does not work."""
    with _said(_("to let us in")):
        box = _connect(server)
    try:
        yield Mailbox(box)
    finally:
        try:
            box.logout()
        except (ImapToolsError, imaplib.IMAP4.error, OSError):
            box.client.shutdown()


def check(server: Server, folders: Sequence[str]) -> str:
    """Try to sign in and to find the folders. Returns what is wrong; empty when all is well."""
    names: list[str] = []
    try:
        with connected(server) as box:
            names = box.folders()
            for each in folders:
                box.open(each)
    except Unreachable as error:
        if names:
            return f"{error} " + _("Folders that are there: %(names)s.", names=", ".join(names[:30]))
        return str(error)
    return ""


def _connect(server: Server) -> BaseMailBox:
    context = ssl.create_default_context()
    box: BaseMailBox
    if server.security == "tls":
        box = MailBox(server.host, server.port, timeout=TIMEOUT_SECONDS, ssl_context=context)
    elif server.security == "starttls":
        box = MailBoxStartTls(server.host, server.port, timeout=TIMEOUT_SECONDS, ssl_context=context)
    else:
        box = MailBoxUnencrypted(server.host, server.port, timeout=TIMEOUT_SECONDS)
    try:
        box.login(server.user, server.password, initial_folder=None)
    except BaseException:
        box.client.shutdown()
        raise
    return box


@contextmanager
def _said(what: str) -> Iterator[None]:
    """What the library and the network raise, in words for whoever set the account up."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(
            _("The server’s certificate cannot be trusted: %(why)s.", why=error.verify_message)
        ) from error
    except TimeoutError as error:
        raise Unreachable(_("The server does not answer in time.")) from error
    except ConnectionRefusedError as error:
        raise Unreachable(_("Nothing answers at that server and port.")) from error
    except (ImapToolsError, imaplib.IMAP4.error, OSError, UnicodeError, ValueError) as error:
        text = " ".join(re.sub(r"b['\"]|['\"]", " ", str(error)).split())[:200]
        raise Unreachable(
            _("The server refused %(what)s: %(why)s.", what=what, why=text or type(error).__name__)
        ) from error
