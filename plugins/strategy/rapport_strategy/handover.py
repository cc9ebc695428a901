"""Handing over: everything somebody is responsible for goes to others in one step, and nothing is left behind."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Mapped

from rapport import (
    Choice,
    Conflict,
    Entity,
    Field,
    Forbidden,
    Invalid,
    JobContext,
    Membership,
    Problem,
    Reader,
    Site,
    Stage,
    Stale,
    Unit,
    User,
    column_of,
    deactivate,
    ref,
    undo,
    utcnow,
    uuid7,
)
from rapport import field as field_
from rapport import gettext as _
from rapport_strategy import hookspecs
from rapport_strategy.common import SCOPED
from rapport_strategy.hookspecs import Duty

JOB = "strategy.hand_over"
UNDO_JOB = "strategy.take_back"
NEEDED = "user.update"
"""Only administrators have it: whoever hands over also ends an account."""
AT_ONCE = 200
OVER = frozenset({
    "done", "closed", "won", "lost", "cancelled", "finished", "ended", "abandoned", "stopped", "refused", "rejected",
    "declined", "converted", "unqualified", "fulfilled", "replaced", "withdrawn", "given_up", "missed",
})  # fmt: skip
"""Words for a state after which nobody needs to look after a record: who owned it then is history, and stays."""
ENDS = ("done_at", "closed_at", "finished_at", "decided_at")
CORE = (
    Duty("interaction", "owner_id", "keep", why="who was in touch is history; open conversations are told by modules"),
    Duty("participant", "user_id", "keep", why="who took part is history"),
    Duty("attachment", "owner_id", "keep", why="who attached a file is history"),
    Duty("approval", "owner_id", "move", open='decision = ""'),
    Duty("task", "owner_id", "move", open="done_at is empty"),
    Duty("membership", "user_id", "keep", why="part of the account itself"),
    Duty("user_role", "user_id", "keep", why="part of the account itself"),
    Duty("token", "user_id", "keep", why="part of the account; a token ends with it"),
    Duty("strategy.vote", "voter_id", "keep", why="what somebody found good is history"),
)
RULES = [
    Choice("one", "All to one person"),
    Choice("team", "Evenly among a team, each customer with all that is theirs"),
    Choice("own_team", "Evenly within the team of each record"),
]
STATES = [
    Choice("waiting", "Waiting", "secondary"), Choice("running", "Being handed over", "azure"),
    Choice("done", "Handed over", "green"), Choice("undoing", "Being taken back", "azure"),
    Choice("undone", "Taken back", "secondary"), Choice("failed", "Stopped", "red"),
]  # fmt: skip


class Handover(
    Entity, name="strategy.handover", title="Handover", icon="transfer", listed=False, roles={}, display="name"
):
    """What became of what somebody was responsible for: to whom, how much, and what could not be moved."""

    name: Mapped[str] = field_(label="Name", readonly=True)
    leaver_id: Mapped[UUID] = ref("user", label="Who leaves", readonly=True, on_delete="CASCADE")
    rule: Mapped[str] = field_(label="How", choices=RULES, default="one", readonly=True)
    successor_id: Mapped[UUID | None] = ref("user", label="Successor", readonly=True, on_delete="SET NULL")
    team_id: Mapped[UUID | None] = ref("team", label="Team", readonly=True, on_delete="SET NULL")
    others: Mapped[dict[str, Any]] = field_(label="Others for single kinds", kind="json", default=dict, readonly=True)
    state: Mapped[str] = field_(label="State", choices=STATES, default="waiting", readonly=True)
    batch_id: Mapped[UUID | None] = field_(label="Batch", kind="id", readonly=True)
    total: Mapped[int] = field_(label="In all", default=0, readonly=True)
    moved: Mapped[int] = field_(label="Moved", default=0, readonly=True)
    ended: Mapped[int] = field_(label="Ended", default=0, readonly=True)
    left: Mapped[list[Any]] = field_(label="Left", kind="json", default=list, readonly=True)
    done_on: Mapped[dt.datetime | None] = field_(label="Done", readonly=True)


# What somebody is responsible for ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Share:
    """One field of a kind of record that names somebody, and what becomes of it."""

    entity: type[Entity]
    field: Field
    duty: Duty

    @property
    def key(self) -> str:
        """`sales.lead.owner_id`: how a form names it."""
        return f"{self.entity.meta.name}.{self.field.name}"


def shares(site: Site) -> list[Share]:
    """Every field of every kind of record that says who is responsible: found in the registry, not in a list.

    A reference to a user that people may change is a duty, unless somebody knows better. What only Rapport writes
    (who decided, who sent) is history.
    """
    said = {(each.entity, each.field): each
            for each in (*CORE, *site.hooks.collect(hookspecs.ask_strategy_duties))}  # fmt: skip
    found = []
    for entity in site.entities:
        for each in site.meta(entity).references:
            if each.target != "user" or each.extension:
                continue
            duty = said.get((entity.meta.name, each.name)) or _usual(entity, each)
            found.append(Share(entity, each, duty))
    return found


def _usual(entity: type[Entity], each: Field) -> Duty:
    what = "keep" if each.readonly else "end" if each.unique else "move"
    return Duty(entity.meta.name, each.name, what)  # type: ignore[arg-type]  # one of the three words


def responsible(reader: Reader, share_: Share, user_id: UUID) -> list[ColumnElement[bool]]:
    """The conditions on records that name somebody in this field and are still to be looked after."""
    entity: Any = share_.entity
    where: list[ColumnElement[bool]] = [column_of(entity, share_.field) == user_id, entity.archived_at.is_(None)]
    if share_.duty.what != "move":
        return where
    if share_.duty.where:
        return [*where, *share_.duty.where]
    if share_.duty.open:
        return [*where, *reader.conditions(share_.entity, filter=share_.duty.open, archived=True)]
    meta = share_.entity.meta
    if meta.staged:
        open_ = select(Stage.id).where(Stage.kind == "open")
        where.append(entity.stage_id.in_(open_))
    for name in ("status", "state"):
        known = meta.fields.get(name)
        over = [choice.value for choice in known.choices if choice.value in OVER] if known is not None else []
        if over:
            where.append(or_(getattr(entity, name).is_(None), getattr(entity, name).not_in(over)))
    for name in ENDS:
        known = meta.fields.get(name)
        if known is not None and known.nullable:
            where.append(getattr(entity, name).is_(None))
    return where


@dataclass(frozen=True, slots=True)
class Count:
    """How many records of a kind name somebody in a field."""

    share: Share
    number: int


def counted(reader: Reader, user_id: UUID) -> list[Count]:
    """What somebody is responsible for, by kind and field; those without any are left out."""
    found = []
    for each in shares(reader.site):
        if each.duty.what == "keep":
            continue
        where = responsible(reader, each, user_id)
        number = reader.session.scalar(select(func.count()).select_from(each.entity).where(*where)) or 0
        if number:
            found.append(Count(each, number))
    return found


# Beginning -----------------------------------------------------------------------------------------------------------


def begin(
    unit: Unit, leaver: User, *, rule: str = "one", successor: UUID | None = None, team: UUID | None = None,
    others: Mapping[str, UUID] | None = None,
) -> Handover:  # fmt: skip
    """Hand over what somebody is responsible for, in a job. `others`: who gets a kind of record, by its name."""
    unit.actor.require(NEEDED)
    problems = []
    if rule not in {choice.value for choice in RULES}:
        problems.append(Problem("rule", _("is none of the ways there are.")))
    if successor is None and rule in {"one", "own_team"}:
        problems.append(Problem("successor_id", _("is missing. Say who gets what is left.")))
    if rule == "team" and not (team and members_of(unit.reader, team, leaver.id)):
        problems.append(Problem("team_id", _("must be a team with somebody else in it.")))
    for user_id in {*(others or {}).values(), *([successor] if successor is not None else [])}:
        person = unit.get(User, user_id)
        if not person.active or person.archived_at is not None or user_id == leaver.id:
            problems.append(Problem("successor_id", _("must be somebody else who works here.")))
            break
    running = select(Handover.id).where(Handover.leaver_id == leaver.id, Handover.state.in_(("waiting", "running")))
    if unit.session.scalar(running) is not None:
        raise Conflict(_("What %(name)s does is being handed over already.", name=leaver.name))
    if problems:
        raise Invalid(problems)
    made = Handover(
        name=leaver.name, leaver_id=leaver.id, rule=rule, successor_id=successor, team_id=team, batch_id=uuid7(),
        others={name: str(each) for name, each in (others or {}).items()}, state="waiting", left=[],
    )  # fmt: skip
    unit.session.add(made)
    unit.flush()
    from rapport import enqueue_job

    enqueue_job(unit.session.connection(), JOB, {"handover": str(made.id)}, actor=unit.actor, key=str(made.id))
    return made


def members_of(reader: Reader, team: UUID, but: UUID) -> list[UUID]:
    """Who works in a team now, without one."""
    statement = (
        select(User.id)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.team_id == team, Membership.archived_at.is_(None), User.active.is_(True),
               User.archived_at.is_(None), User.id != but)
        .order_by(User.name, User.id)
    )  # fmt: skip
    return list(reader.session.scalars(statement, execution_options=SCOPED))


# Doing it ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Turns:
    """Who gets the next record: the same person all that is of a customer, else one after the other."""

    reader: Reader
    it: Handover
    theirs: dict[UUID, UUID] = field(default_factory=dict)
    """Customers with who got the first thing of theirs."""
    turn: dict[UUID | None, Iterator[UUID]] = field(default_factory=dict)
    members: dict[UUID | None, list[UUID]] = field(default_factory=dict)

    def next_for(self, record: Any) -> UUID:
        """Whom a record goes to."""
        chosen = self.it.others.get(record.meta.name)
        if chosen:
            return UUID(chosen)
        if self.it.rule == "one":
            assert self.it.successor_id is not None
            return self.it.successor_id
        team = self.it.team_id if self.it.rule == "team" else getattr(record, "team_id", None)
        among = self._members(team)
        if not among:
            assert self.it.successor_id is not None
            return self.it.successor_id
        customer = record.id if record.meta.name == "customer" else getattr(record, "customer_id", None) \
            if "customer_id" in record.meta.fields else None  # fmt: skip
        if customer is not None and self.theirs.get(customer) in among:
            return self.theirs[customer]
        person = next(self.turn[team])
        if customer is not None:
            self.theirs[customer] = person
        return person

    def _members(self, team: UUID | None) -> list[UUID]:
        if team not in self.members:
            self.members[team] = members_of(self.reader, team, self.it.leaver_id) if team is not None else []
            self.turn[team] = itertools.cycle(self.members[team])
        return self.members[team]


def hand_over(context: JobContext, handover: str) -> str:
    """Move all of it in batches, end what is the leaver's alone, then end the account. Goes on where it was stopped."""
    context.actor.require(NEEDED)
    site, it_id = context.site, UUID(handover)
    with site.write(context.actor) as unit:
        it = unit.get(Handover, it_id)
        if it.state not in {"waiting", "running"}:
            return ""
        counts = {each.share.key: each.number for each in counted(unit.reader, it.leaver_id)}
        it.state, it.total = "running", it.moved + it.ended + sum(counts.values())
    # Customers first, so that what is of a customer goes where the customer went.
    todo = sorted(shares(site), key=lambda each: (each.entity.meta.name != "customer", each.key))
    with site.read(context.actor) as reader:
        turns = Turns(reader, it)
        for each in todo:
            if each.duty.what != "keep":
                _move_all(context, each, turns, it_id)
    with site.write(context.actor) as unit:
        leaver = unit.get(User, turns.it.leaver_id)
        trouble = ""
        try:
            if leaver.active:
                deactivate(unit, leaver)
        except Conflict as error:
            trouble = str(error)
        it = unit.get(Handover, it_id)
        it.state, it.done_on = "done", utcnow()
        if trouble:
            it.left = [*it.left, trouble]
    return _("%(moved)s records of %(name)s were moved, %(ended)s ended, %(left)s left.", moved=it.moved, name=it.name,
             ended=it.ended, left=len(it.left))  # fmt: skip


