"""Files of other calendars: what comes in, what is refused and why, and that what goes out comes in again the same."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar
from rapport_calendar import Appointment, Attendee, ical, imports, recurrence, service
from rapport_calendar.occurrences import occurrences
from sqlalchemy import event

SAMPLES = Path(__file__).parent / "samples"
SHARED = Path(os.environ.get("RAPPORT_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "data/08_calendars"


def file(*lines: str, event: bool = True) -> bytes:
    """A file with one event of these lines."""
    body = ["BEGIN:VEVENT", "UID:1@example.org", "DTSTART:20260323T080000Z", *lines, "END:VEVENT"] if event else lines
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", *body, "END:VCALENDAR", ""]).encode()


def test_every_sample_comes_in_or_is_refused_with_its_line_and_the_reason(cal: Any) -> None:
    came: dict[str, tuple[int, list[str]]] = {}
    for path in sorted(SAMPLES.glob("*.ics")):
        with cal.write() as unit:
            taken = imports.take(unit, path.read_bytes())
        came[path.stem] = (taken.made, [f"{each.line}: {each.reason}" for each in taken.refusals])
    assert came["america_new_york"] == (1, [])
    assert came["issue_313_globally_unique_tzid"] == (3, [])
    assert came["issue_165_missing_event"] == (1, [])
    assert came["broken_dtstart"][1][0].startswith("4: DTSTART cannot be read")
    assert came["rfc_7529"][1][0] == "5: Its rule of recurrence has a part that is not known: RSCALE."
    assert came["rfc_7265_appendix_example_2_ical"] == (2, [])
    with cal.app.site.read(cal.me) as reader:
        found = {each.title: each for each in reader.all(Appointment)}
    assert found["an event with a custom tz name"].zone in {"America/New_York", "Pacific/Fiji"}
    assert found["TESTIN"].all_day is False
    assert found["Event #2"].owner_id == cal.me.id


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the collection of calendars in ../shared/data/08_calendars")
def test_every_file_of_the_collection_comes_in_or_is_refused_with_a_reason(cal: Any) -> None:
    paths = sorted(SHARED.rglob("*.ics"))
    made = refused = 0
    for path in paths:
        with cal.write() as unit:
            taken = imports.take(unit, path.read_bytes())
        assert taken.made or taken.same or taken.changed or taken.refusals, path.name
        assert all(each.line > 0 and len(each.reason) > 10 for each in taken.refusals), path.name
        made, refused = made + taken.made, refused + len(taken.refusals)
    assert len(paths) == 150
    assert made > 60
    assert refused > 80
    begun = time.monotonic()
    with cal.app.site.read(cal.me) as reader:
        for year in range(1996, 2032):
            occurrences(reader, dt.datetime(year, 1, 1, tzinfo=dt.UTC), dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC))
        written = ical.write(reader.all(Appointment))
    assert time.monotonic() - begun < 30
    assert len(ical.read(written).events) > 60


def test_the_same_file_twice_is_the_same_appointments_and_a_later_one_changes_them(cal: Any) -> None:
    with cal.write() as unit:
        assert imports.take(unit, file("SUMMARY:Visit")).made == 1
    with cal.write() as unit:
        assert imports.take(unit, file("SUMMARY:Visit")).same == 1
        assert imports.take(unit, file("SUMMARY:Long visit", "SEQUENCE:1", "DURATION:PT3H")).changed == 1
    assert cal.seen("2026-03-23", "2026-03-24") == ["2026-03-23 09:00 Long visit"]
    noa = cal.app.user("Noa", time_zone="Asia/Jerusalem")
    with cal.write(noa) as unit:  # of somebody else it is another
        assert imports.take(unit, file("SUMMARY:Visit")).made == 1


def test_a_file_of_many_events_takes_as_few_statements_as_one_of_some(cal: Any) -> None:
    def sent(number: int) -> int:
        one = "UID:{0}@{1}.example\r\nDTSTART:20260323T080000Z\r\nATTENDEE:mailto:p{0}@example.org"
        lines = "\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\n".join(one.format(each, number) for each in range(number))
        count: list[str] = []
        with cal.write() as unit:
            heard = unit.session.connection()
            event.listen(heard, "before_cursor_execute", lambda *told: count.append(told[2]))
            taken = imports.take(unit, file("BEGIN:VEVENT", lines, "END:VEVENT", event=False))
        assert (taken.made, taken.refusals) == (number, [])
        return len(count)

    assert sent(5) == sent(40) < 20
    with cal.app.site.read(cal.me) as reader:
        assert len(reader.all(Attendee, limit=100)) == 45


def test_a_series_with_a_time_of_its_own_comes_in_whole(cal: Any) -> None:
    data = file(
        "RRULE:FREQ=WEEKLY;COUNT=4", "EXDATE:20260330T080000Z", "SUMMARY:Standup", "END:VEVENT", "BEGIN:VEVENT",
        "UID:1@example.org", "RECURRENCE-ID:20260406T080000Z", "DTSTART:20260407T100000Z", "SUMMARY:Late",
    )  # fmt: skip
    with cal.write() as unit:
        assert imports.take(unit, data).made == 2
    assert cal.seen("2026-03-01", "2026-05-01") == [
        "2026-03-23 09:00 Standup", "2026-04-07 12:00 Late", "2026-04-13 10:00 Standup",
    ]  # fmt: skip


def test_what_goes_out_comes_in_again_the_same(cal: Any) -> None:
    noa = cal.app.user("Noa", time_zone="Europe/Berlin")
    series = cal.make(
        "2026-03-02T09:00",
        rule="FREQ=WEEKLY;UNTIL=20260501",
        place="Room, 3; left",
        note="Line\nline",
        remind_minutes=15,
    )
    cal.change(series, "one", "2026-03-09T09:00:00", start="2026-03-09T11:30", title="Later")
    with cal.write() as unit:
        service.call_off(unit, unit.get(Appointment, series.id), scope="one", occurrence="2026-03-16T09:00:00")
        unit.create(Appointment, {"title": "Fair", "all_day": True, "starts_on": "2026-03-28", "ends_on": "2026-03-30"})
        service.ask_people(
            unit, unit.get(Appointment, series.id), [{"email": "guest@example.org", "name": "Guest; of honour"}]
        )
    with cal.app.site.read(cal.me) as reader:
        mine, people = reader.all(Appointment), reader.all(Attendee)
        written = ical.write(
            mine, name="Mine", people={series.id: people[:1]}, organizers={cal.me.id: ("Ada", "ada@example.com")}
        )
    text = written.decode()
    assert text.count("BEGIN:VTIMEZONE") == 1
    assert "DTSTART;TZID=Europe/Berlin:20260302T090000" in text
    assert "UNTIL=20260501T215959Z" in text
    assert len(Calendar.from_ical(written).walk("VEVENT")) == 3
    seen = cal.seen("2026-03-01", "2026-07-01")
    with cal.write(noa) as unit:
        taken = imports.take(unit, written)
    assert (taken.made, taken.refusals) == (3, [])
    with cal.app.site.read(noa) as reader:
        theirs = reader.all(Appointment, Appointment.owner_id == noa.id)

    def facts(appointments: list[Appointment]) -> list[Any]:
        names = ("title", "starts_at", "ends_at", "starts_local", "all_day", "starts_on", "ends_on", "place", "note",
                 "exceptions", "occurrence", "uid", "remind_minutes", "sequence")  # fmt: skip
        return sorted([str(getattr(each, name)) for name in names] for each in appointments)

    assert facts(mine) == facts(theirs)
    assert cal.seen("2026-03-01", "2026-07-01", noa) == seen


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "There is no appointment in it."),
        (b"\x00\xff\xfe" * 100, "There is no appointment in it."),
        (b"PK\x03\x04" + bytes(range(256)) * 40, "There is no appointment in it."),
        (b"BEGIN:VEVENT\r\n" * 50, "too deep"),
        (b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\nEND:VEVENT\r\n" * 5001, "more than 5000"),
        (b"A" * 5_000_001, "too large"),
        (file("SUMMARY:" + "x" * 200_001), "too large"),
        (file(*["COMMENT:x"] * 2001), "too large"),
        (file("RRULE:FREQ=SECONDLY"), "repeat by the day"),
        (file("RRULE:FREQ=DAILY;COUNT=99999999"), "between 1 and 10000"),
        (file("RDATE:" + ",".join(["20260323T080000Z"] * 501)), "one by one"),
        (file("DTEND:20250323T080000Z"), "ends before"),
        (file("BEGIN:VEVENT", "UID:2", "DTSTART;TZID=Nowhere:20260323T080000", "END:VEVENT", event=False), "not known"),
        (file("BEGIN:VEVENT", "UID:2", "DTSTART:00010101T080000", "END:VEVENT", event=False), "too far"),
        (file("BEGIN:VEVENT", "UID:1", "DTSTART:20260323T080000Z", event=False), "does not end"),
    ],
)  # fmt: skip
def test_what_is_hostile_or_broken_is_refused_soon_and_says_why(data: bytes, reason: str) -> None:
    begun = time.monotonic()
    found = ical.read(data)
    assert time.monotonic() - begun < 10
    assert any(reason in each.reason for each in found.refusals), [each.reason[:200] for each in found.refusals[:3]]


def test_what_a_file_asks_for_is_bounded_when_it_is_taken_and_when_it_is_looked_at(cal: Any) -> None:
    with cal.write() as unit:
        imports.take(unit, file("RRULE:FREQ=DAILY;INTERVAL=1"))
    found = cal.seen("2026-03-01", "2199-01-01")
    assert len(found) <= recurrence.MOST
    assert len(found) > 700
    for line, reason in (
        ("RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "never comes true"),
        ("DURATION:P5000D", "more than a year"),
    ):
        with cal.write() as unit:
            assert reason in imports.take(unit, file(line, "SEQUENCE:5")).refusals[0].reason
