"""What is asked for twice happens once, and of what is numbered no two are alike."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import delete, func, select

from rapport import Config, Conflict, Invalid, system
from rapport.access.service import attempt_table
from rapport.builtin.api import bulk, resource
from rapport.entities import Entity
from rapport.jobs import job_table
from rapport.plugins import discover
from rapport.testing.app import TestApp
from rapport.testing.values import Examples
from tests.faults.sites import at_once, clients, served_here
from tests.mortal import mortals, open_app
from tests.torture import tally, tries

pytestmark = pytest.mark.timeout(tries(1200, long=14_400))


@pytest.fixture
def everything(make_app: Any) -> Iterator[TestApp]:
    with make_app(plugins=sorted(discover())) as app:
        yield app


def count(app: TestApp, entity: type[Entity]) -> int:
    with app.site.db.read() as connection:
        return connection.scalar(select(func.count(entity.id))) or 0


def makeable(app: TestApp, examples: Examples) -> Iterator[tuple[type[Entity], dict[str, Any]]]:
    """Every kind of record that can be made over the API just so, and with which values."""
    client = app.client
    for entity in app.site.entities:
        if not entity.meta.writable:
            continue
        try:
            with app.site.write(app.admin) as unit:
                values = examples.values(unit, entity, whole=False)
        except (Invalid, Conflict):
            continue
        if client.post(f"/api/v1/{entity.meta.name}", json=values).status_code != 201:
            continue
        with app.site.write(app.admin) as unit:  # the next ones, as some may be there only once
            values = examples.values(unit, entity, whole=False)
        yield entity, values


def repeated(app: TestApp, name: str, entity: type[Entity], values: dict[str, Any], clients: list[Any]) -> int:
    """Ask for one record from four sides at once and then again and again; how many were made of it."""
    headers, before = {"Idempotency-Key": f"{name} once"}, count(app, entity)
    url = f"/api/v1/{entity.meta.name}"

    def send(number: int) -> tuple[int, bytes]:
        answer = clients[number % len(clients)].post(url, json=values, headers=headers)
        return answer.status_code, answer.data

    told = {*at_once(4, send), *(send(number) for number in range(3))}
    made = count(app, entity) - before
    if made == 1:
        assert len(told) == 1, (name, told)
        assert next(iter(told))[0] == 201, told
    return made


def test_whatever_is_posted_twice_with_its_key_has_its_effect_once(everything: TestApp):
    app, examples = everything, Examples()
    clients, stranger = [app.client for _ in range(4)], app.api(app.user("Mo", roles=["admin"]))
    kinds, twice = 0, 0
    for entity, values in makeable(app, examples):
        name, url = entity.meta.name, f"/api/v1/{entity.meta.name}"
        made = repeated(app, name, entity, values, clients)
        if not made:
            continue  # its rules refuse a second one of the kind
        twice += made - 1
        kinds += 1
        key = {"Idempotency-Key": f"{name} once"}
        changed = clients[0].post(url, data=json.dumps(values) + " ", headers=key, content_type="application/json")
        assert (changed.status_code, changed.get_json()["type"]) == (422, "/api/#key-reused"), name
        if kinds % tries(10, long=1) == 0:
            before = count(app, entity)
            answer = stranger.post(url, json=values, headers=key)
            assert "Idempotency-Replayed" not in answer.headers
            assert count(app, entity) - before == (answer.status_code == 201)
    assert twice == 0
    assert kinds > 40
    tally("D4", "a record of every kind", tried=7 * kinds, kinds=kinds, twice=0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_keys_that_nobody_keeps_are_found_out(app: TestApp, monkeypatch: pytest.MonkeyPatch):
    """The control: the key is read and forgotten."""
    for module in (resource, bulk):
        monkeypatch.setattr(module, "claim", lambda unit, key: None)
    customer = app.site.entities["customer"]
    made = repeated(app, "customer", customer, {"name": "Ada"}, [app.client for _ in range(4)])
    assert made > 1
    tally("D4", "a record of every kind", control=made - 1)


# A form for strangers, whose button is pressed twice -----------------------------------------------------------------


def fill_in(config: Config, path: str, form: dict[str, str]) -> int:
    """One who fills it in, in a process of their own."""
    return open_app(config).test_client().post(path, data=form).status_code


def what_came(app: TestApp) -> Counter[str]:
    """How many filled-in forms, mails, customers and answers there are."""
    counted = Counter({name: count(app, app.site.entities[name]) for name in FOLLOWS})
    with app.site.db.read() as connection:
        counted["mail"] = len(connection.execute(select(job_table.c.id).where(job_table.c.name == "core.mail")).all())
    return counted


FOLLOWS = ("marketing.submission", "customer", "marketing.response", "marketing.list_member", "consent")
FORM = "/marketing/form/offer"


@pytest.mark.parametrize("double_opt_in", [True, False])
def test_a_form_for_strangers_that_is_sent_twice_or_whose_process_dies_counts_once(make_app: Any, double_opt_in: bool):
    """Four presses of one button at the same moment, the link in the mail too; killed before any write of it."""
    with make_app(plugins=["marketing"], mail_url="smtp://127.0.0.1:9") as app, served_here(app) as base:
        with app.site.db.write() as connection:
            app.site.settings.set(connection, "marketing.form_seconds", 0)
        with app.site.write(system("test")) as unit:
            campaign = unit.create(app.site.entities["marketing.campaign"], {"name": "Offer"})
            unit.create(app.site.entities["marketing.form"], {
                "title": "Offer", "fields": ["name", "email"], "consent_text": "Yes", "double_opt_in": double_opt_in,
                "campaign_id": campaign.id,
            })  # fmt: skip
        app.settle()

        def filled(name: str) -> dict[str, str]:
            with app.site.db.write() as connection:  # a stranger has so many tries in ten minutes, and we are one
                connection.execute(delete(attempt_table))
            word = app.flask.test_client().get(FORM).get_data(as_text=True).split('name="page" value="', 1)[1]
            return {"name": name, "email": f"{name}@example.com", "agree": "1", "page": word.split('"', 1)[0]}

        tried = 0
        for number in range(tries(2, long=50)):
            before, body = what_came(app), urlencode(filled(f"n{number}"))
            press_four_times(base, FORM, body)
            asked = what_came(app) - before
            assert (asked["marketing.submission"], asked["mail"]) == (1, int(double_opt_in)), asked
            if double_opt_in:
                press_four_times(base, f"/marketing/form/{last_mail(app).partition('/marketing/form/')[2].split()[0]}")
            once = [*FOLLOWS[:3], "consent", *(["mail"] if double_opt_in else [])]
            assert what_came(app) - before == Counter(once)
            tried += 4
        died = 0
        with mortals(keep=app.site.config) as killable:
            for number in range(1, 60, tries(3, long=1)):
                before = what_came(app)
                done = killable.do(app.site.config, fill_in, FORM, filled(f"k{number}"), kill_at=number)
                asked = what_came(app) - before
                assert asked["mail"] == (asked["marketing.submission"] if double_opt_in else 0), "no mail, and no form"
                if done.how == "done":
                    break
                died += 1
        assert died
    tally("D4", "a form for strangers", tried=tried + died, twice=0, lost=0)


def press_four_times(base: str, path: str, body: str = "x=1") -> None:
    with clients(base, 4) as many:
        assert {at.status for at in at_once(4, lambda each: many[each].ask("POST", path, body))} == {200}


def last_mail(app: TestApp) -> str:
    with app.site.db.read() as connection:
        mails = select(job_table.c.arguments).where(job_table.c.name == "core.mail").order_by(job_table.c.id.desc())
        return str(connection.scalars(mails.limit(1)).one()["text"])


def numbered(app: TestApp) -> list[type[Entity]]:
    """The kinds of records that get a number of which there may not be two."""
    return [
        entity for entity in app.site.entities
        if (field := entity.meta.fields.get("number")) is not None and field.unique and not field.required
    ]  # fmt: skip


def make_at_once(app: TestApp, entity: type[Entity], examples: Examples, makers: int) -> Counter[str]:
    """The numbers that so many get who each make one at the same moment."""
    given = []
    for _ in range(makers):
        with app.site.write(app.admin) as unit:
            values = examples.values(unit, entity, whole=False)
            given.append({name: value for name, value in values.items() if name != "number"})

    def make(number: int) -> str:
        with app.site.write(app.admin) as unit:
            record: Any = unit.create(entity, given[number])
        return str(record.number)

    found = at_once(makers, make)
    assert not [each for each in found if isinstance(each, Exception)], found
    return Counter(found)


def test_of_many_who_make_one_at_once_each_gets_a_number_of_its_own(everything: TestApp):
    app, examples, made = everything, Examples(), 0
    kinds = numbered(app)
    for entity in kinds:
        for _ in range(tries(1, long=40)):
            numbers = make_at_once(app, entity, examples, 32 if app.site.db.is_sqlite else 16)
            assert "" not in numbers
            assert max(numbers.values()) == 1, (entity.meta.name, numbers)
            made += len(numbers)
    assert len(kinds) >= 3
    tally("D3", "numbers given at once", tried=made, kinds=len(kinds), twice=0)


@pytest.mark.plugins("sales")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_numbers_that_are_counted_and_not_drawn_are_found(app: TestApp, monkeypatch: pytest.MonkeyPatch):
    """The control: every order is told that it is the first."""
    monkeypatch.setattr("rapport_sales.orders.next_numbers", lambda session, kind, many: ["O-1"] * many)
    (order,) = numbered(app)
    with pytest.raises(AssertionError):
        make_at_once(app, order, Examples(), 4)
    tally("D3", "numbers given at once", control=1)
