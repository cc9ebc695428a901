"""Finding the header of a list: past titles and blank lines, and noticing when there is none."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ..headers import is_known_header
from .shapes import Record, Unreadable, Value

LOOKED_AT = 200
"""Records from the top of a file that decide its shape."""

_NUMBER = re.compile(r"[-+(]?[$€£¥₪﷼]?\s?\d[\d.,\s٬٫]*\)?\s?[%€$]?|[-+]?\d+(\.\d+)?[eE][-+]?\d+")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]\d{1,2}:\d{2}.*)?")
_CONTACT = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+|https?://\S+|\+\d[\d ()./-]{5,}")


@dataclass(slots=True)
class Layout:
    """Where the header stands, what the columns are called and what was noticed on the way."""

    header: int | None
    columns: list[str]
    warnings: list[str]
    preamble: int = 0
    pad: bool = False


def find_layout(
    name: str, records: Sequence[Record], header_row: int | None, short_rows: str | None, most: int
) -> Layout:
    """Decide from the first records. `header` is an index into them; records above it are preamble."""
    if not records:
        return Layout(None, [], ["There is nothing in the file."])
    width = _usual_width(records)
    warnings: list[str] = []
    header = _find_header(name, records, width, header_row)
    if header is None:
        longest = width
        columns = [f"column_{number}" for number in range(1, width + 1)]
        if header_row is None:
            warnings.append("The first row looks like data, so the columns are numbered. Say which row is the header.")
        body = records
    else:
        body = records[header + 1 :]
        cells = [_title(value) for value in records[header][1]]
        widths = Counter(_filled_width(values) for _, values in body)
        longest = max((size for size, times in widths.items() if times * 2 > len(body)), default=0)
        columns = _named(_cut(cells, body, longest), longest, warnings)
        if header and any(any(_title(value) for value in values) for _, values in records[:header]):
            warnings.append(f"{header} row(s) above the header were left out.")
    if len(columns) > most:
        raise Unreadable(
            name, f"it has {len(columns):,} columns, and {most:,} is the limit", "Remove some and try again."
        )
    if header is not None and not body:
        warnings.append("There is a header, and no row below it.")
    short = sum(1 for _, values in body if 0 < len(values) < len(columns))
    pad = short_rows == "pad" or (short_rows is None and short * 5 >= len(body) and short > 1 and len(columns) > 2)
    if pad and short:
        warnings.append("Many rows hold fewer values than there are columns: the missing ones are read as blank.")
    return Layout(header, columns, warnings, header or 0, pad)


def is_blank(values: Sequence[Value]) -> bool:
    return not any(value is not None and value != "" for value in values)


def _usual_width(records: Sequence[Record]) -> int:
    """The commonest width; of two that are as common, the greater."""
    widths = Counter(len(values) for _, values in records)
    return max(widths.items(), key=lambda item: (item[1], item[0]))[0]


def _filled_width(values: Sequence[Value]) -> int:
    width = len(values)
    while width and (values[width - 1] is None or values[width - 1] == ""):
        width -= 1
    return width


def _find_header(name: str, records: Sequence[Record], width: int, header_row: int | None) -> int | None:
    if header_row == 0:
        return None
    if header_row is not None:
        for index, (line, _) in enumerate(records):
            if line >= header_row:
                return index
        raise Unreadable(name, f"there is no row {header_row}", "Choose a row that exists as the header.")
    index = _below_preamble(records, width)
    first = records[index][1]
    titles = [_title(value) for value in first]
    if sum(1 for title in titles if is_known_header(title)) * 2 >= sum(1 for title in titles if title) > 0:
        return index
    body = [values for _, values in records[index + 1 :]]
    evidence = 0
    for at, value in enumerate(first):
        if value is None or value == "":
            continue
        column = [values[at] for values in body if at < len(values) and values[at] not in ("", None)]
        typed = bool(column) and sum(_kind(cell) != "" for cell in column) * 10 >= 9 * len(column)
        kind = _kind(value)
        if kind:
            evidence -= 1 if typed or not body else 0
            evidence -= 1 if kind == "contact" else 0
        elif typed:
            evidence += 1
    return index if evidence >= 0 else None


def _below_preamble(records: Sequence[Record], width: int) -> int:
    """Titles above a list fill one or two cells where the list fills many."""
    needed = max(2, (width + 1) // 2) if width > 1 else 1
    for index, (_, values) in enumerate(records[:50]):
        if sum(1 for value in values if value is not None and value != "") >= needed or len(values) > width:
            return index
    return next((index for index, (_, values) in enumerate(records) if not is_blank(values)), 0)


def _kind(value: Value) -> str:
    if isinstance(value, bool | int | float | Decimal | dt.date | dt.time | dt.timedelta):
        return "value"
    text = str(value or "").strip()
    if _CONTACT.fullmatch(text):
        return "contact"
    return "value" if _NUMBER.fullmatch(text) or _DATE.fullmatch(text) else ""


def _title(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(str(value).replace("\ufeff", "").split())


def _cut(cells: list[str], body: Sequence[Record], longest: int) -> list[str]:
    """Drop nameless columns at the end that hold nothing: the header merely ends in commas."""
    while len(cells) > max(longest, 1) and not cells[-1]:
        at = len(cells) - 1
        if any(len(values) > at and values[at] not in ("", None) for _, values in body):
            break
        cells = cells[:-1]
    return cells


def _named(cells: list[str], longest: int, warnings: list[str]) -> list[str]:
    """Give every column a name of its own that stays the same each time the file is read."""
    if longest > len(cells):
        warnings.append(f"The header names {len(cells)} columns, but the rows hold {longest} values.")
        cells = cells + [""] * (longest - len(cells))
    taken = Counter(cell for cell in cells if cell)
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = cell or f"column_{number}"
        if not cell:
            warnings.append(f"Column {number} has no name; it is called {name}.")
        elif name in names:
            copy = 2
            while f"{cell} ({copy})" in names or f"{cell} ({copy})" in taken:
                copy += 1
            name = f"{cell} ({copy})"
            warnings.append(f"Several columns are called {cell}; column {number} is called {name}.")
        while name in names:
            name += "_"
        names.append(name)
    return names
