"""Cells as people and programs write them, read column by column into the values that fields keep."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from rapport.builtin.exchange.writers import as_text
from rapport.entities.fields import _CONTROL, Field
from rapport.i18n.calendars import Calendar
from rapport.i18n.catalogs import N_, _
from rapport.i18n.reading import parse_date, parse_money, parse_number
from rapport.i18n.values import is_plain_email, is_plain_phone
from rapport.query.fold import fold

DATES = ("day-first", "month-first")
"""What a person may say of dates such as 01/02/2026, which could mean two days."""

Read = tuple[list[Any], dict[int, str]]
"""The values of a column, None where a cell is blank or wrong; and by row what is wrong with it."""

_NUMBERS = re.compile(r"(\d{1,2})([/.\- ])(\d{1,2})\2(\d{4})")
_ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_WHOLE = re.compile(r"[+-]?\d{1,15}")
_PLAIN = re.compile(r"[+-]?\d{1,14}(\.(\d{1,2}|\d{4,9}))?")
_AS_IT_IS: Mapping[str, Callable[[str], bool]] = {"email": is_plain_email, "phone": is_plain_phone}
"""What nearly every cell of a kind looks like that is kept as it was written."""
_YES = (N_("yes"), "y", "true", "1", "on", "x", "oui", "ja", "بله", "آری", "כן", "是", "✓")
_NO = (N_("no"), "n", "false", "0", "off", "-", "non", "nein", "خیر", "نه", "לא", "否")


class Cells:
    """How the cells of one field are read: the person's language and calendar, and what they said of dates."""

    def __init__(self, language: str, calendar: Calendar | None, time_zone: str, dates: str) -> None:
        self.language = language
        self.calendar = calendar
        self.zone = ZoneInfo(time_zone)
        self.dates = dates
        self._flags = {fold(word): value for words, value in ((_YES, True), (_NO, False)) for word in words}
        self._flags |= {fold(_("yes")): True, fold(_("no")): False}

    def read(self, field: Field, cells: Sequence[Any]) -> Read:
        """The values of a column. References and choices stay texts: they are looked up by the chunk."""
        if field.kind in {"text", "longtext"}:
            return _texts(field, cells)
        if field.kind in {"choice", "reference"}:
            with contextlib.suppress(AttributeError):  # numbers of a workbook, blanks of JSON
                return [cell.strip() or None for cell in cells], {}
        return self._one_by_one(field, cells)

    def amounts(self, field: Field, cells: Sequence[Any], currencies: list[str | None]) -> Read:
        """A column of money; a currency that stands beside an amount goes into `currencies`."""

        def load(value: Any) -> Any:
            if isinstance(value, str) and not _PLAIN.fullmatch(value.strip()):
                amount, currency = parse_money(value, self.language)
                currencies[at] = currency
                return field.load(amount)
            return field.load(value.strip() if isinstance(value, str) else value)

        values: list[Any] = [None] * len(cells)
        errors: dict[int, str] = {}
        for at, cell in enumerate(cells):
            if not is_blank(cell):
                try:
                    values[at] = load(cell)
                except ValueError as error:
                    errors[at] = str(error)
        return values, errors

    def _one_by_one(self, field: Field, cells: Sequence[Any]) -> Read:
        load = self._loader(field)
        stays = _AS_IT_IS.get(field.kind) if field.max_length >= 64 else None
        values: list[Any] = [None] * len(cells)
        errors: dict[int, str] = {}
        for at, cell in enumerate(cells):
            if cell is None or cell == "":
                continue
            value = cell.strip() if isinstance(cell, str) else cell
            if stays is not None and isinstance(value, str) and stays(value):
                values[at] = value
                continue
            if is_blank(value):
                continue
            try:
                values[at] = load(value)
            except ValueError as error:
                errors[at] = str(error)
        return values, errors

    def _loader(self, field: Field) -> Callable[[Any], Any]:
        kinds: Mapping[str, Callable[[Any], Any]] = {
            "integer": self._integer,
            "decimal": self._number,
            "money": self._number,
            "date": self._date,
            "instant": self._instant,
            "flag": self._flag,
            "choice": as_text,
            "reference": as_text,
            "id": as_text,
        }
        read = kinds.get(field.kind)
        if read is None:  # e-mail, phone, link, tags: as the write path reads them
            plain = field.kind != "tags"
            return lambda value: field.load(as_text(value) if plain else value)
        if field.kind in {"choice", "reference", "id"}:
            return read
        return lambda value: field.load(read(value))

    def _integer(self, value: Any) -> Any:
        if isinstance(value, str) and not _WHOLE.fullmatch(value):
            return parse_number(value, self.language)
        return value

    def _number(self, value: Any) -> Any:
        # Three places may be thousands: only the language knows.
        if isinstance(value, str) and not _PLAIN.fullmatch(value):
            return parse_number(value, self.language)
        return value

    def _date(self, value: Any) -> Any:
        if isinstance(value, dt.datetime):
            return value.date()
        if not isinstance(value, str) or _ISO_DAY.fullmatch(value):
            return value
        if found := re.fullmatch(r"(\S+)[T ]00:00(:00(\.0+)?)?", value):  # midnight: a day that a program wrote
            value = found[1]
        if self.dates and (found := _NUMBERS.fullmatch(value)):
            day, month = (found[1], found[3]) if self.dates == "day-first" else (found[3], found[1])
            return f"{found[4]}-{int(month):02}-{int(day):02}"
        return parse_date(value, self.language, self.calendar)

    def _instant(self, value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = dt.datetime.fromisoformat(value)
            except ValueError:
                day, _space, time = value.partition(" ")
                try:
                    value = dt.datetime.combine(_day(self._date(day)), dt.time.fromisoformat(time or "00:00"))
                except ValueError:
                    value = dt.datetime.combine(_day(self._date(value)), dt.time())
        elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            value = dt.datetime.combine(value, dt.time())
        if isinstance(value, dt.datetime) and value.tzinfo is None:
            value = value.replace(tzinfo=self.zone)
        return value

    def _flag(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        known = self._flags.get(fold(as_text(value)))
        if known is None:
            raise ValueError(_("must be yes or no."))
        return known


def is_blank(cell: Any) -> bool:
    """Whether a cell says nothing."""
    return cell is None or cell == "" or (isinstance(cell, str) and cell.isspace()) or cell == []


def _day(value: Any) -> dt.date:
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(value)


def _texts(field: Field, cells: Sequence[Any]) -> Read:
    """Texts are checked together where nothing is unusual, which costs a fraction of looking at each."""
    try:
        values: list[Any] = [cell.strip() or None for cell in cells]
        whole = "".join(cells)
    except (AttributeError, TypeError):  # numbers of a workbook, blanks of JSON
        return _texts_one_by_one(field, cells)
    if _CONTROL.search(whole) or any(len(cell) > field.max_length for cell in cells) or field.kind == "longtext":
        return _texts_one_by_one(field, cells)
    return values, {}


def _texts_one_by_one(field: Field, cells: Sequence[Any]) -> Read:
    values: list[Any] = [None] * len(cells)
    errors: dict[int, str] = {}
    for at, cell in enumerate(cells):
        if is_blank(cell):
            continue
        try:
            values[at] = field.load(_written(cell))
        except ValueError as error:
            errors[at] = str(error)
    return values, errors


def _written(cell: Any) -> str:
    """A number of a workbook as a person would write it: 2024, not 2024.0."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return as_text(cell)


def shown(value: Any) -> str:
    """A cell for a message or a list of problems."""
    return (
        as_text(value)
        if isinstance(value, str | int | float | bool | Decimal | dt.date | dt.time | UUID | list)
        else ""
    )
