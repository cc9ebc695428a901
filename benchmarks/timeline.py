"""How the newest 50 of a customer's timeline fare as the ledger grows: the time should not depend on how much there is.

python benchmarks/timeline.py --small 100000 --large 1000000
python benchmarks/timeline.py --large 10000000 --database postgresql://root@127.0.0.1/scratch
"""

from __future__ import annotations

import argparse
import datetime as dt
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from rapport import Customer, Interaction, Participant, utcnow, uuid7
from rapport.access import system
from rapport.config import Config
from rapport.customers.service import timeline
from rapport.db.engine import insert_rows
from rapport.entities import table_of
from rapport.lifecycle import make_site
from rapport.site import Site

PER_CUSTOMER = 200
AT_ONCE = 5_000
LOOKS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the newest 50 of a customer, with few and many.")
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--database", default="", help="an empty database; SQLite in a scratch directory if left out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Config(home=Path(folder), database_url=options.database, secret_key="benchmark")
        make_site(config)
        site = Site.open(config)
        people: list[UUID] = []
        small = grown(site, people, options.small)
        large = grown(site, people, options.large)
        print(f"{options.small:>12,}: {small * 1000:.2f} ms")
        print(f"{options.large:>12,}: {large * 1000:.2f} ms, {large / small:.2f} times as long")
        site.close()


def grown(site: Site, people: list[UUID], count: int) -> float:
    """Fill the ledger up to so many, and return the median time of a look at somebody's newest 50."""
    have = len(people) * PER_CUSTOMER
    fresh = [uuid7() for _each in range(max(0, (count - have) // PER_CUSTOMER))]
    people += fresh
    with site.db.write() as connection:
        for part in parts([_person(each) for each in fresh]):
            connection.execute(insert(table_of(Customer)), part)
    begin = utcnow() - dt.timedelta(days=3650)
    rows = []
    for number in range(len(fresh) * PER_CUSTOMER):  # by time, as they happen, not customer by customer
        rows.append(_interaction(random.choice(fresh), begin + dt.timedelta(minutes=number)))
        if len(rows) == AT_ONCE:
            _insert(site, rows, people)
            rows = []
    _insert(site, rows, people)
    times = []
    for _look in range(LOOKS):
        customer_id = random.choice(people)
        with site.read(system("benchmark")) as reader:
            started = time.perf_counter()
            page = timeline(reader, customer_id, limit=50)
            times.append(time.perf_counter() - started)
        assert len(page.items) == 50
    return statistics.median(times)


def _insert(site: Site, rows: list[dict[str, Any]], people: list[UUID]) -> None:
    if rows:
        took_part = [
            {"id": uuid7(), "version": 1, "interaction_id": row["id"], "role": "attendee", "address": "", "name": "",
             "customer_id": random.choice(people), "at": row["at"], "created_at": row["at"], "updated_at": row["at"],
             "custom": {}}
            for row in rows[::10]
        ]  # fmt: skip
        with site.db.write() as connection:
            insert_rows(connection, table_of(Interaction), rows)
            insert_rows(connection, table_of(Participant), took_part)


def _interaction(customer_id: UUID, at: dt.datetime) -> dict[str, Any]:
    return {
        "id": uuid7(), "version": 1, "customer_id": customer_id, "kind": "note", "direction": "", "at": at,
        "subject": "A note", "body": "What was said. " * 10, "outcome": "", "about_entity": "", "channel": "",
        "source": "", "created_at": at, "updated_at": at, "custom": {},
    }  # fmt: skip


def _person(person_id: UUID) -> dict[str, Any]:
    return {"id": person_id, "name": "Somebody", "name_key": "somebody", "tags": (), "custom": {}}


def parts(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """So many at a time."""
    return (rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE))


if __name__ == "__main__":
    main()
