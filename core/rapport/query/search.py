"""Search: one index of the words of every record, the same on both databases, that finds names as people type them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    Select,
    Table,
    Text,
    Uuid,
    and_,
    case,
    cast,
    column,
    delete,
    event,
    func,
    literal,
    not_,
    select,
    table,
    true,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from rapport.db.batches import batched
from rapport.db.tables import metadata
from rapport.query.words import MAX_DOCUMENT, MAX_QUERY, Term, Ways, normalise, query_ways, tokens, tokens_of

__all__ = [
    "forget_documents",
    "forget_entities",
    "index_documents",
    "normalise",
    "search_document",
    "search_ids",
    "tokens",
]

CANDIDATES = 300
"""Of a very common word, only the newest records are ranked: nobody reads more, and ranking all takes seconds."""
LOOKED_AT = 10_000
"""Of how many records with the words it is asked whether somebody may read them."""
RECENT, ENOUGH = 10_000, 5_000
"""How many documents PostgreSQL looks at one by one, and how many that have the words."""
_MAX_TITLE = 80
_MAX_PLACE = 16_383  # of PostgreSQL
_LAST_LETTER = "\U0010ffff"

search_document = Table(
    "search_document",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("entity", Text, nullable=False),
    Column("record_id", Uuid, nullable=False),
    # The first line, normalised: what begins like the query comes first.
    Column("title", Text().with_variant(Text(collation="C"), "postgresql"), nullable=False),
    # Words ready for the index: Rapport parts texts into words, neither database does. Empty on SQLite, which keeps
    # them in `search_index`, under the same id.
    Column("words", Text().with_variant(TSVECTOR, "postgresql")),
    Index("ix_search_document_record", "record_id", "entity", unique=True),
    Index("ix_search_document_title", "title", "id"),
)
_SEARCH_INDEX = table("search_index", column("rowid", Integer), column("words", Text))


_LAST = select(func.max(search_document.c.id))


def _run_on(dialect: str, moment: str, statement: str) -> None:
    ddl = DDL(statement)  # type: ignore[no-untyped-call]  # SQLAlchemy leaves its arguments untyped
    event.listen(search_document, moment, ddl.execute_if(dialect=dialect))


# With the table, whether a test or a migration creates it.
_run_on(
    "sqlite",
    "after_create",
    "CREATE VIRTUAL TABLE search_index USING fts5(words, columnsize=0, "
    "tokenize=\"unicode61 remove_diacritics 0 categories 'L* M* N* Co'\")",
)
_run_on("sqlite", "after_drop", "DROP TABLE IF EXISTS search_index")
_run_on(
    "postgresql",
    "after_create",
    "CREATE INDEX ix_search_document_words ON search_document USING gin (words)",
)


# Writing -------------------------------------------------------------------------------------------------------------


Document = tuple[str, UUID, str]
Key = tuple[str, UUID]


def index_documents(connection: Connection, documents: Iterable[Document], *, new: bool = False) -> None:
    """Make records findable by these texts, new or changed: (entity, record id, text). The first line is the title.

    Say `new` when all of them were created just now: then nobody looks for what they replace.
    """
    latest = {(entity, record_id): text for entity, record_id, text in documents}
    for keys in batched(latest):
        plain = [normalise(latest[key][:MAX_DOCUMENT]) for key in keys]
        _index(
            connection, keys, plain, {} if new or connection.dialect.name != "sqlite" else _known_ids(connection, keys)
        )


def index_new(connection: Connection, entity: str, ids: Sequence[UUID], texts: Sequence[str]) -> None:
    """Make records of one kind findable that were created just now, each once."""
    plain = [normalise(text[:MAX_DOCUMENT]) for text in texts]
    _index(connection, [(entity, record_id) for record_id in ids], plain, {})


def forget_documents(connection: Connection, records: Iterable[Key]) -> None:
    """Take records out of the search: (entity, record id)."""
    for keys in batched(records):
        if known := list(_known_ids(connection, keys).values()):
            _delete(connection, search_document.c.id.in_(known))


def forget_words(connection: Connection) -> None:
    """Make sure that no word of a document that was taken out can be read from the index any more. Takes a while.

    SQLite's index only notes that a document is gone, and drops its words when it next joins its parts.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("INSERT INTO search_index (search_index) VALUES ('optimize')")


def forget_entities(connection: Connection, entities: Iterable[str]) -> None:
    """Take every record of these kinds out of the search: when their tables go."""
    _delete(connection, search_document.c.entity.in_(list(entities)))


