"""What sets workflows in motion: changes of records, answers and messages, days that come, schedules and segments."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, delete, event, insert, or_, select

from rapport.access import system
from rapport.entities import Extension, column_of, entity_class, table_of, utcnow
from rapport.entities.base import plugin_of
from rapport.jobs import JobContext, enqueue_job
from rapport.query.filter import parse
from rapport.query.sql import compile_filter
from rapport.records import Logged, Unit
from rapport.schedules import next_run
from rapport.workflows.charts import Chart
from rapport.workflows.conditions import context_of, holds, values_of, zone_of
from rapport.workflows.definition import Definition, Start
from rapport.workflows.engine import Event
from rapport.workflows.running import begin, happen, shift
from rapport.workflows.store import Approval, Workflow, WorkflowInstance, link_table, member_table, step_table

if TYPE_CHECKING:
    from rapport.site import Site

CLOCK_JOB = "core.workflow_clock"
MORNING = "daily at 06:00"
"""When days come."""
PAGE = 100
"""Records that are started in one transaction."""
WATCHED = ("task", "interaction", "message")
Key = tuple[str, UUID]
Waiting = dict[Key, dict[UUID, UUID]]
"""What runs, by record: the instances, each with its version."""


def wants(site: Site) -> Collection[str]:
    """The kinds of records whose changes may move a workflow."""
    workflows = table_of(Workflow)
    with site.db.read() as connection:  # those that are off, too: what runs of them is brought to its end
        names = set(connection.scalars(select(workflows.c.entity).distinct()))
    added = {extension.meta.name for extension in _extensions(site) if extension.meta.extends in names}
    return names | added | {name for name in WATCHED if name in site.entities} if names else ()


def follow(unit: Unit, changes: Sequence[Logged]) -> None:
    """Let changes do to workflows what they do, in their order."""
    _Following(unit, _with_extended(unit, changes)).run()


def _extensions(site: Site) -> list[type[Extension]]:
    return [entity for entity in site.entities if issubclass(entity, Extension)]


def _with_extended(unit: Unit, changes: Sequence[Logged]) -> list[Logged]:
    """The changes, and after each of an extension's row that of the record whose fields those are."""
    extensions = {extension.meta.name: extension for extension in _extensions(unit.site)}
    bases: dict[UUID, UUID] = {}
    for name, extension in extensions.items():
        ids = [change.record_id for change in changes if change.entity == name]
        rows = unit.session.execute(select(extension.id, extension.of_id).where(extension.id.in_(ids))) if ids else ()
        bases |= {row.id: row.of_id for row in rows}
    found = []
    for change in changes:
        found.append(change)
        if change.record_id in bases and (known := extensions.get(change.entity)) is not None:
            before = f"{plugin_of(change.entity)}_"
            told = {before + name: pair for name, pair in change.changes.items() if name != "of_id"}
            found.append(replace(change, entity=known.meta.extends, record_id=bases[change.record_id],
                                 action="updated", changes=told))  # fmt: skip
    return found


