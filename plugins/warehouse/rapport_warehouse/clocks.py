"""What clocks show somewhere at a moment: UTC, and so many hours more or less, by the rules that Python knows.

DuckDB's own `timezone()` asks ICU about every single moment, which takes longer than all else in a question, and its
rules are of another year than Python's. Offsets change some twice a year, so a moment is compared with these days.
"""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import DateTime, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import InternalTraversal

FIRST = dt.datetime(1990, 1, 1, tzinfo=dt.UTC)
"""Moments before it, and after the end of next year, are left to `timezone()`: there are few."""
STEP = dt.timedelta(days=7)
SECOND = dt.timedelta(seconds=1)


class clock_time(FunctionElement[dt.datetime]):
    """A moment as clocks show it in a time zone."""

    inherit_cache = True
    name = "clock_time"
    type = DateTime()
    # The zone is part of the statement: its rules stand in the text.
    _traverse_internals = [  # noqa: RUF012 - as SQLAlchemy's own elements have it
        *FunctionElement._traverse_internals,
        ("zone", InternalTraversal.dp_string),
    ]

    def __init__(self, zone: str, moment: Any) -> None:
        self.zone = zone
        super().__init__(moment)


@compiles(clock_time, "duckdb")
def _clock_time(element: Any, compiler: Any, **kw: Any) -> str:
    (moment,) = element.clauses
    at = compiler.process(moment, **kw)
    zone = str(compiler.render_literal_value(element.zone, String()))
    plain = f"timezone({zone}, {at})"
    if getattr(compiler, "for_other_engines", False):
        return plain
    if element.zone == "UTC":
        return f"make_timestamp(epoch_us({at}))"
    until = dt.datetime(dt.datetime.now(dt.UTC).year + 2, 1, 1, tzinfo=dt.UTC)
    (_first, offset), *later = offsets(element.zone, until)
    # The latest first: most of what is asked for is not long ago.
    steps = "".join(f" WHEN {at} >= {_literal(since)} THEN {more}" for since, more in reversed(later))
    more = f"CASE{steps} ELSE {offset} END" if steps else str(offset)
    return (
        f"CASE WHEN {at} >= {_literal(FIRST)} AND {at} < {_literal(until)}"
        f" THEN make_timestamp(epoch_us({at}) + {more}) ELSE {plain} END"
    )


def _literal(moment: dt.datetime) -> str:
    return f"TIMESTAMPTZ '{moment:%Y-%m-%d %H:%M:%S}+00'"


@functools.lru_cache(maxsize=64)
def offsets(zone: str, until: dt.datetime) -> tuple[tuple[dt.datetime, int], ...]:
    """From when on clocks in a zone are how many microseconds ahead of UTC, from FIRST until a moment."""
    known = ZoneInfo(zone)

    def ahead(moment: dt.datetime) -> int:
        return int((moment.astimezone(known).utcoffset() or dt.timedelta()) / SECOND) * 1_000_000

    found = [(FIRST, ahead(FIRST))]
    moment = FIRST
    while moment < until:
        before, moment = moment, moment + STEP
        if ahead(moment) == found[-1][1]:
            continue
        low, high = 0, int(STEP / SECOND)  # the second at which they were changed lies between
        while high - low > 1:
            middle = (low + high) // 2
            if ahead(before + middle * SECOND) == found[-1][1]:
                low = middle
            else:
                high = middle
        found.append((before + high * SECOND, ahead(before + high * SECOND)))
    return tuple(found)
