"""What sales adds to other people's pages, and that it costs the same for one customer and for many."""

from __future__ import annotations

from typing import Any

import pytest
from rapport_sales import Lead, Opportunity, Order, Quote, ScoreModel
from rapport_sales.customers import open_counts, summarize, timeline

from rapport import Customer
from rapport.access import Role, system


def test_a_customers_page_tells_what_is_open_and_what_was_won(sales: Any):
    acme = sales.app.create_customer(name="Acme")
    sales.deal(customer_id=acme.id, name="Roof", amount="1000")
    sales.deal(customer_id=acme.id, name="Car park", amount="2500", stage="Proposal")
    sales.deal(customer_id=acme.id, name="Battery", amount="700", stage="Won")
    with sales.app.site.read(sales.app.admin) as reader:
        assert [(each.title, each.value) for each in summarize(reader, [acme.id])] == [
            ("Open deals", "2 · €3.5K"), ("Won", "€700.00"),
        ]  # fmt: skip
    page = sales.app.browser().get(f"/customer/{acme.id}").get_data(as_text=True)
    assert "could not show this" not in page
    assert "Roof" in page
    assert "Car park" in page


def test_a_customers_timeline_has_the_moves_also_for_a_salesperson(sales: Any):
    noa = sales.app.user("Noa")
    made = sales.deal(amount="10", name="Roof")
    sales.change(made, stage_id=sales.stage("Proposal").id)
    sales.change(made, stage_id=sales.stage("Won").id)
    with sales.app.site.read(sales.app.site.actor(noa.id)) as reader:
        items = timeline(reader, made.customer_id, 10, None)
    assert [item.title for item in items] == ["Moved to Won", "Moved to Proposal", "Opportunity opened"]
    with sales.app.site.read(sales.app.site.actor(noa.id)) as reader:
        assert [item.title for item in timeline(reader, made.customer_id, 2, items[0].at)] == [
            "Moved to Proposal", "Opportunity opened",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "page", ["/", "/sales.opportunity/board", "/sales.opportunity", "/sales.lead", "/products.product", "/customer"]
)
def test_every_page_of_sales_is_shown_whole(sales: Any, page: str):
    noa = sales.app.user("Noa")
    deal = sales.deal(owner_id=noa.id, amount="10", next_step="Call", next_step_on="2020-01-01")
    sales.deal(owner_id=noa.id, amount="10", stage="Won", reason="fit")
    lead = sales.make(Lead, name="Ada Byron", owner_id=noa.id)
    browser = sales.app.browser(noa)
    for address in (page, f"/sales.opportunity/{deal.id}", f"/sales.lead/{lead.id}"):
        answer = browser.get(address)
        assert answer.status_code == 200, address
        assert "could not show this" not in answer.get_data(as_text=True), address


def test_figures_of_many_customers_cost_as_many_queries_as_those_of_one(sales: Any):
    customers = [sales.app.create_customer(name=f"Customer {number}") for number in range(5)]
    for customer in customers:
        sales.deal(customer_id=customer.id, amount="10")
    ids = [customer.id for customer in customers]
    for figures in (summarize, open_counts):
        counts = []
        for some in (ids[:1], ids):
            with sales.app.site.read(sales.app.admin) as reader, sales.counted() as sent:
                assert len(figures(reader, some)) == len(some)
            counts.append(len(sent))
        assert counts[0] == counts[1] <= 2


def test_panels_cost_the_same_however_many_deals_there_are(sales: Any):
    noa = sales.app.user("Noa")
    acme = sales.app.create_customer(name="Acme")

    def costs() -> dict[str, int]:
        counts = {}
        for panel in sales.app.site.panels:
            if not panel.template.startswith("sales/") or panel.facts is None or not noa.may(panel.needs or ""):
                continue
            place: dict[str, Any] = {}
            with sales.app.site.read(sales.app.site.actor(noa.id)) as reader:
                if panel.slot == "customer.side":
                    place = {"record": reader.get(Customer, acme.id)}
                elif (kind := panel.slot.rpartition(".")[0]) in sales.app.site.entities and kind != "customer":
                    place = {"record": reader.all(sales.app.site.entities[kind], limit=1)[0]}
                with sales.counted() as sent:
                    panel.facts(reader, **place)
            counts[panel.name] = len(sent)
        return counts

    sales.deal(customer_id=acme.id, owner_id=noa.id, amount="1")
    sales.make(Lead, name="Ada")
    sales.make(ScoreModel, name="1")
    sales.make(Quote, customer_id=acme.id)
    sales.make(Order, customer_id=acme.id)
    few = costs()
    for number in range(6):
        sales.deal(customer_id=acme.id, owner_id=noa.id, amount="1", name=f"Deal {number}")
    assert costs() == few
    assert max(few.values()) <= 4


def test_the_report_of_results_counts_by_reason_and_never_adds_currencies(sales: Any):
    for reason, currency in (("price", "EUR"), ("price", "EUR"), ("price", "USD")):
        sales.deal(amount="10", currency=currency, stage="Lost", reason=reason)
    sales.deal(amount="7", stage="Won", reason="fit")
    browser = sales.app.browser(sales.app.user("Max", roles=["manager"]))
    with browser.get("/reports/sales.results/export?format=csv") as file:
        lines = [line.split(",")[0::2] for line in file.get_data(as_text=True).lstrip("\ufeff").splitlines()[1:]]
    assert sorted(lines) == [["Lost", "1", "USD"], ["Lost", "2", "EUR"], ["Won", "1", "EUR"]]
    assert browser.get("/reports/sales.results?since=2020-01-01").status_code == 200
    assert browser.get("/reports/sales.results?since=soon").status_code == 422


@pytest.mark.parametrize("filter_name", ["sales.opportunity:no_next_step", "sales.lead:unassigned"])
def test_ready_filters_fit_their_lists(sales: Any, filter_name: str):
    ready = sales.app.site.list_filters[filter_name]
    answer = sales.app.browser().get(f"/{ready.entity}", query_string={"filter": ready.filter})
    assert answer.status_code == 200


def test_who_may_not_read_opportunities_sees_no_figures(sales: Any):
    noa = sales.app.user("Noa")
    made = sales.deal(amount="10")
    with sales.app.site.write(system("test")) as unit:
        unit.create(Role, {"name": "member", "grants": {"sales.opportunity.read": None}})
    sales.app.site.forget_actors()
    with sales.app.site.read(sales.app.site.actor(noa.id)) as reader:
        assert summarize(reader, [made.customer_id]) == []
        assert open_counts(reader, [made.customer_id]) == {}
        assert timeline(reader, made.customer_id, 10, None) == []


def test_without_sales_customers_stay_and_with_it_again_the_deals_are_back(make_app: Any):
    with make_app(plugins=["sales"]) as app:
        acme = app.create_customer(name="Acme")
        with app.site.write(app.admin) as unit:
            deal = unit.create(Opportunity, {"customer_id": acme.id, "amount": "5"})
    with make_app(plugins=[]) as app:
        assert app.client.get("/api/v1/sales.opportunity").status_code == 404
        assert app.client.get(f"/api/v1/customer/{acme.id}").get_json()["name"] == "Acme"
        assert app.browser().get(f"/customer/{acme.id}").status_code == 200
    with make_app(plugins=["sales"]) as app:
        kept = app.client.get(f"/api/v1/sales.opportunity/{deal.id}").get_json()
        assert kept["amount"] == "5.00"
