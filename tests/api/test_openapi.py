"""The API describes itself, truly and for every kind of record, and offers a page to try it."""

from __future__ import annotations

import pytest


def test_the_document_is_valid_openapi_and_names_every_route(make_app):
    with make_app(plugins=["loyalty"]) as app:
        answer = app.flask.test_client().get("/api/openapi.json")
        document = answer.get_json()
        assert document["openapi"] == "3.1.0"
        described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
        served = {
            (method, rule.rule.replace("<id>", "{id}"))
            for rule in app.flask.url_map.iter_rules()
            if rule.rule.startswith("/api/v1/")
            for method in rule.methods - {"HEAD", "OPTIONS"}
        }
        assert described == served
        assert "/api/v1/loyalty.card/{id}" in document["paths"]
        again = app.flask.test_client().get("/api/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304
        validator = pytest.importorskip("openapi_spec_validator", reason="needs the package openapi-spec-validator")
        validator.validate(document)


NO_KEY = {
    "customer-duplicates": "changes nothing",
    "customer-merge": "twice, it changes nothing more",
    "customer-erase": "the second time, there is nobody",
    "file-upload": "a file that no record holds is swept away",
    "token-create": "answers with a secret, which is kept nowhere",
    "webhook-rotate": "answers with a secret, which is kept nowhere",
    "inbound_hook-rotate": "answers with a secret, which is kept nowhere",
}


def test_what_may_be_sent_twice_takes_a_key(app):
    document = app.client.get("/api/openapi.json").get_json()
    without = {
        operations["post"]["operationId"]
        for operations in document["paths"].values()
        if "post" in operations and "Idempotency-Key" not in {each["name"] for each in operations["post"]["parameters"]}
    }
    assert without == set(NO_KEY)


def test_answers_are_as_the_document_says(make_app):
    jsonschema = pytest.importorskip("jsonschema", reason="needs the package jsonschema")
    with make_app(plugins=["loyalty"]) as app:
        ada = app.create_customer(name="Ada", tags=["vip"], address={"city": "London"})
        document = app.client.get("/api/openapi.json").get_json()
        for entity in app.site.entities:
            schema = {"$ref": f"#/components/schemas/{entity.meta.name}.list", "components": document["components"]}
            answer = app.client.get(f"/api/v1/{entity.meta.name}")
            jsonschema.Draft202012Validator(schema).validate(answer.get_json())
        schema = {"$ref": "#/components/schemas/Problem", "components": document["components"]}
        problem = app.client.patch(f"/api/v1/customer/{ada.id}", json={}).get_json()
        jsonschema.Draft202012Validator(schema).validate(problem)


def test_a_secret_is_in_no_schema(app):
    text = app.flask.test_client().get("/api/openapi.json").get_data(as_text=True)
    assert not any(name in text for name in ("password_hash", "token_hash", "totp_secret", "name_key"))


def test_the_page_to_try_it_loads_nothing_from_elsewhere(make_app):
    with make_app(plugins=["loyalty"]) as app:
        client = app.flask.test_client()
        page = client.get("/api/")
        text = page.get_data(as_text=True)
        assert "Loyalty cards" in text
        assert "'self'" in page.headers["Content-Security-Policy"]
        assert "http://" not in text
        assert "https://" not in text
        for name in ("reference.js", "reference.css"):
            assert f"/api/static/{name}" in text
            answer = client.get(f"/api/static/{name}")
            assert answer.status_code == 200
            answer.close()
        assert client.get("/api/static/../routes.py").status_code == 404


def test_a_plugin_gets_its_api_by_being_enabled(make_app):
    with make_app(plugins=["loyalty"]) as app:
        app.create_customer(name="Ada")
        cards = app.client.get("/api/v1/loyalty.card").get_json()["items"]
        assert [card["tier"] for card in cards] == ["bronze"]
    with make_app(plugins=[]) as app:
        assert app.client.get("/api/v1/loyalty.card").status_code == 404
