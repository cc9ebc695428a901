"""A card is an entity like any other: what its definition says is what the API serves."""

from __future__ import annotations


def test_a_customer_made_through_the_api_gets_a_card(make_app):
    with make_app(plugins=["loyalty"]) as app:
        made = app.client.post("/api/v1/customer", json={"name": "Ada"})
        assert made.status_code == 201
        app.settle()
        answer = app.client.get("/api/v1/loyalty.card")
        assert answer.status_code == 200
        assert made.get_json()["id"] in answer.get_data(as_text=True)
