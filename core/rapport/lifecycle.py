"""Making a site, and switching plugins on and off: what changes a site's shape, as opposed to its records."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection, MetaData, Table, delete, func, insert, inspect, select, update
from sqlalchemy.schema import DropConstraint, DropTable

from rapport.access import system
from rapport.access.service import create_user
from rapport.builtin import BUILTIN
from rapport.config import Config
from rapport.db import migrate
from rapport.db.engine import Database
from rapport.db.tables import metadata, plugin_data_table, plugin_table, site_table
from rapport.errors import Conflict, NotFound, PluginError, RapportError
from rapport.events import enqueue
from rapport.fit.tables import rebuild_indexes
from rapport.followers import forget_places
from rapport.http import bare_app, mount
from rapport.interactions.consent import FIRST_RECORDS
from rapport.jobs import job_table
from rapport.plugins import PluginInfo, State, dependants, dependencies, discover, import_plugin, needed, unmet
from rapport.query.search import forget_entities
from rapport.records.log import change_log, delivery_table
from rapport.schedules import schedule_table
from rapport.settings import setting_table
from rapport.site import Site

CACHE_TAG = "CACHEDIR.TAG"
"""Whatever is in a folder with this file can be made again: backup programs know it, and so does `purge`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of migrations that was brought up to date, or could not be."""

    plugin: str
    seconds: float
    problem: str = ""


def make_site(config: Config) -> None:
    """Create the tables of a new site, or bring those of an old one up to date. Running it again does no harm."""
    db = Database(config)
    try:
        if config.is_sqlite:
            config.home.mkdir(parents=True, exist_ok=True)
        config.files.mkdir(parents=True, exist_ok=True)
        with db.write() as connection:
            _lock(connection)
            if _core_waits(connection):
                _migrate(connection, core_line())
            if connection.scalar(select(func.count()).select_from(site_table)) == 0:
                connection.execute(insert(site_table).values(id=1, generation=0))
            begun = connection.scalar(select(change_log.c.seq).where(change_log.c.entity == "purpose").limit(1))
    finally:
        db.close()
    if begun is None:
        _put_in_first_records(config)


def _put_in_first_records(config: Config) -> None:
    """What every site starts with, signed for in the log as what a module puts in: it is nobody's own change."""
    site = Site.open(config, safe=True)
    try:
        with site.write(system("Rapport").through("plugin")) as unit:
            for entity, rows in FIRST_RECORDS.items():
                for row in rows:
                    unit.create(entity, row)
    finally:
        site.close()


def upgrade_site(config: Config, told: Callable[[Step], None] = lambda step: None) -> list[Step]:
    """Apply every pending migration, core first, then enabled plugins in order; `told` hears of each when it is done.

    What fails is left as it was, with those that need it; the others go on. Only core's failure stops everything.
    """
    steps: list[Step] = []
    db = Database(config)

    def done(plugin: str, begun: float, problem: str = "") -> None:
        steps.append(Step(plugin, time.monotonic() - begun, problem))
        told(steps[-1])

    try:
        begun = time.monotonic()
        with db.reshape() as connection:
            _lock(connection)
            if waits := _core_waits(connection):
                _migrate(connection, core_line())
                _next_generation(connection)
        if waits:
            done(migrate.CORE, begun)
        installed = discover()
        with db.read() as connection:
            enabled = connection.scalars(select(plugin_table.c.name).where(plugin_table.c.enabled)).all()
        failed: set[str] = set()
        for name in _importable(enabled, installed):
            info, begun = installed[name], time.monotonic()
            if lame := failed & set(dependencies(info, installed)):
                failed.add(name)
                done(name, begun, f"'{sorted(lame)[0]}' comes first.")
                continue
            try:
                if _upgrade_one(db, info):
                    done(name, begun)
            except (Exception, SystemExit) as error:  # a plugin's migration is the plugin's: the others go on
                failed.add(name)
                done(name, begun, _said(error))
    finally:
        db.close()
    return steps


def _said(error: BaseException) -> str:
    if isinstance(error, RapportError):
        return f"{error} Nothing of it was changed."
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}. Nothing of it was changed."


