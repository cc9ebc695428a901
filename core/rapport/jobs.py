"""Jobs: long work outside requests, enqueued in the caller's transaction, run by leases, with progress to look at."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Column, Connection, Index, Integer, Table, Text, Uuid, insert, select, update

from rapport.access import Actor, system
from rapport.db.tables import metadata
from rapport.entities.types import Instant, Json, utcnow, uuid7
from rapport.errors import RapportError
from rapport.events import deliver

if TYPE_CHECKING:
    from rapport.site import Site

log = logging.getLogger("rapport.jobs")
LEASE = dt.timedelta(minutes=2)
IDLE_SECONDS = 2.0

job_table = Table(
    "job",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("arguments", Json, nullable=False),
    # waiting, running, done, failed, cancelled
    Column("state", Text, nullable=False, default="waiting"),
    Column("done", Integer, nullable=False, default=0),
    Column("total", Integer, nullable=False, default=0),
    Column("message", Text, nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    # Each start takes a higher number; a worker whose number is no longer the job's has lost it
    Column("fence", Integer, nullable=False, default=0),
    Column("due_at", Instant, nullable=False),
    Column("leased_until", Instant),
    Column("actor_id", Uuid),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Index("ix_job_due", "state", "due_at"),
)


class Lost(RapportError):
    """The job was cancelled, or another worker took it over: stop at once."""


@dataclass(slots=True)
class JobContext:
    """What a running job gets: the site, whose behalf it works on, and a way to say how far it is."""

    site: Site
    actor: Actor
    job_id: UUID
    fence: int

    def progress(self, done: int, total: int = 0, message: str = "") -> None:
        """Say how far the work is; this also keeps the lease. Lost when the job is no longer ours."""
        with self.site.db.write() as connection:
            self.progress_in(connection, done, total, message)

    def progress_in(self, connection: Connection, done: int, total: int = 0, message: str = "") -> None:
        """The same within the transaction of the work itself: both happen, or neither."""
        updated = connection.execute(
            update(job_table)
            .where(job_table.c.id == self.job_id, job_table.c.fence == self.fence, job_table.c.state == "running")
            .values(done=done, total=total, message=message, leased_until=utcnow() + LEASE)
        )
        if updated.rowcount != 1:
            raise Lost("The job was cancelled or taken over by another worker.")


def enqueue_job(connection: Connection, name: str, arguments: dict[str, Any], *, actor: Actor) -> UUID:
    """Ask for work, in the caller's transaction: it starts only if that commits. Returns the job's id."""
    job_id, now = uuid7(), utcnow()
    connection.execute(
        insert(job_table).values(
            id=job_id, name=name, arguments=arguments, state="waiting", due_at=now, actor_id=actor.id, created_at=now
        )
    )
    return job_id


def cancel_job(connection: Connection, job_id: UUID) -> None:
    """Stop a job: before it starts, or at its next step."""
    connection.execute(
        update(job_table)
        .where(job_table.c.id == job_id, job_table.c.state.in_(["waiting", "running"]))
        .values(state="cancelled", finished_at=utcnow())
    )


def run_next(site: Site) -> bool:
    """Take one due job and run it; False when none is due."""
    claimed = _claim(site)
    if claimed is None:
        return False
    job_id, name, arguments, actor_id, fence, attempts = claimed
    job = site.jobs.get(name)
    actor = system(f"job {name}") if actor_id is None else site.actor(actor_id)
    if job is None or actor is None:
        why = "its plugin is not active" if job is None else "its user is no longer active"
        _finish(site, job_id, fence, "failed", f"{name}: {why}.")
        return True
    try:
        message = job.run(JobContext(site, actor, job_id, fence), **arguments)
    except Lost:
        log.info("job %s (%s) was cancelled or taken over", name, job_id)
    except (Exception, SystemExit) as error:  # a job's fault ends or postpones that job only
        log.exception("job %s (%s) failed", name, job_id)
        if isinstance(error, RapportError) or attempts >= job.attempts:
            _finish(site, job_id, fence, "failed", str(error) or type(error).__name__)
        else:
            _retry(site, job_id, fence, attempts, error)
    else:
        _finish(site, job_id, fence, "done", message if isinstance(message, str) else "")
    return True


def _claim(site: Site) -> tuple[UUID, str, dict[str, Any], UUID | None, int, int] | None:
    now = utcnow()
    ready = (
        ((job_table.c.state == "waiting") & (job_table.c.due_at <= now))
        | ((job_table.c.state == "running") & (job_table.c.leased_until < now))
    )  # fmt: skip
    with site.db.read() as connection:  # looking costs no write lock
        if connection.execute(select(job_table.c.id).where(ready).limit(1)).one_or_none() is None:
            return None
    with site.db.write() as connection:
        row = connection.execute(
            select(job_table).where(ready).order_by(job_table.c.due_at).limit(1).with_for_update(skip_locked=True)
        ).one_or_none()
        if row is None:
            return None
        connection.execute(
            update(job_table)
            .where(job_table.c.id == row.id)
            .values(state="running", fence=row.fence + 1, attempts=row.attempts + 1, leased_until=now + LEASE)
        )
        return row.id, row.name, dict(row.arguments), row.actor_id, row.fence + 1, row.attempts + 1


def _finish(site: Site, job_id: UUID, fence: int, state: str, message: str) -> None:
    with site.db.write() as connection:
        connection.execute(
            update(job_table)
            .where(job_table.c.id == job_id, job_table.c.fence == fence, job_table.c.state == "running")
            .values(state=state, message=message[:2000], finished_at=utcnow(), leased_until=None)
        )


def _retry(site: Site, job_id: UUID, fence: int, attempts: int, error: BaseException) -> None:
    with site.db.write() as connection:
        connection.execute(
            update(job_table)
            .where(job_table.c.id == job_id, job_table.c.fence == fence, job_table.c.state == "running")
            .values(
                state="waiting",
                message=f"{type(error).__name__}: {error}"[:2000],
                due_at=utcnow() + dt.timedelta(seconds=10 * 4**attempts),
                leased_until=None,
            )
        )


class Worker:
    """Tells plugins and runs jobs until stopped. `current` gives the site of the day: it changes when plugins do."""

    def __init__(self, current: Any) -> None:
        self._current = current
        self._stop = threading.Event()

    def run(self) -> None:
        """Work until `stop`; sleeps while there is nothing to do, and wakes when this process commits something."""
        while not self._stop.is_set():
            site = self._current()
            try:
                busy = deliver(site) > 0 or run_next(site)
            except Exception:  # the database is away: wait and look again
                log.exception("the worker could not look for work")
                busy = False
            if not busy:
                site.wait_for_work(IDLE_SECONDS)

    def stop(self) -> None:
        """Finish what is being done and end."""
        self._stop.set()
        self._current().wake()
