"""What becomes of a mail that was fetched: an interaction in its thread, word on one that we sent, or nothing.

One mail is one transaction, and in it stands how far the folder was read. So whenever a process ends, each mail was
taken whole or not at all, and the next run goes on with the next one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import logging
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, update

from rapport import (
    Conflict,
    ContactPoint,
    Customer,
    Incoming,
    Interaction,
    Invalid,
    JobContext,
    Message,
    Participant,
    Party,
    RapportError,
    Reader,
    Site,
    Unit,
    User,
    enqueue_job,
    message_status,
    receive,
    store,
    system,
    utcnow,
)
from rapport_email import imap, kinds
from rapport_email.cleaning import PICTURES
from rapport_email.entities import MAX_PAGE, Account, Mail, Notice, Picture, Place, settled
from rapport_email.parsing import MAX_BYTES, Part, Unreadable, parse
from rapport_email.parsing import Mail as Parsed
from rapport_email.secrets import Locked, unseal

log = logging.getLogger("rapport.email")
CHANNEL = "email"
FETCH_JOB = "email.fetch"
THREAD_DAYS = 30
MAX_FILES = 50
SUBJECT_LENGTH = 500
_PREFIX = re.compile(
    r"^\s*(?:(?:re|aw|antw|sv|vs|ref|rif|rép|回复|回覆|答复|השב|تعقیب|پاسخ|fw|fwd|wg|tr|enc|rv|轉寄|转发|הועבר)(?:\[\d+\])?\s*[:：]\s*)+",
    re.IGNORECASE,
)
ACTOR = system("mail that came in")


# The job -------------------------------------------------------------------------------------------------------------


def ask_for_all(context: JobContext) -> str:
    """Every minute: have each mailbox looked into, by a job of its own, so that a slow one delays no other."""
    with context.site.write(system("mail accounts")) as unit:
        able = (Account.active.is_(True), Account.archived_at.is_(None), Account.imap_host != "")
        for account in unit.reader.all(Account, *able):
            ask_for(unit, account.id)
    return ""


def ask_for(unit: Unit, account_id: UUID) -> None:
    """Have one mailbox looked into soon, once."""
    key = str(account_id)
    enqueue_job(unit.session.connection(), FETCH_JOB, {"account_id": key}, actor=system("mail accounts"), key=key)


def fetch(context: JobContext, *, account_id: str) -> str:
    """Look into one mailbox, folder by folder, and take what is new."""
    site = context.site
    with site.read(ACTOR) as reader:
        found = reader.all(Account, Account.id == UUID(account_id), Account.active.is_(True),
                           Account.archived_at.is_(None), Account.imap_host != "")  # fmt: skip
    if not found:
        return ""
    (account,) = found
    places = [(name, "in") for name in account.folders] + [(name, "out") for name in account.sent_folders]
    taken = 0
    try:
        server = server_of(site, account)
        with imap.connected(server) as box:
            for name, direction in places:
                taken += _read_folder(context, box, account, name, direction)
    except (imap.Unreachable, Locked) as error:
        for name, _direction in places:
            _note(site, account, name, error=str(error))
        return str(error)
    return f"{taken}" if taken else ""


def server_of(site: Site, account: Account) -> imap.Server:
    """The account's mailbox, with its password."""
    password = unseal(site.config, account.imap_secret)
    return imap.Server(account.imap_host, account.imap_port, account.imap_security, account.imap_user, password)


def _read_folder(context: JobContext, box: imap.Mailbox, account: Account, name: str, direction: str) -> int:
    site = context.site
    with site.write(ACTOR) as unit:
        place = place_for(unit, account.id, name, (utcnow() - dt.timedelta(days=account.first_days)).date())
        at = (place.id, place.uidvalidity, place.uid, place.since)
    try:
        validity = box.open(name, writing=account.mark_read and direction == "in")
    except imap.Unreachable as error:
        _note(site, account, name, error=str(error))
        return 0
    place_id, known_validity, uid, since = at
    if validity != known_validity:  # the numbers are new: all is looked through again, and what we have is recognised
        uid = 0
    found = box.after(uid, since)
    read: list[int] = []
    for number, each in enumerate(found[: imap.AT_ONCE], 1):
        data = box.read(each.uid, MAX_BYTES + 1) if each.size <= MAX_BYTES else b""
        bookmark = Bookmark(place_id, validity, each.uid, len(found) - number)
        take(site, account, Taken(data, each.size, name, direction), bookmark)
        read.append(each.uid)
        context.progress(number, len(found))
    if read and account.mark_read and direction == "in":
        box.mark_read(read)
    _note(site, account, name, validity=validity, waiting=len(found) - len(read))
    if len(found) > len(read):
        with site.write(ACTOR) as unit:
            ask_for(unit, account.id)
    return len(read)


