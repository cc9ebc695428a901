"""The same answers by Spark: a dozen questions, asked of DuckDB and of Spark over the Parquet files of a site.

    rapport demo /tmp/demo --no-serve
    uv pip install --target /tmp/spark pyspark==4.3.0
    PYTHONPATH=/tmp/spark python plugins/warehouse/tests/spark.py /tmp/demo

Every value of every row is compared; ends with 1 when one differs. Needs Java 17 or later, and is no part of
`make test`: Spark alone is larger than all the rest of Rapport.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from rapport_warehouse import Question, answer, refresh, warehouse
from rapport_warehouse.engines import listening, sql_for, tables_for_engines

from rapport.access import system
from rapport.config import load_config
from rapport.lifecycle import enable
from rapport.site import Site

QUESTIONS = [
    Question(("core.new_customers",), rows=("date.month",)),
    Question(("core.interactions", "core.customers_reached"), rows=("core.interaction_kind",)),
    Question(("core.interactions",), rows=("date.week",), columns=("core.interaction_kind",), running=True),
    Question(("core.interactions",), rows=("date.jalali_month",), columns=("core.country",)),
    Question(("core.new_customers",), rows=("core.country",), top=3, share=True),
    Question(("sales.won_amount", "sales.win_rate"), rows=("date.quarter",)),
    Question(("sales.won_amount", "sales.average_deal"), rows=("core.owner",), period="last 24 months"),
    Question(("sales.pipeline", "sales.pipeline_amount"), rows=("sales.stage",)),
    Question(("sales.won",), rows=("date.fiscal_year",), columns=("core.customer_kind",), compare="year",
             since=dt.date(2026, 1, 1), until=dt.date(2026, 12, 31)),
    Question(("core.stage_moves", "core.stage_time"), rows=("core.stage_after",)),
    Question(("core.tasks", "core.tasks_done"), rows=("date.weekday",)),
    Question(("core.interactions",), rows=("date.hour",), where={"core.interaction_kind": ("call", "email")}),
]  # fmt: skip
RFM = """
SELECT CAST(customer_id AS VARCHAR), newest, often, ntile(5) OVER (ORDER BY often, customer_id) AS frequency,
       CAST(percent_rank() OVER (ORDER BY newest) AS DOUBLE) AS recency
FROM (SELECT customer_id, max("at") AS newest, count(*) AS often FROM interaction
      WHERE archived_at IS NULL GROUP BY customer_id) AS each_customer
"""
Row = tuple[Any, ...]


def statements(site: Site) -> Iterator[tuple[str, str, str]]:
    """What is asked: what for, DuckDB's text and Spark's."""
    with site.read(system("spark")) as reader, warehouse(site) as connection:
        for question in QUESTIONS:
            with listening(connection) as asked:
                answer(reader, question)
            title = f"{', '.join(question.measures)} by {', '.join(question.rows + question.columns)}"
            for statement in asked:
                yield title, sql_for(statement, "duckdb"), sql_for(statement, "spark")
    yield "RFM of every customer", RFM, sql_for(RFM, "spark")


def by_duckdb(site: Site, sql: str) -> list[Row]:
    """The rows as DuckDB gives them."""
    with warehouse(site) as connection:
        return sorted((comparable(row) for row in connection.exec_driver_sql(sql)), key=repr)


def comparable(row: Sequence[Any]) -> Row:
    """Values as both engines give them: ids as texts, moments in UTC, numbers as numbers."""
    return tuple(_comparable(value) for value in row)


def _comparable(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return aware.astimezone(dt.UTC).isoformat()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return str(value)


def _is_nothing(rows: Sequence[Row]) -> bool:
    """Whether it is one row of a total, with a level of grouping in it and not one figure."""
    return len(rows) == 1 and sum(value is not None and value != 0 for value in rows[0]) <= 1


def session(folder: Path, asked: Sequence[str]) -> Any:
    """Spark on this machine alone, with the tables of a folder that are asked for; made for questions of a second."""
    from pyspark.sql import SparkSession

    spark = (
        SparkSession.builder.master("local[2]").appName("rapport")
        .config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2").config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.codegen.wholeStage", "false").config("spark.sql.adaptive.enabled", "false")
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .config("spark.sql.warehouse.dir", str(folder / "spark")).getOrCreate()
    )  # fmt: skip
    spark.sparkContext.setLogLevel("ERROR")
    for file in sorted(folder.glob("*.parquet")):
        if not any(re.search(rf"\b{file.stem}\b", each) for each in asked):
            continue
        spark.read.parquet(str(file)).createOrReplaceTempView(file.stem)
    return spark


def main(home: Path) -> int:
    os.environ["TZ"] = "UTC"
    time.tzset()
    config = load_config(home)
    enable(config, "warehouse")
    site = Site.open(load_config(home))
    refresh(site)
    wrong = rows = asked = 0
    with tempfile.TemporaryDirectory() as scratch:
        written = tables_for_engines(site, Path(scratch))
        print(f"{sum(written.values()):,} rows of {len(written)} tables written", flush=True)
        every = list(statements(site))
        begun = time.monotonic()
        spark = session(Path(scratch), [theirs for _title, _ours, theirs in every])
        print(f"Spark {spark.version} began in {time.monotonic() - begun:.0f} s", flush=True)
        for title, ours, theirs in every:
            mine = by_duckdb(site, ours)
            others = sorted((comparable(row) for row in spark.sql(theirs).collect()), key=repr)
            asked, rows = asked + 1, rows + len(mine)
            if not others and _is_nothing(mine):
                mine = []  # of no records at all DuckDB gives a total that is empty, and Spark gives none
            if mine != others:
                wrong += 1
                print(f"\nDIFFERENT: {title}\n{ours}\n{theirs}\nDuckDB {mine[:5]}\nSpark  {others[:5]}")
            else:
                print(f"  the same {len(mine):>6,} rows: {title}", flush=True)
        spark.stop()
    site.close()
    print(f"{asked} statements, {rows:,} rows, {wrong} of them different.")
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
