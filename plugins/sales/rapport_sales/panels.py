"""The facts behind the pieces that sales shows on other pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from math import exp
from typing import Any

from rapport import Customer, Panel, Reader, Stage, User, moves_of, stages_of, utcnow
from rapport_sales import learning, quotas, ranking
from rapport_sales.customers import money
from rapport_sales.entities import Lead, Opportunity
from rapport_sales.learning import Model
from rapport_sales.rating import Rater
from rapport_sales.service import ENTITY, Total, due, is_open, pipeline_totals, win_loss

Facts = Mapping[str, Any]
READ = "sales.opportunity.read"


def panels() -> list[Panel]:
    """Every panel of sales, by place."""
    return [
        Panel("home", "Deals that need you", "sales/due.html", due_facts, READ, "bell", 20),
        Panel("home", "My pipeline", "sales/my_pipeline.html", my_pipeline_facts, READ, "chart-funnel", 30),
        Panel("home", "My quota", "sales/my_quota.html", quotas.my_facts, READ, "target", 32),
        Panel("home", "Team ranking", "sales/ranking.html", ranking.panel_facts, READ, "trophy", 40),
        Panel("home", "Won and lost in 90 days", "sales/win_loss.html", win_loss_facts, READ, "trophy", 60),
        Panel("dashboard", "Open pipeline", "sales/pipeline.html", totals_facts, READ, "chart-funnel", 20),
        Panel("dashboard", "Team ranking", "sales/ranking.html", ranking.panel_facts, READ, "trophy", 25),
        Panel("dashboard", "Won and lost in 90 days", "sales/win_loss.html", win_loss_facts, READ, "trophy", 30),
        Panel("customer.side", "Open deals", "sales/open_deals.html", open_deals_facts, READ, "target-arrow", 20),
        Panel("sales.opportunity.board", "Totals", "sales/totals.html", totals_facts, READ, "sum", 10),
        Panel("sales.lead.side", "Score", "sales/score.html", score_facts, "sales.lead.read", "gauge", 10),
        Panel("sales.score_model.main", "Weights", "sales/model.html", model_facts, "sales.score_model.read",
              "chart-dots", 10),
        Panel("sales.opportunity.side", "Way so far", "sales/way.html", way_facts, READ, "route", 20),
    ]  # fmt: skip


def due_facts(reader: Reader) -> Facts:
    """My opportunities that wait for me."""
    found = due(reader)
    names = reader.titles(Customer, [each.opportunity.customer_id for each in found])
    return {"due": [{"why": each.why, "deal": each.opportunity, "customer": names.get(each.opportunity.customer_id, "")}
                    for each in found]}  # fmt: skip


def my_pipeline_facts(reader: Reader) -> Facts:
    """What I have before me, by stage."""
    stages = [stage for stage in stages_of(reader.session, ENTITY) if stage.kind == "open"]
    mine = (Opportunity.owner_id == reader.actor.id, Opportunity.stage_id.in_([stage.id for stage in stages]))
    totals = pipeline_totals(reader, where=mine)
    most = max((total.count for total in totals.by_stage.values()), default=0)
    rows = [{"stage": stage, "most": most, **_shown(reader, totals.by_stage.get(stage.id))} for stage in stages]
    return {"rows": rows, "all": _shown(reader, totals.open), "owner_id": reader.actor.id}


def win_loss_facts(reader: Reader) -> Facts:
    """Why we won and lost of late."""
    labels = {choice.value: choice.label for choice in Opportunity.meta.fields["reason"].choices}
    results = win_loss(reader, reader.today() - dt.timedelta(days=90))
    rows = [{"kind": result.kind, "reason": labels.get(result.reason, result.reason), "count": result.count,
             "amount": money(reader, result.amounts)} for result in results]  # fmt: skip
    won = sum(result.count for result in results if result.kind == "won")
    closed = sum(result.count for result in results)
    return {"rows": rows[:8], "won": won, "closed": closed, "rate": won / closed if closed else None}


def open_deals_facts(reader: Reader, record: Any) -> Facts:
    """A customer's open opportunities, the nearest first."""
    deals = reader.all(
        Opportunity,
        Opportunity.customer_id == record.id, is_open(reader.session), Opportunity.archived_at.is_(None),
        order=Opportunity.expected_close_on, limit=6,
    )  # fmt: skip
    stages = reader.titles(Stage, [deal.stage_id for deal in deals])
    return {"deals": deals[:5], "more": len(deals) > 5, "stages": stages, "customer_id": record.id,
            "may_create": reader.actor.may("sales.opportunity.create")}  # fmt: skip


def totals_facts(reader: Reader, **_place: Any) -> Facts:
    """What the open pipeline is worth, and who has how much of it before them."""
    totals = pipeline_totals(reader, where=(is_open(reader.session),))
    names = reader.titles(User, totals.by_owner)
    owners = sorted(totals.by_owner.items(), key=lambda item: -item[1].count)
    return {
        "all": _shown(reader, totals.open),
        "owners": [
            {"name": names.get(owner, "") if owner else "", **_shown(reader, total)} for owner, total in owners[:8]
        ],
    }


def way_facts(reader: Reader, record: Any) -> Facts:
    """Where an opportunity has been, how long, and whether it has stood still for too long."""
    stages = {stage.id: stage for stage in stages_of(reader.session, ENTITY)}
    moves = moves_of(reader, Opportunity, [record.id], limit=20)
    people = reader.titles(User, [each.actor_id for each in moves])
    here = stages.get(record.stage_id)
    days = (utcnow() - record.stage_entered_at).days
    stale = bool(here and here.kind == "open" and here.stale_after_days and days > here.stale_after_days)
    return {
        "days": days,
        "stale": stale,
        "here": here,
        "moves": [
            {"at": each.at, "who": people.get(each.actor_id, "") if each.actor_id else "",
             "to": stages[each.target_id].title if each.target_id in stages else "–",
             "days": each.seconds // 86400}
            for each in moves
        ],
    }  # fmt: skip


def score_facts(reader: Reader, record: Any) -> Facts:
    """Why a lead has its score, and why its owner has it."""
    rater = Rater(reader.site, reader.session)
    reasons = rater.reasons(record)
    return {
        "score": record.score, "learned": rater.model is not None, "assignment": record.assignment,
        "reasons": [{"text": each.text, "points": each.points, "good": each.points > 0 or each.odds > 1,
                     "times": max(each.odds, 1 / each.odds)} for each in reasons[:8]],
    }  # fmt: skip


def model_facts(reader: Reader, record: Any) -> Facts:
    """How well a trained score foretells, and what speaks most for and against a lead."""
    if not record.weights:
        return {"groups": [], "strongest": []}
    meta, model = reader.site.meta(Lead), Model.of(record.weights)
    found = [(weight, learning.in_words(meta, model, each.name, bucket))
             for each in model.features for bucket, weight in each.weights.items()]  # fmt: skip
    strongest = sorted(found, key=lambda each: -abs(each[0]))[:14]
    return {
        "groups": [{"told": told, "true": true, "leads": leads} for told, true, leads in record.calibration],
        "strongest": [{"text": text, "good": weight > 0, "times": exp(abs(weight))} for weight, text in strongest],
    }


def _shown(reader: Reader, total: Total | None) -> dict[str, Any]:
    total = total or Total()
    return {"count": total.count, "amount": money(reader, total.amounts), "weighted": money(reader, total.weighted)}
