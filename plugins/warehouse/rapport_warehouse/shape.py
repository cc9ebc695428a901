"""What the warehouse holds: which tables and columns, and what they are called where they come from and in DuckDB."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    Uuid,
    cast,
    inspect,
    type_coerce,
)
from sqlalchemy.sql import visitors
from sqlalchemy.types import TypeEngine

from rapport import Dimension, Entity, Field, Invalid, Measure, Setting, utcnow
from rapport.entities import table_of
from rapport.entities.types import Fixed
from rapport.query.bind import key_of
from rapport.query.filter import parse
from rapport.query.tree import conditions

if TYPE_CHECKING:
    from rapport import Site

FORMAT = 1
"""Counted up when what is made of the same records changes: then every site fills its warehouse anew."""
HEAVY = {"longtext", "json"}
"""Kinds of fields that nobody counts by. They stay away, unless a measure or a dimension names them."""


FISCAL_SETTING = Setting(
    "warehouse.fiscal_month", "Month the fiscal year begins with", "integer", 1,
    help="From 1 to 12. A fiscal year is named by the calendar year in which it ends.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """A column of the warehouse."""

    name: str
    type: str
    """DuckDB's."""
    shown: bool
    """Whether people may see it: no folded key, which serves filters alone."""
    decimal: bool = False
    """Whether it counts ten-thousandths."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A table of the warehouse: the entity it is of, and its columns in order."""

    entity: str
    table: str
    columns: tuple[Kept, ...]
    past_log: bool
    """Whether the log does not tell of every change of it."""

    @property
    def definition(self) -> str:
        """The columns as CREATE TABLE has them."""
        return ", ".join(f'"{column.name}" {column.type}' for column in self.columns)


def shapes(site: Site) -> dict[str, Shape]:
    """The table of every kind of record that this site has, by the record's name."""
    named = named_fields(site)
    return {entity.meta.name: shape_of(site, entity, named) for entity in site.entities}


def shape_of(site: Site, entity: type[Entity], named: frozenset[str]) -> Shape:
    """The columns of one kind of record: all but what is secret, and what is long and never asked for."""
    meta = entity.meta
    keys = {key.name for field in meta.fields.values() if (key := key_of(field, meta)) is not None}
    columns = []
    for attribute in inspect(entity).column_attrs:
        column: Any = attribute.columns[0]
        field = meta.fields.get(attribute.key)
        if field is None or _is_kept(field, keys, named):
            shown = field is None or not field.secret
            columns.append(Kept(column.name, duckdb_type(column.type), shown, isinstance(column.type, Fixed)))
    return Shape(meta.name, table_of(entity).name, tuple(columns), entity.past_log)


def _is_kept(field: Field, keys: set[str], named: frozenset[str]) -> bool:
    if field.secret:
        return field.name in keys
    return field.kind not in HEAVY or field.name in named


def named_fields(site: Site) -> frozenset[str]:
    """The fields that measures and dimensions speak of, whichever record has them."""
    found: set[str] = set()
    for measure in site.measures:
        found |= _named_by_measure(site, measure)
    for dimension in site.dimensions:
        found |= _named_by_dimension(dimension)
    return frozenset(found)


def _named_by_measure(site: Site, measure: Measure) -> set[str]:
    found = {measure.at, measure.currency}
    if callable(measure.value):
        entity = site.entities.get(measure.of)
        if entity is not None:
            elements: Any = visitors.iterate(measure.value(entity))
            found |= {element.key for element in elements if element.__visit_name__ == "column"}
    else:
        found |= set(measure.value.split("."))
    if measure.filter:
        for condition in _conditions(measure.filter):
            found |= set(condition.path)
    return found


def _named_by_dimension(dimension: Dimension) -> set[str]:
    return {*dimension.value.split("."), dimension.via}


def _conditions(text: str) -> Iterator[Any]:
    try:
        yield from conditions(parse(text))
    except Invalid:  # whoever asks for the measure is told so
        return


@functools.singledispatch
def _type(kind: TypeEngine[Any]) -> str:
    return "VARCHAR"


for _kind, _name in (
    (Uuid, "UUID"), (DateTime, "TIMESTAMPTZ"), (Date, "DATE"), (Boolean, "BOOLEAN"), (Integer, "BIGINT"),
    (Float, "DOUBLE"), (JSON, "JSON"), (LargeBinary, "BLOB"),
):  # fmt: skip
    _type.register(_kind, lambda kind, name=_name: name)


def duckdb_type(kind: TypeEngine[Any]) -> str:
    """What a column's values are kept as: the same that PostgreSQL has, so that the same Python values come out."""
    inner = getattr(kind, "impl_instance", kind)  # what a TypeDecorator decorates
    return _type(inner)


def in_parts(value: Any) -> Any:
    """An amount as whole ten-thousandths, however it is kept."""
    return type_coerce(value, BigInteger) if isinstance(value.type, Fixed) else cast(value * 10_000, BigInteger)


def fiscal_start(site: Site) -> int:
    """The month a fiscal year of this business begins with."""
    return min(12, max(1, int(site.settings.get(FISCAL_SETTING.name))))


def fingerprint(every: dict[str, Shape], fiscal_month: int) -> str:
    """Tells whether a warehouse was filled for these tables, and for this year's days."""
    tables = sorted((shape.table, shape.definition) for shape in every.values())
    text = repr((FORMAT, fiscal_month, utcnow().year, tables))
    return hashlib.sha256(text.encode()).hexdigest()
