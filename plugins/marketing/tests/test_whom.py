"""Whom to write to: customer strategy, segments, lists that were put together or bought."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import pytest
from rapport_marketing import (
    Campaign,
    CustomerList,
    ListMember,
    Sale,
    Segment,
    Standing,
    Strategy,
    members,
    put_on_list,
)
from rapport_marketing.contact import facts
from sqlalchemy import select

from rapport import Consent, Customer, Invalid, Purpose, Suppression, ask_gate, send, utcnow
from rapport.builtin.exchange import imports
from rapport.fit import CustomField

from .conftest import Marketing


def test_customers_are_sorted_by_what_they_bring_and_the_gate_keeps_to_it(marketing: Any):
    rich, poor, loss, unknown = marketing.people(4)
    campaign = marketing.campaign()
    for who, profit in ((rich, 900), (rich, 300), (poor, 40), (loss, -20)):
        marketing.make(Sale, campaign_id=campaign.id, customer_id=who.id, revenue="1000", profit=profit)
    marketing.make(Sale, campaign_id=campaign.id, customer_id=unknown.id, revenue="9", profit="9", currency="CHF")
    marketing.run("marketing.decide")
    found = marketing.app.client.get("/api/v1/customer?fields=name,marketing_decision,marketing_profit&sort=name")
    assert [(each["marketing_decision"], each["marketing_profit"]) for each in found.get_json()["items"]] == [
        ("invest", "1200.00"), ("manage", "40.00"), ("divest", "-20.00"), (None, None),
    ]  # fmt: skip
    best = marketing.app.client.get("/api/v1/customer", query_string={"filter": 'marketing_decision = "invest"'})
    assert [each["name"] for each in best.get_json()["items"]] == [rich.name]
    assert "Invest · Priority" in marketing.app.browser().get(f"/customer/{rich.id}").get_data(as_text=True)

    (divest,) = marketing.all(Strategy, Strategy.decision == "divest")
    marketing.change(divest, channels=["letter"])
    with marketing.app.site.write(marketing.app.admin) as unit:
        for who in (rich, loss):
            unit.create(Consent, {"customer_id": who.id, "purpose_id": unit.session.scalar(
                select(Purpose.id).where(Purpose.name == "marketing")), "state": "granted"})  # fmt: skip
        said = {who.name: send(unit, channel="slip", customer=who, purpose="marketing", body="News").reason
                for who in (rich, loss)}  # fmt: skip
        owed = send(unit, channel="slip", customer=loss, purpose="service", body="Your order")
    assert "allows marketing only by letter" in said[loss.name]
    assert "strategy" not in said[rich.name]
    assert "strategy" not in owed.reason
    marketing.run("marketing.decide")  # nothing has changed, so nothing is written
    with marketing.app.site.read(marketing.app.admin) as reader:
        assert [each.version for each in reader.all(Standing)] == [1, 1, 1]


def test_strategy_may_go_by_a_number_of_the_customers_own(make_app: Any):
    with make_app(plugins=["marketing"]) as app, app.site.write(app.admin) as unit:
        unit.create(CustomField, {"entity": "customer", "name": "x_margin", "label": "Margin", "kind": "decimal"})
    with make_app(plugins=["marketing"]) as app:
        ada = app.create_customer(name="Ada", x_margin="5000")
        story = Marketing(app)
        story.setting("marketing.profit_field", "x_margin")
        story.run("marketing.decide")
        assert app.client.get(f"/api/v1/customer/{ada.id}").get_json()["marketing_decision"] == "invest"


def test_a_segment_is_whoever_meets_its_condition_and_tells_who_came_and_went(marketing: Any, clock: Any):
    marketing.people(12, tags=("vip",))
    people = marketing.people(3)
    without = marketing.make(CustomerList, name="Competitors")
    with marketing.app.site.write(marketing.app.admin) as unit:
        first = unit.reader.all(type(people[0]), limit=1)[0]
        assert put_on_list(unit, without, [first.id, first.id]) == 1
    segment = marketing.make(Segment, name="VIPs", filter='tags has "vip"', without_id=without.id)
    with pytest.raises(Invalid, match="tagz"):
        marketing.make(Segment, name="Wrong", filter='tagz has "vip"')

    def ids() -> set[Any]:
        with marketing.app.site.read(marketing.app.admin) as reader:
            return set(reader.session.scalars(members(reader, reader.get(Segment, segment.id))))

    assert len(ids()) == 11
    marketing.run("marketing.track")
    assert marketing.again(segment).count == 11
    clock.forward(days=2)
    gone = next(iter(ids()))
    with marketing.app.site.write(marketing.app.admin) as unit:
        unit.update(unit.get(type(people[0]), people[0].id), {"tags": ["vip"]})
        unit.update(unit.get(type(people[0]), gone), {"tags": []})
    marketing.run("marketing.track")
    browser = marketing.app.browser()
    page = browser.get(f"/marketing.segment/{segment.id}").get_data(as_text=True)
    assert "could not show this" not in page
    new, left = (browser.get(f"/marketing/segment/{segment.id}?show={which}").get_data(as_text=True)
                 for which in ("new", "left"))  # fmt: skip
    assert people[0].name in new
    assert str(gone) in left
    assert str(gone) not in new
    assert people[0].name not in left


def test_a_bought_list_says_why_people_on_it_may_be_written_to(marketing: Any, clock: Any):
    app = marketing.app
    bad = app.client.post("/api/v1/marketing.list", json={"name": "Pools", "kind": "bought"})
    assert {each["field"] for each in bad.get_json()["errors"]} == {"source", "basis"}
    known = app.create_customer(name="Known", email="known@example.com")
    purpose = marketing.all(Purpose, Purpose.name == "marketing")[0]
    marketing.make(Consent, customer_id=known.id, purpose_id=purpose.id, state="denied")
    bought = marketing.make(
        CustomerList, name="Pools", kind="bought", source="Pool owners’ panel", vendor="Data & Sons", cost="500",
        basis="consent", proof="I want to hear of pools.", obtained_on="2026-03-01", expires_on="2027-03-01",
    )  # fmt: skip
    file = "Name,E-mail,List,x\nAda,ada@example.com,Pools,1\nBob,bob@example.com,Pools,2\nEve,eve@example.com,,3\n"
    run = imports.start(app.site, app.admin, "customer", io.BytesIO(file.encode()), "households.csv")
    assert run.mapping["List"] == "marketing_list_id"
    done = imports.run(app.site, app.admin, run.id)
    assert (done.created, done.refused) == (3, 0)
    rows = marketing.all(ListMember, ListMember.list_id == bought.id)
    assert len(rows) == 2
    given = marketing.all(Consent, Consent.given_by == "bought")
    assert {(each.state, each.source, each.proof) for each in given} == {
        ("granted", "Pool owners’ panel · Data & Sons", "I want to hear of pools.\n2026-03-01"),
    }  # fmt: skip
    # Above the list of customers: whoever has said something themselves is not overruled by a seller.
    form = {"ids": [str(known.id)], "do": "put_on_list", "list_id": str(bought.id)}
    assert app.submit(app.browser(), "/customer/bulk", form).status_code == 302
    assert len(marketing.all(ListMember)) == 3
    assert [each.state for each in marketing.all(Consent, Consent.customer_id == known.id)] == ["denied"]
    assert marketing.all(CustomerList)[0].expires_on == dt.date(2027, 3, 1)


def test_a_list_is_worth_what_its_answers_cost(marketing: Any):
    people = marketing.people(10)
    bought = marketing.make(CustomerList, name="Pools", kind="bought", source="Panel", basis="public", cost="90")
    with marketing.app.site.write(marketing.app.admin) as unit:
        put_on_list(unit, bought, [each.id for each in people])
    campaign: Campaign = marketing.campaign()
    for each in people[:3]:
        marketing.app.client.post(
            "/api/v1/marketing.response",
            json={"campaign_id": str(campaign.id), "customer_id": str(each.id), "kind": "call"},
        )
    marketing.app.client.post("/api/v1/marketing.response", json={
        "campaign_id": str(campaign.id), "customer_id": str(people[4].id), "kind": "no_interest"})  # fmt: skip
    with marketing.app.site.read(marketing.app.admin) as reader:
        (row,) = marketing.app.site.reports["marketing.lists"].rows(reader)
    assert (row.members, row.responded, row.per_response) == (10, 3, Decimal("30.00"))


def test_a_marketer_sees_how_many_may_be_contacted_and_why_not_the_rest(marketing: Any) -> None:
    app = marketing.app
    people = marketing.people(7)
    marketing.make(Customer, name="Nowhere")
    (purpose,) = marketing.all(Purpose, Purpose.name == "marketing")
    long_ago = utcnow() - dt.timedelta(days=90)

    def says(who: Customer, state: str, channel: str = "", at: dt.datetime | None = None) -> None:
        marketing.make(Consent, customer_id=str(who.id), purpose_id=str(purpose.id), state=state, channel=channel,
                       at=(at or utcnow()).isoformat())  # fmt: skip

    agreed, changed, by_letter, asked_for_peace, bounced, declined, _silent = people
    for who in (agreed, asked_for_peace, bounced):
        says(who, "granted")
    says(changed, "granted", at=long_ago)
    says(changed, "denied")
    says(by_letter, "granted", "letter")
    says(declined, "denied", "slip")
    marketing.make(Suppression, customer_id=str(asked_for_peace.id))
    marketing.make(Suppression, address=bounced.email.upper(), reason="bounced")
    marketing.make(Suppression, customer_id=str(agreed.id), until=long_ago.isoformat())
    with app.site.read(app.admin) as reader:
        (reach,) = facts(reader)["reaches"]
    assert (reach.channel, reach.open, reach.silent, reach.declined, reach.stopped, reach.nowhere, reach.all) == (
        "Slip of paper", 1, 2, 2, 2, 1, 8,
    )  # fmt: skip
    with app.site.write(app.admin) as unit:
        said = ask_gate(unit, "slip", [each.id for each in people], purpose="marketing")
    assert sum(each.state != "refused" for each in said) == reach.open, "as the gate itself decides"
    stranger = app.actors().stranger
    with app.queries() as asked, app.site.read(stranger) as reader:
        assert [each.open for each in facts(reader)["reaches"]] == [1]
    assert len(asked) <= 4