def _delete(connection: Connection, condition: ColumnElement[bool]) -> None:
    if connection.dialect.name == "sqlite":
        gone = select(search_document.c.id).where(condition)
        connection.execute(delete(_SEARCH_INDEX).where(_SEARCH_INDEX.c.rowid.in_(gone)))
    connection.execute(delete(search_document).where(condition))


def _known_ids(connection: Connection, keys: Sequence[Key]) -> dict[Key, int]:
    document = search_document.c
    ids = [record_id for _, record_id in keys]
    rows = connection.execute(
        select(document.entity, document.record_id, document.id).where(document.record_id.in_(ids))
    )
    found = {(row[0], row[1]): row[2] for row in rows}
    return {key: found[key] for key in keys if key in found}


# Past SQLAlchemy's handling of parameters, which would cost more than the index: an import brings 20,000 texts a
# second.


def _index(connection: Connection, keys: Sequence[Key], plain: Sequence[str], known: Mapping[Key, int]) -> None:
    if connection.dialect.name == "sqlite":
        _index_on_sqlite(connection, keys, plain, known)
    else:
        _index_on_postgresql(connection, keys, plain)


def _index_on_sqlite(
    connection: Connection, keys: Sequence[Key], texts: Sequence[str], known: Mapping[Key, int]
) -> None:
    # There is one writer at a time, so the next free ids are ours.
    new = itertools.count((connection.scalar(_LAST) or 0) + 1)
    documents, words = [], []
    for key, plain in zip(keys, texts, strict=True):
        row = known[key] if known and key in known else next(new)
        documents.append((row, key[0], key[1].hex, _title(plain)))
        words.append((row, " ".join(tokens_of(plain))))
    if known:
        connection.exec_driver_sql("DELETE FROM search_index WHERE rowid = ?", [(row,) for row in known.values()])
    connection.exec_driver_sql(
        "INSERT OR REPLACE INTO search_document (id, entity, record_id, title) VALUES (?, ?, ?, ?)", documents
    )
    connection.exec_driver_sql("INSERT INTO search_index (rowid, words) VALUES (?, ?)", words)


def _index_on_postgresql(connection: Connection, keys: Sequence[Key], texts: Sequence[str]) -> None:
    titles = [_title(plain) for plain in texts]
    words = [
        " ".join([f"{word}:{place}" for place, word in enumerate(tokens_of(plain)[:_MAX_PLACE], 1)]) for plain in texts
    ]
    connection.exec_driver_sql(
        "INSERT INTO search_document (entity, record_id, title, words) "
        "SELECT entity, record_id, title, words::tsvector "
        "FROM unnest(%s::text[], %s::uuid[], %s::text[], %s::text[]) AS given (entity, record_id, title, words) "
        "ON CONFLICT (record_id, entity) DO UPDATE SET title = excluded.title, words = excluded.words",
        ([entity for entity, _ in keys], [record_id for _, record_id in keys], titles, words),
    )


def _title(plain: str) -> str:
    return plain.partition("\n")[0][:_MAX_TITLE].replace("\x00", "")


# Asking --------------------------------------------------------------------------------------------------------------


def search_ids(
    connection: Connection, query: str, entities: Sequence[str] | None = None, limit: int = 50,
    within: Callable[[Any], ColumnElement[bool]] | None = None,
) -> list[tuple[str, UUID]]:  # fmt: skip
    """Records that have every word of the query, the last one perhaps unfinished: (entity, record id), best first.

    First those whose title begins with the query, then those with such a word in the title, each by title. `within` is
    the condition of what somebody may read, of columns `entity` and `record_id`: were it asked only of the best,
    others' records would take the room. It is asked of LOOKED_AT at most, so that who may read little does not have
    millions looked through.
    """
    ways = query_ways(query)
    if not ways or entities == []:
        return []
    typed = normalise(query[:MAX_QUERY]).strip().replace("\x00", "")
    wanted = true() if entities is None else search_document.c.entity.in_(entities)
    most = max(CANDIDATES, limit)
    found: list[tuple[str, UUID]] = []
    for looked_at in (most,) if within is None else (most, LOOKED_AT):
        found = _best(connection, typed, ways, wanted, within, limit, looked_at)
        if len(found) == limit:
            break
    return found


