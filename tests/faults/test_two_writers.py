"""Two to 32 who change one record at the same moment, over real HTTP: one of them wins, and the others are told.

Every kind of record there is, users and those of plugins among them, over the API and by the form.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from sqlalchemy import select, text

from rapport import Customer
from rapport.plugins import discover
from rapport.records import Unit
from rapport.records.log import change_log
from rapport.testing.app import PASSWORD, TestApp
from rapport.testing.values import Examples, value_of
from rapport.workflows import Workflow
from tests.faults.sites import Client, Form, at_once, changeable, clients, fill, served, served_here, token, wait_until
from tests.torture import is_turn, tally, tries

pytestmark = pytest.mark.timeout(tries(1200, long=14_400))
NDJSON = "application/x-ndjson"


@dataclass
class Writers:
    """So many clients with the same token, as of one user in many tabs."""

    clients: list[Client]

    def race(self, path: str, field: Any, examples: Examples, count: int) -> Counter[int]:
        """All read the record; then each says something else, having seen what all have seen. What they are told."""
        tag = self.clients[0].ask("GET", path).headers["etag"]
        examples.number += count

        def write(number: int) -> int:
            value = value_of(field, examples.number - number)
            answer = self.clients[number].ask("PATCH", path, {field.name: value}, **{"If-Match": tag})
            unchanged = answer.status == 200 and answer.headers["etag"] == tag  # of a few choices, the one there was
            return 0 if unchanged else answer.status

        told = Counter(at_once(count, write))
        del told[0]
        return told

    def writable_field(self, app: TestApp, name: str, path: str, examples: Examples) -> Any | None:
        """A field that this very record allows to be changed."""
        for field in changeable(app.site.entities[name]):
            examples.number += 1
            shown = self.clients[0].ask("GET", path)
            value = value_of(field, examples.number)
            answer = self.clients[0].ask("PATCH", path, {field.name: value}, **{"If-Match": shown.headers["etag"]})
            if answer.status == 200 and answer.json["version"] == shown.json["version"] + 1:
                return field
        return None


def version(client: Client, path: str) -> int:
    return int(client.ask("GET", path).json["version"])


def overwritten(told: Counter[int], before: int, after: int) -> int:
    """How many were told that they are saved, and are not: each that is saved makes a version."""
    assert set(told) <= {200, 409, 412}, told
    return max(told[200] - 1, told[200] - (after - before))


def test_of_many_who_change_a_record_one_wins_and_the_others_are_told(make_app: Any):
    examples = Examples()
    with make_app(plugins=sorted(discover())) as app:
        made = fill(app, examples)
        made["user"] = app.user("Bob").id
        bearer, tried, lost, never = token(app), Counter(), 0, []
        with served(app.site.config, threads=16) as server, clients(server.base, 32, bearer) as many:
            writers = Writers(many)
            for number, (name, record_id) in enumerate(made.items()):
                if not is_turn(number, app.site.db.url):
                    continue
                path = f"/api/v1/{name}/{record_id}"
                field = writers.writable_field(app, name, path, examples)
                if field is None:
                    never.append(name)
                    continue
                for count in (2, 4, 8)[:: tries(3, long=1)]:
                    for _ in range(tries(1, long=25)):
                        before = version(many[0], path)
                        told = writers.race(path, field, examples, count)
                        after = version(many[0], path)
                        lost += overwritten(told, before, after)
                        assert told[200] == after - before == 1, (name, told)
                        tried += told
            customer = f"/api/v1/customer/{made['customer']}"
            note = app.site.entities["customer"].meta.fields["note"]
            for count in (8, 32):
                for _ in range(tries(2, long=250)):
                    told = writers.race(customer, note, examples, count)
                    assert told == {200: 1, 412: count - 1}
                    tried += told
            tally("D2", "writers of one record over the API", tried=tried.total(), kinds=len(made) - len(never),
                  applied=tried[200], told=tried.total() - tried[200], lost=lost)  # fmt: skip
            with clients(server.base, 2) as tabs:
                _by_forms(app, tabs, made)
    assert lost == 0
    assert len(made) > 50
    assert len(never) < len(made) / 4, never


def _by_forms(app: TestApp, tabs: list[Client], made: dict[str, UUID]) -> None:
    """Two tabs, and the form of every kind of record that has one."""
    for tab in tabs:
        tab.sign_in(app.admin.email, PASSWORD)
    tried, kinds = Counter(), 0
    for name, record_id in list(made.items())[:: tries(3, long=1)]:
        path = f"/{name}/{record_id}/edit"
        forms = [Form(page.body.decode()) for page in (tab.ask("GET", path) for tab in tabs) if page.status == 200]
        asked = {each for form in forms for each, _value in form.values}
        texts = [each for each in changeable(app.site.entities[name]) if each.kind in {"text", "longtext"}]
        typed = next((each.name for each in texts if each.name in asked and not each.choices), None)
        if typed is None:
            continue

        def save(number: int, path: str = path, typed: str = typed, forms: list[Form] = forms) -> int:
            status = tabs[number].ask("POST", path, forms[number].sent(**{typed: f"Tab {number}"})).status
            return 302 if status == 303 else status

        told = Counter(at_once(2, save))
        if told == {422: 2}:
            continue  # a rule of its own says what may stand there
        assert told == {302: 1, 409: 1}, (name, told)
        tried += told
        kinds += 1
    assert kinds > 6
    tally("D2", "two tabs with one form", tried=tried.total(), kinds=kinds, applied=tried[302], told=tried[409], lost=0)


WORKFLOW = """
name: welcome
entity: customer
start: {event: created}
initial: fresh
states:
  fresh: {entry: [{set: {job_title: New}}], final: true}
