"""Workflows run: journeys over weeks, life cycles, what starts them, and what stops those that run in circles."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import select

from rapport import UUID, Customer, Interaction, Invalid, Message, NotFound, Stage, Task, signal, stages_of, start
from rapport.fit import CustomField
from rapport.testing.app import TestApp
from rapport.workflows import Workflow
from rapport.workflows.checking import read_for
from rapport.workflows.running import cancel, resume
from rapport.workflows.simulation import simulate
from rapport.workflows.store import timer_table

from .conftest import Workflows

WELCOME = """
name: welcome
entity: customer
start: {event: created, when: 'kind = "person"'}
initial: greeting
states:
  greeting:
    entry: [{set: {job_title: "Friend {name}"}}]
    task: {for: "role:admin", title: "Call {name}", deadline: 2 days}
    on: {done: waiting, overdue: missed}
  waiting:
    on: {answered: happy}
    after: {30 days: asking}
  asking:
    task: {for: "role:admin", title: "Ask {name} how it is"}
    on: {done: happy}
  missed: {final: true}
  happy:
    entry: [{set: {tags: [happy]}}]
    final: true
"""


def test_a_journey_of_thirty_days(app: TestApp, workflows: Workflows, clock: Any):
    workflows.make(WELCOME)
    ada, acme = app.create_customer(name="Ada"), app.create_customer(name="Acme", kind="organisation")
    assert workflows.states(ada) == ("greeting",)
    assert workflows.all(acme) == []
    assert workflows.get(Customer, ada.id).job_title == "Friend Ada"
    with app.site.read(app.admin) as reader:
        (task,) = reader.all(Task)
    assert (task.title, task.customer_id, task.owner_id) == ("Call Ada", ada.id, app.admin.id)
    assert task.due_on == (clock.now + dt.timedelta(days=2)).date()

    workflows.update(task, done_at=clock.now.isoformat())
    assert workflows.states(ada) == ("waiting",)
    clock.forward(days=29, hours=23)
    app.settle()
    assert workflows.states(ada) == ("waiting",)
    clock.forward(hours=1)
    app.settle()
    assert workflows.states(ada) == ("asking",)
    with app.site.read(app.admin) as reader:
        asked = reader.all(Task, Task.title == "Ask Ada how it is")
    workflows.update(asked[0], done_at=clock.now.isoformat())
    instance = workflows.of(ada)
    assert (instance.status, instance.states) == ("finished", ("happy",))
    assert workflows.get(Customer, ada.id).tags == ("happy",)
    told = [(step.number, step.event, step.source, step.target) for step in workflows.steps(instance)]
    assert told == [
        (1, "start", [], ["greeting"]), (2, "done", ["greeting"], ["waiting"]),
        (3, "after.0", ["waiting"], ["asking"]), (4, "done", ["asking"], ["happy"]),
    ]  # fmt: skip


def test_an_answer_cuts_the_waiting_short(app: TestApp, workflows: Workflows, clock: Any):
    workflows.make(WELCOME)
    ada = app.create_customer(name="Ada")
    with app.site.read(app.admin) as reader:
        (task,) = reader.all(Task)
    workflows.update(task, done_at=clock.now.isoformat())
    with app.site.write(app.admin) as unit:
        unit.create(Interaction, {"customer_id": str(ada.id), "kind": "email", "direction": "in", "subject": "Thanks"})
    app.settle()
    assert workflows.of(ada).status == "finished"
    with app.site.db.read() as connection:
        assert connection.execute(select(timer_table)).all() == []
    clock.forward(days=60)
    app.settle()
    assert len(workflows.steps(workflows.of(ada))) == 3


def test_a_deadline_that_passes_takes_the_task_back(app: TestApp, workflows: Workflows, clock: Any):
    workflows.make(WELCOME)
    ada = app.create_customer(name="Ada")
    clock.forward(days=2)
    app.settle()
    assert workflows.of(ada).states == ("missed",)
    with app.site.read(app.admin) as reader:
        assert reader.all(Task)[0].archived_at == clock.now


def test_what_runs_keeps_its_version_and_new_ones_get_the_new(app: TestApp, workflows: Workflows, clock: Any):
    workflow = workflows.make(WELCOME)
    ada = app.create_customer(name="Ada")
    workflows.change(workflow, WELCOME.replace("2 days", "1 day"))
    bob = app.create_customer(name="Bob")
    assert workflows.get(Workflow, workflow.id).number == 2
    clock.forward(days=1)
    app.settle()
    assert (workflows.states(ada), workflows.states(bob)) == (("greeting",), ("missed",))


def test_what_is_off_starts_nothing_and_brings_to_an_end_what_runs(app: TestApp, workflows: Workflows, clock: Any):
    workflow = workflows.make(WELCOME)
    ada = app.create_customer(name="Ada")
    workflows.update(workflow, active=False)
    bob = app.create_customer(name="Bob")
    clock.forward(days=2)
    app.settle()
    assert workflows.all(bob) == []
    assert workflows.of(ada).status == "finished"
    clock.forward(seconds=1)
    workflows.update(workflow, active=True)
    assert workflows.all(bob) == []  # what happened meanwhile is not its business


REMIND = """
name: remind
entity: customer
facts: {score: integer}
start: {api: true, person: true}
initial: asking
states:
  asking:
    on:
      scored:
        - {guard: 'fact_score >= 8', target: happy}
        - sad
  happy: {final: true}
  sad: {entry: [{task: {title: "Win {name} back", for: starter, due: 3 days}}], final: true}
