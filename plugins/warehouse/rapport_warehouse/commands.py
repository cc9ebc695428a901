"""What the warehouse adds to the command line: bringing it up to date, and saying how it stands."""

from __future__ import annotations

from pathlib import Path

import click

from rapport import Site
from rapport import gettext as _
from rapport_warehouse import exporting, generations
from rapport_warehouse.store import refresh


@click.command("refresh")
@click.option("--full", is_flag=True, help="Make it anew, instead of taking up what changed.")
@click.pass_obj
def refresh_now(site: Site, full: bool) -> None:
    """Bring the warehouse up to date."""
    done = refresh(site, full=full)
    text = _("%(rows)s rows were read in %(seconds)s s.", rows=done.rows, seconds=f"{done.seconds:.1f}")
    click.echo(text)


@click.command("status")
@click.pass_obj
def show_status(site: Site) -> None:
    """Show how old the warehouse is, how large, and how many rows each table has."""
    now = generations.current(site)
    if now is None:
        click.echo(_("The warehouse was not filled yet. Fill it: rapport warehouse refresh"))
        return
    size = (generations.folder_of(site) / now.file).stat().st_size
    click.echo(f"{_('As of'):<24}{now.as_of:%Y-%m-%d %H:%M:%S} UTC")
    click.echo(f"{_('Made anew'):<24}{now.filled_at:%Y-%m-%d %H:%M:%S} UTC")
    click.echo(f"{_('Last refresh took'):<24}{now.seconds:.1f} s")
    click.echo(f"{_('Size'):<24}{size / 1e6:.1f} MB")
    for table, rows in now.rows.items():
        if rows:
            click.echo(f"  {table:<32}{rows:>12,}")


@click.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.pass_obj
def export_tables(site: Site, folder: Path) -> None:
    """Write every table into FOLDER as a Parquet file: all that an administrator may see, and no secrets."""
    for path, rows in exporting.export(site, folder):
        click.echo(f"{path.name:<40}{rows:>12,}")
