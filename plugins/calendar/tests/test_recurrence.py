"""When something that repeats takes place: on the clock of its zone, five years long, wherever clocks are changed."""

from __future__ import annotations

import datetime as dt
import itertools
import time

import pytest
from rapport_calendar import recurrence, zones


def local(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def walked(start: str, rule: str, zone: str = "UTC", until: str = "2100-01-01", **facts: list[str]) -> list[str]:
    kept = recurrence.tidy(rule)
    times = recurrence.walk(local(start), kept, zone=zone, after=local(start), before=local(until), **facts)
    return [recurrence.key(each)[:16] for each in times]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe"])
def test_nine_in_the_morning_stays_nine_for_five_years_though_clocks_change(zone: str) -> None:
    start = local("2026-01-05T09:00")
    times = recurrence.walk(start, "FREQ=WEEKLY", zone=zone, after=start, before=local("2031-01-06T00:00"))
    moments = [zones.instant_of(each, zone) for each in times]
    assert len(moments) == 261
    assert {zones.local_of(each, zone).time() for each in moments} == {dt.time(9)}
    assert len({each.time() for each in moments}) == 2  # and so it is not the same hour of UTC
    assert all(
        dt.timedelta(days=6, hours=22) < b - a < dt.timedelta(days=7, hours=2) for a, b in itertools.pairwise(moments)
    )


def test_a_time_that_clocks_skip_is_an_hour_later_on_that_day_alone() -> None:
    times = recurrence.walk(local("2026-03-27T02:30"), "FREQ=DAILY", zone="Europe/Berlin",
                            after=local("2026-03-27T00:00"), before=local("2026-03-31T00:00"))  # fmt: skip
    moments = [zones.instant_of(each, "Europe/Berlin") for each in times]
    assert [f"{each:%dT%H:%M}" for each in moments] == ["27T01:30", "28T01:30", "29T01:30", "30T00:30"]
    shown = [zones.local_of(each, "Europe/Berlin") for each in moments]
    assert [f"{each:%d %H:%M}" for each in shown] == ["27 02:30", "28 02:30", "29 03:30", "30 02:30"]


def test_a_time_that_clocks_show_twice_is_the_first_of_the_two() -> None:
    assert zones.instant_of(local("2026-10-25T02:30"), "Europe/Berlin") == dt.datetime(
        2026, 10, 25, 0, 30, tzinfo=dt.UTC
    )
    assert zones.instant_of(local("2026-04-05T01:45"), "Australia/Lord_Howe") == dt.datetime(
        2026, 4, 4, 14, 45, tzinfo=dt.UTC
    )


@pytest.mark.parametrize(
    ("start", "rule", "times"),
    [
        ("2026-01-31T10:00", "FREQ=MONTHLY;COUNT=3", ["2026-01-31T10:00", "2026-03-31T10:00", "2026-05-31T10:00"]),
        ("2026-01-30T10:00", "FREQ=MONTHLY;BYDAY=-1FR;COUNT=2", ["2026-01-30T10:00", "2026-02-27T10:00"]),
        ("2024-02-29T08:00", "FREQ=YEARLY;COUNT=3", ["2024-02-29T08:00", "2028-02-29T08:00", "2032-02-29T08:00"]),
        ("2026-11-02T09:00", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;COUNT=4",
         ["2026-11-02T09:00", "2026-11-04T09:00", "2026-11-16T09:00", "2026-11-18T09:00"]),
        ("2026-11-02T09:00", "FREQ=WEEKLY;UNTIL=20261109T080000Z", ["2026-11-02T09:00", "2026-11-09T09:00"]),
    ],
)  # fmt: skip
def test_rules_are_followed_as_calendars_mean_them(start: str, rule: str, times: list[str]) -> None:
    assert walked(start, rule, zone="Europe/Berlin") == times


def test_a_series_of_twenty_years_is_walked_from_where_one_looks() -> None:
    start = local("2006-01-02T09:00")
    found = recurrence.walk(start, "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,FR", zone="UTC", after=local("2026-11-01T00:00"),
                            before=local("2026-12-01T00:00"))  # fmt: skip
    whole = recurrence.times(start, "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,FR", "UTC", most=5000)
    assert found == [each for each in whole if local("2026-11-01T00:00") <= each < local("2026-12-01T00:00")]
    assert found


@pytest.mark.parametrize("rule", ["FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=WEEKLY;BYMONTH=4;BYMONTHDAY=31"])
def test_a_rule_that_never_comes_true_is_found_out_soon(rule: str) -> None:
    begun = time.monotonic()
    assert not recurrence.ever(local("2026-01-01T09:00"), recurrence.tidy(rule), "UTC")
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "rule",
    ["FREQ=SECONDLY", "FREQ=HOURLY;BYHOUR=1", "FREQ=DAILY;COUNT=3;UNTIL=20270101", "FREQ=DAILY;INTERVAL=0", "BYDAY=MO",
     "FREQ=DAILY;COUNT=99999999999", "FREQ=WEEKLY;BYDAY=XX", "FREQ=DAILY;BYHOUR=1,2,3", "FREQ=DAILY;UNTIL=20261345",
     "FREQ=DAILY;X-MANY=1", "FREQ=DAILY;" + "BYDAY=MO;" * 60, "FREQ=DAILY;BYEASTER=1"],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused_with_a_reason(rule: str) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        recurrence.tidy(rule)


def test_no_window_makes_a_series_endless() -> None:
    found = recurrence.walk(local("1900-01-01T00:00"), "FREQ=DAILY", zone="UTC", after=local("1900-01-01T00:00"),
                            before=local("2199-01-01T00:00"))  # fmt: skip
    assert len(found) == recurrence.MOST


def test_a_series_that_moves_to_another_weekday_takes_its_rule_along() -> None:
    assert recurrence.turned("FREQ=WEEKLY;BYDAY=MO,SU", dt.timedelta(days=1)) == "FREQ=WEEKLY;BYDAY=MO,TU"
    assert recurrence.turned("FREQ=MONTHLY;BYDAY=1MO", dt.timedelta(days=1)) == "FREQ=MONTHLY;BYDAY=1MO"


def test_outlooks_names_of_zones_are_understood_and_nonsense_is_not() -> None:
    assert zones.known("W. Europe Standard Time") == "Europe/Berlin"
    assert zones.known("/freeassociation.sourceforge.net/Tzfile/Europe/Vienna") == "Europe/Vienna"
    assert zones.known("America/Argentina/Buenos_Aires") == "America/Argentina/Buenos_Aires"
    assert zones.known("../../etc/passwd") is None
    assert zones.known("Mars/Phobos") is None
