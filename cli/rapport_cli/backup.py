"""Backing a site up, and bringing it back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rapport_cli.place import FILE_NAME, Place, finish_what_was_cut_off
from rapport_cli.speak import good, note, progress, say

if TYPE_CHECKING:
    from rapport.config import Config

FilePath = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", required=False, type=FilePath)
@click.option("--verify", is_flag=True, help="Restore it into a scratch folder and compare; or check an existing FILE.")
@click.pass_obj
def backup(place: Place, file: Path | None, verify: bool) -> None:
    """Put the site into FILE (default: backups/ in its directory). The site may be in use meanwhile.

    With --verify and the name of a file that exists, that backup is checked and nothing is written.
    """
    from rapport_cli import archive

    if verify and file is not None and file.exists():
        manifest = archive.verify(file.resolve())
        good(f"{file} is sound: {manifest.rows} rows in {len(manifest.tables)} tables, of {manifest.made_at}.")
        return
    if file is not None and file.exists():
        from rapport_cli.speak import Refusal

        raise Refusal(f"{file} exists already. Choose another name, or check it: rapport backup --verify {file}")
    config = place.config()
    target = (file or default_target(config)).resolve()
    with progress("Backup") as advance:
        manifest = archive.make_backup(config, target, advance)
        if verify:
            archive.verify(target, advance)
    good(f"{target}: {manifest.rows} rows in {len(manifest.tables)} tables, {len(manifest.files)} files.")
    if verify:
        good("It was restored into a scratch folder and compared: everything is there.")
    else:
        say(f"Prove it: rapport backup --verify {target}")
    for name in sorted({FILE_NAME, "secret.key"} - set(manifest.files)):
        note(f"{name} is not in the site's directory, so it is not in the backup. Keep what it says elsewhere.")


@click.command()
@click.argument("file", type=FilePath)
@click.option("--to", "target", type=click.Path(path_type=Path, file_okay=False), help="The directory to make.")
@click.option("--database-url", default="", help="An empty PostgreSQL database; or `sqlite` for one file in there.")
@click.option("--replace", is_flag=True, help="Move a site that is there aside. It must not be running.")
@click.pass_obj
def restore(place: Place, file: Path, target: Path | None, database_url: str, replace: bool) -> None:
    """Make a site from the backup FILE, whole or not at all."""
    from rapport_cli import archive

    home = (target or place.wished or Path()).resolve()
    finish_what_was_cut_off(home)
    with progress("Restore") as advance:
        manifest = archive.restore(file, home, database_url, advance, replace=replace)
    good(f"{home}: {manifest.rows} rows in {len(manifest.tables)} tables, as of {manifest.made_at}.")
    say(f"Look it over: rapport --home {home} doctor")
    say(f"Serve it:     rapport --home {home} serve")


def default_target(config: Config, label: str = "rapport") -> Path:
    """A name with the moment in it, in the site's own `backups` folder."""
    import datetime as dt

    return config.home / "backups" / f"{label}-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S-%f}.zip"
