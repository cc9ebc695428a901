"""Beside marketing: the customers of a segment or of a list are called by a call list made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from rapport_marketing import CustomerList, ListMember, Segment, members
from sqlalchemy import select

from rapport import Action, ActionResult, Entity, Field, Reader, Unit, gettext, hookimpl
from rapport_callcenter.entities import CallList
from rapport_callcenter.lists import begin_filling


@hookimpl
def choose_callcenter_customers(entity: str, record_id: UUID, reader: Reader) -> Any:
    if entity == Segment.meta.name:
        return members(reader, reader.get(Segment, record_id))
    if entity == CustomerList.meta.name:
        reader.get(CustomerList, record_id)
        return select(ListMember.customer_id).where(ListMember.list_id == record_id)
    return None


@hookimpl
def register_actions() -> list[Action]:
    asked = [Field("campaign", "Campaign", "text", help="Its code.")]
    return [
        Action(entity.meta.name, "call", "Call them", "phone-outgoing", "callcenter.call_list.create", make_call_list,
               fields=asked)
        for entity in (Segment, CustomerList)
    ]  # fmt: skip


def make_call_list(unit: Unit, records: Sequence[Entity], values: Mapping[str, Any]) -> ActionResult:
    """A call list of those who are in it when the list is filled."""
    source = records[0]
    made = unit.create(CallList, {"name": str(source), "campaign": values.get("campaign") or ""})
    made.source_entity, made.source_id = source.meta.name, source.id
    begin_filling(unit, made)
    return ActionResult(gettext("The call list is being filled."), made)
