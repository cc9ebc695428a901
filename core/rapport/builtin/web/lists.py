"""Lists: filters, saved views, columns, order, bulk actions, and changing a value in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, abort, g, render_template, request
from werkzeug.wrappers import Response

from rapport.builtin.exchange.download import download
from rapport.builtin.web import forms
from rapport.builtin.web.context import done, go, is_htmx, meta_of, reader, toast
from rapport.builtin.web.present import Presenter
from rapport.builtin.web.views import View
from rapport.contributions import Action, ActionResult
from rapport.entities import Entity, Field
from rapport.errors import Invalid, Problem
from rapport.http import current_actor, current_site, needs
from rapport.i18n.catalogs import N_, _
from rapport.query.filter import And, Filter, parse
from rapport.query.forms import to_text
from rapport.query.paging import Page

PAGE = 50
MAX_BULK = 500
COUNT_SECONDS = 0.05
"""How long a list may count how many it has."""
OPERATORS = {
    "text": ["contains", "=", "starts", "is empty", "is not empty"],
    "number": ["=", ">=", "<=", "is empty", "is not empty"],
    "date": [">=", "<=", "=", "is empty", "is not empty"],
    "choice": ["=", "!="],
    "flag": ["="],
    "tags": ["has", "is empty", "is not empty"],
    "reference": ["=", "is empty", "is not empty"],
}
_OPERATOR_TEXTS = {
    "contains": N_("contains"), "=": N_("is"), "!=": N_("is not"), "starts": N_("starts with"), ">=": N_("at least"),
    "<=": N_("at most"), "has": N_("has"), "is empty": N_("is empty"), "is not empty": N_("is not empty"),
}  # fmt: skip
_FAMILY = {
    "integer": "number", "decimal": "number", "money": "number", "date": "date", "instant": "date", "choice": "choice",
    "flag": "flag", "tags": "tags", "reference": "reference",
}  # fmt: skip


def add_pages(web: Blueprint) -> None:
    """The pages of lists; the names of entities are matched last, after every other page."""
    web.add_url_rule("/<name>", view_func=list_page, methods=["GET"])
    web.add_url_rule("/<name>/export", view_func=export_list, methods=["GET"])
    web.add_url_rule("/<name>/filter", view_func=add_filter, methods=["GET", "POST"])
    web.add_url_rule("/<name>/columns", view_func=choose_columns, methods=["GET", "POST"])
    web.add_url_rule("/<name>/set", view_func=set_many, methods=["GET"])
    web.add_url_rule("/<name>/views", view_func=save_view, methods=["GET", "POST"])
    web.add_url_rule("/<name>/views/<uuid:view_id>/delete", view_func=delete_view, methods=["POST"])
    web.add_url_rule("/<name>/bulk", view_func=bulk, methods=["POST"])
    web.add_url_rule("/<name>/bulk/<action_name>", view_func=ask_for_action, methods=["GET"])
    web.add_url_rule("/<name>/<uuid:record_id>/cell/<field_name>", view_func=cell, methods=["GET", "POST"])


def entity_or_404(name: str) -> type[Entity]:
    """The entity of an address; a name nobody brings, or that the actor may not read, is no page."""
    entity = current_site().entities.get(name)
    if entity is None or not current_actor().may(entity.meta.permission("read")):
        abort(404)
    return entity


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list was asked to show."""

    entity: type[Entity]
    filter: str
    search: str
    sort: str
    columns: tuple[str, ...]
    archived: bool
    view: View | None

    @property
    def unsaved(self) -> bool:
        """Whether the list differs from the saved view, or from the usual list where there is none."""
        kept = self.view
        now = (self.filter, self.search, self.sort, self.columns)
        return now != ((kept.filter, kept.search, kept.sort, tuple(kept.columns)) if kept else ("", "", "", ()))

    def url(self, path: str = "", **changes: str) -> str:
        """The address of this list with something changed; empty values are left out."""
        facts = {
            "view": str(self.view.id) if self.view else "",
            "filter": self.filter,
            "q": self.search,
            "sort": self.sort,
            "columns": ",".join(self.columns),
            "archived": "1" if self.archived else "",
            **changes,
        }
        kept = self.view
        own = {"filter": kept.filter, "q": kept.search, "sort": kept.sort, "columns": kept.columns} if kept else {}
        # An empty value says that what the view has there is taken off.
        query = urlencode({key: value for key, value in facts.items() if value or own.get(key)})
        return f"/{self.entity.meta.name}{path}" + (f"?{query}" if query else "")


