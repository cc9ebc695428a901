"""The sales file of a real company: accounts, products and 8,800 opportunities, every row accounted for."""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
from rapport_sales import Opportunity
from sqlalchemy import func, select

from rapport import Customer, Stage, User
from rapport.access import system
from rapport.access.service import create_user
from rapport.builtin.exchange import imports
from tests.web.conftest import Person

SHARED = Path(os.environ.get("RAPPORT_SHARED", Path(__file__).resolve().parents[3] / "shared"))
FILES = SHARED / "data" / "01_crm_sales_opportunities"
STAGES = {"Prospecting": "New", "Engaging": "Qualified"}

if not FILES.exists():
    pytest.skip(f"the real files are not here ({FILES})", allow_module_level=True)


def lines(name):
    with (FILES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def taken_in(app, entity, name, **decided):
    run = imports.start(app.site, app.admin, entity, FILES / name, name)
    if "mapping" in decided:
        decided["mapping"] = run.mapping | decided["mapping"]
    imports.decide(app.site, app.admin, run.id, **decided)
    return imports.run(app.site, app.admin, run.id)


def count(app, entity):
    with app.site.read(app.admin) as reader:
        return reader.session.scalar(select(func.count()).select_from(entity))


def test_every_opportunity_is_reported_or_imported_and_the_totals_are_those_of_the_file(make_app):
    with make_app(plugins=["sales"]) as app:
        agents(app)
        accounts = taken_in(app, "customer", "accounts.csv", mapping={"account": "name"},
                            constants={"kind": "organisation"})  # fmt: skip
        assert (accounts.done, accounts.created, accounts.refused) == (85, 85, 0)
        assert taken_in(app, "products.product", "products.csv").created == 7

        # As it is: what nobody knows is reported, by value, with what is near, and not lost.
        pipeline = lines("sales_pipeline.csv")
        run = imports.start(
            app.site, app.admin, "sales.opportunity", FILES / "sales_pipeline.csv", "sales_pipeline.csv"
        )
        checked = imports.check(app.site, app.admin, run.id)
        assert checked.done == len(pipeline) == checked.created + checked.refused == 8800
        unknown = {(each.field, each.value): each for each in imports.unknown(app.site, app.admin, run.id)}
        assert unknown["product_id", "GTXPro"].rows == 1480
        assert unknown["product_id", "GTXPro"].nearest[0] == "GTX Pro"
        assert unknown["stage_id", "Prospecting"].rows == 500
        assert count(app, Opportunity) == 0

        # Settled: GTXPro is GTX Pro, their stages are ours, and deals without an account go to one of their own.
        app.create_customer(name="Unknown account", kind="organisation")
        imports.decide(
            app.site, app.admin, run.id, match_by=["reference"],
            decisions={
                "product_id": {"GTXPro": {"do": "use", "to": "GTX Pro"}},
                "stage_id": {theirs: {"do": "use", "to": ours} for theirs, ours in STAGES.items()},
            },
            constants={"customer_id": "Unknown account"},
        )  # fmt: skip
        done = imports.run(app.site, app.admin, run.id)
        assert (done.done, done.created, done.refused) == (8800, 8800, 0), imports.problems(app.site, app.admin, run.id)

        assert totals_in_the_database(app) == totals_of(pipeline)
        with app.site.read(app.admin) as reader:
            lost = reader.session.scalar(
                select(func.count()).select_from(Opportunity).join(Customer, Customer.id == Opportunity.customer_id)
                .where(Customer.name == "Unknown account")
            )  # fmt: skip
        assert lost == sum(not row["account"] for row in pipeline) == 1425

        # Once more: nothing is new. And taken back: nothing is left.
        again = imports.start(app.site, app.admin, "sales.opportunity", FILES / "sales_pipeline.csv", "again.csv")
        with app.site.db.read() as connection:
            former = imports.runs.read_run(connection, app.admin, run.id)
        imports.decide(app.site, app.admin, again.id, match_by=["reference"], decisions=former.decisions,
                       constants=former.constants)  # fmt: skip
        second = imports.run(app.site, app.admin, again.id)
        assert (second.created, second.updated, second.unchanged) == (0, 0, 8800)
        undone = imports.undo(app.site, app.admin, run.id)
        assert (undone.state, undone.message) == ("undone", "")
        assert count(app, Opportunity) == 0


def test_the_same_on_the_pages_by_someone_who_only_clicks(make_app):
    with make_app(plugins=["sales"]) as app:
        agents(app)
        ada = Person(app)
        app.create_customer(name="Unknown account", kind="organisation")
        brings(ada, "customer", "accounts.csv", {"account": "name"}, **{"field:0": "kind", "value:0": "organisation"})
        brings(ada, "products.product", "products.csv")

        brings(ada, "sales.opportunity", "sales_pipeline.csv", **{
            "match_by": "reference", "field:0": "customer_id", "value:0": "Unknown account",
        })  # fmt: skip
        assert count(app, Opportunity) == 0
        for value, rows in (("GTXPro", "1,480"), ("Engaging", "1,589"), ("Prospecting", "500")):
            assert value in ada.page
            assert rows in ada.page
        meant = {"GTXPro": "use:GTX Pro", **{theirs: f"use:{ours}" for theirs, ours in STAGES.items()}}
        asked = re.findall(r'name="(field|value):(\d+)" value="([^"]*)"', ada.page)
        given = {f"{what}:{at}": text for what, at, text in asked}
        answers = {f"do:{at}": meant[text] for what, at, text in asked if what == "value"}
        ada.sends(f"{ada.url}/settle", **given, **answers)
        ada.waits()
        ada.sends(f"{ada.url}/run")
        assert "8,800" in ada.waits()
        assert totals_in_the_database(app) == totals_of(lines("sales_pipeline.csv"))
        ada.sends(f"{ada.url}/undo")
        ada.waits()
        assert count(app, Opportunity) == 0


def agents(app):
    with app.site.write(system("test")) as unit:
        for agent in lines("sales_teams.csv"):
            email = f"{agent['sales_agent'].lower().replace(' ', '.')}@example.com"
            create_user(unit, name=agent["sales_agent"], email=email, password="")


def brings(person, entity, name, mapping=None, **decided):
    """Upload a file, keep what is guessed of its columns but for `mapping`, and have every row checked; and run, where
    nothing is left to settle."""
    person.uploads((FILES / name).read_bytes(), entity, name)
    with (FILES / name).open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    meanings = {}
    for at, column in enumerate(columns):
        select = re.search(rf'<select[^>]*name="map:{at}"[^>]*>(.*?)</select>', person.page, re.DOTALL)[1]
        guessed = re.search(r'<option value="([^"]*)" selected', select)
        meanings[f"map:{at}"] = (mapping or {}).get(column, guessed[1] if guessed else "")
    person.sends(f"{person.url}/columns", do="check", **{"on_match": "update", **meanings, **decided})
    if "Values that nobody knows" not in person.waits():
        person.sends(f"{person.url}/run")
        person.waits()


def totals_of(pipeline):
    totals = defaultdict(lambda: [0, Decimal(0)])
    for row in pipeline:
        entry = totals[row["sales_agent"], STAGES.get(row["deal_stage"], row["deal_stage"])]
        entry[0] += 1
        entry[1] += Decimal(row["close_value"] or 0)
    return {key: tuple(value) for key, value in totals.items()}


def totals_in_the_database(app):
    with app.site.read(app.admin) as reader:
        rows = reader.session.execute(
            select(User.name, Stage.title, func.count(), func.coalesce(func.sum(Opportunity.amount), 0))
            .join(User, User.id == Opportunity.owner_id)
            .join(Stage, Stage.id == Opportunity.stage_id)
            .group_by(User.name, Stage.title)
        )
        return {(name, title): (number, Decimal(amount)) for name, title, number, amount in rows}
