"""Lists page by page: nothing is lost, nothing comes twice, and the order is the same on both databases."""

from __future__ import annotations

import base64
import datetime as dt
import itertools
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from rapport.entities import entity_class
from rapport.errors import Invalid
from rapport.query.paging import apply_paging, bounded_count, make_page, parse_sort

Company: Any = entity_class("querytest.company")
Deal: Any = entity_class("querytest.deal")


def rows(count: int = 40) -> list[dict[str, Any]]:
    return [
        {
            "id": UUID(int=1000 + n * 7 % count), "name": "abcÉé Z"[n % 7], "points": n % 3,
            "rank": None if n % 4 == 0 else n % 3,
            "amount": None if n % 5 == 0 else Decimal(n % 4), "hot": [True, False, None][n % 3],
            "close_on": None if n % 3 else dt.date(2026, 1, 1 + n % 2), "tier": [None, "gold", "bronze", ""][n % 4],
            "called_at": dt.datetime(2026, 1, 1, n % 5, 0, 0, n % 2, tzinfo=dt.UTC),
        }
        for n in range(count)
    ]  # fmt: skip


def key(row: dict[str, Any], sort: str) -> tuple[Any, ...]:
    """What the order should be: missing values are larger than any other."""
    return tuple((row[name] is None, row[name] if row[name] is not None else 0) for name in [sort])


def expected(known: list[dict[str, Any]], sort: str) -> list[UUID]:
    parts = sort.split(",")
    ordered = sorted(known, key=lambda row: row["id"], reverse=parts[-1].startswith("-"))
    for part in reversed(parts):
        ordered.sort(key=lambda row: key(row, part.removeprefix("-")), reverse=part.startswith("-"))
    return [row["id"] for row in ordered]


