"""The log of changes: who changed what, when and from what to what. Audit, event feed and the way back in one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    Row,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    select,
)

from rapport.db.engine import ensure_transaction
from rapport.db.tables import metadata
from rapport.entities.types import Instant, Json

BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER keys

change_log = Table(
    "change_log",
    metadata,
    Column("seq", BigId, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor_id", Uuid),
    Column("actor", Text, nullable=False),
    # web, api, cli, import, plugin, system
    Column("via", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("record_id", Uuid, nullable=False),
    # created, updated, archived, restored, deleted
    Column("action", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    # {field: [old, new]} in JSON form; secret fields never appear
    Column("changes", Json, nullable=False),
    # Changes that belong together and can be undone together: an import, a merge, a bulk edit
    Column("batch_id", Uuid),
    # How many answers to other changes led here: who follows the log can tell a loop by it
    Column("depth", Integer, nullable=False, default=0, server_default="0"),
    Index("ix_change_log_record", "entity", "record_id", "seq"),
    Index("ix_change_log_batch_id", "batch_id", "seq"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry of the log, as those who follow it get to see it."""

    seq: int
    at: dt.datetime
    actor_id: UUID | None
    actor: str
    via: str
    entity: str
    record_id: UUID
    action: str
    version: int
    changes: Mapping[str, Sequence[Any]]
    batch_id: UUID | None
    depth: int


def logged(row: Row[Any]) -> Logged:
    """A row of the log as that."""
    return Logged(**row._mapping)


@dataclass(frozen=True, slots=True)
class Done:
    """That somebody did something, without what it was: enough to see who works with what."""

    seq: int
    at: dt.datetime
    actor_id: UUID
    via: str
    entity: str
    action: str


def done_after(connection: Connection, seq: int, *, via: Collection[str], limit: int = 10_000) -> list[Done]:
    """What people did by some ways after a place in the log, the oldest first.

    With a connection that writes: then nothing that is about to be committed is passed by.
    """
    settle(connection)
    log_ = change_log.c
    rows = connection.execute(
        select(log_.seq, log_.at, log_.actor_id, log_.via, log_.entity, log_.action)
        .where(log_.seq > seq, log_.via.in_(via), log_.actor_id.is_not(None))
        .order_by(log_.seq)
        .limit(limit)
    )
    return [Done(*row) for row in rows]


delivery_table = Table(
    "delivery",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("plugin", Text, nullable=False),
    Column("hook", Text, nullable=False),
    Column("seq", BigInteger),
    Column("arguments", Json, nullable=False),
    # How many tellings led here: a plugin that answers its own change is stopped
    Column("depth", Integer, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", Instant, nullable=False),
    Column("error", Text, nullable=False, default=""),
    # waiting, dead
    Column("state", Text, nullable=False, default="waiting"),
    Index("ix_delivery_due", "state", "due_at"),
    sqlite_autoincrement=True,
)

idempotency_table = Table(
    "idempotency",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("actor_id", Uuid, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Json, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("actor_id", "key"),
)

_ORDER_LOCK = 0x5261_7070_6F72_74  # "Rapport"


def keep_order(connection: Connection) -> None:
    """Said by a writer before it takes its place in the log; see `settle`."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock_shared(_ORDER_LOCK)))


def kind_logged() -> ColumnElement[str]:
    """The kind of record, for those who go along the log from a place in it.

    Said so that the index of kinds does not serve: it has all their changes of ever, and SQLite would read and sort
    those to find the next one, which takes nine seconds among ten million.
    """
    return change_log.c.entity.concat("")


def settle(connection: Connection) -> None:
    """Wait for writers that have a place in the log but have not committed: what this connection reads has no gaps.

    Without it, whoever follows the log on PostgreSQL could read number 8 before 7 is committed, and miss 7 for good.
    SQLite has one writer at a time, so there the order of numbers is the order of commits.
    """
    if connection.dialect.name == "postgresql":
        ensure_transaction(connection)  # as long as the lock is, nobody takes a further place
        connection.execute(select(func.pg_advisory_xact_lock(_ORDER_LOCK)))