class _Following:
    """One batch of changes."""

    def __init__(self, unit: Unit, changes: Sequence[Logged]) -> None:
        self.unit = unit
        self.site = unit.site
        self.session: Any = unit.session
        self.connection = unit.session.connection()
        self.changes = changes
        self.charts = self.site.charts.active(self.connection)
        batches = {change.batch_id for change in changes if change.batch_id is not None and change.via == "workflow"}
        rows = self.connection.execute(
            select(step_table.c.id, step_table.c.instance_id).where(step_table.c.id.in_(batches))
        )
        self.causes: Mapping[UUID, UUID] = {row.id: row.instance_id for row in rows}
        """The steps among the batches, each with its instance."""
        self.waiting = self._waiting()

    def _waiting(self) -> Waiting:
        found: Waiting = {}
        entities, ids = {change.entity for change in self.changes}, {change.record_id for change in self.changes}
        here = WorkflowInstance
        rows = self.session.execute(
            select(here.id, here.entity, here.record_id, here.version_id)
            .where(here.entity.in_(entities), here.record_id.in_(ids), here.status == "running")
            .order_by(here.id)
        )
        for row in rows:
            found.setdefault((row.entity, row.record_id), {})[row.id] = row.version_id
        return found

    def run(self) -> None:
        for change in self.changes:
            cause = change.batch_id if change.batch_id in self.causes else None
            depth = change.depth + (cause is not None)
            if change.entity in WATCHED:
                self._heard(change, cause, depth)
            if change.action == "deleted":
                self._gone(change)
                continue
            self._life_cycles(change, cause, depth)
            for instance_id, version_id in list(self.waiting.get((change.entity, change.record_id), {}).items()):
                if cause is None or self.causes[cause] != instance_id:  # what it did itself is no news to it
                    self._tell(instance_id, version_id, Event(change.action), cause, depth)
            self._starts(change, cause, depth)

    def _tell(self, instance_id: UUID, version_id: UUID, event: Event, cause: UUID | None, depth: int) -> None:
        """Tell an instance, if its workflow has an ear for such an event at all."""
        if event.name in self.site.charts.definition(self.connection, version_id).events():
            happen(self.unit, instance_id, event, cause=cause, depth=depth)

    # Starting --------------------------------------------------------------------------------------------------------

    def _starts(self, change: Logged, cause: UUID | None, depth: int) -> None:
        record = None
        for chart in self.charts:
            definition = chart.definition
            if definition.entity != change.entity or change.at < chart.since:
                continue
            for start in definition.starts:
                if start.kind not in {"event", "segment"}:
                    continue
                if start.kind == "event" and change.action not in start.events:
                    continue
                record = record or self.session.get(entity_class(change.entity), change.record_id)
                if record is None:
                    return
                if start.kind == "segment":
                    entered = self._entered(chart, start, record)
                else:
                    entered = begins(self.site, self.session, definition, start, record, change)
                if entered:
                    self._begin(chart, change.record_id, cause, depth)

    def _begin(self, chart: Chart, record_id: UUID, cause: UUID | None, depth: int, at: Sequence[str] = ()) -> None:
        made = begin(self.unit, chart, record_id, cause=cause, depth=depth, at=at)
        if made is not None:
            self.waiting.setdefault((chart.definition.entity, record_id), {})[made] = chart.version_id

    def _entered(self, chart: Chart, start: Start, record: Any) -> bool:
        """Whether a record meets the condition of a segment that it did not meet before."""
        members = member_table.c
        here = (members.workflow_id == chart.workflow_id, members.record_id == record.id)
        known = self.connection.execute(select(members.record_id).where(*here)).one_or_none() is not None
        values = values_of(self.site, self.session, record, [start.segment, start.when])
        inside = record.archived_at is None and holds(self.site, start.segment, chart.definition, values)
        if inside and not known:
            self.connection.execute(insert(member_table).values(workflow_id=chart.workflow_id, record_id=record.id))
            return holds(self.site, start.when, chart.definition, values)
        if known and not inside:
            self.connection.execute(delete(member_table).where(*here))
        return False

    def _life_cycles(self, change: Logged, cause: UUID | None, depth: int) -> None:
        """The states of a field's life cycle follow the field."""
        for chart in self.charts:
            definition = chart.definition
            pair = change.changes.get(definition.field) if definition.entity == change.entity else None
            if not definition.field or not pair or pair[1] not in definition.states or change.at < chart.since:
                continue
            here = self.waiting.setdefault((change.entity, change.record_id), {})
            mine = [each for each, version in here.items() if self._is_of(version, chart)]
            if cause is not None and self.causes[cause] in mine:
                continue
            if not mine:
                old = pair[0] if pair[0] in definition.states else None
                begun = () if change.action == "created" and pair[1] == definition.root.initial else (old or pair[1],)
                self._begin(chart, change.record_id, cause, depth, begun)
                mine = [each for each, version in here.items() if self._is_of(version, chart)]
            for instance_id in mine:
                shift(self.unit, instance_id, str(pair[1]), cause=cause, depth=depth)

    def _is_of(self, version_id: UUID, chart: Chart) -> bool:
        return self.site.charts.definition(self.connection, version_id).name == chart.definition.name

    # Hearing ---------------------------------------------------------------------------------------------------------

    def _heard(self, change: Logged, cause: UUID | None, depth: int) -> None:
        """A task was finished, a customer answered, or a message has come to something."""
        new = {name: pair[1] for name, pair in change.changes.items()}
        if change.entity == "interaction":
            if change.action == "created" and new.get("direction") == "in" and new.get("customer_id"):
                self._answered(UUID(new["customer_id"]), cause, depth)
            return
        if change.entity == "task" and new.get("done_at"):
            name = "done"
        elif change.entity == "message" and new.get("state"):
            name = str(new["state"])
        else:
            return
        link = self.connection.execute(
            select(link_table).where(link_table.c.other_id == change.record_id)
        ).one_or_none()
        if link is not None:
            state = link.state if name == "done" else ""
            happen(self.unit, link.instance_id, Event(name, state), cause=cause, depth=depth)

    def _answered(self, customer_id: UUID, cause: UUID | None, depth: int) -> None:
        rows = self.session.execute(
            select(WorkflowInstance.id, WorkflowInstance.version_id)
            .where(WorkflowInstance.customer_id == customer_id, WorkflowInstance.status == "running")
            .order_by(WorkflowInstance.id)
        ).all()
        for row in rows:
            self._tell(row.id, row.version_id, Event("answered"), cause, depth)

    def _gone(self, change: Logged) -> None:
        """With a record goes what ran with it."""
        about = (WorkflowInstance.entity == change.entity, WorkflowInstance.record_id == change.record_id)
        ids = self.session.scalars(select(WorkflowInstance.id).where(*about)).all()
        for part in (select(Approval).where(Approval.instance_id.in_(ids)), select(WorkflowInstance).where(*about)):
            for row in self.session.scalars(part):
                self.session.delete(row)
        self.connection.execute(delete(member_table).where(member_table.c.record_id == change.record_id))
        self.waiting.pop((change.entity, change.record_id), None)


