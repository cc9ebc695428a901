"""Writing: one unit of work is one transaction, with validation, hooks, versions, the log and the events in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID

from sqlalchemy import Connection, event, insert, inspect, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import SessionTransaction, UOWTransaction, object_session
from sqlalchemy.orm.exc import StaleDataError

from rapport import hookspecs
from rapport.access import Actor, row_scope
from rapport.access.actors import ADMINISTRATIVE
from rapport.access.service import keep_an_admin
from rapport.db.engine import insert_rows
from rapport.entities import Entity, EntityMeta, entity_class, set_custom, table_of, utcnow, uuid7
from rapport.entities.base import KNOWN, Extension, Place, extension_row, place_of
from rapport.entities.custom import PREFIX, json_form
from rapport.entities.fields import KINDS, empty_value
from rapport.entities.schema import load_values
from rapport.errors import Conflict, Forbidden, Invalid, Problem, Stale
from rapport.i18n.catalogs import _
from rapport.query.search import forget_documents, forget_words, index_documents
from rapport.records.absent import undo_absent
from rapport.records.log import change_log, delivery_table, keep_order
from rapport.records.once import sent_form
from rapport.records.parts import release
from rapport.records.reader import Reader, dumper, missing
from rapport.records.session import SCOPED, ScopedSession

if TYPE_CHECKING:
    from rapport.site import Site

E = TypeVar("E", bound=Entity)
MAX_DEPTH = 8
"""How long a chain of plugins answering each other's changes may get."""


TOLD_AS = {
    "transition_created": "transition_applied",
    "interaction_created": "interaction_recorded",
    "message_created": "message_status_changed",
    "message_updated": "message_status_changed",
}
"""The hooks that tell of a change under another name than the kind of record and what happened to it."""


@dataclass(slots=True)
class Change:
    """One record's change within a unit."""

    entity: type[Entity]
    record: Any
    action: str
    changes: dict[str, list[Any]] = field(default_factory=dict)


class UnitSession(ScopedSession):
    """The session of a unit of work, which hears of everything that enters it."""

    unit: Unit

    @contextmanager
    def lend(self, borrower: str, *, undo: bool = False) -> Iterator[None]:
        """As ScopedSession; what is taken back of a plugin's is not logged either."""
        begun = len(self.unit._changes)
        try:
            with super().lend(borrower, undo=undo):
                yield
        except BaseException:
            if undo:
                self.unit._drop_changes(begun)
            raise


@event.listens_for(UnitSession, "before_flush")
def _before_flush(session: UnitSession, _context: UOWTransaction, _instances: Any) -> None:
    session.unit._before_flush()


@event.listens_for(UnitSession, "after_flush")
def _after_flush(session: UnitSession, _context: UOWTransaction) -> None:
    session.unit._after_flush()


@event.listens_for(UnitSession, "after_transaction_create")
def _mark(session: UnitSession, transaction: SessionTransaction) -> None:
    session.unit._mark(transaction)


@event.listens_for(UnitSession, "after_soft_rollback")
def _forget(session: UnitSession, transaction: SessionTransaction) -> None:
    session.unit._forget(transaction)


