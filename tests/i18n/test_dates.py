"""Dates are written in every calendar and language, and what is written can be read again."""

import datetime as dt
import itertools
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.i18n import time_zones
from rapport.i18n.calendars import CALENDARS, date_of, month_name, parts
from rapport.i18n.catalogs import LANGUAGES
from rapport.i18n.formats import Formats
from rapport.i18n.reading import parse_date
from tests.architecture.subjects import sources

MONDAY = dt.date(2026, 11, 23)
DAYS = st.dates(dt.date(1930, 1, 1), dt.date(2120, 12, 31))


@pytest.mark.parametrize(
    ("lang", "calendar", "short", "long"),
    [
        ("en", "gregorian", "2026-11-23", "November 23, 2026"),
        ("fr", "gregorian", "23/11/2026", "23 novembre 2026"),
        ("fa", "gregorian", "۲۰۲۶/۱۱/۲۳", "۲۳ نوامبر ۲۰۲۶"),
        ("he", "gregorian", "23.11.2026", "23 בנובמבר 2026"),
        ("zh", "gregorian", "2026/11/23", "2026年11月23日"),
        ("en", "persian", "1405/09/02", "2 Azar 1405"),
        ("fr", "persian", "1405/09/02", "2 azar 1405"),
        ("fa", "persian", "۱۴۰۵/۰۹/۰۲", "۲ آذر ۱۴۰۵"),
        ("he", "persian", "1405/09/02", "2 באזר 1405"),
        ("zh", "persian", "1405/09/02", "1405年阿扎尔月2日"),
        ("en", "hebrew", "13 Kislev 5787", "13 Kislev 5787"),
        ("fr", "hebrew", "13 kislev 5787", "13 kislev 5787"),
        ("fa", "hebrew", "۱۳ کسلو ۵۷۸۷", "۱۳ کسلو ۵۷۸۷"),
        ("he", "hebrew", "י״ג בכסלו תשפ״ז", "י״ג בכסלו תשפ״ז"),
        ("zh", "hebrew", "5787年基斯流月13日", "5787年基斯流月13日"),
    ],
)
def test_a_day_is_written_as_its_reader_writes_it(lang, calendar, short, long):
    formats = Formats(lang, calendar=calendar)
    assert (formats.date(MONDAY, "short"), formats.date(MONDAY, "long")) == (short, long)


@pytest.mark.parametrize(
    ("lang", "full"),
    [
        ("en", "Monday, November 23, 2026"),
        ("fr", "lundi 23 novembre 2026"),
        ("fa", "دوشنبه ۲ آذر ۱۴۰۵"),
        ("he", "יום שני, 23 בנובמבר 2026"),
        ("zh", "2026年11月23日星期一"),
    ],
)
def test_the_full_form_names_the_day_of_the_week(lang, full):
    assert Formats(lang).date(MONDAY, "full") == full


def test_a_hebrew_date_stands_beside_the_usual_one_on_request():
    formats = Formats("he")
    assert formats.date(MONDAY) == "23 בנוב׳ 2026"
    assert formats.date(MONDAY, calendar="hebrew") == "י״ג בכסלו תשפ״ז"


@given(
    day=DAYS,
    lang=st.sampled_from(sorted(LANGUAGES)),
    calendar=st.sampled_from(sorted(CALENDARS)),
    form=st.sampled_from(["short", "medium", "long", "full"]),
)
def test_every_date_we_write_we_can_read(day, lang, calendar, form):
    assert parse_date(Formats(lang, calendar=calendar).date(day, form), lang, calendar) == day


@given(day=DAYS, lang=st.sampled_from(sorted(LANGUAGES)), calendar=st.sampled_from(sorted(CALENDARS)))
def test_the_iso_form_is_read_everywhere(day, lang, calendar):
    assert parse_date(day.isoformat(), lang, calendar) == parse_date(f"{day:%Y%m%d}", lang, calendar) == day


# Persian: published first and last days of years, and the 33-year rule worked out here on its own.


@pytest.mark.parametrize(
    ("persian", "gregorian"),
    [
        ((1300, 1, 1), "1921-03-21"),
        ((1357, 11, 22), "1979-02-11"),
        ((1399, 12, 30), "2021-03-20"),
        ((1400, 1, 1), "2021-03-21"),
        ((1403, 1, 1), "2024-03-20"),
        ((1403, 12, 30), "2025-03-20"),
        ((1404, 1, 1), "2025-03-21"),
        ((1404, 12, 29), "2026-03-20"),
        ((1408, 12, 30), "2030-03-20"),
        ((1409, 1, 1), "2030-03-21"),
    ],
)
def test_persian_days_fall_where_the_almanac_says(persian, gregorian):
    day = dt.date.fromisoformat(gregorian)
    assert parts(day, "persian") == persian
    assert date_of(*persian, "persian") == day


