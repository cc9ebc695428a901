"""Forgetting a person: what Rapport and its plugins know of a customer goes, and figures without names stay."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, select

from rapport import hookspecs
from rapport.access import Actor
from rapport.customers.model import ContactPoint, Customer
from rapport.entities import EntityMeta, utcnow, uuid7
from rapport.entities.fields import empty_value
from rapport.errors import Forbidden
from rapport.i18n.catalogs import _
from rapport.interactions.consent import Suppression, fingerprint
from rapport.interactions.model import Participant
from rapport.records import Unit
from rapport.records.absent import erase_absent
from rapport.records.log import idempotency_table
from rapport.records.parts import release
from rapport.records.session import SCOPED
from rapport.site import Site

KEPT = {"kind", "owner_id", "team_id"}
"""What says nothing of a person, and what figures are grouped by."""


def erase(site: Site, actor: Actor, customer_id: UUID) -> int:
    """Forget a customer for good. Returns how many records that were part of them are gone. There is no way back.

    Records that are part of the customer are deleted, also those of plugins that are switched off. What merely refers
    to them (a won deal) stays, and refers to an archived record that says "Erased". Plugins blank what else they know
    in `erase_personal_data`. The log keeps that things happened, and when, but no values. Duplicates that were merged
    into the customer are forgotten with them.
    """
    actor.require("customer.delete")
    if actor.reach("customer.delete") != "all":
        raise Forbidden("customer.delete", _("Your role lets you do this only with your own records of this kind."))
    with site.write(actor, batch=uuid7()) as unit:
        people = [unit.get(Customer, customer_id), *_absorbed(unit, customer_id)]
        gone = 0
        for person in people:
            remember_not_to_contact(unit, person)
            unit.site.hooks.run(hookspecs.erase_personal_data, customer=person, session=unit.session)
            unit.flush()
            gone += release(unit, person, links=True)
            erase_absent(unit, person)
            _blank(unit, person)
        unit.flush()
        unit.forget(("customer", person.id) for person in people)
        connection = unit.session.connection()
        for person in people:
            mentions = idempotency_table.c.body.contains(str(person.id), autoescape=True)
            connection.execute(delete(idempotency_table).where(mentions))
    return gone


def remember_not_to_contact(unit: Unit, person: Customer) -> None:
    """Of whoever is erased a fingerprint of each address stays: if it comes in again with an old list, nothing goes
    out to it. Where they took part in the contacts of others, their name and address go."""
    points = select(ContactPoint.value).where(ContactPoint.customer_id == person.id)
    addresses = {person.email, person.phone, *unit.session.scalars(points, execution_options=SCOPED)}
    entries = select(Suppression).where(Suppression.customer_id == person.id)
    for entry in unit.session.scalars(entries, execution_options=SCOPED).all():
        if entry.address:
            addresses.add(entry.address)
        unit.session.delete(entry)
    unit.session.add_all(
        Suppression(fingerprint=fingerprint(address), reason="erased") for address in sorted(addresses - {""})
    )
    named = select(Participant).where(Participant.customer_id == person.id)
    for participant in unit.session.scalars(named, execution_options=SCOPED).all():
        participant.address = participant.name = ""
    unit.flush()


def _absorbed(unit: Unit, customer_id: UUID) -> list[Customer]:
    """The duplicates that were merged into a customer."""
    statement = select(Customer).where(Customer.merged_into_id == customer_id)
    return list(unit.session.scalars(statement, execution_options=SCOPED))


def _blank(unit: Unit, person: Customer) -> None:
    meta: EntityMeta = unit.site.meta(Customer)
    for f in meta.writable:
        if f.name not in KEPT and not f.extension and not f.custom:
            setattr(person, f.name, None if f.nullable else empty_value(f))
    person.custom = {}
    person.name = _("Erased")
    person.archived_at = person.archived_at or utcnow()
