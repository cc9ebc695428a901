"""How a site is fitted, read once when it opens: the fields it adds, how it arranges them, and what it calls things."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, inspect, select

from rapport.entities import Entity, EntityMeta, Field, table_of
from rapport.fit.model import CustomEntity, CustomField, Layout, Term
from rapport.fit.tables import custom_class


@dataclass(frozen=True, slots=True)
class Fit:
    """Everything an administrator decided about the shape of records, as one generation of a site knows it."""

    kinds: Mapping[str, Any] = field(default_factory=dict)
    """Kinds of records made here, by name."""
    fields: Mapping[str, Sequence[Field]] = field(default_factory=dict)
    """Custom fields by entity, in order."""
    layouts: Mapping[tuple[str, str], Sequence[Any]] = field(default_factory=dict)
    terms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What things are called here, by language."""

    @classmethod
    def load(cls, connection: Connection) -> Fit:
        """Read it all; nothing where the tables do not stand yet."""
        if not inspect(connection).has_table(table_of(CustomField).name):
            return cls()
        fields: dict[str, list[Field]] = {}
        for row in _rows(connection, CustomField, "position", "id"):
            fields.setdefault(row.entity, []).append(CustomField.as_field(row))
        terms: dict[str, dict[str, str]] = {}
        for row in _rows(connection, Term, "id"):
            terms.setdefault(row.language, {})[row.text] = row.said
        layouts = {(row.entity, row.place): row.content for row in _rows(connection, Layout, "id")}
        return cls({row.name: row for row in _rows(connection, CustomEntity, "id")}, fields, layouts, terms)

    def among(self, names: Collection[str]) -> Fit:
        """Without the fields that point at a kind of record which is not here: archived, or of a plugin that is off."""
        here = {
            name: [each for each in fields if each.target is None or each.target in names]
            for name, fields in self.fields.items()
        }
        return replace(self, fields=here)

    def entities(self) -> list[type[Entity]]:
        """The classes behind the kinds made here."""
        return [custom_class(name) for name in self.kinds]

    def meta(self, entity: type[Entity], extended: Mapping[str, Field]) -> EntityMeta:
        """An entity as this site has it: its own word, what plugins extend it by, its custom fields, its layout."""
        meta = entity.meta
        if (kind := self.kinds.get(meta.name)) is not None:
            roles = MappingProxyType(kind.grants or dict(meta.roles))
            meta = replace(meta, title=kind.title, plural=kind.plural, icon=kind.icon, roles=roles)
        custom = tuple(self.fields.get(meta.name, ()))
        if added := [*extended.values(), *custom]:
            meta = replace(meta, fields=MappingProxyType(_joined(meta.fields, added)), custom=custom)
        if (sections := self.layouts.get((meta.name, "form"))) is not None:
            meta = replace(meta, fields=MappingProxyType(_arranged(meta.fields, sections)))
        if (columns := self.layouts.get((meta.name, "list"))) is not None:
            shown = tuple(name for name in columns if name in meta.fields and not meta.fields[name].secret)
            meta = replace(meta, columns=shown)
        return meta


def _rows(connection: Connection, entity: type[Entity], *order: str) -> Sequence[Any]:
    table = table_of(entity)
    statement = select(table).where(table.c.archived_at.is_(None)).order_by(*(table.c[name] for name in order))
    return connection.execute(statement).all()


def _joined(own: Mapping[str, Field], added: Iterable[Field]) -> dict[str, Field]:
    """The class's fields, then those added, and the system's last."""
    system = {name: each for name, each in own.items() if each.readonly and name in _LAST}
    rest = {name: each for name, each in own.items() if name not in system}
    return rest | {each.name: each for each in added} | system


_LAST = ("id", "version", "created_at", "updated_at", "archived_at")


def _arranged(fields: Mapping[str, Field], sections: Sequence[Any]) -> dict[str, Field]:
    """The fields in the order and sections of a layout. What it leaves out is hidden; what must be filled in is not."""
    arranged: dict[str, Field] = {}
    for section in sections:
        for name in section["fields"]:
            if name in fields and name not in arranged:
                arranged[name] = replace(fields[name], section=section.get("title", ""))
    for name, each in fields.items():
        if name not in arranged:
            arranged[name] = each if each.required or each.readonly else replace(each, hidden=True)
    return arranged
