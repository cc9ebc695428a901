"""Watching a site from outside: its figures at /metrics, for who has the token."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

from sqlalchemy import update

from rapport import enqueue_job, utcnow
from rapport.jobs import job_table
from rapport.testing import make_test_site

TOKEN = "figures for the monitoring only"


def figures(page: str) -> dict[str, float]:
    """Every figure of the page, by name and labels."""
    lines = [line for line in page.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_the_figures_tell_what_was_asked_and_what_waits(tmp_path: Path, database_url: str) -> None:
    with make_test_site(tmp_path, database_url, metrics_token=TOKEN) as app:
        browser = app.flask.test_client()

        def ask() -> dict[str, float]:
            answer = browser.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
            assert answer.status_code == 200
            assert answer.content_type.startswith("text/plain")
            return figures(answer.text)

        for headers in ({}, {"Authorization": "Bearer somebody else's"}, {"Authorization": f"Basic {TOKEN}"}):
            refused = browser.get("/metrics", headers=headers)
            assert refused.status_code == 401
            assert "rapport_" not in refused.text

        app.settle()
        before = ask()
        with app.site.db.write() as connection:
            for name in ("core.forget_jobs", "core.forget_files"):
                job = enqueue_job(connection, name, {}, actor=app.admin)
            waits = job_table.c.id == job
            connection.execute(update(job_table).where(waits).values(due_at=utcnow() - dt.timedelta(minutes=10)))
        app.api(app.admin).post("/api/v1/customer", json={"name": "Ada"})
        browser.get("/api/v1/customer/nobody")
        after = ask()

        assert after['rapport_jobs{state="waiting"}'] - before['rapport_jobs{state="waiting"}'] == 2
        assert 600 <= after["rapport_jobs_oldest_seconds"] < 700
        assert after['rapport_followers_behind{follower="core.workflows"}'] > 0
        created = 'rapport_requests_total{method="POST",route="/api/v1/customer",status="201"}'
        assert after[created] - before.get(created, 0) == 1
        timed = 'rapport_request_seconds_count{method="POST",route="/api/v1/customer"}'
        assert after[timed] - before.get(timed, 0) == 1
        assert not [name for name in after if "nobody" in name], "an address has become a label"
        assert after["rapport_database_bytes"] > 10_000
        assert 0 < after["rapport_database_seconds"] < 5
        assert after["rapport_outbox_oldest_seconds"] == 0
        assert after['rapport_plugins{state="troubled"}'] == 0

        with app.site.db.write() as connection:
            connection.execute(update(job_table).where(waits).values(state="failed"))
        app.settle()
        ended = ask()
        assert ended['rapport_jobs{state="failed"}'] - before['rapport_jobs{state="failed"}'] == 1
        assert ended['rapport_jobs{state="waiting"}'] == before['rapport_jobs{state="waiting"}']
        assert ended["rapport_jobs_oldest_seconds"] == 0


def test_a_site_without_a_token_shows_no_figures(app) -> None:  # type: ignore[no-untyped-def]
    answer = app.flask.test_client().get("/metrics", headers={"Authorization": "Bearer "})
    assert answer.status_code != 200
    assert not re.search(r"^rapport_", answer.text, re.MULTILINE)
