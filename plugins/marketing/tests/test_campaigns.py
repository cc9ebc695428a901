"""Campaigns: planned with a team and a budget, approved by one after the other, and what came of them."""

from __future__ import annotations

import dataclasses
import io
import re
from decimal import Decimal
from typing import Any

import pytest
from rapport_marketing import (
    Asset,
    AssetVersion,
    Budget,
    Campaign,
    Cost,
    Execution,
    Response,
    Sale,
    Segment,
    TeamMember,
    approvals,
    figures_of,
)
from rapport_products import Product
from rapport_sales import Order, OrderLine, place
from sqlalchemy import select

from rapport import Invalid, Task, store, uuid7
from rapport.access import Role
from rapport.jobs import job_table
from rapport.records.unit import undo
from rapport.workflows import Approval

from .conftest import Marketing


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_mailing_goes_with_its_campaign_whosever_it_is(marketing: Any) -> None:
    grants = {"marketing.campaign.read": "all", "marketing.campaign.delete": "own", "marketing.execution.read": "own"}
    marketing.make(Role, name="own_mailings", grants=grants)
    mia, otto = marketing.app.user("Mia Mine", roles=["own_mailings"]), marketing.app.user("Otto Other")
    campaign = marketing.campaign(owner_id=mia.id)
    segment = marketing.make(Segment, name="Pools", filter='tags has "pool"')
    mailing = marketing.make(Execution, campaign_id=campaign.id, name="Otto's", segment_id=segment.id, owner_id=otto.id)
    batch = uuid7()
    with marketing.app.site.write(mia, batch=batch) as unit:
        assert unit.reader.all(Execution) == []
        unit.delete(unit.get(Campaign, campaign.id))
    assert (marketing.all(Campaign), marketing.all(Execution)) == ([], [])
    with marketing.app.site.write(marketing.app.admin) as unit:
        assert undo(unit, batch) == []
    assert marketing.again(mailing).owner_id == otto.id


def questions(marketing: Any) -> list[Any]:
    """What is asked and not yet answered."""
    return [each for each in marketing.all(Approval) if not each.decision]


def answer(marketing: Any, question: Any, decision: str) -> None:
    """Decide as the person who is asked, by the link in their mail."""
    with marketing.app.site.db.reading.connect() as connection:
        rows = connection.scalars(select(job_table.c.arguments).order_by(job_table.c.id))
        mails = [row["text"] for row in rows if "text" in row]
    words = {"approved": "Approve", "rejected": "Reject"}[decision]
    mail = [each for each in mails if question.title in each][-1]
    link = re.search(rf"{words}:\n+http://localhost(/decide/\S+)", mail)
    assert link is not None
    browser = marketing.app.flask.test_client()  # nobody is signed in to it
    token = browser.get(link[1]).get_data(as_text=True).split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
    done = browser.post(link[1], data={"csrf_token": token})
    assert done.status_code == 200, done.get_data(as_text=True)
    marketing.app.settle()


