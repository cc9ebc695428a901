"""Plugins from the terminal: on, off, checked, purged; and the migrations of one's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rapport import Customer
from rapport.access import system
from rapport.events import deliver_all
from rapport.testing.databases import fresh_postgres, postgres_server
from tests.desk import Desk
from tests.torture import in_turn

from .conftest import ADMIN, Type, opened


def test_a_plugin_goes_on_and_off_and_keeps_its_rows(type_: Type, home: Path) -> None:
    at = ("--home", home, "plugins")
    assert "loyalty 0.1.0 disabled" in " ".join(type_(*at, "list").output.split())
    assert "loyalty is on." in type_(*at, "enable", "loyalty").output
    _serve_a_customer(home)
    assert "loyalty 0.1.0 active" in " ".join(type_(*at, "list").output.split())
    assert "loyalty: runs." in type_(*at, "check").output
    assert "loyalty is off; its data is kept." in type_(*at, "disable", "loyalty").output
    assert "loyalty: could be switched on." in type_(*at, "check").output


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


@pytest.mark.parametrize("kind", in_turn(1))
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
    assert held.endswith("Do this first: rapport plugins upgrade bikes\n")
    done = shell("db", "upgrade", more=color, home=home)
    assert "bikes is up to date (" in done.stdout, done.stderr
    assert "Backup: " in done.stdout
    assert shell("db", "pending", more=color, home=home).stdout == "The database is up to date.\n"
    assert shell("bikes", "count", more=color, home=home).returncode == 0


def _serve_a_customer(home: Path) -> None:
    with opened(home) as site:
        deliver_all(site)
        with site.write(system("test")) as unit:
            unit.create(Customer, {"name": "Bob"})
        deliver_all(site)


def test_code_comes_and_goes_by_its_own_commands_and_data_stays(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.do("rapport", "init", "site", *ADMIN)
    wheel = make_wheel(tmp_path / "rapport_kites-0.4.0-py3-none-any.whl")
    at = ("rapport", "--home", "site", "plugins")
    assert "kites 0.4.0 is installed.\nSwitch it on: rapport plugins enable kites\n" in desk.do(
        *at, "install", str(wheel)
    )
    assert "kites is on." in desk.do(*at, "enable", "kites")
    refused = desk.run(*at, "install", "rapport-nowhere>=2")
    assert refused.returncode == 1
    assert "Nothing was changed. What the installer says:" in refused.stderr
    kept = desk.do(*at, "uninstall", "kites", "--yes")
    assert "Its data stays: 0 rows in 1 tables. To delete it: rapport plugins purge kites\n" in kept
    assert "kites is off.\nkites is uninstalled. Install it again: rapport plugins install rapport-kites\n" in kept
    assert "Deleted 0 rows in 1 tables." in desk.do(*at, "purge", "kites", "--yes", "kites")


def make_wheel(path: Path) -> Path:
    """A plugin as it comes from a registry."""
    info = "rapport_kites-0.4.0.dist-info"
    code = PLUGIN.replace("{{", "{").replace("}}", "}").replace("{more}", "").replace("bikes", "kites")
    files = {
        "rapport_kites/__init__.py": code,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: rapport-kites\nVersion: 0.4.0\nSummary: Kites\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[rapport.plugins]\nkites = rapport_kites\n",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))
    return path


def test_an_upgrade_is_rehearsed_on_a_copy(shell, tmp_path, database_url) -> None:
    home = tmp_path / "site"
    where = () if database_url.startswith("sqlite") else ("--database-url", database_url)
    assert shell("init", home, *ADMIN, *where).returncode == 0
    assert shell("plugins", "enable", "bikes", home=home).returncode == 0
    color = '\n    colour: Mapped[str | None] = field(label="Colour")'
    tried = shell("db", "upgrade", "--rehearse", more=color, home=home)
    assert tried.returncode == 0, tried.stderr
    assert re.search(r"bikes is up to date \(\d+\.\d s\)\.\nThis was a copy; the site is as it was.", tried.stdout)
    assert "its tables have changed" in shell("db", "pending", more=color, home=home).stdout
    wrong = '\n    colour: Mapped[str] = field(label="Colour")'
    refused = shell("db", "upgrade", "--rehearse", more=wrong, home=home)
    assert refused.returncode == 1
    assert "bikes could not be brought up to date" in refused.stderr
    assert "the new column 'bikes_bike.colour' may not be empty" in refused.stderr
    assert list(home.glob(".rapport-*")) == []


def test_hooks_are_shown_with_those_who_answer(type_: Type, sqlite_home: Path, monkeypatch) -> None:
    at = ("--home", sqlite_home)
    type_(*at, "plugins", "enable", "loyalty")
    shown = type_(*at, "hooks", "trace", "customer_created", "register_entities").output
    assert re.search(r"^customer_created +tell +loyalty$", shown, re.MULTILINE)
    assert re.search(r"^register_entities +register +core\nregister_entities", shown, re.MULTILINE)
    assert type_(*at, "hooks", "trace", "custmer_created").stderr == (
        "There is no hook 'custmer_created'. Did you mean 'customer_created'?\n"
    )
    monkeypatch.setenv("RAPPORT_TRACE_HOOKS", "1")
    assert re.search(
        r"^register_entities +register +loyalty +\d+\.\d\d$",
        type_(*at, "hooks", "trace", "register_entities").output, re.MULTILINE,
    )  # fmt: skip
