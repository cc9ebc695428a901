"""Reading records for the warehouse: whole tables in stretches, or those that changed, by their ids."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode
from uuid import UUID

from sqlalchemy import URL, Connection, make_url

from rapport import RapportError, batched
from rapport_warehouse import pump
from rapport_warehouse.pump import PLACE
from rapport_warehouse.shape import Kept, Shape

if TYPE_CHECKING:
    from rapport import Site

AT_FIRST = 5_000
"""So many rows of each table are read here. Most tables have no more; for the others a pump is started."""
AT_ONCE = 200_000
"""Rows of a table that are in memory together while it is read whole."""
IDS_AT_ONCE = 20_000
"""Ids in one statement: they are one value to it, whatever their number."""
PIPE = 1 << 20
"""Bytes on the way from the pump to us."""


class Pump:
    """The process that reads large tables; see `pump`."""

    def __init__(self, address: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own file, by our own Python
            [sys.executable, "-I", pump.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=PIPE
        )
        self._say(address)

    def _say(self, what: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()

    def stretches(self, select: str, key: str, after: int | str, size: int) -> Iterator[Any]:
        """The rows of a table beyond a place, as Arrow tables. While one is dealt with, the next is read."""
        import pyarrow

        with self._alive():
            self._say({"select": select, "key": key, "after": after, "size": size})
        out = self._process.stdout
        assert out is not None
        full = True
        while full:
            mark = out.read(1)
            if mark == b"e":
                raise RapportError(f"A table could not be read: {json.loads(out.readline())}")
            with self._alive(), pyarrow.ipc.open_stream(out) as stream:
                found = stream.read_all()
            full = found.num_rows == size
            yield found

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        import pyarrow

        try:
            yield
        except (pyarrow.ArrowInvalid, OSError) as error:  # nobody listens, or a table breaks off
            ended = f"The process that reads large tables ended ({self._process.wait()}). Refresh again."
            raise RapportError(ended) from error

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
        key = "rowid" if self.sqlite else "id"
        columns = ", ".join(self._read(column) for column in shape.columns)
        place = f'rowid AS "{PLACE}"' if self.sqlite else f'CAST(id AS TEXT) AS "{PLACE}"'
        select = f'SELECT {columns}, {place} FROM "{shape.table}"'  # noqa: S608 - names of ours
        found = connection.exec_driver_sql(f"{select} ORDER BY {key} LIMIT {AT_FIRST}").all()
        if found:
            yield self._arrow_table(shape, [row[:-1] for row in found])
        if len(found) == AT_FIRST:
            if self._pump is None:
                self._pump = Pump(self._address)
            for table in self._pump.stretches(select, key, found[-1][-1], AT_ONCE):
                if table.num_rows:
                    yield _in_utc(table)

    def rows(self, connection: Connection, shape: Shape, ids: Sequence[UUID]) -> Iterator[Any]:
        """The rows with these ids that there are, as Arrow tables of the same columns."""
        columns = ", ".join(self._read(column) for column in shape.columns)
        for some in batched(ids, IDS_AT_ONCE):
            values: Any = json.dumps([each.hex for each in some]) if self.sqlite else list(some)
            within = "IN (SELECT value FROM json_each(?))" if self.sqlite else "= ANY(%s)"
            statement = f'SELECT {columns} FROM "{shape.table}" WHERE id {within}'  # noqa: S608 - names of ours
            if found := connection.exec_driver_sql(statement, (values,)).all():
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


def _in_utc(table: Any) -> Any:
    """Moments that were read without a zone are in UTC. So to say costs nothing, to have DuckDB work it out does."""
    import pyarrow

    utc = pyarrow.timestamp("us", "UTC")
    fields = [each.with_type(utc) if pyarrow.types.is_timestamp(each.type) else each for each in table.schema]
    return table.cast(pyarrow.schema(fields))


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
