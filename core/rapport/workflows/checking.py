"""Whether a definition fits this site: its fields, conditions, actions and people, each mistake with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from rapport.entities import Entity, EntityMeta, utcnow
from rapport.errors import Problem
from rapport.fit.shape import Fit
from rapport.i18n.catalogs import _
from rapport.schedules import parse_rule
from rapport.workflows.conditions import PLACE, meta_for, unknown_place, wrong_with
from rapport.workflows.definition import Definition, Start
from rapport.workflows.people import wrong_word
from rapport.workflows.reading import dotted, near, read_source
from rapport.workflows.source import Mistake, Path, Source, read_yaml
from rapport.workflows.store import Workflow

if TYPE_CHECKING:
    from rapport.records import Unit
    from rapport.site import Site


def read_for(site: Site | _AsFitted, text: str) -> tuple[Definition | None, list[Mistake]]:
    """A workflow as written, checked against this site. The definition is None when it cannot run."""
    source = read_yaml(text)
    if isinstance(source, Mistake):
        return None, [source]
    made, mistakes = read_source(source)
    if made is not None:
        found = list(_Checker(site, made, source).mistakes())
        mistakes = sorted([*mistakes, *found], key=lambda each: each.line)
        if any(not each.warning for each in found):
            made = None
    return made, mistakes


def check_workflow(unit: Unit, record: Entity) -> list[Problem]:
    """A build and save step: a workflow is kept only when it can run here, and its columns say what its text says."""
    if not isinstance(record, Workflow) or record.archived_at is not None:
        return []
    made, mistakes = read_for(unit.site, record.source or "")
    if made is None:  # perhaps for want of a field that this very unit has made
        made, mistakes = read_for(_AsFitted(unit.site, unit.session.connection()), record.source or "")
    if made is None:
        return [Problem("source", str(each)) for each in mistakes if not each.warning]
    if record.name and record.name != made.name:
        text = _("must stay '%(name)s', as it is called already. Write name: %(name)s.", name=record.name)
        return [Problem("source", text)]
    record.name, record.title, record.entity = made.name, made.title, made.entity
    if not record.active:
        record.active_since = None
    elif record.active_since is None:
        record.active_since = utcnow()
    return []


class _AsFitted:
    """A site with the fields that its administrators have given it up to this moment; the rest is the site's own."""

    def __init__(self, site: Site, connection: Connection) -> None:
        self._site = site
        fit = Fit.load(connection).among(site.entities.names())
        self.metas: dict[str, EntityMeta] = {}
        for name, meta in site.metas.items():
            added = {f.name: f for f in meta.fields.values() if f.extension}
            self.metas[name] = fit.meta(site.entities[name], added)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._site, name)

    def meta(self, entity: type[Entity]) -> EntityMeta:
        """As Site.meta."""
        return self.metas[entity.meta.name]

    def meta_named(self, name: str) -> EntityMeta:
        """As Site.meta_named."""
        if name not in self.metas:
            raise LookupError(f"There is no kind of record '{name}' here.")
        return self.metas[name]