def _move_all(context: JobContext, share_: Share, turns: Turns, it_id: UUID) -> None:
    """One kind, a batch at a time; each batch is one transaction with its progress."""
    last: UUID | None = None
    while True:
        entity: Any = share_.entity
        context.actor.require(NEEDED)  # it may have been taken away since the last batch
        with context.site.read(context.actor) as reader:
            where = responsible(reader, share_, turns.it.leaver_id)
            if last is not None:
                where.append(entity.id > last)
            statement = select(entity.id).where(*where).order_by(entity.id).limit(AT_ONCE)
            ids = list(reader.session.scalars(statement))
        if not ids:
            return
        last = ids[-1]
        _move(context, share_, ids, turns, it_id)


def _move(context: JobContext, share_: Share, ids: Sequence[UUID], turns: Turns, it_id: UUID) -> None:
    """Some records in one transaction; where one is refused, each by itself, and what is refused is told."""
    try:
        _try(context, share_, ids, turns, it_id)
    except (Invalid, Conflict, Forbidden, Stale) as error:
        if len(ids) > 1:
            for each in ids:
                _move(context, share_, [each], turns, it_id)
            return
        if share_.duty.what == "move" and not share_.field.nullable and _end(context, share_, ids[0], it_id):
            return  # such as a team's member who is a member already
        with context.site.write(context.actor) as unit:
            it, record = unit.get(Handover, it_id), unit.get(share_.entity, ids[0])
            it.left = [*it.left, f"{_(share_.entity.meta.title)} “{record}”: {error}"[:300]]


