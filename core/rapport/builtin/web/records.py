"""A record's page: its facts, what plugins add, its timeline; the forms to make and change it; what can be done with it."""  # noqa: E501

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from flask import Blueprint, abort, g, redirect, render_template, request
from markupsafe import Markup
from sqlalchemy import select
from werkzeug.wrappers import Response

from rapport import hookspecs
from rapport.access import User
from rapport.builtin.exchange.download import download_person
from rapport.builtin.web import forms, workflows
from rapport.builtin.web.context import (
    after,
    came_from,
    formats,
    go,
    is_htmx,
    meta_of,
    panels_of,
    reader,
    show_panel,
    toast,
)
from rapport.builtin.web.lists import entity_or_404
from rapport.builtin.web.present import Presenter, logged_titles, logged_value
from rapport.contributions import Action, ActionResult, Panel, TimelineItem
from rapport.customers import Customer
from rapport.customers.erasing import erase
from rapport.customers.matching import find_duplicates
from rapport.customers.service import interaction_item, merge, timeline
from rapport.entities import Entity, Field, column_of, entity_class, utcnow
from rapport.errors import Invalid, Problem, Stale
from rapport.files import StoredFile, file_of, find_files, store
from rapport.http import current_actor, current_site, needs, own_path, send_stored
from rapport.interactions import Attachment, Interaction, Message, Suppression, Task
from rapport.records import Reader
from rapport.records.log import change_log
from rapport.records.unit import undo
from rapport.workflows import Stage
from rapport.workflows.moves import stages_of

RELATED_ROWS = 10
MAX_FILES = 20
"""Files that come with one interaction."""
SYSTEM = {"id", "version", "about_entity", "about_id"}


def add_pages(web: Blueprint) -> None:
    """The pages of single records."""
    web.add_url_rule("/<name>/new", view_func=new, methods=["GET", "POST"])
    web.add_url_rule("/<name>/duplicates", view_func=duplicates, methods=["POST"])
    web.add_url_rule("/<name>/<uuid:record_id>", view_func=record_page, methods=["GET"])
    web.add_url_rule("/<name>/<uuid:record_id>/edit", view_func=edit, methods=["GET", "POST"])
    web.add_url_rule("/<name>/<uuid:record_id>/archive", view_func=archive, methods=["POST"])
    web.add_url_rule("/<name>/<uuid:record_id>/restore", view_func=restore, methods=["POST"])
    web.add_url_rule("/<name>/<uuid:record_id>/delete", view_func=delete, methods=["POST"])
    web.add_url_rule("/<name>/<uuid:record_id>/history", view_func=history, methods=["GET"])
    web.add_url_rule("/<name>/<uuid:record_id>/file/<field_name>", view_func=file, methods=["GET"])
    web.add_url_rule("/<name>/<uuid:record_id>/do/<action_name>", view_func=act, methods=["GET", "POST"])
    web.add_url_rule("/customer/<uuid:record_id>/timeline", view_func=more_timeline, methods=["GET"])
    web.add_url_rule("/customer/<uuid:record_id>/log", view_func=log_interaction, methods=["GET", "POST"])
    web.add_url_rule("/customer/<uuid:record_id>/erase", view_func=erase_page, methods=["GET", "POST"])
    web.add_url_rule("/customer/<uuid:record_id>/personal-data", view_func=personal_data, methods=["GET"])
    web.add_url_rule("/customer/<uuid:record_id>/merge", view_func=merge_page, methods=["GET", "POST"])
    web.add_url_rule("/task/<uuid:record_id>/done", view_func=task_done, methods=["POST"])
    web.add_url_rule("/undo/<uuid:batch>", view_func=undo_batch, methods=["POST"])


# Looking -------------------------------------------------------------------------------------------------------------


