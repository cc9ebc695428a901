"""Reading spreadsheets of Excel and LibreOffice, in a process of their own that may not grow without end."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from .layout import LOOKED_AT, find_layout, is_blank
from .shapes import BadRow, Format, Limits, ReadOptions, Record, Source, Table, Unreadable, Value, shorten

CHILD = Path(__file__).with_name("workbook_child.py")
EXCEL_ROWS = 1_048_576
SMALLER = "Save the sheet as CSV, which may be any size, or split it."


class WorkbookTable(Table):
    """One sheet of a workbook: the one asked for, else the first that holds anything."""

    def __init__(self, source: Source, name: str, options: ReadOptions, format: Format) -> None:
        super().__init__(name)
        self.format = format
        self._source = source
        self._options = options
        limits = options.limits
        if source.size > limits.workbook_bytes:
            raise Unreadable(name, f"workbooks over {limits.workbook_bytes // 1024**2} MB are not taken", SMALLER)
        self.sheet = options.sheet
        self._width, self._first, self._pad = 0, 1, True
        top = list(islice(self._cells(), LOOKED_AT))
        good = [record for record in top if not is_blank(record[1])]
        layout = find_layout(name, good, options.header_row, options.short_rows or "pad", limits.columns)
        self.columns = layout.columns
        self.warnings += layout.warnings
        self._width = len(self.columns)
        if layout.header is not None:
            self.header_row = good[layout.header][0]
            self._first = self.header_row + 1
            self.preamble += [" ".join(map(str, filter(None, values))) for _, values in good[: layout.header]]
        if len(self.sheets) > 1:
            self.warnings.append(f"The workbook has {len(self.sheets)} sheets; '{self.sheet}' is read.")

    def _records(self) -> Iterator[Record | BadRow]:
        width, most = self._width, self._options.limits.rows
        count = 0
        for line, values in self._cells():
            if line < self._first:
                continue
            if is_blank(values):
                self.blank += 1
                continue
            if most is not None and count == most:
                yield BadRow(line, f"Only the first {most:,} rows are read; this one and the rest are not.", "")
                return
            count += 1
            values.extend([""] * (width - len(values)))
            if is_blank(values[width:]):
                text = next((v for v in values[:width] if isinstance(v, str) and "\0" in v), None)
                if text is not None:
                    yield BadRow(line, "A NUL character stands in the text.", shorten(text))
                    continue
                yield line, values[:width]
            else:
                raw = " | ".join("" if value is None else str(value) for value in values)
                filled = max(at for at, value in enumerate(values, 1) if value not in (None, ""))
                yield BadRow(line, f"The row has {filled} values, but the header names {width}.", shorten(raw))

    def _cells(self) -> Iterator[Record]:
        """Rows as the child sends them. Closing the generator early ends the child."""
        limits = self._options.limits
        process, clock = self._start(limits)
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            head = json.loads(first) if first.endswith(b"\n") else {}
            self._complain(head, process)
            self.sheets, self.sheet = head["sheets"], head["sheet"]
            line = int(head["line"])
            if head["columns"] > limits.columns:
                raise Unreadable(
                    self.name, f"it has {head['columns']:,} columns, and {limits.columns:,} is the limit",
                    "Remove some and try again.",
                )  # fmt: skip
            for text in process.stdout:
                cells = json.loads(text) if text.endswith(b"\n") else {}
                if isinstance(cells, dict):
                    self._complain(cells, process)
                yield line, [_value(cell) if type(cell) is dict else cell for cell in cells]
                line += 1
            self._complain({"done": True} if process.wait() == 0 else {}, process)
        finally:
            clock.cancel()
            process.kill()
            process.stdout.close()
            process.wait()

    def _start(self, limits: Limits) -> tuple[subprocess.Popen[bytes], threading.Timer]:
        wanted = {
            "sheet": self.sheet, "rows": EXCEL_ROWS, "cells": limits.cells, "unpacked_bytes": limits.unpacked_bytes,
            "memory_bytes": limits.memory_bytes, "seconds": limits.seconds,
        }  # fmt: skip
        with self._source.open_file() as file:
            process = subprocess.Popen(  # noqa: S603  # our own program, no shell
                [sys.executable, "-I", str(CHILD), json.dumps(wanted)],
                stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={},
            )  # fmt: skip
        clock = threading.Timer(limits.seconds, process.kill)
        clock.daemon = True
        clock.start()
        return process, clock

    def _complain(self, message: dict[str, Any], process: subprocess.Popen[bytes]) -> None:
        if "error" in message:
            raise Unreadable(self.name, *message["error"])
        if not message:
            process.wait()
            raise Unreadable(self.name, "it is damaged, or needs more memory or time than a file may take", SMALLER)


def _value(cell: dict[str, Any]) -> Value:
    kind, text = next(iter(cell.items()))
    if kind == "datetime":
        return dt.datetime.fromisoformat(text)
    if kind == "date":
        return dt.date.fromisoformat(text)
    if kind == "time":
        return dt.time.fromisoformat(text)
    return dt.timedelta(seconds=text)
