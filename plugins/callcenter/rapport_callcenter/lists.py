"""Call lists: filling them with customers, and whether these may be called at all."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from rapport import (
    Customer,
    FrequencyCap,
    Invalid,
    JobContext,
    Problem,
    Reader,
    Unit,
    Verdict,
    ask_gate,
    enqueue_job,
    utcnow,
)
from rapport import gettext as _
from rapport_callcenter import hookspecs
from rapport_callcenter.entities import CHANNEL, WEEKDAYS, Call, CallList, Entry

FILL = "callcenter.fill"
PAGE, PAGES = 200, 5
"""Customers of one page, and pages of one transaction."""
CAPS_REACH = dt.timedelta(days=366)


# Filling -------------------------------------------------------------------------------------------------------------


def begin_filling(unit: Unit, call_list: CallList) -> None:
    """Have a job put the customers in; those that are in it already stay as they are."""
    # What cannot be read is said now, not by the job.
    conditions_of(unit.reader, call_list)
    may_call(unit, call_list, [])
    call_list.state, call_list.cursor = "filling", ""
    unit.flush()
    enqueue_job(unit.session.connection(), FILL, {"list_id": str(call_list.id)}, actor=unit.actor,
                key=str(call_list.id))  # fmt: skip


def conditions_of(reader: Reader, call_list: CallList) -> list[Any]:
    """Which customers belong on a list: those of its filter, and of its source where a module brought one."""
    conditions = list(reader.conditions(Customer, filter=call_list.filter or None))
    if call_list.source_entity and call_list.source_id is not None:
        found = reader.site.hooks.first(hookspecs.choose_callcenter_customers, entity=call_list.source_entity,
                                        record_id=call_list.source_id, reader=reader)  # fmt: skip
        if found is None:
            raise Invalid(Problem("source_entity", _("is not there any more: its module is off, or it was deleted.")))
        conditions.append(Customer.id.in_(found))
    return conditions


def fill(context: JobContext, list_id: str) -> str:
    """The job: so many customers in each transaction, going on where it left off, whoever died when."""
    added = 0
    while True:
        with context.site.write(context.actor) as unit:
            if not unit.actor.may("callcenter.call_list.create"):  # it may have been taken away since the last batch
                unit.actor.require("callcenter.call_list.update")
            call_list = unit.get(CallList, UUID(list_id))
            if call_list.state != "filling":
                return ""
            cursor, taken = _take(unit, call_list)
            added += taken
            call_list.cursor = cursor or ""
            if cursor is None:
                _finish(unit, call_list)
                unit.flush()
                context.finish_in(unit.session.connection(), str(call_list.members))
                return str(call_list.members)
            unit.flush()
            context.progress_in(unit.session.connection(), added)


def _take(unit: Unit, call_list: CallList) -> tuple[str | None, int]:
    """Put the next customers in. Returns where to go on, None when nobody is left."""
    sort = call_list.sort if call_list.ordering == "sorted" else "id"
    where = conditions_of(unit.reader, call_list)
    cursor: str | None = call_list.cursor or None
    ids: list[UUID] = []
    for _page in range(PAGES):
        page = unit.reader.page(Customer, where=where, sort=sort, cursor=cursor, limit=PAGE, fields=[])
        ids += [row.id for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    inside = set(unit.session.scalars(
        select(Entry.customer_id).where(Entry.list_id == call_list.id, Entry.customer_id.in_(ids))
    ))  # fmt: skip
    add(unit, call_list, [each for each in ids if each not in inside])
    return cursor, len(ids)


def add(unit: Unit, call_list: CallList, customer_ids: Sequence[UUID]) -> None:
    """Put customers onto a list, in this order. Whom the gate refuses is kept with the reason, and not called."""
    if not customer_ids:
        return
    last = unit.session.scalar(select(func.max(Entry.position)).where(Entry.list_id == call_list.id)) or 0
    verdicts = may_call(unit, call_list, customer_ids)
    made = []
    for number, (customer_id, verdict) in enumerate(zip(customer_ids, verdicts, strict=True), 1):
        refused = verdict.state == "refused"
        position = _at_random(call_list.seed, customer_id) if call_list.ordering == "random" else last + number
        entry, problems = unit.build(Entry, {
            "list_id": call_list.id, "customer_id": customer_id, "position": position,
            "state": "refused" if refused else "new", "reason": verdict.reason[:500] if refused else "",
        })  # fmt: skip
        if problems:
            raise Invalid(problems)
        made.append(entry)
    unit.session.add_all(made)
    unit.flush()


def _at_random(seed: int, customer_id: UUID) -> int:
    """A place that nobody can guess and everybody can repeat: the same seed gives the same order."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{customer_id}".encode()).digest()[:6])


def _finish(unit: Unit, call_list: CallList) -> None:
    call_list.state = "open"
    count(unit, call_list)


def count(unit: Unit, call_list: CallList) -> None:
    """Note how many are on a list, and how many of them may not be called."""
    rows = unit.session.execute(
        select(Entry.state, func.count()).where(Entry.list_id == call_list.id).group_by(Entry.state)
    )
    counted = {row[0]: row[1] for row in rows}
    call_list.members, call_list.refused = sum(counted.values()), counted.get("refused", 0)


# Whether one may call ------------------------------------------------------------------------------------------------


def may_call(unit: Unit, call_list: CallList, customer_ids: Sequence[UUID]) -> list[Verdict]:
    """What the gate says of calling these customers for a list. Calls of lists count for frequency caps."""
    return ask_gate(unit, CHANNEL, customer_ids, purpose=call_list.purpose, campaign=call_list.campaign,
                    lately=_calls_of(unit, customer_ids))  # fmt: skip


def _calls_of(unit: Unit, customer_ids: Sequence[UUID]) -> list[tuple[UUID, dt.datetime, str]]:
    """Calls of lists to these customers that may count for a cap; nothing is read where there are no caps."""
    if unit.session.scalar(select(FrequencyCap.id).where(FrequencyCap.archived_at.is_(None)).limit(1)) is None:
        return []
    rows = unit.session.execute(
        select(Call.customer_id, Call.rang_at, CallList.campaign)
        .join(CallList, CallList.id == Call.list_id)
        .where(Call.customer_id.in_(customer_ids), Call.direction == "out", Call.rang_at > utcnow() - CAPS_REACH)
    )
    return [(customer_id, at, campaign) for customer_id, at, campaign in rows if customer_id is not None]


def is_time(unit_or_reader: Any, call_list: CallList, now: dt.datetime | None = None) -> bool:
    """Whether the list is called at this hour, by the clock of the business."""
    zone = str(unit_or_reader.site.settings.get("core.zone") or "UTC")
    local = (now or utcnow()).astimezone(ZoneInfo(zone))
    right_day = not call_list.days or WEEKDAYS[local.weekday()] in call_list.days
    return right_day and call_list.hours_from <= local.strftime("%H:%M") < call_list.hours_to


__all__ = ["FILL", "add", "begin_filling", "conditions_of", "count", "fill", "is_time", "may_call"]
