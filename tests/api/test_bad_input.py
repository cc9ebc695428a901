"""Whatever is sent, the answer is a problem that names the field, and nothing has changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.torture import in_turn

VALUES: list[Any] = [
    None, "", " ", "x", "2026-13-45", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "\x07", "x" * 100_001,
    True, 0, -1,
    2**31, 2**53, 2**63, 10**39, 1.5, 1e300, [], [""], [1], ["a\nb"], [[]], ["x"] * 60, {}, {"a": 1}, {"street": 1},
    {"street": None}, {"a": {"b": [None]}}, "00000000-0000-7000-8000-000000000000",
]  # fmt: skip


@pytest.mark.parametrize("database_url", in_turn(1), indirect=True)
def test_no_value_in_any_field_of_any_record_breaks_anything(app, state, fields_of):
    """Every field of every kind of record, created and changed with every strange value there is."""
    client, app_admin = app.client, app.admin
    ada = app.create_customer(name="Ada")
    user = client.get(f"/api/v1/user/{app_admin.id}").get_json()
    existing = {"customer": client.get(f"/api/v1/customer/{ada.id}").get_json(), "user": user}
    for name, values in {
        "interaction": {"customer_id": str(ada.id), "subject": "Call"},
        "task": {"title": "Call"},
        "contact_point": {"customer_id": str(ada.id), "kind": "email", "value": "a@example.com"},
        "pipeline": {"name": "Sales", "entity": "x"},
        "team": {"name": "North"},
        "role": {"name": "clerk"},
    }.items():
        answer = client.post(f"/api/v1/{name}", json=values)
        assert answer.status_code == 201, answer.get_json()
        existing[name] = answer.get_json()
    client.post("/api/v1/stage", json={"pipeline_id": existing["pipeline"]["id"], "title": "New", "position": 1})
    for entity in app.site.entities:
        path = f"/api/v1/{entity.meta.name}"
        for field in entity.meta.fields.values():
            for value in VALUES if not field.readonly else VALUES[:1]:
                body = {field.name: value}
                answers = []
                if (known := existing.get(entity.meta.name)) is not None:
                    record = client.get(f"{path}/{known['id']}")
                    tag = {"If-Match": record.headers["ETag"]}
                    whole = {k: v for k, v in known.items() if k in {f.name for f in entity.meta.writable} and v}
                    answers = [
                        client.patch(f"{path}/{known['id']}", json=body, headers=tag),
                        client.post(path, json=whole | body),
                    ]
                else:
                    answers = [client.post(path, json=body)]
                for answer in answers:
                    assert answer.status_code < 500, (path, body, answer.get_data(as_text=True))
                    if answer.status_code == 422:
                        assert fields_of(answer), (path, body, answer.get_json())


BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "a trailing comma": b'{"name": "Ada",}',
    "a list": b"[]",
    "a text": b'"Ada"',
    "null": b"null",
    "a number too long": b'{"name": ' + b"9" * 5000 + b"}",
    "infinity": b'{"name": 1e999}',
    "NaN": b'{"name": NaN}',
    "Infinity": b'{"name": -Infinity}',
    "a lone surrogate": b'{"name": "\\ud800"}',
    "NUL": b'{"name": "a\\u0000b"}',
    "a raw control character": b'{"name": "a\x01b"}',
    "bytes that are no UTF-8": b'{"name": "\xff"}',
    "UTF-16": '{"name": "Ada"}'.encode("utf-16"),
    "the same key twice": b'{"name": "Ada", "name": "Eve"}',
    "five thousand lists": b'{"name": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a hundred objects": b'{"a":' * 100 + b"1" + b"}" * 100,
    "depth in one of many keys": b'{"x": ["{[", ' + b"[" * 40 + b"]" * 40 + b"]}",
    "an unknown field": b'{"nmae": "Ada"}',
    "a field that Rapport sets": b'{"name": "Ada", "version": 7}',
    "a secret field": b'{"name": "Ada", "name_key": "ada"}',
    "a wrong type": b'{"name": 7}',
    "a choice that is none": b'{"name": "Ada", "kind": "robot"}',
    "somebody who is not there": b'{"name": "Ada", "owner_id": "00000000-0000-7000-8000-000000000000"}',
    "an id that is none": b'{"name": "Ada", "owner_id": "me"}',
    "too much": b'{"name": "' + b"x" * 2_000_000 + b'"}',
}


def test_a_body_that_cannot_be_used_is_refused_and_changes_nothing(app, state, fields_of):
    ada, client = app.create_customer(name="Ada"), app.client
    address = f"/api/v1/customer/{ada.id}"
    before = state()
    for what, body in BODIES.items():
        for answer in (
            client.post("/api/v1/customer", data=body, content_type="application/json"),
            client.patch(address, data=body, content_type="application/json", headers={"If-Match": '"1"'}),
        ):
            assert 400 <= answer.status_code < 500, (what, answer.get_data(as_text=True))
            assert answer.content_type == "application/problem+json", what
            problem = answer.get_json()
            assert {"type", "title", "status", "detail"} <= set(problem), what
            if answer.status_code == 422 and not body.startswith((b"[", b'"', b"null")):
                assert fields_of(answer), (what, problem)
    assert state() == before


def test_a_problem_names_every_wrong_field_at_once(app, fields_of):
    answer = app.client.post("/api/v1/customer", json={"nmae": "Ada", "email": "no address", "kind": "robot"})
    assert sorted(fields_of(answer)) == ["email", "kind", "nmae"]
    assert "Did you mean 'name'?" in answer.get_json()["detail"]


def test_only_json_is_read(app, state):
    client = app.client
    before = state()
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
        answer = client.post("/api/v1/customer", data='{"name": "Ada"}', content_type=content_type)
        assert answer.status_code == 415
    assert client.post("/api/v1/customer/bulk", json={"op": "create"}).status_code == 415
    assert state() == before


QUERIES = [
    ("lmit=3", "lmit"), ("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"), ("limit=٣", "limit"),
    ("limit=1&limit=2", "limit"), ("sort=nmae", "sort"), ("sort=name_key", "sort"), ("sort=tags", "sort"),
    ("sort=name;drop", "sort"), ("fields=nmae", "fields"), ("fields=name_key", "fields"), ("cursor=x", "cursor"),
    ("cursor=%00", "cursor"), ("archived=yes", "archived"), ("count=1", "count"), ("filter=nmae+%3D+1", "filter"),
    ("filter=name_key+%3D+%22a%22", "filter"), ("filter=owner_id.password_hash+%3D+%22a%22", "filter"),
    ("filter=owner.password_hash+%3D+%22a%22", "filter"), ("filter=((", "filter"), ("filter=%00", "filter"),
    ("filter=" + "(" * 2000 + "name+%3D+1" + ")" * 2000, "filter"),
    ("filter=" + "not+" * 500 + "name+is+empty", "filter"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "field"), QUERIES)
def test_a_query_parameter_that_cannot_be_used_is_named(app, fields_of, query, field):
    answer = app.client.get(f"/api/v1/customer?{query}")
    assert (answer.status_code, answer.get_json()["type"]) == (400, "/api/#bad-query")
    assert fields_of(answer)[0] in {field, query.partition("+")[0].partition("=")[2]}


def test_what_is_not_there_is_not_found(app):
    client = app.client
    for path in (
        "/api", "/api/v1", "/api/v2/customer", "/api/v1/nobody", "/api/v1/customer/1", "/api/v1/customer/../user",
        "/api/v1/customer/00000000-0000-7000-8000-000000000000",
        "/api/v1/customer/{00000000-0000-7000-8000-000000000000}",
        "/api/v1/customer/%00", "/api/v1/customer/" + "9" * 3000,
    ):  # fmt: skip
        assert client.get(path, follow_redirects=False).status_code in {404, 308}, path
    ghost = "/api/v1/customer/00000000-0000-7000-8000-000000000000"
    assert client.patch(ghost, json={}, headers={"If-Match": '"1"'}).status_code == 404
    assert client.delete(ghost, headers={"If-Match": '"1"'}).status_code == 404
    assert client.post(f"{ghost}/archive").status_code == 404
    assert client.get(ghost).content_type == "application/problem+json"


def test_a_method_that_an_address_does_not_take_is_refused_with_those_it_takes(app):
    answer = app.client.put("/api/v1/customer", json={})
    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    assert app.client.delete("/api/v1/search").status_code == 405


def test_a_taken_number_is_a_conflict_at_its_field(app, fields_of):
    client = app.client
    client.post("/api/v1/team", json={"name": "North"})
    answer = client.post("/api/v1/team", json={"name": "North"})
    assert (answer.status_code, fields_of(answer)) == (409, ["name"])


def test_strange_headers_are_refused_in_words(app):
    client = app.client
    for key in ("", "#", "x" * 201):
        answer = client.post("/api/v1/customer", json={"name": "Ada"}, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.get_json()["type"]) == (400, "/api/#malformed")
    ada = app.create_customer(name="Ada")
    for tag in ("1", '"x"', '""', '"' + "9" * 50 + '"', "\xff"):
        answer = client.patch(f"/api/v1/customer/{ada.id}", json={"name": "Eve"}, headers={"If-Match": tag})
        assert answer.status_code == 412


def test_a_database_that_is_busy_is_said_so(make_app, database_url, monkeypatch):
    if not database_url.startswith("sqlite"):
        return  # PostgreSQL has many writers at a time
    monkeypatch.setattr("rapport.db.engine.BUSY_TIMEOUT_MS", 50)
    with make_app() as app:
        client = app.client
        with app.site.db.write():  # somebody else is in the middle of a long change
            answer = client.post("/api/v1/customer", json={"name": "Ada"})
            assert client.get("/api/v1/customer").status_code == 200
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert client.post("/api/v1/customer", json={"name": "Ada"}).status_code == 201


def test_problems_speak_json_even_for_what_no_view_saw(app):
    anonymous = app.flask.test_client()
    for answer in (anonymous.get("/api/v1/customer"), anonymous.post("/api/nowhere", data="x")):
        assert json.loads(answer.data)["status"] == answer.status_code
