"""Simulation: what a workflow would have done in the last days, played through on the log without writing anything.

The engine is the one that runs workflows; only the world around it differs. Records are taken back to what they were,
the changes of those days are played again in their order, and timers ring at their time. What no log can know (whether
people would have agreed, or finished a task) is left open: there only deadlines go on.
"""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Select, select

from rapport.db.batches import batched
from rapport.entities import Entity, EntityMeta, utcnow, uuid7
from rapport.errors import RapportError
from rapport.i18n.catalogs import _
from rapport.interactions.consent import Purpose
from rapport.interactions.gate import Question, Verdict, gather
from rapport.interactions.gate import ask as ask_the_gate
from rapport.interactions.messages import Message
from rapport.query.filter import parse
from rapport.records.log import change_log
from rapport.schedules import next_run
from rapport.workflows import engine
from rapport.workflows.actions import said_value
from rapport.workflows.conditions import add_behind, fact_values, fill, holds, values_of, zone_of
from rapport.workflows.definition import Action, Definition, Start, State
from rapport.workflows.engine import Event, Micro
from rapport.workflows.running import MAX_CHAIN, MAX_STEPS, WINDOW
from rapport.workflows.starting import begins_with, due_on, loaded, rule_of
from rapport.workflows.store import WorkflowInstance, step_table

if TYPE_CHECKING:
    from rapport.records import Reader

MAX_CHANGES = 20_000
MAX_STEPS_SHOWN = 5_000
MAX_A_DAY = 1_000
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SimulatedStep:
    """One step that would have been taken."""

    record_id: UUID
    number: int
    at: dt.datetime
    event: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    done: tuple[str, ...]
    problem: str = ""
    """Why it would have stopped there."""


@dataclass(slots=True)
class Simulation:
    """What would have happened."""

    since: dt.datetime
    until: dt.datetime
    steps: list[SimulatedStep] = field(default_factory=list)
    started: int = 0
    states: Counter[str] = field(default_factory=Counter)
    """Where those would stand now that have not ended."""
    ended: int = 0
    stopped: int = 0
    changes: int = 0
    complete: bool = True
    """Whether all of those days were played, or only as much as fits."""


@dataclass(slots=True)
class _Run:
    record_id: UUID
    active: engine.Active = ()
    steps: int = 0
    depth: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    armed: dict[str, int] = field(default_factory=dict)
    """By state, the visit whose timers count."""
    times: list[dt.datetime] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Change:
    """A change as it is played: of the log, or one that the simulated workflow makes."""

    record_id: UUID
    action: str
    changes: Mapping[str, Sequence[Any]]
    entity: str
    depth: int = 0
    own: bool = False


def simulate(reader: Reader, definition: Definition, *, days: int = 30, workflow_id: UUID | None = None) -> Simulation:
    """Play a definition on the last days. What `workflow_id` itself has done in them is left out."""
    return _Player(reader, definition, days, workflow_id).play()


