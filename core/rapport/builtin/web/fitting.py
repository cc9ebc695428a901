"""Fitting the site to the business: fields, kinds of records, the arrangement of forms and lists, and words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, abort, g, render_template, request
from werkzeug.wrappers import Response

from rapport.builtin import BUILTIN
from rapport.builtin.web import forms
from rapport.builtin.web.admin import admin_only, role_names
from rapport.builtin.web.context import go, reader, toast
from rapport.entities import Choice, Entity, EntityMeta, Field, uuid7
from rapport.errors import Conflict, Invalid, Problem
from rapport.fit import CUSTOM, CustomEntity, CustomField, Fit, Layout, Term
from rapport.fit.tables import USUAL_ROLES, custom_class
from rapport.http import current_actor, current_site, needs
from rapport.i18n.catalogs import LANGUAGES, N_, Texts, texts_for
from rapport.records import Unit
from rapport.workflows import Pipeline, Stage

FIELD_FORM = (
    "label", "name", "kind", "choices", "target", "default_value", "help", "section", "position", "required", "in_list",
    "indexed", "searchable",
)  # fmt: skip
LEVELS = {
    "": N_("nothing"),
    "read": N_("see"),
    "read create update:own": N_("see, add, change their own"),
    "read create update:team export import": N_("see, add, change the team’s"),
    "read create update export import": N_("see, add, change all"),
    "read create update delete export import": N_("see, add, change, archive all"),
}
"""What a role may do with a new kind of record, in words; the page of roles says it in finer steps."""
ICONS = (
    "database", "category", "box", "package", "building", "building-store", "home", "map-pin", "pool", "plant-2",
    "sailboat", "car", "truck", "bike", "plane", "engine", "tool", "device-laptop", "camera", "music", "book",
    "school", "ticket", "calendar-event", "file-text", "certificate", "key", "gift", "heart", "pill",
    "stethoscope", "paw", "leaf", "star",
)  # fmt: skip
OUT = ":out"
SECTION = ":section"
WORDS_AT_ONCE = 300


def add_pages(web: Blueprint) -> None:
    """The pages where a site is fitted."""
    for path, view, methods in (
        ("/admin/kinds", kinds, ["GET"]),
        ("/admin/kinds/new", edit_kind, ["GET", "POST"]),
        ("/admin/kinds/<name>", kind, ["GET"]),
        ("/admin/kinds/<name>/edit", edit_kind, ["GET", "POST"]),
        ("/admin/kinds/<name>/<any(archive,restore,delete):verb>", put_kind, ["POST"]),
        ("/admin/kinds/<name>/fields/new", edit_field, ["GET", "POST"]),
        ("/admin/fields/<uuid:field_id>", edit_field, ["GET", "POST"]),
        ("/admin/fields/<uuid:field_id>/<any(archive,restore,delete):verb>", put_field, ["POST"]),
        ("/admin/kinds/<name>/<any(form,list):place>", layout, ["GET", "POST"]),
        ("/admin/kinds/<name>/<any(form,list):place>/reset", reset_layout, ["POST"]),
        ("/admin/words", words, ["GET", "POST"]),
    ):
        web.add_url_rule(path, view_func=view, methods=methods)


@contextmanager
def _deciding() -> Iterator[tuple[Unit, str]]:
    """A unit of work whose decision can be taken back, and where a click takes it back."""
    batch = uuid7()
    with current_site().write(current_actor(), batch=batch) as unit:
        yield unit, f"/undo/{batch}"


def _fit() -> Fit:
    """How the site is fitted at this moment, also right after a change."""
    return Fit.load(reader().session.connection())


def _entities(fit: Fit) -> dict[str, type[Entity]]:
    """The kinds of records that can be fitted, by name."""
    found = {entity.meta.name: entity for entity in current_site().entities if entity.meta.listed}
    return {name: each for name, each in found.items() if not name.startswith(f"{CUSTOM}.")} | {
        name: custom_class(name) for name in fit.kinds
    }


def _entity(fit: Fit, name: str) -> type[Entity]:
    return _entities(fit).get(name) or abort(404)


def _meta(fit: Fit, entity: type[Entity]) -> EntityMeta:
    """A kind of record as this fit has it, with the fields that plugins extend it by."""
    known = current_site().metas.get(entity.meta.name, entity.meta)
    extended = {f.name: replace(f, hidden=False) for f in known.fields.values() if f.extension}
    return fit.meta(entity, extended)


# Kinds of records ----------------------------------------------------------------------------------------------------


@needs("")
def kinds() -> str:
    """Every kind of record, and how many fields were added to it."""
    admin_only()
    fit = _fit()
    archived = reader().all(CustomEntity, CustomEntity.archived_at.is_not(None), order=CustomEntity.title)
    metas = sorted((_meta(fit, entity) for entity in _entities(fit).values()), key=lambda m: g.texts.gettext(m.plural))
    return render_template("pages/admin/kinds.html", metas=metas, archived=archived, owners=_owners(metas))


def _owners(metas: Iterable[EntityMeta]) -> dict[str, str]:
    """Who brings a kind of record: Rapport, a module, or this site."""
    return {meta.name: _owner(meta.name) for meta in metas}


def _owner(name: str) -> str:
    if name.startswith(f"{CUSTOM}."):
        return ""
    owner = current_site().entities.owner(name)
    return "Rapport" if owner in BUILTIN else str(g.texts.gettext(owner.replace("_", " ").capitalize()))


@needs("")
def kind(name: str) -> str | Response:
    """One kind of record: its fields, those added here first to be changed, and the way to its arrangement."""
    admin_only()
    fit = _fit()
    if name.startswith(f"{CUSTOM}.") and name not in fit.kinds:
        return go("/admin/kinds")  # it was just taken back
    entity = _entity(fit, name)
    added = reader().all(CustomField, CustomField.entity == name, order=(CustomField.position, CustomField.id))
    meta = _meta(replace(fit, layouts={}), entity)
    return render_template(
        "pages/admin/kind.html", meta=_meta(fit, entity), made=fit.kinds.get(name),
        own=[f for f in meta.visible if not f.custom],
        added=[each for each in added if each.archived_at is None], owner=_owner(name), kind_titles=_kind_titles(),
        archived=[each for each in added if each.archived_at is not None], laid_out=dict.fromkeys(
            place for entity_name, place in fit.layouts if entity_name == name),
    )  # fmt: skip


def _kind_titles() -> dict[str, str]:
    """What kinds of fields are called, also those that no administrator makes."""
    titles = {choice.value: choice.label for choice in CustomField.meta.fields["kind"].choices}
    return titles | {"money": N_("Amount of money"), "address": N_("Address"), "file": N_("File"), "json": N_("Data")}


@needs("")
def edit_kind(name: str = "") -> str | Response | tuple[str, int]:
    """What a kind of record made here is called, and who may do what with it."""
    admin_only()
    found = reader().all(CustomEntity, CustomEntity.name == name) if name else []
    if name and not found:
        abort(404)
    made = found[0] if found else None
    errors: Mapping[str, list[str]] = {}
    if request.method == "POST":
        values: dict[str, Any] = {key: request.form.get(key, "").strip() for key in ("title", "plural", "icon")}
        values["grants"] = _grants(made.grants if made else {})
        try:
            with _deciding() as (unit, undo):
                if made:
                    saved = unit.update(unit.get(CustomEntity, made.id), values)
                else:
                    taken = {each.name for each in unit.reader.all(CustomEntity)}
                    values["name"] = _named(
                        f"{CUSTOM}.", request.form.get("name", "") or values["title"], "kind", taken
                    )
                    saved = unit.create(CustomEntity, values)
            toast(g.texts.gettext("“%(name)s” is saved.", name=saved.title), undo=undo)
            return go(f"/admin/kinds/{saved.name}")
        except Invalid as error:
            errors = forms.errors_by_field(error.problems)
        except Conflict as error:
            errors = {error.field or "": [str(error)]}
    page = render_template(
        "pages/admin/kind_form.html", made=made, errors=errors, typed=request.form, icons=ICONS, levels=_levels(made),
        roles={role: title for role, title in role_names().items() if role != "admin"},
        held=(made.grants if made else None) or USUAL_ROLES,
    )  # fmt: skip
    return page, 422 if errors else 200


def _levels(made: CustomEntity | None) -> dict[str, str]:
    """The levels to choose from, and those that are in use though no page offers them."""
    levels = {grant: g.texts.gettext(title) for grant, title in LEVELS.items()}
    return levels | {grant: grant for grant in (made.grants if made else {}).values() if grant not in levels}


def _grants(before: Mapping[str, str]) -> dict[str, str]:
    """What was chosen for each role; nothing where it is the usual."""
    known = {*LEVELS, *before.values()}
    chosen = {role: request.form.get(f"grant.{role}", "") for role in role_names() if role != "admin"}
    if not set(chosen.values()) <= known:
        abort(400)
    chosen = {role: grant for role, grant in chosen.items() if grant}
    return {} if chosen == USUAL_ROLES else chosen or {"admin": "read"}


def _named(prefix: str, text: str, fallback: str, taken: Collection[str]) -> str:
    """A name out of what people call a thing: “Size of the pool” is x_size_of_the_pool."""
    plain = unicodedata.normalize("NFKD", text.removeprefix(prefix)).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "_", plain).strip("_").lstrip("0123456789_")[:36].strip("_") or fallback
    names = (f"{prefix}{stem}" if number == 1 else f"{prefix}{stem}_{number}" for number in range(1, 10_000))
    return next(name for name in names if name not in taken)


@needs("")
def put_kind(name: str, verb: str) -> Response:
    """Put a kind away with its records, bring it back, or delete one that was never used."""
    admin_only()
    found = reader().all(CustomEntity, CustomEntity.name == name)
    made = found[0] if found else abort(404)
    said = {
        "archive": N_("“%(name)s” is archived. Its records are kept."),
        "restore": N_("“%(name)s” is back, with its records."),
        "delete": N_("“%(name)s” is deleted."),
    }
    with _deciding() as (unit, undo):
        getattr(unit, verb)(unit.get(CustomEntity, made.id))
    toast(g.texts.gettext(said[verb], name=made.title), undo=undo)
    return go("/admin/kinds")


# Fields --------------------------------------------------------------------------------------------------------------


@needs("")
def edit_field(name: str = "", field_id: UUID | None = None) -> str | Response | tuple[str, int]:
    """A field that is added here: what it is called, what it holds, where it shows."""
    admin_only()
    fit = _fit()
    made = reader().get(CustomField, field_id) if field_id else None
    name = made.entity if made else name
    entity = _entity(fit, name)
    fields = _form_of(made, fit)
    errors: Mapping[str, list[str]] = {}
    if request.method == "POST":
        try:
            values = forms.read_form(CustomField.meta, request.form, fields)
            with _deciding() as (unit, undo):
                if made:
                    saved = unit.update(unit.get(CustomField, made.id), values)
                else:
                    there = unit.reader.all(CustomField, CustomField.entity == name)
                    taken = {each.name for each in there}
                    values["name"] = values.get("name") or _named("x_", values.get("label") or "", "field", taken)
                    values["position"] = values.get("position") or max((each.position for each in there), default=0) + 1
                    saved = unit.create(CustomField, {**values, "entity": name})
                _place(unit, saved)
            toast(g.texts.gettext("“%(name)s” is saved.", name=saved.label), undo=undo)
            return go(f"/admin/kinds/{name}")
        except Invalid as error:
            errors = forms.errors_by_field(error.problems)
        except Conflict as error:
            errors = {error.field or "": [str(error)]}
    typed = forms.retyped(request.form, fields)
    values = forms.typed_values(made, fields) if made else {f.name: f.default for f in fields if f.name != "position"}
    page = render_template("pages/admin/field.html", meta=_meta(fit, entity), made=made, fields=fields, errors=errors,
                           values={**values, **typed}, kind_titles=_kind_titles())  # fmt: skip
    return page, 422 if errors else 200


def _form_of(made: CustomField | None, fit: Fit) -> list[Field]:
    """The fields of the form; what stays as it was made is not among them."""
    known = CustomField.meta.fields
    fixed = {"name", "kind", "target"} if made else set()
    if made and made.kind != "choice":
        fixed.add("choices")
    targets = sorted(
        ((name, g.texts.gettext(_meta(fit, entity).title)) for name, entity in _entities(fit).items()),
        key=lambda pair: pair[1],
    )
    out = []
    for each in FIELD_FORM:
        if each == "target" and each not in fixed:
            out.append(replace(known[each], kind="choice", choices=tuple(Choice(*pair) for pair in targets)))
        elif each not in fixed:
            out.append(replace(known[each], required=False) if each == "name" else known[each])
    return out


def _place(unit: Unit, made: CustomField) -> None:
    """Where the form or the list was arranged by hand, a field that should show there is put at its end."""
    for found in unit.reader.all(Layout, Layout.entity == made.entity, Layout.archived_at.is_(None)):
        if found.place == "list":
            if made.in_list and made.name not in found.content:
                unit.update(found, {"content": [*found.content, made.name]})
        elif made.version == 1 and not any(made.name in section["fields"] for section in found.content):
            content = [{**section, "fields": list(section["fields"])} for section in found.content]
            its_own = [section for section in content if made.section and section.get("title") == made.section]
            (its_own or content)[-1]["fields"].append(made.name)
            unit.update(found, {"content": content})


@needs("")
def put_field(field_id: UUID, verb: str) -> Response:
    """Put a field away with what it holds, bring it back, or delete one that holds nothing."""
    admin_only()
    made = reader().get(CustomField, field_id)
    said = {
        "archive": N_("“%(name)s” is archived. What it holds is kept."),
        "restore": N_("“%(name)s” is back, with what it held."),
        "delete": N_("“%(name)s” is deleted."),
    }
    with _deciding() as (unit, undo):
        getattr(unit, verb)(unit.get(CustomField, field_id))
    toast(g.texts.gettext(said[verb], name=made.label), undo=undo)
    return go(f"/admin/kinds/{made.entity}")


# Layouts -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """A heading and the fields below it, as the editor shows them."""

    title: str
    fields: Sequence[Field]


@needs("")
def layout(name: str, place: str) -> str | Response:
    """Put the fields of a form or a list in order."""
    admin_only()
    fit = _fit()
    entity = _entity(fit, name)
    meta = _meta(fit, entity)
    offered = _offered(meta, place)
    if request.method == "POST":
        content = _sent(place, {f.name for f in offered})
        if not content:
            raise Invalid(Problem(None, g.texts.gettext("A list shows at least one field.")))
        with _deciding() as (unit, undo):
            found = unit.reader.all(Layout, Layout.entity == name, Layout.place == place)
            if found:
                unit.restore(found[0])
                unit.update(found[0], {"content": content})
            else:
                unit.create(Layout, {"entity": name, "place": place, "content": content})
        toast(g.texts.gettext("The layout is saved."), undo=undo)
        return go(f"/admin/kinds/{name}")
    if place == "form":
        shown = [f for f in offered if not f.hidden]
        parts = [Part(title, fields) for title, fields in forms.sections(shown)] or [Part("", [])]
        out = [f for f in offered if f.hidden]
    else:
        parts = [Part("", meta.listed_fields)]
        out = [f for f in offered if f not in parts[0].fields]
    return render_template("pages/admin/layout.html", meta=meta, place=place, parts=parts, out=out,
                           markers=(SECTION, OUT), decided=(name, place) in fit.layouts)  # fmt: skip


def _offered(meta: EntityMeta, place: str) -> list[Field]:
    """The fields that can be arranged: what people fill in, or what a list can show."""
    if place == "form":
        currencies = {f.currency for f in meta.fields.values() if f.currency}
        return [f for f in meta.writable if not f.secret and f.name not in forms.HIDDEN and f.name not in currencies]
    return [f for f in meta.visible if f.name not in {"id", "version", "about_id", "about_entity"} and f.kind != "json"]


def _sent(place: str, known: Collection[str]) -> list[Any]:
    """The order in which the form sent its parts: a mark, then the names below it."""
    titles = iter(request.form.getlist("title"))
    sections: list[dict[str, Any]] = []
    for item in request.form.getlist("item"):
        if item == OUT:
            break
        if item == SECTION:
            sections.append({"title": next(titles, "").strip(), "fields": []})
        elif item in known and not any(item in section["fields"] for section in sections):
            if not sections:
                sections.append({"title": "", "fields": []})
            sections[-1]["fields"].append(item)
    if place == "form":
        return [section for section in sections if section["fields"]]
    return [name for section in sections for name in section["fields"]]


@needs("")
def reset_layout(name: str, place: str) -> Response:
    """Arrange it again as the plugin made it."""
    admin_only()
    with _deciding() as (unit, undo):
        for found in unit.reader.all(Layout, Layout.entity == name, Layout.place == place):
            unit.delete(found)
    toast(g.texts.gettext("It is arranged as it was made."), undo=undo)
    return go(f"/admin/kinds/{name}")


# Words ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """A text of the site: where it stands, how Rapport says it in a language, and how this site does."""

    text: str
    places: Sequence[str]
    usual: str
    said: str


@needs("")
def words() -> str | Response | tuple[str, int]:
    """What things are called here, in each language, beside what Rapport calls them."""
    admin_only()
    lang = request.values.get("lang", g.lang)
    if lang not in LANGUAGES:
        abort(404)
    fit = _fit()
    usual = texts_for(lang, tuple(current_site().packages))
    terms = {each.text: each for each in reader().all(Term, Term.language == lang)}
    errors: Sequence[str] = ()
    if request.method == "POST":
        pairs = list(zip(request.form.getlist("text"), request.form.getlist("said"), strict=False))
        try:
            with _deciding() as (unit, undo):
                number = sum(_say(unit, lang, usual, terms.get(text), text, said.strip()) for text, said in pairs)
            if number:
                toast(g.texts.ngettext("%(num)s word is changed.", "%(num)s words are changed.", number), undo=undo)
            return go(f"/admin/words?{_query(lang)}")
        except Invalid as error:
            errors = [g.texts.gettext(problem.message) for problem in error.problems]
    said = {text: term.said for text, term in terms.items() if term.archived_at is None}
    if errors:
        said |= dict(pairs)
    found = _found(_texts(fit), usual, said)
    page = render_template(
        "pages/admin/words.html", tongue=LANGUAGES[lang], tongues=LANGUAGES.values(), errors=errors,
        words=found[:WORDS_AT_ONCE], more=len(found) - WORDS_AT_ONCE,
        chosen=request.values.get("kind", ""), q=request.values.get("q", ""),
        metas=sorted((_meta(fit, each) for each in _entities(fit).values()), key=lambda m: g.texts.gettext(m.plural)),
        query=_query,
    )  # fmt: skip
    return page, 422 if errors else 200


def _query(lang: str) -> str:
    kept = {key: request.values[key] for key in ("kind", "q") if request.values.get(key)}
    return urlencode({"lang": lang, **kept})


def _say(unit: Unit, lang: str, usual: Texts, term: Term | None, text: str, said: str) -> bool:
    """Call a thing otherwise, or as usual again. Whether that changes anything."""
    wanted = said if said != usual.gettext(text) else ""
    if not wanted:
        if term is not None and term.archived_at is None:
            unit.delete(unit.get(Term, term.id))
            return True
        return False
    if term is None:
        try:
            unit.create(Term, {"language": lang, "text": text, "said": wanted})
        except Invalid as error:
            raise Invalid([Problem(None, f"“{text}” {each.message}") for each in error.problems]) from error
        return True
    if term.said == wanted and term.archived_at is None:
        return False
    kept = unit.get(Term, term.id)
    unit.restore(kept)
    unit.update(kept, {"said": wanted})
    return True


def _texts(fit: Fit) -> dict[str, dict[str, str]]:
    """Every text of kinds of records, and where it stands: the text, then kind by kind what it is there."""
    found: dict[str, dict[str, str]] = {}
    say = g.texts.gettext

    def note(text: str, name: str, what: str) -> None:
        if text:
            found.setdefault(text, {}).setdefault(name, what)

    for name, entity in _entities(fit).items():
        meta = _meta(fit, entity)
        note(meta.title, name, say("One"))
        note(meta.plural, name, say("Many"))
        for each in meta.visible:
            note(each.label, name, say("Field"))
            note(each.section, name, say("Section"))
            note(each.help or "", name, say("Help"))
            for choice in each.choices if each.name not in {"language", "time_zone", "currency"} else ():
                note(choice.label, name, say("Choice"))
    pipelines = {each.id: each.entity for each in reader().all(Pipeline, limit=1000)}
    for stage in reader().all(Stage, Stage.archived_at.is_(None), order=(Stage.position, Stage.id), limit=1000):
        note(stage.title, pipelines.get(stage.pipeline_id, ""), say("Stage"))
    return found


def _found(texts: Mapping[str, Mapping[str, str]], usual: Texts, said: Mapping[str, str]) -> list[Word]:
    """The words that were asked for: those of one kind, those with some letters in them, else the names of kinds."""
    chosen, q = request.values.get("kind", ""), request.values.get("q", "").strip().casefold()
    site, names = current_site(), {g.texts.gettext("One"), g.texts.gettext("Many")}
    titles = {name: g.texts.gettext(meta.title) for name, meta in site.metas.items()}
    found = []
    for text, places in texts.items():
        word = Word(text, [f"{titles.get(name, name)}: {what}" for name, what in places.items()], usual.gettext(text),
                    said.get(text, ""))  # fmt: skip
        if chosen and chosen not in places:
            continue
        if q and not any(q in each.casefold() for each in (text, word.usual, word.said)):
            continue
        if chosen or q or word.said or names & set(places.values()):
            found.append(word)
    return found
