"""One line of time for a customer, read a page at a time, with nothing twice and nothing missing."""

from __future__ import annotations

import datetime as dt

import pytest

from rapport import Interaction, Task
from rapport.customers.service import timeline
from rapport.errors import Invalid

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def past(app, count):
    ada = app.create_customer(name="Ada")
    with app.site.write(app.admin) as unit:
        for number in range(count):
            at = (NOON + dt.timedelta(hours=number)).isoformat()
            unit.create(Interaction, {"customer_id": ada.id, "kind": "call", "subject": f"Call {number}", "at": at})
        unit.create(Interaction, {"customer_id": ada.id, "kind": "note", "subject": "A note", "at": NOON.isoformat()})
        done = (NOON + dt.timedelta(minutes=30)).isoformat()
        unit.create(Task, {"customer_id": ada.id, "title": "Send the offer", "done_at": done})
        unit.create(Task, {"customer_id": ada.id, "title": "Not done yet"})
    return ada


def test_the_newest_comes_first_and_pages_follow_each_other(app):
    ada = past(app, 5)
    seen = []
    with app.site.read(app.admin) as reader:
        after = "start"
        while after:
            page = timeline(reader, ada.id, limit=3, after=after.removeprefix("start"))
            seen += [item.title for item in page.items]
            after = page.next
    assert seen == ["Call 4", "Call 3", "Call 2", "Call 1", "Send the offer", *seen[5:]]
    assert sorted(seen[5:]) == ["A note", "Call 0"]


def test_what_happened_at_one_moment_is_shown_whole_over_several_pages(make_app):
    with make_app(plugins=["sales"]) as app:
        ada = app.create_customer(name="Ada")
        with app.site.write(app.admin) as unit:
            for number in range(10):  # as an import brings them
                unit.create(Interaction, {"customer_id": ada.id, "subject": f"Note {number}", "at": NOON.isoformat()})
                unit.create(
                    Task, {"customer_id": ada.id, "title": f"Task {number}", "done_at": NOON.isoformat()}
                )  # fmt: skip
        seen: list[str] = []
        with app.site.read(app.admin) as reader:
            page = timeline(reader, ada.id, limit=3)
            while page.next:
                seen += [item.title for item in page.items]
                page = timeline(reader, ada.id, limit=3, after=page.next)
            seen += [item.title for item in page.items]
        assert sorted(seen) == sorted(f"{kind} {number}" for kind in ("Note", "Task") for number in range(10))


def test_a_place_that_is_none_is_refused(app):
    ada = past(app, 1)
    with app.site.read(app.admin) as reader, pytest.raises(Invalid, match="is not a place on a timeline"):
        timeline(reader, ada.id, after="yesterday")


def test_one_kind_alone_is_shown_when_asked_for(app):
    ada = past(app, 2)
    with app.site.read(app.admin) as reader:
        assert [item.title for item in timeline(reader, ada.id, kind="note").items] == ["A note"]
