"""Fields, kinds of records, words and layouts come with an edition like everything else, and what they hold is kept."""

from __future__ import annotations

import pytest
from rapport_callcenter import Disposition, WrapUp
from rapport_callcenter import Queue as CallQueue
from rapport_callcenter import Site as CallSite
from rapport_dashboards import Card, Dashboard
from rapport_dashboards import Target as FigureTarget
from rapport_email.entities import Template
from rapport_marketing import Strategy
from rapport_sales import AssignmentRule, ScoreRule, Territory
from rapport_service import (
    CarePlan,
    CareStep,
    Escalation,
    Holiday,
    Hours,
    Macro,
    Question,
    Queue,
    Sla,
    Survey,
    Target,
)

from rapport import Customer
from rapport.builtin.edition import export_edition, read_edition
from rapport.builtin.edition.engine import switch_on
from rapport.builtin.edition.items import Kinds
from rapport.customers.retention import RetentionRule
from rapport.fit import CustomEntity, CustomField, Layout, Term
from rapport.interactions.consent import FrequencyCap
from rapport.plugins import discover
from rapport.workflows import Workflow
from tests.torture import in_turn

from .conftest import ADA
from .test_applying import PIPELINES, ROLES, SALES, SETTINGS, VIEWS, own_changes_of

GREET = """name: greet
entity: customer
start: {event: created}
initial: greeted
states:
  greeted: {final: true}
"""
FIT = """
[[custom_entity]]
name = "custom.pool"
title = "Pool"
icon = "pool"

[[custom_field]]
entity = "custom.pool"
name = "x_customer_id"
label = "Owner"
kind = "reference"
target = "customer"
in_list = true

[[custom_field]]
entity = "customer"
name = "x_serial"
label = "Serial number"
indexed = true
position = {position}

[[custom_field]]
entity = "customer"
name = "x_water"
label = "Water"
kind = "choice"
choices = ["fresh", "salt"]

[term.en]
"Customer" = "Retailer"
"Customers" = "{customers}"

[term.fr]
"Customer" = "Détaillant"

[layout.customer]
list = ["name", "x_serial", "phone"]

[[layout.customer.form]]
title = "Pool"
fields = ["name", "x_serial"]
"""


@pytest.fixture
def first(edition):
    return edition("1.0.0", fit=FIT.format(position=1, customers="Retailers"))


@pytest.fixture
def second(edition):
    text = FIT.format(position=2, customers="Our retailers").replace("salt", "brine")
    return edition(
        "2.0.0", fit=text.replace('name = "x_water"\nlabel = "Water"', 'name = "x_hardness"\nlabel = "Hardness"')
    )


def test_an_edition_brings_fields_kinds_words_and_layouts_and_its_next_version_moves_them(shop, first, second):
    empty = shop.digest()
    shop.apply(first)
    assert own_changes_of(shop) == []
    with shop.site() as site:
        assert list(site.meta(Customer).columns) == ["name", "x_serial", "phone"]
        assert ("Customer", "Détaillant") in site.terms["fr"]
        with site.write(ADA) as unit:
            splash = unit.create(Customer, {"name": "Splash", "x_serial": "SN-1", "x_water": "salt"})
            unit.create(site.entities["custom.pool"], {"name": "Garden pool", "x_customer_id": str(splash.id)})
    with shop.site() as site, site.write(ADA) as unit:
        (serial,) = unit.reader.all(CustomField, CustomField.name == "x_serial")
        unit.update(serial, {"label": "Serial no."})
        (term,) = unit.reader.all(Term, Term.text == "Customers")
        unit.update(term, {"said": "Shops"})
    mine = shop.digest()

    outcome = shop.apply(second)
    assert [(each.item, each.wanted, each.here) for each in outcome.plan.clashes] == [
        ("term/en/Customers", "Our retailers", "Shops")
    ]
    there = shop.listed()
    assert there["custom_field/customer/x_serial"] == {
        "entity": "customer", "name": "x_serial", "label": "Serial no.", "kind": "text", "required": False,
        "indexed": True, "searchable": False, "in_list": False, "position": 2,
    }  # fmt: skip
    # A field that records hold something in stays, and the outcome says so.
    assert [(each.item, each.why) for each in outcome.kept] == [
        ("custom_field/customer/x_water", "1 record holds something in “Water”. Archive the field instead: it "
         "disappears everywhere, and what it holds is kept.")
    ]  # fmt: skip
    assert "custom_field/customer/x_water" in there
    shop.rollback()
    assert shop.digest() == mine
    with shop.site() as site, site.read(ADA) as reader:
        (splash,) = reader.all(Customer, Customer.name == "Splash")
        assert (splash.x_serial, splash.x_water) == ("SN-1", "salt")
        pools = reader.page(site.entities["custom.pool"]).items
        assert [pool.name for pool in pools] == ["Garden pool"]
    shop.rollback()
    shop.apply(first)
    with shop.site() as site, site.read(ADA) as reader:
        (splash,) = reader.all(Customer, Customer.name == "Splash")
        assert splash.x_water == "salt"
    assert empty != shop.digest()


