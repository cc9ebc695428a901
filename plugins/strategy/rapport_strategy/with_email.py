"""Beside e-mail: mails that still wait for an answer are open conversations, and go to the successor."""

from __future__ import annotations

from collections.abc import Sequence

from rapport_email import Mail
from sqlalchemy import select

from rapport import Interaction, hookimpl
from rapport_strategy.hookspecs import Duty


@hookimpl
def ask_strategy_duties() -> Sequence[Duty]:
    waiting = select(Mail.interaction_id).where(Mail.open.is_(True), Mail.archived_at.is_(None))
    return [Duty("interaction", "owner_id", "move", where=(Interaction.id.in_(waiting),))]
