"""The `rapport` command: everything one does to a site from a terminal.

Nothing of Rapport itself is imported before a command needs it, so that `rapport --help` answers at once.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from rapport_cli.place import Place, known_plugins, plugin_command
from rapport_cli.speak import Refusal, explain

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("rapport_cli.demo:demo", "Try Rapport with a sample business."),
    "init": ("rapport_cli.init:init", "Make a site."),
    "serve": ("rapport_cli.serve:serve", "Serve the site to browsers and programs."),
    "worker": ("rapport_cli.serve:worker", "Run events and jobs without serving pages."),
    "jobs": ("rapport_cli.jobs:jobs", "See jobs, have them done again, cancel them."),
    "plugins": ("rapport_cli.plugins:plugins", "Install plugins, switch them on and off."),
    "hooks": ("rapport_cli.hooks:hooks", "See which plugin answers which hook."),
    "new": ("rapport_cli.new:new", "Begin a plugin of your own."),
    "edition": ("rapport_cli.edition:edition", "Fit the site to a kind of business, and upgrade that."),
    "import": ("rapport_cli.importing:import_", "Take a list in: CSV, Excel, vCards, JSON."),
    "imports": ("rapport_cli.importing:imports", "See imports, go on with one, take one back."),
    "export": ("rapport_cli.exporting:export", "Write a list: CSV, Excel, JSON lines."),
    "person": ("rapport_cli.people:person", "Hand over, or forget, what is held on a customer."),
    "user": ("rapport_cli.users:user", "Add people, tokens and passwords."),
    "backup": ("rapport_cli.backup:backup", "Put the whole site into one file."),
    "restore": ("rapport_cli.backup:restore", "Make a site from a backup."),
    "db": ("rapport_cli.db:db", "Bring the database up to date; write migrations."),
    "doctor": ("rapport_cli.doctor:doctor", "Look the site over and say what to do."),
}
"""Where each command is, and its line in the help; the module is imported when the command is typed."""


class CommandLine(click.Group):
    """Rapport's own commands, found when needed, and those of active plugins under the plugin's name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return plugin_command(ctx, cmd_name)
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None:
            raise Refusal(_no_such(name, [*COMMANDS, *known_plugins()]), exit_code=2)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            if error.option_name in {"--home", "--safe"}:
                name = error.option_name
                raise Refusal(f"Write {name} before the command: rapport {name} …", exit_code=2) from None
            raise
        except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt):
            raise
        except Exception as error:
            if os.environ.get("RAPPORT_DEBUG") == "1":
                raise
            raise Refusal(explain(error)) from error


def _no_such(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean: rapport {near[0]}" if near else "See them all: rapport --help"
    return f"There is no command '{name}'. {hint}"


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"rapport {version('rapport-crm')}")
        ctx.exit()


@click.group(
    cls=CommandLine,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Active plugins add commands under their own name, such as `rapport sales --help`. "
    "Guide: docs/command-line.md",
)
@click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False),
    help="The site's directory. Otherwise RAPPORT_HOME, or this directory if it has a rapport.toml.",
)  # fmt: skip
@click.option("--safe", is_flag=True, help="Leave every plugin out.")
@click.option("--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show the version.")
@click.pass_context
def cli(ctx: click.Context, home: Path | None, safe: bool) -> None:
    """Rapport: a CRM that is assembled from plugins.

    Try it: rapport demo. Begin: rapport init, then rapport serve.
    """
    ctx.obj = Place(home, safe=safe)


def main() -> None:
    """Run the command line; the entry point of the `rapport` script."""
    cli(prog_name="rapport")


__all__ = ["cli", "main"]
