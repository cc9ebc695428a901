"""Numbers of quotes and orders: Q-2026-0001, one after the other within a year, none twice and none left out."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session

from rapport import Entity, field, utcnow, uuid7


class Counter(Entity, name="sales.counter", title="Counter", icon="123", roles={}, listed=False, display="kind"):
    """How many numbers of a kind were given out in a year. Written only by `next_numbers`."""

    past_log = True  # it counts in a statement of its own

    __table_args__ = (UniqueConstraint("kind", "year"),)

    kind: Mapped[str] = field(label="Kind", readonly=True)
    year: Mapped[int] = field(label="Year", readonly=True)
    taken: Mapped[int] = field(label="Taken", default=0, readonly=True)


def next_numbers(session: Session, kind: str, count: int = 1) -> list[str]:
    """The next numbers of a kind. The count is locked until the transaction ends, and goes back with it."""
    connection = session.connection()
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    now = utcnow()
    first = dialect.insert(Counter).values(
        id=uuid7(), version=1, kind=kind, year=now.year, taken=0, created_at=now, updated_at=now, archived_at=None
    )
    connection.execute(first.on_conflict_do_nothing(index_elements=["kind", "year"]))
    counted = (
        update(Counter)
        .where(Counter.kind == kind, Counter.year == now.year)
        .values(taken=Counter.taken + count)
        .returning(Counter.taken)
    )
    last = int(connection.scalar(counted) or count)
    return [f"{kind}-{now.year}-{number:04d}" for number in range(last - count + 1, last + 1)]
