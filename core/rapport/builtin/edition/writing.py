"""Carrying out a plan: every step through the unit of work, so that it is checked and logged like any change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select

from rapport.builtin.edition.folder import spell
from rapport.builtin.edition.items import ARCHIVED, SETTING, Kinds, Values
from rapport.builtin.edition.merge import Step
from rapport.entities import Entity, Field, column_of, table_of
from rapport.errors import Conflict, Invalid
from rapport.records import Unit


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that should have gone, and could not."""

    item: str
    why: str


def carry_out(unit: Unit, kinds: Kinds, steps: Iterable[Step]) -> list[Kept]:
    """Do what a plan says, in its order. Returns what stays because other records use it."""
    kept = []
    for step in steps:
        try:
            if step.kind == SETTING:
                _decide(unit, step)
            elif step.action == "create":
                _create(unit, kinds.entities[step.kind], step)
            elif step.action == "update":
                record = unit.get(kinds.entities[step.kind], _id(step))
                _archive(unit, record, step.values)
                unit.update(record, _plain(step.values))
            else:
                record = unit.get(kinds.entities[step.kind], _id(step))
                if users := _users(unit, record):
                    kept.append(Kept(spell(step.key), f"It is still used by {users}, so it stays."))
                else:
                    with unit.session.begin_nested():
                        unit.delete(record)
        except Conflict as error:  # such as a field that records hold something in
            if step.action != "remove":
                raise
            kept.append(Kept(spell(step.key), str(error)))
        except Invalid as error:
            raise Invalid(f"{spell(step.key)}: {error}") from error
    return kept


def _decide(unit: Unit, step: Step) -> None:
    connection = unit.session.connection()
    if step.action == "remove":
        unit.site.settings.reset(connection, step.key[1])
    else:
        value = step.values.get("value")
        unit.site.settings.set(connection, step.key[1], "" if value is None else value)


def _create(unit: Unit, entity: type[Entity], step: Step) -> None:
    values = {name: value for name, value in _plain(step.values).items() if value is not None}
    record = unit.create(entity, {**values, "id": str(_id(step))})
    _archive(unit, record, step.values)


def _archive(unit: Unit, record: Entity, values: Values) -> None:
    if ARCHIVED not in values:
        return
    if values[ARCHIVED]:
        unit.archive(record)
    else:
        unit.restore(record)


def _plain(values: Values) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != ARCHIVED}


def _id(step: Step) -> UUID:
    return UUID(step.identity.partition(":")[2])


def _holds(entity: type[Entity], reference: Field) -> bool:
    """Whether the database refuses to delete what is referred to by this."""
    return any(key.ondelete == "RESTRICT" for key in table_of(entity).c[reference.name].foreign_keys)


def _users(unit: Unit, record: Entity) -> str:
    """The kinds of records that refer to this one, in words; empty when none does, so that nothing is lost with it."""
    found = []
    for other in unit.site.entities:
        references = [f for f in unit.site.meta(other).references if f.target == record.meta.name]
        # What no role may touch, such as the versions of a workflow, is a part of the record that the code keeps.
        columns = [column_of(other, f) for f in references if other.meta.roles or _holds(other, f)]
        if any(unit.session.scalar(select(other.id).where(column == record.id).limit(1)) for column in columns):
            found.append(unit.site.meta(other).plural.lower())
    return ", ".join(found)
