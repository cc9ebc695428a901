"""What customers choose to hear of, on a page of their own that a signed link in every message opens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from rapport.contributions import Channel, Outgoing
from rapport.customers.model import ContactPoint, Customer
from rapport.entities import utcnow
from rapport.i18n.catalogs import _
from rapport.interactions.consent import Consent, Purpose, Suppression
from rapport.interactions.gate import address_of, newest_word
from rapport.records import Unit
from rapport.records.session import SCOPED

if TYPE_CHECKING:
    from rapport.site import Site

__all__ = ["Choice", "choices", "choose", "decline", "is_silent", "link"]

PLACEHOLDER = "{preferences}"
PAGE = "/preferences/"


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether a customer hears of one purpose by one channel."""

    purpose: Purpose
    channel: Channel
    wanted: bool

    @property
    def key(self) -> str:
        """What stands for it in a form."""
        return f"{self.purpose.name}:{self.channel.name}"


def link(site: Site, customer_id: UUID) -> str:
    """The address of a customer's own page. Nobody can make one up, and whoever has it needs no password."""
    return site.config.base_url.rstrip("/") + PAGE + _signer(site).dumps(customer_id.hex)


def customer_of(site: Site, token: str) -> UUID | None:
    """Whose page a link opens; None for a link that we did not make."""
    try:
        return UUID(_signer(site).loads(token))
    except (BadSignature, TypeError, ValueError, AttributeError):
        return None


def _signer(site: Site) -> URLSafeSerializer:
    return URLSafeSerializer(site.config.secret_key, salt="preferences")


def choices(site: Site, session: Session, customer: Customer) -> list[Choice]:
    """What a customer may choose: every purpose that may be declined, by every channel they are reached by."""
    points = _all(session, select(ContactPoint).where(
        ContactPoint.customer_id == customer.id, ContactPoint.archived_at.is_(None)))  # fmt: skip
    channels = [each for each in site.channels if address_of(customer, points, each.point)]
    standing = select(Purpose).where(Purpose.archived_at.is_(None)).order_by(Purpose.position, Purpose.name)
    words: dict[UUID, list[Consent]] = {}
    for word in _said(session, customer.id):
        words.setdefault(word.purpose_id, []).append(word)
    found = []
    for purpose in _all(session, standing):
        if not purpose.may_be_declined:
            continue
        said = words.get(purpose.id, [])
        for channel in channels:
            newest = newest_word(said, channel.name)
            wanted = newest.state == "granted" if newest is not None else purpose.basis != "consent"
            found.append(Choice(purpose, channel, wanted))
    return found


def choose(unit: Unit, customer: Customer, wanted: Collection[str], proof: str) -> int:
    """Keep what a customer chose: `wanted` are the keys of what they want; what changed becomes a consent each."""
    changed = [each for each in choices(unit.site, unit.session, customer) if each.wanted != (each.key in wanted)]
    for each in changed:
        _say(unit, customer.id, each.purpose, each.channel.name, granted=not each.wanted, proof=proof)
    unit.flush()
    return len(changed)


def decline(unit: Unit, customer: Customer, purpose: str, channel: str, proof: str) -> bool:
    """One click: no more of this purpose by this channel. False when there is nothing to decline."""
    found = unit.session.scalars(select(Purpose).where(Purpose.name == purpose), execution_options=SCOPED).one_or_none()
    if found is None or not found.may_be_declined or channel not in unit.site.channels:
        return False
    theirs = [word for word in _said(unit.session, customer.id) if word.purpose_id == found.id]
    word = newest_word(theirs, channel)
    if word is None or word.state == "granted":
        _say(unit, customer.id, found, channel, granted=False, proof=proof)
        unit.flush()
    return True


def _say(unit: Unit, customer_id: UUID, purpose: Purpose, channel: str, *, granted: bool, proof: str) -> None:
    unit.session.add(
        Consent(customer_id=customer_id, purpose_id=purpose.id, channel=channel, at=utcnow(),
                state="granted" if granted else "denied", given_by="preferences", proof=proof)
    )  # fmt: skip


def _said(session: Session, customer_id: UUID) -> Sequence[Consent]:
    theirs = select(Consent).where(Consent.customer_id == customer_id, Consent.archived_at.is_(None))
    return _all(session, theirs.order_by(Consent.at.desc(), Consent.id.desc()))


def _all(session: Session, statement: Any) -> list[Any]:
    return list(session.scalars(statement, execution_options=SCOPED))


def with_link(site: Site, outgoing: Outgoing, purpose: Purpose) -> Outgoing:
    """A message with the customer's link where `{preferences}` stands; what may be declined always has one."""
    url = outgoing.preferences_url
    body, html = outgoing.body, outgoing.html
    headers = dict(outgoing.headers)
    if purpose.may_be_declined:
        with site.speaking(outgoing.language):
            text = _("Choose what you want to hear from us, or unsubscribe:")
        if body and PLACEHOLDER not in body:
            body = f"{body.rstrip()}\n\n-- \n{text}\n{PLACEHOLDER}\n"
        if html and PLACEHOLDER not in html:
            html = _before_the_end(html, f'<p>{escape(text)}<br><a href="{PLACEHOLDER}">{PLACEHOLDER}</a></p>')
        # One click in the mail program, as RFC 8058 has it.
        headers["List-Unsubscribe"] = f"<{url}/unsubscribe?purpose={purpose.name}&channel={outgoing.channel}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return replace(outgoing, body=body.replace(PLACEHOLDER, url), html=html.replace(PLACEHOLDER, escape(url)),
                   headers=headers)  # fmt: skip


def _before_the_end(html: str, piece: str) -> str:
    head, end, tail = html.rpartition("</body>")
    return head + piece + end + tail if end else html + piece


def is_silent(session: Session, customer: Customer) -> bool:
    """Whether a customer has asked to hear nothing at all."""
    theirs = select(Suppression.id).where(
        Suppression.customer_id == customer.id, Suppression.address == "", Suppression.channel == "",
        Suppression.archived_at.is_(None), or_(Suppression.until.is_(None), Suppression.until > utcnow()),
    )  # fmt: skip
    return session.scalar(theirs.limit(1), execution_options=SCOPED) is not None
