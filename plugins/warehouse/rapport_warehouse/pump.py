"""Reads large tables in a process of its own: statements come in by line, Arrow tables go out.

Not in ours, for two reasons. connectorx brings an SQLite of its own, and two of them in one process take each other's
locks away when they close a file. And what has begun to read a stretch cannot be stopped, but for its process.

It is run as a file, so that it imports nothing but connectorx and starts at once.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def encoded(table: Any) -> bytes:
    """An Arrow table as bytes."""
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def main() -> None:
    """Answer each statement with a mark, a length and so many bytes: a table, or why there is none."""
    import connectorx

    address = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        try:
            mark, answer = b"t", encoded(connectorx.read_sql(address, json.loads(line), return_type="arrow"))
        except Exception as error:  # of any kind: whoever asked raises it
            mark, answer = b"e", str(error).encode()
        sys.stdout.buffer.write(mark + len(answer).to_bytes(8) + answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
