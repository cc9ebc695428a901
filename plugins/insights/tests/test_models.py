"""Models are trained by jobs, kept in versions, and say in plain words why they cannot be."""

from __future__ import annotations

from typing import Any

from rapport_insights import Model
from rapport_insights.training import TRAIN, ask


def test_without_purchases_training_fails_in_plain_words(make_app: Any):
    with make_app(plugins=["insights"]) as app:
        with app.site.db.write() as connection:
            ask(connection, TRAIN, "rfm")
            ask(connection, TRAIN, "rfm")
        app.settle()
        with app.site.read(app.admin) as reader:
            (model,) = reader.all(Model)
        assert (model.state, model.number, model.note) == ("failed", 1, "Nothing on this site tells of purchases.")