def asked(entity: type[Entity]) -> Asked:
    """The list as the address says, on top of the saved view it names."""
    view = None
    if view_id := request.values.get("view", ""):
        try:
            found = reader().all(View, View.id == UUID(view_id), View.entity == entity.meta.name)
        except ValueError:
            found = []
        view = found[0] if found else None
    given = request.values

    def part(name: str, kept: str) -> str:
        return given.get(name, kept if view is not None else "").strip()

    if tag := given.get("tag", ""):
        return Asked(entity, f'tags has "{tag.replace(chr(34), "")}"', "", "", (), False, None)
    names = given.get("columns", ",".join(view.columns) if view else "").split(",")
    known = {f.name for f in meta_of(entity).visible} | _added_columns(entity).keys()
    return Asked(
        entity=entity,
        filter=part("filter", view.filter if view else ""),
        search=part("q", view.search if view else ""),
        sort=part("sort", view.sort if view else ""),
        columns=tuple(name for name in names if name in known),
        archived=given.get("archived") == "1",
        view=view,
    )


def _added_columns(entity: type[Entity]) -> dict[str, Any]:
    """Columns that plugins add to this list, by their name in the address."""
    actor = current_actor()
    return {
        f"+{column.name}": column
        for column in current_site().columns
        if column.entity == entity.meta.name and (column.needs is None or actor.may(column.needs))
    }


def default_sort(entity: type[Entity]) -> str:
    """People by name, work by what is due, the rest newest first."""
    fields = meta_of(entity).fields
    if f"{entity.meta.display}_key" in fields:
        return entity.meta.display
    for name in ("due_on", "close_on", "expected_close_on"):
        if name in fields:
            return name
    return "-id"


@needs("")
def list_page(name: str) -> str | tuple[str, int]:
    """The list, or the further rows of it that a scroll asks for."""
    entity = entity_or_404(name)
    ask = asked(entity)
    meta, errors = meta_of(entity), []
    added = _added_columns(entity)
    shown = ask.columns or (*(f.name for f in meta.listed_fields), *added)
    fields = [meta.fields[each] for each in shown if each in meta.fields] or [meta.fields[meta.display]]
    page = None
    wanted = [*fields, *_beside(entity, fields)]
    try:
        page = reader().page(
            entity, filter=ask.filter, search=ask.search, sort=ask.sort or default_sort(entity), limit=PAGE,
            cursor=request.args.get("cursor"), archived=ask.archived, fields=wanted,
        )  # fmt: skip
    except Invalid as error:
        errors = [g.texts.gettext(problem.message) for problem in error.problems]
    rows = page.items if page else []
    facts = {
        "ask": ask,
        "meta": meta,
        "fields": fields,
        "rows": rows,
        "presenter": Presenter(entity, rows, fields),
        "added": _added_values(entity, [c for key, c in added.items() if key in shown], rows),
        "next_url": ask.url(cursor=page.next_cursor) if page and page.next_cursor else "",
        "editable": _editable(entity),
        "sort": ask.sort or default_sort(entity),
    }
    if is_htmx() and request.args.get("cursor"):
        return render_template("pages/_rows.html", **facts)
    count = exact = None
    if page is not None:
        count, exact = _counted(entity, ask, page)
    facts |= {
        "errors": errors,
        "count": count,
        "exact": exact,
        "chips": _chips(ask),
        "views": _views(entity),
        "ready": [
            {
                "title": g.texts.gettext(each.title),
                "active": ask.view is None and ask.filter == each.filter,
                "url": f"/{meta.name}?" + urlencode({"filter": each.filter}),
            }
            for each in current_site().list_filters
            if each.entity == meta.name and (each.needs is None or current_actor().may(each.needs))
        ],
        "bulk_actions": [a for a in _actions(entity) if a.bulk],
        "may": lambda action: current_actor().may(meta.permission(action)),
    }
    return render_template("pages/list.html", **facts), (422 if errors else 200)


