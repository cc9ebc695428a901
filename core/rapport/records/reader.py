"""Reading: lists, single records and counts, always within what the actor may see."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, exists, or_, select
from sqlalchemy.exc import DBAPIError

from rapport.access import Actor, row_scope
from rapport.db.engine import BORROWER, spoilt, standing, within
from rapport.entities import Entity, EntityMeta, Field, column_of, table_of, utcnow
from rapport.entities.base import read_extensions
from rapport.errors import Invalid, NotFound, PluginError, Problem
from rapport.hooks import Lent
from rapport.query.filter import Filter, FilterContext, parse
from rapport.query.paging import Page, apply_paging, bounded_count, make_page, parse_sort
from rapport.query.search import search_ids
from rapport.query.sql import compile_filter
from rapport.records.session import ScopedSession

if TYPE_CHECKING:
    from rapport.site import Site

E = TypeVar("E", bound=Entity)
MAX_LIMIT = 200
DEFAULT_LIMIT = 50


class Reader(Lent):
    """What one actor may read, over a connection that cannot write. Use it as a context manager.

        with site.read(actor) as reader:
            page = reader.page(Customer, filter='name contains "ada"', sort="-updated_at", limit=50)

    Rows come as plain tuples with names, ready for `dump`; `get` and `all` give records for code that wants objects.
    On PostgreSQL each question sees what is committed when it is asked, on SQLite each what was at the first of them.
    """

    def __init__(self, site: Site, actor: Actor, session: ScopedSession | None = None) -> None:
        self.site = site
        self.actor = actor
        self._session = session
        self._borrowed = session is not None
        self._connection: Connection | None = None
        self._borrower = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._borrower:  # a plugin that works with it must not
            self.close()

    def close(self) -> None:
        """Give the connection back. A reader within a unit of work leaves that to the unit."""
        if self._borrowed or self._borrower:
            return
        if self._session is not None:
            self._session.close()
        if self._connection is not None:
            with suppress(DBAPIError):  # the database has gone since: what was read has been read
                self._connection.close()

    @property
    def session(self) -> ScopedSession:
        """The guarded session, for statements over several entities. Made when first asked for."""
        if self._session is None:
            self._session = ScopedSession(self._own_connection(), self.actor, self.site.entities)
            self._session.borrower = self._borrower
            self._session.info["extended"] = self.site.extended
        return self._session

    @contextmanager
    def lend(self, borrower: str, *, undo: bool = False) -> Iterator[None]:
        """A plugin reads with it within the block. What it spoils is replaced, so that those after it can go on."""
        if self._borrowed:
            with self.session.lend(borrower, undo=undo):
                yield
            return
        connection = self._own_connection()
        info, before = connection.info, standing(connection)
        self._hand_to(borrower, info)
        try:
            yield
        finally:
            self._hand_to("", info)
            if harmed := spoilt(connection, before):
                self.replace()
        if harmed:
            raise PluginError(f"{borrower} ended the transaction it reads in, or broke it by an error that it caught.")

    def _hand_to(self, borrower: str, info: dict[Any, Any]) -> None:
        self._borrower = borrower
        if self._session is not None:
            self._session.borrower = borrower
        info.pop(BORROWER, None)
        if borrower:
            info[BORROWER] = borrower

    def replace(self) -> None:
        """Go on with a new connection, and never use the present one again."""
        if self._borrowed:
            self.session.replace()
            return
        connection, self._connection, self._session = self._connection, None, None
        if connection is not None and not connection.closed:
            connection.invalidate()
            connection.close()

    def _own_connection(self) -> Connection:
        """The one connection of this reader. What goes to it directly has been scoped by hand, in this class."""
        if self._borrowed:
            return self.session.connection()
        if self._connection is None:
            self._connection = self.site.db.reading.connect()
        return self._connection

    def recover(self) -> None:
        """Begin anew after something failed on the way: what PostgreSQL refuses ends the transaction for all after it.

        Within a unit of work nothing is done: there a failure is the end.
        """
        if self._borrowed:
            return
        if self._session is not None:
            self._session.rollback()
        if self._connection is not None and self._connection.in_transaction():
            self._connection.rollback()

    @property
    def context(self) -> FilterContext:
        """What `now`, `today` and `me` mean in this actor's filters."""
        now, zone = utcnow(), ZoneInfo(self.actor.time_zone)
        return FilterContext(
            now=now, today=now.astimezone(zone).date(), user_id=self.actor.id, zone=zone, meta_of=self.site.meta_named
        )

    def today(self) -> dt.date:
        """The actor's day, in their zone."""
        return self.context.today

    def row(self, entity: type[Entity], record_id: UUID, *, fields: Sequence[Field] | None = None) -> Row[Any]:
        """One record as a row; NotFound when there is none or it is out of reach."""
        self._may_read(entity)
        statement = self._row_statement(entity, fields)
        if (scope := row_scope(entity, self.actor)) is not None:
            statement = statement.where(scope)
        row = self._own_connection().execute(statement, {"record_id": record_id}).one_or_none()
        if row is None:
            raise missing(entity.meta, record_id)
        return row

    def _row_statement(self, entity: type[Entity], fields: Sequence[Field] | None) -> Select[Any]:
        """One record by its id: the same statement object each time, so that it is compiled once."""
        key = (entity.meta.name, None if fields is None else tuple(f.name for f in fields))
        statement = self.site.row_statements.get(key)
        if statement is None:
            columns = _plain(entity)
            chosen = _columns(columns, self.site.meta(entity).visible if fields is None else fields)
            statement = select(*chosen).where(columns.id == bindparam("record_id", type_=columns.id.type))
            if len(self.site.row_statements) > 1000:  # programs may ask for any choice of fields
                self.site.row_statements.clear()
            self.site.row_statements[key] = statement
        return statement

    def get(self, entity: type[E], record_id: UUID) -> E:
        """One record as an object; NotFound when there is none or it is out of reach."""
        self._may_read(entity)
        record = self.session.scalars(select(entity).where(entity.id == record_id)).one_or_none()
        if record is None:
            raise missing(entity.meta, record_id)
        return record

    def all(self, entity: type[E], *where: ColumnElement[bool], order: Any = None, limit: int = 1000) -> list[E]:
        """The records that meet conditions, at most `limit`; an empty list where the actor may not read any."""
        if not self.actor.may(entity.meta.permission("read")):
            return []
        if order is None:
            order = entity.id
        by = order if isinstance(order, tuple) else (order,)
        statement = select(entity).where(*where).order_by(*by).limit(limit)
        records = list(self.session.scalars(statement))
        read_extensions(self.session, records)
        return records

    def page(
        self,
        entity: type[Entity],
        *,
        filter: str | Filter | None = None,
        sort: str = "",
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        fields: Sequence[Field] | None = None,
        search: str = "",
        archived: bool = False,
        where: Iterable[ColumnElement[bool]] = (),
    ) -> Page:
        """One page of rows, after `cursor`, in the order of `sort`. Archived records are left out unless asked for."""
        self._may_read(entity)
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid(Problem("limit", f"must be between 1 and {MAX_LIMIT}."))
        meta = self.site.meta(entity)
        keys = parse_sort(sort or "-id", meta)
        conditions = [*self.conditions(entity, filter=filter, search=search, archived=archived), *where]
        # Nothing limits an administrator's rows, so their statement needs no session to add scopes to it.
        alone = self.actor.unlimited
        chosen = _columns(_plain(entity) if alone else entity, meta.visible if fields is None else fields)
        statement = apply_paging(select(*chosen).where(*conditions), entity, keys, cursor, limit)
        run = self._own_connection() if alone else self.session
        return make_page(run.execute(statement).all(), entity, keys, limit)

    def conditions(
        self, entity: type[Entity], *, filter: str | Filter | None = None, search: str = "", archived: bool = False
    ) -> list[ColumnElement[bool]]:
        """The conditions of a list, for pages, counts, exports and boards alike."""
        conditions: list[ColumnElement[bool]] = []
        if not archived:
            conditions.append(entity.archived_at.is_(None))
        if filter:
            tree = parse(filter) if isinstance(filter, str) else filter
            conditions.append(compile_filter(tree, entity, self.context))
        if search.strip():
            found = self._found(search, [entity.meta.name], 1000)
            conditions.append(entity.id.in_([record_id for _, record_id in found]))
        return conditions

    def count(
        self, entity: type[Entity], *conditions: ColumnElement[bool], cap: int = 10_000, seconds: float | None = None
    ) -> tuple[int, bool]:
        """How many, and whether that is exact: counting stops at `cap`.

        What fits may be rare among millions, and even the cap far: with `seconds` it is (0, False) after so long.
        """
        statement = select(entity.id).where(*conditions)
        if seconds is None:
            return bounded_count(self.session, statement, cap)
        try:
            with within(self.session.connection(), seconds):
                return bounded_count(self.session, statement, cap)
        except TimeoutError:
            return 0, False

    def titles(self, entity: type[Entity], ids: Iterable[UUID | None]) -> dict[UUID, str]:
        """The titles of many records at once, without those out of reach."""
        wanted = {record_id for record_id in ids if record_id is not None}
        if not wanted or not self.actor.may(entity.meta.permission("read")):
            return {}
        column = getattr(entity, entity.meta.display)
        rows = self.session.execute(select(entity.id, column).where(entity.id.in_(wanted)))
        return {row[0]: str(row[1]) for row in rows}

    def search(
        self, query: str, *, entities: Sequence[str] | None = None, limit: int = 20
    ) -> list[tuple[str, UUID, str]]:
        """Records that match words as people type them: (entity, id, title), best first, only those within reach."""
        wanted = [
            entity.meta.name
            for entity in self.site.entities
            if (entities is None or entity.meta.name in entities) and self.actor.may(entity.meta.permission("read"))
            and any(f.searchable for f in self.site.meta(entity).fields.values())
        ]  # fmt: skip
        if not wanted:
            return []
        found = self._found(query, wanted, limit)
        titles: dict[tuple[str, UUID], str] = {}
        for name in {name for name, _ in found}:
            entity = self.site.entities[name]
            column = getattr(entity, entity.meta.display)
            ids = [record_id for other, record_id in found if other == name]
            rows = self.session.execute(
                select(entity.id, column).where(entity.id.in_(ids), entity.archived_at.is_(None))
            )
            titles.update({(name, row[0]): str(row[1]) for row in rows})
        return [(*key, titles[key]) for key in found if key in titles][:limit]

    def _found(self, query: str, names: Sequence[str], limit: int) -> list[tuple[str, UUID]]:
        """What a search finds within reach: others' records neither show nor take the place of one's own."""
        scopes = [(self.site.entities[name], row_scope(self.site.entities[name], self.actor)) for name in names]
        if all(scope is None for _entity, scope in scopes):
            return search_ids(self.session.connection(), query, entities=names, limit=limit)

        def within(document: Any) -> ColumnElement[bool]:
            return or_(
                document.entity.in_([entity.meta.name for entity, scope in scopes if scope is None]),
                *(
                    and_(document.entity == entity.meta.name, exists().where(entity.id == document.record_id, scope))
                    for entity, scope in scopes if scope is not None
                ),
            )  # fmt: skip

        return search_ids(self.session.connection(), query, entities=names, limit=limit, within=within)

    def stream(self, statement: Select[Any], batch: int = 1000) -> Iterable[Row[Any]]:
        """Rows of a statement without holding them all; for exports."""
        return self.session.execute(statement.execution_options(yield_per=batch, stream_results=True))

    def _may_read(self, entity: type[Entity]) -> None:
        self.actor.require(entity.meta.permission("read"))


