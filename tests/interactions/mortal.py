"""Processes that send messages and may be killed: after so many writes to the database, or in the midst of a letter.

    python -m tests.interactions.mortal HOME URL INSTALLED

It reads orders, a line each: `worker` or `careless`, and the number of the write at which to die, by SIGKILL, so that
nothing is tidied up. Statements, commits and the channel's own writes count. Each order is done by a fresh child that
has opened nothing before. `careless` sends within the transaction of the claim, as one must not: the control that shows
that the test finds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

READS = re.compile(r"\s*(SELECT|PRAGMA|SHOW|WITH)\b", re.IGNORECASE)


def main(home: str, url: str, installed: str) -> None:
    sys.path.insert(0, installed)
    import rapport.testing.app  # so that each child need not
    import rapport.testing.paper

    assert rapport.testing.paper.FILE
    for line in sys.stdin:
        what, kill_at = line.split()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(writing, str(run(home, url, what, int(kill_at))).encode())
            os._exit(0)
        os.close(writing)
        _pid, status = os.waitpid(child, 0)
        with os.fdopen(reading) as said:
            answer = {"code": os.waitstatus_to_exitcode(status), "writes": said.read()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def run(home: str, url: str, what: str, kill_at: int) -> int:
    """Do all that is due; returns how many writes that took."""
    from rapport.config import Config
    from rapport.jobs import run_next
    from rapport.site import Site

    config = Config(home=Path(home), database_url=url, secret_key="test " * 8, testing=True, plugins=("paper",),
                    base_url="http://localhost")  # fmt: skip
    site = Site.open(config)
    if what == "careless":
        _send_within_the_claim()
    death = Death(kill_at)
    death.watch(site)
    while run_next(site):
        pass
    site.close()
    return death.writes


class Death:
    """Counts writes, commits and slips, and kills the process at one of them."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.writes = 0

    def step(self) -> None:
        """One more."""
        self.writes += 1
        if self.writes == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, site: Any) -> None:
        """Look at everything that changes something, here or outside."""
        from sqlalchemy import event

        from rapport.testing import paper

        def before(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if not READS.match(statement):
                self.step()

        event.listen(site.db.writing, "before_cursor_execute", before)
        event.listen(site.db.writing, "commit", lambda _connection: self.step())
        write = os.write

        def written(handle: int, data: bytes) -> int:
            self.step()
            count = write(handle, data)
            self.step()
            return count

        paper.os = SimpleNamespace(**{**vars(os), "write": written})  # type: ignore[assignment]


def _send_within_the_claim() -> None:
    """What a careless author would write: claim, send and note it in one transaction."""
    from uuid import UUID

    from rapport.access import system
    from rapport.entities import utcnow
    from rapport.interactions import sending
    from rapport.interactions.gate import gather

    def send_message(context: Any, *, message_id: str) -> str:
        with context.site.write(system("send")) as unit:
            message = sending._held(unit, UUID(message_id))
            if message is None or message.state != "waiting":
                return ""
            facts = gather(unit, [message])
            customer, purpose = facts.customers[message.customer_id], facts.purposes[message.purpose_id]
            outgoing = sending._outgoing(unit, message, customer, purpose)
            receipt = context.site.channels[message.channel].send(outgoing, context.site)
            sending.record_sent(unit, message, receipt.external_id, at=utcnow())
        return ""

    object.__setattr__(sending.SEND_JOB, "run", send_message)


if __name__ == "__main__":
    main(*sys.argv[1:])
