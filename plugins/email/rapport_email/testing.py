"""Real mail servers for tests: one that takes mail by SMTP, and a Dovecot to fetch it from.

    with running_mail_server() as server, running_mailboxes() as boxes:
        account = make_account(app.site, app.admin, mail_server=server, mailboxes=boxes)
        boxes.add("info", mail(subject="A question"))

They need the package `aiosmtpd` (rapport-email[testing]) and Dovecot, the Debian package dovecot-imapd. To start
Dovecot takes a moment: one for a whole run is enough, with other users in each test.
"""

from __future__ import annotations

import contextlib
import email
import getpass
import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from email.message import EmailMessage, Message
from email.policy import SMTP as WIRE
from pathlib import Path
from typing import Any
from uuid import UUID

from rapport import Actor, Site
from rapport_email.entities import Account
from rapport_email.secrets import seal

PASSWORD = "mail-of-the-tests"  # noqa: S105 - the tests' own
START_SECONDS = 20
FATES = {"gone": "550 5.1.1 User unknown", "busy": "451 4.3.0 Try again later", "full": "552 5.2.2 Mailbox full"}


class MailServer:
    """Takes mail by SMTP and keeps it. Some addresses have a fate:

    `gone@` is refused for good, `busy@` for now, `full@` for good but not for the address's sake, `drop@` ends the
    connection after the mail was handed over and kept, `lost@` the same without keeping it.
    """

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.raw: list[bytes] = []
        self.port = free_port()
        self._controller: Any = None

    def start(self) -> None:
        """Begin to listen."""
        from aiosmtpd.controller import Controller

        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        """Be gone, as a server that is switched off."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        """Aiosmtpd's hook: what to say to a recipient."""
        fates = {
            "gone": "550 5.1.1 User unknown",
            "busy": "451 4.3.0 Try again later",
            "full": "552 5.2.2 Mailbox full",
        }
        fate = fates.get(address.partition("@")[0])
        if fate:
            return fate
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:
        """Aiosmtpd's hook: a mail is here."""
        fate = envelope.rcpt_tos[0].partition("@")[0]
        if fate != "lost":
            self.raw.append(envelope.content)
            self.mails.append(email.message_from_bytes(envelope.content))
        if fate in {"drop", "lost"}:
            server.transport.abort()
        return "250 OK"

    def to(self, address: str) -> list[Message]:
        """The mails that went to somebody."""
        return [each for each in self.mails if address in str(each["To"])]


class Mailboxes:
    """A Dovecot with mailboxes of its own: as many users as a test names, each with the same password."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to listen; returns when one can sign in."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o755)
        (self.home / "mail").mkdir(exist_ok=True)
        if os.getuid() == 0:
            shutil.chown(self.home / "mail", *_mail_user())
        config = self.home / "dovecot.conf"
        config.write_text(self._config(), "utf-8")
        with (self.home / "out.log").open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603
                [str(dovecot()), "-F", "-c", str(config)], stdout=out, stderr=out
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with self.box("probe") as box:
                    box.select()
                    return
            except (OSError, imaplib.IMAP4.error) as error:
                if time.monotonic() > deadline:
                    said = "".join(each.read_text("utf-8") for each in sorted(self.home.glob("*.log")))
                    raise RuntimeError(f"Dovecot does not start: {error}\n{said}") from error
                time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_SECONDS)
            self._process = None

    def add(self, user: str, mail: bytes | EmailMessage, folder: str = "INBOX", *, seen: bool = False) -> None:
        """Put a mail into a folder, as if it had come in."""
        data = mail if isinstance(mail, bytes) else mail.as_bytes(policy=WIRE)
        with self.box(user) as box:
            if folder != "INBOX":
                box.create(folder)
            said, answer = box.append(folder, r"(\Seen)" if seen else "", "", data)
            assert said == "OK", answer

    def move(self, user: str, source: str, target: str) -> None:
        """Move every mail of a folder to another."""
        with self.box(user) as box:
            box.create(target)
            box.select(source)
            said, answer = box.uid("move", "1:*", target)
            assert said == "OK", answer

    def renumber(self, user: str, folder: str = "INBOX") -> None:
        """Give a folder another UIDVALIDITY, with the same mails: as after a restored backup or a change of server."""
        with self.box(user) as box:
            box.select(folder)
            _said, numbers = box.search(None, "ALL")
            mails = [box.fetch(each.decode(), "(BODY.PEEK[])")[1][0][1] for each in numbers[0].split()]  # type: ignore[index]
        maildir = self.home / "mail" / user
        place = maildir if folder == "INBOX" else maildir / f".{folder}"
        for each in place.glob("dovecot*"):
            each.unlink()
        (place / "dovecot-uidlist").write_text(f"3 V{int(time.time()) + 1000} N1 G{os.urandom(16).hex()}\n", "utf-8")
        if os.getuid() == 0:
            shutil.chown(place / "dovecot-uidlist", *_mail_user())
        with self.box(user) as box:
            box.select(folder)
            _said, numbers = box.search(None, "ALL")
            assert len(numbers[0].split()) == len(mails)

    def flags(self, user: str, folder: str = "INBOX") -> list[str]:
        """The flags of each mail in a folder."""
        with self.box(user) as box:
            box.select(folder, readonly=True)
            _said, numbers = box.search(None, "ALL")
            return [str(box.fetch(each.decode(), "(FLAGS)")[1][0]) for each in numbers[0].split()]

    @contextlib.contextmanager
    def box(self, user: str) -> Iterator[imaplib.IMAP4]:
        """A signed-in connection of the standard library's."""
        box = self._signed_in(user)
        try:
            yield box
        finally:
            box.logout()

    def _signed_in(self, user: str) -> imaplib.IMAP4:
        box = imaplib.IMAP4("127.0.0.1", self.port, timeout=START_SECONDS)
        box.login(user, PASSWORD)
        return box

    def _config(self) -> str:
        user, group = _mail_user()
        me = getpass.getuser()
        login, internal = ("dovenull", "dovecot") if os.getuid() == 0 else (me, me)
        return "\n".join([
            "protocols = imap", "listen = 127.0.0.1", "ssl = no", "disable_plaintext_auth = no",
            f"base_dir = {self.home}/run", f"state_dir = {self.home}/state", f"log_path = {self.home}/dovecot.log",
            f"default_login_user = {login}", f"default_internal_user = {internal}",
            f"default_internal_group = {group if os.getuid() else 'dovecot'}",
            f"mail_location = maildir:{self.home}/mail/%u", f"mail_uid = {user}", f"mail_gid = {group}",
            "first_valid_uid = 0", "first_valid_gid = 0", "auth_mechanisms = plain login",
            f"passdb {{\n driver = static\n args = password={PASSWORD}\n}}",
            f"userdb {{\n driver = static\n args = uid={user} gid={group} home={self.home}/mail/%u\n}}",
            f"service imap-login {{\n chroot =\n inet_listener imap {{\n port = {self.port}\n }}\n"
            " inet_listener imaps {\n port = 0\n }\n}",
            "auth_failure_delay = 0 secs",  # nobody guesses here, and no wrong password of a test waits for two seconds
            "service anvil {\n chroot =\n unix_listener anvil-auth-penalty {\n mode = 0\n }\n}",
            "service auth {\n client_limit = 500\n}",
        ]) + "\n"  # fmt: skip


