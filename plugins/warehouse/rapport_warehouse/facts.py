"""Records as facts: one statement for each kind of record, with what tells them apart beside what is measured."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Date, DateTime, Integer, String, and_, case, cast, column, false, func, or_, select, table, true

from rapport import Field, Measure, Reader, column_of
from rapport.figures import ScopedSession, compile_filter, field_at, parse
from rapport_warehouse import history
from rapport_warehouse.axes import CALENDARS, Axis, span_of, value_in, value_of
from rapport_warehouse.clocks import clock_time
from rapport_warehouse.question import HIDDEN, REST

Late = Callable[[], Any]
"""An expression that is there once every join is known."""
DAYS = table("warehouse_date", column("day", Date), *(
    column(name, String if name.endswith("_key") else Integer) for name in dict.fromkeys(CALENDARS.values())
))  # fmt: skip
SHOWN, OUT_OF_REACH, OTHERS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, of which warehouse, and what they mean by days and years."""

    reader: Reader
    session: ScopedSession
    zone: str
    fiscal_start: int


@dataclass(slots=True)
class _Node:
    """A kind of record that facts lead to."""

    entity: Any
    link: Late
    wanted: dict[str, Any] = field(default_factory=dict)
    made: Any = None


class Facts:
    """The records of one kind that some measures are made of, and everything that is asked of each of them.

    What is behind a reference is joined as a select of its own. The session limits that one too, so what is out of
    reach is missing there: its members are all the one that is called hidden.
    """

    def __init__(self, asking: Asking, measure: Measure) -> None:
        self.asking = asking
        self.site = asking.reader.site
        self.entity: Any = self.site.entities[measure.of]
        self._nodes: dict[tuple[str, ...], _Node] = {}
        self._by_calendar = False
        self._past: dict[str, tuple[Late, Any]] = {}
        """What held when it happened: by dimension, the customer and the table of what held when."""
        found = field_at(self.site, measure.of, measure.at)
        assert found is not None
        hops, at, _part = found
        self.dated = at.kind == "date"
        self._at = self._want(hops, lambda entity: column_of(entity, at))

    def _want(self, way: Sequence[Field], make: Callable[[Any], Any]) -> Late:
        """What `make` takes from the record at the end of a way."""
        if not way:
            made = make(self.entity)
            return lambda: made
        node = self._node(way)
        name = f"c{len(node.wanted)}"
        node.wanted[name] = make(node.entity).label(name)
        return lambda: node.made.c[name]

    def _node(self, way: Sequence[Field]) -> _Node:
        key = tuple(each.name for each in way)
        if key not in self._nodes:
            reference = way[-1]
            link = self._want(way[:-1], lambda entity: column_of(entity, reference))
            self._nodes[key] = _Node(self.site.entities[reference.target or ""], link)
        return self._nodes[key]

    # What is asked ---------------------------------------------------------------------------------------------------

    @property
    def at(self) -> Any:
        """The day or moment it happened, as it is kept."""
        return self._at()

    @property
    def moment(self) -> Any:
        """When it happened, as clocks show it where the one who asks is."""
        return self._at() if self.dated else clock_time(self.asking.zone, self._at())

    @property
    def _until(self) -> Any:
        """The moment it happened; of a day, the last one."""
        if not self.dated:
            return self._at()
        return func.timezone(self.asking.zone, cast(self._at(), DateTime) + dt.timedelta(days=1, microseconds=-1))

    @property
    def day(self) -> Any:
        """The day it happened, for the one who asks."""
        return self._at() if self.dated else cast(self.moment, Date)

    def along(self, axis: Axis, shown: Sequence[str] | None = None) -> Along:
        """A dimension as an expression of these records. With `shown`, all other keys become one."""
        if axis.unit in CALENDARS:
            self._by_calendar = True
            return Along(axis, lambda: DAYS.c[CALENDARS[axis.unit]], false, shown)
        if axis.unit:
            return Along(
                axis, lambda: span_of(axis.unit, self.day, self.moment, self.asking.fiscal_start), false, shown
            )
        way = axis.way(self.site, self.entity.meta.name)
        assert way is not None
        if axis.then:
            return self._held(axis, way[:-1], shown)
        value = self._want(way, lambda entity: value_in(axis, entity))
        return Along(axis, value, self._hidden(way), shown, behind=bool(way))

    def _held(self, axis: Axis, way: Sequence[Field], shown: Sequence[str] | None) -> Along:
        assert axis.field is not None
        link = self._want(way, lambda entity: entity.id) if not way else self._want(
            way[:-1], lambda entity: column_of(entity, way[-1])
        )  # fmt: skip
        past = history.held(axis.field.name, self.site.entities[axis.record])
        self._past[axis.name] = link, past

        def hidden() -> Any:
            no_customer = and_(link().is_not(None), past.c.customer_id.is_(None))
            return or_(no_customer, and_(past.c.named.is_not(None), past.c.member.is_(None)))

        return Along(axis, lambda: past.c.member, hidden, shown, behind=True)

    def _hidden(self, way: Sequence[Field]) -> Late:
        nodes = [self._node(way[: length + 1]) for length in range(len(way))]
        return lambda: or_(
            false(), *(and_(node.link().is_not(None), node.made.c.id.is_(None)) for node in nodes)
        )  # fmt: skip

    def condition(self, measure: Measure) -> Any:
        """Which records a measure counts."""
        conditions = [self.entity.archived_at.is_(None)]
        if measure.filter:
            conditions.append(compile_filter(parse(measure.filter), self.entity, self.asking.reader.context))
        return and_(*conditions)

    def value(self, measure: Measure) -> Any:
        """What a measure makes its figure of."""
        if callable(measure.value):
            return measure.value(self.entity)
        return column_of(self.entity, self.site.meta(self.entity).fields[measure.value])

    def currency(self, measure: Measure) -> Any:
        """The currency of an amount."""
        return func.coalesce(column_of(self.entity, self.site.meta(self.entity).fields[measure.currency]), "")

    def between(self, since: dt.date | None, until: dt.date | None) -> Any:
        """Whether it happened in these days. What has no day has not happened."""
        at = self._at()
        conditions = [at.is_not(None)]
        zone, day = ZoneInfo(self.asking.zone), dt.timedelta(days=1)
        if since is not None:
            conditions.append(at >= (since if self.dated else dt.datetime.combine(since, dt.time(), zone)))
        if until is not None:
            conditions.append(at <= until if self.dated else at < dt.datetime.combine(until + day, dt.time(), zone))
        return and_(*conditions)

    def build(self) -> None:
        """Every join is known now: what was asked for can be used from here on."""
        for node in self._nodes.values():
            node.made = select(node.entity.id.label("id"), *node.wanted.values()).subquery()

    def joined(self, statement: Any) -> Any:
        """A select with the joins in it."""
        statement = statement.select_from(self.entity)
        for node in self._nodes.values():
            statement = statement.outerjoin(node.made, node.made.c.id == node.link())
        for link, past in self._past.values():
            held = and_(
                past.c.customer_id == link(), or_(past.c.valid_from.is_(None), past.c.valid_from <= self._until),
                or_(past.c.valid_to.is_(None), past.c.valid_to > self._until),
            )  # fmt: skip
            statement = statement.outerjoin(past, held)
        if self._by_calendar:
            statement = statement.outerjoin(DAYS, DAYS.c.day == self.day)
        return statement