def _counted(entity: type[Entity], ask: Asked, page: Page) -> tuple[int, bool]:
    """How many the list has, and whether that is exact; people wait for the rows, not for the number above them."""
    shown = len(page.items)
    if page.next_cursor is None and not request.args.get("cursor"):
        return shown, True
    conditions = reader().conditions(entity, filter=ask.filter, search=ask.search, archived=ask.archived)
    count, exact = reader().count(entity, *conditions, seconds=COUNT_SECONDS)
    return max(count, shown), exact


@needs("")
def export_list(name: str) -> Response:
    """The list as it is shown, all its rows, as a file for a spreadsheet."""
    entity = entity_or_404(name)
    ask = asked(entity)
    shown = [each for each in ask.columns if each in meta_of(entity).fields] if ask.columns else None
    return download(
        reader(), entity, request.args.get("format", "xlsx"), filter=ask.filter, search=ask.search,
        sort=ask.sort or default_sort(entity), archived=ask.archived, fields=shown, for_people=True,
    )  # fmt: skip


def _beside(entity: type[Entity], fields: Sequence[Field]) -> list[Field]:
    """Fields a list needs though it does not show them: the title, and the currency of an amount."""
    names = {f.name for f in fields}
    needed = [entity.meta.display, *(f.currency for f in fields if f.currency)]
    return [meta_of(entity).fields[each] for each in dict.fromkeys(needed) if each not in names]


def _added_values(
    entity: type[Entity], columns: Sequence[Any], rows: Sequence[Any]
) -> list[tuple[Any, dict[UUID, Any]]]:
    site, ids = current_site(), [row.id for row in rows]
    found = []
    for column in columns:
        owner = site.columns.owner(f"{column.entity}:{column.name}")

        def values_of(column: Any = column) -> dict[UUID, Any] | None:
            return dict(column.values(reader(), ids))

        values = site.hooks.shielded(owner, f"column {column.name}", values_of, None)
        if values is None:
            reader().recover()
        found.append((column, values or {}))
    return found


def _editable(entity: type[Entity]) -> set[str]:
    if not current_actor().may(entity.meta.permission("update")):
        return set()
    return {f.name for f in forms.form_fields(meta_of(entity)) if f.kind not in {"address", "longtext", "json", "file"}
            and f.name != entity.meta.display}  # fmt: skip


def _chips(ask: Asked) -> list[tuple[str, str]]:
    """The conditions that are on, each with the address of the list without it."""
    try:
        tree = parse(ask.filter) if ask.filter else None
    except Invalid:
        return [(ask.filter, ask.url(filter=""))]
    if tree is None:
        return []
    parts: Sequence[Filter] = tree.parts if isinstance(tree, And) else (tree,)
    chips = []
    for part in parts:
        rest = [to_text(other) for other in parts if other is not part]
        chips.append((_readable(ask.entity, part), ask.url(filter=" and ".join(rest))))
    return chips


def _readable(entity: type[Entity], part: Filter) -> str:
    """A condition as people read it: the field's label instead of its name, a record's title instead of its id."""
    text = to_text(part)
    path = getattr(part, "path", ())
    if len(path) != 1 or path[0] not in meta_of(entity).fields:  # type: ignore[misc]
        return text
    field = meta_of(entity).fields[path[0]]  # type: ignore[misc]
    for operator in sorted(_OPERATOR_TEXTS, key=len, reverse=True):
        start = f"{path[0]} {operator}"  # type: ignore[misc]
        if text.startswith(start):
            text = f"{path[0]} {g.texts.gettext(_OPERATOR_TEXTS[operator])}{text[len(start) :]}"  # type: ignore[misc]
            break
    text = text.replace(path[0], g.texts.gettext(field.label), 1)  # type: ignore[misc]
    if field.target:
        for value in getattr(part, "values", ()):
            try:
                record_id = UUID(str(value))
            except ValueError:
                continue
            title = forms.reference_texts([field], {field.name: record_id}).get(field.name, "")
            text = text.replace(f'"{value}"', title or "?")
    for choice in field.choices:
        text = text.replace(f'"{choice.value}"', g.texts.gettext(choice.label))
    return text


