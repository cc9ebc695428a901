"""kill -9 of a worker at every checkpoint of a step: nothing is lost, nothing half done, nothing done twice."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from rapport import Customer, Task
from rapport.jobs import job_table
from rapport.testing.app import TestApp
from rapport.workflows.store import link_table, step_table, timer_table

from .conftest import Workflows

WELCOME = """
name: welcome
entity: customer
start: {event: created}
initial: greeting
states:
  greeting:
    entry: [{set: {job_title: "{job_title}!"}}, {task: {title: "Greet {name}", for: "role:admin"}}]
    task: {for: "role:admin", title: "Call {name}"}
    after: {1 day: late}
    on: {done: late}
  late:
    entry: [{set: {job_title: "{job_title}?"}}]
    approve: {who: "role:admin", title: "Give {name} up?", deadline: 2 days}
    on: {approved: over, rejected: over}
  over: {final: true}
"""


class Worker:
    """Lives of a worker, one after the other."""

    def __init__(self, app: TestApp) -> None:
        self.app = app
        config = app.site.config
        url = config.database_url.replace("postgresql+psycopg", "postgresql")
        script = str(Path(__file__).with_name("mortal.py"))
        self.process = subprocess.Popen(
            [sys.executable, script, str(config.home), url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def live(self, now: dt.datetime, kill_at: int) -> str:
        """One life, to the n-th write or until nothing is left to do; how it ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{now.isoformat()}\t{kill_at}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def work(self, now: dt.datetime) -> int:
        """Kill it at every write in turn, until it comes to its end; returns how often it was killed."""
        for number in range(1, 400):
            ended = self.live(now, number)
            if ended != "killed":
                assert ended == "0"
                return number - 1
            # That jobs wait for their lease, and are given up after some deaths, is not what is shown here.
            with self.app.site.db.write() as connection:
                connection.execute(update(job_table).values(leased_until=now - dt.timedelta(1), attempts=0))
        raise AssertionError("it never came to its end")


@pytest.fixture
def worker(app: TestApp) -> Iterator[Worker]:
    made = Worker(app)
    yield made
    assert made.process.stdin is not None
    assert made.process.stdout is not None
    made.process.stdin.close()
    made.process.wait(20)
    made.process.stdout.close()


def test_a_worker_killed_at_every_write_loses_and_repeats_nothing(
    app: TestApp, workflows: Workflows, worker: Worker, clock: Any
):
    workflows.make(WELCOME)
    with app.site.write(app.admin) as unit:
        ada = unit.create(Customer, {"name": "Ada", "job_title": "Boss"})
    killed = worker.work(clock.now)
    clock.forward(days=1)
    killed += worker.work(clock.now)
    assert killed > 20  # it died in the midst of steps, not only between them

    instance = workflows.of(ada)
    assert (instance.states, instance.steps, instance.status) == (("late",), 2, "running")
    steps = workflows.steps(instance)
    assert [(step.number, step.event, step.target) for step in steps] == [
        (1, "start", ["greeting"]), (2, "after.0", ["late"]),
    ]  # fmt: skip
    assert workflows.get(Customer, ada.id).job_title == "Boss!?"
    with app.site.read(app.admin) as reader:
        tasks = {task.title: task.archived_at is None for task in reader.all(Task)}
    assert tasks == {"Call Ada": False, "Greet Ada": True}  # only the one that the state waited for is taken back
    with app.site.db.read() as connection:
        timers = connection.execute(select(timer_table.c.name)).scalars().all()
        links = connection.scalar(select(func.count()).select_from(link_table))
        torn = connection.scalar(select(func.count()).select_from(step_table).where(step_table.c.target == []))
    assert timers == ["deadline"]
    assert links == 0  # that of the task it waited for went with the state
    assert not torn
