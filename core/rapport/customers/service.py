"""Merging customers, and one timeline of everything that happened with one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import UniqueConstraint, and_, or_, select

from rapport import hookspecs
from rapport.access import Actor
from rapport.contributions import TimelineItem
from rapport.customers.model import ContactPoint, Customer
from rapport.entities import Entity, column_of, table_of, uuid7
from rapport.entities.custom import PREFIX
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import _
from rapport.interactions.model import Interaction, Participant, Task
from rapport.interactions.quoting import split_quoted
from rapport.query.search import has_words
from rapport.records import Reader, Unit
from rapport.records.absent import repoint_absent
from rapport.records.session import SCOPED
from rapport.records.unit import assign, undo
from rapport.site import Site

FILLED_FROM_ABSORBED = (
    "given_name", "family_name", "organisation_id", "job_title", "email", "phone", "website", "address", "language",
    "time_zone", "industry", "source", "reference", "owner_id", "team_id",
)  # fmt: skip
MAX_AT_ONCE = 10_000
"""A timeline goes on past this many things of one moment, but not within them."""


def merge(site: Site, actor: Actor, survivor_id: UUID, absorbed_ids: Sequence[UUID]) -> UUID:
    """Make several customers one. Returns the batch, by which `undo_merge` brings everything back.

    References of every entity, also of plugins, move to the survivor first, so that hooks see it finished. Its empty
    fields are filled from the others, their other addresses become contact points, their tags join, their notes are
    appended. The absorbed are archived, with their values, for the way back.
    """
    batch = uuid7()
    with site.write(actor, batch=batch) as unit:
        survivor = unit.get(Customer, survivor_id)
        others = [
            unit.get(Customer, record_id) for record_id in dict.fromkeys(absorbed_ids) if record_id != survivor_id
        ]
        if not others:
            raise Invalid(Problem(None, _("Choose at least two different customers to merge.")))
        for other in others:
            move_references(unit, other, survivor)
            _absorb(unit, survivor, other)
            other.merged_into_id = survivor.id
            unit.archive(other)
    return batch


def undo_merge(site: Site, actor: Actor, batch: UUID) -> list[str]:
    """Take a merge back. Returns what was left alone because somebody changed it since."""
    actor.require("customer.update")
    with site.write(actor) as unit:
        return undo(unit, batch)


def move_references(unit: Unit, source: Entity, target: Entity) -> int:
    """Point everything that refers to `source` at `target`, whoever owns it and whether or not the actor sees it."""
    moved = 0
    for entity in unit.site.entities:
        for reference in unit.site.meta(entity).references:
            if reference.target == source.meta.name and not reference.extension:
                column = column_of(entity, reference)
                moved += _repoint(unit, entity, column == source.id, reference.name, target)
        if {"about_entity", "about_id"} <= set(entity.meta.fields):
            columns: Any = entity
            condition = (columns.about_entity == source.meta.name) & (columns.about_id == source.id)
            moved += _repoint(unit, entity, condition, "about_id", target)
    repoint_absent(unit, source, target)
    return moved


def _repoint(unit: Unit, entity: type[Entity], condition: Any, name: str, target: Entity) -> int:
    statement = select(entity).where(condition)
    records = list(unit.session.scalars(statement, execution_options=SCOPED))
    groups = _unique_with(entity, name)
    for record in records:
        if record.id == target.id or _would_point_at_itself(record, name, target):
            if unit.site.meta(entity).fields[name].nullable:
                assign(record, name, None)  # the survivor worked at, or was related to, the absorbed
            else:
                unit.session.delete(record)
            continue
        if (other := _one_like(unit, record, name, target, groups)) is not None:
            for f in unit.site.meta(entity).writable:
                if getattr(other, f.name) in (None, "", (), {}):
                    assign(other, f.name, getattr(record, f.name))
            unit.session.delete(record)
        else:
            assign(record, name, target.id)
        if groups:  # the next one may clash with this one
            unit.flush()
    unit.flush()
    return len(records)


def _unique_with(entity: type[Entity], name: str) -> list[tuple[str, ...]]:
    """The fields, this one among them, that may hold the same values only once."""
    if name.startswith(PREFIX):
        return []
    groups: list[tuple[str, ...]] = [(name,)] if entity.meta.fields[name].unique else []
    groups += [
        tuple(column.name for column in constraint.columns)
        for constraint in table_of(entity).constraints
        if isinstance(constraint, UniqueConstraint) and name in constraint.columns
    ]
    return groups


def _one_like(unit: Unit, record: Entity, name: str, target: Entity, groups: Sequence[tuple[str, ...]]) -> Any | None:
    """The record that would be there twice, where only one may be: the survivor's extension, link or membership."""
    entity = type(record)
    for group in groups:
        same = [getattr(entity, each) == (target.id if each == name else getattr(record, each)) for each in group]
        found = unit.session.scalars(select(entity).where(*same), execution_options=SCOPED)
        if (other := found.one_or_none()) is not None:
            return other
    return None


