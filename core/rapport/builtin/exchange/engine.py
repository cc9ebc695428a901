"""The work of an import: a chunk of the file's rows becomes records, in one transaction, each row accounted for."""

from __future__ import annotations

import copy
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import select, tuple_

from rapport.access import Actor, row_scope
from rapport.builtin.exchange.cells import Cells, is_blank, shown
from rapport.builtin.exchange.lookups import Lookup, make_missing
from rapport.builtin.exchange.readers import BadRow, Table
from rapport.builtin.exchange.runs import RowProblem, Run
from rapport.contributions import ImportStep
from rapport.db.batches import batched
from rapport.entities import Entity, Field, column_of
from rapport.entities.base import read_extensions
from rapport.errors import Conflict, Forbidden, Invalid, NotFound, Problem, Stale
from rapport.i18n.catalogs import _
from rapport.query.fold import fold
from rapport.records import Reader, Unit
from rapport.records.bulk import Bulk
from rapport.records.unit import assign

if TYPE_CHECKING:
    from rapport.site import Site

CHUNK = 2000
"""Rows of one transaction: few enough that others wait no longer than a blink, enough that batches pay."""
REFUSALS = (Invalid, Conflict, Forbidden, NotFound, Stale)
LOOKED_UP = {"reference", "choice"}


@dataclass(slots=True)
class FileRow:
    """A row on its way: what it says of each field, and what is wrong with it."""

    line: int
    state: dict[str, Any]
    problems: list[RowProblem] = field(default_factory=list)
    pending: dict[str, str] = field(default_factory=dict)
    """References still as text."""
    match: UUID | None = None


