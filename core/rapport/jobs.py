"""Jobs: long work outside requests, enqueued in the caller's transaction, run by leases, with progress to look at."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    Select,
    Table,
    Text,
    Uuid,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from rapport.access import Actor, system
from rapport.contributions import Job, Schedule
from rapport.db.tables import metadata
from rapport.entities.types import Instant, Json, utcnow, uuid7
from rapport.errors import Conflict, RapportError
from rapport.i18n.catalogs import _
from rapport.watchdog import Call, Overdue

if TYPE_CHECKING:
    from rapport.site import Site

log = logging.getLogger("rapport.jobs")
LEASE = dt.timedelta(minutes=2)
KEPT_FOR = dt.timedelta(days=30)
FAILED_KEPT_FOR = dt.timedelta(days=180)
FORGOTTEN_AT_ONCE = 1000
RELEASED_AT_ONCE = 100
STATES = ("failed", "running", "waiting", "done", "cancelled")
MANY = 1000
"""Counted no further: a page says "1,000 or more" of them."""
MAX_RELEASED = 1000
"""How many jobs may lie with a broker and not have begun; more would only be sent again and again."""

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
    # What must happen once, however often it is asked for: of one name and key, one job waits
    Column("key", Text, nullable=False, default=""),
    Index("ix_job_due", "state", "due_at", "name"),
    Index("ix_job_leased", "state", "leased_until", "name"),
    Index("ix_job_state", "state", "id"),
)
WAITS_UNDER_KEY = (job_table.c.state == literal_column("'waiting'")) & (job_table.c.key != literal_column("''"))
Index(
    "uq_job_key", job_table.c.name, job_table.c.key, unique=True,
    sqlite_where=WAITS_UNDER_KEY, postgresql_where=WAITS_UNDER_KEY,
)  # fmt: skip


Claim = tuple[UUID, str, dict[str, Any], UUID | None, int, int]
"""Of a job that was taken: id, name, arguments, whose it is, fence, and the number of this attempt."""


@dataclass(frozen=True, slots=True)
class Released:
    """A job on its way to whoever does it, with the fence that lets them."""

    id: UUID
    fence: int


class Lost(RapportError):
    """The job was cancelled, or another worker took it over: stop at once."""


@dataclass(slots=True)
class JobContext:
    """What a running job gets: the site, whose behalf it works on, and a way to say how far it is."""

    site: Site
    asked_by: Actor
    """Whoever asked for the job, with the rights they had when it began."""
    job_id: UUID
    fence: int
    attempt: int = 1
    watch: Call | None = None

    @property
    def actor(self) -> Actor:
        """Whoever asked for the job, with the rights of this moment; ask anew for each transaction.

        Revoked when they may not sign in any more.
        """
        return self.site.renewed(self.asked_by)

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
        if self.watch is not None:
            self.watch.extend()
        if updated.rowcount != 1:
            raise Lost("The job was cancelled or taken over by another worker.")

    def finish_in(self, connection: Connection, message: str = "") -> None:
        """End the job within the transaction of its effect: then that happens once, whatever dies when."""
        ended = connection.execute(
            update(job_table)
            .where(job_table.c.id == self.job_id, job_table.c.fence == self.fence, job_table.c.state == "running")
            .values(state="done", message=message[:2000], finished_at=utcnow(), leased_until=None)
        )
        if ended.rowcount != 1:
            raise Lost("The job was cancelled or taken over by another worker.")


def enqueue_job(
    connection: Connection, name: str, arguments: dict[str, Any], *, actor: Actor, due_at: dt.datetime | None = None,
    key: str = "",
) -> UUID:  # fmt: skip
    """Ask for work, in the caller's transaction: it starts only if that commits, and not before `due_at`.

    `key` names the effect: while a job of the same name and key waits, there will be no second; that one begins when
    the earlier of the two was to begin. Returns the id of the job that will do it.
    """
    job_id, now = uuid7(), utcnow()
    row: dict[str, Any] = {
        "id": job_id, "name": name, "arguments": arguments, "state": "waiting", "key": key, "due_at": due_at or now,
        "actor_id": actor.id, "created_at": now,
    }  # fmt: skip
    if not key:
        connection.execute(insert(job_table).values(row))
        return job_id
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(job_table).values(row)
    earlier = case((new.excluded.due_at < job_table.c.due_at, new.excluded.due_at), else_=job_table.c.due_at)
    once = new.on_conflict_do_update(
        index_elements=["name", "key"], index_where=WAITS_UNDER_KEY, set_={"due_at": earlier}
    ).returning(job_table.c.id)
    doing: UUID = connection.execute(once).scalar_one()
    return doing


def cancel_job(connection: Connection, job_id: UUID) -> None:
    """Stop a job: before it starts, or at its next step."""
    connection.execute(
        update(job_table)
        .where(job_table.c.id == job_id, job_table.c.state.in_(["waiting", "running"]))
        .values(state="cancelled", finished_at=utcnow(), leased_until=None)
    )


def retry_job(connection: Connection, job_id: UUID) -> None:
    """Have a job done that failed or was cancelled, as if it were asked for now. Conflict when it is not over."""
    again = update(job_table).where(job_table.c.id == job_id, job_table.c.state.in_(["failed", "cancelled"]))
    try:
        with connection.begin_nested():
            values = {"state": "waiting", "attempts": 0, "due_at": utcnow(), "finished_at": None, "leased_until": None}
            begun = connection.execute(again.values(**values)).rowcount
    except IntegrityError:
        raise Conflict(_("Another job waits to do the same.")) from None
    if not begun:
        raise Conflict(_("Only a job that failed or was cancelled can be done again."))


def count_jobs(connection: Connection) -> dict[str, int]:
    """How many jobs there are in each state; of many, MANY."""
    counts = {}
    for state in STATES:
        some = select(job_table.c.id).where(job_table.c.state == state).limit(MANY).subquery()
        counts[state] = connection.scalar(select(func.count()).select_from(some)) or 0
    return counts


def forget_old(context: JobContext) -> str:
    """Forget jobs that ended long ago; those that failed are kept longer, as somebody may want them sent again."""
    now, gone = utcnow(), 0
    for states, kept in ((("done", "cancelled"), KEPT_FOR), (("failed",), FAILED_KEPT_FOR)):
        old = (
            select(job_table.c.id).where(job_table.c.state.in_(states), job_table.c.finished_at < now - kept)
            .order_by(job_table.c.id).limit(FORGOTTEN_AT_ONCE)
        )  # fmt: skip
        while True:
            with context.site.db.write() as connection:
                forgotten = connection.execute(delete(job_table).where(job_table.c.id.in_(old))).rowcount
                gone += forgotten
                context.progress_in(connection, gone)
            if forgotten < FORGOTTEN_AT_ONCE:
                break
    return ""


FORGET_JOB = Job("core.forget_jobs", "Forget jobs that ended long ago", forget_old)
FORGET_SCHEDULE = Schedule("core.forget_jobs", FORGET_JOB.name, "daily at 03:50")


def run_next(site: Site) -> bool:
    """Take one due job and run it; False when none is due."""
    claimed = _claim(site)
    if claimed is not None:
        _run(site, *claimed)
    return claimed is not None


def run_released(site: Site, job_id: UUID, fence: int) -> bool:
    """Run a job that was handed over with this fence; False when that is no longer so, or its plugin is off."""
    handed_over = select(job_table).where(
        job_table.c.id == job_id, job_table.c.fence == fence, job_table.c.state.in_(["waiting", "running"]),
        job_table.c.name.in_(site.jobs.names()),
    )  # fmt: skip
    claimed = _take(site, handed_over, {})
    if claimed is not None:
        _run(site, *claimed)
    return claimed is not None


def release_jobs(site: Site) -> list[Released]:
    """The jobs to be handed to a broker: those that are due, and those handed over or begun and not heard of since.

    They are leased for as long as it may take until somebody begins; what is lost on the way is found again by that.
    """
    asked = _asked(site)
    now = asked["now"]
    with site.db.read() as connection:
        if all(connection.execute(each, asked).first() is None for each in _ANY_TO_RELEASE):
            return []
        under_way = select(job_table.c.id).where(job_table.c.state == "waiting", job_table.c.leased_until > now)
        room = MAX_RELEASED - len(connection.execute(under_way.limit(MAX_RELEASED)).all())
    released: list[Released] = []
    with site.db.write() as connection:
        for question in _TO_RELEASE if room > 0 else ():
            some = question.limit(min(room, RELEASED_AT_ONCE)).with_for_update(skip_locked=True)
            rows = connection.execute(some, asked).all()
            released += [Released(row.id, row.fence + (row.state == "running")) for row in rows]
        for job in released:  # with a higher fence, whoever began with the former one has lost it
            leased = update(job_table).where(job_table.c.id == job.id)
            connection.execute(leased.values(fence=job.fence, leased_until=now + LEASE))
    return released


def take_back(site: Site, released: Sequence[Released]) -> None:
    """They could not be handed over: look at them again at once."""
    with site.db.write() as connection:
        for job in released:
            held = update(job_table).where(job_table.c.id == job.id, job_table.c.fence == job.fence)
            connection.execute(held.values(leased_until=utcnow()))


def _run(
    site: Site, job_id: UUID, name: str, arguments: dict[str, Any], actor_id: UUID | None, fence: int, attempts: int
) -> None:
    job = site.jobs[name]
    actor = system(f"job {name}") if actor_id is None else site.actor(actor_id)
    if actor is None:
        _finish(site, job_id, fence, "failed", f"{name}: its user is no longer active.")
        return
    if attempts > job.attempts:  # it was started so often and never ended, not even by an error
        _finish(site, job_id, fence, "failed", f"{name}: each time it ran, its process ended or it hung.")
        return
    context = JobContext(site, actor, job_id, fence, attempts)
    try:
        message = _watched(context, name, lambda: job.run(context, **arguments))
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


def _watched(context: JobContext, name: str, run: Callable[[], Any]) -> Any:
    """A job without progress for as long as its lease has lost it, and is interrupted; each progress gives it more."""
    seconds = LEASE.total_seconds()
    context.watch = Call(seconds, lambda stack: log.error("the job %s makes no progress. It is here:\n%s", name, stack))
    context.watch.begin()
    try:
        try:
            return run()
        finally:
            context.watch.end()
    except Overdue:
        context.watch.end()
        raise RuntimeError(f"it made no progress for {seconds:g} seconds and was interrupted") from None


# Two questions, each of which one walk along an index answers, however many jobs wait for their time. They are written
# once: putting them together took longer than asking. The work of a plugin that is off or gone is not `ours`; it waits
# until that is back, or is purged.
_OURS = job_table.c.name.in_(bindparam("ours", expanding=True))
_DUE = (
    select(job_table)
    .where(job_table.c.state == "waiting", job_table.c.due_at <= bindparam("now"), _OURS)
    .order_by(job_table.c.due_at)
)
_LOST = (
    select(job_table)
    .where(job_table.c.state == "running", job_table.c.leased_until < bindparam("now"), _OURS)
    .order_by(job_table.c.leased_until)
)
_FREE = job_table.c.leased_until.is_(None) | (job_table.c.leased_until < bindparam("now"))
_TO_RUN = (_DUE.limit(1), _LOST.limit(1))
_TO_RELEASE = (_DUE.where(_FREE), _LOST)
_ANY_TO_RELEASE = tuple(each.limit(1) for each in _TO_RELEASE)


def _asked(site: Site) -> dict[str, Any]:
    return {"now": utcnow(), "ours": site.jobs.names()}


def _claim(site: Site) -> Claim | None:
    asked = _asked(site)
    with site.db.read() as connection:  # looking costs no write lock
        found = next((each for each in _TO_RUN if connection.execute(each, asked).first() is not None), None)
    return None if found is None else _take(site, found, asked)


def _take(site: Site, question: Select[Any], asked: Mapping[str, Any]) -> Claim | None:
    with site.db.write() as connection:
        row = connection.execute(question.with_for_update(skip_locked=True), asked).one_or_none()
        if row is None:
            return None
        connection.execute(
            update(job_table)
            .where(job_table.c.id == row.id)
            .values(state="running", fence=row.fence + 1, attempts=row.attempts + 1, leased_until=utcnow() + LEASE)
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
    again = (
        update(job_table)
        .where(job_table.c.id == job_id, job_table.c.fence == fence, job_table.c.state == "running")
        .values(
            state="waiting",
            message=f"{type(error).__name__}: {error}"[:2000],
            due_at=utcnow() + dt.timedelta(seconds=10 * 4**attempts),
            leased_until=None,
        )
    )
    try:
        with site.db.write() as connection:
            connection.execute(again)
    except IntegrityError:  # of the key: meanwhile it was asked for anew
        _finish(site, job_id, fence, "cancelled", f"It failed, and another one waits to do the same: {error}")
