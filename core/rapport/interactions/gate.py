"""The gate: whether a message may go out to a customer. A list of rules, asked in order; the first to object decides.

It is asked when a message is put into the outbox, so that the sender hears at once, and again in the moment before it
is sent. A rule answers with a Verdict, or None when it has nothing against the message.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select

from rapport import hookspecs
from rapport.contributions import Channel
from rapport.customers.model import ContactPoint, Customer
from rapport.db.batches import batched
from rapport.entities import Entity, utcnow, uuid7
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import _
from rapport.interactions.channels import normal_address
from rapport.interactions.consent import Consent, FrequencyCap, Purpose, QuietHours, Suppression, fingerprint
from rapport.interactions.messages import WENT_OUT, Message
from rapport.records.session import SCOPED
from rapport.schedules import zone_of as business_zone

if TYPE_CHECKING:
    from rapport.records import Unit

E = TypeVar("E", bound=Entity)
QUEUED = ("waiting", "held")
LONGEST_QUIET = 16
"""So many quiet hours may follow each other without a pause, before a message is refused instead of postponed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message, and why."""

    state: Literal["waiting", "held", "refused"]
    reason: str = ""
    not_before: dt.datetime | None = None


@dataclass(slots=True)
class Facts:
    """What the rules need to know about many customers, read with a few queries."""

    now: dt.datetime
    customers: Mapping[UUID, Customer]
    purposes: Mapping[UUID, Purpose]
    consents: dict[tuple[UUID, UUID], list[Consent]]
    """By customer and purpose, the newest first."""
    suppressions: Sequence[Suppression]
    points: dict[UUID, list[ContactPoint]]
    caps: Sequence[FrequencyCap]
    quiet: Sequence[QuietHours]
    contacts: dict[UUID, list[Contact]] = field(default_factory=dict)
    """What was sent to each customer lately, for the caps."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A message that counts for caps."""

    message_id: UUID
    channel: str
    purpose_id: UUID
    campaign: str
    at: dt.datetime
    queued: bool


@dataclass(slots=True)
class Question:
    """One message at the gate."""

    unit: Unit
    message: Message
    facts: Facts
    may_send: bool
    """Whether its sender may send without approval."""
    claiming: bool
    """Whether it is about to be sent, not merely put into the outbox."""

    @property
    def customer(self) -> Customer | None:
        """Whom it is for."""
        return self.facts.customers.get(self.message.customer_id)

    @property
    def purpose(self) -> Purpose:
        """What it is for."""
        return self.facts.purposes[self.message.purpose_id]

    @property
    def channel(self) -> Channel | None:
        """How it is to go."""
        return self.unit.site.channels.get(self.message.channel)


# The rules -----------------------------------------------------------------------------------------------------------


def channel_is_there(question: Question) -> Verdict | None:
    """Its plugin may have been switched off since."""
    if question.channel is None:
        return _refuse(_("The channel “%(channel)s” is switched off.", channel=question.message.channel))
    return None


def customer_is_there(question: Question) -> Verdict | None:
    """Nobody writes to who is archived, erased, or merged into another."""
    customer = question.customer
    if customer is None:
        return _refuse(_("There is no such customer."))
    if customer.merged_into_id is not None:
        return _refuse(_("The customer was merged into another one. Write to that one."))
    if customer.archived_at is not None:
        return _refuse(_("The customer is archived."))
    return None


def address_is_one(question: Question) -> Verdict | None:
    """The address that was given, or else the customer's own, in the form its channel has."""
    message, channel, customer = question.message, question.channel, question.customer
    assert channel is not None
    assert customer is not None
    address = message.address or address_of(customer, question.facts.points.get(customer.id, ()), channel.point)
    if not address:
        return _refuse(_("%(name)s has no address for this channel.", name=customer.name))
    try:
        message.address = normal_address(channel, address)
    except Invalid as error:
        return _refuse(_("“%(address)s” cannot be written to: %(why)s", address=address, why=str(error)))
    return None