@dataclass(slots=True)
class Outcome:
    """What became of the rows of a chunk."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    refused: int = 0
    added: int = 0
    line: int = 0
    problems: list[RowProblem] = field(default_factory=list)
    unknown: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Every row that was taken from the file."""
        return self.created + self.updated + self.unchanged + self.skipped + self.refused


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the file and what it becomes."""

    position: int
    target: str
    field: Field
    part: str
    """Of an address."""


class Seen:
    """Keys met so far while nothing is kept: on disk, so that the size of the file does not matter."""

    def __init__(self) -> None:
        self._kept = sqlite3.connect("", isolation_level=None)
        self._kept.execute("CREATE TABLE seen (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self._kept.execute("BEGIN")

    def has(self, *key: Any) -> bool:
        """Whether the key was added before."""
        return self._kept.execute("SELECT 1 FROM seen WHERE key = ?", (repr(key),)).fetchone() is not None

    def add(self, keys: Iterable[tuple[Any, ...]]) -> None:
        """Remember keys."""
        self._kept.executemany("INSERT OR IGNORE INTO seen VALUES (?)", ((repr(key),) for key in keys))

    def close(self) -> None:
        """Let the file go."""
        self._kept.close()


class Importer:
    """Takes a run's file chunk by chunk. Made anew for each start; `rehearse` says that nothing will be kept."""

    def __init__(self, site: Site, actor: Actor, run: Run, table: Table, *, rehearse: bool = False) -> None:
        self.site = site
        self.actor = actor
        self.run = run
        self.table = table
        self.entity: Any = site.entities[run.entity]
        self.meta = site.meta(self.entity)
        options = run.options
        self.cells = Cells(
            options.get("language") or actor.language, actor.calendar or None,  # type: ignore[arg-type]
            actor.time_zone, options.get("dates", ""),
        )  # fmt: skip
        self.columns = self._columns()
        self.lookups = {
            each.field.name: Lookup(site, self.meta, each.field) for each in self.columns
            if each.field.kind == "reference" and each.target != "id"
        }  # fmt: skip
        self.choices = {each.field.name: _choices(each.field) for each in self.columns if each.field.kind == "choice"}
        self.own = {name for name, lookup in self.lookups.items() if lookup.meta.name == self.meta.name}
        self.steps = chosen_steps(site, actor, run)
        self.constants: dict[str, Any] = {}
        self.required = [f for f in self.meta.writable if f.required]
        self.unique = [
            f for f in self.meta.fields.values() if f.unique and f.name in {c.field.name for c in self.columns}
        ]
        self.seen = Seen() if rehearse else None
        self._made: set[tuple[str, str]] = set()
        self._prepared = False

    def close(self) -> None:
        """Give back what it held."""
        if self.seen is not None:
            self.seen.close()

    def chunks(self, skip: int) -> Iterator[Sequence[Any]]:
        """The records of the file after so many, as many as go into one transaction."""
        return batched(self.table.iter_lists(skip), CHUNK)

    def prepare(self, unit: Unit) -> None:
        """Read what holds for all rows, once: the constants."""
        if self._prepared:
            return
        self._prepared = True
        own = {name: text for name, text in self.run.constants.items() if "." not in name}
        fields = [self.meta.fields[name] for name in own if name in self.meta.fields]
        problems = []
        for each in fields:
            if each.target:
                lookup = self.lookups.get(each.name) or Lookup(self.site, self.meta, each)
                lookup.find(unit.reader, [own[each.name]])
                value = lookup.of(own[each.name])
                found, errors = [value], {} if isinstance(value, UUID) else {0: value or _("is not known.")}
            elif each.kind == "choice":
                known = _choices(each).get(fold(own[each.name]))
                found, errors = [known], {} if known is not None else {0: _must_be(each)}
            else:
                found, errors = self.cells.read(each, [own[each.name]])
            problems += [Problem(each.name, message) for message in errors.values()]
            self.constants[each.name] = found[0]
        if problems:
            raise Invalid(problems)

    def take(self, unit: Unit, chunk: Sequence[Any]) -> Outcome:
        """Turn a chunk into records, within the caller's transaction."""
        self.prepare(unit)
        outcome = Outcome()
        rows: list[FileRow] = []
        for record in chunk:
            if isinstance(record, BadRow):
                outcome.refused += 1
                outcome.problems.append(RowProblem(record.line, "", record.raw, "unreadable", record.reason))
        rows = self.read([record for record in chunk if not isinstance(record, BadRow)])
        self.apply_steps(unit.reader, rows)
        for segment in self._segments(rows):
            self._take_segment(unit, segment, outcome)
        outcome.line = chunk[-1].line if isinstance(chunk[-1], BadRow) else chunk[-1][0]
        return outcome

    # Reading ---------------------------------------------------------------------------------------------------------

    def _columns(self) -> list[Column]:
        positions = {name: position for position, name in enumerate(self.table.columns)}
        found = []
        for column, target in self.run.mapping.items():
            name, _dot, part = target.partition(".")
            if column in positions:
                found.append(Column(positions[column], target, self.meta.fields[name], part))
        return found

    def read(self, records: Sequence[tuple[int, list[Any]]]) -> list[FileRow]:  # noqa: PLR0912
        """Rows as they say it themselves; references are still texts."""
        if not records:
            return []
        width = len(self.table.columns)
        values = [record[1] if len(record[1]) == width else _fitted(record[1], width) for record in records]
        by_column = list(zip(*values, strict=True))
        plain: list[tuple[str, list[Any]]] = []
        parts: list[tuple[Column, list[Any]]] = []
        problems: dict[int, list[RowProblem]] = {}
        currencies: dict[str, list[str | None]] = {}
        pending: list[tuple[str, list[Any]]] = []
        unknown: list[tuple[str, dict[int, str]]] = []
        for column in self.columns:
            cells = by_column[column.position]
            decisions = self.run.decisions.get(column.target)
            if decisions:
                cells = self._decided(decisions, column, cells, problems, records)  # type: ignore[assignment]
            found, errors = self._read_column(column, cells, currencies)
            for at, message in errors.items():
                problems.setdefault(at, []).append(
                    RowProblem(records[at][0], column.target, shown(cells[at]), "value", message)
                )
            if column.part:
                parts.append((column, found))
            elif column.field.name in self.lookups:
                pending.append((column.field.name, found))
            elif column.field.name in self.choices:
                plain.append((column.field.name, self._chosen(column.field.name, found, unknown)))
            else:
                plain.append((column.field.name, found))
        for name, found in currencies.items():
            if any(found) and name not in {each for each, _values in plain}:
                plain.append((name, found))
        rows = self._as_rows([record[0] for record in records], plain)
        for column, found in parts:
            for row, value in zip(rows, found, strict=True):
                if value is not None:
                    row.state.setdefault(column.field.name, {})[column.part] = value
        for name, found in pending:
            for row, text in zip(rows, found, strict=True):
                if text is not None:
                    row.pending[name] = text
        for at, wrong in problems.items():
            rows[at].problems += wrong
        for name, texts in unknown:
            message = _must_be(self.meta.fields[name])
            for at, text in texts.items():
                rows[at].problems.append(RowProblem(rows[at].line, name, text, "unknown", message))
        return rows

    def _as_rows(self, lines: Sequence[int], plain: Sequence[tuple[str, list[Any]]]) -> list[FileRow]:
        if not plain:
            return [FileRow(line, {}) for line in lines]
        names = [name for name, _values in plain]
        return [
            FileRow(line, {name: value for name, value in zip(names, values, strict=True) if value is not None})
            if None in values else FileRow(line, dict(zip(names, values, strict=True)))
            for line, values in zip(lines, zip(*(values for _name, values in plain), strict=True), strict=True)
        ]  # fmt: skip

    def _read_column(
        self, column: Column, cells: Sequence[Any], currencies: dict[str, list[str | None]]
    ) -> tuple[list[Any], dict[int, str]]:
        if column.part:
            return self.cells.read(_part_field(column), cells)
        if column.target == "id":
            return _ids(cells)
        if column.field.kind == "money" and column.field.currency in self.meta.fields:
            named = currencies.setdefault(column.field.currency, [None] * len(cells))  # type: ignore[arg-type]
            return self.cells.amounts(column.field, cells, named)
        return self.cells.read(column.field, cells)

    def _decided(
        self, decisions: Mapping[str, Mapping[str, str]], column: Column, cells: Sequence[Any],
        problems: dict[int, list[RowProblem]], records: Sequence[tuple[int, list[Any]]],
    ) -> list[Any]:  # fmt: skip
        """The cells as a person said they are to be read."""
        found = list(cells)
        for at, cell in enumerate(cells):
            text = cell.strip() if isinstance(cell, str) else shown(cell)
            decision = decisions.get(text)
            if decision is None:
                continue
            match decision["do"]:
                case "use":
                    found[at] = decision.get("to", "")
                case "empty":
                    found[at] = None
                case "refuse":
                    found[at] = None
                    problems.setdefault(at, []).append(
                        RowProblem(records[at][0], column.target, text, "value", _("is to be refused, as decided."))
                    )
        return found

    def _chosen(self, name: str, found: list[Any], unknown: list[tuple[str, dict[int, str]]]) -> list[Any]:
        """The values behind what people write for them; where there is none, None, and perhaps a problem."""
        known = {text: self.choices[name].get(fold(text)) for text in set(found) if text is not None}
        if None in known.values() and self.run.on_missing.get(name, "refuse") != "empty":
            unknown.append((name, {at: text for at, text in enumerate(found) if text and known[text] is None}))
        return [known.get(text) for text in found]

    # Steps of plugins ------------------------------------------------------------------------------------------------

    def apply_steps(self, reader: Reader, rows: Sequence[FileRow]) -> None:
        """Have the chosen steps look over the rows that are sound so far. References are not looked up yet."""
        for owner, step in self.steps:
            sound = [row for row in rows if not row.problems]
            if not sound:
                return
            before = copy.deepcopy([row.state for row in sound])

            def work(step: ImportStep = step, sound: list[FileRow] = sound) -> dict[int, list[Problem]]:
                found = step.run(reader, [row.state for row in sound])
                return {range(len(sound))[at]: list(problems) for at, problems in (found or {}).items()}

            found = self.site.hooks.required(owner, f"the import step {step.name}", work)
            for at, problems in found.items():
                line = sound[at].line
                sound[at].problems += [RowProblem(line, p.field or "", "", "rule", _(p.message)) for p in problems]
            for row, old in zip(sound, before, strict=True):
                self._read_again(row, old)

    def _read_again(self, row: FileRow, old: Mapping[str, Any]) -> None:
        """What a step changed must be what its field takes, like anything that is put in."""
        for name, value in list(row.state.items()):
            if name in old and old[name] == value:
                continue
            f = self.meta.fields.get(name)
            try:
                if f is None or f.readonly:
                    raise ValueError(_("is no field of this kind of record."))
                row.state[name] = f.load(value)
            except ValueError as error:
                row.problems.append(RowProblem(row.line, name, shown(value), "value", str(error)))

    # Segments: rows that do not build on each other --------------------------------------------------------------------  # noqa: E501

    def _segments(self, rows: Sequence[FileRow]) -> Iterator[list[FileRow]]:
        """Rows up to one that matches, or points at, an earlier one of them: that one must be saved first."""
        if not (self.run.match_by or self.own):
            if rows:
                yield list(rows)
            return
        segment: list[FileRow] = []
        keys: set[Any] = set()
        titles: set[str] = set()
        for row in rows:
            key = self._key(row)
            refers = any(fold(row.pending[name]) in titles for name in self.own if name in row.pending)
            if (key is not None and key in keys) or refers:
                yield segment
                segment, keys, titles = [], set(), set()
            segment.append(row)
            keys.add(key)
            if self.own:
                titles.add(fold(str(row.state.get(self.meta.display) or self._spelled(row))))
        if segment:
            yield segment

    def _spelled(self, row: FileRow) -> str:
        return " ".join(str(row.state[name]) for name in ("given_name", "family_name") if name in row.state)

    def _key(self, row: FileRow) -> tuple[Any, ...] | None:
        """What identifies the row among the records; None when a part of it is blank."""
        if not self.run.match_by:
            return None
        values = tuple(row.state.get(name, row.pending.get(name)) for name in self.run.match_by)
        return None if any(value is None for value in values) else values

    def _take_segment(self, unit: Unit, rows: Sequence[FileRow], outcome: Outcome) -> None:  # noqa: PLR0912
        if not rows:
            return
        if self.own:
            for name in self.own:
                self.lookups[name].forget_strangers()
        self._refer(unit, rows, outcome)
        sound = [row for row in rows if not row.problems]
        self._match(unit, sound)
        new, known = [], []
        for row in sound:
            if row.problems:
                continue
            key = self._key(row)
            met = key is not None and self.seen is not None and row.match is None and self.seen.has("match", *key)
            if row.match is None and not met:
                new.append(row)
            elif self.run.on_match == "skip":
                outcome.skipped += 1
            elif self.run.on_match == "refuse":
                row.problems.append(RowProblem(row.line, "", "", "match", _("There is a record like this already.")))
            elif met:
                outcome.updated += 1  # of one that this very file brings
            else:
                known.append(row)
        outcome.created += self._create(unit, new)
        updated, unchanged = self._update(unit, known)
        outcome.updated += updated
        outcome.unchanged += unchanged
        for row in rows:
            if row.problems:
                outcome.refused += 1
                outcome.problems += row.problems
                self._count_unknown(row, outcome)
        if self.seen is not None:
            self._remember(rows)

    def _count_unknown(self, row: FileRow, outcome: Outcome) -> None:
        """Count what a person may settle for many rows at once. A blank cell is a value too where there must be one."""
        for problem in row.problems:
            blank = problem.code == "missing" and not problem.value and problem.field in self.lookups
            if problem.code == "unknown" or blank:
                rows, line = outcome.unknown.get((problem.field, problem.value), (0, row.line))
                outcome.unknown[problem.field, problem.value] = (rows + 1, line)

    def _remember(self, rows: Sequence[FileRow]) -> None:
        """What a rehearsal would have kept, so that later rows find it."""
        assert self.seen is not None
        sound = [row for row in rows if not row.problems]
        if self.run.match_by:
            self.seen.add(("match", *key) for row in sound if (key := self._key(row)) is not None)
        for each in self.unique:
            self.seen.add((each.name, row.state[each.name]) for row in sound if each.name in row.state)
        if self.own:
            self.seen.add(("title", fold(str(row.state.get(self.meta.display) or self._spelled(row)))) for row in sound)

    # References ------------------------------------------------------------------------------------------------------

    def _refer(self, unit: Unit, rows: Sequence[FileRow], outcome: Outcome) -> None:
        for name, lookup in self.lookups.items():
            asked = Counter(row.pending[name] for row in rows if name in row.pending)
            lookup.find(unit.reader, asked)
            policy = self.run.on_missing.get(name, "refuse")
            decisions = self.run.decisions.get(name, {})
            failed: dict[str, str] = {}
            for text in asked:
                wish = decisions.get(text, {}).get("do") or policy
                if lookup.of(text) is None and wish == "create":
                    self._make(unit, lookup, text, failed, outcome)
            for row in rows:
                text = row.pending.get(name)  # type: ignore[assignment]
                if text is None:
                    continue
                found = lookup.of(text)
                if isinstance(found, UUID):
                    row.state[name] = found
                elif isinstance(found, str):
                    row.problems.append(RowProblem(row.line, name, text, "value", found))
                elif text in failed:
                    row.problems.append(RowProblem(row.line, name, text, "missing", failed[text]))
                elif self.seen is not None and name in self.own and self.seen.has("title", fold(text)):
                    continue  # an earlier row of this file brings it
                elif policy != "empty" or not lookup.field.nullable:
                    self._unknown(name, text, row)

    def _make(self, unit: Unit, lookup: Lookup, text: str, failed: dict[str, str], outcome: Outcome) -> None:
        prefix = f"{lookup.field.name}."
        constants = {
            name.removeprefix(prefix): value for name, value in self.run.constants.items() if name.startswith(prefix)
        }
        try:
            with unit.session.begin_nested():
                record = make_missing(unit, lookup, text, constants)
        except REFUSALS as error:
            failed[text] = _("cannot be made: %(reason)s", reason=str(error))
            return
        lookup.remember(text, record.id)
        if self.seen is None or (lookup.field.name, text) not in self._made:
            outcome.added += 1
        self._made.add((lookup.field.name, text))

    def _unknown(self, name: str, text: str, row: FileRow) -> None:
        target = _(self.lookups[name].meta.title).lower()
        row.problems.append(
            RowProblem(row.line, name, text, "unknown", _("is not the name of a %(kind)s we know.", kind=target))
        )

    # Matching --------------------------------------------------------------------------------------------------------

    def _match(self, unit: Unit, rows: Sequence[FileRow]) -> None:
        names = self.run.match_by
        keyed = [(row, key) for row in rows if (key := self._key(row)) is not None]
        if not keyed:
            return
        columns = [column_of(self.entity, self.meta.fields[name]) for name in names]
        found: dict[Any, list[UUID]] = {}
        for keys in batched(dict.fromkeys(key for _row, key in keyed)):
            statement = select(self.entity.id, *columns)
            if len(columns) == 1:
                statement = statement.where(columns[0].in_([key[0] for key in keys]))
            else:
                statement = statement.where(tuple_(*columns).in_(keys))
            if names != ["id"]:
                statement = statement.where(self.entity.archived_at.is_(None))
            for record_id, *key in unit.session.execute(statement):  # type: ignore[assignment]
                found.setdefault(tuple(key), []).append(record_id)  # type: ignore[arg-type]
        for row, key in keyed:
            ids = found.get(key, [])
            if len(ids) == 1:
                row.match = ids[0]
            elif ids:
                text = _("%(count)s records are like this: which one is meant?", count=len(ids))
                row.problems.append(RowProblem(row.line, "", "", "match", text))

    # Writing ---------------------------------------------------------------------------------------------------------

    def _create(self, unit: Unit, rows: Sequence[FileRow]) -> int:
        built: list[tuple[FileRow, Entity]] = []
        taken = self._taken(unit, rows)
        # The records that rows point at, held so that `complete` finds them without asking for each.
        held = self._hold(unit, rows)
        bulk = Bulk(unit, self.entity)
        for row in rows:
            state = {**self.constants, **row.state} if self.constants else row.state
            if self._lacking(row, state) or self._is_taken(row, taken):
                continue
            try:
                record, problems = bulk.build(state)
            except REFUSALS as error:
                self._refuse(row, error)
                continue
            if problems:
                row.problems += [RowProblem(row.line, p.field or "", "", "rule", p.message) for p in problems]
                continue
            built.append((row, record))
        bulk.settle()
        self._in_halves(unit, built, lambda part: self._insert(unit, part, bulk))
        del held
        made = [record for row, record in built if not row.problems]
        if self.seen is None:
            bulk.log(made)
        return len(made)

    def _lacking(self, row: FileRow, state: Mapping[str, Any]) -> bool:
        if not self.required:
            return False
        lacking = [f for f in self.required if state.get(f.name) is None]
        row.problems += [RowProblem(row.line, f.name, "", "missing", _("is missing.")) for f in lacking]
        return bool(lacking)

    def _taken(self, unit: Unit, rows: Sequence[FileRow]) -> dict[str, set[Any]]:
        """Of fields that only one record may have: the values that another has already, whoever may see it."""
        taken: dict[str, set[Any]] = {}
        for each in self.unique:
            values = [row.state[each.name] for row in rows if each.name in row.state]
            column = self.entity.__table__.c[each.name]
            taken[each.name] = set()
            for some in batched(values):
                statement = select(column).where(column.in_(some))
                taken[each.name] |= set(unit.session.connection().scalars(statement))
        return taken

    def _is_taken(self, row: FileRow, taken: dict[str, set[Any]]) -> bool:
        if not taken:
            return False
        for name, values in taken.items():
            value = row.state.get(name)
            if value is None:
                continue
            if value in values or (self.seen is not None and self.seen.has(name, value)):
                text = _("is already used by another %(kind)s.", kind=_(self.meta.title).lower())
                row.problems.append(RowProblem(row.line, name, shown(value), "conflict", text))
                return True
        for name, values in taken.items():
            if name in row.state:
                values.add(row.state[name])
        return False

    def _hold(self, unit: Unit, rows: Sequence[FileRow]) -> list[Any]:
        if self.entity.complete is Entity.complete:
            return []
        held: list[Any] = []
        for name, lookup in self.lookups.items():
            for ids in batched({row.state[name] for row in rows if name in row.state}):
                held += unit.session.scalars(select(lookup.target).where(lookup.target.id.in_(ids)))
        return held

    def _insert(self, unit: Unit, part: Sequence[tuple[FileRow, Entity]], bulk: Bulk) -> None:
        bulk.insert([record for _row, record in part])
        scope = row_scope(self.entity, self.actor, "create")
        if scope is None:
            return
        ids = [record.id for _row, record in part]
        statement = select(self.entity.id).where(self.entity.id.in_(ids), scope)
        within = set(unit.session.scalars(statement, execution_options={"rapport_scoped": True}))
        if len(within) < len(ids):
            raise Forbidden(
                self.meta.permission("create"), _("Your role lets you make only your own or your team’s records.")
            )

    def _update(self, unit: Unit, rows: Sequence[FileRow]) -> tuple[int, int]:
        """Change what differs; returns how many were changed and how many were as the file says already."""
        if not rows:
            return 0, 0
        records = self._to_change(unit, rows)
        changing: list[tuple[FileRow, dict[str, Any]]] = []
        unchanged = 0
        for row in rows:
            record = records.get(row.match)  # type: ignore[arg-type]
            if record is None:
                text = _("Your role does not let you change this record.")
                row.problems.append(RowProblem(row.line, "", "", "match", text))
            elif changes := _differences(record, row.state):
                changing.append((row, changes))
            else:
                unchanged += 1

        def change(part: Sequence[tuple[FileRow, dict[str, Any]]]) -> None:
            for row, changes in part:
                for name, value in changes.items():
                    assign(records[row.match], name, value)  # type: ignore[index]
            unit.flush()

        self._in_halves(unit, changing, change)
        return sum(1 for row, _changes in changing if not row.problems), unchanged

    def _to_change(self, unit: Unit, rows: Sequence[FileRow]) -> dict[UUID, Any]:
        self.actor.require(self.meta.permission("update"))
        scope = row_scope(self.entity, self.actor, "update")
        found: dict[UUID, Any] = {}
        for ids in batched(row.match for row in rows):
            statement = select(self.entity).where(self.entity.id.in_(ids))
            if scope is not None:
                statement = statement.where(scope)
            records = list(unit.session.scalars(statement))
            read_extensions(unit.session, records)
            found |= {record.id: record for record in records}
        return found

    def _in_halves(self, unit: Unit, items: Sequence[Any], act: Callable[[Sequence[Any]], None]) -> None:
        """Do all together; where that is refused, the halves by themselves, down to the row that is to blame."""
        if not items:
            return
        try:
            with unit.session.begin_nested():
                act(items)
        except REFUSALS as error:
            if len(items) == 1:
                self._refuse(items[0][0], error)
                return
            middle = len(items) // 2
            self._in_halves(unit, items[:middle], act)
            self._in_halves(unit, items[middle:], act)

    def _refuse(self, row: FileRow, error: Exception) -> None:
        if isinstance(error, Invalid):
            row.problems += [RowProblem(row.line, p.field or "", "", "rule", p.message) for p in error.problems]
        else:
            row.problems.append(RowProblem(row.line, getattr(error, "field", "") or "", "", "conflict", str(error)))


