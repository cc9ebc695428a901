"""A record's page: its facts, what plugins add, its timeline; the forms to make and change it; what can be done with it."""  # noqa: E501

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

from flask import Blueprint, abort, g, redirect, render_template, request
from markupsafe import Markup
from sqlalchemy import select
from werkzeug.wrappers import Response

from rapport import hookspecs
from rapport.access import User
from rapport.builtin.web import forms
from rapport.builtin.web.context import formats, go, is_htmx, panels_of, reader, show_panel, toast
from rapport.builtin.web.lists import entity_or_404
from rapport.builtin.web.present import Presenter
from rapport.contributions import Action, ActionResult, Panel
from rapport.customers import Customer
from rapport.customers.matching import find_duplicates
from rapport.customers.service import merge, timeline
from rapport.entities import Entity, Field, entity_class, utcnow
from rapport.errors import Invalid, Problem, Stale
from rapport.http import current_actor, current_site, needs
from rapport.interactions import Interaction, Task
from rapport.records.log import change_log
from rapport.records.unit import undo
from rapport.workflows import Stage
from rapport.workflows.moves import stages_of

RELATED_ROWS = 10
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
    web.add_url_rule("/<name>/<uuid:record_id>/do/<action_name>", view_func=act, methods=["GET", "POST"])
    web.add_url_rule("/customer/<uuid:record_id>/timeline", view_func=more_timeline, methods=["GET"])
    web.add_url_rule("/customer/<uuid:record_id>/log", view_func=log_interaction, methods=["POST"])
    web.add_url_rule("/customer/<uuid:record_id>/merge", view_func=merge_page, methods=["GET", "POST"])
    web.add_url_rule("/task/<uuid:record_id>/done", view_func=task_done, methods=["POST"])
    web.add_url_rule("/undo/<uuid:batch>", view_func=undo_batch, methods=["POST"])


# Looking -------------------------------------------------------------------------------------------------------------


@needs("")
def record_page(name: str, record_id: UUID) -> str:
    """Everything about a record on one page."""
    entity = entity_or_404(name)
    actor, meta = current_actor(), entity.meta
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
    }
    if entity is Customer:
        facts |= {
            "summaries": _summaries(record_id),
            "tasks": reader().all(Task, Task.customer_id == record_id, Task.done_at.is_(None),
                                  Task.archived_at.is_(None), order=Task.due_on, limit=20),
        }  # fmt: skip
        if not tab:
            facts |= {"items": _timeline_facts(record_id), "interaction_types": _loggable(), "logged": {}, "log_errors": {},  # noqa: E501
                      "may_log": actor.may("interaction.create") and record.archived_at is None}  # fmt: skip
    return render_template("pages/record.html", **facts)


def _loggable() -> list[Any]:
    """What people note by hand; e-mail comes in by itself."""
    return [kind for kind in current_site().interaction_types if kind.name != "email"]


def _tabs(entity: type[Entity], record: Any) -> tuple[dict[str, dict[str, Any]], Panel | None]:
    """The tabs of a record: its own page, what refers to it by kind, and what plugins bring. Only the open one is read."""  # noqa: E501
    text, base = g.texts.gettext, f"/{entity.meta.name}/{record.id}"
    titles = {"": text("Overview")}
    titles |= {other.meta.name: text(other.meta.plural) for other, _ in _references(entity, listed=True)}
    panels = {panel.template: panel for panel in panels_of(f"{entity.meta.name}.tab")}
    titles |= {key: text(panel.title) for key, panel in panels.items()}
    asked = request.args.get("tab", "")
    tab = asked if asked in titles else ""
    tabs = {key: {"title": title, "url": f"{base}?tab={quote(key)}" if key else base, "active": key == tab}
            for key, title in titles.items()}  # fmt: skip
    return tabs, panels.get(tab)


def _subtitle(presenter: Presenter, record: Any) -> Any:
    """Whom it belongs to, under its title."""
    fields = presenter.entity.meta.fields
    shown = [
        presenter.value(fields[name], record)
        for name in ("job_title", "organisation_id", "customer_id")
        if name in fields
    ]
    return Markup(" · ").join(each for each in shown if each)