@needs("")
def record_page(name: str, record_id: UUID) -> str:
    """Everything about a record on one page."""
    entity = entity_or_404(name)
    actor, meta = current_actor(), meta_of(entity)
    record: Any = reader().get(entity, record_id)
    fields = [f for f in meta.visible if f.name not in SYSTEM and f.name not in _currencies(entity)]
    presenter = Presenter(entity, [record], fields)
    tabs, panel = _tabs(entity, record)
    tab = next((key for key, each in tabs.items() if each["active"]), "")
    facts: dict[str, Any] = {
        "meta": meta,
        "record": record,
        "subtitle": _subtitle(presenter, record),
        "crumbs": _crumbs(entity, record),
        "sections": _shown_sections(presenter, record, fields),
        "system": [(f.label, presenter.value(f, record)) for f in fields if f.name in {"created_at", "updated_at"}],
        "actions": _actions_for(entity, record),
        "tab": tab,
        "tabs": list(tabs.values()),
        "panel_shown": show_panel(panel, {"record": record}) if panel is not None else "",
        "parts": [] if tab and entity is not Customer else _related(entity, record, listed=False),
        "related": _related(entity, record, listed=True, only=tab) if tab and panel is None else [],
        "may": lambda action: actor.may(meta.permission(action)),
        "stages": stages_of(reader().session, name, _pipeline_of(record)) if meta.staged else [],
        "today": reader().today(),
        "workflows": workflows.of_record(reader(), record),
    }
    if not tab and _has_interactions(entity):
        facts["talk"] = _talk_about(entity, record)
    if entity is Customer:
        facts |= {
            "summaries": _summaries(record_id),
            "tasks": reader().all(Task, Task.customer_id == record_id, Task.done_at.is_(None),
                                  Task.archived_at.is_(None), order=Task.due_on, limit=20),
        }  # fmt: skip
        if not tab:
            facts |= {"items": _timeline_facts(record_id), "interaction_types": _loggable(), "logged": {}, "log_errors": {}, "kept": [], "about": None,  # noqa: E501
                      "may_log": actor.may("interaction.create") and record.archived_at is None}  # fmt: skip
    return render_template("pages/record.html", **facts)


@needs("")
def file(name: str, record_id: UUID, field_name: str) -> Response:
    """A file that a record holds, for whoever may read the record."""
    record = reader().get(entity_or_404(name), record_id)
    return send_stored(file_of(reader().session, record, field_name))


def _loggable() -> list[Any]:
    """What people note by hand: what goes through a channel comes in by itself, and e-mail does."""
    site = current_site()
    by_themselves = {"email", *(channel.kind or channel.name for channel in site.channels)}
    return [kind for kind in site.interaction_types if kind.name not in by_themselves]


def _tabs(entity: type[Entity], record: Any) -> tuple[dict[str, dict[str, Any]], Panel | None]:
    """The tabs of a record: its own page, what refers to it by kind, and what plugins bring. Only the open one is read."""  # noqa: E501
    text, base = g.texts.gettext, f"/{entity.meta.name}/{record.id}"
    titles = {"": text("Overview")}
    titles |= {other.meta.name: text(meta_of(other).plural) for other, _ in _references(entity, listed=True)}
    panels = {panel.template: panel for panel in panels_of(f"{entity.meta.name}.tab")}
    titles |= {key: text(panel.title) for key, panel in panels.items()}
    asked = request.args.get("tab", "")
    tab = asked if asked in titles else ""
    tabs = {key: {"title": title, "url": f"{base}?tab={quote(key)}" if key else base, "active": key == tab}
            for key, title in titles.items()}  # fmt: skip
    return tabs, panels.get(tab)


def _subtitle(presenter: Presenter, record: Any) -> Any:
    """Whom it belongs to, under its title."""
    fields = meta_of(presenter.entity).fields
    shown = [
        presenter.value(fields[name], record)
        for name in ("job_title", "organisation_id", "customer_id")
        if name in fields
    ]
    return Markup(" · ").join(each for each in shown if each)


def _crumbs(entity: type[Entity], record: Any) -> list[tuple[str, str]]:
    """The way back: to the list, or for a part of another record to that record."""
    if entity.meta.listed:
        return [(g.texts.gettext(meta_of(entity).plural), f"/{entity.meta.name}")]
    for parent in meta_of(entity).parents:
        target, parent_id = entity_class(parent.target or ""), getattr(record, parent.name)
        title = reader().titles(target, [parent_id]).get(parent_id, "") if parent_id else ""
        return [(title or g.texts.gettext(meta_of(target).title), f"/{target.meta.name}/{parent_id}")]
    return [(g.texts.gettext(meta_of(entity).plural), f"/{entity.meta.name}")]


