"""Slots: every place has what is put into it, what has no place is told so at the start, and a fault stays in its place."""  # noqa: E501

from __future__ import annotations

import re

import pytest

from rapport import Config, PluginError, Site, system
from rapport.access import Role
from rapport.builtin.web.design import TEMPLATES
from rapport.errors import Invalid
from rapport.lifecycle import enable, make_site

CARD = '{% import "ui.html" as ui %}{% call ui.card(title=panel.title) %}<p>{{ said }}</p>{% endcall %}'


@pytest.fixture
def config(tmp_path, database_url):
    made = Config(home=tmp_path, database_url=database_url, secret_key="k" * 32, testing=True)
    make_site(made)
    return made


def reason_for(config, plugin_on_disk, things, *, hook="register_panels", name="alpha"):
    """Why a plugin that brings these things cannot load."""
    code = f"from rapport import *\nfrom rapport import hookimpl\n\n@hookimpl\ndef {hook}():\n    return [{things}]\n"
    with pytest.raises(PluginError) as refused:
        enable(config, plugin_on_disk(name, code))
    return str(refused.value).removeprefix(f"'{name}' cannot be enabled: ").removesuffix(" Nothing was changed.")


def test_a_panel_for_a_slot_that_does_not_exist_is_told_the_nearest(config, plugin_on_disk):
    reason = reason_for(config, plugin_on_disk, 'Panel("customer.sid", "Deals", "alpha/deals.html")')
    assert reason == (
        "rapport-alpha 0.3.0 cannot load: its panel 'Deals' is for the slot 'customer.sid', which no active plugin "
        "has. Did you mean 'customer.side'? docs/slots.md lists them all."
    )


def test_a_panel_for_an_entity_that_does_not_exist_is_told_the_nearest(config, plugin_on_disk):
    reason = reason_for(config, plugin_on_disk, 'Panel("custmer.side", "Deals", "alpha/deals.html")')
    assert "'custmer.side', which no active plugin has. Did you mean 'customer.side'?" in reason


def test_a_panel_in_a_place_for_something_else_is_told_what_belongs_there(config, plugin_on_disk):
    reason = reason_for(config, plugin_on_disk, 'Panel("navigation", "Deals", "alpha/deals.html")')
    assert "the slot 'navigation', which takes no panels. Return a NavItem from register_navigation instead." in reason


def test_a_column_for_an_entity_that_does_not_exist_is_told_the_nearest(config, plugin_on_disk):
    column = 'Column("costumer", "deals", "Deals", lambda reader, ids: {})'
    reason = reason_for(config, plugin_on_disk, column, hook="register_columns")
    assert (
        "its column 'deals' is for the entity 'costumer', which no active plugin has. Did you mean 'customer'? "
        "If another plugin has it, name that one in the dependencies."
    ) in reason


def test_a_slot_is_named_after_the_plugin_that_shows_it(config, plugin_on_disk):
    slot = 'Slot("home.left", "Left", "/")'
    reason = reason_for(config, plugin_on_disk, slot, hook="register_slots")
    assert "the slot 'home.left' must be named 'alpha.<place>'. Rename it." in reason


def test_a_plugin_fills_a_place_of_another_that_it_depends_on(config, plugin_on_disk):
    base = 'from rapport import Slot, hookimpl\n@hookimpl\ndef register_slots():\n    return [Slot("base.spot", "A", "/b")]\n'  # noqa: E501
    upper = 'from rapport import Panel, hookimpl\n@hookimpl\ndef register_panels():\n    return [Panel("base.spot", "Seen", "upper/x.html")]\n'  # noqa: E501
    plugin_on_disk("base", base)
    enable(config, plugin_on_disk("upper", upper, requires=("rapport-base",)))
    site = Site.open(config)
    site.close()
    assert site.active("upper")
    assert [panel.title for panel in site.panels_at["base.spot"]] == ["Seen"]


PANELS = """
from sqlalchemy import Integer, func, literal, select
from rapport import Column, Panel, Task, hookimpl

def facts(reader, record=None):
    return {"said": f"<b>{reader.actor.name}</b>", "tasks": reader.all(Task)}

def fails(reader):
    reader.session.execute(select(literal("x").cast(Integer) / 0 + func.no_such_function(1)))

@hookimpl
def summarize_customers(customer_ids, reader):
    fails(reader)

@hookimpl
def register_columns():
    return [Column("customer", "broken", "Broken", lambda reader, ids: fails(reader)),
            Column("customer", "whole", "Whole", lambda reader, ids: dict.fromkeys(ids, len(reader.all(Task)) + 41))]

@hookimpl
def register_panels():
    return [
        Panel("dashboard", "For all", "beta/card.html", facts),
        Panel("dashboard", "For managers", "beta/card2.html", facts, roles=("manager",)),
        Panel("dashboard", "Broken", "beta/card3.html", fails, order=1),  # before the others, on the same connection
        Panel("customer.main", "Broken", "beta/card3.html", fails, order=1),
        Panel("customer.side", "Beside", "beta/card.html", facts),
        Panel("customer.form", "In the form", "beta/card.html", facts),
        Panel("settings", "In the settings", "beta/card.html", facts),
    ]
"""


