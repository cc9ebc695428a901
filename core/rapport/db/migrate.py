"""Migrations: one line of revisions per plugin, applied whole or not at all.

A plugin with a `migrations/` folder is migrated by Alembic, with a version table of its own, so that uninstalling one
plugin never disturbs another. A plugin without one gets its tables straight from its entities, as long as the change
only adds; anything else needs a migration, and the error says so.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Table,
    Text,
    delete,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)  # fmt: skip
from sqlalchemy.exc import SAWarning
from sqlalchemy.schema import CreateIndex

from rapport.db.engine import really_roll_back
from rapport.db.tables import index_names, metadata, plugin_data_table, plugin_table
from rapport.errors import PluginError

CORE = "core"
TRANSACTIONAL = re.compile(r"\s*(BEGIN|COMMIT|END|ROLLBACK|ABORT)\b(?!\s+TO\b)", re.IGNORECASE)
REBUILT = re.compile(r"\s*DROP TABLE \"?(\w+)\"?\s*$", re.IGNORECASE)
RENAMED = re.compile(r"\s*ALTER TABLE \"?_alembic_tmp_(\w+?)\"? RENAME TO", re.IGNORECASE)


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

    def numbers(self) -> list[str]:
        """Its revisions, oldest first: files are numbered, `0002_owner.py` has the revision `0002`."""
        assert self.folder is not None
        return sorted(path.name.split("_", 1)[0] for path in self.folder.glob("[0-9]*.py"))

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
    numbers = line.numbers()
    if current is not None and current not in numbers:
        return f"the database is at revision {current}, which this version of the code does not have"
    waiting = [number for number in numbers if current is None or number > current]
    if not waiting:
        return ""
    return f"{len(waiting)} migration{'s are' if len(waiting) > 1 else ' is'} pending"


def ahead(connection: Connection, line: Line) -> bool:
    """Whether a newer version of the code has migrated the database: the code must follow, not the database."""
    if line.folder is None:
        return False
    current = _revision(connection, line)
    return current is not None and current not in line.numbers()


def current(connection: Connection, line: Line) -> str | None:
    """The revision the database is at; None where the plugin's tables were never made, or not by migrations."""
    return _revision(connection, line)


def upgrade(connection: Connection, line: Line, to: str = "head") -> None:
    """Bring one plugin's tables up to date, or up to one revision, inside the caller's transaction."""
    before = set(table_names(connection))
    if line.folder is None:
        _add_what_is_missing(connection, line)
    else:
        with _watched(connection, line):
            _run_alembic(connection, line, to)
    if line.plugin != CORE:
        made = set(table_names(connection)) - before
        _remember_tables(connection, line, made | {table.name for table in line.tables()})


def table_names(connection: Connection) -> list[str]:
    """The tables there are, without the inner ones of a search index."""
    names = inspect(connection).get_table_names()
    if connection.dialect.name != "sqlite":
        return names
    shadows = connection.exec_driver_sql("SELECT name FROM pragma_table_list WHERE type = 'shadow'")
    return sorted(set(names) - set(shadows.scalars()))


def tables_made_by(connection: Connection, plugin: str) -> list[str]:
    """The tables of a plugin that are there, as far as it was ever enabled; its code need not be installed."""
    query = select(plugin_data_table.c.table_name).where(plugin_data_table.c.plugin == plugin)
    present = set(table_names(connection))
    return sorted(name for name in connection.scalars(query) if name in present)


def _remember_tables(connection: Connection, line: Line, names: Iterable[str]) -> None:
    if not inspect(connection).has_table(plugin_data_table.name):
        return  # a scratch database, which nobody will purge
    data = plugin_data_table.c
    known = set(connection.scalars(select(data.table_name).where(data.plugin == line.plugin)))
    present = set(table_names(connection)) - {line.version_table}
    if fresh := sorted((set(names) & present) - known):
        rows = [{"plugin": line.plugin, "table_name": name} for name in fresh]
        connection.execute(insert(plugin_data_table), rows)
    if gone := known - present:
        connection.execute(delete(plugin_data_table).where(data.plugin == line.plugin, data.table_name.in_(gone)))


# With Alembic --------------------------------------------------------------------------------------------------------


def _run_alembic(connection: Connection, line: Line, to: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(line.folder))
    config.set_main_option("version_locations", str(line.folder))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    if _revision(connection, line) is None and _made_without_migrations(connection, line):
        _stamp(connection, line, line.numbers()[0])

    def steps(revision: Any, context: Any) -> Any:
        return script._upgrade_revs(to, revision)

    with EnvironmentContext(config, script, fn=steps) as environment, warnings.catch_warnings():
        # Indexes over expressions: what SQLAlchemy cannot carry over, `_watched` does.
        warnings.filterwarnings("ignore", "Skipped unsupported reflection", SAWarning)
        environment.configure(
            connection=connection,
            version_table=line.version_table,
            transactional_ddl=True,
            transaction_per_migration=False,
        )
        environment.run_migrations()


def _made_without_migrations(connection: Connection, line: Line) -> bool:
    """Whether the plugin had no migrations when its tables were made; its first one then describes what is there."""
    query = select(plugin_table.c.fingerprint).where(plugin_table.c.name == line.plugin)
    return inspect(connection).has_table(plugin_table.name) and bool(connection.scalar(query))


