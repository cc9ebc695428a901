"""Writing a list to a file, or to whatever reads standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from rapport_cli.place import Place
from rapport_cli.speak import Refusal, good, note, progress

if TYPE_CHECKING:
    from rapport.entities import Entity
    from rapport.site import Site


@click.command()
@click.argument("entity")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--format", "format_", help="csv, xlsx or ndjson. Otherwise what FILE ends in, or csv.")
@click.option("--filter", default="", help="As in the API: 'tags has \"vip\"'.")
@click.option("--search", default="", help="Words to search for.")
@click.option("--sort", default="", help="Fields, as in -updated_at,name.")
@click.option("--fields", default="", help="The fields wanted, with commas between. All if left out.")
@click.option("--archived", is_flag=True, help="Archived records too.")
@click.option("--for-people", is_flag=True, help="Labels and titles instead of names and ids.")
@click.option("--as", "email", default="", help="Only what this person may see.")
@click.pass_obj
def export(
    place: Place, *, entity: str, file: Path | None, format_: str | None, filter: str, search: str, sort: str,
    fields: str, archived: bool, for_people: bool, email: str,
) -> None:  # fmt: skip
    """Write the records of ENTITY (customer, sales.opportunity, …) to FILE, or to standard output."""
    from rapport.builtin.exchange.exports import export as write
    from rapport_cli.acting import acting

    format_ = format_ or (file.suffix[1:].lower() if file is not None and file.suffix else "csv")
    with place.site() as site, site.read(acting(site, "export", email)) as reader, progress("Export") as advance:
        kind = entity_of(site, entity)

        def write_to(target: BinaryIO) -> None:
            written = write(
                reader, kind, target, format_, filter=filter, search=search, sort=sort, fields=fields or None,
                archived=archived, for_people=for_people, progress=advance,
            )  # fmt: skip
            for warning in written.warnings:
                note(warning)
            if file is not None:
                good(f"{file}: {written.rows} {(kind.meta.title if written.rows == 1 else kind.meta.plural).lower()}.")

        if file is None:
            if format_ == "xlsx":
                raise Refusal("A workbook needs a file: rapport export ENTITY FILE.xlsx")
            write_to(sys.stdout.buffer)
            return
        scratch = file.with_name(f".{file.name}.part")  # a fault on the way leaves the former file alone
        try:
            with scratch.open("wb") as target:
                write_to(target)
            scratch.replace(file)
        finally:
            scratch.unlink(missing_ok=True)


def entity_of(site: Site, name: str) -> type[Entity]:
    """A kind of record by its name; Refusal names those there are."""
    found = site.entities.get(name)
    if found is None:
        known = ", ".join(entity.meta.name for entity in site.entities if entity.meta.listed)
        raise Refusal(f"There is no kind of record '{name}'. Those there are: {known}.")
    return found
