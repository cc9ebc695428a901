"""Very many recipients and two workers: nobody twice, nobody past a cap, and a reason for each who is left out."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from rapport import Consent, Customer, Draft, FrequencyCap, Message, send_many, utcnow, uuid7
from rapport.entities import table_of
from rapport.testing.paper import sent
from tests.interactions.conftest import Desk

ROOT = Path(__file__).parents[2]
MANY = 400
"""Enough for two workers to be in each other's way; benchmarks/sending.py does it with 10,000."""


@pytest.mark.timeout(300)
def test_many_recipients_two_workers_and_nobody_twice(desk: Desk):
    import datetime as dt

    desk.clock.now = dt.datetime.now(dt.UTC)
    desk.no_quiet_hours()
    desk.create(FrequencyCap, name="One a week", most=1, days=7)
    people = customers(desk, MANY)
    with desk.site.write(desk.app.admin) as unit:
        drafts = [
            Draft("slip", each, "marketing", subject="Sale", body="Hello") for each in people for _twice in (1, 2)
        ]
        messages = send_many(unit, drafts)
    assert len(messages) == 2 * MANY
    # What a second campaign puts there at the same moment cannot know of the first, until it is about to go out.
    forced = [message.id for message in messages if "cap" in message.reason][: MANY // 4]
    with desk.site.db.write() as connection:
        from rapport import enqueue_job, system

        table = table_of(Message)
        connection.execute(table.update().where(table.c.id.in_(forced)).values(state="waiting"))
        for message_id in forced:
            enqueue_job(
                connection, "core.send", {"message_id": str(message_id)}, actor=system("t"), key=str(message_id)
            )
    config = desk.site.config
    command = [sys.executable, "-m", "tests.interactions.mortal", str(config.home), config.database_url,
               str(config.home / "paper")]  # fmt: skip
    workers = [subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
               for _each in range(2)]  # fmt: skip
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("worker 0\n")
        worker.stdin.close()
    for worker in workers:
        with worker:
            assert worker.stdout is not None
            assert '"code": 0' in worker.stdout.read()
    with desk.site.read(desk.app.admin) as reader:
        rows = reader.session.execute(select(Message.state, Message.reason)).all()
    reasons = Counter((row.state, row.reason) for row in rows)
    agreed = MANY // 2
    assert reasons == {
        ("sent", ""): agreed,
        ("refused", "The cap “One a week” is reached: at most 1 within 7 days."): agreed,
        ("refused", "They have not agreed to “News and offers” by this channel."): MANY // 2,
        ("refused", "They declined “News and offers”."): MANY // 2,
    }
    went = Counter(slip["to"] for slip in sent(desk.site))
    assert len(went) == agreed
    assert set(went.values()) == {1}


def customers(desk: Desk, count: int) -> list:
    """Half of them agreed, a quarter never did, a quarter declined."""
    purpose, now = desk.purpose("marketing"), utcnow()
    ids = [uuid7() for _each in range(count)]
    with desk.site.db.write() as connection:
        connection.execute(insert(table_of(Customer)), [
            {"id": each, "name": f"Customer {number}", "name_key": f"customer {number}", "tags": (), "custom": {},
             "email": f"c{number}@example.com", "time_zone": "UTC"}
            for number, each in enumerate(ids)
        ])  # fmt: skip
        connection.execute(insert(table_of(Consent)), [
            {"id": uuid7(), "customer_id": each, "purpose_id": purpose.id, "at": now, "custom": {},
             "state": "denied" if number % 4 == 3 else "granted"}
            for number, each in enumerate(ids) if number % 4 != 1
        ])  # fmt: skip
    return ids
