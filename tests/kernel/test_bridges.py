"""Bridges: what a plugin brings only while another one is there too comes and goes with it, and its faults stay in it."""  # noqa: E501

from __future__ import annotations

import contextlib
import uuid

import pytest
from click.testing import CliRunner

from rapport import Config, Site
from rapport.app import LiveApp
from rapport.lifecycle import disable, enable, make_site
from rapport.plugins import State
from rapport_cli import cli

SHOP = """
from rapport import Slot, hookimpl

@hookimpl
def register_slots():
    return [Slot("{shop}.window", "In the window", "/{shop}/", {{}})]
"""
SHOP_HOOKS = """
from rapport import Problem, hook

@hook("register", str)
def register_{shop}_offers():
    "What is offered."

@hook("ask", Problem)
def validate_{shop}_price(price):
    "Say what is wrong with a price."
"""
MAIL = """
from rapport import Customer, hookimpl

@hookimpl
def validate_customer(customer):
    return []
"""
WITH_SHOP = """
import rapport_{shop}
from rapport import Customer, NavItem, Panel, Problem, hookimpl

@hookimpl
def register_navigation():
    return [NavItem("Offers by mail", "/{mail}/offers", "mail")]

@hookimpl
def register_panels():
    return [Panel("{shop}.window", "Newsletter", "{mail}/window.html")]

@hookimpl
def register_{shop}_offers():
    return ["a letter"]

@hookimpl
def validate_{shop}_price(price):
    return [Problem("price", "is too low.")] if price < 1 else []

@hookimpl
def validate_customer(customer):
    return [Problem("name", "is the shop's.")] if customer.name == "Shop" else []
"""


@pytest.fixture
def config(tmp_path, database_url):
    made = Config(home=tmp_path, database_url=database_url, secret_key="k" * 32, testing=True)
    make_site(made)
    return made


@pytest.fixture
def pair(plugin_on_disk):
    """Two plugins with names of their own: `pair(with_shop=…, wants=…)` gives the names of mail and shop."""

    def make(with_shop=WITH_SHOP, wants=">=0.3", with_mail=None):
        shop, mail = f"shop{uuid.uuid4().hex[:6]}", f"amail{uuid.uuid4().hex[:6]}"  # amail comes before shop
        names = {"shop": shop, "mail": mail}
        modules = {"hookspecs": SHOP_HOOKS.format(**names)}
        back = (f'rapport-{mail}; extra == "{mail}"',) if with_mail is not None else ()
        if with_mail is not None:
            modules[f"with_{mail}"] = with_mail.format(**names)
        plugin_on_disk(shop, SHOP.format(**names), modules=modules, requires=back)
        plugin_on_disk(mail, MAIL, modules={f"with_{shop}": with_shop.format(**names)},
                       requires=(f'rapport-{shop}{wants}; extra == "{shop}"',))  # fmt: skip
        return mail, shop

    return make


def fares(config, name):
    """How the bridges of an active plugin fare: state and reason, by the other plugin."""
    with contextlib.closing(Site.open(config)) as site:
        assert site.active(name)
        return {each.other: (each.state, each.reason) for each in site.plugins[name].bridges}


def test_what_is_brought_for_another_plugin_comes_and_goes_with_it_and_needs_no_restart(config, pair):
    mail, shop = pair()
    assert enable(config, mail) == [mail]  # an extra is not needed
    app = LiveApp(config)
    assert f"/{mail}/offers" not in app.site.navigation
    bridge = app.site.plugins[mail].bridges[0]
    assert (bridge.state, bridge.reason) == (State.DISABLED, f"'{shop}' is not active")

    enable(config, shop)
    app.refresh(wait=True)
    site = app.site
    assert site.plugins[mail].bridges[0].state is State.ACTIVE
    assert site.navigation.owner(f"/{mail}/offers") == mail
    assert [panel.title for panel in site.panels_at[f"{shop}.window"]] == ["Newsletter"]
    assert site.brought == {f"register_{shop}_offers": [(mail, "a letter")]}
    asked = site.hooks.collect(site.hooks.specs[f"validate_{shop}_price"], price=0)
    assert [str(problem) for problem in asked] == ["price is too low."]
    validate = site.hooks.specs["validate_customer"]
    assert site.hooks.listeners(validate).count(mail) == 1  # one plugin, whichever of its modules listen

    disable(config, shop)  # nothing needs it
    app.refresh(wait=True)
    assert f"/{mail}/offers" not in app.site.navigation
    assert app.site.active(mail)
    app.site.close()


