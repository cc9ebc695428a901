"""A button that is pressed twice, and a page that is loaded again, make one record: every form that there is, found on the pages."""  # noqa: E501

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from rapport_portal import Account
from rapport_portal.accounts import enter, new_link
from sqlalchemy import func, select

from rapport import Attachment, Conflict, Invalid, Purpose, system
from rapport.files import FOLDER, stored_file
from rapport.plugins import discover
from rapport.records.log import change_log
from rapport.records.once import SentForm
from rapport.testing.app import PASSWORD, TestApp
from rapport.testing.values import Examples
from tests.faults.sites import Client, at_once, clients, fill, served_here
from tests.sheets import FILES, Sheet, sheets
from tests.torture import is_turn, tally, tries

pytestmark = pytest.mark.timeout(tries(600, long=7200))

LEFT = ("/sign-out", "/language", "/admin/modules", "/account", "/admin/settings")
"""Forms whose pressing would end the walk, and those that make no record."""
ONE_EACH = {"service.answer": "q-"}
"""Of these one press makes several: one for each control whose name begins so."""


def typed(app: TestApp, name: str, examples: Examples) -> dict[str, str]:
    """What somebody types into the form for a new record of a kind; nothing where what it points at cannot be made."""
    entity, given = app.site.entities[name], {}
    with contextlib.suppress(Invalid, Conflict), app.site.write(app.admin) as unit:
        examples._parents.setdefault("purpose", unit.reader.all(Purpose)[0].id)
        given = examples.values(unit, entity, whole=False)
    told = {}
    for each, value in given.items():
        kind = entity.meta.fields[each].kind
        if kind == "address":
            told |= {f"{each}.{part}": text for part, text in value.items()}
        elif kind == "instant":
            told[each] = str(value)[:16]
        else:
            told[each] = ", ".join(value) if kind == "tags" else "true" if value is True else str(value)
    return told


def made_after(app: TestApp, seq: int) -> Counter[str]:
    """What was made since a place in the log, by kind."""
    with app.site.db.read() as connection:
        made = (change_log.c.seq > seq) & (change_log.c.action == "created")
        return Counter(connection.scalars(select(change_log.c.entity).where(made)))


def place(app: TestApp) -> int:
    with app.site.db.read() as connection:
        return connection.scalar(select(func.max(change_log.c.seq))) or 0


def pressed(
    app: TestApp, tabs: list[Client], sheet: Sheet, **typed: str
) -> tuple[Counter[str], Counter[str], set[str]]:
    """One form, sent twice at once and once more: what was made, what of it too much, and where one is led."""
    before, path = place(app), sheet.action
    tabs[1].cookies = dict(tabs[0].cookies)  # it is one browser
    body, kind = sheet.sent(**typed)
    told_of = {"Content-Type": kind, "Referer": tabs[0].base + path}
    told = [*at_once(2, lambda number: tabs[number].ask("POST", path, body, **told_of)),
            tabs[0].ask("POST", path, body, **told_of)]  # fmt: skip
    made = made_after(app, before)
    once = Counter(dict.fromkeys(made, 1))
    assert not [each for each in told if isinstance(each, Exception) or each.status >= 500], (path, told)
    return made, made - once, {each.headers.get("location", "") for each in told if each.status in {302, 303}}


@pytest.fixture
def everything(make_app: Any) -> Iterator[TestApp]:
    with make_app(plugins=sorted(discover())) as app:
        yield app


def test_a_form_for_a_new_record_that_is_sent_twice_leads_twice_to_the_one_record(everything: TestApp) -> None:
    app, examples, kinds, wrong = everything, Examples(), 0, []
    with served_here(app) as base, clients(base, 2) as tabs:
        tabs[0].sign_in(app.admin.email, PASSWORD)
        for number, entity in enumerate(app.site.entities):
            if not is_turn(number, app.site.db.url):
                continue
            name = entity.meta.name
            page = tabs[0].ask("GET", f"/{name}/new")
            found = [each for each in sheets(page.body.decode(), f"/{name}/new") if each.action == f"/{name}/new"]
            if page.status != 200 or not found:
                continue
            values = typed(app, name, examples)
            made, _others, led = pressed(app, tabs, found[0], **values)
            if not made[name]:
                continue  # a rule of its own asks for more
            kinds += 1
            if made[name] != 1 or len(led) != 1:
                wrong.append((name, made, led))
    assert wrong == []
    assert kinds > tries(20, long=40)
    tally("D4", "a form for a new record, sent twice at once and once more", tried=3 * kinds, kinds=kinds, twice=0)


