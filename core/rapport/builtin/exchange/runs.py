"""Imports as the site remembers them: which file, how it is read, how far it is, and what was refused and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from rapport.access import Actor
from rapport.db.tables import metadata
from rapport.entities.types import Instant, Json, utcnow
from rapport.errors import Conflict, NotFound
from rapport.records.log import BigId

if TYPE_CHECKING:
    from rapport.site import Site

STATES = ("draft", "checking", "checked", "running", "stopped", "done", "undoing", "undone", "failed")
"""draft → checking → checked → running → done → undoing → undone; running may become stopped or failed, and go on."""

ON_MATCH = ("update", "skip", "refuse")
ON_MISSING = ("refuse", "create", "empty")
DECISIONS = ("use", "create", "empty", "refuse")

import_run = Table(
    "import_run",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("entity", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    # Below the site's files: its own copy, so that it can go on later
    Column("stored", Text, nullable=False),
    # encoding, delimiter, header_row, sheet, short_rows, language, dates
    Column("options", Json, nullable=False, default=dict),
    Column("columns", Json, nullable=False, default=list),
    # {column of the file: field}
    Column("mapping", Json, nullable=False, default=dict),
    Column("match_by", Json, nullable=False, default=list),
    Column("on_match", Text, nullable=False, default="update"),
    # {field: {value in the file: {"do": use|create|empty|refuse, "to": text}}}
    Column("decisions", Json, nullable=False, default=dict),
    # {field: text} for rows that give the field no value; {reference.field: text} for records made on the way
    Column("constants", Json, nullable=False, default=dict),
    # {field: refuse|create|empty} for what `decisions` does not name
    Column("on_missing", Json, nullable=False, default=dict),
    Column("stop_at_refusal", Boolean, nullable=False, default=False),
    Column("state", Text, nullable=False, default="draft"),
    # Records of the file that are dealt with; of `total` once it is known
    Column("done", BigInteger, nullable=False, default=0),
    Column("total", BigInteger, nullable=False, default=0),
    Column("line", BigInteger, nullable=False, default=0),
    Column("created", BigInteger, nullable=False, default=0),
    Column("updated", BigInteger, nullable=False, default=0),
    Column("unchanged", BigInteger, nullable=False, default=0),
    Column("skipped", BigInteger, nullable=False, default=0),
    Column("refused", BigInteger, nullable=False, default=0),
    # Records made because rows pointed at them
    Column("added", BigInteger, nullable=False, default=0),
    Column("batch_id", Uuid, nullable=False),
    # The place in the log of changes down to which it is taken back
    Column("undone_to", BigInteger),
    Column("job_id", Uuid),
    # Each start takes a higher number: whoever worked on it before stops at the next step
    Column("fence", Integer, nullable=False, default=0),
    Column("actor_id", Uuid),
    Column("actor", Text, nullable=False, default=""),
    Column("message", Text, nullable=False, default=""),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Index("ix_import_run_actor_id", "actor_id", "id"),
    sqlite_autoincrement=True,
)

import_problem = Table(
    "import_problem",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("run_id", BigInteger, ForeignKey("import_run.id", ondelete="CASCADE"), nullable=False),
    Column("line", BigInteger, nullable=False),
    # "" when the whole row is meant
    Column("field", Text, nullable=False, default=""),
    Column("value", Text, nullable=False, default=""),
    # unreadable, value, unknown, missing, match, conflict, rule; kept: a record that undoing left alone
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Index("ix_import_problem_run_id", "run_id", "line"),
)

import_unknown = Table(
    "import_unknown",
    metadata,
    Column("run_id", BigInteger, ForeignKey("import_run.id", ondelete="CASCADE"), primary_key=True),
    Column("field", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("line", BigInteger, nullable=False),
    # What is known and looks like it, best first
    Column("nearest", Json, nullable=False, default=list),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One import: what was decided and how far it is. A copy of the row at one moment; ask again for a newer one."""

    id: int
    entity: str
    file_name: str
    stored: str
    options: dict[str, Any]
    columns: list[str]
    mapping: dict[str, str]
    match_by: list[str]
    on_match: str
    decisions: dict[str, dict[str, dict[str, str]]]
    constants: dict[str, str]
    on_missing: dict[str, str]
    stop_at_refusal: bool
    state: str
    done: int
    total: int
    line: int
    created: int
    updated: int
    unchanged: int
    skipped: int
    refused: int
    added: int
    batch_id: UUID
    undone_to: int | None
    job_id: UUID | None
    fence: int
    actor_id: UUID | None
    actor: str
    message: str
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None

    @property
    def busy(self) -> bool:
        """Whether it is being worked on, or waits to go on after a crash."""
        return self.state in {"checking", "running", "undoing"}


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One thing wrong with a row; `field` is "" when all of it is meant. The message continues the field's label."""

    line: int
    field: str
    value: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that a reference or choice field does not know, how many rows have it, and what looks like it."""

    field: str
    value: str
    rows: int
    line: int
    nearest: list[str]


class Interrupted(Conflict):
    """An import is no longer where it was: it was stopped, or somebody else goes on with it."""


# Keeping -------------------------------------------------------------------------------------------------------------


def insert_run(connection: Connection, **values: Any) -> int:
    """Remember a new import; returns its number."""
    number: int = connection.execute(  # type: ignore[index]
        insert(import_run).values(created_at=utcnow(), **values)
    ).inserted_primary_key[0]  # fmt: skip
    return number


def read_run(connection: Connection, actor: Actor, run_id: int) -> Run:
    """An import of the actor's own; administrators see everybody's. NotFound otherwise."""
    row = connection.execute(select(import_run).where(import_run.c.id == run_id)).one_or_none()
    if row is None or not (actor.is_admin or row.actor_id == actor.id):
        raise NotFound(f"There is no import {run_id}.")
    return Run(**row._mapping)


def read_runs(connection: Connection, actor: Actor, limit: int) -> list[Run]:
    """The newest imports first: the actor's own, an administrator's all."""
    statement = select(import_run).order_by(import_run.c.id.desc()).limit(limit)
    if not actor.is_admin:
        statement = statement.where(import_run.c.actor_id == actor.id)
    return [Run(**row._mapping) for row in connection.execute(statement)]


def change_run(connection: Connection, run: Run, **values: Any) -> Run:
    """Change an import, if it still stands where `run` says: state, position and fence. Conflict otherwise."""
    done = connection.execute(
        update(import_run)
        .where(
            import_run.c.id == run.id,
            import_run.c.state == run.state,
            import_run.c.fence == run.fence,
            import_run.c.done == run.done,
        )
        .values(**values)
    )
    if done.rowcount != 1:
        raise Interrupted(f"Import {run.id} was stopped, or somebody else goes on with it. Look again: it may be done.")
    return replace(run, **values)


def forget_findings(connection: Connection, run_id: int) -> None:
    """Drop what the last check or run found, before the next one."""
    connection.execute(delete(import_problem).where(import_problem.c.run_id == run_id))
    connection.execute(delete(import_unknown).where(import_unknown.c.run_id == run_id))


def add_problems(connection: Connection, run_id: int, problems: Sequence[RowProblem]) -> None:
    """Keep what is wrong with rows."""
    if problems:
        connection.execute(
            insert(import_problem),
            [
                {"run_id": run_id, "line": each.line, "field": each.field, "value": each.value[:500],
                 "code": each.code, "message": each.message} for each in problems
            ],
        )  # fmt: skip


def read_problems(connection: Connection, run_id: int, limit: int, after: int = 0) -> list[RowProblem]:
    """Problems in the order of lines, after a line."""
    table = import_problem.c
    statement = (
        select(table.line, table.field, table.value, table.code, table.message)
        .where(table.run_id == run_id, table.line > after)
        .order_by(table.line, table.id)
        .limit(limit)
    )
    return [RowProblem(*row) for row in connection.execute(statement)]


def iter_problems(connection: Connection, run_id: int, batch: int = 1000) -> Iterator[RowProblem]:
    """Every problem of rows in the order of lines, a batch at a time: there may be as many as the file has rows."""
    table, last = import_problem.c, (-1, 0)
    while True:
        rows = connection.execute(
            select(table.id, table.line, table.field, table.value, table.code, table.message)
            .where(
                table.run_id == run_id,
                table.code != "kept",
                (table.line > last[0]) | ((table.line == last[0]) & (table.id > last[1])),
            )
            .order_by(table.line, table.id)
            .limit(batch)
        ).all()
        for row in rows:
            yield RowProblem(*row[1:])
        if len(rows) < batch:
            return
        last = (rows[-1].line, rows[-1].id)


def count_kept(connection: Connection, run_id: int) -> int:
    """How many records or fields undoing left alone."""
    kept = (import_problem.c.run_id == run_id) & (import_problem.c.code == "kept")
    return connection.scalar(select(func.count()).select_from(import_problem).where(kept)) or 0


def add_unknown(connection: Connection, run_id: int, found: Mapping[tuple[str, str], tuple[int, int]]) -> None:
    """Count values nobody knows: (field, value) to (rows, first line)."""
    if not found:
        return
    table = import_unknown
    # Both databases say it the same way, but SQLAlchemy has it once for each.
    new = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
    counted = new.on_conflict_do_update(
        index_elements=["run_id", "field", "value"], set_={"rows": table.c.rows + new.excluded.rows}
    )
    connection.execute(
        counted,
        [
            {"run_id": run_id, "field": field, "value": value, "rows": rows, "line": line, "nearest": []}
            for (field, value), (rows, line) in found.items()
        ],
    )


def read_unknown(connection: Connection, run_id: int, limit: int = 1000) -> list[Unknown]:
    """The values nobody knows, those of most rows first."""
    table = import_unknown.c
    statement = (
        select(table.field, table.value, table.rows, table.line, table.nearest)
        .where(table.run_id == run_id)
        .order_by(table.rows.desc(), table.field, table.value)
        .limit(limit)
    )
    return [Unknown(*row) for row in connection.execute(statement)]


def delete_run(connection: Connection, run_id: int) -> None:
    """Forget an import and what it found."""
    forget_findings(connection, run_id)
    connection.execute(delete(import_run).where(import_run.c.id == run_id))


def file_of(site: Site, run: Run) -> Path:
    """The site's own copy of the file."""
    return site.config.files / run.stored
