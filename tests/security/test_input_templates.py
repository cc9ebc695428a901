"""Texts with places to fill in, written by people: nothing is called, walked into, told or made large by them."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import resource
import sys
import time

import pytest
from jinja2 import Environment

import rapport
from rapport.access import User
from rapport.plugins import discover
from rapport.testing import TestApp
from rapport.wording import Wording
from rapport.workflows.conditions import fill, shown
from tests.torture import tally

SECRET = "canary-7f3a"
CALLED: list[str] = []
LEAKS = (
    SECRET,
    "<class",
    "<function",
    "<module",
    "<bound",
    "<built-in",
    "<frozen",
    "root:x:0:0",
    "uid=",
    "1337",
    "__subclasses__(",
)
"""What shows that something was walked into, read or worked out: 1337 is 191 * 7."""


class Told(str):
    """A value that is a text, as all are, with something beside it that no text may reach."""

    secret = SECRET

    def delete(self) -> str:
        CALLED.append("delete")
        return SECRET


NAME = "customer.name"
WALKS = [
    "secret",
    "delete",
    "delete()",
    "__class__",
    "__class__.__mro__",
    "__class__.__base__.__subclasses__()",
    "__dict__",
    "__init__.__globals__",
    "delete.__globals__",
    "delete.__func__.__globals__['SECRET']",
    "__class__.__init__.__globals__",
    "__doc__",
    "__module__",
    "__getattribute__('secret')",
    "format.__self__",
    "_secret",
    "size",
    "first",
    "last",
    "0",
    "-1",
]
EXPRESSIONS = [
    "191*7",
    "191 * 7",
    "'191'*7",
    "[].__class__.__base__.__subclasses__()",
    "().__class__.__mro__[1].__subclasses__()",
    "''.__class__.mro()[1].__subclasses__()",
    "self",
    "self.__init__.__globals__",
    "self._TemplateReference__context",
    "config",
    "config.SECRET_KEY",
    "config.items()",
    "request",
    "request.environ",
    "request.application.__globals__",
    "session",
    "g",
    "url_for.__globals__",
    "get_flashed_messages.__globals__",
    "lipsum.__globals__['os'].popen('id').read()",
    "cycler.__init__.__globals__.os.popen('id').read()",
    "joiner.__init__.__globals__.os.environ",
    "namespace.__init__",
    "range(10)",
    "dict(a=1)",
    "caller",
    "loop",
    "varargs",
    "environment",
    "site",
    "site.config.secret_key",
    "actor",
    "unit",
    "customer",
    "customer.owner",
    "customer.owner.password_hash",
    "user.password_hash",
    "forloop",
    "tablerowloop",
    "page",
    "shop",
    "settings",
    "__import__('os').environ",
    "open('/etc/passwd').read()",
    "include '/etc/passwd'",
    "customer['name']['secret']",
    'customer["__class__"]',
    "customer[name]",
    "customer.name.secret.upper",
    "'a'.format",
    "'{0.__class__}'.format(1)",
    "'%s' % customer",
    "customer|attr('secret')",
    "''|attr('__class__')",
    "customer.name|map('upper')",
    "customer.name | json",
    "customer.name | inspect",
    "customer.name | where: 'secret'",
    "customer.name | date: '%s'",
    "customer.name | join",
    "customer.name | size",
    "'a' | append: customer.name",
    "'x' | replace: 'x', 'y'",
    "'/etc/passwd' | file",
    "'id' | shell",
    "9**9**9",
    "(1..100000000)",
    "'x' | times: 100000000",
    "customer.name | split: '' | join: customer.name",
    "customer.name | url_encode",
    "nil",
    "empty",
    "blank",
    "true",
    "1e999",
    "9999999999999999999999",
    "-1",
    "'\\x00'",
    "''",
    "((((((((((customer))))))))))",
    "a.b.c.d.e.f.g.h.i.j.k",
]
STATEMENTS = [
    "{% include '/etc/passwd' %}",
    "{% include 'rapport.toml' %}",
    "{% render '/etc/passwd' %}",
    "{% extends '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os }}",
    "{% from 'os' import popen %}",
    "{% set x = 191*7 %}{{ x }}",
    "{% assign x = '1337' %}{{ x }}",
    "{% capture x %}1337{% endcapture %}{{ x }}",
    "{% for i in (1..100000000) %}x{% endfor %}",
    "{% for i in range(10**9) %}x{% endfor %}",
    "{% tablerow i in (1..1000000) %}x{% endtablerow %}",
    "{% cycle 'a', 'b' %}",
    "{% increment x %}",
    "{% decrement x %}",
    "{% raw %}{{ customer.name.secret }}{% endraw %}{{ customer.name.secret }}",
    "{% liquid\necho 191 | times: 7\n%}",
    "{% echo '1337' %}",
    "{% do customer.name.delete() %}",
    "{% call customer.name.delete() %}{% endcall %}",
    "{% with a = customer.name.secret %}{{ a }}{% endwith %}",
    "{% macro m() %}{{ m.__globals__ }}{% endmacro %}{{ m() }}",
    "{% filter upper %}{{ secret }}{% endfilter %}",
    "{% debug %}",
    "{% load os %}",
    "{% autoescape false %}{{ customer.name.secret }}{% endautoescape %}",
    "{% block a %}{{ self.a.__globals__ }}{% endblock %}",
    "{% trans %}{{ secret }}{% endtrans %}",
    "{% python %}import os{% endpython %}",
    "{% if customer.name.delete %}{{ customer.name.delete }}{% endif %}",
    "{% unless x.y.z %}{{ customer.name.secret }}{% endunless %}",
    "{% case customer.name.secret %}{% when 'canary-7f3a' %}1337{% endcase %}",
    "{% comment %}" * 50,
    "{% if a %}" * 500 + "{% endif %}" * 500,
    "{% if " + "(" * 2000 + "a" + ")" * 2000 + " %}x{% endif %}",
    "{{ " + "a." * 5000 + "b }}",
    "{{ 'a'" + " | upcase" * 5000 + " }}",
    "{{" * 20_000,
    "{%" * 20_000,
    "{{ '" + "a" * 90_000,
    "{# {{ secret }} #}",
    "{{ customer.name }}" * 5000,
    "{% if customer.name == " + "'a' or " * 3000 + "'b' %}x{% endif %}",
    # as other engines write it
    "${191*7}",
    "#{191*7}",
    "<%= 191*7 %>",
    "<% import os %>${os.popen('id').read()}",
    "${T(java.lang.Runtime).getRuntime().exec('id')}",
    "{{=191*7}}",
    "[[191*7]]",
    "*{191*7}",
    "@(191*7)",
    "{php}echo 191*7;{/php}",
    "{{constructor.constructor('return 191*7')()}}",
    "#set($x=191*7)$x",
    "{191*7}",
    "%(secret)s",
    "$secret",
    "${secret}",
    "{0}",
    "{0.__class__}",
    "{name.__class__}",
    "{name.__init__.__globals__}",
    "{title.__class__.__mro__}",
    "{customer.owner.password_hash}",
    "{owner.password_hash}",
    "{record.session}",
    "{fact___class__}",
    "{{0}}",
    "{!r}",
    "{name!r:>1000000000}",
    "{:>1000000000}",
    "%1000000000s",
    "`id`",
    "$(id)",
    "; id",
    "\\write18{id}",
    "\\input{/etc/passwd}",
    "<#assign ex='freemarker.template.utility.Execute'?new()>${ex('id')}",
    "{{#with 'x'}}{{/with}}",
    "{% raw %}" * 10_000,
    "{% doc %}" * 10_000,
    "{% comment %}" * 7000,
    "{{ " + " " * 90_000,
    "{%" + " " * 90_000,
    "{{ a " + "| " * 40_000,
    "{{ a }}" * 14_000,
    "{{-" * 30_000,
    "{{ 'a }}" * 10_000,
    "<xsl:value-of select='191*7'/>",
    "=191*7",
    "@SUM(191*7)",
]


def payloads() -> list[str]:
    """Every attack on a text with places."""
    walks = [f"{NAME}.{each}" for each in WALKS] + [f"{NAME}['{each}']" for each in WALKS]
    found = [f"{{{{ {each} }}}}" for each in [*walks, *EXPRESSIONS]]
    found += [f"{{% if {each} %}}{{{{ {each} }}}}{{% endif %}}" for each in [*walks, *EXPRESSIONS]]
    found += [f"{{{{ 'a' | default: {each} }}}}" for each in EXPRESSIONS]
    return [*found, *STATEMENTS]


def wordings() -> dict[str, Wording]:
    """Every kind of text with places that core and plugins have, found among what is there once all is loaded."""
    packages = [rapport, *(importlib.import_module(each.module) for each in discover().values())]
    for package in packages:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not {"tests", "testing", "migrations", "wsgi"} & set(module.name.split(".")):
                importlib.import_module(module.name)
    ours = [module for name, module in sys.modules.items() if name.partition(".")[0].startswith("rapport")]
    return {
        "/".join(each.names): each for module in ours for each in vars(module).values() if isinstance(each, Wording)
    }


def told_by(wording: Wording, source: str) -> str | None:
    """What the text becomes; None when it is refused."""
    from liquid.exceptions import LiquidError

    if wording.fault_in(source):
        return None
    try:
        return wording.fill(source, {name: Told("Ada") for name in wording.names})
    except LiquidError:
        return None


def leaks(source: str, told: str | None) -> list[str]:
    """What it gives away beyond what was written there."""
    return [each for each in LEAKS if told and told.count(each) > source.count(each)]


def test_no_text_reaches_beyond_the_words_it_was_given() -> None:
    found, attacks = wordings(), payloads()
    assert len(found) >= 4
    assert len(attacks) >= 150
    CALLED.clear()
    before, slow, wrong, filled = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, [], [], 0
    for name, wording in found.items():
        for source in attacks:
            began = time.process_time()
            told = told_by(wording, source)
            if time.process_time() - began > 10:  # what was slow took minutes
                slow.append((name, source[:60]))
            filled += told is not None
            if leaks(source, told) or len(told or "") > wording.max_output:
                wrong.append((name, source[:200], (told or "")[:200]))
    assert (slow, wrong, CALLED) == ([], [], [])
    assert filled > 50, "some are harmless, and filled in"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 * 1024
    tally("B8", "texts with places", tried=len(found) * len(attacks), leaked=0, called=0, slow=0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_places_of_a_workflow_stand_for_fields_and_nothing_else(app: TestApp) -> None:
    ada = app.create_customer(name="Ada", owner_id=str(app.admin.id))
    with app.site.read(app.admin) as reader:
        kept = reader.get(User, app.admin.id).password_hash
        for source in payloads():
            told = fill(source, lambda path: shown(app.site, reader.session, ada, path, {}))
            assert not leaks(source, told), source
            assert kept not in told, source
        assert (
            fill(
                "{name} {owner.name} {owner.password_hash}!",
                lambda path: shown(app.site, reader.session, ada, path, {}),
            )
            == "Ada Ada Admin !"
        )
    tally("B8", "places in workflows", tried=len(payloads()), leaked=0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the files that it opens
def test_another_engine_gives_away_what_these_do_not() -> None:
    """The control: the same texts in Jinja as it comes."""
    CALLED.clear()
    caught = 0
    for source in payloads():
        # Without those that would keep this process busy, or start another.
        if not source.startswith("{{ ") or any(each in source for each in ("**", "00000000", "popen")):
            continue
        try:
            told = Environment().from_string(source).render(customer={"name": Told("Ada")})
        except Exception:  # most are of another engine
            continue
        caught += bool(leaks(source, told))
    gc.collect()
    assert caught > 20
    assert CALLED
    tally("B8", "texts with places", control=caught)
