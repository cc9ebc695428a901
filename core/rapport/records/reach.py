"""Which entries of the log somebody may hear of: those of records they may read, and of gone ones that they might."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, or_, select

from rapport.access import row_scope
from rapport.entities import Entity, EntityMeta, entity_class
from rapport.query.filter import Filter, conditions
from rapport.query.memory import matches
from rapport.query.sql import compile_filter
from rapport.records.log import change_log, kind_logged

if TYPE_CHECKING:
    from rapport.access import Actor
    from rapport.records import Reader
    from rapport.site import Site


class Entry(Protocol):
    """A row of the log, in whichever form it comes."""

    @property
    def seq(self) -> int: ...
    @property
    def entity(self) -> str: ...
    @property
    def record_id(self) -> UUID: ...
    @property
    def action(self) -> str: ...
    @property
    def changes(self) -> Mapping[str, Sequence[Any]]: ...


def within_reach(entities: Iterable[type[Entity]], actor: Actor) -> ColumnElement[bool]:
    """Log entries of records the actor may read now. Of deleted ones, all that might have been: see below."""
    log, kind = change_log.c, kind_logged()
    open_to_all, found = [], []
    for entity in entities:
        scope = row_scope(entity, actor)
        if scope is None:
            open_to_all.append(entity.meta.name)
        else:
            within = log.record_id.in_(select(entity.id).where(scope))
            found.append(and_(kind == entity.meta.name, or_(within, log.action == "deleted")))
    if open_to_all:
        found.append(kind.in_(open_to_all))
    return or_(*found) if found else false()


def hidden_deletions(reader: Reader, rows: Sequence[Entry]) -> set[int]:
    """The deletions an actor must not hear of: a record that is gone is judged by its last values."""
    site, actor = reader.site, reader.actor
    hidden: set[int] = set()
    wanted: dict[str, set[UUID]] = {}
    for row in rows:
        if not _was_mine(site, actor, row):
            hidden.add(row.seq)
        for target, parent_id in _parents(site, row):
            wanted.setdefault(target, set()).add(parent_id)
    reachable = {
        target: set(reader.session.scalars(select(entity_class(target).id).where(entity_class(target).id.in_(ids))))
        for target, ids in wanted.items()
    }
    for row in rows:
        entity = site.entities[row.entity]
        if row_scope(entity, actor) is None:
            continue
        if any(parent_id not in reachable[target] for target, parent_id in _parents(site, row)):
            hidden.add(row.seq)
    return hidden


def heard_of(reader: Reader, entries: Sequence[Entry], filter: Filter | None = None) -> set[int]:
    """Which of some entries the reader may hear of, and, with a filter, wants to: by their numbers.

    Few statements, however many entries. A deleted record meets the filter by its last values; it points at nothing.
    """
    heard: set[int] = set()
    for name in {entry.entity for entry in entries}:
        entity = reader.site.entities.get(name)
        if entity is None or not reader.actor.may(entity.meta.permission("read")):
            continue
        own = [entry for entry in entries if entry.entity == name]
        gone = [entry for entry in own if entry.action == "deleted"]
        alive = [entry for entry in own if entry.action != "deleted"]
        if alive and filter is None and row_scope(entity, reader.actor) is None:
            heard |= {entry.seq for entry in alive}
        elif alive:
            chosen = select(entity.id).where(entity.id.in_({entry.record_id for entry in alive}))
            if filter is not None:
                chosen = chosen.where(compile_filter(filter, entity, reader.context))
            found = set(reader.session.scalars(chosen))
            heard |= {entry.seq for entry in alive if entry.record_id in found}
        if gone:
            hidden = hidden_deletions(reader, gone)
            heard |= {entry.seq for entry in gone if entry.seq not in hidden and _met(reader, entry, filter)}
    return heard


def _met(reader: Reader, entry: Entry, filter: Filter | None) -> bool:
    """Whether a deleted record met the filter."""
    if filter is None:
        return True
    meta = reader.site.meta_named(entry.entity)
    record: dict[str, Any] = dict.fromkeys(meta.fields)
    for condition in conditions(filter):
        if len(condition.path) > 1:
            record |= dict.fromkeys((condition.path[0].removesuffix("_id"),), None)
    record |= {name: _loaded(meta, name, change[0]) for name, change in entry.changes.items() if name in meta.fields}
    record["id"] = entry.record_id
    return matches(filter, meta, record, reader.context)


def _loaded(meta: EntityMeta, name: str, value: Any) -> Any:
    try:
        return meta.fields[name].load(value)
    except ValueError:  # the field has other rules by now
        return None


def _was_mine(site: Site, actor: Actor, row: Entry) -> bool:
    meta = site.meta_named(row.entity)
    reach = actor.reach(meta.permission("read"))
    if not meta.owned or reach == "all":
        return True
    owner, team = _last(row, "owner_id"), _last(row, "team_id")
    return owner == str(actor.id) or (reach == "team" and team is not None and UUID(team) in actor.team_ids)


def _parents(site: Site, row: Entry) -> list[tuple[str, UUID]]:
    meta = site.meta_named(row.entity)
    return [(str(f.target), UUID(value)) for f in meta.parents if (value := _last(row, f.name)) is not None]


def _last(row: Entry, name: str) -> str | None:
    value: str | None = row.changes.get(name, [None])[0]
    return value
