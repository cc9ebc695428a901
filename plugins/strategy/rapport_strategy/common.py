"""What several parts of strategy have in common: who may do what, in which money, and how figures are written."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from rapport import Formats, Invalid, Problem, Reader, Site, setting_of
from rapport import gettext as _

DECIDED = {"manager": "read create update delete export import", "member": "read export", "viewer": "read"}
SCOPED = {"rapport_scoped": True}
"""The rows have been authorised already: the code before it says for whom."""


def tidy_currency(session: Session, currency: str | None) -> str:
    """The code in capitals; the currency of the business where none is given."""
    return (currency or "").strip().upper() or str(setting_of(session, "core.currency"))


def formats_of(reader: Reader) -> Formats:
    """How the reader writes numbers, days and amounts."""
    actor: Any = reader.actor
    return Formats(actor.language, actor.time_zone, actor.calendar or None)


def site_of(session: Session) -> Site:
    """The site that a session of a unit of work belongs to."""
    unit: Any = getattr(session, "unit")  # noqa: B009 - a session of a unit has one, its type does not say so
    site: Site = unit.site
    return site


def check_measure(session: Session, name: str | None) -> None:
    """Invalid unless a measure is one that a module of this site has."""
    if not name or name in site_of(session).measures:
        return
    known = ", ".join(sorted(site_of(session).measures.names())[:40])
    raise Invalid(Problem("measure", _("is no measure of this site. There are: %(known)s.", known=known)))


def written(formats: Formats, value: Decimal | None, kind: str, currency: str = "") -> str:
    """A figure as its measure is shown."""
    if value is None:
        return "–"
    if kind == "percent":
        return formats.percent(value, 1)
    if kind == "money":
        return formats.money(value, currency)
    return formats.number(round(value, 2 if abs(value) < 10 else 1) if value % 1 else int(value))


def share(part: int, whole: int) -> float | None:
    """A part of a whole; None where there is no whole."""
    return part / whole if whole else None


def total(amounts: Sequence[Decimal | None]) -> Decimal:
    """What is known, added up."""
    return sum((each for each in amounts if each is not None), Decimal(0))
