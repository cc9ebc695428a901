"""Beside sales: the scores of leads that it trains stand among the models, with their error and a plain way’s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rapport_sales import ScoreModel

from rapport import Panel, Reader, hookimpl

Facts = Mapping[str, Any]
MOST = 5


@hookimpl
def register_panels() -> list[Panel]:
    return [
        Panel("insights.model.list", "Lead scores", "insights/lead_scores.html", lead_score_facts,
              "sales.score_model.read", "gauge", 50),
    ]  # fmt: skip


def lead_score_facts(reader: Reader, **_place: Any) -> Facts:
    """The latest of them that were trained. Sales trains them and decides which counts; here they are only shown."""
    trained = (ScoreModel.trained_at.is_not(None), ScoreModel.archived_at.is_(None))
    return {"models": reader.all(ScoreModel, *trained, order=ScoreModel.trained_at.desc(), limit=MOST)}