def _currencies(entity: type[Entity]) -> set[str]:
    return {f.currency for f in meta_of(entity).fields.values() if f.currency}


def _shown_sections(
    presenter: Presenter, record: Any, fields: Sequence[Field]
) -> list[tuple[str, list[tuple[str, Any]]]]:
    groups: dict[str, list[tuple[str, Any]]] = {}
    for field in fields:
        if field.hidden or field.name in {"created_at", "updated_at", "archived_at", "name"}:
            continue
        shown = presenter.value(field, record)
        if shown == "":
            continue  # nothing to read; the form offers it
        groups.setdefault(field.section, []).append((g.texts.gettext(field.label), shown))
    return list(groups.items())


def _pipeline_of(record: Any) -> UUID | None:
    return reader().session.scalar(select(Stage.pipeline_id).where(Stage.id == record.stage_id))


def _summaries(customer_id: UUID) -> list[Any]:
    site = current_site()
    return site.hooks.gather(hookspecs.summarize_customers, customer_ids=[customer_id], reader=reader())


ASKED_OF_TIMELINE = ("kind", "channel", "direction", "words")


def _timeline_facts(customer_id: UUID, after: str = "", asked: Mapping[str, str] | None = None) -> dict[str, Any]:
    wanted = {name: value for name in ASKED_OF_TIMELINE if (value := (asked or {}).get(name, ""))}
    page = timeline(reader(), customer_id, limit=20, after=after, **wanted)
    more = f"/customer/{customer_id}/timeline?{urlencode({'after': page.next, **wanted})}" if page.next else ""
    return {
        **_shown_moments(page.items), "more": more, "asked": wanted,
        "channels": [(each.name, g.texts.gettext(each.title)) for each in current_site().channels],
        "kinds": [(each.name, g.texts.gettext(each.title)) for each in current_site().interaction_types],
    }  # fmt: skip


def _shown_moments(items: Sequence[TimelineItem]) -> dict[str, Any]:
    """Moments with the people and the files that belong to them, one query for each kind of these."""
    people = reader().titles(User, [UUID(item.who) for item in items if len(item.who) == 36])
    moments = {item.id: UUID(item.id.partition(":")[2]) for item in items if item.id.startswith("interaction:")}
    attached: dict[UUID, list[Attachment]] = {}
    if moments:
        theirs = Attachment.interaction_id.in_(moments.values())
        for each in reader().all(Attachment, theirs, Attachment.archived_at.is_(None)):
            attached.setdefault(each.interaction_id, []).append(each)
    heads: dict[str, str] = {}
    earlier: dict[str, list[TimelineItem]] = {}
    for item in items:
        if item.thread and (head := heads.setdefault(item.thread, item.id)) != item.id:
            earlier.setdefault(head, []).append(item)
    inside = {each.id for group in earlier.values() for each in group}
    return {
        "items": [item for item in items if item.id not in inside],
        "earlier": earlier,
        "may_answer": current_actor().may("message.create"),
        "attached": {key: attached.get(moment, []) for key, moment in moments.items()},
        "people": {str(key): title for key, title in people.items()},
    }


def _has_interactions(entity: type[Entity]) -> bool:
    """Whether people talk with a customer about such records: those that name one, but for the talk itself."""
    field = meta_of(entity).fields.get("customer_id")
    named = field is not None and field.target == Customer.meta.name and entity.meta.listed
    return (
        named
        and entity not in {Interaction, Task, Message, Suppression}
        and current_actor().may(Interaction.meta.permission("read"))
    )


