"""Running workflows: one step of one instance is one savepoint, in which everything it does happens, or nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import delete, insert, select, update

from rapport.access import Actor, system
from rapport.entities import Entity, utcnow, uuid7
from rapport.errors import Conflict, Invalid, NotFound, Problem, RapportError
from rapport.i18n.catalogs import _
from rapport.interactions.model import Task
from rapport.jobs import JobContext, enqueue_job
from rapport.mail import enqueue_mail
from rapport.records import Unit
from rapport.records.session import SCOPED
from rapport.workflows import engine
from rapport.workflows.charts import Chart
from rapport.workflows.conditions import fill, holds, load_facts, shown, values_of, zone_of
from rapport.workflows.definition import Action, Definition, Delay, State
from rapport.workflows.engine import Event, Micro
from rapport.workflows.links import decision_links
from rapport.workflows.people import address_of, customer_of, hand_over_tasks, meant, tally, withdraw
from rapport.workflows.store import Approval, WorkflowInstance, link_table, step_table, timer_table

T = TypeVar("T")
TIMER_JOB = "core.workflow_timer"
MAX_CHAIN = 8
"""How many workflows may cause each other in a row."""
MAX_STEPS, WINDOW = 100, dt.timedelta(hours=1)
"""How many steps an instance may take within that time."""
CAUSE = "workflow_step"


# From outside --------------------------------------------------------------------------------------------------------


def start(
    unit: Unit, workflow: str, record: Entity, facts: Mapping[str, Any] | None = None, *, occasion: str = ""
) -> WorkflowInstance | None:
    """Begin a workflow with a record, in the caller's transaction. Returns what runs then, be it new or not.

    What the workflow does it does with its own rights: whoever calls has asked whether the person may start it. With
    an `occasion` it begins only once for it, and None is returned when it has.
    """
    chart = unit.site.charts.named(unit.session.connection(), workflow)
    if chart.definition.entity != record.meta.name:
        raise Invalid(_("The workflow “%(title)s” is not for records of this kind.", title=chart.definition.title))
    unit.flush()
    cause = unit.session.info.get(CAUSE)
    found = begin(unit, chart, record.id, load_facts(chart.definition, facts or {}), occasion=occasion, cause=cause,
                  depth=unit.depth + (cause is not None))  # fmt: skip
    _renew(unit, record)
    if found is None and not occasion:
        found = running(unit.session, chart.workflow_id, record.id)
    wanted = select(WorkflowInstance).where(WorkflowInstance.id == found)
    return unit.session.scalars(wanted, execution_options=SCOPED).one_or_none()


def signal(unit: Unit, instance: WorkflowInstance, event: str, facts: Mapping[str, Any] | None = None) -> bool:
    """Tell an instance of an event, in the caller's transaction; whether it led anywhere."""
    definition = unit.site.charts.definition(unit.session.connection(), instance.version_id)
    given = load_facts(definition, facts or {})
    cause = unit.session.info.get(CAUSE)
    moved = happen(unit, instance.id, Event(event), given, cause=cause, depth=unit.depth + (cause is not None))
    _renew(unit, instance)
    return moved


def decide(unit: Unit, approval: Approval, decision: str, comment: str = "") -> None:
    """Answer a question, as the person who is asked. Conflict when it is answered already or no longer asked."""
    if decision not in {"approved", "rejected"}:
        raise Invalid(Problem("decision", _("must be approved or rejected.")))
    if approval.owner_id != unit.actor.id:
        raise NotFound(_("There is no such question to you."))
    unit.flush()

    def answer(inner: Unit) -> tuple[UUID, Event | None]:
        row = _mine(inner, approval.id)
        row.decision, row.decided_at, row.comment = decision, utcnow(), comment[:2000]
        inner.flush()
        instance = _locked(inner, row.instance_id)
        if instance is None:
            return row.instance_id, None
        definition = inner.site.charts.definition(inner.session.connection(), instance.version_id)
        approve = definition.states[row.state].approve if row.state in definition.states else None
        need = approve.need if approve is not None else "any"
        verdict = tally(inner.session, instance.id, row.state, row.turn, need)
        return instance.id, Event(verdict, row.state) if verdict else None

    instance_id, event = in_step(unit, unit.depth, answer)
    if event is not None:
        happen(unit, instance_id, event, depth=unit.depth)
    _renew(unit, approval)