def _views(entity: type[Entity]) -> list[View]:
    actor = current_actor()
    mine = (View.owner_id == actor.id) | View.shared
    return reader().all(
        View, View.entity == entity.meta.name, mine, View.archived_at.is_(None), order=View.name, limit=30
    )


# Changing what is shown ----------------------------------------------------------------------------------------------


@needs("")
def add_filter(name: str) -> str | Response | tuple[str, int]:
    """Build one more condition without knowing the language; or write the whole filter by hand."""
    entity = entity_or_404(name)
    ask = asked(entity)
    fields = [f for f in meta_of(entity).visible if f.kind not in {"json", "address", "id", "file"}]
    chosen = next((f for f in fields if f.name == request.values.get("field")), None)
    facts = {
        "ask": ask,
        "chosen": chosen,
        "field_choices": [(f.name, g.texts.gettext(f.label)) for f in fields],
        "operators": [(each, g.texts.gettext(_OPERATOR_TEXTS[each])) for each in _operators(chosen)],
        "stages": forms.stage_choices(entity) if chosen is not None and chosen.target == "stage" else [],
    }
    if request.method == "GET":
        return render_template("pages/_filter.html", errors=[], typed={}, **facts)
    try:
        text = request.form.get("written", "").strip() if chosen is None else _condition(chosen)
        joined = text if chosen is None or not ask.filter else f"({ask.filter}) and {text}"
        if joined:
            reader().conditions(entity, filter=joined)
            joined = _flat(joined)
    except (Invalid, ValueError) as error:
        problems = error.problems if isinstance(error, Invalid) else [Problem(None, str(error))]
        errors = [g.texts.gettext(each.message) for each in problems]
        return render_template("pages/_filter.html", errors=errors, typed=request.form, **facts), 422
    return go(ask.url(filter=joined))


def _operators(field: Field | None) -> list[str]:
    return OPERATORS[_FAMILY.get(field.kind, "text")] if field is not None else []


def _flat(text: str) -> str:
    """`(a and b) and c` as `a and b and c`, so that each condition can be taken off by itself."""
    tree = parse(text)
    parts: list[Filter] = []
    for part in tree.parts if isinstance(tree, And) else (tree,):
        parts += part.parts if isinstance(part, And) else (part,)
    return to_text(And(tuple(parts)) if len(parts) > 1 else parts[0])


def _condition(field: Field) -> str:
    operator = request.form.get("operator", "")
    if operator not in _operators(field):
        raise ValueError(g.texts.gettext("Choose how to compare."))
    if operator.endswith("empty"):
        return f"{field.name} {operator}"
    typed = request.form.get("value", "").strip()
    if not typed:
        raise ValueError(g.texts.gettext("Give a value."))
    if field.target and typed == "me":
        return f"{field.name} = me"
    value = forms.read_form(current_site().meta_named(request.view_args["name"]),  # type: ignore[index]
                            _as_form(field, typed), [field]).get(field.name)  # fmt: skip
    if field.kind in {"integer", "decimal", "money"}:
        return f"{field.name} {operator} {value}"
    if field.kind == "flag":
        return f"{field.name} = {'true' if value else 'false'}"
    text = str(field.dump(value) if not isinstance(value, str) else value).replace('"', '""')
    return f'{field.name} {operator} "{text}"'


def _as_form(field: Field, typed: str) -> Any:
    from werkzeug.datastructures import MultiDict

    return MultiDict({field.name: typed})


@needs("")
def choose_columns(name: str) -> str | Response:
    """Which columns, in which order."""
    entity = entity_or_404(name)
    ask = asked(entity)
    added = _added_columns(entity)
    every = [
        (f.name, g.texts.gettext(f.label))
        for f in meta_of(entity).visible
        if f.kind not in {"json", "id"} and f.name not in {"id", "version"}
    ]
    every += [(key, g.texts.gettext(column.title)) for key, column in added.items()]
    if request.method == "POST":
        chosen = [each for each in request.form.getlist("column") if each in {key for key, _title in every}]
        return go(ask.url(columns=",".join(chosen)))
    shown = ask.columns or (*(f.name for f in meta_of(entity).listed_fields), *added)
    ordered = sorted(every, key=lambda pair: shown.index(pair[0]) if pair[0] in shown else 1000)
    return render_template("pages/_columns.html", ask=ask, meta=meta_of(entity), every=ordered, shown=shown)