def upgrade(config: Config, name: str) -> bool:
    """Bring the tables of one enabled plugin up to date, after a newer version of it was installed. Whether they were.

    Everything is checked before anything changes: what it needs must be there, and up to date itself.
    """
    installed = discover()
    info = _installed(name, installed)
    db = Database(config)
    try:
        with db.read() as connection:
            on = set(connection.scalars(select(plugin_table.c.name).where(plugin_table.c.enabled)))
            if name not in on:
                raise NotFound(f"'{name}' is not enabled; enabling it brings its tables up to date: "
                               f"rapport plugins enable {name}")  # fmt: skip
            _refuse_unmet("upgraded", name, installed, on)
            for each in needed([name], installed)[:-1]:
                _imported(installed[each])
                if reason := migrate.pending(connection, _line(installed[each])):
                    raise PluginError(f"'{name}' cannot be upgraded: it needs '{each}', and there {reason}. "
                                      f"First: rapport plugins upgrade {each}")  # fmt: skip
        _imported(info)
        return _upgrade_one(db, info)
    finally:
        db.close()


def _upgrade_one(db: Database, info: PluginInfo) -> bool:
    line = _line(info)
    with db.reshape() as connection:
        _lock(connection)
        waits = bool(migrate.pending(connection, line))
        if waits:
            _refuse_older(connection, info)
            _migrate(connection, line)
        facts = update(plugin_table).where(plugin_table.c.name == info.name).values(**_facts(info))
        if connection.execute(facts.where(plugin_table.c.version != info.version)).rowcount or waits:
            _next_generation(connection)
    return waits


def _refuse_older(connection: Connection, info: PluginInfo) -> None:
    if migrate.ahead(connection, _line(info)):
        version = connection.scalar(select(plugin_table.c.version).where(plugin_table.c.name == info.name))
        raise PluginError(
            f"The tables of '{info.name}' were made by version {version}, and {info.version} is installed, which does "
            f"not know them. Install the newer one: rapport plugins install '{info.distribution}>={version}'"
        )


def _facts(info: PluginInfo) -> dict[str, str]:
    return {"version": info.version, "distribution": info.distribution}


def pending_migrations(config: Config) -> dict[str, str]:
    """What waits, by plugin."""
    db = Database(config)
    installed = discover()
    waiting = {}
    try:
        with db.read() as connection:
            if reason := _core_waits(connection):
                waiting[migrate.CORE] = reason
            enabled = connection.scalars(select(plugin_table.c.name).where(plugin_table.c.enabled)).all()
            for name in _importable(enabled, installed):
                if reason := migrate.pending(connection, _line(installed[name])):
                    waiting[name] = reason
    finally:
        db.close()
    return waiting


def _core_waits(connection: Connection) -> str:
    if not inspect(connection).has_table("site"):
        return "its tables are not there yet"
    return migrate.pending(connection, core_line())


def enable(config: Config, *names: str) -> list[str]:
    """Switch plugins on, with the plugins they need: check, try out, migrate, mark. Returns the names, in order.

    Everything is checked before anything changes, also whether the site would start with them. Running workers build
    themselves anew within a second.
    """
    installed = discover()
    for name in names:
        _installed(name, installed)
    wanted = needed(names, installed)
    db = Database(config)
    try:
        with db.read() as connection:
            rows = connection.execute(select(plugin_table).where(plugin_table.c.enabled)).all()
            on = {row.name for row in rows}
            for each in wanted:
                _refuse_unmet("enabled", each, installed, on | set(wanted))
                _refuse_older(connection, installed[each])
        faulty = {row.name for row in rows if row.quarantine}
        if fresh := [each for each in wanted if each not in on or each in faulty or each in names]:
            _try_out(config, sorted(on | set(wanted)), fresh)
        with db.reshape() as connection:
            _lock(connection)
            for each in fresh:
                _switch_on(connection, installed[each], new=each not in on)
            _next_generation(connection)
    finally:
        db.close()
    return fresh


def _installed(name: str, installed: Mapping[str, PluginInfo]) -> PluginInfo:
    if name not in installed:
        raise NotFound(
            f"There is no installed plugin '{name}'. Install it first: rapport plugins install rapport-{name}"
        )
    return installed[name]


def _imported(info: PluginInfo) -> None:
    """Have a plugin's tables defined; PluginError when its code does not even load."""
    try:
        import_plugin(info)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{info.distribution} {info.version} cannot be imported: {_said(error)}") from error


def _refuse_unmet(what: str, name: str, installed: Mapping[str, PluginInfo], active: Collection[str]) -> None:
    if (obstacle := unmet(installed[name], installed, active)).reason:
        raise PluginError(f"'{name}' cannot be {what}: {obstacle.reason}. {obstacle.remedy}")


