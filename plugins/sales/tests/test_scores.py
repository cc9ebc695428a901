"""Leads have scores with reasons: by rules that people write, and by what was learned from the leads before."""

from __future__ import annotations

import os
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rapport_sales import Lead, ScoreModel, ScoreRule

from rapport import Customer, Invalid
from rapport.builtin.exchange import imports
from rapport.fit import CustomField

FOLDER = Path(os.environ.get("RAPPORT_SHARED", Path(__file__).resolve().parents[4] / "shared"))
SHARED = FOLDER / "data" / "12_process" / "Leads_rows_2741_to_9240.csv"


REAL = {
    "x_visits": ("TotalVisits", "decimal"), "x_seconds": ("Total Time Spent on Website", "integer"),
    "x_pages": ("Page Views Per Visit", "decimal"), "x_origin": ("Lead Origin", "text"),
    "x_no_mail": ("Do Not Email", "flag"), "x_subject": ("Specialization", "text"),
    "x_occupation": ("What is your current occupation", "text"), "x_city": ("City", "text"),
}  # fmt: skip
SIZE = {"entity": "sales.lead", "name": "x_size", "label": "Size", "kind": "integer"}


def made(app: Any, kind: Any, /, **values: Any) -> Any:
    with app.site.write(app.admin) as unit:
        return unit.create(kind, values)


def get(sales: Any, record: Any) -> Any:
    with sales.app.site.read(sales.app.admin) as reader:
        return reader.get(type(record), record.id)


def act(app: Any, record: Any, name: str) -> str:
    action = app.site.actions[f"{record.meta.name}:{name}"]
    with app.site.write(app.admin) as unit:
        known = unit.get(type(record), record.id)
        assert action.applies(known)
        told = action.run(unit, [known], {})
    app.settle()
    return str(told)


def test_points_follow_the_rules_and_the_leads_and_say_why(sales: Any):
    fair = sales.make(Lead, name="Ada", source="Fair")
    assert fair.score is None
    sales.make(ScoreRule, name="Met us at a fair", condition='source = "Fair"', points=30)
    known = sales.make(ScoreRule, name="From Iran", condition='address.country = "IR"', points=25)
    sales.make(ScoreRule, name="Works in industry", condition='customer.industry = "Steel"', points=5)
    sales.make(ScoreRule, name="Only looks around", condition='interest contains "catalogue"', points=-15)
    sales.app.settle()
    assert get(sales, fair).score == 30
    assert get(sales, fair).version == 1  # it is no change that somebody made
    steel = sales.make(Customer, kind="organisation", name="Mobarakeh", industry="Steel")
    made = sales.app.client.post("/api/v1/sales.lead", json={
        "name": "سارا", "source": "Fair", "address": {"country": "IR"}, "interest": "A catalogue",
        "customer_id": str(steel.id),
    }).get_json()  # fmt: skip
    assert made["score"] == 30 + 25 + 5 - 15
    page = sales.app.browser().get(f"/sales.lead/{made['id']}").get_data(as_text=True)
    assert [
        text for text in ("Met us at a fair", "From Iran", "Works in industry", "Only looks around") if text in page
    ]
    with sales.app.site.write(sales.app.admin) as unit:
        rules = [unit.get(ScoreRule, known.id)]
        assert sales.app.site.actions["sales.score_rule:count"].run(unit, rules, {}) == "1 lead fits “From Iran”."
    sales.change(fair, interest="Your catalogue")
    assert get(sales, fair).score == 15
    sales.change(known, points=40)
    sales.app.settle()
    listed = sales.app.client.get("/api/v1/sales.lead", query_string={"sort": "-score"}).get_json()["items"]
    assert [(each["name"], each["score"]) for each in listed] == [("سارا", 60), ("Ada", 15)]


def test_a_rule_that_leads_cannot_be_asked_is_refused_and_one_whose_field_is_gone_counts_for_nothing(make_app: Any):
    with make_app(plugins=["sales"]) as app:
        made(app, CustomField, **SIZE)
    with make_app(plugins=["sales"]) as app:
        for condition, told in (('colour = "blue"', "colour"), ("source =", "ends where")):
            with pytest.raises(Invalid, match=told):
                made(app, ScoreRule, name="Wrong", condition=condition)
        made(app, ScoreRule, name="Large", condition="x_size > 10", points=7)
        assert made(app, Lead, name="Ada", x_size=11).score == 7
        with app.site.write(app.admin) as unit:
            (size,) = unit.reader.all(CustomField)
            unit.archive(size)
    with make_app(plugins=["sales"]) as app:
        assert made(app, Lead, name="Bob").score == 0


