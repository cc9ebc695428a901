"""The facts behind the pieces that marketing shows on pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from rapport import Customer, Invalid, Message, Panel, Reader, Task, User
from rapport_marketing import contact
from rapport_marketing.campaigns import Asset, AssetVersion, Budget, Campaign
from rapport_marketing.common import money
from rapport_marketing.executions import Execution, Variant, audience, judged
from rapport_marketing.figures import budget_for, budget_uses, figures_of, list_figures
from rapport_marketing.forms import PAGE, Form, Submission
from rapport_marketing.segments import Segment, came_and_went, count_of, members
from rapport_marketing.wording import NAMES, Words, values_for

Facts = Mapping[str, Any]
READ = "marketing.campaign.read"
SHOWN = 8


def panels() -> list[Panel]:
    """Every panel of marketing, by place."""
    return [
        Panel("dashboard", "Who may be contacted", "marketing/contact.html", contact.facts, "consent.read",
              "checkup-list", 50),
        Panel("home", "Campaigns now", "marketing/now.html", now_facts, READ, "speakerphone", 40),
        Panel("marketing.campaign.main", "What became of it", "marketing/result.html", result_facts, READ,
              "chart-funnel", 10),
        Panel("marketing.campaign.side", "Cost and return", "marketing/money.html", money_facts, READ, "coins", 10),
        Panel("marketing.campaign.side", "Tasks", "marketing/tasks.html", task_facts, "task.read", "checkbox", 20),
        Panel("marketing.campaign.side", "Designs", "marketing/designs.html", design_facts, "marketing.asset.read",
              "palette", 30),
        Panel("marketing.segment.side", "Who is in it", "marketing/segment.html", segment_facts,
              "marketing.segment.read", "users-group", 10),
        Panel("marketing.list.side", "What became of it", "marketing/list.html", list_facts, "marketing.list.read",
              "list-check", 10),
        Panel("marketing.execution.main", "What became of it", "marketing/execution.html", execution_facts,
              "marketing.execution.read", "send-2", 10),
        Panel("marketing.execution.main", "How the variants fare", "marketing/test.html", test_facts,
              "marketing.variant.read", "flask", 20),
        Panel("marketing.execution.side", "As they get it", "marketing/preview.html", preview_facts,
              "marketing.execution.read", "eye", 10),
        Panel("marketing.form.side", "Where it stands", "marketing/form_side.html", form_facts, "marketing.form.read",
              "world", 10),
        Panel("marketing.budget.side", "What is left", "marketing/budget.html", budget_facts, "marketing.budget.read",
              "pig-money", 10),
    ]  # fmt: skip


def now_facts(reader: Reader) -> Facts:
    """The campaigns that run, and those that come next."""
    today = reader.today()
    soon = (Campaign.status == "planned") & (Campaign.planned_from <= today + dt.timedelta(days=30))
    found = reader.all(
        Campaign, Campaign.archived_at.is_(None), (Campaign.status == "running") | soon,
        order=(Campaign.planned_to, Campaign.id), limit=SHOWN,
    )  # fmt: skip
    figures = figures_of(reader, found)
    return {"campaigns": [{"campaign": each, "figures": figures[each.id]} for each in found], "today": today}


def result_facts(reader: Reader, record: Campaign) -> Facts:
    """The way from sent to bought."""
    figures = figures_of(reader, [record])[record.id]
    steps = [("sent", figures.messages - figures.refused), ("reached", figures.reached),
             ("responded", figures.responded), ("bought", figures.bought)]  # fmt: skip
    return {"steps": steps, "most": max(count for _name, count in steps), "figures": figures}


def money_facts(reader: Reader, record: Campaign) -> Facts:
    """What it cost and brought, by currency, and the year's budget it is paid from."""
    figures = figures_of(reader, [record])[record.id]
    budget = budget_for(reader, record) if reader.actor.may("marketing.budget.read") else None
    use = budget_uses(reader, [budget])[budget.id] if budget is not None else None
    return {
        "rows": [
            {"currency": each, "cost": figures.cost.get(each, Decimal(0)),
             "revenue": figures.revenue.get(each, Decimal(0)),
             "profit": figures.profit.get(each, Decimal(0)), "roi": figures.roi(each)}
            for each in figures.currencies or [record.currency]
        ],
        "budget": budget, "use": use, "may_cost": reader.actor.may("marketing.cost.create"),
    }  # fmt: skip


def task_facts(reader: Reader, record: Campaign) -> Facts:
    """What is to be done for it, meetings too, and what was done."""
    tasks = reader.all(
        Task, Task.about_id == record.id, Task.about_entity == "marketing.campaign", Task.archived_at.is_(None),
        order=(Task.done_at.is_not(None), Task.due_on, Task.id), limit=SHOWN,
    )  # fmt: skip
    return {"tasks": tasks, "names": reader.titles(User, [each.owner_id for each in tasks]),
            "may_create": reader.actor.may("task.create")}  # fmt: skip


