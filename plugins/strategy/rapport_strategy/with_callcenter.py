"""Beside the call centre: who took a call is history."""

from __future__ import annotations

from collections.abc import Sequence

from rapport import hookimpl
from rapport_strategy.hookspecs import Duty


@hookimpl
def ask_strategy_duties() -> Sequence[Duty]:
    return [Duty("callcenter.call", "agent_id", "keep", why="who took a call is history")]
