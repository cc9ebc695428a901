"""Filling in macros with what a text may say of a case."""

from __future__ import annotations

from rapport import Customer, Formats, Reader, utcnow
from rapport.wording import FILTERS, Wording
from rapport_service.entities import Case

NAMES = (
    "customer.name", "customer.given_name", "customer.family_name", "case.number", "case.subject", "agent.name",
    "business.name", "today",
)  # fmt: skip
WORDING = Wording(NAMES, tuple(each for each in FILTERS if each != "escape"))
fault_in, fill = WORDING.fault_in, WORDING.fill


def values_for(reader: Reader, case: Case) -> dict[str, str]:
    """What a text may say of a case, in the customer's language."""
    customer = reader.get(Customer, case.customer_id)
    formats = Formats(customer.language or reader.actor.language, reader.actor.time_zone)
    return {
        "customer.name": customer.name, "customer.given_name": customer.given_name or "",
        "customer.family_name": customer.family_name or "", "case.number": case.number, "case.subject": case.subject,
        "agent.name": reader.actor.name, "business.name": str(reader.site.settings.get("core.name")),
        "today": formats.date(utcnow().date(), "long"),
    }  # fmt: skip