def nobody_asked_for_peace(question: Question) -> Verdict | None:
    """Do-not-contact entries, for the customer or for the address, whoever's it is now."""
    message, print_ = question.message, fingerprint(question.message.address)
    for entry in question.facts.suppressions:
        if entry.channel not in {"", message.channel}:
            continue
        if entry.fingerprint == print_ or (not entry.fingerprint and entry.customer_id == message.customer_id):
            why = next(c.label for c in Suppression.meta.fields["reason"].choices if c.value == entry.reason)
            return _refuse(_("Do not contact: %(why)s.", why=_(why)))
    return None


def they_agreed(question: Question) -> Verdict | None:
    """Consent where the purpose needs it; no objection where it may be declined. The newest word counts."""
    purpose, message = question.purpose, question.message
    if not purpose.may_be_declined:
        return None
    said = newest_word(question.facts.consents.get((message.customer_id, purpose.id), ()), message.channel)
    if said is not None and said.state == "denied":
        return _refuse(_("They declined “%(purpose)s”.", purpose=_(purpose.title)))
    if said is None and purpose.basis == "consent":
        return _refuse(_("They have not agreed to “%(purpose)s” by this channel.", purpose=_(purpose.title)))
    return None


def within_caps(question: Question) -> Verdict | None:
    """Frequency caps: what was sent counts, and, for who puts more into the outbox, what waits there as well."""
    if not question.purpose.capped:
        return None
    message, facts = question.message, question.facts
    for cap in facts.caps:
        if cap.channel not in {"", message.channel} or cap.purpose_id not in {None, message.purpose_id}:
            continue
        since = facts.now - dt.timedelta(days=cap.days)
        counted = sum(
            each.message_id != message.id
            and (not each.queued or not question.claiming)
            and (each.queued or each.at > since)
            and cap.channel in {"", each.channel}
            and cap.purpose_id in {None, each.purpose_id}
            and (not cap.per_campaign or each.campaign == message.campaign)
            for each in facts.contacts.get(message.customer_id, ())
        )
        if counted >= cap.most:
            return _refuse(
                _("The cap “%(cap)s” is reached: at most %(most)s within %(days)s days.",
                  cap=_(cap.name), most=cap.most, days=cap.days)
            )  # fmt: skip
    return None


def plugins_agree(question: Question) -> Verdict | None:
    """Plugins may have reasons of their own to refuse. They cannot allow what another rule refuses."""
    unit, customer = question.unit, question.customer
    assert customer is not None
    problems = unit.site.hooks.collect(
        hookspecs.may_contact, message=question.message, customer=customer, session=unit.session
    )
    return _refuse("\n".join(problem.message for problem in problems)) if problems else None


def sender_may(question: Question) -> Verdict | None:
    """Without the right to send, and for purposes that ask for it, somebody else looks at it first."""
    if question.message.approved_at is not None:
        return None
    if question.purpose.needs_approval:
        return Verdict("held", _("Messages for “%(purpose)s” need approval.", purpose=_(question.purpose.title)))
    if not question.may_send:
        return Verdict("held", _("Its sender may not send without approval."))
    return None


def it_is_time(question: Question) -> Verdict | None:
    """Not before the time it is meant for, and not in the customer's quiet hours: then it waits."""
    message, now = question.message, question.facts.now
    begin = max(message.not_before or now, now)
    if question.purpose.quiet:
        assert question.customer is not None
        zone = zone_of(question.customer, ZoneInfo(business_zone(question.unit.site)))
        later = after_quiet(question.facts.quiet, message.channel, begin.astimezone(zone))
        if later is None:
            return _refuse(_("It is always quiet hours for this channel."))
        begin = later
    if begin > now:
        reason = _("Waits for the end of quiet hours.") if begin != message.not_before else ""
        return Verdict("waiting", reason, begin)
    return None


