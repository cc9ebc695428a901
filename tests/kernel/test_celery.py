"""Jobs by Celery, on real brokers with real workers: the table remembers, the broker only wakes."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from rapport import Config, Customer, Site, enqueue_job, load_config, system, utcnow
from rapport.broker import Relay
from rapport.jobs import job_table, release_jobs
from rapport.lifecycle import enable, make_site
from rapport.testing.brokers import drop_queue, empty_queue
from rapport.workflows import Workflow
from rapport.workflows.running import TIMER_JOB
from tests.torture import LONG, tally

PAIRS = pytest.mark.parametrize(
    ("database_url", "broker_url"),
    [
        ("sqlite", "rabbitmq"),
        ("postgresql", "redis"),
        *([("sqlite", "redis"), ("postgresql", "rabbitmq")] if LONG else []),
    ],
    indirect=True,
)
"""Each database and each broker once; in the long form each with each."""

EFFECTS = '''
"""Jobs whose effect is a customer."""
import pathlib, time
from rapport import Customer, Job, hookimpl

def make(context, name):
    with context.site.write(context.actor) as unit:
        unit.create(Customer, {"name": name})
        context.progress_in(unit.session.connection(), 1, 1)

def stumble(context, name):
    if context.attempt == 1:
        raise RuntimeError("not yet")
    make(context, name)

def hang(context, name, flag):
    """The first to do it never ends."""
    if not pathlib.Path(flag).exists():
        pathlib.Path(flag).touch()
        time.sleep(60)
    make(context, name)

@hookimpl
def register_jobs():
    return [Job("effects." + run.__name__, run.__name__, run) for run in (make, stumble, hang)]
'''


JOURNEY = """
name: welcome
entity: customer
start: {event: created}
initial: fresh
states:
  fresh: {entry: [{set: {job_title: New}}], after: {30 days: known}}
  known: {entry: [{set: {job_title: Known}}], final: true}