def design_facts(reader: Reader, record: Campaign) -> Facts:
    """Its assets with all their versions, and which one was approved."""
    assets = reader.all(Asset, Asset.campaign_id == record.id, Asset.archived_at.is_(None), limit=50)
    versions = reader.all(
        AssetVersion, AssetVersion.asset_id.in_([each.id for each in assets]), AssetVersion.archived_at.is_(None),
        order=AssetVersion.number,
    )  # fmt: skip
    status = {choice.value: choice for choice in AssetVersion.meta.fields["status"].choices}
    return {
        "assets": [{"asset": each, "versions": [v for v in versions if v.asset_id == each.id]} for each in assets],
        "status": status, "may_create": reader.actor.may("marketing.asset.create"),
    }  # fmt: skip


def segment_facts(reader: Reader, record: Segment) -> Facts:
    """How many are in it at this moment, some of them, and who came and went in a month."""
    since = reader.today() - dt.timedelta(days=30)
    came, went = came_and_went(reader, record, since) if record.tracked else (0, 0)
    some = reader.all(Customer, Customer.id.in_(members(reader, record)), order=(Customer.name_key, Customer.id),
                      limit=SHOWN)  # fmt: skip
    return {"count": count_of(reader, record), "some": some, "came": came, "went": went, "since": since}


def list_facts(reader: Reader, record: Any) -> Facts:
    """How many are on it, answered and bought, and what an answer cost."""
    figures = list_figures(reader, [record.id])[record.id]
    each = record.cost / figures.responded if record.cost is not None and figures.responded else None
    return {"figures": figures, "each": each, "today": reader.today()}


def budget_facts(reader: Reader, record: Budget) -> Facts:
    """What is committed, spent and left, and by which campaigns."""
    use = budget_uses(reader, [record])[record.id]
    found = reader.all(
        Campaign, Campaign.year == record.year, Campaign.currency == record.currency, Campaign.archived_at.is_(None),
        order=(Campaign.budget.desc(), Campaign.id), limit=SHOWN,
    )  # fmt: skip
    costs = {campaign_id: figures.cost for campaign_id, figures in figures_of(reader, found).items()}
    return {
        "use": use,
        "campaigns": [{"campaign": each, "spent": money(reader, costs[each.id])} for each in found],
        "states": {choice.value: choice for choice in Campaign.meta.fields["budget_state"].choices},
    }


def execution_facts(reader: Reader, record: Execution) -> Facts:
    """What became of each message, and why some were not sent: by reason, the most frequent first."""
    if not reader.actor.may("message.read"):
        return {"states": [], "reasons": [], "total": 0}
    keys = (Message.state, Message.reason)
    mine = (Message.about_id == record.id, Message.about_entity == record.meta.name)
    rows = reader.session.execute(select(*keys, func.count()).where(*mine).group_by(*keys)).all()
    labels = {choice.value: choice for choice in Message.meta.fields["state"].choices}
    states: dict[str, int] = {}
    for state, _reason, count in rows:
        states[state] = states.get(state, 0) + count
    reasons = sorted(((count, reason) for state, reason, count in rows if state in {"refused", "held"} and reason),
                     reverse=True)  # fmt: skip
    return {"states": [(labels[state], count) for state, count in sorted(states.items(), key=lambda each: -each[1])],
            "reasons": reasons[:SHOWN], "total": sum(states.values())}  # fmt: skip


def test_facts(reader: Reader, record: Execution) -> Facts:
    """The variants, and what the test tells."""
    variants = reader.all(Variant, Variant.execution_id == record.id, Variant.archived_at.is_(None),
                          order=(Variant.name, Variant.id))  # fmt: skip
    return {"variants": variants, "verdict": judged(reader, record, variants) if variants else None,
            "may_create": reader.actor.may("marketing.variant.create")}  # fmt: skip


def preview_facts(reader: Reader, record: Execution) -> Facts:
    """How many it goes to, and what the first of them reads."""
    whom = audience(reader, record)
    count = int(reader.session.scalar(whom.with_only_columns(func.count(Customer.id))) or 0)
    first = reader.all(Customer, Customer.id.in_(whom), order=Customer.id, limit=1)
    campaign = reader.get(Campaign, record.campaign_id)
    text, fault = {}, ""
    if first and (record.subject or record.body):
        try:
            values = values_for(reader, first, campaign.name)[first[0].id]
            text = Words(record.subject, record.body, "").filled(values)
        except Invalid as error:
            fault = str(error)
    return {"count": count, "first": first[0] if first else None, "text": text, "fault": fault, "names": NAMES}


def form_facts(reader: Reader, record: Form) -> Facts:
    """Where a form is filled in, and how many did."""
    counts: dict[str, int] = {}
    if reader.actor.may("marketing.submission.read"):
        by_state = select(Submission.state, func.count()).where(Submission.form_id == record.id)
        counts = {row[0]: row[1] for row in reader.session.execute(by_state.group_by(Submission.state))}
    return {"address": f"{reader.site.config.base_url.rstrip('/')}{PAGE}{record.slug}", "counts": counts}
