"""Plugins from the terminal: see them, switch them on and off, check them, and delete their data for good."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rapport_cli.packages import install_distributions, uninstall_distribution
from rapport_cli.place import Place
from rapport_cli.speak import Refusal, ask, good, note, progress, say, table

if TYPE_CHECKING:
    from rapport.config import Config
    from rapport.plugins import Plugin
    from rapport.site import Site
    from rapport.testing.contract import Result


@click.group()
def plugins() -> None:
    """See plugins, switch them on and off."""


@plugins.command("list")
@click.pass_obj
def list_(place: Place) -> None:
    """Show every plugin, how it fares and what to do."""
    from rapport.app import create_app

    site: Site = create_app(place.config(), safe=place.safe).extensions["rapport"]
    site.close()
    found = [plugin for _, plugin in sorted(site.plugins.items())]
    if not found:
        say("No plugins are installed. Get one: rapport plugins install rapport-sales")
        return
    rows = [row for plugin in found for row in (_row(plugin), *_bridge_rows(plugin))]
    table(("plugin", "version", "state", "reason", "what to do"), rows)


def _row(plugin: Plugin) -> tuple[str, ...]:
    remedy = plugin.remedy or (f"rapport plugins enable {plugin.name}" if plugin.state == "disabled" else "")
    return plugin.name, plugin.info.version or "–", str(plugin.state), plugin.reason, remedy


def _bridge_rows(plugin: Plugin) -> list[tuple[str, ...]]:
    """What it brings for other plugins, below its own line."""
    return [(f"  with {each.other}", "", str(each.state), each.reason, each.remedy) for each in plugin.bridges]


@plugins.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC…")
@click.pass_obj
def install(place: Place, specs: tuple[str, ...]) -> None:
    """Install plugins beside Rapport: a name, a range ('rapport-sales>=2'), a wheel. The site is not changed by it."""
    from rapport.plugins import discover

    before = {name: info.version for name, info in discover().items()}
    install_distributions(specs)
    on = _enabled_here(place)
    fresh = {name: info.version for name, info in discover().items() if before.get(name) != info.version}
    for name, version in sorted(fresh.items()):
        if name in on:
            good(f"{name} {version} is installed, instead of {before.get(name, 'none')}.")
            say(f"Bring its tables up to date: rapport plugins upgrade {name}")
            say("Then restart `rapport serve` and `rapport worker`: until then they run without it.")
        else:
            good(f"{name} {version} is installed.")
            say(f"Switch it on: rapport plugins enable {name}")
    if not fresh:
        say("No plugin changed.")


@plugins.command()
@click.argument("name")
@click.option("--yes", "confirmed", is_flag=True, help="Do not ask.")
@click.pass_obj
def uninstall(place: Place, name: str, confirmed: bool) -> None:
    """Remove a plugin's code. Its data stays, and is there again when it is installed again."""
    from packaging.utils import canonicalize_name

    from rapport.lifecycle import disable as switch_off
    from rapport.plugins import dependants, discover

    installed = discover()
    for info in installed.values():  # of two with one name, one is named by its distribution
        if info.fault.reason and canonicalize_name(name).startswith("rapport-"):
            uninstall_distribution(name)
            good(f"{name} is uninstalled.")
            return
    _known(name)
    on = _enabled_here(place)
    needing = dependants(name, installed)
    if blocking := [each for each in needing if each in on]:
        raise Refusal(
            f"{', '.join(blocking)} needs '{name}' and is on. "
            f"Switch them off first: rapport plugins disable {name} --dependants"
        )
    if needing:
        say(f"These need it, and cannot be switched on without it: {', '.join(needing)}")
    counts = _counts(place, name)
    say(
        f"Its data stays: {sum(counts.values())} rows in {len(counts)} tables. "
        f"To delete it: rapport plugins purge {name}"
    )
    if not confirmed and ask(f"Uninstall {name}? [y/N]", "--yes", default="n", show_default=False).lower() != "y":
        raise Refusal("Nothing was changed.")
    if name in on:
        switch_off(place.config(), name)
        good(f"{name} is off.")
    uninstall_distribution(installed[name].distribution)
    good(f"{name} is uninstalled. Install it again: rapport plugins install {installed[name].distribution}")