def walk(connection: Connection, entity: Any, sort: str, limit: int) -> list[UUID]:
    keys = parse_sort(sort, entity.meta)
    cursor, found = None, []
    while True:
        statement = apply_paging(select(entity.id, entity.name), entity, keys, cursor, limit)
        page = make_page(connection.execute(statement).all(), entity, keys, limit)
        found += [row.id for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(page.items) == limit


NAMES = ["name", "points", "rank", "amount", "hot", "close_on", "tier", "called_at"]
SORTS = [f"{sign}{name}" for name in NAMES for sign in ("", "-")]


@pytest.mark.parametrize(
    "sort", [*SORTS, "rank,-amount", "-rank,name", "name,points", "-close_on,-tier,hot", "points,-called_at,rank"]
)
def test_pages_together_are_the_whole_list_in_order(connection: Connection, add: Any, sort: str) -> None:
    known = rows()
    add(Deal, *known)
    assert walk(connection, Deal, sort, 7) == expected(known, sort)


def test_a_name_sorts_by_its_letters(connection: Connection, add: Any) -> None:
    ids = add(Company, *({"name": name} for name in ("éa", "Eb", "z", "ec", "Z")))
    order = [ids[n] for n in (0, 1, 3, 2, 4)]
    assert walk(connection, Company, "name", 2) == order
    assert walk(connection, Company, "-name", 2) == order[::-1]


def test_a_record_that_goes_away_between_pages_leaves_no_gap(connection: Connection, add: Any) -> None:
    known = rows(9)
    add(Deal, *known)
    keys = parse_sort("points", Deal.meta)
    first = make_page(connection.execute(apply_paging(select(Deal.id), Deal, keys, None, 4)).all(), Deal, keys, 4)
    connection.execute(Deal.__table__.delete().where(Deal.id == first.items[-1].id))
    rest = connection.execute(apply_paging(select(Deal.id), Deal, keys, first.next_cursor, 10)).all()
    assert [row.id for row in first.items] + [row.id for row in rest] == expected(known, "points")


def test_a_cursor_of_another_list_or_of_nobody_is_refused(connection: Connection, add: Any) -> None:
    add(Deal, *rows(5))
    keys = parse_sort("-points,name", Deal.meta)
    page = make_page(connection.execute(apply_paging(select(Deal.id), Deal, keys, None, 2)).all(), Deal, keys, 2)
    good = page.next_cursor
    assert good is not None
    others = [parse_sort(sort, Deal.meta) for sort in ("points,name", "-points", "")]
    bad = ["x", "é", "a" * 30_000, good[:-3], "A" + good[1:], good + "!", "W10", "bnVsbA", "W251bGxd", good[4:]]
    for cursor, order in [*((good, other) for other in others), *((cursor, keys) for cursor in bad)]:
        with pytest.raises(Invalid, match="cursor does not belong to this list"):
            apply_paging(select(Deal.id), Deal, order, cursor, 2)


def test_a_number_in_a_cursor_may_be_larger_than_the_column(connection: Connection, add: Any) -> None:
    add(Deal, *rows(5))
    for sort in ("points", "-points,name"):
        keys = parse_sort(sort, Deal.meta)
        page = make_page(connection.execute(apply_paging(select(Deal.id), Deal, keys, None, 2)).all(), Deal, keys, 2)
        assert page.next_cursor is not None
        stamp, _, *rest = json.loads(base64.urlsafe_b64decode(page.next_cursor + "=="))
        bent = base64.urlsafe_b64encode(json.dumps([stamp, 2**50, *rest]).encode()).decode()
        found = connection.execute(apply_paging(select(Deal.id), Deal, keys, bent, 10)).all()
        assert len(found) == (5 if sort.startswith("-") else 0)


def test_a_cursor_bent_in_any_place_is_refused_or_harmless(connection: Connection, add: Any) -> None:
    add(Deal, *rows(5))
    keys = parse_sort("name,called_at,-points,hot", Deal.meta)
    page = make_page(connection.execute(apply_paging(select(Deal.id), Deal, keys, None, 2)).all(), Deal, keys, 2)
    assert page.next_cursor is not None
    for place, letter in itertools.product(range(len(page.next_cursor)), "Aw_9"):
        bent = page.next_cursor[:place] + letter + page.next_cursor[place + 1 :]
        try:
            statement = apply_paging(select(Deal.id), Deal, keys, bent, 2)
        except Invalid:
            continue
        connection.execute(statement).all()


@pytest.mark.parametrize(
    ("sort", "message"),
    [
        ("nme", "sort names 'nme', which querytest.deal does not have."),
        ("password", "sort names 'password', which querytest.deal does not have."),
        ("tags", "sort cannot use tags: tags has no order."),
        ("name,-name", "sort may name at most 5 fields, each once."),
        ("name,,tier", "sort names '', which querytest.deal does not have."),
    ],
)
def test_a_sort_that_cannot_be_says_why(sort: str, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_sort(sort, Deal.meta)
    assert str(refused.value) == message


def test_an_index_serves_every_page(sqlite_engine: Any, postgresql_engine: Any) -> None:
    customer = entity_class("customer")
    keys = parse_sort("name", customer.meta)
    page = make_page([(UUID(int=1), "ada", UUID(int=1))] * 2, customer, keys, 1)
    statement = apply_paging(select(customer.id), customer, keys, page.next_cursor, 50)
    with sqlite_engine.connect() as connection:
        text = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all())
        assert "ix_customer_listed" in plan
        assert "TEMP B-TREE" not in plan
    with postgresql_engine.connect() as connection:
        connection.exec_driver_sql("SET enable_seqscan = off")
        connection.exec_driver_sql("SET enable_sort = off")
        text = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = str(connection.exec_driver_sql(f"EXPLAIN {text}").all())
        assert "Index" in plan
        assert "ix_customer_listed" in plan
        assert "Sort" not in plan


def test_counting_stops_at_the_cap(connection: Connection, add: Any) -> None:
    add(Deal, *rows(12))
    session = Session(connection)
    assert bounded_count(session, select(Deal.id), cap=12) == (12, True)
    assert bounded_count(session, select(Deal.id).order_by(Deal.name), cap=11) == (11, False)
    assert bounded_count(session, select(Deal.id).where(Deal.name == "nobody")) == (0, True)