def _try(context: JobContext, share_: Share, ids: Sequence[UUID], turns: Turns, it_id: UUID) -> None:
    entity: Any = share_.entity
    with context.site.write(context.actor, batch=turns.it.batch_id) as unit:
        found = unit.session.scalars(select(entity).where(entity.id.in_(ids)).order_by(entity.id)).all()
        for record in found:
            if share_.duty.what == "end":
                record.archived_at = utcnow()
            else:
                setattr(record, share_.field.name, turns.next_for(record))
        unit.flush()
        moved = 0 if share_.duty.what == "end" else len(found)
        _note_progress(context, unit, it_id, moved, len(found) - moved)


def _end(context: JobContext, share_: Share, record_id: UUID, it_id: UUID) -> bool:
    with context.site.write(context.actor) as unit:
        batch = unit.get(Handover, it_id).batch_id
    try:
        with context.site.write(context.actor, batch=batch) as unit:
            unit.archive(unit.get(share_.entity, record_id))
            _note_progress(context, unit, it_id, 0, 1)
    except (Invalid, Conflict):
        return False
    return True


def _note_progress(context: JobContext, unit: Unit, it_id: UUID, moved: int, ended: int) -> None:
    it = unit.get(Handover, it_id)
    it.moved, it.ended = it.moved + moved, it.ended + ended
    unit.flush()
    context.progress_in(unit.session.connection(), it.moved + it.ended, max(it.total, it.moved + it.ended))


def take_back(context: JobContext, handover: str) -> str:
    """Everything as it was before, but for what somebody changed since. The account stays as it is."""
    context.actor.require(NEEDED)
    with context.site.write(context.actor) as unit:
        it = unit.get(Handover, UUID(handover))
        if it.state not in {"done", "undoing"} or it.batch_id is None:
            return ""
        batch, moved, ended, total, left = it.batch_id, it.moved, it.ended, it.total, list(it.left)
        kept = undo(unit, batch)
        # Its own figures were counted in the same batch; they tell what was done.
        it.moved, it.ended, it.total, it.state = moved, ended, total, "undone"
        it.left = [*left, *kept][:200]
    return _("It is as it was before; %(num)s changes that were made since stay.", num=len(kept))


# On pages ------------------------------------------------------------------------------------------------------------


def panel_facts(reader: Reader, record: User) -> Mapping[str, Any]:
    """What somebody is responsible for, beside their account."""
    rows = counted(reader, record.id)
    return {"rows": rows, "sum": sum(each.number for each in rows), "person": record}
