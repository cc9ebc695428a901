"""Carrying a site's database from one kind to the other: SQLite to PostgreSQL and back, row by row, types kept.

The target's tables are made by the same migrations as the source's, up to the same revision, so both have one shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, func, inspect, select, text

from rapport.db import migrate
from rapport.db.engine import Database
from rapport.db.tables import metadata
from rapport.errors import RapportError
from rapport.fit.tables import custom_tables, rebuild_indexes
from rapport.lifecycle import core_line
from rapport.plugins import discover, import_plugin

Progress = Callable[[int, int], None]
BATCH = 1000
LEXEME = re.compile(r"'([^']*)':([\d,]+)")
MAX_POSITION = 16_383  # of PostgreSQL
SEARCH_INDEX = Table("search_index", MetaData(), Column("rowid", Integer), Column("words", Text))


def copy_database(source: Database, target: Database, progress: Progress) -> dict[str, int]:
    """Fill an empty database with another's tables and rows, in one transaction on each. Returns the rows by table."""
    with source.snapshot() as origin, target.write() as connection:
        lay_tables(origin, connection)
        return _copy_rows(origin, connection, progress)


def lay_tables(source: Connection, target: Connection) -> None:
    """Make the tables of core and of every plugin that `source` has, each at the revision where `source` is."""
    present = set(inspect(source).get_table_names())
    for line in lines_of(present):
        revision = migrate.current(source, line)
        migrate.upgrade(target, line, to=revision or "head")
    metadata.create_all(target, tables=custom_tables(source))
    laid = set(inspect(target).get_table_names())
    strangers = sorted(name for name in ordinary_tables(source) if name not in laid)
    if strangers and target.dialect.name != "sqlite":
        raise RapportError(
            f"The table '{strangers[0]}' belongs to a plugin that is not installed here, so its columns cannot be "
            f"made on PostgreSQL. Install that plugin, then restore again."
        )
    reflected = MetaData()
    for name in strangers:
        Table(name, reflected, autoload_with=source, resolve_fks=False)
    for name in strangers:
        _as_generic(reflected.tables[name], MetaData()).create(target)


def lines_of(present: Iterable[str]) -> list[migrate.Line]:
    """The lines of migrations that have made any of these tables; plugins that are switched off count too."""
    present = set(present)
    lines = [core_line()]
    for info in discover().values():
        line = migrate.Line(info.name, info.module.partition(":")[0])
        try:
            import_plugin(info)
        except Exception:  # noqa: S112 - a broken plugin's tables are carried as a stranger's
            continue
        if present & {table.name for table in line.tables()} or line.version_table in present:
            lines.append(line)
    # Tables of one plugin may refer to those of another.
    order = {table.name: number for number, table in enumerate(metadata.sorted_tables)}
    return [lines[0], *sorted(lines[1:], key=lambda line: max((order[t.name] for t in line.tables()), default=0))]


def ordinary_tables(connection: Connection) -> list[str]:
    """Tables that hold rows of their own; a search index's inner tables follow from the others."""
    names = sorted(inspect(connection).get_table_names())
    if connection.dialect.name != "sqlite":
        return names
    made = connection.execute(text("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'"))
    virtual = list(made.scalars())
    inner = tuple(f"{name}_" for name in virtual)
    return [name for name in names if name not in virtual and not (inner and name.startswith(inner))]


def count_tables(connection: Connection) -> dict[str, int]:
    """The rows of each table."""
    return {name: _count(connection, name) for name in ordinary_tables(connection)}


def has_tables(database: Database) -> bool:
    """Whether there is anything in the database."""
    with database.read() as connection:
        return bool(inspect(connection).get_table_names())


def _count(connection: Connection, name: str) -> int:
    quoted = connection.dialect.identifier_preparer.quote(name)
    return int(connection.scalar(text(f"SELECT count(*) FROM {quoted}")) or 0)  # noqa: S608 - quoted


def _copy_rows(source: Connection, target: Connection, progress: Progress) -> dict[str, int]:
    laid = set(ordinary_tables(target))
    names = [name for name in ordinary_tables(source) if name in laid]
    tables = [_table(name, source, target) for name in names]
    counts = {name: _count(source, name) for name in names}
    total, done = sum(counts.values()), 0
    constraints = _loosen(target)
    for table in tables:
        target.execute(table.delete())
    for table in tables:
        copied = 0
        for rows in _batches(source, target, table):
            target.execute(table.insert(), rows)
            copied += len(rows)
            progress(done + copied, total)
        if copied != counts[table.name]:
            raise RapportError(f"The table {table.name} changed while it was read. Try again.")
        done += copied
        _continue_sequence(target, table)
    for constraint in constraints:
        target.exec_driver_sql(constraint)
    rebuild_indexes(target)
    return counts


