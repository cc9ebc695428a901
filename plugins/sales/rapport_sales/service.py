"""The pipeline: its stages, moving along them, winning and losing, and what it is all worth."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, false, func, or_, select
from sqlalchemy.orm import Session

from rapport import N_, Invalid, Pipeline, Problem, Reader, Stage, Task, Unit, move, setting_of, stages_of, utcnow
from rapport import gettext as _
from rapport_sales.entities import Opportunity

ENTITY = "sales.opportunity"
DEFAULT_STAGES: tuple[dict[str, Any], ...] = (
    {"title": N_("New"), "probability": 10, "stale_after_days": 14, "color": "azure"},
    {"title": N_("Qualified"), "probability": 25, "stale_after_days": 21, "color": "blue"},
    {"title": N_("Proposal"), "probability": 50, "stale_after_days": 21, "color": "indigo",
     "required_fields": ("amount",)},
    {"title": N_("Negotiation"), "probability": 75, "stale_after_days": 14, "color": "purple",
     "required_fields": ("amount", "expected_close_on")},
    {"title": N_("Won"), "kind": "won", "probability": 100, "color": "green", "required_fields": ("amount",)},
    {"title": N_("Lost"), "kind": "lost", "probability": 0, "color": "red", "required_fields": ("reason",)},
)  # fmt: skip


# Stages --------------------------------------------------------------------------------------------------------------


def make_default_pipeline(session: Session) -> None:
    """Put in a pipeline to start from, unless there is one, also an archived one: the administrator's word counts."""
    if session.scalar(select(Pipeline.id).where(Pipeline.entity == ENTITY).limit(1)) is not None:
        return
    pipeline = Pipeline(name=N_("Sales"), entity=ENTITY)
    session.add(pipeline)
    session.flush()
    session.add_all(
        Stage(pipeline_id=pipeline.id, position=position, **facts) for position, facts in enumerate(DEFAULT_STAGES)
    )


def guard(record: Any, target: Stage) -> list[Problem]:
    """Nothing is lost without saying why, whatever the stage itself asks for."""
    if not isinstance(record, Opportunity) or target.kind != "lost" or "reason" in target.required_fields:
        return []
    return (
        [] if record.reason else [Problem("reason", _("is needed before the stage “%(stage)s”.", stage=target.title))]
    )


def apply(record: Any, source: Stage, target: Stage) -> None:
    """What is won or lost is closed, today and for sure; what comes back is open again, and its reason forgotten."""
    if not isinstance(record, Opportunity) or target.kind == source.kind:
        return
    if target.kind == "open":
        record.closed_on, record.probability = None, None
        record.reason, record.reason_note = "", ""
        return
    record.closed_on = utcnow().date()
    record.probability = 100 if target.kind == "won" else 0
    record.next_step, record.next_step_on = "", None


def win(unit: Unit, opportunity: Opportunity, **values: Any) -> None:
    """Move an opportunity to the won stage of its pipeline; `values` (amount, reason …) are set along."""
    _close(unit, opportunity, "won", values)


def lose(unit: Unit, opportunity: Opportunity, *, reason: str, **values: Any) -> None:
    """Move an opportunity to the lost stage of its pipeline, with the reason."""
    _close(unit, opportunity, "lost", {"reason": reason, **values})


def reopen(unit: Unit, opportunity: Opportunity) -> None:
    """Bring a closed opportunity back to the first stage of its pipeline; reason and closing day are forgotten."""
    _close(unit, opportunity, "open", {})


def _close(unit: Unit, opportunity: Opportunity, kind: str, values: Mapping[str, Any]) -> None:
    stages = stages_of(unit.session, ENTITY)
    pipeline = next((stage.pipeline_id for stage in stages if stage.id == opportunity.stage_id), None)
    there = [stage for stage in stages if stage.pipeline_id == pipeline and stage.kind == kind]
    if not there:
        raise Invalid(
            Problem("stage_id", _("cannot be “%(kind)s”: its pipeline has no such stage. Add one.", kind=kind))
        )
    given = {name: value for name, value in values.items() if value not in (None, "")}
    if any(stage.id == opportunity.stage_id for stage in there):
        unit.update(opportunity, given)
        return
    unit.update(opportunity, {**given, "stage_id": there[0].id})


