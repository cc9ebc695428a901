"""Calendars: the same day as a salesperson in Paris, Tehran or Jerusalem writes it."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from rapport.i18n.catalogs import LANGUAGES, N_
from rapport.i18n.characters import fold_name

Calendar = Literal["gregorian", "persian", "hebrew"]

CALENDARS: Mapping[str, str] = MappingProxyType(
    {
        "gregorian": N_("Gregorian calendar"),
        "persian": N_("Persian calendar"),
        "hebrew": N_("Hebrew calendar"),
    }
)
"""The calendars a person may choose, and their titles."""

YEARS: Mapping[str, range] = MappingProxyType({
    "gregorian": range(1600, 3000), "persian": range(1200, 1600), "hebrew": range(5300, 6800)
})  # fmt: skip
"""The years people mean in business. They do not overlap, so a year tells its calendar."""

_PERSIAN = {
    "en": "Farvardin Ordibehesht Khordad Tir Mordad Shahrivar Mehr Aban Azar Dey Bahman Esfand",
    "fr": "farvardin ordibehecht khordad tir mordad chahrivar mehr aban azar dey bahman esfand",
    "fa": "فروردین اردیبهشت خرداد تیر مرداد شهریور مهر آبان آذر دی بهمن اسفند",
    "he": "פרורדין ארדיבהשת ח׳ורדאד תיר מרדאד שהריור מהר אבאן אזר דיי בהמן אספנד",
    "zh": "法尔瓦丁月 奥尔迪贝赫什特月 霍尔达德月 提尔月 莫尔达德月 沙赫里瓦尔月 梅赫尔月 "
    "阿班月 阿扎尔月 迪月 巴赫曼月 伊斯凡德月",
}
# Nisan first, as the months are counted; then Adar of a common year, and the two of a leap year.
_HEBREW = {
    "en": "Nisan,Iyar,Sivan,Tammuz,Av,Elul,Tishrei,Heshvan,Kislev,Tevet,Shevat,Adar,Adar I,Adar II",
    "fr": "nissan,iyar,sivan,tamouz,av,éloul,tichri,hechvan,kislev,tévet,chevat,adar,adar I,adar II",
    "fa": "نیسان,ایار,سیوان,تموز,آو,ایلول,تشری,حشوان,کسلو,طوت,شواط,آدار,آدار اول,آدار دوم",
    "he": "ניסן,אייר,סיוון,תמוז,אב,אלול,תשרי,חשוון,כסלו,טבת,שבט,אדר,אדר א׳,אדר ב׳",
    "zh": "尼散月,以珥月,西弯月,搭模斯月,埃波月,以禄月,提斯利月,玛西班月,"
    "基斯流月,提别月,细罢特月,亚达月,第一亚达月,第二亚达月",
}
_ADAR, _ADAR_I, _ADAR_II = 12, 13, 14  # as counted in _HEBREW

_PATTERNS = {
    "en": "{day} {month} {year}",
    "fr": "{day} {month} {year}",
    "fa": "{day} {month} {year}",
    "he": "{day} ב{month} {year}",
    "zh": "{year}年{month}{day}日",
}


def parts(day: dt.date, calendar: Calendar) -> tuple[int, int, int]:
    """Year, month and day of a date in a calendar. Hebrew months count from Nisan.

    A Hebrew day begins at sunset; here it is the one that falls on the civil day, as on Israeli letterheads.
    """
    if calendar == "persian":
        from persiantools.jdatetime import JalaliDate

        jalali = JalaliDate.to_jalali(day)  # type: ignore[no-untyped-call]  # typed in part
        return jalali.year, jalali.month, jalali.day
    if calendar == "hebrew":
        from pyluach.dates import HebrewDate  # type: ignore[import-untyped]  # ships no types

        hebrew = HebrewDate.from_pydate(day)
        return hebrew.year, hebrew.month, hebrew.day
    return day.year, day.month, day.day


def date_of(year: int, month: int, day: int, calendar: Calendar) -> dt.date:
    """The date behind a year, month and day; ValueError when the calendar has no such day."""
    if calendar == "persian":
        from persiantools.jdatetime import JalaliDate

        return JalaliDate(year, month, day).to_gregorian()  # type: ignore[no-untyped-call]  # typed in part
    if calendar == "hebrew":
        from pyluach.dates import HebrewDate

        made: dt.date = HebrewDate(year, month, day).to_pydate()
        return made
    return dt.date(year, month, day)


def month_name(year: int, month: int, calendar: Calendar, lang: str) -> str:
    """What a month of the Persian or Hebrew calendar is called in a language."""
    if calendar == "persian":
        return _PERSIAN[lang].split()[month - 1]
    names = _HEBREW[lang].split(",")
    return names[month] if month >= _ADAR and is_hebrew_leap(year) else names[month - 1]


def is_hebrew_leap(year: int) -> bool:
    """Whether a Hebrew year has two months of Adar."""
    return (7 * year + 1) % 19 < 7


def in_words(day: dt.date, calendar: Calendar, lang: str) -> str:
    """A date of the Persian or Hebrew calendar with its month's name: 2 Azar 1405, י״ד בכסלו תשפ״ז."""
    year, month, number = parts(day, calendar)
    values = {"day": str(number), "month": month_name(year, month, calendar, lang), "year": str(year)}
    if calendar == "hebrew" and lang == "he":
        from pyluach.dates import HebrewDate

        hebrew = HebrewDate(year, month, number)
        values |= {"day": hebrew.hebrew_day(), "year": hebrew.hebrew_year()}
    return _PATTERNS[lang].format_map(values)


@functools.cache
def months_by_name() -> Mapping[str, Mapping[Calendar, int]]:
    """Every name of a month in any of our languages, folded, and which month it is in which calendar.

    A name two months of one calendar share is left out: it says nothing. Adar alone is month 12 and needs a look at
    the year; Adar I and II are 13 and 14 here.
    """
    from babel import Locale

    found: dict[str, dict[Calendar, set[int]]] = {}

    def learn(name: str, calendar: Calendar, month: int) -> None:
        found.setdefault(fold_name(name), {}).setdefault(calendar, set()).add(month)

    for code, language in LANGUAGES.items():
        gregorian = Locale.parse(language.locale).months
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for month, name in gregorian[context][width].items():
                    learn(name, "gregorian", month)
        for month, name in enumerate(_PERSIAN[code].split(), 1):
            learn(name, "persian", month)
        for month, name in enumerate(_HEBREW[code].split(","), 1):
            learn(name, "hebrew", month)
    return {
        name: {calendar: next(iter(months)) for calendar, months in meanings.items() if len(months) == 1}
        for name, meanings in found.items()
        if not name.isdigit()
    }


def hebrew_month(year: int, named: int) -> int | None:
    """The number of a month that was named, in a given year. None for Adar of a leap year, which has two."""
    if named < _ADAR:
        return named
    if is_hebrew_leap(year):
        return {_ADAR_I: 12, _ADAR_II: 13}.get(named)
    return 12 if named == _ADAR else None
