"""Filling in templates for one customer, with what a mail may say of them."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from rapport import N_, Customer, Formats, Reader, utcnow
from rapport import gettext as _
from rapport.wording import Wording, said

VARIABLES: Mapping[str, str] = {
    "customer.name": N_("Name"),
    "customer.given_name": N_("Given name"),
    "customer.family_name": N_("Family name"),
    "customer.organisation": N_("Organisation"),
    "customer.job_title": N_("Job title"),
    "customer.email": N_("E-mail"),
    "customer.phone": N_("Phone"),
    "customer.city": N_("City"),
    "sender.name": N_("Name of whoever writes"),
    "sender.email": N_("Address of whoever writes"),
    "business.name": N_("Name of the business"),
    "today": N_("Today’s date"),
}
WORDING = Wording(tuple(VARIABLES))
FILTERS, fault_in = WORDING.filters, WORDING.fault_in


class TemplateFault(ValueError):
    """A template that cannot be filled in; the text says what to change."""


def fill(source: str, values: Mapping[str, str], *, html: bool = False) -> str:
    """The text of a template for these values. In HTML they are escaped. TemplateFault says what is wrong."""
    from liquid.exceptions import LiquidError, OutputStreamLimitError

    if fault := WORDING.fault_in(source):
        raise TemplateFault(fault)
    kept = {name: escape(value) if html else value for name, value in values.items()}
    try:
        return WORDING.fill(source, kept)
    except OutputStreamLimitError as error:
        raise TemplateFault(_("makes too long a text.")) from error
    except LiquidError as error:
        raise TemplateFault(said(error)) from error


def values_for(reader: Reader, customer: Customer, sender: Any) -> dict[str, str]:
    """What a template may say of a customer, as far as the reader's person may read it."""
    organisation = ""
    if customer.organisation_id is not None:
        organisation = reader.titles(Customer, [customer.organisation_id]).get(customer.organisation_id, "")
    language = customer.language or reader.actor.language
    return {
        "customer.name": customer.name, "customer.given_name": customer.given_name or "",
        "customer.family_name": customer.family_name or "", "customer.organisation": organisation,
        "customer.job_title": customer.job_title or "", "customer.email": customer.email or "",
        "customer.phone": customer.phone or "", "customer.city": str((customer.address or {}).get("city", "")),
        "sender.name": sender.name if sender is not None else "",
        "sender.email": sender.email if sender is not None else "",
        "business.name": str(reader.site.settings.get("core.name")),
        "today": Formats(language, reader.actor.time_zone).date(utcnow().date(), "long"),
    }  # fmt: skip


__all__ = ["FILTERS", "VARIABLES", "TemplateFault", "fault_in", "fill", "values_for"]
