"""Reading CSV as it is found in the wild: any separator, any line ending, any alphabet, and no row lost."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from .. import formulas
from .charset import bad_text, find_charset, text_blocks
from .layout import LOOKED_AT, find_layout
from .shapes import BadRow, Format, ReadOptions, Record, Source, Table, Unreadable, shorten

SEPARATORS = (",", ";", "\t", "|", ":", "^", "~")
NONE = "\x1f"
"""What the csv module is given for a file of one column: a sign that no text holds."""

END = "\ud801"
"""A last line of our own. When it comes back inside another record, a quotation mark was never closed."""

LONG_SPAN = 100
"""A quoted text over more lines than this, in a row of the wrong width, is taken for a stray quotation mark."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the cells of a file are told apart."""

    delimiter: str = ","
    space: bool = False
    escape: str | None = None

    def arguments(self) -> dict[str, Any]:
        return {"delimiter": self.delimiter, "skipinitialspace": self.space, "escapechar": self.escape}


class CsvTable(Table):
    """A file of separated values. Memory stays at a few blocks however large the file is."""

    format: Format = "csv"

    def __init__(self, source: Source, name: str, options: ReadOptions) -> None:
        super().__init__(name)
        self._source = source
        self._charset = find_charset(source, name, options.encoding)
        self._limits = options.limits
        self.encoding = self._charset.encoding
        self.encoding_candidates = self._charset.candidates
        self.warnings += self._charset.warnings
        sample = next(text_blocks(source, self._charset), "")
        self._first, told = 1, _told_separator(sample)
        if told:
            self._first, sample = 2, sample.split("\n", 1)[-1]
            self.preamble.append(f"sep={told}")
        self._dialect = sniff(sample, options.delimiter or told, name)
        self.delimiter = None if self._dialect.delimiter == NONE else self._dialect.delimiter
        self._width = 0
        self._pad = False
        top = list(islice(self._parse(self._first), LOOKED_AT))
        good: list[Record] = [record for record in top if not isinstance(record, BadRow)]
        layout = find_layout(name, good, options.header_row, options.short_rows, self._limits.columns)
        self.columns = layout.columns
        self.warnings += layout.warnings
        self._width, self._pad = len(self.columns), layout.pad
        if layout.header is not None:
            self.header_row = good[layout.header][0]
            for record in top:
                if record[0] < self.header_row:
                    text = record.raw if isinstance(record, BadRow) else self._dialect.delimiter.join(record[1])
                    self.preamble.append(text)
            self._first = self._end_of(self.header_row) + 1
        if self._width == 1 and options.delimiter is None and self.header_row:
            self.warnings.append("There is one column only. If that is wrong, choose the character between the values.")

    def _records(self) -> Iterator[Record | BadRow]:
        if not self.columns:
            return iter(())
        records = self._parse(self._first)
        return records if self._limits.rows is None else _limited(records, self._limits.rows)

    def _end_of(self, begin: int) -> int:
        """The last line of the header, which may hold line breaks of its own."""
        reader = csv.reader(_Lines(text_blocks(self._source, self._charset)).since(begin), **self._dialect.arguments())
        next(reader)
        return begin + reader.line_num - 1

    def _parse(self, first: int) -> Iterator[Any]:
        """Records from that line on: (line, values) or a BadRow. One pass, unless a stray quotation mark is found."""
        lines = _Lines(text_blocks(self._source, self._charset))
        width = self._width
        start: int | None = first
        while start is not None:
            reader = csv.reader(lines.since(start), **self._dialect.arguments())
            begin, base = start, start - 1
            start = None
            try:
                for values in reader:
                    if begin > lines.suspect_to and (len(values) == width or not width):
                        if any(values):
                            yield begin, values
                        else:
                            self.blank += 1
                    elif values == [END]:
                        return
                    else:
                        last = base + reader.line_num
                        found = self._examined(values, begin, last, lines)
                        if found is None:
                            self.blank += 1
                        else:
                            yield found
                        if _is_stray(values, last - begin, width):
                            start = begin + 1
                            break
                    lines.start = begin = base + reader.line_num + 1
            except csv.Error as error:
                yield BadRow(begin, _csv_reason(error), shorten(lines.raw(begin, begin)))
                start = begin + 1

    def _examined(self, values: list[str], begin: int, last: int, lines: _Lines) -> Any:
        """A row that needs a closer look: blank (None), taken, made to fit, or refused."""
        width = self._width
        if values and END in values[-1]:
            return BadRow(begin, "A quotation mark opened here is never closed.", shorten(lines.raw(begin, begin)))
        raw = lines.raw(begin, last)
        if reason := bad_text(raw, self._charset.encoding):
            return BadRow(begin, reason, shorten(raw))
        if not any(values):
            return None
        values = [formulas.bare(value) if value[:1] == "'" else value for value in values]
        if width and not any(values[width:]):
            values = values[:width]
            if self._pad:
                values += [""] * (width - len(values))
        if len(values) == width or not width:
            return begin, values
        return BadRow(begin, _width_reason(len(values), width), shorten(raw))


def _is_stray(values: list[str], span: int, width: int) -> bool:
    """Whether a quotation mark swallowed lines that are rows of their own, so that reading goes back to them."""
    if not values or END in values[-1]:
        return bool(values)
    return span >= LONG_SPAN and 0 < width != len(values)