def test_the_third_design_is_chosen_then_approved_then_the_budget(marketing: Any):
    app = marketing.app
    app.site.config = dataclasses.replace(app.site.config, mail_url="smtp://127.0.0.1:9")
    marketer, director, boss = (app.user(name, roles=["manager"]) for name in ("Mia", "Dan", "Bo"))
    campaign = marketing.campaign(owner_id=marketer.id, director_id=director.id, approver_id=boss.id, budget="4000",
                                  planned_from="2026-03-02", planned_to="2026-05-31")  # fmt: skip
    assert (campaign.code, campaign.year) == ("SKIMMER", "2026")
    marketing.make(TeamMember, campaign_id=campaign.id, user_id=director.id, role="Director")
    marketing.make(Task, title="Meet the designers", about_entity="marketing.campaign", about_id=campaign.id)
    leaflet = marketing.make(Asset, campaign_id=campaign.id, name="Design")
    for number in range(3):
        file = store(app.site, io.BytesIO(b"picture %d" % number), f"design{number}.png", app.admin)
        marketing.make(AssetVersion, asset_id=leaflet.id, file=file.id)
    assert app.submit(app.browser(), f"/marketing.asset/{leaflet.id}/do/ask", {}).status_code == 302
    app.settle()
    asked = questions(marketing)
    assert {each.owner_id for each in asked} == {marketer.id}
    assert sorted(each.title for each in asked) == [f"Shall it be “Design {number}”?" for number in (1, 2, 3)]
    answer(marketing, next(each for each in asked if "3" in each.title), "approved")
    (to_director,) = questions(marketing)
    assert (to_director.owner_id, to_director.title) == (director.id, "“Design 3” was chosen. Do you approve?")
    answer(marketing, to_director, "approved")
    versions = sorted(marketing.all(AssetVersion), key=lambda each: each.number)
    assert [each.status for each in versions] == ["not_chosen", "not_chosen", "approved"]
    with pytest.raises(Invalid, match="Add a version instead"):
        marketing.change(versions[2], file=None)

    marketing.make(Budget, year="2026", amount="10000")
    other = marketing.campaign("Robots", budget="3000", year="2026")
    for each in (other, campaign):
        assert app.submit(app.browser(), f"/marketing.campaign/{each.id}/do/ask_budget", {}).status_code == 302
        app.settle()
        question = next(question for question in questions(marketing) if question.about_id == each.id)
        if each is campaign:
            assert question.title == "May “Skimmer” cost 4000.00 EUR?"
            assert "Committed €2,500.00, spent €500.00, left €7,000.00." in question.note
            assert "After this, €3,000.00 would be left." in question.note
            assert question.owner_id == boss.id
        answer(marketing, question, "approved")
        marketing.make(Cost, campaign_id=each.id, amount="500", kind="print")
        if each is other:
            marketing.change(marketing.again(each), budget="3500")
            assert marketing.again(each).budget_state == "none"
            marketing.change(marketing.again(each), budget="3000")
            app.submit(app.browser(), f"/marketing.campaign/{each.id}/do/ask_budget", {})
            app.settle()
            answer(marketing, questions(marketing)[0], "approved")
            marketing.change(marketing.again(each), budget="3000")
    page = app.browser().get(f"/marketing.campaign/{campaign.id}").get_data(as_text=True)
    for text in ("could not show this", "€4,000.00", "Meet the designers", "Design 3", "Approved"):
        assert (text in page) is (text != "could not show this")
    marketing.setting("marketing.over_budget", "refuse")
    greedy = marketing.campaign("Everything", budget="9000", year="2026")
    with app.site.write(app.admin) as unit, pytest.raises(Invalid, match="more than is left"):
        approvals.ask_budget(unit, [unit.get(Campaign, greedy.id)], {})


def test_the_return_is_gross_profit_less_cost_by_cost_in_each_currency(marketing: Any):
    ada, bob = marketing.people(2)
    marketing.setting("marketing.margin_percent", 40)
    campaign, quiet = marketing.campaign(), marketing.campaign("Quiet")
    for amount, currency in ((100, ""), (150, "EUR"), (80, "CHF")):
        marketing.make(Cost, campaign_id=campaign.id, amount=amount, currency=currency)
    for who, revenue, profit, currency in ((ada, 1000, 400, ""), (ada, 500, None, ""), (bob, 300, 90, "CHF")):
        marketing.make(Sale, campaign_id=campaign.id, customer_id=who.id, revenue=revenue, profit=profit,
                       currency=currency)  # fmt: skip
    for who, kind in ((ada, "call"), (ada, "order"), (bob, "complaint")):
        marketing.make(Response, campaign_id=campaign.id, customer_id=who.id, kind=kind)
    with marketing.app.site.read(marketing.app.admin) as reader, marketing.app.queries() as sent:
        found = figures_of(reader, reader.all(Campaign))
    assert len(sent) <= 7
    these = found[campaign.id]
    assert these.cost == {"EUR": Decimal(250), "CHF": Decimal(80)}
    assert these.profit == {"EUR": Decimal(600), "CHF": Decimal(90)}
    assert (these.roi("EUR"), these.roi("CHF")) == (Decimal("1.4"), Decimal("0.125"))
    assert (these.responded, these.responses, these.bought, these.sales) == (1, 2, 2, 3)
    assert found[quiet.id].roi("EUR") is None
    for page in ("/reports/marketing.campaigns", "/reports/marketing.budgets", "/reports/marketing.lists", "/",
                 "/marketing/calendar", f"/marketing.campaign/{campaign.id}"):  # fmt: skip
        answered = marketing.app.browser().get(page)
        assert answered.status_code == 200, page
        assert "could not show this" not in answered.get_data(as_text=True), page
    with pytest.raises(Invalid, match="cannot change any more"):
        marketing.change(campaign, code="OTHER")


