"""Beside the call centre: those whom a survey could not reach in writing are called, one by one, from a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from rapport_callcenter import CallList
from sqlalchemy import Select, or_, select

from rapport import Action, ActionResult, Field, Reader, Unit, gettext, hookimpl
from rapport_service.surveys import PURPOSE, Invitation, Survey


@hookimpl
def register_actions() -> list[Action]:
    return [
        Action("service.survey", "call_list", "Make a call list", "list-check", "callcenter.call_list.create",
               make_list, fields=[Field("name", "Name", "text", help="Left empty, it is the survey’s.")]),
    ]  # fmt: skip


@hookimpl
def choose_callcenter_customers(entity: str, record_id: UUID, reader: Reader) -> Select[Any] | None:
    """Whoever is still to be asked on the phone: the list may be filled again each day."""
    if entity != Survey.meta.name:
        return None
    return select(Invitation.customer_id).where(
        Invitation.survey_id == record_id, Invitation.state == "call", Invitation.archived_at.is_(None),
        or_(Invitation.expires_on.is_(None), Invitation.expires_on >= reader.today()),
    )  # fmt: skip


def make_list(unit: Unit, records: Sequence[Survey], values: Mapping[str, Any]) -> ActionResult:
    """A call list of a survey, to be looked at and opened."""
    survey = records[0]
    made, problems = unit.build(CallList, {
        "name": values.get("name") or survey.name, "purpose": PURPOSE, "source_entity": survey.meta.name,
        "source_id": survey.id,
    })  # fmt: skip
    assert not problems, problems
    unit.session.add(made)
    unit.flush()
    return ActionResult(gettext("The list is made. Choose its hours, and open it."), made)
