"""Mailings: to everybody once, through the gate, in several wordings, and what is owed to them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from rapport_marketing import CustomerList, Execution, Recipient, Response, Sale, Segment, Variant, put_on_list
from rapport_marketing.attribution import MODELS, shares, weights
from rapport_marketing.experiments import Arm, interval, judge, sample_size, z_test

from rapport import Consent, Incoming, Invalid, JobContext, Message, Purpose, receive, utcnow
from rapport.testing.paper import sent


def agree(marketing: Any, people: Any) -> None:
    """Have people agree to marketing."""
    purpose = marketing.all(Purpose, Purpose.name == "marketing")[0]
    with marketing.app.site.write(marketing.app.admin) as unit:
        facts = [{"customer_id": each.id, "purpose_id": purpose.id, "state": "granted"} for each in people]
        unit.insert_many([unit.build(Consent, each)[0] for each in facts])


def test_a_mailing_reaches_everybody_once_even_when_it_is_killed(marketing: Any, clock: Any, monkeypatch: Any):
    clock.forward(hours=(12 - utcnow().hour) % 24)  # nobody is written to at night
    people = marketing.people(30, tags=("pool",))
    agree(marketing, people[:28])
    campaign = marketing.campaign(budget="100")
    segment = marketing.make(Segment, name="Pools", filter='tags has "pool"')
    with pytest.raises(Invalid, match="unknown name"):
        marketing.make(Execution, campaign_id=campaign.id, name="x", segment_id=segment.id, body="{{ customer.nme }}")
    mailing = marketing.make(
        Execution, campaign_id=campaign.id, name="First", segment_id=segment.id, channel="slip",
        subject="{{ campaign.name }} for {{ customer.name }}", body="Dear {{ customer.name | default: 'friend' }}",
    )  # fmt: skip
    monkeypatch.setattr("rapport_marketing.executions.AT_ONCE", 10)
    begun = JobContext.progress_in

    def killed(self: Any, connection: Any, done: int, total: int = 0, message: str = "") -> None:
        begun(self, connection, done, total, message)
        if done == 20:
            raise RuntimeError("killed within the second batch")

    with monkeypatch.context() as patched:
        patched.setattr(JobContext, "progress_in", killed)
        assert marketing.app.submit(marketing.app.browser(), f"/marketing.execution/{mailing.id}/do/schedule",
                                    {}).status_code == 302  # fmt: skip
        marketing.app.settle()
    assert len(marketing.all(Recipient)) == 10  # the second batch was not kept
    clock.forward(minutes=5)
    marketing.app.settle()
    assert marketing.again(mailing).status == "done"
    slips = sent(marketing.app.site)
    assert sorted(each["to"] for each in slips) == sorted(each.email for each in people[:28])
    assert slips[0]["subject"] == f"Skimmer for {slips[0]['name']}"
    assert len(marketing.all(Message)) == len(marketing.all(Recipient)) == 30
    page = marketing.app.browser().get(f"/marketing.execution/{mailing.id}").get_data(as_text=True)
    assert "have not agreed" in page
    assert "could not show this" not in page
    assert "Reached" in marketing.app.browser().get(f"/marketing.campaign/{campaign.id}").get_data(as_text=True)

    # Who writes back has answered the campaign, once.
    for number in range(2):
        with marketing.app.site.write(marketing.app.admin) as unit:
            receive(unit, Incoming("slip", f"in-{number}", people[0].email, body="Tell me more",
                                   references=[f"paper-{slips[0]['message']}"]))  # fmt: skip
        marketing.app.settle()
    (answer,) = marketing.all(Response)
    assert (answer.kind, answer.execution_id) == ("reply", mailing.id)
    old = marketing.make(CustomerList, name="Old", expires_on="2020-01-01")
    late = marketing.make(Execution, campaign_id=campaign.id, name="Late", list_id=old.id, channel="slip", body="x")
    page = marketing.app.submit(marketing.app.browser(), f"/marketing.execution/{late.id}/do/schedule", {})
    marketing.app.settle()
    assert marketing.again(late).status == "draft"


def test_variants_are_judged_only_when_enough_were_reached_and_the_time_is_over(marketing: Any, clock: Any):
    clock.forward(hours=(12 - utcnow().hour) % 24)
    people = marketing.people(60)
    agree(marketing, people)
    campaign, pools = marketing.campaign(), marketing.make(CustomerList, name="Pools")
    with marketing.app.site.write(marketing.app.admin) as unit:
        put_on_list(unit, pools, [each.id for each in people])
    mailing = marketing.make(Execution, campaign_id=campaign.id, name="Test", list_id=pools.id, channel="slip",
                             expected_percent=10, difference_points=70, body="Hello")  # fmt: skip
    made = [marketing.make(Variant, execution_id=mailing.id, name=name, subject=f"Subject {name}") for name in "AB"]
    variants = {each.id: each.name for each in made}
    needed = sample_size(0.1, 0.8)
    marketing.app.submit(marketing.app.browser(), f"/marketing.execution/{mailing.id}/do/schedule", {})
    marketing.app.settle()
    got = {row.customer_id: variants[row.variant_id] for row in marketing.all(Recipient)}
    assert all(list(got.values()).count(name) >= needed for name in "AB")
    assert {each["subject"] for each in sent(marketing.app.site)} == {"Subject A", "Subject B"}
    for number, (customer_id, name) in enumerate(got.items()):
        if name == "B" and number % 5:
            marketing.make(Response, campaign_id=campaign.id, customer_id=customer_id, kind="call")
    page = f"/marketing.execution/{mailing.id}"
    assert "No difference can be told yet" in marketing.app.browser().get(page).get_data(as_text=True)
    clock.forward(days=15)
    assert "B is better, and not by chance." in marketing.app.browser().get(page).get_data(as_text=True)


def test_the_formulas_of_tests_give_what_their_sources_print():
    assert sample_size(0.5, 0.6) == 385  # Fleiss and others, without the correction
    low, high = interval(Arm("b", 80, 48), Arm("a", 70, 56))  # Newcombe, table II (a)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)
    assert round(z_test(Arm("a", 200, 38), Arm("b", 150, 42)), 3) == 0.047
    assert judge([Arm("a", 99, 1), Arm("b", 200, 90)], 100, over=True).why == "few"
    assert judge([Arm("a", 200, 1), Arm("b", 200, 90)], 100, over=False).why == "early"
    same = judge([Arm("a", 200, 40), Arm("b", 200, 42)], 100, over=True)
    assert (same.why, same.best) == ("", "")
    assert judge([Arm("a", 200, 80), Arm("b", 200, 20)], 100, over=True).best == "a"


def test_every_rule_of_attribution_shares_the_revenue_exactly(marketing: Any):
    assert [round(each, 3) for each in weights("position", [9, 5, 4, 1], 7)] == [0.4, 0.1, 0.1, 0.4]
    assert weights("decay", [7, 0], 7) == [1 / 3, 2 / 3]
    assert sum(shares(Decimal("100.01"), [1 / 3] * 3)) == Decimal("100.01")
    ada, bob, eve = marketing.people(3)
    first, second, third = (marketing.campaign(name) for name in ("Spring", "Summer", "Autumn"))
    today = utcnow()
    for campaign, days in ((first, 20), (second, 10), (third, 1), (third, 400)):
        marketing.make(Response, campaign_id=campaign.id, customer_id=ada.id, kind="visit",
                       at=(today - dt.timedelta(days=days)).isoformat())  # fmt: skip
    marketing.make(Response, campaign_id=second.id, customer_id=bob.id, kind="call",
                   at=(today - dt.timedelta(days=3)).isoformat())  # fmt: skip
    for who, revenue in ((ada, "100.01"), (bob, "50"), (eve, "7.77")):
        marketing.make(Sale, campaign_id=first.id, customer_id=who.id, revenue=revenue)
    marketing.make(Sale, campaign_id=first.id, revenue="1")
    found: dict[str, dict[str, Decimal]] = {}
    report = marketing.app.site.reports["marketing.attribution"]
    with marketing.app.site.read(marketing.app.admin) as reader:
        for model in MODELS:
            rows = report.rows(reader, model=model.value, since=None)
            found[model.value] = {row.campaign: row.revenue for row in rows}
            assert sum(found[model.value].values()) == Decimal("158.78"), model
    assert found["first"] == {"Spring": Decimal("100.01"), "Summer": Decimal(50), "–": Decimal("8.77")}
    assert found["last"] == {"Autumn": Decimal("100.01"), "Summer": Decimal(50), "–": Decimal("8.77")}
    assert found["position"]["Spring"] == Decimal("40.0040")
    assert found["decay"]["Autumn"] > found["decay"]["Summer"] - 50 > found["decay"]["Spring"]
    assert marketing.app.browser().get("/reports/marketing.attribution?model=decay").status_code == 200
