"""The showcase fills every place there is; the places are found by asking the site, and looked for on real pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from rapport_portal.accounts import Account, enter, new_link
from rapport_showcase import Occasion
from sqlalchemy import event

from rapport import Customer, Slot, system
from rapport.builtin.exchange import imports
from rapport.testing import TestApp
from rapport.testing.slots import address_of, brought_for, words_of

NAME = "showcase"
AROUND = ["sales", "portal"]


class Shown:
    """A site with a customer, an occasion of theirs and an import under way; and the pages on which places are."""

    def __init__(self, app: TestApp, ada: Customer | None = None, run: int = 0) -> None:
        self.app = app
        self.ada = ada or app.create_customer(name="Ada Lovelace", email="ada@example.org")
        self.run = run
        self.staff = app.browser()
        self.customer = self._customer()

    def _customer(self) -> Any:
        """A browser with Ada signed in to the portal."""
        with self.app.site.write(system("test")) as unit:
            known = unit.reader.all(Account)
            account = known[0] if known else unit.create(Account, {"customer_id": self.ada.id})
            account.stamp = "stamp"
            token = new_link(unit, account)
        browser = self.app.flask.test_client()
        browser.set_cookie("rapport_portal", enter(self.app.site, token) or "", path="/portal/")
        return browser

    def occasion(self, **values: Any) -> Occasion:
        """A day of Ada's, tomorrow."""
        day = (dt.date.today() + dt.timedelta(days=1)).isoformat()  # noqa: DTZ011 - any of the days around will do
        with self.app.site.write(self.app.admin) as unit:
            return unit.create(Occasion, {"customer_id": self.ada.id, "title": "Birthday", "day": day, **values})

    def brought(self, slot: Slot) -> list[Any]:
        """What the showcase brings for a place."""
        asked = {"customer_id": self.ada.id, "query": "Birthday"}
        return brought_for(self.app.site, NAME, slot, self.app.admin, **asked)

    def page(self, slot: Slot, item: Any) -> str:
        """The page where what fills a place must be seen."""
        path = address_of(slot, item, record_id=self.ada.id, query="Birthday", run=self.run)
        browser = self.customer if path.startswith("/portal/") else self.staff
        answer = browser.get(path)
        assert answer.status_code == 200, path
        return str(answer.get_data(as_text=True))


@pytest.fixture
def shown(make_app: Any) -> Iterator[Shown]:
    with make_app(plugins=[*AROUND, NAME]) as app:
        made = Shown(app)
        made.occasion()
        run = imports.start(app.site, app.admin, "showcase.occasion", b"Customer,Occasion,Day\n", "days.csv")
        made.run = run.id
        yield made


def test_every_place_is_filled_and_seen_on_its_page_and_nothing_remains_when_switched_off(shown, make_app):
    app, seen = shown.app, {}
    assert len(app.site.slots) >= 15
    for slot in app.site.slots:
        items = shown.brought(slot)
        assert items, f"the showcase has no example for the slot '{slot.name}'"
        for item in items:
            page = shown.page(slot, item)
            assert words_of(item) in page, (slot.name, words_of(item))
            assert "could not show this" not in page, slot.name
            seen[slot.name, words_of(item)] = (slot, item)
    with make_app(plugins=AROUND) as without:
        left = Shown(without, shown.ada)
        for (name, text), (slot, item) in seen.items():
            if f"{NAME}." in getattr(item, "entity", "") or slot.name == "report":
                continue  # the page itself is gone, see below
            assert text not in left.page(slot, item), name
        for path in ("/showcase", "/showcase.occasion", "/reports/showcase.calendar", "/api/v1/showcase.occasion"):
            assert left.staff.get(path).status_code in {401, 404}, path
        assert "Occasion" not in left.staff.get("/").get_data(as_text=True)
    with make_app(plugins=[*AROUND, NAME]) as again, again.site.read(again.admin) as reader:
        assert [each.title for each in reader.all(Occasion)] == ["Birthday"]  # its rows are kept


