"""Writing: one unit of work is one transaction, with validation, hooks, versions, the log and the events in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID

from sqlalchemy import Connection, event, insert, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, SessionTransaction, UOWTransaction
from sqlalchemy.orm.exc import StaleDataError

from rapport import hookspecs
from rapport.access import Actor, row_scope
from rapport.access.actors import ADMINISTRATIVE
from rapport.access.service import keep_an_admin
from rapport.entities import Entity, EntityMeta, entity_class, table_of, utcnow, uuid7
from rapport.entities.base import KNOWN
from rapport.entities.fields import KINDS
from rapport.entities.schema import load_values
from rapport.errors import Conflict, Forbidden, Invalid, Problem, Stale
from rapport.i18n.catalogs import _
from rapport.query.search import forget_documents, index_documents
from rapport.records.log import change_log, delivery_table, keep_order
from rapport.records.reader import Reader, dumper
from rapport.records.session import ScopedSession

if TYPE_CHECKING:
    from rapport.site import Site

E = TypeVar("E", bound=Entity)
MAX_DEPTH = 8
"""How long a chain of plugins answering each other's changes may get."""


@dataclass(slots=True)
class Change:
    """One record's change within a unit."""

    entity: type[Entity]
    record: Any
    action: str
    changes: dict[str, list[Any]] = field(default_factory=dict)


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
        self.session = ScopedSession(connection or site.db.writing, actor, site.entities)
        self.session.info["settings"] = site.settings
        self._changes: list[Change] = []
        self._marks: dict[SessionTransaction, int] = {}
        self._seen: set[int] = set()
        self._followed = 0
        self._reverting = False
        event.listen(self.session, "before_flush", self._before_flush)
        event.listen(self.session, "after_flush", self._after_flush)
        event.listen(self.session, "after_transaction_create", self._mark)
        event.listen(self.session, "after_soft_rollback", self._forget)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.session.close()

    @property
    def reader(self) -> Reader:
        """Reading within this transaction, with the same actor."""
        return Reader(self.site, self.actor, self.session)

    # What one does ---------------------------------------------------------------------------------------------------

    def create(self, entity: type[E], values: Mapping[str, Any]) -> E:
        """Make a record from input. Invalid names every field that is wrong; nothing is kept then."""
        self.actor.require(entity.meta.permission("create"))
        record, problems = self.build(entity, load_values(entity.meta, values))
        problems += self._dangling(record, entity.meta)
        if problems:
            raise Invalid(problems)
        self.session.add(record)
        self.flush()
        self._check_reach(record, "create")
        return record

    def build(self, entity: type[E], values: Mapping[str, Any]) -> tuple[E, list[Problem]]:
        """A prepared and validated record that is not yet saved, from loaded values; for imports of many."""
        record = entity()
        state = {name: make() for name, make in _defaults(entity).items()}
        state.update(values)
        if entity.meta.owned and not state.get("owner_id"):
            state["owner_id"] = self._owner(record, state)
        for name, value in state.items():
            setattr(record, name, value)
        self._seen.add(id(record))
        problems = [problem for step in self.site.build_steps for problem in step(self, record)]
        return record, [*problems, *self._validate(record, entity)]

    def update(self, record: E, values: Mapping[str, Any], *, version: int | None = None) -> E:
        """Change fields of a record. `version` is the one the caller saw; Stale if it is no longer the current one."""
        meta = record.meta
        self._check_reach(record, "update")
        self._check_version(record, version)
        for name, value in load_values(meta, values, partial=True).items():
            if getattr(record, name) != value:
                setattr(record, name, value)
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
        self.session.delete(record)
        self.flush()

    def get(self, entity: type[E], record_id: UUID) -> E:
        """A record to change; NotFound when there is none or it is out of reach."""
        return self.reader.get(entity, record_id)

    def insert_many(self, records: Sequence[Entity]) -> None:
        """Save many built records of one entity with few statements; they do not enter the session."""
        if not records:
            return
        entity = type(records[0])
        self.actor.require(entity.meta.permission("create"))
        names = _column_names(entity)
        rows = [{name: record.__dict__.get(name) for name in names} for record in records]
        self._guarded(lambda: self.session.connection().execute(insert(table_of(entity)), rows))
        dump = _dump_created(entity.meta)
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
        self.session.commit()
        if self._changes:
            self._changes.clear()
            self._followed = 0
            if rights_change:
                self.site.forget_actors()
            self.site.wake()

    # What always happens ---------------------------------------------------------------------------------------------

    def _mark(self, session: Session, transaction: SessionTransaction) -> None:
        self._marks[transaction] = len(self._changes)

    def _forget(self, session: Session, transaction: SessionTransaction) -> None:
        """What a rollback took back must not be logged; up to a savepoint, only what came after it."""
        del self._changes[self._marks.pop(transaction, 0) :]
        self._followed = min(self._followed, len(self._changes))

    def _before_flush(self, session: Session, context: UOWTransaction, instances: Any) -> None:
        now = utcnow()
        for record in list(session.new):
            if isinstance(record, Entity) and id(record) not in self._seen:
                for name, make in _defaults(type(record)).items():
                    if getattr(record, name) is None:
                        setattr(record, name, make())
                self._raise(self._validate(record, type(record)))
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

    def _after_flush(self, session: Session, context: UOWTransaction) -> None:
        for record in session.new:
            if isinstance(record, Entity):
                self._changes.append(Change(type(record), record, "created", _dump_created(record.meta)(record)))
        for record in session.dirty:
            if isinstance(record, Entity) and (changes := _changed(record)) is not None:
                self._changes.append(Change(type(record), record, _action(changes), changes))
        for record in session.deleted:
            if isinstance(record, Entity):
                gone = {name: [value[1], None] for name, value in _dump_created(record.meta)(record).items()}
                gone["created_at"] = [record.meta.fields["created_at"].dump(record.created_at), None]
                self._changes.append(Change(type(record), record, "deleted", gone))

    def _write_log(self) -> None:
        if not self._changes:
            return
        connection, now = self.session.connection(), utcnow()
        keep_order(connection)
        listening = {
            (change.entity.meta.name, change.action): self._listeners(change.entity.meta.name, change.action)
            for change in self._changes
        }
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
                "changes": change.changes,
                "batch_id": self.batch,
            }
            for change in self._changes
        ]
        if any(listening.values()):
            deliveries = []
            for change, row in zip(self._changes, rows, strict=True):
                hook, plugins = listening[change.entity.meta.name, change.action] or ("", [])
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
            connection.execute(insert(change_log), rows)
        self._index(connection)

    def _listeners(self, entity: str, action: str) -> tuple[str, list[str]] | None:
        name = "transition_applied" if (entity, action) == ("transition", "created") else f"{entity}_{action}"
        spec = getattr(hookspecs, name, None)
        plugins = self.site.hooks.listeners(spec) if spec is not None and name in hookspecs.KINDS else []
        return (name, plugins) if plugins else None

    def _index(self, connection: Connection) -> None:
        documents, forgotten = [], []
        for change in self._changes:
            searchable = _searchable(change.entity.meta)
            if not searchable:
                continue
            key = (change.entity.meta.name, change.record.id)
            if change.action in {"deleted", "archived"}:
                forgotten.append(key)
            elif change.action in {"created", "restored"} or any(name in change.changes for name in searchable):
                documents.append((*key, _document(change.record, searchable)))
        if forgotten:
            forget_documents(connection, forgotten)
        if documents:
            index_documents(connection, documents)

    # Checks ----------------------------------------------------------------------------------------------------------

    def _owner(self, record: Entity, state: Mapping[str, Any]) -> UUID | None:
        """A new record without an owner gets the one a plugin chooses, else the person who makes it."""
        if self.site.hooks.listeners(hookspecs.assign_owner):
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
            history = inspect(record).attrs[reference.name].history
            value = getattr(record, reference.name)
            if value is None or not history.added or (reference.target == "user" and value == self.actor.id):
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
                dumper(record.meta)(record),
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
    """
    kept: list[str] = []
    rows = unit.session.connection().execute(
        select(change_log).where(change_log.c.batch_id == batch).order_by(change_log.c.seq.desc())
    )
    for row in rows.all():
        entity = unit.site.entities.get(row.entity)
        if entity is None:
            kept.append(f"{row.entity} {row.record_id}: its plugin is not active")
            continue
        record = unit.session.get(entity, row.record_id)
        if row.action == "deleted":
            if record is None:
                values = {name: entity.meta.fields[name].load(old) for name, (old, _) in row.changes.items()}
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
            for name, (old, new) in row.changes.items():
                meta_field = entity.meta.fields.get(name)
                if meta_field is None:
                    continue
                if meta_field.dump(getattr(record, name)) != new:
                    kept.append(f"{entity.meta.title} '{record}': {meta_field.label} was changed since, so it stays")
                    continue
                setattr(record, name, meta_field.load(old))
        unit.flush()
    return kept


# Facts of an entity, worked out once ---------------------------------------------------------------------------------


@functools.cache
def _noun_hooks(name: str) -> tuple[Any, Any]:
    """prepare_<noun> and validate_<noun>, where the hookspecs know them."""
    known = [f"{kind}_{name}" if f"{kind}_{name}" in hookspecs.KINDS else "" for kind in ("prepare", "validate")]
    return tuple(getattr(hookspecs, each, None) for each in known)  # type: ignore[return-value]


@functools.cache
def _defaults(entity: type[Entity]) -> dict[str, Callable[[], Any]]:
    """What every column starts with: its default, or None."""
    makers: dict[str, Callable[[], Any]] = {}
    for attribute in inspect(entity).column_attrs:
        default: Any = attribute.columns[0].default
        field_ = entity.meta.fields[attribute.key]
        if attribute.key == "id":
            makers["id"] = uuid7
        elif default is None:
            empty: Any = None if field_.nullable or field_.required else KIND_EMPTY.get(field_.kind)
            makers[attribute.key] = functools.partial(_constant, empty)
        elif default.is_callable:
            makers[attribute.key] = functools.partial(default.arg, None)
        else:
            makers[attribute.key] = functools.partial(_constant, default.arg)
    return makers


KIND_EMPTY: dict[str, Any] = {"tags": (), "flag": False}


def _constant(value: Any) -> Any:
    return value


@functools.cache
def _has_follow_up(entity: type[Entity]) -> bool:
    return "follow_up" in {name for base in entity.__mro__ if base is not Entity for name in vars(base)}


@functools.cache
def _column_names(entity: type[Entity]) -> list[str]:
    return [attribute.key for attribute in inspect(entity).column_attrs]


@functools.cache
def _searchable_names(name: str, entity: type[Entity]) -> tuple[str, ...]:
    return tuple(f.name for f in entity.meta.fields.values() if f.searchable)


def _searchable(meta: EntityMeta) -> tuple[str, ...]:
    return _searchable_names(meta.name, entity_class(meta.name))


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
        for name, convert in plan:
            value = getattr(record, name)
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
    return changes if any_change else None


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
