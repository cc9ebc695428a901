"""Configuration, item by item: what fits a site to its business, told apart by names that are the same on every site.

An item is a record of an entity with a natural key, or a decided setting. Its values are JSON and sparse: what is not
named is empty. Within a site a reference is the other's id, so that renaming something disturbs nothing that refers to
it; outside (`portable`) it is the other's natural key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from rapport.entities import Entity, Field
from rapport.entities.base import SYSTEM_FIELDS
from rapport.entities.fields import empty_value
from rapport.records.log import change_log
from rapport.settings import field_of_setting, setting_table

if TYPE_CHECKING:
    from rapport.site import Site

Key = tuple[str, ...]
"""The kind, then its natural key, a reference in it spelled out: ("stage", "sales.opportunity", "Sales", "New")."""
Values = dict[str, Any]
SETTING = "setting"
ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of a site's configuration, as it is there."""

    key: Key
    identity: str
    """What stays when it is renamed: its kind and id, or a setting's name."""
    values: Values

    @property
    def kind(self) -> str:
        """The entity's name, or "setting"."""
        return self.key[0]


class Configuration:
    """Every item of a site at one moment."""

    def __init__(self, items: Iterable[Item], kinds: Kinds) -> None:
        self.kinds = kinds
        self.items = {item.identity: item for item in items}
        self.by_key = {item.key: item for item in self.items.values()}

    def portable(self, item: Item) -> Values:
        """An item's values as another site understands them. What refers to somebody's own record says nothing."""
        values = {}
        for name, value in item.values.items():
            target = self.kinds.target(item.kind, name)
            if target is None:
                values[name] = value
            elif (other := self.items.get(f"{target}:{value}")) is not None:
                values[name] = list(other.key[1:])
        return values

    def spelled(self, kind: str, name: str, value: Any) -> Any:
        """A value for people to read: a reference as the other's name."""
        target = self.kinds.target(kind, name)
        other = self.items.get(f"{target}:{value}") if target is not None else None
        return value if other is None else " / ".join(other.key[1:])

    def listed(self) -> list[tuple[Key, Values]]:
        """Every item in a form that does not depend on the site, in the order of the keys."""
        return sorted(((item.key, self.portable(item)) for item in self.items.values()), key=lambda pair: pair[0])

    def digest(self) -> str:
        """Equal on two sites whose configuration is equal, whichever database they are on."""
        text = json.dumps(self.listed(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def kept(self) -> list[list[Any]]:
        """A form for the database, with identities."""
        return [[list(item.key), item.identity, item.values] for item in self.items.values()]

    @classmethod
    def of(cls, kept: Iterable[Sequence[Any]], kinds: Kinds) -> Configuration:
        """What `kept` wrote."""
        return cls((Item(tuple(key), identity, dict(values)) for key, identity, values in kept), kinds)


class Kinds:
    """The kinds of configuration that the active plugins of a site have, those that others refer to first."""

    def __init__(self, site: Site) -> None:
        self._settings = site.settings.declared
        keyed = {entity.meta.name: entity for entity in site.entities if entity.meta.natural_key}
        self.entities: dict[str, type[Entity]] = {}

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path or name in self.entities:
                return
            for reference in keyed[name].meta.references:
                if reference.target in keyed:
                    visit(reference.target, (*path, name))
            self.entities[name] = keyed[name]

        for name in keyed:
            visit(name, ())
        self._fields = {name: {f.name: f for f in self._chosen(entity)} for name, entity in self.entities.items()}

    def _chosen(self, entity: type[Entity]) -> Iterable[Field]:
        for f in entity.meta.fields.values():
            portable = f.kind not in {"file", "id"} and (f.target is None or f.target in self.entities)
            if portable and f.name not in SYSTEM_FIELDS and not f.secret and not f.readonly:
                yield f

    def __contains__(self, kind: str) -> bool:
        return kind == SETTING or kind in self.entities

    def names(self) -> list[str]:
        """Every kind, in the order to make them."""
        return [*self.entities, SETTING]

    def order(self, kind: str) -> int:
        """Where a kind stands in the order of making."""
        return self.names().index(kind) if kind in self else -1

    def has_setting(self, name: str) -> bool:
        """Whether an active plugin declares a setting."""
        return name in self._settings

    def fields(self, kind: str, key: Key = ()) -> dict[str, Field]:
        """The fields of an item; a setting has one, `value`, of the setting's own kind."""
        if kind == SETTING:
            setting = self._settings.get(key[1]) if len(key) > 1 else None
            return {} if setting is None else {"value": field_of_setting(setting)}
        return self._fields.get(kind, {})

    def target(self, kind: str, name: str) -> str | None:
        """The kind a field refers to."""
        f = self._fields.get(kind, {}).get(name)
        return f.target if f is not None else None

    def natural_key(self, kind: str) -> tuple[str, ...]:
        """The fields that tell items of a kind apart."""
        return ("name",) if kind == SETTING else self.entities[kind].meta.natural_key

    def pair(self, kind: str) -> tuple[str, str, str] | None:
        """For kinds that are told apart by two texts and say one thing, such as a word in a language: the three fields.

        They can be written more shortly than a table for each.
        """
        key = () if kind == SETTING else self.natural_key(kind)
        rest = [name for name in self._fields.get(kind, {}) if name not in key]
        if len(key) == 2 and len(rest) == 1 and not any(self.target(kind, name) for name in key):
            return key[0], key[1], rest[0]
        return None

    def default(self, kind: str, key: Key, name: str) -> Any:
        """What a field of a new item holds when nobody says otherwise, as JSON."""
        f = self.fields(kind, key).get(name)
        if f is None or (f.default is None and (f.nullable or f.kind in {"date", "instant"})):
            return None  # a day that must be given has nothing in its place
        value = f.dump(empty_value(f))
        return None if is_blank(value) else value


def is_blank(value: Any) -> bool:
    """Whether a value says nothing: all empty ones count as the same."""
    return value is None or value in ("", [], {}, ())


def read_configuration(session: Session, site: Site) -> Configuration:
    """The configuration of a site as a transaction sees it. The session must be one without limits."""
    kinds = Kinds(site)
    found: dict[str, tuple[type[Entity], Values]] = {}
    for name, entity in kinds.entities.items():
        # Those in use first: of two with one name, the archived one gets the number behind its key.
        rows = session.scalars(
            select(entity).where(entity.is_configuration()).order_by(entity.archived_at.is_not(None), entity.id)
        )
        for record in rows:
            found[f"{name}:{record.id}"] = (entity, _values(kinds, record))
    keys: dict[str, Key] = {}

    def key_of(identity: str) -> Key | None:
        if identity not in keys and identity in found:
            entity, values = found[identity]
            keys[identity] = make_key(kinds, entity.meta.name, values, key_of)
        return keys.get(identity)

    items: list[Item] = []
    taken: dict[Key, int] = {}
    for identity, (_entity, values) in found.items():
        key = key_of(identity) or ()
        taken[key] = number = taken.get(key, 0) + 1
        items.append(Item(key if number == 1 else (*key, f"({number})"), identity, values))
    return Configuration([*items, *_settings(session.connection(), kinds)], kinds)


def make_key(kinds: Kinds, kind: str, values: Values, key_of: Callable[[str], Key | None]) -> Key:
    """The key of an item with these values; `key_of` tells that of what it refers to."""
    parts: list[str] = [kind]
    for name in kinds.natural_key(kind):
        value, target = values.get(name), kinds.target(kind, name)
        if target is not None and value is not None:
            parts.extend((key_of(f"{target}:{value}") or ("", "?"))[1:])
        else:
            parts.append("" if value is None else str(value))
    return tuple(parts)


def _values(kinds: Kinds, record: Entity) -> Values:
    values = {name: f.dump(getattr(record, name)) for name, f in kinds.fields(record.meta.name).items()}
    values = {name: value for name, value in values.items() if not is_blank(value)}
    return values | {ARCHIVED: True} if record.archived_at is not None else values


def _settings(connection: Connection, kinds: Kinds) -> Iterable[Item]:
    """Decided settings; one decided to be what it is anyway counts as undecided."""
    for row in connection.execute(select(setting_table).order_by(setting_table.c.name)):
        key = (SETTING, row.name)
        value = None if is_blank(row.value["value"]) else row.value["value"]
        if kinds.has_setting(row.name) and value != kinds.default(SETTING, key, "value"):
            yield Item(key, f"{SETTING}:{row.name}", {} if value is None else {"value": value})


def given_by_plugins(connection: Connection, kinds: Kinds) -> Mapping[str, Values]:
    """What plugins put in by themselves, such as a first pipeline, by identity: also what is no longer there.

    Read from the log, where they signed for it. It is the layer below editions and the site's own changes.
    """
    given: dict[str, Values] = {}
    log = change_log.c
    rows = connection.execute(
        select(log.entity, log.record_id, log.action, log.changes)
        .where(log.entity.in_(list(kinds.entities)), log.via == "plugin")
        .order_by(log.seq)
    )
    for row in rows:
        identity = f"{row.entity}:{row.record_id}"
        if row.action == "deleted":
            given.pop(identity, None)
        elif row.action == "created" or identity in given:
            known = kinds.fields(row.entity)
            values = given.setdefault(identity, {})
            new = {name: pair[1] for name, pair in row.changes.items() if name in known}
            if "archived_at" in row.changes:
                new[ARCHIVED] = True if row.changes["archived_at"][1] else None
            values.update(new)
            given[identity] = {name: value for name, value in values.items() if not is_blank(value)}
    return given


def keys_given(kinds: Kinds, given: Mapping[str, Values]) -> dict[str, Key]:
    """The names under which plugins put things in, by identity: the same on every site, whatever became of them."""

    def key_of(identity: str) -> Key | None:
        values = given.get(identity)
        return None if values is None else make_key(kinds, identity.partition(":")[0], values, key_of)

    return {identity: key for identity in given if (key := key_of(identity)) is not None}
