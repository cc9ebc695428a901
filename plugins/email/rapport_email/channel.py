"""The channel `email`: which account a message goes out by, and handing it over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from rapport import (
    LANGUAGES,
    Channel,
    Message,
    Outgoing,
    PermanentFailure,
    Problem,
    Receipt,
    Site,
    TemporaryFailure,
    system,
    use_language,
    utcnow,
)
from rapport import gettext as _
from rapport_email import smtp
from rapport_email.composing import compose, message_id
from rapport_email.entities import Account, Mail, Place
from rapport_email.inbox import place_for
from rapport_email.secrets import Locked, unseal

NAME = "email"


def channel() -> Channel:
    """As the core knows it."""
    return Channel(NAME, "E-mail", "mail", "email", send, page="/email/write")


def send(outgoing: Outgoing, site: Site) -> Receipt:
    """Hand one message to the mail server of an account. Only the core calls this, after the gate."""
    account = account_for(site, outgoing)
    try:
        server = server_of(site, account)
    except Locked as error:
        note_sending(site, account.id, str(error))
        raise TemporaryFailure(str(error)) from error
    name = account.name or str(site.settings.get("core.name"))
    with use_language(outgoing.language if outgoing.language in LANGUAGES else "en", ["rapport_email"]):
        mail = compose(outgoing, sender=account.email, sender_name=name, files=[
            (each.name, each.media_type, each.path.read_bytes()) for each in outgoing.files
        ])  # fmt: skip
    try:
        smtp.deliver(server, mail, sender=account.email, to=outgoing.address)
    except TemporaryFailure as failure:
        note_sending(site, account.id, failure.reason)
        raise
    note_sending(site, account.id, "")
    return Receipt(message_id(outgoing, account.email))


def server_of(site: Site, account: Account) -> smtp.Server:
    """The account's way out, with its password."""
    password = unseal(site.config, account.smtp_secret)
    return smtp.Server(account.smtp_host, account.smtp_port, account.smtp_security, account.smtp_user, password)


def account_for(site: Site, outgoing: Outgoing) -> Account:
    """The account a message names; else the sender's own; else a shared one. PermanentFailure when there is none."""
    with site.read(system("send mail")) as reader:
        able = (Account.active.is_(True), Account.archived_at.is_(None), Account.smtp_host != "")
        found = [each for each in reader.all(Account, *able) if serves(each, outgoing.purpose)]
    if outgoing.account:
        found = [each for each in found if outgoing.account.lower() in {str(each.id), each.email}]
    chosen = preferred(found, outgoing.sender_id)
    if chosen is None:
        raise PermanentFailure(
            _("No e-mail account may send this (purpose “%(purpose)s”). An administrator sets one up under “E-mail "
              "accounts”; then send it again.", purpose=outgoing.purpose)
        )  # fmt: skip
    return chosen


def refusals(message: Message, session: Session) -> Sequence[Problem]:
    """What nobody sends by hand is no answer to what nobody wrote: two sites would write to each other for ever."""
    if message.channel != NAME or message.sender_id is not None or message.about_entity != "interaction":
        return []
    kinds = session.scalars(select(Mail.kind).where(Mail.interaction_id == message.about_id)).all()
    return [Problem(None, _("The e-mail that this would answer was sent by a machine."))
            for kind in kinds if kind != "personal"]  # fmt: skip


def serves(account: Account, purpose: str) -> bool:
    """Whether an account may be used for a purpose."""
    return not account.purposes or purpose in account.purposes


def preferred(accounts: Iterable[Account], user_id: UUID | None) -> Account | None:
    """One's own account first, then the shared ones, the oldest first; never somebody else's own."""
    ordered = sorted(accounts, key=lambda each: each.id)
    mine = [each for each in ordered if user_id is not None and each.owner_id == user_id and not each.shared]
    shared = [each for each in ordered if each.shared or each.owner_id is None or each.team_id is not None]
    return next(iter([*mine, *shared]), None)


def note_sending(site: Site, account_id: UUID, problem: str) -> None:
    """Keep how sending goes, where the account's page shows it; written only when that changes."""
    with site.read(system("mail accounts")) as reader:
        known = reader.all(Place, Place.account_id == account_id, Place.folder == "")
    if known and known[0].error == problem[:500] and not problem:
        return
    with site.write(system("mail accounts")) as unit:
        place = place_for(unit, account_id, "", utcnow().date())
        now = utcnow()
        failing = (place.failing_since or now) if problem else None
        unit.session.connection().execute(
            update(Place).where(Place.id == place.id)
            .values(error=problem[:500], failing_since=failing, seen_at=now)
        )  # fmt: skip