def chosen_steps(site: Site, actor: Actor, run: Run) -> list[tuple[str, ImportStep]]:
    """The steps that were switched on for an import, each with its plugin; Invalid when one is not there any more."""
    offered = {step.name: step for step in steps_for(site, actor, run.entity)}
    names = run.options.get("steps") or []
    if missing := [name for name in names if name not in offered]:
        text = _("The step “%(name)s” is not there any more. Decide on the columns again.", name=missing[0])
        raise Invalid(Problem(None, text))
    return [(site.import_steps.owner(f"{run.entity}:{name}"), offered[name]) for name in names]


def steps_for(site: Site, actor: Actor, entity: str) -> list[ImportStep]:
    """The steps that plugins offer for imports of an entity."""
    return [
        step for step in site.import_steps if step.entity == entity and (step.needs is None or actor.may(step.needs))
    ]


def _choices(f: Field) -> dict[str, str]:
    """What people write for each choice, folded: its value, its label, its label in their language."""
    known: dict[str, str] = {}
    for choice in f.choices:
        for text in (choice.value, choice.label, _(choice.label)):
            known.setdefault(fold(text), choice.value)
    return known


def _must_be(f: Field) -> str:
    return _("must be one of %(allowed)s.", allowed=", ".join(_(choice.label) for choice in f.choices if choice.value))


def _differences(record: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    changes = {}
    for name, value in state.items():
        old = getattr(record, name)
        if isinstance(value, dict):
            value = {**(old or {}), **value}  # noqa: PLW2901 - an address keeps the parts that the file does not tell
        if old != value:
            changes[name] = value
    return changes


def _ids(cells: Sequence[Any]) -> tuple[list[Any], dict[int, str]]:
    values: list[Any] = [None] * len(cells)
    errors: dict[int, str] = {}
    for at, cell in enumerate(cells):
        if is_blank(cell):
            continue
        try:
            values[at] = UUID(str(cell).strip())
        except ValueError:
            errors[at] = _("is not an id of Rapport. Leave the column out, or choose another field for it.")
    return values, errors


def _part_field(column: Column) -> Field:
    return Field(column.target, column.target, "text", max_length=column.field.max_length)


def _fitted(values: list[Any], width: int) -> list[Any]:
    """JSON and cards may bring columns only after the beginning; those are told, and left out."""
    return (values + [None] * width)[:width]
