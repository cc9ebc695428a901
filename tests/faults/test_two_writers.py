"""Two to 32 who change one record at the same moment, over real HTTP: one of them wins, and the others are told.

Every kind of record there is, users and those of plugins among them, over the API and by the form.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from rapport.plugins import discover
from rapport.records import Unit
from rapport.testing.app import PASSWORD, TestApp
from rapport.testing.values import Examples, value_of
from tests.faults.sites import Client, Form, at_once, changeable, clients, fill, served, served_here, token
from tests.torture import tally, tries

pytestmark = pytest.mark.timeout(tries(1200, long=14_400))


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
            for name, record_id in made.items():
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
