"""Reading what people type: dates, numbers and amounts, and refusing what could mean two things."""

from __future__ import annotations

import datetime as dt
import functools
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal

from rapport.i18n.calendars import CALENDARS, YEARS, Calendar, date_of, hebrew_month, months_by_name
from rapport.i18n.catalogs import LANGUAGES, _
from rapport.i18n.characters import fold_name, plain_digits, without_accents, without_marks
from rapport.i18n.formats import Formats, currencies

_MAX_TYPED = 100

# Dates ---------------------------------------------------------------------------------------------------------------

_DATE_TEXT = re.compile(r"""[\w\s/.,،\-־'’`"״׳]+""")
_CHINESE_WEEKDAY = re.compile("(?:星期|周)[一二三四五六日天]")
_TOKEN = re.compile(r"\d+|[^\W\d_]+")
_IGNORED = {"de", "du", "le", "la", "the", "of", "st", "nd", "rd", "th", "er", "יום", "یک", "دو", "سه", "چهار", "پنج"}
_DAY_FIRST = {"fr", "he", "fa"}
_HEBREW_VALUES: Mapping[str, int] = dict(
    zip("אבגדהוזחטיכלמנסעפצקרשתךםןףץ", (*range(1, 11), *range(20, 100, 10), 100, 200, 300, 400, 20, 40, 50, 80, 90),
        strict=True)
)  # fmt: skip


def parse_date(text: str, lang: str, calendar: Calendar | None = None) -> dt.date:
    """The day that was meant. Reads ISO, what `Formats.date` writes, and the usual ways of the language.

    The year has four digits and tells the calendar: 1405 is Persian, 2026 is not. Years of the Persian and the Hebrew
    calendar count only for who uses that calendar or names the month.
    """
    calendar = calendar or LANGUAGES[lang].calendar
    typed = without_accents(plain_digits(text)).strip()
    if not typed or len(typed) > _MAX_TYPED or not _DATE_TEXT.fullmatch(typed):
        raise _no_date(lang, calendar)
    if re.fullmatch(r"\d{8}", typed):  # the ISO form without hyphens
        typed = f"{typed[:4]}-{typed[4:6]}-{typed[6:]}"
    typed = _CHINESE_WEEKDAY.sub(" ", typed).replace("年", " ").replace("日", " ").replace("号", " ")
    typed = re.sub(r"(\d)\s*月", r"\1 ", typed)
    typed = re.sub("['’׳״\"]", "", typed)
    tokens = [
        token for found in _TOKEN.findall(typed)
        if (token := found if found.isdigit() else fold_name(found)) not in _IGNORED and token not in _weekdays()
    ]  # fmt: skip
    if len(tokens) == 3 and all(token.isdigit() for token in tokens):
        return _from_numbers(tokens, lang, calendar)
    return _from_words(tokens, lang, calendar)


def _from_numbers(tokens: list[str], lang: str, calendar: Calendar) -> dt.date:
    if len(tokens[0]) == 4:
        year, month, day = map(int, tokens)
    elif len(tokens[2]) == 4:
        first, second, year = map(int, tokens)
        if lang in _DAY_FIRST or first > 12:
            day, month = first, second
        elif second > 12 or first == second:
            month, day = first, second
        else:
            _checked_year(year, lang, calendar)
            raise ValueError(
                _("could be the %(first)s or the %(second)s of the month. Write it like %(example)s.",
                  first=first, second=second, example=f"{year}-{first:02}-{second:02}")
            )  # fmt: skip
    else:
        raise ValueError(_("needs its year with four digits: write it like %(example)s.",
                           example=_example(lang, calendar)))  # fmt: skip
    return _made(year, month, day, _checked_year(year, lang, calendar), lang)


def _from_words(tokens: list[str], lang: str, calendar: Calendar) -> dt.date:
    """A day, a month by name and a year, in any order that leaves no doubt."""
    for size in (2, 1):
        for start in range(len(tokens) - size + 1):
            meanings = _month_called(" ".join(tokens[start : start + size]))
            rest = tokens[:start] + tokens[start + size :]
            if meanings and len(rest) == 2:
                return _from_month(meanings, rest, lang, calendar)
    raise _no_date(lang, calendar)


