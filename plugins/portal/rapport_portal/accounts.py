"""Accounts: who may sign in to the portal, by which links, and who somebody is once they have."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    LANGUAGES,
    Actor,
    Customer,
    Entity,
    JobContext,
    NotFound,
    Reader,
    Site,
    Stale,
    Unit,
    enqueue_mail,
    field,
    gettext,
    ref,
    send_mail,
    system,
    use_language,
    utcnow,
)

LINK_MINUTES = 20
CONFIRM_HOURS = 24
SESSION_DAYS = 7
MOST = 3
"""So many customers may share one address, such as a family's, and each gets a link."""


class Account(
    Entity,
    name="portal.account",
    title="Portal account",
    icon="door-enter",
    listed=False,
    display="signed_in_at",
    roles={"manager": "read update", "member": "read", "viewer": "read"},
):
    """A customer who has asked for a link. It carries no rights: those are the customer's own."""

    customer_id: Mapped[UUID] = ref("customer")
    closed: Mapped[bool] = field(label="Closed", default=False, help="They can no longer sign in.")
    signed_in_at: Mapped[dt.datetime | None] = field(label="Last signed in", readonly=True, in_list=True)
    visits_by_name: Mapped[bool | None] = field(
        label="Visits counted by name", readonly=True, help="As they said themselves; empty: they were not asked."
    )
    stamp: Mapped[str] = field(secret=True, readonly=True, default="")
    """Part of every session: another stamp ends them all."""
    link: Mapped[str] = field(secret=True, readonly=True, default="")
    """The hash of the one link that is still good."""


# Links ---------------------------------------------------------------------------------------------------------------


def mail_links(context: JobContext, email: str) -> None:
    """The job behind the sign-in page: mail a link to every customer with this address, if there is one."""
    try:
        email = Customer.meta.fields["email"].load(email)
    except ValueError:
        return
    if not email:
        return  # many customers have none
    site = context.site
    with site.write(system("portal")) as unit:
        found = unit.reader.all(Customer, Customer.email == email, Customer.archived_at.is_(None), limit=MOST)
        links = [
            (customer, new_link(unit, account))
            for customer in found
            if not (account := _account_of(unit, customer)).closed
        ]
    for customer, token in links:
        with use_language(_language(customer.language), ["rapport_portal"]):
            text = gettext(
                "Hello %(name)s,\n\nthis link signs you in. It is good for %(minutes)s minutes, and once:\n\n%(link)s"
                "\n\n"
                "If you did not ask for it, do nothing.",
                name=customer.name, minutes=LINK_MINUTES, link=address(site, f"enter/{token}"),
            )  # fmt: skip
            send_mail(site, to=customer.email, subject=gettext("Your link to sign in"), text=text)


def void_link(customer: Customer, session: Session) -> None:
    """A link that was mailed to the former address lets nobody in any more."""
    for account in session.scalars(select(Account).where(Account.customer_id == customer.id, Account.link != "")):
        account.link = ""


def _account_of(unit: Unit, customer: Customer) -> Account:
    """The customer's account, made when first asked for. After a merge there may be several: one closed closes all."""
    found = unit.reader.all(Account, Account.customer_id == customer.id, order=(Account.closed.desc(), Account.id))
    if found:
        return found[0]
    account = unit.create(Account, {"customer_id": customer.id})
    account.stamp = secrets.token_urlsafe(12)
    return account


def new_link(unit: Unit, account: Account) -> str:
    """The token of a new link; one that was mailed before is no longer good."""
    secret = secrets.token_urlsafe(24)
    account.link = _hash(secret)
    unit.flush()
    return _signer(unit.site, "link").dumps([account.id.hex, secret])


def enter(site: Site, token: str) -> str | None:
    """Use a link up, and begin a session: the value of its cookie. None when the link is not, or no longer, good."""
    try:
        account_id, secret = _signer(site, "link").loads(token, max_age=LINK_MINUTES * 60)
        with site.write(system("portal")) as unit:
            account = unit.get(Account, UUID(account_id))
            if account.closed or not account.link or not secrets.compare_digest(account.link, _hash(secret)):
                return None
            account.link, account.signed_in_at = "", utcnow()
            unit.flush()
            return _signer(site, "session").dumps([account.id.hex, account.stamp])
    except (BadSignature, ValueError, NotFound, Stale):  # forged, too old, gone, or used at this very moment
        return None


def leave(site: Site, account_id: UUID) -> None:
    """Sign out everywhere."""
    with site.write(system("portal")) as unit:
        unit.get(Account, account_id).stamp = secrets.token_urlsafe(12)


def email_token(site: Site, customer: Customer, email: str) -> str:
    """For the link to a new address: good as long as the old one is still theirs."""
    return _signer(site, "email").dumps([customer.id.hex, customer.email, email])


def confirm_email(site: Site, token: str) -> bool:
    """Take the new address, now that somebody opened the link that was mailed to it; the old address is told."""
    try:
        customer_id, old, new = _signer(site, "email").loads(token, max_age=CONFIRM_HOURS * 3600)
    except (BadSignature, ValueError):
        return False
    with site.read(system("portal")) as reader:
        found = reader.all(Customer, Customer.id == UUID(customer_id), Customer.email == old,
                           Customer.archived_at.is_(None))  # fmt: skip
    if not found:
        return False
    with site.write(customer_actor(site, found[0])) as unit:
        unit.update(unit.get(Customer, found[0].id), {"email": new}, version=found[0].version)
        if old:
            text = gettext("Your e-mail address is now %(email)s. If that was not you, answer this mail.", email=new)
            enqueue_mail(site, unit.session.connection(), to=old, subject=gettext("Your e-mail address was changed"),
                         text=text)  # fmt: skip
    return True


# Who somebody is -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who is signed in."""

    account_id: UUID
    actor: Actor
    visits_by_name: bool | None
    """Whether they agreed that their visits are counted by name; None: they were not asked."""


def signed_in(site: Site, cookie: str) -> SignedIn | None:
    """The session a cookie stands for; None when it has ended. One query, at every request."""
    try:
        account_id, stamp = _signer(site, "session").loads(cookie, max_age=SESSION_DAYS * 24 * 3600)
        with site.read(system("portal")) as reader:
            found = _customer_of(reader, UUID(account_id), stamp)
    except (BadSignature, ValueError):
        return None
    if found is None:
        return None
    customer, by_name = found
    return SignedIn(UUID(account_id), customer_actor(site, customer), by_name)


def _customer_of(reader: Reader, account_id: UUID, stamp: str) -> Any:
    statement = (
        select(Customer, Account.visits_by_name)
        .join(Account, Account.customer_id == Customer.id)
        .where(Account.id == account_id, Account.stamp == stamp, Account.closed.is_(False),
               Account.archived_at.is_(None), Customer.archived_at.is_(None))
    )  # fmt: skip
    return reader.session.execute(statement).one_or_none()


def customer_actor(site: Site, customer: Customer) -> Actor:
    """The customer, with what the role `portal` grants, and within reach of their own rows alone."""
    grants = {**site.grants.get("portal", {}), "customer.read": "own", "customer.update": "own"}
    return Actor(
        id=None, name=customer.name, email=customer.email, grants=grants, customer_id=customer.id,
        language=_language(customer.language), time_zone=site.config.time_zone, via="portal",
    )  # fmt: skip


def address(site: Site, path: str) -> str:
    """A page of the portal, for mails."""
    return f"{site.config.base_url.rstrip('/')}/portal/{path}"


def _language(code: str) -> str:
    return code if code in LANGUAGES else "en"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _signer(site: Site, purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(site.config.secret_key, salt=f"portal-{purpose}")
