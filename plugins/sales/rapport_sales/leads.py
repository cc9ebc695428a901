"""Leads: handed out fairly, qualified, and turned into a customer with an opportunity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from rapport import (
    Customer,
    Entity,
    Invalid,
    Membership,
    Problem,
    Team,
    Unit,
    User,
    find_duplicates,
    setting_of,
    utcnow,
    uuid7,
)
from rapport import gettext as _
from rapport_sales.entities import Lead, Opportunity, Turn

SURE = 99
"""From this score on `find_duplicates` goes by an address or number, not by the name."""


# Handing out ---------------------------------------------------------------------------------------------------------


def choose_owner(record: Entity, session: Session) -> UUID | None:
    """The owner of a new lead, if leads are handed out in rotation."""
    if not isinstance(record, Lead) or setting_of(session, "sales.lead_assignment") != "round_robin":
        return None
    return next_in_turn(session, str(setting_of(session, "sales.lead_team")))


def next_in_turn(session: Session, team: str) -> UUID | None:
    """Whose turn it is in a team, and count it: everybody gets as many as the others, give or take one.

    The count is a row that is locked until the caller's transaction ends, so two leads at one moment go to two people,
    and a lead that was not saved after all has used up nobody's turn. None for an unknown or empty team.
    """
    scoped = {"rapport_scoped": True}  # whose turn it is does not depend on what the person who makes the lead may see
    members = (
        select(Membership.team_id, User.id)
        .join(Team, Team.id == Membership.team_id)
        .join(User, User.id == Membership.user_id)
        .where(Team.name == team, Team.archived_at.is_(None), User.active, User.archived_at.is_(None))
        .order_by(User.id)
    )
    people = session.execute(members, execution_options=scoped).all()
    if not people:
        return None
    taken = _count(session, people[0].team_id)
    return UUID(str(people[(taken - 1) % len(people)].id))


def _count(session: Session, team_id: UUID) -> int:
    connection = session.connection()
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    now = utcnow()
    first = dialect.insert(Turn).values(
        id=uuid7(), version=1, team_id=team_id, taken=0, created_at=now, updated_at=now, archived_at=None
    )
    connection.execute(first.on_conflict_do_nothing(index_elements=["team_id"]))
    counted = update(Turn).where(Turn.team_id == team_id).values(taken=Turn.taken + 1).returning(Turn.taken)
    return int(connection.scalar(counted) or 1)


def assign(unit: Unit, leads: Sequence[Lead], owner_id: UUID | None = None) -> None:
    """Give leads to somebody, or, without a name, to whoever's turn it is in the team that takes leads."""
    team = str(setting_of(unit.session, "sales.lead_team"))
    for lead in leads:
        owner = owner_id or next_in_turn(unit.session, team)
        if owner is None:
            nobody = _(
                "is missing. The team '%(team)s' has no members. Name an owner, or set the team in the settings.",
                team=team,
            )
            nothing = _("is missing. No team takes leads in rotation. Name an owner, or set the team in the settings.")
            raise Invalid(Problem("owner_id", nobody if team else nothing))
        unit.update(lead, {"owner_id": owner})


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
    organisation, person = _parties(unit, lead, customer_id)
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
    if person is None and (lead.name != lead.company or organisation is None):
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
    return unit.create(Customer, {"kind": "organisation", "name": lead.company, **only, **_shared(lead)})


def _new_person(unit: Unit, lead: Lead, organisation: Customer | None) -> Customer:
    facts = {"email": lead.email, "phone": lead.phone, "job_title": lead.job_title}
    if organisation is not None:
        facts["organisation_id"] = str(organisation.id)
    return unit.create(Customer, {"kind": "person", "name": lead.name, **facts, **_shared(lead)})


def _shared(lead: Lead) -> dict[str, Any]:
    return {"language": lead.language, "source": lead.source, "owner_id": lead.owner_id, "team_id": lead.team_id}


def _opportunity(
    unit: Unit, lead: Lead, customer: Customer, person: Customer | None, values: dict[str, Any]
) -> Opportunity:
    given = {name: value for name, value in values.items() if value not in (None, "")}
    facts: dict[str, Any] = {
        "name": lead.interest or customer.name,
        "customer_id": customer.id,
        "contact_id": person.id if person is not None and person is not customer else None,
        "source": lead.source,
        "note": lead.note,
        "owner_id": lead.owner_id,
        "team_id": lead.team_id,
        "started_on": unit.reader.today(),
    }
    return unit.create(Opportunity, {**facts, **given})
