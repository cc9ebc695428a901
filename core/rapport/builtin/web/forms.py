"""Forms: the fields of an entity to fill in, and what people typed turned into input for the unit of work."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import g, request
from werkzeug.datastructures import MultiDict

from rapport.builtin.web.context import calendar_of, formats, reader
from rapport.entities import Entity, EntityMeta, Field, entity_class
from rapport.entities.fields import ADDRESS_PARTS
from rapport.errors import Invalid, Problem
from rapport.files import find_files, store
from rapport.http import current_actor, current_site
from rapport.i18n.catalogs import _
from rapport.i18n.characters import persian_digits, plain_digits
from rapport.i18n.reading import parse_date, parse_number

HIDDEN = {"about_entity", "about_id", "id", "version"}
CURRENCIES = ("EUR", "USD", "GBP", "CAD", "CHF", "CNY", "ILS", "IRR", "JPY", "AED", "INR")


def form_fields(meta: EntityMeta, names: Sequence[str] | None = None) -> list[Field]:
    """The fields a form shows, in order; a currency is chosen beside its amount, not by itself."""
    currencies = {f.currency for f in meta.fields.values() if f.currency}
    chosen = [
        f for f in meta.writable if not (f.secret or f.hidden) and f.name not in HIDDEN and f.name not in currencies
    ]
    return [f for f in chosen if names is None or f.name in names]


def sections(fields: Iterable[Field]) -> list[tuple[str, list[Field]]]:
    """Fields grouped under their section's title, in the order sections first appear."""
    groups: dict[str, list[Field]] = {}
    for field in fields:
        groups.setdefault(field.section, []).append(field)
    return list(groups.items())


def read_form(meta: EntityMeta | None, form: MultiDict[str, str], fields: Iterable[Field]) -> dict[str, Any]:
    """What was typed, as input. Raises Invalid with every value that cannot be read in the person's own notation."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for field in fields:
        if field.kind == "address":
            if any(f"{field.name}.{part}" in form for part in ADDRESS_PARTS):
                values[field.name] = {part: form.get(f"{field.name}.{part}", "") for part in ADDRESS_PARTS}
            continue
        if field.kind == "file":
            try:
                values |= _uploaded(field, form)
            except Invalid as error:
                problems += [Problem(field.name, problem.message) for problem in error.problems]
            continue
        if field.name not in form:
            continue
        text = form.getlist(field.name)[-1]
        if not text.strip() and field.kind == "instant" and not field.nullable and not field.required:
            continue  # it has a time by itself: now, or the one it had
        try:
            values[field.name] = _read(field, text)
        except ValueError as error:
            problems.append(Problem(field.name, str(error)))
        if field.currency and field.currency in form:
            values[field.currency] = form[field.currency]
    if problems:
        raise Invalid(problems)
    return values


def _uploaded(field: Field, form: MultiDict[str, str]) -> dict[str, UUID | str | None]:
    """The file that was chosen, else the one that is there, unless it is to go."""
    sent = request.files.get(f"{field.name}.file")
    if sent is not None and sent.filename:
        stored = store(current_site(), sent.stream, sent.filename, current_actor())
        g.setdefault("uploads", {})[field.name] = str(stored.id)  # shown again beside an error: nothing is sent twice
        return {field.name: stored.id}
    if field.name not in form:
        return {}
    kept = "" if form.get(f"{field.name}.remove") else form[field.name]
    return {field.name: kept or None}


def _read(field: Field, text: str) -> Any:
    text = text.strip()
    if field.kind == "flag":
        return text == "true"
    if not text:
        return None if field.nullable else ("" if field.kind != "tags" else [])
    if field.kind in {"decimal", "money"}:
        return parse_number(text, g.lang)
    if field.kind == "integer":
        return str(parse_number(text, g.lang)).removesuffix(".0")
    if field.kind == "date":
        return parse_date(text, g.lang, calendar_of(current_actor()))
    if field.kind == "instant":
        local = _moment(text)
        return local.replace(tzinfo=ZoneInfo(current_actor().time_zone)) if local.tzinfo is None else local
    return text


def _moment(text: str) -> dt.datetime:
    """A day, or a day and the time of day: as the browser sends them, or as they are written in another calendar."""
    text = plain_digits(text)
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        pass
    # Over a long text it would take minutes; `parse_date` refuses such a one.
    found = re.fullmatch(r"(.+?)[\s،,]+(\d{1,2}):(\d{2})", text) if len(text) <= 100 else None
    day = parse_date(found[1] if found else text, g.lang, calendar_of(current_actor()))
    try:
        return dt.datetime.combine(day, dt.time(int(found[2]), int(found[3])) if found else dt.time())
    except ValueError:
        raise ValueError(_("needs a time of day, such as 14:30.")) from None


def typed_values(record: Any, fields: Iterable[Field]) -> dict[str, Any]:
    """A record's values as the controls of a form show them."""
    return {field.name: control_value(field, getattr(record, field.name)) for field in fields}


