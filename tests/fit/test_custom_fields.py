"""An administrator adds fields to customers without code, and they behave like any other field."""

from __future__ import annotations

import json

import pytest

from rapport.builtin.exchange import imports
from rapport.fit import CustomField

FIELDS = [
    {"name": "x_pool", "label": "Kind of pool", "kind": "choice", "choices": ["Round", "Square"], "in_list": True,
     "indexed": True},
    {"name": "x_volume", "label": "Volume", "kind": "decimal", "indexed": True, "in_list": True},
    {"name": "x_built", "label": "Built on", "kind": "date"},
    {"name": "x_seen", "label": "Seen at", "kind": "instant"},
    {"name": "x_heated", "label": "Heated", "kind": "flag"},
    {"name": "x_visits", "label": "Visits", "kind": "integer", "default_value": "0"},
    {"name": "x_dealer_id", "label": "Dealer", "kind": "reference", "target": "customer"},
    {"name": "x_extras", "label": "Extras", "kind": "tags"},
    {"name": "x_serial", "label": "Serial number", "kind": "text", "searchable": True},
]  # fmt: skip


def add_fields(app, fields=FIELDS, entity="customer"):
    with app.site.write(app.admin) as unit:
        for each in fields:
            unit.create(CustomField, {"entity": entity, **each})


@pytest.fixture
def pools(make_app):
    """A site whose customers have pools; what is yielded is as good as a restarted one."""
    with make_app() as app:
        add_fields(app)
    with make_app() as app:
        yield app


def ask(app, **query):
    answer = app.client.get("/api/v1/customer", query_string=query)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()["items"]


def make(app, **values):
    answer = app.client.post("/api/v1/customer", json=values)
    assert answer.status_code == 201, answer.get_json()
    return answer.get_json()


FULL = {
    "x_pool": "Round", "x_volume": "42.50", "x_built": "2019-05-01", "x_seen": "2026-03-01T09:00:00Z",
    "x_heated": True, "x_visits": 3, "x_extras": ["slide", "lamp"], "x_serial": "RS-2000",
}  # fmt: skip


def test_what_goes_in_comes_out_as_its_kind(pools):
    dealer = make(pools, name="Dealer")
    ada = make(pools, name="Ada", x_dealer_id=dealer["id"], **FULL)
    assert {key: ada[key] for key in FULL} == FULL
    assert ada["x_dealer_id"] == dealer["id"]
    read = pools.client.get(f"/api/v1/customer/{ada['id']}").get_json()
    assert read == ada
    assert dealer["x_visits"] == 0, "a new record gets the default"
    assert dealer["x_pool"] is None


FILTERS = {
    'x_pool = "Round"': ["Ada"],
    'x_pool != "Round"': ["Bob", "Cy"],
    "x_volume > 9": ["Ada", "Bob"],
    "x_volume between 1 and 20": ["Bob"],
    'x_built < "2020-01-01"': ["Ada"],
    'x_seen >= "2026-01-01"': ["Ada"],
    "x_heated = true": ["Ada"],
    "x_visits = 0": ["Bob", "Cy"],
    "x_pool is empty": ["Cy"],
    'x_extras has "lamp"': ["Ada"],
    'x_serial starts "rs"': ["Ada"],
    'x_dealer.name = "Cy"': ["Ada"],
}


def test_lists_are_filtered_by_them(pools):
    cy = make(pools, name="Cy")
    make(pools, name="Bob", x_pool="Square", x_volume="10")
    make(pools, name="Ada", x_dealer_id=cy["id"], **FULL)
    found = {filter: sorted(item["name"] for item in ask(pools, filter=filter)) for filter in FILTERS}
    assert found == FILTERS


