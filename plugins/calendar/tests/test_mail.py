"""What goes out by mail and what comes in: invitations, changes, answers, reminders; and tasks that come again."""

from __future__ import annotations

import datetime as dt
import io
import re
from typing import Any

from rapport_calendar import Appointment, Attendee, ical, service, take_reply
from rapport_calendar.entities import Feed

from rapport import Customer, Incoming, Message, Task, receive, store
from rapport.testing import TestApp
from rapport.testing.paper import sent


def answers(app: TestApp) -> dict[str, str]:
    with app.site.read(app.admin) as reader:
        return {each.name: each.answer for each in reader.all(Attendee)}


def reply(event: str, person: str, answer: str, *, sequence: int = 0) -> bytes:
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "METHOD:REPLY",
        "BEGIN:VEVENT",
        f"UID:{event}",
        f"SEQUENCE:{sequence}",
        "DTSTART:20270301T080000Z",
        f"ATTENDEE;PARTSTAT={answer};CN=X:mailto:{person}",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "\r\n".join(lines).encode()


def test_those_who_are_asked_hear_of_it_of_changes_and_of_the_end_and_answer(mailed: Any) -> None:
    cal, box = mailed
    ada = cal.app.create_customer(name="Ada", email="ada@example.org", time_zone="UTC")
    noa = cal.app.user("Noa")
    form = {
        "title": "Visit",
        "start_day": "2027-03-01",
        "start_time": "09:00",
        "end_time": "10:00",
        "zone": "Europe/Berlin",
        "busy": "true",
        "users": str(noa.id),
        "guests": "ada@example.org\nBob <bob@example.net>",
        "invite": "true",
    }
    browser = cal.app.browser(cal.me)
    assert cal.app.submit(browser, "/calendar.appointment/new", form).status_code == 303
    cal.app.settle()
    slips = sent(cal.app.site)
    assert sorted(slip["to"] for slip in slips) == ["ada@example.org", "bob@example.net"]
    assert {slip["subject"] for slip in slips} == {"Invitation: Visit"}
    assert [to for to, _subject, _text in box.mails] == ["noa@example.com"]
    file = slips[0]["files"]["invite.ics"].encode("latin-1")
    assert ical.read(file).method == "REQUEST"
    assert "9:00" in slips[0]["body"]
    assert "Europe/Berlin" in slips[0]["body"]
    with cal.app.site.read(cal.me) as reader:  # whom we write to is a customer
        assert reader.all(Customer, Customer.email == "bob@example.net")
        visit = reader.all(Appointment)[0]

    # Ada answers by the link: opening it does nothing, and somebody else's link is none.
    link = re.search(r"/calendar/answer/\S+", next(s["body"] for s in slips if s["to"] == "ada@example.org"))
    assert link is not None
    visitor = cal.app.flask.test_client()
    page = visitor.get(link[0]).get_data(as_text=True)
    assert "Visit" in page
    assert answers(cal.app)["Ada"] == "open"
    token = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
    assert visitor.post(link[0], data={"answer": "accepted", "csrf_token": token}).status_code == 200
    assert visitor.get(link[0][:-3] + "xyz").status_code == 410
    assert answers(cal.app)["Ada"] == "accepted"
    cal.app.settle()
    assert box.mails[-1][:2] == ("ada.berlin@example.com", "Ada comes: Visit")

    # Bob answers from his calendar, and the mail is received; Eve writes in Ada's name.
    for sender, person, said in (
        ("bob@example.net", "bob@example.net", "DECLINED"),
        ("eve@example.com", "ada@example.org", "DECLINED"),
    ):
        stored = store(cal.app.site, io.BytesIO(reply(visit.uid, person, said)), "reply.ics", cal.app.admin)
        with cal.app.site.write(cal.app.admin) as unit:
            receive(
                unit,
                Incoming(
                    channel="slip", external_id=sender, address=sender, subject="Re", body="No", files=[stored.id]
                ),
            )
    cal.app.settle()
    assert answers(cal.app) == {"Noa": "open", "Ada": "accepted", "Bob": "declined"}

    # It is moved: who has not declined hears of it once. An answer to what was before counts no more.
    edited = {**form, "start_time": "11:00", "end_time": "12:00", "version": str(visit.version)}
    assert cal.app.submit(browser, f"/calendar.appointment/{visit.id}/edit", edited).status_code == 303
    cal.app.settle()
    assert [slip["subject"] for slip in sent(cal.app.site)[2:]] == ["Changed: Visit"]
    with cal.app.site.write(cal.app.admin) as unit:
        assert take_reply(unit, reply(visit.uid, "ada@example.org", "TENTATIVE", sequence=0)) == 0
        assert take_reply(unit, reply(visit.uid, "ada@example.org", "TENTATIVE", sequence=1)) == 1
        assert take_reply(unit, reply(visit.uid, "nobody@example.org", "ACCEPTED", sequence=1)) == 0
        assert take_reply(unit, b"BEGIN:VCALENDAR" * 1000) == 0

    # It is called off.
    assert cal.app.submit(browser, f"/calendar.appointment/{visit.id}/call-off", {"tell": "true"}).status_code == 303
    cal.app.settle()
    last = sent(cal.app.site)[-1]
    assert (last["to"], last["subject"]) == ("ada@example.org", "Cancelled: Visit")
    cancelled = ical.read(last["files"]["cancel.ics"].encode("latin-1"))
    assert (cancelled.method, cancelled.events[0].uid) == ("CANCEL", visit.uid)
    with cal.app.site.read(cal.app.admin) as reader:
        assert {each.state for each in reader.all(Message)} == {"sent"}
        assert reader.get(Customer, ada.id).name == "Ada"


