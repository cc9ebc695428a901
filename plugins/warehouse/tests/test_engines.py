"""The same question in the words of other engines, and the warehouse as files that they read.

Spark answers for itself, in spark.py beside this; what is written for the others is read back, not run.
"""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from rapport_warehouse import refresh, warehouse
from rapport_warehouse.engines import ENGINES, listening, sql_for, tables_for_engines
from sqlalchemy import Date, cast, distinct, func, select, text

from rapport import Actor, Customer, Interaction, Invalid
from rapport.records.session import ScopedSession

ADA = uuid.UUID("017e12ef-9c00-7000-9000-000000000000")


def by_month():
    """Interactions by the month in Tehran and the country, of two kinds and one customer, since a moment."""
    month = cast(func.date_trunc("month", func.timezone("Asia/Tehran", Interaction.at)), Date)
    return (
        select(month.label("month"), Customer.address["country"].as_string(), func.count(distinct(Customer.id)),
               func.sum(Interaction.minutes).filter(Interaction.subject.like("%it's%")))
        .join(Customer, Customer.id == Interaction.customer_id)
        .where(Interaction.at >= dt.datetime(2026, 1, 1, tzinfo=dt.UTC), Interaction.kind.in_(["call", "email"]),
               Customer.id == ADA, cast(Interaction.at, Date) < dt.date(2026, 11, 27))
        .group_by(text("1"), text("2"))
    )  # fmt: skip


def test_every_value_stands_in_the_text_under_its_type():
    sql = sql_for(by_month(), "duckdb")
    assert "CAST('2026-01-01 00:00:00.000000+00:00' AS TIMESTAMPTZ)" in sql
    assert f"CAST('{ADA}' AS UUID)" in sql
    assert "CAST('2026-11-27' AS DATE)" in sql
    assert "LIKE '%it''s%'" in sql
    assert "IN ('call', 'email')" in sql


def test_spark_gets_local_months_texts_for_ids_and_its_own_way_into_json():
    sql = sql_for(by_month(), "spark")
    assert "DATE_TRUNC('MONTH', FROM_UTC_TIMESTAMP(interaction.at, 'Asia/Tehran'))" in sql
    assert f"customer.id = CAST('{ADA}' AS STRING)" in sql
    assert "GET_JSON_OBJECT(customer.address, '$.country')" in sql
    assert "LIKE '%it\\'s%'" in sql


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("trino", ["AT_TIMEZONE(interaction.at, 'Asia/Tehran')", "AS TIMESTAMP WITH TIME ZONE)", "FILTER(WHERE"]),
        ("clickhouse", ["AT TIME ZONE 'Asia/Tehran'", "JSONExtractString(customer.address, 'country')"]),
        ("bigquery", ["DATETIME(interaction.`at`, 'Asia/Tehran')", "SUM(IF(interaction.subject LIKE"]),
    ],
)
def test_other_engines_get_theirs(engine, words):
    sql = sql_for(by_month(), engine)
    for word in words:
        assert word in sql
    assert "uuid" not in sql.lower()


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_written_for_an_engine_can_be_read_as_its_language(engine):
    import sqlglot

    def shape(tree):
        return (
            {table.name for table in tree.find_all(sqlglot.exp.Table)},
            len(list(tree.find_all(sqlglot.exp.Join))),
            [select.alias_or_name for select in tree.selects][:1],
            tree.args["group"] is not None,
        )

    written = sqlglot.parse_one(sql_for(by_month(), engine), read=engine)
    assert shape(written) == ({"interaction", "customer"}, 1, ["month"], True)


def test_weekdays_are_those_of_iso_everywhere():
    statement = "SELECT extract(isodow FROM at), isodow(day) FROM i"
    assert sql_for(statement, "spark") == "SELECT (WEEKDAY(at) + 1), (WEEKDAY(day) + 1) FROM i"
    assert "DAY_OF_WEEK(at)" in sql_for(statement, "trino")


def test_totals_are_told_apart_by_one_grouping_at_a_time():
    statement = "SELECT a, b, c, grouping(a, b, c) AS level FROM t GROUP BY GROUPING SETS ((a, b, c), (a), ())"
    assert "((GROUPING(a)) * 2 + GROUPING(b)) * 2 + GROUPING(c) AS level" in sql_for(statement, "spark")


def test_no_engine_is_guessed():
    with pytest.raises(Invalid, match="none of duckdb, spark, trino, clickhouse, bigquery"):
        sql_for("SELECT 1", "oracle")


@pytest.mark.plugins("warehouse")
def test_what_somebody_asks_is_heard_with_their_rights_in_it(app):
    refresh(app.site, full=True)
    mo = Actor(id=ADA, name="Mo", grants={"customer.read": "own"})
    with warehouse(app.site) as connection, ScopedSession(connection, mo, app.site.entities) as session:
        with listening(connection) as asked:
            session.execute(select(func.count(Customer.id)))
        session.execute(select(func.max(Customer.name)))
    assert len(asked) == 1
    assert f"owner_id = CAST('{ADA}' AS STRING)" in sql_for(asked[0], "spark")
    with warehouse(app.site) as connection:
        assert connection.exec_driver_sql(sql_for(asked[0], "duckdb")).scalar() == 0


@pytest.mark.plugins("warehouse")
def test_every_table_is_written_as_a_file_that_others_read(app, tmp_path):
    import pyarrow
    import pyarrow.parquet

    ada = app.create_customer(name="Ada", address={"country": "GB"})
    app.create_customer(name="مریم")
    refresh(app.site, full=True)
    written = tables_for_engines(app.site, tmp_path / "parquet")
    assert written["customer"] == 2
    files = {file.name: file for file in (tmp_path / "parquet").iterdir()}
    assert set(files) == {f"{table}.parquet" for table in written}
    table = pyarrow.parquet.read_table(files["customer.parquet"])
    kinds = {field.name: field.type for field in table.schema}
    assert kinds["id"] == kinds["address"] == pyarrow.string()
    assert kinds["created_at"] == pyarrow.timestamp("us", "UTC")
    rows = {row["name"]: row for row in table.to_pylist()}
    assert rows["Ada"]["id"] == str(ada.id)
    assert '"country":"GB"' in rows["Ada"]["address"].replace(" ", "")
    assert set(rows) == {"Ada", "مریم"}


@pytest.mark.plugins("warehouse")
def test_the_files_are_for_nobody_else_on_the_machine(app, tmp_path):
    refresh(app.site, full=True)
    tables_for_engines(app.site, tmp_path / "parquet")
    assert (tmp_path / "parquet").stat().st_mode & 0o077 == 0
    assert (tmp_path / "parquet" / "customer.parquet").stat().st_mode & 0o077 == 0