def plan_thanks(record: Any, target: Stage, session: Session) -> None:
    """Remind the owner of a deal that was won to thank the customer, where an administrator has said after how long."""
    days = int(setting_of(session, "sales.thanks_after_days") or 0)
    if not isinstance(record, Opportunity) or target.kind != "won" or days <= 0:
        return
    session.add(
        Task(title=_("Write a thank-you note by hand"), customer_id=record.customer_id, owner_id=record.owner_id,
             team_id=record.team_id, due_on=utcnow().date() + dt.timedelta(days=days), about_entity=ENTITY,
             about_id=record.id)
    )  # fmt: skip


def plan_next_step(
    unit: Unit, opportunity: Opportunity, step: str, on: dt.date | None = None, *, task: bool = True
) -> None:
    """Say what comes next and when, and put it on the owner's list of tasks."""
    unit.update(opportunity, {"next_step": step, "next_step_on": on})
    if task:
        unit.create(
            Task,
            {"title": step, "due_on": on, "customer_id": opportunity.customer_id, "owner_id": opportunity.owner_id,
             "team_id": opportunity.team_id, "about_entity": ENTITY, "about_id": opportunity.id},
        )  # fmt: skip


def advance(unit: Unit, opportunity: Opportunity) -> Stage | None:
    """Move an opportunity one open stage further; None when there is none further."""
    stages = stages_of(unit.session, ENTITY)
    here = next((stage for stage in stages if stage.id == opportunity.stage_id), None)
    further = [
        stage for stage in stages
        if here is not None and stage.kind == "open" and stage.pipeline_id == here.pipeline_id
        and stage.position > here.position
    ]  # fmt: skip
    if not further:
        return None
    move(unit, opportunity, further[0].id)
    return further[0]


# Figures -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Total:
    """How many opportunities, what they are worth by currency, and what that is times their probability."""

    count: int = 0
    amounts: dict[str, Decimal] = field(default_factory=dict)
    weighted: dict[str, Decimal] = field(default_factory=dict)

    def add(self, count: int, currency: str, amount: Decimal, probability: int) -> None:
        """Count some more in."""
        self.count += count
        self.amounts[currency] = self.amounts.get(currency, Decimal(0)) + amount
        self.weighted[currency] = self.weighted.get(currency, Decimal(0)) + amount * probability / 100


@dataclass(frozen=True, slots=True)
class PipelineTotals:
    """The worth of a pipeline: by stage, by owner, and of its open stages together."""

    by_stage: Mapping[UUID, Total]
    by_owner: Mapping[UUID | None, Total]
    """Of open stages only: what somebody has before them."""
    open: Total


def pipeline_totals(
    reader: Reader, pipeline_id: UUID | None = None, filter: str | None = None,
    where: Sequence[ColumnElement[bool]] = (),
) -> PipelineTotals:  # fmt: skip
    """Count, sum and weighted sum by stage and by owner, of one pipeline or all, in one grouped query.

    Only what the reader may see counts. Amounts of different currencies are never added up.
    """
    if not reader.actor.may("sales.opportunity.read"):
        return PipelineTotals({}, {}, Total())
    # In the order of an index that has all of it: nothing is sorted, and no record is read.
    keys = (Stage.id, Opportunity.owner_id, Opportunity.currency, Opportunity.probability)
    statement = (
        select(*keys, Stage.kind, Stage.probability, func.count(), func.sum(Opportunity.amount))
        .join(Stage, Stage.id == Opportunity.stage_id)
        .where(*reader.conditions(Opportunity, filter=filter), *where)
        .group_by(*keys)
    )
    if pipeline_id is not None:
        statement = statement.where(Stage.pipeline_id == pipeline_id)
    by_stage: dict[UUID, Total] = {}
    by_owner: dict[UUID | None, Total] = {}
    together = Total()
    for stage_id, owner_id, currency, own, kind, usual, count, amount in reader.session.execute(statement):
        counted = (count, currency, amount or Decimal(0), usual if own is None else own)
        by_stage.setdefault(stage_id, Total()).add(*counted)
        if kind == "open":
            by_owner.setdefault(owner_id, Total()).add(*counted)
            together.add(*counted)
    return PipelineTotals(by_stage, by_owner, together)


