"""Wording of mailings: read once, and filled in for each customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING
from uuid import UUID

from rapport import N_, Customer, Formats, Invalid, Problem, Reader, utcnow
from rapport import gettext as _
from rapport.wording import Wording, nested

if TYPE_CHECKING:
    from liquid import BoundTemplate

NAMES: Mapping[str, str] = {
    "customer.name": N_("Name"),
    "customer.given_name": N_("Given name"),
    "customer.family_name": N_("Family name"),
    "customer.organisation": N_("Organisation"),
    "customer.city": N_("City"),
    "campaign.name": N_("Name of the campaign"),
    "business.name": N_("Name of the business"),
    "today": N_("Today’s date"),
}
WORDING = Wording(tuple(NAMES))
fault_in = WORDING.fault_in


class Words:
    """The subject, text and HTML of a mailing, read once. Invalid when they cannot be filled in."""

    def __init__(self, subject: str, body: str, html: str) -> None:
        self._texts = {"subject": (subject, False), "body": (body, False), "html": (html, True)}
        self._read: dict[str, BoundTemplate] = {}
        for name, (source, _html) in self._texts.items():
            if fault := WORDING.fault_in(source):
                raise Invalid(Problem(name, fault))
            self._read[name] = WORDING.read(source)

    def filled(self, values: Mapping[str, str]) -> dict[str, str]:
        """The texts for one customer. In HTML what is filled in is escaped."""
        from liquid.exceptions import LiquidError

        done = {}
        for name, template in self._read.items():
            kept = {key: escape(value) for key, value in values.items()} if self._texts[name][1] else values
            try:
                done[name] = template.render(**nested(kept))
            except LiquidError as error:
                raise Invalid(Problem(name, _("cannot be filled in: %(why)s", why=str(error)[:200]))) from error
        return {**done, "subject": " ".join(done["subject"].split())}


def values_for(reader: Reader, customers: Sequence[Customer], campaign: str) -> dict[UUID, dict[str, str]]:
    """What mailings may say of each of many customers, with one query beside."""
    firms = reader.titles(Customer, [each.organisation_id for each in customers])
    business, zone = str(reader.site.settings.get("core.name")), reader.actor.time_zone
    today = utcnow().date()
    days: dict[str, str] = {}
    found = {}
    for each in customers:
        language = each.language or reader.site.config.language
        if language not in days:
            days[language] = Formats(language, zone).date(today, "long")
        found[each.id] = {
            "customer.name": each.name, "customer.given_name": each.given_name or "",
            "customer.family_name": each.family_name or "",
            "customer.organisation": firms.get(each.organisation_id, "") if each.organisation_id else "",
            "customer.city": str((each.address or {}).get("city", "")), "campaign.name": campaign,
            "business.name": business, "today": days[language],
        }  # fmt: skip
    return found
