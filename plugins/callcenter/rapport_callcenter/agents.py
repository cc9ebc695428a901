"""Agents: what each is doing, for how long, and who gets the next call that comes in."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from rapport import Reader, Unit, utcnow
from rapport_callcenter.entities import Agent, Spell


def agent_of(reader: Reader, user_id: UUID | None) -> Agent | None:
    """The agent that a user is."""
    if user_id is None:
        return None
    found = reader.all(Agent, Agent.user_id == user_id, Agent.archived_at.is_(None), limit=1)
    return found[0] if found else None


def set_state(unit: Unit, agent: Agent, state: str, reason: str = "") -> None:
    """Let an agent be in a state from now on, and note how long the one before lasted."""
    if agent.state == state and agent.reason == reason:
        return
    now = utcnow()
    open_one = select(Spell).where(Spell.agent_id == agent.id, Spell.ended_at.is_(None))
    for spell in unit.session.scalars(open_one):
        spell.ended_at, spell.seconds = now, int((now - spell.began_at).total_seconds())
    agent.state, agent.reason, agent.since = state, reason, now
    if state != "offline":
        unit.session.add(Spell(agent_id=agent.id, state=state, reason=reason, began_at=now))
    unit.flush()


def is_busy(unit: Unit) -> None:
    """Whoever calls is in a call, if they are an agent of the centre."""
    if (agent := agent_of(unit.reader, unit.actor.id)) is not None:
        set_state(unit, agent, "busy")


def is_available_again(unit: Unit) -> None:
    """After a call one is available, unless one was in a pause or away all along."""
    agent = agent_of(unit.reader, unit.actor.id)
    if agent is not None and agent.state in {"busy", "wrap_up"}:
        set_state(unit, agent, "available")