def _from_month(meanings: Mapping[Calendar, int], rest: list[str], lang: str, calendar: Calendar) -> dt.date:
    if "hebrew" in meanings:
        rest = [token if token.isdigit() else str(_hebrew_number(token)) for token in rest]
    years = [token for token in rest if token.isdigit() and len(token) == 4]
    days = [token for token in rest if token.isdigit() and len(token) <= 2]
    if len(years) != 1 or len(days) != 1:
        raise _no_date(lang, calendar)
    year, day = int(years[0]), int(days[0])
    for meant, month in meanings.items():
        if year in YEARS[meant]:
            number = hebrew_month(year, month) if meant == "hebrew" else month
            if number is None:
                raise ValueError(_("names a month that %(year)s does not have: leap years have Adar I and Adar II, "
                                   "other years Adar.", year=year))  # fmt: skip
            return _made(year, number, day, meant, lang)
    raise _no_year(year, next(iter(meanings)))


def _month_called(name: str) -> Mapping[Calendar, int]:
    months = months_by_name()
    # In Hebrew, "in November" is one word.
    return months.get(name) or months.get(name.removeprefix("ב")) or {}


def _hebrew_number(token: str) -> int:
    """Letters as a number: יד is 14, תשפז is the year 5787."""
    letters = token[1:] if len(token) > 2 and token.startswith("הת") else token
    if not all(letter in _HEBREW_VALUES for letter in letters):
        return 0
    value = sum(_HEBREW_VALUES[letter] for letter in letters)
    return value + 5000 if value > 99 else value


def _checked_year(year: int, lang: str, calendar: Calendar) -> Calendar:
    if year in YEARS[calendar]:
        return calendar
    if year in YEARS["gregorian"]:
        return "gregorian"
    raise _no_year(year, calendar)


def _made(year: int, month: int, day: int, calendar: Calendar, lang: str) -> dt.date:
    try:
        return date_of(year, month, day, calendar)
    except ValueError:
        raise ValueError(_("is not a day of the %(calendar)s: check it, or write it like %(example)s.",
                           calendar=_(CALENDARS[calendar]), example=_example(lang, calendar))) from None  # fmt: skip


def _no_year(year: int, calendar: Calendar) -> ValueError:
    return ValueError(_("has the year %(year)s, which is too far away in the %(calendar)s.",
                        year=year, calendar=_(CALENDARS[calendar])))  # fmt: skip


def _no_date(lang: str, calendar: Calendar) -> ValueError:
    return ValueError(_("is not a date: write it like %(example)s.", example=_example(lang, calendar)))


def _example(lang: str, calendar: Calendar) -> str:
    return Formats(lang, calendar=calendar).date(dt.date(2026, 11, 23), "short")


@functools.cache
def _weekdays() -> frozenset[str]:
    names = set()
    for code in LANGUAGES:
        for short in (False, True):
            for name in Formats(code).weekdays(short):
                names.update(fold_name(name).split())
    # "Mar" is short for Tuesday in French; as March it matters more.
    return frozenset(name for name in names if len(name) > 1 and name not in months_by_name())


# Numbers -------------------------------------------------------------------------------------------------------------

_SPACES = re.compile(r"(?<=\d)[\s'’](?=\d)")
_NUMBER = re.compile(r"([+-]?)(\d[\d., ]*|[.,]\d+)")
_GROUPED = {separator: re.compile(rf"\d{{1,3}}(?:{re.escape(separator)}\d{{3}})+") for separator in ", ."}
_DECIMAL = {"fr": ","}
_PLAIN_SIGNS = str.maketrans({"−": "-", "–": "-", "،": ",", "，": ",", "．": ".", "＋": "+", "－": "-"})


def parse_number(text: str, lang: str) -> Decimal:
    """The number that was meant: "1,234.5" in English, "1 234,5" in French, "۱٬۲۳۴٫۵" in Persian."""
    typed = plain_digits(without_marks(text)).strip().translate(_PLAIN_SIGNS)
    arabic = "٬" in typed or "٫" in typed  # these two mean the same in every language
    typed = typed.replace("٬", ",").replace("٫", ".")
    typed = _SPACES.sub(" ", re.sub(r"^([+-])\s+", r"\1", typed))
    match = _NUMBER.fullmatch(typed) if len(typed) <= _MAX_TYPED else None
    number = _with_point(match[2].strip(), "en" if arabic else lang) if match else None
    if match is None or number is None:
        raise ValueError(_("is not a number: write it like %(example)s.",
                           example=Formats(lang).number(Decimal("1234.5"))))  # fmt: skip
    return Decimal(match[1] + number)