def _would_point_at_itself(record: Any, name: str, target: Entity) -> bool:
    if name.startswith(PREFIX):
        return False
    others = [f.name for f in record.meta.references if f.target == target.meta.name and f.name != name]
    return not record.meta.fields[name].nullable and any(getattr(record, other) == target.id for other in others)


def _absorb(unit: Unit, survivor: Customer, other: Customer) -> None:
    for kind, value in (("email", other.email), ("phone", other.phone), ("url", other.website)):
        mine = {"email": survivor.email, "phone": survivor.phone, "url": survivor.website}[kind]
        if value and mine and value != mine:
            known = unit.session.scalar(
                select(ContactPoint.id)
                .where(ContactPoint.customer_id == survivor.id, ContactPoint.value == value)
                .limit(1)
            )
            if known is None:
                unit.session.add(ContactPoint(customer_id=survivor.id, kind=kind, value=value, label=""))
    for name in FILLED_FROM_ABSORBED:
        value = getattr(other, name)
        if not getattr(survivor, name) and value and value != survivor.id:
            setattr(survivor, name, value)
    survivor.custom = {**(other.custom or {}), **(survivor.custom or {})}
    survivor.tags = tuple(dict.fromkeys((*survivor.tags, *other.tags)))
    if other.note and other.note not in survivor.note:
        survivor.note = f"{survivor.note}\n\n{other.note}".strip()
    unit.flush()


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """Moments, the newest first, and where the older ones begin; `next` is empty when there are none."""

    items: list[TimelineItem]
    next: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of a timeline ended: at which moment, with which thing, after how many things of that moment."""

    at: dt.datetime
    id: str
    shown: int

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.id}~{self.shown}"


def timeline(
    reader: Reader, customer_id: UUID, *, limit: int = 30, after: str = "", kind: str = "", channel: str = "",
    direction: str = "", words: str = "",
) -> TimelinePage:  # fmt: skip
    """What happened with a customer: interactions, finished tasks, and what plugins add. `after` is a page's `next`.

    With an organisation's people, too; and what somebody merely took part in. There is one order, by the moment and
    then by the thing's id, whoever brought it, so pages follow each other without gaps, also in the midst of the many
    things of one moment that an import brings. Asked for a kind, a channel, a direction or words, it shows interactions
    alone.
    """
    place = _place(after)
    asked = [
        *([Interaction.kind == kind] if kind else []),
        *([Interaction.channel == channel] if channel else []),
        *([Interaction.direction == direction] if direction else []),
    ]
    if words.strip():
        dialect = reader.session.get_bind().dialect.name
        asked.append(
            has_words(dialect, words, Interaction.meta.name, column_of(Interaction, Interaction.meta.fields["id"]))
        )
    items = [
        interaction_item(reader.site, each) for each in _interactions(reader, customer_id, place, limit + 1, asked)
    ]
    if not asked:
        items += _others(reader, customer_id, place, limit + 1)
    found = sorted(items, key=lambda item: (item.at, item.id), reverse=True)
    page = found[:limit]
    if len(found) <= limit:
        return TimelinePage(page, "")
    last = page[-1]
    shown = sum(item.at == last.at for item in page) + (place.shown if place and place.at == last.at else 0)
    return TimelinePage(page, str(Place(last.at, last.id, shown)))


def _place(after: str) -> Place | None:
    if not after:
        return None
    moment, _tilde, rest = after.partition("~")
    thing, _tilde, shown = rest.rpartition("~")
    try:
        at = dt.datetime.fromisoformat(moment)
        if at.tzinfo is None or not thing or not shown.isdecimal():
            raise ValueError
    except ValueError:
        raise Invalid(Problem("after", _("is not a place on a timeline."))) from None
    return Place(at, thing, min(int(shown), MAX_AT_ONCE))


def _older(place: Place | None, kind: str, at: Any, record_id: Any) -> list[Any]:
    """The condition that continues behind a place: for records whose things are called `kind:<id>`."""
    if place is None:
        return []
    shown_kind, _colon, shown_id = place.id.partition(":")
    if shown_kind == kind:
        try:
            return [or_(at < place.at, and_(at == place.at, record_id < UUID(shown_id)))]
        except ValueError:
            raise Invalid(Problem("after", _("is not a place on a timeline."))) from None
    return [at <= place.at] if kind < shown_kind else [at < place.at]


def _interactions(
    reader: Reader, customer_id: UUID, place: Place | None, limit: int, asked: Sequence[Any]
) -> list[Interaction]:
    """The newest of three lists, each read along its own index: with the customer, with their people, and where they
    took part beside somebody else."""
    if not reader.actor.may(Interaction.meta.permission("read")):
        return []
    newest = (Interaction.at.desc(), Interaction.id.desc())
    alive = [Interaction.archived_at.is_(None), *asked]
    mine = select(Interaction).where(*alive, *_older(place, "interaction", Interaction.at, Interaction.id))
    lists = [
        mine.where(Interaction.customer_id == customer_id).order_by(*newest),
        mine.where(Interaction.organisation_id == customer_id).order_by(*newest),
        select(Interaction)
        .join(Participant, Participant.interaction_id == Interaction.id)
        .where(Participant.customer_id == customer_id, Interaction.customer_id != customer_id, *alive)
        .where(*_older(place, "interaction", Participant.at, Participant.interaction_id))
        .order_by(Participant.at.desc(), Participant.interaction_id.desc()),
    ]
    found = {each.id: each for statement in lists for each in reader.session.scalars(statement.limit(limit))}
    return sorted(found.values(), key=lambda each: (each.at, each.id.hex), reverse=True)[:limit]


def _others(reader: Reader, customer_id: UUID, place: Place | None, limit: int) -> list[TimelineItem]:
    """Finished tasks, and what plugins have to tell: these know the moment only, so they are asked for more of it."""
    done = [Task.customer_id == customer_id, Task.done_at.is_not(None), Task.archived_at.is_(None),
            *_older(place, "task", Task.done_at, Task.id)]  # fmt: skip
    items = [
        TimelineItem(task.done_at, task.title, "checkbox", f"task:{task.id}", task.note, url=f"/task/{task.id}",
                     kind="task", color="green")
        for task in reader.all(Task, *done, order=(Task.done_at.desc(), Task.id.desc()), limit=limit)
    ]  # fmt: skip
    told = reader.site.hooks.gather(
        hookspecs.customer_timeline, customer_id=customer_id, reader=reader,
        limit=limit + (place.shown if place else 0),
        before=place.at + dt.timedelta(microseconds=1) if place else None,
    )  # fmt: skip
    return items + [item for item in told if place is None or (item.at, item.id) < (place.at, place.id)]


def interaction_item(site: Site, interaction: Interaction) -> TimelineItem:
    """An interaction as a moment on a timeline."""
    kind = site.interaction_types.get(interaction.kind)
    text, quoted = split_quoted(interaction.body) if interaction.channel else (interaction.body, "")
    there = interaction.channel in site.channels.names() and interaction.direction == "in"
    answer = urlencode({"customer_id": interaction.customer_id, "reply_to": interaction.id})
    return TimelineItem(
        at=interaction.at,
        title=interaction.subject or (_(kind.title) if kind else interaction.kind),
        icon=kind.icon if kind else "messages",
        id=f"interaction:{interaction.id}",
        text=text,
        quoted=quoted,
        thread=str(interaction.thread_id or ""),
        answer=f"/message/new?{answer}" if there else "",
        who=str(interaction.owner_id or ""),
        url=f"/interaction/{interaction.id}",
        kind=interaction.kind,
        color="azure",
    )
