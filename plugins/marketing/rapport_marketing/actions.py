"""Buttons: what one does with customers, segments, lists and campaigns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rapport import Action, Field, Unit
from rapport import gettext as _
from rapport_marketing import approvals, executions, lists, segments
from rapport_marketing.campaigns import Campaign

Values = Mapping[str, Any]
LIST = Field("list_id", "List", "reference", required=True, nullable=False, target="marketing.list")


def actions() -> list[Action]:
    """Every button of marketing."""
    change = "marketing.campaign.update"
    return [
        Action("customer", "put_on_list", "Put on a list", "list-check", "marketing.list_member.create",
               lists.add_action, [LIST], bulk=True),
        Action("customer", "take_off_list", "Take off a list", "list-details", "marketing.list_member.delete",
               lists.remove_action, [LIST], bulk=True),
        Action("marketing.segment", "count", "Count now", "refresh", "marketing.segment.update",
               segments.count_action, bulk=True),
        Action("marketing.campaign", "ask_budget", "Ask for the budget", "pig-money", change, approvals.ask_budget,
               applies=lambda campaign: campaign.budget_state in {"none", "rejected"}),
        Action("marketing.campaign", "begin", "Begin", "player-play", change, _begin, primary=True,
               applies=lambda campaign: campaign.status == "planned"),
        Action("marketing.campaign", "end", "End", "flag", change, _end,
               applies=lambda campaign: campaign.status == "running"),
        Action("marketing.execution", "schedule", "Send", "send-2", "marketing.execution.update", executions.schedule,
               primary=True, applies=lambda execution: execution.status in {"draft", "stopped"}),
        Action("marketing.execution", "stop", "Stop", "player-stop", "marketing.execution.update", executions.stop,
               applies=lambda execution: execution.status in executions.UNDER_WAY),
        Action("marketing.asset", "ask", "Send for approval", "rubber-stamp", "marketing.asset_version.update",
               approvals.ask_designs, primary=True),
    ]  # fmt: skip


def _begin(unit: Unit, records: Sequence[Campaign], values: Values) -> str:
    for campaign in records:
        unit.update(campaign, {"status": "running", "actual_from": campaign.actual_from or unit.reader.today()})
    return _("It runs.")


def _end(unit: Unit, records: Sequence[Campaign], values: Values) -> str:
    for campaign in records:
        unit.update(campaign, {"status": "finished", "actual_to": campaign.actual_to or unit.reader.today()})
    return _("It is over.")
