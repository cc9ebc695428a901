"""Entities: what a business keeps records of, each defined once, in one class."""

from __future__ import annotations

import dataclasses
import datetime as dt
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, ColumnElement, Date, Table, UniqueConstraint, Uuid, select, true
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column, object_session

from rapport.db.tables import metadata
from rapport.entities.custom import PREFIX, Custom, custom_value
from rapport.entities.fields import Field, field, field_of, ref
from rapport.entities.types import Fixed, Instant, Json, Tags, Words, utcnow, uuid7
from rapport.errors import Problem

if TYPE_CHECKING:
    from rapport.access import Actor

NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")
ACTIONS = ("read", "create", "update", "delete", "export", "import")
SYSTEM_FIELDS = ("id", "version", "created_at", "updated_at", "archived_at")
NO_FIELDS = ("custom",)
"""Columns that hold fields instead of being one."""


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
    natural_key: tuple[str, ...] = ()
    """The fields that tell its records apart on every site. What has one is configuration, and editions may fit it."""
    extends: str = ""
    """For an `Extension`: the entity whose records it adds fields to."""
    custom: tuple[Field, ...] = ()
    """The fields among them that an administrator added."""
    columns: tuple[str, ...] = ()
    """What a list shows until somebody chooses otherwise; empty: the fields that are `in_list`."""
    verbs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What else than `ACTIONS` may be granted for records of this kind, each with its label: `{"send": "Send"}`."""

    @property
    def listed_fields(self) -> list[Field]:
        """The fields a list shows from the start, in order."""
        if self.columns:
            return [self.fields[name] for name in self.columns]
        return [f for f in self.visible if f.in_list]

    @property
    def actions(self) -> tuple[str, ...]:
        """What may be granted to roles."""
        return (*ACTIONS, *self.verbs)

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
    not given. `listed=False` keeps it out of navigation and pages. `natural_key=("name",)` says that its records are
    configuration, told apart by these fields: editions bring them, upgrade them and take them back. `verbs` are
    what else may be granted than reading, creating and so on: `verbs={"send": "Send"}` makes the permission
    `<name>.send`.
    """

    past_log: ClassVar[bool] = False
    """Whether some of its rows are written past the log of changes, as what a job works out by the thousand. Who
    follows the log reads such a kind whole."""
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
    custom: Mapped[dict[str, Any] | None] = mapped_column(Custom, default=dict, sort_order=100)
    """What an administrator's fields hold, by name. Read one as `record.x_size`, write it with `set_custom`."""

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
        natural_key: Sequence[str] = (),
        verbs: Mapping[str, str] | None = None,
        **kw: Any,
    ) -> None:
        if not name:  # a mixin or an abstract base of a plugin
            cls.__abstract__ = True
            super().__init_subclass__(**kw)
            return
        if not NAME.fullmatch(name):
            raise ValueError(f"'{name}' cannot name an entity. Write <plugin>.<noun> in small letters: loyalty.card.")
        if unknown := [each for each in natural_key if each not in inspect.get_annotations(cls)]:
            raise ValueError(f"The natural key of '{name}' names '{unknown[0]}', which is none of its fields.")
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
            natural_key=tuple(natural_key),
            verbs=MappingProxyType(dict(verbs or {})),
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

    @classmethod
    def is_shared(cls) -> ColumnElement[bool] | None:
        """Which records are for everybody who may read any of this kind, whoever owns them; None for none."""
        return None

    @classmethod
    def row_scope(cls, scope: ColumnElement[bool] | None, actor: Actor, action: str) -> ColumnElement[bool] | None:
        """The rows within an actor's reach, given those that role, owner and team allow; None: every row.

        For kinds that say more about who sees what: an appointment is seen by those who attend it, and one that is
        private by nobody else. Use the bare table of another entity in it, as that one's own scope may ask for this.
        """
        return scope

    @classmethod
    def is_configuration(cls) -> ColumnElement[bool]:
        """Which records of an entity with a natural key are the site's configuration, where not all of them are."""
        return true()

    if not TYPE_CHECKING:  # what is misspelt in code must still be found

        def __getattr__(self, name: str) -> Any:
            """A custom field, or one of another plugin's extension, reads like any other; a missing value is None."""
            if name.startswith(PREFIX):
                return (self.custom or {}).get(name)
            if not name.startswith("_") and (place := place_of(self, name)) is not None:
                row = extension_row(self, place.extension)
                return None if row is None else getattr(row, place.field.name)
            raise AttributeError(f"{type(self).__name__} has no attribute '{name}'.")

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


class Extension(Entity):
    """Fields of a plugin for somebody else's entity, in a table of the plugin's own.

        class Delivery(Extension, of="customer", name="papers.delivery", title="Delivery"):
            route: Mapped[str] = field(label="Route", default="")

    They are shown, filled in, filtered, imported and exported as the customer's, under the plugin's name:
    `papers_route`. Who may read or change the customer may read or change them. Without the plugin they are gone from
    everywhere, and kept. A record has its row here once somebody fills one of them in.
    """

    of_id: Mapped[UUID]

    def __init_subclass__(cls, *, of: str = "", name: str = "", **kw: Any) -> None:
        if name:
            cls.of_id = ref(of, label=of.rpartition(".")[2].replace("_", " ").capitalize(), unique=True)
            cls.__annotations__ = {**inspect.get_annotations(cls), "of_id": Mapped[UUID]}
            kw.setdefault("listed", False)
        super().__init_subclass__(name=name, **kw)
        if name:
            cls.meta = replace(cls.meta, extends=of)