def test_a_dashboard_is_made_of_what_plugins_show_to_this_person(make_app, plugin_on_disk):
    name = plugin_on_disk("beta", PANELS, templates=dict.fromkeys(("beta/card.html", "beta/card2.html"), CARD))
    with make_app(plugins=[name]) as app:
        noa = app.browser(app.user("Noa"))
        page = noa.get("/dashboard").get_data(as_text=True)
        assert "For all" in page
        assert "&lt;b&gt;Noa&lt;/b&gt;" in page  # whatever a plugin says is escaped
        assert "For managers" not in page
        assert "The module beta could not show this." in page
        assert 'href="/dashboard"' in noa.get("/").get_data(as_text=True)
        max_ = app.browser(app.user("Max", roles=["manager"]))
        assert "For managers" in max_.get("/dashboard").get_data(as_text=True)
        assert "For managers" in app.browser().get("/dashboard").get_data(as_text=True)
    with make_app() as app:
        page = app.browser().get("/dashboard").get_data(as_text=True)
        assert "For all" not in page
        assert 'href="/dashboard"' not in page  # nothing to see, no way to it


def test_forms_and_the_settings_have_a_place_for_plugins(make_app, plugin_on_disk):
    name = plugin_on_disk("beta", PANELS, templates={"beta/card.html": CARD})
    with make_app(plugins=[name]) as app:
        ada, browser = app.create_customer(name="Ada"), app.browser()
        for path in ("/customer/new", f"/customer/{ada.id}/edit"):
            form = browser.get(path).get_data(as_text=True).split("<form", 4)
            assert any("In the form" in piece for piece in form), path
        assert "In the settings" in browser.get("/admin/settings").get_data(as_text=True)
        page = browser.get(f"/customer/{ada.id}").get_data(as_text=True)
        assert page.count("could not show this") == 1  # a piece that the database refused costs no other
        assert "Beside" in page
        assert ">41<" in browser.get("/customer").get_data(as_text=True)


def test_every_place_that_a_page_shows_is_declared_and_every_declared_one_is_shown(app):
    """Finds both sides by itself: `slot("…")` in templates, and the registry."""
    shown = set()
    for file in TEMPLATES.rglob("*.html"):
        for entity, name in re.findall(r'slot\((meta\.name ~ )?"([\w.]+)"', file.read_text("utf-8")):
            shown.add(("{entity}" if entity else "") + name)
    declared = {slot.name for slot in app.site.slots if slot.filled_by == "Panel"}
    assert declared - shown == {"{entity}.tab"}  # its panel is the whole tab, chosen by the address
    assert shown - declared == set()


def test_a_slot_says_who_fills_it_by_which_hook(app):
    from rapport import contributions, hookspecs

    for slot in app.site.slots:
        assert hasattr(contributions, slot.filled_by), slot
        assert slot.hook in hookspecs.KINDS, slot
        assert slot.where[0].isupper()
        assert slot.page.startswith("/")
        assert (slot.filled_by == "Panel") == (slot.hook == "register_panels")
    assert len(app.site.slots) >= 15


def test_roles_of_people_decide_over_panels_and_no_right_comes_with_them(app):
    with app.site.write(system("test")) as unit:
        unit.create(Role, {"name": "night", "grants": {}})
    noa = app.user("Noa", roles=["night"])
    assert noa.roles == {"night"}
    assert not noa.may("customer.read")


# What is not a panel -------------------------------------------------------------------------------------------------

