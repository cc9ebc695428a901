"""Quotas, attainment, ranking, forecast, wins and losses, margins: figures by SQL that a person can add up again."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import pytest
from rapport_products import Product
from rapport_sales import Line, Opportunity, Quota, attained
from rapport_sales.orders import Order, OrderLine, place

from rapport import Invalid
from rapport.access import Role, system

DAY = dt.date(2027, 5, 12)
MORNING = dt.datetime(2027, 5, 12, 9, tzinfo=dt.UTC)


def report(sales: Any, name: str, actor: Any = None, **asked: str) -> list[dict[str, str]]:
    with sales.app.browser(actor).get(f"/reports/{name}/export", query_string={"format": "csv", **asked}) as file:
        assert file.status_code == 200, file.get_data(as_text=True)[:500]
        return list(csv.DictReader(io.StringIO(file.get_data(as_text=True).lstrip("\ufeff"))))


@pytest.fixture
def spring(sales: Any, clock: Any) -> Any:
    """A quarter of two teams: what was sold, what is open, and what they were to reach."""
    clock.now = MORNING
    north, south = sales.app.team("North"), sales.app.team("South")
    noa, wei = (sales.app.user(name, teams=[north]) for name in ("Noa", "Wei"))
    leila = sales.app.user("Leila", teams=[south])
    acme, bolt, cafe = (sales.app.create_customer(kind="organisation", name=name) for name in ("Acme", "Bolt", "Café"))
    pump = sales.make(Product, name="Pump", code="P", price="100", cost="60", currency="EUR")
    hose = sales.make(Product, name="Hose", code="H", price="10", currency="EUR")

    def sold(owner: Any, customer: Any, on: str, amount: str, lines: Any = (), **more: Any) -> Opportunity:
        deal = sales.deal(owner_id=owner.id, customer_id=customer.id, amount=amount, stage="Won", closed_on=on,
                          reason=more.pop("reason", "fit"), **more)  # fmt: skip
        for product, quantity, price in lines:
            sales.make(Line, opportunity_id=deal.id, product_id=product.id, quantity=quantity, price=price)
        return deal

    sold(noa, acme, "2026-11-03", "5000")  # before: so Acme is no new customer of this year
    sold(noa, acme, "2027-04-02", "1000", [(pump, "10", "100")], source="Fair", campaign="SKIM")
    sold(noa, bolt, "2027-05-10", "500", [(pump, "4", "100"), (hose, "10", "10")], source="Fair", competitor="Rival")
    sold(wei, cafe, "2027-05-11", "700", reason="price")
    sold(wei, bolt, "2027-05-12", "300", currency="USD")
    sold(leila, cafe, "2027-03-31", "9000")  # the quarter before
    for owner, amount, probability, expected, forecast in (
        (noa, "100", 10, "2027-06-01", ""), (noa, "200", 60, "2027-06-01", ""), (noa, "400", 80, "2027-06-30", ""),
        (wei, "800", 10, "2027-02-01", "commit"), (wei, "1600", 90, "2027-06-01", "omitted"),
        (leila, "3200", 50, "2027-07-01", ""),
    ):  # fmt: skip
        sales.deal(owner_id=owner.id, customer_id=acme.id, amount=amount, probability=probability,
                   expected_close_on=expected, forecast=forecast)  # fmt: skip
    sales.deal(owner_id=wei.id, customer_id=acme.id, amount="50", stage="Lost", closed_on="2027-05-02", reason="price",
               source="Fair", competitor="Rival")  # fmt: skip
    sales.people = {"noa": noa, "wei": wei, "leila": leila, "north": north, "south": south}
    return sales


def test_quotas_are_reached_by_the_measure_that_counts(spring: Any):
    noa, north = spring.people["noa"], spring.people["north"]
    asked = [
        ({"user_id": noa.id, "target": "2000"}, "1500"),
        ({"user_id": noa.id, "target": "100", "measure": "units"}, "24"),
        ({"user_id": noa.id, "target": "1000", "measure": "margin"}, "560"),  # 14 pumps; nobody knows what hoses cost
        ({"user_id": noa.id, "target": "4", "measure": "customers"}, "1"),  # Bolt; Acme bought before
        ({"user_id": noa.id, "target": "700", "period": "month"}, "500"),
        ({"user_id": noa.id, "target": "7000", "period": "year"}, "1500"),
        ({"team_id": north.id, "target": "4000"}, "2200"),
        ({"team_id": north.id, "target": "600", "currency": "usd"}, "300"),
        ({"target": "9000"}, "2200"),
        ({"team_id": spring.people["south"].id, "target": "5000", "starts_on": "2027-02-14"}, "9000"),
    ]
    made = {spring.make(Quota, **{"starts_on": DAY, **values}).id: reached for values, reached in asked}
    with spring.app.site.read(spring.app.admin) as reader:
        quotas = reader.all(Quota)
        with spring.counted() as sent:
            reached = attained(reader, quotas)
        assert len(sent) <= 5
    assert {quota: str(reached[quota].normalize().__format__("f")) for quota in made} == made
    first = next(quota for quota in quotas if quota.period == "quarter" and quota.user_id == noa.id)
    assert (first.name, first.starts_on, first.ends_on) == ("Noa · 2027 Q2", dt.date(2027, 4, 1), dt.date(2027, 6, 30))
    with pytest.raises(Invalid, match="is set already"):
        spring.make(Quota, user_id=noa.id, target="3", starts_on="2027-06-30")
    with pytest.raises(Invalid, match="must be empty where a person"):
        spring.make(Quota, user_id=noa.id, team_id=north.id, target="3", starts_on=DAY)
    page = spring.app.browser(noa).get("/").get_data(as_text=True)
    for text in ("My quota", "Noa · 2027 Q2", "North · 2027 Q2", "75%", "46% of the time has passed", "Team ranking"):
        assert text in page, text
    assert "could not show this" not in page
    assert "75" in spring.app.browser().get("/sales.quota").get_data(as_text=True)


def test_people_are_ranked_with_their_quotas_and_currencies_stay_apart(spring: Any):
    for name, target in (("noa", "1000"), ("leila", "800")):
        spring.make(Quota, user_id=spring.people[name].id, target=target, starts_on=DAY)
    found = report(spring, "sales.ranking")
    assert [tuple(row.values()) for row in found] == [
        ("Noa", "1", "1500.00", "EUR", "2", "1000.00", "150"), ("Wei", "2", "700.00", "EUR", "1", "", ""),
        ("Leila", "3", "0", "EUR", "0", "800.00", "0"), ("Wei", "1", "300.00", "USD", "1", "", ""),
    ]  # fmt: skip
    won = report(spring, "sales.ranking", measure="customers", period="year")
    assert [(row["Person"], row["Result"]) for row in won] == [("Leila", "1"), ("Noa", "1")]
    browser = spring.app.browser()
    assert "<svg" in browser.get("/reports/sales.ranking").get_data(as_text=True)
    dashboard = browser.get("/dashboard").get_data(as_text=True)
    assert "Team ranking" in dashboard
    assert "could not show this" not in dashboard


def test_the_forecast_rolls_up_by_person_team_and_month(spring: Any):
    def lines(**asked: str) -> list[tuple[str, ...]]:
        names = ("For", "Closed", "Commit", "Best case", "Pipeline", "Closed and commit", "Opportunities", "Currency")
        return [tuple(row[name] for name in names) for row in report(spring, "sales.forecast", **asked)]

    assert lines() == [
        ("Noa", "1500.00", "400.00", "200.00", "100.00", "1900.00", "5", "EUR"),
        ("Wei", "700.00", "800.00", "0.00", "0.00", "1500.00", "2", "EUR"),  # overdue since February: it counts now
        ("Wei", "300.00", "0.00", "0.00", "0.00", "300.00", "1", "USD"),
    ]
    assert lines(by="team")[0] == ("North", "2200.00", "1200.00", "200.00", "100.00", "3400.00", "7", "EUR")
    months = {(line[0], line[-1]): line[1:5] for line in lines(by="month", period="year")}
    assert months["2027-05", "EUR"] == ("1200.00", "800.00", "0.00", "0.00")
    assert months["2027-06", "EUR"] == ("0.00", "400.00", "200.00", "100.00")
    assert months["2027-07", "EUR"] == ("0.00", "0.00", "3200.00", "0.00")
    assert "<svg" in spring.app.browser().get("/reports/sales.forecast").get_data(as_text=True)


def test_wins_losses_and_margins_are_told_by_what_one_asks_for(spring: Any):
    since = {"since": "2027-04-01"}
    by_source = {
        row["Group"]: row for row in report(spring, "sales.win_loss", by="source", **since) if row["Currency"] == "EUR"
    }
    assert [by_source["Fair"][name] for name in ("Won", "Lost", "Success rate in %", "Amount won")] == [
        "2", "1", "67", "1500.00",
    ]  # fmt: skip
    reasons = {(row["Group"], row["Currency"]): row["Won"] for row in report(spring, "sales.win_loss", **since)}
    assert reasons == {("How well it fits", "EUR"): "2", ("Price", "EUR"): "1", ("How well it fits", "USD"): "1"}
    rivals = {
        row["Group"]: (row["Won"], row["Lost"]) for row in report(spring, "sales.win_loss", by="competitor", **since)
    }
    assert rivals["Rival"] == ("1", "1")
    products = {row["Group"]: row for row in report(spring, "sales.margins", **since)}
    pump, hose = products["Pump"], products["Hose"]
    assert [pump[name] for name in ("Units", "Sold", "Cost", "Margin", "Margin in %")] == [
        "14.00", "1400.00", "840.00", "560.00", "40",
    ]  # fmt: skip
    assert (hose["Margin"], hose["Margin in %"], hose["Sold without known cost"]) == ("0.00", "", "100.00")
    for by in ("person", "customer", "source", "campaign"):
        rows = report(spring, "sales.margins", by=by, **since)
        assert sum(float(row["Margin"]) for row in rows) == 560
    people = {row["Group"] for row in report(spring, "sales.win_loss", by="person", **since)}
    assert people == {"Noa", "Wei"}


def test_figures_are_those_of_what_the_reader_may_see(spring: Any):
    with spring.app.site.write(system("test")) as unit:
        unit.create(Role, {"name": "member", "grants": {"sales.opportunity.read": "own"}})
    spring.app.site.forget_actors()
    wei = spring.people["wei"]
    spring.make(Quota, team_id=spring.people["north"].id, target="4000", starts_on=DAY)
    assert {row["Person"] for row in report(spring, "sales.ranking", wei)} == {"Wei"}
    assert {row["For"] for row in report(spring, "sales.forecast", wei)} == {"Wei"}
    assert report(spring, "sales.margins", wei, since="2027-04-01") == []
    assert spring.app.browser(wei).get("/").status_code == 200


def test_orders_count_instead_where_the_business_says_so(spring: Any):
    noa, app = spring.people["noa"], spring.app
    bolt = app.create_customer(kind="organisation", name="Bolt & Co")
    with app.site.read(app.admin) as reader:
        (pump,) = reader.all(Product, Product.code == "P")
    for quantity, placed in (("3", True), ("50", False)):
        order = spring.make(Order, customer_id=bolt.id, owner_id=noa.id, address={"city": "Bern"})
        spring.make(OrderLine, order_id=order.id, product_id=pump.id, quantity=quantity)
        if placed:
            with app.site.write(app.admin) as unit:
                assert place(unit, unit.get(Order, order.id)) == []
    asked = {"amount": "300", "units": "3", "margin": "120", "customers": "1"}
    made = {
        spring.make(Quota, user_id=noa.id, starts_on=DAY, measure=name, target="1000").id: reached
        for name, reached in asked.items()
    }
    with app.site.db.write() as connection:
        app.site.settings.set(connection, "sales.results_from", "orders")
    with app.site.read(app.admin) as reader:
        reached = attained(reader, reader.all(Quota))
    assert {quota: f"{value.normalize():f}" for quota, value in reached.items()} == made
    assert [(row["Person"], row["Result"]) for row in report(spring, "sales.ranking", measure="units")] == [
        ("Noa", "3.00")
    ]