def test_what_people_typed_is_escaped_in_every_place(shown):
    shown.occasion(title="<script>alert(1)</script>Birthday")
    for slot in shown.app.site.slots:
        for item in shown.brought(slot):
            page = shown.page(slot, item)
            assert "<script>alert" not in page, slot.name
            assert "&amp;lt;script" not in page, slot.name  # and not twice


def test_who_may_not_read_occasions_sees_none_of_it(shown):
    from rapport.access import Role

    with shown.app.site.write(system("test")) as unit:
        unit.create(Role, {"name": "member", "grants": {"showcase.occasion.read": None}})
    shown.app.site.forget_actors()
    shown.staff = shown.app.browser(shown.app.user("Noa", roles=["member", "viewer"]))
    with shown.app.site.write(system("test")) as unit:
        unit.create(Role, {"name": "viewer", "grants": {"showcase.occasion.read": None}})
    shown.app.site.forget_actors()
    for path in ("/", "/dashboard", "/customer", f"/customer/{shown.ada.id}", "/search?q=Birthday"):
        assert "Birthday" not in shown.staff.get(path).get_data(as_text=True), path
    assert shown.staff.get("/showcase").status_code == 403
    assert shown.staff.get("/reports/showcase.calendar").status_code == 404


def test_pages_cost_as_many_queries_with_many_occasions_as_with_one(remembering, shown):
    def costs() -> dict[str, int]:
        found = {}
        for path in (
            "/", "/dashboard", "/customer", "/sales.opportunity/board", "/search?q=Birthday", "/showcase",
            f"/customer/{shown.ada.id}", f"/customer/{shown.ada.id}/edit", "/reports/showcase.calendar",
        ):  # fmt: skip
            shown.staff.get(path)
            sent: list[str] = []

            def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any, sent: list[str] = sent) -> None:
                sent.append(statement)

            event.listen(shown.app.site.db.reading, "before_cursor_execute", note)
            shown.staff.get(path)
            event.remove(shown.app.site.db.reading, "before_cursor_execute", note)
            found[path] = len(sent)
        return found

    few = costs()
    for number in range(6):
        other = shown.app.create_customer(name=f"Customer {number}")
        shown.occasion(customer_id=other.id)
        shown.occasion()
    assert costs() == few
    assert max(few.values()) < 40


def test_a_customer_sees_their_own_days_in_the_portal_and_nobody_elses(shown):
    ben = shown.app.create_customer(name="Ben Other")
    shown.occasion(customer_id=ben.id, title="Anniversary of Ben")
    page = shown.customer.get("/portal/").get_data(as_text=True)
    assert "Days we think of you" in page
    assert "Birthday" in page
    assert "Ben" not in page


def test_planning_makes_a_task_for_each_chosen_customer(shown):
    ben = shown.app.create_customer(name="Ben Other")
    token = (
        shown.staff.get("/customer").get_data(as_text=True).split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
    )
    form = {"csrf_token": token, "do": "congratulate", "ids": [str(shown.ada.id), str(ben.id)]}
    assert shown.staff.post("/customer/bulk", data=form).status_code == 302
    titles = [each["title"] for each in shown.app.client.get("/api/v1/task").get_json()["items"]]
    assert sorted(titles) == ["Congratulate Ada Lovelace", "Congratulate Ben Other"]


def test_an_imported_birthday_comes_round_and_one_far_ahead_is_refused(shown):
    app = shown.app
    text = "Customer,Occasion,Day\nAda Lovelace,Birth,1985-12-10\nAda Lovelace,Far,2999-01-01\n"
    run = imports.start(app.site, app.admin, "showcase.occasion", text.encode(), "days.csv")
    imports.decide(app.site, app.admin, run.id, options={"steps": ["next_time"]})
    imports.run(app.site, app.admin, run.id)
    with app.site.read(app.admin) as reader:
        (made,) = reader.all(Occasion, Occasion.title == "Birth")
        assert (made.day.month, made.day.day) == (12, 10)
        assert made.day >= reader.today()
    (problem,) = imports.problems(app.site, app.admin, run.id)
    assert (problem.line, problem.field, problem.message) == (3, "day", "lies more than a year ahead.")
