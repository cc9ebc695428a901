"""What a file looks like once it is read: columns, rows, and the rows that could not be taken, each with its reason."""

from __future__ import annotations

import datetime as dt
import io
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast

from rapport.errors import RapportError

Value = str | int | float | bool | Decimal | dt.date | dt.datetime | dt.time | dt.timedelta | list[str] | None
"""A cell. CSV and vCards give text, and lists of tags; workbooks and JSON give what they hold."""

Format = Literal["csv", "xlsx", "xls", "ods", "vcard", "json", "ndjson"]


class Unreadable(RapportError):
    """A whole file that cannot be read. The message says which file, what is wrong and what to do."""

    def __init__(self, name: str, what: str, remedy: str) -> None:
        self.name = name
        super().__init__(f"{name} cannot be read: {what}. {remedy}")


class Row(NamedTuple):
    """One record of the file. `line` is where it begins, as an editor or a spreadsheet counts."""

    line: int
    values: dict[str, Value]


class BadRow(NamedTuple):
    """One record that was refused. `raw` is its text, shortened, for the person who mends the file."""

    line: int
    reason: str
    raw: str


class EncodingCandidate(NamedTuple):
    """One way to read the letters of a file, with a line of it, so that a person can see whether it is right."""

    encoding: str
    sample: str


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one file may ask of the machine. The defaults suit a server of 4 GB."""

    columns: int = 2_000
    rows: int | None = None
    file_bytes: int | None = None
    workbook_bytes: int = 200 * 1024**2
    unpacked_bytes: int = 768 * 1024**2
    cells: int = 12_000_000
    memory_bytes: int = 2 * 1024**3
    seconds: int = 120


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a person decided about a file. Whatever is left open is guessed and shown.

    `header_row` counts lines from 1; 0 says that the file has no header. `short_rows` says what becomes of rows
    with fewer values than the header: left open, they are refused unless the file is full of them.
    """

    encoding: str | None = None
    delimiter: str | None = None
    header_row: int | None = None
    sheet: str | None = None
    short_rows: Literal["pad", "refuse"] | None = None
    limits: Limits = field(default_factory=Limits)


class Source:
    """The bytes of a file, wherever they are; every `open()` starts at the beginning and disturbs no other."""

    def __init__(self, given: Path | bytes | BinaryIO) -> None:
        self._lock = threading.Lock()
        if not isinstance(given, Path | bytes) and not given.seekable():
            spool = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the source
            weakref.finalize(self, spool.close)
            shutil.copyfileobj(given, spool)
            given = cast("BinaryIO", spool)
        self._given = given
        if isinstance(given, Path):
            self.size = given.stat().st_size
        elif isinstance(given, bytes):
            self.size = len(given)
        else:
            self.size = given.seek(0, io.SEEK_END)

    def open(self) -> BinaryIO:
        if isinstance(self._given, Path):
            return self._given.open("rb")
        if isinstance(self._given, bytes):
            return io.BytesIO(self._given)
        return io.BufferedReader(_View(self._given, self._lock), 1 << 16)

    def open_file(self) -> BinaryIO:
        """A real file of the operating system, for handing to another process."""
        if isinstance(self._given, Path):
            return self._given.open("rb")
        copy = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
        with self.open() as original:
            shutil.copyfileobj(original, copy)
        copy.seek(0)
        return copy

    def head(self, size: int) -> bytes:
        with self.open() as file:
            return file.read(size)


class _View(io.RawIOBase):
    """A place of its own in somebody else's file."""

    def __init__(self, file: BinaryIO, lock: threading.Lock) -> None:
        self._file, self._lock, self._at = file, lock, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed wants Buffer of 3.12
        with self._lock:
            self._file.seek(self._at)
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


Record = tuple[int, list[Value]]


class Table:
    """A file opened for reading. Opening looks at the beginning only; `rows()` streams, as often as one likes.

    Everything in the file is a row, a bad row, a blank record (`blank` counts those of the latest reading) or
    stands above the header (`preamble`).
    """

    format: Format

    def __init__(self, name: str) -> None:
        self.name = name
        self.encoding: str | None = None
        self.encoding_candidates: list[EncodingCandidate] = []
        self.delimiter: str | None = None
        self.header_row: int | None = None
        self.columns: list[str] = []
        self.sheet: str | None = None
        self.sheets: list[str] = []
        self.warnings: list[str] = []
        self.preamble: list[str] = []
        self.blank = 0
        self.unexpected: dict[str, int] = {}
        """Columns met only after the part that was looked at on opening, and the line of the first (JSON, vCard)."""

    def iter_lists(self, skip: int = 0) -> Iterator[Record | BadRow]:
        """The quick way: line and values in the order of `columns`. `skip` goes on after that many records."""
        self.blank = 0
        return islice(self._records(), skip, None)

    def rows(self, skip: int = 0) -> Iterator[Row | BadRow]:
        """Row by row. To resume an import, `skip` as many as were already taken, refused ones included."""
        columns = self.columns
        for record in self.iter_lists(skip):
            if isinstance(record, BadRow):
                yield record
            else:
                yield Row(record[0], dict(zip(columns, record[1], strict=False)))

    def preview(self, n: int = 20) -> list[Row | BadRow]:
        """The first rows, to show a person what will be read."""
        rows = self.rows()
        return list(islice(rows, n))

    def _records(self) -> Iterator[Record | BadRow]:
        raise NotImplementedError


RAW_LENGTH = 500


def shorten(text: str) -> str:
    """The text of a bad row as it may be shown and stored: printable, and not endless."""
    text = "".join(_readable(character) for character in text[: RAW_LENGTH + 1].rstrip("\r\n"))
    return text if len(text) <= RAW_LENGTH else text[: RAW_LENGTH - 1] + "…"


def _readable(character: str) -> str:
    if character == "\0" or "\ud800" <= character <= "\udfff":
        return f"\\x{ord(character) & 0xFF:02X}"
    return character
