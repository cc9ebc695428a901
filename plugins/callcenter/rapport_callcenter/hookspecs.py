"""The hooks of the call centre: where telephone systems, and modules that have customers to call, take part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Select

from rapport import Reader, hook
from rapport_callcenter.telephony import Telephony

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@hook("register")
def register_callcenter_telephony() -> Sequence[Telephony]:
    """Telephone systems: how to dial, transfer and hang up. An administrator chooses one of them."""


@hook("choose", Select)
def choose_callcenter_customers(entity: str, record_id: UUID, reader: Reader) -> Any:
    """The customers behind a record that a call list was made from, as a select of their ids; None: not mine."""


@hook("tell")
def callcenter_call_ended(call_id: str, session: Session) -> None:
    """A call is over and its disposition or wrap-up code is known: the moment to make a lead or a case of it."""