"""


class Rivals:
    """A user at a record, and something else that changes it at the same moment."""

    def __init__(self, app: TestApp, user: Client, other: Client) -> None:
        self.app, self.user, self.other = app, user, other
        self.told: Counter[int] = Counter()
        self.applied: Counter[str] = Counter()

    def make(self, name: str) -> str:
        """A new record, of which one version is there."""
        made = self.user.ask("POST", "/api/v1/customer", {"name": name})
        assert made.status == 201
        self.applied[made.json["id"]] += 1
        return str(made.json["id"])

    def saves(self, record_id: str, **values: Any) -> int:
        """Change a record that one has just read; what one is told."""
        path = f"/api/v1/customer/{record_id}"
        tag = self.user.ask("GET", path).headers["etag"]
        return self.noted(record_id, self.user.ask("PATCH", path, values, **{"If-Match": tag}).status)

    def noted(self, record_id: str, status: int) -> int:
        assert status in {200, 302, 303, 409, 412}, status
        self.told[status] += 1
        self.applied[record_id] += status < 400
        return status

    def overwritten(self) -> int:
        """How many changes that somebody was told are saved made no version of their own, one after the other."""
        with self.app.site.db.read() as connection:
            rows = connection.execute(select(change_log.c.record_id, change_log.c.version)).all()
        made: dict[str, list[int]] = {each: [] for each in self.applied}
        for record_id, number in rows:
            if str(record_id) in made:
                made[str(record_id)].append(number)
        assert all(sorted(each) == list(range(1, len(each) + 1)) for each in made.values()), "a version twice, or none"
        return sum(max(0, count - len(made[record_id])) for record_id, count in self.applied.items())


def test_a_bulk_edit_a_workflow_and_tabs_against_a_user(make_app: Any):
    """Whatever else writes: what anybody was told is saved stands, and everybody else was told."""
    with make_app() as app:
        with app.site.write(app.admin) as unit:
            unit.create(Workflow, {"source": WORKFLOW})
        bearer = token(app)
        with (
            served(app.site.config, workers=2, jobs=True) as server,
            clients(server.base, 3, bearer) as (user, lines, *_),
            clients(server.base, 2) as tabs,
        ):
            for tab in tabs:
                tab.sign_in(app.admin.email, PASSWORD)
            rivals = Rivals(app, user, lines)
            for turn in range(tries(2, long=100)):
                many = [rivals.make(f"Customer {turn}-{number}") for number in range(3)]
                for each in many:
                    _against_a_workflow(rivals, each)
                _against_lines(rivals, many)
                _against_the_list(rivals, tabs[0], many)
                _against_tabs(rivals, tabs, many[0])
        assert rivals.overwritten() == 0
        rivals.applied[many[0]] += 1  # the control: somebody was told so, and it is not
        control = rivals.overwritten()
    assert control == 1
    tally("D2", "a bulk edit, a workflow, two tabs against a user", tried=rivals.told.total(), lost=0, control=control,
          told=sum(count for status, count in rivals.told.items() if status >= 400))  # fmt: skip


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # elsewhere one writes at a time anyway
def test_who_compares_no_version_waits_for_somebody_who_saves_and_is_not_refused(app: TestApp):
    """A change of chosen rows, and a workflow that starts, which come while somebody's change is not yet committed."""
    ada = app.create_customer(name="Ada")
    app.settle()
    browser = app.browser(app.admin)
    chosen = {"ids": [str(ada.id)], "do": "set", "field": "source", "source": "List"}
    _while_somebody_saves(app, ada.id, "one", lambda: app.submit(browser, "/customer/bulk", chosen))
    with app.site.write(app.admin) as unit:
        unit.create(Workflow, {"source": WORKFLOW})
        bob = unit.create(Customer, {"name": "Bob"})
    _while_somebody_saves(app, bob.id, "two", app.settle)
    with app.site.read(app.admin) as reader:
        said = [(each.note, each.source, each.job_title) for each in reader.all(Customer)]
    assert said == [("one", "List", ""), ("two", "", "New")]