def control_value(field: Field, value: Any) -> Any:
    """One stored value as a control shows it."""
    if value is None or field.kind in {"address", "tags", "flag"}:
        return value
    own = formats()
    if field.kind == "date" and own.calendar != "gregorian":
        return own.date(value, "short")
    if field.kind == "instant":
        here = value.astimezone(ZoneInfo(current_actor().time_zone))
        if own.calendar == "gregorian":
            return here.strftime("%Y-%m-%dT%H:%M")
        time = here.strftime("%H:%M")
        return f"{own.date(here.date(), 'short')} {persian_digits(time) if own.lang == 'fa' else time}"
    return field.dump(value)


def retyped(form: MultiDict[str, str], fields: Iterable[Field]) -> dict[str, Any]:
    """What was typed, to show it again beside its errors: nothing that somebody wrote is lost."""
    values: dict[str, Any] = {}
    for field in fields:
        if field.kind == "address":
            values[field.name] = {part: form.get(f"{field.name}.{part}", "") for part in ADDRESS_PARTS}
        elif field.kind == "file":
            values[field.name] = g.get("uploads", {}).get(field.name) or form.get(field.name, "")
        elif field.name in form:
            text = form.getlist(field.name)[-1]
            values[field.name] = text == "true" if field.kind == "flag" else (
                [tag.strip() for tag in text.split(",") if tag.strip()] if field.kind == "tags" else text
            )  # fmt: skip
    return values


def reference_texts(fields: Iterable[Field], values: Mapping[str, Any]) -> dict[str, str]:
    """What references in a form point at: the titles of records, and the names of files."""
    texts = {}
    for field in fields:
        value = values.get(field.name)
        if value and (field.target or field.kind == "file"):
            try:
                record_id = value if isinstance(value, UUID) else UUID(str(value))
            except ValueError:
                continue
            if field.target:
                texts[field.name] = reader().titles(entity_class(field.target), [record_id]).get(record_id, "")
            else:
                texts[field.name] = _file_name(record_id)
    return texts


def _file_name(file_id: UUID) -> str:
    """What a form calls the file it has. An id that was sent in a form may be anybody's, so only one's own tell."""
    by = None if request.method == "GET" else current_actor()
    with current_site().db.read() as connection:  # the page's own reader may have begun before it came
        found = find_files(connection, [file_id], by=by).get(file_id)
    return found.name if found else g.texts.gettext("the present file")


def errors_by_field(problems: Iterable[Problem]) -> dict[str, list[str]]:
    """Problems under the name of their field; those of no field under the empty name."""
    errors: dict[str, list[str]] = {}
    for problem in problems:
        errors.setdefault(problem.field or "", []).append(g.texts.gettext(problem.message))
    return errors


def suggest_url(field: Field) -> str:
    """Where a reference field looks for records."""
    return f"/suggest/{field.target}" if field.target else ""


def currencies_of(record: Any, field: Field) -> tuple[str, list[str]]:
    """The currency an amount is in, and those to choose from."""
    own = getattr(record, field.currency or "", "") if record is not None else ""
    usual = str(current_site().settings.get("core.currency"))
    return own or usual, list(dict.fromkeys([own or usual, usual, *CURRENCIES]))


def stage_choices(entity: type[Entity]) -> list[tuple[str, str]]:
    """The stages of an entity, to choose one from."""
    from rapport.workflows.moves import stages_of

    return [(str(stage.id), g.texts.gettext(stage.title)) for stage in stages_of(reader().session, entity.meta.name)]
