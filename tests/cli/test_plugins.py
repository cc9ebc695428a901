"""Plugins from the terminal: on, off, checked, purged; and the migrations of one's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rapport import Customer
from rapport.access import system
from rapport.events import deliver_all
from rapport.testing.databases import fresh_postgres, postgres_server

from .conftest import ADMIN, Type, opened


def test_a_plugin_goes_on_and_off_and_keeps_its_rows(type_: Type, home: Path) -> None:
    at = ("--home", home, "plugins")
    assert "loyalty  0.1.0    disabled" in type_(*at, "list").output
    assert "loyalty is on." in type_(*at, "enable", "loyalty").output
    _serve_a_customer(home)
    assert "loyalty  0.1.0    active" in type_(*at, "list").output
    assert "loyalty: runs." in type_(*at, "check", "loyalty").output
    assert "loyalty is off; its data is kept." in type_(*at, "disable", "loyalty").output
    assert "loyalty: could be switched on." in type_(*at, "check", "loyalty").output


def test_purging_shows_exports_asks_and_only_then_deletes(type_: Type, home: Path) -> None:
    at = ("--home", home, "plugins")
    type_(*at, "enable", "loyalty")
    _serve_a_customer(home)
    assert type_(*at, "purge", "loyalty").stderr == (
        "'loyalty' is on. Switch it off first: rapport plugins disable loyalty\n"
    )
    type_(*at, "disable", "loyalty")
    doubted = type_(*at, "purge", "loyalty", answers="loyal\n")
    assert doubted.exit_code == 1
    assert "loyalty_card  1" in doubted.output
    assert "'loyal' is not 'loyalty': nothing was deleted." in doubted.stderr
    done = type_(*at, "purge", "loyalty", "--yes", "loyalty")
    assert "Deleted 1 rows in 1 tables." in done.output
    exports = sorted((home / "exports").glob("loyalty-*/loyalty_card.ndjson"))
    assert [len(path.read_text().splitlines()) for path in exports] == [1, 1]
    assert json.loads(exports[-1].read_text())["number"].startswith("LC-")
    assert type_(*at, "purge", "loyalty").stderr == "'loyalty' has no tables here: there is nothing to purge.\n"


def test_a_mistyped_plugin_is_answered_with_the_nearest(type_: Type, sqlite_home: Path) -> None:
    answer = type_("--home", sqlite_home, "plugins", "enable", "loyality")
    assert answer.stderr == "There is no installed plugin 'loyality'. Did you mean 'loyalty'?\n"


def test_the_commands_of_a_plugin_that_is_off_say_how_to_switch_it_on(type_: Type, sqlite_home: Path) -> None:
    answer = type_("--home", sqlite_home, "loyalty", "report")
    assert answer.stderr == (
        "The plugin 'loyalty' is disabled, so it has no commands. Do this first: rapport plugins enable loyalty\n"
    )


PLUGIN = '''"""Bicycles that customers borrow."""
import click
from sqlalchemy.orm import Mapped
from decimal import Decimal
from rapport import Entity, UUID, field, hookimpl, ref


class Bike(Entity, name="bikes.bike", title="Bike", roles={{"member": "read create"}}):
    """A bicycle."""

    customer_id: Mapped[UUID] = ref("customer")
    number: Mapped[str] = field(label="Number", unique=True, searchable=True)
    price: Mapped[Decimal] = field(label="Price", kind="decimal")
    tags: Mapped[tuple[str, ...]] = field(label="Tags", kind="tags"){more}


@click.command("count")
@click.pass_obj
def count(site):
    """Count the bikes."""
    click.echo(f"{{len(site.entities)}} entities, bikes among them: {{'bikes.bike' in site.entities}}")


@hookimpl
def register_entities():
    return [Bike]


@hookimpl
def register_commands():
    return [count]
'''


@pytest.fixture
def shell(tmp_path: Path):
    """A terminal in which a plugin of one's own, `bikes`, is installed; it runs apart from this process."""
    source = tmp_path / "source"
    package = source / "rapport_bikes"
    package.mkdir(parents=True)
    info = source / "rapport_bikes-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rapport-bikes\nVersion: 0.1.0\nSummary: Bicycles\n")
    (info / "entry_points.txt").write_text("[rapport.plugins]\nbikes = rapport_bikes\n")

    def run(*words: object, more: str = "", home: Path | None = None) -> subprocess.CompletedProcess[str]:
        (package / "__init__.py").write_text(PLUGIN.format(more=more))
        environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
        at = ("--home", str(home)) if home else ()
        command = [sys.executable, "-m", "rapport_cli", *at, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)

    return run


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_migration_is_written_from_the_classes_and_makes_the_same_tables_everywhere(shell, tmp_path, kind) -> None:
    first = shell("db", "revision", "bikes", "-m", "Make the bikes")
    assert first.returncode == 0, first.stderr
    migrations = tmp_path / "source" / "rapport_bikes" / "migrations"
    script = (migrations / "0001_make_the_bikes.py").read_text()
    assert script.startswith('"""Make the bikes."""')
    assert "rapport" not in script  # a migration means the same when our classes have changed
    assert shell("db", "revision", "bikes", "-m", "Nothing").stderr == (
        "The tables of bikes are as its migrations make them: there is nothing to write.\n"
    )
    if kind == "postgresql" and postgres_server() is None:
        pytest.skip("no PostgreSQL server")
    with fresh_postgres() if kind == "postgresql" else open(os.devnull) as url:
        _migrate_a_site(shell, tmp_path, url if isinstance(url, str) else "")


def _migrate_a_site(shell, tmp_path: Path, url: str) -> None:
    home = tmp_path / "site"
    made = shell("init", home, *ADMIN, *(("--database-url", url) if url else ()))  # fmt: skip
    assert made.returncode == 0, made.stderr
    on = shell("plugins", "enable", "bikes", home=home)
    assert on.returncode == 0, on.stderr
    assert shell("bikes", "count", home=home).stdout.endswith("bikes among them: True\n")
    color = '\n    colour: Mapped[str | None] = field(label="Colour")'
    second = shell("db", "revision", "bikes", "-m", "Give bikes a colour", more=color)
    assert second.returncode == 0, second.stderr
    waiting = shell("db", "pending", more=color, home=home)
    assert waiting.returncode == 1
    assert "bikes   1 migration is pending" in waiting.stdout
    held = shell("bikes", "count", more=color, home=home).stderr
    assert held.startswith("The plugin 'bikes' is held (1 migration is pending), so it has no commands.")
    assert held.endswith("Do this first: rapport db upgrade\n")
    done = shell("db", "upgrade", more=color, home=home)
    assert "bikes is up to date." in done.stdout, done.stderr
    assert "Backup: " in done.stdout
    assert shell("db", "pending", more=color, home=home).stdout == "The database is up to date.\n"
    assert shell("bikes", "count", more=color, home=home).returncode == 0


def _serve_a_customer(home: Path) -> None:
    with opened(home) as site:
        deliver_all(site)
        with site.write(system("test")) as unit:
            unit.create(Customer, {"name": "Bob"})
        deliver_all(site)
