"""Customers come in by mail, see and keep right what is theirs, and reach nothing else; nor does anybody reach them."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from typing import Any

import itsdangerous
import pytest
from aiosmtpd.controller import Controller
from rapport_portal import Account
from rapport_portal.accounts import customer_actor
from sqlalchemy import select

from rapport import Customer, Interaction, Invalid, Slot, Task
from rapport.http import policy_of
from rapport.plugins import discover, optional
from rapport.records.log import change_log
from rapport.testing import TestApp
from rapport.testing.values import Examples

EVERYBODY = ["portal", *(name for name, info in discover().items() if "portal" in optional(info, discover()))]
"""The portal, and every plugin that brings something into it: found, not listed."""


class Mailbox:
    """A mail server that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"

    def links(self, to: str = "") -> list[str]:
        """The paths of the links in all mails, or in those to somebody."""
        texts = [
            each.get_payload(decode=True).decode() for each in self.mails if to in {"", str(each["To"])}  # type: ignore[union-attr]
        ]  # fmt: skip
        return [link for text in texts for link in re.findall(r"http://localhost(/portal/\S+)", text)]


class Portal:
    """A site with the portal, its mailbox, and short ways to tell a story about both."""

    def __init__(self, app: TestApp, box: Mailbox) -> None:
        self.app, self.box = app, box
        self.ada = app.create_customer(name="Ada Lovelace", email="ada@example.org", phone="+44 20 7946 0001")
        self.ben = app.create_customer(name="Ben Other", email="ben@example.org", phone="+44 20 7946 0002")

    def visitor(self) -> Any:
        """A browser that has never been here."""
        return self.app.flask.test_client()

    def asked(self, email: str) -> Any:
        """Ask for a link; returns the answer. The mail goes out."""
        answer = self.visitor().post("/portal/sign-in", data={"email": email})
        self.app.settle()
        return answer

    def signed_in(self, email: str = "ada@example.org") -> Any:
        """A browser in which the customer with this address has signed in."""
        self.asked(email)
        browser = self.visitor()
        assert browser.post(self.box.links(email)[-1]).status_code == 302
        return browser

    def customer(self, customer: Customer) -> Customer:
        """The customer as the database has it now."""
        with self.app.site.read(self.app.admin) as reader:
            return reader.get(Customer, customer.id)


@pytest.fixture
def portal(make_app: Any) -> Iterator[Portal]:
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    try:
        with make_app(plugins=EVERYBODY) as app:
            app.site.config = dataclasses.replace(app.site.config, mail_url=f"smtp://127.0.0.1:{port}")
            yield Portal(app, box)
    finally:
        server.stop()


def test_a_customer_comes_in_by_mail_keeps_their_details_right_and_leaves(portal):
    assert portal.visitor().get("/portal/").location == "/portal/sign-in"
    browser = portal.signed_in()
    page = browser.get("/portal/").get_data(as_text=True)
    assert "Ada Lovelace" in page
    assert "ada@example.org" in page
    assert "Ben" not in page
    form = browser.get("/portal/details").get_data(as_text=True)
    assert "Ada" not in form  # a name is for the people who work here to change
    sent = {"email": "ada@example.org", "phone": "+44 20 7946 0999", "address.street": "1 St James's Square",
            "address.city": "London"}  # fmt: skip
    assert browser.post("/portal/details", data=sent).location == "/portal/"
    assert portal.customer(portal.ada).phone == "+442079460999"
    assert portal.customer(portal.ada).address["city"] == "London"
    assert browser.post("/portal/sign-out").location == "/portal/sign-in"
    assert browser.get("/portal/").location == "/portal/sign-in"


def test_a_form_shows_what_is_wrong_and_changes_nothing_but_what_it_may(portal):
    browser = portal.signed_in()
    answer = browser.post("/portal/details", data={"email": "ada@example.org", "phone": "not a number"})
    assert answer.status_code == 422
    assert "not a number" in answer.get_data(as_text=True)
    assert browser.post("/portal/details", data={"email": "nobody", "phone": ""}).status_code == 422
    more = {"name": "Eve", "tags": "vip", "note": "x", "owner_id": str(portal.app.admin.id), "id": str(portal.ben.id)}
    browser.post("/portal/details", data={"email": "ada@example.org", "phone": "", **more})
    ada = portal.customer(portal.ada)
    assert (ada.name, ada.tags, ada.note, ada.phone) == ("Ada Lovelace", (), "", "")
    assert portal.customer(portal.ben).phone == "+442079460002"
    with portal.app.site.db.read() as connection:
        ways = connection.scalars(select(change_log.c.via).where(change_log.c.record_id == ada.id)).all()
    assert "portal" in ways  # the log tells who it was