RULES: tuple[Callable[[Question], Verdict | None], ...] = (
    channel_is_there,
    customer_is_there,
    address_is_one,
    nobody_asked_for_peace,
    they_agreed,
    within_caps,
    plugins_agree,
    sender_may,
    it_is_time,
)


def ask(question: Question) -> Verdict:
    """What becomes of a message. What passes counts for the next one of the same batch."""
    for rule in RULES:
        if (verdict := rule(question)) is not None:
            break
    else:
        verdict = Verdict("waiting")
    if verdict.state != "refused" and question.purpose.capped:
        message = question.message
        contact = Contact(message.id, message.channel, message.purpose_id, message.campaign, question.facts.now, True)
        question.facts.contacts.setdefault(message.customer_id, []).append(contact)
    return verdict


def ask_gate(
    unit: Unit, channel: str, customers: Sequence[UUID], *, purpose: str, campaign: str = "",
    lately: Iterable[tuple[UUID, dt.datetime, str]] = (),
) -> list[Verdict]:  # fmt: skip
    """What the gate says of contacts that are no messages, such as calls that people make, one verdict for each.

    Nothing is kept of it. `waiting` means yes; with `not_before`, from then on. `lately` are such contacts of before,
    each with its customer, time and campaign: they count for frequency caps as messages do.
    """
    purpose_id = unit.session.scalar(select(Purpose.id).where(Purpose.name == purpose), execution_options=SCOPED)
    if purpose_id is None:
        raise Invalid(Problem("purpose_id", _("There is no purpose “%(name)s”.", name=purpose)))
    asked = [
        Message(id=uuid7(), customer_id=customer_id, channel=channel, address="", purpose_id=purpose_id,
                campaign=campaign, approved_at=utcnow())
        for customer_id in customers
    ]  # fmt: skip
    facts = gather(unit, asked)
    for customer_id, at, theirs in lately:
        contact = Contact(uuid7(), channel, purpose_id, theirs, at, queued=False)
        facts.contacts.setdefault(customer_id, []).append(contact)
    return [ask(Question(unit, message, facts, may_send=True, claiming=True)) for message in asked]


def _refuse(reason: str) -> Verdict:
    return Verdict("refused", reason)


# What the rules are made of ------------------------------------------------------------------------------------------


def address_of(customer: Customer, points: Iterable[ContactPoint], point: str) -> str:
    """Where a customer is reached: by their main address of the kind, else by the first further one."""
    if point == "address":
        return "\n".join(part for part in (customer.address or {}).values() if part)
    main = {"email": customer.email, "phone": customer.phone}.get(point, "")
    return main or next((each.value for each in points if each.kind == point), "")


def newest_word(consents: Iterable[Consent], channel: str) -> Consent | None:
    """What counts of what a customer said, the newest first: the last word for the channel or for all of them."""
    return next((each for each in consents if each.channel in {"", channel}), None)


def zone_of(customer: Customer, default: ZoneInfo) -> ZoneInfo:
    """The clock a customer lives by."""
    return ZoneInfo(customer.time_zone) if customer.time_zone else default


def after_quiet(quiet: Sequence[QuietHours], channel: str, local: dt.datetime) -> dt.datetime | None:
    """The first moment from this one on that is not quiet; None when there is none."""
    theirs = [hours for hours in quiet if hours.channel in {"", channel}]
    for _again in range(LONGEST_QUIET):
        covering = next((hours for hours in theirs if hours.covers(local)), None)
        if covering is None:
            return local.astimezone(dt.UTC)
        # By way of UTC: an end that the clock skips in spring comes when the clock has moved on.
        local = covering.over_after(local).astimezone(dt.UTC).astimezone(local.tzinfo)
    return None