def _while_somebody_saves(app: TestApp, record_id: UUID, note: str, rival: Callable[[], Any]) -> None:
    """The rival begins while a change of the record is not committed, and goes on when it is."""
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    def waiting() -> bool:
        with app.site.db.read() as connection:
            return bool(connection.scalar(waits))

    with ThreadPoolExecutor(1) as pool:
        with app.site.write(app.admin) as unit:
            unit.update(unit.get(Customer, record_id), {"note": note})
            other = pool.submit(rival)
            wait_until(lambda: waiting() or other.done())
            assert not other.done(), other.result()
        other.result(60)


def _against_a_workflow(rivals: Rivals, record_id: str) -> None:
    """It sets a field of a new record, while somebody writes its note again and again."""
    path, note, until = f"/api/v1/customer/{record_id}", "", time.monotonic() + 60
    while (now := rivals.user.ask("GET", path).json)["job_title"] != "New":
        assert now["note"] == note, "the workflow has overwritten what was saved"
        assert time.monotonic() < until, "the workflow does not come"
        if rivals.saves(record_id, note=f"{note}x"[-50:]) == 200:
            note = f"{note}x"[-50:]
    assert rivals.user.ask("GET", path).json["note"] == note
    rivals.applied[record_id] += 1


def _against_lines(rivals: Rivals, many: list[str]) -> None:
    """Lines of a bulk request, each with the version that was seen, and one of these records saved meanwhile."""
    seen = {each: rivals.user.ask("GET", f"/api/v1/customer/{each}").json["version"] for each in many}
    body = "\n".join(
        json.dumps({"op": "update", "id": each, "version": seen[each], "values": {"source": "Lines"}}) for each in many
    )

    def work(number: int) -> Any:
        if number:
            return rivals.saves(many[-1], source="User")
        return rivals.other.ask("POST", "/api/v1/customer/bulk", body.encode(), **{"Content-Type": NDJSON})

    answer, saved = at_once(2, work)
    outcomes = [json.loads(line) for line in answer.body.splitlines()]
    for each, outcome in zip(many, outcomes, strict=True):
        rivals.noted(each, outcome["status"])
    now = rivals.user.ask("GET", f"/api/v1/customer/{many[-1]}").json
    expected = seen[many[-1]] + (saved == 200) + (outcomes[-1]["status"] == 200)
    assert now["version"] == expected, (saved, outcomes)