"""


def test_it_branches_on_what_an_event_brings_along(app: TestApp, workflows: Workflows, clock: Any):
    workflows.make(REMIND)
    ada, bob = app.create_customer(name="Ada"), app.create_customer(name="Bob")
    for customer, score in ((ada, 9), (bob, 3)):
        with app.site.write(app.admin) as unit:
            instance = start(unit, "remind", unit.get(Customer, customer.id))
            assert instance is not None
            assert signal(unit, instance, "scored", {"score": score})
    assert [workflows.states(each) for each in (ada, bob)] == [("happy",), ("sad",)]
    with app.site.read(app.admin) as reader:
        assert [(task.title, task.owner_id) for task in reader.all(Task)] == [("Win Bob back", app.admin.id)]
    with app.site.write(app.admin) as unit, pytest.raises(Invalid, match="is not declared by the workflow"):
        start(unit, "remind", unit.get(Customer, ada.id), {"mood": 1})
    with app.site.write(app.admin) as unit, pytest.raises(NotFound, match="no workflow 'reminder' that is on"):
        start(unit, "reminder", unit.get(Customer, ada.id))


def test_one_runs_at_a_time_with_a_record(app: TestApp, workflows: Workflows):
    workflows.make(REMIND)
    ada = app.create_customer(name="Ada")
    with app.site.write(app.admin) as unit:
        record = unit.get(Customer, ada.id)
        first, second = start(unit, "remind", record), start(unit, "remind", record)
    assert first is not None
    assert second is not None
    assert first.id == second.id
    with app.site.write(app.admin) as unit:
        cancel(unit, unit.get(type(first), first.id), "a mistake")
        third = start(unit, "remind", unit.get(Customer, ada.id))
    assert third is not None
    assert third.id != first.id


def test_a_step_that_is_refused_is_undone_and_stops_with_the_reason(app: TestApp, workflows: Workflows, clock: Any):
    text = REMIND.replace("for: starter", 'for: "role:nobody"').replace(
        "entry: [{task", "entry: [{set: {name: x}}, {set: {email: '{name}'}}, {task"
    )
    workflow = workflows.make(text)
    ada = app.create_customer(name="Ada")
    with app.site.write(app.admin) as unit:
        instance = start(unit, "remind", unit.get(Customer, ada.id))
        assert instance is not None
        assert not signal(unit, instance, "scored", {"score": 1})
    stopped = workflows.of(ada)
    assert (stopped.status, stopped.states) == ("stopped", ("asking",))
    assert "email" in stopped.reason
    assert workflows.get(Customer, ada.id).name == "Ada"  # nothing of the step is left
    with app.site.write(app.admin) as unit:
        resume(unit, unit.get(type(stopped), stopped.id))
    assert workflows.of(ada).status == "running"
    assert workflow.number == 1


def test_a_workflow_that_sets_itself_off_stops_with_its_trace(app: TestApp, workflows: Workflows):
    workflows.make("""
name: echo
entity: customer
start: {event: updated, fields: [job_title]}
initial: saying
states:
  saying:
    entry: [{set: {job_title: "{job_title}!"}}]
    always: said
  said: {final: true}
""")
    ada = app.create_customer(name="Ada", job_title="Boss")
    workflows.update(ada, job_title="Chief")
    instances = workflows.all(ada)
    assert [each.status for each in instances] == ["finished"] * 9 + ["stopped"]
    last = instances[-1]
    assert last.reason == "Workflows cause each other without end."
    assert [each["workflow"] for each in last.trace] == ["echo"] * 9
    assert workflows.get(Customer, ada.id).job_title == "Chief" + "!" * 9


def test_two_states_that_lead_to_each_other_at_once_stop(app: TestApp, workflows: Workflows):
    workflows.make("""
