"""Addresses as customers type them: a postcode must look like one of its country, so that a parcel arrives."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rapport import Invalid, Problem, gettext
from rapport.i18n import values

FIVE, FOUR, SIX = r"\d{5}", r"\d{4}", r"\d{6}"
POSTCODES: Mapping[str, tuple[str, str]] = {
    "AT": (FOUR, "1010"), "AU": (FOUR, "2000"), "BE": (FOUR, "1000"), "BR": (r"\d{5}-?\d{3}", "01310-100"),
    "CA": (r"[A-Z]\d[A-Z] ?\d[A-Z]\d", "K1A 0B1"), "CH": (FOUR, "8001"), "CN": (SIX, "100000"),
    "CZ": (r"\d{3} ?\d{2}", "110 00"), "DE": (FIVE, "10115"), "DK": (FOUR, "1050"), "ES": (FIVE, "28001"),
    "FI": (FIVE, "00100"), "FR": (FIVE, "75001"), "GB": (r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}", "SW1A 1AA"),
    "GR": (r"\d{3} ?\d{2}", "105 57"), "IL": (r"\d{5}(\d{2})?", "9103401"), "IN": (SIX, "110001"),
    "IR": (r"\d{5}-?\d{5}", "13119-33811"), "IT": (FIVE, "00118"), "JP": (r"\d{3}-?\d{4}", "100-0001"),
    "KR": (FIVE, "03187"), "LU": (FOUR, "1009"), "MX": (FIVE, "06000"), "NL": (r"\d{4} ?[A-Z]{2}", "1012 AB"),
    "NO": (FOUR, "0010"), "NZ": (FOUR, "6011"), "PL": (r"\d{2}-\d{3}", "00-001"), "PT": (r"\d{4}-\d{3}", "1000-001"),
    "RU": (SIX, "101000"), "SE": (r"\d{3} ?\d{2}", "111 22"), "SG": (SIX, "018956"), "TR": (FIVE, "34000"),
    "UA": (FIVE, "01001"), "US": (r"\d{5}(-\d{4})?", "20500"),
}  # fmt: skip
"""How postcodes are written where they have one form, each with an example. Elsewhere anything goes."""


def checked(address: Mapping[str, str]) -> dict[str, str]:
    """The address with its country by its code; Invalid says what no parcel would arrive with."""
    kept = {part: text for part, text in address.items() if text.strip()}
    if not kept.get("country"):
        return kept
    try:
        country = kept["country"] = values.normalise_country(kept["country"])
    except ValueError as error:
        raise Invalid(Problem("address", str(error))) from None
    pattern, example = POSTCODES.get(country, ("", ""))
    if pattern and "postcode" in kept and not re.fullmatch(pattern, kept["postcode"].strip().upper()):
        told = gettext("has a postcode that is none of this country: they look like %(example)s.", example=example)
        raise Invalid(Problem("address", told))
    return kept