@plugins.command()
@click.argument("name")
@click.option("--no-backup", is_flag=True, help="Do not write a backup first.")
@click.pass_obj
def upgrade(place: Place, name: str, no_backup: bool) -> None:
    """Bring one plugin's tables up to date, after a newer version of it was installed."""
    from rapport.lifecycle import pending_migrations
    from rapport.lifecycle import upgrade as migrate
    from rapport_cli.db import write_backup

    config = place.config()
    _known(name)
    if name in pending_migrations(config) and not no_backup:
        write_backup(config)
    if migrate(config, name):
        good(f"{name} is up to date.")
    else:
        good(f"{name} was up to date.")


@plugins.command()
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def enable(place: Place, names: tuple[str, ...]) -> None:
    """Switch plugins on, with those they need. A running site shows them within a second."""
    from rapport.events import deliver_all
    from rapport.lifecycle import enable as switch_on

    config = place.config()
    for name in names:
        _known(name)
    for each in switch_on(config, *names):
        good(f"{each} is on.")
    with place.site() as site:
        for name in names:
            plugin = site.plugins[name]
            if plugin.state != "active" and not place.safe:
                raise Refusal(f"{name} is {plugin.state}: {plugin.reason}. {plugin.remedy}")
        for plugin in site.plugins.values():
            for bridge in plugin.troubled_bridges:
                if {plugin.name, bridge.other} & set(names):
                    note(f"{plugin.name} with {bridge.other} is left out: {bridge.reason}. {bridge.remedy}")
        deliver_all(site)  # what it puts in at first, such as a pipeline, is there for the next command


@plugins.command()
@click.argument("name")
@click.option("--dependants", is_flag=True, help="Switch off what needs it too.")
@click.pass_obj
def disable(place: Place, name: str, dependants: bool) -> None:
    """Switch a plugin off. Its data stays."""
    from rapport.errors import Conflict
    from rapport.lifecycle import disable as switch_off

    try:
        off = switch_off(place.config(), name, with_dependants=dependants)
    except Conflict as error:
        raise Refusal(f"{error} Or all of them: rapport plugins disable {name} --dependants") from None
    for each in off:
        good(f"{each} is off; its data is kept.")


@plugins.command()
@click.argument("name", required=False)
@click.pass_obj
def check(place: Place, name: str | None) -> None:
    """Try whether plugins would run here, also those that are off. Ends with 1 when one would not.

    With a NAME, also whether that plugin keeps what every plugin promises: see docs/testing.md. That needs no site.
    """
    well = True
    if name is None or place.is_there:
        well = _would_run(place, name)
    if name is not None:
        _known(name)
        well = keeps_the_contract(name) and well
    raise SystemExit(0 if well else 1)


def _would_run(place: Place, name: str | None) -> bool:
    from rapport.app import create_app
    from rapport.plugins import State, circles, discover, needed
    from rapport.site import Site

    config = place.config()
    installed = discover()
    if name is not None:
        _known(name)
    wanted = set(_enabled(config)) | ({name} if name else set(installed))
    wanted |= set(needed(wanted - set(circles(installed, installed)), installed))
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
                for bridge in plugin.troubled_bridges:
                    bad += 1
                    said = f"{each} with {bridge.other}: {bridge.state}: {bridge.reason}. {bridge.remedy}"
                    click.secho(said, fg="red", err=True)
            else:
                bad += 1
                click.secho(f"{each}: {plugin.state}: {plugin.reason}. {plugin.remedy}", fg="red", err=True)
    site = create_app(trial).extensions["rapport"]  # its pages must mount, each with its policy
    site.close()
    return not bad