def gather(unit: Unit, messages: Sequence[Message]) -> Facts:
    """What the rules need to know, for many messages at once. Whether or not the sender may see it, it counts."""
    people = {message.customer_id for message in messages}
    standing = FrequencyCap.archived_at.is_(None)
    facts = Facts(
        now=utcnow(),
        customers={each.id: each for each in _of(unit, Customer, Customer.id, people)},
        purposes={each.id: each for each in _all(unit, select(Purpose))},
        consents={},
        suppressions=(),
        points={},
        caps=_all(unit, select(FrequencyCap).where(standing).order_by(FrequencyCap.name)),
        quiet=_all(unit, select(QuietHours).where(QuietHours.archived_at.is_(None))),
    )
    newest = (Consent.at.desc(), Consent.id.desc())
    for consent in _of(unit, Consent, Consent.customer_id, people, order=newest):
        facts.consents.setdefault((consent.customer_id, consent.purpose_id), []).append(consent)
    for point in _of(unit, ContactPoint, ContactPoint.customer_id, people):
        facts.points.setdefault(point.customer_id, []).append(point)
    facts.suppressions = _suppressions(unit, messages, facts)
    if facts.caps:
        _count(unit, people, facts)
    return facts


def _suppressions(unit: Unit, messages: Sequence[Message], facts: Facts) -> list[Suppression]:
    """Those that may concern one of the messages: of its customer, or of the address it would go to."""
    prints = set()
    for message in messages:
        channel, customer = unit.site.channels.get(message.channel), facts.customers.get(message.customer_id)
        if channel is None or customer is None:
            continue
        address = message.address or address_of(customer, facts.points.get(customer.id, ()), channel.point)
        with contextlib.suppress(Invalid):
            prints.add(fingerprint(normal_address(channel, address)))
    found = {
        each.id: each
        for each in (
            *_of(unit, Suppression, Suppression.customer_id, {message.customer_id for message in messages}),
            *_of(unit, Suppression, Suppression.fingerprint, prints),
        )
        if each.until is None or each.until > facts.now
    }
    return list(found.values())


def _count(unit: Unit, people: Iterable[UUID], facts: Facts) -> None:
    """What each customer got lately. Whoever counts holds the customers until the end of its transaction: two workers
    that count for the same one do it one after the other, so that together they do not exceed a cap."""
    purposes = [each.id for each in facts.purposes.values() if each.capped]
    since = facts.now - dt.timedelta(days=max(cap.days for cap in facts.caps))
    reached = (Message.state.in_(WENT_OUT) & (Message.claimed_at > since)) | Message.state.in_(QUEUED)
    for part in batched(people):
        held = select(Customer.id).where(Customer.id.in_(part)).order_by(Customer.id).with_for_update(key_share=True)
        unit.session.execute(held, execution_options=SCOPED).all()
        columns = (Message.id, Message.customer_id, Message.channel, Message.purpose_id, Message.campaign,
                   Message.claimed_at, Message.state)  # fmt: skip
        counted = select(*columns).where(Message.customer_id.in_(part), Message.purpose_id.in_(purposes), reached)
        for row in unit.session.execute(counted, execution_options=SCOPED):
            queued = row.state in QUEUED
            contact = Contact(row.id, row.channel, row.purpose_id, row.campaign, row.claimed_at or facts.now, queued)
            facts.contacts.setdefault(row.customer_id, []).append(contact)


def _all(unit: Unit, statement: Any) -> list[Any]:
    return list(unit.session.scalars(statement, execution_options=SCOPED))


def _of(unit: Unit, entity: type[E], column: Any, ids: Iterable[Any], order: tuple[Any, ...] = ()) -> list[E]:
    """The records that name one of the ids in a column; archived ones only of customers, who are then refused."""
    found: list[E] = []
    for part in batched(ids):
        statement = select(entity).where(column.in_(part)).order_by(*(order or (entity.id,)))
        if entity is not Customer:
            statement = statement.where(entity.archived_at.is_(None))
        found += _all(unit, statement)
    return found