def test_who_goes_back_and_types_something_else_makes_another(everything: TestApp) -> None:
    app = everything
    browser = app.browser()
    (sheet,) = (each for each in sheets(browser.get("/customer/new").get_data(as_text=True), "/customer/new")
                if each.action == "/customer/new")  # fmt: skip
    kind = "application/x-www-form-urlencoded"
    first = browser.post("/customer/new", data=sheet.body(name="Ada"), content_type=kind)
    again = browser.post("/customer/new", data=sheet.body(name="Ada"), content_type=kind)
    other = browser.post("/customer/new", data=sheet.body(name="Bob"), content_type=kind)
    refused = browser.post("/customer/new", data=sheet.body(name="Cid", email="no address"), content_type=kind)
    mended = browser.post("/customer/new", data=sheet.body(name="Cid", email="cid@example.com"), content_type=kind)
    assert first.location == again.location != other.location
    assert (refused.status_code, mended.status_code) == (422, 302)
    assert browser.get(again.location).status_code == 200


def own_pages(app: TestApp, made: dict[str, UUID]) -> list[str]:
    """The pages that are not alike for all kinds of records, each once: the ledger's, those of plugins and settings."""
    found = [f"/message/new?customer_id={made['customer']}"]
    filled = {at.partition(".")[0] if at.count(".") == 1 else at.rpartition(".")[0] for at in app.site.panels_at}
    found += [f"/{name}/{record_id}" for name, record_id in made.items() if name in filled]
    for rule in app.flask.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.rule.startswith(("/api/", "/portal", "/static", *LEFT)):
            continue
        named = {f"/{name}/<uuid:": record_id for name, record_id in made.items()}
        about = next((each for start, each in named.items() if rule.rule.startswith(start)), None)
        if "<name>" not in rule.rule and len(rule.arguments) == (about is not None):
            found.append(re.sub(r"<[^>]*>", str(about), rule.rule))
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whatever_is_pressed_twice_on_a_page_of_its_own_makes_no_more_than_once(everything: TestApp) -> None:
    app, examples = everything, Examples()
    made = fill(app, examples)
    ids = {f"{name.rpartition('.')[2]}_id": str(record_id) for name, record_id in made.items()}
    forms, uploads, effects, wrong = {}, 0, 0, []
    with served_here(app) as base, clients(base, 2) as tabs:
        tabs[0].sign_in(app.admin.email, PASSWORD)
        for path in own_pages(app, made):
            page = tabs[0].ask("GET", path)
            if page.status != 200 or not page.headers.get("content-type", "").startswith("text/html"):
                continue
            for sheet in sheets(page.body.decode(), path):
                kind = re.sub(r"[0-9a-f-]{36}", "", sheet.action)
                if (
                    kind in forms or sheet.action.startswith(LEFT) or "version" in dict(sheet.values)
                ):  # a form that changes has its own harness
                    continue
                known = {name: ids[name] for name, value in sheet.values if name in ids and not value}
                some, too_many, led = pressed(app, tabs, sheet, **known)
                for several, begins in ONE_EACH.items():
                    controls = [name for name, _value in sheet.values if name.startswith(begins)]
                    too_many[several] -= max(0, len(controls) - 1)
                too_many = +too_many
                if not some and len(led) > 1:  # an import is no record, but leads to a page of its own
                    too_many["places"] += len(led) - 1
                too_many = +too_many
                forms[kind] = some
                effects += bool(some)
                uploads += bool(sheet.files and (some or sheet.action == "/import"))
                if too_many:
                    wrong.append((path, sheet.action, too_many))
    assert wrong == []
    assert effects > 8, forms
    assert uploads > 3, forms
    tally("D4", "forms on pages of their own, sent twice at once and once more", tried=3 * len(forms),
          effects=effects, twice=0)  # fmt: skip


# Files of a form -----------------------------------------------------------------------------------------------------


def on_disk(app: TestApp) -> list[Path]:
    return [each for each in (app.site.config.files / FOLDER).rglob("*") if each.is_file()]


def sweep(app: TestApp, clock: Any) -> list[Path]:
    """The files that are left when so much time has passed that those which no record holds are swept away."""
    app.settle()
    for days in (2, 31):  # what is free is noted first, and then forgotten
        clock.forward(days=days)
        app.settle()
    return on_disk(app)


