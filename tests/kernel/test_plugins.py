"""Plugins come and go, and one plugin's fault stays its own. The texts people read are held here."""

from __future__ import annotations

import uuid

import pytest

from rapport import Config, Customer, NotFound, PluginError, Problem, Site, hookimpl, system
from rapport.app import LiveApp
from rapport.errors import Conflict, Invalid
from rapport.events import deliver_all
from rapport.lifecycle import disable, enable, make_site, purge, table_counts
from rapport.plugins import State, discover, in_order

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


def test_a_wrongly_named_entity_is_told_what_to_do(config, plugin_on_disk):
    name = unique("alpha")
    enable(config, plugin_on_disk(name, ENTITY.format(cls="AlphaCard", name=f"{name}x.card")))
    site = opened(config)
    plugin = site.plugins[name]
    assert plugin.state is State.QUARANTINED
    assert plugin.reason == (
        f"rapport-{name} 0.3.0 cannot load: the entity '{name}x.card' must be named '{name}.<something>'. "
        f"Rename it to '{name}.card' in rapport_{name}."
    )
    assert f"{name}x.card" not in site.entities
    site.close()


def test_a_plugin_that_cannot_be_imported_leaves_the_others_standing(config, plugin_on_disk):
    enable(config, "loyalty")
    name = plugin_on_disk("broken", "raise SystemExit('I leave')")
    with pytest.raises(SystemExit):
        enable(config, name)  # whoever switches it on sees it at once, and nothing has changed
    good = plugin_on_disk("fine", NOTHING)
    enable(config, good)
    site = opened(config)
    assert site.active("loyalty")
    assert site.active("fine")
    site.close()


def test_dependencies_are_enabled_with_what_needs_them_and_guarded_after(config, plugin_on_disk):
    plugin_on_disk("base", NOTHING)
    plugin_on_disk("upper", NOTHING, requires=("rapport-base>=0.1",))
    assert enable(config, "upper") == ["base", "upper"]
    with pytest.raises(Conflict, match=r"upper needs 'base'. Disable it first: rapport plugins disable upper"):
        disable(config, "base")


def test_a_missing_dependency_and_a_wrong_range_each_say_so_before_anything_changes(config, plugin_on_disk):
    plugin_on_disk("base", NOTHING, version="1.0")
    plugin_on_disk("newer", NOTHING, requires=("rapport-base>=2",))
    plugin_on_disk("lonely", NOTHING, requires=("rapport-nowhere",))
    with pytest.raises(
        PluginError, match=r"'newer' cannot be enabled: it needs rapport-base>=2, and rapport-base 1.0 is"
    ):
        enable(config, "newer")
    with pytest.raises(
        PluginError, match="'lonely' cannot be enabled: it needs rapport-nowhere, which is not installed"
    ):
        enable(config, "lonely")
    with pytest.raises(NotFound, match="There is no installed plugin 'nonsense'"):
        enable(config, "nonsense")


def test_a_circle_is_spelled_out(plugin_on_disk):
    plugin_on_disk("one", NOTHING, requires=("rapport-two",))
    plugin_on_disk("two", NOTHING, requires=("rapport-one",))
    with pytest.raises(PluginError, match="one → two → one"):
        in_order(["one", "two"], discover())


def test_two_distributions_with_one_name_are_an_error_that_names_both(plugin_on_disk):
    plugin_on_disk("first", NOTHING, entry="same")
    plugin_on_disk("second", NOTHING, entry="same")
    with pytest.raises(PluginError) as caught:
        discover()
    assert "rapport-first" in str(caught.value)
    assert "rapport-second" in str(caught.value)


def test_two_plugins_with_one_menu_entry_name_both_and_the_bundle_is_left_out_whole(config, plugin_on_disk):
    code = """
from rapport import NavItem, Setting, hookimpl
@hookimpl
def register_navigation():
    return [NavItem("Same", "/same", "star")]
@hookimpl
def register_settings():
    return [Setting("{name}.one", "One")]
"""
    for name in ("aaa", "bbb"):
        enable(config, plugin_on_disk(name, code.format(name=name)))
    site = opened(config)
    assert site.active("aaa")
    assert "it brings the menu entry '/same', which 'aaa' already brings" in site.plugins["bbb"].reason
    assert "bbb.one" not in site.settings.declared  # nothing of the faulty bundle came in
    site.close()


def test_a_misspelt_hook_is_found_at_the_start(config, plugin_on_disk):
    code = NOTHING + "@hookimpl\ndef custmer_created(customer): pass\n"
    enable(config, plugin_on_disk("typo", code))
    site = opened(config)
    assert "typo implements a hook that does not exist" in site.plugins["typo"].reason
    site.close()


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
    site.close()
    assert purge(config, "loyalty") == {"loyalty_card": 1}
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
        return ["one piece"]


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
    from rapport import hookspecs

    app.site.hooks.add("sour", Fails())
    app.site.hooks.add("sweet", Summarizes())
    with app.site.read(app.admin) as reader:
        pieces = app.site.hooks.gather(hookspecs.summarize_customers, customer_ids=[], reader=reader)
    assert pieces == ["one piece"]


def test_the_breaker_takes_out_a_plugin_that_keeps_failing_and_tells_once(app):
    from rapport import hookspecs

    app.site.hooks.add("sour", Fails())
    told = []
    app.site.hooks.on_trip = lambda plugin, reason: told.append((plugin, reason))
    with app.site.read(app.admin) as reader:
        for _ in range(40):
            app.site.hooks.gather(hookspecs.summarize_customers, customer_ids=[], reader=reader)
    assert [plugin for plugin, _ in told] == ["sour"]
    assert "failed 20 times in a row, last in summarize_customers: SystemExit: gone" in told[0][1]


def test_a_trace_names_plugin_hook_and_time(app, capsys):
    from rapport import hookspecs

    app.site.hooks.add("sweet", Summarizes())
    app.site.hooks.trace = True
    with app.site.read(app.admin) as reader:
        app.site.hooks.gather(hookspecs.summarize_customers, customer_ids=[], reader=reader)
    assert capsys.readouterr().err.split()[:3] == ["hook", "summarize_customers", "sweet"]


def test_a_wrong_return_type_is_named(app):
    from rapport import hookspecs

    class Wrong:
        @hookimpl
        def validate_customer(self, customer):
            return "a text is no list"

    app.site.hooks.add("wrong", Wrong())
    problems = app.site.hooks.collect(hookspecs.validate_customer, customer=None, session=None)
    assert "wrong returned str from validate_customer. Return a list." in problems[0].message
