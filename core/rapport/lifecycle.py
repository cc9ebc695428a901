"""Making a site, and switching plugins on and off: what changes a site's shape, as opposed to its records."""

from __future__ import annotations

import contextlib
import importlib

from sqlalchemy import Connection, delete, func, insert, inspect, select, update

from rapport.access import system
from rapport.access.service import create_user
from rapport.builtin import BUILTIN
from rapport.config import Config
from rapport.db import migrate
from rapport.db.engine import Database
from rapport.db.tables import metadata, plugin_table, site_table
from rapport.errors import Conflict, NotFound, PluginError
from rapport.events import enqueue
from rapport.plugins import PluginInfo, dependencies, discover, import_plugin, unmet
from rapport.site import Site


def make_site(config: Config) -> None:
    """Create the tables of a new site, or bring those of an old one up to date. Running it again does no harm."""
    db = Database(config)
    try:
        if config.is_sqlite:
            config.home.mkdir(parents=True, exist_ok=True)
        config.files.mkdir(parents=True, exist_ok=True)
        with db.write() as connection:
            _lock(connection)
            migrate.upgrade(connection, core_line())
            if connection.scalar(select(func.count()).select_from(site_table)) == 0:
                connection.execute(insert(site_table).values(id=1, generation=0))
    finally:
        db.close()


def upgrade_site(config: Config) -> list[str]:
    """Apply every pending migration, core first, then enabled plugins in order. Returns the names of those changed."""
    changed = []
    db = Database(config)
    try:
        with db.reshape() as connection:
            _lock(connection)
            if migrate.pending(connection, core_line()) or not inspect(connection).has_table("site"):
                migrate.upgrade(connection, core_line())
                changed.append(migrate.CORE)
        installed = discover()
        with db.read() as connection:
            enabled = connection.scalars(select(plugin_table.c.name).where(plugin_table.c.enabled)).all()
        for name in _importable(enabled, installed):
            line = _line(installed[name])
            with db.reshape() as connection:
                _lock(connection)
                if migrate.pending(connection, line):
                    migrate.upgrade(connection, line)
                    changed.append(name)
        if changed:
            with db.write() as connection:
                _next_generation(connection)
    finally:
        db.close()
    return changed


def pending_migrations(config: Config) -> dict[str, str]:
    """What waits, by plugin."""
    db = Database(config)
    installed = discover()
    waiting = {}
    try:
        with db.read() as connection:
            if reason := migrate.pending(connection, core_line()):
                waiting[migrate.CORE] = reason
            enabled = connection.scalars(select(plugin_table.c.name).where(plugin_table.c.enabled)).all()
            for name in _importable(enabled, installed):
                if reason := migrate.pending(connection, _line(installed[name])):
                    waiting[name] = reason
    finally:
        db.close()
    return waiting


def enable(config: Config, name: str) -> list[str]:
    """Switch a plugin on, with the plugins it needs: check, migrate, mark. Returns the names switched on, in order.

    Everything is checked before anything changes. Running workers build themselves anew within a second.
    """
    installed = discover()
    if name not in installed:
        raise NotFound(f"There is no installed plugin '{name}'. Install it first: pip install rapport-{name}")
    wanted = _with_dependencies([name], installed)
    db = Database(config)
    try:
        with db.read() as connection:
            states = {row.name: row for row in connection.execute(select(plugin_table))}
        on = {row.name for row in states.values() if row.enabled}
        for each in wanted:
            if reason := unmet(installed[each], installed, on | set(wanted)):
                raise PluginError(f"'{each}' cannot be enabled: {reason}.")
        todo = [each for each in wanted if each not in on or each == name]
        with db.reshape() as connection:
            _lock(connection)
            for each in todo:
                _switch_on(connection, installed[each], new=each not in on)
            _next_generation(connection)
    finally:
        db.close()
    return todo


