"""The facts behind the pieces that strategy shows on pages, and its buttons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rapport import Action, Panel, Unit, enqueue_job, system
from rapport import gettext as _
from rapport_strategy import acquisition, adoption, handover, objectives, roi, suggestions

READ = "strategy.objective.read"


def panels() -> list[Panel]:
    """Every panel of strategy, by place."""
    return [
        Panel("home", "Objectives", "strategy/objectives_now.html", objectives.panel_facts, READ, "target-arrow", 45,
              roles=("manager",)),
        Panel("dashboard", "Objectives", "strategy/objectives_now.html", objectives.panel_facts, READ, "target-arrow",
              15),
        Panel("dashboard", "What a new customer costs", "strategy/ways_now.html", acquisition.panel_facts,
              "strategy.spending.read", "user-plus", 45),
        Panel("strategy.objective.main", "The way so far", "strategy/objective.html", objectives.objective_facts, READ,
              "chart-line", 10),
        Panel("strategy.case.main", "How it is worked out", "strategy/case.html", roi.case_facts, "strategy.case.read",
              "calculator", 10),
        Panel("strategy.rollout.main", "How it goes", "strategy/rollout.html", adoption.rollout_facts,
              "strategy.rollout.read", "chart-line", 10),
        Panel("user.side", "Responsible for", "strategy/responsible.html", handover.panel_facts, handover.NEEDED,
              "transfer", 10),
        *suggestions.panels(),
    ]  # fmt: skip


def actions() -> list[Action]:
    """Measure now, count now."""
    return [
        Action("strategy.objective", "measure", "Measure now", "refresh", "strategy.objective.update",
               objectives.measure_now),
        Action("strategy.rollout", "count", "Count now", "refresh", "strategy.rollout.update", _count_now),
    ]  # fmt: skip


def _count_now(unit: Unit, records: Sequence[Any], values: Mapping[str, Any]) -> str:
    enqueue_job(unit.session.connection(), adoption.JOB, {}, actor=system("adoption"), key="now")
    return _("It is being counted.")
