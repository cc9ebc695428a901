"""Believable values for any field, so that every kind of record can be tried without knowing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import UniqueConstraint

from rapport.entities import Entity, Field, entity_class, table_of
from rapport.errors import Invalid

if TYPE_CHECKING:
    from rapport.records import Unit

MAKERS: dict[str, Callable[[int], Any]] = {
    "longtext": lambda number: f"Line one\nLine two of {number}",
    "integer": lambda number: number,
    "decimal": lambda number: f"{number}.50",
    "money": lambda number: f"{number}.50",
    "date": lambda number: f"2026-{number // 28 % 12 + 1:02d}-{number % 28 + 1:02d}",
    "instant": lambda number: f"2026-{number // 28 % 12 + 1:02d}-{number % 28 + 1:02d}T10:00:00Z",
    "flag": lambda number: True,
    "tags": lambda number: ["alpha", f"tag {number}"],
    "email": lambda number: f"person{number}@example.com",
    "phone": lambda number: f"+1 201 555 {number % 10000:04d}",
    "url": lambda number: f"https://example.com/{number}",
    "address": lambda number: {"street": f"{number} High Street", "city": "Springfield"},
    "json": lambda number: {},
}
"""By kind of field, a value as the API takes it; two numbers give two values."""
POINTING_AT_PEOPLE = {"user", "team", "stage", "pipeline"}


def value_of(field: Field, number: int, *, currency: bool = False) -> Any:
    """A valid value of a field that is no reference and no file."""
    if currency:
        return "EUR"
    if field.kind == "choice":
        values = [choice.value for choice in field.choices if choice.value]
        return values[number % len(values)] if values else ""
    if field.kind in MAKERS:
        return MAKERS[field.kind](number)
    return f"{field.label} {number}"[-field.max_length :]


class Examples:
    """Makes records of any entity, and what they need to point at, each different from those before."""

    def __init__(self) -> None:
        self.number = 0
        self._parents: dict[str, Any] = {}

    def values(self, unit: Unit, entity: type[Entity], *, whole: bool) -> dict[str, Any]:
        """Values for a new record, as the API takes them: all that may be given, or only what must be."""
        self.number += 1
        meta = entity.meta
        currencies = {field.currency for field in meta.fields.values() if field.currency}
        given: dict[str, Any] = {}
        for field in meta.writable:
            if field.secret or field.kind in {"file", "id"} or not (whole or field.required):
                continue
            if field.target is None:
                given[field.name] = value_of(field, self.number, currency=field.name in currencies)
            elif field.required or (field.target not in POINTING_AT_PEOPLE and field.target != meta.name):
                # An extension has one row for each record, a link one for each pair.
                fresh = field.unique or field.name in _told_apart_by(entity)
                target = self.make(unit, entity_class(field.target)).id if fresh else self.parent(unit, field.target)
                given[field.name] = str(target)
        return given

    def parent(self, unit: Unit, name: str) -> Any:
        """The id of a record to point at; one of each kind, made when it is first needed."""
        if name not in self._parents:
            self._parents[name] = self.make(unit, entity_class(name)).id
        return self._parents[name]

    def make(self, unit: Unit, entity: type[Entity], **values: Any) -> Entity:
        """Make a record with everything that may be given; what a rule of its own refuses is left out."""
        given = {**self.values(unit, entity, whole=True), **values}
        for _ in range(3):
            try:
                return unit.create(entity, given)
            except Invalid as refused:
                given = without(entity, given, refused)
        return unit.create(entity, {**self.values(unit, entity, whole=False), **values})


def _told_apart_by(entity: type[Entity]) -> set[str]:
    """Of what is unique by its references alone: the reference that has to be another one each time."""
    found, fields = set(), entity.meta.fields
    for constraint in table_of(entity).constraints:
        names = [column.name for column in constraint.columns] if isinstance(constraint, UniqueConstraint) else []
        ends = [name for name in names if fields[name].target not in {None, *POINTING_AT_PEOPLE}]
        if ends and all(fields[name].target for name in names):
            found.add(ends[0])
    return found


def without(entity: type[Entity], given: Mapping[str, Any], refused: Invalid) -> dict[str, Any]:
    """The values without those that were refused and need not be given. Raises again when nothing can be left out."""
    bad = {problem.field for problem in refused.problems}
    kept = {name: value for name, value in given.items() if name not in bad or entity.meta.fields[name].required}
    if len(kept) == len(given):
        raise refused
    return kept
