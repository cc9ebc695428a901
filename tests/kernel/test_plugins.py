"""Plugins come and go, and one plugin's fault stays its own. The texts people read are held here."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import replace

import pytest
from sqlalchemy import select

from rapport import Config, Customer, PluginError, Problem, Site, Summary, hookimpl, hookspecs, system
from rapport.app import LiveApp, create_app
from rapport.errors import Conflict, Invalid
from rapport.events import deliver_all
from rapport.lifecycle import disable, enable, make_site, purge, table_counts
from rapport.plugins import State
from rapport.query.search import search_document

NOTHING = "from rapport import hookimpl\n"

ENTITY = """
from sqlalchemy.orm import Mapped
from rapport import Entity, field, hookimpl

class {cls}(Entity, name="{name}", title="{cls}"):
    label: Mapped[str] = field(label="Label")

@hookimpl
def register_entities():
    return [{cls}]
"""


@pytest.fixture
def config(tmp_path, database_url):
    made = Config(home=tmp_path, database_url=database_url, secret_key="k" * 32, testing=True)
    make_site(made)
    return made


def unique(word):
    """A name no other test has used: a process defines an entity once."""
    return f"{word}{uuid.uuid4().hex[:6]}"


def opened(config, **options):
    return Site.open(config, **options)


def state_of(config, name):
    """How a plugin fares on a site that is opened now: state, reason, remedy."""
    with contextlib.closing(opened(config)) as site:
        plugin = site.plugins[name]
        return plugin.state, plugin.reason, plugin.remedy


def test_a_wrongly_named_entity_is_told_what_to_do_and_nothing_is_changed(config, plugin_on_disk):
    name = unique("alpha")
    plugin_on_disk(name, ENTITY.format(cls="AlphaCard", name=f"{name}x.card"))
    with pytest.raises(PluginError) as refused:
        enable(config, name)
    assert str(refused.value) == (
        f"'{name}' cannot be enabled: rapport-{name} 0.3.0 cannot load: the entity '{name}x.card' must be named "
        f"'{name}.<something>'. Rename it to '{name}.card' in rapport_{name}. Nothing was changed."
    )
    assert state_of(config, name) == (State.DISABLED, "", "")


def test_a_plugin_that_goes_wrong_after_it_was_enabled_is_quarantined_alone(config, plugin_on_disk):
    enable(config, "loyalty", plugin_on_disk("fine", NOTHING), plugin_on_disk("frail", NOTHING))
    plugin_on_disk("frail", "raise SystemExit('I leave')")
    site = opened(config)
    plugin = site.plugins["frail"]
    assert plugin.state is State.QUARANTINED
    assert plugin.reason == "rapport-frail 0.3.0 cannot load: SystemExit: I leave"
    assert plugin.remedy == "Mend it, or: rapport plugins disable frail"
    assert site.active("loyalty")
    assert site.active("fine")
    site.close()
    with pytest.raises(PluginError, match=r"'frail' cannot be enabled: .*SystemExit: I leave. Nothing was changed."):
        enable(config, "frail")


def test_dependencies_are_enabled_with_what_needs_them_and_guarded_after(config, plugin_on_disk):
    plugin_on_disk("base", NOTHING)
    plugin_on_disk("upper", NOTHING, requires=("rapport-base>=0.1",))
    plugin_on_disk("top", NOTHING, requires=("rapport-upper",))
    assert enable(config, "top") == ["base", "upper", "top"]
    with pytest.raises(Conflict, match=r"top, upper needs 'base'. Disable it first: rapport plugins disable top"):
        disable(config, "base")
    assert disable(config, "base", with_dependants=True) == ["top", "upper", "base"]


# What keeps plugins from running together: each has its own words, with both names and the way out ------------------


def test_a_missing_dependency(config, plugin_on_disk):
    plugin_on_disk("lonely", NOTHING, requires=("rapport-nowhere",))
    with pytest.raises(PluginError) as refused:
        enable(config, "lonely")
    assert str(refused.value) == (
        "'lonely' cannot be enabled: it needs rapport-nowhere, which is not installed. "
        "Install it: rapport plugins install 'rapport-nowhere'"
    )


def test_a_missing_library(config, plugin_on_disk):
    plugin_on_disk("bookish", NOTHING, requires=("no-such-library>=2",))
    with pytest.raises(PluginError) as refused:
        enable(config, "bookish")
    assert str(refused.value) == (
        "'bookish' cannot be enabled: it needs no-such-library>=2, which is not installed. "
        "Install it: rapport plugins install 'no-such-library>=2'"
    )


def test_a_range_that_what_is_installed_is_not_in(config, plugin_on_disk):
    plugin_on_disk("base", NOTHING, version="1.0")
    plugin_on_disk("newer", NOTHING, requires=("rapport-base>=2",))
    with pytest.raises(PluginError) as refused:
        enable(config, "newer")
    assert str(refused.value) == (
        "'newer' cannot be enabled: it needs rapport-base>=2, and rapport-base 1.0 is installed. "
        "Install what it needs: rapport plugins install 'rapport-base>=2'"
    )
    assert state_of(config, "base")[0] is State.DISABLED  # nothing was changed on the way


def test_two_plugins_whose_ranges_clash(config, plugin_on_disk):
    plugin_on_disk("base", NOTHING, version="1.0")
    enable(config, plugin_on_disk("older", NOTHING, requires=("rapport-base<2",)))
    plugin_on_disk("newer", NOTHING, requires=("rapport-base>=2",))
    with pytest.raises(PluginError) as refused:
        enable(config, "newer")
    assert str(refused.value) == (
        "'newer' cannot be enabled: it needs rapport-base>=2, and rapport-base 1.0 is installed, where 'older' needs "
        "rapport-base<2. Install a version of rapport-newer or rapport-older that agrees with the other, or disable "
        "one: rapport plugins disable older"
    )


def test_a_plugin_for_another_rapport(config, plugin_on_disk):
    plugin_on_disk("ahead", NOTHING, requires=("rapport-crm>=99",))
    with pytest.raises(PluginError, match=(
        r"'ahead' cannot be enabled: it needs rapport-crm>=99, and rapport-crm [\d.]+ is installed. "
        r"Install a version of rapport-ahead that is made for rapport-crm [\d.]+$"
    )):  # fmt: skip
        enable(config, "ahead")


def test_a_circle_is_spelled_out_and_stops_nobody_else(config, plugin_on_disk):
    enable(config, plugin_on_disk("one", NOTHING), plugin_on_disk("fine", NOTHING))
    plugin_on_disk("one", NOTHING, requires=("rapport-two",))
    plugin_on_disk("two", NOTHING, requires=("rapport-one",))
    with pytest.raises(PluginError) as refused:
        enable(config, "two")
    assert str(refused.value) == (
        "These plugins depend on each other in a circle: one → two → one. One of them must let go."
    )
    assert state_of(config, "fine") == (State.ACTIVE, "", "")
    trial = opened(replace(config, plugins=("fine", "one", "two")))
    assert trial.plugins["one"].state is trial.plugins["two"].state is State.BLOCKED
    assert trial.plugins["two"].reason == "plugins need each other in a circle: two → one → two"
    assert trial.active("fine")
    trial.close()


def test_two_distributions_with_one_name_are_named_and_stop_nobody_else(config, plugin_on_disk):
    enable(config, plugin_on_disk("fine", NOTHING), plugin_on_disk("same", NOTHING))
    plugin_on_disk("second", NOTHING, entry="same")
    state, reason, remedy = state_of(config, "same")
    assert state is State.BLOCKED
    assert reason in {f"rapport-{a} and rapport-{b} both provide a plugin 'same'"
                      for a, b in (("same", "second"), ("second", "same"))}  # fmt: skip
    assert remedy.startswith("Uninstall one of them: rapport plugins uninstall rapport-s")
    assert state_of(config, "fine")[0] is State.ACTIVE
    with pytest.raises(PluginError, match=r"'same' cannot be enabled: rapport-.* both provide a plugin 'same'. Uninst"):
        enable(config, "same")


@pytest.mark.parametrize(("entry", "why"), [
    ("web", "which is a part of Rapport"), ("Fancy-Name", "which is no word of small letters, digits and _"),
])  # fmt: skip
def test_a_name_that_cannot_be_had(config, plugin_on_disk, entry, why):
    plugin_on_disk("fancy", NOTHING, entry=entry)
    with pytest.raises(PluginError, match=f"rapport-fancy calls its plugin '{entry}', {why}. Its auth"):
        enable(config, entry)


def test_metadata_that_cannot_be_read_blocks_that_plugin_alone(config, plugin_on_disk):
    plugin_on_disk("garbled", NOTHING, requires=("!!",))
    with pytest.raises(PluginError, match=r"rapport-garbled 0.3.0 says it needs '!!', which cannot be understood"):
        enable(config, "garbled")
    enable(config, "loyalty")


SAME = """
from flask import Blueprint
from sqlalchemy.orm import Mapped
from rapport import NavItem, Setting, hookimpl
from rapport.http import public

