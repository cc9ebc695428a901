"""Formats: dates, times, numbers and money, written the way the reader is used to."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel import dates as babel_dates
from babel.lists import format_list
from babel.numbers import (
    format_compact_currency,
    format_currency,
    format_decimal,
    format_percent,
    get_currency_name,
    get_currency_precision,
    list_currencies,
)
from babel.units import format_unit

from rapport.i18n.calendars import Calendar, in_words, parts
from rapport.i18n.catalogs import LANGUAGES, texts_for
from rapport.i18n.characters import LEFT_TO_RIGHT, RIGHT_TO_LEFT, persian_digits

Form = Literal["short", "medium", "long", "full"]
Number = int | float | Decimal

_MINUS = re.compile(r"(?<![\w-])-(?=[\d\u200e\u200f])")
_PERSIAN_SIGNS = str.maketrans({"%": "٪", "-": "−"})
_UNITS = ("byte", "kilobyte", "megabyte", "gigabyte", "terabyte")


class Formats:
    """How one person reads: their language, time zone and calendar. `Formats("fa", "Asia/Tehran").date(day)`.

    Without a calendar it is the one usual in the language. What is written by `date` in any form, `number` and `money`
    can be read again by `rapport.i18n.reading`.
    """

    __slots__ = ("_locale", "calendar", "lang", "zone")

    def __init__(self, lang: str, zone: str = "UTC", calendar: Calendar | None = None) -> None:
        self.lang = lang
        self.zone = ZoneInfo(zone)
        self.calendar: Calendar = calendar or LANGUAGES[lang].calendar
        self._locale = _locale(LANGUAGES[lang].locale)

    # Days and moments

    def date(self, day: dt.date, form: Form = "medium", calendar: Calendar | None = None) -> str:
        """A day: short 2026-11-23, medium Nov 23, 2026, long November 23, 2026, full with the day of the week.

        `calendar` shows it once in another calendar, say beside the usual one.
        """
        calendar = calendar or self.calendar
        if calendar == "gregorian":
            # English is written on both sides of the Atlantic: 03/04 would be read in two ways, the ISO form in one.
            pattern = "y-MM-dd" if form == "short" and self.lang == "en" else form
            return self._native(babel_dates.format_date(day, pattern, self._locale))
        if form == "short" and calendar == "persian":
            year, month, number = parts(day, calendar)
            return self._native(f"{year}/{month:02}/{number:02}")
        text = in_words(day, calendar, self.lang)
        if form == "full":
            text = self._with_weekday(day, text)
        return self._native(text)

    def instant(self, at: dt.datetime, form: Form = "medium") -> str:
        """A moment in the reader's time zone: Nov 23, 2026, 3:30 PM."""
        here = self.here(at)
        joined = str(babel_dates.get_datetime_format("medium", locale=self._locale))
        return joined.replace("{0}", self.time(at)).replace("{1}", self.date(here.date(), form)).replace("'", "")

    def time(self, at: dt.datetime) -> str:
        """The time of day of a moment, in the reader's time zone: 3:30 PM."""
        return self._native(babel_dates.format_time(self.here(at).time(), "short", locale=self._locale))

    def here(self, at: dt.datetime) -> dt.datetime:
        """A moment as clocks show it where the reader is."""
        if at.tzinfo is None:
            raise ValueError("A moment needs a time zone. Give an aware datetime, such as datetime.now(UTC).")
        return at.astimezone(self.zone)

    def relative(self, when: dt.date, now: dt.datetime | None = None) -> str:
        """How far away something is: "3 days ago", "in 2 hours", and for plain dates "today" and "tomorrow"."""
        now = now or dt.datetime.now(dt.UTC)
        texts = texts_for(self.lang)
        if isinstance(when, dt.datetime):
            away = when - now
            if abs(away) < dt.timedelta(minutes=1):
                return texts.gettext("just now")
        else:
            away = when - self.here(now).date()
            near = {-1: texts.gettext("yesterday"), 0: texts.gettext("today"), 1: texts.gettext("tomorrow")}
            if away.days in near:
                return near[away.days]
        return self._native(babel_dates.format_timedelta(away, add_direction=True, threshold=1, locale=self._locale))

    def duration(self, seconds: float) -> str:
        """How long something took: 5 minutes."""
        return self._native(babel_dates.format_timedelta(dt.timedelta(seconds=seconds), locale=self._locale))

    def weekday(self, day: dt.date, short: bool = False) -> str:
        """Monday, or Mon."""
        return self.weekdays(short)[day.weekday()]

    def weekdays(self, short: bool = False) -> list[str]:
        """The names of the days, Monday first as in Python; `first_weekday` says where a week begins."""
        names = self._locale.days["stand-alone"]["abbreviated" if short else "wide"]
        return [str(names[day]) for day in range(7)]

    @property
    def first_weekday(self) -> int:
        """The day a week begins with, Monday being 0: 5 in Iran, 6 in Israel."""
        return self._locale.first_week_day

    @property
    def weekend(self) -> tuple[int, ...]:
        """The days off, Monday being 0."""
        first, last = self._locale.weekend_start, self._locale.weekend_end
        return tuple((first + day) % 7 for day in range((last - first) % 7 + 1))

    def _with_weekday(self, day: dt.date, text: str) -> str:
        name = self.weekday(day)
        if self.lang == "zh":
            return text + name
        return f"{name}, {text}" if self.lang in {"en", "he"} else f"{name} {text}"

    # Numbers

    def number(self, value: Number, places: int | None = None) -> str:
        """A number with its thousands grouped: 1,234.5. `places` fixes the digits after the point."""
        pattern = "#,##0.####" if places is None else "#,##0" + ("." + "0" * places if places else "")
        return self._native(
            format_decimal(value, pattern, locale=self._locale, numbering_system="default")
        )  # fmt: skip

    def decimal(self, value: Decimal, places: int = 2) -> str:
        """A number with the same digits after the point in every row of a column: 1,234.50."""
        return self.number(value, places)

    def percent(self, ratio: Number, places: int = 0) -> str:
        """A share of one: 0.125 is 13%, with one place 12.5%."""
        pattern = "#,##0" + ("." + "0" * places if places else "") + _percent_tail(self.lang)
        return self._native(format_percent(ratio, pattern, locale=self._locale, numbering_system="default"))

    def money(self, amount: Number, currency: str, compact: bool = False) -> str:
        """An amount with its currency: €1,234.50. `compact` is for heads of columns and tiles: €1.2M."""
        if not currency:
            return self.number(amount, 2)
        if compact and abs(float(amount)) >= 1000:
            number = amount if isinstance(amount, Decimal) else Decimal(str(amount))
            text = format_compact_currency(number, currency, locale=self._locale, fraction_digits=1)
            if self.lang == "fa":
                text = text.replace(".", "٫")
            elif self.lang == "he":
                text = text.replace(RIGHT_TO_LEFT, "")  # several in a row would change places
        else:
            text = format_currency(amount, currency, locale=self._locale, numbering_system="default")
        return self._native(re.sub(rf"({re.escape(currency)})(?=\d)", "\\1\N{NO-BREAK SPACE}", text))

    def currency_places(self, currency: str) -> int:
        """How many digits a currency has after the point: 2 for EUR, 0 for JPY."""
        return get_currency_precision(currency)

    def size(self, count: int) -> str:
        """How large a file is: 3.5 MB."""
        value, step = float(count), 0
        while value >= 999.95 and step < len(_UNITS) - 1:
            value, step = value / 1000, step + 1
        shown = count if step == 0 else round(value, 1)
        return self._native(format_unit(shown, f"digital-{_UNITS[step]}", "short", locale=self._locale,
                                        numbering_system="default"))  # fmt: skip

    # Names of things

    def listing(self, things: Iterable[str]) -> str:
        """Several things in a sentence: calls, notes, and tasks."""
        return format_list(list(things), locale=self._locale)

    def country(self, code: str) -> str:
        """A country's name by its ISO code; the code itself when there is none."""
        return str(self._locale.territories.get(code, code))

    def language(self, code: str) -> str:
        """A language's name by its code."""
        return str(self._locale.languages.get(code, code))

    def currency(self, code: str) -> str:
        """A currency's name by its ISO code: US Dollar."""
        return get_currency_name(code, locale=self._locale)

    def _native(self, text: str) -> str:
        """Persian gets its own digits; a minus in a right-to-left text keeps its place before the number."""
        if LANGUAGES[self.lang].direction == "ltr":
            return text
        text = _MINUS.sub(LEFT_TO_RIGHT + "-", text)
        return persian_digits(text.translate(_PERSIAN_SIGNS)) if self.lang == "fa" else text


@functools.cache
def currencies() -> frozenset[str]:
    """The ISO codes of every currency known, past ones included."""
    return frozenset(list_currencies())


@functools.cache
def _locale(name: str) -> Locale:
    return Locale.parse(name)


def _percent_tail(lang: str) -> str:
    return "\N{NARROW NO-BREAK SPACE}%" if lang == "fr" else "%"
