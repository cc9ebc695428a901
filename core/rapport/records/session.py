"""The guard: a session belongs to one actor, and no query leaves it without that actor's row scopes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Alias,
    ColumnClause,
    Connection,
    Engine,
    Join,
    NestedTransaction,
    Select,
    Table,
    TableClause,
    TableSample,
    TextClause,
    UpdateBase,
    event,
    select,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import FromStatement, ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.sql import visitors

from rapport.access import Actor, row_scope
from rapport.db.engine import BORROWER, really_roll_back, spoilt, standing
from rapport.entities import Entity
from rapport.entities.base import table_of
from rapport.errors import PluginError, RapportError
from rapport.hooks import Lent

SCOPED = {"rapport_scoped": True}
"""Says of a statement that its rows have been authorised already: what belongs to a record goes with it, whether or not
the actor sees it."""


class Unscoped(RapportError):
    """A statement that the guard cannot limit to the actor's rows, and therefore does not run."""


def _is_entitys(element: Any) -> bool:
    return "parententity" in element._annotations


def _taken_directly(element: Any) -> list[Any]:
    """The tables that a piece of a statement reads by naming them itself."""
    named: list[Any] = []
    if isinstance(element, Select):
        named = [*element._from_obj, *element._raw_columns, *(join[0] for join in element._setup_joins)]
    elif isinstance(element, Join):
        named = [element.left, element.right]
    elif isinstance(element, Alias | TableSample) and not _is_entitys(element):
        named = [element.element]
    elif isinstance(element, UpdateBase) or (isinstance(element, ColumnClause) and not _is_entitys(element)):
        named = [element.table]
    return [table for table in named if isinstance(table, Table) and not _is_entitys(table)]


def _is_text(element: Any) -> bool:
    """Whether a piece of a statement is SQL as somebody wrote it, which may name any table; a star names none."""
    literal = isinstance(element, ColumnClause) and element.is_literal and element.name != "*"
    return literal or isinstance(element, TextClause)


def _named_again(element: Any) -> str:
    """The table that a piece of a statement names by a word of its own, and not by the table that is known here."""
    named = element.table if isinstance(element, ColumnClause) else element
    return str(named.name) if isinstance(named, TableClause) and not isinstance(named, Table) else ""


def _tables_of_plain(element: Any) -> list[Any]:
    """The tables of a select that the ORM does not compile, however it came by them."""
    if not isinstance(element, Select):
        return []
    names_entity = element._propagate_attrs.get("compile_state_plugin") == "orm"
    only_stars = not element._from_obj and all(getattr(column, "is_literal", False) for column in element._raw_columns)
    if names_entity and not only_stars:
        return []
    return [table for source in element.get_final_froms() for table in source._from_objects if isinstance(table, Table)]


def _limits(actor: Actor, entities: Iterable[type[Entity]]) -> tuple[list[Any], set[Table]]:
    """What limits the actor's statements, and the tables with rows out of reach.

    Kept with the actor, whose rights do not change: a site has a hundred kinds of record, and each request reads.
    """
    known = actor.kept.get("limits")
    if known is not None and known[0] is entities and known[1] is row_scope:
        return known[2], known[3]
    criteria: list[Any] = []
    hidden: set[Table] = set()
    for entity in entities:
        if (scope := row_scope(entity, actor)) is not None:
            criteria.append(with_loader_criteria(entity, scope, include_aliases=True))
            hidden.add(table_of(entity))
    actor.kept["limits"] = entities, row_scope, criteria, hidden
    return criteria, hidden


