"""Plugins extend customers with fields and links of their own, without touching the customer's table."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import MetaData, select

from rapport.customers.erasing import erase
from rapport.customers.service import merge, undo_merge
from rapport.errors import PluginError

EXTENSION = """
from sqlalchemy.orm import Mapped
from rapport import Customer, Entity, Extension, Link, UUID, field, hookimpl, ref
import datetime as dt
from decimal import Decimal

class Delivery(Extension, of="customer", name="{name}.delivery", title="Delivery"):
    "How somebody gets their paper."
    route: Mapped[str] = field(label="Route", default="", in_list=True)
    since: Mapped[dt.date | None] = field(label="Delivered since")
    fee: Mapped[Decimal | None] = field(label="Fee", kind="decimal")

class Friendship(Link, between=("customer", "customer"), name="{name}.friendship", title="Friendship",
                 roles={{"member": "read create"}}):
    "Who knows whom."
    since: Mapped[dt.date | None] = field(label="Since")

@hookimpl
def register_entities():
    return [Delivery, Friendship]
"""


@pytest.fixture
def papers(plugin_on_disk):
    """A plugin that extends customers, under a name no other test has used."""
    name = f"papers{uuid.uuid4().hex[:6]}"
    return plugin_on_disk(name, EXTENSION.format(name=name))


def make(app, **values):
    answer = app.client.post("/api/v1/customer", json=values)
    assert answer.status_code == 201, answer.get_json()
    return answer.get_json()


def read(app, customer):
    return app.client.get(f"/api/v1/customer/{customer['id']}").get_json()


def test_its_fields_are_the_customers_in_the_api(make_app, papers):
    with make_app(plugins=[papers]) as app:
        ada = make(app, name="Ada", **{f"{papers}_route": "North", f"{papers}_fee": "2.50"})
        assert (ada[f"{papers}_route"], ada[f"{papers}_fee"], ada[f"{papers}_since"]) == ("North", "2.50", None)
        assert read(app, ada) == ada
        bob = make(app, name="Bob")
        assert bob[f"{papers}_route"] is None
        changed = app.client.patch(f"/api/v1/customer/{bob['id']}", headers={"If-Match": f'"{bob["version"]}"'},
                                   json={f"{papers}_since": "2026-01-01", "note": "x"})  # fmt: skip
        assert changed.status_code == 200, changed.get_json()
        assert changed.get_json()[f"{papers}_since"] == "2026-01-01"
        stale = app.client.patch(f"/api/v1/customer/{bob['id']}", headers={"If-Match": f'"{bob["version"]}"'},
                                 json={f"{papers}_since": "2026-01-02"})  # fmt: skip
        assert stale.status_code == 412, "a change of an extension is a change of the record"
        for given in ({f"{papers}_fee": "much"}, {f"{papers}_nothing": 1}):
            assert app.client.post("/api/v1/customer", json={"name": "Cy", **given}).status_code == 422


def test_lists_filter_sort_and_export_by_them(make_app, papers):
    with make_app(plugins=[papers]) as app:
        for name, route in (("Ada", "South"), ("Bob", "North"), ("Cy", None)):
            make(app, name=name, **({f"{papers}_route": route} if route else {}))
        client = app.client

        def names(**query):
            return [each["name"] for each in client.get("/api/v1/customer", query_string=query).get_json()["items"]]

        assert names(filter=f'{papers}_route = "North"') == ["Bob"]
        assert names(filter=f"{papers}_route is empty") == ["Cy"]
        assert names(sort=f"{papers}_route") == ["Bob", "Ada", "Cy"]
        with client.get("/api/v1/customer/export") as answer:
            assert f"{papers}_route" in answer.get_data(as_text=True).splitlines()[0]


def test_pages_show_and_ask_for_them(make_app, papers):
    with make_app(plugins=[papers]) as app:
        ada = make(app, name="Ada", **{f"{papers}_route": "North by north-west"})
        browser = app.browser()
        for url in (f"/customer/{ada['id']}", "/customer", f"/customer/{ada['id']}/edit"):
            assert "North by north-west" in browser.get(url).get_data(as_text=True), url
        assert f'name="{papers}_since"' in browser.get("/customer/new").get_data(as_text=True)


def test_who_may_change_the_customer_may_change_them_and_nobody_else(make_app, papers):
    with make_app(plugins=[papers]) as app:
        mia, vi = app.user("Mia"), app.user("Vi", roles=["viewer"])
        mine = app.api(mia).post("/api/v1/customer", json={"name": "Mine", f"{papers}_route": "East"}).get_json()
        assert mine[f"{papers}_route"] == "East"
        assert app.api(vi).get(f"/api/v1/customer/{mine['id']}").get_json()[f"{papers}_route"] == "East"
        assert app.api(mia).get(f"/api/v1/{papers}.delivery").status_code == 403, "by itself it is nobody's"
        refused = app.api(vi).patch(f"/api/v1/customer/{mine['id']}", json={f"{papers}_route": "West"},
                                    headers={"If-Match": '"1"'})  # fmt: skip
        assert refused.status_code == 403


def test_a_site_without_the_plugin_has_no_trace_and_keeps_every_row(make_app, papers):
    with make_app(plugins=[papers]) as app:
        ada = make(app, name="Ada", **{f"{papers}_route": "North"})
    with make_app(plugins=[]) as app:
        assert f"{papers}_route" not in read(app, ada)
        assert app.client.get("/api/v1/customer", query_string={"sort": f"{papers}_route"}).status_code in {400, 422}
    with make_app(plugins=[papers]) as app:
        assert read(app, ada)[f"{papers}_route"] == "North"


def test_two_that_add_the_same_field_are_told(make_app, plugin_on_disk):
    name = f"twice{uuid.uuid4().hex[:6]}"
    code = EXTENSION.format(name=name) + (
        f'\nclass Second(Extension, of="customer", name="{name}.second", title="Second"):\n'
        '    route: Mapped[str] = field(label="Route", default="")\n'
    )
    plugin_on_disk(name, code.replace("return [Delivery, Friendship]", "return [Delivery, Friendship, Second]"))
    told = f"gives 'customer' a second field '{name}_route'"
    with pytest.raises(PluginError, match=told), make_app(plugins=[name]):
        pass


def story(app, papers):
    """Ada and her twin, both with a route and both friends of Bob."""
    ada, bob = make(app, name="Ada", **{f"{papers}_route": "North"}), make(app, name="Bob")
    twin = make(app, name="Ada L", **{f"{papers}_route": "South", f"{papers}_fee": "3"})
    for one in (ada, twin):
        made = app.client.post(f"/api/v1/{papers}.friendship", json={"customer_id": one["id"], "other_id": bob["id"]})
        assert made.status_code == 201, made.get_json()
    return ada, bob, twin


def friendships(app, papers):
    return app.client.get(f"/api/v1/{papers}.friendship").get_json()["items"]


def test_a_pair_is_linked_once(make_app, papers):
    with make_app(plugins=[papers]) as app:
        ada, bob, _twin = story(app, papers)
        pair = {"customer_id": ada["id"], "other_id": bob["id"]}
        assert app.client.post(f"/api/v1/{papers}.friendship", json=pair).status_code == 409
        assert "Friendship" in app.browser().get(f"/customer/{ada['id']}").get_data(as_text=True)


def test_merging_keeps_one_of_each_and_can_be_undone(make_app, papers):
    with make_app(plugins=[papers]) as app:
        ada, _bob, twin = story(app, papers)
        batch = merge(app.site, app.admin, uuid.UUID(ada["id"]), [uuid.UUID(twin["id"])])
        now = read(app, ada)
        assert (now[f"{papers}_route"], now[f"{papers}_fee"]) == ("North", "3.00")
        assert [each["customer_id"] for each in friendships(app, papers)] == [ada["id"]]
        assert undo_merge(app.site, app.admin, batch) == []
        assert (read(app, twin)[f"{papers}_route"], read(app, twin)[f"{papers}_fee"]) == ("South", "3.00")
        assert read(app, ada)[f"{papers}_fee"] is None
        assert len(friendships(app, papers)) == 2


def test_merging_and_erasing_reach_a_plugin_that_is_switched_off(make_app, papers):
    with make_app(plugins=[papers]) as app:
        _ada, bob, twin = story(app, papers)
        cy = make(app, name="Cy", **{f"{papers}_route": "Hill"})
        dan = make(app, name="Dan")
    with make_app(plugins=[]) as app:
        batch = merge(app.site, app.admin, uuid.UUID(dan["id"]), [uuid.UUID(twin["id"])])
        erase(app.site, app.admin, uuid.UUID(cy["id"]))
    with make_app(plugins=[papers]) as app:
        assert read(app, dan)[f"{papers}_route"] == "South"
        assert {each["customer_id"] for each in friendships(app, papers)} >= {dan["id"]}
        routes = app.client.get(f"/api/v1/{papers}.delivery").get_json()["items"]
        assert sorted(each["route"] for each in routes) == ["North", "South"], "Cy's is gone"
        assert undo_merge(app.site, app.admin, batch) == []
        assert read(app, twin)[f"{papers}_route"] == "South"
        assert {each["other_id"] for each in friendships(app, papers)} == {bob["id"]}


def test_erasing_leaves_nothing_of_a_person_but_that_there_was_one(make_app, papers):
    secret = "Zanzibar"
    with make_app(plugins=["sales", papers]) as app:
        ada = make(app, name=f"Ada {secret}", email=f"{secret.lower()}@example.com", note=secret, tags=[secret],
                   **{f"{papers}_route": secret})  # fmt: skip
        twin = make(app, name=f"A. {secret}")
        merge(app.site, app.admin, uuid.UUID(ada["id"]), [uuid.UUID(twin["id"])])
        client = app.client
        client.post("/api/v1/interaction", json={"customer_id": ada["id"], "kind": "call", "body": secret})
        deal = client.post("/api/v1/sales.opportunity", json={"name": "Deal", "customer_id": ada["id"], "amount": "5"})
        assert deal.status_code == 201, deal.get_json()
        app.settle()
        answer = client.post(f"/api/v1/customer/{ada['id']}/erase")
        assert answer.status_code == 200, answer.get_json()
        assert read(app, ada)["name"] == "Erased"
        kept = client.get(f"/api/v1/sales.opportunity/{deal.get_json()['id']}").get_json()
        assert (kept["customer_id"], kept["amount"]) == (ada["id"], "5.00")
        assert client.get("/api/v1/search", query_string={"q": secret}).get_json()["items"] == []
        with app.site.db.read() as connection:
            everything = dump(connection)
        assert [line for line in everything if secret.lower() in line.lower()] == []


def dump(connection):
    """Every row of every table, as text."""
    found = MetaData()
    found.reflect(connection)
    return [
        f"{table.name}: {tuple(row)!r}" for table in found.sorted_tables for row in connection.execute(select(table))
    ]


def test_only_who_may_delete_any_customer_may_erase(app):
    ada = make(app, name="Ada")
    member = app.api(app.user("Mia"))
    assert member.post(f"/api/v1/customer/{ada['id']}/erase").status_code == 403
    assert read(app, ada)["name"] == "Ada"
