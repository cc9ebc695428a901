"""Opportunities move along the pipeline, are won and lost, and add up."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner
from rapport_products import Product
from rapport_sales import (
    Line,
    Opportunity,
    ageing,
    lose,
    pipeline_totals,
    plan_next_step,
    reopen,
    win,
    win_loss,
)
from rapport_sales.service import DEFAULT_STAGES, due
from sqlalchemy import select

from rapport import Invalid, Pipeline, Stage, Task, utcnow
from rapport.access import Role, system
from rapport.entities import uuid7
from rapport.records.log import delivery_table
from rapport.workflows.model import Transition


def test_switching_sales_on_brings_a_pipeline_to_start_from_and_only_once(make_app):
    for _ in range(2):
        with make_app(plugins=["sales"]) as app, app.site.read(app.admin) as reader:
            assert [pipeline.name for pipeline in reader.all(Pipeline)] == ["Sales"]
            assert [each.title for each in reader.all(Stage, order=Stage.position)] == [
                facts["title"] for facts in DEFAULT_STAGES
            ]


def test_a_new_opportunity_starts_at_the_first_stage_with_the_customs_of_the_house(sales: Any):
    acme = sales.app.create_customer(name="Acme")
    made = sales.make(Opportunity, customer_id=acme.id)
    today = utcnow().date()
    assert (made.name, made.currency, made.started_on) == ("Acme", "EUR", today)
    assert made.expected_close_on == today + dt.timedelta(days=30)
    assert made.stage_id == sales.stage("New").id


def test_what_is_won_is_closed_today_for_sure(sales: Any):
    made = sales.deal(amount="1200", next_step="Call", next_step_on="2026-01-01")
    with sales.app.site.write(sales.app.admin) as unit:
        win(unit, unit.get(Opportunity, made.id), reason="price")
    with sales.app.site.read(sales.app.admin) as reader:
        won = reader.get(Opportunity, made.id)
    assert (won.stage_id, won.closed_on, won.probability) == (sales.stage("Won").id, utcnow().date(), 100)
    assert (won.reason, won.next_step, won.next_step_on) == ("price", "", None)


def test_nothing_is_won_without_an_amount(sales: Any):
    made = sales.deal()
    with pytest.raises(Invalid) as refused:
        sales.change(made, stage_id=sales.stage("Won").id)
    assert [str(problem) for problem in refused.value.problems] == ["amount is needed before the stage “Won”."]


def test_nothing_is_lost_without_a_reason_also_where_the_stage_does_not_ask_for_one(sales: Any):
    made = sales.deal()
    for _ in range(2):
        with pytest.raises(Invalid) as refused:
            sales.change(made, stage_id=sales.stage("Lost").id)
        assert [str(problem) for problem in refused.value.problems] == ["reason is needed before the stage “Lost”."]
        sales.change(sales.stage("Lost"), required_fields=[])
    with sales.app.site.write(sales.app.admin) as unit:
        lose(unit, unit.get(Opportunity, made.id), reason="competitor", competitor="Umbra")
    with sales.app.site.read(sales.app.admin) as reader:
        lost = reader.get(Opportunity, made.id)
    assert (lost.closed_on, lost.probability, lost.competitor) == (utcnow().date(), 0, "Umbra")


def test_reopening_forgets_the_end(sales: Any):
    made = sales.deal(amount="10")
    with sales.app.site.write(sales.app.admin) as unit:
        lose(unit, unit.get(Opportunity, made.id), reason="budget", reason_note="next year")
    with sales.app.site.write(sales.app.admin) as unit:
        reopen(unit, unit.get(Opportunity, made.id))
    with sales.app.site.read(sales.app.admin) as reader:
        again = reader.get(Opportunity, made.id)
    assert (again.closed_on, again.probability, again.reason, again.reason_note) == (None, None, "", "")
    assert again.stage_id == sales.stage("New").id


def test_what_is_entered_as_won_counts_as_closed(sales: Any):
    assert sales.deal(stage="Won", amount="5").closed_on == utcnow().date()
    known = sales.deal(stage="Won", amount="5", closed_on="2026-03-01")
    assert known.closed_on == dt.date(2026, 3, 1)


def test_the_amount_follows_the_lines(sales: Any):
    panel = sales.make(Product, name="Panel", price="100")
    made = sales.deal(amount="7")
    first = sales.make(Line, opportunity_id=made.id, product_id=panel.id, quantity="10", discount="10")
    sales.make(Line, opportunity_id=made.id, description="Fitting", price="250.50")
    assert (first.description, first.price, first.total) == ("Panel", Decimal(100), Decimal(900))
    assert amount(sales, made) == Decimal("1150.50")
    sales.change(first, quantity="1")
    assert amount(sales, made) == Decimal("340.50")
    sales.change(reread(sales, made), amount="1")  # the lines know better
    assert amount(sales, made) == Decimal("340.50")
    with sales.app.site.write(sales.app.admin) as unit:
        unit.delete(unit.get(Line, first.id))
    assert amount(sales, made) == Decimal("250.50")


def test_a_line_says_what_is_wrong_with_it(sales: Any):
    made = sales.deal()
    with pytest.raises(Invalid) as refused:
        sales.make(Line, opportunity_id=made.id, quantity="0", discount="120")
    assert {problem.field for problem in refused.value.problems} == {"description", "price", "quantity", "discount"}


def test_totals_equal_the_sums_and_currencies_stay_apart(sales: Any):
    noa, wei = sales.app.user("Noa"), sales.app.user("Wei")
    acme = sales.app.create_customer(name="Acme")
    for owner, where, amount_, currency in (
        (noa, "New", "100", "EUR"), (noa, "Proposal", "200", "EUR"), (wei, "Proposal", "300.55", "EUR"),
        (wei, "Proposal", "1000", "ILS"), (noa, "Won", "400", "EUR"),
    ):  # fmt: skip
        sales.deal(customer_id=acme.id, owner_id=owner.id, stage=where, amount=amount_, currency=currency)
    sales.deal(customer_id=acme.id, owner_id=wei.id, stage="New", probability=90, amount="10")
    with sales.app.site.read(sales.app.admin) as reader, sales.counted() as sent:
        totals = pipeline_totals(reader)
    assert len(sent) == 1
    proposal = totals.by_stage[sales.stage("Proposal").id]
    assert (proposal.count, proposal.amounts) == (3, {"EUR": Decimal("500.55"), "ILS": Decimal(1000)})
    assert proposal.weighted == {"EUR": Decimal("250.275"), "ILS": Decimal(500)}
    assert totals.by_stage[sales.stage("New").id].weighted == {"EUR": Decimal(19)}
    assert totals.by_owner[noa.id].amounts == {"EUR": Decimal(300)}  # what is won is no longer before her
    assert totals.open.count == 5
    with sales.app.site.read(sales.app.admin) as reader:
        assert pipeline_totals(reader, filter="amount > 250").open.count == 2


def test_totals_count_only_what_one_may_see(sales: Any):
    north, south = sales.app.team("North"), sales.app.team("South")
    noa, wei = sales.app.user("Noa", teams=[north]), sales.app.user("Wei", teams=[south])
    sales.deal(owner_id=noa.id, team_id=north.id, amount="100")
    sales.deal(owner_id=wei.id, team_id=south.id, amount="200")
    limit_to_own(sales, "member")
    with sales.app.site.read(sales.app.site.actor(noa.id)) as reader:
        assert pipeline_totals(reader).open.amounts == {"EUR": Decimal(100)}


def test_programs_ask_for_the_totals_of_this_moment(sales: Any):
    noa, client = sales.app.user("Noa"), sales.app.client
    sales.deal(owner_id=noa.id, stage="Proposal", amount="200.50")
    sales.deal(stage="New", amount="10", currency="ILS", probability=90)
    sales.deal(stage="Won", amount="400")
    told = client.get("/api/v1/sales.pipeline_totals").get_json()
    assert [(each["title"], each["count"], each["amounts"]) for each in told["stages"]] == [
        ("New", 1, {"ILS": "10.0000"}), ("Proposal", 1, {"EUR": "200.5000"}), ("Won", 1, {"EUR": "400.0000"})
    ]  # fmt: skip
    assert told["open"]["count"] == 2
    assert told["open"]["weighted"] == {"EUR": "100.2500", "ILS": "9.0000"}
    assert {each["id"]: each["count"] for each in told["owners"]}[str(noa.id)] == 1
    assert client.get("/api/v1/sales.pipeline_totals?filter=amount>300").get_json()["open"]["count"] == 0
    assert client.get("/api/v1/sales.pipeline_totals?filter=nothing>1").status_code == 400
    assert client.get("/api/v1/sales.pipeline_totals?since=2026-01-01").status_code == 400


def test_what_stands_still_for_too_long_is_ageing(sales: Any, monkeypatch):
    made = sales.deal()
    with sales.app.site.read(sales.app.admin) as reader:
        assert ageing(reader) == []
    later = utcnow() + dt.timedelta(days=15)
    monkeypatch.setattr("rapport.entities.types.clock", lambda: later)
    with sales.app.site.read(sales.app.admin) as reader:
        assert [each.id for each in ageing(reader)] == [made.id]


def test_deals_without_a_next_step_or_with_an_overdue_one_are_due(sales: Any):
    noa = sales.app.user("Noa")
    today, far = utcnow().date(), "2999-01-01"
    for name, step in (("none", None), ("overdue", today - dt.timedelta(days=3)), ("planned", far)):
        sales.deal(name=name, owner_id=noa.id, next_step_on=step, expected_close_on=far)
    sales.deal(name="closing", owner_id=noa.id, next_step_on=far, expected_close_on=today)
    sales.deal(name="won", owner_id=noa.id, stage="Won", amount="1")
    sales.deal(name="of somebody else")
    with sales.app.site.read(sales.app.site.actor(noa.id)) as reader:
        assert [(each.opportunity.name, each.why) for each in due(reader)] == [
            ("overdue", "overdue"), ("none", "missing"), ("closing", "closing"),
        ]  # fmt: skip


def test_planning_the_next_step_puts_it_on_the_owners_list(sales: Any):
    noa = sales.app.user("Noa")
    made = sales.deal(owner_id=noa.id)
    with sales.app.site.write(sales.app.admin) as unit:
        plan_next_step(unit, unit.get(Opportunity, made.id), "Send the offer", dt.date(2030, 1, 2))
    with sales.app.site.read(sales.app.admin) as reader:
        (task,) = reader.all(Task)
        assert reader.get(Opportunity, made.id).next_step == "Send the offer"
    assert (task.title, task.owner_id, task.customer_id) == ("Send the offer", noa.id, made.customer_id)
    assert (task.about_entity, task.about_id) == ("sales.opportunity", made.id)


def test_why_we_win_and_lose_is_counted(sales: Any):
    for where, reason, amount_ in (("Won", "fit", "10"), ("Lost", "price", "5"), ("Lost", "price", "7")):
        sales.deal(stage=where, reason=reason, amount=amount_)
    sales.deal(stage="Lost", reason="budget", closed_on="2001-01-01")
    with sales.app.site.read(sales.app.admin) as reader:
        results = win_loss(reader, utcnow().date() - dt.timedelta(days=1))
    assert [(each.kind, each.reason, each.count, each.amounts) for each in results] == [
        ("lost", "price", 2, {"EUR": Decimal(12)}), ("won", "fit", 1, {"EUR": Decimal(10)}),
    ]  # fmt: skip


def reread(sales: Any, made: Opportunity) -> Opportunity:
    with sales.app.site.read(sales.app.admin) as reader:
        return reader.get(Opportunity, made.id)


def amount(sales: Any, made: Opportunity) -> Decimal | None:
    return reread(sales, made).amount


def limit_to_own(sales: Any, role: str) -> None:
    with sales.app.site.write(system("test")) as unit:
        unit.create(Role, {"name": role, "grants": {"sales.opportunity.read": "own"}})


def test_deals_of_one_name_are_told_apart_by_their_customers(sales):
    mill, dairy = (sales.app.create_customer(name=name) for name in ("Northern Mill", "Fraser Dairy"))
    sales.deal(name="Heat pump", customer_id=mill.id)
    sales.deal(name="Heat pump", customer_id=dairy.id)
    browser = sales.app.browser(sales.app.admin)
    for address in ("/search?q=heat", "/suggest/sales.opportunity?q=heat", "/suggest/sales.opportunity"):
        page = browser.get(address).get_data(as_text=True)
        assert "Northern Mill" in page, address
        assert "Fraser Dairy" in page, address
    with sales.app.site.write(system("test")) as unit:
        unit.create(Role, {"name": "member", "grants": {"sales.opportunity.read": "all", "customer.read": "own"}})
    mia = sales.app.user("Mia")
    own = sales.app.create_customer(name="Own House", owner_id=mia.id)
    sales.deal(name="Heat pump", customer_id=own.id)
    page = sales.app.browser(mia).get("/search?q=heat").get_data(as_text=True)
    assert page.count("Heat pump") == 1, "a deal is hidden with its customer"
    assert "Own House" in page
    assert "Mill" not in page


def test_who_wins_a_deal_is_reminded_to_say_thank_you(sales):
    deal = sales.deal(stage="Negotiation", amount="1200")
    with sales.app.site.db.write() as connection:
        sales.app.site.settings.set(connection, "sales.thanks_after_days", 3)
    with sales.app.site.write(sales.app.admin) as unit:
        win(unit, unit.get(Opportunity, deal.id))
    sales.app.settle()
    with sales.app.site.read(sales.app.admin) as reader:
        (task,) = reader.all(Task, Task.about_id == deal.id)
        assert (task.customer_id, task.owner_id) == (deal.customer_id, deal.owner_id)
        assert task.due_on == utcnow().date() + dt.timedelta(days=3)


def test_the_command_line_shows_the_pipeline(sales):
    sales.deal(stage="Proposal", amount="1200")
    sales.deal(stage="Proposal", amount="800.50")
    shown = CliRunner().invoke(sales.app.site.commands["sales"].commands["pipeline"], obj=sales.app.site)
    assert shown.exit_code == 0, shown.output
    assert [line.split() for line in shown.output.splitlines()] == [
        ["Proposal", "2", "2,000.50", "EUR"], ["Open", "2", "2,000.50", "EUR"],
    ]  # fmt: skip


def test_a_move_of_what_no_module_knows_any_more_keeps_nothing_from_being_told(sales: Any):
    with sales.app.site.write(sales.app.admin) as unit:  # as it is after its module was switched off
        unit.session.add(Transition(entity="gone.parcel", record_id=uuid7()))
    sales.app.settle()
    with sales.app.site.db.read() as connection:
        assert connection.execute(select(delivery_table.c.error)).all() == []