class ScopedSession(Session, Lent):
    """A session that sees what its actor may see, whichever way it is asked.

    Statements are ORM selects over entities: each gets the row scopes of every entity in it. What cannot be scoped
    (SQL text, entity tables used as bare tables, `from_statement`) is refused, unless the actor is limited in nothing.
    """

    def __init__(self, bind: Engine | Connection, actor: Actor, entities: Iterable[type[Entity]]) -> None:
        super().__init__(bind=bind, expire_on_commit=False, autoflush=False)
        self.actor = actor
        self.borrower = ""
        """The plugin that works with it at this moment, and in which hook."""
        self._criteria, self._hidden = ([], set()) if actor.unlimited else _limits(actor, entities)
        self.limited = bool(self._criteria)
        if self.limited:
            event.listen(self, "do_orm_execute", self._guard)

    def _guard(self, state: ORMExecuteState) -> None:
        if state.execution_options.get("rapport_scoped"):
            return  # a statement of the write path, which has authorised this very row
        statement: Any = state.statement
        if isinstance(statement, FromStatement):
            raise Unscoped("from_statement() cannot be limited to your rows. Use select() over entities.")
        if state.is_update and isinstance(state.parameters, list):
            raise Unscoped("An update of rows by their keys cannot be limited to your rows. Change each record.")
        self._refuse_if_hidden(statement)
        if state.is_orm_statement and not state.is_column_load and not state.is_relationship_load:
            state.statement = statement.options(*self._criteria)

    def _refuse_if_hidden(self, statement: Any) -> None:
        elements = list(visitors.iterate(statement))
        if any(_is_text(element) for element in elements):
            raise Unscoped("SQL text cannot be limited to your rows. Use select() over entities.")
        if again := {_named_again(element) for element in elements} & {table.name for table in self._hidden}:
            raise Unscoped(f"The table '{again.pop()}' cannot be read directly. Select the entity, so that row scopes "
                           f"apply.")  # fmt: skip
        # A column of an entity brings its bare table along; that FROM is the entity's own, and gets its scope.
        brought = {
            id(element.table) for element in elements if isinstance(element, ColumnClause) and _is_entitys(element)
        }
        for element in elements:
            # Criteria reach only what the ORM compiles; an exists() of mere columns is not among it.
            unscoped = _tables_of_plain(element)
            for table in (*_taken_directly(element), *unscoped):
                if table in self._hidden and (id(element) not in brought or unscoped):
                    raise Unscoped(
                        f"The table '{table}' cannot be read directly. Select the entity, so that row scopes apply."
                    )

    def get(self, entity: Any, ident: Any, **options: Any) -> Any:
        """As Session.get, but always asking the database within the scopes, never the identity map alone."""
        if not self.limited:
            return super().get(entity, ident, **options)
        return self.scalars(select(entity).where(entity.id == ident)).one_or_none()

    def bulk_save_objects(self, *arguments: Any, **options: Any) -> None:
        """As in Session, but only for actors who are limited in nothing: it asks nobody whose rows those are."""
        self._refuse_in_bulk()
        super().bulk_save_objects(*arguments, **options)

    def bulk_update_mappings(self, *arguments: Any, **options: Any) -> None:
        """As in Session, but only for actors who are limited in nothing."""
        self._refuse_in_bulk()
        super().bulk_update_mappings(*arguments, **options)

    def _refuse_in_bulk(self) -> None:
        if self.limited:
            raise Unscoped("Rows changed in bulk cannot be limited to yours. Change each record.")

    # Lent to a plugin ------------------------------------------------------------------------------------------------

    @contextmanager
    def lend(self, borrower: str, *, undo: bool = False) -> Iterator[None]:
        """A plugin works with it within the block, and may not end what it did not begin."""
        connection = self.connection()
        outer, nested = self.get_transaction(), self.get_nested_transaction()
        former, info, before = self.borrower, connection.info, standing(connection)
        point = connection.begin_nested() if undo else None
        known = set(self.new) if undo else set()
        self.borrower = info[BORROWER] = borrower
        trouble, fault = "", False
        try:
            yield
        except BaseException:
            fault = True
            raise
        finally:
            self.borrower = former
            info.pop(BORROWER, None)
            if former:
                info[BORROWER] = former
            while (inner := self.get_nested_transaction()) is not nested and inner is not None:
                trouble = "left a savepoint open"
                inner.rollback()
            if self.get_transaction() is not outer or not self.is_active or spoilt(connection, before):
                trouble = "ended the transaction it works in, or left it broken by an error that it caught"
                really_roll_back(connection)
            if point is not None and (fault or trouble):
                self._take_back(point, known)
            elif point is not None:
                point.commit()
        if trouble:
            raise PluginError(f"{borrower} {trouble}. Leave that to whoever gave it the session.")

    def _take_back(self, point: NestedTransaction, known: set[Any]) -> None:
        for record in set(self.new) - known:
            self.expunge(record)
        with contextlib.suppress(SQLAlchemyError):  # then the transaction is lost, and whoever goes on is refused
            point.rollback()

    def replace(self) -> None:
        """Give the connection up; whoever goes on with this session is refused."""
        self.borrower = ""
        self.invalidate()

    def _refuse_while_lent(self, what: str) -> None:
        if self.borrower:
            raise PluginError(f"{self.borrower} must not say session.{what}(): the session is only lent to it.")

    def commit(self) -> None:
        """As Session.commit, but never by a plugin."""
        self._refuse_while_lent("commit")
        super().commit()

    def rollback(self) -> None:
        """As Session.rollback, but never by a plugin."""
        self._refuse_while_lent("rollback")
        super().rollback()

    def close(self) -> None:
        """As Session.close, but never by a plugin."""
        self._refuse_while_lent("close")
        super().close()

    def reset(self) -> None:
        """As Session.reset, but never by a plugin."""
        self._refuse_while_lent("reset")
        super().reset()

    def invalidate(self) -> None:
        """As Session.invalidate, but never by a plugin."""
        self._refuse_while_lent("invalidate")
        super().invalidate()

    def expunge_all(self) -> None:
        """As Session.expunge_all, but never by a plugin: what core is about to save would be forgotten."""
        self._refuse_while_lent("expunge_all")
        super().expunge_all()