def disable(config: Config, name: str) -> None:
    """Switch a plugin off. Its tables and rows stay. Conflict while another enabled plugin needs it."""
    installed = discover()
    db = Database(config)
    try:
        with db.write() as connection:
            rows = connection.execute(select(plugin_table.c.name).where(plugin_table.c.enabled)).scalars().all()
            if name not in rows:
                raise NotFound(f"The plugin '{name}' is not enabled.")
            needing = sorted(r for r in rows if r in installed and name in dependencies(installed[r], installed))
            if needing:
                raise Conflict(
                    f"{', '.join(needing)} needs '{name}'. Disable it first: rapport plugins disable {needing[0]}"
                )
            connection.execute(update(plugin_table).where(plugin_table.c.name == name).values(enabled=False))
            _next_generation(connection)
    finally:
        db.close()


def purge(config: Config, name: str) -> dict[str, int]:
    """Delete a disabled plugin's tables for good. Returns what was deleted: rows by table. Ask before calling."""
    db = Database(config)
    try:
        with db.write() as connection:
            _lock(connection)
            row = connection.execute(select(plugin_table).where(plugin_table.c.name == name)).one_or_none()
            if row is not None and row.enabled:
                raise Conflict(f"'{name}' is enabled. Disable it first: rapport plugins disable {name}")
            counts = table_counts(connection, name)
            tables = [metadata.tables[table] for table in counts]
            metadata.drop_all(connection, tables=tables)
            connection.exec_driver_sql(f'DROP TABLE IF EXISTS "alembic_version_{name}"')
            connection.execute(delete(plugin_table).where(plugin_table.c.name == name))
            return counts
    finally:
        db.close()


def table_counts(connection: Connection, name: str) -> dict[str, int]:
    """How many rows each table of a plugin holds."""
    installed = discover()
    if name not in installed:
        raise NotFound(f"The code of '{name}' is not installed, so its tables are not known. Install it to purge it.")
    import_plugin(installed[name])
    present = set(inspect(connection).get_table_names())
    tables = [table for table in _line(installed[name]).tables() if table.name in present]
    return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


def create_admin(config: Config, *, name: str, email: str, password: str) -> None:
    """Make the first user, an administrator."""
    with contextlib.closing(Site.open(config)) as site, site.write(system("rapport init").through("cli")) as unit:
        create_user(unit, name=name, email=email, password=password, roles=["admin"], language=config.language,
                    time_zone=config.time_zone)  # fmt: skip


def _switch_on(connection: Connection, info: PluginInfo, *, new: bool) -> None:
    import_plugin(info)
    if connection.scalar(select(plugin_table.c.name).where(plugin_table.c.name == info.name)) is None:
        connection.execute(insert(plugin_table).values(name=info.name, enabled=True, version=info.version))
    values = {"enabled": True, "version": info.version, "quarantine": ""}
    connection.execute(update(plugin_table).where(plugin_table.c.name == info.name).values(**values))
    line = _line(info)
    if migrate.pending(connection, line):
        migrate.upgrade(connection, line)
    if new:
        enqueue(connection, info.name, "plugin_enabled", {"plugin": info.name})


def _with_dependencies(names: object, installed: dict[str, PluginInfo]) -> list[str]:
    """Names and all they need, what is needed first."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered or name not in installed:
            return
        for needed in dependencies(installed[name], installed):
            visit(needed)
        ordered.append(name)

    for name in names:  # type: ignore[attr-defined]
        visit(name)
    return ordered


def core_line() -> migrate.Line:
    """Rapport's own line, with every table of it defined: those of jobs and of built-in plugins too."""
    importlib.import_module("rapport.jobs")
    for module in BUILTIN.values():
        import_plugin(PluginInfo(module, "rapport-crm", "", module, builtin=True))
    return migrate.core_line()


def _line(info: PluginInfo) -> migrate.Line:
    return migrate.Line(info.name, info.module)


def _importable(names: object, installed: dict[str, PluginInfo]) -> list[str]:
    """As `_with_dependencies`, with their tables defined; a plugin that cannot be imported is left as it is.

    `rapport plugins list` says why it cannot.
    """
    usable = []
    for name in _with_dependencies(names, installed):
        with contextlib.suppress(Exception, SystemExit):
            import_plugin(installed[name])
            usable.append(name)
    return usable


def _lock(connection: Connection) -> None:
    """One process at a time changes the shape of a site. SQLite's writer is alone already."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(727074)")


def _next_generation(connection: Connection) -> None:
    connection.execute(update(site_table).values(generation=site_table.c.generation + 1))