def begins(site: Site, session: Any, definition: Definition, start: Start, record: Any, change: Logged) -> bool:
    """Whether a change of a record starts a workflow.

    A new record does when it meets the condition. An update does when it comes to meet it, or when it touches one of
    the fields that the start names and the condition holds then.
    """
    meta = site.meta(type(record))
    now = values_of(site, session, record, [start.when])
    after = now | loaded(meta, change.changes, 1)
    return begins_with(site, definition, start, change, after, lambda: after | loaded(meta, change.changes, 0))


def begins_with(
    site: Site, definition: Definition, start: Start, change: Any, after: Mapping[str, Any], before: Any,
    now: dt.datetime | None = None,
) -> bool:  # fmt: skip
    """The same for values at hand; `before()` gives those before the change."""
    if change.action not in start.events or not holds(site, start.when, definition, after, now):
        return False
    if change.action != "updated":
        return True
    if start.fields:
        return any(name in change.changes for name in start.fields)
    return not start.when or not holds(site, start.when, definition, before(), now)


def loaded(meta: Any, changes: Mapping[str, Sequence[Any]], which: int) -> dict[str, Any]:
    """One side of logged changes as values; what cannot be read any more is left out."""
    loaded = {}
    for name, pair in changes.items():
        field = meta.fields.get(name)
        if field is not None:
            value = pair[which]
            try:
                loaded[name] = _empty(field) if value is None else field.load(value)
            except ValueError:
                continue
    return loaded


def _empty(field: Any) -> Any:
    return (
        None
        if field.nullable
        else {"tags": (), "flag": False}.get(field.kind, "" if field.kind in {"text", "longtext"} else None)
    )


# Time ----------------------------------------------------------------------------------------------------------------


def plan(session: Any, workflow: Workflow) -> None:
    """Have the days, schedules and segments of a workflow looked at when their time comes. Called when it is saved."""
    site = session.unit.site
    event.listen(session, "after_commit", lambda _session: site.charts.forget(), once=True)
    definition = site.charts.read(workflow.source)
    if definition is None or not workflow.active:
        return
    for number, start in enumerate(definition.starts):
        if start.kind in {"date", "schedule", "segment"}:
            due = next_run(rule_of(start), zone_of(site).key, utcnow())
            _enqueue(session.connection(), workflow.id, number, due, first=False)
        if start.kind == "segment":  # who is in it already has not entered it
            _enqueue(session.connection(), workflow.id, number, utcnow(), first=True)


def rule_of(start: Start) -> str:
    """When a way of starting that follows the clock is looked at."""
    return start.rule or MORNING


def _enqueue(connection: Any, workflow_id: UUID, number: int, due: dt.datetime, *, first: bool) -> None:
    arguments = {"workflow": str(workflow_id), "number": number, "at": due.isoformat(), "first": first}
    key = f"{workflow_id}:{number}:{'first' if first else 'next'}"
    enqueue_job(connection, CLOCK_JOB, arguments, actor=system("workflow"), due_at=due, key=key)


