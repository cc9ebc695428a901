"""A simulation plays a workflow on what happened, writes nothing, and says what the run itself did."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from rapport import Interaction
from rapport.records.log import change_log
from rapport.testing.app import TestApp
from rapport.workflows import WorkflowInstance
from rapport.workflows.checking import read_for
from rapport.workflows.simulation import Simulation, simulate

from .conftest import Workflows

KEEP = """
name: keep
entity: customer
start:
  - {event: updated, when: 'tags has "trial" and organisation.name contains "Acme"'}
  - {event: created, when: 'tags has "trial"'}
initial: trying
states:
  trying:
    entry: [{set: {job_title: "On trial"}}]
    on:
      answered: talking
      updated: {guard: 'tags has "bought"', target: won}
    after: {14 days: nudged}
  talking:
    after: {3 days: trying}
    on: {updated: {guard: 'tags has "bought"', target: won}}
  nudged:
    entry: [{set: {tags: [trial, nudged]}}, {notify: {to: owner, subject: "Call {name}"}}]
    always:
      - {guard: 'job_title = "Boss"', target: won}
      - waiting
  waiting:
    parallel:
      call: {initial: open, states: {open: {after: {2 days: done}}, done: {final: true}}}
      think: {initial: open, states: {open: {after: {1 week: done}}, done: {final: true}}}
    on: {completed: lost}
  won: {final: true}
  lost: {entry: [{set: {tags: [lost]}}], final: true}
"""


def told(found: Simulation) -> list[tuple[Any, ...]]:
    return [(s.record_id, s.number, s.at, s.event, list(s.source), list(s.target), list(s.done)) for s in found.steps]


def test_a_simulation_equals_the_run_on_the_same_data(app: TestApp, workflows: Workflows, clock: Any):
    workflow = workflows.make(KEEP)
    acme = app.create_customer(name="Acme Inc.", kind="organisation")
    ada = app.create_customer(name="Ada", tags=["trial"])
    bob = app.create_customer(name="Bob", organisation_id=str(acme.id))
    eve = app.create_customer(name="Eve", tags=["trial"])
    clock.forward(days=2)
    workflows.update(bob, tags=["trial"])
    with app.site.write(app.admin) as unit:
        unit.create(Interaction, {"customer_id": str(ada.id), "kind": "call", "direction": "in", "subject": "Hello"})
    app.settle()
    workflows.update(eve, tags=["trial", "bought"])
    for _day in range(26):
        clock.forward(days=1)
        app.settle()
        if _day == 15:
            workflows.update(ada, tags=["trial", "seen"])
    real = [
        (step.instance_id, step.number, step.at, step.event, step.source, step.target, step.done)
        for step in workflows.steps()
    ]
    records = {each.id: each.record_id for each in workflows.all()}
    ran = sorted((records[each[0]], *each[1:]) for each in real)
    assert {each[3] for each in real} == {"start", "answered", "after.0", "updated"}
    assert len(ran) >= 12

    before = snapshot(app)
    definition, _mistakes = read_for(app.site, KEEP)
    assert definition is not None
    with app.site.read(app.admin) as reader:
        found = simulate(reader, definition, days=40, workflow_id=workflow.id)
    assert snapshot(app) == before
    wanted = [(*each[:6], ["set Job title"] if each[5] == ["trying"] else each[6]) for each in ran]
    simulated = sorted(told(found))
    assert [each[:6] for each in simulated] == [each[:6] for each in wanted]
    assert found.complete
    assert found.ended == sum(each.status == "finished" for each in workflows.all())

    # A version that nobody has run says the same of what would have happened as that one did.
    with app.site.read(app.admin) as reader:
        other = simulate(
            reader, read_for(app.site, KEEP.replace("14 days", "1 day"))[0], days=40, workflow_id=workflow.id
        )  # type: ignore[arg-type]
    assert told(other) != told(found)


def snapshot(app: TestApp) -> tuple[int, int]:
    with app.site.db.read() as connection:
        changes = connection.scalar(select(func.count()).select_from(change_log)) or 0
        return changes, connection.scalar(select(func.count()).select_from(WorkflowInstance.__table__)) or 0


def test_a_workflow_that_would_set_itself_off_is_seen_before_it_runs(app: TestApp, workflows: Workflows, clock: Any):
    ada = app.create_customer(name="Ada", job_title="Boss")
    clock.forward(days=1)
    workflows.update(ada, job_title="Chief")
    definition, _mistakes = read_for(app.site, """
name: echo
entity: customer
start: {event: updated, fields: [job_title]}
initial: saying
states:
  saying:
    entry: [{set: {job_title: "{job_title}!"}}]
    always: said
  said: {final: true}
""")  # fmt: skip
    assert definition is not None
    with app.site.read(app.admin) as reader:
        found = simulate(reader, definition, days=7)
    assert (found.started, found.ended, found.stopped) == (10, 9, 1)
    assert found.steps[-1].problem == "Workflows cause each other without end."
