"""What changed, in order, for programs that keep up with Rapport; and search across everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response
from sqlalchemy import Row, select

from rapport.builtin.api.body import arguments, whole_number
from rapport.builtin.api.problems import BadQuery
from rapport.builtin.api.resource import answer
from rapport.entities import Entity
from rapport.entities.fields import KINDS
from rapport.errors import Problem
from rapport.http import current_actor, current_site
from rapport.records.log import change_log, settle
from rapport.records.reach import hidden_deletions, within_reach
from rapport.records.reader import MAX_LIMIT

_instant = KINDS["instant"].dump


def me() -> Response:
    """Whose token it is, and what may be done with it."""
    arguments(())
    actor, site = current_actor(), current_site()
    reach = {
        permission: how_far
        for entity in site.entities
        for permission in map(entity.meta.permission, entity.meta.actions)
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
            .where(change_log.c.seq > after, within_reach(entities, actor))
            .order_by(change_log.c.seq)
            .limit(limit)
        )
        rows = connection.execute(statement).all()
        gone = hidden_deletions(reader, [row for row in rows if row.action == "deleted"])
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
