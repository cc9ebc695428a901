"""Workflows: from an event to the reaction, with a worker in the same process, beside many that wait.

python benchmarks/workflows.py [--waiting 100000] [--events 200]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, literal, null, select

from rapport import Customer, start
from rapport.entities import table_of
from rapport.testing.app import TestApp, make_test_site
from rapport.worker import Worker
from rapport.workflows import Workflow, WorkflowInstance
from rapport.workflows.store import timer_table

WELCOME = """
name: welcome
entity: customer
start: [{event: created, when: 'name starts "Event"'}, {api: true}]
initial: greeting
states:
  greeting:
    entry: [{set: {job_title: greeted}}]
    after: {30 days: over}
  over: {final: true}
"""


def main() -> None:
    """Measure, and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--waiting", type=int, default=100_000)
    options.add_argument("--events", type=int, default=200)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as home, make_test_site(Path(home)) as app:
        with app.site.write(app.admin) as unit:
            unit.create(Workflow, {"source": WELCOME})
        wait(app, given.waiting)
        worker = Worker(lambda: app.site)
        worker.start()
        try:
            took = [react(app, number) for number in range(given.events)]
        finally:
            worker.stop()
    print(f"{given.waiting:,} instances wait; {given.events} events")
    print(f"event to reaction: median {middle(took):.1f} ms, 95% within {sorted(took)[int(len(took) * 0.95)]:.1f} ms")


def middle(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def wait(app: TestApp, number: int) -> None:
    """One that waits, made many within the database."""
    first = app.create_customer(name="Ada")
    with app.site.write(app.admin) as unit:
        start(unit, "welcome", unit.get(Customer, first.id))
    app.settle()
    here: Any = table_of(WorkflowInstance)
    new_id: Any = func.lower(func.hex(func.randomblob(16)))
    other = {"id": new_id, "record_id": new_id, "running_key": null(), "start_key": null()}
    with app.site.db.write() as connection:
        made = 1
        while made < number:
            rows = select(*(other.get(c.name, c) for c in here.c)).limit(number - made)
            made += connection.execute(insert(here).from_select([c.name for c in here.c], rows)).rowcount
        due = select(timer_table.c.due_at).limit(1).scalar_subquery()
        timers = select(new_id, here.c.id, literal("greeting"), literal("after.0"), due)
        names = ["id", "instance_id", "state", "name", "due_at"]
        connection.execute(insert(timer_table).from_select(names, timers))


def react(app: TestApp, number: int) -> float:
    """Milliseconds from the commit of a change to that of what the workflow does."""
    with app.site.write(app.admin) as unit:
        customer = unit.create(Customer, {"name": f"Event {number}"})
    begun = time.perf_counter()
    table = table_of(Customer)
    while True:
        with app.site.db.read() as connection:
            if connection.scalar(select(table.c.job_title).where(table.c.id == customer.id)) == "greeted":
                return (time.perf_counter() - begun) * 1000
        time.sleep(0.001)


if __name__ == "__main__":
    main()
