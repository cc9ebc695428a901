"""Conditions of workflows: the one filter language, asked of the record at hand and of what events brought along."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rapport import schedules
from rapport.entities import Entity, EntityMeta, Field, entity_class, utcnow
from rapport.entities.fields import KINDS
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import _
from rapport.query.bind import bind, check
from rapport.query.filter import Filter, FilterContext, conditions, parse
from rapport.query.memory import matcher
from rapport.workflows.definition import Definition

if TYPE_CHECKING:
    from rapport.site import Site

PLACE = re.compile(r"\{([a-z_][a-z0-9_.]*)\}")
_parse = functools.lru_cache(maxsize=2048)(parse)


def zone_of(site: Site) -> ZoneInfo:
    """The time zone in which the business counts its days."""
    return ZoneInfo(schedules.zone_of(site))


def context_of(site: Site, now: dt.datetime | None = None) -> FilterContext:
    """What `now` and `today` mean to a workflow; `me` is nobody."""
    zone, now = zone_of(site), now or utcnow()
    return FilterContext(now=now, today=now.astimezone(zone).date(), zone=zone, meta_of=site.meta_named)


def meta_for(site: Site, entity: str, facts: Mapping[str, str] = {}) -> EntityMeta:
    """What conditions may ask for: the fields of the record, and the facts of the workflow."""
    meta = site.meta_named(entity)
    if not facts:
        return meta
    added = {f"fact_{name}": Field(f"fact_{name}", name.capitalize(), kind) for name, kind in facts.items()}
    return replace(meta, fields={**meta.fields, **added})


def wrong_with(site: Site, text: str, meta: EntityMeta) -> str:
    """Why a condition cannot be asked; "" when it can."""
    try:
        check(parse(text), meta, site.meta_named)
    except Invalid as error:
        return "; ".join(each.message for each in error.problems)
    return ""


def meets(site: Site, session: Any, record: Any, text: str) -> bool:
    """Whether a record meets a condition as it is now; an empty one always does."""
    if not text:
        return True
    values = values_of(site, session, record, [text])
    return matcher(_parse(text), site.meta(type(record)), context_of(site))(values)


def holds(
    site: Site, text: str, definition: Definition, values: Mapping[str, Any], now: dt.datetime | None = None
) -> bool:
    """Whether a condition holds for a record, given as `values_of` does; an empty one always does."""
    if not text:
        return True
    meta = meta_for(site, definition.entity, definition.facts)
    return matcher(_parse(text), meta, context_of(site, now))(values)


class Conditions:
    """Conditions on one kind of record, read once and asked of many records at hand, saved or not yet.

        rules = Conditions(site, session, Lead, ['source = "fair"', "customer.language = \"fr\""])
        [fair, french] = rules.met_by(lead)

    An empty condition is always met; one that cannot be asked (its field is gone) never.
    """

    def __init__(self, site: Site, session: Any, entity: type[Entity], texts: Iterable[str]) -> None:
        self._site, self._session = site, session
        meta, context = site.meta(entity), context_of(site)
        self._tests: list[Callable[[Mapping[str, Any]], bool] | None] = []
        self._asked: list[str] = []
        for text in texts:
            sound = not text or not wrong_with(site, text, meta)
            self._asked += [text] if text and sound else []
            self._tests.append((matcher(_parse(text), meta, context) if text else _always) if sound else None)

    def met_by(self, record: Any) -> list[bool]:
        """Which of the conditions a record meets, in their order."""
        values = values_of(self._site, self._session, record, self._asked)
        return [test is not None and test(values) for test in self._tests]


def _always(_values: Mapping[str, Any]) -> bool:
    return True


def values_of(
    site: Site, session: Any, record: Any, texts: Iterable[str], facts: Mapping[str, Any] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What conditions ask of a record: its fields, those of what it refers to where they ask for them, and facts."""
    meta = site.meta(type(record))
    filters = [_parse(text) for text in texts if text]
    wanted = _first_parts(filters)
    values: dict[str, Any] = {
        name: getattr(record, name)
        for name, f in meta.fields.items()
        if not f.secret and (name in wanted or not f.extension)
    }
    add_behind(site, session, meta, values, filters)
    return values | fact_values(facts or {}, kinds or {})


