"""What the warehouse brings to Rapport: a table of contents."""

from __future__ import annotations

import click

from rapport import Job, Schedule, hookimpl
from rapport_warehouse import commands, jobs


@hookimpl
def register_jobs() -> list[Job]:
    return [Job(jobs.REFRESH, "Bring the warehouse up to date", jobs.run_refresh, attempts=2)]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule("warehouse.refresh", jobs.REFRESH, "every 15 minutes")]


@hookimpl
def register_commands() -> list[click.Command]:
    return [commands.refresh_now, commands.show_status]