def _mail_user() -> tuple[str, str]:
    """Whom the mailboxes belong to: whoever runs the tests, but never root, which Dovecot refuses."""
    import grp

    me = pwd.getpwuid(os.getuid()) if os.getuid() else pwd.getpwnam("nobody")
    return me.pw_name, grp.getgrgid(me.pw_gid).gr_name


def dovecot() -> str | None:
    """Where Dovecot is; None where it is not installed. Servers are often beside the path of people."""
    return shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_account(
    site: Site, actor: Actor, *, address: str = "info@shop.example", mail_server: MailServer | None = None,
    mailboxes: Mailboxes | None = None, user: str = "", **values: Any,
) -> UUID:  # fmt: skip
    """An account on these servers; `user` is the mailbox, else the address's first part."""
    given: dict[str, Any] = {"email": address, "shared": True, **values}
    if mail_server is not None:
        given |= {"smtp_host": "127.0.0.1", "smtp_port": mail_server.port, "smtp_security": "none"}
    if mailboxes is not None:
        user = user or address.partition("@")[0]
        given |= {"imap_host": "127.0.0.1", "imap_port": mailboxes.port, "imap_security": "none", "imap_user": user}
    with site.write(actor) as unit:
        account = unit.create(Account, given)
        account.imap_secret = seal(site.config, PASSWORD)
        unit.flush()
        return account.id


def mail(
    *, sender: str = "Ada Lovelace <ada@example.org>", to: str = "info@shop.example", subject: str = "A question",
    text: str = "When do you open?", message_id: str = "", **headers: str,
) -> EmailMessage:  # fmt: skip
    """A mail as customers write them. Further headers by name: `in_reply_to="<…>"`."""
    from email.utils import format_datetime, make_msgid

    from rapport import utcnow

    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, to, subject
    made["Date"], made["Message-ID"] = format_datetime(utcnow()), message_id or make_msgid(domain="example.org")
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made


@contextlib.contextmanager
def running_mail_server() -> Iterator[MailServer]:
    """A server that takes mail, within a `with`."""
    server = MailServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def running_mailboxes() -> Iterator[Mailboxes]:
    """A Dovecot, within a `with`. FileNotFoundError where it is not installed: apt-get install dovecot-imapd."""
    if dovecot() is None:
        raise FileNotFoundError("no Dovecot: apt-get install dovecot-imapd")
    # Not in pytest's own folder, which is closed to the other users that its processes run as.
    with tempfile.TemporaryDirectory(prefix="rapport-dovecot-", ignore_cleanup_errors=True) as home:
        server = Mailboxes(Path(home))
        try:
            server.start()
            yield server
        finally:
            server.stop()