THINGS = """
from sqlalchemy import func, select
from rapport import *
from rapport import hookimpl

@hookimpl
def register_list_filters():
    return [ListFilter("customer", "mailed", "With e-mail", "email is not empty")]

def rows(reader, least):
    if least == 13:
        raise RuntimeError("unlucky")
    many = func.count().label("many")
    return reader.session.execute(
        select(Customer.industry, many).group_by(Customer.industry).having(many >= least).order_by(many.desc())
    ).all()

@hookimpl
def register_reports():
    return [Report("gamma.industries", "Industries", [Field("industry", "Industry", "text"),
                   Field("many", "Customers", "integer")], rows, "customer.read", fields=[
                   Field("least", "At least", "integer", default=1)])]

def tidy(reader, rows):
    for row in rows:
        row["name"] = row["name"].title()
        if row["name"] == "Number":
            row["name"] = 7
    if any(row["name"] == "Boom" for row in rows):
        raise RuntimeError("boom")
    return {at: [Problem("name", "is nobody.")] for at, row in enumerate(rows) if row["name"] == "Nobody"}

@hookimpl
def register_import_steps():
    return [ImportStep("customer", "tidy", "Tidy names", tidy, help="Capitals where they belong")]

@hookimpl
def search_records(query, limit, reader):
    return [SearchResult(f"<i>{query}</i>", "/gamma", "From gamma", subtitle=reader.actor.name)][:limit]
"""


@pytest.fixture
def gamma(make_app, plugin_on_disk):
    with make_app(plugins=[plugin_on_disk("gamma", THINGS)]) as app:
        yield app


def test_a_ready_filter_is_one_click_above_its_list(gamma):
    gamma.create_customer(name="Ada", email="ada@example.com")
    gamma.create_customer(name="Ben")
    page = gamma.browser().get("/customer").get_data(as_text=True)
    assert '<a href="/customer?filter=email+is+not+empty">With e-mail</a>' in page
    page = gamma.browser().get("/customer?filter=email+is+not+empty").get_data(as_text=True)
    assert '<a href="/customer?filter=email+is+not+empty" aria-current="page">With e-mail</a>' in page
    assert "Ada" in page
    assert "Ben" not in page
    assert "With e-mail" not in gamma.browser().get("/task").get_data(as_text=True)


def test_a_filter_that_cannot_be_read_is_found_at_the_start(config, plugin_on_disk):
    reason = reason_for(
        config, plugin_on_disk, 'ListFilter("customer", "bad", "Bad", "email is")', hook="register_list_filters"
    )
    assert "its list filter 'bad' cannot be read:" in reason


def test_a_report_is_a_page_and_the_same_rows_as_a_file(gamma):
    for name, industry in (("A", "Bread"), ("B", "Bread"), ("C", "=cmd()")):
        gamma.create_customer(name=name, industry=industry)
    browser = gamma.browser()
    assert 'href="/reports"' in browser.get("/").get_data(as_text=True)
    assert 'href="/reports/gamma.industries"' in browser.get("/reports").get_data(as_text=True)
    page = browser.get("/reports/gamma.industries").get_data(as_text=True)
    assert page.index("Bread") < page.index("=cmd()")
    assert "=cmd()" not in browser.get("/reports/gamma.industries?least=2").get_data(as_text=True)
    assert browser.get("/reports/gamma.industries?least=x").status_code == 422
    with browser.get("/reports/gamma.industries/export?format=csv") as file:
        lines = file.get_data(as_text=True).lstrip("\ufeff").splitlines()
    assert lines == ["Industry,Customers", "Bread,2", "'=cmd(),1"]
    with browser.get("/reports/gamma.industries/export?format=xlsx") as file:
        assert file.data[:2] == b"PK"
    assert browser.get("/reports/gamma.industries/export?format=doc").status_code == 400
    assert browser.get("/reports/gamma.nothing").status_code == 404


def test_a_report_that_fails_names_its_plugin_and_the_page_stands(gamma):
    browser = gamma.browser()
    page = browser.get("/reports/gamma.industries?least=13")
    assert page.status_code == 200
    assert "The module gamma could not show this." in page.get_data(as_text=True)
    file = browser.get("/reports/gamma.industries/export?least=13&format=csv")
    assert file.status_code == 500
    assert "The module gamma could not show this." in file.get_data(as_text=True)


def test_who_may_not_read_what_a_report_is_about_finds_no_report(gamma):
    with gamma.site.write(system("test")) as unit:
        unit.create(Role, {"name": "night", "grants": {}})
    browser = gamma.browser(gamma.user("Noa", roles=["night"]))
    assert "/reports" not in browser.get("/").get_data(as_text=True)
    assert browser.get("/reports/gamma.industries").status_code == 404
    assert browser.get("/reports/gamma.industries/export").status_code == 404


def test_a_search_finds_what_plugins_find_under_their_heading(gamma):
    page = gamma.browser(gamma.user("Noa")).get("/search?q=ada").get_data(as_text=True)
    assert "From gamma" in page
    assert "&lt;i&gt;ada&lt;/i&gt;" in page
    assert "Noa" in page  # with the reader of the person who looks