def _talk_about(entity: type[Entity], record: Any) -> dict[str, Any]:
    """What was said about a record, newest first, and the way to note more."""
    where = (Interaction.about_entity == entity.meta.name, Interaction.about_id == record.id)
    found = reader().all(Interaction, *where, Interaction.archived_at.is_(None),
                         order=(Interaction.at.desc(), Interaction.id.desc()), limit=RELATED_ROWS + 1)  # fmt: skip
    about = urlencode({"about_entity": entity.meta.name, "about_id": record.id})
    shown = urlencode({"filter": f'about_id = "{record.id}"'})
    may = record.customer_id and record.archived_at is None and current_actor().may("interaction.create")
    return {
        **_shown_moments([interaction_item(current_site(), each) for each in found[:RELATED_ROWS]]),
        "all": f"/interaction?{shown}" if len(found) > RELATED_ROWS else "",
        "log": f"/customer/{record.customer_id}/log?{about}" if may else "",
    }


HIDDEN_KINDS = {"user_role", "membership", "token", "participant", "message_file", "consent"}


def _references(entity: type[Entity], *, listed: bool) -> list[tuple[type[Entity], list[Field]]]:
    """The kinds of records that refer to this one, and by which fields."""
    actor, found = current_actor(), []
    for other in current_site().entities:
        if (
            other.meta.listed != listed
            or other.meta.name in HIDDEN_KINDS
            or not actor.may(other.meta.permission("read"))
        ):
            continue
        if entity is Customer and other is Interaction:
            continue  # the timeline has them
        if other.meta.extends == entity.meta.name:
            continue  # shown as fields of the record itself
        fields = [f for f in meta_of(other).references
                  if f.target == entity.meta.name and not f.hidden
                  and f.name not in {"owner_id", "team_id", "stage_id"}]  # fmt: skip
        if fields:
            found.append((other, fields))
    return found


def _related(entity: type[Entity], record: Any, *, listed: bool, only: str = "") -> list[dict[str, Any]]:
    """What refers to this record, by kind: a few of each, and the way to all and to a new one."""
    groups = [
        (_group(entity, record, other, reference, several=len(references) > 1), reference is references[0])
        for other, references in _references(entity, listed=listed)
        if only in {"", other.meta.name}
        for reference in references
    ]
    return [group for group, first in groups if group["rows"] or first]


def _group(
    entity: type[Entity], record: Any, other: type[Entity], reference: Field, *, several: bool
) -> dict[str, Any]:
    meta, actor, base = meta_of(other), current_actor(), f"/{entity.meta.name}/{record.id}"
    fields = [f for f in meta.visible if f.in_list and f.name != reference.name][:5]
    fields = fields or [meta.fields[meta.display]]
    if not meta.listed:  # a relation says with whom
        fields += [f for f in meta.references if f.name != reference.name and f.target == entity.meta.name]
    beside = [meta.fields[f.currency] for f in fields if f.currency]
    page = reader().page(other, limit=RELATED_ROWS, fields=[*fields, meta.fields[meta.display], *beside],
                         where=[column_of(other, reference) == record.id])  # fmt: skip
    title = g.texts.gettext(meta.plural)
    if several and meta.references[0].name != reference.name:
        title += f" ({g.texts.gettext(reference.label)})"
    new = urlencode({reference.name: record.id, "back": base + (f"?tab={meta.name}" if meta.listed else "")})
    return {
        "meta": meta, "title": title, "fields": fields, "rows": page.items, "back": base,
        "presenter": Presenter(other, page.items, fields), "more": page.next_cursor is not None,
        "all": f"/{meta.name}?" + urlencode({"filter": f'{reference.name} = "{record.id}"'}),
        "new": f"/{meta.name}/new?{new}" if actor.may(meta.permission("create")) and not reference.readonly else "",
    }  # fmt: skip


@needs("")
def history(name: str, record_id: UUID) -> str:
    """Who changed what, newest first; for those who may read the record."""
    entity = entity_or_404(name)
    record = reader().get(entity, record_id)
    with current_site().db.read() as connection:  # the record was read within the actor's reach just now
        rows = connection.execute(
            select(change_log)
            .where(change_log.c.entity == name, change_log.c.record_id == record_id)
            .order_by(change_log.c.seq.desc())
            .limit(200)
        ).all()
    pairs = [
        (meta_of(entity).fields[key], pair)
        for row in rows
        for key, pair in row.changes.items()
        if key in meta_of(entity).fields
    ]
    titles = logged_titles(pairs)
    changes = [
        (row, [(meta_of(entity).fields[key], logged_value(meta_of(entity).fields[key], pair[0], titles), logged_value(meta_of(entity).fields[key], pair[1], titles))  # noqa: E501
               for key, pair in row.changes.items() if key in meta_of(entity).fields and not meta_of(entity).fields[key].secret])  # noqa: E501
        for row in rows
    ]  # fmt: skip
    return render_template("pages/history.html", meta=meta_of(entity), record=record, changes=changes)


