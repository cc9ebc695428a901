"""The same question for a larger engine: what DuckDB is asked, in the words of Spark, Trino, ClickHouse or BigQuery."""

from __future__ import annotations

import datetime as dt
import functools
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from uuid import UUID

from rapport import Invalid, Problem
from rapport import gettext as _
from rapport_warehouse.store import warehouse

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.sql import ClauseElement

    from rapport import Site

Engine = Literal["duckdb", "spark", "trino", "clickhouse", "bigquery"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
"""Those it is written for. Spark is run over our files and gives the same figures; the last three are not run."""
AT_ONCE = 200_000
"""Rows of a table that are in memory together while it is written."""
ELSEWHERE = {"UUID": "VARCHAR", "JSON": "VARCHAR", "HUGEINT": "DECIMAL(38, 0)"}
"""What types become that other engines do not read from Parquet: Spark, for one, has no ids."""


def sql_for(statement: ClauseElement | str, engine: str) -> str:
    """A statement about the tables of the warehouse, as one text that another engine understands.

    The engine has them as the files of `tables_for_engines`: ids are texts there, moments are in UTC, and so should be
    the time zone of its session.
    """
    if engine not in ENGINES:
        raise Invalid([Problem("engine", _("is none of %(engines)s.", engines=", ".join(ENGINES)))])
    sql = statement if isinstance(statement, str) else _compiled(statement)
    if engine == "duckdb":
        return sql
    import sqlglot

    tree = sqlglot.parse_one(sql, read="duckdb").transform(_plainer)
    if engine == "spark":
        tree = tree.transform(_as_spark_counts)
    try:
        return str(tree.sql(dialect=engine, unsupported_level=sqlglot.ErrorLevel.RAISE))
    except sqlglot.UnsupportedError as error:
        why = _("%(engine)s has no words for this: %(why)s", engine=engine, why=str(error))
        raise Invalid([Problem("engine", why)]) from error


def _compiled(statement: ClauseElement) -> str:
    return str(statement.compile(dialect=_dialect(), compile_kwargs={"literal_binds": True}))


@functools.cache
def _dialect() -> Any:
    """DuckDB's, with every value in the text under its type: other engines do not guess that a text is a day."""
    from duckdb_engine import Dialect
    from sqlalchemy.dialects.postgresql.base import PGCompiler

    import rapport_warehouse.dialect

    assert rapport_warehouse.dialect  # it tells SQLAlchemy how Rapport's own expressions are said

    class Typed(PGCompiler):
        for_other_engines = True

        def render_literal_value(self, value: Any, type_: Any) -> str:
            if isinstance(value, dt.datetime):
                return f"CAST('{value.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}+00:00' AS TIMESTAMPTZ)"
            if isinstance(value, dt.date):
                return f"CAST('{value.isoformat()}' AS DATE)"
            if isinstance(value, UUID):
                return f"CAST('{value}' AS UUID)"
            return str(super().render_literal_value(value, type_))  # type: ignore[no-untyped-call]  # typed in part

    class Written(Dialect):
        statement_compiler = Typed
        supports_statement_cache = False

    return Written(paramstyle="named")


def _as_spark_counts(node: Any) -> Any:
    """Days of the week from 1 on Monday: sqlglot 30.30 writes them two days off, as a comparison has shown."""
    from sqlglot import exp

    if isinstance(node, exp.DayOfWeekIso):
        weekday = exp.Anonymous(this="WEEKDAY", expressions=[node.this])
        return exp.Paren(this=exp.Add(this=weekday, expression=exp.Literal.number(1)))
    return node


def _plainer(node: Any) -> Any:
    """What only DuckDB says, in the words that have a counterpart elsewhere."""
    from sqlglot import exp

    if isinstance(node, exp.DataType) and node.this in {exp.DType.UUID, exp.DType.INT128}:
        return exp.DataType.build("TEXT" if node.this is exp.DType.UUID else "DECIMAL(38, 0)")
    if isinstance(node, exp.Grouping) and len(node.expressions) > 1:
        # One bit for each, the first the highest: Spark and BigQuery tell of one at a time.
        one_by_one: list[Any] = [exp.Grouping(expressions=[each.copy()]) for each in node.expressions]
        return functools.reduce(lambda high, low: exp.Add(this=exp.Mul(this=exp.Paren(this=high),
                                expression=exp.Literal.number(2)), expression=low), one_by_one)  # fmt: skip
    if isinstance(node, exp.Extract) and node.name.lower() == "isodow":
        return exp.DayOfWeekIso(this=node.expression)
    if isinstance(node, exp.Anonymous):
        name, given = node.name.lower(), node.expressions
        if name == "timezone" and len(given) == 2:
            return exp.AtTimeZone(this=given[1], zone=given[0])
        if name == "strlen":
            return exp.ByteLength(this=given[0])
    return node


@contextmanager
def listening(connection: Connection) -> Iterator[list[ClauseElement]]:
    """What this thread asks the warehouse meanwhile, statement by statement."""
    from sqlalchemy import event

    asked: list[ClauseElement] = []
    mine = threading.get_ident()

    def note(_connection: Any, statement: Any, *_more: Any) -> None:
        if threading.get_ident() == mine and hasattr(statement, "compile"):
            asked.append(statement)

    event.listen(connection.engine, "before_execute", note)
    try:
        yield asked
    finally:
        event.remove(connection.engine, "before_execute", note)


def texts(statements: Sequence[ClauseElement], engine: str) -> str:
    """Several statements in one text, each ended by a semicolon."""
    return "\n\n".join(f"{sql_for(each, engine)};" for each in statements)


def tables_for_engines(site: Site, folder: Path) -> Mapping[str, int]:
    """Write every table of the warehouse to `<folder>/<table>.parquet`; gives how many rows each has.

    They hold what the warehouse holds, to the letter, as the statements of `sql_for` expect it: amounts are counted in
    ten-thousandths, and the keys by which names are found are there.

    It is all there is, whoever may read it: for those who run the site, not for its users. A file is put in its place
    when it is whole, so a program that reads it meanwhile has the old one or the new one.
    """
    import pyarrow.parquet

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written: dict[str, int] = {}
    with warehouse(site) as connection:
        cursor: Any = connection.connection.cursor()
        for table, columns in _tables(cursor).items():
            found = cursor.sql(f'SELECT {", ".join(columns)} FROM "{table}"')  # noqa: S608 - names of ours
            reader = found.to_arrow_reader(AT_ONCE)
            making, written[table] = folder / f"{table}.parquet.making", 0
            with pyarrow.parquet.ParquetWriter(making, reader.schema, compression="snappy") as writer:
                for batch in reader:
                    writer.write_batch(batch)
                    written[table] += batch.num_rows
            making.chmod(0o600)
            os.replace(making, folder / f"{table}.parquet")
    return written


def _tables(cursor: Any) -> dict[str, list[str]]:
    """The tables, and how each of their columns is read for others."""
    cursor.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "ORDER BY table_name, ordinal_position"
    )
    found: dict[str, list[str]] = {}
    for table, column, kind in cursor.fetchall():
        name = f'"{column}"'
        found.setdefault(table, []).append(
            f"CAST({name} AS {ELSEWHERE[kind]}) AS {name}" if kind in ELSEWHERE else name
        )
    return found