def _try_out(config: Config, plugins: Collection[str], fresh: Collection[str]) -> None:
    """Start the site with these plugins, without a change to it; PluginError when a fresh one would not run."""
    trial = replace(config, plugins=tuple(plugins))
    with contextlib.closing(Site.open(trial, trying=fresh)) as site:
        for name in fresh:
            plugin = site.plugins[name]
            if plugin.state is not State.ACTIVE:
                raise PluginError(f"'{name}' cannot be enabled: {plugin.reason.rstrip('.')}. Nothing was changed.")
        if any(site.pages.owner(str(pages.name)) in fresh for pages in site.pages):
            app = bare_app("trial", site)
            for pages in site.pages:
                mount(app, site.pages.owner(str(pages.name)), pages)


def disable(config: Config, name: str, *, with_dependants: bool = False) -> list[str]:
    """Switch a plugin off. Its tables and rows stay. Conflict while another enabled plugin needs it."""
    installed = discover()
    db = Database(config)
    try:
        with db.write() as connection:
            _lock(connection)
            rows = connection.execute(select(plugin_table.c.name).where(plugin_table.c.enabled)).scalars().all()
            if name not in rows:
                raise NotFound(f"The plugin '{name}' is not enabled.")
            needing = [each for each in dependants(name, installed) if each in rows]
            if needing and not with_dependants:
                raise Conflict(
                    f"{', '.join(needing)} needs '{name}'. Disable it first: rapport plugins disable {needing[0]}"
                )
            off = [*needing, name]
            connection.execute(update(plugin_table).where(plugin_table.c.name.in_(off)).values(enabled=False))
            _next_generation(connection)
    finally:
        db.close()
    return off


def quarantine(db: Database, name: str, reason: str) -> None:
    """Take a plugin out that does harm, in every process, until somebody enables it again. The reason is kept."""
    with db.write() as connection:
        connection.execute(update(plugin_table).where(plugin_table.c.name == name).values(quarantine=reason))
        _next_generation(connection)


# The data of a plugin ------------------------------------------------------------------------------------------------


def tables_of(connection: Connection, name: str) -> list[Table]:
    """The tables of a plugin, also of one whose code is gone: then as the database describes them."""
    names = set(migrate.tables_made_by(connection, name))
    if (info := discover().get(name)) is not None:
        with contextlib.suppress(Exception, SystemExit):
            import_plugin(info)
            names |= {table.name for table in _line(info).tables()} & set(migrate.table_names(connection))
    strangers = MetaData()
    if unknown := sorted(names - set(metadata.tables)):  # asked for none, SQLAlchemy reads all there are
        strangers.reflect(connection, only=unknown, resolve_fks=False)
    return [metadata.tables[each] if each in metadata.tables else strangers.tables[each] for each in sorted(names)]


def table_counts(connection: Connection, name: str) -> dict[str, int]:
    """How many rows each table of a plugin holds."""
    tables = tables_of(connection, name)
    return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


