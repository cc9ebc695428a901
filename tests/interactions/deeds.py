"""What the tests of sending have processes do that may be killed (tests/mortal.py): also in the midst of a letter."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from rapport import Config
from rapport.jobs import run_next
from rapport.testing import paper
from tests.mortal import open_site, step


def send_all(config: Config, how: str = "worker") -> None:
    """Do all that is due. `careless` sends within the transaction of the claim, as one must not: the control that shows
    that the test finds it."""
    if how == "careless":
        _send_within_the_claim()
    write = os.write

    def written(handle: int, data: bytes) -> int:
        step()
        count = write(handle, data)
        step()
        return count

    paper.os = SimpleNamespace(**{**vars(os), "write": written})  # type: ignore[assignment]
    with open_site(config) as site:
        while run_next(site):
            pass


def _send_within_the_claim() -> None:
    """What a careless author would write: claim, send and note it in one transaction."""
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
