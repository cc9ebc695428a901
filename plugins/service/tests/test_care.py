"""Customer care, told as stories: what was promised, what comes back, who is satisfied, and what follows from it."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from decimal import Decimal
from typing import Any

import pytest
from rapport_callcenter import CallList, Entry
from rapport_callcenter.lists import begin_filling
from rapport_portal import Account
from rapport_portal.accounts import enter, new_link
from rapport_products import Price, PriceBook, Product
from rapport_sales import Order, OrderLine, place
from rapport_service.care import Care, CarePlan, CareStep
from rapport_service.entities import Case
from rapport_service.entitlements import Entitlement
from rapport_service.months import add_months, months_ago
from rapport_service.registration import Registration
from rapport_service.returns import Return
from rapport_service.suggestions import Suggestion, SuggestionRule
from rapport_service.surveys import MONTH_AFTER, Answer, Invitation, Question, Survey, ask_one, decline

from rapport import Consent, Message, Purpose, Task, enqueue_job, system, utcnow
from rapport.testing.paper import sent

API = "/api/v1/"


def today() -> dt.date:
    return utcnow().date()


def skimmer(service: Any, **values: Any) -> Any:
    """A product with a warranty of two years that is taken back within 30 days."""
    return service.make(Product, **{
        "name": "Skimmer", "price": "100", "currency": "USD", "service_warranty_months": 24, "service_return_days": 30,
        **values,
    })  # fmt: skip


def test_months_are_counted_as_people_count_them() -> None:
    assert add_months(dt.date(2026, 1, 31), 1) == dt.date(2026, 2, 28)
    assert add_months(dt.date(2025, 12, 5), 26) == dt.date(2028, 2, 5)
    day = dt.date(2026, 1, 1)
    for _ in range(800):
        due = months_ago(day, 1)
        assert add_months(due, 1) <= day < add_months(due + dt.timedelta(days=1), 1)
        day += dt.timedelta(days=1)


def test_a_registered_product_keeps_the_warranty_it_was_sold_with(service: Any) -> None:
    app = service.app
    product, ada = skimmer(service), app.create_customer(name="Ada")
    facts = {"customer_id": str(ada.id), "product_id": str(product.id), "serial": " ab-1 "}
    facts["purchased_on"] = "2026-01-31"
    made = app.client.post(f"{API}service.registration", json=facts)
    assert made.status_code == 201, made.get_json()
    assert made.get_json()["warranty_until"] == "2028-01-31"
    assert made.get_json()["name"] == "Skimmer · AB-1"
    assert app.client.post(f"{API}service.registration", json={**facts, "serial": "AB-1"}).status_code == 409
    too_early = {**facts, "purchased_on": "2999-01-01"}
    assert app.client.post(f"{API}service.registration", json=too_early).status_code == 422

    service.change(product, service_warranty_months=12)
    (had,) = app.client.get(f"{API}service.registration").get_json()["items"]
    assert had["warranty_until"] == "2028-01-31"  # what was promised stays
    with app.site.read(app.admin) as reader:
        record = reader.all(Registration)[0]
    assert record.covered(dt.date(2028, 1, 31))
    assert not record.covered(dt.date(2028, 2, 1))
    service.change(record, extra_months=6)
    assert service.again(record).warranty_until == dt.date(2027, 7, 31)  # 12 months of today, and 6

    case = service.make(Case, subject="It leaks", customer_id=ada.id)
    browser = app.browser(app.user("Noa"))
    for page in (f"/customer/{ada.id}", f"/service.case/{case.id}"):
        text = browser.get(page).get_data(as_text=True)
        assert "Skimmer · AB-1" in text
        assert "could not show this" not in text


def test_what_was_paid_for_is_used_up_and_then_refused_or_warned_of(service: Any) -> None:
    app = service.app
    ada, noa = app.create_customer(name="Ada"), app.user("Noa")
    case = service.make(Case, subject="It leaks", customer_id=ada.id)
    hours = service.make(Entitlement, customer_id=ada.id, kind="hours", units="3", valid_from=today(),
                         when_used_up="refuse")  # fmt: skip
    calls = service.make(Entitlement, customer_id=ada.id, kind="calls", units="1", valid_from=today())
    browser = app.browser(noa)

    def press(entitlement: str, kind: str, units: str) -> str:
        answer = app.submit(browser, entitlement, {"kind": kind, "units": units, "note": ""})
        assert answer.status_code == 302, answer.get_data(as_text=True)
        return str(browser.get(answer.location).get_data(as_text=True))

    button = f"/service.case/{case.id}/do/entitlement"
    assert "2 of 3 of “Support hours” are used" in press(button, "hours", "2")
    assert "Nothing was taken" in press(button, "hours", "2")
    assert "Used up: 2 of 1" in press(button, "calls", "2")
    assert "nothing of this kind" in press(button, "visits", "1")
    assert (service.again(hours).used, service.again(hours).remaining) == (2, 1)
    assert service.again(calls).remaining == -1
    too_much = {"entitlement_id": str(hours.id), "units": "2"}
    refused = app.client.post(f"{API}service.entitlement_use", json=too_much)
    assert refused.status_code == 422
    assert "more than the 1" in str(refused.get_json())
    assert "Support hours" in browser.get(f"/service.case/{case.id}").get_data(as_text=True)


def test_a_return_follows_the_rules_and_a_manager_goes_beyond_them(service: Any) -> None:
    app = service.app
    noa, mona = app.user("Noa"), app.user("Mona", roles=["manager"])
    product, ada = skimmer(service), app.create_customer(name="Ada")
    book = service.make(PriceBook, name="Autumn sale", currency="USD", valid_from=today() - dt.timedelta(days=60),
                        valid_to=today() - dt.timedelta(days=30))  # fmt: skip
    service.make(Price, price_book_id=book.id, product_id=product.id, price="79.50")
    old = service.make(PriceBook, name="Long ago", currency="USD", valid_to=today() - dt.timedelta(days=200))
    service.make(Price, price_book_id=old.id, product_id=product.id, price="10")
    had = service.make(Registration, customer_id=ada.id, product_id=product.id, serial="S1",
                       purchased_on=today() - dt.timedelta(days=100))  # fmt: skip
    case = service.make(Case, subject="It broke", customer_id=ada.id)
    browser, boss = app.browser(noa), app.browser(mona)

    def asked(**values: Any) -> Any:
        return service.make(Return, **{"customer_id": ada.id, "product_id": product.id, **values})

    def press(who: Any, record: Any, button: str, **form: Any) -> int:
        return int(app.submit(who, f"/service.return/{record.id}/do/{button}", form).status_code)

    # in time and with a receipt: the money back, at the price paid
    new = asked(receipt=True, paid="95", purchased_on=today() - dt.timedelta(days=3), reason="mind", wish="refund")
    assert (new.rule, new.allowed, new.amount) == ("receipt", ("replacement", "refund", "credit"), Decimal(95))
    assert press(browser, new, "settle", remedy="refund") == 404  # one step after the other
    assert press(browser, new, "approve", remedy="refund") == 302
    for button in ("receive", "inspect"):
        assert press(browser, new, button, condition="as_new", finding="") == 302
    assert press(browser, new, "settle", remedy="refund", replacement_serial="") == 302
    assert press(browser, new, "close") == 302
    assert service.again(new).status == "closed"
    assert service.again(new).settled_on == today()

    # without one: credit or replacement, at the lowest price of late
    lost = asked(reason="mind", wish="refund")
    assert (lost.rule, lost.allowed, lost.amount) == ("no_receipt", ("replacement", "credit"), Decimal("79.50"))
    assert press(browser, lost, "approve", remedy="refund") == 422
    assert press(browser, lost, "approve", remedy="credit") == 302

    # too late, but under warranty: repair or replacement, and the new serial number takes the place of the old
    made = app.submit(browser, f"/service.registration/{had.id}/do/return",
                      {"reason": "defective", "wish": "replacement", "receipt": "true"})  # fmt: skip
    broken = next(each for each in _all(app, Return) if made.location.endswith(str(each.id)))
    assert (broken.rule, broken.allowed) == ("warranty", ("repair", "replacement"))
    assert press(browser, broken, "approve", remedy="replacement") == 302
    assert press(browser, broken, "receive") == 302
    assert press(browser, broken, "inspect", condition="defective", finding="The motor") == 302
    assert press(browser, broken, "settle", remedy="replacement", replacement_serial="S2") == 302
    assert service.again(had).serial == "S2"

    # nothing covers it: only who may decide
    late = asked(reason="mind", wish="refund", receipt=True, paid="95", purchased_on=today() - dt.timedelta(days=99),
                 case_id=case.id)  # fmt: skip
    assert (late.rule, late.allowed) == ("none", ())
    refused = app.api(noa).patch(f"{API}service.return/{late.id}", json={"status": "approved", "remedy": "refund"},
                                 headers={"If-Match": '"1"'})  # fmt: skip
    assert refused.status_code == 422
    assert press(boss, late, "approve", remedy="refund", why="A good customer") == 302
    assert "Skimmer" in browser.get(f"/service.case/{case.id}").get_data(as_text=True)

    # above the limit: the same
    with app.site.db.write() as connection:
        app.site.settings.set(connection, "service.return_limit", 50)
    dear = asked(reason="wrong", wish="credit")
    assert press(browser, dear, "approve", remedy="credit") == 422
    assert press(browser, dear, "approve", remedy="credit", amount="50") == 302
    rows = {(line[1], line[3], line[4], line[5], line[6]) for line in _report(app, "service.returns")}
    assert rows == {("Changed their mind", "0", "0", "1", "0"), ("Defective", "0", "1", "0", "0"),
                    ("Wrong product", "0", "0", "0", "0")}  # fmt: skip
    (claim,) = _report(app, "service.warranty")
    assert claim[:4] == ["Skimmer", "1", "1", "1"]


def _all(app: Any, entity: Any, *where: Any) -> list[Any]:
    with app.site.read(app.admin) as reader:
        return list(reader.all(entity, *where))


def _report(app: Any, name: str) -> list[list[str]]:
    with app.browser().get(f"/reports/{name}/export?format=csv") as file:
        return list(csv.reader(io.StringIO(file.get_data(as_text=True).lstrip("\ufeff"))))[1:]


@pytest.mark.usefixtures("paper")
def test_a_month_after_the_purchase_its_buyer_is_asked_once_and_a_low_mark_reaches_somebody(
    make_app: Any, clock: Any
) -> None:
    clock.now = clock.now.replace(hour=10)  # no quiet hours
    with make_app(plugins=["service", "paper"]) as app:
        story = Asking(app)
        ada = app.create_customer(name="آدا", email="ada@example.com", language="fa")
        ben = app.create_customer(name="Ben", email="ben@example.com")
        cleo = app.create_customer(name="Cleo", phone="+44 20 7946 0003")
        for customer in (ada, ben, cleo):
            story.sold(customer)
            story.sold(customer, serial=f"second {customer.id}")  # bought two on one day: one survey
        story.sold(ben, purchased_on=today() - dt.timedelta(days=200))  # long past when the survey is switched on

        clock.forward(days=(add_months(today(), 1) - today()).days - 1)
        story.morning()
        assert sent(app.site) == []  # a day too early
        clock.forward(days=1)
        story.morning()
        story.morning()
        asked = {each.customer_id: each for each in _all(app, Invitation)}
        assert {customer_id: each.state for customer_id, each in asked.items()} == {
            ada.id: "sent", ben.id: "sent", cleo.id: "call",
        }  # fmt: skip
        slips = {slip["to"]: slip for slip in sent(app.site)}
        assert sorted(slips) == ["ada@example.com", "ben@example.com"]
        assert slips["ben@example.com"]["purpose"] == "survey"

        # looking changes nothing; a wrong link opens nothing
        link = story.link(slips["ada@example.com"])
        visitor = app.flask.test_client()
        page = visitor.get(link).get_data(as_text=True)
        assert 'dir="rtl"' in page
        assert "Skimmer" in page
        assert 'dir="ltr"' in visitor.get(f"{link}?language=fr").get_data(as_text=True)
        assert visitor.get(link + "x").status_code == 404
        assert visitor.post(link + "x", data={}).status_code == 404
        assert visitor.post(link, data={}).status_code == 422  # what must be answered
        assert visitor.post(link, data=story.form(product="11", service="9")).status_code == 422

        # once
        happy = story.form(product="9", service="10", recommend_product="10", recommend_store="8", text="عالی")
        assert visitor.post(link, data=happy).status_code == 200
        assert visitor.post(link, data=story.form(product="1", service="1")).status_code == 200
        assert story.marks(ada) == {"product": 9, "service": 10, "recommend_product": 10, "recommend_store": 8}

        # a low mark opens a case; solving it clears the loop, and the customer hears of it
        link = story.link(slips["ben@example.com"])
        visitor.post(link, data=story.form(product="2", service="8", recommend_product="0", text="It broke."))
        app.settle()
        (case,) = _all(app, Case)
        assert (case.customer_id, case.kind) == (ben.id, "complaint")
        assert "It broke." in case.description
        low = next(each for each in _all(app, Invitation) if each.customer_id == ben.id)
        assert (low.loop, low.lowest, low.case_id) == ("open", 0, case.id)
        assert "Ben" in app.browser().get("/").get_data(as_text=True)
        cleared = app.submit(app.browser(), f"/service.invitation/{low.id}/do/clear",
                             {"result": "A new motor is on its way.", "tell": "true"})  # fmt: skip
        assert cleared.status_code == 302
        app.settle()
        assert "A new motor is on its way." in sent(app.site)[-1]["body"]

        # on the phone
        call = next(each for each in _all(app, Invitation) if each.customer_id == cleo.id)
        browser = app.browser(app.user("Noa"))
        ask = f"/service.invitation/{call.id}/ask"
        assert "Skimmer" in browser.get(ask).get_data(as_text=True)
        said = story.form(product="7", service="7", recommend_product="7")
        assert app.submit(browser, ask, said).status_code == 302
        assert "By phone" in browser.get(f"/service.invitation/{call.id}").get_data(as_text=True)
        assert browser.get(ask).status_code == 302  # once

        # the figures equal those counted by hand
        nps = [line[1:] for line in _report(app, "service.nps")]
        assert nps == [
            ["Recommend the product", "Skimmer", "3", "1", "1", "1", "0.00"],
            ["Recommend the store", "Skimmer", "1", "0", "1", "0", "0.00"],
        ]
        means = {line[2]: (line[3], line[4]) for line in _report(app, "service.satisfaction")}
        assert means["Satisfaction with the product"] == ("3", "6.00")
        assert means["Satisfaction with the service"] == ("3", "8.33")
        shares = {(line[0], line[1]): line[3] for line in _report(app, "service.marks")}
        assert shares["Satisfaction with the product", "9"] == "33.33"
        (response,) = _report(app, "service.response")
        assert response[2:] == ["Skimmer", "3", "3", "100.00", "1", "0"]
        assert "6 of 10" not in app.browser().get(f"/customer/{ada.id}").get_data(as_text=True)
        assert "9.5 of 10" in app.browser().get(f"/customer/{ada.id}").get_data(as_text=True)


class Asking:
    """The survey that comes with the plugin, in use, and short ways to buy and to answer."""

    def __init__(self, app: Any) -> None:
        self.app = app
        with app.site.write(app.admin) as unit:
            (survey,) = unit.reader.all(Survey, Survey.name == MONTH_AFTER)
            unit.update(survey, {"active": True, "channel": "slip"})
            self.product = unit.create(Product, {"name": "Skimmer", "price": "100", "currency": "USD"})
        self.questions = {each.kind: each for each in _all(app, Question)}

    def sold(self, customer: Any, **values: Any) -> None:
        with self.app.site.write(self.app.admin) as unit:
            unit.create(Registration, {"customer_id": customer.id, "product_id": self.product.id,
                                       "purchased_on": today(), **values})  # fmt: skip

    def morning(self) -> None:
        """What the schedule does each morning."""
        with self.app.site.db.write() as connection:
            enqueue_job(connection, "service.ask_buyers", {}, actor=system("test"))
        self.app.settle()

    def link(self, slip: Any) -> str:
        found = re.search(r"http://localhost(/service/survey/\S+)", slip["body"])
        assert found is not None
        return found[1]

    def form(self, **said: str) -> dict[str, str]:
        return {f"q-{self.questions[kind].id}": value for kind, value in said.items()}

    def marks(self, customer: Any) -> dict[str, int]:
        theirs = next(each.id for each in _all(self.app, Invitation) if each.customer_id == customer.id)
        found = _all(self.app, Answer, Answer.invitation_id == theirs)
        return {each.kind: each.mark for each in found if each.mark is not None}


@pytest.mark.usefixtures("paper")
def test_a_care_plan_calls_and_writes_on_its_days_and_leaves_alone_who_wants_that(make_app: Any, clock: Any) -> None:
    with make_app(plugins=["service", "paper"]) as app:
        noa = app.user("Noa")
        ada = app.create_customer(name="Ada", email="ada@example.com", tags=["vip"])
        ben = app.create_customer(name="Ben", email="ben@example.com", tags=["vip"])
        gone = app.create_customer(name="Gone", tags=["vip"])
        app.create_customer(name="Dora")
        with app.site.write(app.admin) as unit:
            facts = {"name": "VIP", "filter": 'tags has "vip"', "active": True, "owner_id": noa.id}
            plan = unit.create(CarePlan, facts)
            for days, kind, title in ((0, "call", "Welcome"), (7, "note", "Thank you"), (14, "message", "How is it?")):
                unit.create(CareStep, {"care_plan_id": plan.id, "after_days": days, "kind": kind, "title": title,
                                       "text": "Dear {name}", "channel": "slip"})  # fmt: skip
        wrong = app.client.post(f"{API}service.care_plan", json={"name": "x", "filter": "tags hax"})
        assert wrong.status_code == 422

        def morning() -> None:
            with app.site.db.write() as connection:
                enqueue_job(connection, "service.care", {}, actor=system("test"))
            app.settle()

        def tasks() -> list[tuple[str, str]]:
            names = {ada.id: "Ada", ben.id: "Ben", gone.id: "Gone"}
            return sorted((each.title, names[each.customer_id]) for each in _all(app, Task))

        morning()
        morning()  # twice is once
        assert tasks() == [("Call: Welcome", "Ada"), ("Call: Welcome", "Ben"), ("Call: Welcome", "Gone")]
        assert {each.owner_id for each in _all(app, Task)} == {noa.id}
        assert "Thank you" in app.browser(noa).get(f"/customer/{ada.id}").get_data(as_text=True)
        with app.site.write(app.admin) as unit:
            purpose = unit.reader.all(Purpose, Purpose.name == "care")[0]
            unit.create(Consent, {"customer_id": ben.id, "purpose_id": purpose.id, "state": "denied"})
            unit.archive(unit.get(type(gone), gone.id))
        clock.forward(days=7)
        morning()
        assert tasks()[3:] == [("Handwritten note: Thank you", "Ada")]
        assert sorted(each.status for each in _all(app, Care)) == ["running", "stopped", "stopped"]
        clock.forward(days=8)
        morning()
        (message,) = _all(app, Message)
        assert (message.body.startswith("Dear Ada"), message.subject) == (True, "How is it?")
        assert {each.why for each in _all(app, Care)} == {
            "", "They asked to be left alone.", "They are no longer a customer.",
        }  # fmt: skip
        page = app.browser().get(f"/service.care_plan/{plan.id}").get_data(as_text=True)
        assert "Welcome" in page
        assert "could not show this" not in page


@pytest.mark.usefixtures("paper")
def test_a_suggestion_finds_who_can_act_and_its_result_comes_back(make_app: Any) -> None:
    with make_app(plugins=["service", "paper"]) as app:
        noa, lea, mona = app.user("Noa"), app.user("Lea"), app.user("Mona", roles=["manager"])
        ada = app.create_customer(name="Ada", email="ada@example.com")
        with app.site.write(app.admin) as unit:
            unit.create(SuggestionRule, {"user_id": mona.id})
            unit.create(SuggestionRule, {"user_id": lea.id, "about": "product"})
        made = app.api(noa).post(f"{API}service.suggestion", json={
            "title": "A washable filter", "about": "product", "customer_id": str(ada.id),
        })  # fmt: skip
        assert made.status_code == 201
        ours = app.api(noa).post(f"{API}service.suggestion", json={"title": "Fewer forms", "about": "process"})
        assert [made.get_json()["owner_id"], ours.get_json()["owner_id"]] == [str(lea.id), str(mona.id)]
        app.settle()
        assert {(each.title, each.owner_id) for each in _all(app, Task)} == {
            ("Consider: A washable filter", lea.id), ("Consider: Fewer forms", mona.id),
        }  # fmt: skip
        button = f"/service.suggestion/{made.get_json()['id']}/do/"
        browser = app.browser(lea)
        assert app.submit(browser, button + "refuse", {"result": ""}).status_code == 422  # nobody is left without
        assert app.submit(browser, button + "accept", {"result": "From spring on."}).status_code == 302
        app.submit(app.browser(mona), f"/service.suggestion/{ours.get_json()['id']}/do/refuse", {"result": "The law."})
        app.settle()
        (slip,) = sent(app.site)
        assert slip["subject"] == "We take up your suggestion: A washable filter"
        assert "From spring on." in slip["body"]
        assert all(each.done_at is not None for each in _all(app, Task))
        assert "The law." in app.browser(noa).get("/").get_data(as_text=True)
        figures = {line[0]: line[1:] for line in _report(app, "service.suggestions")}
        assert figures == {"Product": ["1", "0", "1", "0", "0", "1"], "How we work": ["1", "0", "0", "1", "0", "0"]}
        with app.site.write(app.admin) as unit:
            unit.delete(unit.get(Suggestion, _all(app, Suggestion)[0].id))


def test_a_customer_registers_sends_back_answers_and_suggests_in_the_portal_and_reaches_nobody_else(
    make_app: Any,
) -> None:
    with make_app(plugins=["service", "portal"]) as app:
        people = [app.create_customer(name=name, email=f"{name.lower()}@example.com") for name in ("Ada", "Ben")]
        story = Asking(app)
        with app.site.write(app.admin) as unit:
            unit.update(unit.get(Product, story.product.id), {"service_warranty_months": 24})
            survey = unit.reader.all(Survey)[0]
            for person in people:
                ask_one(unit, survey, person.id, product_id=story.product.id, phone=True)
        ada, ben = (_signed_in(app, person) for person in people)

        sent_too = {"customer_id": str(people[1].id), "source": "staff", "extra_months": "99", "note": "x"}
        form = {"product_id": str(story.product.id), "serial": "s-9", "purchased_on": str(today()), **sent_too}
        assert ada.post("/portal/service/products", data={"serial": "s-9"}).status_code == 422
        assert ada.post("/portal/service/products", data=form).status_code == 302
        (had,) = _all(app, Registration)
        assert (had.customer_id, had.source, had.extra_months, had.note) == (people[0].id, "portal", 0, "")
        assert "Under warranty" in ada.get("/portal/service/products").get_data(as_text=True)
        assert "S-9" not in ben.get("/portal/service/products").get_data(as_text=True)
        again = ben.post("/portal/service/products", data=form)
        assert again.status_code == 422  # that piece is somebody's already

        ask = f"/portal/service/products/{had.id}/return"
        assert ben.get(ask).status_code in {403, 404}
        assert ben.post(ask, data={"reason": "mind", "wish": "refund"}).status_code in {403, 404}
        wish = {"reason": "defective", "wish": "repair", "note": "It hums", "status": "approved", "amount": "999"}
        assert ada.post(ask, data=wish).status_code == 302
        (back,) = _all(app, Return)
        assert (back.status, back.customer_id, back.rule) == ("requested", people[0].id, "warranty")
        assert "Skimmer" in ada.get("/portal/service/returns").get_data(as_text=True)
        assert "Skimmer" not in ben.get("/portal/service/returns").get_data(as_text=True)

        idea = {"title": "A quieter motor", "about": "product", "status": "done", "result": "x"}
        assert ada.post("/portal/service/suggestions", data=idea).status_code == 302
        (made,) = _all(app, Suggestion)
        assert (made.status, made.result, made.customer_id) == ("new", "", people[0].id)
        assert "A quieter motor" not in ben.get("/portal/service/suggestions").get_data(as_text=True)

        home = ada.get("/portal/").get_data(as_text=True)
        link = re.search(r'"(/service/survey/[^"]+)"', home)
        assert link is not None
        said = story.form(product="8", service="8")
        assert app.flask.test_client().post(link[1].replace("&amp;", "&"), data=said).status_code == 200
        mine = next(each for each in _all(app, Invitation) if each.customer_id == people[0].id)
        assert (mine.state, mine.answered_by) == ("answered", "portal")
        assert "/service/survey/" not in ada.get("/portal/").get_data(as_text=True)
        assert "/service/survey/" in ben.get("/portal/").get_data(as_text=True)


def _signed_in(app: Any, customer: Any) -> Any:
    with app.site.write(system("test")) as unit:
        token = new_link(unit, unit.create(Account, {"customer_id": customer.id}))
    browser = app.flask.test_client()
    browser.set_cookie("rapport_portal", enter(app.site, token) or "", path="/portal/")
    return browser


@pytest.mark.usefixtures("paper")
def test_whose_case_was_solved_is_asked_and_their_mark_stands_in_the_case(make_app: Any, clock: Any) -> None:
    clock.now = clock.now.replace(hour=10)
    with make_app(plugins=["service", "paper"]) as app:
        story = Asking(app)
        ada = app.create_customer(name="Ada", email="ada@example.com")
        with app.site.write(app.admin) as unit:
            unit.update(unit.reader.all(Survey)[0], {"after_case": True, "months_after": None})
            case = unit.create(Case, {"customer_id": ada.id, "subject": "It leaks"})
        app.settle()
        assert sent(app.site) == []
        with app.site.write(app.admin) as unit:
            unit.update(unit.get(Case, case.id), {"status": "solved"})
        app.settle()
        slip = next(each for each in sent(app.site) if "/service/survey/" in each["body"])
        app.flask.test_client().post(story.link(slip), data=story.form(product="5", service="3"))
        app.settle()
        assert next(each.satisfaction for each in _all(app, Case) if each.id == case.id) == 3
        opened = next(each for each in _all(app, Case) if each.id != case.id)
        assert opened.kind == "complaint"
        with app.site.write(app.admin) as unit:  # nobody is asked how we took their last answer
            unit.update(unit.get(Case, opened.id), {"status": "solved"})
        app.settle()
        (asked,) = _all(app, Invitation)
        assert (asked.loop, asked.result) == ("closed", "The case was solved.")


def test_whom_no_mail_reaches_is_called_from_a_list(make_app: Any) -> None:
    with make_app(plugins=["service", "callcenter"]) as app:
        story = Asking(app)
        survey = _all(app, Survey)[0]
        ada = app.create_customer(name="Ada", phone="+44 20 7946 0001")
        ben = app.create_customer(name="Ben", phone="+44 20 7946 0002")
        with app.site.write(app.admin) as unit:
            for customer in (ada, ben):
                ask_one(unit, unit.get(Survey, survey.id), customer.id, product_id=story.product.id, phone=True)
            decline(unit, unit.reader.all(Invitation, Invitation.customer_id == ben.id)[0])
        made = app.submit(app.browser(), f"/service.survey/{survey.id}/do/call_list", {"name": ""})
        assert made.status_code == 302
        with app.site.write(app.admin) as unit:
            begin_filling(unit, unit.reader.all(CallList)[0])
        app.settle()
        assert [each.customer_id for each in _all(app, Entry)] == [ada.id]
        page = app.browser(app.user("Noa")).get(f"/customer/{ada.id}").get_data(as_text=True)
        assert f"/service.invitation/{_all(app, Invitation, Invitation.customer_id == ada.id)[0].id}/ask" in page


def test_whoever_ordered_is_asked_about_what_cost_most(make_app: Any, clock: Any) -> None:
    with make_app(plugins=["service", "sales"]) as app:
        story = Asking(app)
        ada, ben = (app.create_customer(name=name) for name in ("Ada", "Ben"))
        with app.site.write(app.admin) as unit:
            brush = unit.create(Product, {"name": "Brush", "price": "5", "currency": "USD"})
            for customer in (ada, ben):
                order = unit.create(Order, {"customer_id": customer.id, "currency": "USD",
                                            "address": {"city": "Reno"}})  # fmt: skip
                for product in (story.product, brush):
                    unit.create(OrderLine, {"order_id": order.id, "product_id": product.id})
                if customer is ada:
                    assert place(unit, order) == []
        clock.forward(days=(add_months(today(), 1) - today()).days)
        for _ in range(2):
            with app.site.db.write() as connection:
                enqueue_job(connection, "service.ask_orderers", {}, actor=system("test"))
            app.settle()
        story.sold(ada, purchased_on=months_ago(today(), 1))  # registered on the day she ordered it: asked already
        story.morning()
        (asked,) = _all(app, Invitation)
        assert (asked.customer_id, asked.product_id) == (ada.id, story.product.id)