def delegate(unit: Unit, approval: Approval, to: UUID) -> None:
    """Hand a question over to somebody else; the links of the former person are worth nothing from then on."""
    if approval.owner_id != unit.actor.id:
        raise NotFound(_("There is no such question to you."))
    unit.flush()

    def hand(inner: Unit) -> None:
        row = _mine(inner, approval.id)
        instance = _locked(inner, row.instance_id)
        state = None
        if instance is not None:
            definition = inner.site.charts.definition(inner.session.connection(), instance.version_id)
            state = definition.states.get(row.state)
        if instance is None or state is None or state.approve is None or not state.approve.delegate:
            raise Conflict(_("This question cannot be handed over."))
        record = _record(inner, instance)
        others = inner.session.scalar(
            select(Approval.id).where(Approval.instance_id == row.instance_id, Approval.state == row.state,
                                      Approval.turn == row.turn, Approval.owner_id == to)
        )  # fmt: skip
        if others is not None:
            raise Conflict(_("They are asked already."))
        if to not in meant(inner.session, [address_of(inner.session, to)[1]], record, instance):
            raise Invalid(Problem("to", _("is nobody who could answer.")))
        row.delegated_by_id, row.owner_id = row.owner_id, to
        inner.flush()
        if record is not None:
            mail_question(inner, row, record)

    in_step(unit, unit.depth, hand)
    _renew(unit, approval)


def cancel(unit: Unit, instance: WorkflowInstance, reason: str = "") -> None:
    """End an instance where it stands; nothing more comes of it."""
    unit.flush()
    in_step(unit, unit.depth, lambda inner: _end(inner, instance.id, "cancelled", reason))
    _renew(unit, instance)


def resume(unit: Unit, instance: WorkflowInstance) -> None:
    """Let an instance that was stopped go on where it stood; its timers begin anew."""

    def again(inner: Unit) -> None:
        row = _locked(inner, instance.id)
        if row is None or row.status != "stopped":
            raise Conflict(_("It is not stopped."))
        if running(inner.session, row.workflow_id, row.record_id) is not None:
            raise Conflict(_("Another one of this workflow runs with the record."))
        row.status, row.reason, row.finished_at, row.trace = "running", "", None, []
        row.running_key = f"{row.workflow_id}:{row.record_id}"
        inner.flush()
        definition = inner.site.charts.definition(inner.session.connection(), row.version_id)
        micro = engine.begin(definition)
        if row.states:
            effects = tuple(engine.Effect("enter", path) for path in row.states)
            micro = Micro(tuple(row.states), (engine.Move("", "resume", row.states[-1]),), effects)
        _carry(inner, row, definition, micro, Event("resume" if row.states else "start"), None)

    unit.flush()
    in_step(unit, unit.depth, again)
    _renew(unit, instance)


# Steps ---------------------------------------------------------------------------------------------------------------


