"""How long something took, said so that every database counts alike: whole days, and hours to four places.

What they give is exact, so that sums of it do not depend on the order in which rows are added.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from rapport.entities.types import Fixed


class days_between(FunctionElement[int]):
    """Days from one date to another, 0 on the same day: `days_between(Deal.started_on, Deal.closed_on)`."""

    inherit_cache = True
    name = "days_between"
    type = BigInteger()


class hours_between(FunctionElement[Any]):
    """Hours from one moment to another: `hours_between(Case.opened_at, Case.solved_at)`."""

    inherit_cache = True
    name = "hours_between"
    type = Fixed()


class hours_of(FunctionElement[Any]):
    """A field of whole seconds as hours: `hours_of(Call.talked)`."""

    inherit_cache = True
    name = "hours_of"
    type = Fixed()


def _hours(seconds: str, quotient: str = "/") -> str:
    """Seconds as ten-thousandths of hours, which is how decimals are kept: 3600 seconds are 10000 of them."""
    return f"(({seconds}) * 25 {quotient} 9)"


@compiles(days_between)
def _days(element: Any, compiler: Any, **kw: Any) -> str:
    first, last = (compiler.process(each, **kw) for each in element.clauses)
    return f"date_diff('day', {first}, {last})"


@compiles(days_between, "sqlite")
def _days_on_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    first, last = (compiler.process(each, **kw) for each in element.clauses)
    return f"CAST(julianday({last}) - julianday({first}) AS INTEGER)"


@compiles(days_between, "postgresql")
def _days_on_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    first, last = (compiler.process(each, **kw) for each in element.clauses)
    return f"({last} - {first})"


@compiles(hours_between)
def _hours_between(element: Any, compiler: Any, **kw: Any) -> str:
    first, last = (compiler.process(each, **kw) for each in element.clauses)
    return _hours(f"(epoch_us({last}) - epoch_us({first})) // 1000000", "//")


@compiles(hours_between, "sqlite")
def _hours_between_on_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    first, last = (compiler.process(each, **kw) for each in element.clauses)
    # julianday keeps milliseconds: what is rounded to those first is as many seconds as it is elsewhere.
    thousandths = f"CAST(ROUND((julianday({last}) - julianday({first})) * 86400000) AS INTEGER)"
    return _hours(f"{thousandths} / 1000")


@compiles(hours_between, "postgresql")
def _hours_between_on_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    first, last = (compiler.process(each, **kw) for each in element.clauses)
    return _hours(f"CAST(TRUNC(EXTRACT(EPOCH FROM ({last} - {first}))) AS BIGINT)")


@compiles(hours_of)
def _hours_of(element: Any, compiler: Any, **kw: Any) -> str:
    (seconds,) = (compiler.process(each, **kw) for each in element.clauses)
    return _hours(seconds, "//")


@compiles(hours_of, "sqlite")
@compiles(hours_of, "postgresql")
def _hours_of_with_whole_division(element: Any, compiler: Any, **kw: Any) -> str:
    (seconds,) = (compiler.process(each, **kw) for each in element.clauses)
    return _hours(seconds)