class Unit:
    """A unit of work: everything in the block is committed together, or none of it.

        with site.write(actor) as unit:
            ada = unit.create(Customer, {"name": "Ada"})
            unit.update(ada, {"tags": ["vip"]}, version=1)

    Whatever enters `unit.session`, also from a hook, is validated, versioned, logged and announced the same way.
    """

    def __init__(
        self,
        site: Site,
        actor: Actor,
        *,
        batch: UUID | None = None,
        depth: int = 0,
        connection: Connection | None = None,
    ) -> None:
        self.site = site
        self.actor = actor
        self.batch = batch
        self.depth = depth
        self._marks: dict[SessionTransaction, int] = {}
        self.session = UnitSession(connection or site.db.writing, actor, site.entities)
        self.session.info |= {"settings": site.settings, "extended": site.extended}
        self.session.unit = self
        self.outcome = ""
        """What comes of it where that is no record, by the path of its page: "import/5". See `records.once`."""
        self._form = sent_form.get()
        self._changes: list[Change] = []
        self._seen: set[int] = set()
        self._followed = 0
        self._reverting = False
        self._forgotten: set[tuple[str, UUID]] = set()

    def __enter__(self) -> Self:
        if self._form is not None:
            try:
                self._form.begin(self)
            except BaseException:
                self.session.close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        except BaseException:
            kind = BaseException
            raise
        finally:
            self.session.close()
            if kind is not None and self._form is not None:
                self._form.give_up(self)

    @property
    def reader(self) -> Reader:
        """Reading within this transaction, with the same actor."""
        return Reader(self.site, self.actor, self.session)

    # What one does ---------------------------------------------------------------------------------------------------

    def create(self, entity: type[E], values: Mapping[str, Any]) -> E:
        """Make a record from input. Invalid names every field that is wrong; nothing is kept then."""
        self.actor.require(entity.meta.permission("create"))
        meta = self.site.meta(entity)
        record, problems = self.build(entity, load_values(meta, values))
        problems += self._dangling(record, meta)
        if problems:
            raise Invalid(problems)
        self.session.add(record)
        self.flush()
        if rows := _extensions_of(record):
            self.session.add_all(rows)
            self.flush()
        self._check_reach(record, "create")
        return record

    def build(self, entity: type[E], values: Mapping[str, Any]) -> tuple[E, list[Problem]]:
        """A prepared and validated record that is not yet saved, from loaded values; for imports of many."""
        record = entity()
        constants, makers = _defaults(entity)
        state = {**constants, **{name: make() for name, make in makers}}
        custom = self.site.meta(entity).custom
        if custom:
            state["custom"] = {f.name: f.default for f in custom if f.default is not None}
            state["custom"] |= {name: value for name, value in values.items() if name.startswith(PREFIX)}
            values = {name: value for name, value in values.items() if not name.startswith(PREFIX)}
        problems = []
        if (places := self.site.extended.get(entity.meta.name)) is not None:
            problems = self._build_extensions(record, places, state, values)
            values = {name: value for name, value in values.items() if name not in places}
        state.update(values)
        if entity.meta.owned and not state.get("owner_id"):
            state["owner_id"] = self._owner(record, state)
        # Past SQLAlchemy's noting of changes: a new record is saved whole, and this is a third of an import's time.
        vars(record).update(state)
        self._seen.add(id(record))
        problems += [problem for step in self.site.build_steps for problem in step(self, record)]
        return record, [*problems, *self._validate(record, entity)]

    def _build_extensions(
        self, record: Entity, places: Mapping[str, Place], state: Mapping[str, Any], values: Mapping[str, Any]
    ) -> list[Problem]:
        """The rows of a new record in the extensions of which something was filled in."""
        given: dict[type[Extension], dict[str, Any]] = {}
        names: dict[str, str] = {}
        for name, place in places.items():
            if values.get(name) is not None:
                given.setdefault(place.extension, {})[place.field.name] = values[name]
                names[place.field.name] = name
        problems: list[Problem] = []
        rows: dict[str, Extension | None] = {place.extension.meta.name: None for place in places.values()}
        for extension, fields in given.items():
            row, wrong = self.build(extension, {"of_id": values.get("id") or state["id"], **fields})
            rows[extension.meta.name] = row
            problems += [Problem(names.get(each.field or "", each.field), each.message) for each in wrong]
        vars(record).update({"_places": places, "_extensions": rows})
        return problems

    def update(self, record: E, values: Mapping[str, Any], *, version: int | None = None) -> E:
        """Change fields of a record. `version` is the one the caller saw; Stale if it is no longer the current one."""
        meta = self.site.meta(type(record))
        self._check_reach(record, "update")
        self._check_version(record, version)
        for name, value in load_values(meta, values, partial=True).items():
            assign(record, name, value)
        if problems := self._dangling(record, meta):
            raise Invalid(problems)
        self.flush()
        return record

    def archive(self, record: Entity, *, version: int | None = None) -> None:
        """Take a record out of lists and search; it keeps its data and its place in history."""
        self._check_reach(record, "delete")
        self._check_version(record, version)
        if record.archived_at is None:
            record.archived_at = utcnow()
            self.flush()

    def restore(self, record: Entity, *, version: int | None = None) -> None:
        """Bring an archived record back."""
        self._check_reach(record, "delete")
        self._check_version(record, version)
        record.archived_at = None
        self.flush()

    def delete(self, record: Entity, *, version: int | None = None) -> None:
        """Remove a record and what is part of it, for good (the log keeps its values). Conflict when it is in use."""
        self._check_reach(record, "delete")
        self._check_version(record, version)
        release(self, record, links=False)
        self.session.delete(record)
        self.flush()

    def get(self, entity: type[E], record_id: UUID) -> E:
        """A record to change; NotFound when there is none or it is out of reach."""
        return self.reader.get(entity, record_id)

    def hold(self, entity: type[E], ids: Sequence[UUID]) -> list[E]:
        """Records to change whatever they say by now, in the order of `ids`: nobody else changes them until the end.

        Where no version is compared, somebody who saves one of them at the same moment must not be a reason to refuse.
        """
        self.actor.require(entity.meta.permission("read"))
        # In one order for all, so that two never wait for each other; on SQLite a unit is alone anyway.
        statement = select(entity).where(entity.id.in_(ids)).order_by(entity.id)
        found = {each.id: each for each in self.session.scalars(statement.with_for_update(of=entity, key_share=True))}
        for record_id in ids:
            if record_id not in found:
                raise missing(entity.meta, record_id)
        return [found[record_id] for record_id in ids]

    def insert_many(self, records: Sequence[Entity]) -> None:
        """Save many built records of one entity with few statements; they do not enter the session."""
        if not records:
            return
        self.actor.require(records[0].meta.permission("create"))
        self._insert(records)
        rows: dict[type[Extension], list[Entity]] = {}
        for row in [row for record in records for row in _extensions_of(record)]:
            rows.setdefault(type(row), []).append(row)
        for each in rows.values():
            self._insert(each)

    def _insert(self, records: Sequence[Entity]) -> None:
        entity = type(records[0])
        names = _column_names(entity)
        rows = [{name: held.get(name) for name in names} for held in map(vars, records)]
        self._guarded(lambda: insert_rows(self.session.connection(), table_of(entity), rows))
        dump = _dump_created(self.site.meta(entity))
        self._changes.extend(Change(entity, record, "created", dump(record)) for record in records)
        for record in records:
            self._seen.discard(id(record))

    def flush(self) -> None:
        """Send pending changes to the database, and what follows from them; conflicts are raised as what they are."""
        self._guarded(self.session.flush)
        while self._followed < len(self._changes):
            fresh, self._followed = self._changes[self._followed :], len(self._changes)
            for entity in dict.fromkeys(change.entity for change in fresh if _has_follow_up(change.entity)):
                entity.follow_up([change.record for change in fresh if change.entity is entity], self.session)
            self._guarded(self.session.flush)

    def forget(self, records: Iterable[tuple[str, UUID]]) -> None:
        """Take the values of these records, and of all that this unit deleted, out of the log and the search for good.

        Everything else this unit changes is logged without values too: it was changed because of them.
        """
        deleted = {(each.entity.meta.name, each.record.id) for each in self._changes if each.action == "deleted"}
        self._forgotten |= {*records, *deleted}
        connection = self.session.connection()
        for entity, record_id in self._forgotten:
            about = (change_log.c.entity == entity, change_log.c.record_id == record_id)
            connection.execute(update(change_log).where(*about).values(changes={}))

    @contextmanager
    def reverting(self) -> Iterator[None]:
        """Bring former values back as they were: nothing is guarded, completed or validated anew meanwhile."""
        self._reverting = True
        try:
            yield
        finally:
            self._reverting = False

    def commit(self) -> None:
        """Write the log and the events beside the changes, and make it all last."""
        self.flush()
        rights_change = any(change.entity.meta.name in ADMINISTRATIVE for change in self._changes)
        if rights_change and any(_takes_away(change) for change in self._changes):
            keep_an_admin(self.session.connection())
        self._write_log()
        if self._form is not None:
            self._form.end(self, self._changes)
        self.session.commit()
        if self._changes:
            self._changes.clear()
            self._followed = 0
            if rights_change:
                self.site.forget_actors()
        self.site.wake()

    # What always happens ---------------------------------------------------------------------------------------------

    def _mark(self, transaction: SessionTransaction) -> None:
        self._marks[transaction] = len(self._changes)

    def _forget(self, transaction: SessionTransaction) -> None:
        """What a rollback took back must not be logged; up to a savepoint, only what came after it."""
        del self._changes[self._marks.pop(transaction, 0) :]
        self._followed = min(self._followed, len(self._changes))

    def _drop_changes(self, begun: int) -> None:
        """What the database has taken back to here never was."""
        for change in self._changes[begun:]:
            if change.record in self.session:
                self.session.expunge(change.record)
        del self._changes[begun:]
        self._followed = min(self._followed, begun)

    def _before_flush(self) -> None:
        session, now = self.session, utcnow()
        for record in list(session.new):
            if isinstance(record, Entity) and id(record) not in self._seen:
                constants, makers = _defaults(type(record))
                for name, value in constants.items():
                    if value is not None and getattr(record, name) is None:
                        setattr(record, name, value)
                for name, make in makers:
                    if getattr(record, name) is None:
                        setattr(record, name, make())
                with session.no_autoflush:  # a hook added it past `create`: it starts like any other all the same
                    problems = [problem for step in self.site.build_steps for problem in step(self, record)]
                self._raise([*problems, *self._validate(record, type(record))])
        for record in list(session.dirty):
            if isinstance(record, Entity) and session.is_modified(record):
                record.updated_at = now
                if self._reverting:
                    record.prepare()
                    continue
                problems = [problem for step in self.site.save_steps for problem in step(self, record)]
                self._raise([*problems, *self._validate(record, type(record))])

    def _validate(self, record: Entity, entity: type[Entity]) -> list[Problem]:
        prepare, validate = _noun_hooks(entity.meta.name)
        if prepare is not None:
            self.site.hooks.run(prepare, **{entity.meta.name: record, "session": self.session})
        record.complete(self.session)
        record.prepare()
        problems = list(record.validate())
        if validate is not None:
            arguments = {entity.meta.name: record, "session": self.session}
            problems += self.site.hooks.collect(validate, **arguments)
        return problems

    def _after_flush(self) -> None:
        session = self.session
        for record in session.new:
            if isinstance(record, Entity):
                self._changes.append(Change(type(record), record, "created", self._dumped(record)))
        for record in session.dirty:
            if isinstance(record, Entity) and (changes := _changed(record)) is not None:
                self._changes.append(Change(type(record), record, _action(changes), changes))
        for record in session.deleted:
            if isinstance(record, Entity):
                gone = {name: [value[1], None] for name, value in self._dumped(record).items()}
                gone["created_at"] = [record.meta.fields["created_at"].dump(record.created_at), None]
                self._changes.append(Change(type(record), record, "deleted", gone))

    def _dumped(self, record: Entity) -> dict[str, list[Any]]:
        return _dump_created(self.site.meta(type(record)))(record)

    def _write_log(self) -> None:
        if not self._changes:
            return
        connection, now = self.session.connection(), utcnow()
        keep_order(connection)
        listening = [self._listeners(change) for change in self._changes]
        rows = [
            {
                "at": now,
                "actor_id": self.actor.id,
                "actor": self.actor.name,
                "via": self.actor.via,
                "entity": change.entity.meta.name,
                "record_id": change.record.id,
                "action": change.action,
                "version": change.record.version,
                "changes": {} if self._forgotten else change.changes,
                "batch_id": self.batch,
                "depth": self.depth,
            }
            for change in self._changes
        ]
        if any(listening):
            deliveries = []
            for listened, row in zip(listening, rows, strict=True):
                hook, plugins = listened or ("", [])
                if plugins:
                    seq = connection.scalar(insert(change_log).values(row).returning(change_log.c.seq))
                    deliveries += [
                        {"plugin": plugin, "hook": hook, "seq": seq, "arguments": {}, "depth": self.depth + 1,
                         "due_at": now} for plugin in plugins
                    ]  # fmt: skip
                else:
                    connection.execute(insert(change_log).values(row))
            if self.depth < MAX_DEPTH and deliveries:
                connection.execute(insert(delivery_table), deliveries)
        else:
            insert_rows(connection, change_log, rows)
        self._index(connection)

    def _listeners(self, change: Change) -> tuple[str, list[str]] | None:
        name = f"{change.entity.meta.name}_{change.action}"
        name = TOLD_AS.get(name, name)
        if name == "message_status_changed" and "state" not in change.changes:
            return None
        spec = getattr(hookspecs, name, None)
        plugins = self.site.hooks.listeners(spec) if spec is not None and name in hookspecs.KINDS else []
        return (name, plugins) if plugins else None

    def _index(self, connection: Connection) -> None:
        new, changed, forgotten = [], [], []
        for change in self._changes:
            searchable = searchable_names(self.site.meta(change.entity))
            if not searchable:
                continue
            key = (change.entity.meta.name, change.record.id)
            if change.action in {"deleted", "archived"}:
                forgotten.append(key)
            elif change.action == "created":
                new.append((*key, _document(change.record, searchable)))
            elif change.action == "restored" or any(name in change.changes for name in searchable):
                changed.append((*key, _document(change.record, searchable)))
        if forgotten:
            forget_documents(connection, forgotten)
        if new:
            index_documents(connection, new, new=True)
        if changed:
            index_documents(connection, changed)
        if self._forgotten:
            forget_words(connection)

    # Checks ----------------------------------------------------------------------------------------------------------

    def _owner(self, record: Entity, state: Mapping[str, Any]) -> UUID | None:
        """A new record without an owner gets the one a plugin chooses, else the person who makes it."""
        if self.site.hooks.concern(hookspecs.assign_owner, type(record)):
            for name, value in state.items():
                setattr(record, name, value)
            chosen = self.site.hooks.first(hookspecs.assign_owner, record=record, session=self.session)
            if chosen is not None:
                return chosen
        return self.actor.id

    def _dangling(self, record: Entity, meta: EntityMeta) -> list[Problem]:
        """References to what does not exist or is out of the actor's reach, among those just set."""
        problems = []
        for reference in meta.references:
            state, value = inspect(record), getattr(record, reference.name)
            just_set = (
                state.transient
                or reference.extension
                or (state.attrs["custom" if reference.custom else reference.name].history.added)
            )
            if value is None or not just_set or (reference.target == "user" and value == self.actor.id):
                continue
            target = entity_class(str(reference.target))
            if self.session.scalar(select(target.id).where(target.id == value)) is None:
                problems.append(
                    Problem(
                        reference.name,
                        _("points at a record that does not exist (%(kind)s).", kind=_(target.meta.title)),
                    )
                )
        return problems

    def _check_reach(self, record: Entity, action: str) -> None:
        """Forbidden unless this very row is within the reach of the permission."""
        permission = record.meta.permission(action)
        self.actor.require(permission)
        scope = row_scope(type(record), self.actor, action)
        if scope is None:
            return
        entity = type(record)
        statement = select(entity.id).where(entity.id == record.id, scope)
        if self.session.scalar(statement, execution_options={"rapport_scoped": True}) is None:
            reach = self.actor.reach(permission)
            own = _("Your role lets you do this only with your own records of this kind.")
            team = _("Your role lets you do this only with your team’s records of this kind.")
            raise Forbidden(permission, own if reach == "own" else team)

    def _check_version(self, record: Entity, version: int | None) -> None:
        if version is not None and record.version != version:
            raise Stale(
                _(
                    "%(record)s was changed by somebody else since you read it (you have version %(old)s, it is now "
                    "%(new)s). Read it again and repeat your change.",
                    record=record,
                    old=version,
                    new=record.version,
                ),
                dumper(self.site.meta(type(record)))(record),
            )

    def _raise(self, problems: Sequence[Problem]) -> None:
        if problems:
            raise Invalid(problems)

    def _guarded(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except StaleDataError as error:
            raise Stale(_("Somebody else changed the record at the same moment. Read it again and repeat.")) from error
        except IntegrityError as error:
            raise _conflict(error) from error


def undo(unit: Unit, batch: UUID) -> list[str]:
    """Bring back the state before a batch of changes, newest first. Returns what was left, as it changed since.

    Values come back exactly; a field that somebody changed after the batch keeps their value, and is reported.
    Forbidden to who may by now change none of the kinds of record that are in it. Of a record out of reach only the
    references come back that the batch, such as a merge, turned away from another of its records.
    """
    kept: list[str] = []
    rows = (
        unit.session.connection()
        .execute(select(change_log).where(change_log.c.batch_id == batch).order_by(change_log.c.seq.desc()))
        .all()
    )
    _refuse_undoing(unit, rows)
    gone = {str(row.record_id) for row in rows}
    for row in rows:
        entity = unit.site.entities.get(row.entity)
        if entity is None:
            if not undo_absent(unit.session.connection(), row):
                kept.append(f"{row.entity} {row.record_id}: its plugin is not active")
            continue
        seen = unit.session.get(entity, row.record_id)
        record, changes = (seen, row.changes) if seen is not None else _out_of_reach(unit, entity, row, gone)
        if row.action == "deleted":
            if record is None:
                fields = unit.site.meta(entity).fields
                values = {name: fields[name].load(old) for name, (old, _) in row.changes.items() if name in fields}
                record, _ = unit.build(entity, {"id": row.record_id, **values})
                unit.session.add(record)
        elif record is None:
            kept.append(f"{entity.meta.title} {row.record_id} no longer exists")
        elif row.action == "created":
            if unit.session.connection().scalar(
                select(change_log.c.seq)
                .where(change_log.c.entity == row.entity, change_log.c.record_id == row.record_id,
                       change_log.c.seq > row.seq, change_log.c.batch_id.is_distinct_from(batch),
                       change_log.c.via != "system")
                .limit(1)
            ):  # fmt: skip
                kept.append(f"{entity.meta.title} '{record}' was changed since, so it stays")
                continue
            unit.session.delete(record)
        else:
            for name, (old, new) in changes.items():
                meta_field = unit.site.meta(entity).fields.get(name)
                if meta_field is None:
                    continue
                if meta_field.dump(getattr(record, name)) != new:
                    called = f"'{record}'" if seen is not None else row.record_id
                    kept.append(f"{entity.meta.title} {called}: {meta_field.label} was changed since, so it stays")
                    continue
                assign(record, name, meta_field.load(old))
        unit._guarded(unit.session.flush)
    unit.flush()  # what follows from it all: midway, it would make what the next rows of the log bring back
    return kept


def _out_of_reach(unit: Unit, entity: type[Entity], row: Any, gone: set[str]) -> tuple[Any, dict[str, list[Any]]]:
    """A record of a batch that the actor does not see, and of its changes what leads back to records of the batch."""
    links = {f.name for f in unit.site.meta(entity).fields.values() if f.target or f.kind == "id"}
    changes = {name: pair for name, pair in row.changes.items() if name in links and pair[0] in gone}
    if row.action != "updated" or not changes:
        return None, {}
    statement = select(entity).where(entity.id == row.record_id)
    return unit.session.scalars(statement, execution_options=SCOPED).one_or_none(), changes


UNDONE_BY = {"created": "create", "deleted": "delete", "archived": "delete", "restored": "delete"}
"""What somebody may do who may undo it; everything else takes the right to update."""


def _refuse_undoing(unit: Unit, rows: Sequence[Any]) -> None:
    """Rights are read anew: who has lost them since does not change anything by undoing."""
    asked = {
        entity.meta.permission(UNDONE_BY.get(row.action, "update"))
        for row in rows
        if (entity := unit.site.entities.get(row.entity)) is not None
    }
    if asked and not any(unit.actor.may(permission) for permission in asked):
        unit.actor.require(min(asked))


# Facts of an entity, worked out once ---------------------------------------------------------------------------------


@functools.cache
def _noun_hooks(name: str) -> tuple[Any, Any]:
    """prepare_<noun> and validate_<noun>, where the hookspecs know them."""

    def known(hook: str) -> Any:
        return getattr(hookspecs, hook) if hook in hookspecs.KINDS else None

    return known(f"prepare_{name}"), known(f"validate_{name}")


@functools.cache
def _defaults(entity: type[Entity]) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
    """What every column starts with: its default, or None; and those that are made afresh for each record."""
    constants: dict[str, Any] = {}
    makers: list[tuple[str, Callable[[], Any]]] = []
    for attribute in inspect(entity).column_attrs:
        default: Any = attribute.columns[0].default
        field_ = entity.meta.fields.get(attribute.key)
        if attribute.key == "id":
            makers.append(("id", uuid7))
        elif default is None:
            assert field_ is not None
            constants[attribute.key] = None if field_.nullable or field_.required else KIND_EMPTY.get(field_.kind)
        elif default.is_callable:
            makers.append((attribute.key, functools.partial(default.arg, None)))
        else:
            constants[attribute.key] = default.arg
    return constants, makers


KIND_EMPTY: dict[str, Any] = {"tags": (), "flag": False}


@functools.cache
def _has_follow_up(entity: type[Entity]) -> bool:
    return "follow_up" in {name for base in entity.__mro__ if base is not Entity for name in vars(base)}


@functools.cache
def _column_names(entity: type[Entity]) -> list[str]:
    return [attribute.key for attribute in inspect(entity).column_attrs]


def searchable_names(meta: EntityMeta) -> tuple[str, ...]:
    """The fields whose words a record is found by."""
    return tuple(f.name for f in meta.fields.values() if f.searchable)


def assign(record: Any, name: str, value: Any) -> None:
    """Give a field of a record a value, wherever it is kept; the same value again changes nothing."""
    if getattr(record, name) == value:
        return
    if name.startswith(PREFIX):
        set_custom(record, name, value)
    elif (place := place_of(record, name)) is not None:
        _assign_extension(record, place, value)
    else:
        setattr(record, name, value)


def _assign_extension(record: Any, place: Place, value: Any) -> None:
    row = extension_row(record, place.extension)
    if row is None:
        row = place.extension(of_id=record.id)
        vars(record)["_extensions"][place.extension.meta.name] = row
        session = object_session(record)
        assert session is not None, "a new record gets the values of its extensions from `build`"
        session.add(row)
    setattr(row, place.field.name, empty_value(place.field) if value is None and not place.field.nullable else value)
    record.updated_at = utcnow()  # who read the record before this change has an old version of it


def _extensions_of(record: Entity) -> list[Extension]:
    """The rows that `build` made beside a new record."""
    return [row for row in vars(record).get("_extensions", {}).values() if row is not None]


def _document(record: Entity, names: Iterable[str]) -> str:
    parts = []
    for name in names:
        value = getattr(record, name)
        if value:
            parts.append(" ".join(value) if isinstance(value, tuple) else str(value))
    return "\n".join(parts)


_UNLOGGED = {"id", "version", "updated_at", "created_at"}


def _dump_created(meta: EntityMeta) -> Callable[[Any], dict[str, list[Any]]]:
    """What a new record holds, as changes from nothing; empty values are left out."""
    plan = [(f.name, KINDS[f.kind].dump) for f in meta.visible if f.name not in _UNLOGGED]

    def dump(record: Any) -> dict[str, list[Any]]:
        out: dict[str, list[Any]] = {}
        held = vars(record)
        for name, convert in plan:
            value = held[name] if name in held else getattr(record, name)
            if value is not None and value not in ("", (), {}):
                out[name] = [None, value if convert is None else convert(value)]
        return out

    return dump


def _changed(record: Entity) -> dict[str, list[Any]] | None:
    """The fields of a flushed record that changed; None when nothing did."""
    state = inspect(record)
    changes: dict[str, list[Any]] = {}
    any_change = False
    for f in record.meta.fields.values():
        history = state.attrs[f.name].history
        if not history.has_changes() or f.name in _UNLOGGED:
            continue
        any_change = True
        if f.secret:
            continue
        old = history.deleted[0] if history.deleted else None
        changes[f.name] = [f.dump(old), f.dump(history.added[0] if history.added else None)]
    changes |= _changed_custom(state)
    return changes if any_change or changes else None


def _changed_custom(state: Any) -> dict[str, list[Any]]:
    history = state.attrs["custom"].history
    if not history.has_changes():
        return {}
    before, after = (dict(values[0] or {}) if values else {} for values in (history.deleted, history.added))
    return {
        name: [json_form(before.get(name)), json_form(after.get(name))]
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }


def _takes_away(change: Change) -> bool:
    """Whether a change may have taken the last administrator away."""
    if change.action == "created" or change.entity.meta.name not in {"user", "user_role"}:
        return False
    return change.action in {"deleted", "archived"} or not {"active", "role", "user_id"}.isdisjoint(change.changes)


def _action(changes: Mapping[str, list[Any]]) -> str:
    if "archived_at" in changes:
        return "archived" if changes["archived_at"][1] else "restored"
    return "updated"


def _conflict(error: IntegrityError) -> Exception:
    """A broken constraint in words: which field, and what is in the way."""
    text = str(error.orig)
    lowered = text.lower()
    constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None) or text
    if "unique" in lowered or "duplicate key" in lowered:
        for entity in KNOWN.values():
            table = table_of(entity).name
            for f in entity.meta.fields.values():
                if f.unique and (f"{table}.{f.name}" in text or f"{table}_{f.name}" in constraint):
                    return Conflict(
                        _(
                            "%(field)s is already used by another record (%(kind)s).",
                            field=_(f.label),
                            kind=_(entity.meta.title),
                        ),
                        f.name,
                    )
        return Conflict(_("This would make a second one of what may exist only once."))
    if "foreign key" in lowered:
        return Conflict(_("Something else still refers to this record. Archive it instead, or move what refers to it."))
    if "not null" in lowered:
        column = text.rpartition(".")[2] if "failed" in lowered else getattr(error.orig.diag, "column_name", "")  # type: ignore[union-attr]
        return Invalid(Problem(column, _("is missing.")))
    return Conflict(f"The database refused the change: {text}")
