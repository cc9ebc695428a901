"""Showing values: what a field holds, written for the person who looks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from flask import g
from markupsafe import Markup, escape

from rapport.builtin.web.context import formats, reader
from rapport.entities import Entity, Field, entity_class
from rapport.files import StoredFile, find_files
from rapport.i18n.values import format_phone

MAX_CELL = 120


class Presenter:
    """Shows values of one page; the titles behind references are read with one query per kind, not per row."""

    def __init__(self, entity: type[Entity], rows: Sequence[Any], fields: Iterable[Field]) -> None:
        self.entity = entity
        fields = list(fields)
        self._titles: dict[str, dict[UUID, str]] = {}
        wanted: dict[str, set[UUID]] = {}
        for field in fields:
            if field.target is not None:
                ids = {value for row in rows if (value := getattr(row, field.name, None)) is not None}
                wanted.setdefault(field.target, set()).update(ids)
        for target, ids in wanted.items():
            self._titles[target] = reader().titles(entity_class(target), ids)
        held = [getattr(row, field.name, None) for field in fields if field.kind == "file" for row in rows]
        self._files = find_files(reader().session, held)

    def file(self, file_id: UUID) -> StoredFile | None:
        """A file that one of the rows holds."""
        return self._files.get(file_id)

    def title_of(self, field: Field, value: UUID | None) -> str:
        """The title of a referenced record; empty when it is out of reach."""
        return self._titles.get(field.target or "", {}).get(value, "") if value is not None else ""

    def value(self, field: Field, row: Any, *, short: bool = False) -> str | Markup:
        """A field of a row, for reading. `short` cuts long texts, as in lists."""
        value = getattr(row, field.name)
        if value is None or value in ("", (), {}):
            return ""
        return _SHOW.get(field.kind, _text)(self, field, value, row, short)  # type: ignore[no-any-return]


def _text(_p: Presenter, _field: Field, value: Any, _row: Any, short: bool) -> str | Markup:
    text = str(value)
    if short and len(text) > MAX_CELL:
        text = text[: MAX_CELL - 1].rstrip() + "…"
    return Markup("<bdi>{}</bdi>").format(text)


def _long(_p: Presenter, _field: Field, value: str, _row: Any, short: bool) -> Markup:
    if short:
        return Markup("<bdi>{}</bdi>").format(value[:MAX_CELL] + ("…" if len(value) > MAX_CELL else ""))
    return Markup("<br>").join(Markup("<bdi>{}</bdi>").format(line) for line in value.split("\n"))


def _reference(p: Presenter, field: Field, value: UUID, _row: Any, short: bool) -> Markup:
    title = p.title_of(field, value)
    if not title:
        return Markup('<span class="r-soft">{}</span>').format(g.texts.gettext("not visible to you"))
    target = entity_class(field.target or "")
    if not target.meta.listed or target.meta.name in {"user", "team", "stage"}:
        return Markup("<bdi>{}</bdi>").format(title)
    return Markup('<a href="/{}/{}"><bdi>{}</bdi></a>').format(target.meta.name, value, title)


def _choice(_p: Presenter, field: Field, value: str, _row: Any, short: bool) -> Markup:
    for choice in field.choices:
        if choice.value == value:
            tone = "neutral" if choice.color in {"secondary", "muted"} else choice.color
            return Markup('<span class="r-badge tone-{}">{}</span>').format(tone, g.texts.gettext(choice.label))
    return escape(value)


def _money(_p: Presenter, field: Field, value: Any, row: Any, short: bool) -> Markup:
    currency = getattr(row, field.currency or "", "") or default_currency()
    return Markup("<bdi>{}</bdi>").format(formats().money(value, currency))


def _tags(_p: Presenter, _field: Field, value: Sequence[str], _row: Any, short: bool) -> Markup:
    shown = value[:4] if short else value
    return Markup(" ").join(Markup('<span class="r-tag">{}</span>').format(tag) for tag in shown)


def _flag(_p: Presenter, _field: Field, value: bool, _row: Any, short: bool) -> str:
    return g.texts.gettext("Yes") if value else g.texts.gettext("No")  # type: ignore[no-any-return]


def _email(_p: Presenter, _field: Field, value: str, _row: Any, short: bool) -> Markup:
    return Markup('<a href="mailto:{0}"><bdi dir="ltr">{0}</bdi></a>').format(value)


def _phone(_p: Presenter, _field: Field, value: str, _row: Any, short: bool) -> Markup:
    return Markup('<a href="tel:{}"><bdi dir="ltr">{}</bdi></a>').format(value, format_phone(value))


def _url(_p: Presenter, _field: Field, value: str, _row: Any, short: bool) -> Markup:
    shown = value.removeprefix("https://").removeprefix("http://").rstrip("/")
    return Markup('<a href="{}" rel="noopener noreferrer" target="_blank"><bdi dir="ltr">{}</bdi></a>').format(
        value, shown
    )


def _address(_p: Presenter, _field: Field, value: dict[str, str], _row: Any, short: bool) -> Markup:
    parts = [value[part] for part in ("street", "postcode", "city", "region", "country") if value.get(part)]
    if short:
        parts = [value[part] for part in ("city", "country") if value.get(part)] or parts[:1]
    return Markup("<bdi>{}</bdi>").format(", ".join(parts))


def _file(p: Presenter, field: Field, value: UUID, row: Any, _short: bool) -> str | Markup:
    stored = p.file(value)
    if stored is None:
        return ""
    return Markup('<a href="/{}/{}/file/{}" download><bdi>{}</bdi></a> <span class="r-soft">{}</span>').format(
        p.entity.meta.name, row.id, field.name, stored.name, formats().size(stored.size)
    )


_SHOW: dict[str, Any] = {
    "file": _file,
    "longtext": _long,
    "reference": _reference,
    "choice": _choice,
    "money": _money,
    "tags": _tags,
    "flag": _flag,
    "email": _email,
    "phone": _phone,
    "url": _url,
    "address": _address,
    "integer": lambda p, f, value, row, short: formats().number(value),
    "decimal": lambda p, f, value, row, short: formats().decimal(value),
    "date": lambda p, f, value, row, short: formats().date(value),
    "instant": lambda p, f, value, row, short: formats().relative(value) if short else formats().instant(value),
    "json": lambda p, f, value, row, short: "{…}",
}


def logged_titles(pairs: Sequence[tuple[Field, Sequence[Any]]]) -> dict[str, str]:
    """The titles of the records and the names of the files that changes mention, one query per kind."""
    wanted: dict[str, set[UUID]] = {}
    held: set[UUID] = set()
    for field, pair in pairs:
        if field.target:
            wanted.setdefault(field.target, set()).update(UUID(str(value)) for value in pair if value)
        elif field.kind == "file":
            held.update(UUID(str(value)) for value in pair if value)
    titles = {str(key): title for target, ids in wanted.items()
              for key, title in reader().titles(entity_class(target), ids).items()}  # fmt: skip
    return titles | {str(key): stored.name for key, stored in find_files(reader().session, held).items()}


def logged_value(field: Field, value: Any, titles: Mapping[str, str]) -> str:
    """A value of the change log, as people read it."""
    if value is None or value in ("", [], {}):
        return ""
    if field.target:
        return titles.get(str(value), g.texts.gettext("not visible to you"))
    if field.kind == "file":
        return titles.get(str(value), g.texts.gettext("a file that is gone"))
    for choice in field.choices:
        if choice.value == value:
            return str(g.texts.gettext(choice.label))
    if field.kind == "date":
        return formats().date(dt.date.fromisoformat(value))
    if field.kind == "instant":
        return formats().instant(dt.datetime.fromisoformat(value))
    if isinstance(value, list | dict):
        return ", ".join(str(part) for part in (value.values() if isinstance(value, dict) else value) if part)
    return str(value)


def default_currency() -> str:
    """The site's currency, for amounts that name none."""
    from rapport.http import current_site

    return str(current_site().settings.get("core.currency"))
