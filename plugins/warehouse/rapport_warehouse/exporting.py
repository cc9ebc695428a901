"""The warehouse as Parquet files, for programs that count by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rapport_warehouse import calendars, generations, history
from rapport_warehouse.shape import Kept, shapes

if TYPE_CHECKING:
    from rapport import Site

ROWS_AT_ONCE = 100_000


def export(site: Site, folder: Path) -> Iterator[tuple[Path, int]]:
    """Write each table that has rows into a file of its own; gives the file and how many rows it has.

    Whoever calls has made sure that it is for an administrator: nobody else may have every row.
    """
    import pyarrow.parquet

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tables = {
        shape.table: ", ".join(map(_written, (each for each in shape.columns if each.shown)))
        for shape in shapes(site).values()
    }
    tables |= {calendars.TABLE: "*", history.TABLE: "* REPLACE (" + ", ".join(
        f"CAST({name} AS VARCHAR) AS {name}" for name in ("customer_id", "owner_id", "team_id")) + ")"}  # fmt: skip
    with generations.reading(site) as connection:
        raw: Any = connection.connection.driver_connection
        for table, columns in tables.items():
            found = raw.sql(f'SELECT {columns} FROM "{table}"').to_arrow_reader(ROWS_AT_ONCE)  # noqa: S608
            path, rows = folder / f"{table}.parquet", 0
            writer = None
            for batch in found:
                if writer is None:
                    writer = pyarrow.parquet.ParquetWriter(path, found.schema, compression="zstd")
                writer.write_batch(batch)
                rows += batch.num_rows
            if writer is not None:
                writer.close()
                yield path, rows


def _written(column: Kept) -> str:
    """A column as others read it: ids as text, amounts as decimals."""
    name = f'"{column.name}"'
    if column.type in {"UUID", "JSON"}:
        return f"CAST({name} AS VARCHAR) AS {name}"
    if column.decimal:
        return f"CAST({name} AS DECIMAL(19, 0)) * CAST(0.0001 AS DECIMAL(5, 4)) AS {name}"
    return name
