"""What follows by itself: from what was said to its case, from a change of a case to its clocks and its queue."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from rapport import Interaction, Logged, Site, Unit
from rapport_service import cases, clocks
from rapport_service.entities import DONE, OPEN, PAUSED, Case
from rapport_service.queues import hand_out, queues_in_use

DECIDED = {
    "due_at", "on_time", "sla_id", "first_response_at", "waiting_since", "solved_at", "closed_at", "reopened",
    "satisfaction", "merged_into_id", "status",
}  # fmt: skip
"""Fields that decide about no service level."""


def wants(site: Site) -> Collection[str]:
    """Whose changes are followed."""
    return ["interaction", "service.case", "service.agent"]


def follow(unit: Unit, changes: Sequence[Logged]) -> None:
    """First new cases, then what was said, then what changed, as it happened."""
    new = _records(unit, Case, [each for each in changes if each.action == "created" and each.entity == "service.case"])
    if new:
        cases.welcome(unit, list(new.values()))
    said = _records(unit, Interaction, [
        each for each in changes if each.action == "created" and each.entity == "interaction"
    ])  # fmt: skip
    if said:
        cases.take_in(unit, sorted(said.values(), key=lambda each: (each.at, each.id)))
    updated = [each for each in changes if each.action == "updated" and each.entity == "service.case"]
    known = _records(unit, Case, updated)
    freed: set[UUID | None] = set()
    for change in updated:
        if (case := known.get(change.record_id)) is not None:
            _changed(unit, case, change)
            if {"status", "owner_id", "queue_id"} & change.changes.keys():
                freed |= {case.queue_id}
    if freed or any(each.entity == "service.agent" for each in changes):
        _fill_room(unit)


def _records(unit: Unit, entity: Any, changes: Sequence[Logged]) -> dict[UUID, Any]:
    """The records of changes, without those that are gone since."""
    ids = list({each.record_id for each in changes})
    return {each.id: each for each in unit.reader.all(entity, entity.id.in_(ids), limit=len(ids))} if ids else {}


def _changed(unit: Unit, case: Case, change: Logged) -> None:
    before, after = _status(change)
    if after:
        _clocks(unit, case, before, after, change.at)
    if change.changes.keys() - DECIDED and case.status not in DONE:
        clocks.adjust(unit, case, change.at)


def _status(change: Logged) -> tuple[str, str]:
    before, after = change.changes.get("status", ("", ""))
    return str(before or ""), str(after or "")


def _clocks(unit: Unit, case: Case, before: str, after: str, at: dt.datetime) -> None:
    """Clocks stand still while others are to act, and stop when the case is solved."""
    if after in DONE and before not in DONE:
        clocks.finish(unit, case, at)
    elif after in PAUSED:
        if before in DONE:
            clocks.resume(unit, case, at)
        clocks.pause(unit, case, at)
    elif after in OPEN and before in (*PAUSED, *DONE):
        clocks.resume(unit, case, at)


def _fill_room(unit: Unit) -> None:
    """Somebody may have room now: what waits in queues that hand out goes to them."""
    hand_out(unit, [each.id for each in queues_in_use(unit.reader) if each.routing != "manual"])