def place_for(unit: Unit, account_id: UUID, folder: str, since: dt.date) -> Place:
    """Where the reading of a folder stands; made when first asked for."""
    known = unit.reader.all(Place, Place.account_id == account_id, Place.folder == folder)
    if known:
        return known[0]
    made = Place(account_id=account_id, folder=folder, since=since)
    unit.session.add(made)
    unit.flush()
    return made


def _note(site: Site, account: Account, folder: str, *, error: str = "", validity: int = 0, waiting: int = 0) -> None:
    """How it went, past the log of changes: it is noted every minute."""
    with site.write(ACTOR) as unit:
        place = place_for(unit, account.id, folder, (utcnow() - dt.timedelta(days=account.first_days)).date())
        now = utcnow()
        values: dict[str, object] = {
            "error": error[:500],
            "failing_since": (place.failing_since or now) if error else None,
        }
        if not error:
            values |= {"seen_at": now, "waiting": waiting}
            if place.uidvalidity != validity:  # nothing of the new numbers was there to be read
                values |= {"uidvalidity": validity, "uid": 0}
        unit.session.connection().execute(update(Place).where(Place.id == place.id).values(**values))


# One mail ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail as the server gave it."""

    data: bytes
    size: int
    folder: str
    direction: str


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far the folder is read once this mail is dealt with."""

    place_id: UUID
    validity: int
    uid: int
    waiting: int = 0


def take(site: Site, account: Account, taken: Taken, bookmark: Bookmark | None = None) -> UUID | None:
    """Deal with one mail; returns its interaction if it has one. Nothing it holds stops the mailbox."""
    try:
        return _take(site, account, taken, bookmark)
    except Conflict:  # another process has just taken the same mail, from another mailbox: now it is known
        return _take(site, account, taken, bookmark)


def _take(site: Site, account: Account, taken: Taken, bookmark: Bookmark | None) -> UUID | None:
    try:
        if not taken.data:
            raise Unreadable(f"it has {taken.size >> 20} MB, and at most {MAX_BYTES >> 20} are read")
        parsed = parse(taken.data)
        return _take_parsed(site, account, taken, parsed, bookmark)
    except (Unreadable, Invalid) as error:
        _keep_unreadable(site, account, taken, str(error), bookmark)
        return None


def _take_parsed(site: Site, account: Account, taken: Taken, mail: Parsed, bookmark: Bookmark | None) -> UUID | None:
    external_id = _external_id(site, mail)
    if external_id is None:  # seen before, in this or another folder or mailbox
        with site.write(ACTOR) as unit:
            _move(unit, bookmark, kept=False)
        return None
    reports = kinds.reports(mail)
    kind = kinds.kind_of(mail)
    if reports:
        with site.write(ACTOR) as unit:
            _take_reports(unit, account, taken.folder, mail, reports)
            _move(unit, bookmark, kept=False)
        return None
    with site.read(ACTOR) as reader:
        wanted = _wanted(reader, account, mail, kind, taken.direction)
    if wanted is None:
        with site.write(ACTOR) as unit:
            if kind == "automatic" and taken.direction == "in":
                _automatic(unit, account, taken.folder, mail)
            _move(unit, bookmark, kept=False)
        return None
    # Files are stored first: one that no record holds in the end is swept away.
    pictures, files = _stored(site, mail)
    with site.write(ACTOR) as unit:
        interaction = receive(
            unit, _incoming(unit, account, mail, external_id, wanted, [file for _part, file in files])
        )
        if not unit.reader.all(Mail, Mail.interaction_id == interaction.id):
            _keep_mail(unit, account, mail, interaction, kind, pictures)
        _move(unit, bookmark, kept=True)
        return interaction.id


def _external_id(site: Site, mail: Parsed) -> str | None:
    """What the mail is known as; None when it is here already.

    A Message-ID is meant to be one mail's own. Where another sender has used it before, the content tells them apart.
    """
    own = mail.message_id or f"{mail.digest[:40]}@no-message-id"
    with site.read(ACTOR) as reader:
        known = reader.all(Interaction, Interaction.channel == CHANNEL, Interaction.external_id == own)
        noted = reader.all(Notice, Notice.external_id == own, limit=1)
        if not known and not noted:
            sent = reader.all(Message, Message.channel == CHANNEL, Message.external_id == own, limit=1)
            return None if sent else own
        mails = reader.all(Mail, Mail.interaction_id == known[0].id) if known else []
        if not mails or mails[0].digest in {"", mail.digest} or _from(mail) == _sender(reader, known[0]):
            return None
        other = f"{own}#{mail.digest[:16]}"
        return (
            None if reader.all(Interaction, Interaction.channel == CHANNEL, Interaction.external_id == other) else other
        )


def _from(mail: Parsed) -> str:
    return mail.sender.email


def _sender(reader: Reader, interaction: Interaction) -> str:
    statement = select(Participant.address).where(
        Participant.interaction_id == interaction.id, Participant.role == "from"
    )
    return str(reader.session.scalar(statement) or "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a mail is taken: in or out, and with whom."""

    direction: str
    parties: Sequence[Party]
    open: bool