@pytest.mark.parametrize("database_url", in_turn(1), indirect=True)
def test_every_kind_of_configuration_there_is_goes_to_another_site_by_export(shop, other_shop, edition, tmp_path):
    """Whoever makes a new one gives it an example here."""
    everything = edition(
        "1.0.0", modules=SALES, pipelines=PIPELINES.format(samples=30), roles=ROLES.format(export="none"),
        settings=SETTINGS.format(currency="USD", days=45), views=VIEWS, fit=FIT.format(position=1, customers="Shops"),
    )  # fmt: skip
    shop.apply(everything)
    switch_on(shop.config, ["callcenter", "dashboards", "email", "marketing", "service"])
    shop.add(Template, name="welcome", title="Welcome", subject="Welcome", body="Hello {{ customer.name }}")
    shop.add(CustomEntity, name="custom.filter", title="Filter", grants={"member": "read"})
    shop.add(
        CustomField, entity="custom.filter", name="x_pool_id", label="Pool", kind="reference", target="custom.pool"
    )
    shop.add(Term, language="fa", text="Customer", said="خرده‌فروش")
    shop.add(Layout, entity="custom.filter", place="list", content=["name", "x_pool_id"])
    shop.add(FrequencyCap, name="Letters", channel="letter", most=2, days=30)
    shop.add(RetentionRule, name="Old tasks", kind="task", days=900, action="archive")
    shop.add(Workflow, name="greet", source=GREET)
    shop.add(ScoreRule, name="Met us at a fair", condition='source = "Fair"', points=30)
    shop.add(Territory, name="Paris", condition='address.postcode starts "75"', position=2)
    shop.add(AssignmentRule, name="By place", method="territory", condition="score >= 10")
    survey = shop.add(Survey, name="After a visit", title="How was it?")
    shop.add(Question, survey_id=survey.id, kind="service", text="How satisfied are you?")
    plan = shop.add(CarePlan, name="New customers", filter='tags has "new"')
    shop.add(CareStep, care_plan_id=plan.id, title="Welcome", after_days=3)
    hours = shop.add(Hours, name="Office", zone="Europe/Paris")
    shop.add(Holiday, hours_id=hours.id, day="2026-07-14", name="Bastille Day")
    sla = shop.add(Sla, name="Gold", filter='customer.tags has "vip"', hours_id=hours.id)
    shop.add(Target, sla_id=sla.id, priority="urgent", first_response=60)
    shop.add(Escalation, sla_id=sla.id, raise_priority=True)
    queue = shop.add(Queue, name="Complaints", filter='kind = "complaint"')
    shop.add(Macro, name="Sorry", text="Dear {{ customer.name }}", queue_id=queue.id)
    site_id = shop.add(CallSite, name="North").id
    shop.add(CallQueue, name="Help", number="+442079460001", site_id=site_id)
    shop.add(WrapUp, name="Advice", position=9)
    shop.add(Disposition, name="Moved away", result="reached", task="Ask for the new address")
    shop.add(Strategy, name="Gold", least="5000", decision="invest", service_level="Gold")
    board = shop.add(Dashboard, name="Pools", shared="everybody")
    shop.add(Card, dashboard_id=board.id, title="Won", question={"measures": ["sales.won"]})
    shop.add(FigureTarget, name="Won a month", measure="sales.won", value="12")
    with shop.site() as site:
        assert {key.partition("/")[0] for key in shop.listed()} == set(Kinds(site).names())
    export_edition(shop.config, tmp_path / "export", name="exported")
    exported = read_edition(tmp_path / "export")
    assert exported.folder.joinpath("term.toml").read_text("utf-8") == (
        '[term.en]\nCustomer = "Retailer"\nCustomers = "Shops"\n\n[term.fa]\nCustomer = "خرده‌فروش"\n'
        '\n[term.fr]\nCustomer = "Détaillant"\n'
    )
    assert other_shop.apply(exported).plan.clashes == []
    assert other_shop.listed() == shop.listed()
    assert other_shop.digest() == shop.digest()


@pytest.mark.parametrize("database_url", in_turn(0), indirect=True)
def test_every_plugin_s_configuration_has_an_example_in_these_tests(shop):
    """A plugin of ours that makes an entity with a natural key is added to the story above."""
    switch_on(shop.config, discover())
    with shop.site() as site:
        assert set(Kinds(site).names()) == {
            "callcenter.disposition", "callcenter.queue", "callcenter.site", "callcenter.wrap_up",
            "custom_entity", "custom_field", "dashboards.card", "dashboards.dashboard", "dashboards.target",
            "email.template", "frequency_cap", "layout", "marketing.strategy",
            "pipeline", "purpose",
            "quiet_hours", "retention_rule", "role", "sales.assignment_rule", "sales.score_rule", "sales.territory",
            "service.care_plan", "service.care_step", "service.escalation", "service.holiday", "service.hours",
            "service.macro", "service.question", "service.queue", "service.sla", "service.survey", "service.target",
            "setting", "stage", "term", "view", "workflow",
        }  # fmt: skip