class _Player:
    def __init__(self, reader: Reader, definition: Definition, days: int, workflow_id: UUID | None) -> None:
        self.reader = reader
        self.site = reader.site
        self.session: Any = reader.session
        self.definition = definition
        self.workflow_id = workflow_id
        self.entity: Any = self.site.entities[definition.entity]
        self.meta: EntityMeta = self.site.meta(self.entity)
        starts = definition.starts
        texts = [*definition.conditions(), *(text for each in starts for text in (each.when, each.segment) if text)]
        self.texts = texts
        self.filters = [parse(text) for text in texts]
        self.now = utcnow()
        self.found = Simulation(since=self.now - dt.timedelta(days=days), until=self.now)
        self.values: dict[UUID, Values | None] = {}
        """Each record as it is at the moment that is played; None: not yet there."""
        self.titles: dict[UUID, str] = {}
        self.runs: dict[UUID, _Run] = {}
        self.members: set[tuple[int, UUID]] = set()
        self.queue: list[tuple[dt.datetime, int, Callable[[], None]]] = []
        self.order = itertools.count()

    def play(self) -> Simulation:
        rows = self._log()
        self._take_back(rows)
        for row in rows:
            if row.own:
                continue
            change = _Change(row.record_id, row.action, row.changes, row.entity)
            self._at(row.at, partial(self._play, change))
        self.found.changes = sum(not row.own for row in rows)
        for start in self.definition.starts:
            if start.kind in {"date", "schedule"}:
                self._plan(start, self.found.since)
        while self.queue:
            self.now, _number, happen = heapq.heappop(self.queue)
            happen()
            if len(self.found.steps) >= MAX_STEPS_SHOWN:
                self.found.complete = False
                break
        for run in self.runs.values():
            self.found.states.update(run.active)
        return self.found

    def _at(self, moment: dt.datetime, happen: Callable[[], None]) -> None:
        if moment <= self.found.until:
            heapq.heappush(self.queue, (moment, next(self.order), happen))

    # The past --------------------------------------------------------------------------------------------------------

    def _log(self) -> list[Any]:
        log = change_log.c
        mine = select(step_table.c.id).join(
            WorkflowInstance.__table__, WorkflowInstance.__table__.c.id == step_table.c.instance_id
        ).where(WorkflowInstance.__table__.c.workflow_id == self.workflow_id)  # fmt: skip
        entities = [self.definition.entity]
        if "answered" in self.definition.events():
            entities.append("interaction")
        statement: Select[Any] = (
            select(change_log, log.batch_id.in_(mine).label("own"))
            .where(log.at >= self.found.since, log.entity.in_(entities))
            .order_by(log.seq)
            .limit(MAX_CHANGES + 1)
        )
        rows = list(self.session.connection().execute(statement))
        if len(rows) > MAX_CHANGES:
            self.found.complete = False
            self.found.until = rows[MAX_CHANGES].at
        return rows[:MAX_CHANGES]

    def _take_back(self, rows: Sequence[Any]) -> None:
        """Every record that was changed, as it was when those days began."""
        ours = [row for row in rows if row.entity == self.definition.entity]
        for ids in batched(dict.fromkeys(row.record_id for row in ours)):
            for record in self.session.scalars(select(self.entity).where(self.entity.id.in_(ids))):
                self.values[record.id] = self._values(record)
        later = set()
        for row in reversed(ours):
            values = self.values.get(row.record_id)
            if values is None:
                continue
            if row.action == "created":
                later.add(row.record_id)
            else:
                values.update(loaded(self.meta, row.changes, 0))
        for record_id in later:
            self.values[record_id] = None
        for number, start in enumerate(self.definition.starts):
            if start.kind == "segment":
                self.members |= {
                    (number, record_id)
                    for record_id, values in self.values.items()
                    if values is not None and self._inside(start, values)
                }

    def _values(self, record: Entity) -> Values:
        self.titles[record.id] = str(record)
        return values_of(self.site, self.session, record, self.texts)

    def _of(self, record_id: UUID) -> Values | None:
        if record_id not in self.values:
            record = self.session.get(self.entity, record_id)
            self.values[record_id] = None if record is None else self._values(record)
        return self.values[record_id]

    def _changed(self, record_id: UUID, new: Mapping[str, Any]) -> None:
        values = self.values.get(record_id) or {
            name: f.default if not callable(f.default) else None for name, f in self.meta.fields.items() if not f.secret
        }
        values = {**values, **new}
        for reference in self.meta.references:
            values.pop(reference.name.removesuffix("_id"), None)
        add_behind(self.site, self.session, self.meta, values, self.filters)
        self.values[record_id] = values

    # What happens ----------------------------------------------------------------------------------------------------

    def _play(self, change: _Change) -> None:
        if change.entity == "interaction":
            self._answer(change)
            return
        if change.record_id not in self.values:
            return  # gone by now: nobody knows what it was
        before = self.values[change.record_id] or {}
        if not change.own:
            self._changed(change.record_id, loaded(self.meta, change.changes, 1))
        after = self.values[change.record_id] or {}
        if change.action == "deleted":
            self.runs.pop(change.record_id, None)
            return
        self._life_cycle(change)
        run = self.runs.get(change.record_id)
        if run is not None and not change.own:
            self._happen(run, Event(change.action))
        for number, start in enumerate(self.definition.starts):
            if start.kind == "segment":
                self._segment(number, start, change, after)
            elif start.kind == "event" and begins_with(
                self.site, self.definition, start, change, after,
                lambda: before if not change.own else {**after, **loaded(self.meta, change.changes, 0)}, self.now,
            ):  # fmt: skip
                self._begin(change.record_id, change.depth)

    def _inside(self, start: Start, values: Values) -> bool:
        return values.get("archived_at") is None and holds(self.site, start.segment, self.definition, values, self.now)

    def _segment(self, number: int, start: Start, change: _Change, values: Values) -> None:
        key, inside = (number, change.record_id), self._inside(start, values)
        if inside and key not in self.members:
            self.members.add(key)
            if holds(self.site, start.when, self.definition, values, self.now):
                self._begin(change.record_id, change.depth)
        elif not inside:
            self.members.discard(key)

    def _life_cycle(self, change: _Change) -> None:
        pair = change.changes.get(self.definition.field) if self.definition.field else None
        if not pair or change.own or pair[1] not in self.definition.states:
            return
        run = self.runs.get(change.record_id)
        if run is None:
            if change.action == "created" and pair[1] == self.definition.root.initial:
                self._begin(change.record_id, change.depth)
                return
            old = pair[0] if pair[0] in self.definition.states else pair[1]
            run = self.runs[change.record_id] = _Run(change.record_id, (old,), depth=change.depth)
            self.found.started += 1
        taken = engine.follow_to(self.definition, run.active, pair[1], _World(self, run).holds)
        if taken is not None:
            self._carry(run, *taken)

    def _answer(self, change: _Change) -> None:
        new = {name: pair[1] for name, pair in change.changes.items()}
        if change.action != "created" or new.get("direction") != "in" or not new.get("customer_id"):
            return
        customer_id = UUID(new["customer_id"])
        for run in list(self.runs.values()):
            values = self.values.get(run.record_id) or {}
            whose = run.record_id if self.definition.entity == "customer" else values.get("customer_id")
            if whose == customer_id:
                self._happen(run, Event("answered"))

    def _plan(self, start: Start, after: dt.datetime) -> None:
        moment = next_run(rule_of(start), zone_of(self.site).key, after)
        if moment <= self.found.until:
            self._at(moment, partial(self._come, start, moment))

    def _come(self, start: Start, moment: dt.datetime) -> None:
        day = moment.astimezone(zone_of(self.site)).date()
        conditions = [self.entity.archived_at.is_(None), *due_on(self.site, self.definition, start, day)]
        ids = self.session.scalars(select(self.entity.id).where(*conditions).order_by(self.entity.id).limit(MAX_A_DAY))
        for record_id in ids:
            values = self._of(record_id)
            if values is not None and holds(self.site, start.when, self.definition, values, self.now):
                self._begin(record_id, 0)
        self._plan(start, moment)

    # The engine ------------------------------------------------------------------------------------------------------

    def _begin(self, record_id: UUID, depth: int) -> None:
        if record_id in self.runs:
            return
        run = _Run(record_id, depth=depth)
        self.found.started += 1
        if depth > MAX_CHAIN:
            self._stop(run, Event("start"), _("Workflows cause each other without end."))
            return
        self.runs[record_id] = run
        self._carry(run, engine.begin(self.definition), Event("start"))

    def _happen(self, run: _Run, event: Event) -> None:
        micro = engine.take(self.definition, run.active, event, _World(self, run).holds)
        if micro is None:
            return
        if len(run.times) >= MAX_STEPS and run.times[-MAX_STEPS] > self.now - WINDOW:
            self._stop(run, event, _("It took more than %(most)s steps within an hour.", most=MAX_STEPS))
            return
        self._carry(run, micro, event)

    def _carry(self, run: _Run, micro: Micro, event: Event) -> None:
        before, world = run.active, _World(self, run)
        try:
            outcome = engine.carry_out(self.definition, micro, world)
        except RapportError as error:
            self._stop(run, event, str(error))
            return
        run.active, run.steps = outcome.active, run.steps + 1
        run.times.append(self.now)
        step = SimulatedStep(run.record_id, run.steps, self.now, event.name, before, outcome.active, outcome.done)
        self.found.steps.append(step)
        if engine.has_ended(self.definition, outcome.active):
            self.found.ended += 1
            self.runs.pop(run.record_id, None)
        if world.changes:
            change = _Change(run.record_id, "updated", world.changes, self.definition.entity, run.depth + 1, own=True)
            self._at(self.now, partial(self._play, change))

    def _stop(self, run: _Run, event: Event, why: str) -> None:
        self.found.steps.append(
            SimulatedStep(run.record_id, run.steps + 1, self.now, event.name, run.active, run.active, (), why)
        )
        self.found.stopped += 1
        self.runs.pop(run.record_id, None)

    def ring(self, run: _Run, state: str, visit: int, name: str) -> None:
        """A timer's time has come, if the state it belongs to still is the same visit."""
        if self.runs.get(run.record_id) is run and run.armed.get(state) == visit:
            self._happen(run, Event(name, state))


