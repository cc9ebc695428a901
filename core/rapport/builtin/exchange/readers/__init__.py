"""Opening a file that somebody brings: what kind it is, and how its rows are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from .delimited import CsvTable
from .json_records import JsonTable
from .shapes import BadRow, EncodingCandidate, Limits, ReadOptions, Row, Source, Table, Unreadable, Value
from .vcard import CardTable
from .workbook import WorkbookTable

__all__ = [
    "BadRow", "EncodingCandidate", "Limits", "ReadOptions", "Row", "Table", "Unreadable", "Value", "open_table",
]  # fmt: skip

_SAVE = "Save it as CSV or XLSX and try again."
_UNPACK = "Unpack it and import the file inside."
_STRANGERS = (
    (b"\x1f\x8b", "it is packed with gzip", _UNPACK),
    (b"BZh", "it is packed with bzip2", _UNPACK),
    (b"\xfd7zXZ", "it is packed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "it is packed with zstd", _UNPACK),
    (b"7z\xbc\xaf", "it is a 7-Zip archive", _UNPACK),
    (b"Rar!", "it is a RAR archive", _UNPACK),
    (b"%PDF", "it is a PDF", _SAVE),
    (b"\x89PNG", "it is a picture", "Choose the file with the data."),
    (b"\xff\xd8\xff", "it is a picture", "Choose the file with the data."),
    (b"GIF8", "it is a picture", "Choose the file with the data."),
    (b"SQLite format 3", "it is a SQLite database", "Export its tables as CSV."),
    (b"PAR1", "it is a Parquet file", _SAVE),
    (b"{\\rtf", "it is a text document", _SAVE),
    (b"BEGIN:VCALENDAR", "it is a calendar", "Choose a list of contacts or records."),
)


def open_table(source: Path | bytes | BinaryIO, name: str, options: ReadOptions | None = None) -> Table:
    """Open a file for reading. What the file is shows in its bytes; its name only decides what the bytes leave open.

    Raises Unreadable for a file that is no list of records at all; single bad records come out of `rows()`.
    """
    options = options or ReadOptions()
    file = Source(source)
    most = options.limits.file_bytes
    if most is not None and file.size > most:
        raise Unreadable(
            name, f"files over {most // 1024**2} MB are not taken here", "Split it, or import it on the command line."
        )
    head = file.head(4096)
    suffix = Path(name).suffix.lower()
    for start, what, remedy in _STRANGERS:
        if head.startswith(start):
            raise Unreadable(name, what, remedy)
    if head.startswith(b"PK\x03\x04"):
        return WorkbookTable(file, name, options, "ods" if b"opendocument.spreadsheet" in head else "xlsx")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return WorkbookTable(file, name, options, "xls")
    if _is_dbase(head, suffix):
        raise Unreadable(name, "it is a dBASE file", _SAVE)
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if text.startswith(b"begin:vcard") or suffix in (".vcf", ".vcard"):
        return CardTable(file, name, options)
    if text.startswith((b"<?xml", b"<!doctype", b"<html", b"<table")) or suffix == ".xml":
        raise Unreadable(name, "it is a web page or an XML file", _SAVE)
    if _is_binary(head):
        raise Unreadable(name, "it is not a text file", _SAVE)
    if suffix in (".json", ".ndjson", ".jsonl", ".geojson") or _looks_like_json(text):
        return JsonTable(file, name, options)
    return CsvTable(file, name, options)


def _looks_like_json(text: bytes) -> bool:
    return re.match(rb'\[\s*(\{|\])|\{\s*("|\})', text) is not None


def _is_dbase(head: bytes, suffix: str) -> bool:
    return suffix == ".dbf" or (
        len(head) > 32 and head[0] in (0x03, 0x83, 0x8B, 0xF5) and head[1] > 0 and head[12:28] == bytes(16)
    )


def _is_binary(head: bytes) -> bool:
    """Text holds hardly any control characters, UTF-16 aside, where every other byte may be NUL."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\0\0\xfe\xff")):
        return False
    nul = head.count(0)
    control = sum(1 for byte in head if byte < 32 and byte not in b"\0\t\n\v\f\r\x1b")
    wide = nul * 10 > 3 * len(head) and (head[0::2].count(0) < nul // 10 or head[1::2].count(0) < nul // 10)
    return (control > 8 and control * 20 > len(head)) or (nul * 10 > len(head) + 40 and not wide)