def test_lists_are_sorted_and_paged_by_them(pools):
    for n in range(7):
        values = {} if n in {2, 5} else {"x_volume": f"{(n * 7) % 5}.25", "x_built": f"200{n}-01-01", "x_pool": "Round"}
        make(pools, name=f"C{n}", **values)
    volumes = [item["x_volume"] for item in ask(pools, sort="x_volume")]
    assert volumes == [*sorted(volumes[:5]), None, None]
    client = pools.client
    for sort in ("x_volume", "-x_volume", "x_built,-x_volume", "x_pool"):
        whole = [item["name"] for item in ask(pools, sort=sort)]
        paged, cursor = [], {}
        while True:
            page = client.get("/api/v1/customer", query_string={"sort": sort, "limit": 2, **cursor}).get_json()
            paged += [item["name"] for item in page["items"]]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert (len(whole), paged) == (7, whole), sort


def test_what_does_not_fit_is_refused_with_the_field_and_nothing_changes(pools):
    for name, value in [("x_pool", "Oval"), ("x_volume", "much"), ("x_built", "soon"), ("x_heated", "maybe"),
                        ("x_dealer_id", "018f3a4e-0000-7000-8000-000000000000"), ("x_unknown", 1)]:  # fmt: skip
        answer = pools.client.post("/api/v1/customer", json={"name": "Ada", name: value})
        assert answer.status_code == 422, (name, answer.get_json())
        assert [error["field"] for error in answer.get_json()["errors"]] == [name]
    assert ask(pools) == []


def test_a_change_is_logged_field_by_field_and_can_be_read_in_the_history(pools):
    ada = make(pools, name="Ada", **FULL)
    changed = pools.client.patch(f"/api/v1/customer/{ada['id']}", json={"x_volume": "50", "x_pool": None},
                                 headers={"If-Match": f'"{ada["version"]}"'})  # fmt: skip
    assert changed.status_code == 200
    assert changed.get_json()["x_volume"] == "50.00"
    assert changed.get_json()["x_serial"] == "RS-2000"
    told = pools.client.get("/api/v1/changes", query_string={"entity": "customer"}).get_json()["items"][-1]
    assert told["changes"] == {"x_volume": ["42.50", "50.00"], "x_pool": ["Round", None]}
    page = pools.browser().get(f"/customer/{ada['id']}/history").get_data(as_text=True)
    assert "Kind of pool" in page


def test_they_are_on_forms_lists_and_record_pages(pools):
    ada = make(pools, name="Ada", **FULL)
    browser = pools.browser()
    for url in (f"/customer/{ada['id']}", "/customer", f"/customer/{ada['id']}/edit"):
        page = browser.get(url).get_data(as_text=True)
        assert "Kind of pool" in page, url
        assert "Round" in page, url
    assert "Volume" in browser.get("/customer/new").get_data(as_text=True)


def test_search_finds_by_them(pools):
    ada = make(pools, name="Ada", **FULL)
    found = pools.client.get("/api/v1/search", query_string={"q": "RS-2000"}).get_json()["items"]
    assert [hit["id"] for hit in found] == [ada["id"]]


def test_they_are_described_in_openapi(pools):
    schema = pools.client.get("/api/openapi.json").get_json()["components"]["schemas"]["customer"]["properties"]
    assert schema["x_pool"]["enum"] == ["Round", "Square", None]
    assert schema["x_dealer_id"]["x-references"] == "customer"


def test_an_export_reads_back_and_an_import_can_be_undone(pools):
    ada = make(pools, name="Ada", **FULL)
    with pools.client.get("/api/v1/customer/export", query_string={"format": "ndjson"}) as answer:
        row = json.loads(answer.get_data(as_text=True).splitlines()[0])
    assert {key: row[key] for key in FULL} == FULL
    file = b"Name,Kind of pool,Volume,Heated\nAda,Square,7.5,no\nBob,Round,12,yes\n"
    run = imports.start(pools.site, pools.admin, "customer", file, "more.csv")
    run = imports.decide(pools.site, pools.admin, run.id, match_by=["name"], on_match="update")
    imports.run(pools.site, pools.admin, run.id)
    assert [(item["name"], item["x_pool"], item["x_volume"], item["x_heated"]) for item in ask(pools, sort="name")] == [
        ("Ada", "Square", "7.50", False), ("Bob", "Round", "12.00", True),
    ]  # fmt: skip
    imports.undo(pools.site, pools.admin, run.id)
    (back,) = ask(pools)
    assert {key: value for key, value in back.items() if key not in {"version", "updated_at"}} == {
        key: value for key, value in ada.items() if key not in {"version", "updated_at"}
    }