def test_one_is_reminded_of_each_time_of_a_series_once_and_not_of_what_was_moved_or_called_off(
    mailed: Any, clock: Any
) -> None:
    cal, box = mailed
    clock.now = dt.datetime(2027, 3, 27, 12, tzinfo=dt.UTC)  # the clocks are put forward in the night
    noa = cal.app.user("Noa", time_zone="Asia/Tokyo")
    series = cal.make("2027-03-27T14:00", rule="FREQ=DAILY;COUNT=3", remind_minutes=30)
    with cal.write() as unit:
        service.ask_people(unit, unit.get(Appointment, series.id), [{"user_id": noa.id}])
    moved = cal.make("2027-03-27T15:00", title="Moved", remind_minutes=0)
    off = cal.make("2027-03-27T15:00", title="Off", remind_minutes=0)
    cal.change(moved, start="2027-03-27T18:00")
    with cal.write() as unit:
        service.call_off(unit, unit.get(Appointment, off.id))
    seen: list[tuple[str, str]] = []
    for _half_hour in range(110):
        clock.forward(minutes=30)
        cal.app.settle()
        seen += [(f"{clock.now:%d %H:%M}", f"{to} {subject}") for to, subject, _text in box.mails]
        box.mails.clear()
    mine = [(at, said.split(" ", 1)[1]) for at, said in seen if said.startswith("ada.berlin")]
    assert [(at, said.replace("\u202f", " ")) for at, said in mine] == [
        ("27 12:30", "2:00 PM: Standup"), ("27 17:00", "6:00 PM: Moved"), ("28 11:30", "2:00 PM: Standup"),
        ("29 11:30", "2:00 PM: Standup"),
    ]  # fmt: skip
    assert [at for at, said in seen if said.startswith("noa")] == ["27 12:30", "28 11:30", "29 11:30"]
    assert "10:00" in next(said for at, said in seen if said.startswith("noa"))  # on her clock, in Tokyo


def test_a_task_that_comes_again_is_there_once_the_one_before_is_done(cal: Any, clock: Any) -> None:
    clock.now = dt.datetime(2027, 3, 10, 9, tzinfo=dt.UTC)
    with cal.write() as unit:
        task = unit.create(Task, {"title": "Report", "due_on": "2027-02-26", "calendar_repeats": "FREQ=WEEKLY"})
    for done in (clock.now, None, clock.now):  # done, opened again, and done once more
        with cal.write() as unit:
            unit.update(unit.get(Task, task.id), {"done_at": done})
        cal.app.settle()
    with cal.app.site.read(cal.me) as reader:
        tasks = reader.all(Task, Task.id != task.id)
        assert [(each.title, each.due_on, each.calendar_repeats, each.done_at) for each in tasks] == [
            ("Report", dt.date(2027, 3, 12), "FREQ=WEEKLY", None)
        ]


def test_another_calendar_follows_a_feed_until_it_is_revoked(cal: Any) -> None:
    people = cal.app.actors()
    today = dt.datetime.now(dt.UTC).date().isoformat()
    cal.make(f"{today}T09:00", actor=people.member, title="Mine", rule="FREQ=WEEKLY")
    cal.make(f"{today}T10:00", actor=people.manager, title="Colleague’s")
    cal.make(f"{today}T11:00", actor=people.manager, title="Doctor", private=True)
    browser = cal.app.browser(people.member)
    with cal.app.site.read(people.member) as reader:
        team = next(iter(reader.actor.team_ids))
    for choice in ("", str(team)):
        assert cal.app.submit(browser, "/calendar/feeds", {"team": choice}).status_code == 303
    shown = browser.get("/calendar/feeds").get_data(as_text=True)
    mine, ours = re.findall(r"http://localhost(/calendar/feed/[^<\s]+\.ics)", shown)
    outside = cal.app.flask.test_client()
    answer = outside.get(mine)
    assert answer.content_type.startswith("text/calendar")
    titles = {each.values["title"] for each in ical.read(answer.data).events}
    assert titles == {"Mine"}
    assert b"BEGIN:VTIMEZONE" in answer.data
    assert {each.values["title"] for each in ical.read(outside.get(ours).data).events} == {"Mine", "Colleague’s"}
    assert outside.get(mine, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert outside.post(mine).status_code == 405
    assert outside.get(mine.replace(".ics", "x.ics")).status_code == 404
    with cal.app.site.read(cal.app.admin) as reader:
        feed = reader.all(Feed, Feed.team_id.is_(None))[0]
    stranger = cal.app.browser(people.stranger)
    assert cal.app.submit(stranger, f"/calendar/feeds/{feed.id}/revoke", {}).status_code == 404
    assert cal.app.submit(browser, f"/calendar/feeds/{feed.id}/revoke", {}).status_code == 303
    assert outside.get(mine).status_code == 404
    assert outside.get(ours).status_code == 200