def _imported(app, text, steps):
    from rapport.builtin.exchange import imports

    run = imports.start(app.site, app.admin, "customer", text.encode(), "people.csv")
    imports.decide(app.site, app.admin, run.id, options={"steps": steps})
    return imports, run.id


def test_an_import_step_changes_and_refuses_rows_once_it_is_switched_on(gamma):
    text = "Name\nada lovelace\nnobody\nnumber\n"
    imports, run_id = _imported(gamma, text, ["tidy"])
    assert imports.look(gamma.site, gamma.admin, run_id).rows[0].values["name"] == "Ada Lovelace"
    imports.run(gamma.site, gamma.admin, run_id)
    problems = imports.problems(gamma.site, gamma.admin, run_id)
    assert [(each.line, each.field, each.message) for each in problems] == [
        (3, "name", "is nobody."), (4, "name", "must be text, not a number."),
    ]  # fmt: skip
    without, other = _imported(gamma, "Name\nben lewis\n", [])
    without.run(gamma.site, gamma.admin, other)
    names = [each["name"] for each in gamma.client.get("/api/v1/customer?fields=name").get_json()["items"]]
    assert sorted(names) == ["Ada Lovelace", "ben lewis"]


def test_an_import_step_is_offered_on_the_page_and_kept(gamma):
    imports, run_id = _imported(gamma, "Name\nada\n", [])
    browser = gamma.browser()
    page = browser.get(f"/import/{run_id}").get_data(as_text=True)
    assert "Tidy names" in page
    token = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
    form = {"csrf_token": token, "map:0": "name", "step": "tidy", "do": "look"}
    assert browser.post(f"/import/{run_id}/columns", data=form).status_code == 302
    assert imports.get(gamma.site, gamma.admin, run_id).options["steps"] == ["tidy"]
    page = browser.get(f"/import/{run_id}").get_data(as_text=True)
    assert 'value="tidy" checked' in page


def test_an_import_step_that_fails_stops_the_import_and_names_its_plugin(gamma):
    imports, run_id = _imported(gamma, "Name\nada\nboom\n", ["tidy"])
    with pytest.raises(Invalid, match="The plugin gamma failed in the import step tidy, so nothing was saved"):
        imports.run(gamma.site, gamma.admin, run_id)
    run = imports.get(gamma.site, gamma.admin, run_id)
    assert run.state == "failed"
    assert "gamma" in run.message
    assert gamma.client.get("/api/v1/customer").get_json()["items"] == []


def test_an_import_whose_step_is_gone_says_so(gamma):
    with pytest.raises(Invalid, match=r"The step “gone” is not there any more. Decide on the columns again."):
        _imported(gamma, "Name\nada\n", ["gone"])


def test_the_search_asks_no_more_for_many_contact_points_than_for_one(gamma):
    from sqlalchemy import event

    from rapport import ContactPoint

    ada = gamma.create_customer(name="Ada")
    browser, counts = gamma.browser(), []
    sent = []
    event.listen(gamma.site.db.reading, "before_cursor_execute", lambda *_: sent.append(1))
    for many in (1, 6):
        with gamma.site.write(gamma.admin) as unit:
            for at in range(many):
                unit.create(ContactPoint, {"customer_id": ada.id, "kind": "handle", "value": f"zebra {many} {at}"})
        browser.get("/search?q=zebra")
        sent.clear()
        assert "zebra" in browser.get("/search?q=zebra").get_data(as_text=True)
        counts.append(len(sent))
    assert counts[0] == counts[1]


PAGE = """
from flask import Blueprint, abort
from rapport import *
from rapport import hookimpl
from rapport.http import needs

@needs("customer.export")
def secret():
    return "secret"

@needs("")
def gone():
    abort(404)

@hookimpl
def register_pages():
    pages = Blueprint("delta", __name__)
    pages.add_url_rule("/delta", view_func=secret)
    pages.add_url_rule("/delta/gone", view_func=gone)
    return [pages]
"""


def test_what_goes_wrong_on_a_plugins_page_is_said_as_on_any_other(make_app, plugin_on_disk):
    with make_app(plugins=[plugin_on_disk("delta", PAGE)]) as app:
        browser = app.browser(app.user("Noa", roles=["viewer"]))
        answer = browser.get("/delta")
        assert answer.status_code == 403
        assert "r-nav" in answer.get_data(as_text=True)
        assert "You need the permission" in answer.get_data(as_text=True)
        answer = browser.get("/delta/gone")
        assert answer.status_code == 404
        assert "There is no such page." in answer.get_data(as_text=True)
        assert "There is no such page." in browser.get("/no/where/at/all").get_data(as_text=True)
