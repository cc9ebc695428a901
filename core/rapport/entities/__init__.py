"""Entities: what a business keeps records of, each defined once."""

from rapport.entities.base import Entity, EntityMeta, Extension, Link, Owned, Staged, column_of, entity_class, table_of
from rapport.entities.custom import set_custom
from rapport.entities.fields import Choice, Field, field, ref
from rapport.entities.types import utcnow, uuid7, uuid7s

__all__ = [
    "Choice",
    "Entity",
    "EntityMeta",
    "Extension",
    "Field",
    "Link",
    "Owned",
    "Staged",
    "column_of",
    "entity_class",
    "field",
    "ref",
    "set_custom",
    "table_of",
    "utcnow",
    "uuid7",
    "uuid7s",
]
