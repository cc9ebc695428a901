"""Plugins from the terminal: see them, switch them on and off, check them, and delete their data for good."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rapport_cli.place import Place
from rapport_cli.speak import Refusal, ask, good, note, progress, say, table

if TYPE_CHECKING:
    from rapport.config import Config
    from rapport.plugins import Plugin, PluginInfo


@click.group()
def plugins() -> None:
    """See plugins, switch them on and off."""


@plugins.command("list")
@click.pass_obj
def list_(place: Place) -> None:
    """Show every plugin, how it fares and what to do."""
    with place.site() as site:
        found = [plugin for _, plugin in sorted(site.plugins.items())]
    if not found:
        say("No plugins are installed. Get one: pip install rapport-sales")
        return
    table(("plugin", "version", "state", "reason", "what to do"), [_row(plugin) for plugin in found])


def _row(plugin: Plugin) -> tuple[str, ...]:
    remedy = plugin.remedy or (f"rapport plugins enable {plugin.name}" if plugin.state == "disabled" else "")
    return plugin.name, plugin.info.version or "–", str(plugin.state), plugin.reason, remedy


@plugins.command()
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def enable(place: Place, names: tuple[str, ...]) -> None:
    """Switch plugins on, with those they need. A running site shows them within a second."""
    from rapport.lifecycle import enable as switch_on

    config = place.config()
    for name in names:
        _known(name)
        for each in switch_on(config, name):
            good(f"{each} is on.")
    with place.site() as site:
        for name in names:
            plugin = site.plugins[name]
            if plugin.state != "active" and not place.safe:
                raise Refusal(f"{name} is {plugin.state}: {plugin.reason}. {plugin.remedy}")


@plugins.command()
@click.argument("name")
@click.option("--dependants", is_flag=True, help="Switch off what needs it too.")
@click.pass_obj
def disable(place: Place, name: str, dependants: bool) -> None:
    """Switch a plugin off. Its data stays."""
    from rapport.lifecycle import disable as switch_off

    config = place.config()
    needing = [each for each in _needing(name) if each in _enabled(config)]
    if needing and not dependants:
        raise Refusal(
            f"{', '.join(needing)} needs '{name}'. Switch off all of them: rapport plugins disable {name} --dependants"
        )
    for each in [*needing, name]:
        switch_off(config, each)
        good(f"{each} is off; its data is kept.")


@plugins.command()
@click.argument("name", required=False)
@click.pass_obj
def check(place: Place, name: str | None) -> None:
    """Try whether plugins would run here, also those that are off. Ends with 1 when one would not."""
    from rapport.app import create_app
    from rapport.plugins import State, discover
    from rapport.site import Site

    config = place.config()
    installed = discover()
    if name is not None:
        _known(name)
    wanted = set(_enabled(config)) | ({name} if name else set(installed))
    for each in list(wanted):
        wanted |= set(_needed(each, installed))
    trial = replace(config, plugins=tuple(sorted(wanted)))
    enabled = set(_enabled(config))
    bad = 0
    with contextlib.closing(Site.open(trial)) as site:
        for each, plugin in sorted(site.plugins.items()):
            if name is not None and each != name:
                continue
            # A plugin that is off has no tables yet: that it waits for them is as it should be.
            off = each not in enabled and plugin.state is State.HELD
            if plugin.state is State.ACTIVE or off:
                good(f"{each}: {'could be switched on' if each not in enabled else 'runs'}.")
            else:
                bad += 1
                click.secho(f"{each}: {plugin.state}: {plugin.reason}. {plugin.remedy}", fg="red", err=True)
    site = create_app(trial).extensions["rapport"]  # its pages must mount, each with its policy
    site.close()
    raise SystemExit(1 if bad else 0)


@plugins.command()
@click.argument("name")
@click.option("--yes", "confirmed", metavar="NAME", help="The plugin's name once more, instead of being asked.")
@click.pass_obj
def purge(place: Place, name: str, confirmed: str | None) -> None:
    """Delete a plugin's tables and rows for good, after writing an export of them."""
    from rapport.db.engine import Database
    from rapport.lifecycle import purge as delete_tables
    from rapport.lifecycle import table_counts

    config = place.config()
    _known(name)
    if name in _enabled(config):
        raise Refusal(f"'{name}' is on. Switch it off first: rapport plugins disable {name}")
    with contextlib.closing(Database(config)) as db, db.read() as connection:
        counts = table_counts(connection, name)
        with_tables = [each for each in _needing(name) if table_counts(connection, each)]
    if with_tables:
        raise Refusal(f"{with_tables[0]} has tables that refer to it. First: rapport plugins purge {with_tables[0]}")
    if not counts:
        raise Refusal(f"'{name}' has no tables here: there is nothing to purge.")
    table(("table", "rows"), list(counts.items()))
    folder = export_tables(config, counts, config.home / "exports", name)
    say(f"An export of them is in {folder}")
    note("These tables will be deleted for good.")
    if confirmed is None:
        confirmed = ask(f"Type the plugin's name ({name}) to delete them", "--yes")
    if confirmed != name:
        raise Refusal(f"'{confirmed}' is not '{name}': nothing was deleted.")
    deleted = delete_tables(config, name)
    good(f"Deleted {sum(deleted.values())} rows in {len(deleted)} tables.")


def export_tables(config: Config, counts: Mapping[str, int], into: Path, name: str) -> Path:
    """Write each table as NDJSON, one file each, and make sure that every row is there."""
    from sqlalchemy import select

    from rapport.db.engine import Database
    from rapport.db.tables import metadata

    folder = into / f"{name}-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S-%f}"
    folder.mkdir(parents=True, mode=0o700)
    with contextlib.closing(Database(config)) as db, db.read() as connection, progress("Export") as advance:
        for table_name, expected in counts.items():
            written = 0
            with (folder / f"{table_name}.ndjson").open("w", encoding="utf-8") as file:
                rows = connection.execution_options(yield_per=1000).execute(select(metadata.tables[table_name]))
                for row in rows.mappings():
                    file.write(json.dumps(dict(row), ensure_ascii=False, default=_as_json) + "\n")
                    written += 1
                    if written % 1000 == 0:
                        advance(written, expected)
            if written != expected:
                raise Refusal(f"{table_name} changed while it was exported: nothing was deleted. Try again.")
    return folder


def _as_json(value: object) -> object:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple | set) else str(value)


def _known(name: str) -> None:
    import difflib

    from rapport.plugins import discover

    installed = discover()
    if name not in installed:
        near = difflib.get_close_matches(name, installed, 1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Install it first: pip install rapport-{name}"
        raise Refusal(f"There is no installed plugin '{name}'. {hint}")


def _enabled(config: Config) -> list[str]:
    from sqlalchemy import select

    from rapport.db.engine import Database
    from rapport.db.tables import plugin_table

    with contextlib.closing(Database(config)) as db, db.read() as connection:
        return list(connection.scalars(select(plugin_table.c.name).where(plugin_table.c.enabled)))


def _needed(name: str, installed: Mapping[str, PluginInfo]) -> Iterable[str]:
    """What a plugin needs, and what that needs."""
    from rapport.plugins import dependencies

    for each in dependencies(installed[name], installed) if name in installed else ():
        yield each
        yield from _needed(each, installed)


def _needing(name: str) -> list[str]:
    """The installed plugins that need this one, the outermost first."""
    from rapport.plugins import discover

    installed = discover()
    needing = [each for each in installed if name in _needed(each, installed)]
    return sorted(needing, key=lambda each: -len(set(_needed(each, installed))))
