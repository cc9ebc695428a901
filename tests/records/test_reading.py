"""Connections for reading: each question stands for itself, and nothing is left behind for who uses one next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError

from rapport import Config, system
from rapport.db.engine import Database, standing, within
from rapport.records.log import keep_order, settle

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def db(database_url: str, tmp_path: Path) -> Iterator[Database]:
    made = Database(Config(home=tmp_path, database_url=database_url, secret_key="k" * 32))
    with made.write() as connection:
        connection.execute(text("CREATE TABLE word (word TEXT)"))
    yield made
    made.close()


def server_process(connection: Connection) -> Any:
    return connection.scalar(select(func.pg_backend_pid()))


@on_postgresql
def test_a_question_is_a_transaction_by_itself_and_cannot_write(db):
    with db.read() as connection:
        connection.scalar(select(1))
        assert standing(connection) == "idle"
        with pytest.raises(DBAPIError, match="read-only"):
            connection.execute(text("INSERT INTO word VALUES ('one')"))
    with db.read() as connection, pytest.raises(DBAPIError, match="read-only"):
        connection.execute(text("WITH made AS (INSERT INTO word VALUES ('one') RETURNING word) SELECT word FROM made"))


@on_postgresql
def test_a_read_that_takes_too_long_ends_and_leaves_no_limit_behind(db):
    with db.read() as connection:
        process = server_process(connection)
        with pytest.raises(TimeoutError), within(connection, 0.02):
            connection.execute(select(func.pg_sleep(30)))
        assert server_process(connection) == process  # it goes on
        assert connection.scalar(select(func.current_setting("statement_timeout"))) == "0"
    with db.read() as connection:
        assert server_process(connection) == process
        assert connection.scalar(select(func.current_setting("statement_timeout"))) == "0"


@on_postgresql
def test_what_somebody_sets_is_as_before_for_the_next(db):
    with db.read() as connection:
        process = server_process(connection)
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        assert connection.scalar(select(func.current_setting("enable_seqscan"))) == "off"
    with db.read() as connection:
        assert server_process(connection) == process
        assert connection.scalar(select(func.current_setting("default_transaction_read_only"))) == "on"
        assert connection.scalar(select(func.current_setting("enable_seqscan"))) == "on"


def test_a_savepoint_of_a_reader_takes_back_what_failed_in_it(db):
    with db.read() as connection:
        with pytest.raises(DBAPIError), connection.begin_nested():
            connection.execute(text("SELECT no_such_column FROM word"))
        assert connection.scalar(text("SELECT count(*) FROM word")) == 0


def test_a_snapshot_is_of_one_moment(db):
    with db.snapshot() as connection:
        assert connection.scalar(text("SELECT count(*) FROM word")) == 0
        with db.write() as writing:
            writing.execute(text("INSERT INTO word VALUES ('one')"))
        assert connection.scalar(text("SELECT count(*) FROM word")) == 0
    with db.read() as connection:  # the same one, which has forgotten that
        assert connection.scalar(text("SELECT count(*) FROM word")) == 1
        with db.write() as writing:
            writing.execute(text("INSERT INTO word VALUES ('two')"))
        if not db.is_sqlite:
            assert connection.scalar(text("SELECT count(*) FROM word")) == 2


@on_postgresql
def test_nobody_takes_a_place_in_the_log_while_it_is_read_without_gaps(db):
    with db.read() as reading:
        settle(reading)
        with db.writing.connect() as writing:
            writing.execute(text("SET LOCAL lock_timeout = 20"))
            with pytest.raises(DBAPIError, match="lock timeout"):
                keep_order(writing)
    with db.write() as writing:
        writing.execute(text("SET LOCAL lock_timeout = 20"))
        keep_order(writing)


@on_postgresql
def test_a_connection_that_the_server_has_closed_is_replaced_before_it_is_used(db, tmp_path):
    with db.read() as reading, db.write() as writing:
        ended = [server_process(reading), server_process(writing)]
    other = Database(Config(home=tmp_path, database_url=db.url, secret_key="k" * 32))
    with other.write() as connection:
        for process in ended:
            assert connection.scalar(select(func.pg_terminate_backend(process, 5000)))
    other.close()
    with db.read() as reading, db.write() as writing:
        assert server_process(reading) not in ended
        assert server_process(writing) not in ended


@on_postgresql
def test_a_stream_is_read_piece_by_piece(make_app):
    with make_app() as app, app.site.read(system("test")) as reader:
        rows = iter(reader.stream(select(func.generate_series(1, 3000)), batch=10))
        assert next(rows) == (1,)
        assert reader.session.scalar(text("SELECT count(*) FROM pg_cursors")) == 1
        assert len(list(rows)) == 2999
