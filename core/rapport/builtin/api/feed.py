"""What changed, in order, for programs that keep up with Rapport; and search across everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Response
from sqlalchemy import ColumnElement, Row, and_, false, or_, select

from rapport.access import row_scope
from rapport.builtin.api.body import arguments, whole_number
from rapport.builtin.api.problems import BadQuery
from rapport.builtin.api.resource import answer
from rapport.entities import Entity, entity_class
from rapport.entities.base import ACTIONS
from rapport.entities.fields import KINDS
from rapport.errors import Problem
from rapport.http import current_actor, current_site
from rapport.records import Reader
from rapport.records.log import change_log, settle
from rapport.records.reader import MAX_LIMIT

if TYPE_CHECKING:
    from rapport.access import Actor
    from rapport.site import Site

_instant = KINDS["instant"].dump


def me() -> Response:
    """Whose token it is, and what may be done with it."""
    arguments(())
    actor, site = current_actor(), current_site()
    reach = {
        permission: how_far
        for entity in site.entities
        for permission in map(entity.meta.permission, ACTIONS)
        if (how_far := actor.reach(permission)) is not None
    }
    return answer(
        {
            "id": str(actor.id),
            "name": actor.name,
            "email": actor.email,
            "language": actor.language,
            "time_zone": actor.time_zone,
            "calendar": actor.calendar,
            "teams": sorted(map(str, actor.team_ids)),
            "administrator": actor.is_admin,
            "scopes": None if actor.scopes is None else sorted(actor.scopes),
            "permissions": reach,
        }
    )


def search() -> Response:
    """Records of every kind that match words as people type them, best first."""
    given = arguments(("q", "entity", "limit"))
    words = given.get("q", "").strip()
    if not words:
        raise BadQuery(Problem("q", "is missing: the words to look for."))
    limit = whole_number(given, "limit", 20, least=1, most=100)
    entities = _readable(given.get("entity"))
    with current_site().read(current_actor()) as reader:
        found = reader.search(words, entities=[entity.meta.name for entity in entities], limit=limit)
    items = [
        {"entity": name, "id": str(id_), "title": title, "url": f"/api/v1/{name}/{id_}"} for name, id_, title in found
    ]
    return answer({"items": items})


def changes() -> Response:
    """Changes after a position, oldest first. Ask again with `next`: it moves on even past what is out of reach."""
    given = arguments(("after", "entity", "limit"))
    after = whole_number(given, "after", 0, least=0, most=2**62)
    limit = whole_number(given, "limit", 100, least=1, most=MAX_LIMIT)
    entities = _readable(given.get("entity"))
    actor = current_actor()
    with current_site().read(actor) as reader:
        connection = reader.session.connection()
        settle(connection)
        statement = (
            select(change_log)
            .where(change_log.c.seq > after, _within_reach(entities, actor))
            .order_by(change_log.c.seq)
            .limit(limit)
        )
        rows = connection.execute(statement).all()
        gone = _hidden_deletions(reader, [row for row in rows if row.action == "deleted"])
        end = rows[-1].seq if len(rows) == limit else connection.scalar(_last_seq(after))
    items = [_shown(row) for row in rows if row.seq not in gone]
    return answer({"items": items, "next": end or after, "more": len(rows) == limit})


def _last_seq(after: int) -> Any:
    return select(change_log.c.seq).where(change_log.c.seq > after).order_by(change_log.c.seq.desc()).limit(1)


def _readable(name: str | None) -> Sequence[type[Entity]]:
    site, actor = current_site(), current_actor()
    if name is None:
        return [entity for entity in site.entities if actor.may(entity.meta.permission("read"))]
    entity = site.entities.get(name)
    if entity is None:
        raise BadQuery(Problem("entity", f"is '{name[:60]}', which is no kind of record here."))
    actor.require(entity.meta.permission("read"))
    return [entity]


def _within_reach(entities: Iterable[type[Entity]], actor: Actor) -> ColumnElement[bool]:
    """Log entries of records the actor may read now. Of deleted ones, all that might have been: see below."""
    log = change_log.c
    open_to_all, conditions = [], []
    for entity in entities:
        scope = row_scope(entity, actor)
        if scope is None:
            open_to_all.append(entity.meta.name)
        else:
            within = log.record_id.in_(select(entity.id).where(scope))
            conditions.append(and_(log.entity == entity.meta.name, or_(within, log.action == "deleted")))
    if open_to_all:
        conditions.append(log.entity.in_(open_to_all))
    return or_(*conditions) if conditions else false()


def _hidden_deletions(reader: Reader, rows: Sequence[Row[Any]]) -> set[int]:
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


def _was_mine(site: Site, actor: Actor, row: Row[Any]) -> bool:
    meta = site.entities[row.entity].meta
    reach = actor.reach(meta.permission("read"))
    if not meta.owned or reach == "all":
        return True
    owner, team = _last(row, "owner_id"), _last(row, "team_id")
    return owner == str(actor.id) or (reach == "team" and team is not None and UUID(team) in actor.team_ids)


def _parents(site: Site, row: Row[Any]) -> list[tuple[str, UUID]]:
    meta = site.entities[row.entity].meta
    return [(str(f.target), UUID(value)) for f in meta.parents if (value := _last(row, f.name)) is not None]


def _last(row: Row[Any], name: str) -> str | None:
    value: str | None = row.changes.get(name, [None])[0]
    return value


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "at": _instant(row.at) if _instant else None,
        "entity": row.entity,
        "id": str(row.record_id),
        "action": row.action,
        "version": row.version,
        "by": row.actor,
        "via": row.via,
        "changes": row.changes,
    }