def test_nobody_can_tell_from_the_answer_whether_an_address_is_known(portal):
    known, unknown = portal.asked("ada@example.org"), portal.asked("eve@example.org")
    assert (known.status_code, known.data) == (unknown.status_code, unknown.data)
    assert portal.asked("").status_code == 200
    assert portal.asked("no address").status_code == 200
    assert [str(mail["To"]) for mail in portal.box.mails] == ["ada@example.org"]


def test_tries_are_limited_and_mail_no_more(portal):
    answers = [portal.asked("ada@example.org").status_code for _ in range(10)]
    assert answers[0] == 200
    assert answers[-1] == 429
    assert len(portal.box.mails) <= 8


def test_a_link_is_good_once_and_looking_at_it_does_not_use_it_up(portal):
    portal.asked("ada@example.org")
    (link,) = portal.box.links()
    for _ in range(3):  # as scanners of mail do
        assert portal.visitor().get(link).status_code == 200
    browser = portal.visitor()
    assert browser.post(link).location == "/portal/"
    assert portal.visitor().post(link).status_code == 410
    assert browser.get("/portal/").status_code == 200


def test_a_link_is_no_longer_good_once_a_newer_one_was_mailed_or_20_minutes_have_passed(portal, monkeypatch):
    portal.asked("ada@example.org")
    portal.asked("ada@example.org")
    old, new = portal.box.links()
    assert portal.visitor().post(old).status_code == 410
    assert portal.visitor().post(new[:-3] + "xyz").status_code == 410
    later = int(time.time()) + 21 * 60
    monkeypatch.setattr(itsdangerous.TimestampSigner, "get_timestamp", lambda self: later)
    assert portal.visitor().post(new).status_code == 410


def test_a_link_mailed_to_a_wrong_address_is_void_once_the_address_is_mended(portal):
    ada = portal.app.create_customer(name="Ada Byron", email="wrong@example.org")
    portal.asked("wrong@example.org")
    (link,) = portal.box.links()
    with portal.app.site.write(portal.app.admin) as unit:
        unit.update(unit.get(Customer, ada.id), {"email": "right@example.org"})
    portal.app.settle()
    assert portal.visitor().post(link).status_code == 410


def test_a_family_with_one_address_gets_a_link_each(portal):
    portal.app.create_customer(name="Byron", email="ada@example.org")
    portal.asked("ADA@example.org")
    names = set()
    for link in portal.box.links("ada@example.org"):
        browser = portal.visitor()
        browser.post(link)
        names |= {name for name in ("Ada Lovelace", "Byron") if name in browser.get("/portal/").get_data(as_text=True)}
    assert names == {"Ada Lovelace", "Byron"}


def test_signing_out_ends_every_session_and_closing_the_account_too(portal):
    one, two = portal.signed_in(), portal.signed_in()
    assert one.get("/portal/").status_code == two.get("/portal/").status_code == 200
    one.post("/portal/sign-out")
    assert two.get("/portal/").location == "/portal/sign-in"
    again = portal.signed_in()
    with portal.app.site.write(portal.app.admin) as unit:
        unit.update(unit.reader.all(Account)[0], {"closed": True})
    assert again.get("/portal/").location == "/portal/sign-in"
    mails = len(portal.box.mails)
    portal.asked("ada@example.org")
    assert len(portal.box.mails) == mails


def test_who_is_archived_is_out(portal):
    browser = portal.signed_in()
    with portal.app.site.write(portal.app.admin) as unit:
        unit.archive(unit.get(Customer, portal.ada.id))
    assert browser.get("/portal/").location == "/portal/sign-in"


def test_a_new_address_counts_once_its_link_was_opened_and_the_old_one_is_told(portal):
    browser = portal.signed_in()
    answer = browser.post("/portal/details", data={"email": "ada@new.example", "phone": ""})
    assert answer.location == "/portal/?mail=1"
    assert "We mailed a link" in browser.get(answer.location).get_data(as_text=True)
    portal.app.settle()
    assert portal.customer(portal.ada).email == "ada@example.org"
    (link,) = portal.box.links("ada@new.example")
    assert portal.visitor().get(link).status_code == 200
    assert portal.customer(portal.ada).email == "ada@example.org"
    assert portal.visitor().post(link).status_code == 200
    portal.app.settle()
    assert portal.customer(portal.ada).email == "ada@new.example"
    assert "changed" in str(portal.box.mails[-1]["Subject"])
    assert str(portal.box.mails[-1]["To"]) == "ada@example.org"
    assert portal.visitor().post(link).status_code == 410


