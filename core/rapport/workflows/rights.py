"""Who may set workflows in motion: with the permission, whoever may change the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from rapport.access import row_scope
from rapport.entities import Entity
from rapport.records.session import SCOPED

if TYPE_CHECKING:
    from rapport.records import Reader

START = "workflow.start"


def may_start(reader: Reader, record: Entity) -> bool:
    """Whether the reader's actor may start workflows with this record, send them events and cancel them."""
    actor, entity = reader.actor, type(record)
    if not actor.may(START) or not actor.may(entity.meta.permission("update")):
        return False
    scope = row_scope(entity, actor, "update")
    if scope is None:
        return True
    statement: Any = select(entity.id).where(entity.id == record.id, scope)
    return reader.session.scalar(statement, execution_options=SCOPED) is not None
