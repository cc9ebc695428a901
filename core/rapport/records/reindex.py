"""Writing the search index anew, should it ever differ from the records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import func, select

from rapport.entities import Entity, table_of
from rapport.query.search import forget_documents, index_documents, search_document
from rapport.records.unit import _document, searchable_names

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rapport.site import Site

BATCH = 500


def reindex(site: Site, progress: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Index every record that can be searched, in short transactions. Returns how many there are."""
    entities = [entity for entity in site.entities if searchable_names(site.meta(entity))]
    with site.db.read() as connection:
        total = sum(connection.scalar(select(func.count()).select_from(table_of(e))) or 0 for e in entities)
    done = found = 0
    for entity in entities:
        _forget_strangers(site, entity)
        last: Any = None
        while True:
            with site.db.write() as connection:
                count, indexed, last = _index_batch(connection, entity, searchable_names(site.meta(entity)), last)
            done, found = done + count, found + indexed
            progress(done, total)
            if count < BATCH:
                break
    return found


def _index_batch(
    connection: Connection, entity: type[Entity], names: Sequence[str], after: Any
) -> tuple[int, int, Any]:
    table = table_of(entity)
    query = select(table).order_by(table.c.id).limit(BATCH)
    rows = connection.execute(query if after is None else query.where(table.c.id > after)).all()
    name = entity.meta.name
    forget_documents(connection, [(name, row.id) for row in rows])
    live = [(name, row.id, _document(cast(Any, row), names)) for row in rows if row.archived_at is None]
    index_documents(connection, live)
    return len(rows), len(live), rows[-1].id if rows else None


def _forget_strangers(site: Site, entity: type[Entity]) -> None:
    """Documents whose record is gone."""
    table = table_of(entity)
    with site.db.write() as connection:
        gone = connection.execute(
            select(search_document.c.record_id).where(
                search_document.c.entity == entity.meta.name,
                search_document.c.record_id.not_in(select(table.c.id)),
            )
        ).scalars()
        forget_documents(connection, [(entity.meta.name, record_id) for record_id in gone.all()])
