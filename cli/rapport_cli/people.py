"""A person's rights over what is held on them: take it away, or have it forgotten."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import click

from rapport_cli.place import Place
from rapport_cli.speak import Refusal, ask, good


@click.group()
def person() -> None:
    """Hand over, or forget, what is held on a customer."""


@person.command("export")
@click.argument("customer", type=click.UUID)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--as", "email", default="", help="On behalf of this person.")
@click.pass_obj
def export(place: Place, *, customer: UUID, file: Path, email: str) -> None:
    """Write everything held on CUSTOMER (an id) to FILE, a ZIP with a JSON file and the files."""
    from rapport.customers.personal_data import export_person
    from rapport_cli.acting import acting

    scratch = file.with_name(f".{file.name}.part")
    try:
        with place.site() as site, scratch.open("wb") as target:
            count = export_person(site, acting(site, "person export", email), customer, target)
        scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)
    good(f"{file}: {count} records.")


@person.command("erase")
@click.argument("customer", type=click.UUID)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--as", "email", default="", help="On behalf of this person.")
@click.pass_obj
def erase(place: Place, *, customer: UUID, yes: bool, email: str) -> None:
    """Forget CUSTOMER (an id) for good."""
    from rapport.customers import Customer
    from rapport.customers.erasing import erase as forget
    from rapport_cli.acting import acting

    with place.site() as site:
        actor = acting(site, "person erase", email)
        with site.read(actor) as reader:
            name = str(reader.get(Customer, customer))
        if not yes and ask(f"Type the name of {name} to forget them for good", "--yes").strip() != name:
            raise Refusal("That is not the name. Nothing was changed.")
        gone = forget(site, actor, customer)
    good(f"They are forgotten: {gone} records are gone.")