# Fences --------------------------------------------------------------------------------------------------------------


def addresses(app: TestApp, *, portal: bool, record: str) -> list[tuple[str, str]]:
    """Every method and address that is not for everybody: of the portal, or of all else. Found, not listed."""
    found = []
    for rule in app.flask.url_map.iter_rules():
        if policy_of(app.flask.view_functions[rule.endpoint]) == "public":
            continue
        if rule.rule.startswith("/portal/") != portal:
            continue
        for name in ("customer", "portal"):
            path = re.sub(r"<uuid:\w+>", record, rule.rule)
            path = re.sub(r"<int:\w+>", "1", path)
            path = re.sub(r"<any\((\w+)[^>]*>", r"\1", path)
            path = re.sub(r"<name>", name, path)
            path = re.sub(r"<[^>]*>", "x", path)
            found += [(method, path) for method in (rule.methods or set()) & {"GET", "POST", "PATCH", "DELETE", "PUT"}]
    return sorted(set(found))


def test_no_page_of_the_people_who_work_here_opens_with_a_portal_session(portal):
    browser = portal.signed_in()
    cookie = browser.get_cookie("rapport_portal", path="/portal/")
    browser.set_cookie("rapport_portal", cookie.value, path="/")  # as an attacker would
    browser.set_cookie("rapport", cookie.value, path="/")
    every = addresses(portal.app, portal=False, record=str(portal.ada.id))
    assert len(every) > 80
    for method, path in every:
        answer = browser.open(path, method=method, headers={"Authorization": f"Bearer {cookie.value}"})
        assert answer.status_code in {302, 308, 400, 401, 404}, (method, path, answer.status_code)
        if answer.status_code in {302, 308}:
            assert "/sign-in" in answer.location or answer.location.endswith("/portal/"), path
        assert "Lovelace" not in answer.get_data(as_text=True), (method, path)


def test_no_page_of_the_portal_opens_for_the_people_who_work_here(portal):
    staff = portal.app.browser()
    value = staff.get_cookie("rapport").value
    staff.set_cookie("rapport_portal", value, path="/portal/")
    every = addresses(portal.app, portal=True, record=str(portal.ada.id))
    assert len(every) >= 4
    for method, path in every:
        answer = staff.open(path, method=method)
        assert (answer.status_code, answer.location) == (302, "/portal/sign-in"), (method, path)


def test_nobody_sees_on_any_page_or_in_any_file_of_the_portal_what_is_anothers(portal):
    """Finds pages and kinds of records by itself: each of them holds a canary of Ben's, and Ada asks for all of it."""
    site, examples = portal.app.site, Examples()
    ids: list[str] = []
    for entity in site.entities:
        field = entity.meta.fields.get("customer_id")
        if field is None or field.readonly or not entity.meta.writable:
            continue
        texts = [f.name for f in entity.meta.writable if f.kind in {"text", "longtext"} and not f.choices]
        with contextlib.suppress(Invalid), site.write(portal.app.admin) as unit:  # some kinds only their plugin makes
            made = examples.make(unit, entity, **dict.fromkeys(texts, "canary"), customer_id=portal.ben.id)
            ids.append(str(made.id))
    portal.app.settle()
    assert len(ids) > 3
    ada, ben = portal.signed_in(), str(portal.ben.id)
    pages = [rule for rule in portal.app.flask.url_map.iter_rules()
             if rule.rule.startswith("/portal/") and "GET" in (rule.methods or ())]  # fmt: skip
    assert len(pages) > 6
    for rule in pages:
        for record in [ben, *ids] if "<" in rule.rule else [""]:
            path = re.sub(r"<(?!uuid)[^>]*>", "x", re.sub(r"<uuid:\w+>", record, rule.rule))
            answer = ada.get(path)
            assert answer.status_code < 500, path
            assert b"canary" not in answer.data, path
            assert b"Ben Other" not in answer.data, path
            assert answer.status_code == 404 or "<uuid" not in rule.rule, path


