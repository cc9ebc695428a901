"""Sites that are made once in a test run and then copied: making the tables takes longer than most tests."""

from __future__ import annotations

import atexit
import datetime as dt
import functools
import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import create_engine, inspect, make_url
from sqlalchemy.pool import NullPool

from rapport.config import Config
from rapport.entities import utcnow
from rapport.plugins import discover
from rapport.testing.databases import OURS, fresh_postgres, recreate

Make = Callable[[Config], None]
"""Makes a whole site, to be copied."""
_kept = ExitStack()


def copy_prepared(config: Config, plugins: Sequence[str], make: Make) -> bool:
    """Put a copy of a prepared site with these plugins where the site of `config` is to be; `make` makes it once.

    False, and nothing is done, where there is a site already, or something that a copy would not stand for: a database
    that is not ours, or a plugin that a test has written and may write differently next time.
    """
    if abs(utcnow() - dt.datetime.now(dt.UTC)) > dt.timedelta(minutes=1):
        return False  # at another time than that of the test, what is due in the copy would be due too early or late
    if not all(_installed(plugin) for plugin in plugins):
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
    home = Path(_kept.enter_context(tempfile.TemporaryDirectory(prefix="rapport-prepared-")))
    atexit.register(_kept.close)
    make(_config(home, "", plugins))
    return home / "rapport.db"


@functools.cache
def _prepared_database(plugins: tuple[str, ...], make: Make) -> str:
    url = _kept.enter_context(fresh_postgres())
    atexit.register(_kept.close)  # now that there is a server: before it ends
    with tempfile.TemporaryDirectory() as home:
        make(_config(Path(home), url, plugins))
    return str(make_url(url).database)


def _config(home: Path, url: str, plugins: tuple[str, ...]) -> Config:
    return Config(home=home, database_url=url, secret_key="test " * 8, testing=True, plugins=plugins)


def _installed(plugin: str) -> bool:
    info = discover().get(plugin)
    found = importlib.util.find_spec(info.package) if info is not None else None
    return found is not None and not Path(found.origin or "").is_relative_to(tempfile.gettempdir())


def _empty(url: str) -> bool:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return not inspect(connection).has_table("site")
