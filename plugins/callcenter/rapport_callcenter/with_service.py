"""Beside service: a call that was a complaint, a quality problem, a replacement or a refund opens a case."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rapport_service import Case, case_from

from rapport import Interaction, gettext, hookimpl
from rapport_callcenter.entities import TICKS, Call

KINDS = {"complaint": "complaint", "quality": "quality", "replacement": "request", "refund": "request"}
"""What each tick is there."""


@hookimpl
def callcenter_call_ended(call_id: str, session: Any) -> None:
    open_case(UUID(call_id), session)


def open_case(call_id: UUID, session: Any) -> None:
    """One case for a call, whatever was ticked; the words of the agent are its description."""
    call = session.get(Call, call_id)
    ticked = [tick for tick in TICKS if call is not None and getattr(call, tick)]
    if call is None or not ticked or call.interaction_id is None:
        return
    interaction = session.get(Interaction, call.interaction_id)
    if interaction is None or interaction.about_entity == Case.meta.name:
        return
    labels = [gettext(Call.meta.fields[tick].label) for tick in ticked]
    case_from(session.unit, interaction, kind=KINDS[ticked[0]], category=labels[0], subject=", ".join(labels),
              owner_id=call.agent_id)  # fmt: skip
