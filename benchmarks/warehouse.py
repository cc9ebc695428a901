"""How long the warehouse takes to fill and to answer, beside the same questions asked of the database itself.

    python benchmarks/warehouse.py                              ten million interactions on SQLite
    python benchmarks/warehouse.py --interactions 1000000       the short form
    python benchmarks/warehouse.py --postgresql                 on PostgreSQL: the test server, or RAPPORT_TEST_POSTGRES
    python benchmarks/warehouse.py --keep /somewhere            keep the site; a second run finds it and makes nothing

Filling, refreshing and asking each happen in a process of their own, which tells the most memory it took. Of several
tries the quickest counts: what else the machine does only ever makes them slower. `processor` is the time on the
processors, of the process and of those it started. The interactions are made by SQL,
past the unit of work, which is not what is measured here; the same number gives the same ones on both databases.
Prints a table and writes benchmarks/results/<date>-warehouse.json.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import platform
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, make_url, select, text

from rapport import Interaction, utcnow
from rapport.access import system
from rapport.config import Config
from rapport.entities import table_of
from rapport.lifecycle import enable, make_site
from rapport.site import Site
from rapport.testing.app import TestApp
from rapport.testing.databases import fresh_postgres

ROOT = Path(__file__).resolve().parents[1]
PER_CUSTOMER = 50
BEGIN = dt.datetime(2021, 11, 1, tzinfo=dt.UTC)
SPAN = 5 * 365 * 24 * 3600
OWNERS = 20
AIMS = {"fill": 10.0, "rfm": 1.0, "pivot": 0.3, "drill": None, "refresh": None}
MEMORY_AIM = 2_000
TITLES = {
    "fill": "filled from nothing", "refresh": "refreshed after a change of 1 %",
    "rfm": "RFM of every customer", "pivot": "pivot: month by kind by source", "drill": "drill to 50 records of a cell",
}  # fmt: skip


# Making the interactions ----------------------------------------------------------------------------------------------

# Spread by Knuth's multiplier; squared, so that a few customers have much and many have little.
HASH = "((n * 2654435761) % 4294967296) / 256"
CUSTOMER = "(((({hash}) * ({hash})) >> 24) * {customers}) >> 24"
KIND = "CASE ({hash}) % 10 WHEN 0 THEN 'meeting' WHEN 1 THEN 'meeting' WHEN 2 THEN 'email' WHEN 3 THEN 'email' WHEN 4 THEN 'email' WHEN 5 THEN 'call' WHEN 6 THEN 'call' WHEN 7 THEN 'call' ELSE 'note' END"  # noqa: E501
SOURCE = "CASE c % 5 WHEN 0 THEN 'fair' WHEN 1 THEN 'web' WHEN 2 THEN 'referral' WHEN 3 THEN 'cold call' ELSE '' END"
COUNTRY = "CASE c % 4 WHEN 0 THEN 'FR' WHEN 1 THEN 'DE' WHEN 2 THEN 'IR' ELSE 'IL' END"


class Maker:
    """Says the same rows in the SQL of SQLite and of PostgreSQL."""

    def __init__(self, site: Site, interactions: int, owners: Sequence[Any]) -> None:
        self.site = site
        self.sqlite = site.db.is_sqlite
        self.interactions = interactions
        self.customers = max(1, interactions // PER_CUSTOMER)
        whens = " ".join(f"WHEN {at} THEN {self.text_id(owner.hex)}" for at, owner in enumerate(owners))
        self.owner = f"CASE (n / 7) % {len(owners)} {whens} END"

    def text_id(self, hex_id: str) -> str:
        return f"'{hex_id}'" if self.sqlite else f"'{hex_id}'::uuid"

    def id(self, milliseconds: str, number: str, family: str) -> str:
        """An id as uuid7 makes them: by time, then by number."""
        if self.sqlite:
            return f"printf('%012x7%03x{family}%015x', {milliseconds}, {number} % 4096, {number})"
        return (
            f"(lpad(to_hex({milliseconds}), 12, '0') || '7' || lpad(to_hex({number} % 4096), 3, '0') || '{family}'"
            f" || lpad(to_hex({number}), 15, '0'))::uuid"
        )

    def moment(self, seconds: str) -> str:
        if self.sqlite:
            return f"strftime('%Y-%m-%d %H:%M:%S.000000', {seconds}, 'unixepoch')"
        return f"to_timestamp({seconds})"

    def numbers(self, name: str, count: int) -> str:
        if self.sqlite:
            return (f"(WITH RECURSIVE every(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM every WHERE n + 1 < {count}) "
                    f"SELECT n AS {name} FROM every)")  # fmt: skip
        return f"(SELECT n::bigint AS {name} FROM generate_series(0, {count - 1}) AS s(n)) AS numbers"

    def insert(self, table: str, values: dict[str, str], of: str) -> str:
        return f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {of}"

    def customer_id(self, number: str) -> str:
        return self.id(str(int(BEGIN.timestamp()) * 1000), number, "9")

    def statements(self) -> list[str]:
        """Customers, then interactions."""
        json_type = "" if self.sqlite else "::jsonb"
        address = f"('{{\"country\": \"' || {COUNTRY} || '\"}}'){json_type}"
        empty = dict.fromkeys(
            ("given_name", "family_name", "job_title", "email", "phone", "website", "time_zone", "industry", "note",
             "reference", "tags"), "''",
        )  # fmt: skip
        begin = self.moment(str(int(BEGIN.timestamp())))
        people = {
            "id": self.customer_id("c"), "version": "1", "kind": "'person'", "name": "'Customer ' || c",
            "name_key": "'customer ' || c", "address": address, "language": "'en'", "source": SOURCE,
            "created_at": begin, "updated_at": begin, "custom": f"'{{}}'{json_type}", **empty,
        }  # fmt: skip
        hashed = HASH if self.sqlite else f"({HASH})::bigint"
        seconds = f"({int(BEGIN.timestamp())} + n * {SPAN} / {self.interactions})"
        at = self.moment(seconds)
        ledger = {
            "id": self.id(f"{seconds} * 1000", "n", "8"), "version": "1",
            "customer_id": self.customer_id("(" + CUSTOMER.format(hash=hashed, customers=self.customers) + ")"),
            "kind": KIND.format(hash=hashed), "direction": "CASE n % 3 WHEN 0 THEN 'in' WHEN 1 THEN 'out' ELSE '' END",
            "at": at, "subject": "'About ' || (n % 100)", "body": "'What was said, and what is to be done about it.'",
            "outcome": "CASE n % 4 WHEN 0 THEN 'reached' ELSE '' END", "minutes": "n % 61", "about_entity": "''",
            "channel": "''", "source": "''", "owner_id": self.owner, "created_at": at, "updated_at": at,
            "custom": f"'{{}}'{json_type}",
        }  # fmt: skip
        return [
            self.insert("customer", people, self.numbers("c", self.customers)),
            self.insert("interaction", ledger, self.numbers("n", self.interactions)),
        ]

    def make(self) -> None:
        """Fill both tables. Indexes of the ledger that no question here uses are left out: they only cost time."""
        unused = [index.name for index in table_of(Interaction).indexes if index.name != "ix_interaction_timeline"]
        for index in [*unused, "ix_interaction_timeline"]:
            self.run(f"DROP INDEX {index}")
        for statement in self.statements():
            self.run(statement)
        self.run("CREATE INDEX ix_interaction_timeline ON interaction (customer_id, at, id)")
        self.run("ANALYZE")

    def run(self, statement: str) -> None:
        if self.sqlite:
            with contextlib.closing(sqlite3.connect(str(make_url(self.site.db.url).database))) as raw:
                raw.execute(statement)
                raw.commit()
        else:
            with self.site.db.write() as connection:
                connection.exec_driver_sql(statement.replace("%", "%%"))


def change_one_percent(site: Site) -> int:
    """Change every hundredth interaction, from the first to the last, and say so in the log as the write path does."""
    from rapport.records.log import change_log

    ledger = table_of(Interaction)
    some = ledger.c.subject == "About 7"
    with site.db.write() as connection:
        connection.execute(
            ledger.update().where(some).values(minutes=ledger.c.minutes + 1, version=ledger.c.version + 1)
        )
        nothing = text("'{}'" if site.db.is_sqlite else "'{}'::jsonb")
        logged = select(
            text("'system', 'system', 'interaction'"), ledger.c.id, text("'updated'"), ledger.c.version, nothing,
            ledger.c.updated_at, text("0"),
        )  # fmt: skip
        names = ["actor", "via", "entity", "record_id", "action", "version", "changes", "at", "depth"]
        connection.execute(insert(change_log).from_select(names, logged.where(some)))
        return connection.scalar(select(func.count()).select_from(ledger).where(some)) or 0


# The questions --------------------------------------------------------------------------------------------------------

RFM = """
SELECT customer_id, newest, often, minutes, ntile(5) OVER (ORDER BY newest) AS recency,
       ntile(5) OVER (ORDER BY often) AS frequency, ntile(5) OVER (ORDER BY minutes) AS worth
