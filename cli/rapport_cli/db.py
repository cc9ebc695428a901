"""The database's shape: what waits to be done to it, doing it, and writing the next step for a plugin."""

from __future__ import annotations

import click

from rapport_cli.place import Place
from rapport_cli.speak import good, progress, say, table


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
@click.pass_obj
def upgrade(place: Place, no_backup: bool) -> None:
    """Apply what waits, after a backup. Each plugin's step happens whole or not at all."""
    from rapport.lifecycle import pending_migrations, upgrade_site

    config = place.config()
    waiting = pending_migrations(config)
    if not waiting:
        good("The database is up to date.")
        return
    if not no_backup:
        from rapport_cli.archive import make_backup
        from rapport_cli.backup import default_target

        target = default_target(config, "before-upgrade")
        with progress("Backup") as advance:
            make_backup(config, target, advance)
        say(f"Backup: {target}")
    for name in upgrade_site(config):
        good(f"{name} is up to date.")


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
