"""Calling: the next customer for an agent, dialling them, and what follows from how the call ended.

A customer is given out in one transaction and belongs to the agent until they are done with, or for as long as the
lease lasts: whoever's browser, network or server dies leaves nobody stuck, and no two agents get the same customer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select

from rapport import (
    Conflict,
    ContactPoint,
    Customer,
    Invalid,
    Problem,
    Reader,
    Suppression,
    Task,
    Unit,
    WorkflowInstance,
    enqueue_job,
    signal,
    tell,
    utcnow,
)
from rapport import gettext as _
from rapport_callcenter import agents, hookspecs
from rapport_callcenter.entities import CHANNEL, SPOKEN, Call, CallList, Disposition, Entry
from rapport_callcenter.lists import is_time, may_call

LEASE = dt.timedelta(minutes=15)
"""How long a customer is an agent's without a sign of life; each thing done in the call begins it anew."""
PATIENCE = dt.timedelta(minutes=30)
"""So long a call-back waits for the agent it was promised by, then anybody makes it."""
MOST_TRIES = 100
"""How many that may not be called are passed over at once."""
OPEN = ("new", "again", "call_back")
ASK = "callcenter.telephony"


# The next one --------------------------------------------------------------------------------------------------------


def current(reader: Reader) -> Entry | None:
    """Whom the agent has before them."""
    mine = (Entry.agent_id == reader.actor.id, Entry.lease_until > utcnow())
    found = reader.all(Entry, *mine, order=Entry.lease_until.desc(), limit=1)
    return found[0] if found else None


def take_next(unit: Unit, call_list: CallList) -> Entry | None:
    """Give the agent the next customer of a list: a call-back that is due, else who is to be tried again, else a new
    one. None when there is nobody now. Whom they have before them stays theirs."""
    unit.actor.require("callcenter.entry.update")
    held = current(unit.reader)
    if held is not None:
        return held
    check_open(unit, call_list)
    passed: list[UUID] = []
    for _try in range(MOST_TRIES):
        entry = _pick(unit, call_list, passed)
        if entry is None:
            return None
        passed.append(entry.id)
        if _is_free(unit, entry) and _passes_the_gate(unit, call_list, entry):
            entry.agent_id, entry.lease_until = unit.actor.id, utcnow() + LEASE
            unit.flush()
            return entry
        unit.flush()
    return None


def check_open(unit: Unit, call_list: CallList) -> None:
    """Refuse where a list is not called now, or not by this agent."""
    if call_list.state not in {"open", "filling"}:
        raise Conflict(_("“%(name)s” is not being called. Open it first.", name=call_list.name))
    if call_list.team_id is not None and not unit.actor.is_admin and call_list.team_id not in unit.actor.team_ids:
        raise Conflict(_("“%(name)s” is called by another team.", name=call_list.name))
    if not is_time(unit, call_list):
        hours = {"name": call_list.name, "begin": call_list.hours_from, "end": call_list.hours_to}
        raise Conflict(_("“%(name)s” is called from %(begin)s to %(end)s. It is not that time now.", **hours))


def _pick(unit: Unit, call_list: CallList, passed: list[UUID]) -> Entry | None:
    """The first entry that nobody has, held by this transaction: another one that looks now takes the next."""
    now = utcnow()
    for conditions, order in _turns(unit.actor.id, now):
        statement = (
            select(Entry)
            .join(Customer, Customer.id == Entry.customer_id)
            .where(Entry.list_id == call_list.id, *conditions, Entry.attempts < call_list.most_attempts,
                   or_(Entry.lease_until.is_(None), Entry.lease_until <= now), Entry.archived_at.is_(None),
                   Entry.id.not_in(passed))
            .order_by(order, Entry.id)
            .limit(1)
            .with_for_update(skip_locked=True, key_share=True, of=[Entry, Customer])
        )  # fmt: skip
        if (entry := unit.session.scalars(statement).one_or_none()) is not None:
            return entry
    return None


