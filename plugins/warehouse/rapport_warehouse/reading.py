"""Reading records for the warehouse: whole tables in stretches, or those that changed, by their ids."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode
from uuid import UUID

from sqlalchemy import URL, Connection, make_url

from rapport import RapportError
from rapport_warehouse import pump
from rapport_warehouse.shape import Kept, Shape

if TYPE_CHECKING:
    from rapport import Site

AT_FIRST = 5_000
"""So many rows of each table are read here. Most tables have no more; for the others a pump is started."""
AT_ONCE = 200_000
"""Rows of a table that are in memory together while it is read whole."""
IDS_AT_ONCE = 500
PLACE = "_place"
"""What a stretch is read by: on SQLite the number of the row, on PostgreSQL its id."""


class Pump:
    """The process that reads large tables; see `pump`."""

    def __init__(self, address: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own file, by our own Python
            [sys.executable, "-I", pump.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._say(address)

    def _say(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(text).encode() + b"\n")
        self._process.stdin.flush()

    def read(self, statement: str) -> Any:
        """What a statement gives, as an Arrow table."""
        import pyarrow

        assert self._process.stdout is not None
        self._say(statement)
        head = self._process.stdout.read(9)
        if len(head) < 9:
            raise RapportError(f"The process that reads large tables ended ({self._process.wait()}).")
        answer = self._process.stdout.read(int.from_bytes(head[1:]))
        if head[:1] == b"e":
            raise RapportError(f"A table could not be read: {answer.decode()}")
        return pyarrow.ipc.open_stream(answer).read_all()

    def close(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.communicate()


class Source:
    """The operational database, as the warehouse reads it."""

    def __init__(self, site: Site) -> None:
        self.sqlite = site.db.is_sqlite
        self._address = _address(make_url(site.db.url))
        self._pump: Pump | None = None

    def close(self) -> None:
        """End the process that reads large tables, if it was needed."""
        if self._pump is not None:
            self._pump.close()
            self._pump = None

    def stretches(self, connection: Connection, shape: Shape) -> Iterator[Any]:
        """All rows of a table as Arrow tables, a stretch at a time, the oldest first."""
        found = connection.exec_driver_sql(self._stretch(shape, None, AT_FIRST)).all()
        if found:
            yield self._arrow_table(shape, [row[:-1] for row in found])
        size, last = AT_FIRST, found[-1][-1] if found else None
        while found and len(found) == size:
            if self._pump is None:
                self._pump = Pump(self._address)
            size = AT_ONCE
            found = self._pump.read(self._stretch(shape, last, size))
            if found.num_rows:
                yield found
                last = found.column(PLACE)[-1].as_py()

    def _stretch(self, shape: Shape, after: Any, size: int) -> str:
        key = "rowid" if self.sqlite else "id"
        columns = ", ".join(self._read(column) for column in shape.columns)
        place = f'rowid AS "{PLACE}"' if self.sqlite else f'CAST(id AS TEXT) AS "{PLACE}"'
        beyond = "" if after is None else f"WHERE {key} > {int(after) if self.sqlite else repr(str(UUID(after)))}"
        return f'SELECT {columns}, {place} FROM "{shape.table}" {beyond} ORDER BY {key} LIMIT {size}'  # noqa: S608

    def rows(self, connection: Connection, shape: Shape, ids: Sequence[UUID]) -> Iterator[Any]:
        """The rows with these ids that there are, as Arrow tables of the same columns."""
        columns = ", ".join(self._read(column) for column in shape.columns)
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = ids[start : start + IDS_AT_ONCE]
            places = ", ".join(["?" if self.sqlite else "%s"] * len(some))
            values = tuple(each.hex if self.sqlite else each for each in some)
            statement = f'SELECT {columns} FROM "{shape.table}" WHERE id IN ({places})'  # noqa: S608 - names of ours
            if found := connection.exec_driver_sql(statement, values).all():
                yield self._arrow_table(shape, found)

    def _arrow_table(self, shape: Shape, rows: Sequence[Any]) -> Any:
        import pyarrow

        schema = pyarrow.schema([(column.name, self._arrow(column)) for column in shape.columns])
        columns = zip(zip(*rows, strict=True), schema, strict=True)
        return pyarrow.table([pyarrow.array(list(values), kind.type) for values, kind in columns], schema=schema)

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
