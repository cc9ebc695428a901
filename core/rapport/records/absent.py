"""Rows of plugins that are switched off: no class stands for them, but what they refer to must not be lost.

The database itself knows which tables refer to a record. What is done here is logged under the table's name, and
undone by it, whether or not the plugin is back by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Column, Connection, MetaData, Table, Uuid, delete, insert, inspect, select, update
from sqlalchemy.exc import IntegrityError

from rapport.entities import Entity, table_of, utcnow
from rapport.records.log import change_log, keep_order

if TYPE_CHECKING:
    from rapport.records.unit import Unit


@dataclass(frozen=True, slots=True)
class Reference:
    """A column of a table without a class that refers to an entity, and what becomes of its rows with the record."""

    table: Table
    column: Column[Any]
    on_delete: str


def absent_references(unit: Unit, entity: type[Entity]) -> Iterator[Reference]:
    """The columns that refer to an entity's records and belong to no active kind of record."""
    active = {table_of(each).name for each in unit.site.entities}
    target = table_of(entity).name
    for (_schema, name), keys in inspect(unit.session.connection()).get_multi_foreign_keys().items():
        if name in active:
            continue
        for key in keys:
            if key["referred_table"] == target and len(key["constrained_columns"]) == 1:
                column: Column[Any] = Column(key["constrained_columns"][0], Uuid)
                table = Table(name, MetaData(), Column("id", Uuid, primary_key=True), column)
                yield Reference(table, column, str(key.get("options", {}).get("ondelete") or ""))


def repoint_absent(unit: Unit, source: Entity, target: Entity) -> None:
    """Point the rows of absent plugins at another record. A row that may exist only once there stays where it is."""
    connection = unit.session.connection()
    for reference in absent_references(unit, type(source)):
        ids = connection.scalars(select(reference.table.c.id).where(reference.column == source.id)).all()
        for row_id in ids:
            moved = update(reference.table).where(reference.table.c.id == row_id).values({reference.column: target.id})
            try:
                with connection.begin_nested():
                    connection.execute(moved)
            except IntegrityError:
                continue
            _log(unit, reference, row_id, [str(source.id), str(target.id)])


def erase_absent(unit: Unit, record: Entity) -> None:
    """Delete the rows of absent plugins that are part of a record, and take it out of the others where that may be."""
    connection = unit.session.connection()
    for reference in absent_references(unit, type(record)):
        if reference.on_delete == "CASCADE":
            connection.execute(delete(reference.table).where(reference.column == record.id))
        elif reference.on_delete == "SET NULL":
            connection.execute(
                update(reference.table).where(reference.column == record.id).values({reference.column: None})
            )


def undo_absent(connection: Connection, row: Any) -> bool:
    """Take back one logged step of `repoint_absent`; False when the row is not as the step left it."""
    name = row.entity.replace(".", "_")
    if not inspect(connection).has_table(name) or row.action != "updated":
        return False
    done = True
    for column_name, (old, new) in row.changes.items():
        column: Column[Any] = Column(column_name, Uuid)
        table = Table(name, MetaData(), Column("id", Uuid, primary_key=True), column)
        back = update(table).where(table.c.id == row.record_id, column == UUID(new)).values({column: UUID(old)})
        done = connection.execute(back).rowcount == 1 and done
    return done


def _log(unit: Unit, reference: Reference, row_id: UUID, change: Iterable[str]) -> None:
    connection = unit.session.connection()
    keep_order(connection)
    connection.execute(
        insert(change_log).values(
            at=utcnow(), actor_id=unit.actor.id, actor=unit.actor.name, via=unit.actor.via,
            entity=reference.table.name, record_id=row_id, action="updated", version=0,
            changes={reference.column.name: list(change)}, batch_id=unit.batch,
        )
    )  # fmt: skip
