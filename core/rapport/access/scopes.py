"""Row scopes: which rows of an entity an actor may touch, as SQL, so that no row leaves the database unasked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, select

from rapport.access.actors import Actor
from rapport.entities import Entity, entity_class


def row_scope(entity: type[Entity], actor: Actor, action: str = "read") -> ColumnElement[bool] | None:
    """The condition on rows of `entity` for this actor and action; None when there is no limit.

    A record that is part of another (a required reference) is within reach only if the other may be read.
    """
    if actor.is_admin and actor.scopes is None:
        return None
    meta = entity.meta
    reach = actor.reach(meta.permission(action))
    if reach is None:
        return false()
    conditions: list[ColumnElement[bool]] = []
    if meta.owned and reach != "all":
        conditions.append(_mine(entity, actor, reach))
    for parent in meta.parents:
        assert parent.target is not None
        target = entity_class(parent.target)
        if (scope := row_scope(target, actor)) is not None:
            conditions.append(getattr(entity, parent.name).in_(select(target.id).where(scope)))
    if not conditions:
        return None
    return and_(*conditions)


def _mine(entity: Any, actor: Actor, reach: str) -> ColumnElement[bool]:
    own: ColumnElement[bool] = entity.owner_id == actor.id
    if reach == "team" and actor.team_ids:
        return or_(own, entity.team_id.in_(actor.team_ids))
    return own
