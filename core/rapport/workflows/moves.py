"""Moving records along their stages: what guards a move, what follows from it, and the note of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import inspect, select

from rapport import hookspecs
from rapport.entities import Entity, EntityMeta, Staged, utcnow
from rapport.errors import Problem
from rapport.i18n.catalogs import _
from rapport.workflows.conditions import meets, wrong_with
from rapport.workflows.definition import Definition, Edge, Region, State
from rapport.workflows.model import Pipeline, Stage, Transition

if TYPE_CHECKING:
    from rapport.records import Reader, Unit


def move(unit: Unit, record: Any, stage_id: UUID, *, version: int | None = None) -> None:
    """Move a record to a stage. Invalid says which field or rule is in the way; the move is undone then."""
    unit.update(record, {"stage_id": stage_id}, version=version)


def stages_of(session: Any, entity: str, pipeline_id: UUID | None = None) -> list[Stage]:
    """The stages of an entity's pipelines, in order; of one pipeline if named."""
    statement = (
        select(Stage)
        .join(Pipeline, Pipeline.id == Stage.pipeline_id)
        .where(Pipeline.entity == entity, Stage.archived_at.is_(None), Pipeline.archived_at.is_(None))
        .order_by(Pipeline.position, Pipeline.id, Stage.position, Stage.id)
    )
    if pipeline_id is not None:
        statement = statement.where(Stage.pipeline_id == pipeline_id)
    return list(session.scalars(statement))


def moves_of(
    reader: Reader, entity: type[Entity], record_ids: Iterable[UUID], *, before: dt.datetime | None = None,
    limit: int = 100,
) -> list[Transition]:  # fmt: skip
    """The newest moves of some records, before a time if given; those of records out of reach are left out."""
    if not reader.actor.may(entity.meta.permission("read")):
        return []
    seen = list(reader.session.scalars(select(entity.id).where(entity.id.in_(list(record_ids)))))
    statement = (
        select(Transition)
        .where(Transition.entity == entity.meta.name, Transition.record_id.in_(seen))
        .order_by(Transition.at.desc(), Transition.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(Transition.at < before)
    # Moves have no scope of their own: who sees a record sees where it has been.
    return list(reader.session.scalars(statement, execution_options={"rapport_scoped": True}))


def place_new(unit: Unit, record: Entity) -> list[Problem]:
    """A build step: a new record without a stage starts at the first one of its first pipeline."""
    if not isinstance(record, Staged) or record.stage_id is not None:
        return []
    stages = stages_of(unit.session, record.meta.name)
    if not stages:
        return [
            Problem(
                "stage_id", _("is missing, and there is no pipeline for it yet. Add one under Settings → Pipelines.")
            )
        ]
    record.stage_id = stages[0].id
    return []


def guard_move(unit: Unit, record: Entity) -> list[Problem]:
    """A save step: whichever way a record's stage changes, this decides whether it may, and notes that it did."""
    if not isinstance(record, Staged):
        return []
    history = inspect(record).attrs["stage_id"].history
    before, after = next(iter(history.deleted), None), next(iter(history.added), None)
    if not history.has_changes() or before is None:
        return []
    session: Any = unit.session
    with session.no_autoflush:
        source = session.get(Stage, before)
        target = session.get(Stage, after) if after else None
        if target is None:
            return [Problem("stage_id", _("points at a stage that does not exist."))]
        problems = _missing_fields(unit.site.meta(type(record)), record, target)
        if not problems and not meets(unit.site, session, record, target.condition):
            said = {"stage": _(target.title), "condition": target.condition}
            problems.append(Problem("stage_id", _("cannot become “%(stage)s” yet: %(condition)s.", **said)))
        problems += unit.site.hooks.collect(
            hookspecs.guard_transition, record=record, source=source, target=target, session=session
        )
        if problems:
            return problems
        unit.site.hooks.run(hookspecs.apply_transition, record=record, source=source, target=target, session=session)
    now = utcnow()
    entered = record.stage_entered_at
    record.stage_entered_at = now
    session.add(
        Transition(
            entity=record.meta.name,
            record_id=record.id,
            source_id=source.id if source else None,
            target_id=target.id,
            at=now,
            actor_id=unit.actor.id,
            seconds=int((now - entered).total_seconds()),
        )
    )
    return []


def check_stage(unit: Unit, record: Entity) -> list[Problem]:
    """A build and save step: a stage's condition can be asked of the records of its pipeline."""
    if not isinstance(record, Stage) or not record.condition:
        return []
    session: Any = unit.session
    with session.no_autoflush:
        pipeline = session.get(Pipeline, record.pipeline_id)
    meta = unit.site.metas.get(pipeline.entity) if pipeline is not None else None
    why = wrong_with(unit.site, record.condition, meta) if meta is not None else ""
    return [Problem("condition", why)] if why else []


def chart_of(pipeline: Pipeline, stages: Sequence[Stage]) -> Definition:
    """A pipeline as the statechart it is: onward from stage to stage, out at any time, each by its own guard."""
    going, ends = [each for each in stages if each.kind == "open"], [each for each in stages if each.kind != "open"]
    states = []
    for number, stage in enumerate(going):
        onward = going[number + 1 : number + 2] or [each for each in ends if each.kind == "won"]
        targets = [*onward, *(each for each in ends if each.kind == "lost")]
        edges = tuple(Edge("move", each.id.hex, _guard(each)) for each in targets)
        states.append(State(stage.id.hex, stage.title, on=edges))
    states += [State(stage.id.hex, stage.title, final=True) for stage in ends]
    initial = states[0].path if states else ""
    return Definition("pipeline", pipeline.name, pipeline.entity, Region("", initial, tuple(states)))


def _guard(stage: Stage) -> str:
    """What a record needs to enter a stage, as a condition."""
    parts = [f"{name} is not empty" for name in stage.required_fields]
    return " and ".join([*parts, *([f"({stage.condition})" if parts else stage.condition] if stage.condition else [])])


def _missing_fields(meta: EntityMeta, record: Entity, target: Stage) -> list[Problem]:
    problems = []
    for name in target.required_fields:
        field = meta.fields.get(name)
        if field is not None and getattr(record, name) in (None, "", ()):
            problems.append(Problem(name, _("is needed before the stage “%(stage)s”.", stage=_(target.title))))
    return problems