def _best(
    connection: Connection, typed: str, ways: Ways, wanted: ColumnElement[bool],
    within: Callable[[Any], ColumnElement[bool]] | None, limit: int, looked_at: int,
) -> list[tuple[str, UUID]]:  # fmt: skip
    """The best of so many records that have the words."""
    document = search_document.c
    begins = and_(document.title >= typed, document.title < typed + _LAST_LETTER)
    columns = document.id, document.entity, document.record_id, document.title
    first = select(*columns).where(wanted, begins).order_by(document.title, document.id).limit(looked_at)
    best = _reached(first, within).order_by("title", "id").limit(limit)
    found = [(row.entity, row.record_id) for row in connection.execute(best)]
    if len(found) == limit:
        return found
    *quick, last = _candidates(connection.dialect.name, ways, wanted, looked_at)
    enough = (ids for ids in quick if _count(connection, _reached(ids, within)) >= CANDIDATES)
    candidates = _reached(next(enough, last), within).subquery().c
    rank = case((candidates.title.contains(f" {typed}", autoescape=True), 0), else_=1)
    rest = (
        select(candidates.entity, candidates.record_id)
        .where(not_(and_(candidates.title >= typed, candidates.title < typed + _LAST_LETTER)))
        .order_by(rank, candidates.title, candidates.id)
        .limit(limit - len(found))
    )
    return found + [(row.entity, row.record_id) for row in connection.execute(rest)]


def _count(connection: Connection, found: Select[Any]) -> int:
    return connection.scalar(select(func.count()).select_from(found.subquery())) or 0


def _reached(found: Select[Any], within: Callable[[Any], ColumnElement[bool]] | None) -> Select[Any]:
    """Of what was found, what somebody may read."""
    if within is None:
        return found
    some = found.subquery()
    return select(some).where(within(some.c))


def has_words(dialect: str, query: str, entity: str, record_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """A condition: the record that a statement is at has every word of the query. For statements that look at few."""
    ways = query_ways(query)
    if not ways:
        return true()
    document = search_document.c
    found = select(document.id).where(document.entity == entity, document.record_id == record_id)
    if dialect == "sqlite":
        matching = _SEARCH_INDEX.c.words.match(_sqlite_query(ways))
        return found.join(_SEARCH_INDEX, _SEARCH_INDEX.c.rowid == document.id).where(matching).exists()
    wanted = cast(literal(_postgresql_query(ways), Text), TSQUERY)
    return found.where(document.words.op("@@", is_comparison=True)(wanted)).exists()


def _candidates(dialect: str, ways: Ways, wanted: ColumnElement[bool], most: int) -> Iterator[Select[Any]]:
    """The newest records with all the words, so that both databases leave out the same ones.

    PostgreSQL has no index that knows words and age. Left to choose, it walks back from the newest and may find that a
    word stands in the old ones only, millions of records later. So it is to look among the newest, and when those are
    not enough, among all that have the words; of a word that more than ENOUGH have, some of the older ones are missed.
    """
    document = search_document.c
    found = select(document.id, document.entity, document.record_id, document.title).where(wanted)
    if dialect == "sqlite":
        matching = _SEARCH_INDEX.c.words.match(_sqlite_query(ways))
        found = found.join(_SEARCH_INDEX, _SEARCH_INDEX.c.rowid == document.id).where(matching)
        yield found.order_by(_SEARCH_INDEX.c.rowid.desc()).limit(most)
        return
    words = cast(literal(_postgresql_query(ways), Text), TSQUERY)
    found = found.where(document.words.op("@@", is_comparison=True)(words))
    newest = select(func.max(document.id)).scalar_subquery()
    yield found.where(document.id > newest - RECENT).order_by(document.id.desc()).limit(most)
    matching_ones = found.limit(ENOUGH).cte("matching").prefix_with("MATERIALIZED")
    yield select(matching_ones).order_by(matching_ones.c.id.desc()).limit(most)


# Words are letters and digits only (see words.py), so nothing in them can act as an operator.


def _sqlite_query(ways: Ways) -> str:
    def term(term: Term) -> str:
        return f'"{" ".join(term.words)}"{" *" if term.prefix else ""}'

    return _spelled(ways, term, " AND ", " OR ")


def _postgresql_query(ways: Ways) -> str:
    def term(term: Term) -> str:
        phrase = " <-> ".join(f"'{word}'" for word in term.words)
        return f"({phrase})" if len(term.words) > 1 else phrase + (":*" if term.prefix else "")

    return _spelled(ways, term, " & ", " | ")


def _spelled(ways: Ways, term: Callable[[Term], str], every: str, some: str) -> str:
    groups = (some.join(f"({every.join(map(term, way))})" for way in group) for group in ways)
    return every.join(f"({group})" for group in groups)
