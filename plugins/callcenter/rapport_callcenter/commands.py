"""What the call centre adds to the command line: letting it ring."""

from __future__ import annotations

import click

from rapport import Site, system
from rapport_callcenter import simulator


@click.command("simulate", help="Let customers ring for some minutes, as in a real day. A worker must run.")
@click.option("--minutes", default=10, show_default=True)
@click.option("--per-minute", default=4.0, show_default=True, help="How many ring each minute.")
@click.option("--seed", default=1, show_default=True, help="The same number plays the same calls.")
@click.pass_obj
def simulate(site: Site, minutes: int, per_minute: float, seed: int) -> None:
    """Let it ring from now on."""
    with site.write(system("simulator")) as unit:
        simulator.begin(unit, seed=seed, minutes=minutes, per_minute=per_minute)
    click.echo(f"It rings for {minutes} minutes. See /callcenter/wallboard.")