def test_below_the_portal_there_is_no_page_of_anything_else(portal):
    browser = portal.signed_in()
    for path in ("new", "export", "board", "bulk", "filter", "views", "duplicates", "set", str(portal.ada.id)):
        for method in ("GET", "POST"):
            answer = browser.open(f"/portal/{path}", method=method)
            assert answer.status_code == 404, path
            assert "r-nav" not in answer.get_data(as_text=True), path


def test_pages_of_the_portal_leave_the_other_session_alone(portal):
    staff, visitor = portal.app.browser(), portal.signed_in()
    for path in ("/portal/", "/portal/sign-in", "/portal/nowhere", "/portal/enter/x", "/portal/details"):
        for browser in (staff, visitor):
            answer = browser.get(path)
            assert "csrf" not in answer.get_data(as_text=True), path
    assert visitor.get_cookie("rapport") is None
    assert staff.get_cookie("rapport_portal", path="/portal/") is None
    assert staff.get("/customer").status_code == 200


def test_a_customer_reaches_their_own_rows_alone_whatever_they_are_granted(portal):
    """Finds every kind of record by itself: where a customer is granted everything, they still see only what is theirs."""  # noqa: E501
    site = portal.app.site
    with site.write(portal.app.admin) as unit:
        for customer in (portal.ada, portal.ben):
            unit.create(Interaction, {"customer_id": customer.id, "kind": "note", "subject": customer.name})
            unit.create(Task, {"customer_id": customer.id, "title": customer.name})
        unit.create(Task, {"title": "Of nobody"})
    every = {entity.meta.permission(action): "all" for entity in site.entities
             for action in ("read", "create", "update", "delete")}  # fmt: skip
    actor = dataclasses.replace(customer_actor(site, portal.ada), grants=every)
    seen = {}
    with site.read(actor) as reader:
        for entity in site.entities:
            rows = reader.all(entity)
            seen[entity.meta.name] = len(rows)
            owners = {getattr(row, "customer_id", getattr(row, "id", None)) for row in rows}
            assert owners <= {portal.ada.id}, entity.meta.name
        assert reader.search("ben") == []
    assert seen["customer"] == seen["interaction"] == seen["task"] == 1
    assert seen["user"] == 0
    with pytest.raises(Exception, match="There is no customer"), site.write(actor) as unit:
        unit.update(unit.get(Customer, portal.ben.id), {"phone": ""})


def test_a_form_from_elsewhere_is_refused(portal):
    browser = portal.signed_in()
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                    {"Origin": "https://evil.example"}, {"Origin": "null"}):  # fmt: skip
        answer = browser.post("/portal/details", data={"email": "", "phone": ""}, headers=headers)
        assert answer.status_code == 403, headers
        assert "not sent from our page" in answer.get_data(as_text=True)
    assert portal.customer(portal.ada).phone == "+442079460001"
    fine = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
    assert browser.post("/portal/details", data={"email": "", "phone": ""}, headers=fine).status_code == 302


def test_the_cookie_is_for_the_portal_alone_and_out_of_reach_of_scripts(portal):
    portal.asked("ada@example.org")
    said = portal.visitor().post(portal.box.links()[-1]).headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Lax", "Path=/portal/"):
        assert part in said
    assert "no-store" in portal.signed_in().get("/portal/").headers["Cache-Control"]


# What others put there -----------------------------------------------------------------------------------------------


def test_the_portal_has_a_place_for_others(portal):
    slot = portal.app.site.slots["portal.block"]
    assert isinstance(slot, Slot)
    assert list(slot.facts) == ["customer"]


def test_a_page_of_the_portal_costs_few_queries(portal):
    from sqlalchemy import event

    browser, sent = portal.signed_in(), []
    event.listen(portal.app.site.db.reading, "before_cursor_execute", lambda *_: sent.append(1))
    browser.get("/portal/")
    cards = len(portal.app.site.panels_at.get("portal.block", ()))
    assert len(sent) <= 3 + 2 * cards


def test_the_portal_speaks_the_language_of_the_customer(portal):
    with portal.app.site.write(portal.app.admin) as unit:
        unit.update(unit.get(Customer, portal.ada.id), {"language": "fa"})
    page = portal.signed_in().get("/portal/").get_data(as_text=True)
    assert '<html lang="fa" dir="rtl"' in page


def test_switched_off_it_leaves_no_page(make_app):
    with make_app() as app:
        assert app.flask.test_client().get("/portal/sign-in").status_code == 404
