"""Entities: what a business keeps records of, each defined once, in one class."""

from __future__ import annotations

import datetime as dt
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Date, Table, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from rapport.db.tables import metadata
from rapport.entities.fields import Field, field, field_of, ref
from rapport.entities.types import Fixed, Instant, Json, Tags, Words, utcnow, uuid7
from rapport.errors import Problem

NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")
ACTIONS = ("read", "create", "update", "delete", "export", "import")
SYSTEM_FIELDS = ("id", "version", "created_at", "updated_at", "archived_at")


@dataclass(frozen=True, slots=True)
class EntityMeta:
    """What everything else needs to know of an entity."""

    name: str
    """The one word for it everywhere: `sales.opportunity`."""
    title: str
    plural: str
    icon: str
    fields: Mapping[str, Field]
    """In the order of the class; system fields come last."""
    display: str
    """The field whose value names a record."""
    owned: bool
    staged: bool
    roles: Mapping[str, str]
    """What roles may do before an administrator says otherwise: `{"member": "read create update:own"}`."""
    listed: bool
    """Whether it has pages of its own in the web."""
    unique_together: tuple[tuple[str, ...], ...] = ()

    @property
    def visible(self) -> list[Field]:
        """The fields people and the API may see."""
        return [f for f in self.fields.values() if not f.secret]

    @property
    def writable(self) -> list[Field]:
        """The fields input may set."""
        return [f for f in self.fields.values() if not f.readonly]

    @property
    def references(self) -> list[Field]:
        """The fields that point at another entity."""
        return [f for f in self.fields.values() if f.target]

    @property
    def parents(self) -> list[Field]:
        """Required references: the record is part of what they point at, and is seen only with it."""
        return [f for f in self.references if not f.nullable and f.target not in {"user", "stage", "pipeline"}]

    def permission(self, action: str) -> str:
        """`sales.opportunity.update`."""
        return f"{self.name}.{action}"


KNOWN: dict[str, type[Entity]] = {}
"""Every entity defined in this process, by name. SQLAlchemy's own list would also hold classes that failed to map."""


class Entity(DeclarativeBase):
    """Base of every kind of record. A subclass with its fields is all that a plugin writes.

        class Card(Entity, name="loyalty.card", title="Loyalty card", icon="award", roles={"viewer": "read"}):
            number: Mapped[str] = field(label="Card number", unique=True, searchable=True)

    `name` is "<plugin>.<noun>". `display` names the field that serves as a record's title: the first text field if
    not given. `listed=False` keeps it out of navigation and pages.
    """

    metadata = metadata
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Words, int: BigInteger, Decimal: Fixed, bool: Boolean, dt.date: Date, dt.datetime: Instant, UUID: Uuid,
        tuple[str, ...]: Tags, dict[str, str]: Json, dict[str, Any]: Json, list[Any]: Json,
    }  # fmt: skip
    meta: ClassVar[EntityMeta]

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid7, sort_order=-100)
    version: Mapped[int] = mapped_column(BigInteger, default=1, sort_order=-99)
    created_at: Mapped[dt.datetime] = field(label="Created", kind="instant", readonly=True, default=utcnow)
    updated_at: Mapped[dt.datetime] = field(label="Changed", kind="instant", readonly=True, default=utcnow)
    archived_at: Mapped[dt.datetime | None] = field(label="Archived", kind="instant", readonly=True)

    def __init_subclass__(
        cls,
        *,
        name: str = "",
        title: str = "",
        plural: str = "",
        icon: str = "database",
        display: str = "",
        roles: Mapping[str, str] | None = None,
        listed: bool = True,
        **kw: Any,
    ) -> None:
        if not name:  # a mixin or an abstract base of a plugin
            cls.__abstract__ = True
            super().__init_subclass__(**kw)
            return
        if not NAME.fullmatch(name):
            raise ValueError(f"'{name}' cannot name an entity. Write <plugin>.<noun> in small letters: loyalty.card.")
        cls.__tablename__ = name.replace(".", "_")
        super().__init_subclass__(**kw)
        # Whose migrations it belongs to.
        table_of(cls).info["owner"] = "core" if cls.__module__.startswith("rapport.") else name.split(".", 1)[0]
        title = title or cls.__name__
        fields = _fields_of(cls)
        cls.meta = EntityMeta(
            name=name,
            title=title,
            plural=plural or title + "s",
            icon=icon,
            fields=MappingProxyType(fields),
            display=display or next((f.name for f in fields.values() if f.kind == "text" and not f.secret), "id"),
            owned=issubclass(cls, Owned),
            staged=issubclass(cls, Staged),
            roles=MappingProxyType(dict(roles or {})),
            listed=listed,
        )
        KNOWN[name] = cls

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.version, "eager_defaults": False}

    def complete(self, session: Any) -> None:
        """Fill in facts that come from settings or other records, before `prepare`. Called on every save."""

    def prepare(self) -> None:
        """Fill in facts that follow from others, before validation. Called on every save."""

    def validate(self) -> Sequence[Problem]:
        """Rules a record of this kind must keep by itself. Rules that need other records are hooks."""
        return ()

    @classmethod
    def follow_up(cls, records: Sequence[Any], session: Any) -> None:
        """Change what follows in other records, such as an order's total when its lines change.

        Called in the same transaction, for all records of this kind that were just saved or deleted together.
        """

    def __str__(self) -> str:
        return str(getattr(self, self.meta.display) or self.id)

    def __repr__(self) -> str:
        return f"<{self.meta.name} {self}>"


