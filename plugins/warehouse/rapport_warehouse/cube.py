"""Answers: measures by rows and columns, as the one who asks may see them, with totals that the records give.

A statement asks for all measures of one kind of record at once, and for each cell and every total separately, so that
averages and numbers of different customers are right in totals too. Sums are of whole numbers, and therefore exact.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import case, distinct, func, or_, select, tuple_

from rapport import Invalid, Measure, Problem, Reader
from rapport import gettext as _
from rapport.figures import ScopedSession, field_at, way_to
from rapport_warehouse import store
from rapport_warehouse.axes import (
    ROUND,
    SPANS,
    Axis,
    after,
    axis_of,
    formats_of,
    key_of,
    may_go,
    members_of,
    value_of,
    within,
)  # fmt: skip
from rapport_warehouse.facts import OTHERS, OUT_OF_REACH, Along, Asking, Facts, slices
from rapport_warehouse.question import (
    HIDDEN,
    MAX_CELLS,
    REST,
    Answer,
    Cell,
    Heading,
    MeasureInfo,
    Member,
    Question,
    Value,
    days_before,
    days_of,
)  # fmt: skip
from rapport_warehouse.shape import fiscal_start

PLACES = Decimal("0.0001")
RATIO_PLACES = Decimal("0.000001")
Keys = tuple[str, ...]


def answer(reader: Reader, question: Question) -> Answer:
    """Work a question out. Invalid says what of it is unknown or does not fit; NotFilled, that nothing is there yet."""
    with store.warehouse(reader.site) as connection, asking(reader, connection) as session:
        known = store.as_of(reader.site)
        assert known is not None
        return Working(reader, session, question, known).answer()


def asking(reader: Reader, connection: Any) -> ScopedSession:
    """A session on the warehouse that sees what the reader's actor may see."""
    session = ScopedSession(connection, reader.actor, reader.site.entities)
    session.info["extended"] = reader.site.extended
    return session


# What may be asked ---------------------------------------------------------------------------------------------------


def measure_of(reader: Reader, name: str) -> Measure | None:
    """The measure of this name; None where there is none that this person may ask for."""
    site = reader.site
    if name not in site.measures:
        return None
    measure = site.measures[name]
    if measure.over is not None:
        return measure if all(measure_of(reader, part) is not None for part in measure.over) else None
    if measure.of not in site.entities or not reader.actor.may(site.entities[measure.of].meta.permission("read")):
        return None
    at = field_at(site, measure.of, measure.at)
    return measure if at is not None and may_go(reader, at[0]) else None


def parts_of(reader: Reader, measure: Measure) -> tuple[Measure, ...]:
    """The measures that have records: itself, or the two that a ratio divides."""
    if measure.over is None:
        return (measure,)
    return tuple(reader.site.measures[name] for name in measure.over)


def suits(reader: Reader, axis: Axis, measure: Measure) -> bool:
    """Whether a dimension tells the records of a measure apart."""
    for part in parts_of(reader, measure):
        if axis.unit == "hour":
            at = field_at(reader.site, part.of, part.at)
            if at is None or at[1].kind == "date":
                return False
        way = axis.way(reader.site, part.of)
        if way is None or not may_go(reader, way):
            return False
        if axis.via and not way_to(reader.site, part.of, axis.of, axis.via) and part.of != axis.of:
            return False
    return True


# Figures of a group --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class State:
    """What a measure has come to in a group of records, before it is rounded: other groups can still be added."""

    count: int = 0
    """How many records."""
    filled: int = 0
    """How many of them have a value."""
    value: Any = None

    def with_more(self, other: State, how: str) -> State:
        """Of both groups together, which have no record in common."""
        both = [each for each in (self.value, other.value) if each is not None]
        if how in {"least", "most"}:
            value = (min if how == "least" else max)(both) if both else None
        else:
            value = sum(both[1:], both[0]) if both else None
        return State(self.count + other.count, self.filled + other.filled, value)


NONE = State()


