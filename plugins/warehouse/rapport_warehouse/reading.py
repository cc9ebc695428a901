"""Reading records for the warehouse: whole tables in stretches, by connectorx, or those that changed, by their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode
from uuid import UUID

from sqlalchemy import URL, Connection, make_url

from rapport_warehouse.shape import Kept, Shape

if TYPE_CHECKING:
    from rapport import Site

AT_ONCE = 200_000
"""Rows of a table that are in memory together while it is read whole."""
IDS_AT_ONCE = 500
PLACE = "_place"
"""What a stretch is read by on SQLite: the number of the row."""


class Source:
    """The operational database, as the warehouse reads it."""

    def __init__(self, site: Site) -> None:
        self.sqlite = site.db.is_sqlite
        self.address = _address(make_url(site.db.url))

    def stretches(self, shape: Shape) -> Iterator[Any]:
        """All rows of a table as Arrow tables, a stretch at a time, the oldest first."""
        import connectorx

        columns = [self._read(column) for column in shape.columns]
        if self.sqlite:
            columns.append(f'rowid AS "{PLACE}"')
        key, last = ("rowid", None) if self.sqlite else ("id", None)
        mark = PLACE if self.sqlite else "id"
        while True:
            after = "" if last is None else f"WHERE {key} > {last}"
            statement = f'SELECT {", ".join(columns)} FROM "{shape.table}" {after} ORDER BY {key} LIMIT {AT_ONCE}'  # noqa: S608 - names of ours
            found = connectorx.read_sql(self.address, statement, return_type="arrow")
            if found.num_rows:
                yield found
            if found.num_rows < AT_ONCE:
                return
            value = found.column(mark)[-1].as_py()
            last = str(value) if self.sqlite else f"'{UUID(value)}'"

    def rows(self, connection: Connection, shape: Shape, ids: Sequence[UUID]) -> Iterator[Any]:
        """The rows with these ids that there are, as Arrow tables of the same columns."""
        import pyarrow

        schema = pyarrow.schema([(column.name, self._arrow(column)) for column in shape.columns])
        columns = ", ".join(self._read(column) for column in shape.columns)
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = ids[start : start + IDS_AT_ONCE]
            places = ", ".join(["?" if self.sqlite else "%s"] * len(some))
            values = tuple(each.hex if self.sqlite else each for each in some)
            statement = f'SELECT {columns} FROM "{shape.table}" WHERE id IN ({places})'  # noqa: S608 - names of ours
            found = connection.exec_driver_sql(statement, values).all()
            if found:
                arrays = [
                    pyarrow.array(list(values), kind.type) for values, kind in zip(zip(*found, strict=True), schema,
                                                                                   strict=True)
                ]  # fmt: skip
                yield pyarrow.table(arrays, schema=schema)

    def _read(self, column: Kept) -> str:
        """How the database gives a column so that DuckDB can make its own type of it."""
        name = f'"{column.name}"'
        if self.sqlite:
            # connectorx asks a column for its type and knows none for JSON; of an expression it asks the first value,
            # which must be there.
            return f"ifnull(CAST({name} AS TEXT), '') AS {name}" if column.type == "JSON" else name
        if column.type == "UUID":
            return f"CAST({name} AS TEXT) AS {name}"
        return f"CAST({name} AS TEXT) AS {name}" if column.type == "JSON" else name

    def _arrow(self, column: Kept) -> Any:
        """What the driver's values of a column are in Arrow."""
        import pyarrow

        if column.type in {"TIMESTAMPTZ", "DATE"}:
            if self.sqlite:
                return pyarrow.string()
            return pyarrow.date32() if column.type == "DATE" else pyarrow.timestamp("us", "UTC")
        if column.type == "BOOLEAN":
            return pyarrow.int64() if self.sqlite else pyarrow.bool_()
        kinds = {"BIGINT": pyarrow.int64, "DOUBLE": pyarrow.float64, "BLOB": pyarrow.binary}
        return kinds.get(column.type, pyarrow.string)()

    def converted(self, column: Kept) -> str:
        """A column that was read, as DuckDB keeps it."""
        name = f'"{column.name}"'
        if self.sqlite and column.type == "JSON":
            return f"CAST(nullif({name}, '') AS JSON)"
        return f"CAST({name} AS {column.type})"


def _address(url: URL) -> str:
    """The database as connectorx wants to hear of it."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite://{quote(str(url.database))}"
    options = {name: str(value) for name, value in url.query.items()}
    host = url.host or options.pop("host", "") or "localhost"
    port = url.port or options.pop("port", "")
    user = quote(url.username or "", safe="")
    if url.password:
        user += f":{quote(str(url.password), safe='')}"
    place = f"{quote(host, safe='')}{f':{port}' if port else ''}"
    kept = {name: value for name, value in options.items() if name in {"sslmode", "sslrootcert", "sslcert", "sslkey"}}
    return f"postgresql://{user}@{place}/{quote(str(url.database), safe='')}{'?' + urlencode(kept) if kept else ''}"