def _turns(agent_id: UUID | None, now: dt.datetime) -> Iterator[tuple[tuple[ColumnElement[bool], ...], Any]]:
    """Who comes first: what was promised, what is due again, what is new."""
    wished = or_(Entry.wished_id.is_(None), Entry.wished_id == agent_id, Entry.next_at <= now - PATIENCE)
    yield (Entry.state == "call_back", Entry.next_at <= now, wished), Entry.next_at
    yield (Entry.state == "again", Entry.next_at <= now), Entry.next_at
    yield (Entry.state == "new",), Entry.position


def _is_free(unit: Unit, entry: Entry) -> bool:
    """Whether nobody else has the same customer, from another list. Asked while the customer's row is held."""
    other = select(Entry.id).where(
        Entry.customer_id == entry.customer_id, Entry.id != entry.id, Entry.lease_until > utcnow()
    )  # fmt: skip
    return unit.session.scalar(other.limit(1)) is None


def _passes_the_gate(unit: Unit, call_list: CallList, entry: Entry) -> bool:
    """Whether they may be called now. Who may not is kept with the reason, who may later comes later."""
    (verdict,) = may_call(unit, call_list, [entry.customer_id])
    if verdict.state == "refused":
        entry.state, entry.reason = "refused", verdict.reason[:500]
        call_list.refused += 1
    elif verdict.not_before is not None:
        entry.state = "again" if entry.state == "new" else entry.state
        entry.next_at, entry.reason = verdict.not_before, verdict.reason[:500]
    else:
        return True
    entry.agent_id, entry.lease_until = None, None
    return False


def held_by(unit: Unit, entry: Entry) -> Entry:
    """The entry, if it is the agent's; the lease begins anew."""
    if entry.agent_id != unit.actor.id or entry.lease_until is None or entry.lease_until <= utcnow():
        raise Conflict(_("This customer is not yours any more: it took too long. Take the next one."))
    entry.lease_until = utcnow() + LEASE
    return entry


def skip(unit: Unit, entry: Entry) -> None:
    """Give a customer back without calling; they come again in an hour."""
    held_by(unit, entry)
    if open_call(unit.reader, entry) is not None:
        raise Conflict(_("You have called them: say how it ended."))
    entry.agent_id, entry.lease_until = None, None
    if entry.state != "call_back":
        entry.state = "again"
    entry.next_at = utcnow() + dt.timedelta(hours=1)
    unit.flush()


# The call ------------------------------------------------------------------------------------------------------------


def number_of(reader: Reader, customer: Customer) -> str:
    """By which number a customer is called."""
    if customer.phone:
        return customer.phone
    points = reader.all(ContactPoint, ContactPoint.customer_id == customer.id, ContactPoint.kind == "phone", limit=1)
    return points[0].value if points else ""


def open_call(reader: Reader, entry: Entry) -> Call | None:
    """The call with this customer that the agent has not ended yet."""
    if entry.agent_id is None:
        return None
    mine = (Call.list_id == entry.list_id, Call.customer_id == entry.customer_id, Call.agent_id == entry.agent_id,
            Call.disposition_id.is_(None), Call.direction == "out")  # fmt: skip
    found = reader.all(Call, *mine, order=Call.rang_at.desc(), limit=1)
    return found[0] if found else None


def dial(unit: Unit, entry: Entry) -> Call | None:
    """Call the customer: the gate is asked once more, in this moment. None when it says no; the reason is kept."""
    held_by(unit, entry)
    if (already := open_call(unit.reader, entry)) is not None:
        return already
    call_list = unit.get(CallList, entry.list_id)
    if not _passes_the_gate(unit, call_list, entry):
        unit.flush()
        return None
    customer = unit.get(Customer, entry.customer_id)
    entry.attempts += 1
    call = unit.create(Call, {
        "direction": "out", "status": "ringing", "customer_id": customer.id, "list_id": entry.list_id,
        "agent_id": unit.actor.id, "number": number_of(unit.reader, customer), "rang_at": utcnow(),
    })  # fmt: skip
    agents.is_busy(unit)
    ask_telephony(unit, call, "dial", number=call.number)
    unit.flush()
    return call


