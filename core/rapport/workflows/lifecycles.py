"""Life cycles: a choice field that only moves as its workflow allows, whoever changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from rapport.entities import Entity
from rapport.errors import Problem
from rapport.i18n.catalogs import _
from rapport.workflows.conditions import holds, values_of
from rapport.workflows.definition import Definition, State

if TYPE_CHECKING:
    from rapport.records import Unit


def guard_field(unit: Unit, record: Entity) -> list[Problem]:
    """A save step: a field with a life cycle may only go where a transition leads whose guard holds."""
    if unit.session.info.get("workflow_moves"):
        return []  # the workflow itself moves it
    problems: list[Problem] = []
    for chart in unit.site.charts.recent():
        definition = chart.definition
        if definition.field and definition.entity == record.meta.name:
            problems += _refusal(unit, record, definition)
    return problems


def _refusal(unit: Unit, record: Any, definition: Definition) -> list[Problem]:
    history = inspect(record).attrs[definition.field].history
    before, after = next(iter(history.deleted), None), next(iter(history.added), None)
    if not history.has_changes() or before is None or before == after or before not in definition.states:
        return []
    source = definition.states[before]
    ways = [edge for edge in source.edges if edge.target == after]
    with unit.session.no_autoflush:
        values = values_of(unit.site, unit.session, record, [edge.guard for edge in ways])
        if any(holds(unit.site, edge.guard, definition, values) for edge in ways):
            return []
    if ways:
        why = _(
            "cannot become “%(to)s” yet: %(guard)s.",
            to=_title(definition, after),
            guard=" / ".join(edge.guard for edge in ways),
        )
    else:
        why = _("cannot go from “%(from_)s” to “%(to)s”.", from_=_(source.title), to=_title(definition, after))
    return [Problem(definition.field, f"{why} {_ways_out(definition, source)}")]


def _title(definition: Definition, name: Any) -> str:
    state = definition.states.get(name)
    return _(state.title) if state is not None else str(name)


def _ways_out(definition: Definition, source: State) -> str:
    titles = [_title(definition, each) for each in dict.fromkeys(edge.target for edge in source.edges if edge.target)]
    if not titles:
        return _("Nothing leads on from there.")
    return _("From there it goes to: %(names)s.", names=", ".join(titles))
