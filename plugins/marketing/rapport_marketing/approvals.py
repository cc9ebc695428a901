"""Approvals: a design is chosen and approved by one after the other, then the budget, compared with the annual one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport import (
    Field,
    Invalid,
    Problem,
    Unit,
    Workflow,
    WorkflowAction,
    WorkflowInstance,
    setting_of,
    signal,
    start,
)
from rapport import gettext as _
from rapport_marketing.campaigns import Asset, AssetVersion, Budget, Campaign
from rapport_marketing.common import formats_of
from rapport_marketing.figures import BudgetUse, budget_for, budget_uses

DESIGN = "design_approval"
BUDGET = "campaign_budget"
DESIGN_SOURCE = """\
name: design_approval
title: Approve a design
note: The marketer chooses among the versions, then the director approves. Each decides from a mail.
entity: marketing.asset_version
start:
  - person: true
initial: asked
states:
  asked:
    title: Sent for approval
    entry:
      - marketing.design: asked
    always:
      - choosing
  choosing:
    title: The marketer chooses
    approve:
      who: field:marketer_id
      title: "Shall it be “{name}”?"
      note: "{note}"
      deadline: 21 days
    on:
      approved: chosen
      rejected: refused
      overdue: refused
      another_chosen: not_chosen
  chosen:
    title: Chosen
    entry:
      - marketing.design: chosen
    always:
      - {guard: 'director_id is not empty', target: directing}
      - managing
  directing:
    title: The director approves
    approve:
      who: field:director_id
      title: "“{name}” was chosen. Do you approve?"
      note: "{note}"
      deadline: 21 days
    on:
      approved: approved
      rejected: refused
      overdue: refused
  managing:
    title: A manager approves
    approve:
      who: role:manager
      need: any
      title: "“{name}” was chosen. Do you approve?"
      note: "{note}"
      deadline: 21 days
    on:
      approved: approved
      rejected: refused
      overdue: refused
  approved:
    title: Approved
    entry:
      - marketing.design: approved
      - notify: {to: owner, subject: "“{name}” is approved"}
    final: true
  refused:
    title: Not approved
    entry:
      - marketing.design: rejected
      - notify: {to: owner, subject: "“{name}” was not approved"}
    final: true
  not_chosen:
    title: Another one was chosen
    entry:
      - marketing.design: not_chosen
    final: true
"""
BUDGET_SOURCE = """\
name: campaign_budget
title: Approve the budget of a campaign
note: Whoever approves sees what is left of the annual budget.
entity: marketing.campaign
start:
  - person: true
initial: comparing
states:
  comparing:
    title: Compared with the annual budget
    entry:
      - marketing.campaign_budget: asked
    always:
      - {guard: 'approver_id is not empty', target: asking}
      - managing
  asking:
    title: Waits for approval
    approve:
      who: field:approver_id
      title: "May “{name}” cost {budget} {currency}?"
      note: "{budget_note}"
      deadline: 21 days
    on:
      approved: granted
      rejected: refused
      overdue: refused
  managing:
    title: Waits for a manager
    approve:
      who: role:manager
      need: any
      title: "May “{name}” cost {budget} {currency}?"
      note: "{budget_note}"
      deadline: 21 days
    on:
      approved: granted
      rejected: refused
      overdue: refused
  granted:
    title: Approved
    entry:
      - marketing.campaign_budget: approved
      - notify: {to: owner, subject: "The budget of “{name}” is approved"}
    final: true
  refused:
    title: Not approved
    entry:
      - marketing.campaign_budget: rejected
      - notify: {to: owner, subject: "The budget of “{name}” was not approved"}
    final: true