def _wanted(reader: Reader, account: Account, mail: Parsed, kind: kinds.Kind, direction: str) -> Wanted | None:
    """Whether a mail is between us and a customer, and which way it went; None for what is not for the timeline."""
    if not mail.sender.email:
        raise Unreadable("it does not say who sent it")
    ours = _ours(reader, [mail.sender.email, *(each.email for each in mail.recipients)]) | {account.email}
    others = [each for each in mail.recipients if each.email not in ours]
    addresses = {mail.sender.email, *(each.email for each in others)}
    if _ignored(reader, addresses):
        return None
    parties = [Party(each.email, each.name[:200], "to") for each in mail.to] + [
        Party(each.email, each.name[:200], "cc") for each in mail.cc
    ]
    if direction == "out" or mail.sender.email in ours:
        theirs = [Party(each.email, each.name[:200], "to") for each in others]
        rest = [each for each in parties if each.address in ours]
        return Wanted("out", [*theirs, *rest], open=False) if _known(reader, [each.email for each in others]) else None
    known = _known(reader, [mail.sender.email]) or _answers_ours(reader, mail)
    if kind in {"automatic", "list"} and not known:
        return None
    return Wanted("in", parties, open=kind == "personal")


def _known(reader: Reader, addresses: Iterable[str]) -> bool:
    """Whether one of these addresses is a customer's."""
    wanted = [each for each in addresses if each]
    if not wanted:
        return False
    live = Customer.merged_into_id.is_(None)
    main = select(Customer.id).where(Customer.email.in_(wanted), live).limit(1)
    more = (
        select(ContactPoint.id)
        .where(ContactPoint.kind == "email", ContactPoint.value.in_(wanted), ContactPoint.archived_at.is_(None))
        .limit(1)
    )
    return any(reader.session.scalar(each) is not None for each in (main, more))


def _answers_ours(reader: Reader, mail: Parsed) -> bool:
    if not mail.ancestors:
        return False
    statement = select(Interaction.id).where(
        Interaction.channel == CHANNEL, Interaction.external_id.in_(mail.ancestors)
    )
    return reader.session.scalar(statement.limit(1)) is not None


def _ours(reader: Reader, addresses: Collection[str]) -> set[str]:
    """Which of these addresses are colleagues' or accounts'."""
    found: set[str] = set()
    for entity in (User, Account):
        statement = select(entity.email).where(entity.email.in_(list(addresses)))
        found |= set(reader.session.scalars(statement))
    return found


def _ignored(reader: Reader, addresses: Collection[str]) -> bool:
    """Whether the site wants to know nothing of mail with somebody, such as one's bank or one's family."""
    listed = str(reader.site.settings.get("email.ignored") or "").lower().split()
    ignored = {each.strip(",;").lstrip("@") for each in listed}
    return any(each in ignored or each.rpartition("@")[2] in ignored for each in addresses)