def _plain(entity: type[Entity]) -> Any:
    """The columns of a kind's table by their names, also of one that is called `values`.

    For statements that need no session: with an entity's own attributes SQLAlchemy compares all columns anew each time.
    """
    return SimpleNamespace(**dict(table_of(entity).c.items()))


def _columns(entity: Any, fields: Sequence[Field]) -> list[Any]:
    """The columns of a row, each under its field's name."""
    chosen = [column_of(entity, f).label(f.name) if f.custom or f.extension else column_of(entity, f) for f in fields]
    names = {f.name for f in fields}
    # every row can be addressed and changed
    return [*chosen, *(getattr(entity, name) for name in ("id", "version") if name not in names)]


Dumper = Callable[[Any], dict[str, Any]]


def dumper(meta: EntityMeta, fields: Sequence[Field] | None = None) -> Dumper:
    """A function that turns a record, or a row with such names, into its JSON form. Made once, called for every one."""
    plan = _plan(fields or meta.visible)

    def dump(row: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, convert in plan:
            value = getattr(row, name)
            out[name] = value if convert is None or value is None else convert(value)
        return out

    return dump


def row_dumper(fields: Sequence[Field]) -> Dumper:
    """As `dumper`, for rows that were asked for with these fields in this order: taking by place is quicker."""
    plan = _plan(fields)

    def dump(row: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for (name, convert), value in zip(plan, row, strict=False):  # after them stand version and keys of the order
            out[name] = value if convert is None or value is None else convert(value)
        return out

    return dump


def _plan(fields: Sequence[Field]) -> list[tuple[str, Callable[[Any], Any] | None]]:
    from rapport.entities.fields import KINDS

    return [(f.name, KINDS[f.kind].dump) for f in fields]


def wanted_fields(meta: EntityMeta, names: str | Iterable[str] | None) -> list[Field]:
    """The visible fields of a comma-separated list; all of them for None. Unknown names are problems."""
    if names is None or names == "":
        return meta.visible
    chosen = [name.strip() for name in (names.split(",") if isinstance(names, str) else names)]
    known: Mapping[str, Field] = {f.name: f for f in meta.visible}
    if unknown := [name for name in chosen if name not in known]:
        raise Invalid(Problem("fields", f"names '{unknown[0]}', which {meta.name} does not have."))
    return [known[name] for name in dict.fromkeys(chosen)]


def missing(meta: EntityMeta, record_id: Any) -> NotFound:
    """The same answer for what does not exist and what is out of reach."""
    return NotFound(f"There is no {meta.title.lower()} with the id {record_id}.")