def test_merging_fills_what_the_survivor_lacks_and_moves_references(pools):
    ada, twin = make(pools, name="Ada"), make(pools, name="Ada L", x_pool="Square", x_volume="7")
    bob = make(pools, name="Bob", x_dealer_id=twin["id"])
    merged = pools.client.post(f"/api/v1/customer/{ada['id']}/merge", json={"absorbed": [twin["id"]]})
    assert merged.status_code == 200
    now = pools.client.get(f"/api/v1/customer/{ada['id']}").get_json()
    assert (now["x_pool"], now["x_volume"]) == ("Square", "7.00")
    assert pools.client.get(f"/api/v1/customer/{bob['id']}").get_json()["x_dealer_id"] == ada["id"]


def test_a_required_field_must_be_given_and_stays(make_app):
    with make_app() as app:
        old = app.create_customer(name="Old")
        add_fields(app, [{"name": "x_code", "label": "Code", "kind": "text", "required": True}])
    with make_app() as app:
        assert app.client.post("/api/v1/customer", json={"name": "Ada"}).status_code == 422
        ada = make(app, name="Ada", x_code="A")
        emptied = app.client.patch(f"/api/v1/customer/{ada['id']}", json={"x_code": ""}, headers={"If-Match": '"1"'})
        assert emptied.status_code == 422
        kept = app.client.patch(f"/api/v1/customer/{old.id}", json={"note": "x"}, headers={"If-Match": '"1"'})
        assert kept.status_code == 200, "who was there before may still be changed"


def test_an_archived_field_is_gone_everywhere_and_comes_back_with_what_it_held(make_app):
    with make_app() as app:
        add_fields(app)
    with make_app() as app:
        ada = make(app, name="Ada", **FULL)
        known = app.client.get("/api/v1/custom_field", query_string={"filter": 'name = "x_pool"'}).get_json()["items"]
        assert app.client.post(f"/api/v1/custom_field/{known[0]['id']}/archive").status_code == 200
    with make_app() as app:
        now = app.client.get(f"/api/v1/customer/{ada['id']}").get_json()
        assert "x_pool" not in now
        version = {"If-Match": f'"{now["version"]}"'}
        changed = app.client.patch(f"/api/v1/customer/{ada['id']}", json={"x_visits": 9}, headers=version)
        assert changed.status_code == 200
        assert app.client.post(f"/api/v1/custom_field/{known[0]['id']}/restore").status_code == 200
    with make_app() as app:
        assert app.client.get(f"/api/v1/customer/{ada['id']}").get_json()["x_pool"] == "Round"


FAULTS = [
    ({"name": "pool"}, "name"),
    ({"name": "x_Pool"}, "name"),
    ({"entity": "nothing"}, "entity"),
    ({"kind": "choice"}, "choices"),
    ({"kind": "reference", "target": "nothing"}, "target"),
    ({"kind": "integer", "default_value": "many"}, "default_value"),
    ({"label": ""}, "label"),
]


def test_a_field_that_cannot_be_is_refused_with_the_reason(app):
    client = app.client
    for field, fault in FAULTS:
        given = {"entity": "customer", "name": "x_a", "label": "A", "kind": "text", **field}
        answer = client.post("/api/v1/custom_field", json=given)
        assert answer.status_code == 422, field
        assert fault in [error["field"] for error in answer.get_json()["errors"]]


def test_only_administrators_fit_the_site(app):
    member = app.api(app.user("Mia Member"))
    given = {"entity": "customer", "name": "x_a", "label": "A", "kind": "text"}
    assert member.post("/api/v1/custom_field", json=given).status_code == 403
