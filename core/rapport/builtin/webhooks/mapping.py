"""From what another program sent to the fields of a record: one line each, `email = customer.email`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rapport.entities import EntityMeta, Field
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import _

if TYPE_CHECKING:
    from rapport.site import Site

MAX_LINES = 100
_LINE = re.compile(r"""(?P<field>\w+(?:\.\w+)?)\s*=\s*(?:"(?P<text>[^"]*)"|(?P<path>[\w$@:-]+(?:\.[\w$@:-]+)*))""")
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Line:
    """Where one field gets its value: from a place in the message, or always the same text."""

    field: str
    path: tuple[str, ...] = ()
    text: str = ""


def parse_mapping(text: str) -> list[Line]:
    """Read the lines. Invalid names the first that cannot be read."""
    lines = []
    for number, raw in enumerate(text.splitlines(), 1):
        if not raw.strip():
            continue
        found = _LINE.fullmatch(raw.strip())
        if found is None:
            raise Invalid(
                Problem("mapping", _("has a line that cannot be read (%(number)s): write name = customer.name, or "
                                     'source = "Shop".', number=number))
            )  # fmt: skip
        path = tuple(found["path"].split(".")) if found["path"] else ()
        lines.append(Line(found["field"], path, found["text"] or ""))
    if not 1 <= len(lines) <= MAX_LINES:
        raise Invalid(Problem("mapping", _("needs at least one line, and at most %(most)s.", most=MAX_LINES)))
    return lines


def check_mapping(site: Site, meta: EntityMeta, lines: list[Line]) -> None:
    """Invalid when a line names a field that is not there or cannot be written."""
    for line in lines:
        try:
            target_of(site, meta, line.field)
        except LookupError:
            raise Invalid(
                Problem("mapping", _("names “%(field)s”, which cannot be filled in.", field=line.field))
            ) from None


def target_of(site: Site, meta: EntityMeta, name: str) -> tuple[Field | None, Field]:
    """The reference on the way, if any, and the field. LookupError for what cannot be filled in."""
    reference, dot, inner = name.partition(".")
    if not dot:
        return None, _writable(meta, name)
    over = _writable(meta, f"{reference.removesuffix('_id')}_id")
    if over.target is None:
        raise LookupError(name)
    return over, _writable(site.meta_named(over.target), inner)


def _writable(meta: EntityMeta, name: str) -> Field:
    field = meta.fields[name]
    if field.readonly or field.secret or field.kind == "file":
        raise LookupError(name)
    return field


def values_of(site: Site, meta: EntityMeta, lines: list[Line], message: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of the record's own fields, and by reference those of the record behind it."""
    own: dict[str, Any] = {}
    behind: dict[str, dict[str, Any]] = {}
    for line in lines:
        reference, field = target_of(site, meta, line.field)
        value = _at(message, line.path) if line.path else line.text
        if value is _MISSING or value is None:
            continue
        if reference is None:
            own[field.name] = _fit(value, field)
        else:
            behind.setdefault(reference.name, {})[field.name] = _fit(value, field)
    return own, behind


def _at(message: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if isinstance(message, Mapping) and step in message:
            message = message[step]
        elif isinstance(message, list) and step.isascii() and step.isdecimal() and int(step) < len(message):
            message = message[int(step)]
        else:
            return _MISSING
    return message


def _fit(value: Any, field: Field) -> Any:
    """Other programs send numbers where we keep text."""
    if isinstance(value, int | float) and not isinstance(value, bool) and field.kind in {"text", "longtext", "phone"}:
        return str(value)
    return value
