"""A site to try: a sample business with people, customers and work, on this machine alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rapport_cli.init import make, write_private
from rapport_cli.place import FILE_NAME, Place
from rapport_cli.speak import Refusal, good, note, progress, say

if TYPE_CHECKING:
    from rapport.config import Config

PLUGINS = ("sales",)
"""Switched on in the demo, where they are installed."""
MARK = "demo.json"
EMAIL = "ada@demo.example"
PASSWORD = "rapport demo"  # noqa: S105 - printed for everybody: the demo is served on this machine only
SALESPEOPLE = (
    ("Claire Dubois", "claire@demo.example", "manager", "Europe", "fr"),
    ("James Okafor", "james@demo.example", "member", "Europe", "en"),
    ("دریا کریمی", "darya@demo.example", "member", "Middle East", "fa"),
    ("נועה לוי", "noa@demo.example", "member", "Middle East", "he"),
    ("王伟", "wei@demo.example", "member", "Asia", "zh"),
)
"""Name, e-mail, role, team and language; they all sign in with the same password."""


@click.command()
@click.argument("home", default="demo", type=click.Path(path_type=Path, file_okay=False))
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--no-serve", is_flag=True, help="Make it, and do not serve it.")
@click.option("--fresh", is_flag=True, help="Throw the former demo away and make it anew.")
@click.option("--database-url", default="", help="An empty PostgreSQL database instead of SQLite.")
@click.pass_obj
def demo(place: Place, *, home: Path, port: int, no_serve: bool, fresh: bool, database_url: str) -> None:
    """Make a sample business in HOME and serve it. The next time it goes on where it was."""
    from rapport.config import load_config
    from rapport_cli.serve import refuse_taken_port, run_server

    home = home.resolve()
    if not no_serve:
        refuse_taken_port("127.0.0.1", port)  # said before the minute of work, not after
    if fresh:
        _throw_away(home)
    if (home / MARK).exists():
        say(f"The demo in {home} goes on. Begin anew with --fresh.")
    else:
        _build(home, database_url)
    say(f"Sign in at http://127.0.0.1:{port}  as {EMAIL}  with the password: {PASSWORD}")
    say(f"Salespeople, same password: {', '.join(email for _, email, *_ in SALESPEOPLE)}")
    if not no_serve:
        run_server(load_config(home, base_url=f"http://127.0.0.1:{port}"), "127.0.0.1", port, safe=place.safe)


def _build(home: Path, database_url: str) -> None:
    """Make the demo beside its place and put it there when it is whole."""
    if home.exists() and any(home.iterdir()):
        raise Refusal(f"{home} is not empty and not a demo. Name another directory: rapport demo OTHER")
    scratch = home.with_name(f".{home.name}-in-the-making")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        values = {"language": "en", "time_zone": "Europe/Paris", "country": "FR", "database_url": database_url}
        fill(make(scratch, values, name="Ada Martin", email=EMAIL, password=PASSWORD))
        write_private(scratch / MARK, json.dumps({"email": EMAIL, "password": PASSWORD}) + "\n")
        if home.exists():
            home.rmdir()
        scratch.rename(home)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    good(f"The demo is ready in {home}.")


def fill(config: Config) -> None:
    """Switch the modules on, make the people, and load every active plugin's sample data."""
    import contextlib

    from rapport.access import Team, system
    from rapport.access.service import create_user
    from rapport.events import deliver_all
    from rapport.jobs import run_next
    from rapport.lifecycle import enable
    from rapport.plugins import discover
    from rapport.site import Site

    installed = discover()
    for name in PLUGINS:
        if name in installed:
            enable(config, name)
        else:
            note(f"rapport-{name} is not installed, so the demo goes without it.")
    with contextlib.closing(Site.open(config)) as site, progress("Sample data") as advance:
        deliver_all(site)  # plugins put in their first rows, such as pipelines
        with site.write(system("rapport demo").through("cli")) as unit:
            teams = {name: unit.create(Team, {"name": name}) for name in dict.fromkeys(p[3] for p in SALESPEOPLE)}
            for name, email, role, team, language in SALESPEOPLE:
                create_user(unit, name=name, email=email, password=PASSWORD, roles=[role], teams=[teams[team]],
                            language=language, time_zone=config.time_zone)  # fmt: skip
        samples = sorted(site.sample_data, key=lambda sample: (sample.order, sample.name))
        for number, sample in enumerate(samples):
            advance(number, len(samples))
            with site.write(system(f"sample data: {sample.name}").through("cli")) as unit:
                sample.load(unit)
            deliver_all(site)
            while run_next(site):
                deliver_all(site)


def _throw_away(home: Path) -> None:
    """Delete a former demo; never a directory that is anything else."""
    if not home.exists() or not any(home.iterdir()):
        return
    if not (home / MARK).exists():
        raise Refusal(f"{home} is not a demo, so --fresh does not delete it.")
    if "database_url" in {
        line.partition("=")[0].strip() for line in (home / FILE_NAME).read_text("utf-8").splitlines()
    }:  # fmt: skip
        raise Refusal(
            f"The demo in {home} is on PostgreSQL. Drop its database yourself, delete the directory, and make it anew."
        )
    shutil.rmtree(home)
