"""Calls that come in: what the telephone system tells becomes a call, and the call is offered to the right agent.

Who gets it: agents that are available and have the skill of the queue, those of its own site first, the others once it
has waited long enough, and among them whoever has been idle the longest. Sites are one centre.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Text, case, or_, select, type_coerce

from rapport import (
    ContactPoint,
    Customer,
    Invalid,
    JobContext,
    Problem,
    Reader,
    Unit,
    enqueue_job,
    setting_of,
    system,
    tell,
    utcnow,
)
from rapport import gettext as _
from rapport_callcenter import agents, hookspecs
from rapport_callcenter.calling import ask_telephony
from rapport_callcenter.entities import TICKS, Agent, Call, Event, Queue, WrapUp

ROUTE = "callcenter.route"
WAITING = 50
"""So many waiting calls are looked at when an agent becomes free."""
CANDIDATES = 6


# What the telephone system tells -------------------------------------------------------------------------------------


def hear(unit: Unit, event: Event) -> None:
    """Let a call follow what happened. The same thing twice, or too late, changes nothing."""
    call = _call_of(unit, event.call)
    if event.kind == "ringing":
        if call is None:
            _begin(unit, event)
        return
    if call is None:
        call = _begin(unit, event)
    if event.kind == "answered":
        _answered(unit, call, event)
    else:
        _hung_up(unit, call, event)
    call.recording = event.recording or call.recording
    unit.flush()


def _call_of(unit: Unit, name: str) -> Call | None:
    """The call that a telephone system means: by its own name for it, or by ours for what we asked it to dial."""
    wanted = [Call.external_id == name]
    with contextlib.suppress(ValueError):
        wanted.append(Call.id == UUID(name))
    held = select(Call).where(or_(*wanted)).limit(1).with_for_update(key_share=True)
    return unit.session.scalars(held).one_or_none()


def _begin(unit: Unit, event: Event) -> Call:
    number = normal(event.number)
    queue = queue_of(unit, event.dialled)
    people = who_is(unit.reader, number)
    call = Call(
        direction="in", status="ringing", external_id=event.call, number=number, rang_at=event.at,
        queue_id=queue.id if queue is not None else None, site_id=queue.site_id if queue is not None else None,
        customer_id=people[0].id if len(people) == 1 else None,
    )  # fmt: skip
    unit.session.add(call)
    unit.flush()
    if event.kind == "ringing":
        offer(unit, call)
    return call


def _answered(unit: Unit, call: Call, event: Event) -> None:
    if call.answered_at is not None:
        return
    call.answered_at = event.at
    call.status = "talking" if call.ended_at is None else "ended"
    call.waited = None
    if call.direction == "out":
        return
    agent = _by_extension(unit, event.extension) or agents.agent_of(unit.reader, call.offered_id)
    if agent is not None:
        taken_by(unit, call, agent)


def taken_by(unit: Unit, call: Call, agent: Agent) -> None:
    """This agent has the call now."""
    call.agent_id, call.offered_id, call.offered_at = agent.user_id, None, None
    call.site_id = agent.site_id or call.site_id
    agents.set_state(unit, agent, "busy" if call.ended_at is None else "wrap_up")


def _hung_up(unit: Unit, call: Call, event: Event) -> None:
    if call.ended_at is not None:
        return
    call.ended_at, call.offered_id, call.offered_at = event.at, None, None
    if call.answered_at is None and call.direction == "in":
        call.status = "abandoned"
        return
    call.status = "ended"
    agent = agents.agent_of(unit.reader, call.agent_id)
    if agent is not None and call.direction == "in":
        agents.set_state(unit, agent, "wrap_up")


def _by_extension(unit: Unit, extension: str) -> Agent | None:
    if not extension:
        return None
    known = select(Agent).where(Agent.extension == extension, Agent.archived_at.is_(None)).order_by(Agent.id).limit(1)
    return unit.session.scalars(known).one_or_none()


def queue_of(unit: Unit, dialled: str) -> Queue | None:
    """Where a call waits that dialled this number: the only queue in use, where there is but one."""
    found = unit.reader.all(Queue, Queue.active.is_(True), Queue.archived_at.is_(None), order=Queue.name)
    number = normal(dialled)
    return next((each for each in found if number and each.number == number), found[0] if len(found) == 1 else None)


# Who it is -----------------------------------------------------------------------------------------------------------


def normal(number: str) -> str:
    """A number as numbers are kept; what is none stays as it came."""
    with contextlib.suppress(ValueError):
        return str(Customer.meta.fields["phone"].load(number) or "")
    return number.strip()


def who_is(reader: Reader, number: str) -> list[Customer]:
    """The customers with this number, people first. Several share one: a family, a switchboard."""
    if not number:
        return []
    further = select(ContactPoint.customer_id).where(ContactPoint.kind == "phone", ContactPoint.value == number)
    found = reader.all(
        Customer, or_(Customer.phone == number, Customer.id.in_(further)), Customer.archived_at.is_(None),
        Customer.merged_into_id.is_(None), order=(case((Customer.kind == "person", 0), else_=1), Customer.id),
        limit=CANDIDATES,
    )  # fmt: skip
    return list(found)


# Who gets it ---------------------------------------------------------------------------------------------------------


def offer(unit: Unit, call: Call) -> Agent | None:
    """Let a waiting call ring at the agent whose turn it is; None when nobody is free: it waits."""
    queue = unit.session.get(Queue, call.queue_id) if call.queue_id is not None else None
    agent = unit.session.scalars(_turn(queue, call)).one_or_none()
    if agent is not None:
        ring(unit, call, agent)
    elif queue is not None and not _overflows(queue, call):
        _look_again(unit, call, call.rang_at + dt.timedelta(seconds=queue.overflow_after))
    return agent


def _turn(queue: Queue | None, call: Call) -> Any:
    ringing = select(Call.offered_id).where(Call.status == "ringing", Call.offered_id.is_not(None))
    conditions = [Agent.state == "available", Agent.active.is_(True), Agent.archived_at.is_(None),
                  Agent.user_id.not_in(ringing)]  # fmt: skip
    order: list[Any] = [Agent.since, Agent.id]
    if queue is not None and queue.skill:
        conditions.append(type_coerce(Agent.skills, Text).contains(f"\n{queue.skill}\n", autoescape=True))
    if queue is not None and queue.site_id is not None:
        if not _overflows(queue, call):
            conditions.append(Agent.site_id == queue.site_id)
        order.insert(0, case((Agent.site_id == queue.site_id, 0), else_=1))
    return select(Agent).where(*conditions).order_by(*order).limit(1).with_for_update(skip_locked=True, key_share=True)


def _overflows(queue: Queue, call: Call) -> bool:
    """Whether the other sites help by now."""
    return queue.site_id is None or utcnow() >= call.rang_at + dt.timedelta(seconds=queue.overflow_after)


def ring(unit: Unit, call: Call, agent: Agent) -> None:
    """Let a call ring at an agent; who does not pick up in time is given a pause, and it rings at the next."""
    call.offered_id, call.offered_at = agent.user_id, utcnow()
    unit.flush()
    ask_telephony(unit, call, "transfer", number=agent.extension)
    seconds = int(setting_of(unit.session, "callcenter.ring_seconds"))
    _look_again(unit, call, utcnow() + dt.timedelta(seconds=seconds))


def _look_again(unit: Unit, call: Call, at: dt.datetime) -> None:
    enqueue_job(unit.session.connection(), ROUTE, {"call_id": str(call.id)}, actor=system("callcenter"), due_at=at,
                key=str(call.id))  # fmt: skip


def route(context: JobContext, call_id: str) -> str:
    """The job: look again at a call that still waits."""
    with context.site.write(context.actor) as unit:
        held = select(Call).where(Call.id == UUID(call_id), Call.status == "ringing").with_for_update(key_share=True)
        call = unit.session.scalars(held).one_or_none()
        if call is not None:
            if call.offered_id is not None:
                agent = agents.agent_of(unit.reader, call.offered_id)
                if agent is not None and agent.state == "available":
                    agents.set_state(unit, agent, "pause", _("Did not pick up"))
                call.offered_id, call.offered_at = None, None
                unit.flush()
            offer(unit, call)
        context.finish_in(unit.session.connection())
    return ""


def give_waiting(unit: Unit, agent: Agent) -> Call | None:
    """An agent is free: what waits for somebody like them rings there, the most urgent and longest first."""
    if agent.state != "available":
        return None
    waiting = (
        select(Call, Queue)
        .outerjoin(Queue, Queue.id == Call.queue_id)
        .where(Call.direction == "in", Call.status == "ringing", Call.offered_id.is_(None))
        .order_by(Queue.priority.desc().nulls_last(), Call.rang_at, Call.id)
        .limit(WAITING)
        .with_for_update(skip_locked=True, key_share=True, of=Call)
    )
    for call, queue in unit.session.execute(waiting):
        if queue is None or _fits(queue, call, agent):
            ring(unit, call, agent)
            found: Call = call
            return found
    return None


def _fits(queue: Queue, call: Call, agent: Agent) -> bool:
    able = not queue.skill or queue.skill in agent.skills
    return able and (queue.site_id in {None, agent.site_id} or _overflows(queue, call))


# What an agent does with it ------------------------------------------------------------------------------------------


def at_desk(reader: Reader) -> Call | None:
    """The call that rings at the agent, is being talked, or waits for its wrap-up code."""
    user_id = reader.actor.id
    ringing = (Call.offered_id == user_id) & (Call.status == "ringing")
    own = (Call.agent_id == user_id) & (Call.direction == "in") & Call.wrap_up_id.is_(None)
    lately = Call.rang_at > utcnow() - dt.timedelta(hours=12)
    found = reader.all(
        Call, ringing | (own & lately & Call.answered_at.is_not(None)), order=Call.rang_at.desc(), limit=1
    )
    return found[0] if found else None


def pick_up(unit: Unit, call: Call, agent: Agent) -> None:
    """Take a call that rings, where no telephone system tells of it."""
    if call.status != "ringing" or call.offered_id != agent.user_id:
        raise Invalid(Problem(None, _("This call does not ring here any more.")))
    call.answered_at, call.status = utcnow(), "talking"
    taken_by(unit, call, agent)
    unit.flush()


def wrap_up(unit: Unit, call: Call, agent: Agent, code: WrapUp, values: dict[str, Any]) -> None:
    """Say what a call was about; without a telephone system that also ends it. Then the agent is free again."""
    if call.ended_at is None:
        call.ended_at, call.status = utcnow(), "ended"
    unit.update(call, {**values, "wrap_up_id": code.id})
    tell(unit, hookspecs.callcenter_call_ended, call_id=str(call.id))
    if agent.state in {"busy", "wrap_up"}:
        agents.set_state(unit, agent, "available")
        give_waiting(unit, agent)


def ticks_of(form: Any) -> dict[str, bool]:
    """What was ticked of a call; what the code counts as is ticked by itself."""
    return {tick: True for tick in TICKS if form.get(tick) == "true"}


__all__: Sequence[str] = (
    "ROUTE", "at_desk", "give_waiting", "hear", "offer", "pick_up", "ring", "route", "ticks_of", "who_is", "wrap_up",
)  # fmt: skip
