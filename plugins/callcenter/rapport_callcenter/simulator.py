"""A telephone system that is none: callers who ring, wait, talk and give up, for trying the call centre out.

Everything follows from a seed and the clock, so the same seed plays the same morning. Agents whose extension begins
with `sim` are played too; everybody else picks up themselves.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import select

from rapport import N_, Customer, JobContext, Unit, enqueue_job, utcnow
from rapport_callcenter import agents, incoming
from rapport_callcenter.entities import Agent, Call, Event, Queue, WrapUp
from rapport_callcenter.telephony import Dialling, Telephony

if TYPE_CHECKING:
    from rapport import Site

PLAY = "callcenter.simulate"
TICK = dt.timedelta(seconds=2)
PLAYED = "sim"
"""How the extensions of played agents, and the names of played calls, begin."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call that will ring: when after the beginning, who, and which queue (by position)."""

    name: str
    after: dt.timedelta
    caller: int
    queue: int


def plan(seed: int, minutes: int, per_minute: float) -> list[Arrival]:
    """Who rings when: the same for the same seed."""
    dice, at = random.Random(seed), 0.0  # noqa: S311 - it plays, and hides nothing
    found: list[Arrival] = []
    while (at := at + dice.expovariate(per_minute / 60)) < minutes * 60:
        name = f"{PLAYED}-{seed}-{len(found) + 1}"
        found.append(Arrival(name, dt.timedelta(seconds=int(at)), dice.randrange(1000), dice.randrange(1000)))
    return found


def begin(unit: Unit, *, seed: int = 1, minutes: int = 10, per_minute: float = 4.0) -> None:
    """Let it ring for some minutes, from now on."""
    arguments = {"seed": seed, "minutes": minutes, "per_minute": per_minute, "begun": utcnow().isoformat()}
    for agent in unit.session.scalars(select(Agent).where(Agent.extension.startswith(PLAYED))):
        if agent.state == "offline":
            agents.set_state(unit, agent, "available")
    enqueue_job(unit.session.connection(), PLAY, arguments, actor=unit.actor)


def play(context: JobContext, seed: int, minutes: int, per_minute: float, begun: str, until: str = "") -> str:
    """The job: let happen what is due, then ask for the next two seconds, until the minutes are over."""
    now, started = utcnow(), dt.datetime.fromisoformat(begun)
    last = dt.datetime.fromisoformat(until) if until else started
    with context.site.write(context.actor) as unit:
        for arrival in plan(seed, minutes, per_minute):
            if last <= started + arrival.after < now:
                _ring(unit, arrival, started)
        busy = tick(unit, now)
        if busy or now < started + dt.timedelta(minutes=minutes):
            arguments = {"seed": seed, "minutes": minutes, "per_minute": per_minute, "begun": begun,
                         "until": now.isoformat()}  # fmt: skip
            enqueue_job(unit.session.connection(), PLAY, arguments, actor=context.actor, due_at=now + TICK)
        context.finish_in(unit.session.connection())
    return ""


def tick(unit: Unit, now: dt.datetime) -> bool:
    """Let played callers and agents do what they do by now. Whether somebody is still on the line."""
    played = {agent.user_id: agent for agent in unit.session.scalars(
        select(Agent).where(Agent.extension.startswith(PLAYED), Agent.archived_at.is_(None)))}  # fmt: skip
    codes = unit.reader.all(WrapUp, WrapUp.archived_at.is_(None), order=WrapUp.position)
    line = list(unit.session.scalars(
        select(Call).where(Call.external_id.startswith(f"{PLAYED}-"), Call.direction == "in",
                           Call.status.in_(("ringing", "talking"))).order_by(Call.rang_at)
    ))  # fmt: skip
    for call in line:
        if call.status == "ringing":
            agent = played.get(call.offered_id) if call.offered_id is not None else None
            if (
                agent is not None
                and call.offered_at is not None
                and now >= call.offered_at + _span(call, "react", 2, 9)
            ):
                _tell(unit, "answered", call, now, agent.extension)
            elif now >= call.rang_at + _span(call, "patience", 15, 120):
                _tell(unit, "hung_up", call, now)
        elif call.agent_id in {None, *played} and now >= (call.answered_at or now) + _span(call, "talk", 30, 240):
            _tell(unit, "hung_up", call, now)
    _wrap_up(unit, list(played.values()), codes, now)
    return bool(line)


def _wrap_up(unit: Unit, played: Sequence[Agent], codes: Sequence[WrapUp], now: dt.datetime) -> None:
    for agent in played:
        if agent.state != "wrap_up" or now < agent.since + dt.timedelta(seconds=10):
            continue
        done = select(Call).where(Call.agent_id == agent.user_id, Call.wrap_up_id.is_(None), Call.direction == "in",
                                  Call.ended_at.is_not(None)).order_by(Call.rang_at.desc()).limit(1)  # fmt: skip
        call = unit.session.scalars(done).one_or_none()
        if call is not None and codes:
            weights = [8, 5, 3, 2, 2, 1, *[1] * len(codes)][: len(codes)]
            dice = random.Random(str(call.external_id))  # noqa: S311 - it plays, and hides nothing
            incoming.wrap_up(
                unit, call, agent, dice.choices(list(codes), weights)[0], {"resolved": dice.random() < 0.8}
            )
        else:
            agents.set_state(unit, agent, "available")
            incoming.give_waiting(unit, agent)


def _ring(unit: Unit, arrival: Arrival, started: dt.datetime) -> None:
    people = unit.reader.all(
        Customer, Customer.phone != "", Customer.archived_at.is_(None), order=Customer.id, limit=40
    )
    queues = unit.reader.all(Queue, Queue.active.is_(True), Queue.archived_at.is_(None), order=Queue.name)
    known = people and arrival.caller % 10 < 8
    number = people[arrival.caller % len(people)].phone if known else f"+33170189{arrival.caller:03}"
    dialled = queues[arrival.queue % len(queues)].number if queues else ""
    unit.session.add(
        Event(kind="ringing", call=arrival.name, number=number, dialled=dialled, at=started + arrival.after)
    )
    unit.flush()


def _tell(unit: Unit, kind: str, call: Call, at: dt.datetime, extension: str = "") -> None:
    unit.session.add(Event(kind=kind, call=str(call.external_id), at=at, extension=extension))
    unit.flush()


def _span(call: Call, what: str, least: int, most: int) -> dt.timedelta:
    """How long something takes in this call: a guess that is the same each time."""
    number = int.from_bytes(hashlib.sha256(f"{call.external_id}:{what}".encode()).digest()[:4])
    return dt.timedelta(seconds=least + number % (most - least))


def ask(dialling: Dialling, site: Site) -> None:
    """Dial: three of four pick up, at once. What rings at agents is played already."""
    if dialling.what != "dial":
        return
    from rapport import system

    with site.write(system("simulator")) as unit:
        call = unit.get(Call, UUID(dialling.call_id))
        if call.status == "ringing" and hashlib.sha256(call.id.bytes).digest()[0] % 4:
            unit.session.add(Event(kind="answered", call=dialling.call_id, at=utcnow()))
            unit.flush()


SIMULATOR = Telephony("simulator", N_("Simulator"), ask)
