"""The warehouse for programs: questions, answers and files, refusals that name the field, and its own description."""

from __future__ import annotations

import csv
import io

import pytest
from rapport_warehouse import refresh

from rapport import Customer

pytestmark = pytest.mark.plugins("warehouse", "sales")
CUBE = "/api/v1/warehouse.cube"


@pytest.fixture
def client(app):
    with app.site.write(app.admin) as unit:
        for name, country in (("Ada", "FR"), ("Bob", "FR"), ("=Cy", "DE")):
            unit.create(Customer, {"name": name, "address": {"country": country}})
    refresh(app.site)
    return app.client


def test_a_question_in_an_address_and_the_same_in_a_body(client):
    asked = {"measures": "core.new_customers", "rows": "core.country"}
    got = client.get(CUBE, query_string=asked)
    assert got.status_code == 200
    answer = got.get_json()
    assert [row[0]["title"] for row in answer["rows"]] == ["France", "Germany"]
    assert answer["cells"] == [[{"core.new_customers": {"value": 2}}], [{"core.new_customers": {"value": 1}}]]
    assert answer["total"] == {"core.new_customers": {"value": 3}}
    posted = client.post(CUBE, json={"measures": ["core.new_customers"], "rows": ["core.country"]})
    assert posted.get_json() == answer
    sliced = client.get(CUBE, query_string={**asked, "where": ["core.country:DE"]}).get_json()
    assert sliced["total"]["core.new_customers"]["value"] == 1


def test_an_answer_comes_as_a_file(client):
    asked = {"measures": "core.new_customers", "rows": "core.customer", "order": "core.customer"}
    got = client.get(CUBE, query_string={**asked, "format": "csv"}, buffered=True)
    rows = list(csv.reader(io.StringIO(got.get_data().decode("utf-8-sig"))))
    assert rows[0] == ["Customer", "New customers"]
    assert rows[-1] == ["Total", "3"]
    assert {row[0] for row in rows[1:4]} == {"Ada", "Bob", "'=Cy"}  # what Excel would take for a formula is text
    xlsx = client.get(CUBE, query_string={**asked, "format": "xlsx"}, buffered=True)
    assert xlsx.get_data()[:2] == b"PK"


def test_the_records_behind_a_figure_come_page_by_page(client):
    asked = {"measures": "core.new_customers", "rows": "core.country", "row": "FR", "limit": "1"}
    first = client.get("/api/v1/warehouse.drill", query_string=asked).get_json()
    second = client.get("/api/v1/warehouse.drill", query_string={**asked, "cursor": first["next"]}).get_json()
    assert (first["entity"], [each["title"] for each in first["items"] + second["items"]]) == (
        "customer",
        ["Ada", "Bob"],
    )
    assert second["next"] is None
    question = {"measures": ["core.new_customers"], "rows": ["core.country"]}
    posted = client.post("/api/v1/warehouse.drill", json={"question": question, "row": ["DE"]}).get_json()
    assert [each["title"] for each in posted["items"]] == ["=Cy"]


def test_what_may_be_asked_is_told(client):
    offer = client.get("/api/v1/warehouse.offer").get_json()
    measures = {each["name"]: each for each in offer["measures"]}
    assert "sales.reason" in measures["sales.won"]["dimensions"]
    assert {"date.month", "core.country"} <= {each["name"] for each in offer["dimensions"]}
    listed = client.get("/api/v1/warehouse.members", query_string={"dimension": "core.country", "search": "fra"})
    assert listed.get_json()["items"] == [{"key": "FR", "title": "France", "url": ""}]


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ({"measures": "sales.wun"}, "measures", "names 'sales.wun', which is unknown."),
        ({"measures": "sales.won", "colums": "x"}, "colums", "is not a parameter of this address."),
        ({"measures": "sales.won", "where": "FR"}, "where", "is written as dimension:key, such as core.country:FR."),
        ({"measures": "sales.won", "format": "pdf"}, "format", "must be one of json, csv, xlsx."),
        ({}, "measures", "is missing. Name at least one measure."),
    ],
)
def test_a_refusal_is_a_problem_that_names_the_field(client, query, field, said):
    got = client.get(CUBE, query_string=query)
    assert (got.status_code, got.content_type) == (400, "application/problem+json")
    assert got.get_json()["errors"][0]["field"] == field
    assert got.get_json()["errors"][0]["message"].startswith(said)


def test_who_is_not_signed_in_gets_nothing_and_the_api_describes_itself(client, app):
    assert app.flask.test_client().get(CUBE).status_code == 401
    assert client.post(CUBE, json={"measures": ["x.y"]}).status_code == 422
    paths = client.get("/api/openapi.json").get_json()["paths"]
    assert set(paths[CUBE]) == {"get", "post"}
    assert "measures" in {each["name"] for each in paths[CUBE]["get"]["parameters"]}
    assert "/api/v1/warehouse.drill" in paths
