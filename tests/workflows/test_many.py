"""A hundred thousand that wait cost nothing: what is due is found by one walk along an index, in little memory."""

from __future__ import annotations

import datetime as dt
import time
import tracemalloc
from typing import Any

from sqlalchemy import func, insert, literal, null, select, text, update

from rapport import Customer, start
from rapport.entities import table_of
from rapport.followers import follow
from rapport.jobs import job_table, run_next
from rapport.testing.app import TestApp
from rapport.workflows import WorkflowInstance
from rapport.workflows.running import TIMER_JOB
from rapport.workflows.store import timer_table

from .conftest import Workflows

NUMBER = 100_000
WAITING = """
name: waiting
entity: customer
start: {api: true}
initial: waiting
states:
  waiting: {after: {30 days: over}}
  over: {final: true}
"""


def _multiply(app: TestApp, first: WorkflowInstance, now: dt.datetime) -> None:
    """Make the one that waits a hundred thousand, within the database; the others wait longer."""
    here, jobs = table_of(WorkflowInstance), job_table
    new_id: Any = func.gen_random_uuid()
    if app.site.db.is_sqlite:
        new_id = func.lower(func.hex(func.randomblob(16)))
    other = {"id": new_id, "record_id": new_id, "customer_id": null(), "running_key": null(), "start_key": null()}
    copied = [other.get(column.name, column) for column in here.c]
    later = literal(now + dt.timedelta(days=30), timer_table.c.due_at.type)
    with app.site.db.write() as connection:
        number = 1
        while number < NUMBER:
            rows = select(*copied).limit(NUMBER - number)
            connection.execute(insert(here).from_select([c.name for c in here.c], rows))
            number = min(2 * number, NUMBER)
        timers = select(new_id, here.c.id, literal("waiting"), literal("after.0"), later).where(here.c.id != first.id)
        names = ["id", "instance_id", "state", "name", "due_at"]
        connection.execute(insert(timer_table).from_select(names, timers))
        (job,) = connection.execute(select(jobs).where(jobs.c.name == TIMER_JOB)).all()
        of_timers = {"id": new_id, "due_at": later}
        rows = select(*(of_timers.get(c.name, literal(getattr(job, c.name), c.type)) for c in jobs.c))
        connection.execute(insert(jobs).from_select([c.name for c in jobs.c], rows.select_from(timer_table)))
        soon = now + dt.timedelta(days=1)
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(due_at=soon))
        connection.execute(update(timer_table).where(timer_table.c.instance_id == first.id).values(due_at=soon))
        if not app.site.db.is_sqlite:
            connection.execute(text("ANALYZE"))


def test_a_hundred_thousand_waiting_instances_cost_nothing_until_they_are_due(
    app: TestApp, workflows: Workflows, clock: Any
):
    workflows.make(WAITING)
    customer = app.create_customer(name="Ada")
    with app.site.write(app.admin) as unit:
        first = start(unit, "waiting", unit.get(Customer, customer.id))
    app.settle()
    assert first is not None
    _multiply(app, first, clock.now)
    instances = table_of(WorkflowInstance)

    # Nothing is due: looking reads no rows to speak of, and takes no time.
    begun = time.perf_counter()
    assert run_next(app.site) is False
    idle = time.perf_counter() - begun
    clock.forward(days=1)
    tracemalloc.start()
    begun = time.perf_counter()
    with app.queries() as sent:
        while follow(app.site) + run_next(app.site):
            pass
    took = time.perf_counter() - begun
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    with app.site.db.read() as connection:
        ended = connection.scalars(select(instances.c.record_id).where(instances.c.status == "finished")).all()
    assert ended == [customer.id]
    assert peak < 8 * 1024 * 1024, f"{peak:,} bytes"
    assert len(sent) < 60
    assert (idle < 0.5, took < 5) == (True, True), (idle, took)  # an ordinary machine needs a hundredth of it
    _walks_along_indexes(app, customer)


def _walks_along_indexes(app: TestApp, customer: Customer) -> None:
    """What is asked at every change of a record, and for every answer of a customer, is found by an index."""
    here = table_of(WorkflowInstance)
    questions = [
        select(here.c.id).where(here.c.entity == "customer", here.c.record_id == customer.id),
        select(here.c.id).where(here.c.customer_id == customer.id, here.c.status == "running"),
        select(timer_table.c.id).where(timer_table.c.instance_id == customer.id),
    ]
    with app.site.db.read() as connection:
        for question in questions:
            said = question.compile(connection, compile_kwargs={"literal_binds": True})
            how = "EXPLAIN QUERY PLAN " if app.site.db.is_sqlite else "EXPLAIN "
            plan = "\n".join(map(str, connection.execute(text(f"{how}{said}"))))
            assert "INDEX" in plan.upper(), plan
            assert "SCAN workflow" not in plan, plan
            assert "Seq Scan" not in plan, plan
