"""The administrators' page of jobs: what waits and failed, done again or stopped; nobody else sees it."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from sqlalchemy import insert, select, update

from rapport import Customer, Follower, Task, enqueue_job, system, utcnow
from rapport.followers import MAX_ATTEMPTS, follow_all, take_places
from rapport.jobs import job_table
from rapport.records.log import delivery_table

from .conftest import Person


def ask(app: Any, state: str, **values: Any) -> Any:
    with app.site.db.write() as connection:
        job_id = enqueue_job(
            connection, "core.forget_jobs", {}, actor=system("test"), due_at=utcnow() + dt.timedelta(hours=1)
        )
        connection.execute(update(job_table).where(job_table.c.id == job_id).values(state=state, **values))
    return job_id


def state_of(app: Any, job_id: Any) -> str:
    with app.site.db.read() as connection:
        return connection.execute(select(job_table.c.state).where(job_table.c.id == job_id)).scalar_one()


def test_what_failed_comes_first_and_is_done_again_or_stopped(app):
    ada = Person(app)
    assert "Nothing to do" in ada.opens("/admin/jobs?state=running")
    failed = ask(app, "failed", message="the server is away", finished_at=utcnow())
    waiting = ask(app, "waiting")
    page = ada.opens("/admin/jobs")
    assert "Forget jobs that ended long ago" in page
    assert "the server is away" in page
    ada.sends(f"/admin/jobs/{failed}/retry")
    assert "It begins in a moment." in ada.page
    assert state_of(app, failed) == "waiting"
    ada.sends(f"/admin/jobs/{waiting}/cancel")
    assert state_of(app, waiting) == "cancelled"
    ada.sends(f"/admin/jobs/{failed}/retry", status=409)
    app.settle()
    assert state_of(app, failed) == "done"


def test_a_job_under_way_shows_how_far_it_is(app):
    ask(app, "running", done=3, total=4, message="Row 3", leased_until=utcnow() + dt.timedelta(minutes=2))
    page = Person(app).opens("/admin/jobs")
    assert 'max="4" value="3"' in page
    assert "Row 3" in page


def test_what_plugins_and_followers_could_not_be_told_is_tried_again_or_let_go(app, clock):
    broken = ["Ada", "Bob"]

    def follow(unit: Any, changes: Any) -> None:
        if changes[0].changes["name"][1] in broken:
            raise RuntimeError("not today")
        unit.create(Task, {"title": f"Greet {changes[0].changes['name'][1]}"})

    app.site.followers._frozen = False
    app.site.followers.add("core", Follower("core.trial", follow, lambda site: ["customer"]))
    take_places(app.site)
    with app.site.write(app.admin) as unit:
        for name in broken:
            unit.create(Customer, {"name": name})
    follow_all(app.site)
    dead = {"plugin": "core", "hook": "customer_created", "arguments": {}, "state": "dead", "error": "no ears"}
    with app.site.db.write() as connection:
        connection.execute(insert(delivery_table).values(due_at=utcnow(), **dead))
    page = Person(app).opens("/admin/jobs")
    assert "no ears" in page
    assert "core.trial fails and is tried again" in page
    for _ in range(2 * MAX_ATTEMPTS):
        clock.forward(hours=1)
        follow_all(app.site)
    ada = Person(app)
    page = ada.opens("/admin/jobs")
    assert page.count("RuntimeError: not today") == 2
    first, second = re.findall(r"/admin/jobs/followed/core\.trial/(\d+)/again", page)
    ada.sends(f"/admin/jobs/followed/core.trial/{first}/again")
    assert "RuntimeError: not today" in ada.page
    broken.clear()
    ada.sends(f"/admin/jobs/followed/core.trial/{first}/again")
    ada.sends(f"/admin/jobs/followed/core.trial/{second}/drop")
    assert "RuntimeError" not in ada.page
    with app.site.read(app.admin) as reader:
        assert [task.title for task in reader.all(Task)] == ["Greet Ada"]


def test_nobody_else_sees_or_touches_jobs(app, actors):
    job = ask(app, "failed", finished_at=utcnow())
    for actor in (actors.manager, actors.member, actors.viewer):
        person = Person(app, actor)
        person.opens("/")
        person.sends(f"/admin/jobs/{job}/retry", status=403)
        person.opens("/admin/jobs", status=403)
    assert state_of(app, job) == "failed"


def test_the_page_asks_no_more_for_many_jobs_than_for_few(app):
    browser = app.browser()
    ask(app, "waiting")
    with app.queries() as few:
        browser.get("/admin/jobs?state=waiting")
    for _ in range(60):
        ask(app, "waiting")
    with app.queries() as many:
        page = browser.get("/admin/jobs?state=waiting").get_data(as_text=True)
    assert len(many) <= len(few)
    assert "Older" in page