def test_every_persian_day_from_1300_to_1500_keeps_step_with_the_33_year_rule():
    day = dt.date(1921, 3, 21)
    for year in range(1300, 1501):
        leap = (25 * year + 11) % 33 < 8
        for month in range(1, 13):
            for number in range(1, (31 if month < 7 else 30 if month < 12 or leap else 29) + 1):
                assert parts(day, "persian") == (year, month, number)
                assert date_of(year, month, number, "persian") == day
                day += dt.timedelta(1)


@pytest.mark.parametrize(
    "typed",
    [
        "1405/9/2",
        "1405-09-02",
        "۱۴۰۵/۹/۲",
        "١٤٠٥/٩/٢",
        "2/9/1405",
        "۲ آذر ۱۴۰۵",
        "2 Azar 1405",
        "دوشنبه، ۲ آذر ۱۴۰۵",
        "سه شنبه ۲ آذر ۱۴۰۵",
        "2026-11-23",
        "۲۳ نوامبر ۲۰۲۶",
    ],
)
def test_persian_users_type_dates_as_they_like(typed):
    assert parse_date(typed, "fa") == MONDAY


def test_esfand_has_thirty_days_only_in_leap_years():
    assert parse_date("1403/12/30", "fa") == dt.date(2025, 3, 20)
    with pytest.raises(ValueError, match="is not a day of the Persian calendar"):
        parse_date("1404/12/30", "fa")


# Hebrew: feasts everybody can look up.


@pytest.mark.parametrize(
    ("hebrew", "gregorian", "written"),
    [
        ((5785, 7, 1), "2024-10-03", "א׳ בתשרי תשפ״ה"),
        ((5787, 7, 1), "2026-09-12", "א׳ בתשרי תשפ״ז"),
        ((5784, 12, 14), "2024-02-23", "י״ד באדר א׳ תשפ״ד"),
        ((5784, 13, 14), "2024-03-24", "י״ד באדר ב׳ תשפ״ד"),
        ((5785, 12, 14), "2025-03-14", "י״ד באדר תשפ״ה"),
        ((5786, 1, 15), "2026-04-02", "ט״ו בניסן תשפ״ו"),
    ],
)
def test_hebrew_days_fall_where_the_almanac_says(hebrew, gregorian, written):
    day = dt.date.fromisoformat(gregorian)
    assert parts(day, "hebrew") == hebrew
    assert date_of(*hebrew, "hebrew") == day
    assert Formats("he", calendar="hebrew").date(day, "long") == written


def test_leap_years_have_two_months_of_adar():
    assert parse_date("14 Adar II 5784", "en", "hebrew") == dt.date(2024, 3, 24)
    assert parse_date("י״ד באדר א׳ ה׳תשפ״ד", "he", "hebrew") == dt.date(2024, 2, 23)
    with pytest.raises(ValueError, match="leap years have Adar I and Adar II"):
        parse_date("14 Adar 5784", "en", "hebrew")
    with pytest.raises(ValueError, match="leap years have Adar I and Adar II"):
        parse_date("14 Adar I 5785", "en", "hebrew")


def test_every_month_has_its_own_name_in_every_language():
    for lang, calendar in itertools.product(LANGUAGES, ("persian", "hebrew")):
        year = {"persian": 1405, "hebrew": 5784}[calendar]
        names = [month_name(year, month, calendar, lang) for month in range(1, 13 if calendar == "persian" else 14)]
        assert len(set(names)) == len(names)


# What people type


@pytest.mark.parametrize(
    ("lang", "typed"),
    [
        ("en", "Nov 23, 2026"),
        ("en", "23 November 2026"),
        ("en", "Monday, November 23rd, 2026"),
        ("en", "11/23/2026"),
        ("en", "23.11.2026"),
        ("en", " 23 nov. 2026 "),
        ("en", "2026/11/23"),
        ("fr", "23/11/2026"),
        ("fr", "23.11.2026"),
        ("fr", "lundi 23 novembre 2026"),
        ("fr", "23 nov. 2026"),
        ("fr", "23 NOVEMBRE 2026"),
        ("he", "23.11.2026"),
        ("he", "23 בנובמבר 2026"),
        ("he", "23 נובמבר 2026"),
        ("zh", "2026年11月23日"),
        ("zh", "2026-11-23"),
        ("zh", "２０２６年１１月２３日"),
        ("zh", "2026 年 11 月 23 号"),
        ("fr", "\u200e23/11/2026\u200f"),
    ],
)
def test_usual_ways_of_typing_a_date_are_read(lang, typed):
    assert parse_date(typed, lang) == MONDAY


def test_the_first_of_may_has_its_french_ending():
    assert parse_date("1er mai 2026", "fr") == dt.date(2026, 5, 1)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_date_that_could_be_two_days_is_refused_with_a_way_out(lang):
    with pytest.raises(ValueError, match=r"could be the 3 or the 4 of the month. Write it like 2026-03-04."):
        parse_date("03/04/2026", lang)
    assert parse_date("03/04/2026", "fr") == dt.date(2026, 4, 3)
    assert parse_date("04/04/2026", lang) == dt.date(2026, 4, 4)


