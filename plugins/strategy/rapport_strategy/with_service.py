"""Beside service: what a customer suggested may be taken up as an improvement, and comes back with its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rapport_service import Suggestion as Heard

from rapport import Action, ActionResult, Follower, Logged, Unit, hookimpl
from rapport import gettext as _
from rapport_strategy.hookspecs import Duty
from rapport_strategy.suggestions import Suggestion

ABOUT = {"product": "product", "process": "process", "service": "process"}


@hookimpl
def ask_strategy_duties() -> Sequence[Duty]:
    return [
        Duty("service.case", "owner_id", "move", open='status in ("new", "open", "pending", "hold")'),
        Duty("service.suggestion", "owner_id", "move", open='status in ("new", "considered", "accepted")'),
    ]


@hookimpl
def register_actions() -> list[Action]:
    return [
        Action("service.suggestion", "improve", "Decide as an improvement", "bulb", "strategy.suggestion.create",
               take_up, applies=lambda record: record.status in {"new", "considered"}),
    ]  # fmt: skip


@hookimpl
def register_followers() -> list[Follower]:
    return [Follower("strategy.answers", answer, wants=lambda site: ["strategy.suggestion"])]


def take_up(unit: Unit, records: Sequence[Heard], values: Mapping[str, Any]) -> ActionResult:
    """Make an improvement of what a customer or colleague suggested to service; there it is considered meanwhile."""
    (heard,) = records
    made = unit.create(Suggestion, {
        "title": heard.title, "text": heard.text, "about": ABOUT.get(heard.about, "other"),
        "customer_id": heard.customer_id,
    })  # fmt: skip
    made.origin_entity, made.origin_id = Heard.meta.name, heard.id
    if heard.status == "new":
        unit.update(heard, {"status": "considered"})
    unit.flush()
    return ActionResult(_("Whoever decides about improvements has it now."), made)


def answer(unit: Unit, changes: Sequence[Logged]) -> None:
    """The decision and the result go back to where it came from, so that the customer hears of them."""
    for change in changes:
        if "status" not in change.changes:
            continue
        found = unit.reader.all(Suggestion, Suggestion.id == change.record_id, limit=1)
        if not found or found[0].origin_entity != Heard.meta.name or found[0].origin_id is None:
            continue
        it = found[0]
        heard = unit.reader.all(Heard, Heard.id == it.origin_id, Heard.archived_at.is_(None), limit=1)
        if heard and heard[0].status != it.status and it.status != "heard":
            unit.update(heard[0], {"status": it.status, "result": it.result or it.reason})