@dataclass(frozen=True, slots=True)
class Result:
    """How many were won or lost for a reason, and what they were worth by currency."""

    kind: str
    reason: str
    count: int
    amounts: Mapping[str, Decimal]


def win_loss(reader: Reader, since: dt.date, until: dt.date | None = None) -> list[Result]:
    """What was won and lost in a time and why, the most frequent first."""
    if not reader.actor.may("sales.opportunity.read"):
        return []
    keys = (Stage.kind, Opportunity.reason, Opportunity.currency)
    statement = (
        select(*keys, func.count(), func.sum(Opportunity.amount))
        .join(Stage, Stage.id == Opportunity.stage_id)
        .where(Opportunity.closed_on >= since, Stage.kind != "open", Opportunity.archived_at.is_(None))
        .group_by(*keys)
    )
    if until is not None:
        statement = statement.where(Opportunity.closed_on <= until)
    totals: dict[tuple[str, str], Total] = {}
    for kind, reason, currency, count, amount in reader.session.execute(statement):
        totals.setdefault((kind, reason), Total()).add(count, currency, amount or Decimal(0), 100)
    results = [Result(kind, reason, total.count, total.amounts) for (kind, reason), total in totals.items()]
    return sorted(results, key=lambda result: (-result.count, result.kind, result.reason))


def is_open(session: Session) -> ColumnElement[bool]:
    """Of an opportunity: neither won nor lost. The few stages are read once, so that an index finds the rest."""
    return Opportunity.stage_id.in_([stage.id for stage in stages_of(session, ENTITY) if stage.kind == "open"])


def is_stale(session: Session) -> ColumnElement[bool]:
    """Of an opportunity: longer in its open stage than the stage finds healthy."""
    now = utcnow()
    return or_(
        false(),
        *(
            and_(
                Opportunity.stage_id == stage.id,
                Opportunity.stage_entered_at < now - dt.timedelta(days=stage.stale_after_days),
            )
            for stage in stages_of(session, ENTITY)
            if stage.kind == "open" and stage.stale_after_days
        ),
    )


def ageing(reader: Reader, *where: ColumnElement[bool], limit: int = 50) -> list[Opportunity]:
    """Opportunities that stay too long where they are, longest first."""
    conditions = (is_stale(reader.session), Opportunity.archived_at.is_(None), *where)
    return reader.all(Opportunity, *conditions, order=Opportunity.stage_entered_at, limit=limit)


@dataclass(frozen=True, slots=True)
class Due:
    """An opportunity that waits for its owner, and why: overdue, missing (no next step), closing (this month)."""

    opportunity: Opportunity
    why: str


def due(reader: Reader, *, limit: int = 10) -> list[Due]:
    """The reader's own open opportunities that need them: next step overdue or today, none planned, or closing soon."""
    today = reader.today()
    month_end = (today.replace(day=1) + dt.timedelta(days=32)).replace(day=1) - dt.timedelta(days=1)
    step = Opportunity.next_step_on
    urgency = case((step <= today, 0), (step.is_(None), 1), else_=2)
    if not reader.actor.may("sales.opportunity.read"):
        return []
    found = reader.session.scalars(
        select(Opportunity)
        .where(
            Opportunity.owner_id == reader.actor.id, is_open(reader.session), Opportunity.archived_at.is_(None),
            or_(step.is_(None), step <= today, Opportunity.expected_close_on <= month_end),
        )
        .order_by(urgency, func.coalesce(step, Opportunity.expected_close_on), Opportunity.id)
        .limit(limit)
    )  # fmt: skip
    return [Due(each, _why(each, today)) for each in found]


def _why(opportunity: Opportunity, today: dt.date) -> str:
    if opportunity.next_step_on is None:
        return "missing"
    return "overdue" if opportunity.next_step_on <= today else "closing"