def _crumbs(entity: type[Entity], record: Any) -> list[tuple[str, str]]:
    """The way back: to the list, or for a part of another record to that record."""
    if entity.meta.listed:
        return [(g.texts.gettext(entity.meta.plural), f"/{entity.meta.name}")]
    for parent in entity.meta.parents:
        target, parent_id = entity_class(parent.target or ""), getattr(record, parent.name)
        title = reader().titles(target, [parent_id]).get(parent_id, "") if parent_id else ""
        return [(title or g.texts.gettext(target.meta.title), f"/{target.meta.name}/{parent_id}")]
    return [(g.texts.gettext(entity.meta.plural), f"/{entity.meta.name}")]


def _currencies(entity: type[Entity]) -> set[str]:
    return {f.currency for f in entity.meta.fields.values() if f.currency}


def _shown_sections(
    presenter: Presenter, record: Any, fields: Sequence[Field]
) -> list[tuple[str, list[tuple[str, Any]]]]:
    groups: dict[str, list[tuple[str, Any]]] = {}
    for field in fields:
        if field.name in {"created_at", "updated_at", "archived_at", "name"}:
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


def _timeline_facts(customer_id: UUID, before: dt.datetime | None = None, kind: str = "") -> dict[str, Any]:
    items = timeline(reader(), customer_id, limit=20, before=before, kind=kind)
    people = reader().titles(User, [UUID(item.who) for item in items if len(item.who) == 36])
    more = f"/customer/{customer_id}/timeline?before={items[-1].at.isoformat()}&kind={kind}" if len(items) == 20 else ""
    return {"items": items, "people": {str(key): title for key, title in people.items()}, "more": more, "kind": kind}


HIDDEN_KINDS = {"user_role", "membership", "token"}


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
        fields = [f for f in other.meta.references
                  if f.target == entity.meta.name and f.name not in {"owner_id", "team_id", "stage_id"}]  # fmt: skip
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
    meta, actor, base = other.meta, current_actor(), f"/{entity.meta.name}/{record.id}"
    fields = [f for f in meta.visible if f.in_list and f.name != reference.name][:5]
    fields = fields or [meta.fields[meta.display]]
    if not meta.listed:  # a relation says with whom
        fields += [f for f in meta.references if f.name != reference.name and f.target == entity.meta.name]
    beside = [meta.fields[f.currency] for f in fields if f.currency]
    page = reader().page(other, limit=RELATED_ROWS, fields=[*fields, meta.fields[meta.display], *beside],
                         where=[getattr(other, reference.name) == record.id])  # fmt: skip
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
        (entity.meta.fields[key], pair)
        for row in rows
        for key, pair in row.changes.items()
        if key in entity.meta.fields
    ]
    titles = _titles_in(pairs)
    changes = [
        (row, [(entity.meta.fields[key], _shown(entity.meta.fields[key], pair[0], titles), _shown(entity.meta.fields[key], pair[1], titles))  # noqa: E501
               for key, pair in row.changes.items() if key in entity.meta.fields and not entity.meta.fields[key].secret])  # noqa: E501
        for row in rows
    ]  # fmt: skip
    return render_template("pages/history.html", meta=entity.meta, record=record, changes=changes)


def _titles_in(pairs: Sequence[tuple[Field, Sequence[Any]]]) -> dict[str, str]:
    """The titles of the records that changes mention, one query per kind."""
    wanted: dict[str, set[UUID]] = {}
    for field, pair in pairs:
        if field.target:
            wanted.setdefault(field.target, set()).update(UUID(str(value)) for value in pair if value)
    return {str(key): title for target, ids in wanted.items()
            for key, title in reader().titles(entity_class(target), ids).items()}  # fmt: skip


def _shown(field: Field, value: Any, titles: Mapping[str, str]) -> str:
    """A value of the change log, as people read it."""
    if value is None or value in ("", [], {}):
        return ""
    if field.target:
        return titles.get(str(value), g.texts.gettext("not visible to you"))
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


# Making and changing -------------------------------------------------------------------------------------------------


