"""The days themselves: each with its week, month and year in the calendars people count by."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal

from rapport.i18n import calendars

TABLE = "warehouse_date"

COLUMNS: Mapping[str, Literal["date", "integer", "text"]] = MappingProxyType(
    {
        "day": "date",
        "weekday": "integer",  # 1 is Monday, 7 is Sunday, as in ISO 8601
        "year": "integer",
        "quarter": "integer",
        "month": "integer",
        "day_of_month": "integer",
        "day_of_year": "integer",
        "iso_year": "integer",  # the year its week belongs to: the last days of December may be of the next
        "iso_week": "integer",
        "fiscal_year": "integer",  # named by the year it ends in
        "fiscal_quarter": "integer",
        "fiscal_period": "integer",  # 1 is the month the fiscal year begins with
        "jalali_year": "integer",
        "jalali_month": "integer",
        "jalali_day": "integer",
        "hebrew_year": "integer",
        "hebrew_month": "integer",  # counted from Nisan, as `rapport.i18n.calendars.month_name` wants it
        "hebrew_place": "integer",  # counted from Tishrei, so that months sort within their year
        "hebrew_day": "integer",
        # One text for each span of days, which sorts by time.
        "week_key": "text",  # 2026-W48
        "month_key": "text",  # 2026-11
        "quarter_key": "text",  # 2026-Q4
        "fiscal_key": "text",  # 2027-P08
        "jalali_key": "text",  # 1405-09
        "hebrew_key": "text",  # 5787-03: the place in the year, not the month's number
    }
)
"""What the table knows of each day, in this order."""

FIRST = dt.date(1990, 1, 1)
YEARS_AHEAD = 10

# The place of each month in its year, by its number from Nisan: Tishrei, the seventh, is the first.
_COMMON = {number: (number - 7) % 12 + 1 for number in range(1, 13)}
_LEAP = {number: (number - 7) % 13 + 1 for number in range(1, 14)}


def last_day() -> dt.date:
    """How far the table goes today."""
    return dt.date(dt.date.today().year + YEARS_AHEAD, 12, 31)  # noqa: DTZ011  # any zone's year will do


def days(
    since: dt.date = FIRST, until: dt.date | None = None, *, fiscal_start: int = 1
) -> list[tuple[int | str | dt.date, ...]]:
    """A row for each day from `since` to `until`, both included, with the values of COLUMNS.

    `fiscal_start` is the month a fiscal year begins with: from July 2026 (7) to June 2027 it is the fiscal year 2027.
    """
    if not 1 <= fiscal_start <= 12:
        raise ValueError(f"a fiscal year begins with a month from 1 to 12, not with {fiscal_start}.")
    last = until or last_day()
    one = dt.timedelta(days=1)
    jalali, hebrew = _by_month(since, last, "persian"), _by_month(since, last, "hebrew")
    rows: list[tuple[int | str | dt.date, ...]] = []
    day = since
    while day <= last:
        year, month = day.year, day.month
        iso_year, iso_week, weekday = day.isocalendar()
        period = (month - fiscal_start) % 12 + 1
        fiscal_year = year + (fiscal_start > 1 and month >= fiscal_start)
        jalali_year, jalali_month, jalali_day = next(jalali)
        hebrew_year, hebrew_month, hebrew_day = next(hebrew)
        place = (_LEAP if calendars.is_hebrew_leap(hebrew_year) else _COMMON)[hebrew_month]
        quarter = (month + 2) // 3
        rows.append(
            (
                day, weekday, year, quarter, month, day.day, day.timetuple().tm_yday, iso_year, iso_week,
                fiscal_year, (period + 2) // 3, period, jalali_year, jalali_month, jalali_day,
                hebrew_year, hebrew_month, place, hebrew_day,
                f"{iso_year:04}-W{iso_week:02}", f"{year:04}-{month:02}", f"{year:04}-Q{quarter}",
                f"{fiscal_year:04}-P{period:02}", f"{jalali_year:04}-{jalali_month:02}", f"{hebrew_year:04}-{place:02}",
            )
        )  # fmt: skip
        day += one
    return rows


def as_dicts(rows: list[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """The rows of `days` by the names of their columns."""
    return (dict(zip(COLUMNS, row, strict=True)) for row in rows)


def _by_month(since: dt.date, until: dt.date, calendar: calendars.Calendar) -> Iterator[tuple[int, int, int]]:
    """Year, month and day of one day after another. The calendar is asked once a month, the rest is counting."""
    year, month, number = calendars.parts(since, calendar)
    day = since
    while day <= until:
        next_year, next_month = _month_after(year, month, calendar)
        length = (calendars.date_of(next_year, next_month, 1, calendar) - day).days + number - 1
        yield from ((year, month, each) for each in range(number, length + 1))
        day += dt.timedelta(days=length - number + 1)
        year, month, number = next_year, next_month, 1


def _month_after(year: int, month: int, calendar: calendars.Calendar) -> tuple[int, int]:
    if calendar == "persian":
        return (year, month + 1) if month < 12 else (year + 1, 1)
    # The Hebrew year ends with Elul (6); the last month before Nisan is Adar, or the second Adar of a leap year.
    if month == 6:
        return year + 1, 7
    last = 13 if calendars.is_hebrew_leap(year) else 12
    return (year, 1) if month == last else (year, month + 1)
