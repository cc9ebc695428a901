"""Signing in: one comes to the page that one wanted, and never to somebody else's; a form counts from our page only."""

from __future__ import annotations

import pytest

from rapport import Customer
from rapport.testing.app import PASSWORD, TestApp

ELSEWHERE = [
    "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "///evil.example",
    "https:evil.example", "javascript:alert(1)", "evil.example", "/\n/evil.example", "/\r/evil.example",
    "http://localhost@evil.example", "@evil.example", "data:text/html,x", "%2f%2fevil.example", "\t//evil.example",
    "/\t/evil.example",
]  # fmt: skip


def sign_in(app: TestApp, wanted: str) -> str:
    """Where one is led to."""
    browser = app.flask.test_client()
    page = browser.get("/sign-in", query_string={"next": wanted}).get_data(as_text=True)
    token = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
    form = {"email": app.admin.email, "password": PASSWORD, "csrf_token": token, "next": wanted}
    return str(browser.post("/sign-in", data=form).headers["Location"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nobody_is_led_elsewhere_after_signing_in(app: TestApp) -> None:
    assert sign_in(app, "/customer?sort=name") == "/customer?sort=name"
    assert {wanted: sign_in(app, wanted) for wanted in ELSEWHERE} == dict.fromkeys(ELSEWHERE, "/")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_form_counts_only_with_the_token_of_its_page(app: TestApp) -> None:
    """Another page can make a browser send a form of ours, but not read what stands in it."""
    browser = app.browser()
    assert browser.post("/customer/new", data={"name": "Ada", "csrf_token": "guessed"}).status_code == 400
    assert browser.post("/customer/new", data={"name": "Ada"}).status_code == 400
    with app.site.read(app.admin) as reader:
        assert reader.all(Customer) == []
    assert app.submit(browser, "/customer/new", {"name": "Ada", "kind": "person"}).status_code in {302, 303}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nobody_is_led_elsewhere_after_saving(app: TestApp) -> None:
    """As htmx does it: what it is told, it puts into the address line as it stands."""
    browser = app.browser()
    page = browser.get("/account").get_data(as_text=True)
    token = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]

    def saved(back: str) -> str:
        form = {"name": "Ada", "kind": "person", "csrf_token": token, "back": back}
        return browser.post("/customer/new", data=form, headers={"HX-Request": "true"}).headers["HX-Redirect"]

    assert saved("/customer?sort=name") == "/customer?sort=name"
    led = {saved(wanted) for wanted in ELSEWHERE}
    assert {where.rpartition("/")[0] for where in led} == {"/customer"}, led
