"""What programs do with workflows: start one with a record, and send it an event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Response
from sqlalchemy import select

from rapport.builtin.api.body import arguments, object_body
from rapport.builtin.api.keys import once
from rapport.builtin.api.resource import answer, record_id
from rapport.entities import Entity
from rapport.errors import Conflict, Forbidden, Invalid, Problem
from rapport.http import current_actor, current_site
from rapport.records import Reader
from rapport.records.session import SCOPED
from rapport.workflows import WorkflowInstance
from rapport.workflows.charts import Chart
from rapport.workflows.definition import KNOWN_EVENTS
from rapport.workflows.rights import START, may_start
from rapport.workflows.running import running, signal
from rapport.workflows.running import start as start_workflow

if TYPE_CHECKING:
    from rapport.builtin.api.routes import Route


def start(id: str) -> Response:
    """Start the workflow of a name with a record. Where one runs with it already, that one is the answer."""
    arguments(())
    given = object_body(("record", "facts"))
    site, actor = current_site(), current_actor()
    with site.read(actor) as reader:
        chart, record = _asked(reader, id, given)
    if not chart.definition.has_start("api"):
        raise Forbidden(START, "No program may start this workflow. Add api: true to its start.")

    def begin() -> Response:
        begun = start_workflow(unit, id, unit.get(type(record), record.id), _facts(given))
        if begun is None:
            raise Conflict("The record is gone.")
        return answer(_told(begun), 201)

    with site.write(actor) as unit:
        return once(unit, begin)


def send(id: str) -> Response:
    """Send an event to what runs of the workflow with a record; `moved` says whether it led anywhere."""
    arguments(())
    given = object_body(("record", "event", "facts"))
    event = given.get("event")
    site, actor = current_site(), current_actor()
    with site.read(actor) as reader:
        chart, record = _asked(reader, id, given)
        if not isinstance(event, str) or event in KNOWN_EVENTS or event not in chart.definition.events():
            own = [each for each in chart.definition.events() if each not in KNOWN_EVENTS]
            raise Invalid(
                Problem("event", f"must be one that the workflow waits for: {', '.join(own) or 'it has none'}.")
            )
        found = running(reader.session, chart.workflow_id, record.id)

    def tell() -> Response:
        if found is None:
            raise Conflict("Nothing of this workflow runs with the record.")
        statement = select(WorkflowInstance).where(WorkflowInstance.id == found)
        instance = unit.session.scalars(statement, execution_options=SCOPED).one()
        moved = signal(unit, instance, event, _facts(given))
        return answer({**_told(instance), "moved": moved})

    with site.write(actor) as unit:
        return once(unit, tell)


def _asked(reader: Reader, name: str, given: dict[str, Any]) -> tuple[Chart, Entity]:
    chart = reader.site.charts.named(reader.session.connection(), name)
    entity = reader.site.entities[chart.definition.entity]
    record = reader.get(entity, record_id(str(given.get("record") or ""), entity))
    if not may_start(reader, record):
        raise Forbidden(entity.meta.permission("update"), "You may not change this record, so you may not start this.")
    return chart, record


def _facts(given: dict[str, Any]) -> dict[str, Any]:
    facts = given.get("facts") or {}
    if not isinstance(facts, dict):
        raise Invalid(Problem("facts", "must be an object."))
    return facts


def _told(instance: WorkflowInstance) -> dict[str, Any]:
    return {"id": str(instance.id), "record": str(instance.record_id), "status": instance.status,
            "states": list(instance.states), "reason": instance.reason}  # fmt: skip


def routes(route: type[Route]) -> Iterable[Route]:
    """The routes beside those that every kind of record has."""
    base = "/api/v1/workflow/<id>"
    yield route("POST", f"{base}/start", "workflow-start", start, START,
                "Start the workflow of this name with a record", "workflow")  # fmt: skip
    yield route("POST", f"{base}/signal", "workflow-signal", send, START,
                "Send an event to what runs of the workflow with a record", "workflow")  # fmt: skip
