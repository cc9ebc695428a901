"""Fields: what a record knows, said once, and read by forms, lists, filters, API, import, search and migrations."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Date, ForeignKey, Integer, Uuid
from sqlalchemy.orm import mapped_column

from rapport.entities.types import MAX_DECIMAL, Fixed, Instant, Json, Tags, Words, decimal_text, instant_text
from rapport.i18n.catalogs import _

MAX_TEXT = 500
MAX_LONG_TEXT = 100_000
MAX_TAGS = 50
ADDRESS_PARTS = ("street", "city", "region", "postcode", "country")
_INFO = "rapport"


@dataclass(frozen=True, slots=True)
class Choice:
    """One value a choice field may take, its English label, and the colour of its badge (a Tabler colour name)."""

    value: str
    label: str
    color: str = "secondary"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an entity as everything else reads it. Made from the model; by hand only for forms and reports."""

    name: str
    label: str
    kind: str
    required: bool = False
    choices: tuple[Choice, ...] = ()
    target: str | None = None
    """For a reference: the entity behind it."""
    unique: bool = False
    searchable: bool = False
    indexed: bool = False
    readonly: bool = False
    """Shown, filtered and exported, but set by Rapport, never by input."""
    secret: bool = False
    """Never shown, filtered, sorted, exported or audited with its value."""
    nullable: bool = True
    default: Any = None
    help: str | None = None
    currency: str | None = None
    """For money: the sibling field that holds the ISO 4217 code."""
    section: str = ""
    in_list: bool = False
    """Whether lists show it from the start."""
    max_length: int = MAX_TEXT
    aliases: tuple[str, ...] = ()
    """Other names a column may have in an imported file."""
    custom: bool = False
    """Added by an administrator; kept in the record's column `custom`."""
    extension: str = ""
    """Brought by a plugin for somebody else's entity: the name of the `Extension` that keeps it."""
    hidden: bool = False
    """Left out of forms and record pages, by the layout or as it is for programs; everywhere else it is as ever."""

    def load(self, value: Any) -> Any:
        """Turn input into the stored value. Raises ValueError with a text that continues the field's label."""
        if value is None or value == "":
            if self.required:
                raise ValueError("is missing.")
            return None if self.nullable else empty_value(self)
        return KINDS[self.kind].load(value, self)

    def dump(self, value: Any) -> Any:
        """The JSON form of a stored value."""
        dump = KINDS[self.kind].dump
        return value if dump is None or value is None else dump(value)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of field: how input is read, how JSON shows it, and its JSON Schema."""

    name: str
    column: Callable[[], Any]
    load: Callable[[Any, Field], Any]
    dump: Callable[[Any], Any] | None
    json_schema: Mapping[str, Any]


def empty_value(field: Field) -> Any:
    """What a field that may not be NULL holds when nothing was given."""
    if field.default is not None:
        return field.default() if callable(field.default) else field.default
    if field.kind in {"date", "instant", "file"}:  # nothing stands for no day
        raise ValueError("is missing.")
    empty: dict[str, Any] = {
        "flag": False, "tags": (), "integer": 0, "decimal": Decimal(0), "money": Decimal(0), "reference": None,
        "address": {}, "json": {},
    }  # fmt: skip
    return empty.get(field.kind, "")


# Reading input -------------------------------------------------------------------------------------------------------

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def _text(value: Any, field: Field) -> str:
    if not isinstance(value, str):
        raise ValueError(_("must be text, not %(kind)s.", kind=_kind_of(value)))
    if len(value) > field.max_length:
        raise ValueError(
            _(
                "is too long: %(length)s characters, at most %(most)s are kept.",
                length=f"{len(value):,}",
                most=f"{field.max_length:,}",
            )
        )
    if _CONTROL.search(value):
        raise ValueError(_("contains characters that cannot be kept (control characters)."))
    return value.strip()


def _long_text(value: Any, field: Field) -> str:
    text = _text(value, replace(field, max_length=max(field.max_length, MAX_LONG_TEXT)))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _integer(value: Any, field: Field) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(_("must be a whole number, such as 42."))
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(_("must be a whole number, such as 42.")) from None
    if abs(number) > 2**53:
        raise ValueError(_("is too large."))
    return number


def _decimal(value: Any, field: Field) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError(_("must be a number, such as 1234.50."))
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(_("must be a number, such as 1234.50.")) from None
    if not number.is_finite() or abs(number) > MAX_DECIMAL:
        raise ValueError(_("is too large."))
    return round(number, 4)


def _date(value: Any, field: Field) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(_("must be a date, such as 2026-11-23.")) from None


def _instant(value: Any, field: Field) -> dt.datetime:
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(_("must be a date and time with its zone, such as 2026-11-23T14:00:00Z.")) from None
    if not isinstance(value, dt.datetime) or value.tzinfo is None:
        raise ValueError(_("must be a date and time with its zone, such as 2026-11-23T14:00:00Z."))
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError(_("is too far from today.")) from None


def _choice(value: Any, field: Field) -> str:
    if value not in [choice.value for choice in field.choices]:
        allowed = ", ".join(choice.value for choice in field.choices)
        raise ValueError(_("must be one of %(allowed)s.", allowed=allowed))
    return str(value)


def _flag(value: Any, field: Field) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if isinstance(value, str) and value.strip().lower() in known:
        return known[value.strip().lower()]
    raise ValueError(_("must be true or false."))


def _reference(value: Any, field: Field) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (TypeError, ValueError, AttributeError):
        raise ValueError(_("must be the id of a %(kind)s.", kind=field.target or "record")) from None


def _tags(value: Any, field: Field) -> tuple[str, ...]:
    if isinstance(value, str):
        value = re.split(r"[,;\n،؛，、]", value)
    if not isinstance(value, Sequence) or not all(isinstance(tag, str) for tag in value):
        raise ValueError(_('must be a list of texts, such as ["vip", "partner"].'))
    tags = tuple(dict.fromkeys(stripped for tag in value if (stripped := " ".join(tag.split()))))
    if len(tags) > MAX_TAGS or any(len(tag) > 60 for tag in tags):
        raise ValueError(_("may hold at most %(most)s tags of 60 characters.", most=MAX_TAGS))
    if any(_CONTROL.search(tag) for tag in tags):
        raise ValueError(_("contains characters that cannot be kept (control characters)."))
    return tags


def _email(value: Any, field: Field) -> str:
    from rapport.i18n.values import normalise_email

    return normalise_email(_text(value, field))


def _phone(value: Any, field: Field) -> str:
    from rapport.i18n.values import normalise_phone

    return normalise_phone(_text(value, field))


def _url(value: Any, field: Field) -> str:
    from rapport.i18n.values import normalise_url

    return normalise_url(_text(value, field))


def _address(value: Any, field: Field) -> dict[str, str]:
    if isinstance(value, str):
        value = {"street": value}
    if not isinstance(value, Mapping) or not all(isinstance(part, str | None) for part in value.values()):
        raise ValueError(_("must be an object with %(parts)s.", parts=", ".join(ADDRESS_PARTS)))
    if unknown := sorted(set(value) - set(ADDRESS_PARTS)):
        raise ValueError(
            _(
                "has an unknown part '%(name)s'. Known parts: %(parts)s.",
                name=unknown[0],
                parts=", ".join(ADDRESS_PARTS),
            )
        )
    return {part: text for part in ADDRESS_PARTS if (text := _text(value.get(part) or "", field))}


def _json(value: Any, field: Field) -> Any:
    return value


def _kind_of(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("text", Words.copy, _text, None, {"type": "string"}),
        Kind("longtext", Words.copy, _long_text, None, {"type": "string"}),
        Kind("integer", BigInteger, _integer, None, {"type": "integer"}),
        Kind("decimal", Fixed, _decimal, decimal_text, {"type": "string", "format": "decimal"}),
        Kind("money", Fixed, _decimal, decimal_text, {"type": "string", "format": "decimal"}),
        Kind("date", Date, _date, dt.date.isoformat, {"type": "string", "format": "date"}),
        Kind("instant", Instant, _instant, instant_text, {"type": "string", "format": "date-time"}),
        Kind("choice", Words.copy, _choice, None, {"type": "string"}),
        Kind("flag", Boolean, _flag, None, {"type": "boolean"}),
        Kind("reference", Uuid, _reference, str, {"type": "string", "format": "uuid"}),
        Kind("tags", Tags, _tags, list, {"type": "array", "items": {"type": "string"}}),
        Kind("email", Words.copy, _email, None, {"type": "string", "format": "email"}),
        Kind("phone", Words.copy, _phone, None, {"type": "string"}),
        Kind("url", Words.copy, _url, None, {"type": "string", "format": "uri"}),
        Kind("address", Json.copy, _address, None, {
            "type": "object",
            "properties": {part: {"type": "string"} for part in ADDRESS_PARTS},
            "additionalProperties": False,
        }),
        Kind("id", Uuid, _reference, str, {"type": "string", "format": "uuid"}),
        Kind("file", Uuid, _reference, str, {"type": "string", "format": "uuid"}),
        Kind("json", Json.copy, _json, None, {}),
    )
}  # fmt: skip


# Declaring -----------------------------------------------------------------------------------------------------------


def field(
    *,
    label: str | None = None,
    kind: str | None = None,
    choices: Sequence[str | Choice] = (),
    default: Any = None,
    unique: bool = False,
    indexed: bool = False,
    searchable: bool = False,
    readonly: bool = False,
    secret: bool = False,
    help: str | None = None,
    currency: str | None = None,
    section: str = "",
    in_list: bool = False,
    max_length: int = MAX_TEXT,
    aliases: Iterable[str] = (),
    hidden: bool = False,
) -> Any:
    """Declare a field beside its type: `points: Mapped[int] = field(label="Points", default=0)`.

    The annotation says type and whether it may be empty (`Mapped[str | None]`); `kind` narrows it where Python has no
    type for it: `kind="email"`, "phone", "url", "longtext", "money", "address", "file".
    """
    if choices and kind is None:
        kind = "choice"
    if kind is not None and kind not in KINDS:
        raise ValueError(f"There is no kind of field '{kind}'. Known kinds: {', '.join(KINDS)}.")
    options = {
        "label": label,
        "kind": kind,
        "choices": tuple(c if isinstance(c, Choice) else Choice(c, c.replace("_", " ").capitalize()) for c in choices),
        "searchable": searchable,
        "readonly": readonly,
        "secret": secret,
        "help": help,
        "currency": currency,
        "section": section,
        "in_list": in_list,
        "max_length": max_length,
        "aliases": tuple(aliases),
        "hidden": hidden,
    }
    arguments: list[Any] = [] if kind is None else [KINDS[kind].column()]
    if kind == "file":  # while a record holds it, a file cannot go
        arguments.append(ForeignKey("stored_file.id", ondelete="RESTRICT"))
        indexed = True
    return mapped_column(
        *arguments, default=default, unique=unique or None, index=(indexed and not unique) or None,
        info={_INFO: options},
    )  # fmt: skip


def ref(
    target: str,
    *,
    label: str | None = None,
    on_delete: str | None = None,
    unique: bool = False,
    readonly: bool = False,
    help: str | None = None,
    section: str = "",
    in_list: bool = False,
    default: Any = None,
    aliases: Iterable[str] = (),
    hidden: bool = False,
) -> Any:
    """Point at another entity by name: `customer_id: Mapped[UUID] = ref("customer")`.

    A required reference makes the record part of the other: who may not see that one does not see this one, and the
    database deletes it along. An optional one is emptied instead. `on_delete="restrict"` forbids the deletion. What is
    `hidden` is on no form and no page, and the other's page does not list what points at it.
    """
    options = {
        "label": label or target.rpartition(".")[2].replace("_", " ").capitalize(),
        "kind": "reference",
        "target": target,
        "readonly": readonly,
        "help": help,
        "section": section,
        "in_list": in_list,
        "on_delete": on_delete,
        "aliases": tuple(aliases),
        "hidden": hidden,
    }
    key = ForeignKey(f"{target.replace('.', '_')}.id", ondelete=on_delete)
    return mapped_column(Uuid, key, index=True, unique=unique or None, default=default, info={_INFO: options})


def field_of(name: str, column: Any, nullable: bool) -> Field:
    """The Field behind a mapped column; columns declared without `field()` get what their type tells."""
    options = dict(column.info.get(_INFO, {}))
    options.pop("on_delete", None)
    kind = options.pop("kind", None) or _kind_of_column(name, column)
    label = options.pop("label", None) or name.removesuffix("_id").replace("_", " ").capitalize()
    default = column.default.arg if column.default is not None and column.default.is_scalar else None
    generated = column.default is not None and not column.default.is_scalar
    options.setdefault("readonly", False)
    return Field(
        name=name,
        label=label,
        kind=kind,
        required=not nullable and default is None and not generated and kind not in {"tags", "flag"},
        nullable=nullable,
        unique=bool(column.unique),
        indexed=bool(column.index or column.unique or column.primary_key),
        default=default,
        **options,
    )


def _kind_of_column(name: str, column: Any) -> str:
    for kind, types in (
        ("decimal", Fixed), ("instant", Instant), ("tags", Tags), ("date", Date), ("flag", Boolean),
        ("integer", Integer), ("reference", Uuid), ("json", type(Json)),
    ):  # fmt: skip
        if isinstance(column.type, types):
            return kind
    return "text"
