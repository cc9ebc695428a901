"""Whose a customer was, and where: from when to when, as far as the log of changes tells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    MetaData,
    Row,
    Subquery,
    Table,
    Text,
    Uuid,
    case,
    cast,
    func,
    or_,
    select,
)

from rapport import Customer, Entity, batched
from rapport.entities import table_of
from rapport.entities.types import Instant
from rapport.records.log import change_log

TABLE = "warehouse_customer_history"
REFERENCES = ("owner_id", "team_id")
ADDRESS = ("country", "city")

history = Table(
    TABLE,
    MetaData(),
    Column("customer_id", Uuid, nullable=False),
    Column("valid_from", Instant, nullable=False),
    # None: still so
    Column("valid_to", Instant),
    Column("owner_id", Uuid),
    Column("team_id", Uuid),
    Column("kind", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("city", Text, nullable=False),
)

Interval = tuple[UUID, dt.datetime, "dt.datetime | None", "UUID | None", "UUID | None", str, str, str]


def customer_history() -> Subquery:
    """The history to select from in a scoped session: of those customers alone that its actor may see."""
    columns = [column.label(column.name) for column in history.c]
    return select(*columns).join(Customer, Customer.id == history.c.customer_id).subquery("history")


def held(reference: str, member: type[Entity]) -> Subquery:
    """Whose customers were, each from when to when: `member` is missing where one may not see it.

    What happened before a customer was known counts as theirs whose it was first.
    """
    first = func.lag(history.c.valid_from).over(partition_by=history.c.customer_id, order_by=history.c.valid_from)
    past = (
        select(history.c.customer_id, history.c[reference], history.c.valid_to,
               case((first.is_not(None), history.c.valid_from)).label("valid_from"))
        .join(Customer, Customer.id == history.c.customer_id)
        .subquery()
    )  # fmt: skip
    members = select(member.id.label("id")).subquery()
    return (
        select(past.c.customer_id, past.c[reference].label("named"), past.c.valid_from, past.c.valid_to,
               members.c.id.label("member"))
        .outerjoin(members, members.c.id == past.c[reference])
        .subquery()
    )  # fmt: skip


def definition() -> str:
    """The columns as CREATE TABLE has them."""
    types = {Uuid: "UUID", Instant: "TIMESTAMPTZ", DateTime: "TIMESTAMPTZ", Text: "VARCHAR"}
    return ", ".join(f'"{column.name}" {types[type(column.type)]}' for column in history.c)


def unmoved() -> str:
    """All customers of the warehouse whose history is what they are today: a statement, with the others in `moved`."""
    places = ", ".join(f"coalesce(address ->> '{name}', '')" for name in ADDRESS)
    return (
        f"INSERT INTO {TABLE} SELECT id, created_at, NULL, owner_id, team_id, kind, {places} FROM customer "  # noqa: S608
        "WHERE id NOT IN (SELECT CAST(id AS UUID) FROM moved)"
    )


def moved(connection: Connection) -> list[UUID]:
    """The customers of whom the log may tell that they were elsewhere, or somebody else's."""
    text = cast(change_log.c.changes, Text)
    names = (*REFERENCES, "kind", "address")
    tells = or_(*(text.contains(f'"{name}"', autoescape=True) for name in names))
    about = select(change_log.c.record_id).where(
        change_log.c.entity == "customer", change_log.c.action != "created", tells
    )
    return list(connection.scalars(about.distinct().order_by(change_log.c.record_id)))


def intervals(connection: Connection, ids: Sequence[UUID]) -> Iterator[list[Interval]]:
    """The history of these customers, some at a time; of a customer who is gone there is none."""
    customers = table_of(Customer)
    wanted = [customers.c[name] for name in ("id", "created_at", "owner_id", "team_id", "kind", "address")]
    about = select(change_log.c.record_id, change_log.c.at, change_log.c.action, change_log.c.changes)
    for some in batched(ids):
        changes: dict[UUID, list[Any]] = {}
        for change in connection.execute(
            about.where(change_log.c.entity == "customer", change_log.c.record_id.in_(some)).order_by(change_log.c.seq)
        ):
            changes.setdefault(change.record_id, []).append(change)
        rows = connection.execute(select(*wanted).where(customers.c.id.in_(some)).order_by(customers.c.id))
        yield [one for row in rows for one in _of_customer(row, changes.get(row.id, []))]


def _of_customer(row: Row[Any], changes: Sequence[Row[Any]]) -> list[Interval]:
    """From what holds today backwards: each change says what was before it, and what was erased says nothing."""
    state: dict[str, Any] = {"owner_id": row.owner_id, "team_id": row.team_id, "kind": row.kind}
    state |= _places(row.address)
    found: list[Interval] = []
    until: dt.datetime | None = None
    for change in reversed(changes):
        if change.action in {"created", "deleted"}:
            break
        before = state | _before(change.changes)
        if before == state or change.at <= row.created_at:
            continue
        if until is None or change.at < until:  # of several changes in one moment the last one counts
            found.append(_interval(row.id, change.at, until, state))
            until = change.at
        state = before
    found.append(_interval(row.id, row.created_at, until, state))
    return found[::-1]


def _before(changes: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The tracked fields that a change took another value from, with that value."""
    before: dict[str, Any] = {
        name: None if changes[name][0] is None else UUID(changes[name][0]) for name in REFERENCES if name in changes
    }
    if "kind" in changes:
        before["kind"] = changes["kind"][0] or ""
    if "address" in changes:
        before |= _places(changes["address"][0])
    return before


def _places(address: Mapping[str, str] | None) -> dict[str, str]:
    return {name: (address or {}).get(name) or "" for name in ADDRESS}


def _interval(customer_id: UUID, since: dt.datetime, until: dt.datetime | None, state: Mapping[str, Any]) -> Interval:
    return (
        customer_id, since, until, state["owner_id"], state["team_id"], state["kind"], state["country"], state["city"],
    )  # fmt: skip
