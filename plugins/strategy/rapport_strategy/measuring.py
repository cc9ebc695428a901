"""What a measure comes to in a time: one number, asked of the warehouse with the rights of whoever asks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rapport import Reader


def value_of(
    reader: Reader,
    measure: str,
    *,
    until: dt.date,
    days: int = 0,
    since: dt.date | None = None,
    where: Mapping[str, Any] | None = None,
) -> Decimal | None:
    """A measure from a day, or over so many days, up to and with another; None where nothing is known.

    Of amounts in several currencies, those in the currency of the business count: they are never added up.
    """
    from rapport_warehouse import NotFilled, Question, answer

    first = since if since is not None else until - dt.timedelta(days=max(days, 1) - 1)
    slices = {name: tuple(str(key) for key in keys) for name, keys in (where or {}).items()}
    try:
        found = answer(reader, Question(measures=(measure,), where=slices, since=first, until=until))
    except NotFilled:
        return None
    column = column_of_currency(found, str(reader.site.settings.get("core.currency")))
    value = found.cell(0, column, measure).value
    if value is None:
        asked = reader.site.measures[measure]
        counted = asked.over is None and asked.how in {"count", "sum", "distinct"}
        return Decimal(0) if counted else None
    return Decimal(str(value))


def column_of_currency(found: Any, currency: str) -> int:
    """Where in an answer the amounts of a currency stand; the first column where none is told apart."""
    for number, heading in enumerate(found.columns):
        if any(member.key == currency for member in heading):
            return number
    return 0
