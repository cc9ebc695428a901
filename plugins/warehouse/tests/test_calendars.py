"""The days of the warehouse agree with the calendars they are counted by."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import random
import time
from zoneinfo import ZoneInfo

import duckdb
import pyarrow
import pytest
from duckdb_engine import Dialect
from rapport_warehouse import clocks
from rapport_warehouse.calendars import COLUMNS, as_dicts, days
from sqlalchemy import column, select, text

from rapport.i18n.calendars import date_of, is_hebrew_leap, parts


def by_day(since: dt.date, until: dt.date, **options: int) -> dict[dt.date, dict[str, int | str]]:
    """The rows of these days, by the day."""
    return {row["day"]: row for row in as_dicts(days(since, until, **options))}


# Jean Meeus, Astronomical Algorithms (1991), chapter 26, table C: amplitude, phase and speed of 24 terms.
MEEUS = [
    (485, 324.96, 1934.136), (203, 337.23, 32964.467), (199, 342.08, 20.186), (182, 27.85, 445267.112),
    (156, 73.14, 45036.886), (136, 171.52, 22518.443), (77, 222.54, 65928.934), (74, 296.72, 3034.906),
    (70, 243.58, 9037.513), (58, 119.81, 33718.147), (52, 297.17, 150.678), (50, 21.02, 2281.226),
    (45, 247.54, 29929.562), (44, 325.15, 31555.956), (29, 60.93, 4443.417), (18, 155.12, 67555.328),
    (17, 288.79, 4562.452), (16, 198.04, 62894.029), (14, 199.76, 31436.921), (12, 95.39, 14577.848),
    (12, 287.11, 31931.756), (12, 320.81, 34777.259), (9, 227.73, 1222.114), (8, 15.45, 16859.074),
]  # fmt: skip


def spring_equinox(year: int) -> dt.datetime:
    """The moment, to a minute, in the time of Iran (3.5 hours before that of Greenwich)."""
    y = (year - 2000) / 1000
    mean = 2451623.80984 + 365242.37404 * y + 0.05169 * y**2 - 0.00411 * y**3 - 0.00057 * y**4
    t = (mean - 2451545) / 36525
    w = math.radians(35999.373 * t - 2.47)
    turned = sum(a * math.cos(math.radians(b + c * t)) for a, b, c in MEEUS)
    moment = mean + 0.00001 * turned / (1 + 0.0334 * math.cos(w) + 0.0007 * math.cos(2 * w))
    return dt.datetime(2000, 1, 1, 12, tzinfo=dt.UTC) + dt.timedelta(days=moment - 2451545, seconds=-69, hours=3.5)


def test_the_jalali_year_begins_on_the_day_whose_noon_follows_the_equinox():
    since, until = dt.date(1921, 3, 1), dt.date(2122, 4, 1)
    starts = {day.year: day for day, row in by_day(since, until).items()
              if (row["jalali_month"], row["jalali_day"]) == (1, 1)}  # fmt: skip
    assert sorted(starts) == list(range(1921, 2123))
    for year, day in starts.items():
        equinox = spring_equinox(year)
        assert day == equinox.date() + dt.timedelta(days=equinox.hour >= 12), (year, equinox)


def test_every_jalali_day_from_1300_to_1500_is_where_the_library_puts_it():
    since, until = date_of(1300, 1, 1, "persian"), date_of(1500, 12, 29, "persian")
    rows = by_day(since, until)
    months: dict[tuple[int, int], int] = {}
    for day, row in rows.items():
        mine = (row["jalali_year"], row["jalali_month"], row["jalali_day"])
        assert mine == parts(day, "persian")
        months[mine[:2]] = max(months.get(mine[:2], 0), mine[2])
    # The rule by hand: six months of 31 days, five of 30, and Esfand has 30 in leap years.
    for (_year, month), length in months.items():
        assert length == 31 if month <= 6 else length == 30 if month < 12 else length in {29, 30}
    leap = [year for (year, month), length in months.items() if month == 12 and length == 30]
    # As the calendar of Iran was and will be, by the spring equinox: every fourth year, sometimes the fifth.
    assert {1370, 1375, 1379, 1383, 1387, 1391, 1395, 1399, 1403, 1408, 1412} <= set(leap)
    assert {1371, 1374, 1376, 1400, 1404, 1407, 1409}.isdisjoint(leap)
    assert {later - earlier for earlier, later in itertools.pairwise(leap)} == {4, 5}


@pytest.mark.parametrize(
    ("day", "jalali"),
    [
        (dt.date(1979, 2, 11), (1357, 11, 22)),  # 22 Bahman 1357
        (dt.date(2000, 3, 20), (1379, 1, 1)),
        (dt.date(2021, 3, 20), (1399, 12, 30)),
        (dt.date(2021, 3, 21), (1400, 1, 1)),
        (dt.date(2025, 3, 20), (1403, 12, 30)),
        (dt.date(2026, 11, 27), (1405, 9, 6)),
    ],
)
def test_days_everybody_in_iran_knows(day, jalali):
    row = by_day(day, day)[day]
    assert (row["jalali_year"], row["jalali_month"], row["jalali_day"]) == jalali
    assert row["jalali_key"] == f"{jalali[0]}-{jalali[1]:02}"


def test_every_hebrew_day_is_where_the_library_puts_it_and_months_sort_within_their_year():
    rows = by_day(dt.date(1989, 1, 1), dt.date(2041, 12, 31))
    key = ""
    for day, row in rows.items():
        assert (row["hebrew_year"], row["hebrew_month"], row["hebrew_day"]) == parts(day, "hebrew")
        assert key <= row["hebrew_key"]
        key = str(row["hebrew_key"])


@pytest.mark.parametrize(
    ("day", "year", "month", "number", "place"),
    [
        (dt.date(2024, 2, 10), 5784, 12, 1, 6),  # the first Adar of a leap year
        (dt.date(2024, 3, 11), 5784, 13, 1, 7),  # the second
        (dt.date(2024, 4, 9), 5784, 1, 1, 8),  # Nisan
        (dt.date(2024, 10, 3), 5785, 7, 1, 1),  # Rosh Hashanah
        (dt.date(2025, 3, 1), 5785, 12, 1, 6),  # the one Adar of a common year
        (dt.date(2025, 3, 30), 5785, 1, 1, 7),
        (dt.date(2026, 9, 12), 5787, 7, 1, 1),
    ],
)
def test_leap_years_have_two_months_of_adar(day, year, month, number, place):
    row = by_day(day, day)[day]
    assert (row["hebrew_year"], row["hebrew_month"], row["hebrew_day"], row["hebrew_place"]) == (
        year, month, number, place,
    )  # fmt: skip


def test_a_hebrew_year_has_twelve_or_thirteen_months():
    rows = by_day(date_of(5750, 7, 1, "hebrew"), date_of(5800, 6, 29, "hebrew"))
    places: dict[int, set[int]] = {}
    for row in rows.values():
        places.setdefault(int(row["hebrew_year"]), set()).add(int(row["hebrew_place"]))
    assert sorted(places) == list(range(5750, 5801))
    for year, seen in places.items():
        assert seen == set(range(1, 14 if is_hebrew_leap(year) else 13))
    assert is_hebrew_leap(5784)
    assert not is_hebrew_leap(5785)


@pytest.mark.parametrize(
    ("day", "week", "weekday"),
    [
        (dt.date(2020, 12, 31), "2020-W53", 4),
        (dt.date(2021, 1, 3), "2020-W53", 7),
        (dt.date(2021, 1, 4), "2021-W01", 1),
        (dt.date(2024, 12, 29), "2024-W52", 7),
        (dt.date(2024, 12, 30), "2025-W01", 1),
        (dt.date(2027, 1, 1), "2026-W53", 5),
    ],
)
def test_weeks_belong_to_the_year_that_has_their_thursday(day, week, weekday):
    row = by_day(day, day)[day]
    assert (row["week_key"], row["weekday"]) == (week, weekday)


@pytest.mark.parametrize(
    ("start", "day", "year", "period", "quarter"),
    [
        (1, dt.date(2026, 12, 31), 2026, 12, 4),
        (4, dt.date(2026, 3, 31), 2026, 12, 4),
        (4, dt.date(2026, 4, 1), 2027, 1, 1),
        (7, dt.date(2026, 6, 30), 2026, 12, 4),
        (7, dt.date(2026, 7, 1), 2027, 1, 1),
        (10, dt.date(2026, 9, 30), 2026, 12, 4),
        (10, dt.date(2026, 11, 27), 2027, 2, 1),
    ],
)
def test_a_fiscal_year_has_the_name_of_the_year_it_ends_in(start, day, year, period, quarter):
    row = by_day(day, day, fiscal_start=start)[day]
    assert (row["fiscal_year"], row["fiscal_period"], row["fiscal_quarter"]) == (year, period, quarter)
    assert row["fiscal_key"] == f"{year}-P{period:02}"


def test_no_month_begins_a_fiscal_year_but_one_of_twelve():
    with pytest.raises(ValueError, match="begins with a month from 1 to 12, not with 13"):
        days(fiscal_start=13)


def test_there_is_a_row_for_each_day_and_making_them_all_takes_no_second():
    begun = time.process_time()
    rows = days(dt.date(1990, 1, 1), dt.date(2036, 12, 31))
    assert time.process_time() - begun < 1
    assert [row[0] for row in rows] == [dt.date(1990, 1, 1) + dt.timedelta(days=n) for n in range(17_167)]
    assert {len(row) for row in rows} == {len(COLUMNS)}


def test_clocks_show_what_python_says_they_do():
    chance = random.Random(7)
    end = dt.datetime(dt.datetime.now(dt.UTC).year + 2, 1, 1, tzinfo=dt.UTC)
    span = int((end - clocks.FIRST).total_seconds())
    some = [clocks.FIRST + dt.timedelta(seconds=chance.randrange(span)) for _ in range(500)]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for zone in (
            "UTC",
            "Europe/Paris",
            "Asia/Tehran",
            "Africa/Casablanca",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
        ):
            changed = [moment for moment, _ahead in clocks.offsets(zone, end)]
            assert (len(changed) > 20) == (zone not in {"UTC", "Asia/Kathmandu"})
            moments = [*some, *changed, *(moment - dt.timedelta(seconds=1) for moment in changed[1:])]
            connection.register("asked", pyarrow.table({"moment": moments}))
            shown = connection.execute(str(
                select(column("moment"), clocks.clock_time(zone, column("moment"))).select_from(text("asked"))
                .compile(dialect=Dialect())
            )).fetchall()  # fmt: skip
            for moment, clock in shown:
                assert clock == moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None), (zone, moment)
