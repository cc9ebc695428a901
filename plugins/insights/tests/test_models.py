"""Models are trained by jobs, kept in versions, and what they say of customers are fields like any other."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rapport_insights import Model, Score
from rapport_insights.training import SCORE

from .conftest import Shop


def test_without_purchases_training_fails_in_plain_words(make_app: Any) -> None:
    with make_app(plugins=["insights"]) as app:
        shop = Shop(app)
        shop.train("rfm", "rfm")
        (model,) = shop.all(Model)
        assert (model.state, model.number, model.name) == ("failed", 1, "Recency, frequency, money 1")
        assert model.note.startswith("Nothing on this site tells of purchases. Switch the module sales on")
    with make_app(plugins=["insights", "sales"]) as app:
        shop = Shop(app)
        shop.train("rfm")
        assert shop.all(Model)[-1].note == (
            "There are no purchases yet: nothing is found under “Amount of orders, Amount won”."
        )


def test_what_was_learned_of_customers_filters_sorts_and_shows(shop: Any) -> None:
    shop.usual()
    shop.train("rfm", "lifetime", "retention")
    models = {each.kind: each for each in shop.all(Model)}
    assert {kind: each.state for kind, each in models.items()} == dict.fromkeys(models, "current"), [
        each.note for each in models.values()
    ]
    scores = shop.all(Score)
    assert models["rfm"].scored == models["lifetime"].scored == len(scores) == 150
    best = [each for each in scores if each.rfm_segment == "champions"]
    assert len(best) > 5
    assert len(shop.found('insights_rfm_segment = "champions"')) == len(best)
    assert len(shop.found("insights_alive_chance < 30")) == sum(each.alive_chance < 30 for each in scores)
    asked = {"sort": "-insights_lifetime_value", "fields": "name,insights_lifetime_value", "limit": 3}
    top = shop.app.client.get("/api/v1/customer", query_string=asked).get_json()["items"]
    values = sorted((each.lifetime_value for each in scores), reverse=True)
    assert [Decimal(each["insights_lifetime_value"]) for each in top] == values[:3]
    assert models["lifetime"].errors["purchases_mae"]["model"] > 0
    assert sum(models["rfm"].parameters["segments"].values()) == 150

    shop.train("rfm", job=SCORE)  # nothing has changed, so nothing is written
    assert [each.version for each in shop.all(Score)] == [each.version for each in scores]