def begin(
    unit: Unit, chart: Chart, record_id: UUID, facts: Mapping[str, Any] | None = None, *, occasion: str = "",
    cause: UUID | None = None, depth: int = 0, at: Sequence[str] = (),
) -> UUID | None:  # fmt: skip
    """Start an instance unless one runs, or the occasion has had its own; returns the id of a new one.

    `at` are states in which it begins without doing anything: for the life cycle of a record that was there before.
    """
    key = f"{chart.workflow_id}:{record_id}"
    occasion = f"{key}:{occasion}" if occasion else ""
    taken = WorkflowInstance.running_key == key
    if occasion:
        taken |= WorkflowInstance.start_key == occasion
    known = select(WorkflowInstance.id).where(taken).limit(1)
    if unit.session.scalar(known, execution_options=SCOPED) is not None:
        return None
    instance_id, definition = uuid7(), chart.definition

    def first(inner: Unit) -> bool:
        record = _held(inner, definition.entity, record_id)
        if record is None or inner.session.scalar(known, execution_options=SCOPED) is not None:  # as we waited for it
            return False
        instance = WorkflowInstance(
            id=instance_id, workflow_id=chart.workflow_id, version_id=chart.version_id, entity=definition.entity,
            record_id=record_id, customer_id=customer_of(record), facts=dict(facts or {}), depth=depth, cause_id=cause,
            started_by_id=inner.actor.id, running_key=key, start_key=occasion or None, states=tuple(at),
        )  # fmt: skip
        inner.session.add(instance)
        inner.flush()
        if depth > MAX_CHAIN:
            _stop(inner, instance, _("Workflows cause each other without end."), cause)
        elif not at:
            _carry(inner, instance, definition, engine.begin(definition), Event("start"), cause)
        return True

    try:
        begun = in_step(unit, depth, first)
    except RapportError as error:
        why = str(error)

        def note(inner: Unit) -> None:
            instance = WorkflowInstance(
                id=instance_id, workflow_id=chart.workflow_id, version_id=chart.version_id, entity=definition.entity,
                record_id=record_id, facts=dict(facts or {}), depth=depth, cause_id=cause, started_by_id=inner.actor.id,
                status="stopped", reason=why, finished_at=utcnow(), start_key=occasion or None,
            )  # fmt: skip
            inner.session.add(instance)

        in_step(unit, depth, note)
        begun = True
    return instance_id if begun else None


def happen(
    unit: Unit, instance_id: UUID, event: Event, facts: Mapping[str, Any] | None = None, *, cause: UUID | None = None,
    depth: int = 0,
) -> bool:  # fmt: skip
    """Let an event do what it does to an instance; whether it led anywhere.

    A step that cannot be taken, because an action is refused, is undone and stops the instance with the reason.
    """

    def react(inner: Unit) -> bool:
        instance = _locked(inner, instance_id)
        if instance is None or instance.status != "running":
            return False
        definition = inner.site.charts.definition(inner.session.connection(), instance.version_id)
        if (record := _record(inner, instance)) is None:
            _end(inner, instance_id, "cancelled", _("The record is gone."))
            return False
        if facts:
            instance.facts = {**(instance.facts or {}), **facts}
        world = _Here(inner, definition, instance, record)
        micro = engine.take(definition, tuple(instance.states), event, world.holds)
        if micro is None:
            return False
        if depth > MAX_CHAIN:
            _stop(inner, instance, _("Workflows cause each other without end."), cause)
            return False
        if _too_fast(inner, instance):
            _stop(inner, instance, _("It took more than %(most)s steps within an hour.", most=MAX_STEPS), cause)
            return False
        _carry(inner, instance, definition, micro, event, cause)
        return True

    return _guarded(unit, instance_id, depth, react)


def shift(unit: Unit, instance_id: UUID, target: str, *, cause: UUID | None = None, depth: int = 0) -> bool:
    """A field with a life cycle was changed: its instance follows, by the transition that leads there, if one does."""

    def react(inner: Unit) -> bool:
        instance = _locked(inner, instance_id)
        if instance is None or instance.status != "running":
            return False
        definition = inner.site.charts.definition(inner.session.connection(), instance.version_id)
        record = _record(inner, instance)
        if record is None or target not in definition.states:
            return False
        holds_now = _Here(inner, definition, instance, record).holds
        taken = engine.follow_to(definition, tuple(instance.states), target, holds_now)
        if taken is not None:
            _carry(inner, instance, definition, *taken, cause)
        return taken is not None

    return _guarded(unit, instance_id, depth, react)


def _guarded(unit: Unit, instance_id: UUID, depth: int, work: Callable[[Unit], bool]) -> bool:
    try:
        return in_step(unit, depth, work)
    except RapportError as error:
        why = str(error)
        in_step(unit, depth, lambda inner: _end(inner, instance_id, "stopped", why))
        return False


