"""Killed at every point of sending: nothing is lost, nothing goes out twice, and what is in doubt is listed."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import pytest

from rapport import Message
from rapport.testing.paper import sent
from tests.interactions.conftest import Desk
from tests.interactions.deeds import send_all
from tests.mortal import mortals
from tests.torture import tally

LEASE_AND_MORE = 180


def outcome(desk: Desk, message: Message) -> tuple[str, int]:
    """Its state, and how often it went out."""
    count = sum(slip["message"] == str(message.id) for slip in sent(desk.site))
    return desk.look(message).state, count


@pytest.mark.timeout(300)  # some thirty processes, each killed at another write
@pytest.mark.parametrize("what", ["worker", "careless"])
def test_no_message_is_lost_or_sent_twice_wherever_the_process_is_killed(desk: Desk, what: str):
    ada = desk.person("Ada")
    desk.clock.now = dt.datetime.now(dt.UTC)  # other processes have no clock of the test's: what is ahead is not due
    desk.write(ada, purpose="service")
    config, messages = desk.site.config, []
    with mortals(config.home / "paper", keep=config) as killable:
        steps = killable.do(config, send_all, what).writes
        for point in range(1, steps + 1, 1 if what == "worker" else 3):
            desk.clock.now = dt.datetime.now(dt.UTC)
            messages.append(desk.write(ada, purpose="service", body=f"Killed at {point}"))
            assert killable.do(config, send_all, what, kill_at=point).how in {"done", "killed"}
    desk.clock.now = dt.datetime.now(dt.UTC)
    desk.settle(seconds=LEASE_AND_MORE)  # the leases of the dead have ended; another worker goes on
    ends = Counter(outcome(desk, message) for message in messages)
    if what == "careless":
        tally("D1", "sending messages", control=ends["sent", 2])
        assert ends["sent", 2], "a control that finds nothing proves nothing"
        return
    tally("D1", "sending messages", tried=len(messages), lost=0)
    assert set(ends) <= {("sent", 1), ("doubtful", 0), ("doubtful", 1)}, ends
    assert ends["sent", 1] >= 2
    assert ends["doubtful", 1] >= 1
    listed = desk.app.client.get("/api/v1/message", query_string={"filter": 'state = "doubtful"'}).json["items"]
    assert len(listed) == ends["doubtful", 0] + ends["doubtful", 1]
