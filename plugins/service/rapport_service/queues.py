"""Queues: where cases wait for somebody, who has the skills and the room for them, and who gets the next one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Mapped

from rapport import Choice, Entity, Interaction, Invalid, Membership, Problem, Reader, Unit, User, field, ref, utcnow
from rapport import gettext as _
from rapport_service.entities import LAID_OUT, OPEN, RANKS, SCOPED, Case, check_filter


class Queue(Entity, name="service.queue", title="Queue", icon="stack-2", roles=LAID_OUT, display="name",
            natural_key=("name",)):  # fmt: skip
    """Where cases of a sort wait for one of those who can solve them."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True, aliases=["workgroup"])
    team_id: Mapped[UUID | None] = ref("team", label="Team", in_list=True, help="Those who work on it.")
    skills: Mapped[tuple[str, ...]] = field(
        label="Skills needed", in_list=True, help="Who gets its cases has all of these."
    )
    filter: Mapped[str] = field(
        label="Cases that come here", kind="longtext", default="", section="What comes here",
        help='A condition on new cases, such as: kind = "complaint". Left empty: those that are put here by hand.',
    )  # fmt: skip
    takes: Mapped[str] = field(
        label="Contacts that become cases", kind="longtext", default="", section="What comes here",
        help='A condition on what comes in, such as: channel = "email" and source = "help@example.com". Left empty: '
             "none do by themselves.",
    )  # fmt: skip
    routing: Mapped[str] = field(
        label="Handed out",
        choices=[
            Choice("manual", "Whoever takes the next"),
            Choice("least_load", "To whoever has least to do", "blue"),
            Choice("longest_idle", "To whoever has waited longest", "azure"),
        ],
        default="manual",
        in_list=True,
    )
    position: Mapped[int] = field(label="Position", default=0, help="The first queue whose condition fits gets a case.")
    active: Mapped[bool] = field(label="In use", default=True, in_list=True)

    def complete(self, session: Any) -> None:
        """Conditions are such as can be asked."""
        check_filter(session, Case, "filter", self.filter)
        check_filter(session, Interaction, "takes", self.takes)


class Agent(Entity, name="service.agent", title="Agent", icon="headset", roles=LAID_OUT, display="user_id"):
    """Somebody who solves cases: what they know, and how many they have at once."""

    user_id: Mapped[UUID] = ref("user", label="Who", unique=True, in_list=True)
    skills: Mapped[tuple[str, ...]] = field(label="Skills", in_list=True)
    capacity: Mapped[int] = field(label="Open cases at once", default=10, in_list=True)
    available: Mapped[bool] = field(label="Takes cases", default=True, in_list=True)
    given_at: Mapped[dt.datetime | None] = field(label="Last given a case", readonly=True, in_list=True)

    def validate(self) -> Sequence[Problem]:
        """Nobody has less than no room."""
        return [Problem("capacity", _("must not be negative."))] if (self.capacity or 0) < 0 else []


# Which queue ---------------------------------------------------------------------------------------------------------


def queues_in_use(reader: Reader) -> list[Queue]:
    """The queues, in the order in which they are asked."""
    return reader.all(Queue, Queue.active.is_(True), Queue.archived_at.is_(None), order=(Queue.position, Queue.id))


def choose_queues(unit: Unit, cases: Sequence[Case]) -> None:
    """Put new cases that are nowhere into the first queue whose condition they meet: one query for each queue."""
    homeless = {each.id: each for each in cases if each.queue_id is None and each.status in OPEN}
    for queue in queues_in_use(unit.reader) if homeless else []:
        if queue.filter:
            for case_id in meeting(unit.reader, Case, queue.filter, homeless):
                unit.update(homeless.pop(case_id), {"queue_id": queue.id})


def meeting(reader: Reader, entity: Any, filter: str, ids: Iterable[UUID]) -> list[UUID]:
    """Those of some records that meet a condition."""
    wanted = list(ids)
    if not wanted:
        return []
    statement = select(entity.id).where(*reader.conditions(entity, filter=filter or None), entity.id.in_(wanted))
    return list(reader.session.scalars(statement))


# Who -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Load:
    """How much somebody has to do, and how much they take."""

    agent: Agent
    open: int

    @property
    def has_room(self) -> bool:
        """Whether they take another one."""
        return self.agent.available and self.open < self.agent.capacity


def loads(reader: Reader, *where: ColumnElement[bool]) -> list[Load]:
    """How many cases each agent has to act on: one query."""
    mine = (
        select(Case.owner_id, func.count(Case.id).label("open"))
        .where(Case.status.in_(OPEN), Case.archived_at.is_(None), Case.owner_id.is_not(None))
        .group_by(Case.owner_id).subquery()
    )  # fmt: skip
    rows = reader.session.execute(
        select(Agent, func.coalesce(mine.c.open, 0))
        .join(User, User.id == Agent.user_id)
        .outerjoin(mine, mine.c.owner_id == Agent.user_id)
        .where(User.active.is_(True), User.archived_at.is_(None), Agent.archived_at.is_(None), *where)
        .order_by(Agent.id)
    )
    return [Load(row[0], int(row[1])) for row in rows]


