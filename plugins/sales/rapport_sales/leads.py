"""Leads: qualified, and turned into a customer with an opportunity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport import Customer, Invalid, Problem, Unit, find_duplicates, utcnow
from rapport import gettext as _
from rapport_sales.entities import Lead, Opportunity

SURE = 99
"""From this score on `find_duplicates` goes by an address or number, not by the name."""


# Converting ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a lead became."""

    customer: Customer
    """Who buys: the organisation if the lead named one, else the person."""
    person: Customer | None
    """Whom to talk to, where that is not the customer."""
    opportunity: Opportunity | None


def convert_lead(
    unit: Unit, lead: Lead, *, customer_id: UUID | None = None, opportunity: bool = True, **values: Any
) -> Conversion:
    """Make a lead a customer, a contact person and an opportunity, all or nothing.

    Someone who is known already, by e-mail, phone or name, is not made again; `customer_id` says who it is where you
    know better. `values` go to the opportunity: name, amount, expected_close_on … Whatever the lead knows is kept.
    """
    if lead.converted_at is not None:
        raise Invalid(Problem("status", _("is “Converted” already: this lead became a customer before.")))
    if lead.status == "unqualified":
        raise Invalid(Problem("status", _("is “Not suitable”. Qualify the lead first.")))
    organisation, person = _parties(unit, lead, customer_id or lead.customer_id)
    customer = organisation or person
    assert customer is not None
    made = _opportunity(unit, lead, customer, person, values) if opportunity else None
    lead.converted_at = utcnow()
    lead.customer_id, lead.contact_id = customer.id, person.id if person is not None else None
    lead.opportunity_id = made.id if made is not None else None
    unit.update(lead, {"status": "converted"})
    return Conversion(customer, person if person is not customer else None, made)


def _parties(unit: Unit, lead: Lead, customer_id: UUID | None) -> tuple[Customer | None, Customer | None]:
    """The organisation and the person of a lead, found or made."""
    given = unit.get(Customer, customer_id) if customer_id is not None else None
    organisation = given if given is not None and given.kind == "organisation" else None
    person = given if given is not None and given.kind == "person" else None
    if given is None:
        person = _known(unit, lead)
        if person is not None and person.kind == "organisation":  # an address like info@ belongs to the firm itself
            organisation, person = person, None
    if organisation is None and lead.company:
        organisation = _organisation(unit, lead)
    if person is None and (organisation is None or lead.name not in {lead.company, organisation.name}):
        person = _new_person(unit, lead, organisation)
    elif person is not None and organisation is not None and person.organisation_id is None:
        unit.update(person, {"organisation_id": organisation.id})
    return organisation, person


def _known(unit: Unit, lead: Lead) -> Customer | None:
    """The customer with the lead's e-mail or phone; else a person of the same name whom nothing tells apart."""
    matches = find_duplicates(unit.reader, {"name": lead.name, "email": lead.email, "phone": lead.phone})
    found = {each.id: each for each in unit.reader.all(Customer, Customer.id.in_([match.id for match in matches]))}
    for match in matches:
        customer = found.get(match.id)
        if customer is None:
            continue
        if match.score >= SURE or (match.reason == "the same name" and _may_be_same(customer, lead)):
            return customer
    return None


def _may_be_same(customer: Customer, lead: Lead) -> bool:
    return (
        customer.kind == "person"
        and (not lead.email or not customer.email)
        and (not lead.phone or not customer.phone)
        and not (lead.company and customer.organisation_id)
    )


def _organisation(unit: Unit, lead: Lead) -> Customer:
    matches = find_duplicates(unit.reader, {"name": lead.company})
    same = [match.id for match in matches if match.reason == "the same name"]
    known = unit.reader.all(Customer, Customer.id.in_(same), Customer.kind == "organisation")
    if known:
        return known[0]
    only = {"email": lead.email, "phone": lead.phone} if lead.name == lead.company else {}
    facts = {"kind": "organisation", "name": lead.company, "industry": lead.industry, **only, **_shared(lead)}
    return unit.create(Customer, facts)


def _new_person(unit: Unit, lead: Lead, organisation: Customer | None) -> Customer:
    facts = {"email": lead.email, "phone": lead.phone, "job_title": lead.job_title}
    if organisation is not None:
        facts["organisation_id"] = str(organisation.id)
    return unit.create(Customer, {"kind": "person", "name": lead.name, **facts, **_shared(lead)})


def _shared(lead: Lead) -> dict[str, Any]:
    return {"language": lead.language, "source": lead.source, "owner_id": lead.owner_id, "team_id": lead.team_id,
            "address": lead.address or None}  # fmt: skip


def _opportunity(
    unit: Unit, lead: Lead, customer: Customer, person: Customer | None, values: dict[str, Any]
) -> Opportunity:
    given = {name: value for name, value in values.items() if value not in (None, "")}
    facts: dict[str, Any] = {
        "name": lead.interest or customer.name,
        "customer_id": customer.id,
        "contact_id": person.id if person is not None and person is not customer else None,
        "source": lead.source,
        "campaign": lead.campaign,
        "note": lead.note,
        "owner_id": lead.owner_id,
        "team_id": lead.team_id,
        "started_on": unit.reader.today(),
    }
    return unit.create(Opportunity, {**facts, **given})


def forget(customer: Customer, session: Session) -> None:
    """Delete the leads that somebody once was: a lead refers to its customer loosely, but tells the same of them."""
    theirs = (Lead.customer_id == customer.id) | (Lead.contact_id == customer.id)
    for lead in session.scalars(select(Lead).where(theirs), execution_options={"rapport_scoped": True}):
        session.delete(lead)
