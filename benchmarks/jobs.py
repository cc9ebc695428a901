"""What jobs cost: asking for them, doing them, and leaving 100,000 of them waiting for their time.

    python benchmarks/jobs.py [DATABASE_URL]

Two figures have an aim: taking a job takes at most a quarter longer with 100,000 waiting than with none, and a follower
is given a change within 100 ms. Ends with 1 when an aim is missed.
"""

from __future__ import annotations

import datetime as dt
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from rapport import Customer, Follower, Job, Task, Unit, enqueue_job, utcnow, uuid7
from rapport.followers import take_places
from rapport.jobs import job_table, run_next
from rapport.testing import TestApp, make_test_site
from rapport.worker import Worker

WAITING = 100_000
JOBS = 500
ROUNDS = 5
REACTIONS = 50
RATIO_AIM = 1.25
REACTION_AIM = 100.0
"""Milliseconds, for nine of ten."""


def prepare(app: TestApp) -> None:
    """A job that does nothing, and a follower that answers each new customer with a task."""
    for registry in (app.site.jobs, app.site.followers):
        registry._frozen = False
    app.site.jobs.add("bench", Job("bench.nothing", "Nothing", lambda context: None))
    app.site.followers.add("bench", Follower("bench.greet", greet, lambda site: ["customer"]))
    take_places(app.site)


answered = threading.Event()


def greet(unit: Unit, changes: Sequence[Any]) -> None:
    """The answer to a change."""
    for change in changes:
        unit.create(Task, {"title": f"Greet {change.changes['name'][1]}"})
    answered.set()


def ask(app: TestApp, number: int) -> float:
    """Ask for so many jobs, each in a transaction of its own; seconds for all."""
    start = time.perf_counter()
    for _ in range(number):
        with app.site.db.write() as connection:
            enqueue_job(connection, "bench.nothing", {}, actor=app.admin)
    return time.perf_counter() - start


def do_all(app: TestApp) -> float:
    """Do what is due, in one thread; seconds for all."""
    start = time.perf_counter()
    while run_next(app.site):
        pass
    return time.perf_counter() - start


def let_wait(app: TestApp, number: int) -> None:
    """So many jobs that begin in a month."""
    now = utcnow()
    row = {"name": "bench.nothing", "arguments": {}, "state": "waiting", "due_at": now + dt.timedelta(days=30),
           "created_at": now}  # fmt: skip
    with app.site.db.write() as connection:
        for start in range(0, number, 5000):
            connection.execute(
                insert(job_table), [{**row, "id": uuid7()} for _ in range(start, min(start + 5000, number))]
            )


def react(app: TestApp) -> list[float]:
    """Milliseconds from before a change is written until a follower is given it, with a worker in this process."""
    worker = Worker(lambda: app.site)
    worker.start()
    took = []
    for number in range(REACTIONS):
        answered.clear()
        start = time.perf_counter()
        with app.site.write(app.admin) as unit:
            unit.create(Customer, {"name": f"Customer {number}"})
        answered.wait(30)
        took.append((time.perf_counter() - start) * 1000)
    worker.stop()
    return took


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else ""
    with tempfile.TemporaryDirectory() as home, make_test_site(Path(home), url) as app:
        prepare(app)
        asked, alone, beside = [], [], []
        for _ in range(ROUNDS):
            asked.append(ask(app, JOBS) / JOBS)
            alone.append(do_all(app) / JOBS)
        let_wait(app, WAITING)
        for _ in range(ROUNDS):
            ask(app, JOBS)
            beside.append(do_all(app) / JOBS)
        ratio = min(beside) / min(alone)
        reactions = sorted(react(app))
    nine_of_ten = reactions[int(len(reactions) * 0.9)]
    print(f"asked for           {1 / min(asked):8,.0f} jobs a second, each in a transaction of its own")
    print(f"done                {1 / min(alone):8,.0f} jobs a second, in one thread")
    print(
        f"with {WAITING:,} waiting {1 / min(beside):8,.0f} jobs a second: {ratio:.2f} times as long (aim: {RATIO_AIM})"
    )
    print(f"change to follower  {statistics.median(reactions):8.1f} ms, nine of ten within {nine_of_ten:.1f} ms "
          f"(aim: {REACTION_AIM:.0f})")  # fmt: skip
    sys.exit(ratio > RATIO_AIM or nine_of_ten > REACTION_AIM)


if __name__ == "__main__":
    main()
