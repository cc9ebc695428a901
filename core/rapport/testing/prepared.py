"""Sites that are made once in a test run and then copied: making the tables takes longer than most tests.

The processes of a run share them: where they lie, pytest tells in RAPPORT_TEST_PREPARED.
"""

from __future__ import annotations

import atexit
import datetime as dt
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from importlib_metadata import distribution
from sqlalchemy import create_engine, inspect, make_url
from sqlalchemy.pool import NullPool

from rapport.config import Config
from rapport.entities import utcnow
from rapport.plugins import discover
from rapport.testing.databases import (
    OURS,
    SHARED,
    drop,
    drop_unwanted,
    exists,
    fresh_postgres,
    keep_as,
    postgres_server,
    recreate,
)

Make = Callable[[Config], None]
"""Makes a whole site, to be copied; what it makes is known by its name."""


def copy_prepared(config: Config, plugins: Sequence[str], make: Make) -> bool:
    """Put a copy of a prepared site with these plugins where the site of `config` is to be; `make` makes it once.

    False, and nothing is done, where there is a site already, or something that a copy would not stand for: a database
    that is not ours, or a plugin that a test has written and may write differently next time.
    """
    if abs(utcnow() - dt.datetime.now(dt.UTC)) > dt.timedelta(minutes=1):
        return False  # at another time than that of the test, what is due in the copy would be due too early or late
    if not all(_is_always_the_same(plugin) for plugin in plugins):
        return False
    if config.is_sqlite:
        place = Path(str(make_url(config.database_url).database))
        if place.exists():
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_prepared_file(tuple(plugins), make), place)
    else:
        name = str(make_url(config.database_url).database)
        if not name.startswith(OURS) or not _empty(config.database_url):
            return False
        recreate(name, _prepared_database(tuple(plugins), make))
    config.files.mkdir(parents=True, exist_ok=True)
    return True


@functools.cache
def _prepared_file(plugins: tuple[str, ...], make: Make) -> Path:
    kept = _folder() / f"{make.__name__}-{'+'.join(plugins) or 'core'}.db"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=_folder()) as home:
            make(_config(Path(home), "", plugins))
            (Path(home) / "rapport.db").replace(kept)
    return kept


@functools.cache
def _prepared_database(plugins: tuple[str, ...], make: Make) -> str:
    key = f"{_folder()} {make.__name__} {' '.join(plugins)}"
    kept = f"{OURS}{hashlib.sha256(key.encode()).hexdigest()[:20]}"
    if not exists(kept):
        with fresh_postgres() as url, tempfile.TemporaryDirectory() as home:
            make(_config(Path(home), url, plugins))
            keep_as(str(make_url(url).database), kept)
        (_folder() / kept).touch()
    return kept


@functools.cache
def _folder() -> Path:
    shared = os.environ.get(SHARED)
    if shared:
        return Path(shared)
    folder = Path(tempfile.mkdtemp(prefix="rapport-prepared-"))
    atexit.register(forget, folder)
    return folder


def forget(folder: Path) -> None:
    """Remove what was prepared there, and drop the databases that were."""
    kept = [file.name for file in folder.glob(f"{OURS}*")]
    shutil.rmtree(folder, ignore_errors=True)
    if kept and postgres_server() is not None:
        drop(*kept)
        drop_unwanted()


def _config(home: Path, url: str, plugins: tuple[str, ...]) -> Config:
    return Config(home=home, database_url=url, secret_key="test " * 8, testing=True, plugins=plugins)


def _is_always_the_same(plugin: str) -> bool:
    """Installed beside Rapport, or the one of `rapport.testing.paper`.

    What a test has written lies elsewhere on the path.
    """
    info = discover().get(plugin)
    return plugin == "paper" or (info is not None and _place(info.distribution) == _place("rapport-crm"))


def _place(name: str) -> Path:
    return Path(str(distribution(name).locate_file("")))


def _empty(url: str) -> bool:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return not inspect(connection).has_table("site")