@needs("view.create")
def save_view(name: str) -> str | Response | tuple[str, int]:
    """Keep the list as it is now: under a new name, or in the view it started from."""
    entity, actor = entity_or_404(name), current_actor()
    ask = asked(entity)
    mine = ask.view is not None and ask.view.owner_id == actor.id
    may_share = actor.reach("view.update") == "all"
    facts = {"ask": ask, "meta": meta_of(entity), "mine": mine, "may_share": may_share}
    if request.method == "GET":
        return render_template("pages/_save_view.html", typed={}, errors={}, **facts)
    values = {
        "name": request.form.get("name", ""), "filter": ask.filter, "search": ask.search, "sort": ask.sort,
        "columns": list(ask.columns), "shared": may_share and request.form.get("shared") == "true",
    }  # fmt: skip
    try:
        with current_site().write(actor) as unit:
            if mine and ask.view is not None and request.form.get("replace") == "true":
                view = unit.update(unit.get(View, ask.view.id), values)
            else:
                view = unit.create(View, {**values, "entity": name})
    except Invalid as error:
        errors = forms.errors_by_field(error.problems)
        return render_template("pages/_save_view.html", typed=request.form, errors=errors, **facts), 422
    toast(g.texts.gettext("The view is saved."))
    return go(f"/{name}?view={view.id}")


@needs("view.delete")
def delete_view(name: str, view_id: UUID) -> Response:
    """Forget a saved view."""
    with current_site().write(current_actor()) as unit:
        unit.delete(unit.get(View, view_id))
    toast(g.texts.gettext("The view is gone."))
    return go(f"/{name}")


# Changing records ----------------------------------------------------------------------------------------------------


def _actions(entity: type[Entity]) -> list[Action]:
    actor = current_actor()
    return [a for a in current_site().actions if a.entity == entity.meta.name and actor.may(a.needs)]


@needs("")
def set_many(name: str) -> str:
    """Choose a field and its value for all chosen rows."""
    entity = entity_or_404(name)
    current_actor().require(entity.meta.permission("update"))
    fields = [meta_of(entity).fields[each] for each in meta_of(entity).fields if each in _editable(entity)]
    chosen = next((f for f in fields if f.name == request.args.get("field")), None)
    return _set_form(entity, chosen, [])


def _set_form(entity: type[Entity], chosen: Field | None, errors: Sequence[str]) -> str:
    choices = [
        (f.name, g.texts.gettext(f.label)) for f in meta_of(entity).fields.values() if f.name in _editable(entity)
    ]
    stages = forms.stage_choices(entity) if chosen is not None and chosen.target == "stage" else []
    return render_template("pages/_set.html", meta=meta_of(entity), chosen=chosen, field_choices=choices, stages=stages,
                           typed=request.form, errors=errors)  # fmt: skip


@needs("")
def ask_for_action(name: str, action_name: str) -> str:
    """What an action asks for before it is done with all chosen rows."""
    entity = entity_or_404(name)
    return _action_form(entity, _bulk_action(entity, action_name), {})


def _bulk_action(entity: type[Entity], name: str) -> Action:
    action = next((a for a in _actions(entity) if a.name == name and a.bulk), None)
    if action is None:
        abort(404)
    return action


def _action_form(entity: type[Entity], action: Action, errors: Mapping[str, list[str]]) -> str:
    typed = forms.retyped(request.form, action.fields)
    values = {f.name: f.default for f in action.fields} | typed
    known = {f.name for f in action.fields}
    loose = [text for key, texts in errors.items() if key not in known for text in texts]
    return render_template("pages/_bulk_action.html", meta=meta_of(entity), action=action, values=values, errors=errors,
                           loose=loose, texts=forms.reference_texts(action.fields, values))  # fmt: skip