def figure(measure: Measure, state: State) -> Value:
    """The figure that people see."""
    match measure.how:
        case "count":
            return state.count
        case "distinct":
            return int(state.value or 0)
        case "sum":
            return _number(state.value) if state.value is not None else _zero(measure)
        case "average":
            return None if not state.filled else (Decimal(state.value) / state.filled).quantize(PLACES)
        case _:
            return None if state.value is None else _number(state.value)


def _zero(measure: Measure) -> Value:
    return 0 if measure.kind == "integer" else Decimal(0)


def _number(value: Any) -> Value:
    return value if isinstance(value, Decimal) else int(value)


def quotient(above: Value, below: Value) -> Value:
    """One figure divided by another; None where there is nothing to divide by."""
    if above is None or not below:
        return None
    return (Decimal(above) / Decimal(below)).quantize(RATIO_PLACES)


# Working a question out ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Gathered:
    """What the statements gave: of each measure, for each level, the state of each group."""

    states: dict[tuple[str, int, bool], dict[tuple[Keys, Keys, str], State]] = field(default_factory=dict)
    """By measure, how many row dimensions, and whether by columns; then by the keys of both, and the currency."""
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of each dimension, the value behind each key that occurs."""


class Working:
    """One question, on its way to its answer."""

    def __init__(self, reader: Reader, session: ScopedSession, question: Question, known: dt.datetime) -> None:
        self.reader = reader
        self.session = session
        self.question = question
        self.as_of = known
        self.asking = Asking(reader, session, reader.actor.time_zone, fiscal_start(reader.site))
        self.measures = self._measures()
        self.parts = list(dict.fromkeys(part for each in self.measures for part in parts_of(reader, each)))
        self.axes = self._axes()
        self.rows = [self.axes[name] for name in question.rows]
        self.columns = [self.axes[name] for name in question.columns]
        self.since, self.until = days_of(question, reader.today())
        self.earlier = days_before(question.compare, self.since, self.until) if question.compare else None
        self.by, self.down = self._order()
        self.shown: Sequence[str] | None = None
        self._check()

    # Is it a question that can be answered?

    def _measures(self) -> list[Measure]:
        found, problems = [], []
        for name in self.question.measures:
            measure = measure_of(self.reader, name)
            if measure is None:
                problems.append(Problem("measures", _("names '%(name)s', which is unknown.", name=name)))
            else:
                found.append(measure)
        if not found and not problems:
            problems.append(Problem("measures", _("is missing. Name at least one measure.")))
        if problems:
            raise Invalid(problems)
        return found

    def _axes(self) -> dict[str, Axis]:
        question = self.question
        axes: dict[str, Axis] = {}
        problems = []
        for place, names in (("rows", question.rows), ("columns", question.columns), ("where", question.where)):
            for name in names:
                axis = axes.get(name) or axis_of(self.reader, name)
                if axis is None:
                    problems.append(Problem(place, _("names '%(name)s', which is unknown.", name=name)))
                    continue
                axes[name] = axis
                problems += [
                    Problem(place, _("names '%(name)s', which does not suit %(measure)s.", name=name,
                                     measure=measure.name))
                    for measure in self.measures if not suits(self.reader, axis, measure)
                ]  # fmt: skip
        if twice := set(question.rows) & set(question.columns):
            problems.append(Problem("columns", _("names '%(name)s', which is a row too.", name=min(twice))))
        if problems:
            raise Invalid(problems)
        return axes

    def _order(self) -> tuple[str, bool]:
        order = self.question.order
        by = order.removeprefix("-")
        known = {*(each.name for each in self.measures), *self.question.rows, *self.question.columns}
        if by and by not in known:
            raise Invalid(Problem("order", _("names '%(name)s', which is not part of the question.", name=by)))
        return by, order.startswith("-")

    def _check(self) -> None:
        question = self.question
        problems = []
        for name, keys in question.where.items():
            for key in keys:
                try:
                    if key not in {HIDDEN, ""}:
                        value_of(self.axes[name], key)
                except (ValueError, KeyError):
                    problems.append(Problem("where", _("'%(key)s' is no key of %(name)s.", key=key, name=name)))
        if question.top and not self.rows:
            problems.append(Problem("top", _("needs a dimension in the rows.")))
        hows = {part.how for part in self.parts}
        if question.running:
            if not self.rows or not self.rows[-1].unit or self.rows[-1].unit in ROUND:
                problems.append(Problem("running", _("needs dates as the last row dimension.")))
            if "distinct" in hows:
                problems.append(Problem("running", _("does not suit what counts different values.")))
        if question.share and any(each.over is not None or each.how not in {"count", "sum"} for each in self.measures):
            problems.append(Problem("share", _("suits only what can be added up.")))
        if problems:
            raise Invalid(problems)

    # Asking the warehouse

    def answer(self) -> Answer:
        """Ask, and put what comes into rows and columns."""
        if self.question.top and (shown := self.first()) is not None:
            self.shown = shown
        now = self.gather(self.since, self.until)
        before = self.gather(*self.earlier) if self.earlier is not None else None
        return Table(self, now, before).answer()

    def first(self) -> list[str] | None:
        """The keys of the first rows, by the order that was asked for; None where there are no others."""
        axis = self.rows[0]
        ranked = Working(
            self.reader, self.session,
            Question(self.question.measures, rows=(axis.name,), where=self.question.where, since=self.since,
                     until=self.until, order=self.question.order if self._ranks(axis) else ""),
            self.as_of,
        )  # fmt: skip
        keys = Table(ranked, ranked.gather(self.since, self.until), None).row_keys()
        shown = [key[0] for key in keys if key[0] != HIDDEN][: self.question.top]
        return shown if len(keys) > len(shown) else None

    def _ranks(self, axis: Axis) -> bool:
        return self.by in {axis.name, *(each.name for each in self.measures)}

    def gather(self, since: dt.date | None, until: dt.date | None) -> Gathered:
        """Everything that is needed of some days: one statement for each kind of record, day and currency."""
        found = Gathered()
        by_kind: dict[tuple[str, str, str], list[Measure]] = {}
        for part in self.parts:
            by_kind.setdefault((part.of, part.at, part.currency), []).append(part)
        for measures in by_kind.values():
            self._ask(measures, since, until, found)
        return found

    def _ask(self, measures: Sequence[Measure], since: Any, until: Any, found: Gathered) -> None:
        facts = Facts(self.asking, measures[0])
        along = {name: facts.along(axis, self._shown_of(axis)) for name, axis in self.axes.items()}
        facts.build()
        inner, by_row, by_column, coded = self._inner(facts, along, measures, since, until)
        levels = self._levels(by_row, by_column)
        every = [*itertools.chain(*by_row), *itertools.chain(*by_column)]
        by_cells = len(levels) > 1 and all(each.how != "distinct" for each in measures)
        if by_cells:  # the records are gone through once, and every total is made of the cells
            told = [inner.c[name] for name in (*every, *((coded,) if coded else ()))]
            made = [self._made_of(inner, place, measure) for place, measure in enumerate(measures)]
            inner = select(*told, *itertools.chain(*made)).group_by(*told).subquery()
        made = [self._made_of(inner, place, measure, again=by_cells) for place, measure in enumerate(measures)]
        statement = select(
            *(inner.c[name] for name in every),
            *((func.grouping(*(inner.c[name] for name in every)),) if every else ()),
            *((inner.c[coded],) if coded else ()),
            *itertools.chain(*made),
        )  # fmt: skip
        if every or coded:
            sets = [
                tuple_(*(inner.c[name] for name in (*chosen, *((coded,) if coded else ())))) for _, chosen in levels
            ]
            statement = statement.group_by(func.grouping_sets(*sets)) if every else statement.group_by(inner.c[coded])
        rows = self.session.execute(statement.limit(MAX_CELLS * 4 + 1)).all()
        if len(rows) > MAX_CELLS * 4:
            raise too_large()
        self._read(rows, measures, levels, every, bool(coded), found)

    def _shown_of(self, axis: Axis) -> Sequence[str] | None:
        return self.shown if self.rows and axis is self.rows[0] else None

    def _inner(
        self, facts: Facts, along: Mapping[str, Along], measures: Sequence[Measure], since: Any, until: Any
    ) -> tuple[Any, list[list[str]], list[list[str]], str]:
        """The records with what tells them apart and what is measured, and the names of these columns."""
        chosen: list[Any] = []
        names: dict[str, list[str]] = {}
        for place, axis in enumerate((*self.rows, *self.columns)):
            here = along[axis.name]
            names[axis.name] = [f"k{place}"]
            chosen.append(here.key().label(f"k{place}"))
            if here.marked:
                names[axis.name].append(f"f{place}")
                chosen.append(here.mark().label(f"f{place}"))
        coded = "currency" if measures[0].currency else ""
        if coded:
            chosen.append(facts.currency(measures[0]).label(coded))
        conditions = [facts.condition(measure) for measure in measures]
        for place, measure in enumerate(measures):
            chosen.append(case((conditions[place], 1), else_=0).label(f"c{place}"))
            if measure.how != "count":
                value = facts.value(measure)
                chosen.append(case((conditions[place], value)).label(f"v{place}"))
        where = [facts.between(since, until), or_(*conditions), slices(along, self.question.where)]
        inner = facts.joined(select(*chosen)).where(*where).subquery()
        return inner, [names[axis.name] for axis in self.rows], [names[axis.name] for axis in self.columns], coded

    def _made_of(self, inner: Any, place: int, measure: Measure, *, again: bool = False) -> list[Any]:
        """How many records, how many of them with a value, and what is made of the values; `again`: of these three."""
        count = func.sum(inner.c[f"c{place}"]).label(f"c{place}")
        if measure.how == "count":
            return [count]
        value = inner.c[f"v{place}"]
        filled = (func.sum(inner.c[f"m{place}"]) if again else func.count(value)).label(f"m{place}")
        made: Any = {"least": func.min, "most": func.max}.get(measure.how, func.sum)
        found = func.count(distinct(value)) if measure.how == "distinct" else made(value)
        return [count, filled, found.label(f"v{place}")]

    def _levels(
        self, by_row: Sequence[Sequence[str]], by_column: Sequence[Sequence[str]]
    ) -> list[tuple[tuple[int, bool], list[str]]]:
        """What is asked for: each cell, and the totals over rows, over columns and over all."""
        depths = range(len(by_row) + 1)
        return [
            ((depth, whole), [*itertools.chain(*by_row[:depth]), *(itertools.chain(*by_column) if whole else ())])
            for depth in depths
            for whole in ((True, False) if by_column else (False,))
        ]

    def _read(
        self, rows: Iterable[Any], measures: Sequence[Measure], levels: Any, every: list[str], coded: bool,
        found: Gathered,
    ) -> None:  # fmt: skip
        widths = len(every)
        # grouping() has a bit for each column, the first in the highest place: set where it is summed over.
        by_bits = {
            sum(1 << (widths - 1 - place) for place, name in enumerate(every) if name not in chosen): level
            for level, chosen in levels
        }
        for row in rows:
            depth, whole = by_bits[row[widths]] if every else (0, False)
            given = dict(zip(every, row[:widths], strict=True))
            place = widths + bool(every)
            currency = row[place] if coded else ""
            place += coded
            at = (
                tuple(self._key(axis, number, given, found) for number, axis in enumerate(self.rows[:depth])),
                tuple(self._key(axis, number, given, found) for number, axis in enumerate(self.columns, len(self.rows)))
                if whole else (),
                currency,
            )  # fmt: skip
            for measure in measures:
                width = 1 if measure.how == "count" else 3
                count, *values = row[place : place + width]
                place += width
                if count:
                    state = State(int(count), *(values or ()))
                    found.states.setdefault((measure.name, depth, whole), {})[at] = state

    def _key(self, axis: Axis, number: int, given: Mapping[str, Any], found: Gathered) -> str:
        mark, value = given.get(f"f{number}", 0), given[f"k{number}"]
        key = {OUT_OF_REACH: HIDDEN, OTHERS: REST}.get(mark) or key_of(axis, value)
        found.values.setdefault(axis.name, {}).setdefault(key, value)
        return key


def too_large() -> Invalid:
    """What is said of a question whose answer nobody could read."""
    return Invalid(Problem(None, _(
        "This would be more than %(most)s cells. Take fewer dimensions, a shorter time, or only the first few.",
        most=f"{MAX_CELLS:,}",
    )))  # fmt: skip


# Rows and columns ----------------------------------------------------------------------------------------------------


class Table:
    """What was gathered, put into rows and columns."""

    def __init__(self, working: Working, now: Gathered, before: Gathered | None) -> None:
        self.working = working
        self.now = now
        self.before = before
        self.question = working.question
        self.coins = self._currencies()
        self._members: dict[str, dict[str, Member]] = {}

    def _currencies(self) -> list[str]:
        found = {
            key[2]
            for gathered in (self.now, self.before)
            if gathered is not None
            for part in self.working.parts
            if part.currency
            for level in ((0, False),)
            for key in gathered.states.get((part.name, *level), {})
        }
        return sorted(found)

    def coined(self, measure: Measure) -> bool:
        """Whether a measure is in some currency."""
        return any(part.currency for part in parts_of(self.working.reader, measure))

    # Which rows and columns there are, and in which order

    def row_keys(self) -> list[Keys]:
        """The keys of every row, in order."""
        return self._sorted(self.working.rows, self._occurring(self.working.rows, rows=True), rows=True)

    def column_keys(self) -> list[Keys]:
        """The keys of every column, in order, without the currency."""
        return self._sorted(self.working.columns, self._occurring(self.working.columns, rows=False), rows=False)

    def _occurring(self, axes: Sequence[Axis], *, rows: bool) -> list[Keys]:
        if not axes:
            return [()]
        depth = len(self.working.rows)
        level = (depth, False) if rows else (0, True)
        found: dict[Keys, None] = {}
        for part in self.working.parts:
            for at in self.now.states.get((part.name, *level), {}):
                found[at[0] if rows else at[1]] = None
            if self.before is not None and not any(axis.unit for axis in axes):
                for at in self.before.states.get((part.name, *level), {}):  # what has vanished since then
                    found[at[0] if rows else at[1]] = None
        if len(axes) == 1:
            for key in self._between(axes[0], [each[0] for each in found]):
                found[key,] = None
        return list(found)

    def _between(self, axis: Axis, present: Sequence[str]) -> list[str]:
        """The keys of a dimension of dates that belong there though nothing happened."""
        values = self.now.values.setdefault(axis.name, {})
        if axis.unit in ROUND and present:
            made: list[Any] = list(ROUND[axis.unit])
        elif axis.unit in SPANS and axis.name not in self.question.where:
            made = self._spans(axis, [values[key] for key in present if values[key] is not None])
        else:
            return []
        keys = [key_of(axis, value) for value in made]
        values.update(zip(keys, made, strict=True))
        return keys

    def _spans(self, axis: Axis, present: list[Any]) -> list[Any]:
        start = self.working.asking.fiscal_start
        first = within(axis.unit, self.working.since, start) if self.working.since else min(present, default=None)
        last = within(axis.unit, self.working.until, start) if self.working.until else max(present, default=None)
        if first is None or last is None:
            return []
        made = []
        while first <= last:
            made.append(first)
            if len(made) > MAX_CELLS:
                raise too_large()
            first = after(axis.unit, first)
        return made

    def _sorted(self, axes: Sequence[Axis], keys: list[Keys], *, rows: bool) -> list[Keys]:
        if not axes:
            return keys
        ranks = [self._ranks(axis, depth, keys, rows=rows) for depth, axis in enumerate(axes)]
        return sorted(keys, key=lambda key: tuple(ranks[depth][key[: depth + 1]] for depth in range(len(axes))))

    def _ranks(self, axis: Axis, depth: int, keys: Sequence[Keys], *, rows: bool) -> dict[Keys, tuple[Any, ...]]:
        """What each beginning of a key is sorted by. Titles and keys decide what nothing else does."""
        working = self.working
        heads = list(dict.fromkeys(key[: depth + 1] for key in keys))
        members = self.members(axis, [head[-1] for head in heads])
        values = self.now.values.get(axis.name, {})
        by_self = working.by == axis.name
        measure = next((each for each in working.measures if each.name == working.by), working.measures[0])
        given = {each.name for each in working.measures}
        ranks: dict[Keys, tuple[Any, ...]] = {}
        for head in heads:
            member, value = members[head[-1]], values.get(head[-1])
            place = {REST: 2, HIDDEN: 1}.get(head[-1], 0)
            tail = (member.title, member.key)
            if axis.unit and (by_self or working.by not in given):
                number: Any = _ordinal(value)
                ranks[head] = (place, value is None, -number if by_self and working.down else number, *tail)
            elif by_self:
                listed = self._listed(axis, head[-1])
                ranks[head] = (place, listed, 0, _backwards(member.title) if working.down else member.title, *tail)
            else:
                amount = self._amount(measure, head, depth + 1, rows=rows)
                number = 0 if amount is None else amount
                down = working.down or working.by not in given
                ranks[head] = (place, amount is None, -number if down else number, *tail)
        return ranks

    def _listed(self, axis: Axis, key: str) -> int:
        """The place of a choice among those of its field; the same for everything else."""
        if axis.field is None or not axis.field.choices:
            return 0
        values = [choice.value for choice in axis.field.choices]
        place = values.index(key) if key in values else len(values)
        return -place if self.working.down else place

    def _amount(self, measure: Measure, head: Keys, depth: int, *, rows: bool) -> Value:
        """What a row or column comes to altogether; of several currencies, in the first that it has."""
        level = (depth, False) if rows else (0, True)
        at = (head, ()) if rows else ((), head)
        if not rows and depth < len(self.working.columns):
            return None  # columns have no subtotals
        for coin in self.coins or [""]:
            value = self.value_at(self.now, measure, level, at, coin)
            if value:
                return value
        return self.value_at(self.now, measure, level, at, (self.coins or [""])[0])

    def members(self, axis: Axis, keys: Iterable[str]) -> Mapping[str, Member]:
        """The members behind keys, with their titles."""
        known = self._members.setdefault(axis.name, {})
        values = dict(self.now.values.get(axis.name, {}))
        if self.before is not None:
            values = {**self.before.values.get(axis.name, {}), **values}
        wanted = {key: values.get(key) for key in keys if key not in known}
        if wanted:
            known.update(members_of(axis, self.working.reader, self.working.session, wanted))
        return known

    # Figures

    def state(self, gathered: Gathered, part: Measure, level: tuple[int, bool], at: tuple[Keys, Keys],
              coin: str) -> State:  # fmt: skip
        """What a measure with records has come to."""
        return gathered.states.get((part.name, *level), {}).get((*at, coin if part.currency else ""), NONE)

    def value_at(self, gathered: Gathered, measure: Measure, level: tuple[int, bool], at: tuple[Keys, Keys],
                 coin: str) -> Value:  # fmt: skip
        """The figure of a measure."""
        return self._figure(measure, [
            self.state(gathered, part, level, at, coin) for part in parts_of(self.working.reader, measure)
        ])  # fmt: skip

    def _figure(self, measure: Measure, states: Sequence[State]) -> Value:
        parts = parts_of(self.working.reader, measure)
        figures = [figure(part, state) for part, state in zip(parts, states, strict=True)]
        return figures[0] if measure.over is None else quotient(figures[0], figures[1])

    # The answer

    def answer(self) -> Answer:
        """Everything in its place."""
        working = self.working
        rows, columns = self.row_keys(), self.column_keys()
        shown = self._shown_columns(columns)
        if len(rows) * len(shown) > MAX_CELLS:
            raise too_large()
        depth, whole = len(working.rows), bool(working.columns)
        cells: dict[tuple[int, int, str], Cell] = {}
        for measure in working.measures:
            for column, (keys, coin) in enumerate(shown):
                if not self._belongs(measure, coin):
                    continue
                figures = self._down(measure, (depth, whole), rows, keys, coin)
                total = self.value_at(self.now, measure, (0, whole), ((), keys), coin or "")
                for row, (value, compared) in enumerate(figures):
                    cells[row, column, measure.name] = Cell(value, compared, self._share(value, total))
        return Answer(
            measures=[self._info(measure) for measure in working.measures],
            rows=[self._heading(working.rows, keys) for keys in rows],
            columns=[self._heading(working.columns, keys, coin) for keys, coin in shown],
            cells=cells,
            row_titles=[axis.title for axis in working.rows],
            column_titles=[*(axis.title for axis in working.columns), *([_("Currency")] if self.several else [])],
            row_totals=self._row_totals(rows),
            column_totals={
                (column, measure.name): self._total(measure, (0, whole), ((), keys), coin)
                for column, (keys, coin) in enumerate(shown)
                for measure in working.measures
                if self._belongs(measure, coin)
            },
            subtotals=self._subtotals(rows, shown),
            total={
                measure.name: self._total(measure, (0, False), ((), ()), self._coin)
                for measure in working.measures
                if not (self.several and self.coined(measure))
            },
            as_of=working.as_of,
            note=self._note(),
            since=working.since,
            until=working.until,
            compared_since=working.earlier[0] if working.earlier else None,
            compared_until=working.earlier[1] if working.earlier else None,
        )  # fmt: skip

    @property
    def several(self) -> bool:
        """Whether amounts are in several currencies, which then are columns of their own."""
        return len(self.coins) > 1

    @property
    def _coin(self) -> str:
        return self.coins[0] if self.coins else ""

    def _shown_columns(self, columns: Sequence[Keys]) -> list[tuple[Keys, str | None]]:
        """Columns with their currency; None stands for what has none beside what has several."""
        if not self.several:
            return [(keys, self._coin) for keys in columns]
        coins: list[str | None] = list(self.coins)
        if not all(self.coined(measure) for measure in self.working.measures):
            coins = [None, *coins]
        return [(keys, coin) for keys in columns for coin in coins]

    def _belongs(self, measure: Measure, coin: str | None) -> bool:
        return not self.several or self.coined(measure) == (coin is not None)

    def _down(
        self, measure: Measure, level: tuple[int, bool], rows: Sequence[Keys], keys: Keys, coin: str | None
    ) -> list[tuple[Value, Value]]:
        """A column's figures, each with what it is compared with; running on where that is asked for."""
        parts = parts_of(self.working.reader, measure)
        sums: dict[tuple[Keys, bool], list[State]] = {}

        def at(gathered: Gathered, row: Keys, column: Keys, then: bool) -> Value:
            states = [self.state(gathered, part, level, (row, column), coin or "") for part in parts]
            if self.question.running:
                before = sums.get((row[:-1], then))
                if before is not None:
                    states = [
                        one.with_more(more, part.how) for one, more, part in zip(before, states, parts, strict=True)
                    ]
                sums[row[:-1], then] = states
            return self._figure(measure, states)

        found: list[tuple[Value, Value]] = []
        for row in rows:
            compared = None
            if self.before is not None:
                then_row, then_column = self._then(self.working.rows, row), self._then(self.working.columns, keys)
                if then_row is not None and then_column is not None:
                    compared = at(self.before, then_row, then_column, True)
            found.append((at(self.now, row, keys, False), compared))
        return found

    def _then(self, axes: Sequence[Axis], keys: Keys) -> Keys | None:
        """The keys of the same place in the time that is compared with; None where there is no such place."""
        assert self.working.earlier is not None
        out: list[str] = []
        for axis, key in zip(axes, keys, strict=True):
            if axis.unit in SPANS and key:
                moved = self._moved(axis, value_of(axis, key))
                if moved is None:
                    return None
                out.append(key_of(axis, moved))
            else:
                out.append(key)
        return tuple(out)

    def _moved(self, axis: Axis, value: Any) -> Any:
        """As far into the earlier time as the value is into this one."""
        working = self.working
        assert working.since is not None
        assert working.earlier is not None
        start = working.asking.fiscal_start
        here = within(axis.unit, working.since, start)
        there, last = (within(axis.unit, day, start) for day in working.earlier)
        if axis.unit == "fiscal_year" or axis.unit in {"day", "week"}:
            moved = there + (value - here)
        else:
            months = (value.year - here.year) * 12 + value.month - here.month
            moved = _later(there, months)
        return moved if moved <= last else None

    def _total(self, measure: Measure, level: tuple[int, bool], at: tuple[Keys, Keys], coin: str | None) -> Cell:
        value = self.value_at(self.now, measure, level, at, coin or "")
        compared = None
        if self.before is not None:
            rows, columns = self._then(self.working.rows[: len(at[0])], at[0]), self._then(
                self.working.columns[: len(at[1])], at[1]
            )  # fmt: skip
            if rows is not None and columns is not None:
                compared = self.value_at(self.before, measure, level, (rows, columns), coin or "")
        return Cell(value, compared, self._share(value, self.value_at(self.now, measure, (0, level[1]), ((), at[1]),
                                                                      coin or "")))  # fmt: skip

    def _share(self, value: Value, total: Value) -> Decimal | None:
        share = quotient(value, total) if self.question.share else None
        return share if isinstance(share, Decimal) else None

    def _row_totals(self, rows: Sequence[Keys]) -> dict[tuple[int, str], Cell]:
        depth = len(self.working.rows)
        return {
            (row, measure.name): self._total(measure, (depth, False), (keys, ()), self._coin)
            for row, keys in enumerate(rows)
            for measure in self.working.measures
            if not (self.several and self.coined(measure))
        }

    def _subtotals(
        self, rows: Sequence[Keys], shown: Sequence[tuple[Keys, str | None]]
    ) -> dict[tuple[Keys, int, str], Cell]:
        whole = bool(self.working.columns)
        return {
            (head, column, measure.name): self._total(measure, (depth, whole), (head, keys), coin)
            for depth in range(1, len(self.working.rows))
            for head in dict.fromkeys(row[:depth] for row in rows)
            for column, (keys, coin) in enumerate(shown)
            for measure in self.working.measures
            if self._belongs(measure, coin)
        }

    def _heading(self, axes: Sequence[Axis], keys: Keys, coin: str | None = "") -> Heading:
        heading = tuple(self.members(axis, [key])[key] for axis, key in zip(axes, keys, strict=True))
        if self.several and (coin is None or coin in self.coins):
            return (*heading, Member(coin or "", coin or ""))
        return heading

    def _info(self, measure: Measure) -> MeasureInfo:
        currency = self._coin if self.coined(measure) and measure.kind == "money" and not self.several else ""
        return info_of(measure, currency)

    def _note(self) -> str:
        if self.working.earlier is None:
            return ""
        formats = formats_of(self.working.reader)
        first, last = self.working.earlier
        return _("Compared with %(first)s to %(last)s.", first=formats.date(first), last=formats.date(last))


def info_of(measure: Measure, currency: str = "") -> MeasureInfo:
    """A measure as it is shown."""
    help_text = _(measure.help) if measure.help else ""
    return MeasureInfo(measure.name, _(measure.title), measure.kind, currency, measure.better, help_text)


def _later(day: dt.date, months: int) -> dt.date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return day.replace(year=year, month=month + 1)


def _ordinal(value: Any) -> Any:
    """A date's place in time as a number; months of other calendars are texts that sort by time."""
    if value is None:
        return 0
    if isinstance(value, dt.date):
        return value.toordinal()
    return int(value.replace("-", "")) if isinstance(value, str) else value


def _backwards(title: str) -> list[int]:
    return [-ord(letter) for letter in title]
