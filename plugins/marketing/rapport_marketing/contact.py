"""Who may be contacted: how many customers the rules let hear of news, by channel, and why not the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, exists, func, or_, select

from rapport import Channel, Consent, ContactPoint, Customer, Purpose, Reader, Suppression, utcnow

MOST = 3
ON = {"consent", "legitimate_interest"}
"""Grounds on which a customer's no counts."""
MAIN = {"email": Customer.email, "phone": Customer.phone}
"""The field with the address, by the kind of contact point a channel needs."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How many customers hear of one purpose by one channel, and how many do not, by the reason."""

    purpose: str
    channel: str
    open: int
    """May be contacted."""
    silent: int
    """Were not asked, or have not answered, where only those are contacted who agreed."""
    declined: int
    stopped: int
    """Are on the list of those not to contact."""
    nowhere: int
    """Have no address of that kind."""

    @property
    def all(self) -> int:
        """Everybody."""
        return self.open + self.silent + self.declined + self.stopped + self.nowhere


def facts(reader: Reader) -> Mapping[str, Any]:
    """For every purpose that may be declined, each channel: one statement each, by the rules of the gate."""
    if not (reader.actor.may("customer.read") and reader.actor.may("purpose.read")):
        return {"reaches": []}
    asked = reader.all(Purpose, Purpose.basis.in_(ON), Purpose.archived_at.is_(None), order=Purpose.position,
                       limit=MOST)  # fmt: skip
    return {"reaches": [reach(reader, purpose, channel) for purpose in asked for channel in channels(reader)],
            "listed": reader.actor.may("suppression.read")}  # fmt: skip


def channels(reader: Reader) -> Sequence[Channel]:
    """The channels whose addresses customers have as a field."""
    return [each for each in reader.site.channels if each.point in MAIN]


def reach(reader: Reader, purpose: Purpose, channel: Channel) -> Reach:
    """What the gate would say to a message to each customer, but for caps and quiet hours, which only put it off."""
    main = MAIN[channel.point]
    said = (
        select(Consent.state)
        .where(Consent.customer_id == Customer.id, Consent.purpose_id == purpose.id,
               Consent.channel.in_(["", channel.name]), Consent.archived_at.is_(None))
        .order_by(Consent.at.desc(), Consent.id.desc()).limit(1).correlate(Customer).scalar_subquery()
    )  # fmt: skip
    stopped = exists(
        select(Suppression.id).where(
            Suppression.channel.in_(["", channel.name]), Suppression.archived_at.is_(None),
            or_(Suppression.until.is_(None), Suppression.until > utcnow()),
            or_(and_(Suppression.customer_id == Customer.id, Suppression.address == ""),
                and_(Suppression.address == main, Suppression.address != "")),
        ).correlate(Customer)
    )  # fmt: skip
    further = exists(
        select(ContactPoint.id).where(ContactPoint.customer_id == Customer.id, ContactPoint.kind == channel.point,
                                      ContactPoint.archived_at.is_(None)).correlate(Customer)
    )  # fmt: skip
    unsaid = "silent" if purpose.basis == "consent" else "open"
    state = case(
        (and_(main == "", ~further), "nowhere"), (stopped, "stopped"), (said == "denied", "declined"),
        (said == "granted", "open"), else_=unsaid,
    ).label("state")  # fmt: skip
    rows = reader.session.execute(select(state, func.count()).where(Customer.archived_at.is_(None)).group_by(state))
    counts = {"open": 0, "silent": 0, "declined": 0, "stopped": 0, "nowhere": 0, **{row[0]: row[1] for row in rows}}
    return Reach(purpose.title, channel.title, **counts)