@pytest.mark.parametrize(
    ("lang", "typed", "message"),
    [
        ("en", "soon", "is not a date: write it like 2026-11-23."),
        ("en", "", "is not a date"),
        ("en", "23 November", "is not a date"),
        ("en", "1/2/3/2026", "is not a date"),
        ("en", "2026-11-23T10:00", "is not a date"),
        ("en", "x" * 1000, "is not a date"),
        ("fr", "23/11/26", "needs its year with four digits: write it like 23/11/2026."),
        ("fr", "31/02/2026", "is not a day of the Gregorian calendar: check it, or write it like 23/11/2026."),
        ("en", "1405-09-02", "has the year 1405, which is too far away in the Gregorian calendar."),
        ("fa", "۹۹/۱/۲", "needs its year with four digits: write it like ۱۴۰۵/۰۹/۰۲."),
        ("en", "14 Kislev 2026", "has the year 2026, which is too far away in the Hebrew calendar."),
        ("en", "٣٢ November 2026", "is not a day of the Gregorian calendar"),
    ],
)
def test_what_is_no_date_is_refused_with_an_example(lang, typed, message):
    with pytest.raises(ValueError) as refusal:
        parse_date(typed, lang)
    assert str(refusal.value).startswith(message)


@given(st.text(max_size=40), st.sampled_from(sorted(LANGUAGES)), st.sampled_from(sorted(CALENDARS)))
def test_nothing_typed_can_break_the_reading_of_dates(typed, lang, calendar):
    try:
        assert isinstance(parse_date(typed, lang, calendar), dt.date)
    except ValueError as refusal:
        assert str(refusal).endswith(".")  # noqa: PT017 - either is fine, a crash is not


# Moments


def test_moments_are_shown_in_the_zone_of_the_reader_across_daylight_saving():
    before, after = (dt.datetime(2026, 3, 29, hour, 30, tzinfo=dt.UTC) for hour in (0, 1))
    paris = Formats("fr", "Europe/Paris")
    assert [paris.time(before), paris.time(after)] == ["01:30", "03:30"]
    assert paris.instant(after, "short") == "29/03/2026, 03:30"
    autumn = dt.datetime(2026, 10, 25, 1, 30, tzinfo=dt.UTC)
    assert [paris.time(autumn - dt.timedelta(hours=1)), paris.time(autumn)] == ["02:30", "02:30"]


def test_a_moment_is_already_tomorrow_in_tehran():
    at = dt.datetime(2026, 11, 22, 21, 0, tzinfo=dt.UTC)
    assert Formats("fa", "Asia/Tehran").instant(at) == "۲ آذر ۱۴۰۵،\u200f ۰:۳۰"
    assert Formats("en", "UTC").instant(at).replace("\u202f", " ") == "Nov 22, 2026, 9:00 PM"


def test_a_moment_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="needs a time zone"):
        Formats("en").instant(dt.datetime(2026, 11, 23, 10, 0))  # noqa: DTZ001 - the point of the test


@pytest.mark.parametrize(
    ("lang", "past", "future"),
    [
        ("en", "3 days ago", "in 3 days"),
        ("fr", "il y a 3 jours", "dans 3 jours"),
        ("fa", "۳ روز پیش", "۳ روز دیگر"),
        ("he", "לפני 3 ימים", "בעוד 3 ימים"),
        ("zh", "3天前", "3天后"),
    ],
)
def test_how_far_away_something_is_said_in_words(lang, past, future):
    now = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
    formats = Formats(lang)
    assert formats.relative(now - dt.timedelta(days=3), now) == past
    assert formats.relative((now + dt.timedelta(days=3)).date(), now) == future


def test_what_is_due_today_depends_on_where_the_reader_is():
    now = dt.datetime(2026, 11, 23, 22, tzinfo=dt.UTC)
    assert Formats("en", "UTC").relative(MONDAY, now) == "today"
    assert Formats("en", "Asia/Shanghai").relative(MONDAY, now) == "yesterday"
    assert Formats("en").relative(now + dt.timedelta(seconds=20), now) == "just now"


def test_weeks_begin_where_the_reader_expects():
    assert {lang: Formats(lang).first_weekday for lang in LANGUAGES} == {"en": 0, "fr": 0, "fa": 5, "he": 6, "zh": 0}
    assert Formats("he").weekend == (4, 5)
    assert Formats("fa").weekend == (4,)
    assert Formats("fr").weekdays()[:2] == ["lundi", "mardi"]


def test_the_machine_is_asked_for_its_time_zones_once_and_in_one_place(monkeypatch: pytest.MonkeyPatch):
    """Each time it looks into six hundred files: four to thirty milliseconds of every appointment and account page."""
    assert {"Europe/Paris", "Asia/Tehran", "UTC"} <= time_zones()
    monkeypatch.setattr(zoneinfo, "available_timezones", lambda: pytest.fail("the machine is asked again"))
    assert "Asia/Shanghai" in time_zones()
    assert [module.path for module in sources() if "available_timezones" in module.text] == [
        "core/rapport/i18n/__init__.py"
    ]
