"""Which site a command is about, and the commands that its plugins bring."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rapport_cli.speak import Refusal, note

if TYPE_CHECKING:
    from rapport.config import Config
    from rapport.site import Site

FILE_NAME = "rapport.toml"


@dataclass(frozen=True, slots=True)
class Place:
    """The site that `--home`, RAPPORT_HOME or the present directory names."""

    named: Path | None = None
    safe: bool = False

    @property
    def wished(self) -> Path | None:
        """The directory somebody named, whether or not there is a site in it."""
        if self.named is not None:
            return self.named
        return Path(os.environ["RAPPORT_HOME"]) if os.environ.get("RAPPORT_HOME") else None

    @property
    def is_there(self) -> bool:
        """Whether a site was named, or the present directory is one."""
        return self.wished is not None or (Path() / FILE_NAME).exists()

    @property
    def home(self) -> Path:
        """The directory of a site that is there; Refusal otherwise."""
        home = (self.wished or Path()).resolve()
        finish_what_was_cut_off(home)
        if (home / FILE_NAME).exists() or (self.wished is not None and (home / "rapport.db").exists()):
            return home
        if self.wished is None:
            raise Refusal(f"There is no site here. Make one: rapport init, or name one: rapport --home PATH {_typed()}")
        raise Refusal(f"There is no site in {home}. Make one: rapport init {home}")

    def config(self) -> Config:
        """The site's configuration."""
        from rapport.config import load_config

        return load_config(self.home)

    @contextlib.contextmanager
    def site(self) -> Iterator[Site]:
        """The site, opened for one command."""
        gc.disable()  # nothing of what is loaded is rubbish: looking for some took a fifth of the start
        try:
            from rapport.site import Site

            site = Site.open(self.config(), safe=self.safe)
        finally:
            gc.enable()
        try:
            yield site
        finally:
            site.close()


def finish_what_was_cut_off(home: Path) -> None:
    """A restore that was killed before its last step left a whole site beside its place: put it there, and say so."""
    if not home.exists():
        from rapport_cli.archive import finish_restore

        if finish_restore(home):
            note(f"A restore to {home} was cut off before its last step. It is finished now: the site is there.")


def _typed() -> str:
    """The command being run, as in `rapport --home PATH db upgrade`."""
    context = click.get_current_context(silent=True)
    words: list[str] = []
    while context is not None and context.parent is not None:
        words.insert(0, context.info_name or "")
        context = context.parent
    return " ".join(words) or "serve"


def known_plugins() -> list[str]:
    """The names of installed plugins, by metadata only."""
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group="rapport.plugins")})


def plugin_command(ctx: click.Context, name: str) -> click.Command | None:
    """The commands an active plugin brings, as one group under its name; the open site is their `@click.pass_obj`."""
    if name not in known_plugins():
        return None
    from rapport.plugins import State
    from rapport.site import Site

    place = Place(ctx.params.get("home"), safe=bool(ctx.params.get("safe")))
    site = Site.open(place.config(), safe=place.safe)
    ctx.call_on_close(site.close)
    plugin = site.plugins[name]
    if plugin.state is not State.ACTIVE:
        remedy = plugin.remedy or f"rapport plugins enable {name}"
        reason = f" ({plugin.reason})" if plugin.reason else ""
        raise Refusal(f"The plugin '{name}' is {plugin.state}{reason}, so it has no commands. Do this first: {remedy}")
    group = site.commands.get(name)
    if group is None:
        raise Refusal(f"The plugin '{name}' has no commands.")
    group.context_settings["obj"] = site
    return group