name: circle
entity: customer
start: {event: created}
initial: a
states:
  a: {always: b}
  b: {always: a}
""")
    instance = workflows.of(app.create_customer(name="Ada"))
    assert instance.status == "stopped"
    assert instance.reason == "Transitions follow each other without end: a → b. Give one a guard."


def test_an_instance_that_steps_too_often_stops(app: TestApp, workflows: Workflows):
    workflows.make("""
name: busy
entity: customer
start: {event: created}
initial: a
states:
  a: {on: {poke: a}}
""")
    ada = app.create_customer(name="Ada")
    with app.site.write(app.admin) as unit:
        instance = unit.get(type(workflows.of(ada)), workflows.of(ada).id)
        moved = sum(signal(unit, instance, "poke") for _each in range(110))
    stopped = workflows.of(ada)
    assert (moved, stopped.status, stopped.steps) == (99, "stopped", 100)
    assert stopped.trace[0]["event"] == "poke"


def test_a_field_goes_only_where_its_life_cycle_leads(app: TestApp, workflows: Workflows, clock: Any):
    workflows.make("""
name: urgency
entity: task
field: priority
initial: normal
states:
  low: {on: {raise: normal}}
  normal:
    on:
      raise: {target: high, guard: 'note is not empty'}
      lower: low
  high:
    entry: [{set: {title: "Urgent: {title}"}}]
    after: {1 day: normal}
""")
    with app.site.write(app.admin) as unit:
        task = unit.create(Task, {"title": "Ring"})
    app.settle()
    assert workflows.states(task) == ("normal",)
    with pytest.raises(Invalid, match=r"cannot become “High” yet: note is not empty. From there it goes to"):
        workflows.update(task, priority="high")
    workflows.update(task, priority="low")
    with pytest.raises(Invalid, match=r"cannot go from “Low” to “High”. From there it goes to: Normal."):
        workflows.update(task, priority="high")
    workflows.update(task, priority="normal")
    workflows.update(task, priority="high", note="now")
    assert workflows.states(task) == ("high",)
    assert workflows.get(Task, task.id).title == "Urgent: Ring"
    clock.forward(days=1)
    app.settle()
    assert workflows.get(Task, task.id).priority == "normal"
    assert workflows.states(task) == ("normal",)


def test_days_schedules_and_segments_start_workflows(clock: Any, make_app: Any):
    clock.now = dt.datetime(2027, 2, 20, 12, tzinfo=dt.UTC)
    with make_app() as app, app.site.write(app.admin) as unit:
        field = {"entity": "customer", "name": "x_birthday", "label": "Birthday", "kind": "date"}
        unit.create(CustomField, field)
    with make_app() as app:
        _days_schedules_and_segments(app, Workflows(app), clock)


def _days_schedules_and_segments(app: TestApp, workflows: Workflows, clock: Any) -> None:
    ada = app.create_customer(name="Ada", x_birthday="1990-03-03")
    app.create_customer(name="Bob", x_birthday="1988-02-29")
    for name, how in (
        ("birthday", "{date: x_birthday, yearly: true, before: 7 days}"),
        ("daily", "{schedule: daily at 09:00, when: 'name = \"Bob\"'}"),
        ("regular", "{segment: 'tags has \"vip\"'}"),
        ("older", "{segment: 'created_at < today - 5 days'}"),
    ):
        workflows.make(f"name: {name}\nentity: customer\nstart: {how}\ninitial: a\nstates: {{a: {{final: true}}}}\n")
    seen: set[UUID] = set()

    def began() -> list[tuple[str, str]]:
        app.settle()
        found = [each for each in workflows.all() if each.id not in seen]
        seen.update(each.id for each in found)
        names = {each.id: each.name for each in workflows.every(Workflow)}
        titles = {each.id: each.name for each in workflows.every(Customer)}
        return sorted((names[each.workflow_id], titles[each.record_id]) for each in found)

    assert began() == []
    workflows.update(ada, tags=["vip"])
    workflows.update(ada, job_title="still in it")
    assert began() == [("regular", "Ada")]
    clock.now = dt.datetime(2027, 2, 21, 8, tzinfo=dt.UTC)
    assert began() == [("birthday", "Bob")]  # on the 28th, where there is no 29th
    clock.now = dt.datetime(2027, 2, 21, 9, tzinfo=dt.UTC)
    assert began() == [("daily", "Bob")]
    assert began() == []
    clock.now = dt.datetime(2027, 2, 26, 8, tzinfo=dt.UTC)  # after some days in which no worker ran
    assert began() == [("birthday", "Ada")] + [("daily", "Bob")] * 4 + [("older", "Ada"), ("older", "Bob")]
    workflows.update(ada, tags=[])
    workflows.update(ada, tags=["vip"])
    assert began() == [("regular", "Ada")]


def test_with_a_record_goes_what_ran_with_it(app: TestApp, workflows: Workflows):
    workflows.make(WELCOME)
    ada = app.create_customer(name="Ada")
    with app.site.write(app.admin) as unit:
        unit.delete(unit.get(Customer, ada.id))
    app.settle()
    assert workflows.all() == []
    assert workflows.steps() == []


def test_a_workflow_that_does_not_fit_here_is_not_kept(app: TestApp, workflows: Workflows):
    with pytest.raises(Invalid) as refused:
        workflows.make("""
