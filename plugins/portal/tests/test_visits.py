"""Visits are counted without anybody's name, and by name only of who agreed; who asks not to be counted is not."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from rapport_portal import Account
from rapport_portal.accounts import enter, new_link
from rapport_portal.visits import Visit, Visitor
from sqlalchemy import select

from rapport import Customer, system
from rapport.testing import TestApp

pytestmark = pytest.mark.plugins("portal")
FIREFOX, SAFARI = "Mozilla/5.0 (X11; Linux) Firefox/130.0", "Mozilla/5.0 (iPhone) Safari/605"
SECRET_IP = "203.0.113.77"


def visitor(app: TestApp, agent: str = FIREFOX, **headers: str) -> Any:
    browser = app.flask.test_client()
    browser.environ_base |= {"HTTP_USER_AGENT": agent, "REMOTE_ADDR": SECRET_IP}
    browser.environ_base |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return browser


def signed_in(app: TestApp, customer: Customer) -> Any:
    with app.site.write(system("test")) as unit:
        token = new_link(unit, unit.create(Account, {"customer_id": customer.id}))
    browser = visitor(app)
    browser.set_cookie("rapport_portal", enter(app.site, token), path="/portal/")
    return browser


def decide(app: TestApp, **values: Any) -> None:
    with app.site.db.write() as connection:
        for name, value in values.items():
            app.site.settings.set(connection, f"portal.{name}", value)


def lines(app: TestApp) -> dict[tuple[Any, ...], tuple[int, int]]:
    """What was counted: visits and views by day, site, page, campaign, where they came from, and customer."""
    with app.site.read(app.admin) as reader:
        return {
            (each.day.day, each.site, each.page, each.campaign, each.referrer, each.customer_id):
            (each.visits, each.views) for each in reader.all(Visit)
        }  # fmt: skip


def test_visits_are_counted_without_cookies_and_nothing_tells_who_it_was(app, clock):
    day = clock.now.day
    one = visitor(app)
    for _ in range(2):
        answer = one.get("/portal/sign-in?campaign=spring", headers={"Referer": "https://search.example/?q=filter"})
        assert "Set-Cookie" not in answer.headers
    visitor(app, SAFARI).get("/portal/sign-in")
    visitor(app).get("/portal/sign-in?campaign=<script>")
    assert lines(app) == {
        (day, "portal", "/portal/sign-in", "spring", "search.example", None): (1, 2),
        (day, "portal", "/portal/sign-in", "", "", None): (1, 2),  # one more visitor, and the first one again
    }
    for browser in (visitor(app, dnt="1"), visitor(app, sec_gpc="1"), visitor(app, "Googlebot/2.1"), visitor(app, "")):
        page = browser.get("/portal/sign-in").get_data(as_text=True)
        assert "We count visits" not in page  # nobody is asked who has answered by their browser
    assert sum(views for _visits, views in lines(app).values()) == 4

    with app.site.db.read() as connection:
        before = {row.mark for row in connection.execute(select(Visitor.__table__))}
        every = str([connection.execute(select(entity.__table__)).all() for entity in (Visit, Visitor)])
    assert len(before) == 3  # two visitors, and the salt
    assert SECRET_IP not in every
    assert "Firefox" not in every
    app.settle()
    clock.forward(days=1)
    visitor(app).get("/portal/sign-in")
    app.settle()
    with app.site.db.read() as connection:
        after = {row.mark for row in connection.execute(select(Visitor.__table__)) if row.mark}
    assert len(after) == 1
    assert not before & after  # the same person, and nothing that would tell
    assert lines(app)[(clock.now.day, "portal", "/portal/sign-in", "", "", None)] == (1, 1)


def test_by_name_only_of_who_agreed_and_no_longer_once_they_take_it_back(app):
    ada = app.create_customer(name="Ada", email="ada@example.org")
    browser = signed_in(app, ada)
    page = browser.get("/portal/").get_data(as_text=True)
    assert page.count("No, thank you") == page.count("Yes, you may") == 1
    said = browser.post("/portal/visits", data={"answer": "no", "back": "/portal/details"})
    assert said.location == "/portal/details"
    assert "rapport_portal_visits=no;" in said.headers["Set-Cookie"]
    assert "We count visits" not in browser.get("/portal/").get_data(as_text=True)
    assert {key[-1] for key in lines(app)} == {None}

    said = browser.post("/portal/visits", data={"answer": "yes", "back": "https://evil.example", "campaign": "spring"})
    assert said.location == "/portal/"
    browser.get("/portal/details")
    browser.get("/portal/")
    named = {key[2]: key for key in lines(app) if key[-1] == ada.id}
    assert named.keys() == {"/portal/details", "/portal/"}
    assert named["/portal/"][3] == "spring"  # remembered, since they agreed
    assert "Forget my visits" in browser.get("/portal/preferences").get_data(as_text=True)

    browser.post("/portal/visits", data={"answer": "no", "back": "/portal/preferences"})
    assert {key[-1] for key in lines(app)} == {None}
    assert "spring" in {key[3] for key in lines(app)}  # the counts stay


def test_the_companys_own_web_site_is_counted_by_a_dot_and_nobody_elses(app):
    decide(app, web_sites="www.pools.example, shop.pools.example")
    asked = "/portal/visit.gif?p=/pumps%3Fid%3D7&c=spring&r=https://news.example/today"
    for referer in ("https://www.pools.example/", "https://evil.example/", ""):
        answer = visitor(app).get(asked, headers={"Referer": referer})
        assert (answer.status_code, answer.mimetype, answer.data[:3]) == (200, "image/gif", b"GIF")
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    visitor(app, sec_gpc="1").get(asked, headers={"Referer": "https://www.pools.example/"})
    (line,) = lines(app).items()
    assert line[0][1:] == ("www.pools.example", "/pumps", "spring", "news.example", None)
    assert line[1] == (1, 1)
    script = visitor(app).get("/portal/static/visit.js", buffered=True).get_data(as_text=True)
    assert "globalPrivacyControl" in script
    assert "cookie =" not in script


def test_a_day_tells_no_more_lines_apart_than_somebody_may_make_up(app, monkeypatch):
    monkeypatch.setattr("rapport_portal.visits.MOST_LINES", 3)
    decide(app, web_sites="www.pools.example")
    for number in range(8):
        visitor(app).get(f"/portal/visit.gif?p=/{number}", headers={"Referer": "https://www.pools.example/"})
    pages = [key[2] for key in lines(app)]
    assert len(pages) == 4
    assert "other" in pages
    assert sum(views for _visits, views in lines(app).values()) == 8


def test_the_report_shows_every_day_and_marks_the_peak(app, clock):
    clock.now = dt.datetime(2026, 5, 20, 9, tzinfo=dt.UTC)
    with app.site.write(app.admin) as unit:
        for day, campaign, visits in ((18, "spring", 7), (18, "", 5), (19, "", 11), (2, "spring", 3)):
            unit.session.add(Visit(day=dt.date(2026, 5, day), site="portal", page="/", campaign=campaign,
                                   visits=visits, views=2 * visits))  # fmt: skip
    browser = app.browser()
    page = browser.get("/reports/portal.visits?since=2026-05-01&until=2026-05-20").get_data(as_text=True)
    assert page.count("<rect") == 20
    assert "Peak: 12 on" in page
    rows = browser.get("/reports/portal.visits/export?since=2026-05-17&until=2026-05-20&format=csv", buffered=True)
    told = [line.split(",")[1] for line in rows.get_data(as_text=True).splitlines()[1:]]
    assert told == ["0", "11", "12", "0"]
    sources = browser.get("/reports/portal.sources?since=2026-05-01&campaign=spring").get_data(as_text=True)
    assert "10" in sources
    longest = browser.get("/reports/portal.visits?since=2020-01-01").get_data(as_text=True)
    assert longest.count("<rect") == 400


@pytest.mark.plugins("portal", "marketing")
def test_a_campaign_shows_the_visits_it_brought(app):
    made = app.client.post("/api/v1/marketing.campaign", json={"name": "Spring", "code": "SPRING26"}).get_json()
    visitor(app).get("/portal/sign-in?campaign=spring26")
    visitor(app, SAFARI).get("/portal/sign-in?campaign=SPRING26")
    browser = app.browser()
    page = browser.get(f"/marketing.campaign/{made['id']}").get_data(as_text=True)
    assert "?campaign=SPRING26" in page
    assert 'href="/reports/portal.visits?campaign=SPRING26"' in page
    assert "Peak: 2 on" in browser.get("/reports/portal.visits?campaign=Spring26").get_data(as_text=True)
    assert "Web visits" in browser.get("/marketing.campaign").get_data(as_text=True)
