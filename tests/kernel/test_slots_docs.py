"""docs/slots.md tells of every slot, and each of its examples is a plugin whose piece is seen on its page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rapport_portal.accounts import Account, enter, new_link

from rapport import system
from rapport.builtin.exchange import imports
from rapport.testing.slots import address_of, brought_for, words_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "slots.md"
AROUND = ["portal", "sales"]


@dataclass(frozen=True)
class Example:
    """A section of the page: the slots it is about, and the plugin it shows, under a name of its own."""

    plugin: str
    slots: tuple[str, ...]
    code: str
    templates: dict[str, str]


def examples() -> list[Example]:
    """The sections of the page that show a plugin."""
    found = []
    for number, section in enumerate(re.split(r"^##+ ", PAGE.read_text("utf-8"), flags=re.MULTILINE)):
        name = f"example{number}"
        own = re.sub(r"\bexample\b", name, section)
        code = re.findall(r"```python\n(.*?)```", own, re.DOTALL)
        if not code:
            continue
        heading = section.splitlines()[0]
        templates = dict(re.findall(r"```jinja\n\{# (\S+) #\}\n(.*?)```", own, re.DOTALL))
        slots = tuple(re.split(r", | and ", heading)) if heading != "A place of your own" else ()
        found.append(Example(name, slots, "\n".join(code), templates))
    return found


def table(slots: Any) -> str:
    """The table of docs/slots.md."""
    rows = ["| slot | where | filled by | what a panel gets | page |", "|---|---|---|---|---|"]
    for slot in slots:
        facts = "; ".join(f"`{name}`: {what}" for name, what in slot.facts.items())
        brought = f"`{slot.filled_by}`" + ("" if slot.filled_by == "Panel" else f" of `{slot.hook}`")
        rows.append(f"| `{slot.name}` | {slot.where} | {brought} | {facts} | `{slot.page}` |")
    return "\n".join(rows)


@pytest.fixture
def taught(make_app, plugin_on_disk) -> Iterator[Any]:
    """A site with every example switched on."""
    needs = ("rapport-sales", "rapport-portal")
    names = [plugin_on_disk(each.plugin, each.code, templates=each.templates, requires=needs) for each in examples()]
    with make_app(plugins=[*AROUND, *names]) as app:
        for name in names:
            assert app.site.active(name), app.site.plugins[name].reason
        yield app


def test_the_table_is_what_a_site_has(make_app):
    with make_app(plugins=AROUND) as app:
        right = table(app.site.slots)
    written = PAGE.read_text("utf-8").split("prints the right one -->\n", 1)[1].split("\n<!-- end -->", 1)[0]
    assert written == right, f"put this into docs/slots.md:\n{right}"


def test_every_slot_has_an_example_and_every_example_is_seen_on_its_page(taught):
    ada = taught.create_customer(name="Ada Lovelace", email="ada@example.org")
    run = imports.start(taught.site, taught.admin, "customer", b"Name\nTest\n", "people.csv")
    with taught.site.write(system("test")) as unit:
        account = unit.create(Account, {"customer_id": ada.id})
        token = new_link(unit, account)
    staff, customer = taught.browser(), taught.flask.test_client()
    customer.set_cookie("rapport_portal", enter(taught.site, token) or "", path="/portal/")
    taught_of = {slot: each.plugin for each in examples() for slot in each.slots}
    for slot in taught.site.slots:
        if slot.name.startswith("example"):
            continue
        assert slot.name in taught_of, f"docs/slots.md has no example for '{slot.name}'"
        items = brought_for(
            taught.site, taught_of.pop(slot.name), slot, taught.admin, customer_id=ada.id, query="lovelace"
        )
        assert items, slot.name
        for item in items:
            path = address_of(slot, item, record_id=ada.id, query="lovelace", run=run.id)
            answer = (customer if path.startswith("/portal/") else staff).get(path)
            page = answer.get_data(as_text=True)
            assert answer.status_code == 200, slot.name
            assert words_of(item) in page, slot.name
            assert "could not show this" not in page, slot.name
    assert taught_of == {}, "docs/slots.md has examples for slots that do not exist"