def export_tables(config: Config, name: str, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Write each table of a plugin into `exports/` as NDJSON, one file each, and make sure that every row is there."""
    folder = config.home / "exports" / f"{name}-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S-%f}"
    folder.mkdir(parents=True, mode=0o700)
    with contextlib.closing(Database(config)) as db, db.read() as connection:
        counts = table_counts(connection, name)
        for table in tables_of(connection, name):
            written = 0
            with (folder / f"{table.name}.ndjson").open("w", encoding="utf-8") as file:
                for row in connection.execution_options(yield_per=1000).execute(select(table)).mappings():
                    file.write(json.dumps(dict(row), ensure_ascii=False, default=_as_json) + "\n")
                    written += 1
                    progress(written, counts[table.name])
            if written != counts[table.name]:
                raise Conflict(f"{table.name} changed while it was exported: nothing was deleted. Try again.")
    return folder


def _as_json(value: object) -> object:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return list(value) if isinstance(value, tuple | set) else str(value)


def purge(config: Config, name: str) -> dict[str, int]:
    """Delete a disabled plugin's tables for good. Returns what was deleted: rows by table. Ask before calling.

    Its settings, waiting events and jobs go too, and the folder of its name in the site's folder, if that is tagged as
    one that can be made again; what the audit says of its records stays.
    """
    db = Database(config)
    try:
        with db.reshape() as connection:
            _lock(connection)
            counts = table_counts(connection, name)
            check_purge(connection, name, counts)
            _drop(connection, tables_of(connection, name))
            Table(migrate.Line(name, "").version_table, MetaData()).drop(connection, checkfirst=True)
            # The words for tables follow the words for entities: loyalty_card, loyalty.card.
            forget_entities(connection, [table.replace(f"{name}_", f"{name}.", 1) for table in counts])
            for table in (setting_table, job_table, schedule_table):
                connection.execute(delete(table).where(table.c.name.startswith(f"{name}.", autoescape=True)))
            forget_places(connection, name)
            for table in (delivery_table, plugin_data_table):
                connection.execute(delete(table).where(table.c.plugin == name))
            connection.execute(delete(plugin_table).where(plugin_table.c.name == name))
            _next_generation(connection)
    finally:
        db.close()
    folder = config.home / name
    if (folder / CACHE_TAG).is_file():
        shutil.rmtree(folder)
    return counts


def check_purge(connection: Connection, name: str, tables: Collection[str]) -> None:
    """Conflict when the plugin is on, or a table that stays refers to one of these: its rows would refer to nothing."""
    enabled = select(plugin_table.c.enabled).where(plugin_table.c.name == name)
    if connection.scalar(enabled):
        raise Conflict(f"'{name}' is enabled. Disable it first: rapport plugins disable {name}")
    every = inspect(connection).get_multi_foreign_keys()
    for (_schema, other), keys in every.items():
        for key in keys:
            if other not in tables and key["referred_table"] in tables:
                owner = connection.scalar(
                    select(plugin_data_table.c.plugin).where(plugin_data_table.c.table_name == other)
                )
                way = f"First: rapport plugins purge {owner}" if owner else "Take that reference away first."
                raise Conflict(f"'{name}' cannot be purged: the table '{other}' refers to its "
                               f"'{key['referred_table']}'. {way}")  # fmt: skip


def _drop(connection: Connection, tables: Iterable[Table]) -> None:
    if connection.dialect.name == "sqlite":  # nothing watches references here, see `reshape`
        for table in tables:
            connection.execute(DropTable(table, if_exists=True))
        return
    reflected = MetaData()
    reflected.reflect(connection, only=[table.name for table in tables], resolve_fks=False)
    for table in reflected.tables.values():  # in any order, so references among them go first
        for reference in table.foreign_key_constraints:
            connection.execute(DropConstraint(reference))
    for table in reflected.tables.values():
        connection.execute(DropTable(table))


def create_admin(config: Config, *, name: str, email: str, password: str) -> None:
    """Make the first user, an administrator."""
    with contextlib.closing(Site.open(config)) as site, site.write(system("rapport init").through("cli")) as unit:
        create_user(unit, name=name, email=email, password=password, roles=["admin"], language=config.language,
                    time_zone=config.time_zone)  # fmt: skip


def _switch_on(connection: Connection, info: PluginInfo, *, new: bool) -> None:
    if connection.scalar(select(plugin_table.c.name).where(plugin_table.c.name == info.name)) is None:
        connection.execute(insert(plugin_table).values(name=info.name, enabled=True))
    values = {"enabled": True, "quarantine": "", **_facts(info)}
    connection.execute(update(plugin_table).where(plugin_table.c.name == info.name).values(**values))
    line = _line(info)
    if migrate.pending(connection, line):
        _migrate(connection, line)
    if new:
        forget_places(connection, info.name)  # what happened while it was off is not its business
        enqueue(connection, info.name, "plugin_enabled", {"plugin": info.name})


def _migrate(connection: Connection, line: migrate.Line) -> None:
    """One line brought up to date, and the indexes that administrators wished for are there again."""
    migrate.upgrade(connection, line)
    rebuild_indexes(connection)


def core_line() -> migrate.Line:
    """Rapport's own line, with every table of it defined: those of jobs and of built-in plugins too."""
    for module in BUILTIN.values():
        import_plugin(PluginInfo(module, "rapport-crm", "", module, builtin=True))
    return migrate.core_line()


def _line(info: PluginInfo) -> migrate.Line:
    return migrate.Line(info.name, info.package)


def _importable(names: Iterable[str], installed: dict[str, PluginInfo]) -> list[str]:
    """Those enabled and all they need, in order, with their tables defined; what cannot run is left as it is.

    `rapport plugins list` says why it cannot.
    """
    usable: list[str] = []
    for name in names:
        with contextlib.suppress(Exception, SystemExit):
            for each in needed([name], installed):
                import_plugin(installed[each])
            usable += [each for each in needed([name], installed) if each not in usable]
    return usable


def _lock(connection: Connection) -> None:
    """One process at a time changes the shape of a site. SQLite's writer is alone already."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(727074)")


def _next_generation(connection: Connection) -> None:
    connection.execute(update(site_table).values(generation=site_table.c.generation + 1))
