"""Reading JSON: one object per line, or a list of objects, streamed either way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NoReturn

from .charset import bad_text, find_charset, text_blocks
from .delimited import split_lines
from .shapes import BadRow, ReadOptions, Record, Source, Table, Unreadable, Value, shorten

LOOK_THROUGH = 32 * 1024**2
"""Smaller files are looked through for their columns, of larger ones the first records are."""
LOOKED_AT = 2_000
LARGEST_RECORD = 16 * 1024**2
DEEPEST = 8

_SPACE = re.compile(r"[\s,]*")
_LONE = re.compile("[\ud800-\udfff\0]")


class RecordTable(Table):
    """A file whose records name their own columns; the columns are those that the records were found to have."""

    def __init__(self, source: Source, name: str, options: ReadOptions) -> None:
        super().__init__(name)
        self._source = source
        self._options = options
        self._charset = find_charset(source, name, options.encoding)
        self.encoding = self._charset.encoding
        self.encoding_candidates = self._charset.candidates
        self.warnings += self._charset.warnings
        self._prepare()
        seen: dict[str, None] = {}
        for count, found in enumerate(self._named()):
            if not isinstance(found, BadRow):
                seen |= dict.fromkeys(found[1])
            if count >= LOOKED_AT and source.size > LOOK_THROUGH:
                break
            if len(seen) > options.limits.columns:
                raise Unreadable(
                    name, f"its records have more than {options.limits.columns:,} different names", "Flatten it first."
                )
        self.columns = self._in_order(list(seen))

    def _prepare(self) -> None:
        """Look at the beginning before the columns are gathered."""

    def _named(self) -> Iterator[tuple[int, dict[str, Value]] | BadRow]:
        raise NotImplementedError

    def _in_order(self, columns: list[str]) -> list[str]:
        return columns

    def _records(self) -> Iterator[Record | BadRow]:
        columns = self.columns
        known = set(columns)
        most = self._options.limits.rows
        for count, found in enumerate(self._named()):
            if most is not None and count == most:
                yield BadRow(found[0], f"Only the first {most:,} rows are read; this one and the rest are not.", "")
                return
            if isinstance(found, BadRow):
                yield found
                continue
            line, values = found
            for name in values.keys() - known:
                self.unexpected.setdefault(name, line)
            yield line, [values.get(name, "") for name in columns]


class JsonTable(RecordTable):
    """A list of objects, an object that holds such a list, or an object on every line."""

    def _prepare(self) -> None:
        head = next(text_blocks(self._source, self._charset), "").lstrip()
        self.format = "json" if head.startswith("[") else "ndjson"
        self._inside: list[Any] | None = None
        first, _, rest = head.partition("\n")
        if self.format == "ndjson" and (
            not _is_object(first) or not (rest.strip() or self._source.size > len(head) * 4)
        ):
            self._inside = self._list_inside()
            self.format = "json"

    def _named(self) -> Iterator[tuple[int, dict[str, Value]] | BadRow]:
        self.blank = 0
        if self._inside is not None:
            for number, item in enumerate(self._inside, 1):
                yield _take(number, item, "")
        elif self.format == "json":
            yield from self._items()
        else:
            yield from self._lines()

    def _lines(self) -> Iterator[tuple[int, dict[str, Value]] | BadRow]:
        number = 0
        for block in text_blocks(self._source, self._charset):
            for line in split_lines(block):
                number += 1
                if not line.strip():
                    self.blank += 1
                    continue
                if reason := bad_text(line, self._charset.encoding):
                    yield BadRow(number, reason, shorten(line))
                    continue
                try:
                    item = _DECODER.decode(line)
                except (ValueError, RecursionError) as error:
                    yield BadRow(number, _reason(error), shorten(line))
                else:
                    yield _take(number, item, line)

    def _items(self) -> Iterator[tuple[int, dict[str, Value]] | BadRow]:
        """The items of a list, one by one, so that the list may be larger than memory."""
        blocks = text_blocks(self._source, self._charset)
        text, at, number = next(blocks, ""), 0, 1
        at = text.index("[") + 1
        number += text.count("\n", 0, at)
        while True:
            end = _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches the empty text too
            number += text.count("\n", at, end)
            at = end
            if at < len(text) and text[at] == "]":
                rest = text[at + 1 :].strip()
                if rest:
                    yield BadRow(number, "Something follows the end of the list.", shorten(rest))
                return
            try:
                item, end = _DECODER.raw_decode(text, at)
            except RecursionError as error:
                yield BadRow(number, _reason(error), shorten(text[at : at + 1000]))
                return
            except ValueError as error:
                more = next(blocks, None) if len(text) - at < LARGEST_RECORD else None
                if more is None:
                    yield BadRow(
                        number, f"{_reason(error)} Nothing after this can be read.", shorten(text[at : at + 1000])
                    )
                    return
                text, at = text[at:] + more, 0
                continue
            raw = text[at:end]
            reason = bad_text(raw, self._charset.encoding)
            yield BadRow(number, reason, shorten(raw)) if reason else _take(number, item, raw)
            number += raw.count("\n")
            at = end
            if at > 1 << 20:
                text, at = text[at:], 0

    def _list_inside(self) -> list[Any]:
        """`{"contacts": [...]}`: the first list of objects in it."""
        if self._source.size > LOOK_THROUGH:
            raise Unreadable(
                self.name, "it is one very large JSON object", "Save it with one record per line (NDJSON)."
            )
        text = "".join(text_blocks(self._source, self._charset))
        try:
            whole = _DECODER.decode(text)
        except (ValueError, RecursionError) as error:
            raise Unreadable(
                self.name, f"it is not valid JSON ({error})", "Save it as a list of objects, or one object per line."
            ) from None
        if not isinstance(whole, dict):
            raise Unreadable(self.name, "it holds no list of records", "Save it as a list of objects.")
        for key, value in whole.items():
            if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
                others = [other for other in whole if other != key]
                if others:
                    self.warnings.append(f"The records are read from '{key}'; {', '.join(others[:5])} is left out.")
                return value
        return [whole]


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number that can be stored")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)


def _is_object(line: str) -> bool:
    try:
        return isinstance(_DECODER.decode(line), dict)
    except (ValueError, RecursionError):
        # The first line of NDJSON may be the broken one; a pretty-printed object breaks off after its brace.
        return len(line.strip()) > 1


def _take(number: int, item: Any, raw: str) -> tuple[int, dict[str, Value]] | BadRow:
    if not isinstance(item, dict):
        return BadRow(number, "The record is not an object with names and values.", shorten(raw or repr(item)))
    values: dict[str, Value] = {}
    try:
        _flatten("", item, values, 0)
    except RecursionError as error:
        return BadRow(number, _reason(error), shorten(raw))
    for name, value in values.items():
        texts = value if isinstance(value, list) else [value]
        if _LONE.search(name) or any(isinstance(text, str) and _LONE.search(text) for text in texts):
            return BadRow(number, "Half a character or a NUL character stands in the text.", shorten(raw))
    return number, values


def _flatten(prefix: str, item: dict[str, Any], values: dict[str, Value], depth: int) -> None:
    """Objects inside objects become columns with dots; lists of plain values stay lists; the rest is kept as JSON."""
    for key, value in item.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value and depth < DEEPEST:
            _flatten(f"{name}.", value, values, depth + 1)
        elif isinstance(value, list) and all(isinstance(part, str | int | Decimal) for part in value):
            values[name] = [str(part) for part in value]
        elif isinstance(value, dict | list):
            values[name] = json.dumps(value, ensure_ascii=False, default=str)
        else:
            values[name] = "" if value is None else value


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "The record is nested too deeply."
    if isinstance(error, json.JSONDecodeError):
        return f"This is not valid JSON: {error.msg} at character {error.colno}."
    return f"This is not valid JSON: {error}."
