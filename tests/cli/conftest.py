"""A terminal for tests: type a command, read what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rapport.config import load_config
from rapport.site import Site
from rapport_cli import cli

EMAIL = "ada@example.com"
PASSWORD = "correct horse battery"
ADMIN = ("--admin-email", EMAIL, "--admin-name", "Ada", "--password", PASSWORD, "--language", "en")
Type = Callable[..., Result]


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Type:
    """Type a command in an empty directory; `answers` is what is typed when it asks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAPPORT_HOME", raising=False)

    def run(*words: object, answers: str = "") -> Result:
        return CliRunner().invoke(cli, [str(word) for word in words], input=answers, prog_name="rapport")

    return run


@pytest.fixture
def home(type_: Type, tmp_path: Path, database_url: str) -> Path:
    """A site made by `rapport init`, once on each kind of database."""
    home = tmp_path / "site"
    where = () if database_url.startswith("sqlite") else ("--database-url", database_url)
    made = type_("init", home, *ADMIN, *where)
    assert made.exit_code == 0, made.output
    return home


@pytest.fixture
def sqlite_home(type_: Type, tmp_path: Path) -> Path:
    """A site on SQLite alone, where the story is the same on both."""
    home = tmp_path / "site"
    made = type_(
        "init", home, "--admin-email", EMAIL, "--admin-name", "Ada", "--password", PASSWORD, "--language", "en"
    )
    assert made.exit_code == 0, made.output
    return home


@contextmanager
def opened(home: Path) -> Iterator[Site]:
    """The site behind the terminal."""
    site = Site.open(load_config(home))
    try:
        yield site
    finally:
        site.close()