class Owned:
    """A record that belongs to somebody: `class Deal(Owned, Entity, …)`. Role grants may be limited to own or team."""

    owner_id: Mapped[UUID | None] = ref("user", label="Owner", on_delete="SET NULL", in_list=True)
    team_id: Mapped[UUID | None] = ref("team", label="Team", on_delete="SET NULL")


class Staged:
    """A record that moves along the stages of a pipeline, and so has a board."""

    stage_id: Mapped[UUID] = ref("stage", label="Stage", on_delete="RESTRICT", in_list=True)
    stage_entered_at: Mapped[dt.datetime] = field(label="In stage since", kind="instant", readonly=True, default=utcnow)


def _fields_of(cls: type[Entity]) -> dict[str, Field]:
    """Own fields first, in the order written; then those of Owned and Staged; then the system's."""
    columns = {attribute.key: attribute.columns[0] for attribute in cls.__mapper__.column_attrs}
    for column in columns.values():
        for key in column.foreign_keys:
            if key.ondelete is None:  # part of the other, or merely pointing at it
                assert key.constraint is not None
                key.ondelete = key.constraint.ondelete = "SET NULL" if column.nullable else "CASCADE"
    own = [name for name in inspect.get_annotations(cls) if name in columns]
    shared = [name for name in columns if name not in own and name not in SYSTEM_FIELDS]
    fields = {}
    for name in (*own, *shared, *SYSTEM_FIELDS):
        made = field_of(name, columns[name], bool(columns[name].nullable))
        if name in {"id", "version"}:
            made = Field(name, name.capitalize(), "reference" if name == "id" else "integer", readonly=True,
                         indexed=name == "id", nullable=False)  # fmt: skip
        if name == "stage_id" and issubclass(cls, Staged):
            made = replace(made, required=False)  # what comes without a stage starts at the first one
        fields[name] = made
    return fields


def table_of(entity: type[Entity]) -> Table:
    """The table of an entity, typed as such."""
    assert isinstance(entity.__table__, Table)
    return entity.__table__


def entity_class(name: str) -> type[Entity]:
    """The class behind an entity's name; LookupError when no loaded plugin defines it."""
    try:
        return KNOWN[name]
    except KeyError:
        raise LookupError(f"There is no entity '{name}' in this process.") from None