def sniff(sample: str, chosen: str | None, name: str) -> Dialect:
    """The separator whose columns come out most even; none at all when no separator does."""
    lines = [line for line in split_lines(sample)[: LOOKED_AT * 5] if len(line) < 20_000]
    escape = "\\" if re.search(r'[^\\]\\"[^,;\t|\r\n]', sample) and not re.search(r'[^,;\t|\r\n]""', sample) else None
    if chosen:
        if len(chosen) != 1 or chosen in '"\r\n':
            raise Unreadable(name, f"'{chosen}' cannot stand between values", "Choose one character, such as a comma.")
        best = chosen
    else:
        candidates = SEPARATORS
        fits = {delimiter: _fit(lines, delimiter) for delimiter in candidates}
        if name.lower().endswith((".tsv", ".tab")) and fits["\t"]:
            fits["\t"] += 1
        best = max(candidates, key=lambda delimiter: fits[delimiter])
        if fits[best] < 0.5:
            best = NONE
    return Dialect(best, best not in (NONE, " ") and _padded(lines, best), escape)


def _fit(lines: Sequence[str], delimiter: str) -> float:
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    records: list[list[str]] = []
    # Up to a value that is too long to take apart, the records say enough.
    with suppress(csv.Error):
        records.extend(record for record in islice(reader, LOOKED_AT) if any(record))
    if not records:
        return 0.0
    widths = Counter(len(record) for record in records if len(record) > 1)
    if not widths:
        return 0.0
    width, times = max(widths.items(), key=lambda item: (item[1], item[0]))
    fit = times / len(records) + min(width, 50) / 250
    if delimiter in ":^~" and times < len(records):
        return 0.0
    if len(records[0]) == width:
        fit += 0.4
    elif len(records[0]) > width:
        fit += 0.1
    return fit if delimiter in ",;\t|" else fit - 0.5


def _padded(lines: Sequence[str], delimiter: str) -> bool:
    """Whether every separator is followed by a space, as in `Ada, Lovelace, London`."""
    total = spaced = 0
    for line in lines[:LOOKED_AT]:
        for cell in line.rstrip("\r\n").split(delimiter)[1:]:
            total += bool(cell)
            spaced += cell.startswith(" ")
    return total > 0 and spaced == total


def _told_separator(sample: str) -> str | None:
    """Excel's own first line, `sep=;`."""
    found = re.match(r'"?sep=(.)"?\r?\n', sample, re.IGNORECASE)
    return found[1] if found else None


def _limited(records: Iterator[Any], most: int) -> Iterator[Any]:
    for count, record in enumerate(records):
        if count == most:
            yield BadRow(record[0], f"Only the first {most:,} rows are read; this one and the rest are not.", "")
            return
        yield record


def _csv_reason(error: csv.Error) -> str:
    if "field larger" in str(error):
        return (
            f"A value is longer than {csv.field_size_limit():,} characters, "
            "or a quotation mark opened here is never closed."
        )
    return f"The row cannot be taken apart ({error})."


def _width_reason(found: int, expected: int) -> str:
    return f"The row has {found} value{'s'[: found != 1]}, but the header names {expected}."


_ODD_BREAKS = re.compile("[\x85\u2028\u2029]")


class _Lines:
    """Lines for the csv module, able to go back to the line where a broken record began."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self._blocks = blocks
        self._kept: deque[tuple[int, list[str]]] = deque()
        self._next = 1
        self._ended = False
        self.start = 1
        self.suspect_to = 0

    def since(self, first: int) -> Iterator[str]:
        return chain.from_iterable(self._lists(first))

    def raw(self, first: int, last: int) -> str:
        """The text of a record, as long as it is the current one."""
        found: list[str] = []
        for at, lines in self._kept:
            if at <= last and at + len(lines) > first:
                found += lines[max(0, first - at) : last - at + 1]
        return "".join(found).replace(END + "\n", "")

    def _lists(self, first: int) -> Iterator[list[str]]:
        for at, lines in list(self._kept):
            if at + len(lines) > first:
                yield lines[max(0, first - at) :]
        while (pulled := self._pull()) is not None:
            at = self._next - len(pulled)
            if self._next > first:
                yield pulled[max(0, first - at) :]

    def _pull(self) -> list[str] | None:
        """The next block as lines. Blocks before the current record are let go."""
        while self._kept and self._kept[0][0] + len(self._kept[0][1]) <= self.start:
            self._kept.popleft()
        if self._ended:
            return None
        block = next(self._blocks, None)
        if block is None:
            self._ended = True
            lines = [END + "\n"]
        else:
            lines = split_lines(block)
            if not lines[-1].endswith(("\n", "\r")):
                lines[-1] += "\n"
        self._kept.append((self._next, lines))
        self._next += len(lines)
        if block is None or _is_suspect(block):
            self.suspect_to = self._next - 1
        return lines


def split_lines(text: str) -> list[str]:
    """Lines as editors count them. `str.splitlines` is quicker, but would also break at signs that are text."""
    if not any(sign in text for sign in "\v\f\x1c\x1d\x1e") and (text.isascii() or not _ODD_BREAKS.search(text)):
        return text.splitlines(keepends=True)
    return io.StringIO(text, newline="").readlines()


def _is_suspect(block: str) -> bool:
    """Whether rows of this block need a closer look."""
    if "\0" in block or ("'" in block and formulas.SEEN.search(block)):
        return True
    if block.isascii():
        return False
    try:
        block.encode()
    except UnicodeEncodeError:
        return True
    return False