def fact_values(facts: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """The facts of an instance under the names conditions have for them; what none brought is missing."""
    return {f"fact_{name}": _fact(facts.get(name), kind) for name, kind in kinds.items()}


def _fact(value: Any, kind: str) -> Any:
    return None if value is None else KINDS[kind].load(value, Field("fact", "Fact", kind))


def load_facts(definition: Definition, given: Mapping[str, Any]) -> dict[str, Any]:
    """Facts from outside, in JSON form, each of the kind the workflow declares. Invalid names what does not fit."""
    problems, loaded = [], {}
    for name, value in given.items():
        if (kind := definition.facts.get(name)) is None:
            problems.append(Problem(f"facts.{name}", _("is not declared by the workflow under facts.")))
            continue
        try:
            made = _fact(value, kind)
        except ValueError as error:
            problems.append(Problem(f"facts.{name}", str(error)))
            continue
        dump = KINDS[kind].dump
        loaded[name] = made if dump is None or made is None else dump(made)
    if problems:
        raise Invalid(problems)
    return loaded


def _first_parts(filters: Iterable[Filter]) -> set[str]:
    return {
        part
        for each in filters
        for condition in conditions(each)
        for part in (condition.path[0], f"{condition.path[0]}_id")
    }


def add_behind(site: Site, session: Any, meta: EntityMeta, values: dict[str, Any], filters: Iterable[Filter]) -> None:
    """Bring the records behind references that conditions lead over."""
    somewhen = context_of(site)
    for each in filters:
        for condition in conditions(each):
            if len(condition.path) == 1 or condition.path[0].startswith("fact_"):
                continue
            place, at = bind(condition, meta, somewhen).place, values
            for hop in place.hops:
                name = hop.name.removesuffix("_id")
                if name not in at:
                    found = None
                    if at.get(hop.name) is not None and hop.target:
                        found = session.get(entity_class(hop.target), at[hop.name])
                    at[name] = None if found is None else _plain_values(site, found)
                if at[name] is None:
                    break
                at = at[name]


def _plain_values(site: Site, record: Entity) -> dict[str, Any]:
    return {name: getattr(record, name) for name, f in site.meta(type(record)).fields.items() if not f.secret}


def fill(text: str, value: Callable[[str], str]) -> str:
    """A text with what its places stand for: `Call {name}`."""
    return PLACE.sub(lambda found: value(found[1]), text)


def shown(site: Site, session: Any, record: Any, path: str, facts: Mapping[str, Any]) -> str:
    """What a place in a text stands for: a field as people read it, `{customer.name}` over a reference, `{title}`."""
    if path.startswith("fact_"):
        return str(facts.get(path.removeprefix("fact_"), ""))
    first, _dot, rest = path.partition(".")
    meta = site.meta(type(record))
    field = meta.fields.get(first) or meta.fields.get(f"{first}_id")
    if field is None or field.secret:
        return str(record) if first in {"title", "record"} else ""
    value = getattr(record, field.name)
    if value is None:
        return ""
    if field.target:
        other = session.get(entity_class(field.target), value)
        if other is None:
            return ""
        return shown(site, session, other, rest, facts) if rest else str(other)
    if field.choices:
        return next((_(choice.label) for choice in field.choices if choice.value == value), str(value))
    dumped = field.dump(value)
    return ", ".join(map(str, dumped)) if isinstance(dumped, list) else str(dumped)


def unknown_place(site: Site, meta: EntityMeta, text: str) -> str:
    """The first place of a text that stands for nothing; "" when there is none."""
    for path in PLACE.findall(text):
        first, _dot, rest = path.partition(".")
        field = meta.fields.get(first) or meta.fields.get(f"{first}_id")
        if field is None and first in {"title", "record"} and not rest:
            continue
        if field is None or field.secret or (rest and not field.target):
            return str(path)
        if rest and field.target and unknown_place(site, site.meta_named(field.target), f"{{{rest}}}"):
            return str(path)
    return ""
