"""The mail server refuses, hangs, says no, or hangs up: every mail arrives in the end, with one Message-ID."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select

from rapport import mail
from rapport.jobs import job_table, retry_job, run_next
from rapport.testing.app import TestApp
from tests.torture import tally

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
BAD = ("refuse", "hang", "later", "never", "drop")


class Smtp:
    """A mail server that behaves as it is told: well, or badly in one of five ways."""

    def __init__(self) -> None:
        self.mood, self.mails, self._ended = "well", [], threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if self._ended.is_set():
                connection.close()
                return
            with connection:
                if self.mood == "hang":
                    self._ended.wait(1)
                elif self.mood != "refuse":
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        def say(text: str) -> None:
            connection.sendall(text.encode() + b"\r\n")

        say("220 here")
        with connection.makefile("rb") as heard:
            for line in heard:
                word = line[:4].upper().strip()
                if word == b"RCPT" and self.mood in {"later", "never"}:
                    say("451 later" if self.mood == "later" else "550 never")
                elif word == b"DATA":
                    say("354 go on")
                    text = b"".join(iter(heard.readline, b".\r\n"))
                    self.mails.append(re.search(rb"Message-ID: (\S+)", text, re.IGNORECASE)[1].decode())
                    if self.mood == "drop":
                        return
                    say("250 kept")
                elif word == b"QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 well")

    def close(self) -> None:
        self._ended.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._socket.close()


def jobs(app: TestApp) -> list[Any]:
    with app.site.db.read() as connection:
        mails = select(job_table).where(job_table.c.name == "core.mail").order_by(job_table.c.created_at)
        return list(connection.execute(mails))


def try_all(app: TestApp, clock: Any) -> None:
    """Let whatever waits come due, once."""
    clock.forward(days=1)
    while run_next(app.site):
        pass


def go_through(app: TestApp, clock: Any, smtp: Smtp) -> tuple[list[str], list[float]]:
    """A mail asked for in each of the bad moods; the ids, and how long each request took meanwhile."""
    took: list[float] = []
    for mood in BAD:
        smtp.mood = mood
        begun = time.monotonic()
        mail.send_mail(app.site, to=f"{mood}@example.com", subject=mood, text="Dear")
        took.append(time.monotonic() - begun)
        while run_next(app.site):
            pass
    smtp.mood = "well"
    for _ in range(3):
        try_all(app, clock)
    return [row.arguments["message_id"] for row in jobs(app)], took


@pytest.fixture
def smtp(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 0.3)
    made = Smtp()
    yield made
    made.close()


def test_no_mail_is_lost_whatever_the_mail_server_does(make_app: Any, clock: Any, smtp: Smtp):
    with make_app(mail_url=f"smtp://127.0.0.1:{smtp.port}") as app:
        asked, took = go_through(app, clock, smtp)
        arrived = Counter(smtp.mails)
        assert set(arrived) == set(asked), "one is lost, or came under another id"
        assert arrived.total() == len(BAD) + 1, "twice only where nobody could know"
        assert {row.state for row in jobs(app)} == {"done"}
        assert sorted(took)[len(took) // 2] < 0.3, "who asks for a mail waits for no server"

        smtp.mood = "later"
        mail.send_mail(app.site, to="long@example.com", subject="Long", text="Dear")
        for _ in range(10):
            try_all(app, clock)
        *_others, dead = jobs(app)
        assert (dead.state, dead.attempts) == ("failed", 8)
        assert "451" in dead.message
        smtp.mood = "well"
        with app.site.db.write() as connection:
            retry_job(connection, dead.id)
        try_all(app, clock)
        assert smtp.mails[-1] == dead.arguments["message_id"]
    tally("D18", "mails to a server that is down", tried=len(BAD) + 1, lost=0, resent=1)


def test_a_mail_that_is_sent_only_once_is_missed(make_app: Any, clock: Any, smtp: Smtp):
    """The control: a failure is taken for an end."""
    deliver = mail.deliver_mail

    def careless(context: Any, **arguments: Any) -> None:
        try:
            deliver(context, **arguments)
        except OSError:
            return

    with make_app(mail_url=f"smtp://127.0.0.1:{smtp.port}") as app:
        object.__setattr__(app.site.jobs["core.mail"], "run", careless)
        try:
            asked, _took = go_through(app, clock, smtp)
        finally:
            object.__setattr__(mail.MAIL_JOB, "run", deliver)
        lost = set(asked) - set(smtp.mails)
    assert lost
    tally("D18", "mails to a server that is down", control=len(lost))