@dataclass(frozen=True, slots=True)
class Along:
    """A dimension of some facts."""

    axis: Axis
    value: Late
    hidden: Late
    shown: Sequence[str] | None = None
    behind: bool = False
    """Whether its members are behind references, where some may be out of reach."""

    def key(self) -> Any:
        """The value by which records are told apart."""
        value = self.value()
        if self.shown is None:
            return value
        return case((self.among(self.shown), value))

    def mark(self) -> Any:
        """Whether it is a member of its own, hidden, or one of the rest."""
        hidden = case((self.hidden(), OUT_OF_REACH), else_=SHOWN)
        if self.shown is None:
            return hidden
        return case((self.among(self.shown), hidden), else_=OTHERS)

    def among(self, keys: Sequence[str]) -> Any:
        """Whether a record has one of these keys. ValueError for one that is none."""
        value, hidden = self.value(), self.hidden()
        values = [value_of(self.axis, key) for key in keys if key not in {HIDDEN, REST, ""}]
        conditions = [value.in_(values)] if values else []
        if "" in keys:
            conditions.append(and_(value.is_(None), hidden.is_(False)))
        if HIDDEN in keys:
            conditions.append(hidden)
        return func.coalesce(or_(false(), *conditions), false())

    @property
    def marked(self) -> bool:
        """Whether the mark says anything."""
        return self.shown is not None or self.behind


def slices(along: Mapping[str, Along], where: Mapping[str, Sequence[str]]) -> Any:
    """Whether a record is within every slice."""
    return and_(true(), *(along[name].among(keys) for name, keys in where.items()))
