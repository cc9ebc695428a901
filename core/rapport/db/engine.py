"""Two doors to one database: a reading one that cannot write, and a writing one that waits its turn."""

from __future__ import annotations

import fcntl
import functools
import itertools
import operator
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from select import POLLIN, poll
from typing import Any, Literal

from sqlalchemy import Connection, Dialect, Engine, Table, create_engine, event, func, insert, select
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError

from rapport.config import Config
from rapport.errors import PluginError, RapportError
from rapport.query.fold import install_functions

BUSY_TIMEOUT_MS = 10_000
LOOK_STEPS = 10_000
"""After so many steps of its machine, a tenth of a millisecond or more, SQLite asks whether to go on."""
USED = "rapport_used"
"""Under this name a connection's `info` says when it was given back."""
SURE_SECONDS = 20.0
"""For so long a connection in the pool is taken to be open, unless the server has closed it."""
TURN_SECONDS = 0.0003
"""How often a process looks whether another has finished writing: a transaction takes a millisecond or two."""


class Turns:
    """Those who write to one SQLite file take turns, whatever process they are in.

    SQLite would have the second one sleep for 1, 2, 5 … 100 ms and try again, mostly long after the first is done;
    with eight writers that costs half of what could be written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._threads = threading.Lock()
        self._opened: tuple[int, int] | None = None

    def take(self) -> bool:
        """Wait for one's turn; False when it does not come in time."""
        until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
        if not self._threads.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            return False
        try:
            while not self._alone():
                if time.monotonic() > until:
                    self._threads.release()
                    return False
                time.sleep(TURN_SECONDS)
        except BaseException:
            self._threads.release()
            raise
        return True

    def give(self) -> None:
        """Let the next one write."""
        if self._opened is not None:
            fcntl.flock(self._opened[1], fcntl.LOCK_UN)
        self._threads.release()

    def _alone(self) -> bool:
        if self._opened is None or self._opened[0] != os.getpid():  # a forked process must not share its parent's
            self._opened = (os.getpid(), os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            fcntl.flock(self._opened[1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let the file go."""
        if self._opened is not None and self._opened[0] == os.getpid():
            os.close(self._opened[1])
        self._opened = None


class WritingConnection(sqlite3.Connection):
    """A connection that gives its turn back as soon as its transaction is over, however that ends."""

    turns: Turns | None = None
    """Set while it is this connection's turn."""

    def commit(self) -> None:
        try:
            super().commit()
        except BaseException:
            self.rollback()  # SQLAlchemy takes it for done, and would leave the next writer waiting
            raise
        self._over()

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self._over()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._over()

    def _over(self) -> None:
        turns, self.turns = self.turns, None
        if turns is not None:
            turns.give()


class Database:
    """The engines of a site. GET requests use `reading`, where the database itself refuses to write."""

    def __init__(self, config: Config) -> None:
        self.url = config.database_url
        self.is_sqlite = config.is_sqlite
        self._turns = Turns(f"{self.url.removeprefix('sqlite:///')}-turn")
        self.reading = self._engine(config, writes=False)
        self.writing = self._engine(config, writes=True)
        # Whoever forgets to close a site leaves no connection behind.
        weakref.finalize(self, _dispose, self.reading, self.writing).atexit = False

    def _engine(self, config: Config, *, writes: bool) -> Engine:
        engine = self._bare_engine(config, writes=writes)
        event.listen(engine, "checkout", _note)
        event.listen(engine, "checkin", _end_what_is_left)
        event.listen(engine, "commit", _refuse_while_lent)
        event.listen(engine, "rollback", _refuse_while_lent)
        return engine

    def _bare_engine(self, config: Config, *, writes: bool) -> Engine:
        if config.is_sqlite:
            factory = WritingConnection if writes else sqlite3.Connection
            engine = create_engine(self.url, pool_size=16, max_overflow=32, connect_args={"factory": factory})
            event.listen(engine, "connect", _prepare_sqlite_writer if writes else _prepare_sqlite_reader)
            event.listen(engine, "begin", functools.partial(_begin_immediate, self._turns) if writes else _begin)
            return engine
        options: dict[str, Any] = {"connect_args": {"application_name": "rapport"}}
        if not writes:
            # Where nothing is rolled back statements stay prepared; each is planned for its own values all the same.
            fixed = "-c default_transaction_read_only=on -c plan_cache_mode=force_custom_plan"
            options["connect_args"]["options"] = fixed
            options["isolation_level"] = "AUTOCOMMIT"  # BEGIN and ROLLBACK cost as much as the row between them
        engine = create_engine(self.url, pool_size=8, max_overflow=16, **options)
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", functools.partial(_look_whether_open, engine.dialect))
        if not writes:
            event.listen(engine, "before_cursor_execute", _begin_for_more_than_a_question)
        return engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading rows that belong to Rapport itself, not to a user."""
        with self.reading.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """As `read`, where all statements must see the same: the database of one moment, whatever others write."""
        with self.reading.connect() as connection:
            if not self.is_sqlite:  # where every reading transaction is one
                connection.execution_options(isolation_level="REPEATABLE READ")
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
        _dispose(self.reading, self.writing)
        self._turns.close()


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many rows, all with the same columns. On SQLite past SQLAlchemy's handling of parameters, which costs
    more there than the inserting does."""
    if connection.dialect.name != "sqlite":
        connection.execute(insert(table), list(rows))
        return
    statement, plan = _raw_insert(table, tuple(rows[0]), connection.dialect)
    values = [tuple([row[name] if fit is None else fit(row[name]) for name, fit in plan]) for row in rows]
    connection.exec_driver_sql(statement, values)


def insert_columns(
    connection: Connection, table: Table, columns: Mapping[str, Sequence[Any]], *, ready: Collection[str] = ()
) -> None:
    """As `insert_rows`, for thousands of rows that are at hand column by column; PostgreSQL takes them by COPY.

    What is `ready` is in the form that the database keeps.
    """
    statement, plan = _raw_insert(table, tuple(columns), connection.dialect)
    bound = [columns[name] if name in ready else _bound(columns[name], fit) for name, fit in plan]
    rows = zip(*bound, strict=True)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(statement, list(rows))
        return
    quote: Any = connection.dialect.identifier_preparer
    statement = f"COPY {quote.format_table(table)} ({', '.join(quote.quote(name) for name, _ in plan)}) FROM STDIN"
    driver: Any = connection.connection.driver_connection
    faults: Any = connection.dialect.loaded_dbapi
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except faults.Error as error:  # past SQLAlchemy; its errors stay SQLAlchemy's
        raise DBAPIError.instance(statement, None, error, faults.Error, dialect=connection.dialect) from error


def _bound(values: Sequence[Any], fit: Callable[[Any], Any] | None) -> Sequence[Any]:
    """A column as the database keeps it. Mostly all of it is one and the same value."""
    if fit is None:
        return values
    if is_one(values) or (values[0] in ("", (), {}) and values.count(values[0]) == len(values)):
        return [fit(values[0])] * len(values)
    return [fit(value) for value in values]


def is_one(values: Sequence[Any]) -> bool:
    """Whether a column holds the very same thing all over."""
    return all(map(operator.is_, values, itertools.repeat(values[0])))


@functools.lru_cache(maxsize=256)
def _raw_insert(table: Table, names: tuple[str, ...], dialect: Dialect) -> tuple[str, list[tuple[str, Any]]]:
    compiled: Any = insert(table).compile(dialect=dialect, column_keys=list(names))
    order = compiled.positiontup or names  # PostgreSQL's statement has names
    plan = [(name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in order]
    return str(compiled), plan


# While a connection is lent to a plugin ------------------------------------------------------------------------------


_noted = threading.local()
BORROWER = "rapport_borrower"
"""Under this name a connection's `info` says which plugin it is lent to; then nobody may end its transaction."""


def _refuse_while_lent(connection: Connection) -> None:
    if connection.invalidated:
        return  # it was given up
    if borrower := connection.info.get(BORROWER):
        raise PluginError(f"{borrower} must not end the transaction it works in: no commit, rollback or close.")


def _look_whether_open(dialect: Dialect, raw: Any, record: Any, _proxy: Any) -> None:
    """As SQLAlchemy's `pool_pre_ping`, which asks the server every time; that costs as much as reading a record.

    A server that ended has closed its connections, and that shows without asking. One that was not used for a while may
    have been dropped on the way to the server: it is asked.
    """
    try:
        looks = poll()
        looks.register(raw.fileno(), POLLIN)
        if looks.poll(0) or time.monotonic() - record.info.get(USED, 0.0) > SURE_SECONDS:
            dialect.do_ping(raw)
    except raw.Error as error:
        raise InvalidatePoolError from error


def _end_what_is_left(raw: Any, _record: Any) -> None:
    """A connection comes back out of any transaction, also where SQLAlchemy takes one for ended that a plugin spoilt.

    Before 2.1 it does so after a commit that was refused.
    """
    if raw is None:
        return  # it was given up
    in_transaction = raw.in_transaction if isinstance(raw, sqlite3.Connection) else raw.info.transaction_status != 0
    if in_transaction:
        raw.rollback()


def _note_use(_raw: Any, record: Any) -> None:
    record.info[USED] = time.monotonic()


def _dispose(*engines: Engine) -> None:
    for engine in engines:
        engine.dispose()


def _note(_raw: Any, _record: Any, proxy: Any) -> None:
    taken: list[Any] | None = getattr(_noted, "taken", None)
    if taken is not None:
        taken.append(proxy)


@contextmanager
def leftovers() -> Iterator[Callable[[], int]]:
    """Watch for connections that this thread takes within the block. What it gives says, after the block, how many of
    them were not given back; those are closed, so that no forgotten transaction keeps others waiting.
    """
    former: list[Any] | None = getattr(_noted, "taken", None)
    taken: list[Any] = []
    _noted.taken = taken

    def left() -> int:
        return left_open

    left_open = 0
    try:
        yield left
    finally:
        _noted.taken = former
        for proxy in taken:
            if proxy.is_valid and proxy.dbapi_connection is not None:
                left_open += 1
                proxy.invalidate()


def standing(connection: Connection) -> Literal["idle", "open", "broken"]:
    """Where the database itself stands: before a transaction, in one, or in one that an error has spoilt."""
    raw: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        return "open" if raw.in_transaction else "idle"
    status = int(raw.info.transaction_status)
    return "idle" if status == 0 else "open" if status <= 2 else "broken"  # IDLE; ACTIVE, INTRANS; INERROR, UNKNOWN


def really_roll_back(connection: Connection) -> None:
    """Roll the database itself back, where SQLAlchemy believes that it has nothing to roll back any more."""
    if not connection.closed and not connection.invalidated:
        raw: Any = connection.connection.driver_connection
        raw.rollback()


def spoilt(connection: Connection, before: str) -> bool:
    """Whether somebody ended the transaction that stood `before`, or left it so that nothing works in it."""
    if connection.closed or connection.invalidated:
        return True
    now = standing(connection)
    return now == "broken" or (before == "open" and now == "idle")


def ensure_transaction(connection: Connection) -> None:
    """Whatever a reading connection is asked from here on is one transaction, until it is given back.

    On PostgreSQL each question is one by itself otherwise. Say it before a SELECT whose effect lasts as long as a
    transaction does, such as a lock. For one view of everything see `Database.snapshot`.
    """
    if connection.dialect.name == "postgresql":
        raw: Any = connection.connection.driver_connection
        if raw.autocommit and standing(connection) == "idle":
            _say(connection, "BEGIN")


def _begin_for_more_than_a_question(
    connection: Connection, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
) -> None:
    """A stream, a savepoint or a SET does nothing without a transaction, or outlives its user."""
    if not statement.startswith(("SELECT", "WITH")) or context.execution_options.get("stream_results"):
        ensure_transaction(connection)


@contextmanager
def within(connection: Connection, seconds: float) -> Iterator[None]:
    """What is read meanwhile ends with TimeoutError when it takes longer; the transaction goes on as if not asked."""
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        until = time.monotonic() + seconds
        driver.set_progress_handler(lambda: time.monotonic() > until, LOOK_STEPS)
        try:
            yield
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
                raise TimeoutError from error
            raise
        finally:
            driver.set_progress_handler(None, 0)
        return
    place = connection.begin_nested()  # what PostgreSQL stops spoils the transaction from here on
    try:
        milliseconds = str(max(1, round(seconds * 1000)))
        connection.execute(select(func.set_config("statement_timeout", milliseconds, True)))  # within the savepoint
        yield
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", "") == "57014":  # query_canceled
            raise TimeoutError from error
        raise
    finally:
        place.rollback()


def _prepare_sqlite_writer(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, else DDL escapes the transaction
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA temp_store = MEMORY")
    cursor.execute("PRAGMA cache_size = -16000")
    cursor.execute("PRAGMA wal_autocheckpoint = 10000")  # pages, 40 MB: an import writes the same pages many times
    cursor.close()
    install_functions(connection)


def _prepare_sqlite_reader(connection: Any, record: Any) -> None:
    _prepare_sqlite_writer(connection, record)
    connection.execute("PRAGMA query_only = ON").close()


def _begin(connection: Connection) -> None:
    _say(connection, "BEGIN")


def _begin_immediate(turns: Turns, connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    if not turns.take():
        locked = sqlite3.OperationalError("database is locked")
        raise OperationalError("BEGIN IMMEDIATE", None, locked) from locked
    driver.turns = turns
    try:
        # A deferred transaction that later writes fails at once when another wrote meanwhile; this one waits.
        _say(connection, "BEGIN IMMEDIATE")
    except BaseException:
        driver.rollback()
        raise


def _say(connection: Connection, statement: str) -> None:
    """Past SQLAlchemy, whose way to a statement costs a tenth of reading a record; its errors stay SQLAlchemy's."""
    driver: Any = connection.connection.driver_connection
    try:
        driver.execute(statement).close()
    except driver.OperationalError as error:
        raise OperationalError(statement, None, error) from error