def _batches(source: Connection, target: Connection, table: Table) -> Iterable[Sequence[dict[str, Any]]]:
    rows = source.execution_options(stream_results=True, yield_per=BATCH).execute(select(*table.columns))
    for part in rows.mappings().partitions(BATCH):
        batch = [dict(row) for row in part]
        if table.name == "search_document":
            _carry_words(source, target, batch)
        yield batch


def _carry_words(source: Connection, target: Connection, documents: list[dict[str, Any]]) -> None:
    """The words under which records are found: a table of their own on SQLite, a column on PostgreSQL."""
    if source.dialect.name == "sqlite":
        ids = [document["id"] for document in documents]
        query = select(SEARCH_INDEX.c.rowid, SEARCH_INDEX.c.words).where(SEARCH_INDEX.c.rowid.in_(ids))
        words = {row.rowid: row.words for row in source.execute(query)}
    else:
        words = {document["id"]: _in_order(document["words"] or "") for document in documents}
    if target.dialect.name == "sqlite":
        rows = [{"rowid": number, "words": text} for number, text in words.items()]
        target.execute(SEARCH_INDEX.insert(), rows)
    for document in documents:
        text = words.get(document["id"], "").split()[:MAX_POSITION]
        placed = " ".join(f"{word}:{place}" for place, word in enumerate(text, 1))
        document["words"] = None if target.dialect.name == "sqlite" else placed


def _in_order(vector: str) -> str:
    """`'ada':1 'lovelace':2` → `ada lovelace`."""
    placed = [(int(at), word) for word, places in LEXEME.findall(vector) for at in places.split(",")]
    return " ".join(word for _, word in sorted(placed))


def _table(name: str, source: Connection, target: Connection) -> Table:
    """A table as both databases have it, with our types where we know them."""
    known = metadata.tables.get(name)
    here = Table(name, MetaData(), autoload_with=target, resolve_fks=False)
    there = {column["name"] for column in inspect(source).get_columns(name)}
    if missing := there - set(here.columns.keys()):
        raise RapportError(
            f"The column '{name}.{sorted(missing)[0]}' is unknown to this version of Rapport. Update it."
        )
    columns = []
    for column in here.columns:
        if column.name not in there:
            continue
        ours = known.columns.get(column.name) if known is not None else None
        copy = column._copy()
        copy.type = ours.type if ours is not None else column.type.as_generic(allow_nulltype=True)
        copy.server_default = None
        columns.append(copy)
    return Table(name, MetaData(), *columns)


def _as_generic(table: Table, into: MetaData) -> Table:
    """A reflected table with types that any database has, without references."""
    columns = []
    for column in table.columns:
        copy = column._copy()
        copy.type = column.type.as_generic(allow_nulltype=True)
        copy.server_default = None
        columns.append(copy)
    return Table(table.name, into, *columns)


def _loosen(connection: Connection) -> list[str]:
    """Let rows come in any order. Returns the statements that make references strict again."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")  # until the commit
        return []
    found = connection.exec_driver_sql(
        "SELECT conrelid::regclass::text AS owner, quote_ident(conname) AS name, pg_get_constraintdef(oid) AS rule "
        "FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"
    ).all()
    for row in found:
        connection.exec_driver_sql(f"ALTER TABLE {row.owner} DROP CONSTRAINT {row.name}")
    return [f"ALTER TABLE {row.owner} ADD CONSTRAINT {row.name} {row.rule}" for row in found]


def _continue_sequence(connection: Connection, table: Table) -> None:
    """PostgreSQL counts on from the highest number that came in."""
    if connection.dialect.name == "sqlite":
        return
    for column in table.primary_key.columns:
        sequence = connection.scalar(
            text("SELECT pg_get_serial_sequence(:table, :column)"),
            {"table": connection.dialect.identifier_preparer.quote(table.name), "column": column.name},
        )
        highest = connection.scalar(select(func.max(column))) if sequence else None
        if highest is not None:
            connection.execute(text("SELECT setval(:sequence, :highest)"), {"sequence": sequence, "highest": highest})