def in_step(outer: Unit, depth: int, work: Callable[[Unit], T]) -> T:
    """Work with the rights of workflows in a savepoint of the caller's transaction; what it changes is one batch."""
    connection, step_id = outer.session.connection(), uuid7()
    with connection.begin_nested():
        inner = Unit(outer.site, acting(outer.actor), batch=step_id, depth=depth, connection=connection)
        inner.session.info[CAUSE] = step_id
        with inner:
            return work(inner)


def acting(actor: Actor) -> Actor:
    """A workflow on behalf of whoever set it in motion: the log names them, the rights are those of the workflow."""
    if actor.id is None:
        return system("workflow").through("workflow")
    return replace(actor, is_admin=True, scopes=None, customer_id=None, via="workflow")


def _carry(
    unit: Unit, instance: WorkflowInstance, definition: Definition, micro: Micro, event: Event, cause: UUID | None
) -> None:
    """Take a transition with all that follows from it at once, and note it."""
    record = _record(unit, instance)
    assert record is not None, "asked before"
    assert unit.batch is not None, "steps have a batch of their own"
    before, connection = tuple(instance.states), unit.session.connection()
    instance.steps += 1
    world = _Here(unit, definition, instance, record)
    connection.execute(
        insert(step_table).values(
            id=unit.batch, instance_id=instance.id, number=instance.steps, at=utcnow(), event=event.name,
            source=list(before), target=[], moves=[], done=[], actor_id=unit.actor.id, actor=unit.actor.name,
            cause_id=cause,
        )
    )  # fmt: skip
    outcome = engine.carry_out(definition, micro, world)
    instance.states = outcome.active
    if engine.has_ended(definition, outcome.active):
        instance.status, instance.finished_at, instance.running_key = "finished", utcnow(), None
        _let_go(unit, instance.id)
    unit.flush()
    moves = [[move.source, move.event, move.target] for move in outcome.moves]
    connection.execute(
        update(step_table)
        .where(step_table.c.id == unit.batch)
        .values(target=list(outcome.active), moves=moves, done=list(outcome.done))
    )


def _stop(unit: Unit, instance: WorkflowInstance, why: str, cause: UUID | None) -> None:
    """Stop what runs in circles, and keep how it came to that."""
    instance.trace = trace(unit.session, instance, cause)
    _end(unit, instance.id, "stopped", why)


def _end(unit: Unit, instance_id: UUID, status: str, reason: str) -> bool:
    instance = _locked(unit, instance_id)
    if instance is not None and instance.status == "running":
        instance.status, instance.reason, instance.finished_at = status, reason, utcnow()
        instance.running_key = None
        _let_go(unit, instance_id)
        for state in instance.states:
            withdraw(unit, instance_id, state)
    return False


def _let_go(unit: Unit, instance_id: UUID) -> None:
    connection = unit.session.connection()
    connection.execute(delete(timer_table).where(timer_table.c.instance_id == instance_id))


def trace(session: Any, instance: WorkflowInstance, cause: UUID | None, most: int = 12) -> list[dict[str, str]]:
    """The steps that led here, the last one first: which workflow, with which record, on what."""
    found: list[dict[str, str]] = []
    steps, instances = step_table, WorkflowInstance
    connection = session.connection()
    while cause is not None and len(found) < most:
        step = connection.execute(select(steps).where(steps.c.id == cause)).one_or_none()
        if step is None:
            break
        other = session.get(instances, step.instance_id)
        found.append(_told(session, other, step))
        cause = step.cause_id or (other.cause_id if other is not None else None)
    if not found:  # it went round by itself
        rows = connection.execute(
            select(steps).where(steps.c.instance_id == instance.id).order_by(steps.c.number.desc()).limit(most)
        )
        found = [_told(session, instance, row) for row in rows]
    return found


def _told(session: Any, instance: WorkflowInstance | None, step: Any) -> dict[str, str]:
    from rapport.workflows.store import Workflow

    workflow = session.get(Workflow, instance.workflow_id) if instance is not None else None
    return {
        "workflow": workflow.name if workflow is not None else "",
        "instance": str(step.instance_id),
        "record": str(instance.record_id) if instance is not None else "",
        "event": step.event,
        "to": ", ".join(step.target or step.source),
        "at": step.at.isoformat(),
    }


