"""Moving what runs on an older version of a workflow to the newest one, on purpose, by a map of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update

from rapport.entities import table_of, utcnow
from rapport.errors import Invalid
from rapport.i18n.catalogs import _
from rapport.workflows.conditions import zone_of
from rapport.workflows.definition import Definition, State
from rapport.workflows.people import withdraw
from rapport.workflows.running import arm, in_step
from rapport.workflows.store import Approval, Workflow, WorkflowInstance, WorkflowVersion, link_table, step_table
from rapport.workflows.store import timer_table as timers

if TYPE_CHECKING:
    from rapport.records import Reader, Unit

AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Place:
    """A state of the older version in which something is, and where it would go."""

    path: str
    title: str
    count: int
    to: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What moving would mean."""

    places: Sequence[Place]
    targets: Sequence[tuple[str, str]]
    """The states of the newest version: path and title."""
    total: int
    problems: Sequence[str]


def plan_move(reader: Reader, version: WorkflowVersion, mapping: Mapping[str, str]) -> Plan:
    """Where what runs on a version would stand on the newest one; a state goes to the one of its name unless said."""
    old, new, _newest = _definitions(reader, version)
    rows = reader.session.execute(
        select(WorkflowInstance.states, func.count())
        .where(WorkflowInstance.version_id == version.id, WorkflowInstance.status == "running")
        .group_by(WorkflowInstance.states)
    )
    found: dict[str, int] = {}
    total = 0
    for states, number in rows:
        total += number
        for path in states:
            found[path] = found.get(path, 0) + number
    places, problems = [], []
    for path, number in found.items():
        to = mapping.get(path, path if path in new.states else "")
        title = old.states[path].title if path in old.states else path
        if to not in new.states:
            problems.append(_("Say where “%(state)s” goes.", state=title))
        places.append(Place(path, title, number, to))
    problems += [
        each for states in [tuple(found)] for each in _torn(new, {each.path: each.to for each in places}, states)
    ]
    return Plan(places, [(path, state.title) for path, state in new.states.items()], total, problems)


def _torn(new: Definition, mapping: Mapping[str, str], paths: Sequence[str]) -> list[str]:
    """States that cannot be in alone: a part of parallel parts whose other parts would be nowhere."""
    wanted = {mapping[path] for path in paths if mapping.get(path) in new.states}
    problems = []
    for path in sorted(wanted):
        state = new.states[path]
        if state.regions and any(
            not any(other.region == region.path for other in map(new.states.get, wanted) if other)
            for region in state.regions
        ):
            problems.append(_("“%(state)s” has parallel parts, and nothing goes to one of them.", state=state.title))
        if state.parent and state.parent not in wanted:
            problems.append(_("“%(state)s” is a part of another state, to which nothing goes.", state=state.title))
    return problems


def move(unit: Unit, version: WorkflowVersion, mapping: Mapping[str, str]) -> int:
    """Move the next of what runs on a version, a few hundred at most; 0 when nothing is left to move.

    Nothing is done on the way. What waits keeps its time where the new state waits too, and questions and tasks stay
    with their people where the new state asks as well.
    """
    plan = plan_move(unit.reader, version, mapping)
    if plan.problems:
        raise Invalid(" ".join(plan.problems))
    old, new, newest = _definitions(unit.reader, version)
    to = {each.path: each.to for each in plan.places}
    ids = unit.session.scalars(
        select(WorkflowInstance.id)
        .where(WorkflowInstance.version_id == version.id, WorkflowInstance.status == "running")
        .order_by(WorkflowInstance.id)
        .limit(AT_ONCE)
    ).all()
    for instance_id in ids:
        in_step(unit, 0, lambda inner, each=instance_id: _move_one(inner, each, old, new, newest, to))  # type: ignore[misc]
    return len(ids)


def _move_one(
    unit: Unit, instance_id: UUID, old: Definition, new: Definition, newest: UUID, to: Mapping[str, str]
) -> None:
    session: Any = unit.session
    statement = select(WorkflowInstance).where(WorkflowInstance.id == instance_id).with_for_update()
    instance = session.scalars(statement).one()
    before = tuple(instance.states)
    after = tuple(path for path in new.states if path in {to[each] for each in before})
    for path in before:
        _take_along(unit, instance_id, path, new.states[to[path]])
    instance.version_id, instance.states, instance.steps = newest, after, instance.steps + 1
    unit.flush()
    session.connection().execute(
        insert(step_table).values(
            id=unit.batch, instance_id=instance_id, number=instance.steps, at=utcnow(), event="move",
            source=list(before), target=list(after), moves=[], done=[], actor_id=unit.actor.id, actor=unit.actor.name,
        )
    )  # fmt: skip


def _take_along(unit: Unit, instance_id: UUID, path: str, state: State) -> None:
    """Timers, questions and tasks of a state, as far as the state that takes its place has such too."""
    session: Any = unit.session
    connection, t = session.connection(), timers.c
    work = state.approve or state.task
    wanted = {edge.event: edge.delay for edge in state.after if edge.delay is not None}
    wanted |= {"deadline": work.deadline} if work is not None and work.deadline is not None else {}
    wanted |= {"escalate": work.escalate.after} if work is not None and work.escalate is not None else {}
    here = (t.instance_id == instance_id, t.state == path)
    known = set(connection.scalars(select(t.name).where(*here)))
    connection.execute(delete(timers).where(*here, t.name.not_in(wanted)))
    connection.execute(update(timers).where(*here).values(state=state.path))
    for name in wanted.keys() - known:
        arm(unit, instance_id, state.path, name, wanted[name].after(utcnow(), zone_of(unit.site)))
    if not state.approve and not state.task:
        withdraw(unit, instance_id, path)
    links = link_table.c
    connection.execute(
        update(link_table).where(links.instance_id == instance_id, links.state == path).values(state=state.path)
    )
    asked = select(Approval).where(Approval.instance_id == instance_id, Approval.state == path)
    for approval in session.scalars(asked):
        approval.state = state.path


def _definitions(reader: Reader, version: WorkflowVersion) -> tuple[Definition, Definition, UUID]:
    charts, connection = reader.site.charts, reader.session.connection()
    workflows, versions = table_of(Workflow), table_of(WorkflowVersion)
    newest: UUID = connection.execute(
        select(versions.c.id)
        .join(workflows, (workflows.c.id == versions.c.workflow_id) & (workflows.c.number == versions.c.number))
        .where(workflows.c.id == version.workflow_id)
    ).scalar_one()
    return charts.definition(connection, version.id), charts.definition(connection, newest), newest
