"""Row scopes: which rows of an entity an actor may touch, as SQL, so that no row leaves the database unasked."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, or_, select

from rapport.access.actors import Actor
from rapport.entities import Entity, Extension, entity_class


def row_scope(entity: type[Entity], actor: Actor, action: str = "read") -> ColumnElement[bool] | None:
    """The condition on rows of `entity` for this actor and action; None when there is no limit.

    A customer reaches themselves, and the records that name them in a field `customer_id`; nothing else.
    A record that is part of another (a required reference) is within reach only if the other may be read.
    """
    if actor.is_admin and actor.scopes is None:
        return None
    meta = entity.meta
    if meta.extends:  # what belongs to a record is within reach with it, and only so
        base, extension = entity_class(meta.extends), cast("type[Extension]", entity)
        scope = row_scope(base, actor, action)
        return None if scope is None else extension.of_id.in_(select(base.id).where(scope))
    if actor.customer_id is not None:
        return _of_customer(entity, actor.customer_id) if actor.may(meta.permission(action)) else false()
    reach = actor.reach(meta.permission(action))
    if reach is None:
        return false()
    conditions: list[ColumnElement[bool]] = []
    if meta.owned and reach != "all":
        mine, shared = _mine(entity, actor, reach), entity.is_shared() if action == "read" else None
        conditions.append(mine if shared is None else or_(mine, shared))
    for parent in meta.parents:
        assert parent.target is not None
        target = entity_class(parent.target)
        if (scope := row_scope(target, actor)) is not None:
            conditions.append(getattr(entity, parent.name).in_(select(target.id).where(scope)))
    return entity.row_scope(and_(*conditions) if conditions else None, actor, action)


def _of_customer(entity: Any, customer_id: UUID) -> ColumnElement[bool]:
    if entity.meta.name == "customer":
        return and_(entity.id == customer_id)
    reference = entity.meta.fields.get("customer_id")
    if reference is None or reference.target != "customer":
        return false()
    return and_(entity.customer_id == customer_id)


def _mine(entity: Any, actor: Actor, reach: str) -> ColumnElement[bool]:
    own: ColumnElement[bool] = entity.owner_id == actor.id
    if reach == "team" and actor.team_ids:
        return or_(own, entity.team_id.in_(actor.team_ids))
    return own
