"""The way to the broker is slow, cut, or lost without a word: writing goes on, plugins hear, and every job is done."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select, update

from rapport import Customer, enqueue_job, utcnow
from rapport.config import load_config
from rapport.jobs import job_table
from rapport.testing.app import TestApp, make_test_site
from rapport.testing.brokers import drop_queue
from tests.faults.proxies import Mood, Proxy
from tests.faults.sites import wait_until, write_down
from tests.torture import LONG, tally, tries

pytestmark = [
    pytest.mark.timeout(tries(900, long=7_200)),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
MOODS: tuple[Mood, ...] = ("slow", "cut", "parted")


class Business:
    """Somebody who makes customers and asks for jobs, whatever the broker does, and notes how long each takes."""

    def __init__(self, app: TestApp) -> None:
        self.app = app
        self.asked: list[uuid.UUID] = []
        self.took: list[float] = []

    def write(self, count: int) -> None:
        for number in range(count):
            begun = time.monotonic()
            with self.app.site.write(self.app.admin) as unit:
                unit.create(Customer, {"name": f"Customer {len(self.asked)}-{number}"})
                connection = unit.session.connection()
                self.asked.append(enqueue_job(connection, "core.forget_jobs", {}, actor=self.app.admin))
            self.took.append(time.monotonic() - begun)

    def states(self) -> Counter[str]:
        with self.app.site.db.read() as connection:
            rows = connection.scalars(select(job_table.c.state).where(job_table.c.id.in_(self.asked)))
            return Counter(rows)

    def done(self) -> bool:
        return self.states()["done"] == len(self.asked)

    def told(self) -> bool:
        """Whether every customer has the card that a plugin gives them when it hears of them."""
        with self.app.site.db.read() as connection:
            cards = self.app.site.entities["loyalty.card"]
            there = select(func.count(Customer.id)).scalar_subquery(), select(func.count(cards.id)).scalar_subquery()
            customers, given = connection.execute(select(*there)).one()
            return bool(customers == given)

    def forget_leases(self) -> None:
        """As if the two minutes had passed after which somebody else begins."""
        with self.app.site.db.write() as connection:
            past = update(job_table).where(job_table.c.leased_until.is_not(None))
            connection.execute(past.values(leased_until=utcnow()))


@contextlib.contextmanager
def worker(home: Path) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "rapport_cli", "--home", str(home), "worker", "--threads", "2"]
    with (home / "worker.log").open("w", encoding="utf-8") as said:
        process = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT, text=True,
                                   env={**os.environ, "PYTHONUNBUFFERED": "1"})  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)
        print((home / "worker.log").read_text("utf-8"))


def test_through_a_bad_way_to_the_broker_nothing_is_lost(database_url: str, broker_url: str, tmp_path: Path):
    parts = urlsplit(broker_url)
    proxy = Proxy(str(parts.hostname), parts.port or 0)
    at = broker_url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{proxy.port}")
    key = uuid.uuid4().hex
    recovered: list[float] = []
    with make_test_site(tmp_path, database_url, plugins=["loyalty"]) as app, contextlib.closing(proxy):
        write_down(app.site.config, 8000, jobs="celery", broker_url=at, secret_key=key)
        business = Business(app)
        with worker(tmp_path) as process:
            business.write(5)
            wait_until(business.done, process)
            for mood in MOODS * tries(1, long=20):
                refused, held = proxy.refused, proxy.held
                proxy.mood = mood
                business.write(5)
                wait_until(lambda held=held, refused=refused: proxy.held > held or proxy.refused > refused, process)
                business.write(5)
                wait_until(business.told, process, 30)  # plugins hear of it by the same process
                assert mood == "slow" or not business.done(), "the control: the way was not bad at all"
                if mood == "parted":  # it does not wait for ever for who will never answer
                    wait_until(lambda: "does not answer" in (tmp_path / "worker.log").read_text("utf-8"), process)
                proxy.mood = "well"
                back = time.monotonic()
                business.write(5)
                business.forget_leases()
                wait_until(business.done, process, 90)
                recovered.append(time.monotonic() - back)
            if LONG:  # it also ends when it is told to, though Celery asks the broker several times before
                proxy.mood = "parted"
                business.write(1)
                process.terminate()
                assert process.wait(90) == 0
                proxy.mood = "well"
        with worker(tmp_path) as process:
            business.forget_leases()
            wait_until(business.done, process)
        assert business.states() == {"done": len(business.asked)}
        assert max(business.took) < 5, "who writes waits for no broker"
        drop_queue(load_config(tmp_path, {}, broker_url=broker_url))
    tally("D17", "jobs and events over a slow, cut, lost way to the broker", tried=2 * len(business.asked), lost=0,
          seconds_to_recover=round(max(recovered), 1), control="nothing is done while it is cut or lost")  # fmt: skip
    assert max(recovered) < 90
