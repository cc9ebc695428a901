"""Two doors to one database: a reading one that cannot write, and a writing one that waits its turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from rapport.config import Config
from rapport.errors import RapportError
from rapport.query.fold import install_functions

BUSY_TIMEOUT_MS = 10_000


class Database:
    """The engines of a site. GET requests use `reading`, where the database itself refuses to write."""

    def __init__(self, config: Config) -> None:
        self.url = config.database_url
        self.is_sqlite = config.is_sqlite
        self.reading = self._engine(config, writes=False)
        self.writing = self._engine(config, writes=True)

    def _engine(self, config: Config, *, writes: bool) -> Engine:
        if config.is_sqlite:
            engine = create_engine(self.url, pool_size=16, max_overflow=32)
            event.listen(engine, "connect", _prepare_sqlite_writer if writes else _prepare_sqlite_reader)
            event.listen(engine, "begin", _begin_immediate if writes else _begin)
            return engine
        options: dict[str, Any] = {"connect_args": {"application_name": "rapport"}, "pool_pre_ping": True}
        if not writes:
            options["connect_args"]["options"] = "-c default_transaction_read_only=on"
        if config.testing:
            return create_engine(self.url, poolclass=NullPool, **(options | {"pool_pre_ping": False}))
        return create_engine(self.url, pool_size=8, max_overflow=16, **options)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading rows that belong to Rapport itself, not to a user."""
        with self.reading.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits at the end of the block, or not at all."""
        with self.writing.begin() as connection:
            yield connection

    @contextmanager
    def reshape(self) -> Iterator[Connection]:
        """As `write`, for changing tables.

        SQLite alters a table by making it anew and dropping the old one. With references watched, that drop would
        delete every row that refers to the table; so they are checked at the end instead.
        """
        if not self.is_sqlite:
            with self.write() as connection:
                yield connection
            return
        with self.writing.connect() as connection:
            raw: Any = connection.connection.driver_connection
            raw.execute("PRAGMA foreign_keys = OFF").close()  # has no effect within a transaction
            try:
                with connection.begin():
                    yield connection
                    if orphan := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                        raise RapportError(f"A row of '{orphan[0]}' would refer to nothing. Nothing was changed.")
            finally:
                raw.execute("PRAGMA foreign_keys = ON").close()

    def close(self) -> None:
        """Give back every connection."""
        self.reading.dispose()
        self.writing.dispose()


def _prepare_sqlite_writer(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, else DDL escapes the transaction
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA temp_store = MEMORY")
    cursor.execute("PRAGMA cache_size = -16000")
    cursor.close()
    install_functions(connection)


def _prepare_sqlite_reader(connection: Any, record: Any) -> None:
    _prepare_sqlite_writer(connection, record)
    connection.execute("PRAGMA query_only = ON").close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    # A deferred transaction that later writes fails at once when another wrote meanwhile; this one waits.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