# Making and changing -------------------------------------------------------------------------------------------------


@needs("")
def new(name: str) -> str | Response | tuple[str, int]:
    """A form for a new record; what the address names is filled in."""
    entity = entity_or_404(name)
    current_actor().require(entity.meta.permission("create"))
    fields = forms.form_fields(meta_of(entity))
    given = {f.name: request.args[f.name] for f in fields if f.name in request.args and f.kind != "file"}
    if request.method == "GET":
        values = {f.name: f.default for f in fields if f.default is not None} | given
        if entity.meta.owned:
            values.setdefault("owner_id", str(current_actor().id or ""))
        return _form(entity, fields, values, {}, None)
    hidden = {key: request.form[key] for key in ("about_entity", "about_id") if request.form.get(key)}
    try:
        values = forms.read_form(meta_of(entity), request.form, fields)
        with current_site().write(current_actor()) as unit:
            record = unit.create(entity, {**{k: v for k, v in values.items() if v is not None}, **hidden})
    except Invalid as error:
        return _form(
            entity, fields, forms.retyped(request.form, fields), forms.errors_by_field(error.problems), None
        ), 422
    toast(g.texts.gettext("“%(name)s” is saved.") % {"name": record})
    return go(after(record))


@needs("")
def edit(name: str, record_id: UUID) -> str | Response | tuple[str, int]:
    """Change a record. Who saved in between is not overwritten: their values are shown beside."""
    entity = entity_or_404(name)
    current_actor().require(entity.meta.permission("update"))
    fields = forms.form_fields(meta_of(entity))
    record: Any = reader().get(entity, record_id)
    if request.method == "GET":
        return _form(entity, fields, forms.typed_values(record, fields), {}, record)
    try:
        values = forms.read_form(meta_of(entity), request.form, fields)
        with current_site().write(current_actor()) as unit:
            saved: Any = unit.get(entity, record_id)
            unit.update(saved, values, version=int(request.form.get("version") or 0))
    except Invalid as error:
        return _form(
            entity, fields, forms.retyped(request.form, fields), forms.errors_by_field(error.problems), record
        ), 422
    except Stale:
        message = g.texts.gettext("Somebody else saved this in the meantime. Check your values and save again.")
        typed = forms.retyped(request.form, fields)
        return _form(entity, fields, typed, {"": [message, *_differences(entity, record, typed, fields)]}, record), 409
    toast(g.texts.gettext("Saved."))
    return go(after(saved))


def _differences(entity: type[Entity], record: Any, typed: Mapping[str, Any], fields: Sequence[Field]) -> list[str]:
    """The fields in which the stored record differs from what was typed, with the stored values."""
    stored = forms.typed_values(record, fields)
    return [
        f"{g.texts.gettext(f.label)}: {stored[f.name] or '—'}"
        for f in fields
        if f.name in typed
        and str(typed[f.name] or "") != str(stored[f.name] or "")
        and f.kind not in {"address", "tags"}
    ]


def _form(
    entity: type[Entity],
    fields: Sequence[Field],
    values: Mapping[str, Any],
    errors: Mapping[str, list[str]],
    record: Any,
) -> str:
    meta = meta_of(entity)
    return render_template(
        "pages/form.html", meta=meta, record=record, sections=forms.sections(fields), values=values, errors=errors,
        texts=forms.reference_texts(fields, values), stages=forms.stage_choices(entity) if meta.staged else [],
        currencies={f.name: forms.currencies_of(record, f) for f in fields if f.kind == "money"},
        kinds=[(k.name, g.texts.gettext(k.title)) for k in current_site().interaction_types] if entity is Interaction else [],  # noqa: E501
        channels=[(c.name, g.texts.gettext(c.title)) for c in current_site().channels],
        with_files=any(f.kind == "file" for f in fields), back=request.values.get("back", ""),
        hidden={key: request.values.get(key, "") for key in ("about_entity", "about_id")},
    )  # fmt: skip


