"""A worker that is killed while it sends: nothing is lost, and what comes twice comes with the same id."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rapport.builtin.webhooks.model import Webhook
from tests.torture import tally
from tests.webhooks.receivers import Heard, receiver

MESSAGES = 6
WORKER = """
import datetime as dt, sys
from rapport.builtin.webhooks import sending
sending.LEASE = dt.timedelta(seconds=1)
from rapport_cli import main
sys.argv = ["rapport", "worker"]
main()
"""


@contextlib.contextmanager
def worker(home: Path, url: str, allow: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker in a process of its own, that waits a second for a sender it believes alive."""
    (home / "rapport.toml").write_text(f'database_url = "{url}"\noutbound_allow = ["{allow}"]\n')
    process = subprocess.Popen([sys.executable, "-c", WORKER], env={**os.environ, "RAPPORT_HOME": str(home)},
                               stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def test_a_worker_killed_while_it_sends_loses_nothing(make_app: Callable[..., Any], database_url: str, tmp_path: Path):
    running: list[subprocess.Popen[bytes]] = []

    def reply(heard: Heard) -> tuple[int, dict[str, str], bytes]:
        # It dies while it waits for this answer.
        if len(shop.heard) == 3:
            os.kill(running[-1].pid, signal.SIGKILL)
        return 204, {}, b""

    with receiver() as shop, make_app(outbound_allow=[shop.at]) as app:
        shop.reply = reply
        with app.site.write(app.admin) as unit:
            unit.create(Webhook, {"name": "Shop", "url": shop.url, "events": ["customer.created"]})
        with app.site.write(app.admin) as unit:
            from rapport import Customer

            expected = {str(unit.create(Customer, {"name": f"Number {n}"}).id) for n in range(MESSAGES)}
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with worker(tmp_path, database_url, shop.at) as process:
                running.append(process)
                while process.poll() is None and not _all_sent(app) and time.monotonic() < until:
                    time.sleep(0.05)
            if _all_sent(app):
                break
    ids: dict[str, set[str]] = {}
    for heard in shop.heard:
        record = json.loads(heard.body)["data"]["record_id"]
        ids.setdefault(record, set()).add(heard.headers["webhook-id"])
    assert set(ids) == expected, "nothing is lost"
    assert all(len(each) == 1 for each in ids.values()), "what comes twice has the same id"
    assert len(running) == 2
    assert len(shop.heard) == MESSAGES + 1
    tally("D1", "telling a receiver", tried=1, lost=0)
    tally("D5", "a webhook whose sender was killed", tried=1, lost=0, twice_with_the_same_id=1)


def _all_sent(app: Any) -> bool:
    hook = app.client.get("/api/v1/webhook").get_json()["items"][0]
    sent = app.client.get(f"/api/v1/webhook/{hook['id']}/messages?state=sent").get_json()["items"]
    return len(sent) == MESSAGES
