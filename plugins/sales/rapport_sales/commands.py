"""What sales adds to the command line: the pipeline at a glance, for a terminal or a morning's mail."""

from __future__ import annotations

import click

from rapport import Site, stages_of, system
from rapport import gettext as _
from rapport_sales.service import Total, pipeline_totals


@click.command("pipeline")
@click.option("--filter", "filter_", default="", help="Only opportunities that meet a filter, such as 'owner_id = me'.")
@click.pass_obj
def pipeline(site: Site, filter_: str) -> None:
    """Show how many opportunities each stage holds, and what they are worth."""
    with site.read(system("rapport sales pipeline").through("cli")) as reader:
        totals = pipeline_totals(reader, filter=filter_ or None)
        for stage in stages_of(reader.session, "sales.opportunity"):
            if (total := totals.by_stage.get(stage.id)) is not None:
                click.echo(f"{_(stage.title):<24}{total.count:>6}  {_worth(total)}")
        click.echo(f"{_('Open'):<24}{totals.open.count:>6}  {_worth(totals.open)}")


def _worth(total: Total) -> str:
    return " + ".join(f"{amount:,.2f} {currency}" for currency, amount in sorted(total.amounts.items()))