def _stamp(connection: Connection, line: Line, revision: str) -> None:
    versions = Table(line.version_table, MetaData(), Column("version_num", Text, primary_key=True))
    versions.create(connection)
    connection.execute(insert(versions).values(version_num=revision))
    connection.execute(update(plugin_table).where(plugin_table.c.name == line.plugin).values(fingerprint=""))


@contextmanager
def _watched(connection: Connection, line: Line) -> Iterator[None]:
    """Keep a migration in its one transaction, and keep what SQLite's way of altering a table would lose.

    There, Alembic makes the table anew, copies the rows, and drops the old one, and with it every trigger and every
    index over an expression, which it does not see. They are read before the drop and made again after the renaming.
    """
    lost: dict[str, list[tuple[str, str]]] = {}
    sqlite = connection.dialect.name == "sqlite"

    def before(_conn: Any, cursor: Any, statement: str, _parameters: Any, _context: Any, _many: Any) -> None:
        if TRANSACTIONAL.match(statement):
            said = statement.split(maxsplit=1)[0].upper()
            raise PluginError(
                f"A migration of {line.plugin} says {said}. Take it out: the migrations of a plugin are one "
                f"transaction, and Rapport ends it."
            )
        if not sqlite:
            return
        if table := REBUILT.match(statement):
            lost[table[1]] = _unseen_by_alembic(cursor.connection, table[1])
        elif RENAMED.match(statement):
            # Else a trigger of another table that names this one, which is not there for a moment, forbids it.
            cursor.connection.execute("PRAGMA legacy_alter_table = ON").close()

    def after(_conn: Any, cursor: Any, statement: str, _parameters: Any, _context: Any, _many: Any) -> None:
        if sqlite and (table := RENAMED.match(statement)):
            cursor.connection.execute("PRAGMA legacy_alter_table = OFF").close()
            for name, made in lost.pop(table[1], ()):
                _make_again(cursor.connection, line, name, made)

    def ended(_conn: Any) -> None:
        raise PluginError(f"A migration of {line.plugin} ends its transaction. Take that out: Rapport ends it.")

    watches = (("before_cursor_execute", before), ("after_cursor_execute", after), ("commit", ended),
               ("rollback", ended))  # fmt: skip
    for name, function in watches:
        event.listen(connection, name, function)
    try:
        yield
    except BaseException:
        # A commit that was refused leaves SQLAlchemy without a transaction, and the database in one.
        really_roll_back(connection)
        raise
    finally:
        for name, function in watches:
            event.remove(connection, name, function)


def _unseen_by_alembic(raw: Any, table: str) -> list[tuple[str, str]]:
    """A table's triggers and its indexes over expressions: their names, and the statements that made them."""
    return list(
        raw.execute(
            "SELECT name, sql FROM sqlite_master AS made WHERE tbl_name = ? AND sql IS NOT NULL AND (type = 'trigger' "
            "OR (type = 'index' AND EXISTS (SELECT 1 FROM pragma_index_xinfo(made.name) WHERE key AND cid = -2)))",
            (table,),
        ).fetchall()
    )


def _make_again(raw: Any, line: Line, name: str, statement: str) -> None:
    try:
        raw.execute(statement).close()
    except raw.OperationalError as error:
        if name.startswith("ix_custom_"):
            return  # its column went; lifecycle makes anew what is still wanted
        raise PluginError(
            f"A migration of {line.plugin} takes away what '{name}' needs: {error}. Drop '{name}' there first."
        ) from error


def _revision(connection: Connection, line: Line) -> str | None:
    if not inspect(connection).has_table(line.version_table):
        return None
    found: str | None = connection.scalar(text(f'SELECT version_num FROM "{line.version_table}"'))  # noqa: S608
    return found


# Without -------------------------------------------------------------------------------------------------------------


def _add_what_is_missing(connection: Connection, line: Line) -> None:
    tables = line.tables()
    present = set(inspect(connection).get_table_names())
    for table in tables:
        if table.name in present:
            _add_columns(connection, line, table)
    metadata.create_all(connection, tables=[table for table in tables if table.name not in present])
    if (
        line.plugin == CORE
        and connection.scalar(select(plugin_table.c.name).where(plugin_table.c.name == CORE)) is None
    ):
        connection.execute(insert(plugin_table).values(name=CORE, enabled=False))
    connection.execute(
        update(plugin_table).where(plugin_table.c.name == line.plugin).values(fingerprint=_fingerprint(tables))
    )


def _add_columns(connection: Connection, line: Line, table: Table) -> None:
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for column in table.columns:
        if column.name not in there:
            _add_column(connection, line, table, column)
    indexes = index_names(connection, table.name)
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
    query = select(plugin_table.c.fingerprint).where(plugin_table.c.name == line.plugin)
    return connection.scalar(query) or _fingerprint([])


def _fingerprint(tables: Iterable[Table]) -> str:
    """Changes whenever a table, column or index does."""
    ordered = sorted(tables, key=lambda table: table.name)
    parts = [_described(table, len(table.columns), len(table.indexes)) for table in ordered]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32] if parts else ""


@functools.lru_cache(maxsize=1000)  # tables only ever grow, and are described at every start
def _described(table: Table, _columns: int, _indexes: int) -> str:
    columns = [re.sub(r"\s+", " ", f"{c.name} {c.type!r} {c.nullable}") for c in table.columns]
    return f"{table.name}({'; '.join(columns)}; {sorted(str(i.name) for i in table.indexes)})"
