"""Jobs from the terminal."""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path

from sqlalchemy import update

from rapport import enqueue_job, system, utcnow
from rapport.jobs import job_table

from .conftest import Type, opened


def test_a_job_that_failed_is_found_and_done_again(type_: Type, sqlite_home: Path) -> None:
    with opened(sqlite_home) as site, site.db.write() as connection:
        job = enqueue_job(connection, "core.forget_jobs", {}, actor=system("test"))
        failed = {"state": "failed", "message": "the disk is full", "finished_at": utcnow()}
        connection.execute(update(job_table).values(**failed))
        later = utcnow() + dt.timedelta(days=1)
        other = enqueue_job(connection, "core.forget_jobs", {}, actor=system("test"), due_at=later)
    assert f"rapport jobs retry {job}" in type_("--home", sqlite_home, "doctor").output
    listed = type_("--home", sqlite_home, "jobs", "list").output.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [
        [str(other), "core.forget_jobs", "waiting"], [str(job), "core.forget_jobs", "failed"],
    ]  # fmt: skip
    assert "the disk is full" in listed[2]
    assert type_("--home", sqlite_home, "jobs", "retry", job).exit_code == 0
    assert type_("--home", sqlite_home, "jobs", "cancel", other).exit_code == 0
    listed = type_("--home", sqlite_home, "jobs", "list", "waiting", "cancelled").output
    assert [line.split()[2] for line in listed.splitlines()[1:]] == ["cancelled", "waiting"]


def test_what_cannot_be_done_again_or_cancelled_is_said(type_: Type, sqlite_home: Path) -> None:
    missing = uuid.uuid4()
    assert type_("--home", sqlite_home, "jobs", "retry", missing).stderr == (
        f"There is no job {missing}. See: rapport jobs list\n"
    )
    with opened(sqlite_home) as site, site.db.write() as connection:
        job = enqueue_job(connection, "core.forget_jobs", {}, actor=system("test"))
    answer = type_("--home", sqlite_home, "jobs", "retry", job)
    assert answer.stderr == "Only a job that failed or was cancelled can be done again.\n"


def test_a_broker_that_is_missing_or_silent_is_said(type_: Type, sqlite_home: Path) -> None:
    settings = sqlite_home / "rapport.toml"
    before = settings.read_text("utf-8")
    for lines, said in (
        ('jobs = "rabbits"', '(in rapport.toml, or RAPPORT_JOBS) must be "threads" or "celery", not "rabbits".'),
        ('jobs = "celery"', 'needs a broker. Name it: broker_url = "redis://127.0.0.1:6379/0"'),
        (
            'jobs = "celery"\nbroker_url = "kafka://there"',
            "must begin with one of redis://, rediss://, amqp://, amqps://.",
        ),
    ):
        settings.write_text(f"{before}\n{lines}\n", "utf-8")
        answer = type_("--home", sqlite_home, "worker")
        assert answer.exit_code == 1
        assert said in answer.stderr
    settings.write_text(f'{before}\njobs = "celery"\nbroker_url = "redis://127.0.0.1:1"\n', "utf-8")
    answer = type_("--home", sqlite_home, "doctor")
    assert answer.exit_code == 1
    assert "The broker at broker_url does not answer" in answer.output
