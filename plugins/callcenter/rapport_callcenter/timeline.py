"""The timeline: every call of a known customer is an interaction of the kind call, and changes with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from rapport import Customer, Interaction, Unit, batched
from rapport import gettext as _
from rapport_callcenter.entities import RESULTS, Call, CallList, Disposition, Queue, WrapUp

SCOPED = {"rapport_scoped": True}
LABELS = {each.value: each.label for each in RESULTS if each.value}


def keep(unit: Unit, calls: Sequence[Call]) -> None:
    """Make or change the interactions of these calls, with few statements however many they are."""
    wanted = {call.interaction_id: call for call in calls if call.interaction_id and call.customer_id}
    if not wanted:
        return
    names = _names(unit)
    known: dict[UUID, Interaction] = {}
    for ids in batched(wanted):
        # Whether or not the one who changes the call, by merging customers for one, sees it.
        there = unit.session.scalars(select(Interaction).where(Interaction.id.in_(ids)), execution_options=SCOPED)
        known |= {each.id: each for each in there}
        _note_organisations(unit, [wanted[each].customer_id for each in ids])
    made = []
    for interaction_id, call in wanted.items():
        values = _values(call, names)
        if (interaction := known.get(interaction_id)) is None:
            record, problems = unit.build(Interaction, {"id": interaction_id, **values})
            assert not problems, problems
            made.append(record)
        else:
            if call.agent_id is None:
                del values["owner_id"]  # nobody took the call: whose the interaction is was said elsewhere
            for name, value in values.items():  # what it is about may be a case by now
                if not name.startswith("about_") and getattr(interaction, name) != value:
                    setattr(interaction, name, value)
    unit.insert_many(made)


def _note_organisations(unit: Unit, customer_ids: Sequence[UUID | None]) -> None:
    """Read where the customers work together, as each interaction would ask for its own otherwise."""
    rows = unit.session.execute(select(Customer.id, Customer.organisation_id).where(Customer.id.in_(customer_ids)))
    unit.session.info.setdefault("core.organisations", {}).update({row[0]: row[1] for row in rows})


def _values(call: Call, names: dict[UUID, str]) -> dict[str, Any]:
    talked = call.talked
    said = next((names[each] for each in (call.disposition_id, call.wrap_up_id) if each in names), "")
    about = next((names[each] for each in (call.list_id, call.queue_id) if each in names), "")
    result = _(LABELS[call.result]) if call.result in LABELS else ""
    abandoned = _("Abandoned") if call.status == "abandoned" else ""
    return {
        "customer_id": call.customer_id, "kind": "call", "direction": call.direction, "at": call.rang_at,
        "subject": _("Call: %(about)s", about=about) if about else _("Call"), "body": call.note,
        "outcome": said or abandoned or result if call.status != "ringing" else "",
        "minutes": None if talked is None else (talked + 30) // 60, "owner_id": call.agent_id,
        "about_entity": Call.meta.name, "about_id": call.id,
    }  # fmt: skip


def _names(unit: Unit) -> dict[UUID, str]:
    """What lists, queues, dispositions and codes are called: few, and read once for a unit of work."""
    known: dict[UUID, str] | None = unit.session.info.get("callcenter.names")
    if known is None:
        known = unit.session.info["callcenter.names"] = {}
        for entity in (Disposition, WrapUp, Queue, CallList):
            known |= {row[0]: row[1] for row in unit.session.execute(select(entity.id, entity.name))}
    return known


def forget(customer: Customer, session: Any) -> None:
    """Blank what calls tell of a person who is erased: the figures stay, the number and the words go."""
    from rapport_callcenter.entities import Answer

    calls = list(session.scalars(select(Call).where(Call.customer_id == customer.id)))
    for call in calls:
        call.customer_id, call.interaction_id, call.number, call.note, call.recording = None, None, "", "", ""
    for answer in session.scalars(select(Answer).where(Answer.call_id.in_([call.id for call in calls]))):
        answer.answer = ""