"""


@dataclass
class Works:
    """A site whose jobs Celery does, with workers that may be started, stopped and killed."""

    config: Config
    site: Site
    installed: Path

    def ask(self, job: str, due_at: dt.datetime | None = None, **arguments: Any) -> uuid.UUID:
        with self.site.db.write() as connection:
            return enqueue_job(connection, job, arguments, actor=system("test"), due_at=due_at)

    def job(self, job_id: uuid.UUID) -> Any:
        with self.site.db.read() as connection:
            return connection.execute(select(job_table).where(job_table.c.id == job_id)).one()

    def made(self) -> list[str]:
        with self.site.read(system("test")) as reader:
            return sorted(customer.name for customer in reader.all(Customer))

    def expire_leases(self) -> None:
        """As if the time of a lease had passed."""
        with self.site.db.write() as connection:
            past = utcnow() - dt.timedelta(seconds=1)
            leased = update(job_table).where(job_table.c.leased_until.is_not(None))
            connection.execute(leased.values(leased_until=past))

    @contextlib.contextmanager
    def worker(self) -> Iterator[subprocess.Popen[str]]:
        environment = {**os.environ, "PYTHONPATH": str(self.installed), "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "rapport_cli", "--home", str(self.config.home), "worker", "--threads", "2"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            output, _ = process.communicate(timeout=30)
            print(output)


@pytest.fixture
def works(database_url: str, broker_url: str, tmp_path: Path, plugin_on_disk: Any) -> Iterator[Works]:
    plugin_on_disk("effects", EFFECTS)
    settings = {
        "database_url": database_url,
        "jobs": "celery",
        "broker_url": broker_url,
        "secret_key": uuid.uuid4().hex,
    }
    (tmp_path / "rapport.toml").write_text(
        "".join(f'{name} = "{value}"\n' for name, value in settings.items()), "utf-8"
    )
    config = load_config(tmp_path)
    make_site(config)
    enable(config, "effects")
    with contextlib.closing(Site.open(config)) as site:
        yield Works(config, site, tmp_path / "installed")
    drop_queue(config)


def wait_until(what: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, "the worker has ended"
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.02)


@pytest.mark.timeout(300)  # two workers, each a process of its own
@PAIRS
def test_jobs_are_done_by_celery_through_every_mishap(works: Works):
    """One story, because a worker takes seconds to start: work, a kill, a stop, messages that are lost."""
    names = [f"Customer {number:02}" for number in range(20)]
    for name in names:
        works.ask("effects.make", name=name)
    later = works.ask("effects.make", name="Later", due_at=utcnow() + dt.timedelta(hours=1))
    again = works.ask("effects.stumble", name="Stumbled")
    with works.worker() as worker:
        wait_until(lambda: works.made() == names and works.job(again).attempts == 1, worker)
        hung = works.ask("effects.hang", name="Hung", flag=str(works.config.home / "flag"))
        wait_until((works.config.home / "flag").exists, worker)
        worker.send_signal(signal.SIGKILL)
        worker.wait(20)
    # What is not due is not with the broker; what failed waits for its next time; what was killed is under its lease.
    assert (works.job(later).state, works.job(later).leased_until, works.job(later).fence) == ("waiting", None, 0)
    assert works.job(again).state == "waiting"
    assert works.job(again).due_at > utcnow()
    assert works.job(hung).state == "running"
    with works.site.db.write() as connection:
        connection.execute(update(job_table).where(job_table.c.id == again).values(due_at=utcnow()))
    lost = works.ask("effects.make", name="Lost")
    relay = Relay(works.config)
    relay.release(works.site)
    assert empty_queue(works.config) >= 1
    assert release_jobs(works.site) == []  # under their leases
    works.expire_leases()
    with works.worker() as worker:
        wait_until(lambda: {works.job(each).state for each in (again, hung, lost)} == {"done"}, worker)
        _journey_of_thirty_days(works, worker)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    assert works.made() == sorted([*names, "Hung", "Journey", "Lost", "Stumbled"])
    assert works.job(hung).attempts == 2
    tally("D17", "jobs through a killed worker and messages that were lost", tried=len(works.made()), lost=0)
    assert works.job(later).state == "waiting"


def _journey_of_thirty_days(works: Works, worker: subprocess.Popen[str]) -> None:
    """A change starts a workflow, whose timer is no message until its time has come."""
    with works.site.write(system("test")) as unit:
        unit.create(Workflow, {"source": JOURNEY})
    with works.site.write(system("test")) as unit:
        customer = unit.create(Customer, {"name": "Journey"}).id
    timer = job_table.c.name == TIMER_JOB

    def armed() -> list[Any]:
        with works.site.db.read() as connection:
            return list(connection.execute(select(job_table).where(timer)))

    def title() -> str:
        with works.site.read(system("test")) as reader:
            return reader.get(Customer, customer).job_title

    wait_until(lambda: len(armed()) == 1, worker)
    (row,) = armed()
    assert row.due_at > utcnow() + dt.timedelta(days=29)
    assert (row.state, row.leased_until) == ("waiting", None)
    assert title() == "New"
    with works.site.db.write() as connection:  # as if they had passed
        connection.execute(update(job_table).where(timer).values(due_at=utcnow()))
    wait_until(lambda: title() == "Known", worker)


@PAIRS
def test_while_the_broker_is_down_jobs_wait_and_none_is_lost(works: Works):
    ids = [works.ask("effects.make", name=name) for name in ("Ada", "Bob")]
    away = Relay(replace(works.config, broker_url=f"{works.config.broker_url.partition(':')[0]}://127.0.0.1:1"))
    assert away.release(works.site) == 0
    assert [works.job(each).state for each in ids] == ["waiting", "waiting"]
    assert away.release(works.site) == 0  # it is left alone for a while
    assert Relay(works.config).release(works.site) == 2
    tally("D17", "jobs asked for while the broker is down", tried=len(ids), lost=0)