FROM (SELECT customer_id, max("at") AS newest, count(*) AS often, sum(minutes) AS minutes FROM interaction
      WHERE archived_at IS NULL GROUP BY customer_id) AS each
"""
PIVOT = """
SELECT {month} AS month, interaction.kind, customer.source, count(*)
FROM interaction JOIN customer ON customer.id = interaction.customer_id
WHERE interaction.archived_at IS NULL GROUP BY 1, 2, 3
"""
DRILL = """
SELECT interaction.* FROM interaction JOIN customer ON customer.id = interaction.customer_id
WHERE interaction.archived_at IS NULL AND {month} = {value} AND interaction.kind = 'call' AND customer.source = 'web'
ORDER BY interaction.at DESC, interaction.id DESC LIMIT 50
"""


def best(ask: Callable[[], Any], times: int) -> tuple[float, Any]:
    """The quickest of several tries, and the answer."""
    took, answered = [], None
    for _try in range(times):
        begun = time.perf_counter()
        answered = ask()
        took.append(time.perf_counter() - begun)
    return min(took), answered


def ask_warehouse(site: Site, times: int) -> dict[str, Any]:
    """The three questions, by the warehouse."""
    from rapport_warehouse import Question, answer, drill, warehouse

    def rfm() -> int:
        with warehouse(site) as connection:
            return len(connection.exec_driver_sql(RFM).all())

    asked = Question(
        measures=("core.interactions",), rows=("date.month",), columns=("core.interaction_kind", "core.customer_source")
    )
    with site.read(system("benchmark")) as reader:
        first, answered = best(lambda: answer(reader, asked), 1)
        pivot, answered = best(lambda: answer(reader, asked), times)
        middle = next(heading for heading in answered.rows if heading[0].key.startswith("2024-06"))
        columns = [tuple(member.key for member in heading) for heading in answered.columns]
        row, column = tuple(member.key for member in middle), ("call", "web")
        assert column in columns
        drilled, found = best(lambda: drill(reader, asked, row, column, "core.interactions", limit=50), times)
    rfm_took, people = best(rfm, times)
    total = sum(cell.value for cell in answered.cells.values())
    return {
        "rfm": rfm_took, "pivot": pivot, "pivot_first": first, "drill": drilled, "people": people, "total": total,
        "cells": len(answered.cells), "drilled": len(found.records),
    }  # fmt: skip


def ask_database(site: Site, times: int) -> dict[str, Any]:
    """The same of the database that people work with."""
    sqlite = site.db.is_sqlite
    month = "substr(interaction.at, 1, 7)" if sqlite else "date_trunc('month', interaction.at AT TIME ZONE 'UTC')"
    value = "'2024-06'" if sqlite else "timestamp '2024-06-01'"
    with site.db.read() as connection:

        def ask(statement: str) -> Callable[[], list[Any]]:
            return lambda: connection.exec_driver_sql(statement.format(month=month, value=value)).all()  # type: ignore[return-value]

        rfm, people = best(ask(RFM), times)
        pivot, cells = best(ask(PIVOT), times)
        drilled, found = best(ask(DRILL), times)
    return {
        "rfm": rfm, "pivot": pivot, "drill": drilled, "people": len(people), "cells": len(cells),
        "total": sum(cell[3] for cell in cells), "drilled": len(found),
    }  # fmt: skip


# Each in a process of its own -----------------------------------------------------------------------------------------


def opened(home: Path, database: str) -> Site:
    """The site in a folder."""
    return Site.open(Config(home=home, database_url=database, secret_key="benchmark"))


def child(options: argparse.Namespace) -> None:
    """Do one thing, and print what it took."""
    from rapport_warehouse import refresh

    site = opened(options.keep, options.database)
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if options.do == "warehouse":
        figures = ask_warehouse(site, options.times)
    elif options.do == "database":
        figures = ask_database(site, options.times if site.db.is_sqlite is False else 1)
    else:
        done = refresh(site, full=options.do == "fill")
        figures = {"seconds": done.seconds, "rows": done.rows, "full": done.full}
    site.close()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = [round(each.ru_utime + each.ru_stime, 1) for each in took]
    print(json.dumps({**figures, "megabytes": used // 1024, "begun_with": begun // 1024, "processor": seconds}))


def apart(options: argparse.Namespace, what: str) -> dict[str, Any]:
    """Do one thing in another process."""
    command = [sys.executable, __file__, "--do", what, "--keep", str(options.keep), "--database", options.database,
               "--times", str(options.times)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{what} failed:\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {what}: {found}", flush=True)
    return found


def made(options: argparse.Namespace) -> None:
    """Make the site with its interactions, unless it is there."""
    if (options.keep / "made").exists():
        return
    begun = time.perf_counter()
    config = Config(home=options.keep, database_url=options.database, secret_key="benchmark")
    make_site(config)
    enable(config, "warehouse")
    site = Site.open(config)
    app = TestApp(site)
    owners = [app.user(f"Owner {number}").id for number in range(OWNERS)]
    Maker(site, options.interactions, owners).make()
    site.close()
    (options.keep / "made").touch()
    print(f"{options.interactions:,} interactions made in {time.perf_counter() - begun:.0f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", type=int, default=10_000_000)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--database", default="", help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=Path, help="where the site is, or is to be")
    parser.add_argument("--times", type=int, default=3, help="of so many tries the quickest counts")
    parser.add_argument("--do", choices=["fill", "refresh", "warehouse", "database"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        child(options)
        return 0
    with contextlib.ExitStack() as stack:
        if options.keep is None:
            options.keep = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options.keep.mkdir(parents=True, exist_ok=True)
        options.keep = options.keep.resolve()
        if options.postgresql and not options.database:
            options.database = stack.enter_context(fresh_postgres())
        return measured(options)


def measured(options: argparse.Namespace) -> int:
    """Make, fill, change, refresh, ask; then the table."""
    kind = "PostgreSQL" if options.database else "SQLite"
    at = {"machine": platform.machine(), "processors": os.cpu_count(), "python": platform.python_version(),
          "load": os.getloadavg()[0]}  # fmt: skip
    print(f"{at['machine']}, {at['processors']} processors, Python {at['python']}, load {at['load']:.1f}", flush=True)
    made(options)
    fills = [apart(options, "fill") for _try in range(min(2, options.times))]
    fill = min(fills, key=lambda each: float(each["seconds"]))
    site = opened(options.keep, options.database)
    changed = change_one_percent(site)
    site.close()
    refreshed = apart(options, "refresh")
    assert not refreshed["full"]
    assert refreshed["rows"] == changed
    by_warehouse, by_database = apart(options, "warehouse"), apart(options, "database")
    for name in ("people", "cells", "total", "drilled"):
        assert by_warehouse[name] == by_database[name], (name, by_warehouse[name], by_database[name])
    took = {"fill": fill["seconds"], "refresh": refreshed["seconds"],
            **{name: by_warehouse[name] for name in ("rfm", "pivot", "drill")}}  # fmt: skip
    memory = {"fill": max(each["megabytes"] for each in fills), "refresh": refreshed["megabytes"],
              **dict.fromkeys(("rfm", "pivot", "drill"), by_warehouse["megabytes"])}  # fmt: skip
    print(
        f"\n| {options.interactions:,} interactions | warehouse, s | aim | {kind} itself, s | times as fast | peak MB |"
    )
    print("|---|---|---|---|---|---|")
    for name, title in TITLES.items():
        plain = by_database.get(name)
        aim = AIMS[name] if options.interactions == 10_000_000 else None
        print(f"| {title} | {took[name]:.2f} | {aim or ''} | {f'{plain:.2f}' if plain else ''} | "
              f"{f'{plain / took[name]:.0f}' if plain else ''} | {memory[name]:,} |")  # fmt: skip
    print(f"\nThe most memory: {max(memory.values()):,} MB; aim: below {MEMORY_AIM:,}.")
    write_results(options, {**at, "database": kind, "fill": fills, "refresh": refreshed, "warehouse": by_warehouse,
                            "plain": by_database})  # fmt: skip
    return 0


def write_results(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Keep the figures with what they were measured on."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    file = folder / f"{utcnow():%Y-%m-%d}-warehouse-{figures['database'].lower()}.json"
    kept = {"date": utcnow().isoformat(timespec="seconds"), "commit": commit, "interactions": options.interactions}
    file.write_text(json.dumps({**kept, **figures}, indent=1) + "\n", encoding="utf-8")
    print(f"Written to {file.relative_to(ROOT)}.")


if __name__ == "__main__":
    sys.exit(main())
