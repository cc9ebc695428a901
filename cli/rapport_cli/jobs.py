"""Jobs from the terminal: see what waits, runs and failed, have it done again, stop it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from uuid import UUID

import click

from rapport_cli.place import Place
from rapport_cli.speak import Refusal, good, note, table

if TYPE_CHECKING:
    from sqlalchemy import Connection

STATES = ("waiting", "running", "failed", "done", "cancelled")
SHOWN = 50


@click.group()
def jobs() -> None:
    """See jobs, have them done again, cancel them."""


@jobs.command("list")
@click.argument("states", nargs=-1, type=click.Choice(STATES))
@click.option("--limit", default=SHOWN, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@click.pass_obj
def list_(place: Place, states: tuple[str, ...], limit: int) -> None:
    """List jobs, the newest first: of these STATES, else those that wait, run or failed."""
    from sqlalchemy import select

    from rapport.jobs import job_table

    wanted = states or STATES[:3]
    newest = select(job_table).where(job_table.c.state.in_(wanted)).order_by(job_table.c.id.desc()).limit(limit)
    with place.site() as site, site.db.read() as connection:
        rows = connection.execute(newest).all()
    table(
        ("id", "job", "state", "begins", "attempts", "progress", "message"),
        [
            (row.id, row.name, row.state, _shown(row.due_at), row.attempts,
             f"{row.done}/{row.total}" if row.total else "", row.message.partition("\n")[0])
            for row in rows
        ],
    )  # fmt: skip
    if len(rows) == limit:
        note(f"There may be more; these are the newest {limit}. See --limit.")


@jobs.command()
@click.argument("job_id", metavar="ID", type=click.UUID)
@click.pass_obj
def retry(place: Place, job_id: UUID) -> None:
    """Have a job done again that failed or was cancelled."""
    from rapport.jobs import retry_job

    with place.site() as site, site.db.write() as connection:
        _find(connection, job_id)
        retry_job(connection, job_id)
    good("It waits, and begins as soon as a worker is free.")


@jobs.command()
@click.argument("job_id", metavar="ID", type=click.UUID)
@click.pass_obj
def cancel(place: Place, job_id: UUID) -> None:
    """Cancel a job, before it begins or at its next step."""
    from rapport.jobs import cancel_job

    with place.site() as site, site.db.write() as connection:
        state = _find(connection, job_id)
        if state not in {"waiting", "running"}:
            raise Refusal(f"It is over already: {state}.")
        cancel_job(connection, job_id)
    good("It is cancelled.")


def _find(connection: Connection, job_id: UUID) -> str:
    from sqlalchemy import select

    from rapport.jobs import job_table

    state: str | None = connection.scalar(select(job_table.c.state).where(job_table.c.id == job_id))
    if state is None:
        raise Refusal(f"There is no job {job_id}. See: rapport jobs list")
    return state


def _shown(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")