@needs("customer.read")
def duplicates(name: str) -> str:
    """While a customer is typed: who may be the same."""
    values = {key: request.form.get(key, "") for key in ("name", "given_name", "family_name", "email", "phone")}
    from rapport.entities.fields import KINDS

    for key in ("email", "phone"):
        try:
            values[key] = KINDS[key].load(values[key], meta_of(Customer).fields[key]) if values[key] else ""
        except ValueError:
            values[key] = ""
    return render_template(
        "pages/_duplicates.html", matches=find_duplicates(reader(), values) if name == "customer" else []
    )


# Doing ---------------------------------------------------------------------------------------------------------------


def _actions_for(entity: type[Entity], record: Any) -> list[Action]:
    site, actor, found = current_site(), current_actor(), []
    for action in site.actions:
        if action.entity == entity.meta.name and actor.may(action.needs):
            owner = site.actions.owner(f"{action.entity}:{action.name}")
            if site.hooks.shielded(owner, f"action {action.name}", lambda a=action: bool(a.applies(record)), False):  # type: ignore[misc]
                found.append(action)
    return found


@needs("")
def act(name: str, record_id: UUID, action_name: str) -> str | Response | tuple[str, int]:
    """Do what a plugin's button says; if it asks for something first, in a dialog."""
    entity = entity_or_404(name)
    record = reader().get(entity, record_id)
    action = next((a for a in _actions_for(entity, record) if a.name == action_name), None)
    if action is None:
        abort(404)
    if request.method == "GET":
        return _action_form(entity, record_id, action, {f.name: f.default for f in action.fields}, {})
    try:
        values = forms.read_form(meta_of(entity), request.form, action.fields)
        with current_site().write(current_actor()) as unit:
            result = action.run(unit, unit.hold(entity, [record_id]), values)
    except Invalid as error:
        errors = forms.errors_by_field(error.problems)
        if not action.fields and not is_htmx():
            toast(" ".join(text for texts in errors.values() for text in texts), "danger")
            return redirect(f"/{name}/{record_id}")
        return _action_form(entity, record_id, action, forms.retyped(request.form, action.fields), errors), 422
    message, target = (result.message, result.record) if isinstance(result, ActionResult) else (result, None)
    toast(message)
    return go(f"/{target.meta.name}/{target.id}" if target is not None else f"/{name}/{record_id}")


def _action_form(
    entity: type[Entity], record_id: UUID, action: Action, values: Mapping[str, Any], errors: Mapping[str, list[str]]
) -> str:
    labels = {f.name: f.label for f in meta_of(entity).fields.values()}
    known = {f.name for f in action.fields}
    loose = [f"{g.texts.gettext(labels.get(key, ''))} {text}".strip() for key, texts in errors.items()
             if key not in known for text in texts]  # fmt: skip
    return render_template("pages/_action.html", meta=meta_of(entity), record_id=record_id, action=action,
                           values=values, errors=errors, loose=loose,
                           texts=forms.reference_texts(action.fields, values))  # fmt: skip


@needs("")
def archive(name: str, record_id: UUID) -> Response:
    """Take a record out of the lists."""
    entity = entity_or_404(name)
    with current_site().write(current_actor()) as unit:
        [record] = unit.hold(entity, [record_id])
        unit.archive(record)
    toast(g.texts.gettext("“%(name)s” is archived.") % {"name": record})
    return go(f"/{name}/{record_id}")


@needs("")
def restore(name: str, record_id: UUID) -> Response:
    """Bring a record back into the lists."""
    entity = entity_or_404(name)
    with current_site().write(current_actor()) as unit:
        [record] = unit.hold(entity, [record_id])
        unit.restore(record)
    toast(g.texts.gettext("“%(name)s” is back.") % {"name": record})
    return go(f"/{name}/{record_id}")


