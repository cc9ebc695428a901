"""What an administrator decides about the shape of records. Each decision is a record: logged, undone, exported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, UniqueConstraint, func, inspect, select
from sqlalchemy.orm import Mapped, object_session

from rapport.entities import Choice, Entity, Field, field, table_of
from rapport.entities.base import KNOWN
from rapport.entities.custom import MARK_OF_KIND, NAME, custom_value
from rapport.errors import Conflict, Problem
from rapport.fit.tables import reshape
from rapport.i18n.catalogs import LANGUAGES, _, ngettext

CUSTOM = "custom"
"""The owner of every kind of record an administrator made: `custom.pool`."""
ENTITY_NAME = re.compile(r"custom\.[a-z][a-z0-9_]{0,40}")
_PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")
KIND_CHOICES = [
    Choice("text", "Text"), Choice("longtext", "Long text"), Choice("integer", "Whole number"),
    Choice("decimal", "Number"), Choice("date", "Date"), Choice("instant", "Date and time"), Choice("choice", "Choice"),
    Choice("flag", "Yes or no"), Choice("reference", "Another record"), Choice("tags", "Tags"),
    Choice("email", "E-mail"), Choice("phone", "Phone"), Choice("url", "Link"),
]  # fmt: skip
assert {choice.value for choice in KIND_CHOICES} <= set(MARK_OF_KIND)


class CustomEntity(Entity, name="custom_entity", title="Kind of record", plural="Kinds of records", icon="category",
                   roles={}, listed=False, display="title", natural_key=("name",)):  # fmt: skip
    """A whole kind of record made at run time: a name, an owner and the custom fields it is given."""

    name: Mapped[str] = field(label="Name", unique=True, in_list=True, help="custom. and small letters: custom.pool")
    title: Mapped[str] = field(label="Title", in_list=True)
    plural: Mapped[str] = field(label="Plural", default="", in_list=True)
    icon: Mapped[str] = field(label="Icon", default="database")
    grants: Mapped[dict[str, str]] = field(label="Roles", kind="json", default=dict)
    """What roles may do before an administrator says otherwise, as `roles` of a class; empty: the usual."""

    def prepare(self) -> None:
        """A kind without a plural gets the plainest one."""
        self.plural = self.plural or f"{self.title}s"

    def validate(self) -> Sequence[Problem]:
        """The name begins as all of them do, and stays."""
        problems = []
        if not ENTITY_NAME.fullmatch(self.name or ""):
            problems.append(Problem("name", _("must be custom. and small letters, such as custom.pool.")))
        elif (before := _stored(self)) is not None and before.name != self.name:
            problems.append(Problem("name", _("stays as it was made. Change the title instead.")))
        if not self.title:
            problems.append(Problem("title", _("is missing.")))
        return problems

    @classmethod
    def follow_up(cls, records: Sequence[Any], session: Any) -> None:
        """Its table comes at once, and every worker sees it. One that goes for good takes its fields and layouts along,
        and may not go while there are records of it or fields that point at it."""
        for record in _gone(records):
            record.refuse_while_used(session.connection())
            for part in (CustomField, Layout):
                for each in session.scalars(select(part).where(part.entity == record.name)):
                    session.delete(each)
        reshape(session.connection())

    def refuse_while_used(self, connection: Connection) -> None:
        """Conflict while something would be lost with it."""
        fields, table = table_of(CustomField), _table(connection, self.name)
        number = connection.scalar(select(func.count()).select_from(table)) if table is not None else 0
        if number:
            raise Conflict(ngettext(
                "There is %(num)s record of the kind “%(name)s”. Archive the kind instead: it disappears everywhere, and its records are kept.",  # noqa: E501
                "There are %(num)s records of the kind “%(name)s”. Archive the kind instead: it disappears everywhere, and its records are kept.",  # noqa: E501
                number, name=self.title,
            ))  # fmt: skip
        pointing = connection.execute(
            select(fields.c.label).where(fields.c.target == self.name, fields.c.entity != self.name).limit(1)
        ).scalar_one_or_none()
        if pointing is not None:
            raise Conflict(
                _(
                    "The field “%(field)s” points at “%(name)s”. Delete that field first, or archive the kind instead.",
                    field=pointing,
                    name=self.title,
                )
            )


class CustomField(Entity, name="custom_field", title="Custom field", icon="forms", roles={}, listed=False,
                  display="label", natural_key=("entity", "name")):  # fmt: skip
    """A field added to a kind of record. Archiving it hides it everywhere and keeps what it holds."""

    __table_args__ = (UniqueConstraint("entity", "name"),)

    entity: Mapped[str] = field(label="Kind of record", in_list=True)
    name: Mapped[str] = field(label="Name", in_list=True, help="x_ and small letters: x_size")
    label: Mapped[str] = field(label="Label", in_list=True)
    kind: Mapped[str] = field(label="Kind", choices=KIND_CHOICES, default="text", in_list=True)
    required: Mapped[bool] = field(label="Required", default=False, in_list=True)
    choices: Mapped[tuple[str, ...]] = field(label="Choices", kind="tags", help="For a choice: what may be chosen.")
    target: Mapped[str] = field(label="Points at", default="", help="For another record: its kind, such as customer.")
    default_value: Mapped[str] = field(label="Default", default="")
    help: Mapped[str] = field(label="Help", default="")
    section: Mapped[str] = field(label="Section", default="")
    indexed: Mapped[bool] = field(
        label="Indexed", default=False, help="Lists filter and sort by it quickly, also among a million records."
    )
    searchable: Mapped[bool] = field(label="Searchable", default=False)
    in_list: Mapped[bool] = field(label="In lists", default=False)
    position: Mapped[int] = field(label="Position", default=0)

    def as_field(self) -> Field:
        """The field as everything else reads it. ValueError when the default does not fit its kind."""
        made = Field(
            name=self.name, label=self.label, kind=self.kind, required=self.required,
            choices=tuple(Choice(value, value) for value in self.choices or ()) if self.kind == "choice" else (),
            target=self.target or None if self.kind == "reference" else None, searchable=self.searchable,
            indexed=self.indexed, help=self.help or None, section=self.section, in_list=self.in_list, custom=True,
            max_length=100_000 if self.kind == "longtext" else 500,
        )  # fmt: skip
        if not self.default_value:
            return made
        return replace(made, default=made.load(self.default_value), required=False)

    def validate(self) -> Sequence[Problem]:
        """Whatever would break a record, now or later, is refused."""
        problems = []
        if not self.label:
            problems.append(Problem("label", _("is missing.")))
        if self.kind == "choice" and not self.choices:
            problems.append(Problem("choices", _("are missing: say what may be chosen.")))
        before = _stored(self)
        problems += self._unfit() if before is None else self._changed_too_much(before)
        try:
            self.as_field()
        except ValueError as error:
            problems.append(Problem("default_value", str(error)))
        return problems

    def _unfit(self) -> Sequence[Problem]:
        """What a new field cannot be."""
        problems = []
        if not NAME.fullmatch(self.name or "") or "__" in self.name:
            problems.append(Problem("name", _("must be x_ and small letters, such as x_size.")))
        if self.entity not in KNOWN and not ENTITY_NAME.fullmatch(self.entity or ""):
            problems.append(Problem("entity", _("is no kind of record here.")))
        if self.kind == "reference" and self.target not in KNOWN:
            problems.append(Problem("target", _("is no kind of record here.")))
        return problems

    def _changed_too_much(self, before: Any) -> Sequence[Problem]:
        """What a field cannot become once it is made, because records hold values under it."""
        names = ("entity", "name", "kind", *(["target"] if self.kind == "reference" else []))
        problems = [
            Problem(name, _("stays as it was made. Archive the field and add another one."))
            for name in names
            if getattr(before, name) != getattr(self, name)
        ]
        gone = set(before.choices or ()) - set(self.choices or ())
        session = object_session(self)
        if gone and self.kind == "choice" and not problems and session is not None:
            problems += [
                Problem("choices", ngettext(
                    "must keep “%(choice)s”: %(num)s record has it. To call it something else, use Words.",
                    "must keep “%(choice)s”: %(num)s records have it. To call it something else, use Words.",
                    number, choice=choice,
                ))
                for choice, number in self._held(session.connection(), gone)
            ]  # fmt: skip
        return problems

    def _place(self, connection: Connection) -> tuple[Table, ColumnElement[Any]] | None:
        """Where its values are kept; None where no table stands (any more)."""
        table = _table(connection, self.entity)
        return None if table is None else (table, custom_value(table.c.custom, self.name, self.kind))

    def _held(self, connection: Connection, choices: set[str]) -> Sequence[Any]:
        """Which of these choices records have, archived ones too, and how many."""
        if (place := self._place(connection)) is None:
            return ()
        table, value = place
        statement = select(value, func.count()).select_from(table).where(value.in_(sorted(choices)))
        return connection.execute(statement.group_by(value).order_by(value)).all()

    @classmethod
    def follow_up(cls, records: Sequence[Any], session: Any) -> None:
        """Its index comes or goes at once, and every worker sees it. None goes for good while records hold values."""
        for record in _gone(records):
            record.refuse_while_used(session.connection())
        reshape(session.connection())

    def refuse_while_used(self, connection: Connection) -> None:
        """Conflict while records hold something under it."""
        if (place := self._place(connection)) is None:
            return
        table, value = place
        number = connection.scalar(select(func.count()).select_from(table).where(value.is_not(None)))
        if number:
            raise Conflict(ngettext(
                "%(num)s record holds something in “%(name)s”. Archive the field instead: it disappears everywhere, and what it holds is kept.",  # noqa: E501
                "%(num)s records hold something in “%(name)s”. Archive the field instead: it disappears everywhere, and what it holds is kept.",  # noqa: E501
                number, name=self.label,
            ))  # fmt: skip


class Term(Entity, name="term", title="Word", icon="language", roles={}, listed=False, display="text",
           natural_key=("language", "text")):  # fmt: skip
    """What this business calls a thing: a text of Rapport or of a plugin, said otherwise in one language."""

    __table_args__ = (UniqueConstraint("language", "text"),)

    language: Mapped[str] = field(
        label="Language", choices=[Choice(each.code, each.name) for each in LANGUAGES.values()], in_list=True
    )
    text: Mapped[str] = field(label="Text in English", in_list=True, max_length=1000)
    said: Mapped[str] = field(label="Said here", in_list=True, max_length=1000)

    def validate(self) -> Sequence[Problem]:
        """A text with places keeps them."""
        places = set(_PLACEHOLDER.findall(self.text or ""))
        if set(_PLACEHOLDER.findall(self.said or "")) != places or ("%" in (self.said or "") and not places):
            names = ", ".join(f"%({name})s" for name in sorted(places)) or _("none")
            return [Problem("said", _("must have the same places as the text: %(names)s.", names=names))]
        return []

    @classmethod
    def follow_up(cls, records: Sequence[Any], session: Any) -> None:
        """Every worker says it from now on."""
        reshape(session.connection())


class Layout(Entity, name="layout", title="Layout", icon="layout", roles={}, listed=False, display="entity",
             natural_key=("entity", "place")):  # fmt: skip
    """The order of a kind's fields in one place, its sections there, and what is left out."""

    __table_args__ = (UniqueConstraint("entity", "place"),)

    entity: Mapped[str] = field(label="Kind of record", in_list=True)
    place: Mapped[str] = field(
        label="Place", choices=[Choice("list", "Lists"), Choice("form", "Forms and record pages")], in_list=True
    )
    content: Mapped[list[Any]] = field(label="Content", kind="json", default=list)
    """For a list: the names of its columns. For a form: sections, `{"title": "…", "fields": ["name", …]}`."""

    def validate(self) -> Sequence[Problem]:
        """The content has the shape of its place; names that do not exist (any more) are passed over later."""
        content: Any = self.content
        if self.place == "list":
            sound = isinstance(content, list) and content and all(isinstance(name, str) for name in content)
            return [] if sound else [Problem("content", _("must be a list of names of fields."))]
        sound = isinstance(content, list) and content and all(
            isinstance(each, dict) and set(each) <= {"title", "fields"} and isinstance(each.get("title", ""), str)
            and isinstance(each.get("fields"), list) and all(isinstance(name, str) for name in each["fields"])
            for each in content
        )  # fmt: skip
        return [] if sound else [Problem("content", _("must be a list of sections with title and fields."))]

    @classmethod
    def follow_up(cls, records: Sequence[Any], session: Any) -> None:
        """Every worker shows it from now on."""
        reshape(session.connection())


def _stored(record: Entity) -> Any:
    """A record as the database still has it; None for a new one."""
    session = object_session(record)
    if session is None or not inspect(record).persistent:
        return None
    table = table_of(type(record))
    return session.connection().execute(select(table).where(table.c.id == record.id)).one_or_none()


def _gone(records: Sequence[Any]) -> list[Any]:
    """Those that were just deleted for good."""
    return [record for record in records if inspect(record).deleted]


def _table(connection: Connection, entity: str) -> Table | None:
    """The table of a kind of record, where it stands in this database."""
    known = KNOWN.get(entity)
    if known is None or not inspect(connection).has_table(table_of(known).name):
        return None
    return table_of(known)