def ask_telephony(unit: Unit, call: Call, what: str, *, number: str = "") -> None:
    """Ask the telephone system, if there is one, once this is committed. Without one, people use their telephones."""
    if unit.site.settings.get("callcenter.telephony"):
        arguments = {"call_id": str(call.id), "what": what, "number": number}
        enqueue_job(unit.session.connection(), ASK, arguments, actor=unit.actor)


def finish(
    unit: Unit, entry: Entry, disposition: Disposition, *, note: str = "", call_back_at: dt.datetime | None = None,
    by_me: bool = False,
) -> Call:  # fmt: skip
    """Say how the call ended: all that follows from the disposition happens in this transaction, or none of it."""
    held_by(unit, entry)
    call = open_call(unit.reader, entry)
    if call is None:
        raise Conflict(_("Call them first."))
    if disposition.result == "call_back" and call_back_at is None:
        raise Invalid(Problem("call_back_at", _("is missing. When do they want to be called?")))
    if call_back_at is not None and call_back_at <= utcnow():
        raise Invalid(Problem("call_back_at", _("is in the past.")))
    end(unit, call, {"disposition_id": disposition.id, "result": disposition.result, "note": note},
        spoken=disposition.result in SPOKEN)  # fmt: skip
    _move(unit, entry, disposition, call_back_at, by_me)
    _follow(unit, call, entry, disposition)
    agents.is_available_again(unit)
    unit.flush()
    return call


def end(unit: Unit, call: Call, values: dict[str, Any], *, spoken: bool) -> None:
    """End a call, unless the telephone system has said so before, and let modules hear of it."""
    now = utcnow()
    if call.status != "ended":
        # Without a telephone system nobody knows how long it rang.
        answered = call.answered_at or (call.rang_at if spoken else None)
        values = {**values, "status": "ended", "ended_at": now, "answered_at": answered}
        ask_telephony(unit, call, "hang_up")
    unit.update(call, values)
    tell(unit, hookspecs.callcenter_call_ended, call_id=str(call.id))


def _move(
    unit: Unit, entry: Entry, disposition: Disposition, call_back_at: dt.datetime | None, by_me: bool
) -> None:  # fmt: skip
    """Where the customer stands on the list from now on."""
    call_list = unit.get(CallList, entry.list_id)
    entry.disposition_id, entry.agent_id, entry.lease_until = disposition.id, None, None
    entry.next_at, entry.wished_id, entry.reason = None, None, ""
    if call_back_at is not None and disposition.result == "call_back":
        entry.state, entry.next_at = "call_back", call_back_at
        entry.wished_id = unit.actor.id if by_me else None
        # What was promised is kept, also after the last attempt.
        entry.attempts = min(entry.attempts, call_list.most_attempts - 1)
    elif disposition.retry_after is None:
        entry.state = "done"
    elif entry.attempts >= call_list.most_attempts:
        entry.state = "given_up"
    else:
        entry.state, entry.next_at = "again", utcnow() + dt.timedelta(minutes=disposition.retry_after)


def _follow(unit: Unit, call: Call, entry: Entry, disposition: Disposition) -> None:
    """What the disposition says that follows: peace, a task, an event for workflows."""
    if disposition.suppress:
        wrong = disposition.result == "wrong_number"
        unit.create(Suppression, {
            "customer_id": entry.customer_id, "address": call.number if wrong else "", "channel": CHANNEL,
            "reason": "other" if wrong else "asked", "note": disposition.name,
        })  # fmt: skip
    if disposition.task:
        unit.create(Task, {
            "title": disposition.task, "customer_id": entry.customer_id, "owner_id": unit.actor.id,
            "due_on": unit.reader.today() + dt.timedelta(days=disposition.task_days), "note": call.note,
            "about_entity": Call.meta.name, "about_id": call.id,
        })  # fmt: skip
    if disposition.event:
        running = (WorkflowInstance.entity == "customer", WorkflowInstance.record_id == entry.customer_id,
                   WorkflowInstance.status == "running")  # fmt: skip
        for instance in unit.session.scalars(select(WorkflowInstance).where(*running)):
            signal(unit, instance, disposition.event)