@needs("")
def new(name: str) -> str | Response | tuple[str, int]:
    """A form for a new record; what the address names is filled in."""
    entity = entity_or_404(name)
    current_actor().require(entity.meta.permission("create"))
    fields = forms.form_fields(entity.meta)
    given = {f.name: request.args[f.name] for f in fields if f.name in request.args}
    if request.method == "GET":
        values = {f.name: f.default for f in fields if f.default is not None} | given
        if entity.meta.owned:
            values.setdefault("owner_id", str(current_actor().id or ""))
        return _form(entity, fields, values, {}, None)
    hidden = {key: request.form[key] for key in ("about_entity", "about_id") if request.form.get(key)}
    try:
        values = forms.read_form(entity.meta, request.form, fields)
        with current_site().write(current_actor()) as unit:
            record = unit.create(entity, {**{k: v for k, v in values.items() if v is not None}, **hidden})
    except Invalid as error:
        return _form(
            entity, fields, forms.retyped(request.form, fields), forms.errors_by_field(error.problems), None
        ), 422
    toast(g.texts.gettext("“%(name)s” is saved.") % {"name": record})
    return go(_after(record))


def _after(record: Any) -> str:
    """Where a saved form leads: back to where it was opened from, else to the record."""
    back = request.values.get("back", "")
    if back.startswith("/") and not back.startswith("//"):
        return back
    if not record.meta.listed:
        for parent in record.meta.parents:
            return f"/{parent.target}/{getattr(record, parent.name)}"
    return f"/{record.meta.name}/{record.id}"


@needs("")
def edit(name: str, record_id: UUID) -> str | Response | tuple[str, int]:
    """Change a record. Who saved in between is not overwritten: their values are shown beside."""
    entity = entity_or_404(name)
    current_actor().require(entity.meta.permission("update"))
    fields = forms.form_fields(entity.meta)
    record: Any = reader().get(entity, record_id)
    if request.method == "GET":
        return _form(entity, fields, forms.typed_values(entity.meta, record, fields), {}, record)
    try:
        values = forms.read_form(entity.meta, request.form, fields)
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
    return go(_after(saved))


def _differences(entity: type[Entity], record: Any, typed: Mapping[str, Any], fields: Sequence[Field]) -> list[str]:
    """The fields in which the stored record differs from what was typed, with the stored values."""
    stored = forms.typed_values(entity.meta, record, fields)
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
    meta = entity.meta
    return render_template(
        "pages/form.html", meta=meta, record=record, sections=forms.sections(fields), values=values, errors=errors,
        texts=forms.reference_texts(fields, values), stages=forms.stage_choices(entity) if meta.staged else [],
        currencies={f.name: forms.currencies_of(record, f) for f in fields if f.kind == "money"},
        kinds=[(k.name, g.texts.gettext(k.title)) for k in current_site().interaction_types] if entity is Interaction else [],  # noqa: E501
        back=request.values.get("back", ""),
        hidden={key: request.values.get(key, "") for key in ("about_entity", "about_id")},
    )  # fmt: skip


@needs("customer.read")
def duplicates(name: str) -> str:
    """While a customer is typed: who may be the same."""
    values = {key: request.form.get(key, "") for key in ("name", "given_name", "family_name", "email", "phone")}
    from rapport.entities.fields import KINDS

    for key in ("email", "phone"):
        try:
            values[key] = KINDS[key].load(values[key], Customer.meta.fields[key]) if values[key] else ""
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
        values = forms.read_form(entity.meta, request.form, action.fields)
        with current_site().write(current_actor()) as unit:
            result = action.run(unit, [unit.get(entity, record_id)], values)
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
    labels = {f.name: f.label for f in entity.meta.fields.values()}
    known = {f.name for f in action.fields}
    loose = [f"{g.texts.gettext(labels.get(key, ''))} {text}".strip() for key, texts in errors.items()
             if key not in known for text in texts]  # fmt: skip
    return render_template("pages/_action.html", meta=entity.meta, record_id=record_id, action=action, values=values,
                           errors=errors, loose=loose, texts=forms.reference_texts(action.fields, values))  # fmt: skip


@needs("")
def archive(name: str, record_id: UUID) -> Response:
    """Take a record out of the lists."""
    entity = entity_or_404(name)
    with current_site().write(current_actor()) as unit:
        record = unit.get(entity, record_id)
        unit.archive(record)
    toast(g.texts.gettext("“%(name)s” is archived.") % {"name": record})
    return go(f"/{name}/{record_id}")


