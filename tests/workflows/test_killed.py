"""kill -9 of a worker at every checkpoint of a step: nothing is lost, nothing half done, nothing done twice."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import func, select, update

from rapport import Config, Customer, Task
from rapport.entities import types
from rapport.followers import follow
from rapport.jobs import job_table, run_next
from rapport.testing.app import TestApp
from rapport.workflows.store import link_table, step_table, timer_table
from tests.mortal import Mortals, each_point, mortals, open_site
from tests.torture import tally

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


def live(config: Config, now: dt.datetime) -> None:
    """Follow the log and run jobs until nothing is due at that moment."""
    types.clock = lambda: now
    with open_site(config) as site:
        while follow(site) + run_next(site):
            pass


def killed_at_every_write(app: TestApp, worker: Mortals, now: dt.datetime) -> int:
    """Kill it at every write in turn, until it comes to its end; returns how often it was killed."""
    killed = 0
    for _each in each_point(lambda number: worker.do(app.site.config, live, now, kill_at=number)):
        killed += 1
        # That jobs wait for their lease, and are given up after some deaths, is not what is shown here.
        with app.site.db.write() as connection:
            connection.execute(update(job_table).values(leased_until=now - dt.timedelta(1), attempts=0))
    return killed


def test_a_worker_killed_at_every_write_loses_and_repeats_nothing(app: TestApp, workflows: Workflows, clock: Any):
    workflows.make(WELCOME)
    with app.site.write(app.admin) as unit:
        ada = unit.create(Customer, {"name": "Ada", "job_title": "Boss"})
    with mortals(keep=app.site.config) as worker:
        killed = killed_at_every_write(app, worker, clock.now)
        clock.forward(days=1)
        killed += killed_at_every_write(app, worker, clock.now)
    tally("D1", "a worker in the midst of workflows", tried=killed, lost=0)
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