name: wrong
entity: customer
start: {event: created, when: 'nam = "x"'}
initial: a
states:
  a:
    entry:
      - set: {nmae: "x"}
      - sett: {}
    task: {for: boss, title: "{nothing}"}
    on: {done: b}
  b: {final: true}
""")
    assert [each.message for each in refused.value.problems] == [
        "line 3, start.when: at character 1: customer has no field 'nam'. Did you mean 'name'?",
        "line 8, states.a.entry[0].set.nmae: is not a field that can be set.",
        "line 9, states.a.entry[1]: there is no action 'sett'. Did you mean 'set'?",
        "line 10, states.a.task.for: 'boss' names nobody. Write owner, starter, role:NAME, team:NAME, field:NAME or an e-mail address.",  # noqa: E501
        "line 10, states.a.task.title: {nothing} stands for nothing. there is no field 'nothing'. Known are: "
        + ", ".join(f.name for f in app.site.meta(Customer).visible) + ".",
    ]  # fmt: skip


@pytest.mark.plugins("sales")
def test_a_stage_is_guarded_by_the_same_conditions_and_drawn_the_same_way(app: TestApp, workflows: Workflows):
    customer = app.create_customer(name="Ada")
    with app.site.read(app.admin) as reader:
        stages = stages_of(reader.session, "sales.opportunity")
    with pytest.raises(Invalid, match="has no field 'amout'"):
        workflows.update(stages[1], condition="amout > 0")
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Stage, stages[1].id), {"condition": 'amount >= 100 and customer.name = "Ada"'})
        deal = unit.create(app.site.entities["sales.opportunity"], {"name": "Books", "customer_id": str(customer.id)})
    with pytest.raises(Invalid, match="yet: amount >= 100"):
        workflows.update(deal, stage_id=str(stages[1].id))
    workflows.update(deal, amount="100", stage_id=str(stages[1].id))
    page = app.browser().get("/admin/pipelines").get_data(as_text=True)
    assert f"{stages[0].title} → {stages[1].title}: moved (amount &gt;= 100" in page


@pytest.mark.plugins("email")
def test_a_message_goes_through_the_gate_and_what_becomes_of_it_is_an_event(app: TestApp, workflows: Workflows):
    workflow = workflows.make("""
name: hello
entity: customer
start: {event: created}
initial: greeting
states:
  greeting:
    entry: [{send: {channel: email, purpose: service, subject: "Hello {name}", body: "Welcome."}}]
    on: {refused: calling, bounced: calling}
    after: {3 days: over}
  calling: {entry: [{task: {title: "Call {name}", for: "role:admin"}}], final: true}
  over: {final: true}
""")
    ada, bob = app.create_customer(name="Ada", email="ada@example.com"), app.create_customer(name="Bob")
    assert (workflows.states(ada), workflows.states(bob)) == (("greeting",), ("calling",))
    steps = workflows.steps(workflows.of(bob))
    assert [step.event for step in steps] == ["start", "refused"]
    assert steps[0].done[0].startswith("not sent “Hello Bob”: ")
    messages = {each.customer_id: (each.subject, each.state) for each in workflows.every(Message)}
    assert messages[ada.id][0] == "Hello Ada"
    assert messages[bob.id] == ("Hello Bob", "refused")
    definition, _mistakes = read_for(app.site, workflow.source)
    assert definition is not None
    with app.site.read(app.admin) as reader:
        found = simulate(reader, definition, days=1, workflow_id=workflow.id)
    said = {step.record_id: step.done for step in found.steps}
    assert said[ada.id] == ("sends “Hello Ada”",)
    assert said[bob.id][0].startswith("sends “Hello Bob” (refused: ")