def _too_fast(unit: Unit, instance: WorkflowInstance) -> bool:
    if instance.steps < MAX_STEPS:
        return False
    at = unit.session.connection().scalar(
        select(step_table.c.at).where(
            step_table.c.instance_id == instance.id, step_table.c.number == instance.steps - MAX_STEPS + 1
        )
    )
    return at is not None and at > utcnow() - WINDOW


def _locked(unit: Unit, instance_id: UUID) -> WorkflowInstance | None:
    """An instance that nobody else moves until this transaction ends."""
    session: Any = unit.session
    statement = select(WorkflowInstance).where(WorkflowInstance.id == instance_id).with_for_update()
    found: WorkflowInstance | None = session.scalars(statement).one_or_none()
    return found


def _renew(unit: Unit, record: Entity) -> None:
    """Have the caller's record say what it says now: a step works in a session of its own."""
    entity: Any = type(record)
    options = {**SCOPED, "populate_existing": True}
    unit.session.scalars(select(entity).where(entity.id == record.id), execution_options=options).one_or_none()


def _mine(unit: Unit, approval_id: UUID) -> Approval:
    session: Any = unit.session
    statement = select(Approval).where(Approval.id == approval_id).with_for_update()
    row: Approval = session.scalars(statement).one()
    if row.decision == "withdrawn":
        raise Conflict(_("This is no longer asked."))
    if row.decision:
        raise Conflict(_("This is answered already."))
    return row


def _record(unit: Unit, instance: WorkflowInstance) -> Any:
    return _held(unit, instance.entity, instance.record_id)


def _held(unit: Unit, name: str, record_id: UUID) -> Any:
    """The record of a step, as it is once nobody else changes it: else a step would fail when somebody saves it."""
    entity = unit.site.entities.get(name)
    if entity is None:
        raise NotFound(_("The module of this kind of record is switched off."))
    session: Any = unit.session
    return session.scalars(select(entity).where(entity.id == record_id).with_for_update()).one_or_none()


def running(session: Any, workflow_id: UUID, record_id: UUID) -> UUID | None:
    """What runs of a workflow with a record."""
    found: UUID | None = session.scalar(
        select(WorkflowInstance.id).where(WorkflowInstance.running_key == f"{workflow_id}:{record_id}"),
        execution_options=SCOPED,
    )
    return found


# What a step does ----------------------------------------------------------------------------------------------------


