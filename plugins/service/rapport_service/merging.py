"""Merging: two cases about the same become one, and two again if that was wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Mapped

from rapport import Entity, Interaction, Invalid, Message, Problem, Task, Unit, field, ref
from rapport import gettext as _
from rapport_service import clocks
from rapport_service.entities import SCOPED, Case
from rapport_service.sla import Clock

KEPT = ("status", "solved_at", "closed_at", "waiting_since", "reopened", "first_response_at", "due_at", "on_time")
CLOCK = ("state", "since", "left_seconds", "due_at", "missed_at", "ended_at")
ABOUT: tuple[type[Any], ...] = (Interaction, Message, Task)
"""What is about a case, and moves with it."""


class Merging(Entity, name="service.merging", title="Merging", icon="arrows-join-2", roles={}, listed=False,
              display="id"):  # fmt: skip
    """That a case was merged into another, and how it was before."""

    case_id: Mapped[UUID] = ref("service.case", label="Case", unique=True, hidden=True)
    into_id: Mapped[UUID] = ref("service.case", label="Into", hidden=True)
    before: Mapped[dict[str, Any]] = field(label="Before", kind="json", default=dict, readonly=True)


def merge(unit: Unit, survivor: Case, others: Sequence[Case]) -> None:
    """Put the conversations of other cases into one; the others are closed, and point at it."""
    for case in others:
        if case.id == survivor.id:
            raise Invalid(Problem("into", _("is the same case.")))
        if case.merged_into_id is not None or survivor.merged_into_id is not None:
            raise Invalid(Problem("into", _("was merged before. Take the case that is left.")))
        if case.customer_id != survivor.customer_id:
            raise Invalid(Problem("into", _("is another customer’s. Only cases of one customer become one.")))
    for case in others:
        _merge(unit, survivor, case)


def _merge(unit: Unit, survivor: Case, case: Case) -> None:
    before: dict[str, Any] = {
        "case": {name: _plain(getattr(case, name)) for name in KEPT},
        "waiting_since": _plain(survivor.waiting_since),
        "clocks": {str(clock.id): {name: _plain(getattr(clock, name)) for name in CLOCK}
                   for clock in clocks.clocks_of(unit, case)},
    }  # fmt: skip
    for entity in ABOUT:
        moved = _about(unit, entity, case)
        for each in moved:
            each.about_id = survivor.id
        before[entity.meta.name] = [str(each.id) for each in moved]
    for clock in clocks.clocks_of(unit, case, *clocks.RUNNING):
        clock.state, clock.since, clock.due_at = "paused", None, None
    if case.waiting_since is not None:
        survivor.waiting_since = min(case.waiting_since, survivor.waiting_since or case.waiting_since)
    unit.session.add(Merging(case_id=case.id, into_id=survivor.id, before=before))
    unit.flush()
    if case.status != "closed":
        unit.update(case, {"status": "closed"})
    case.merged_into_id = survivor.id
    case.waiting_since = None
    unit.flush()


def unmerge(unit: Unit, case: Case) -> Case:
    """Take a case out of another again: everything is as it was. What came in since, in its threads, comes along."""
    found = unit.session.scalars(select(Merging).where(Merging.case_id == case.id), execution_options=SCOPED)
    merging = found.one_or_none()
    if merging is None:
        raise Invalid(Problem(None, _("It was not merged with another.")))
    before, survivor = merging.before, unit.get(Case, merging.into_id)
    for entity in ABOUT:
        ids = {UUID(each) for each in before[entity.meta.name]}
        moved = [each for each in _about(unit, entity, survivor) if each.id in ids]
        threads = {each.thread_id for each in moved if getattr(each, "thread_id", None) is not None}
        for each in _about(unit, entity, survivor) if threads else moved:
            if each.id in ids or each.thread_id in threads:
                each.about_id = case.id
    unit.session.delete(merging)
    unit.flush()
    with unit.reverting():  # as it was, whatever the life cycle says
        case.status, case.merged_into_id = before["case"]["status"], None
        unit.flush()  # times follow a status; then they are put back too
        for name, value in before["case"].items():
            setattr(case, name, _value(Case, name, value))
        if survivor.waiting_since == _value(Case, "waiting_since", before["case"]["waiting_since"]):
            survivor.waiting_since = _value(Case, "waiting_since", before["waiting_since"])
        for clock in clocks.clocks_of(unit, case):
            for name, value in before["clocks"].get(str(clock.id), {}).items():
                setattr(clock, name, _value(Clock, name, value))
        unit.flush()
    clocks.wake(unit, case)
    return survivor


def _about(unit: Unit, entity: Any, case: Case) -> list[Any]:
    about = (entity.about_entity == Case.meta.name, entity.about_id == case.id)
    return list(unit.session.scalars(select(entity).where(*about).order_by(entity.id), execution_options=SCOPED))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _value(entity: type[Entity], name: str, value: Any) -> Any:
    instant = entity.meta.fields[name].kind == "instant"
    return dt.datetime.fromisoformat(value) if instant and value is not None else value
