"""What the database remembers of editions: every application, with all that the next version and the way back need."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, Index, Row, Table, Text, Uuid, delete, insert, select, update

from rapport.builtin.edition.items import Configuration, Kinds
from rapport.builtin.edition.merge import Clash, Given
from rapport.db.tables import metadata, site_table
from rapport.entities.types import Instant, Json, utcnow, uuid7
from rapport.errors import Conflict
from rapport.records.log import BigId

edition_table = Table(
    "edition",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("title", Text, nullable=False),
    # applying, applied, leaving, left
    Column("state", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    # Its changes in the log
    Column("batch_id", Uuid, nullable=False),
    # The modules that were on before
    Column("modules", Json, nullable=False),
    # The whole configuration before and after, for the way back
    Column("before", Json, nullable=False),
    Column("after", Json, nullable=False),
    # What the edition gave, for the next version
    Column("given", Json, nullable=False),
    Column("clashes", Json, nullable=False),
    Index("ix_edition_state", "state"),
    sqlite_autoincrement=True,
)

sample_table = Table(
    "edition_sample",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    # Its records in the log, by which they are taken away again
    Column("batch_id", Uuid, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Application:
    """One time that an edition was applied to the site."""

    id: int
    name: str
    version: str
    title: str
    state: str
    at: dt.datetime
    actor: str
    batch_id: UUID
    modules: tuple[str, ...]
    before: list[Any]
    after: list[Any]
    given: tuple[Given, ...]
    clashes: tuple[Clash, ...]

    @classmethod
    def of(cls, row: Row[Any]) -> Application:
        """The application behind a row."""
        return cls(
            id=row.id, name=row.name, version=row.version, title=row.title, state=row.state, at=row.at,
            actor=row.actor, batch_id=row.batch_id, modules=tuple(row.modules), before=row.before, after=row.after,
            given=tuple(map(Given.of, row.given)), clashes=tuple(Clash(**each) for each in row.clashes),
        )  # fmt: skip


def current(connection: Connection) -> Application | None:
    """The application that counts: the last one that was not taken back."""
    return _last(connection, "applied")


def under_way(connection: Connection) -> Application | None:
    """An application or a way back that was begun and not brought to its end."""
    return _last(connection, "applying", "leaving")


def _last(connection: Connection, *states: str) -> Application | None:
    table = edition_table
    row = connection.execute(
        select(table).where(table.c.state.in_(states)).order_by(table.c.id.desc()).limit(1)
    ).one_or_none()
    return None if row is None else Application.of(row)


def begin(
    connection: Connection, *, name: str, version: str, title: str, actor: str, modules: list[str],
    before: Configuration,
) -> Application:  # fmt: skip
    """Note that an edition is about to be applied, and what the site is like before."""
    values = {"name": name, "version": version, "title": title, "state": "applying", "at": utcnow(), "actor": actor,
              "batch_id": uuid7(), "modules": modules, "before": before.kept(), "after": [], "given": [],
              "clashes": []}  # fmt: skip
    row = connection.execute(insert(edition_table).values(values).returning(edition_table)).one()
    return Application.of(row)


def finish(
    connection: Connection, application: Application, *, after: Configuration, given: list[Given], clashes: list[Clash]
) -> None:
    """Note that an edition is applied, in the transaction that applied it."""
    _set(
        connection, application, state="applied", at=utcnow(), after=after.kept(),
        given=[each.kept() for each in given], clashes=[each.kept() for each in clashes],
    )  # fmt: skip


def claim(connection: Connection, application: Application) -> None:
    """One at a time works on an application; another waits here."""
    table = edition_table
    connection.execute(select(table.c.id).where(table.c.id == application.id).with_for_update())


def set_state(connection: Connection, application: Application, state: str) -> None:
    """Note how far the way back from an application has come."""
    _set(connection, application, state=state)


def forget(connection: Connection, application: Application) -> None:
    """Remove the note of an application that did not come about."""
    connection.execute(delete(edition_table).where(edition_table.c.id == application.id))


def _set(connection: Connection, application: Application, **values: Any) -> None:
    changed = connection.execute(update(edition_table).where(edition_table.c.id == application.id).values(**values))
    if not changed.rowcount:
        raise Conflict("Somebody else began to apply an edition in the meantime, so nothing was changed. Try again.")
    # Every worker builds the site anew.
    connection.execute(update(site_table).values(generation=site_table.c.generation + 1))


def snapshots(application: Application, kinds: Kinds) -> tuple[Configuration, Configuration]:
    """The configuration before an application and right after it."""
    return Configuration.of(application.before, kinds), Configuration.of(application.after, kinds)
