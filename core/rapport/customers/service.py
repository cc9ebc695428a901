"""Merging customers, and one timeline of everything that happened with one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from rapport import hookspecs
from rapport.access import Actor
from rapport.contributions import TimelineItem
from rapport.customers.model import ContactPoint, Customer
from rapport.entities import Entity, uuid7
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import _
from rapport.interactions.model import Interaction, Task
from rapport.records import Reader, Unit
from rapport.records.unit import undo
from rapport.site import Site

FILLED_FROM_ABSORBED = (
    "given_name", "family_name", "organisation_id", "job_title", "email", "phone", "website", "address", "language",
    "industry", "source", "reference", "owner_id", "team_id",
)  # fmt: skip


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
        for reference in entity.meta.references:
            if reference.target == source.meta.name:
                column = getattr(entity, reference.name)
                moved += _repoint(unit, entity, column == source.id, reference.name, target)
        if {"about_entity", "about_id"} <= set(entity.meta.fields):
            columns: Any = entity
            condition = (columns.about_entity == source.meta.name) & (columns.about_id == source.id)
            moved += _repoint(unit, entity, condition, "about_id", target)
    return moved


def _repoint(unit: Unit, entity: type[Entity], condition: Any, name: str, target: Entity) -> int:
    statement = select(entity).where(condition)
    records = list(unit.session.scalars(statement, execution_options={"rapport_scoped": True}))
    for record in records:
        if record.id == target.id or _would_point_at_itself(record, name, target):
            if entity.meta.fields[name].nullable:
                setattr(record, name, None)  # the survivor worked at, or was related to, the absorbed
            else:
                unit.session.delete(record)
            continue
        setattr(record, name, target.id)
    unit.flush()
    return len(records)


def _would_point_at_itself(record: Any, name: str, target: Entity) -> bool:
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
    survivor.tags = tuple(dict.fromkeys((*survivor.tags, *other.tags)))
    if other.note and other.note not in survivor.note:
        survivor.note = f"{survivor.note}\n\n{other.note}".strip()
    unit.flush()


def timeline(
    reader: Reader, customer_id: UUID, *, limit: int = 30, before: dt.datetime | None = None, kind: str = ""
) -> list[TimelineItem]:
    """The newest moments with a customer before a time: interactions, finished tasks, and what plugins add."""
    conditions = [Interaction.customer_id == customer_id, Interaction.archived_at.is_(None)]
    if before is not None:
        conditions.append(Interaction.at < before)
    if kind:
        conditions.append(Interaction.kind == kind)
    items = [
        _interaction_item(reader.site, interaction)
        for interaction in reader.all(Interaction, *conditions, order=Interaction.at.desc(), limit=limit)
    ]
    if not kind:
        done = [Task.customer_id == customer_id, Task.done_at.is_not(None)]
        if before is not None:
            done.append(Task.done_at < before)
        items += [
            TimelineItem(task.done_at, task.title, "checkbox", f"task:{task.id}", task.note, url=f"/task/{task.id}",
                         kind="task", color="green")
            for task in reader.all(Task, *done, order=Task.done_at.desc(), limit=limit)
        ]  # fmt: skip
        items += reader.site.hooks.gather(
            hookspecs.customer_timeline, customer_id=customer_id, limit=limit, before=before, reader=reader
        )
    return sorted(items, key=lambda item: (item.at, item.id), reverse=True)[:limit]


def _interaction_item(site: Site, interaction: Interaction) -> TimelineItem:
    kind = site.interaction_types.get(interaction.kind)
    return TimelineItem(
        at=interaction.at,
        title=interaction.subject or (kind.title if kind else interaction.kind),
        icon=kind.icon if kind else "messages",
        id=f"interaction:{interaction.id}",
        text=interaction.body,
        who=str(interaction.owner_id or ""),
        url=f"/interaction/{interaction.id}",
        kind=interaction.kind,
        color="azure",
    )
