"""A site to try: a maker of pool supplies with people, customers and work, on this machine alone."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rapport_cli.init import make, write_private
from rapport_cli.place import FILE_NAME, Place
from rapport_cli.speak import Refusal, good, note, progress, say

if TYPE_CHECKING:
    from rapport.access import Team
    from rapport.config import Config
    from rapport.records import Unit
    from rapport.site import Site

EDITION = "consumer_goods"
"""What the demo is fitted to, where it is installed."""
PLUGINS = ("sales", "calendar")
"""Switched on in the demo where that edition is not."""
FIGURES: tuple[tuple[str, dict[str, str]], ...] = (
    ("warehouse.refresh", {}), ("strategy.measure", {}), ("marketing.decide", {}), ("strategy.decide", {}),
    ("insights.train", {"kind": "rfm"}),
)  # fmt: skip
"""What is otherwise worked out every few minutes or in the night, where its module is there."""
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
COLLEAGUES = (
    ("Marta Rossi", "marta@demo.example", "marketing", "Marketing", "en"),
    ("Tom Becker", "tom@demo.example", "telemarketing", "Telemarketing", "en"),
    ("Sara Haddad", "sara@demo.example", "service", "Service", "fr"),
)
"""Those who have a role of the edition."""


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
    say(f"Colleagues, same password: {', '.join(email for _, email, *_ in (*SALESPEOPLE, *COLLEAGUES))}")
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
    """Switch the modules on, make the people, load every active plugin's sample data, and fit it all to the edition."""
    from rapport.access import Membership, User, system
    from rapport.builtin.edition import apply_edition, discover_editions, find_edition, load_samples
    from rapport.builtin.edition.engine import switch_on
    from rapport.jobs import enqueue_job

    actor = system("rapport demo").through("cli")
    edition = find_edition(EDITION) if EDITION in discover_editions() else None
    if edition is None:
        note(f"rapport-{EDITION.replace('_', '-')} is not installed, so the demo goes without it.")
    switch_on(config, edition.modules if edition is not None else _installed(PLUGINS))
    with _worked_off(config) as site:
        with site.write(actor) as unit:
            _hire(unit, SALESPEOPLE)
            ada = unit.reader.all(User, User.email == EMAIL)[0]
            unit.create(Membership, {"user_id": ada.id, "team_id": _team(unit, "Europe").id})  # she sells, too
        samples = sorted(site.sample_data, key=lambda sample: (sample.order, sample.name))
        with progress("Sample data") as advance:
            for number, sample in enumerate(samples):
                advance(number, len(samples))
                with site.write(system(f"sample data: {sample.name}").through("cli")) as unit:
                    sample.load(unit)
                _work_off(site)
    if edition is not None:
        apply_edition(config, edition, actor=actor)
        load_samples(config, edition, actor=actor)
        with _worked_off(config) as site, site.write(actor) as unit:
            _hire(unit, COLLEAGUES)
    with _worked_off(config) as site:
        for job, arguments in FIGURES:  # so that the dashboards know of what was just put in
            if job in site.jobs:
                with site.db.write() as connection:
                    enqueue_job(connection, job, arguments, actor=actor)
                _work_off(site)


def _installed(names: Iterable[str]) -> list[str]:
    from rapport.plugins import discover

    found = discover()
    for name in names:
        if name not in found:
            note(f"rapport-{name} is not installed, so the demo goes without it.")
    return [name for name in names if name in found]


@contextlib.contextmanager
def _worked_off(config: Config) -> Iterator[Site]:
    """The site open, with all that waits done: plugins put in their first rows, such as pipelines."""
    from rapport.site import Site

    with contextlib.closing(Site.open(config)) as site:
        _work_off(site)
        yield site
        _work_off(site)


def _work_off(site: Site) -> None:
    from rapport.events import deliver_all
    from rapport.jobs import run_next

    deliver_all(site)
    while run_next(site):
        deliver_all(site)


def _hire(unit: Unit, people: Iterable[tuple[str, str, str, str, str]]) -> None:
    from rapport.access.service import create_user

    for name, email, role, team, language in people:
        create_user(unit, name=name, email=email, password=PASSWORD, roles=[role], teams=[_team(unit, team)],
                    language=language, time_zone=unit.site.config.time_zone)  # fmt: skip


def _team(unit: Unit, name: str) -> Team:
    from rapport.access import Team

    return next(iter(unit.reader.all(Team, Team.name == name)), None) or unit.create(Team, {"name": name})


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