def logged(app: TestApp, tabs: list[Client]) -> tuple[Counter[str], Counter[str]]:
    """A call with a file is noted beside a customer, by a form that is sent twice at once and once more."""
    ada = app.create_customer(name="Ada")
    tabs[0].sign_in(app.admin.email, PASSWORD)
    path = f"/customer/{ada.id}"
    page = tabs[0].ask("GET", path).body.decode()
    (sheet,) = (each for each in sheets(page, path) if each.action == f"{path}/log")
    made, too_many, _led = pressed(app, tabs, sheet)
    return made, too_many


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_of_a_file_that_is_sent_twice_one_is_left_and_opens(app: TestApp, clock: Any) -> None:
    with served_here(app) as base, clients(base, 2) as tabs:
        made, too_many = logged(app, tabs)
        assert (made["interaction"], made["attachment"], +too_many) == (1, 1, Counter())
        stored = len(on_disk(app))
        left = sweep(app, clock)
        assert [each.read_bytes() for each in left] == [FILES[""][1]]
        with app.site.read(app.admin) as reader:
            (attachment,) = reader.all(Attachment)
        with app.browser().get(f"/attachment/{attachment.id}/file/file") as answer:
            assert answer.data == FILES[""][1]
    tally("D4", "the file of a form, sent twice at once and once more", tried=3, stored=stored, left=len(left))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_files_that_are_left_twice_are_found_out(app: TestApp, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: each press has its effect, as it had before."""
    monkeypatch.setattr(SentForm, "begin", lambda form, unit: None)
    with served_here(app) as base, clients(base, 2) as tabs:
        made, _too_many = logged(app, tabs)
        left = sweep(app, clock)
    assert made["attachment"] == len(left) == 3
    tally("D4", "the file of a form, sent twice at once and once more", control=len(left) - 1)


# The portal ----------------------------------------------------------------------------------------------------------


@dataclass
class Portal:
    """What came of the forms that a customer sent in the portal, each twice at once and once more."""

    forms: dict[str, Counter[str]] = field(default_factory=dict)
    """What each of them made."""
    uploads: int = 0
    """How many of those that made something had a file."""
    kept: int = 0
    """How many files records hold, which no sweep takes."""
    too_many: list[tuple[str, Counter[str]]] = field(default_factory=list)


def pressed_in_portal(app: TestApp) -> Portal:
    """Send each form of the pages that a customer finds from the first one."""
    found, seen, pages = Portal(), {"/portal/"}, ["/portal/"]
    ada = app.create_customer(name="Ada", email="ada@example.com")
    with app.site.write(system("test")) as unit:
        token = new_link(unit, unit.create(Account, {"customer_id": ada.id}))
        Examples().make(unit, app.site.entities["products.product"])  # something to have bought
    with served_here(app) as base, clients(base, 2) as tabs:
        tabs[0].cookies["rapport_portal"] = enter(app.site, token) or ""
        for path in pages:
            page = tabs[0].ask("GET", path)
            if page.status != 200 or not page.headers.get("content-type", "").startswith("text/html"):
                continue
            for sheet in sheets(page.body.decode(), path):
                if (kind := of_any(sheet.action)) not in found.forms:
                    found.forms[kind], too_many, _led = pressed(app, tabs, sheet)
                    found.uploads += bool(sheet.files and found.forms[kind])
                    found.too_many += [(path, too_many)] if too_many else []
            for link in re.findall(r'href="(/portal/[^"?#]*)"', tabs[0].ask("GET", path).body.decode()):
                if of_any(link) not in seen:
                    seen.add(of_any(link))
                    pages.append(link)
    with app.site.db.read() as connection:
        held = select(func.count()).select_from(stored_file).where(stored_file.c.free_since.is_(None))
        found.kept = connection.scalar(held) or 0
    return found


def of_any(path: str) -> str:
    """The same for one record as for another."""
    return re.sub(r"[0-9a-f-]{36}", "…", path)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_a_customer_sends_twice_in_the_portal_has_its_effect_once(everything: TestApp) -> None:
    found = pressed_in_portal(everything)
    effects = sum(map(bool, found.forms.values()))
    assert found.too_many == []
    assert effects > 4, found.forms
    assert found.uploads == found.kept > 1
    tally("D4", "forms of the portal, sent twice at once and once more", tried=3 * len(found.forms), effects=effects,
          files=found.kept, twice=0)  # fmt: skip


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_a_customer_does_twice_by_pressing_twice_is_found_out(
    everything: TestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control, as above."""
    monkeypatch.setattr(SentForm, "begin", lambda form, unit: None)
    found = pressed_in_portal(everything)
    caught = sum(too_many.total() for _path, too_many in found.too_many)
    assert caught > 4
    assert found.kept == 3 * found.uploads
    tally("D4", "forms of the portal, sent twice at once and once more", control=caught)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_form_whose_key_nobody_takes_is_found_out(app: TestApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: each press has its effect, as it had before."""
    monkeypatch.setattr(SentForm, "begin", lambda form, unit: None)
    caught = 0
    with served_here(app) as base, clients(base, 2) as tabs:
        tabs[0].sign_in(app.admin.email, PASSWORD)
        for name, values in (("customer", {"name": "Ada"}), ("task", {"title": "Call"})):
            page = tabs[0].ask("GET", f"/{name}/new").body.decode()
            (sheet,) = (each for each in sheets(page, f"/{name}/new") if each.action == f"/{name}/new")
            made, too_many, _led = pressed(app, tabs, sheet, **values)
            assert (made[name], too_many[name]) == (3, 2)
            caught += too_many[name]
        (sheet,) = (each for each in sheets(tabs[0].ask("GET", "/import").body.decode(), "/import") if each.files)
        _made, _too_many, led = pressed(app, tabs, sheet)
        assert len(led) == 3
        caught += len(led) - 1
    tally("D4", "a form for a new record, sent twice at once and once more", control=caught)
