"""How values are stored, so that SQLite and PostgreSQL keep, sort and sum them exactly alike."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Text, TypeDecorator
from sqlalchemy.dialects import postgresql

SCALE = 4
_FACTOR = Decimal(10) ** SCALE
_STEP = Decimal(1).scaleb(-SCALE)
MAX_DECIMAL = Decimal(2**63 - 1) / _FACTOR
"""About 922 trillion: the largest amount that fits."""


def to_whole(value: Any) -> int:
    """A decimal number as so many ten-thousandths."""
    return int((Decimal(value) * _FACTOR).to_integral_value(ROUND_HALF_EVEN))


def from_whole(value: Any) -> Decimal:
    """The decimal number behind so many ten-thousandths."""
    return Decimal(int(value)).scaleb(-SCALE)


class Fixed(TypeDecorator[Decimal]):
    """A decimal number with four places, kept as a whole number: SQLite has no exact decimals of its own."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else to_whole(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else from_whole(value)


class Instant(TypeDecorator[dt.datetime]):
    """A moment in UTC. Naive datetimes are refused: nobody could say which moment they mean."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone. Use rapport.utcnow() or an aware datetime.")
        value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class Tags(TypeDecorator[tuple[str, ...]]):
    r"""A set of short words in one text, `\nvip\ngold\n`, so that one tag is found the same way on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> str:
        return join_tags(value or ())

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...]:
        return tuple(value.split("\n")[1:-1]) if value else ()


def join_tags(tags: Iterable[str]) -> str:
    r"""The stored form of tags: each between line breaks, in order, without repeats; none is the empty text."""
    unique = dict.fromkeys(tags)
    return "\n" + "\n".join(unique) + "\n" if unique else ""


Json = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
"""A small document: an address, an event's data."""

# Codepoint order on both: SQLite compares bytes, PostgreSQL would ask the server's locale.
Words = Text().with_variant(Text(collation="C"), "postgresql")
"""Text, compared the same way on both databases."""


def instant_text(value: dt.datetime) -> str:
    """A moment as JSON has it: 2026-11-23T14:00:00Z."""
    return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def decimal_text(value: Decimal) -> str:
    """At least two places, at most four: 1234.50, 0.1234."""
    text = f"{value:.4f}"
    return text[:-2] if text.endswith("00") else text.rstrip("0")


_last = 0
_lock = threading.Lock()


def uuid7() -> UUID:
    """A UUID whose order is the order of making (RFC 9562, version 7, with the sub-millisecond part in rand_a).

    Strictly increasing within a process, also within one clock tick, so that sorting by id sorts by creation.
    """
    return _uuid7_at(_ticks(1), os.urandom(8))


def uuid7s(count: int) -> list[UUID]:
    """So many of them, in order: for what is made by the thousand."""
    first, random = _ticks(count), os.urandom(8 * count)
    return [_uuid7_at(first + n, random[8 * n : 8 * n + 8]) for n in range(count)]


def _ticks(count: int) -> int:
    """The first of so many moments that nobody else gets: milliseconds with 12 binary places."""
    global _last  # noqa: PLW0603 - one clock per process
    with _lock:
        first = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
        _last = first + count - 1
    return first


def _uuid7_at(tick: int, random: bytes) -> UUID:
    low = int.from_bytes(random) & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return UUID(int=(tick >> 12) << 80 | 0x7000 << 64 | (tick & 0xFFF) << 64 | low)


def utcnow() -> dt.datetime:
    """This moment. The one clock of Rapport: tests move it by patching `rapport.entities.types.clock`."""
    return clock()


def _system_clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


clock = _system_clock
