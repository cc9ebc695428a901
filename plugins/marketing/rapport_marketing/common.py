"""What several parts of marketing have in common: who may do what, and in which money."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from rapport import Formats, Problem, Reader, Site, setting_of
from rapport import gettext as _

WORK = {
    "manager": "read create update delete export import",
    "member": "read create update delete:own export import",
    "viewer": "read",
}
PART = {
    "manager": "read create update delete export import",
    "member": "read create update delete export import",
    "viewer": "read",
}
DECIDED = {"manager": "read create update delete export import", "member": "read export", "viewer": "read"}
WRITTEN_BY_ITSELF = {"manager": "read export", "member": "read export", "viewer": "read"}
CURRENCY_HELP = "The ISO 4217 code, such as EUR. Left empty, it is the currency of the business."

Amounts = dict[str, Decimal]
"""Amounts by currency: those of two currencies are never added up."""


def tidy_currency(session: Session, currency: str | None) -> str:
    """The code in capitals; the currency of the business where none is given."""
    return (currency or "").strip().upper() or str(setting_of(session, "core.currency"))


def in_order(first: str, begin: Any, last: str, end: Any) -> list[Problem]:
    """What ends does not end before it begins."""
    wrong = begin is not None and end is not None and end < begin
    return [Problem(last, _("is before the beginning."))] if wrong else []


def add(amounts: Amounts, currency: str, amount: Decimal | None) -> None:
    """Count an amount in."""
    if amount:
        amounts[currency] = amounts.get(currency, Decimal(0)) + amount


def formats_of(reader: Reader) -> Formats:
    """How the reader writes numbers, days and amounts."""
    actor: Any = reader.actor
    return Formats(actor.language, actor.time_zone, actor.calendar or None)


def money(reader: Reader, amounts: Mapping[str, Decimal], *, compact: bool = False) -> str:
    """Amounts by currency as one text: €12,000 + ₪3,000."""
    written = formats_of(reader)
    shown = [written.money(amount, currency, compact) for currency, amount in sorted(amounts.items()) if amount]
    return " + ".join(shown) or "–"


def site_of(session: Session) -> Site:
    """The site that a session of a unit of work belongs to."""
    unit: Any = getattr(session, "unit")  # noqa: B009 - a session of a unit has one, its type does not say so
    site: Site = unit.site
    return site