pages = Blueprint("{name}", __name__)
pages.add_url_rule("{page}", view_func=public(lambda: "{name}"), endpoint="page")

@hookimpl
def register_navigation():
    return [NavItem("Same", "{url}", "star")]
@hookimpl
def register_settings():
    return [Setting("{name}.one", "One")]
@hookimpl
def register_pages():
    return [pages]
"""


def test_two_owners_of_one_menu_entry(config, plugin_on_disk):
    enable(config, plugin_on_disk("aaa", SAME.format(name="aaa", url="/same", page="/a")))
    plugin_on_disk("bbb", SAME.format(name="bbb", url="/same", page="/b"))
    with pytest.raises(PluginError) as refused:
        enable(config, "bbb")
    assert str(refused.value) == (
        "'bbb' cannot be enabled: rapport-bbb 0.3.0 cannot load: it brings the menu entry '/same', which 'aaa' already "
        "brings. Rename it, or disable one of the two: rapport plugins disable bbb. Nothing was changed."
    )


def test_two_owners_of_one_page_are_named_and_the_second_is_left_out_whole(config, plugin_on_disk):
    enable(config, plugin_on_disk("aaa", SAME.format(name="aaa", url="/a", page="/same")))
    enable(config, plugin_on_disk("bbb", SAME.format(name="bbb", url="/b", page="/b")))
    plugin_on_disk("bbb", SAME.format(name="bbb", url="/b", page="/same"))
    app = create_app(config)
    site = app.extensions["rapport"]
    assert site.plugins["bbb"].reason == (
        "rapport-bbb 0.3.0 cannot load: it brings the page GET /same, which 'aaa' already brings. Move it, or disable "
        "one of the two: rapport plugins disable bbb"
    )
    assert "bbb.one" not in site.settings.declared  # nothing of it came in
    assert app.test_client().get("/same").get_data(as_text=True) == "aaa"
    site.close()
    disable(config, "bbb")
    with pytest.raises(PluginError, match="it brings the page GET /same, which 'aaa' already brings"):
        enable(config, "bbb")


def test_a_page_without_a_policy_costs_only_its_plugin(config, plugin_on_disk):
    code = SAME.format(name="open", url="/a", page="/open")
    enable(config, plugin_on_disk("open", code))
    plugin_on_disk("open", code.replace("public(", "("))
    app = create_app(config)
    site = app.extensions["rapport"]
    assert "the view 'open.page' at /open does not say who may call it." in site.plugins["open"].reason
    assert app.test_client().get("/health").status_code == 200
    site.close()


def test_a_plugin_may_not_hook_into_everybodys_pages(config, plugin_on_disk):
    code = SAME.format(name="nosy", url="/a", page="/nosy") + "pages.before_app_request(lambda: 'mine')\n"
    plugin_on_disk("nosy", code)
    with pytest.raises(PluginError, match=r"the blueprint 'nosy' hooks into everybody's pages. Use before_request"):
        enable(config, "nosy")


def test_two_plugins_may_both_have_a_command_of_one_name(config, plugin_on_disk):
    code = """
