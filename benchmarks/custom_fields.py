"""How quickly lists filter and sort by fields an administrator added, beside a real indexed column in the same run.

    python benchmarks/custom_fields.py                              a million customers on SQLite
    python benchmarks/custom_fields.py --database postgresql+psycopg://…/empty      the same on an empty database
    python benchmarks/custom_fields.py --customers 50000            a quick look

Nine customers in ten have the three fields. Each figure is the median of several pages of 50, in milliseconds.
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from rapport.customers import Customer
from rapport.entities import table_of, utcnow, uuid7
from rapport.fit import CustomField
from rapport.testing import TestApp, make_test_site

AT_ONCE = 20_000
FIELDS: Sequence[dict[str, Any]] = (
    {"name": "x_tier", "label": "Tier", "kind": "choice", "choices": ["a", "b", "c", "d"]},
    {"name": "x_points", "label": "Points", "kind": "integer"},
    {"name": "x_since", "label": "Since", "kind": "date"},
)
# what it shows, custom: filter and sort, real column: filter and sort
CASES = (
    ("sort", "", "x_points", "", "name"),
    ("sort downwards", "", "-x_points", "", "-name"),
    ("find a few, sort by name", "x_points = 77", "name", 'reference = "77"', "name"),
    ("a narrow range, sorted by it", "x_points between 5 and 9", "x_points", 'name between "C5" and "C51"', "name"),
    ("filter by one, sort by another", 'x_tier = "b"', "x_points", 'source = "b"', "name"),
    ("two filters, sort by a third", 'x_tier = "b" and x_points > 9900', "-x_since",
     'source = "b" and reference starts "99"', "-name"),
    ("a wide range and a filter", 'x_since >= "2020-01-01" and x_tier = "a"', "x_since",
     'name >= "C5" and source = "a"', "name"),
    ("filter that nothing meets", 'x_tier = "d" and x_points < 0', "x_since", 'reference = "none"', "name"),
)  # fmt: skip


def fill(app: TestApp, customers: int) -> None:
    """Customers with random values, past the unit of work: that is not measured. Most are copies of the first ones."""
    chance, now = random.Random(1), utcnow()
    usual = {"version": 1, "created_at": now, "updated_at": now, "kind": "person", "given_name": "", "family_name": "",
             "job_title": "", "email": "", "phone": "", "website": "", "address": {}, "language": "", "industry": "",
             "tags": (), "note": ""}  # fmt: skip
    rows = []
    for number in range(min(customers, AT_ONCE)):
        custom = {
            "x_tier": chance.choice("abcd"),
            "x_points": chance.randrange(10_000),
            "x_since": dt.date(2000, 1, 1) + dt.timedelta(days=chance.randrange(9000)),
        }
        rows.append({
            **usual, "id": uuid7(), "name": f"C{number}", "name_key": f"c{number}",
            "reference": str(chance.randrange(10_000)), "source": chance.choice("abcd"),
            "custom": custom if chance.random() < 0.9 else {},
        })  # fmt: skip
    table, made = table_of(Customer), len(rows)
    names = [column.name for column in table.columns if column.name != "id"]
    new_id = func.lower(func.hex(func.randomblob(16))) if app.site.db.is_sqlite else func.gen_random_uuid()
    with app.site.db.write() as connection:
        connection.execute(insert(table), rows)
    while made < customers:
        number = min(made, customers - made)
        copied = select(new_id, *(table.c[name] for name in names)).limit(number)
        with app.site.db.write() as connection:
            connection.execute(insert(table).from_select(["id", *names], copied))
        made += number


def pages(app: TestApp, filter: str, sort: str, times: int) -> tuple[float, float]:
    """The first page and the next one, in milliseconds."""
    first, following = [], []
    for _ in range(times):
        start = time.perf_counter()
        with app.site.read(app.admin) as reader:
            page = reader.page(Customer, filter=filter or None, sort=sort, limit=50)
        first.append(time.perf_counter() - start)
        if page.next_cursor:
            start = time.perf_counter()
            with app.site.read(app.admin) as reader:
                reader.page(Customer, filter=filter or None, sort=sort, limit=50, cursor=page.next_cursor)
            following.append(time.perf_counter() - start)
    return statistics.median(first) * 1000, statistics.median(following) * 1000 if following else float("nan")


def main() -> None:
    """Make a site, fill it, index its fields, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--database", default="", help="the URL of an empty database; else SQLite in a new folder")
    parser.add_argument("--times", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with make_test_site(home, asked.database) as app, app.site.write(app.admin) as unit:
            for each in FIELDS:
                unit.create(CustomField, {"entity": "customer", **each})
        with make_test_site(home, asked.database) as app:
            start = time.perf_counter()
            fill(app, asked.customers)
            print(f"{asked.customers:,} customers on {app.site.db.reading.dialect.name}, "
                  f"{platform.machine()}, filled in {time.perf_counter() - start:.0f} s")  # fmt: skip
            start = time.perf_counter()
            with app.site.write(app.admin) as unit:
                for field in unit.reader.all(CustomField):
                    unit.update(field, {"indexed": True})
            print(f"three fields indexed in {time.perf_counter() - start:.1f} s\n")
            print(f"{'milliseconds':34}{'custom first':>14}{'next':>9}{'real first':>14}{'next':>9}")
            for title, *asks in CASES:
                custom, real = pages(app, asks[0], asks[1], asked.times), pages(app, asks[2], asks[3], asked.times)
                print(f"{title:34}{custom[0]:14.1f}{custom[1]:9.1f}{real[0]:14.1f}{real[1]:9.1f}", flush=True)


if __name__ == "__main__":
    main()
