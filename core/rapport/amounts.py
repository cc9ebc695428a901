"""Rules that everybody who deals in money keeps."""

from __future__ import annotations

from decimal import Decimal

from rapport.errors import Problem
from rapport.i18n.catalogs import _


def known_currency(currency: str) -> list[Problem]:
    """A currency has a code of three letters (ISO 4217)."""
    fits = len(currency) == 3 and currency.isascii() and currency.isalpha()
    return [] if fits else [Problem("currency", _("must be a code of three letters, such as EUR."))]


def not_negative(name: str, value: Decimal | int | None) -> list[Problem]:
    """Amounts and quantities count from nothing upwards; `name` is the field to blame."""
    return [Problem(name, _("must not be negative."))] if value is not None and value < 0 else []
