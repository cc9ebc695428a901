"""Killed at every point of sending: nothing is lost, nothing goes out twice, and what is in doubt is listed."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rapport import Message
from rapport.testing.paper import sent
from tests.interactions.conftest import Desk

ROOT = Path(__file__).parents[2]
LEASE_AND_MORE = 180


class Mortals:
    """The way to the processes that may die: `mortals.do("worker", 3)`."""

    def __init__(self, desk: Desk) -> None:
        config = desk.site.config
        command = [sys.executable, "-m", "tests.interactions.mortal", str(config.home), config.database_url,
                   str(config.home / "paper")]  # fmt: skip
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, what: str, kill_at: int = 0) -> dict[str, Any]:
        """Have a fresh process do all that is due, and die at a write. How it ended, and how many writes there were."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what} {kill_at}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert answer["code"] == 0 or (answer["code"] == -9 and kill_at)
        return answer

    def close(self) -> None:
        """No more of them."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


@pytest.fixture
def mortals(desk: Desk) -> Iterator[Mortals]:
    """See Mortals."""
    made = Mortals(desk)
    yield made
    made.close()


def outcome(desk: Desk, message: Message) -> tuple[str, int]:
    """Its state, and how often it went out."""
    count = sum(slip["message"] == str(message.id) for slip in sent(desk.site))
    return desk.look(message).state, count


@pytest.mark.timeout(300)  # some thirty processes, each killed at another write
@pytest.mark.parametrize("what", ["worker", "careless"])
def test_no_message_is_lost_or_sent_twice_wherever_the_process_is_killed(desk: Desk, mortals: Mortals, what: str):
    desk.clock.now = dt.datetime.now(dt.UTC)  # other processes have no clock of the test's
    ada = desk.person("Ada")
    desk.write(ada, purpose="service")
    steps = int(mortals.do(what)["writes"])
    messages = []
    for point in range(1, steps + 1, 1 if what == "worker" else 3):
        desk.clock.now = dt.datetime.now(dt.UTC)
        messages.append(desk.write(ada, purpose="service", body=f"Killed at {point}"))
        mortals.do(what, point)
    desk.clock.now = dt.datetime.now(dt.UTC)
    desk.settle(seconds=LEASE_AND_MORE)  # the leases of the dead have ended; another worker goes on
    ends = Counter(outcome(desk, message) for message in messages)
    if what == "careless":
        assert ends["sent", 2], "a control that finds nothing proves nothing"
        return
    assert set(ends) <= {("sent", 1), ("doubtful", 0), ("doubtful", 1)}, ends
    assert ends["sent", 1] >= 2
    assert ends["doubtful", 1] >= 1
    listed = desk.app.client.get("/api/v1/message", query_string={"filter": 'state = "doubtful"'}).json["items"]
    assert len(listed) == ends["doubtful", 0] + ends["doubtful", 1]
