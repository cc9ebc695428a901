"""Commands of e-mail for the command line: `rapport email health`."""

from __future__ import annotations

import sys

import click

from rapport import Site, system
from rapport import gettext as _
from rapport_email.health import troubled


@click.command("health")
@click.pass_obj
def health(site: Site) -> None:
    """Say how the mailboxes fare. Ends with 1 when one is in trouble."""
    with site.read(system("rapport email health").through("cli")) as reader:
        found = troubled(reader)["troubled"]
    for account, why in found:
        click.echo(f"{account.email}: {why}")
    if not found:
        click.echo(_("All mailboxes fare well."))
    sys.exit(1 if found else 0)
