"""Opens a spreadsheet in a process of its own, so that a hostile file can at worst end that process.

Run by path with the workbook on standard input and one JSON object of limits as the argument; it imports nothing of
Rapport. Every line it prints is JSON: first `{"sheets": [...], "sheet": ..., "line": ...}`, then a list per row; or
`{"error": [what, remedy]}`.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import struct
import sys
import zipfile
import zlib
from typing import Any

CHUNK = 1 << 18
MARKS = {".xml": (b"<row", b"<c "), "ods": (b"<table:table-row", b"<table:table-cell")}
SMALLER = "Save the sheet as CSV, which may be any size, or split it."


def main() -> None:
    wanted = json.loads(sys.argv[1])
    _restrict(wanted["memory_bytes"], wanted["seconds"])
    data = sys.stdin.buffer.read()
    if data.startswith(b"PK"):
        refusal = _too_large(data, wanted)
        if refusal:
            _say({"error": refusal})
            return
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = [sheet.name for sheet in book.sheets_metadata if str(sheet.typ).endswith("WorkSheet")]
        name = wanted["sheet"]
        if name is not None and name not in sheets:
            _say({"error": [f"there is no sheet called '{name}'", f"Choose one of: {', '.join(sheets)}."]})
            return
        if name is None:
            filled = (sheet for sheet in sheets if book.get_sheet_by_name(sheet).height)
            name = next(filled, sheets[0] if sheets else None)
        if name is None:
            _say({"error": ["it has no sheet with cells", "Choose another file."]})
            return
        sheet = book.get_sheet_by_name(name)
        start = sheet.start or (0, 0)
        _say({"sheets": sheets, "sheet": name, "line": start[0] + 1, "columns": sheet.width})
        # Calamine gives the blank rows above the first cell, but not the blank columns beside it.
        for at, row in enumerate(sheet.iter_rows()):
            if at >= start[0]:
                _say([_cell(value) for value in row])
    except PasswordError:
        _say({"error": ["it is protected by a password", "Save it without one in your spreadsheet program."]})
    except (CalamineError, ValueError, OSError) as error:
        _say({"error": [f"it is damaged ({error})", "Open it in your spreadsheet program and save it again."]})


def _restrict(memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; there the parent's clock is the only one.
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _too_large(data: bytes, wanted: dict[str, Any]) -> list[str] | None:
    """Inflate without keeping, and count. What the archive says of its own sizes is not believed."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        return [f"it is damaged ({error})", "Open it in your spreadsheet program and save it again."]
    entries = archive.infolist()
    if len(entries) > 5_000:
        return [f"it holds {len(entries):,} parts, which no spreadsheet program makes", "Save it again."]
    if sum(entry.file_size for entry in entries) > wanted["unpacked_bytes"]:
        return [f"unpacked it would be larger than {wanted['unpacked_bytes'] // 1024**2} MB", SMALLER]
    left = wanted["unpacked_bytes"]
    for entry in entries:
        if entry.filename.endswith((".xml", ".bin")):
            left, refusal = _count(data, entry, left, wanted)
            if refusal:
                return [refusal, SMALLER]
    return None


def _count(data: bytes, entry: zipfile.ZipInfo, left: int, wanted: dict[str, Any]) -> tuple[int, str | None]:
    """What is left of the bytes allowed after this part, and why the workbook is refused."""
    is_sheet = entry.filename == "content.xml" or entry.filename.startswith("xl/worksheets/")
    row_mark, cell_mark = MARKS["ods" if entry.filename == "content.xml" else ".xml"]
    rows = cells = 0
    tail = b""
    for chunk in _inflated(data, entry):
        left -= len(chunk)
        if left < 0:
            return left, f"unpacked it is larger than {wanted['unpacked_bytes'] // 1024**2} MB"
        if is_sheet:
            text = tail + chunk
            cut = text.rfind(b"<")
            text, tail = (text[:cut], text[cut:]) if cut >= 0 and len(text) - cut < 4096 else (text, b"")
            rows += text.count(row_mark)
            cells += text.count(cell_mark)
            if rows > wanted["rows"]:
                return left, f"a sheet has more than {wanted['rows']:,} rows"
            if cells > wanted["cells"]:
                return left, f"a sheet has more than {wanted['cells']:,} cells"
    return left, None


def _inflated(data: bytes, entry: zipfile.ZipInfo) -> Any:
    """The real contents of a part, piece by piece, straight from its bytes."""
    head = entry.header_offset
    if data[head : head + 4] != b"PK\x03\x04":
        return
    name_length, extra_length = struct.unpack("<HH", data[head + 26 : head + 30])
    at = head + 30 + name_length + extra_length
    if entry.compress_type != zipfile.ZIP_DEFLATED:
        yield data[at : at + entry.file_size]
        return
    engine = zlib.decompressobj(-15)
    while not engine.eof:
        given = engine.unconsumed_tail or data[at : at + CHUNK]
        if not engine.unconsumed_tail:
            at += CHUNK
        if not given:
            return
        try:
            piece = engine.decompress(given, CHUNK)
        except zlib.error:
            return
        yield piece


def _cell(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dt.datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    if isinstance(value, dt.time):
        return {"time": value.isoformat()}
    if isinstance(value, dt.timedelta):
        return {"seconds": value.total_seconds()}
    return value


def _say(thing: Any) -> None:
    sys.stdout.write(json.dumps(thing) + "\n")


if __name__ == "__main__":
    try:
        main()
    except MemoryError:
        sys.exit(9)
