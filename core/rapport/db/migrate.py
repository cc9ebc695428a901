"""Migrations: one line of revisions per plugin, applied whole or not at all.

A plugin with a `migrations/` folder is migrated by Alembic, with a version table of its own, so that uninstalling one
plugin never disturbs another. A plugin without one gets its tables straight from its entities, as long as the change
only adds; anything else needs a migration, and the error says so.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Table, inspect, select, text, update
from sqlalchemy.schema import CreateIndex

from rapport.db.tables import metadata, plugin_table
from rapport.errors import PluginError

CORE = "core"


@dataclass(frozen=True, slots=True)
class Line:
    """One plugin's line of migrations."""

    plugin: str
    package: str
    """The import name of the package whose `migrations/` folder counts."""

    @property
    def folder(self) -> Path | None:
        """Where its revisions are; None when it has none."""
        spec = importlib.util.find_spec(self.package)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            folder = Path(root) / "migrations"
            if any(folder.glob("[0-9]*.py")):
                return folder
        return None

    @property
    def version_table(self) -> str:
        """Where the database keeps the revision it is at."""
        return f"alembic_version_{self.plugin}"

    def head(self) -> str:
        """The newest revision: files are numbered, `0002_owner.py` has the revision `0002`."""
        assert self.folder is not None
        return max(path.name.split("_", 1)[0] for path in self.folder.glob("[0-9]*.py"))

    def tables(self) -> list[Table]:
        """The tables of this plugin among those defined in this process, in the order to create them."""
        return [table for table in metadata.sorted_tables if table.info.get("owner", CORE) == self.plugin]


def core_line() -> Line:
    """Rapport's own line."""
    return Line(CORE, "rapport.db")


def pending(connection: Connection, line: Line) -> str:
    """What waits to be done, in words; empty when the database is up to date. Cheap: it runs at every start."""
    if line.folder is None:
        fingerprint = _kept_fingerprint(connection, line)
        return "" if fingerprint == _fingerprint(line.tables()) else "its tables have changed"
    current = _revision(connection, line)
    numbers = sorted(path.name.split("_", 1)[0] for path in line.folder.glob("[0-9]*.py"))
    if current is not None and current not in numbers:
        return f"the database is at revision {current}, which this version of the code does not have"
    waiting = [number for number in numbers if current is None or number > current]
    if not waiting:
        return ""
    return f"{len(waiting)} migration{'s are' if len(waiting) > 1 else ' is'} pending"


def current(connection: Connection, line: Line) -> str | None:
    """The revision the database is at; None where the plugin's tables were never made, or not by migrations."""
    return _revision(connection, line)


def upgrade(connection: Connection, line: Line, to: str = "head") -> None:
    """Bring one plugin's tables up to date, or up to one revision, inside the caller's transaction."""
    if line.folder is None:
        _add_what_is_missing(connection, line)
    else:
        _run_alembic(connection, line, to)


def _run_alembic(connection: Connection, line: Line, to: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(line.folder))
    config.set_main_option("version_locations", str(line.folder))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    def steps(revision: Any, context: Any) -> Any:
        return script._upgrade_revs(to, revision)

    with EnvironmentContext(config, script, fn=steps) as environment:
        environment.configure(
            connection=connection,
            version_table=line.version_table,
            transactional_ddl=True,
            transaction_per_migration=False,
        )
        environment.run_migrations()


def _revision(connection: Connection, line: Line) -> str | None:
    if not inspect(connection).has_table(line.version_table):
        return None
    found: str | None = connection.scalar(text(f'SELECT version_num FROM "{line.version_table}"'))  # noqa: S608
    return found


def _add_what_is_missing(connection: Connection, line: Line) -> None:
    tables = line.tables()
    present = set(inspect(connection).get_table_names())
    for table in tables:
        if table.name in present:
            _add_columns(connection, line, table)
    metadata.create_all(connection, tables=[table for table in tables if table.name not in present])
    if line.plugin != CORE:
        connection.execute(
            update(plugin_table).where(plugin_table.c.name == line.plugin).values(fingerprint=_fingerprint(tables))
        )


def _add_columns(connection: Connection, line: Line, table: Table) -> None:
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for column in table.columns:
        if column.name not in there:
            _add_column(connection, line, table, column)
    indexes = {index["name"] for index in inspect(connection).get_indexes(table.name)}
    for index in table.indexes:
        if index.name not in indexes:
            connection.execute(CreateIndex(index))


def _add_column(connection: Connection, line: Line, table: Table, column: Column[Any]) -> None:
    if not column.nullable:
        raise PluginError(
            f"{line.plugin}: the new column '{table.name}.{column.name}' may not be empty, and old rows have no value "
            f"for it. Allow it to be empty (Mapped[... | None]), or write a migration: "
            f"rapport db revision {line.plugin}"
        )
    kind = column.type.compile(connection.dialect)
    name = connection.dialect.identifier_preparer.format_column(column)
    owner = connection.dialect.identifier_preparer.format_table(table)
    connection.execute(text(f"ALTER TABLE {owner} ADD COLUMN {name} {kind}"))


def _kept_fingerprint(connection: Connection, line: Line) -> str:
    if line.plugin == CORE:
        return _fingerprint(line.tables())
    query = select(plugin_table.c.fingerprint).where(plugin_table.c.name == line.plugin)
    return connection.scalar(query) or _fingerprint([])


def _fingerprint(tables: Iterable[Table]) -> str:
    """Changes whenever a table, column or index does."""
    parts = []
    for table in sorted(tables, key=lambda t: t.name):
        columns = [re.sub(r"\s+", " ", f"{c.name} {c.type!r} {c.nullable}") for c in table.columns]
        parts.append(f"{table.name}({'; '.join(columns)}; {sorted(str(i.name) for i in table.indexes)})")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32] if parts else ""
