"""Very many recipients and two workers: nobody twice, nobody past a cap, and a reason for each who is left out."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import insert, select

from rapport import Consent, Customer, Draft, FrequencyCap, Message, send_many, utcnow, uuid7
from rapport.entities import table_of
from rapport.testing.paper import sent
from tests.interactions.conftest import Desk
from tests.interactions.deeds import send_all
from tests.mortal import mortals

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
    with mortals(config.home / "paper") as one, mortals(config.home / "paper") as other:
        for each in (one, other):
            each.start(config, send_all)
        assert {one.end().how, other.end().how} == {"done"}
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
