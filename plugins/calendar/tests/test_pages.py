"""The pages of the calendar, without a script: what stands where, for whom, and how much it costs."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

from rapport_calendar import Appointment, week
from rapport_calendar.week import Block

from rapport import Formats

NEW = "/calendar.appointment/new"


def block(top: int, bottom: int) -> Block:
    at = dt.datetime(2027, 3, 1, tzinfo=dt.UTC)
    return Block("x", "", "", "blue", at, at, top=top, bottom=bottom)


def test_what_is_at_the_same_time_stands_beside_each_other() -> None:
    blocks = [block(0, 8), block(2, 6), block(6, 10), block(12, 14), block(12, 14)]
    week.lay_out(blocks)
    assert [(each.top, each.lane, each.lanes) for each in blocks] == [
        (0, 0, 2), (2, 1, 2), (6, 1, 2), (12, 0, 2), (12, 1, 2),
    ]  # fmt: skip
    crowd = [block(0, 4) for _each in range(9)]
    week.lay_out(crowd)
    assert max(each.lane for each in crowd) == week.LANES - 1


def test_a_week_and_a_month_begin_as_the_reader_counts_them() -> None:
    day = dt.date(2027, 3, 24)  # a Wednesday, the fourth of Farvardin
    assert week.span_of("week", day, Formats("fa")).first == dt.date(2027, 3, 20)
    assert week.span_of("week", day, Formats("fr")).first == dt.date(2027, 3, 22)
    assert week.span_of("week", day, Formats("he")).first == dt.date(2027, 3, 21)
    persian = week.span_of("month", day, Formats("fa"))
    assert persian.first == dt.date(2027, 3, 20)
    assert week.month_of(day, "persian") == (dt.date(2027, 3, 21), dt.date(2027, 4, 20))
    assert week.title_of(persian, Formats("fa")) == "فروردین ۱۴۰۶"
    assert week.month_of(dt.date(2027, 3, 24), "hebrew") == (dt.date(2027, 3, 10), dt.date(2027, 4, 7))


def test_the_form_makes_and_changes_and_says_what_is_wrong(cal: Any) -> None:
    browser = cal.app.browser(cal.me)
    form = {
        "title": "Visit",
        "start_day": "2027-03-22",
        "start_time": "09:00",
        "end_time": "10:30",
        "zone": "Europe/Berlin",
        "repeats": "FREQ=WEEKLY",
        "until": "2027-04-12",
        "busy": "true",
    }
    assert cal.app.submit(browser, NEW, form).status_code == 303
    assert cal.seen("2027-03-01", "2027-05-01") == [
        f"2027-{day} 09:00 Visit" for day in ("03-22", "03-29", "04-05", "04-12")
    ]
    for wrong, said in (
        ({"start_time": "25:00"}, "needs a time of day"),
        ({"start_day": "soon"}, "is not a date"),
        ({"guests": "nobody"}, "nobody"),
        ({"end_day": "2027-03-20"}, "before the beginning"),
        ({"repeats": "own", "rule": "FREQ=SECONDLY"}, "must repeat"),
    ):
        refused = cal.app.submit(browser, NEW, {**form, **wrong})
        assert refused.status_code == 422, wrong
        assert said in refused.get_data(as_text=True), wrong
    with cal.app.site.read(cal.me) as reader:
        visit = reader.all(Appointment)[0]
    address = f"/calendar.appointment/{visit.id}/edit?at=2027-04-05T09:00:00"
    shown = browser.get(address).get_data(as_text=True)
    assert 'value="2027-04-05"' in shown
    changed = {
        **form,
        "start_day": "2027-04-06",
        "scope": "following",
        "at": "2027-04-05T09:00:00",
        "version": str(visit.version),
    }
    assert cal.app.submit(browser, address, changed).status_code == 303
    assert [each[5:10] for each in cal.seen("2027-03-01", "2027-05-01")] == ["03-22", "03-29", "04-06"]
    assert cal.app.submit(browser, address, changed).status_code in {404, 409}  # somebody else was quicker
    assert (
        cal.app.submit(browser, NEW, {**form, "repeats": "", "all_day": "true", "end_day": "2027-03-23"}).status_code
        == 303
    )
    page = browser.get("/calendar?view=week&on=2027-03-22").get_data(as_text=True)
    assert page.count("Visit") >= 3
    moved = {
        "id": str(visit.id),
        "at": "2027-03-29T09:00:00",
        "start": "2027-03-30T12:00",
        "scope": "one",
        "from": "drag",
    }
    assert cal.app.submit(browser, "/calendar/move", moved).headers["HX-Trigger"] == "calendar-changed"
    assert "2027-03-30 12:00 Visit" in cal.seen("2027-03-01", "2027-05-01")


def test_a_colleagues_private_time_shows_as_busy_and_no_more(cal: Any) -> None:
    people = cal.app.actors()
    cal.make("2027-03-01T09:00", actor=people.member, title="Doctor", private=True, place="Clinic")
    cal.make("2027-03-02T09:00", actor=people.member, title="Plan")
    for other in (people.stranger, people.manager, cal.app.admin):
        page = (
            cal.app.browser(other)
            .get(f"/calendar?view=week&on=2027-03-03&who={people.member.id}")
            .get_data(as_text=True)
        )
        assert "Busy" in page, other.name
        assert "Doctor" not in page, other.name
        assert "Clinic" not in page, other.name
        assert ("Plan" in page) == (other is not people.stranger), other.name
    api = cal.app.api(people.stranger).get(
        "/api/v1/calendar.free_busy",
        query_string={"user": people.member.id, "from": "2027-03-01T00:00:00Z", "to": "2027-03-08T00:00:00Z"},
    )
    assert [each["from"] for each in api.get_json()["items"][0]["busy"]] == [
        "2027-03-01T08:00:00+00:00",
        "2027-03-02T08:00:00+00:00",
    ]
    found = (
        cal.app.browser(cal.me)
        .get(f"/calendar/find?users={people.member.id}&since=2027-03-01&minutes=60")
        .get_data(as_text=True)
    )
    assert "10:00" in found
    assert "9:00" not in found.split("March 2")[0]


def test_a_view_costs_the_same_whatever_is_in_it(cal: Any, remembering: None) -> None:
    browser = cal.app.browser(cal.me)
    noa = cal.app.user("Noa")
    browser.get("/calendar")
    counts = []
    for number in (1, 12):
        for hour in range(number):
            cal.make(f"2027-03-0{1 + hour % 5}T{8 + hour % 9:02}:00", rule="FREQ=WEEKLY")
            cal.make("2027-03-01T09:00", actor=noa)
        with cal.app.queries() as sent:
            assert browser.get(f"/calendar?view=month&on=2027-03-03&who={noa.id}").status_code == 200
        counts.append(len(sent))
    assert counts[0] == counts[1]


def test_a_file_is_taken_in_by_its_page_and_a_day_is_read_as_it_is_written(cal: Any) -> None:
    browser = cal.app.browser(cal.me)
    lines = ["BEGIN:VCALENDAR", "BEGIN:VEVENT", "UID:7", "SUMMARY:Fair", "DTSTART;VALUE=DATE:20270301", "END:VEVENT"]
    data = "\r\n".join([*lines, "BEGIN:VEVENT", "END:VEVENT", ""]).encode()
    page = cal.app.submit(browser, "/calendar/import", {"file": (io.BytesIO(data), "a.ics")}).get_data(as_text=True)
    assert "Line 7" in page
    assert "does not say when it begins" in page
    assert cal.seen("2027-03-01", "2027-03-02") == ["2027-03-01 00:00 Fair"]
    darya = cal.app.user("Darya", language="fa", time_zone="Asia/Tehran")
    form = {"title": "دیدار", "start_day": "۱۴۰۶/۰۱/۰۱", "start_time": "۰۹:۳۰", "end_time": "۱۰:۰۰", "busy": "true"}
    assert cal.app.submit(cal.app.browser(darya), NEW, form).status_code == 303
    with cal.app.site.read(darya) as reader:
        made = reader.all(Appointment, Appointment.owner_id == darya.id)[0]
    assert (made.starts_local, made.zone) == ("2027-03-21T09:30:00", "Asia/Tehran")
