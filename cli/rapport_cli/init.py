"""Making a site: a directory, its database, its first administrator."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rapport_cli.place import FILE_NAME, Place, finish_what_was_cut_off
from rapport_cli.speak import Refusal, ask, good, say

if TYPE_CHECKING:
    from rapport.config import Config

LANGUAGES = ("en", "fr", "fa", "he", "zh")
HEAD = (
    "# The site's configuration; every key is explained in docs/operating.md. Restart `rapport serve` after a change."
)


@click.command()
@click.argument("home", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--admin-email", help="The first administrator's address; it is also the login.")
@click.option("--admin-name", help="The first administrator's name.")
@click.option("--password", envvar="RAPPORT_ADMIN_PASSWORD", help="Or set RAPPORT_ADMIN_PASSWORD; else it is asked.")
@click.option("--language", type=click.Choice(LANGUAGES), help="The language of people who have not chosen one.")
@click.option("--time-zone", default="UTC", show_default=True, help="Such as Europe/Paris.")
@click.option("--base-url", default="http://127.0.0.1:8000", show_default=True, help="How browsers reach the site.")
@click.option("--database-url", default="", help="postgresql://user@host/name; empty: SQLite in HOME.")
@click.pass_obj
def init(
    place: Place, *, home: Path | None, admin_email: str | None, admin_name: str | None, password: str | None,
    language: str | None, time_zone: str, base_url: str, database_url: str,
) -> None:  # fmt: skip
    """Make a site in HOME (default: this directory)."""
    home = (home or place.wished or Path()).resolve()
    finish_what_was_cut_off(home)
    refuse_taken(home)
    check_time_zone(time_zone)
    email = admin_email or ask("Administrator's e-mail", "--admin-email")
    name = admin_name or ask("Administrator's name", "--admin-name", default=email.partition("@")[0])
    language = language or ask("Language", "--language", default="en", type=click.Choice(LANGUAGES))
    password = password or ask("Password", "--password", hide_input=True, confirmation_prompt=True)
    values = {"language": language, "time_zone": time_zone, "base_url": base_url, "database_url": database_url}
    make(home, values, name=name, email=email, password=password)
    good(f"The site is ready in {home}.")
    say("What next:")
    where = "" if home == Path().resolve() else f"--home {home} "
    say(f"  rapport {where}plugins enable sales    switch on a module")
    say(f"  rapport {where}serve                   then sign in at {base_url} as {email}")


def make(home: Path, wanted: Mapping[str, str], *, name: str, email: str, password: str) -> Config:
    """A new site with its administrator. The configuration is written last: without it there is no site yet."""
    from rapport.access import User
    from rapport.access.service import check_password_rules
    from rapport.config import load_config
    from rapport.lifecycle import create_admin, make_site

    values: dict[str, Any] = {key: value for key, value in wanted.items() if value}
    check_password_rules(password, User(name=name, email=email))
    fresh = not home.exists()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        config = load_config(home, **values)
        if "RAPPORT_DATABASE_URL" in os.environ and "database_url" not in values:
            # A variable is gone with its terminal; where the data is must not be forgotten with it.
            values["database_url"] = config.database_url
        make_site(config)
        _refuse_inhabited(config)
        create_admin(config, name=name, email=email, password=password)
        write_config(home, values)
    except BaseException:
        if fresh:
            _take_away(home)
        raise
    return config


def refuse_taken(home: Path) -> None:
    """Refusal where there is a site already."""
    if (home / FILE_NAME).exists():
        raise Refusal(f"There is a site in {home} already. Serve it: rapport --home {home} serve")


def check_time_zone(name: str) -> None:
    """Refusal for a zone nobody knows."""
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Refusal(f"There is no time zone '{name}'. Write it as Europe/Paris, Asia/Tehran or UTC.") from None


def write_config(home: Path, values: Mapping[str, str]) -> None:
    """Write rapport.toml. Only its owner may read it: a database URL may hold a password."""
    # JSON's strings are TOML's, as long as characters stay as they are.
    lines = [HEAD, *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())]
    if "database_url" not in values:
        lines.append('# database_url = "postgresql://user@host/name"   # instead of SQLite in this directory')
    write_private(home / FILE_NAME, "\n".join(lines) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, for its owner's eyes only."""
    partial = path.with_name(path.name + ".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _refuse_inhabited(config: Config) -> None:
    from sqlalchemy import func, select

    from rapport.access import User
    from rapport.db.engine import Database
    from rapport.entities import table_of

    with contextlib.closing(Database(config)) as db, db.read() as connection:
        people = connection.scalar(select(func.count()).select_from(table_of(User)))
    if people:
        raise Refusal(
            f"That database already holds a site with {people} user(s). To use it, write {config.home / FILE_NAME} "
            f"with its database_url; for a new site, name an empty database."
        )


def _take_away(home: Path) -> None:
    """A directory made for a site that did not come about."""
    import shutil

    shutil.rmtree(home, ignore_errors=True)