@needs("")
def bulk(name: str) -> Response | str | tuple[str, int]:
    """Do one thing with the chosen rows, all of it or nothing; it can be undone from the audit."""
    from rapport.entities import uuid7

    entity = entity_or_404(name)
    site, actor = current_site(), current_actor()
    ids = list(dict.fromkeys(request.form.getlist("ids")))
    if not ids or len(ids) > MAX_BULK:
        raise Invalid(Problem(None, _("Choose between 1 and %(most)s rows.", most=MAX_BULK)))
    what = request.form.get("do", "")
    if what == "merge" and name == "customer":
        if len(ids) != 2:
            raise Invalid(Problem(None, _("Choose the two customers that are the same.")))
        return go(f"/customer/{UUID(ids[0])}/merge?other={UUID(ids[1])}")
    batch = uuid7()
    try:
        with site.write(actor, batch=batch) as unit:
            records = unit.hold(entity, [UUID(each) for each in ids])
            message = _do(unit, entity, what, records)
    except Invalid as error:
        field = meta_of(entity).fields.get(request.form.get("field", ""))
        if what == "set" and field is not None:
            return _set_form(entity, field, [g.texts.gettext(each.message) for each in error.problems]), 422
        if what not in {"set", "archive"} and is_htmx():
            return _action_form(entity, _bulk_action(entity, what), forms.errors_by_field(error.problems)), 422
        toast(" ".join(f"{g.texts.gettext(p.message)}" for p in error.problems), "danger")
        return go(_list_url(name))
    toast(message, undo=f"/undo/{batch}")
    return go(_list_url(name))


def _list_url(name: str) -> str:
    """The list as it was before, if that is where the form came from."""
    back = request.form.get("back", "")
    return back if back == f"/{name}" or back.startswith(f"/{name}?") else f"/{name}"


def _do(unit: Any, entity: type[Entity], what: str, records: Sequence[Any]) -> str:
    count = len(records)
    if what == "archive":
        for record in records:
            unit.archive(record)
        return str(g.texts.ngettext("%(num)s record is archived.", "%(num)s records are archived.", count))
    if what == "set":
        field = meta_of(entity).fields.get(request.form.get("field", ""))
        if field is None or field.readonly or field.secret:
            abort(400)
        values = forms.read_form(meta_of(entity), request.form, [field])
        for record in records:
            unit.update(record, values)
        return str(g.texts.ngettext("%(num)s record is changed.", "%(num)s records are changed.", count))
    action = _bulk_action(entity, what)
    result = action.run(unit, records, forms.read_form(meta_of(entity), request.form, action.fields))
    return result.message if isinstance(result, ActionResult) else result


@needs("")
def cell(name: str, record_id: UUID, field_name: str) -> str | Response | tuple[str, int]:
    """One value of a list: as a small form, and saved from it."""
    entity = entity_or_404(name)
    field = meta_of(entity).fields.get(field_name)
    if field is None or field_name not in _editable(entity):
        abort(404)
    url = f"/{name}/{record_id}/cell/{field_name}"
    if request.method == "GET" and request.args.get("show") is None:
        record = reader().get(entity, record_id)
        return _cell_form(
            entity, field, url, forms.control_value(field, getattr(record, field_name)), record.version, []
        )
    if request.method == "GET":
        return _cell_shown(entity, field, reader().get(entity, record_id), url)
    try:
        values = forms.read_form(meta_of(entity), request.form, [field])
        with current_site().write(current_actor()) as unit:
            record = unit.get(entity, record_id)
            unit.update(record, values, version=int(request.form.get("version", "0")))
    except Invalid as error:
        errors = [g.texts.gettext(problem.message) for problem in error.problems]
        typed = forms.retyped(request.form, [field]).get(field_name)
        return _cell_form(entity, field, url, typed, int(request.form.get("version", "0")), errors), 422
    return done(g.texts.gettext("Saved."), body=_cell_shown(entity, field, record, url))


def _cell_form(entity: type[Entity], field: Field, url: str, value: Any, version: int, errors: list[str]) -> str:
    text = forms.reference_texts([field], {field.name: value}).get(field.name, "")
    stages = forms.stage_choices(entity) if field.target == "stage" else []
    return render_template("pages/_cell_form.html", field=field, url=url, value=value, version=version, errors=errors,
                           text=text, stages=stages)  # fmt: skip


def _cell_shown(entity: type[Entity], field: Field, record: Any, url: str) -> str:
    shown = Presenter(entity, [record], [field]).value(field, record, short=True)
    return render_template("pages/_cell.html", field=field, value=shown, url=url)
