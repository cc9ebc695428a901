"""Pipelines and their stages, as administrators lay them out: in order, with what each stage needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, g, render_template, request
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from rapport.builtin.web import forms
from rapport.builtin.web.admin import admin_only
from rapport.builtin.web.context import go, meta_of, reader, toast
from rapport.builtin.web.diagram import draw
from rapport.entities import Entity, Field
from rapport.errors import Conflict, Invalid, Problem
from rapport.http import current_actor, current_site, needs
from rapport.workflows import Pipeline, Stage
from rapport.workflows.moves import chart_of

OWN_FIELDS = ("title", "kind", "probability", "condition", "stale_after_days")
COLORS = ("blue", "azure", "indigo", "purple", "pink", "red", "orange", "yellow", "lime", "green", "teal", "cyan")


def add_pages(web: Blueprint) -> None:
    """The pages of pipelines."""
    for path, view, methods in (
        ("/admin/pipelines", pipelines, ["GET"]),
        ("/admin/pipelines/new", edit_pipeline, ["GET", "POST"]),
        ("/admin/pipelines/<uuid:pipeline_id>", edit_pipeline, ["GET", "POST"]),
        ("/admin/pipelines/<uuid:pipeline_id>/archive", archive_pipeline, ["POST"]),
        ("/admin/pipelines/<uuid:pipeline_id>/stages/new", edit_stage, ["GET", "POST"]),
        ("/admin/stages/<uuid:stage_id>", edit_stage, ["GET", "POST"]),
        ("/admin/stages/<uuid:stage_id>/move", move_stage, ["POST"]),
        ("/admin/stages/<uuid:stage_id>/archive", archive_stage, ["POST"]),
    ):
        web.add_url_rule(path, view_func=view, methods=methods)


def _staged() -> dict[str, type[Entity]]:
    return {entity.meta.name: entity for entity in current_site().entities if entity.meta.staged}


def _stages(pipeline_id: UUID | None = None) -> list[Stage]:
    where = [Stage.archived_at.is_(None)] + ([Stage.pipeline_id == pipeline_id] if pipeline_id else [])
    return reader().all(Stage, *where, order=(Stage.position, Stage.id))


@needs("")
def pipelines() -> str:
    """Every pipeline with its stages."""
    admin_only()
    staged = _staged()
    stages: dict[UUID, list[Stage]] = {}
    for stage in _stages():
        stages.setdefault(stage.pipeline_id, []).append(stage)
    labels = {name: {f.name: f.label for f in meta_of(entity).fields.values()} for name, entity in staged.items()}
    found = reader().all(Pipeline, Pipeline.archived_at.is_(None), order=(Pipeline.position, Pipeline.id))
    drawings = {each.id: draw(chart_of(each, stages[each.id])) for each in found if stages.get(each.id)}
    return render_template("pages/admin/pipelines.html", stages=stages, labels=labels, drawings=drawings,
                           metas={name: meta_of(entity) for name, entity in staged.items()},
                           pipelines=[each for each in found if each.entity in staged])  # fmt: skip


@needs("")
def edit_pipeline(pipeline_id: UUID | None = None) -> str | Response | tuple[str, int]:
    """What a pipeline is called. A new one starts with one stage, so that records have somewhere to be."""
    admin_only()
    pipeline = reader().get(Pipeline, pipeline_id) if pipeline_id else None
    entity = pipeline.entity if pipeline else request.values.get("entity", "")
    if entity not in _staged():
        abort(404)
    errors: Mapping[str, list[str]] = {}
    if request.method == "POST":
        try:
            with current_site().write(current_actor()) as unit:
                values = {"name": request.form.get("name", "")}
                if pipeline:
                    saved = unit.update(unit.get(Pipeline, pipeline.id), values)
                else:
                    saved = unit.create(Pipeline, {**values, "entity": entity, "position": _after_all(entity)})
                    for number, (title, kind, chance) in enumerate(
                        ((g.texts.gettext("New"), "open", 10), (g.texts.gettext("Won"), "won", 100),
                         (g.texts.gettext("Lost"), "lost", 0))
                    ):  # fmt: skip
                        unit.create(Stage, {"pipeline_id": str(saved.id), "title": title, "kind": kind,
                                            "probability": chance, "position": number})  # fmt: skip
            toast(g.texts.gettext("“%(name)s” is saved.") % {"name": saved.name})
            return go("/admin/pipelines")
        except Invalid as error:
            errors = forms.errors_by_field(error.problems)
    page = render_template("pages/admin/pipeline.html", pipeline=pipeline, entity=entity, errors=errors,
                           name=request.form.get("name", pipeline.name if pipeline else ""))  # fmt: skip
    return page, 422 if errors else 200


def _after_all(entity: str) -> int:
    last = reader().session.scalar(select(func.max(Pipeline.position)).where(Pipeline.entity == entity))
    return 0 if last is None else last + 1


@needs("")
def edit_stage(pipeline_id: UUID | None = None, stage_id: UUID | None = None) -> str | Response | tuple[str, int]:
    """A stage: what it is called, what it means, what a record must have to enter it."""
    admin_only()
    stage = reader().get(Stage, stage_id) if stage_id else None
    pipeline = reader().get(Pipeline, stage.pipeline_id if stage else pipeline_id)  # type: ignore[arg-type]
    entity = _staged().get(pipeline.entity)
    if entity is None:
        abort(404)
    fields = forms.form_fields(Stage.meta, OWN_FIELDS)
    needed = [f for f in forms.form_fields(meta_of(entity)) if f.kind != "flag" and f.target != "stage"]
    errors: Mapping[str, list[str]] = {}
    if request.method == "POST":
        try:
            values = forms.read_form(Stage.meta, request.form, fields)
            values["required_fields"] = [f.name for f in needed if f.name in request.form.getlist("required_fields")]
            values["color"] = request.form.get("color", "") if request.form.get("color") in COLORS else ""
            _check_chance(values.get("probability"))
            with current_site().write(current_actor()) as unit:
                if stage:
                    saved = unit.update(unit.get(Stage, stage.id), values)
                else:
                    before_the_end = sum(each.kind == "open" for each in _stages(pipeline.id))
                    saved = unit.create(Stage, {**values, "pipeline_id": str(pipeline.id), "position": before_the_end})
                    _number(unit, [each for each in _in_order(unit, pipeline.id) if each.id != saved.id], saved,
                            before_the_end)  # fmt: skip
            toast(g.texts.gettext("“%(name)s” is saved.") % {"name": saved.title})
            return go("/admin/pipelines")
        except Invalid as error:
            errors = forms.errors_by_field(error.problems)
    return _stage_form(pipeline, stage, fields, needed, errors), 422 if errors else 200


def _check_chance(probability: Any) -> None:
    if probability is not None and not 0 <= int(probability) <= 100:
        raise Invalid(Problem("probability", g.texts.gettext("must be between 0 and 100.")))


def _stage_form(
    pipeline: Pipeline, stage: Stage | None, fields: Sequence[Field], needed: Sequence[Field],
    errors: Mapping[str, list[str]],
) -> str:  # fmt: skip
    typed = forms.retyped(request.form, fields)
    values = forms.typed_values(stage, fields) if stage else {f.name: f.default for f in fields}
    chosen = request.form.getlist("required_fields") if typed else stage.required_fields if stage else ()
    return render_template(
        "pages/admin/stage.html", pipeline=pipeline, stage=stage, fields=fields, values={**values, **typed},
        needed=needed, chosen=chosen, color=request.form.get("color", stage.color if stage else ""), colors=COLORS,
        errors=errors,
    )  # fmt: skip


def _in_order(unit: Any, pipeline_id: UUID) -> list[Stage]:
    where = (Stage.pipeline_id == pipeline_id, Stage.archived_at.is_(None))
    found: list[Stage] = unit.reader.all(Stage, *where, order=(Stage.position, Stage.id))
    return found


def _number(unit: Any, others: list[Stage], stage: Stage, place: int) -> None:
    """Put a stage at its place among the others."""
    for number, each in enumerate([*others[:place], stage, *others[place:]]):
        if each.position != number:
            unit.update(each, {"position": number})


@needs("")
def move_stage(stage_id: UUID) -> Response:
    """One place up or down."""
    admin_only()
    step = -1 if request.form.get("to") == "up" else 1
    with current_site().write(current_actor()) as unit:
        stage = unit.get(Stage, stage_id)
        stages = _in_order(unit, stage.pipeline_id)
        place = [each.id for each in stages].index(stage.id) + step
        if 0 <= place < len(stages):
            _number(unit, [each for each in stages if each.id != stage.id], stage, place)
    return go("/admin/pipelines")


@needs("")
def archive_stage(stage_id: UUID) -> Response:
    """Take a stage out, once no record is in it any more: none may fall off the board."""
    admin_only()
    stage = reader().get(Stage, stage_id)
    pipeline = reader().get(Pipeline, stage.pipeline_id)
    if len(_stages(pipeline.id)) == 1:
        raise Conflict(g.texts.gettext("This is the last stage. Archive the pipeline instead."))
    _refuse_while_used(pipeline.entity, [stage.id])
    with current_site().write(current_actor()) as unit:
        unit.archive(unit.get(Stage, stage_id))
    toast(g.texts.gettext("“%(name)s” is archived.") % {"name": stage.title})
    return go("/admin/pipelines")


@needs("")
def archive_pipeline(pipeline_id: UUID) -> Response:
    """Take a pipeline out, once no record is in any of its stages any more."""
    admin_only()
    pipeline = reader().get(Pipeline, pipeline_id)
    _refuse_while_used(pipeline.entity, [stage.id for stage in _stages(pipeline.id)])
    with current_site().write(current_actor()) as unit:
        unit.archive(unit.get(Pipeline, pipeline_id))
    toast(g.texts.gettext("“%(name)s” is archived.") % {"name": pipeline.name})
    return go("/admin/pipelines")


def _refuse_while_used(entity_name: str, stages: Sequence[UUID]) -> None:
    entity: Any = _staged()[entity_name]
    used = reader().session.scalar(
        select(func.count(entity.id)).where(entity.stage_id.in_(stages), entity.archived_at.is_(None))
    )
    if used:
        raise Conflict(
            g.texts.ngettext("%(num)s record is still there. Move it first.", "%(num)s records are still there. Move them first.", used)  # noqa: E501
        )  # fmt: skip
