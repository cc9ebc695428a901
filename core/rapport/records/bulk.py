"""New records by the thousand, such as an import brings.

Each is made and asked about as in `Unit.build`, where what is the same for all is worked out once; they are saved,
logged and indexed column by column.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection, func, insert, inspect, select

from rapport import hookspecs
from rapport.access.actors import ADMINISTRATIVE
from rapport.db.batches import batched
from rapport.db.engine import insert_columns, is_one
from rapport.entities import Entity, Extension, Field, table_of, utcnow, uuid7s
from rapport.entities.custom import PREFIX
from rapport.entities.fields import KINDS
from rapport.errors import Problem
from rapport.query.search import index_new
from rapport.records.log import change_log, delivery_table, keep_order
from rapport.records.unit import (
    _UNLOGGED,
    MAX_DEPTH,
    TOLD_AS,
    Change,
    _column_names,
    _defaults,
    _extensions_of,
    _has_follow_up,
    _noun_hooks,
    searchable_names,
)

if TYPE_CHECKING:
    from rapport.records.unit import Unit

NOTHING: tuple[Any, ...] = ("", (), {})
"""What the log leaves out of a new record, beside None."""


class Bulk:
    """Makes records of one kind within a unit of work. They do not enter its session."""

    def __init__(self, unit: Unit, entity: type[Entity]) -> None:
        self.unit = unit
        self.entity = entity
        self.name = entity.meta.name
        self.meta = unit.site.meta(entity)
        self.places = unit.site.extended.get(self.name)
        self._new: Callable[[], Any] = inspect(entity).class_manager.new_instance
        constants, makers = _defaults(entity)
        moments = {name for name, _make in makers if name != "id" and self._is_moment(name)}
        self._same = constants | {name: make() for name, make in makers if name in moments}
        self._makers = [(name, make) for name, make in makers if name != "id" and name not in moments]
        self._custom = {f.name: f.default for f in self.meta.custom if f.default is not None}
        hooks = unit.site.hooks
        prepare, validate = _noun_hooks(self.name)
        self._prepare = prepare if prepare is not None and hooks.implementations(prepare) else None
        self._validate = validate if validate is not None and hooks.implementations(validate) else None
        self._chosen = self.meta.owned and hooks.concern(hookspecs.assign_owner, entity)
        self._followed = _has_follow_up(entity)
        self._plain = False
        """Whether all that a write leaves can be written from here: not where rights or messages depend on it."""
        self._ids: list[UUID] = []
        self._inserted: tuple[Sequence[Any], dict[str, Sequence[Any]]] = ((), {})

    def _is_moment(self, name: str) -> bool:
        return name in self.meta.fields and self.meta.fields[name].kind == "instant"

    # Making ----------------------------------------------------------------------------------------------------------

    def build(self, values: Mapping[str, Any]) -> tuple[Any, list[Problem]]:
        """As `Unit.build`: a prepared and validated record that is not yet saved, and what is wrong with it."""
        unit, record = self.unit, self._new()
        state = vars(record)
        state.update(self._same)
        state["id"] = self._next_id()
        for name, make in self._makers:
            state[name] = make()
        if self.meta.custom:
            state["custom"] = {**self._custom, **{n: value for n, value in values.items() if n.startswith(PREFIX)}}
            values = {name: value for name, value in values.items() if not name.startswith(PREFIX)}
        problems = []
        if self.places is not None:
            problems = unit._build_extensions(record, self.places, state, values)
            values = {name: value for name, value in values.items() if name not in self.places}
        state.update(values)
        if self.meta.owned and not state.get("owner_id"):
            state["owner_id"] = self._owner(record) or unit.actor.id
        for step in unit.site.build_steps:
            problems += step(unit, record)
        if self._prepare is not None:
            unit.site.hooks.run(self._prepare, **self._asked(record))
        record.complete(unit.session)
        record.prepare()
        problems += record.validate()
        if self._validate is not None:
            problems += unit.site.hooks.collect(self._validate, **self._asked(record))
        return record, problems

    def _next_id(self) -> UUID:
        if not self._ids:
            self._ids = uuid7s(100)[::-1]
        return self._ids.pop()

    def _owner(self, record: Any) -> UUID | None:
        if not self._chosen:
            return None
        return self.unit.site.hooks.first(hookspecs.assign_owner, record=record, session=self.unit.session)

    def _asked(self, record: Any) -> dict[str, Any]:
        return {self.name: record, "session": self.unit.session}

    # Saving ----------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Say that the records are built: what the unit changed before is logged first, so that the order stays."""
        unit, told = self.unit, TOLD_AS.get(f"{self.name}_created", "")
        unit.flush()
        kinds = {self.name, *(change.entity.meta.name for change in unit._changes)}
        self._plain = not self._followed and told != "message_status_changed" and kinds.isdisjoint(ADMINISTRATIVE)
        if self._plain:
            unit._write_log()
            unit._changes.clear()
            unit._followed = 0

    def insert(self, records: Sequence[Any]) -> None:
        """Save built records. `log` is still to be told of those that stay."""
        unit = self.unit
        unit.actor.require(self.meta.permission("create"))
        if self._followed:  # what follows changes the records themselves: they enter the session, as any single one
            unit._seen.update(map(id, records))
            unit.session.add_all(records)
            unit.flush()
            unit.session.add_all([row for record in records for row in _extensions_of(record)])
            unit.flush()
            return
        if not self._plain:
            unit.insert_many(records)
            return
        columns = self._columns(records)
        self._inserted = records, columns
        unit._guarded(lambda: insert_columns(unit.session.connection(), table_of(self.entity), columns))
        rows: dict[type[Extension], list[Entity]] = {}
        if self.places is not None:
            for row in [row for record in records for row in _extensions_of(record)]:
                rows.setdefault(type(row), []).append(row)
        for each in rows.values():
            unit._insert(each)

    def log(self, records: Sequence[Any]) -> None:
        """Write what a write leaves in the log and in the search, where the unit does not do so as it ends.

        Not within a savepoint: in one, SQLite notes anew for each row of the search what it would have to take back.
        """
        if not (records and self._plain):
            return
        unit, connection, now, count = self.unit, self.unit.session.connection(), utcnow(), len(records)
        columns = self._inserted[1] if self._inserted[0] == records else self._columns(records)
        ids = columns["id"]
        keep_order(connection)
        listened = unit._listeners(Change(self.entity, None, "created"))
        before = connection.scalar(select(func.max(change_log.c.seq))) or 0 if listened else 0
        same = {"at": now, "actor_id": unit.actor.id, "actor": unit.actor.name, "via": unit.actor.via,
                "entity": self.name, "action": "created", "batch_id": unit.batch, "depth": unit.depth}  # fmt: skip
        insert_columns(
            connection, change_log,
            {**{name: [value] * count for name, value in same.items()}, "record_id": ids,
             "version": columns["version"], "changes": self._changes(records, columns)},
            ready={"changes"},
        )  # fmt: skip
        if listened and unit.depth < MAX_DEPTH:
            self._tell(connection, listened, ids, before)
        if searchable := searchable_names(self.meta):
            said = [_said(_values(name, records, columns)) for name in searchable]
            texts = ["\n".join(filter(None, each)) for each in zip(*said, strict=True)]
            index_new(connection, self.name, ids, texts)

    def _tell(
        self, connection: Connection, listened: tuple[str, Sequence[str]], ids: Sequence[UUID], before: int
    ) -> None:
        hook, plugins = listened
        log, seqs = change_log.c, list[int]()
        for some in batched(ids):
            mine = (log.entity == self.name, log.record_id.in_(some), log.seq > before)
            seqs += connection.scalars(select(log.seq).where(*mine))
        same = {"hook": hook, "arguments": {}, "depth": self.unit.depth + 1, "due_at": utcnow()}
        connection.execute(
            insert(delivery_table), [{**same, "plugin": name, "seq": seq} for seq in sorted(seqs) for name in plugins]
        )

    def _columns(self, records: Sequence[Any]) -> dict[str, Sequence[Any]]:
        names = _column_names(self.entity)
        return dict(zip(names, zip(*map(itemgetter(*names), map(vars, records)), strict=True), strict=True))

    def _changes(self, records: Sequence[Any], columns: Mapping[str, Sequence[Any]]) -> list[str]:
        """What each record holds, as changes from nothing, in JSON; empty values are left out."""
        told = [f for f in self.meta.visible if f.name not in _UNLOGGED]
        parts = [part for f in told if any(part := _told(f, _values(f.name, records, columns)))]
        return [f"{{{', '.join(filter(None, each))}}}" for each in zip(*parts, strict=True)] or ["{}"] * len(records)


def _values(name: str, records: Sequence[Any], columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
    """One field of all records; custom fields and those of extensions have no column."""
    return columns[name] if name in columns else [getattr(record, name) for record in records]


def _told(f: Field, values: Sequence[Any]) -> list[str]:
    """What stands of one field in each record's changes."""
    head, dump, quoted = f"{encode_basestring_ascii(f.name)}: [null, ", KINDS[f.kind].dump, encode_basestring_ascii

    def told(value: Any) -> str:
        if value is None or (not value and value in NOTHING):
            return ""
        kept = value if dump is None else dump(value)
        return f"{head}{quoted(kept) if type(kept) is str else json.dumps(kept)}]"

    if is_one(values):
        return [told(values[0])] * len(values)
    if dump is None and set(map(type, values)) == {str}:
        return [f"{head}{quoted(value)}]" if value else "" for value in values]
    return [told(value) for value in values]


def _said(values: Sequence[Any]) -> Sequence[str]:
    """The words of one field in each record."""
    if set(map(type, values)) == {str}:
        return values
    return [" ".join(value) if isinstance(value, tuple) else str(value or "") for value in values]
