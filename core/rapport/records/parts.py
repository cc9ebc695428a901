"""What goes with a record: its parts are deleted with it, each with its entry in the log.

The database would do the same by itself, but nobody would hear of it, and no undo could bring it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from rapport.entities import Entity, Field, column_of
from rapport.records.session import SCOPED

if TYPE_CHECKING:
    from rapport.records.unit import Unit


def release(unit: Unit, record: Entity, *, links: bool) -> int:
    """Let go of a record that is about to go. Returns how many parts of it are deleted.

    With `links`, what merely refers to the record lets go here. That may be very many records, such as those of a
    team; the database can do it without reading them, and then it is not logged.
    """
    from rapport.records.unit import assign

    gone = 0
    for entity in unit.site.entities:
        for reference in unit.site.meta(entity).references:
            if reference.target != record.meta.name or reference.extension:
                continue  # an extension is found by its own reference
            if reference.nullable and not links and not _is_part(entity, reference):
                continue
            statement = select(entity).where(column_of(entity, reference) == record.id)
            for other in unit.session.scalars(statement, execution_options=SCOPED).all():
                if other is record:
                    continue
                if reference.nullable and links:
                    assign(other, reference.name, None)
                elif _is_part(entity, reference):
                    gone += 1 + release(unit, other, links=links)
                    unit.session.delete(other)
        if links and {"about_entity", "about_id"} <= set(entity.meta.fields):
            about: Any = entity
            where = (about.about_entity == record.meta.name) & (about.about_id == record.id)
            for other in unit.session.scalars(select(entity).where(where), execution_options=SCOPED).all():
                assign(other, "about_id", None)
        unit.flush()
    return gone


def _is_part(entity: type[Entity], reference: Field) -> bool:
    """Whether the database would delete such a record with what it refers to."""
    if reference.custom:
        return False
    (key,) = getattr(entity, reference.name).property.columns[0].foreign_keys
    return str(key.ondelete) == "CASCADE"