def strike(context: JobContext, workflow: str, number: int, at: str, first: bool = False) -> str:
    """The job of a day, a schedule or a segment: start what is to be started, and plan the next time."""
    site, workflow_id = context.site, UUID(workflow)
    chart = next((each for each in site.charts.active() if each.workflow_id == workflow_id), None)
    if chart is None or number >= len(chart.definition.starts):
        return "It is off."
    start, moment = chart.definition.starts[number], dt.datetime.fromisoformat(at)
    if start.kind not in {"date", "schedule", "segment"}:
        return "It starts in another way now."
    done = _sweep(context, chart, start, first) if start.kind == "segment" else _each(context, chart, start, moment)
    if not first:
        with site.write(system("workflow").through("workflow")) as unit:
            due = next_run(rule_of(start), zone_of(site).key, moment)
            _enqueue(unit.session.connection(), workflow_id, number, due, first=False)
    return f"{done}"


def _each(context: JobContext, chart: Chart, start: Start, moment: dt.datetime) -> int:
    """Start for every record whose day it is, or that a schedule means; a page of them in a transaction."""
    site, done = context.site, 0
    day = moment.astimezone(zone_of(site)).date()
    occasion = f"{start.kind}:{day if start.kind == 'date' else moment.isoformat()}"
    for ids in _pages(site, chart.definition, [*due_on(site, chart.definition, start, day)], start.when, moment):
        with site.write(system("workflow").through("workflow")) as unit:
            for record_id in ids:
                done += begin(unit, chart, record_id, occasion=occasion) is not None
        context.progress(done)
    return done


def due_on(site: Site, definition: Definition, start: Start, day: dt.date) -> Iterator[ColumnElement[bool]]:
    """Which records have their day, as conditions of a query."""
    if start.kind != "date":
        return
    entity: Any = site.entities[definition.entity]
    field = site.meta(entity).fields[start.date]
    column: Any = column_of(entity, field)
    named = day if start.offset is None else start.offset.shift_date(day, 1 if start.before else -1)
    if field.kind == "instant":
        zone = zone_of(site)
        first = dt.datetime.combine(named, dt.time.min, zone).astimezone(dt.UTC)
        yield column.between(first, dt.datetime.combine(named + dt.timedelta(1), dt.time.min, zone).astimezone(dt.UTC))
    elif start.yearly:
        days = [f"-{named:%m-%d}"]
        if days == ["-02-28"] and not calendar.isleap(named.year):
            days.append("-02-29")
        written = cast(column, Text)  # 1990-02-29, whether it is a column of its own or an administrator's field
        yield or_(*(written.endswith(each) for each in days))
    else:
        yield column == named


def _pages(
    site: Site, definition: Definition, conditions: Sequence[ColumnElement[bool]], when: str, moment: dt.datetime
) -> Iterator[list[UUID]]:
    """The records that meet conditions, page by page in the order of their ids."""
    entity: Any = site.entities[definition.entity]
    where = [entity.archived_at.is_(None), *conditions]
    if when:
        where.append(compile_filter(parse(when), entity, context_of(site, moment)))
    last: UUID | None = None
    while True:
        after = where if last is None else [*where, entity.id > last]
        with site.read(system("workflow")) as reader:
            ids = list(reader.session.scalars(select(entity.id).where(*after).order_by(entity.id).limit(PAGE)))
        if not ids:
            return
        yield ids
        last = ids[-1]


def _sweep(context: JobContext, chart: Chart, start: Start, first: bool) -> int:
    """Who has come into a segment by the passing of time starts; who has left it may enter anew."""
    site, done = context.site, 0
    entity: Any = site.entities[chart.definition.entity]
    members = member_table.c
    inside = compile_filter(parse(start.segment), entity, context_of(site))
    known = select(members.record_id).where(members.workflow_id == chart.workflow_id)
    for ids in _pages(site, chart.definition, [inside, entity.id.not_in(known)], "", utcnow()):
        with site.write(system("workflow").through("workflow")) as unit:
            session: Any = unit.session
            rows = [{"workflow_id": chart.workflow_id, "record_id": each} for each in ids]
            session.connection().execute(insert(member_table), rows)
            for record in (
                session.scalars(select(entity).where(entity.id.in_(ids)).order_by(entity.id)) if not first else ()
            ):
                values = values_of(site, session, record, [start.when])
                if holds(site, start.when, chart.definition, values):
                    done += begin(unit, chart, record.id) is not None
        context.progress(done)
    with site.write(system("workflow").through("workflow")) as unit:
        left = select(entity.id).where(inside, entity.archived_at.is_(None))
        unit.session.connection().execute(
            delete(member_table).where(members.workflow_id == chart.workflow_id, members.record_id.not_in(left))
        )
    return done
