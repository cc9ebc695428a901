"""The page about the hooks is what the hooks say, its examples run as a plugin, and every hook earns its place."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import importlib_metadata
import pytest

from rapport import Customer, Incoming, Invalid, Task, hookspecs, move, receive, send, stages_of, utcnow
from rapport.testing import Actors, TestApp
from tools import hooks_doc

WAITING = {
    "resolve_party": "e-mail and telephone will be first",
    "message_status_changed": "e-mail and campaigns will be first",
    "prepare_customer": "asks for the same care as validate_customer; imports of addresses (marketing) will be first",
    "validate_customer": "consent and duplicates are checked by plugins to come; the kernel's tests lean on it",
}
"""Hooks that no plugin of ours uses yet, with who will. The list only gets shorter."""
PANEL = "{% for visit in visits %}{{ visit.title }}{% endfor %}"


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The examples of the page, installed as the plugin `visits`."""
    folder = tmp_path_factory.mktemp("visits")
    template = folder / "rapport_visits" / "templates" / "visits" / "next.html"
    template.parent.mkdir(parents=True)
    template.write_text(PANEL, "utf-8")
    (folder / "rapport_visits" / "__init__.py").write_text(hooks_doc.EXAMPLES.read_text("utf-8"), "utf-8")
    info = folder / "rapport_visits-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rapport-visits\nVersion: 0.1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[rapport.plugins]\nvisits = rapport_visits\n", "utf-8")
    sys.path.insert(0, str(folder))
    importlib_metadata.MetadataPathFinder.invalidate_caches()
    yield "visits"
    sys.path.remove(str(folder))
    importlib_metadata.MetadataPathFinder.invalidate_caches()


def test_the_page_is_what_the_hooks_say():
    assert hooks_doc.PAGE.read_text("utf-8") == hooks_doc.page(), "run: python tools/hooks_doc.py"


def test_every_hook_has_a_heading_its_facts_and_an_example():
    text = hooks_doc.PAGE.read_text("utf-8")
    entries = {entry.partition("\n")[0]: entry for entry in text.split("\n### ")[1:]}
    assert list(entries) == list(hookspecs.KINDS)
    for name, entry in entries.items():
        assert f"| Kind | {hookspecs.KINDS[name]} |" in entry
        assert re.search(r"\| Transaction \| \w.*\|\n\| On failure \| \w", entry), name
        assert f"def {name}(" in entry


def test_every_hook_is_used_in_earnest_or_waits_for_somebody_named():
    used = hooks_doc.users()
    own = {
        name
        for path in hooks_doc.ROOT.glob("plugins/*/rapport_*/hookspecs.py")
        for name in re.findall(r"^def (\w+)", path.read_text("utf-8"), re.M)
    }
    assert set(used) <= set(hookspecs.KINDS) | own
    assert set(hookspecs.KINDS) - set(used) == set(WAITING)


def test_the_examples_are_called_each_at_its_moment(
    visits: str, make_app, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("RAPPORT_TRACE_HOOKS", "1")
    with make_app(plugins=[visits]) as app:
        assert app.site.active(visits), app.site.plugins[visits].reason
        _live_with_visits(app, app.actors())
    called = {line.split()[1] for line in capsys.readouterr().err.splitlines() if f" {visits} " in line}
    assert set(hookspecs.KINDS) - called == set()


def _leave_cards(app: TestApp, ada: Customer) -> None:
    """One that may be left, one that a visit makes needless, and one that comes back."""
    with app.site.write(app.admin) as unit:
        send(unit, channel="card", customer=ada, purpose="service", body="I was here.")
    app.settle()
    with app.site.write(app.admin) as unit:
        first = unit.reader.all(app.site.entities["visits.visit"])[0]
        unit.update(first, {"planned_on": utcnow().date()})
        send(unit, channel="card", customer=ada, purpose="service", body="And again.")
        receive(unit, Incoming("card", "1", address="unknown", name="Ada", body="Come in!"))
    app.settle()
    (card,) = app.site.config.files.glob("card-*")
    assert card.read_text("utf-8") == "London\n\nI was here."
    with app.site.read(app.admin) as reader:
        titles = {task.title for task in reader.all(Task, Task.customer_id == ada.id)}
    assert {"Answer: Come in!", "Not left: They are visited today: say it there."} <= titles


def _live_with_visits(app: TestApp, actors: Actors) -> None:
    """A week with the plugin, from the first customer to the last."""
    ada = app.create_customer(name="Ada", actor=actors.member, industry=" mining ")
    assert ada.industry == "Mining"
    with pytest.raises(Invalid, match="has a question mark"):
        app.create_customer(name="Ada?")
    visit = app.site.entities["visits.visit"]
    with app.site.read(app.admin) as reader:
        (first,) = reader.all(visit)
        planned, done = stages_of(reader.session, "visits.visit")
    assert (first.title, first.stage_id) == ("Get to know Ada", planned.id)
    with app.site.write(app.admin) as unit:
        second = unit.create(visit, {"customer_id": ada.id, "title": "Again"})
        assert second.owner_id == actors.member.id
    with pytest.raises(Invalid, match="When was it"), app.site.write(app.admin) as unit:
        move(unit, unit.get(visit, second.id), done.id)
    with app.site.write(app.admin) as unit:
        move(unit, unit.get(visit, first.id), done.id)
        unit.update(unit.get(Customer, ada.id), {"address": {"city": "London"}})
    app.settle()
    with app.site.read(app.admin) as reader:
        titles = {task.title for task in reader.all(Task)}
    assert titles == {"Thank them: ✓ Get to know Ada", "Ada has moved: look at the way there"}
    browser = app.browser()
    page = browser.get(f"/customer/{ada.id}").get_data(as_text=True)
    assert "✓ Get to know Ada" in page
    assert "Visits of today" in browser.get("/search?q=today").get_data(as_text=True)
    assert browser.get("/visits").get_data(as_text=True) == "0"
    assert browser.get("/reports/visits.calendar").status_code == 200
    _leave_cards(app, ada)
    assert app.client.post(f"/api/v1/customer/{ada.id}/erase").status_code < 300
    with app.site.write(app.admin) as unit:
        app.site.sample_data["visits"].load(unit)
