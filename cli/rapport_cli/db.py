"""The database's shape: what waits to be done to it, doing it, and writing the next step for a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rapport_cli.place import Place
from rapport_cli.speak import good, note, progress, say, table

if TYPE_CHECKING:
    from rapport.config import Config
    from rapport.lifecycle import Step


@click.group()
def db() -> None:
    """Bring the database up to date; write migrations."""


@db.command()
@click.pass_obj
def pending(place: Place) -> None:
    """Show what waits. Ends with 1 when something does."""
    from rapport.lifecycle import pending_migrations

    waiting = pending_migrations(place.config())
    if not waiting:
        good("The database is up to date.")
        return
    table(("plugin", "what waits"), sorted(waiting.items()))
    say("Apply it: rapport db upgrade")
    raise SystemExit(1)


@db.command()
@click.option("--no-backup", is_flag=True, help="Do not write a backup first.")
@click.option("--rehearse", "only_rehearse", is_flag=True, help="Try it on a copy; the site is not changed.")
@click.pass_obj
def upgrade(place: Place, no_backup: bool, only_rehearse: bool) -> None:
    """Apply what waits, after a backup. Each plugin's step happens whole or not at all; the others go on."""
    from rapport.lifecycle import pending_migrations, upgrade_site

    config = place.config()
    waiting = pending_migrations(config)
    if not waiting:
        good("The database is up to date.")
        return
    if only_rehearse:
        from rapport_cli.rehearsal import rehearse

        with progress("Copy") as advance:
            steps = rehearse(config, _tell, advance)
        say("This was a copy; the site is as it was. Apply it: rapport db upgrade")
    else:
        if not no_backup:
            write_backup(config)
        steps = upgrade_site(config, _tell)
    raise SystemExit(1 if any(step.problem for step in steps) else 0)


def _tell(step: Step) -> None:
    if step.problem:
        note(f"{step.plugin} could not be brought up to date ({step.seconds:.1f} s): {step.problem}")
    else:
        good(f"{step.plugin} is up to date ({step.seconds:.1f} s).")


def write_backup(config: Config) -> None:
    """The way back, before tables change."""
    from rapport_cli.archive import make_backup
    from rapport_cli.backup import default_target

    target = default_target(config, "before-upgrade")
    with progress("Backup") as advance:
        make_backup(config, target, advance)
    say(f"Backup: {target}")


@db.command()
@click.argument("plugin")
@click.option("-m", "--message", required=True, help="What the change is, as a sentence: 'Give deals an owner'.")
def revision(plugin: str, message: str) -> None:
    """Write the next migration of PLUGIN (or of core) from its classes. Read it before it is applied."""
    from rapport_cli.revision import write_revision

    path = write_revision(plugin, message)
    good(f"Written: {path}")
    say("Read it, say in it why it is safe, then: rapport db upgrade")


@db.command()
@click.pass_obj
def reindex(place: Place) -> None:
    """Write the search index anew from the records; people may work meanwhile."""
    from rapport.records.reindex import reindex as write_anew

    with place.site() as site, progress("Search index") as advance:
        count = write_anew(site, advance)
    good(f"{count} records can be found.")
