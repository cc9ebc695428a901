"""Ten thousand recipients through the gate and two workers: how long it takes, and that nobody gets it twice.

python benchmarks/sending.py --people 10000
python benchmarks/sending.py --database postgresql://root@127.0.0.1/scratch
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import importlib_metadata
from sqlalchemy import func, select

from rapport import Consent, Customer, Draft, FrequencyCap, Message, Purpose, QuietHours, send_many, utcnow, uuid7
from rapport.access import system
from rapport.entities import table_of
from rapport.testing import make_test_site
from rapport.testing.paper import install, sent

WORKERS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description="Send to very many people, with two workers.")
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--database", default="", help="an empty database; SQLite in a scratch directory if left out")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.interactions.deeds import send_all
    from tests.mortal import mortals

    with tempfile.TemporaryDirectory() as folder:
        installed = Path(folder) / "installed"
        install(installed)
        sys.path.insert(0, str(installed))
        importlib_metadata.MetadataPathFinder.invalidate_caches()
        with make_test_site(Path(folder), options.database, plugins=["paper"]) as app:
            site, actor = app.site, system("benchmark")
            with site.read(actor) as reader:
                (marketing,) = reader.all(Purpose, Purpose.name == "marketing")
            with site.write(actor) as unit:
                for hours in unit.reader.all(QuietHours):
                    unit.delete(hours)
                unit.create(FrequencyCap, {"name": "One a week", "most": 1, "days": 7})
            people = [uuid7() for _each in range(options.people)]
            with site.db.write() as connection:
                connection.execute(table_of(Customer).insert(), [
                    {"id": each, "name": f"Customer {number}", "name_key": f"customer {number}", "tags": (),
                     "email": f"c{number}@example.com", "custom": {}}
                    for number, each in enumerate(people)
                ])  # fmt: skip
                connection.execute(table_of(Consent).insert(), [
                    {"id": uuid7(), "customer_id": each, "purpose_id": marketing.id, "at": utcnow(), "custom": {},
                     "state": "granted"}
                    for each in people[::2]
                ])  # fmt: skip
            started = time.perf_counter()
            for start in range(0, len(people), 1000):
                with site.write(actor) as unit:
                    part = people[start : start + 1000]
                    send_many(unit, [Draft("slip", each, "marketing", body="Hello") for each in part])
            queued = time.perf_counter() - started
            started = time.perf_counter()
            with contextlib.ExitStack() as stack:
                workers = [stack.enter_context(mortals(installed)) for _each in range(WORKERS)]
                for worker in workers:
                    worker.start(site.config, send_all)
                for worker in workers:
                    worker.end()
            took = time.perf_counter() - started
            with site.read(actor) as reader:
                states = dict(
                    row._tuple() for row in reader.session.execute(
                        select(Message.state, func.count()).group_by(Message.state))
                )  # fmt: skip
            went = Counter(slip["to"] for slip in sent(site))
            rate = len(went) / took
            print(
                f"through the gate: {options.people / queued:,.0f} a second; sent by two workers: {rate:,.0f} a second"
            )
            print(f"{states}; to {len(went):,} people, at most {max(went.values())} each")


if __name__ == "__main__":
    main()
