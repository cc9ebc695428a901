"""Telephone systems, as the call centre sees them: they dial, transfer and hang up, and tell what happens by events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rapport import Site


@dataclass(frozen=True, slots=True)
class Dialling:
    """What a telephone system is asked to do, with all it needs and no database behind it."""

    call_id: str
    """What the call is known as here; events name it as `call`."""
    what: str
    """dial, transfer or hang_up."""
    number: str = ""
    """Whom to dial; the extension to transfer to."""
    extension: str = ""
    """Of the agent."""
    external_id: str = ""
    """What the telephone system calls it, once it has said so."""


@dataclass(frozen=True, slots=True)
class Telephony:
    """A telephone system: `Telephony("webhook", "Webhook", ask)`.

    `ask(dialling, site)` hands one wish over, outside of any transaction, in a job. It may raise TemporaryFailure to be
    asked again, once. What happens then comes back as records of the kind `callcenter.event`.
    """

    name: str
    title: str
    ask: Callable[[Dialling, Site], None]
