"""A plugin lets other plugins take part in its own work, by hooks it declares."""

from __future__ import annotations

import re
import uuid

import pytest

from rapport import tell
from rapport.errors import PluginError

HOST = """
from rapport import hookimpl
from rapport_{name}.hookspecs import validate_{name}_plan, {name}_planned
"""
SPECS = """
from rapport import Problem, hook

@hook("ask", Problem)
def validate_{name}_plan(plan, session):
    "Say what is wrong with a plan."

@hook("tell")
def {name}_planned(plan, session):
    "A plan was made."
"""
GUEST = """
from rapport import Customer, Problem, hookimpl

@hookimpl
def validate_{host}_plan(plan):
    return [Problem("day", "is a Sunday.")] if plan == "Sunday" else []

@hookimpl
def {host}_planned(plan, session):
    session.add(Customer(name=f"Planned for {{plan}}"))
"""


def two(plugin_on_disk):
    host, guest = f"host{uuid.uuid4().hex[:6]}", f"guest{uuid.uuid4().hex[:6]}"
    plugin_on_disk(host, HOST.format(name=host), modules={"hookspecs": SPECS.format(name=host)})
    plugin_on_disk(guest, GUEST.format(host=host), requires=(f"rapport-{host}",))
    return host, guest


def specs_of(app, host):
    return app.site.hooks.specs[f"validate_{host}_plan"], app.site.hooks.specs[f"{host}_planned"]


def test_it_asks_and_tells_those_that_answer(make_app, plugin_on_disk):
    host, guest = two(plugin_on_disk)
    with make_app(plugins=[host, guest]) as app:
        ask, told = specs_of(app, host)
        with app.site.write(app.admin) as unit:
            problems = app.site.hooks.collect(ask, plan="Sunday", session=unit.session)
            assert [str(problem) for problem in problems] == ["day is a Sunday."]
            assert app.site.hooks.collect(ask, plan="Monday", session=unit.session) == []
            tell(unit, told, plan="Monday")
        app.settle()
        found = app.client.get("/api/v1/customer").get_json()["items"]
        assert [each["name"] for each in found] == ["Planned for Monday"]


def test_what_is_told_is_told_only_if_the_work_is_kept(make_app, plugin_on_disk):
    host, guest = two(plugin_on_disk)
    with make_app(plugins=[host, guest]) as app:
        with app.site.write(app.admin) as unit:
            tell(unit, specs_of(app, host)[1], plan="Monday")
            unit.session.rollback()
        app.settle()
        assert app.client.get("/api/v1/customer").get_json()["items"] == []


def test_without_the_guest_nobody_answers(make_app, plugin_on_disk):
    host, _guest = two(plugin_on_disk)
    with make_app(plugins=[host]) as app, app.site.write(app.admin) as unit:
        assert app.site.hooks.collect(specs_of(app, host)[0], plan="Sunday", session=unit.session) == []


def test_a_hook_names_its_plugin(make_app, plugin_on_disk):
    name = f"vague{uuid.uuid4().hex[:6]}"
    plugin_on_disk(name, "", modules={"hookspecs": 'from rapport import hook\n@hook("tell")\ndef planned(plan): ...\n'})
    told = f"the hook 'planned' must name its plugin: tell_{name}_… or {name}_…."
    with pytest.raises(PluginError, match=re.escape(told)), make_app(plugins=[name]):
        pass