class _Checker:
    """Walks the plain document beside the definition: the document has the places, the definition the sense."""

    def __init__(self, site: Any, definition: Definition, source: Source) -> None:
        self.site: Site = site
        self.definition = definition
        self.source = source

    def mistake(self, path: Path, message: str, *, warning: bool = False) -> Mistake:
        return Mistake(dotted(path), message, self.source.line(path), warning)

    def mistakes(self) -> Iterator[Mistake]:
        name = self.definition.entity
        if name not in self.site.entities:
            known = [entity.meta.name for entity in self.site.entities if entity.meta.listed]
            yield self.mistake(
                ("entity",), _("there is no kind of record '%(name)s'.", name=name) + " " + near(name, known)
            )
            return
        self.meta = meta_for(self.site, name, self.definition.facts)
        yield from self._life_cycle()
        starts = self.source.value.get("start")
        many = starts if isinstance(starts, list) else [starts] if starts else []
        for number, each in enumerate(many):
            yield from self._start(each, ("start", number) if isinstance(starts, list) else ("start",))
        yield from self._states(self.source.value["states"], ("states",))

    def _life_cycle(self) -> Iterator[Mistake]:
        name = self.definition.field
        if not name:
            return
        field = self.meta.fields.get(name)
        if field is None or field.kind != "choice" or field.readonly:
            choices = [f.name for f in self.meta.fields.values() if f.kind == "choice" and not f.readonly]
            yield self.mistake(
                ("field",), _("'%(name)s' is not a choice field.", name=name) + " " + near(name, choices)
            )
            return
        if any(state.regions for state in self.definition.states.values()):
            yield self.mistake(("field",), _("a life cycle has no parallel parts: a field holds one value."))
        known = [choice.value for choice in field.choices]
        for path in self.definition.states:
            if path not in known:
                yield self.mistake(
                    ("states", path),
                    _("is not a value of the field. Its values are %(names)s.", names=", ".join(known)),
                )
        for value in known:
            if value not in self.definition.states:
                yield self.mistake(("states",), _("the value '%(name)s' of the field has no state.", name=value))
        if (default := field.default) and default != self.definition.root.initial:
            yield self.mistake(("initial",), _("new records have '%(name)s'.", name=default), warning=True)

    def _start(self, value: Mapping[str, Any], path: Path) -> Iterator[Mistake]:
        for name in ("when", "segment"):
            if value.get(name) and (why := wrong_with(self.site, str(value[name]), self.meta)):
                yield self.mistake((*path, name), why)
        fields = value.get("fields") or []
        for each in [fields] if isinstance(fields, str) else fields:
            if each not in self.meta.fields:
                yield self.mistake((*path, "fields"), self._no_field(each))
        if date := value.get("date"):
            field = self.meta.fields.get(date)
            dates = [f.name for f in self.meta.fields.values() if f.kind in {"date", "instant"}]
            if field is None or field.kind not in {"date", "instant"} or field.extension:
                yield self.mistake(
                    (*path, "date"), _("'%(name)s' is not a date field.", name=date) + " " + near(date, dates)
                )
        if rule := value.get("schedule"):
            try:
                parse_rule(str(rule))
            except ValueError as error:
                yield self.mistake((*path, "schedule"), str(error))

    def _no_field(self, name: str) -> str:
        return _("there is no field '%(name)s'.", name=name) + " " + near(name, [f.name for f in self.meta.visible])

    def _states(self, states: Mapping[str, Any], path: Path) -> Iterator[Mistake]:
        for name, value in states.items():
            here: Path = (*path, name)
            value = value or {}  # noqa: PLW2901
            for where in ("entry", "exit"):
                yield from self._actions(value.get(where), (*here, where))
            for where in ("on", "after"):
                for event, edges in (value.get(where) or {}).items():
                    yield from self._edges(edges, (*here, where, event))
            yield from self._edges(value.get("always"), (*here, "always"))
            for kind, who in (("task", "for"), ("approve", "who")):
                yield from self._people(value.get(kind), (*here, kind), who)
            for part, region in (value.get("parallel") or {}).items():
                yield from self._states(region["states"], (*here, "parallel", part, "states"))

    def _edges(self, value: Any, path: Path) -> Iterator[Mistake]:
        many = value if isinstance(value, list) else [value]
        for number, each in enumerate(many):
            place: Path = (*path, number) if isinstance(value, list) else path
            if isinstance(each, Mapping):
                if each.get("guard") and (why := wrong_with(self.site, str(each["guard"]), self.meta)):
                    yield self.mistake((*place, "guard"), why)
                yield from self._actions(each.get("actions"), (*place, "actions"))

    def _people(self, value: Any, path: Path, who: str) -> Iterator[Mistake]:
        if value is None:
            return
        for name, words in ((who, value.get(who)), ("to", (value.get("escalate") or {}).get("to"))):
            for word in [words] if isinstance(words, str) else words or ():
                if why := wrong_word(self.meta, word):
                    yield self.mistake((*path, name) if name == who else (*path, "escalate", "to"), why)
        for name in ("title", "note"):
            yield from self._places(value.get(name), (*path, name))

    def _places(self, text: Any, path: Path) -> Iterator[Mistake]:
        if isinstance(text, str) and PLACE.search(text) and (unknown := unknown_place(self.site, self.meta, text)):
            yield self.mistake(path, _("{%(name)s} stands for nothing.", name=unknown) + " " + self._no_field(unknown))

    def _actions(self, value: Any, path: Path) -> Iterator[Mistake]:
        many = value if isinstance(value, list) else [value] if value else []
        for number, each in enumerate(many):
            place: Path = (*path, number) if isinstance(value, list) else path
            name, arguments = (each, {}) if isinstance(each, str) else next(iter(each.items()))
            yield from self._action(name, arguments, place)

    def _action(self, name: str, given: Any, path: Path) -> Iterator[Mistake]:
        found = self.site.workflow_actions.get(name)
        if found is None:
            known = self.site.workflow_actions.names()
            yield self.mistake(path, _("there is no action '%(name)s'.", name=name) + " " + near(name, known))
            return
        arguments = found.named(given if isinstance(given, Mapping) else {"": given} if given is not None else {})
        fields = {f.name: f for f in found.fields}
        for key, value in arguments.items():
            place: Path = (*path, name, key)
            yield from self._places(value, place)
            if found.open_ended:
                continue
            if key not in fields:
                yield self.mistake(place, _("'%(name)s' is not known here.", name=key) + " " + near(key, list(fields)))
            elif not (isinstance(value, str) and PLACE.search(value)):
                try:
                    fields[key].load(value)
                except ValueError as error:
                    yield self.mistake(place, str(error))
        for field in fields.values():
            if field.required and arguments.get(field.name) in (None, ""):
                yield self.mistake((*path, name), _("'%(name)s' is missing.", name=field.name))
        if found.check is not None:
            owner = self.site.workflow_actions.owner(name)
            check = found.check
            for problem in self.site.hooks.required(
                owner, f"the check of {name}", lambda: check(self.site, self.meta, arguments)
            ):
                yield self.mistake((*path, name, problem.field) if problem.field else (*path, name), problem.message)


def starts_of(definition: Definition, kind: str) -> list[tuple[int, Start]]:
    """The ways of one kind in which a workflow starts, each with its number."""
    return [(number, start) for number, start in enumerate(definition.starts) if start.kind == kind]