@needs("")
def delete(name: str, record_id: UUID) -> Response:
    """Remove a record that is part of another, such as a contact point."""
    entity = entity_or_404(name)
    with current_site().write(current_actor()) as unit:
        record: Any = unit.get(entity, record_id)
        target = after(record) if not entity.meta.listed else f"/{name}"
        unit.delete(record)
    toast(g.texts.gettext("“%(name)s” is deleted.") % {"name": record})
    return go(target)


@needs("")
def undo_batch(batch: UUID) -> Response:
    """Take back a bulk change, an import or a merge: one's own, or anybody's for administrators."""
    actor, site = current_actor(), current_site()
    with site.db.read() as connection:
        author = connection.execute(
            select(change_log.c.actor_id).where(change_log.c.batch_id == batch).limit(1)
        ).one_or_none()
    if author is None or (author.actor_id != actor.id and not actor.is_admin):
        abort(404)
    with site.write(actor) as unit:
        kept = undo(unit, batch)
    text = g.texts.gettext("It is undone.")
    if kept:
        text += " " + g.texts.ngettext("%(num)s thing was changed since and stays.", "%(num)s things were changed since and stay.",  # noqa: E501
                                       len(kept))  # fmt: skip
    toast(text, "warning" if kept else "success")
    return go(came_from("/"))


def files_of_customer(reader: Reader, record: Customer) -> dict[str, Any]:
    """The newest files of a customer, whichever interaction they came with."""
    theirs = select(Interaction.id).where(Interaction.customer_id == record.id, Interaction.archived_at.is_(None))
    found = reader.all(Attachment, Attachment.interaction_id.in_(theirs), Attachment.archived_at.is_(None),
                       order=Attachment.id.desc(), limit=RELATED_ROWS)  # fmt: skip
    sizes = {
        key: formats().size(stored.size)
        for key, stored in find_files(reader.session, [each.file for each in found]).items()
    }
    return {"attachments": found, "sizes": sizes}


# Customers -----------------------------------------------------------------------------------------------------------


@needs("interaction.read")
def more_timeline(record_id: UUID) -> str:
    """Older moments, or only those of one kind."""
    reader().get(Customer, record_id)
    after = request.args.get("after", "")
    facts = _timeline_facts(record_id, after, request.args)
    template = "pages/_timeline_items.html" if after else "pages/_timeline.html"
    return render_template(template, **facts, record_id=record_id)


@needs("interaction.create")
def log_interaction(record_id: UUID) -> str | Response | tuple[str, int]:
    """Note a call, a meeting or a thought about a customer, and, if wanted, the next step."""
    if request.method == "GET":
        return render_template(
            "pages/_log_dialog.html", record=reader().get(Customer, record_id), logged={}, log_errors={}, kept=[],
            interaction_types=_loggable(), about=_about(record_id),
        )  # fmt: skip
    form, kinds = request.form, current_site().interaction_types
    kind = kinds.get(form.get("kind", "note"))
    files = form.getlist("kept")[:MAX_FILES]
    try:
        reader().get(Customer, record_id)
        about = _about(record_id)
        for sent in request.files.getlist("files")[: MAX_FILES - len(files)]:
            if sent.filename:
                files.append(str(store(current_site(), sent.stream, sent.filename, current_actor()).id))
        due = forms.read_form(meta_of(Task), form, [meta_of(Task).fields["due_on"]]).get("due_on")
        if due and not form.get("next_step", "").strip():
            raise Invalid(Problem("next_step", g.texts.gettext("What is to be done by then?")))
        with current_site().write(current_actor()) as unit:
            unit.get(Customer, record_id)
            made = unit.create(Interaction, {
                "customer_id": str(record_id), "kind": form.get("kind", "note"), "subject": form.get("subject", ""),
                "direction": form.get("direction", "") if kind is not None and kind.directed else "",
                "about_entity": about.meta.name if about else "", "about_id": str(about.id) if about else None,
                "body": form.get("body", ""), "outcome": form.get("outcome", ""), "minutes": form.get("minutes") or None,  # noqa: E501
            })  # fmt: skip
            for file_id in files:
                unit.create(Attachment, {"interaction_id": str(made.id), "file": file_id})
            if form.get("next_step", "").strip():
                unit.create(Task, {"title": form["next_step"], "customer_id": str(record_id), "due_on": due})
    except Invalid as error:
        template = "pages/_log.html" if is_htmx() else "pages/log.html"  # without scripts, a page
        return render_template(
            template, record=reader().get(Customer, record_id), logged=form, interaction_types=_loggable(),
            kept=came_along(files), about=_about(record_id), log_errors=forms.errors_by_field(error.problems),
        ), 422  # fmt: skip
    toast(g.texts.gettext("It is on the timeline."))
    return go(f"/{about.meta.name}/{about.id}" if about else f"/customer/{record_id}")