import click
from rapport import hookimpl
@hookimpl
def register_commands():
    return [click.Command("count")]
"""
    for name in ("aaa", "bbb"):
        enable(config, plugin_on_disk(name, code))
    site = opened(config)
    assert [(group.name, list(group.commands)) for group in site.commands] == [("aaa", ["count"]), ("bbb", ["count"])]
    site.close()


def test_a_misspelt_hook_or_argument_is_found_before_the_plugin_is_on(config, plugin_on_disk):
    for name, code in (("typo", "def custmer_created(customer)"), ("typed", "def customer_created(custmer)")):
        good = "@hookimpl\ndef register_navigation(): return []\n"
        plugin_on_disk(name, NOTHING + good + f"@hookimpl\n{code}: pass\n")
        with pytest.raises(PluginError, match=f"{name} implements a hook that does not exist"):
            enable(config, name)
        with contextlib.closing(opened(replace(config, plugins=(name,)))) as site:
            assert site.hooks.listeners(hookspecs.register_navigation).count(name) == 0  # not even the good one


def test_safe_mode_starts_the_core_alone(config):
    enable(config, "loyalty")
    site = opened(config, safe=True)
    assert "loyalty.card" not in site.entities
    assert "customer" in site.entities
    site.close()


def test_a_plugin_whose_code_is_gone_is_absent_and_its_data_is_named(config, plugin_on_disk, monkeypatch):
    name = unique("leaver")
    enable(config, plugin_on_disk(name, ENTITY.format(cls="Leaver", name=f"{name}.thing")))
    monkeypatch.undo()
    site = opened(config)
    assert site.plugins[name].state is State.ABSENT
    assert "its data is kept" in site.plugins[name].reason
    site.close()


def test_purge_refuses_what_is_enabled_and_counts_what_it_deletes(config):
    enable(config, "loyalty")
    site = opened(config)
    with site.write(system("test")) as unit:
        unit.create(Customer, {"name": "Ada"})
    deliver_all(site)
    with pytest.raises(Conflict, match=r"'loyalty' is enabled. Disable it first: rapport plugins disable loyalty"):
        purge(config, "loyalty")
    disable(config, "loyalty")
    with site.db.read() as connection:
        assert table_counts(connection, "loyalty") == {"loyalty_card": 1}
        kinds = select(search_document.c.entity)
        assert "loyalty.card" in connection.scalars(kinds).all()
    for folder, tag in ((config.home / "loyalty", "CACHEDIR.TAG"), (config.home / "sales", "notes.txt")):
        folder.mkdir(parents=True)
        (folder / tag).touch()
    assert purge(config, "loyalty") == {"loyalty_card": 1}
    assert not (config.home / "loyalty").exists()  # it could be made again, and said so
    assert (config.home / "sales").exists()
    with site.db.read() as connection:
        assert "loyalty.card" not in connection.scalars(kinds).all()  # nobody finds what is gone
    site.close()
    enable(config, "loyalty")  # a fresh start, with an empty table
    again = opened(config)
    assert again.active("loyalty")
    again.close()


def test_enabling_shows_in_a_running_app_without_a_restart(config):
    live = LiveApp(config)
    first = live.site
    assert "loyalty.card" not in first.entities
    enable(config, "loyalty")
    live.refresh()
    assert "loyalty.card" in live.site.entities
    assert live.site is not first
    disable(config, "loyalty")
    live.refresh()
    assert "loyalty.card" not in live.site.entities
    live.site.close()


# Hooks ---------------------------------------------------------------------------------------------------------------


class Refuses:
    @hookimpl
    def validate_customer(self, customer):
        return [Problem("name", "is not to our taste.")]


class Fails:
    @hookimpl
    def validate_customer(self, customer):
        raise RuntimeError("boom")

    @hookimpl
    def summarize_customers(self, customer_ids):
        raise SystemExit("gone")

    @hookimpl
    def customer_created(self, customer):
        raise RuntimeError("not today")


class Summarizes:
    @hookimpl
    def summarize_customers(self, customer_ids):
        return [Summary(customer_id=None, title="Cards", value="3")]


def test_an_ask_hook_that_fails_refuses_and_says_whose_fault_it_is(app):
    app.site.hooks.add("sour", Fails())
    with pytest.raises(Invalid) as caught, app.site.write(app.admin) as unit:
        unit.create(Customer, {"name": "Ada"})
    assert "The plugin sour failed in validate_customer, so nothing was saved." in str(caught.value)
    with app.site.read(app.admin) as reader:
        assert reader.all(Customer) == []


def test_an_ask_hook_names_the_field(app):
    app.site.hooks.add("picky", Refuses())
    with pytest.raises(Invalid) as caught, app.site.write(app.admin) as unit:
        unit.create(Customer, {"name": "Ada"})
    assert caught.value.problems == (Problem("name", "is not to our taste."),)


def test_a_show_hook_that_exits_costs_only_its_own_piece(app):
    app.site.hooks.add("sour", Fails())
    app.site.hooks.add("sweet", Summarizes())
    with app.site.read(app.admin) as reader:
        pieces = app.site.hooks.gather(hookspecs.summarize_customers, customer_ids=[], reader=reader)
    assert [piece.value for piece in pieces] == ["3"]


def test_the_breaker_takes_out_a_plugin_that_keeps_failing_and_tells_once(app):
    app.site.hooks.add("sour", Fails())
    told = []
    app.site.hooks.on_trip = lambda plugin, reason: told.append((plugin, reason))
    with app.site.read(app.admin) as reader:
        for _ in range(40):
            app.site.hooks.gather(hookspecs.summarize_customers, customer_ids=[], reader=reader)
    assert [plugin for plugin, _ in told] == ["sour"]
    assert "failed 20 times in a row in summarize_customers, the last time: SystemExit: gone" in told[0][1]


def test_a_trace_names_plugin_hook_and_time(app, capsys):
    app.site.hooks.add("sweet", Summarizes())
    app.site.hooks.trace = True
    with app.site.read(app.admin) as reader:
        app.site.hooks.gather(hookspecs.summarize_customers, customer_ids=[], reader=reader)
    assert capsys.readouterr().err.split()[:3] == ["hook", "summarize_customers", "sweet"]


def test_a_wrong_return_type_is_named(app):
    class Wrong:
        @hookimpl
        def validate_customer(self, customer):
            return "a text is no list"

    app.site.hooks.add("wrong", Wrong())
    problems = app.site.hooks.collect(hookspecs.validate_customer, customer=None, session=None)
    assert "wrong returned str from validate_customer. Return a list." in problems[0].message