"""
FIRST: Mapping[str, tuple[str, bool]] = {DESIGN: (DESIGN_SOURCE, True), BUDGET: (BUDGET_SOURCE, True)}
"""What a site begins with, and whether it is on. Both begin only when somebody asks."""


def make_first_workflows(session: Session, sources: Mapping[str, tuple[str, bool]]) -> None:
    """Put in workflows to start from, each with whether it is on, unless there is one of that name already."""
    for name, (source, active) in sources.items():
        if session.scalar(select(Workflow.id).where(Workflow.name == name)) is None:
            session.add(Workflow(name=name, source=source, active=active))


def workflow_actions() -> list[WorkflowAction]:
    """What the workflows of designs and budgets do."""
    return [
        WorkflowAction("marketing.design", "Note what was decided about a design", _design,
                       [Field("to", "To", "text", required=True)], icon="palette",
                       help="asked, chosen, approved, rejected or not_chosen."),
        WorkflowAction("marketing.campaign_budget", "Note what was decided about a budget", _budget,
                       [Field("to", "To", "text", required=True)], icon="pig-money",
                       help="asked, approved or rejected. Asking compares it with the annual budget."),
    ]  # fmt: skip


# Designs -------------------------------------------------------------------------------------------------------------


def _design(unit: Unit, record: Any, arguments: Mapping[str, Any]) -> str:
    if not isinstance(record, AssetVersion):
        raise Invalid(_("The action marketing.design is for versions of assets."))
    to = str(arguments.get("to", ""))
    if to == "chosen":
        _let_go_of_others(unit, record)
        return _("chosen")
    if to not in {choice.value for choice in AssetVersion.meta.fields["status"].choices}:
        raise Invalid(_("A design cannot be “%(to)s”.", to=to))
    if to == "approved":
        for former in unit.reader.all(AssetVersion, AssetVersion.asset_id == record.asset_id,
                                      AssetVersion.status == "approved"):  # fmt: skip
            former.status = "not_chosen"
    record.status = to
    unit.flush()
    return ""


def _let_go_of_others(unit: Unit, chosen: AssetVersion) -> None:
    """The other versions of the asset are asked about no longer."""
    others = select(AssetVersion.id).where(AssetVersion.asset_id == chosen.asset_id, AssetVersion.id != chosen.id)
    running = unit.session.scalars(
        select(WorkflowInstance).where(
            WorkflowInstance.entity == AssetVersion.meta.name, WorkflowInstance.status == "running",
            WorkflowInstance.record_id.in_(others),
        )
    )  # fmt: skip
    for instance in list(running):
        signal(unit, instance, "another_chosen")


def ask_designs(unit: Unit, records: Sequence[Asset], values: Mapping[str, Any]) -> str:
    """A button on an asset: send every version that was not decided about for approval."""
    asked = 0
    for asset in records:
        open_ = AssetVersion.status.in_(("draft", "rejected"))
        for version in unit.reader.all(AssetVersion, AssetVersion.asset_id == asset.id, open_):
            start(unit, DESIGN, version)
            asked += 1
    if not asked:
        raise Invalid(Problem(None, _("There is no version to approve. Add one first.")))
    return _("%(num)s versions were sent for approval.", num=asked)


# Budgets -------------------------------------------------------------------------------------------------------------


def _budget(unit: Unit, record: Any, arguments: Mapping[str, Any]) -> str:
    if not isinstance(record, Campaign):
        raise Invalid(_("The action marketing.campaign_budget is for campaigns."))
    to = str(arguments.get("to", ""))
    if to not in {"asked", "approved", "rejected"}:
        raise Invalid(_("A budget cannot be “%(to)s”.", to=to))
    if to == "asked":
        record.budget_note = compared(unit, record)
    record.budget_state = to
    unit.flush()
    return record.budget_note if to == "asked" else ""


def compared(unit: Unit, campaign: Campaign) -> str:
    """What a campaign asks for beside what is left of the year's budget. Invalid where the settings refuse more."""
    budget, use = use_for(unit, campaign)
    refuse = setting_of(unit.session, "marketing.over_budget") == "refuse"
    if budget is None or use is None:
        text = _("There is no budget for %(year)s in %(currency)s.", year=campaign.year, currency=campaign.currency)
        if refuse:
            raise Invalid(Problem("budget", text))
        return text
    written = formats_of(unit.reader)

    def amount(value: Decimal) -> str:
        return written.money(value, campaign.currency)

    wanted = campaign.budget or Decimal(0)
    text = _("Budget of %(year)s: %(planned)s. Committed %(committed)s, spent %(spent)s, left %(left)s.",
             year=campaign.year, planned=amount(use.planned), committed=amount(use.committed),
             spent=amount(use.spent), left=amount(use.left))  # fmt: skip
    if wanted <= use.left:
        return f"{text} " + _("After this, %(rest)s would be left.", rest=amount(use.left - wanted))
    over = _("This is %(over)s more than is left.", over=amount(wanted - use.left))
    if refuse:
        raise Invalid(Problem("budget", f"{over} {text}"))
    return f"{text} {over}"


def use_for(unit: Unit, campaign: Campaign) -> tuple[Budget | None, BudgetUse | None]:
    """The annual budget of a campaign, and what became of it so far."""
    budget = budget_for(unit.reader, campaign)
    return budget, budget_uses(unit.reader, [budget])[budget.id] if budget is not None else None


def ask_budget(unit: Unit, records: Sequence[Campaign], values: Mapping[str, Any]) -> str:
    """A button on a campaign: ask whoever decides for its budget."""
    for campaign in records:
        if not campaign.budget:
            raise Invalid(Problem("budget", _("is missing. Say how much the campaign may cost.")))
        compared(unit, campaign)  # refused now, by name, rather than in a workflow that stops
        start(unit, BUDGET, campaign)
    return _("The budget was asked for.")