def test_a_score_is_learned_measured_used_and_explained(sales: Any, clock: Any):
    chance = random.Random(7)
    leads = []
    for _day in range(60):
        clock.forward(days=1)
        for _each in range(8):
            source, phone = chance.choice(["Fair", "Web", "List"]), chance.random() < 0.5
            odds = {"Fair": 0.75, "Web": 0.4, "List": 0.1}[source] + (0.15 if phone else -0.05)
            status = "qualified" if chance.random() < odds else "unqualified"
            leads.append(
                {"name": "Somebody", "source": source, "phone": "+442079460101" if phone else "", "status": status}
            )
        with sales.app.site.write(sales.app.admin) as unit:
            unit.insert_many([unit.build(Lead, values)[0] for values in leads[-8:]])
    few = sales.make(ScoreModel, name="Wrong", fields=["status", "nothing"])
    model = sales.make(ScoreModel, name="1")
    sales.app.settle()
    assert "“nothing” is no field" in get(sales, few).told
    done = get(sales, model)
    assert (done.state, done.leads, done.held_out, done.held_out_by) == ("ready", 384, 96, "later")
    assert done.auc > done.best_auc > 0.5
    assert done.brier < done.base_brier
    assert done.log_loss < done.base_log_loss
    assert "better than the share" in done.told
    sales.make(ScoreRule, name="Met us at a fair", condition='source = "Fair"', points=30)
    lead = sales.make(Lead, name="Ada", source="Fair", phone="+442079460102")
    cold = sales.make(Lead, name="Bob", source="List")
    assert lead.score == 30
    act(sales.app, model, "use")
    hot, cold = get(sales, lead), get(sales, cold)
    assert hot.score > 70 > 30 > cold.score
    browser = sales.app.browser()
    page = browser.get(f"/sales.lead/{lead.id}").get_data(as_text=True)
    assert "Source: Fair" in page
    assert "Phone: known" in page
    page = browser.get(f"/sales.score_model/{model.id}").get_data(as_text=True)
    assert "Foretold and come true" in page
    assert "could not show this" not in page
    act(sales.app, model, "stop")
    assert get(sales, lead).score == 30


@pytest.mark.skipif(not SHARED.is_file(), reason="needs the leads in ../shared/data/12_process")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # one database is enough for many rows
def test_a_score_learned_on_6500_real_leads_foretells_those_held_out(make_app: Any):
    with make_app(plugins=["sales"]) as app:
        for name, (label, kind) in REAL.items():
            made(app, CustomField, entity="sales.lead", name=name, label=label, kind=kind)
    with make_app(plugins=["sales"]) as app:
        # What is known before anybody talks with them; Tags, Lead Quality and the last activities are noted later.
        mapping = {"Lead Number": "name", "Lead Source": "source", "Converted": "status"}
        mapping |= {label: name for name, (label, _kind) in REAL.items()}
        run = imports.start(app.site, app.admin, "sales.lead", SHARED, SHARED.name)
        imports.decide(
            app.site, app.admin, run.id, mapping=mapping,
            decisions={"status": {"1": {"do": "use", "to": "qualified"}, "0": {"do": "use", "to": "unqualified"}},
                       **{name: {"Select": {"do": "empty"}} for name in ("source", "x_subject", "x_city")}},
        )  # fmt: skip
        done = imports.run(app.site, app.admin, run.id)
        assert (done.created, done.refused) == (6500, 0)
        model = made(app, ScoreModel, name="Real", fields=["source", *REAL])
        app.settle()
        with app.site.read(app.admin) as reader:
            learned = reader.get(ScoreModel, model.id)
        assert (learned.leads, learned.held_out, learned.held_out_by) == (5200, 1300, "rows")
        # Measured: AUC 0.85 (the best single field, the time on the website: 0.76), Brier 0.145 against 0.233,
        # log loss 0.45 against 0.66. Which leads are held out varies a little, so the bounds leave some room.
        assert learned.auc > max(Decimal("0.82"), learned.best_auc + Decimal("0.05"))
        assert learned.brier < Decimal("0.7") * learned.base_brier
        assert learned.log_loss < Decimal("0.75") * learned.base_log_loss
        assert max(abs(told - true) for told, true, _leads in learned.calibration) < 0.16
        act(app, model, "use")
        best = app.client.get("/api/v1/sales.lead", query_string={"sort": "-score", "limit": 100}).get_json()["items"]
        assert sum(lead["status"] == "qualified" for lead in best) > 85
