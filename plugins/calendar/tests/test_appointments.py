"""Appointments: who sees them, what becomes of a series when a part of it is changed, and who is free when."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from rapport_calendar import Appointment, Attendee, service
from rapport_calendar.occurrences import Hours, free_times, merged, taken

from rapport import Interaction, Invalid, NotFound

URL = "/api/v1/calendar.appointment"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_the_api_makes_a_series_that_keeps_to_its_owners_clock(cal: Any) -> None:
    api = cal.app.api(cal.me)
    made = api.post(URL, json={"title": "Visit", "starts_at": "2026-03-23T08:00:00Z", "rule": "FREQ=WEEKLY;COUNT=2"})
    assert made.status_code == 201, made.get_data(as_text=True)
    assert made.get_json()["zone"] == "Europe/Berlin"
    assert made.get_json()["ends_at"] == "2026-03-23T09:00:00Z"
    assert cal.seen("2026-03-01", "2026-05-01") == ["2026-03-23 09:00 Visit", "2026-03-30 09:00 Visit"]
    for wrong, where in (
        ({"zone": "Mars/Phobos"}, "zone"),
        ({"rule": "FREQ=SECONDLY"}, "rule"),
        ({"rule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "rule"),
        ({"ends_at": "2026-03-23T07:00:00Z"}, "ends_at"),
        ({"starts_at": "1066-10-14T09:00:00Z"}, "ends_at"),
    ):
        refused = api.post(
            URL, json={"title": "No", "starts_at": "2026-03-23T08:00:00Z", "ends_at": "2026-03-23T09:00:00Z", **wrong}
        )
        assert refused.status_code == 422, wrong
        assert where in refused.get_data(as_text=True), wrong


def test_what_takes_whole_days_has_the_same_days_everywhere(cal: Any) -> None:
    with cal.write() as unit:
        fair = unit.create(
            Appointment, {"title": "Fair", "all_day": True, "starts_on": "2026-03-28", "ends_on": "2026-03-30"}
        )
        assert fair.ends_at is not None
        assert (fair.ends_at - fair.starts_at) == dt.timedelta(hours=71)  # the clocks are put forward meanwhile
    noa = cal.app.user("Noa", roles=["manager"], time_zone="Pacific/Auckland")
    assert cal.seen("2026-03-30", "2026-03-31", noa)
    assert [each.split(" ")[0] for each in cal.seen("2026-03-27", "2026-04-03")] == ["2026-03-28"]


def test_one_time_of_a_series_is_moved_by_itself(cal: Any) -> None:
    series = cal.make("2026-03-23T09:00", rule="FREQ=WEEKLY;COUNT=3")
    moved = cal.change(series, "one", "2026-03-30T09:00:00", start="2026-03-31T14:00", title="Late standup")
    assert moved.series_id == series.id
    assert moved.uid == series.uid
    assert cal.seen("2026-03-01", "2026-05-01") == [
        "2026-03-23 09:00 Standup", "2026-03-31 14:00 Late standup", "2026-04-06 09:00 Standup",
    ]  # fmt: skip
    with pytest.raises(NotFound):
        cal.change(series, "one", "2026-03-30T09:00:00", title="Again")


def test_a_series_goes_on_otherwise_from_a_day_on(cal: Any) -> None:
    series = cal.make("2026-03-02T09:00", rule="FREQ=WEEKLY;BYDAY=MO;COUNT=5")
    cal.change(series, "one", "2026-03-23T09:00:00", title="With guests")
    later = cal.change(series, "following", "2026-03-16T09:00:00", start="2026-03-17T10:00")
    assert later.rule == "FREQ=WEEKLY;BYDAY=TU;COUNT=3"
    assert cal.seen("2026-03-01", "2026-05-01") == [
        "2026-03-02 09:00 Standup",
        "2026-03-09 09:00 Standup",
        "2026-03-17 10:00 Standup",
        "2026-03-23 09:00 With guests",
        "2026-03-31 10:00 Standup",
    ]


def test_all_of_a_series_moves_as_one_of_it_was_moved(cal: Any) -> None:
    series = cal.make("2026-03-20T09:00", rule="FREQ=WEEKLY;COUNT=3")
    cal.change(series, "one", "2026-03-27T09:00:00", title="Other")
    cal.change(series, "all", "2026-04-03T09:00:00", start="2026-04-03T08:30")
    assert cal.seen("2026-03-01", "2026-05-01") == [
        "2026-03-20 08:30 Standup", "2026-03-27 09:00 Other", "2026-04-03 08:30 Standup",
    ]  # fmt: skip


def test_called_off_is_one_the_rest_or_everything(cal: Any) -> None:
    series = cal.make("2026-03-02T09:00", rule="FREQ=WEEKLY;COUNT=6")
    with cal.write() as unit:
        service.call_off(unit, unit.get(Appointment, series.id), scope="one", occurrence="2026-03-09T09:00:00")
        service.call_off(unit, unit.get(Appointment, series.id), scope="following", occurrence="2026-03-23T09:00:00")
    assert [each[:10] for each in cal.seen("2026-03-01", "2026-05-01")] == ["2026-03-02", "2026-03-16"]
    with cal.write() as unit:
        service.call_off(unit, unit.get(Appointment, series.id))
    assert cal.seen("2026-03-01", "2026-05-01") == []


def test_colleagues_see_the_time_attendees_the_rest_and_nobody_what_is_private(cal: Any) -> None:
    people = cal.app.actors()
    mine = cal.make("2026-03-02T09:00", actor=people.member, title="Secret plan")
    hidden = cal.make("2026-03-02T11:00", actor=people.member, title="Doctor", private=True)
    assert cal.seen("2026-03-01", "2026-03-05", people.viewer) == ["2026-03-02 09:00 Secret plan"]  # the same team
    assert cal.seen("2026-03-01", "2026-03-05", people.stranger) == []
    assert len(cal.seen("2026-03-01", "2026-03-05", people.manager)) == 1
    busy = taken(cal.app.site, [people.member.id], at("2026-03-01"), at("2026-03-05"))
    assert merged(busy[people.member.id]) == [
        (at("2026-03-02T08:00"), at("2026-03-02T09:00")), (at("2026-03-02T10:00"), at("2026-03-02T11:00")),
    ]  # fmt: skip
    for other in (people.stranger, people.manager):
        assert cal.app.api(other).get(f"{URL}/{hidden.id}").status_code == 404
    with cal.write(people.member) as unit:
        service.ask_people(unit, unit.get(Appointment, hidden.id), [{"user_id": people.stranger.id}])
        service.ask_people(unit, unit.get(Appointment, mine.id), [{"email": "guest@example.org", "name": "Guest"}])
    assert cal.seen("2026-03-01", "2026-03-05", people.stranger) == ["2026-03-02 11:00 Doctor"]
    assert cal.app.api(people.stranger).get(f"{URL}/{hidden.id}").status_code == 200
    refused = cal.app.api(people.stranger).patch(
        f"{URL}/{hidden.id}", json={"title": "Mine"}, headers={"If-Match": "*"}
    )
    assert refused.status_code in {403, 412, 428}
    assert taken(cal.app.site, [people.stranger.id], at("2026-03-01"), at("2026-03-05"))[people.stranger.id]


def test_a_time_is_found_that_suits_everybody_within_the_hours(cal: Any) -> None:
    noa, wei = cal.app.user("Noa"), cal.app.user("Wei")
    cal.make("2026-03-27T09:00", hours=7, actor=noa)  # a Friday, before the clocks are put forward
    cal.make("2026-03-30T09:00", hours=2.5, actor=wei)
    cal.make("2026-03-30T12:00", hours=1, actor=noa, rule="FREQ=DAILY")
    cal.make("2026-03-30T15:00", hours=1, actor=wei, busy=False)
    hours = Hours("Europe/Berlin")
    found = free_times(cal.app.site, [noa.id, wei.id], hours, after=at("2026-03-27T06:20"), days=7, minutes=60, most=4)
    assert [f"{begin:%d %H:%M}" for begin, _end in found] == ["27 15:00", "30 11:00", "30 12:00", "30 13:00"]


def test_what_was_held_stands_on_the_customers_timeline(cal: Any) -> None:
    acme = cal.app.create_customer(name="Acme", owner_id=cal.me.id)
    visit = cal.make("2026-03-02T09:00", customer_id=acme.id, title="Visit", rule="FREQ=WEEKLY;COUNT=2")
    with cal.write() as unit:
        said = service.hold(unit, [unit.get(Appointment, visit.id)], {"outcome": "They want two"})
    assert said == "1 appointment is noted as held."
    with cal.app.site.read(cal.me) as reader:
        meetings = reader.all(Interaction, Interaction.customer_id == acme.id)
        assert [(each.kind, each.subject, each.minutes, each.outcome) for each in meetings] == [
            ("meeting", "Visit", 60, "They want two")
        ]
        assert meetings[0].at == at("2026-03-09T08:00")
    future = cal.make("2099-03-02T09:00", rule="FREQ=WEEKLY")
    with pytest.raises(Invalid), cal.write() as unit:
        service.hold(unit, [unit.get(Appointment, future.id)], {})


def test_a_person_who_is_erased_attends_nothing_by_name(cal: Any) -> None:
    ada = cal.app.create_customer(name="Ada", email="ada@example.org", owner_id=cal.me.id)
    with cal.write() as unit:
        made = service.create(unit, {"title": "Talk with Ada", "customer_id": ada.id, "note": "She is ill"})
        service.ask_people(unit, made, [{"email": "ada@example.org"}])
    with cal.write() as unit:
        service.forget(ada, unit.session)
    with cal.app.site.read(cal.app.admin) as reader:
        assert "Ada" not in str([reader.all(Attendee)[0].name, reader.get(Appointment, made.id).title])