def _incoming(
    unit: Unit, account: Account, mail: Parsed, external_id: str, wanted: Wanted, files: Sequence[UUID]
) -> Incoming:
    personal = not account.shared and account.team_id is None
    return Incoming(
        channel=CHANNEL, external_id=external_id, address=mail.sender.email, name=mail.sender.name[:200],
        subject=mail.subject[:SUBJECT_LENGTH], body=mail.text, at=_moment(unit, mail), parties=wanted.parties,
        references=_thread(unit, mail), files=files, direction=wanted.direction, source=account.email,
        owner_id=account.owner_id if personal else None,
    )  # fmt: skip


def _moment(unit: Unit, mail: Parsed) -> dt.datetime:
    """When it was sent; an answer comes after what it answers, whatever the clock of its writer says."""
    if not mail.ancestors:
        return mail.at
    statement = select(func.max(Interaction.at)).where(
        Interaction.channel == CHANNEL, Interaction.external_id.in_(mail.ancestors)
    )
    answered: dt.datetime | None = unit.session.scalar(statement)
    return mail.at if answered is None or answered < mail.at else answered + dt.timedelta(milliseconds=1)


def _thread(unit: Unit, mail: Parsed) -> list[str]:
    """The mails it answers; where it names none that are here, the newest of the same subject with the same person."""
    references = list(reversed(mail.ancestors))
    if _answers_ours(unit.reader, mail) or not _PREFIX.match(mail.subject):
        return references
    bare = bare_subject(mail.subject)
    since = mail.at - dt.timedelta(days=THREAD_DAYS)
    people = [mail.sender.email, *(each.email for each in mail.recipients)]
    theirs = select(Customer.id).where(Customer.email.in_(people), Customer.merged_into_id.is_(None))
    recent = (
        select(Interaction.subject, Interaction.external_id)
        .where(Interaction.customer_id.in_(theirs), Interaction.channel == CHANNEL, Interaction.at > since,
               Interaction.external_id.is_not(None))
        .order_by(Interaction.at.desc(), Interaction.id.desc()).limit(50)
    )  # fmt: skip
    for subject, external_id in unit.session.execute(recent):
        if bare and bare_subject(subject) == bare:
            return [*references, str(external_id)]
    return references


def bare_subject(subject: str) -> str:
    """A subject without its Re: and Fwd: in many languages."""
    return " ".join(_PREFIX.sub("", subject).casefold().split())


def _keep_mail(
    unit: Unit, account: Account, mail: Parsed, interaction: Interaction, kind: kinds.Kind,
    pictures: Sequence[tuple[Part, UUID]],
) -> None:  # fmt: skip
    others = [each.email for each in mail.reply_to if each.email != mail.sender.email]
    kept = Mail(
        interaction_id=interaction.id, account_id=account.id, message_id=mail.message_id, digest=mail.digest,
        kind=kind if kind in {"automatic", "list"} else "personal", reply_to=others[0] if others else "",
        notes="; ".join(mail.notes)[:500], page=mail.html[:MAX_PAGE],
        open=kind == "personal" and interaction.direction == "in" and not _answered_since(unit, interaction),
    )  # fmt: skip
    unit.session.add(kept)
    unit.flush()
    unit.session.add_all(
        Picture(mail_id=kept.id, content_id=part.content_id[:400], media_type=part.media_type, file=file)
        for part, file in pictures
    )
    if interaction.direction == "out":
        settled(interaction, unit.session)
    unit.flush()


def _answered_since(unit: Unit, interaction: Interaction) -> bool:
    later = select(Interaction.id).where(
        Interaction.thread_id == interaction.thread_id, Interaction.direction == "out", Interaction.at > interaction.at
    )
    return unit.session.scalar(later.limit(1)) is not None


def _stored(site: Site, mail: Parsed) -> tuple[list[tuple[Part, UUID]], list[tuple[Part, UUID]]]:
    """The mail's files on disk: pictures that stand in its HTML, and what is attached."""
    pictures: list[tuple[Part, UUID]] = []
    files: list[tuple[Part, UUID]] = []
    for part in mail.files[:MAX_FILES]:
        if not part.content or len(part.content) > site.config.max_upload_mb << 20:
            continue
        shown = part.media_type in PICTURES and part.content_id and f"cid:{part.content_id}" in mail.html
        file = store(site, io.BytesIO(part.content), part.name, ACTOR).id
        (pictures if shown else files).append((part, file))
    return pictures, files


