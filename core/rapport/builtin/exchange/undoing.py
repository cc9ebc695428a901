"""Taking a batch of changes back, such as an import: what people changed since stays, and is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import func, select

from rapport.builtin.exchange.runs import RowProblem
from rapport.entities import Entity, Extension, column_of
from rapport.errors import Conflict, Invalid, Stale
from rapport.i18n.catalogs import _
from rapport.records import Unit
from rapport.records.log import change_log
from rapport.records.session import SCOPED
from rapport.records.unit import assign

if TYPE_CHECKING:
    from rapport.site import Site

CHUNK = 500
BY_THEMSELVES = ("plugin", "system")
"""What came about this way goes along with the record it belongs to, and counts as nobody's work."""


class Undoing:
    """Goes down the log of a batch's changes, newest first, a chunk at a time."""

    def __init__(self, site: Site, batch: UUID) -> None:
        self.site = site
        self.batch = batch
        self.kept: list[RowProblem] = []

    def size(self) -> tuple[int, int]:
        """The place in the log above every change of the batch, and how many changes there are."""
        with self.site.db.read() as connection:
            statement = select(func.max(change_log.c.seq), func.count()).where(change_log.c.batch_id == self.batch)
            highest, count = connection.execute(statement).one()
        return (highest or 0) + 1, count

    def take_back(self, unit: Unit, below: int) -> tuple[int, int]:
        """Take back the newest changes below a place in the log; returns the place reached and how many they were."""
        self.kept = []
        rows = unit.session.connection().execute(
            select(change_log)
            .where(change_log.c.batch_id == self.batch, change_log.c.seq < below)
            .order_by(change_log.c.seq.desc())
            .limit(CHUNK)
        ).all()  # fmt: skip
        if not rows:
            return below, 0
        known = [row for row in rows if row.entity in self.site.entities]
        for row in rows:
            if row.entity not in self.site.entities:
                self._keep(f"{row.entity} {row.record_id}", _("its plugin is not active."))
        with unit.reverting():
            self._bring_back(unit, [row for row in known if row.action == "deleted"])
            self._change_back(unit, [row for row in known if row.action not in {"created", "deleted"}])
            created = [row for row in known if row.action == "created"]
            for name in dict.fromkeys(row.entity for row in created):
                self._remove(unit, self.site.entities[name], [row for row in created if row.entity == name])
        return rows[-1].seq, len(rows)

    # What was deleted and changed ---------------------------------------------------------------------------------------  # noqa: E501

    def _bring_back(self, unit: Unit, rows: Sequence[Any]) -> None:
        for row in rows:
            entity = self.site.entities[row.entity]
            if unit.session.get(entity, row.record_id) is None:
                fields = self.site.meta(entity).fields
                values = {name: fields[name].load(old) for name, (old, _) in row.changes.items() if name in fields}
                record, _problems = unit.build(entity, {"id": row.record_id, **values})
                unit.session.add(record)
        unit.flush()

    def _change_back(self, unit: Unit, rows: Sequence[Any]) -> None:
        records: dict[tuple[str, UUID], Any] = {}
        for name in dict.fromkeys(row.entity for row in rows):
            entity = self.site.entities[name]
            found = self._load(unit, entity, [row.record_id for row in rows if row.entity == name])
            records |= {(name, record.id): record for record in found}
        for row in rows:
            record = records.get((row.entity, row.record_id))
            if record is None:
                self._keep(f"{self.site.meta_named(row.entity).title} {row.record_id}", _("no longer exists."))
                continue
            for name, (old, new) in row.changes.items():
                f = self.site.meta(type(record)).fields.get(name)
                if f is None:
                    continue
                if f.dump(getattr(record, name)) != new:
                    self._keep(_named(record), _("%(field)s was changed since, so it stays.", field=_(f.label)), name)
                    continue
                assign(record, name, f.load(old) if old is not None else None)
        _in_halves(unit, list(records.values()), lambda part: unit.flush(), self._refused)

    # What was made ------------------------------------------------------------------------------------------------------  # noqa: E501

    def _remove(self, unit: Unit, entity: type[Entity], rows: Sequence[Any]) -> None:
        made = {row.record_id: row.seq for row in rows}
        there = {record.id: record for record in self._load(unit, entity, list(made))}
        for record_id in self._changed_since(unit, entity, {key: made[key] for key in there}):
            self._keep(_named(there.pop(record_id)), _("was changed since, so it stays."))
        while True:
            referring = self._referring(unit, entity, list(there))
            if not referring:
                break
            for record_id, other in referring.items():
                text = _("%(other)s refers to it, so it stays.", other=other)
                self._keep(_named(there.pop(record_id)), text)

        def delete(part: Sequence[Any]) -> None:
            for record in part:
                unit.session.delete(record)
            unit.flush()

        _in_halves(unit, list(there.values()), delete, self._refused)

    def _changed_since(self, unit: Unit, entity: type[Entity], made: dict[UUID, int]) -> list[UUID]:
        log = change_log.c
        statement = select(log.record_id, log.seq).where(
            log.entity == entity.meta.name,
            log.record_id.in_(list(made)),
            log.batch_id.is_distinct_from(self.batch),
            log.via.not_in(BY_THEMSELVES),
        )
        found = unit.session.connection().execute(statement)
        return list(dict.fromkeys(row.record_id for row in found if row.seq > made[row.record_id]))

    def _referring(self, unit: Unit, entity: type[Entity], ids: list[UUID]) -> dict[UUID, str]:
        """What somebody made since points at these: the record, and the title of one that points at it."""
        found: dict[UUID, str] = {}
        if not ids:
            return found
        own = set(ids)
        for other in self.site.entities:
            meta: Any = other
            columns = [column_of(meta, f) for f in self.site.meta(other).references
                       if f.target == entity.meta.name and not _goes_along(other, f.name)]  # fmt: skip
            wheres = [(column, column.in_(ids)) for column in columns]
            if {"about_entity", "about_id"} <= set(other.meta.fields):
                wheres.append((meta.about_id, (meta.about_entity == entity.meta.name) & meta.about_id.in_(ids)))
            for column, where in wheres:
                rows = unit.session.execute(select(other.id, column).where(where), execution_options=SCOPED).all()
                pairs = [(row[0], row[1]) for row in rows if not (other is entity and row[0] in own)]
                nobodys = self._nobodys(unit, other, [record_id for record_id, _target in pairs])
                for record_id, target in pairs:
                    if record_id not in nobodys:
                        found.setdefault(target, f"{_(other.meta.title)} {record_id}")
        return found

    def _nobodys(self, unit: Unit, entity: type[Entity], ids: list[UUID]) -> set[UUID]:
        """Those that a plugin made by itself."""
        if not ids:
            return set()
        log = change_log.c
        statement = select(log.record_id).where(
            log.entity == entity.meta.name, log.record_id.in_(ids), log.action == "created", log.via.in_(BY_THEMSELVES)
        )
        return set(unit.session.connection().scalars(statement))

    def _load(self, unit: Unit, entity: type[Entity], ids: Iterable[UUID]) -> list[Any]:
        statement = select(entity).where(entity.id.in_(list(ids)))
        # In the reverse order of making: ids grow with time.
        return list(unit.session.scalars(statement.order_by(entity.id.desc()), execution_options=SCOPED))

    def _refused(self, record: Any, error: Exception) -> None:
        self._keep(_named(record), str(error))

    def _keep(self, what: str, why: str, field: str = "") -> None:
        self.kept.append(RowProblem(0, field, what, "kept", why))


def _goes_along(entity: type[Entity], name: str) -> bool:
    """Whether what refers by this is the record's own: in the log the fields of an extension are the record's."""
    return name == "id" or (issubclass(entity, Extension) and name == "of_id")


def _named(record: Any) -> str:
    return f"{_(record.meta.title)} “{record}”"


def _in_halves(
    unit: Unit, records: Sequence[Any], act: Callable[[Sequence[Any]], None], refused: Callable[[Any, Exception], None]
) -> None:
    if not records:
        return
    try:
        with unit.session.begin_nested():
            act(records)
    except (Conflict, Invalid, Stale) as error:
        if len(records) == 1:
            refused(records[0], error)
            return
        middle = len(records) // 2
        _in_halves(unit, records[:middle], act, refused)
        _in_halves(unit, records[middle:], act, refused)
