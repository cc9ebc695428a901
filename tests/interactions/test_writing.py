"""Writing to a customer from their page, and being told at once what became of it."""

from __future__ import annotations

import io

from rapport import FrequencyCap, Message, RetentionRule
from tests.interactions.conftest import Desk


def test_a_salesperson_writes_and_hears_at_once_when_it_may_not_go_out(desk: Desk):
    actors = desk.app.actors()
    ada = desk.person("Ada", agreed=False)
    browser = desk.app.browser(actors.member)
    page = browser.get(f"/customer/{ada.id}").get_data(as_text=True)
    assert f"/message/new?customer_id={ada.id}" in page
    form = {"customer_id": str(ada.id), "channel": "slip", "purpose": "marketing", "subject": "News", "body": "Hello"}
    answer = desk.app.submit(browser, "/message/new", form)
    told = browser.get(answer.location).get_data(as_text=True)
    assert "It was not sent: They have not agreed to “News and offers” by this channel." in told
    answer = desk.app.submit(browser, "/message/new", {**form, "purpose": "service", "body": ""})
    assert answer.status_code == 422
    sent_file = {**form, "purpose": "service", "files": (io.BytesIO(b"99"), "offer.txt")}
    answer = desk.app.submit(browser, "/message/new", sent_file)
    assert "It is on its way." in browser.get(answer.location).get_data(as_text=True)
    desk.settle()
    assert desk.slips == ["ada@example.com"]
    page = browser.get(f"/customer/{ada.id}").get_data(as_text=True)
    assert "offer.txt" in page
    assert browser.get("/message/new").status_code == 200
    assert desk.app.browser(actors.viewer).get("/message/new").status_code == 403


def test_the_panel_says_what_they_agreed_to_and_what_stands_against_it(desk: Desk):
    ada = desk.person("Ada")
    browser = desk.app.browser()
    assert "News and offers: agreed" in browser.get(f"/customer/{ada.id}").get_data(as_text=True)
    for address, form in (
        ("/consent/new", {"customer_id": ada.id, "purpose_id": desk.purpose("marketing").id, "state": "denied",
                          "channel": "", "given_by": "phone", "at": ""}),
        ("/suppression/new", {"customer_id": ada.id, "address": "", "channel": "slip", "reason": "asked"}),
    ):  # fmt: skip
        assert browser.get(f"{address}?customer_id={ada.id}").status_code == 200
        answer = desk.app.submit(browser, address, form)
        assert answer.status_code == 302, answer.get_data(as_text=True)
    page = browser.get(f"/customer/{ada.id}").get_data(as_text=True)
    assert "News and offers: declined" in page
    assert "They asked" in page


def test_an_administrator_finds_all_rules_on_one_page(desk: Desk):
    desk.create(FrequencyCap, name="Two a week", most=2, days=7)
    desk.create(RetentionRule, name="Old notes", kind="interaction", days=400)
    browser = desk.app.browser()
    page = browser.get("/admin/contact").get_data(as_text=True)
    for text in ("News and offers", "Night", "Two a week", "Old notes"):
        assert text in page
    assert desk.app.browser(desk.app.actors().manager).get("/admin/contact").status_code == 403


def test_held_messages_are_approved_many_at_once(desk: Desk):
    actors = desk.app.actors()
    people = [desk.person(name) for name in ("Ada", "Bob")]
    held = [desk.write(each, actor=actors.viewer, purpose="service") for each in people]
    browser = desk.app.browser(actors.manager)
    page = browser.get("/message?filter=state+%3D+%22held%22").get_data(as_text=True)
    assert all(str(each.id) in page for each in held)
    answer = desk.app.submit(browser, "/message/bulk", {"do": "approve", "ids": [str(each.id) for each in held]})
    assert answer.status_code == 302, answer.get_data(as_text=True)
    desk.settle()
    assert sorted(desk.slips) == ["ada@example.com", "bob@example.com"]
    with desk.site.read(desk.app.admin) as reader:
        assert {each.approved_by_id for each in reader.all(Message)} == {actors.manager.id}