class _World:
    """The world of a simulation: records are values, and what would be done is said."""

    def __init__(self, player: _Player, run: _Run) -> None:
        self.player = player
        self.run = run
        self.changes: dict[str, list[Any]] = {}

    def holds(self, condition: str) -> bool:
        player, kinds = self.player, self.player.definition.facts
        values = (player.values[self.run.record_id] or {}) | fact_values(self.run.facts, kinds)
        return holds(player.site, condition, player.definition, values, player.now)

    def act(self, state: State, action: Action) -> str:
        player = self.player
        found = player.site.workflow_actions.get(action.name)
        if found is None:
            return _("The action '%(name)s' belongs to a module that is switched off.", name=action.name)
        arguments = {name: self._filled(value) for name, value in found.named(action.arguments).items()}
        if action.name == "set":
            self._set(arguments)
            labels = [_(player.meta.fields[name].label) for name in arguments]
            return _("set %(fields)s", fields=", ".join(labels))
        if action.name == "send":
            return self._message(arguments)
        told = ", ".join(str(value) for value in arguments.values() if isinstance(value, str))[:200]
        return f"{_(found.title)}: {told}" if told else _(found.title)

    def _message(self, arguments: Mapping[str, Any]) -> str:
        """A message that would go out, and what the gate would say of it now."""
        player = self.player
        values = player.values[self.run.record_id] or {}
        customer_id = self.run.record_id if player.definition.entity == "customer" else values.get("customer_id")
        said = _("sends “%(subject)s”", subject=arguments.get("subject") or str(arguments.get("body") or "")[:80])
        if customer_id is None:
            return said
        verdict = would_be(player.reader, channel=arguments["channel"], purpose=arguments["purpose"],
                           customer_id=customer_id, campaign=arguments.get("campaign") or "")  # fmt: skip
        return said if verdict is None or verdict.state == "waiting" else f"{said} ({verdict.state}: {verdict.reason})"

    def enter(self, state: State) -> list[str]:
        player, run = self.player, self.run
        visit = run.armed[state.path] = next(player.order)
        if player.definition.field:
            self._set({player.definition.field: state.name})
        work = state.task or state.approve
        timers = [(edge.event, edge.delay) for edge in state.after]
        timers += [("overdue", work.deadline)] if work is not None and work.deadline is not None else []
        for name, delay in timers:
            assert delay is not None
            due = delay.after(player.now, zone_of(player.site))
            player._at(due, partial(player.ring, run, state.path, visit, name))
        if state.task is not None:
            who = ", ".join(state.task.who)
            return [_("task “%(title)s” for %(who)s", title=self._filled(state.task.title), who=who)]
        return [_("asked %(who)s", who=", ".join(state.approve.who))] if state.approve is not None else []

    def leave(self, state: State) -> None:
        self.run.armed.pop(state.path, None)

    def _set(self, new: Mapping[str, Any]) -> None:
        player = self.player
        values = player.values[self.run.record_id] or {}
        for name, value in new.items():
            f = player.meta.fields[name]
            read = f.load(said_value(player.site, f, value))
            if values.get(name) != read:
                self.changes[name] = [f.dump(values.get(name)), f.dump(read)]
        player._changed(self.run.record_id, loaded(player.meta, self.changes, 1))

    def _filled(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        values = self.player.values[self.run.record_id] or {}

        def said(path: str) -> str:
            found = values.get(path)
            if found is None and path in {"title", "record"}:
                return self.player.titles.get(self.run.record_id, "")
            return "" if found is None else str(found)

        return fill(value, said)


def would_be(reader: Reader, *, channel: str, purpose: str, customer_id: UUID, campaign: str) -> Verdict | None:
    """What the gate would say of a message, without there being one; None for a purpose that is not there."""
    session: Any = reader.session
    purpose_id = session.scalar(select(Purpose.id).where(Purpose.name == purpose))
    if purpose_id is None:
        return None
    message = Message(id=uuid7(), customer_id=customer_id, channel=channel, address="", purpose_id=purpose_id,
                      campaign=campaign)  # fmt: skip
    asking: Any = reader  # it has the session and the site, which is all that the rules ask of a unit
    facts = gather(asking, [message])
    return ask_the_gate(Question(asking, message, facts, may_send=True, claiming=False))


def by_record(found: Simulation) -> Iterator[tuple[UUID, list[SimulatedStep]]]:
    """The steps of each record, in the order of their first one."""
    groups: dict[UUID, list[SimulatedStep]] = {}
    for step in found.steps:
        groups.setdefault(step.record_id, []).append(step)
    yield from groups.items()
