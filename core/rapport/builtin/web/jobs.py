"""The administrators' page of jobs: what waits, runs and failed, and what plugins and followers could not be told."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, abort, g, render_template, request
from sqlalchemy import func, select, update
from werkzeug.wrappers import Response

from rapport.builtin.web.admin import admin_only
from rapport.builtin.web.context import go, toast
from rapport.entities import utcnow
from rapport.followers import drop_set_aside, follow_again, follower_table, set_aside_table
from rapport.http import current_site, needs
from rapport.jobs import MANY, STATES, cancel_job, count_jobs, job_table, retry_job
from rapport.records.log import change_log, delivery_table
from rapport.schedules import schedule_table

PAGE = 50


def add_pages(web: Blueprint) -> None:
    """The pages of jobs."""
    for path, view, methods in (
        ("/admin/jobs", jobs, ["GET"]),
        ("/admin/jobs/<uuid:job_id>/retry", retry, ["POST"]),
        ("/admin/jobs/<uuid:job_id>/cancel", cancel, ["POST"]),
        ("/admin/jobs/delivery/<int:delivery_id>/again", tell_again, ["POST"]),
        ("/admin/jobs/followed/<name>/<int:seq>/again", follow_once_more, ["POST"]),
        ("/admin/jobs/followed/<name>/<int:seq>/drop", drop, ["POST"]),
    ):
        web.add_url_rule(path, view_func=view, methods=methods)


@needs("")
def jobs() -> str:
    """Jobs in one of their states, newest first, and above them what needs somebody's attention."""
    admin_only()
    site = current_site()
    with site.db.read() as connection:
        counts = count_jobs(connection)
        asked = request.args.get("state", "")
        state = asked if asked in STATES else next((each for each in STATES if counts.get(each)), "waiting")
        statement = select(job_table).where(job_table.c.state == state).order_by(job_table.c.id.desc()).limit(PAGE + 1)
        if (before := request.args.get("before", type=UUID)) is not None:
            statement = statement.where(job_table.c.id < before)
        rows = connection.execute(statement).all()
        page: dict[str, Any] = {
            "dead": connection.execute(_dead()).all(),
            "aside": connection.execute(_aside()).all(),
            "stuck": connection.execute(select(follower_table).where(follower_table.c.attempts > 0)).all(),
            "untold": connection.scalar(
                select(func.count()).select_from(delivery_table).where(delivery_table.c.state == "waiting")
            ),
            "schedules": connection.execute(select(schedule_table).order_by(schedule_table.c.due_at)).all(),
        }
    more = f"/admin/jobs?state={state}&before={rows[PAGE - 1].id}" if len(rows) > PAGE else ""
    page["schedules"] = [row for row in page["schedules"] if row.name in site.schedules]
    return render_template(
        "pages/admin/jobs.html", jobs=rows[:PAGE], state=state, counts=counts, more=more,
        titles={job.name: job.title for job in site.jobs}, known={each.name: each for each in site.schedules},
        kinds={entity.meta.name: entity.meta.title for entity in site.entities}, many=MANY, **page,
    )  # fmt: skip


def _dead() -> Any:
    return select(delivery_table).where(delivery_table.c.state == "dead").order_by(delivery_table.c.id).limit(PAGE)


def _aside() -> Any:
    """What followers could not follow, with the change it is about."""
    return (
        select(set_aside_table, change_log.c.entity, change_log.c.action, change_log.c.record_id)
        .join(change_log, change_log.c.seq == set_aside_table.c.seq)
        .order_by(set_aside_table.c.at)
        .limit(PAGE)
    )


@needs("")
def retry(job_id: UUID) -> Response:
    """Have a job done that failed or was cancelled."""
    admin_only()
    with current_site().db.write() as connection:
        retry_job(connection, job_id)
    current_site().wake()
    toast(g.texts.gettext("It begins in a moment."))
    return go("/admin/jobs?state=waiting")


@needs("")
def cancel(job_id: UUID) -> Response:
    """Stop a job, before it begins or at its next step."""
    admin_only()
    with current_site().db.write() as connection:
        cancel_job(connection, job_id)
    toast(g.texts.gettext("It is cancelled."))
    return go("/admin/jobs?state=cancelled")


@needs("")
def tell_again(delivery_id: int) -> Response:
    """Try once more what a plugin could not be told."""
    admin_only()
    with current_site().db.write() as connection:
        again = update(delivery_table).where(delivery_table.c.id == delivery_id)
        connection.execute(again.values(state="waiting", attempts=0, due_at=utcnow()))
    current_site().wake()
    return go("/admin/jobs")


@needs("")
def follow_once_more(name: str, seq: int) -> Response:
    """Have a change followed that was set aside."""
    admin_only()
    if name not in current_site().followers:
        abort(404)
    error = follow_again(current_site(), name, seq)
    if error is None:
        toast(g.texts.gettext("It is done."))
    else:
        toast(error, "danger")
    return go("/admin/jobs")


@needs("")
def drop(name: str, seq: int) -> Response:
    """Let a change go that was set aside."""
    admin_only()
    with current_site().db.write() as connection:
        drop_set_aside(connection, name, seq)
    return go("/admin/jobs")