class _Here:
    """The real world of the engine."""

    def __init__(self, unit: Unit, definition: Definition, instance: WorkflowInstance, record: Any) -> None:
        self.unit = unit
        self.site = unit.site
        self.definition = definition
        self.instance = instance
        self.record = record
        self._asked = list(definition.conditions())

    def holds(self, condition: str) -> bool:
        values = values_of(self.site, self.unit.session, self.record, self._asked, self.instance.facts or {},
                           self.definition.facts)  # fmt: skip
        return holds(self.site, condition, self.definition, values)

    def act(self, state: State, action: Action) -> str:
        found = self.site.workflow_actions.get(action.name)
        if found is None:
            raise Invalid(_("The action '%(name)s' belongs to a module that is switched off.", name=action.name))
        arguments = {name: self._filled(value) for name, value in found.named(action.arguments).items()}
        begun = len(self.unit._changes)
        owner = self.site.workflow_actions.owner(action.name)
        said = self.site.hooks.required(
            owner, f"the workflow action {action.name}", lambda: found.run(self.unit, self.record, arguments)
        )
        self.unit.flush()
        for change in self.unit._changes[begun:]:
            if change.action == "created" and change.entity.meta.name == "message":
                self._link(change.record.id, "message", state)  # what becomes of it are events
        return said if isinstance(said, str) else ""

    def enter(self, state: State) -> list[str]:
        done: list[str] = []
        if self.definition.field and getattr(self.record, self.definition.field) != state.name:
            self.unit.session.info["workflow_moves"] = True  # the chart has allowed it
            self.unit.update(self.record, {self.definition.field: state.name})
        for edge in state.after:
            assert edge.delay is not None
            self._arm(state, edge.event, edge.delay)
        work = state.task or state.approve
        if work is not None and work.deadline is not None:
            self._arm(state, "deadline", work.deadline)
        if work is not None and work.escalate is not None:
            self._arm(state, "escalate", work.escalate.after)
        if state.task is not None:
            done.append(self._give_task(state))
        if state.approve is not None:
            done.append(ask(self.unit, self.definition, self.instance, self.record, state, state.approve.who))
        return done

    def leave(self, state: State) -> None:
        connection = self.unit.session.connection()
        timers = timer_table.c
        connection.execute(
            delete(timer_table).where(timers.instance_id == self.instance.id, timers.state == state.path)
        )
        if state.task or state.approve:
            withdraw(self.unit, self.instance.id, state.path)

    def _give_task(self, state: State) -> str:
        assert state.task is not None
        work = state.task
        people = meant(self.unit.session, work.who, self.record, self.instance)
        if not people:
            raise Invalid(_("There is nobody to do it: %(who)s.", who=", ".join(work.who)))
        due = work.deadline.after(utcnow(), zone_of(self.site)) if work.deadline else None
        task = self.unit.create(
            Task,
            {
                "title": self._filled(work.title)[:500], "note": self._filled(work.note), "owner_id": str(people[0]),
                "due_on": due.astimezone(zone_of(self.site)).date().isoformat() if due else None,
                "customer_id": str(self.instance.customer_id) if self.instance.customer_id else None,
                "about_entity": self.instance.entity, "about_id": str(self.instance.record_id),
            },
        )  # fmt: skip
        self._link(task.id, "task", state)
        return _("task “%(title)s” for %(who)s", title=task.title, who=address_of(self.unit.session, people[0])[0])

    def _link(self, other_id: UUID, kind: str, state: State) -> None:
        self.unit.session.connection().execute(
            insert(link_table).values(other_id=other_id, kind=kind, instance_id=self.instance.id, state=state.path)
        )

    def _arm(self, state: State, name: str, delay: Delay) -> None:
        arm(self.unit, self.instance.id, state.path, name, delay.after(utcnow(), zone_of(self.site)))

    def _filled(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        facts = self.instance.facts or {}
        return fill(value, lambda path: shown(self.site, self.unit.session, self.record, path, facts))


def arm(unit: Unit, instance_id: UUID, state: str, name: str, due_at: dt.datetime) -> None:
    """Have something happen at a time: a row that costs nothing until then, and the job that finds it."""
    connection, timer_id = unit.session.connection(), uuid7()
    connection.execute(
        insert(timer_table).values(id=timer_id, instance_id=instance_id, state=state, name=name, due_at=due_at)
    )
    enqueue_job(connection, TIMER_JOB, {"timer": str(timer_id)}, actor=system("workflow"), due_at=due_at)


def ring(context: JobContext, timer: str) -> str:
    """The job of a timer. Its row goes in the same transaction as what follows, so it happens once."""
    site = context.site
    with site.write(system("workflow").through("workflow")) as unit:
        connection = unit.session.connection()
        here = timer_table.c.id == UUID(timer)
        row = connection.execute(select(timer_table).where(here).with_for_update()).one_or_none()
        if row is None:
            return _("It was left before.")
        connection.execute(delete(timer_table).where(here))
        if row.name == "escalate":
            _guarded(unit, row.instance_id, 0, lambda inner: _escalate(inner, row.instance_id, row.state))
            return _("It was escalated.")
        event = Event("overdue" if row.name == "deadline" else row.name, row.state)
        return _("It went on.") if happen(unit, row.instance_id, event) else _("Nothing followed.")


def _escalate(unit: Unit, instance_id: UUID, path: str) -> bool:
    instance = _locked(unit, instance_id)
    if instance is None or instance.status != "running":
        return False
    definition = unit.site.charts.definition(unit.session.connection(), instance.version_id)
    state = definition.states[path]
    work = state.approve or state.task
    record = _record(unit, instance)
    if work is None or work.escalate is None or record is None or unit.batch is None:
        return False
    if state.approve is not None:
        done = ask(unit, definition, instance, record, state, work.escalate.to, turn=_turn(unit, instance, path))
    else:
        people = meant(unit.session, work.escalate.to, record, instance)
        if not people:
            raise Invalid(_("There is nobody to do it: %(who)s.", who=", ".join(work.escalate.to)))
        hand_over_tasks(unit, instance_id, path, people[0])
        done = _("handed over to %(who)s", who=address_of(unit.session, people[0])[0])
    instance.steps += 1
    unit.flush()
    unit.session.connection().execute(
        insert(step_table).values(
            id=unit.batch, instance_id=instance_id, number=instance.steps, at=utcnow(), event="escalate",
            source=list(instance.states), target=list(instance.states), moves=[], done=[done], actor_id=None,
            actor=unit.actor.name,
        )
    )  # fmt: skip
    return True


def _turn(unit: Unit, instance: WorkflowInstance, path: str) -> int:
    """In which step a state that asks people began to ask."""
    found: int | None = unit.session.scalar(
        select(Approval.turn)
        .where(Approval.instance_id == instance.id, Approval.state == path)
        .order_by(Approval.turn.desc())
        .limit(1)
    )
    return instance.steps if found is None else found


def ask(
    unit: Unit, definition: Definition, instance: WorkflowInstance, record: Any, state: State, words: Sequence[str],
    turn: int | None = None,
) -> str:  # fmt: skip
    """Put a state's question to people, and write to them."""
    assert state.approve is not None
    site, session = unit.site, unit.session
    people = meant(session, words, record, instance)
    if not people:
        raise Invalid(_("There is nobody to ask: %(who)s.", who=", ".join(words)))
    turn = instance.steps if turn is None else turn
    asked = set(
        session.scalars(
            select(Approval.owner_id).where(
                Approval.instance_id == instance.id, Approval.state == state.path, Approval.turn == turn
            )
        )
    )

    def filled(text: str) -> str:
        return fill(text, lambda path: shown(site, session, record, path, instance.facts or {}))

    due = state.approve.deadline.after(utcnow(), zone_of(site)) if state.approve.deadline else None
    names = []
    for user_id in people:
        if user_id in asked:
            continue
        approval = Approval(
            owner_id=user_id, instance_id=instance.id, state=state.path, turn=turn, about_entity=instance.entity,
            about_id=instance.record_id, title=filled(state.approve.title or f"{state.title}: {{title}}")[:500],
            note=filled(state.approve.note), due_at=due,
        )  # fmt: skip
        session.add(approval)
        unit.flush()
        mail_question(unit, approval, record)
        names.append(address_of(session, user_id)[0])
    return _("asked %(who)s", who=", ".join(names)) if names else ""


def mail_question(unit: Unit, approval: Approval, record: Any) -> None:
    """Write to whom a question is put, with a link for each answer."""
    assert approval.owner_id is not None
    _name, email, language = address_of(unit.session, approval.owner_id)
    site = unit.site
    links = decision_links(site, approval, record.version)
    with site.speaking(language if language else "en") as texts:
        text = texts.gettext(
            "%(title)s\n\n%(note)s%(record)s: %(url)s\n\nApprove:\n%(approve)s\n\nReject:\n%(reject)s\n\n"
            "Each link shows a page that asks once more. It is for you alone and works once.",
            title=approval.title, note=f"{approval.note}\n\n" if approval.note else "", record=str(record),
            url=f"{site.config.base_url.rstrip('/')}/{approval.about_entity}/{approval.about_id}",
            approve=links["approved"], reject=links["rejected"],
        )  # fmt: skip
        subject = texts.gettext("Please decide: %(title)s", title=approval.title)
    enqueue_mail(site, unit.session.connection(), to=email, subject=subject, text=text, user_id=approval.owner_id)
