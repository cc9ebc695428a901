"""A worker that is killed at whichever moment loses no mail and sends none twice; what is in doubt is listed.

Slow, since a process is killed and another begins at every commit: nothing less would show it. Run as a program, this
file is the worker: it forks one for every order, a line of JSON on its standard input.
"""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from rapport_email import Mail
from rapport_email.entities import Place
from rapport_email.inbox import ask_for
from rapport_email.testing import Mailboxes, MailServer, mail, make_account

from rapport import Attachment, Config, Interaction, Message, Site, send
from rapport.testing import TestApp

LATER = 600
"""Seconds after which a dead worker's lease is over."""


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    made = Workers()
    yield made
    made.close()


def read(app: TestApp, entity: Any, *where: Any) -> Any:
    with app.site.read(app.admin) as reader:
        return reader.all(entity, *where)


def test_fetching(make_app: Any, workers: Workers, mailboxes: Mailboxes, tmp_path: Path, database_url: str) -> None:
    box = uuid4().hex
    with make_app(plugins=["email"]) as app:
        account = make_account(app.site, app.admin, mailboxes=mailboxes, user=box)
        question = mail(subject="Question")
        question.add_attachment(b"x", maintype="image", subtype="png", filename="x.png")
        mailboxes.add(box, question)
        killed = 0
        for kill_at in range(1, 100):
            with app.site.write(app.admin) as unit:
                ask_for(unit, account)
            said = workers.work(tmp_path, database_url, kill_at=kill_at, later=killed * LATER)
            assert said in {"killed", "done"}
            if said == "done":
                break
            killed += 1
            _consistent(app, account)
            if read(app, Interaction):  # what came next was not there to be killed any more: begin anew
                mailboxes.add(box, mail(subject=f"More {kill_at}", sender=f"bob{kill_at}@example.org"))
        assert killed > 3
        workers.work(tmp_path, database_url, later=(killed + 1) * LATER)
        subjects = sorted(each.subject for each in read(app, Interaction))
        assert subjects == sorted(set(subjects))
        with mailboxes.box(box) as there:
            there.select()
            assert len(subjects) == len(there.search(None, "ALL")[1][0].split())
        assert len(read(app, Mail)) == len(subjects)
        assert len(read(app, Attachment)) == 1


def _consistent(app: TestApp, account: UUID) -> None:
    """Each mail that a folder was read past is whole."""
    kept = read(app, Interaction)
    assert len(read(app, Mail)) == len(kept)
    (place,) = read(app, Place, Place.account_id == account) or [None]
    assert (place.taken if place is not None else 0) == len(kept)


def test_sending(make_app: Any, workers: Workers, mail_server: MailServer, tmp_path: Path, database_url: str) -> None:
    with make_app(plugins=["email"]) as app:
        make_account(app.site, app.admin, mail_server=mail_server)
        fates = set()
        moments = [*((number, True) for number in range(1, 9)), *((number, False) for number in (1, 2, 3))]
        for kill_at, before in moments:
            address = f"ada{len(fates)}.{kill_at}.{before}@example.org".lower()
            ada = app.create_customer(name="Ada", email=address)
            with app.site.write(app.admin) as unit:
                written = send(unit, channel="email", customer=ada, purpose="service", subject="News", body="Hello")
            workers.work(tmp_path, database_url, kill_at=kill_at, before=before)
            workers.work(tmp_path, database_url, later=LATER)
            (message,) = read(app, Message, Message.id == written.id)
            fates.add((message.state, len(mail_server.to(address))))
            on_timeline = read(app, Interaction, Interaction.customer_id == ada.id)
            assert len(on_timeline) == (message.state == "sent")
        # Sent once; or in doubt, because it was killed after the server's word or before it.
        assert fates == {("sent", 1), ("doubtful", 1), ("doubtful", 0)}


# The worker ----------------------------------------------------------------------------------------------------------


class Workers:
    """The way to them from a test: `workers.work(home, url, kill_at=3, before=True)`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def work(self, home: Path, url: str, *, kill_at: int = 0, before: bool = True, later: int = 0) -> str:
        """Do all that is due, `later` seconds from now: "done", or "killed" before or after a commit."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"home": str(home), "url": url, "kill_at": kill_at, "before": before, "later": later}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End the process that forks them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


def _serve() -> None:
    for number, line in enumerate(sys.stdin):
        order = json.loads(line)
        if number == 0:  # what is loaded now, and looked through for rubbish, is not in every fork
            _open(order["home"], order["url"]).close()
            gc.freeze()
        child = os.fork()
        if child == 0:
            _work(**order)
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        said = "killed" if os.WIFSIGNALED(status) else "done" if os.WEXITSTATUS(status) == 0 else "failed"
        sys.stdout.write(said + "\n")
        sys.stdout.flush()


def _open(home: str, url: str) -> Site:
    return Site.open(Config(
        home=Path(home), database_url=url, secret_key="test " * 8, testing=True, plugins=("email",),
    ))  # fmt: skip


def _work(*, home: str, url: str, kill_at: int, before: bool, later: int) -> None:
    from sqlalchemy import event

    from rapport.entities import types
    from rapport.worker import work

    if later:
        types.clock = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(seconds=later)
    site = _open(home, url)
    count = 0

    def commit(_connection: Any) -> None:
        nonlocal count
        count += 1
        if count == kill_at and before:
            os.kill(os.getpid(), signal.SIGKILL)

    def checkin(*_ignored: Any) -> None:  # the first thing that is done with a connection once it has committed
        if kill_at and count >= kill_at and not before:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(site.db.writing, "commit", commit)
    event.listen(site.db.writing, "checkin", checkin)
    while work(site):
        pass


if __name__ == "__main__":
    _serve()