@needs("")
def restore(name: str, record_id: UUID) -> Response:
    """Bring a record back into the lists."""
    entity = entity_or_404(name)
    with current_site().write(current_actor()) as unit:
        record = unit.get(entity, record_id)
        unit.restore(record)
    toast(g.texts.gettext("“%(name)s” is back.") % {"name": record})
    return go(f"/{name}/{record_id}")


@needs("")
def delete(name: str, record_id: UUID) -> Response:
    """Remove a record that is part of another, such as a contact point."""
    entity = entity_or_404(name)
    with current_site().write(current_actor()) as unit:
        record: Any = unit.get(entity, record_id)
        target = _after(record) if not entity.meta.listed else f"/{name}"
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
    came_from = urlsplit(request.headers.get("HX-Current-URL") or request.referrer or "/")
    return go((came_from.path or "/") + (f"?{came_from.query}" if came_from.query else ""))


# Customers -----------------------------------------------------------------------------------------------------------


@needs("interaction.read")
def more_timeline(record_id: UUID) -> str:
    """Older moments, or only those of one kind."""
    reader().get(Customer, record_id)
    before = request.args.get("before", "")
    try:
        moment = dt.datetime.fromisoformat(before) if before else None
    except ValueError:
        moment = None
    facts = _timeline_facts(record_id, moment, request.args.get("kind", ""))
    template = "pages/_timeline_items.html" if before else "pages/_timeline.html"
    return render_template(template, **facts, record_id=record_id,
                           interaction_types=_loggable())  # fmt: skip


@needs("interaction.create")
def log_interaction(record_id: UUID) -> str | Response | tuple[str, int]:
    """Note a call, a meeting or a thought about a customer, and, if wanted, the next step."""
    form, kinds = request.form, current_site().interaction_types
    kind = kinds.get(form.get("kind", "note"))
    try:
        due = forms.read_form(Task.meta, form, [Task.meta.fields["due_on"]]).get("due_on")
        if due and not form.get("next_step", "").strip():
            raise Invalid(Problem("next_step", g.texts.gettext("What is to be done by then?")))
        with current_site().write(current_actor()) as unit:
            unit.get(Customer, record_id)
            unit.create(Interaction, {
                "customer_id": str(record_id), "kind": form.get("kind", "note"), "subject": form.get("subject", ""),
                "direction": form.get("direction", "") if kind is not None and kind.directed else "",
                "body": form.get("body", ""), "outcome": form.get("outcome", ""), "minutes": form.get("minutes") or None,  # noqa: E501
            })  # fmt: skip
            if form.get("next_step", "").strip():
                unit.create(Task, {"title": form["next_step"], "customer_id": str(record_id), "due_on": due})
    except Invalid as error:
        return render_template(
            "pages/_log.html", record=reader().get(Customer, record_id), logged=form, interaction_types=_loggable(),
            log_errors=forms.errors_by_field(error.problems),
        ), 422  # fmt: skip
    toast(g.texts.gettext("It is on the timeline."))
    return go(f"/customer/{record_id}")


@needs("task.update")
def task_done(record_id: UUID) -> Response:
    """Tick a task off, or open it again."""
    with current_site().write(current_actor()) as unit:
        task = unit.get(Task, record_id)
        unit.update(task, {"done_at": None if task.done_at else utcnow()})
    toast(g.texts.gettext("Done.") if task.done_at else g.texts.gettext("The task is open again."))
    back = request.form.get("back", "/")
    return go(back if back.startswith("/") and not back.startswith("//") else "/")


@needs("customer.update")
def merge_page(record_id: UUID) -> str | Response:
    """Choose the customer that is really the same, look at both, and make them one."""
    customer = reader().get(Customer, record_id)
    if request.method == "POST":
        batch = merge(current_site(), current_actor(), record_id, [UUID(request.form["other"])])
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
    fields = [f for f in Customer.meta.visible if f.name not in SYSTEM | {"archived_at"}]
    pairs = []
    if other is not None:
        presenter = Presenter(Customer, [customer, other], fields)
        for field in fields:
            mine, theirs = presenter.value(field, customer), presenter.value(field, other)
            if mine or theirs:
                pairs.append((g.texts.gettext(field.label), mine, theirs))
    return render_template("pages/merge.html", customer=customer, other=other, suggestions=suggestions, pairs=pairs)
