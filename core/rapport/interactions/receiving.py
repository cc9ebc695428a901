"""Receiving: what came in by a channel becomes one interaction, with the right customer and in its thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from rapport import hookspecs
from rapport.access import User
from rapport.contributions import Channel, Incoming
from rapport.customers.model import ContactPoint, Customer
from rapport.entities import utcnow, uuid7
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import _
from rapport.interactions.channels import normal_address
from rapport.interactions.model import Attachment, Interaction, Participant
from rapport.records import Unit
from rapport.records.session import SCOPED


def receive(unit: Unit, incoming: Incoming) -> Interaction:
    """Put what came in on the timeline of its customer. What has come in before is found, not made twice.

    The customer is whoever has the sender's address; else whom a plugin names (`resolve_party`); else a new one.
    """
    channel = unit.site.channels.get(incoming.channel)
    if channel is None:
        raise Invalid(Problem("channel", _("There is no channel “%(channel)s”.", channel=incoming.channel)))
    known = select(Interaction).where(
        Interaction.channel == channel.name, Interaction.external_id == incoming.external_id
    )
    if incoming.external_id and (before := unit.session.scalars(known, execution_options=SCOPED).one_or_none()):
        return before
    sender = _normal(channel, incoming.address)
    parties = [(_normal(channel, each.address), each) for each in incoming.parties]
    people = _customers(unit, channel, [sender, *(address for address, _party in parties)])
    answered = _answered(unit, channel, incoming.references)
    customer_id = _customer(unit, channel, incoming, sender, [address for address, _party in parties], people, answered)
    interaction = Interaction(
        customer_id=customer_id, kind=channel.kind or channel.name, direction=incoming.direction,
        at=incoming.at or utcnow(), subject=incoming.subject, body=incoming.body, channel=channel.name,
        source=incoming.source, external_id=incoming.external_id or None, outcome=incoming.outcome,
        thread_id=answered.thread_id if answered is not None and answered.thread_id else uuid7(),
        owner_id=incoming.owner_id, about_entity=answered.about_entity if answered is not None else "",
        about_id=answered.about_id if answered is not None else None,
    )  # fmt: skip
    unit.session.add(interaction)
    unit.flush()
    users = _users(unit, [sender, *(address for address, _party in parties)])
    everybody = [(sender, incoming.name, "from"), *((address, each.name, each.role) for address, each in parties)]
    unit.session.add_all(
        Participant(interaction_id=interaction.id, role=role, address=address, name=name, user_id=users.get(address),
                    customer_id=people.pop(address, None))  # once, also if they are named twice
        for address, name, role in everybody
    )  # fmt: skip
    unit.session.add_all(
        Attachment(interaction_id=interaction.id, file=file_id, owner_id=incoming.owner_id)
        for file_id in incoming.files
    )
    unit.flush()
    return interaction


def _normal(channel: Channel, address: str) -> str:
    """An address in its one form; what is none is kept as it came."""
    try:
        return normal_address(channel, address)
    except Invalid:
        return address.strip()


def _customer(
    unit: Unit, channel: Channel, incoming: Incoming, sender: str, others: Sequence[str], people: dict[str, UUID],
    answered: Interaction | None,
) -> UUID:  # fmt: skip
    """Whose timeline it belongs on."""
    theirs = [sender] if incoming.direction == "in" else list(others)
    for address in theirs:
        if address in people:
            return people[address]
    chosen = unit.site.hooks.first(hookspecs.resolve_party, incoming=incoming, session=unit.session)
    if chosen is not None:
        return chosen
    if answered is not None:  # from an address that is new to us, or from a colleague of theirs
        return answered.customer_id
    address = theirs[0] if theirs else sender
    name = incoming.name if incoming.direction == "in" else ""
    values = {"name": name or address, "source": channel.title, "language": incoming.language}
    if channel.point in {"email", "phone"}:
        values[channel.point] = address
    made = Customer(**values)
    unit.session.add(made)
    unit.flush()
    if channel.point == "handle":
        unit.session.add(ContactPoint(customer_id=made.id, kind="handle", value=address, label=channel.title))
        unit.flush()
    people[address] = made.id
    return made.id


def _customers(unit: Unit, channel: Channel, addresses: Iterable[str]) -> dict[str, UUID]:
    """The customers behind addresses. Where several share one, a person comes before an organisation, then the oldest;
    who is archived is found too, if nobody else has the address."""
    wanted = {address for address in addresses if address}
    columns = (Customer.id, Customer.archived_at, Customer.kind, Customer.created_at)
    found: list[tuple[str, Any]] = []
    live = Customer.merged_into_id.is_(None)
    if channel.point in {"email", "phone"}:
        main = getattr(Customer, channel.point)
        rows = unit.session.execute(select(main, *columns).where(main.in_(wanted), live), execution_options=SCOPED)
        found += [(row[0], row) for row in rows]
    further = (
        select(ContactPoint.value, *columns)
        .join(Customer, Customer.id == ContactPoint.customer_id)
        .where(ContactPoint.value.in_(wanted), ContactPoint.kind == channel.point)
        .where(ContactPoint.archived_at.is_(None), live)
    )  # fmt: skip
    found += [(row[0], row) for row in unit.session.execute(further, execution_options=SCOPED)]
    found.sort(key=lambda each: (each[1].archived_at is not None, each[1].kind != "person", each[1].created_at))
    people: dict[str, UUID] = {}
    for address, row in found:
        people.setdefault(address, row.id)
    return people


def _users(unit: Unit, addresses: Iterable[str]) -> dict[str, UUID]:
    """The colleagues behind addresses."""
    statement = select(User.email, User.id).where(User.email.in_(list(addresses)))
    return {row.email: row.id for row in unit.session.execute(statement, execution_options=SCOPED)}


def _answered(unit: Unit, channel: Channel, references: Sequence[str]) -> Interaction | None:
    """The newest message that it answers, among those known here."""
    named = [each for each in references if each][-100:]
    if not named:
        return None
    statement = (
        select(Interaction)
        .where(Interaction.channel == channel.name, Interaction.external_id.in_(named))
        .order_by(Interaction.at.desc(), Interaction.id.desc())
        .limit(1)
    )
    return unit.session.scalars(statement, execution_options=SCOPED).one_or_none()
