"""Jobs: asked for in one's transaction, not before their time, once for each key, and again when they failed."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, select, update

from rapport import Customer, Invalid, Job, JobContext, RapportError, User, enqueue_job
from rapport import jobs as jobs_module
from rapport.access.service import deactivate
from rapport.jobs import LEASE, Lost, cancel_job, job_table, release_jobs, run_next, run_released
from rapport.testing import TestApp


def with_job(app: TestApp, name: str, run: Callable[..., Any], attempts: int = 5) -> None:
    """Give the site a job as if a plugin had brought it."""
    app.site.jobs._frozen = False
    app.site.jobs.add(name.partition(".")[0], Job(name, name, run, attempts))


def ask(app: TestApp, name: str, **options: Any) -> Any:
    with app.site.db.write() as connection:
        return enqueue_job(connection, name, options.pop("arguments", {}), actor=app.admin, **options)


def rows(app: TestApp) -> list[Any]:
    with app.site.db.read() as connection:
        return list(connection.execute(select(job_table).order_by(job_table.c.created_at, job_table.c.id)))


def work_off(app: TestApp) -> None:
    while run_next(app.site):
        pass


def test_a_job_begins_only_if_what_asked_for_it_was_kept(app):
    ran: list[str] = []
    with_job(app, "alpha.note", lambda context, text: ran.append(text))
    with app.site.write(app.admin) as unit:
        unit.create(Customer, {"name": "Ada"})
        enqueue_job(unit.session.connection(), "alpha.note", {"text": "kept"}, actor=app.admin)
    with pytest.raises(Invalid), app.site.write(app.admin) as unit:  # noqa: PT012
        enqueue_job(unit.session.connection(), "alpha.note", {"text": "taken back"}, actor=app.admin)
        unit.create(Customer, {"name": ""})
    work_off(app)
    assert ran == ["kept"]


def test_a_job_waits_for_its_time_and_the_earliest_goes_first(app, clock):
    ran: list[str] = []
    with_job(app, "alpha.note", lambda context, text: ran.append(text))
    for hours, text in ((3, "third"), (1, "first"), (2, "second")):
        ask(app, "alpha.note", arguments={"text": text}, due_at=clock.now + dt.timedelta(hours=hours))
    work_off(app)
    assert ran == []
    clock.forward(hours=1)
    work_off(app)
    assert ran == ["first"]
    clock.forward(hours=5)
    work_off(app)
    assert ran == ["first", "second", "third"]


def test_of_one_key_one_job_waits_and_begins_at_the_earlier_time(app, clock):
    ran: list[Any] = []
    with_job(app, "alpha.count", lambda context: ran.append(context.job_id))
    later, sooner = clock.now + dt.timedelta(hours=2), clock.now + dt.timedelta(hours=1)
    first = ask(app, "alpha.count", key="ada", due_at=later)
    assert ask(app, "alpha.count", key="ada", due_at=sooner) == first
    assert ask(app, "alpha.count", key="ada", due_at=later) == first
    other = ask(app, "alpha.count", key="bob", due_at=sooner)
    clock.forward(hours=1)
    work_off(app)
    assert sorted(ran) == sorted([first, other])
    assert ask(app, "alpha.count", key="ada") != first  # that one is done: this is a new wish


def test_many_that_ask_at_once_for_one_key_get_one_job(app):
    with_job(app, "alpha.count", lambda context: None)
    gate, got = threading.Barrier(6), []

    def wish() -> None:
        gate.wait()
        got.append(ask(app, "alpha.count", key="ada"))

    threads = [threading.Thread(target=wish) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 6
    assert len(set(got)) == len(rows(app)) == 1


def test_a_job_asked_for_anew_while_it_runs_runs_again_and_its_failure_gives_way(app, clock):
    def fail(context: JobContext) -> None:
        if len(rows(app)) == 1:
            ask(app, "alpha.flaky", key="ada", due_at=clock.now + dt.timedelta(minutes=1))
            raise RuntimeError("boom")

    with_job(app, "alpha.flaky", fail)
    ask(app, "alpha.flaky", key="ada")
    work_off(app)
    assert sorted(row.state for row in rows(app)) == ["cancelled", "waiting"]
    clock.forward(hours=1)
    work_off(app)
    assert sorted(row.state for row in rows(app)) == ["cancelled", "done"]


def test_a_job_that_fails_is_tried_again_with_longer_and_longer_pauses(app, clock):
    def fail(context: JobContext) -> None:
        raise RuntimeError("the server is away")

    with_job(app, "alpha.flaky", fail, attempts=4)
    ask(app, "alpha.flaky")
    pauses = []
    while rows(app)[0].state == "waiting":
        pauses.append((rows(app)[0].due_at - clock.now).total_seconds())
        clock.forward(seconds=pauses[-1])
        work_off(app)
    assert pauses == [0, 40, 160, 640]
    assert (rows(app)[0].state, rows(app)[0].message) == ("failed", "the server is away")


def test_a_job_that_says_what_is_wrong_is_not_tried_again(app):
    def refuse(context: JobContext) -> None:
        raise RapportError("There is no such customer.")

    with_job(app, "alpha.refuse", refuse)
    ask(app, "alpha.refuse")
    work_off(app)
    assert [(row.state, row.attempts, row.message) for row in rows(app)] == [
        ("failed", 1, "There is no such customer.")
    ]


def test_the_job_of_somebody_who_left_is_not_done(app):
    """Rights are those of the moment at which it runs."""
    ran: list[str] = []
    with_job(app, "alpha.note", lambda context: ran.append(context.actor.name))
    leaver = app.user("Lea")
    with app.site.db.write() as connection:
        enqueue_job(connection, "alpha.note", {}, actor=leaver)
    with app.site.write(app.admin) as unit:
        deactivate(unit, unit.get(User, leaver.id))
    app.site.forget_actors()
    work_off(app)
    assert ran == []
    assert [(row.state, row.message) for row in rows(app)] == [("failed", "alpha.note: its user is no longer active.")]


def test_a_job_that_ends_every_process_is_given_up(app, clock):
    """Nothing is heard of it: each time its lease runs out, and after so many attempts nobody tries again."""
    ran: list[int] = []
    with_job(app, "alpha.deadly", lambda context: ran.append(context.attempt), attempts=3)
    job = ask(app, "alpha.deadly")
    for attempt in range(1, 4):  # as a process leaves it that took the job and was killed
        with app.site.db.write() as connection:
            left = update(job_table).where(job_table.c.id == job)
            connection.execute(left.values(state="running", attempts=attempt, fence=attempt, leased_until=clock.now))
        clock.forward(seconds=LEASE.total_seconds() + 1)
    work_off(app)
    assert ran == []
    assert [(row.state, row.message) for row in rows(app)] == [
        ("failed", "alpha.deadly: each time it ran, its process ended or it hung.")
    ]


def test_a_job_under_way_is_left_to_whoever_does_it(app):
    """Its lease says so to every other worker, until nothing was heard for too long."""
    seen: list[tuple[int, bool]] = []
    with_job(app, "alpha.slow", lambda context: seen.append((context.attempt, run_next(app.site))))
    ask(app, "alpha.slow")
    work_off(app)
    assert seen == [(1, False)]
    assert [(row.state, row.attempts) for row in rows(app)] == [("done", 1)]


def test_who_lost_the_job_cannot_say_anything_of_it_any_more(app, clock):
    """The first worker sleeps past its lease; a second takes the job over; the first finds its work taken."""
    seen: list[str] = []

    def slow(context: JobContext) -> str:
        if context.fence == 1:
            clock.forward(seconds=LEASE.total_seconds() + 1)
            work_off(app)  # the second worker
            with pytest.raises(Lost):
                context.progress(1, 2)
        seen.append(f"run {context.fence}")
        return f"run {context.fence}"

    with_job(app, "alpha.slow", slow)
    ask(app, "alpha.slow")
    work_off(app)
    assert seen == ["run 2", "run 1"]
    assert [(row.state, row.fence, row.message) for row in rows(app)] == [("done", 2, "run 2")]


def test_what_waits_for_its_time_is_not_looked_at(app, clock, monkeypatch):
    """The rows that a look for work reads, as the database itself counts them, with nothing and with much waiting."""
    with_job(app, "alpha.note", lambda context: None)
    later = clock.now + dt.timedelta(days=30)
    with app.site.db.write() as connection:
        for _ in range(2000):
            enqueue_job(connection, "alpha.note", {}, actor=app.admin, due_at=later)
    ask(app, "alpha.note")
    with app.site.db.write() as connection:
        connection.exec_driver_sql("ANALYZE job" if not app.site.db.is_sqlite else "ANALYZE")
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith("SELECT") and "FROM job" in statement:
            asked.append((statement, parameters))

    event.listen(app.site.db.reading, "before_cursor_execute", note)
    event.listen(app.site.db.writing, "before_cursor_execute", note)
    try:
        work_off(app)
    finally:
        event.remove(app.site.db.reading, "before_cursor_execute", note)
        event.remove(app.site.db.writing, "before_cursor_execute", note)
    assert len(asked) >= 3
    with app.site.db.write() as connection:
        for statement, parameters in asked:
            if app.site.db.is_sqlite:
                plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
                assert len(plan) == 1, plan  # no sorting of what was found
                assert re.match(r"SEARCH job USING INDEX ix_job_\w+ \(state=\? AND \w+<\?\)", plan[0]), plan
            else:
                plan = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN ANALYZE {statement}", parameters)]
                assert any("Index" in line and "ix_job_" in line for line in plan), plan
                assert not any("Sort" in line or "Seq Scan" in line or "Removed by" in line for line in plan), plan


# Handing jobs over to a broker ----------------------------------------------------------------------------------------


def test_of_two_messages_for_a_job_one_counts_and_none_for_one_that_was_cancelled(app):
    ran: list[str] = []
    with_job(app, "alpha.note", lambda context, text: ran.append(text))
    first, second = (ask(app, "alpha.note", arguments={"text": text}) for text in ("first", "second"))
    fences = {each.id: each.fence for each in release_jobs(app.site)}
    assert release_jobs(app.site) == []
    with app.site.db.write() as connection:
        cancel_job(connection, second)
    assert run_released(app.site, first, fences[first])
    assert not run_released(app.site, first, fences[first])
    assert not run_released(app.site, second, fences[second])
    assert ran == ["first"]


def test_what_was_handed_over_and_not_heard_of_is_handed_over_again(app, clock):
    """A message was lost, and a worker died: the same job goes out again, with a fence that ends the former's claim."""
    with_job(app, "alpha.note", lambda context: None)
    job = ask(app, "alpha.note")
    (sent,) = release_jobs(app.site)
    clock.forward(seconds=LEASE.total_seconds() + 1)
    assert release_jobs(app.site) == [sent]
    with app.site.db.write() as connection:  # somebody takes it, and dies
        connection.execute(update(job_table).values(state="running", fence=sent.fence + 1))
    clock.forward(seconds=LEASE.total_seconds() + 1)
    (again,) = release_jobs(app.site)
    assert again.fence > sent.fence + 1
    assert not run_released(app.site, job, sent.fence)
    assert run_released(app.site, job, again.fence)


def test_a_broker_never_holds_more_than_so_many(app, monkeypatch):
    monkeypatch.setattr(jobs_module, "MAX_RELEASED", 5)
    monkeypatch.setattr(jobs_module, "RELEASED_AT_ONCE", 3)
    with_job(app, "alpha.note", lambda context: None)
    for _ in range(7):
        ask(app, "alpha.note")
    assert [len(release_jobs(app.site)) for _ in range(3)] == [3, 2, 0]
