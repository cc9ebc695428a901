"""Which plugin answers which hook, in which order, and how long it takes."""

from __future__ import annotations

import click

from rapport_cli.place import Place
from rapport_cli.speak import Refusal, note, table


@click.group()
def hooks() -> None:
    """See which plugin answers which hook."""


@hooks.command()
@click.argument("names", nargs=-1, metavar="[HOOK]…")
@click.pass_obj
def trace(place: Place, names: tuple[str, ...]) -> None:
    """Show each hook, its kind, and the plugins that answer it, in the order they are asked.

    With RAPPORT_TRACE_HOOKS=1 it also shows how long each took while the site was opened. Set for `rapport serve` or
    `rapport worker`, every call is written to standard error with its time.
    """
    import difflib

    from rapport.hookspecs import kind_of

    with place.site() as site:
        if unknown := [name for name in names if name not in site.hooks.specs]:
            near = difflib.get_close_matches(unknown[0], site.hooks.specs, 1)
            hint = f"Did you mean '{near[0]}'?" if near else "See them all: rapport hooks trace"
            raise Refusal(f"There is no hook '{unknown[0]}'. {hint}")
        asked = [
            (name, kind_of(spec), plugin)
            for name, spec in site.hooks.specs.items()
            if not names or name in names
            for plugin in site.hooks.listeners(spec) or ["–"]
        ]
        rows = [(*row, f"{site.hooks.times[row[0], row[2]] / 1000:.2f}") for row in asked]
    if site.hooks.trace:
        table(("hook", "kind", "plugin", "ms"), rows)
    else:
        table(("hook", "kind", "plugin"), asked)
    for plugin in site.plugins.values():
        if plugin.enabled and plugin.state != "active":
            note(f"{plugin.name} is {plugin.state}, so it answers none: {plugin.reason}")
