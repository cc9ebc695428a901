"""Workflows on pages: the list, the editor with its diagram, what runs and how it came there, and trying one out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, g, render_template, request
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from rapport.access import User
from rapport.builtin.web import forms
from rapport.builtin.web.admin import admin_only
from rapport.builtin.web.approvals import asked_of_me, titles_of
from rapport.builtin.web.context import go, meta_of, reader, toast
from rapport.builtin.web.diagram import draw, event_name, event_title, state_titles
from rapport.builtin.web.lists import entity_or_404
from rapport.entities import Entity, entity_class
from rapport.errors import Conflict, Forbidden, Invalid, NotFound
from rapport.http import current_actor, current_site, needs, own_path
from rapport.records import Reader, Unit
from rapport.records.session import SCOPED
from rapport.workflows import Approval, Workflow, WorkflowInstance, WorkflowVersion
from rapport.workflows.charts import Chart
from rapport.workflows.checking import read_for
from rapport.workflows.definition import KNOWN_EVENTS, Definition
from rapport.workflows.moving import move, plan_move
from rapport.workflows.reading import GRAMMAR, KIND_WORDS
from rapport.workflows.rights import may_start
from rapport.workflows.running import cancel, resume, signal, start
from rapport.workflows.simulation import by_record, simulate
from rapport.workflows.store import counts, step_table, timer_table
from rapport.workflows.templates import TEMPLATES

PAGE = 50
SHOWN_STEPS = 200
MOST_DAYS = 365


def add_pages(web: Blueprint) -> None:
    """The pages of workflows."""
    for path, view, methods in (
        ("/admin/workflows", workflows, ["GET"]),
        ("/admin/workflows/new", edit_workflow, ["GET", "POST"]),
        ("/admin/workflows/check", check_workflow, ["POST"]),
        ("/admin/workflows/<uuid:workflow_id>", workflow, ["GET"]),
        ("/admin/workflows/<uuid:workflow_id>/edit", edit_workflow, ["GET", "POST"]),
        ("/admin/workflows/<uuid:workflow_id>/switch", switch_workflow, ["POST"]),
        ("/admin/workflows/<uuid:workflow_id>/archive", archive_workflow, ["POST"]),
        ("/admin/workflows/<uuid:workflow_id>/runs", workflow_runs, ["GET"]),
        ("/admin/workflows/<uuid:workflow_id>/move", move_workflow_runs, ["GET", "POST"]),
        ("/admin/workflows/<uuid:workflow_id>/simulate", simulate_workflow, ["GET"]),
        ("/<name>/<uuid:record_id>/start-workflow", start_workflow, ["POST"]),
        ("/workflow-run/<uuid:instance_id>", workflow_run, ["GET"]),
        ("/workflow-run/<uuid:instance_id>/event", send_workflow_event, ["POST"]),
        ("/workflow-run/<uuid:instance_id>/cancel", cancel_workflow_run, ["POST"]),
        ("/workflow-run/<uuid:instance_id>/resume", resume_workflow_run, ["POST"]),
    ):
        web.add_url_rule(path, view_func=view, methods=methods)


def _workflow(workflow_id: UUID) -> Workflow:
    admin_only()
    return reader().get(Workflow, workflow_id)


def _definition(version_id: UUID) -> Definition | None:
    try:
        return current_site().charts.definition(reader().session.connection(), version_id)
    except NotFound:
        return None


# Laying them out -----------------------------------------------------------------------------------------------------


@needs("")
def workflows() -> str:
    """Every workflow, and how much runs of each."""
    admin_only()
    workflows = reader().all(Workflow, Workflow.archived_at.is_(None), order=(Workflow.title, Workflow.id))
    rows = reader().session.execute(
        select(WorkflowInstance.workflow_id, WorkflowInstance.status, func.count())
        .group_by(WorkflowInstance.workflow_id, WorkflowInstance.status)
    )  # fmt: skip
    numbers: dict[UUID, dict[str, int]] = {}
    for workflow_id, status, number in rows:
        numbers.setdefault(workflow_id, {})[status] = number
    return render_template("pages/admin/workflows.html", workflows=workflows, numbers=numbers, templates=TEMPLATES,
                           kinds=current_site().metas)  # fmt: skip


@needs("")
def workflow(workflow_id: UUID) -> str:
    """A workflow: its picture with what runs in each state, its versions, and what it says."""
    workflow = _workflow(workflow_id)
    where = (WorkflowVersion.workflow_id == workflow_id,)
    versions = reader().all(WorkflowVersion, *where, order=WorkflowVersion.number.desc(), limit=30)
    wanted = request.args.get("version", type=int) or workflow.number
    version = next((each for each in versions if each.number == wanted), versions[0])
    definition, mistakes = read_for(current_site(), version.source)
    if definition is None:
        definition = _definition(version.id)
    found = counts(reader().session, workflow_id)
    stopped = reader().session.scalar(
        select(func.count(WorkflowInstance.id)).where(WorkflowInstance.workflow_id == workflow_id,
                                                      WorkflowInstance.status == "stopped")
    )  # fmt: skip
    on_versions = dict(reader().session.execute(
        select(WorkflowInstance.version_id, func.count())
        .where(WorkflowInstance.workflow_id == workflow_id, WorkflowInstance.status == "running")
        .group_by(WorkflowInstance.version_id)
    ).all())  # fmt: skip
    return render_template(
        "pages/admin/workflow.html", workflow=workflow, versions=versions, version=version, definition=definition,
        mistakes=mistakes, drawing=draw(definition, found) if definition else None, stopped=stopped,
        on_versions=on_versions, starts=_starts(definition) if definition else [], meta=_meta(workflow.entity),
        link=f"/admin/workflows/{workflow_id}/runs?state=",
    )  # fmt: skip


def _meta(entity: str) -> Any:
    return current_site().metas.get(entity)


def _starts(definition: Definition) -> list[str]:
    """The ways in which a workflow begins, in words."""
    text, found = g.texts.gettext, []
    if definition.field:
        found.append(text("It is the life cycle of the field “%(name)s”.", name=definition.field))
    for each in definition.starts:
        said = {
            "event": text("When a record is %(events)s", events=", ".join(map(event_name, each.events))),
            "date": text("On the day in “%(name)s”", name=each.date),
            "schedule": text("By schedule: %(rule)s", rule=each.rule),
            "segment": text("When a record comes to meet: %(condition)s", condition=each.segment),
            "api": text("By a program"), "person": text("By a person, from the record"),
        }[each.kind]  # fmt: skip
        if each.offset is not None:
            said += " " + (
                text("%(time)s before", time=each.offset) if each.before else text("%(time)s after", time=each.offset)
            )
        found.append(f"{said} ({each.when})" if each.when else said)
    return found


@needs("")
def edit_workflow(workflow_id: UUID | None = None) -> str | Response | tuple[str, int]:
    """The text of a workflow, with what is wrong with it and its picture beside it."""
    admin_only()
    workflow = _workflow(workflow_id) if workflow_id else None
    source = request.form.get("source")
    if source is None:
        source = (
            workflow.source if workflow else TEMPLATES.get(request.args.get("like", ""), TEMPLATES["follow_up"]).source
        )
    status = 200
    if request.method == "POST":
        try:
            with current_site().write(current_actor()) as unit:
                if workflow:
                    saved = unit.update(unit.get(Workflow, workflow.id), {"source": source})
                else:
                    saved = unit.create(Workflow, {"source": source, "active": request.form.get("active") == "true"})
            toast(g.texts.gettext("“%(name)s” is saved.") % {"name": saved.title})
            return go(f"/admin/workflows/{saved.id}")
        except (Invalid, Conflict):
            status = 422
    return render_template("pages/admin/workflow_edit.html", workflow=workflow, source=source,
                           **_checked(source), **_help()), status  # fmt: skip


def _checked(source: str) -> dict[str, Any]:
    definition, mistakes = read_for(current_site(), source)
    return {"mistakes": mistakes, "drawing": draw(definition) if definition else None,
            "errors": forms.errors_by_field([])}  # fmt: skip


def _help() -> dict[str, Any]:
    """What may be written: the grammar, the actions known here, and the kinds of records."""
    site = current_site()
    return {
        "grammar": GRAMMAR,
        "kind_words": KIND_WORDS,
        "known_actions": list(site.workflow_actions),
        "kinds": [meta_of(entity) for entity in site.entities if entity.meta.listed],
        "known_events": KNOWN_EVENTS,
    }


@needs("")
def check_workflow(**_values: Any) -> str:
    """What is wrong with the text as it is typed, and its picture."""
    admin_only()
    return render_template("pages/admin/_workflow_checked.html", **_checked(request.form.get("source", "")))


@needs("")
def switch_workflow(workflow_id: UUID) -> Response:
    """On or off. Off, nothing starts any more; what runs goes on to its end."""
    workflow = _workflow(workflow_id)
    with current_site().write(current_actor()) as unit:
        saved = unit.update(unit.get(Workflow, workflow.id), {"active": not workflow.active})
    text = g.texts.gettext("“%(name)s” is on.") if saved.active else g.texts.gettext("“%(name)s” is off.")
    toast(text % {"name": saved.title})
    return go(f"/admin/workflows/{workflow_id}")


@needs("")
def archive_workflow(workflow_id: UUID) -> Response:
    """Take a workflow out of the list, once nothing of it runs."""
    workflow = _workflow(workflow_id)
    number = reader().session.scalar(
        select(func.count(WorkflowInstance.id)).where(WorkflowInstance.workflow_id == workflow_id,
                                                      WorkflowInstance.status == "running")
    )  # fmt: skip
    if number:
        raise Conflict(
            g.texts.ngettext(
                "%(num)s still runs. Switch it off and wait, or cancel what runs.",
                "%(num)s still run. Switch it off and wait, or cancel what runs.",
                number,
            )
        )
    with current_site().write(current_actor()) as unit:
        unit.archive(unit.get(Workflow, workflow.id))
    toast(g.texts.gettext("“%(name)s” is archived.") % {"name": workflow.title})
    return go("/admin/workflows")


# What runs -----------------------------------------------------------------------------------------------------------


@needs("")
def workflow_runs(workflow_id: UUID) -> str:
    """What runs of a workflow, or has run: by status and state, the newest first, page by page."""
    workflow = _workflow(workflow_id)
    state, status = request.args.get("state", ""), request.args.get("status", "running")
    where = [WorkflowInstance.workflow_id == workflow_id]
    if status in {"running", "finished", "stopped", "cancelled"}:
        where.append(WorkflowInstance.status == status)
    if state:
        where.append(_in_state(workflow_id, state))
    page = reader().page(WorkflowInstance, where=where, limit=PAGE, cursor=request.args.get("cursor") or None,
                         archived=True)  # fmt: skip
    names = {row.version_id for row in page.items}
    definitions = {version_id: _definition(version_id) for version_id in names}
    titles = _record_titles(workflow.entity, [row.record_id for row in page.items])
    return render_template(
        "pages/admin/workflow_runs.html", workflow=workflow, page=page, state=state, status=status, titles=titles,
        states={row.id: _states(definitions[row.version_id], row.states) for row in page.items},
    )  # fmt: skip


def _in_state(workflow_id: UUID, state: str) -> Any:
    """Those in a state. The combinations of states are few, so they are found first and then asked for by index."""
    found = reader().session.execute(
        select(WorkflowInstance.states).where(WorkflowInstance.workflow_id == workflow_id).distinct()
    )
    combinations = [row.states for row in found if state in row.states]
    return WorkflowInstance.states.in_(combinations)


def _states(definition: Definition | None, paths: Sequence[str]) -> list[str]:
    return state_titles(definition, paths) if definition is not None else list(paths)


def _record_titles(entity: str, ids: Sequence[UUID]) -> dict[UUID, str]:
    known = entity in current_site().entities
    return reader().titles(entity_class(entity), ids) if known else {}


def _instance(instance_id: UUID) -> tuple[WorkflowInstance, Entity]:
    """A run, for whoever may see its record."""
    found = reader().session.scalars(
        select(WorkflowInstance).where(WorkflowInstance.id == instance_id), execution_options=SCOPED
    ).one_or_none()  # fmt: skip
    if found is None or found.entity not in current_site().entities:
        abort(404)
    try:
        return found, reader().get(entity_class(found.entity), found.record_id)
    except (NotFound, Forbidden):  # as if there were no such run
        abort(404)


@needs("")
def workflow_run(instance_id: UUID) -> str:
    """One run: where it stands, how it came there, and what comes next."""
    instance, record = _instance(instance_id)
    session = reader().session
    definition = _definition(instance.version_id)
    workflow = session.scalars(
        select(Workflow).where(Workflow.id == instance.workflow_id), execution_options=SCOPED
    ).one()
    connection = session.connection()
    steps = list(connection.execute(
        select(step_table).where(step_table.c.instance_id == instance_id).order_by(step_table.c.number.desc())
        .limit(SHOWN_STEPS)
    ))  # fmt: skip
    return render_template(
        "pages/workflow_run.html", instance=instance, record=record, meta=meta_of(record), workflow=workflow,
        definition=definition, drawing=draw(definition) if definition else None, here=list(instance.states),
        states=_states(definition, instance.states), steps=[_told(definition, step) for step in steps],
        coming=_coming(definition, instance), events=_events(definition, instance, record),
        is_admin=current_actor().is_admin, may=may_start(reader(), record),
        approvals=list(session.scalars(select(Approval).where(Approval.instance_id == instance_id, Approval.decision.in_(["", "approved", "rejected"])).order_by(Approval.id), execution_options=SCOPED)),  # noqa: E501
        people=reader().titles(User, _asked(instance_id)),
    )  # fmt: skip


def _asked(instance_id: UUID) -> list[UUID | None]:
    statement = select(Approval.owner_id).where(Approval.instance_id == instance_id)
    return list(reader().session.scalars(statement, execution_options=SCOPED))


def _told(definition: Definition | None, step: Any) -> dict[str, Any]:
    return {
        "at": step.at, "event": event_name(step.event), "states": _states(definition, step.target or step.source),
        "done": step.done, "who": step.actor, "number": step.number,
    }  # fmt: skip


def _coming(definition: Definition | None, instance: WorkflowInstance) -> list[tuple[str, Any, str]]:
    """What leads on from here: each event or time, when it comes if that is known, and where it leads."""
    if definition is None or instance.status != "running":
        return []
    connection = reader().session.connection()
    due = {
        (row.state, row.name): row.due_at
        for row in connection.execute(select(timer_table).where(timer_table.c.instance_id == instance.id))
    }
    found = []
    for path in instance.states:
        state = definition.states.get(path)
        for edge in state.edges if state is not None else ():
            name = "deadline" if edge.event == "overdue" else edge.event
            to = state_titles(definition, [edge.target])[0] if edge.target else g.texts.gettext("stays here")
            said = f"{event_title(edge)} ({edge.guard})" if edge.guard else event_title(edge)
            found.append((said, due.get((path, name)), to))
    return sorted(found, key=lambda each: (each[1] is None, str(each[1])))


def _events(definition: Definition | None, instance: WorkflowInstance, record: Entity) -> list[tuple[str, str]]:
    """The events that a person may send from here: those that nothing else brings."""
    if definition is None or instance.status != "running" or not may_start(reader(), record):
        return []
    names = {edge.event for path in instance.states if path in definition.states for edge in definition.states[path].on}
    return [(name, event_name(name).capitalize()) for name in sorted(names - set(KNOWN_EVENTS))]


def _in_unit(unit: Unit, instance_id: UUID) -> WorkflowInstance:
    statement = select(WorkflowInstance).where(WorkflowInstance.id == instance_id)
    return unit.session.scalars(statement, execution_options=SCOPED).one()


@needs("workflow.start")
def send_workflow_event(instance_id: UUID) -> Response:
    """Send an event, as a person."""
    instance, record = _instance(instance_id)
    name = request.form.get("event", "")
    if name not in [each for each, _title in _events(_definition(instance.version_id), instance, record)]:
        abort(404)
    with current_site().write(current_actor()) as unit:
        moved = signal(unit, _in_unit(unit, instance_id), name)
    toast(g.texts.gettext("It went on.") if moved else g.texts.gettext("Nothing followed: a condition does not hold."))
    return go(_back(instance))


@needs("workflow.start")
def cancel_workflow_run(instance_id: UUID) -> Response:
    """End a run where it stands."""
    instance, record = _instance(instance_id)
    if not may_start(reader(), record):
        abort(404)
    with current_site().write(current_actor()) as unit:
        cancel(unit, _in_unit(unit, instance_id), g.texts.gettext("Cancelled by %(name)s.", name=current_actor().name))
    toast(g.texts.gettext("It is cancelled."))
    return go(_back(instance))


@needs("")
def resume_workflow_run(instance_id: UUID) -> Response:
    """Let a run that was stopped go on."""
    admin_only()
    instance, _record = _instance(instance_id)
    with current_site().write(current_actor()) as unit:
        resume(unit, _in_unit(unit, instance_id))
    toast(g.texts.gettext("It goes on."))
    return go(_back(instance))


def _back(instance: WorkflowInstance) -> str:
    return own_path(request.form.get("back", ""), f"/workflow-run/{instance.id}")


@needs("")
def move_workflow_runs(workflow_id: UUID) -> str | Response | tuple[str, int]:
    """Move what runs on an older version to the newest one, by a map of states, after a look at what that means."""
    workflow = _workflow(workflow_id)
    number = request.values.get("version", type=int)
    where = (WorkflowVersion.workflow_id == workflow_id, WorkflowVersion.number == number)
    versions = reader().all(WorkflowVersion, *where)
    if not versions or number == workflow.number:
        abort(404)
    mapping = {name.removeprefix("to:"): value for name, value in request.form.items() if name.startswith("to:")}
    planned = plan_move(reader(), versions[0], mapping)
    if request.method == "POST" and request.form.get("go") and not planned.problems:
        moved = 0
        while True:
            with current_site().write(current_actor()) as unit:
                if not (number := move(unit, versions[0], mapping)):
                    break
                moved += number
        toast(g.texts.ngettext("%(num)s was moved.", "%(num)s were moved.", moved))
        return go(f"/admin/workflows/{workflow_id}")
    return render_template("pages/admin/workflow_move.html", workflow=workflow, version=versions[0], plan=planned)


@needs("")
def simulate_workflow(workflow_id: UUID) -> str:
    """What the workflow would have done in the last days."""
    workflow = _workflow(workflow_id)
    days = min(max(request.args.get("days", 30, type=int), 1), MOST_DAYS)
    definition, mistakes = read_for(current_site(), workflow.source)
    found = simulate(reader(), definition, days=days, workflow_id=workflow_id) if definition else None
    groups = list(by_record(found))[:PAGE] if found else []
    titles = _record_titles(workflow.entity, [record_id for record_id, _steps in groups])
    return render_template(
        "pages/admin/workflow_simulate.html", workflow=workflow, days=days, found=found, mistakes=mistakes,
        groups=[(record_id, titles.get(record_id, ""), [
            (each, event_name(each.event), _states(definition, each.target)) for each in steps
        ]) for record_id, steps in groups],
        drawing=draw(definition, found.states) if definition and found else None,
    )  # fmt: skip


# On the record's page ------------------------------------------------------------------------------------------------


def of_record(reader: Reader, record: Entity) -> dict[str, Any] | None:
    """What runs with a record, what is asked about it, and what may be started; None where no workflow is about it."""
    site, name = current_site(), record.meta.name
    charts: list[Chart] = [each for each in site.charts.recent() if each.definition.entity == name]
    if not charts:
        return None
    found = list(reader.session.scalars(
        select(WorkflowInstance).where(WorkflowInstance.entity == name, WorkflowInstance.record_id == record.id)
        .order_by(WorkflowInstance.id.desc()).limit(10),
        execution_options=SCOPED,
    ))  # fmt: skip
    titles = {chart.workflow_id: chart.definition.title for chart in charts}
    running_now = {each.workflow_id for each in found if each.status == "running"}
    may = record.archived_at is None and may_start(reader, record)
    startable = [
        (chart.definition.name, chart.definition.title)
        for chart in charts
        if may and chart.workflow_id not in running_now and chart.definition.has_start("person")
    ]
    asked = asked_of_me(reader, about=record.id)
    shown = []
    for each in found:
        definition = _definition(each.version_id)
        title = titles.get(each.workflow_id) or (definition.title if definition else "")
        shown.append((each, title, _states(definition, each.states), _events(definition, each, record)))
    if not (shown or startable or asked):
        return None
    return {"runs": shown, "startable": startable, "asked": asked, "about": titles_of(reader, asked)}


@needs("workflow.start")
def start_workflow(name: str, record_id: UUID) -> Response:
    """Start a workflow with a record, as a person."""
    record = reader().get(entity_or_404(name), record_id)
    chosen = request.form.get("workflow", "")
    found = of_record(reader(), record)
    if found is None or chosen not in [each for each, _title in found["startable"]]:
        abort(404)
    with current_site().write(current_actor()) as unit:
        begun = start(unit, chosen, unit.get(type(record), record_id))
    toast(g.texts.gettext("It has begun.") if begun else g.texts.gettext("It runs already."))
    return go(f"/{name}/{record_id}")