def fitting(unit: Unit, queue: Queue) -> list[Load]:
    """Those of a queue's team with its skills, room for one more and the right to be asked, the next one first.

    They are held until the transaction ends, so that two cases at one moment do not both take the last room.
    """
    if queue.team_id is None:
        return []
    team = Agent.user_id.in_(select(Membership.user_id).where(Membership.team_id == queue.team_id))
    unit.session.execute(select(Agent.id).where(team).order_by(Agent.id).with_for_update(), execution_options=SCOPED)
    able = [each for each in loads(unit.reader, team) if each.has_room and set(queue.skills) <= set(each.agent.skills)]
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    if queue.routing == "longest_idle":
        return sorted(able, key=lambda each: (each.agent.given_at or never, each.open))
    return sorted(able, key=lambda each: (each.open, each.agent.given_at or never))


def hand_out(unit: Unit, queue_ids: Iterable[UUID | None]) -> int:
    """Give the cases that wait in queues to those who have the room, the most urgent first; returns how many."""
    given = 0
    wanted = {each for each in queue_ids if each is not None}
    for queue in queues_in_use(unit.reader) if wanted else []:
        if queue.id not in wanted or queue.routing == "manual":
            continue
        while (able := fitting(unit, queue)) and (waiting := next_waiting(unit, [queue.id])) is not None:
            give(unit, waiting, able[0].agent.user_id, able[0].agent)
            given += 1
    return given


def give(unit: Unit, case: Case, user_id: UUID, agent: Agent | None) -> None:
    """Make somebody the owner of a case; it is new no more."""
    unit.update(case, {"owner_id": user_id, "status": "open" if case.status == "new" else case.status})
    if agent is not None:
        agent.given_at = utcnow()
        unit.flush()


def urgency() -> tuple[Any, ...]:
    """The order in which cases are taken: priority, what is due first, who has waited longest."""
    rank = case(*((Case.priority == name, rank) for name, rank in RANKS.items()), else_=len(RANKS))
    return rank, case((Case.due_at.is_(None), 1), else_=0), Case.due_at, Case.opened_at, Case.id


def waiting_in(queue_ids: Iterable[UUID]) -> ColumnElement[bool]:
    """Of a case: it waits in one of these queues for somebody."""
    return and_(
        Case.queue_id.in_(list(queue_ids)), Case.owner_id.is_(None), Case.status.in_(OPEN), Case.archived_at.is_(None)
    )


def next_waiting(unit: Unit, queue_ids: Iterable[UUID]) -> Case | None:
    """The most urgent case that waits, held until the transaction ends; nobody else gets the same."""
    statement = (
        select(Case).where(waiting_in(queue_ids)).order_by(*urgency()).limit(1).with_for_update(skip_locked=True)
    )
    return unit.session.scalars(statement).one_or_none()


def take_next(unit: Unit, queue_id: UUID | None = None) -> Case | None:
    """Give whoever acts the most urgent case of their queues, or of one; None where nothing waits for them.

    Invalid for an agent who has as many open cases as they take at once.
    """
    me = unit.actor.id
    assert me is not None
    found = loads(unit.reader, Agent.user_id == me)
    agent = found[0].agent if found else None
    if found and found[0].open >= found[0].agent.capacity:
        text = _("You have %(num)s open cases, as many as you take at once. Solve one first.", num=found[0].open)
        raise Invalid(Problem(None, text))
    queues = [each.id for each in my_queues(unit.reader, agent) if queue_id in {None, each.id}]
    waiting = next_waiting(unit, queues) if queues else None
    if waiting is not None:
        give(unit, waiting, me, agent)
    return waiting


def my_queues(reader: Reader, agent: Agent | None) -> list[Queue]:
    """The queues whose cases the reader takes: of their teams, or of no team, with skills that they have."""
    skills = set(agent.skills) if agent is not None else set()
    teams = reader.actor.team_ids
    return [
        each for each in queues_in_use(reader)
        if (each.team_id is None or each.team_id in teams) and set(each.skills) <= skills
    ]  # fmt: skip


def waiting_counts(reader: Reader) -> Mapping[UUID, tuple[int, int]]:
    """By queue: how many cases are open, and how many of them wait for somebody. One query."""
    nobody = func.sum(case((Case.owner_id.is_(None), 1), else_=0))
    rows = reader.session.execute(
        select(Case.queue_id, func.count(Case.id), nobody)
        .where(Case.status.in_(OPEN), Case.archived_at.is_(None), Case.queue_id.is_not(None))
        .group_by(Case.queue_id)
    )
    return {row[0]: (int(row[1]), int(row[2] or 0)) for row in rows}


__all__ = ["Agent", "Load", "Queue", "choose_queues", "hand_out", "loads", "my_queues", "take_next", "waiting_counts"]