def keeps_the_contract(name: str) -> bool:
    """Try a plugin's promises on fresh sites, on each kind of database there is here, and say how each went."""
    import tempfile

    from rapport.testing import contract
    from rapport.testing.databases import fresh_postgres, postgres_server

    plugin = contract.subject(name)
    well = _told("its files", contract.read(plugin))
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        well = _told("on SQLite", contract.run(plugin, f"sqlite:///{home / 'rapport.db'}", home)) and well
    if postgres_server() is None:
        note("There is no PostgreSQL server to try it on. Name one: RAPPORT_TEST_POSTGRES=postgresql+psycopg://…")
        return well
    with tempfile.TemporaryDirectory() as scratch, fresh_postgres() as url:
        return _told("on PostgreSQL", contract.run(plugin, url, Path(scratch))) and well


def _told(where: str, results: Iterable[Result]) -> bool:
    """Say each promise as soon as it was tried."""
    well = True
    say(f"{where}:")
    for result in results:
        if result.kept:
            exempt = f" (exempt: {', '.join(result.exempt)})" if result.exempt else ""
            good(f"  {result.check.sentence}{exempt}")
            continue
        well = False
        click.secho(f"  NOT: {result.check.sentence}", fg="red")
        for finding in result.findings:
            say(f"       {finding.said}")
    return well


@plugins.command()
@click.argument("name")
@click.option("--yes", "confirmed", metavar="NAME", help="The plugin's name once more, instead of being asked.")
@click.pass_obj
def purge(place: Place, name: str, confirmed: str | None) -> None:
    """Delete a plugin's tables and rows for good, after writing an export of them; its code may be gone already."""
    from rapport.db.engine import Database
    from rapport.lifecycle import check_purge, export_tables, table_counts
    from rapport.lifecycle import purge as delete_tables
    from rapport.plugins import discover

    config = place.config()
    if name in _enabled(config):
        raise Refusal(f"'{name}' is on. Switch it off first: rapport plugins disable {name}")
    with contextlib.closing(Database(config)) as db, db.read() as connection:
        counts = table_counts(connection, name)
        check_purge(connection, name, counts)
    if not counts:
        if name not in discover():
            _known(name)
        raise Refusal(f"'{name}' has no tables here: there is nothing to purge.")
    table(("table", "rows"), list(counts.items()))
    with progress("Export") as advance:
        folder = export_tables(config, name, advance)
    say(f"An export of them is in {folder}")
    note("These tables will be deleted for good.")
    if confirmed is None:
        confirmed = ask(f"Type the plugin's name ({name}) to delete them", "--yes")
    if confirmed != name:
        raise Refusal(f"'{confirmed}' is not '{name}': nothing was deleted.")
    deleted = delete_tables(config, name)
    good(f"Deleted {sum(deleted.values())} rows in {len(deleted)} tables.")


def _known(name: str) -> None:
    import difflib

    from rapport.plugins import discover

    installed = discover()
    if name not in installed:
        near = difflib.get_close_matches(name, installed, 1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Install it first: rapport plugins install rapport-{name}"
        raise Refusal(f"There is no installed plugin '{name}'. {hint}")


def _enabled(config: Config) -> list[str]:
    from sqlalchemy import select

    from rapport.db.engine import Database
    from rapport.db.tables import plugin_table

    with contextlib.closing(Database(config)) as db, db.read() as connection:
        return list(connection.scalars(select(plugin_table.c.name).where(plugin_table.c.enabled)))


def _enabled_here(place: Place) -> list[str]:
    """What is on, where there is a site at all: code is installed for an environment, not for a site."""
    try:
        return _enabled(place.config())
    except Refusal:
        return []


def _counts(place: Place, name: str) -> dict[str, int]:
    from rapport.db.engine import Database
    from rapport.lifecycle import table_counts

    try:
        config = place.config()
    except Refusal:
        return {}
    with contextlib.closing(Database(config)) as db, db.read() as connection:
        return table_counts(connection, name)