def test_two_plugins_may_have_bridges_to_each_other(config, pair):
    navigation = "from rapport import NavItem, hookimpl\n\n@hookimpl\ndef register_navigation():\n    return [{item}]\n"
    item = 'NavItem("Letters in the shop", "/{shop}/letters", "mail")'
    mail, shop = pair(with_mail=navigation.replace("{item}", item))
    enable(config, mail, shop)
    assert fares(config, mail) == {shop: (State.ACTIVE, "")}
    assert fares(config, shop) == {mail: (State.ACTIVE, "")}


ENTITY = """
from sqlalchemy.orm import Mapped
from rapport import Entity, field, hookimpl

class Letter(Entity, name="{mail}.letter", title="Letter"):
    label: Mapped[str] = field(label="Label")

@hookimpl
def register_entities():
    return [Letter]
"""


UNSOUND = (
    ("raise SystemExit('I leave')", "", State.QUARANTINED,
     "rapport_{mail}.with_{shop} cannot load: SystemExit: I leave"),
    (WITH_SHOP.replace("validate_{shop}_price", "validate_{shop}_prize"), "", State.QUARANTINED,
     "{mail} implements a hook that does not exist"),
    (WITH_SHOP.replace("{shop}.window", "{shop}.door"), "", State.QUARANTINED,
     "its panel 'Newsletter' is for the slot '{shop}.door', which no active plugin has. Did you mean"),
    (WITH_SHOP.replace('["a letter"]', "[7]"), "", State.QUARANTINED, "which is int. Return str."),
    (ENTITY, "", State.QUARANTINED,
     "with_{shop} brings a kind of record, which a plugin must have whether or not '{shop}' is there. "
     "Return it in rapport_{mail}/plugin.py."),
    (WITH_SHOP, ">=2", State.BLOCKED, "it needs rapport-{shop}>=2, and rapport-{shop} 0.3.0 is installed"),
)  # fmt: skip


def test_a_bridge_that_does_not_hold_is_left_out_with_its_reason_and_the_plugin_stays(config, pair):
    pairs = [pair(with_shop, wants) for with_shop, wants, _state, _told in UNSOUND]
    enable(config, *(name for names in pairs for name in names))
    with contextlib.closing(Site.open(config)) as site:
        for (mail, shop), (_text, _wants, state, told) in zip(pairs, UNSOUND, strict=True):
            assert site.active(mail)
            bridge = site.plugins[mail].bridges[0]
            assert bridge.state is state
            assert told.format(mail=mail, shop=shop) in bridge.reason
            assert f"/{mail}/offers" not in site.navigation  # nothing of it is left behind
            assert f"{shop}.window" not in site.panels_at
        assert site.brought == {}


def test_the_terminal_tells_how_bridges_fare(config, pair):
    mail, shop = pair("import nowhere")
    (config.home / "rapport.toml").write_text(
        f'secret_key = "{"k" * 32}"\nbase_url = "http://localhost"\ndatabase_url = "{config.database_url}"\n', "utf-8"
    )

    def said(*typed):
        return CliRunner().invoke(cli, ["--home", str(config.home), *typed]).output

    enable(config, mail)
    assert f"  with {shop}" in said("plugins", "list")
    left_out = f"{mail} with {shop} is left out: rapport_{mail}.with_{shop} cannot load: ModuleNotFoundError"
    assert left_out in said("plugins", "enable", shop)
    assert left_out in said("doctor")
