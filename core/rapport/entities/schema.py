"""Input at the border: a marshmallow schema made from an entity, which refuses what it does not know."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError
from marshmallow import fields as ma

from rapport.entities.base import EntityMeta
from rapport.entities.fields import KINDS, Field
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import _

MOST_NAMES = 1000
"""In one record that is sent; a body of a megabyte holds a hundred thousand."""
MOST_MEANT = 5
"""For how many unknown names a near one is looked for: it takes longer than all the rest."""


class Value(ma.Field[Any]):
    """A marshmallow field that reads and writes the way the entity's field does."""

    def __init__(self, field: Field, **options: Any) -> None:
        super().__init__(**options)
        self.field = field

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        try:
            return self.field.load(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None

    def deserialize(self, value: Any, attr: Any = None, data: Any = None, **kwargs: Any) -> Any:
        """As the base class, but None is the field's own affair."""
        if value is None:
            return self._deserialize(value, attr, data)
        return super().deserialize(value, attr, data, **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return self.field.dump(value)


def schema_class(meta: EntityMeta, *, purpose: str) -> type[Schema]:
    """The schema of an entity for "read", "create" or "update". Its name is the entity's, so that no two collide."""
    return _schema_class(meta.name, _Key(meta), purpose)


class _Key:
    """Lets a cache tell two definitions of one name apart (tests define entities afresh)."""

    def __init__(self, meta: EntityMeta) -> None:
        self.meta = meta

    def __hash__(self) -> int:
        return id(self.meta)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.meta is self.meta


@lru_cache(maxsize=512)
def _schema_class(name: str, key: _Key, purpose: str) -> type[Schema]:
    meta = key.meta
    chosen = meta.visible if purpose == "read" else meta.writable
    if purpose != "read":
        chosen = [f for f in chosen if not f.secret]
    if purpose == "create":  # offline clients make the id themselves
        chosen = [meta.fields["id"], *chosen]
    made: dict[str, Any] = {
        f.name: Value(
            f,
            required=purpose == "create" and f.required and f.name != "id",
            allow_none=f.nullable or not f.required,
            dump_only=purpose == "read",
            error_messages={"required": "is missing."},
        )
        for f in chosen
    }
    made["Meta"] = type("Meta", (), {"unknown": EXCLUDE if purpose == "read" else RAISE})
    title = name if purpose == "read" else f"{name}.{purpose}"
    return type(title, (Schema,), made)


@lru_cache(maxsize=512)
def _schema(key: _Key, purpose: str) -> Schema:
    return schema_class(key.meta, purpose=purpose)()


def load_values(meta: EntityMeta, data: Any, *, partial: bool = False) -> dict[str, Any]:
    """Turn input into stored values, which `Unit.build` takes. Invalid lists every problem at once, with its field."""
    if not isinstance(data, Mapping):
        raise Invalid(Problem(None, f"A {meta.title.lower()} is an object of fields, not {type(data).__name__}."))
    if len(data) > MOST_NAMES:
        raise Invalid(Problem(None, f"A {meta.title.lower()} has not so many fields: these are {len(data):,}."))
    try:
        loaded: dict[str, Any] = _schema(_Key(meta), "update" if partial else "create").load(data)
    except ValidationError as error:
        raise Invalid(_problems(meta, error.normalized_messages())) from None  # type: ignore[no-untyped-call]
    return loaded


def _problems(meta: EntityMeta, messages: Mapping[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    unknown = 0
    for name, texts in messages.items():
        if texts == ["Unknown field."]:
            unknown += 1
            problems.append(Problem(str(name), unknown_field(meta, str(name), meant=unknown <= MOST_MEANT)))
            continue
        problems.extend(Problem(str(name), str(text)) for text in (texts if isinstance(texts, list) else [texts]))
    return problems


def unknown_field(meta: EntityMeta, name: str, *, meant: bool = True) -> str:
    """Why a name is refused, and which one was probably meant."""
    known = meta.fields.get(name)
    if known is not None and not known.secret:
        return _("is set by Rapport and cannot be written.")
    near = difflib.get_close_matches(name[:60], [f.name for f in meta.writable], 1) if meant else []
    return f"is not a field of {meta.name}." + (f" Did you mean '{near[0]}'?" if near else "")


def json_schema(field: Field) -> dict[str, Any]:
    """JSON Schema 2020-12 of a field's JSON form, for OpenAPI."""
    described: dict[str, Any] = dict(KINDS[field.kind].json_schema)
    if field.choices:
        described["enum"] = [choice.value for choice in field.choices]
    if field.nullable and "type" in described:
        described["type"] = [described["type"], "null"]
        if "enum" in described:
            described["enum"].append(None)
    described["title"] = field.label
    if field.help:
        described["description"] = field.help
    if field.target:
        described["x-references"] = field.target
    if field.readonly:
        described["readOnly"] = True
    return described