class Link(Entity):
    """Two kinds of records that belong together, many to many, each pair once.

        class Favourite(Link, between=("customer", "products.product"), name="tastes.favourite", title="Favourite"):
            since: Mapped[dt.date | None] = field(label="Since")

    It is a record like any other: both sides show it on their pages, and merging either side keeps one of each pair.
    """

    def __init_subclass__(cls, *, between: tuple[str, str] | None = None, name: str = "", **kw: Any) -> None:
        if between is not None:
            left, right = (each.rpartition(".")[2] for each in between)
            names = (f"{left}_id", f"{right}_id" if right != left else "other_id")
            for attribute, target in zip(names, between, strict=True):
                setattr(cls, attribute, ref(target, in_list=True))
            ends = dict.fromkeys(names, Mapped[UUID])
            cls.__annotations__ = {**ends, **inspect.get_annotations(cls)}
            cls.__table_args__ = (UniqueConstraint(*names), *getattr(cls, "__table_args__", ()))
            kw.setdefault("listed", False)
        super().__init_subclass__(name=name, **kw)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field that is shown as another entity's is kept: in a field of an extension."""

    extension: type[Extension]
    field: Field


def plugin_of(entity: str) -> str:
    """The plugin in an entity's name."""
    return entity.partition(".")[0]


def extension_fields(extension: type[Extension]) -> dict[str, tuple[Field, Place]]:
    """The fields of an extension as its base has them, by the name they have there."""
    meta = extension.meta
    own = [f for f in meta.fields.values() if f.name not in {*SYSTEM_FIELDS, "of_id"} and not f.secret]
    return {
        f"{plugin_of(meta.name)}_{f.name}": (
            replace(f, name=f"{plugin_of(meta.name)}_{f.name}", extension=meta.name, section=f.section or meta.title,
                    nullable=True, unique=False, indexed=False, searchable=False),
            Place(extension, f),
        )
        for f in own
    }  # fmt: skip


def place_of(record: Entity, name: str) -> Place | None:
    """Where a field of a record is kept, if an active plugin's extension keeps it."""
    places: Mapping[str, Place] | None = vars(record).get("_places")
    if places is None:
        session = object_session(record)
        places = {} if session is None else session.info.get("extended", {}).get(record.meta.name, {})
    return places.get(name)


def extension_row(record: Entity, extension: type[Extension]) -> Extension | None:
    """A record's row in an extension, read when first asked for; None while nobody filled anything in."""
    rows: dict[str, Extension | None] = vars(record).setdefault("_extensions", {})
    if extension.meta.name not in rows:
        session = object_session(record)
        if session is None:
            return None
        # Who has the record may have what belongs to it.
        found = session.scalars(
            select(extension).where(extension.of_id == record.id), execution_options={"rapport_scoped": True}
        )
        rows[extension.meta.name] = found.one_or_none()
    return rows[extension.meta.name]


def read_extensions(session: Any, records: Sequence[Entity]) -> None:
    """Read the rows of many records of one kind at once, instead of one by one when they are asked for."""
    if not records:
        return
    places: Mapping[str, Place] = session.info.get("extended", {}).get(records[0].meta.name, {})
    for extension in dict.fromkeys(place.extension for place in places.values()):
        ids = [record.id for record in records]
        found = session.scalars(
            select(extension).where(extension.of_id.in_(ids)), execution_options={"rapport_scoped": True}
        )
        rows = {row.of_id: row for row in found}
        for record in records:
            vars(record).setdefault("_extensions", {})[extension.meta.name] = rows.get(record.id)


def _fields_of(cls: type[Entity]) -> dict[str, Field]:
    """Own fields first, in the order written; then those of Owned and Staged; then the system's."""
    columns = {
        attribute.key: attribute.columns[0]
        for attribute in cls.__mapper__.column_attrs
        if attribute.key not in NO_FIELDS
    }
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


def column_of(entity: Any, field: Field) -> ColumnElement[Any]:
    """A field of an entity (or of an alias of it) as an expression, wherever its values are kept."""
    if field.custom:
        return custom_value(entity.custom, field.name, field.kind)
    if field.extension:
        extension: Any = entity_class(field.extension)
        inner = getattr(extension, field.name.removeprefix(f"{plugin_of(field.extension)}_"))
        return select(inner).where(extension.of_id == entity.id).scalar_subquery()
    column: ColumnElement[Any] = getattr(entity, field.name)
    return column


def entity_class(name: str) -> type[Entity]:
    """The class behind an entity's name; LookupError when no loaded plugin defines it."""
    try:
        return KNOWN[name]
    except KeyError:
        raise LookupError(f"There is no entity '{name}' in this process.") from None


def meta_of(name: str) -> EntityMeta:
    """What the class behind an entity's name says of it, before a site fits it."""
    return entity_class(name).meta