def _move(unit: Unit, bookmark: Bookmark | None, *, kept: bool) -> None:
    """The folder is read up to here: in the same transaction as what the mail became."""
    if bookmark is None:
        return
    values = {"uidvalidity": bookmark.validity, "uid": bookmark.uid, "waiting": bookmark.waiting, "seen_at": utcnow(),
              "taken": Place.taken + int(kept), "error": "", "failing_since": None}  # fmt: skip
    unit.session.connection().execute(update(Place).where(Place.id == bookmark.place_id).values(**values))


# What is no conversation ---------------------------------------------------------------------------------------------


def _take_reports(unit: Unit, account: Account, folder: str, mail: Parsed, reports: Sequence[kinds.Report]) -> None:
    """What became of mails that we sent: a bounce stops the address, a passing trouble is only noted."""
    for report in reports[:100]:
        status = "delivered" if report.delivered else "bounced" if report.hard else ""
        message = _message_of(unit, report)
        if message is not None and status and (message.external_id or ""):
            message_status(unit, CHANNEL, message.external_id, status, report.reason[:400])
        kind = (
            "complaint"
            if report.complaint
            else "delivered"
            if report.delivered
            else "bounce"
            if report.hard
            else "soft"
        )
        unit.session.add(Notice(
            account_id=account.id, at=mail.at, kind=kind, folder=folder, address=report.recipient[:320],
            reason=_fit(f"{report.status} {report.reason}"), message_id=message.id if message is not None else None,
            external_id=mail.message_id or f"{mail.digest[:40]}@no-message-id",
        ))  # fmt: skip
    unit.flush()


def _message_of(unit: Unit, report: kinds.Report) -> Message | None:
    """The message of ours that a report is about, if it names the address to which that very message went.

    Whoever has seen a mail of ours knows its Message-ID, and can write a report that bears it. So a report that names
    somebody else is not understood: all of it is kept for people to look at, and nothing is done.
    """
    if not report.original_id:
        return None
    found = unit.reader.all(Message, Message.channel == CHANNEL, Message.external_id == report.original_id, limit=1)
    if found and found[0].address != report.recipient:
        named = report.recipient or "nobody"
        raise Unreadable(f"it names {named}, and the mail that it is about went to another address")
    return found[0] if found else None


def _automatic(unit: Unit, account: Account, folder: str, mail: Parsed) -> None:
    unit.session.add(Notice(
        account_id=account.id, at=mail.at, kind="automatic", folder=folder, address=mail.sender.email[:320],
        reason=_fit(mail.subject), external_id=mail.message_id or f"{mail.digest[:40]}@no-message-id",
    ))  # fmt: skip
    unit.flush()


def _keep_unreadable(site: Site, account: Account, taken: Taken, why: str, bookmark: Bookmark | None) -> None:
    """A mail that cannot be taken in is kept as it came, with the reason, and the next one is read."""
    digest = (
        hashlib.sha256(taken.data).hexdigest()[:40]
        if taken.data
        else f"{account.id.hex[:12]}-{taken.folder}-{bookmark.uid if bookmark else 0}"
    )
    external_id = f"{digest}@unreadable"
    with site.read(ACTOR) as reader:
        known = reader.all(Notice, Notice.external_id == external_id, limit=1)
    file = None
    if taken.data and not known:
        try:
            file = store(site, io.BytesIO(taken.data), "mail.eml", ACTOR).id
        except RapportError as error:
            log.warning("a mail of %s is not kept: %s", account.email, error)
    with site.write(ACTOR) as unit:
        if not known:
            unit.session.add(Notice(account_id=account.id, at=utcnow(), kind="unreadable", folder=taken.folder,
                                    reason=_fit(why), external_id=external_id, file=file))  # fmt: skip
            unit.flush()
        _move(unit, bookmark, kept=False)


def _fit(text: str) -> str:
    return " ".join(text.split())[:SUBJECT_LENGTH]
