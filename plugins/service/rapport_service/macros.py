"""Macros: a text and several changes of a case with one click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from rapport import Choice, Entity, Invalid, Message, Problem, Unit, field, ref
from rapport_service import cases
from rapport_service.entities import KINDS, LAID_OUT, NEXT, PRIORITIES, STATUSES, Case
from rapport_service.writing import NAMES, fault_in, fill, values_for

SAME = Choice("", "Stays as it is")
PLACES = "May contain " + ", ".join("{{ " + name + " }}" for name in NAMES) + "."


class Macro(Entity, name="service.macro", title="Macro", icon="bolt", roles=LAID_OUT, display="name",
            natural_key=("name",)):  # fmt: skip
    """A text to the customer and changes of the case that often go together."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    text: Mapped[str] = field(label="Answer", kind="longtext", default="", help=PLACES)
    note: Mapped[str] = field(label="Internal note", kind="longtext", default="", help=PLACES)
    status: Mapped[str] = field(
        label="Status", choices=[SAME, *STATUSES[1:]], default="", in_list=True, section="Changes"
    )
    priority: Mapped[str] = field(
        label="Priority", choices=[SAME, *PRIORITIES], default="", in_list=True, section="Changes"
    )
    kind: Mapped[str] = field(label="Kind", choices=[SAME, *KINDS], default="", section="Changes")
    queue_id: Mapped[UUID | None] = ref("service.queue", label="Queue", in_list=True, section="Changes")
    to_me: Mapped[bool] = field(label="Give it to whoever uses this", default=False, section="Changes")
    active: Mapped[bool] = field(label="In use", default=True, in_list=True)

    def validate(self) -> Sequence[Problem]:
        """Its texts can be filled in."""
        found = {name: fault_in(getattr(self, name) or "") for name in ("text", "note")}
        return [Problem(name, fault) for name, fault in found.items() if fault]


def apply(unit: Unit, macro: Macro, case: Case) -> Message | None:
    """Do all that a macro does with a case. A text that cannot be sent by any channel is kept as a note."""
    values = values_for(unit.reader, case)
    if macro.note:
        cases.note(unit, case, fill(macro.note, values))
    words, message = fill(macro.text, values), None
    if words.strip():
        try:
            message = cases.answer(unit, case, words)
        except Invalid as error:
            cases.note(unit, case, "\n\n".join([*(problem.message for problem in error.problems), words]))
    changes = changes_of(unit, macro, case)
    if changes:
        unit.update(case, changes)
    return message


def changes_of(unit: Unit, macro: Macro, case: Case) -> Mapping[str, Any]:
    """What a macro changes in a case as it is. A status that cannot follow the present one is left out."""
    changes = {name: value for name in ("priority", "kind", "queue_id") if (value := getattr(macro, name))}
    if macro.status and macro.status in NEXT[case.status]:
        changes["status"] = macro.status
    if macro.to_me:
        changes["owner_id"] = unit.actor.id
    return changes