def test_the_calendar_shows_a_year_and_a_quarter_in_the_readers_calendar(marketing: Any):
    marketing.campaign("Spring", planned_from="2026-03-10", planned_to="2026-04-20")
    marketing.campaign("Autumn", planned_from="2026-10-01")
    browser = marketing.app.browser()
    year = browser.get("/marketing/calendar?year=2026").get_data(as_text=True)
    assert ("Spring" in year, "Autumn" in year) == (True, True)
    quarter = browser.get("/marketing/calendar?year=2026&quarter=2").get_data(as_text=True)
    assert ("Spring" in quarter, "Autumn" in quarter) == (True, False)
    with marketing.app.site.read(marketing.app.admin) as reader:
        assert reader.all(Campaign)


def test_it_keeps_to_its_roles(marketing: Any):
    actors = marketing.app.actors()
    campaign = marketing.campaign()
    for actor, may in ((actors.viewer, 403), (actors.member, 201)):
        answered = marketing.app.api(actor).post(
            "/api/v1/marketing.cost", json={"campaign_id": str(campaign.id), "amount": "5"}
        )
        assert answered.status_code == may
    assert marketing.app.api(actors.member).post(
        "/api/v1/marketing.budget", json={"year": "2026", "amount": "5"}).status_code == 403  # fmt: skip


def test_beside_sales_orders_tell_what_a_campaign_brought(make_app: Any):
    with make_app(plugins=["marketing", "sales"]) as app:
        story = Marketing(app)
        campaign, ada = (
            story.campaign(),
            app.create_customer(name="Ada", address={"street": "1 High Street", "city": "Ulm"}),
        )
        story.make(Cost, campaign_id=campaign.id, amount="100")
        skimmer = story.make(Product, name="Skimmer", code="S1", price="200", cost="110")
        for place_it in (True, False):
            order = story.make(Order, customer_id=ada.id, campaign=campaign.code)
            story.make(OrderLine, order_id=order.id, product_id=skimmer.id, quantity="3")
            if place_it:
                with app.site.write(app.admin) as unit:
                    assert place(unit, unit.get(Order, order.id)) == []
        with app.site.read(app.admin) as reader:
            these = figures_of(reader, [campaign])[campaign.id]
        assert (these.revenue, these.profit, these.sales) == ({"EUR": Decimal(600)}, {"EUR": Decimal(270)}, 1)
        assert these.roi("EUR") == Decimal("1.7")
        story.run("marketing.decide")
        assert app.client.get(f"/api/v1/customer/{ada.id}").get_json()["marketing_profit"] == "270.00"
    with make_app(plugins=["marketing", "sales"]) as app:
        viewer = app.site.actor(app.user("Vi", roles=["viewer"]).id)
        with app.site.read(viewer) as reader:
            assert figures_of(reader, reader.all(Campaign))[campaign.id].revenue == {"EUR": Decimal(600)}