def _about(customer_id: UUID) -> Any:
    """The record of this customer that an interaction is about, such as an opportunity, when the request names one."""
    name, record_id = request.values.get("about_entity", ""), request.values.get("about_id", "")
    if not name or not record_id:
        return None
    try:
        record = reader().get(entity_or_404(name), UUID(record_id))
    except ValueError:
        abort(404)
    if getattr(record, "customer_id", None) != customer_id:
        abort(404)
    return record


def came_along(ids: Sequence[str]) -> list[StoredFile]:
    """The files that came with a form, to be shown again beside its errors: nobody sends a file twice."""
    known = []
    for each in ids:
        with contextlib.suppress(ValueError):
            known.append(UUID(each))
    with current_site().db.read() as connection:  # the page's own reader began before they came
        return list(find_files(connection, known, by=current_actor()).values())


@needs("task.update")
def task_done(record_id: UUID) -> Response:
    """Tick a task off, or open it again."""
    with current_site().write(current_actor()) as unit:
        task = unit.get(Task, record_id)
        unit.update(task, {"done_at": None if task.done_at else utcnow()})
    toast(g.texts.gettext("Done.") if task.done_at else g.texts.gettext("The task is open again."))
    return go(own_path(request.form.get("back", ""), "/"))


@needs("customer.delete")
def erase_page(record_id: UUID) -> str | Response | tuple[str, int]:
    """Ask for the name before a customer is forgotten for good."""
    customer = reader().get(Customer, record_id)
    if request.method == "GET":
        return render_template("pages/_erase.html", customer=customer, errors=[])
    if request.form.get("name", "").strip() != str(customer).strip():
        errors = [g.texts.gettext("That is not the name.")]
        return render_template("pages/_erase.html", customer=customer, errors=errors), 422
    erase(current_site(), current_actor(), record_id)
    toast(g.texts.gettext("Nothing is known of this person any more."))
    return go("/customer")


@needs("customer.export")
def personal_data(record_id: UUID) -> Response:
    """Everything held on a customer, to be handed to them."""
    return download_person(current_site(), current_actor(), record_id)


@needs("customer.update")
def merge_page(record_id: UUID) -> str | Response:
    """Choose the customer that is really the same, look at both, and make them one."""
    customer = reader().get(Customer, record_id)
    if request.method == "POST":
        try:
            other_id = UUID(request.form["other"])
        except ValueError:
            abort(404)
        batch = merge(current_site(), current_actor(), record_id, [other_id])
        toast(g.texts.gettext("They are one customer now."), undo=f"/undo/{batch}")
        return go(f"/customer/{record_id}")
    other = None
    if chosen := request.args.get("other"):
        try:
            other = reader().get(Customer, UUID(chosen))
        except ValueError:
            abort(404)
    suggestions = find_duplicates(
        reader(), {"name": customer.name, "email": customer.email, "phone": customer.phone}, exclude=record_id
    )
    fields = [f for f in meta_of(Customer).visible if f.name not in SYSTEM | {"archived_at"}]
    pairs = []
    if other is not None:
        presenter = Presenter(Customer, [customer, other], fields)
        for field in fields:
            mine, theirs = presenter.value(field, customer), presenter.value(field, other)
            if mine or theirs:
                pairs.append((g.texts.gettext(field.label), mine, theirs))
    return render_template("pages/merge.html", customer=customer, other=other, suggestions=suggestions, pairs=pairs)