def _against_the_list(rivals: Rivals, tab: Client, many: list[str]) -> None:
    """Rows chosen in a list get one value; a form of one of them was open before, and is refused after."""
    form = Form(tab.ask("GET", f"/customer/{many[0]}/edit").body.decode())
    chosen = [("ids", each) for each in many]
    csrf = next(value for name, value in form.values if name == "csrf_token")
    body = urlencode([*chosen, ("do", "set"), ("field", "source"), ("source", "List"), ("csrf_token", csrf)])

    def work(number: int) -> int:
        if number:
            return rivals.saves(many[-1], note="of the user")
        return tab.ask("POST", "/customer/bulk", body).status

    bulk, saved = at_once(2, work)
    for each in many:
        rivals.noted(each, bulk)
    assert bulk in {302, 303}, bulk
    last = rivals.user.ask("GET", f"/api/v1/customer/{many[-1]}").json
    assert last["source"] == "List"
    assert (last["note"] == "of the user") == (saved == 200)
    assert rivals.noted(many[0], tab.ask("POST", f"/customer/{many[0]}/edit", form.sent(source="Form")).status) == 409
    assert rivals.user.ask("GET", f"/api/v1/customer/{many[0]}").json["source"] == "List"


def _against_tabs(rivals: Rivals, tabs: list[Client], record_id: str) -> None:
    """The form in two tabs, the field in the list as htmx sends it, and a program: all have seen the same version."""
    path, edit = f"/api/v1/customer/{record_id}", f"/customer/{record_id}/edit"
    forms = [Form(tab.ask("GET", edit).body.decode()) for tab in tabs]
    seen = rivals.user.ask("GET", path)
    csrf = next(value for name, value in forms[0].values if name == "csrf_token")
    cell = urlencode({"version": seen.json["version"], "email": "cell@example.com", "csrf_token": csrf})

    def work(number: int) -> int:
        if number == 0:
            return rivals.user.ask("PATCH", path, {"note": "program"}, **{"If-Match": seen.headers["etag"]}).status
        if number == 1:
            return rivals.other.ask("PATCH", path, {"note": "other"}, **{"If-Match": seen.headers["etag"]}).status
        if number == 2:
            return tabs[1].ask("POST", edit, forms[1].sent(note="tab")).status
        headers = {"HX-Request": "true"}
        return tabs[0].ask("POST", f"/customer/{record_id}/cell/email", cell, **headers).status

    statuses = at_once(4, work)
    for status in statuses:
        rivals.noted(record_id, status)
    assert sum(status < 400 for status in statuses) == 1, statuses
    assert rivals.user.ask("GET", path).json["version"] == seen.json["version"] + 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_where_nobody_looks_at_the_version_the_same_race_finds_it(make_app: Any, monkeypatch: pytest.MonkeyPatch):
    """The control: everybody is told that it was saved, and all but one are overwritten."""
    monkeypatch.setattr(Unit, "_check_version", lambda *_: None)
    with make_app() as app:
        ada = app.create_customer(name="Ada")
        note = app.site.entities["customer"].meta.fields["note"]
        bearer = token(app)
        with served_here(app) as base, clients(base, 8, bearer) as many:
            told = Writers(many).race(f"/api/v1/customer/{ada.id}", note, Examples(), 8)
            after = version(many[0], f"/api/v1/customer/{ada.id}")
        assert told[200] > 1
        tally("D2", "writers of one record over the API", control=overwritten(told, 1, after))
