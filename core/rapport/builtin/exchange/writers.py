"""Taking records out: CSV, Excel and JSON lines, row by row, so that a million customers fit in little memory."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self
from uuid import UUID

import xlsxwriter  # type: ignore[import-untyped]  # it brings no types

from . import formulas

Cell = (
    str
    | int
    | float
    | bool
    | Decimal
    | dt.date
    | dt.datetime
    | dt.time
    | UUID
    | Sequence[Any]
    | Mapping[str, Any]
    | None
)

EXCEL_ROWS = 1_048_576
EXCEL_TEXT = 32_767
EXCEL_DIGITS = 15
BATCH = 1 << 16


class Target(Protocol):
    """Anything that takes bytes: a file, a socket, the body of a response."""

    def write(self, data: bytes, /) -> Any: ...


def as_text(value: Cell) -> str:
    """A value as text: exact decimals, ISO dates, UTC instants with Z, tags with semicolons, addresses in lines."""
    if isinstance(value, str):
        text = value
    elif value is None:
        text = ""
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, Decimal):
        whole, dot, places = f"{value:f}".partition(".")
        text = whole + dot + places[:2] + places[2:].rstrip("0")  # kept with four; written as the API writes it
    elif isinstance(value, dt.datetime):
        text = _utc(value).isoformat() + ("Z" if value.tzinfo else "")
    elif isinstance(value, dt.date | dt.time):
        text = value.isoformat()
    elif isinstance(value, Mapping):
        text = "\n".join(str(part) for part in value.values() if part)
    elif isinstance(value, Sequence):
        text = "; ".join(as_text(part) for part in value)
    else:
        text = str(value)
    return text


def _utc(value: dt.datetime) -> dt.datetime:
    return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value


class Writer:
    """Writes the header on opening, then rows in the order of `columns`, and the end on `close()`."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self.rows = 0
        self.warnings: list[str] = []

    def write(self, row: Sequence[Cell]) -> None:
        raise NotImplementedError

    def write_all(self, rows: Iterable[Sequence[Cell]]) -> int:
        """Write every row; returns how many there were."""
        before = self.rows
        for row in rows:
            self.write(row)
        return self.rows - before

    def close(self) -> None:
        """Write what is still held back. The target stays open: it belongs to whoever gave it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class CsvWriter(Writer):
    """RFC 4180 in UTF-8, formulas made harmless as `formulas.py` says. The mark at the start lets Excel see UTF-8."""

    def __init__(self, target: Target, columns: Sequence[str], *, delimiter: str = ",", bom: bool = True) -> None:
        super().__init__(columns)
        self._target = target
        self._text = io.StringIO(newline="")
        self._csv = csv.writer(self._text, delimiter=delimiter)
        if bom:
            self._text.write("\ufeff")
        self._csv.writerow([formulas.guard(column) for column in self.columns])

    def write(self, row: Sequence[Cell]) -> None:
        self._csv.writerow([formulas.guard(as_text(value)) for value in row])
        self.rows += 1
        if self._text.tell() > BATCH:
            self._flush()

    def close(self) -> None:
        self._flush()

    def _flush(self) -> None:
        self._target.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()


class NdjsonWriter(Writer):
    """One JSON object per line; decimals as strings, so that no digit is lost."""

    def __init__(self, target: Target, columns: Sequence[str]) -> None:
        super().__init__(columns)
        self._target = target

    def write(self, row: Sequence[Cell]) -> None:
        record = dict(zip(self.columns, row, strict=True))
        self._target.write(json.dumps(record, ensure_ascii=False, default=as_text).encode() + b"\n")
        self.rows += 1


class XlsxWriter(Writer):
    """An Excel workbook with real numbers and dates. Text is always text, so no formula can arise.

    Excel knows no time zones and 15 digits: instants are written as UTC to the millisecond, longer numbers as text.
    A text over 32,767 characters is cut, and `warnings` says where. More rows than a sheet holds go on in the next.
    """

    def __init__(self, target: Path | BinaryIO, columns: Sequence[str], *, sheet: str = "Export") -> None:
        super().__init__(columns)
        self._book = xlsxwriter.Workbook(
            target,
            {
                "constant_memory": True,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
                "default_date_format": "yyyy-mm-dd",
                "remove_timezone": True,
            },
        )
        self._title = sheet[:25]
        self._bold = self._book.add_format({"bold": True})
        self._date = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._instant = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._time = self._book.add_format({"num_format": "hh:mm:ss"})
        self._sheets = 0
        self._sheet: Any
        self._line = 0
        self._next_sheet()

    def write(self, row: Sequence[Cell]) -> None:
        if self._line == EXCEL_ROWS:
            self._next_sheet()
            self.warnings.append(f"A sheet holds {EXCEL_ROWS:,} rows; the rest is in sheet {self._sheets}.")
        for column, value in enumerate(row):
            if value is not None and value != "":
                self._write_cell(column, value)
        self._line += 1
        self.rows += 1

    def close(self) -> None:
        self._book.close()

    def _next_sheet(self) -> None:
        self._sheets += 1
        self._sheet = self._book.add_worksheet(self._title if self._sheets == 1 else f"{self._title} {self._sheets}")
        self._sheet.freeze_panes(1, 0)
        for column, name in enumerate(self.columns):
            self._sheet.write_string(0, column, name, self._bold)
        self._line = 1

    def _write_cell(self, column: int, value: Cell) -> None:
        line, sheet = self._line, self._sheet
        if isinstance(value, bool):
            sheet.write_boolean(line, column, value)
        elif isinstance(value, int | float | Decimal) and _fits_excel(value):
            sheet.write_number(line, column, float(value))
        elif isinstance(value, dt.datetime) and value.year >= 1900:
            sheet.write_datetime(line, column, _utc(value), self._instant)
        elif isinstance(value, dt.date) and not isinstance(value, dt.datetime) and value.year >= 1900:
            sheet.write_datetime(line, column, value, self._date)
        elif isinstance(value, dt.time):
            sheet.write_datetime(line, column, value, self._time)
        else:
            text = as_text(value)
            if len(text) > EXCEL_TEXT:
                self.warnings.append(f"Row {line + 1}, {self.columns[column]}: cut to {EXCEL_TEXT:,} characters.")
                text = text[: EXCEL_TEXT - 1] + "…"
            sheet.write_string(line, column, text)


def _fits_excel(value: int | float | Decimal) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    digits = Decimal(value).as_tuple().digits
    return isinstance(Decimal(value).as_tuple().exponent, int) and len(digits) <= EXCEL_DIGITS