def _with_point(digits: str, lang: str) -> str | None:
    """Digits with a point for decimals and nothing else; None when the separators make no sense."""
    used = [sign for sign in ", ." if sign in digits]
    if not used:
        return digits
    point = _DECIMAL.get(lang, ".")
    last = max(used, key=digits.rindex)
    whole, _sign, places = digits.rpartition(last)
    if len(used) == 1 and _GROUPED[last].fullmatch(digits) and (last != point or digits.count(last) > 1):
        if lang == "fr" and last == "." and digits.count(".") == 1:
            raise ValueError(_("could be %(large)s or %(small)s. Write the one you mean without a point.",
                               large=whole + places, small=f"{whole},{places}"))  # fmt: skip
        return digits.replace(last, "")
    if last == " " or digits.count(last) > 1:
        return None
    if len(used) == 1:
        # The numeric pad of a French keyboard types a point.
        return f"{whole or 0}.{places or 0}" if last == point or lang == "fr" else None
    group = used[0] if used[1] == last else used[1]
    if len(used) > 2 or not places or not _GROUPED[group].fullmatch(whole):
        return None
    return f"{whole.replace(group, '')}.{places}"


# Money ---------------------------------------------------------------------------------------------------------------

_AMOUNT = re.compile(r"(?P<before>\D*?)(?P<number>[+-]?\s*[.,]?\d[\d.,٬٫\s'’]*)(?P<after>\D*)")
# What people call currencies beside their ISO codes and the signs that each language writes.
_CALLED: Mapping[str, str] = {
    "€": "EUR", "euro": "EUR", "euros": "EUR", "یورو": "EUR", "אירו": "EUR", "欧元": "EUR", "£": "GBP", "₪": "ILS",
    "שח": "ILS", "ریال": "IRR", "元": "CNY", "人民币": "CNY", "rmb": "CNY", "₹": "INR", "us$": "USD",
}  # fmt: skip
_SHARED: Mapping[str, tuple[str, ...]] = {
    "$": ("USD", "CAD", "AUD", "NZD", "HKD", "MXN", "SGD", "TWD"),
    "¥": ("CNY", "JPY"),
}
_TOMAN = {"تومان", "تومن", "toman", "tomans"}


def parse_money(text: str, lang: str, currency: str | None = None) -> tuple[Decimal, str | None]:
    """The amount and the currency it names: "1 200 €" is `(Decimal("1200"), "EUR")`; without a name it is `currency`.

    `currency` also settles signs that several currencies share, such as "$".
    """
    typed = plain_digits(without_marks(text)).strip().translate(_PLAIN_SIGNS)
    match = _AMOUNT.fullmatch(typed) if len(typed) <= _MAX_TYPED else None
    if match is None:
        return parse_number(typed, lang), currency  # which says how to write a number
    before, number = match["before"].strip(), match["number"]
    if before.startswith("-"):  # -€5
        before, number = before[1:], "-" + number
    amount = parse_number(number, lang)
    named = " ".join(part for part in (before.strip(), match["after"].strip()) if part)
    named = unicodedata.normalize("NFKC", named)
    return amount, _currency_called(named, lang, currency) if named else currency


def _currency_called(named: str, lang: str, currency: str | None) -> str:
    if named.upper() in currencies():
        return named.upper()
    called = named.casefold().translate({ord(char): None for char in "\"'׳״"})
    called = called.replace("ي", "ی")
    if called in _TOMAN:
        raise ValueError(_("is in toman: write it in rials, ten for each toman."))
    if currency in _SHARED.get(called, ()):
        return str(currency)
    if found := _signs(lang).get(called) or _CALLED.get(called):
        return found
    raise ValueError(_("names the currency '%(name)s', which could be more than one: write its code, such as EUR.",
                       name=named[:20]))  # fmt: skip


@functools.cache
def _signs(lang: str) -> Mapping[str, str]:
    """The signs Rapport itself writes in a language, where each stands for one currency."""
    from babel.numbers import get_currency_symbol

    signs: dict[str, str] = {}
    for code in sorted(currencies()):
        sign = get_currency_symbol(code, locale=LANGUAGES[lang].locale).casefold()
        signs[unicodedata.normalize("NFKC", without_marks(sign))] = "" if sign in signs else code
    return signs
