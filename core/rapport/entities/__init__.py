"""Entities: what a business keeps records of, each defined once."""

from rapport.entities.base import Entity, EntityMeta, Owned, Staged, entity_class, table_of
from rapport.entities.fields import Choice, Field, field, ref
from rapport.entities.types import utcnow, uuid7

__all__ = [
    "Choice",
    "Entity",
    "EntityMeta",
    "Field",
    "Owned",
    "Staged",
    "entity_class",
    "field",
    "ref",
    "table_of",
    "utcnow",
    "uuid7",
]
