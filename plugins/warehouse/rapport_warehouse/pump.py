"""Reads large tables in a process of its own: what to read comes in by line, Arrow streams go out.

Not in ours, for two reasons. connectorx brings an SQLite of its own, and two of them in one process take each other's
locks away when they close a file. And what has begun to read a stretch cannot be stopped, but for its process. Besides,
it reads the next stretch while we put the last one into the warehouse.

It is run as a file, so that it imports nothing but connectorx and starts at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

PLACE = "_place"
"""The column that a stretch is read by: on SQLite the number of the row, on PostgreSQL its id."""


def stretches(address: str, what: Any) -> Iterator[Any]:
    """A table as Arrow tables of so many rows, from a place on; the last one has fewer."""
    import connectorx

    size, after = what["size"], what["after"]
    while True:
        statement = f"{what['select']} WHERE {what['key']} > {after!r} ORDER BY {what['key']} LIMIT {size}"
        table = connectorx.read_sql(address, statement, return_type="arrow")
        yield table
        if table.num_rows < size:
            return
        after = table.column(PLACE)[-1].as_py()


def main() -> None:
    """Answer each request with streams, each after a mark: a table, or `e` and why there is none."""
    import pyarrow

    address = json.loads(sys.stdin.readline())
    out = sys.stdout.buffer
    for line in sys.stdin:
        try:
            for table in stretches(address, json.loads(line)):
                out.write(b"t")
                with pyarrow.ipc.new_stream(out, table.schema) as stream:
                    stream.write_table(table)
                out.flush()
        except Exception as error:  # of any kind: whoever asked raises it
            out.write(b"e" + json.dumps(str(error)).encode() + b"\n")
            out.flush()


if __name__ == "__main__":
    main()
