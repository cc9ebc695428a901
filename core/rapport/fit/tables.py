"""The tables behind what administrators add: one for each kind of record, one index for each indexed field."""

from __future__ import annotations

from typing import Any

from sqlalchemy import DDL, Connection, Table, inspect, select, update
from sqlalchemy.orm import Mapped
from sqlalchemy.schema import CreateIndex, DropIndex, Index

from rapport.db.tables import index_names, metadata, site_table
from rapport.entities import Entity, Owned, field, table_of
from rapport.entities.base import KNOWN, entity_class
from rapport.entities.custom import custom_missing, custom_value
from rapport.query.fold import fold

INDEX = "ix_custom_"
USUAL_ROLES = {
    "manager": "read create update delete export import",
    "member": "read create update:team export import",
    "viewer": "read",
}


def custom_class(name: str) -> type[Entity]:
    """The class behind a kind of record that an administrator made: the same for every site of this process.

    All it says is that such a record has a name and an owner. Its title, rights and fields are the site's own.
    """
    if name not in KNOWN:
        noun = name.partition(".")[2]
        type(
            noun.title().replace("_", ""),
            (_Made, Owned, Entity),
            {"__module__": __name__, "__doc__": "A kind of record made at run time."},
            name=name, title=noun.replace("_", " ").capitalize(), display="name", roles=USUAL_ROLES,
        )  # fmt: skip
        table_of(KNOWN[name]).info["owner"] = "custom"
    return KNOWN[name]


class _Made:
    """What every kind made at run time has from the start."""

    name: Mapped[str] = field(label="Name", searchable=True, in_list=True)
    name_key: Mapped[str] = field(secret=True, readonly=True, default="")

    def prepare(self) -> None:
        """Keep the key that lists sort by."""
        self.name_key = fold(self.name or "")


def reshape(connection: Connection) -> None:
    """Make what is missing for the kinds and fields of this site, take away the indexes nobody wants any more, and
    have every worker build itself anew. In the caller's transaction, so it happens with the decision or not at all."""
    metadata.create_all(connection, tables=custom_tables(connection))
    rebuild_indexes(connection)
    connection.execute(update(site_table).values(generation=site_table.c.generation + 1))


def custom_tables(connection: Connection) -> list[Table]:
    """The tables of every kind made at run time on this site, also of those that are archived."""
    kinds = table_of(entity_class("custom_entity"))
    if not inspect(connection).has_table(kinds.name):
        return []
    return [table_of(custom_class(name)) for name in connection.scalars(select(kinds.c.name)).all()]


def rebuild_indexes(connection: Connection) -> None:
    """Bring the indexes of custom fields in line with the fields. Also after a migration made a table anew."""
    inspector = inspect(connection)
    present = set(inspector.get_table_names())
    fields = table_of(entity_class("custom_field"))
    if fields.name not in present:
        return
    rows = connection.execute(
        select(fields).where(fields.c.archived_at.is_(None), fields.c.indexed).order_by(fields.c.id)
    ).all()
    wanted: dict[str, dict[str, Any]] = {}
    for row in rows:
        table_name = row.entity.replace(".", "_")
        if row.entity in KNOWN and table_name in present:
            wanted.setdefault(table_name, {})[f"{INDEX}{table_name}_{row.name}"] = row
    for table_name in sorted(present & {table_of(entity).name for entity in KNOWN.values()}):
        there = {name for name in index_names(connection, table_name) if name.startswith(INDEX)}
        for name in sorted(there - wanted.get(table_name, {}).keys()):
            connection.execute(DropIndex(Index(name)))
        for name, row in wanted.get(table_name, {}).items():
            if name not in there:
                _make_index(connection, name, row)


def _make_index(connection: Connection, name: str, row: Any) -> None:
    table = table_of(KNOWN[row.entity])
    value = custom_value(table.c.custom, row.name, row.kind)
    on_sqlite = connection.dialect.name == "sqlite"
    index = Index(name, *([custom_missing(value)] if on_sqlite else []), value, table.c.id)
    try:
        connection.execute(CreateIndex(index))
        if not on_sqlite:  # what its values are like is known of an expression only once somebody looked
            connection.execute(DDL("ANALYZE %(table)s").against(table))  # type: ignore[no-untyped-call]  # SQLAlchemy’s
    finally:
        table.indexes.discard(index)  # it is this site's alone, not the table's
