"""Saved reports on their way to mailboxes: each recipient gets what they may see themselves, and faults are told."""

from __future__ import annotations

import io
from dataclasses import dataclass
from urllib.parse import parse_qsl
from uuid import UUID

from werkzeug.datastructures import MultiDict

from rapport import (
    Actor,
    Invalid,
    JobContext,
    NotFound,
    Problem,
    RapportError,
    Reader,
    Site,
    Unit,
    User,
    enqueue_job,
    enqueue_mail,
    next_run,
    store,
    system,
    utcnow,
)
from rapport import gettext as _
from rapport_warehouse.asked import Asked, asked_of, fitting
from rapport_warehouse.cube import answer
from rapport_warehouse.entities import Delivery, Recipient, Report
from rapport_warehouse.offer import offered
from rapport_warehouse.question import Answer
from rapport_warehouse.store import as_of
from rapport_warehouse.taking import formats_of, taken

DELIVER, SEND = "warehouse.deliver", "warehouse.send"
ATTEMPTS = 4
MOST = 10_000
PAGE = "/warehouse/deliveries"


@dataclass(frozen=True, slots=True)
class Letter:
    """What goes to one person."""

    subject: str
    text: str
    file_name: str
    content: bytes


# What is due ---------------------------------------------------------------------------------------------------------


def deliver_due(context: JobContext) -> str:
    """Have everything sent whose time has come. The next time is noted in the same transaction."""
    site, asked = context.site, 0
    with site.read(_us()) as reader:
        due = [
            each.id
            for each in reader.all(Delivery, Delivery.due_at <= utcnow(), Delivery.archived_at.is_(None), limit=MOST)
        ]
    for number, delivery_id in enumerate(due, start=1):
        with site.write(_us()) as unit:
            delivery = unit.get(Delivery, delivery_id)
            if delivery.due_at is None or delivery.due_at > utcnow():
                continue  # another worker was faster
            delivery.due_at = next_run(delivery.rule, delivery.zone, utcnow())
            asked += ask(unit, delivery)
        context.progress(number, len(due))
    return _("%(count)s mails were asked for.", count=asked) if due else ""


def ask(unit: Unit, delivery: Delivery) -> int:
    """Ask for a mail to each recipient, with the rights of each. Returns how many."""
    site, asked = unit.site, 0
    owner = _actor(site, delivery.owner_id)
    if owner is None:
        _stop(unit, delivery, None, _("Whoever set it up is no longer active. Somebody else may take it over."))
        return 0
    if _report(site, owner, delivery) is None:
        with site.speaking(owner.language):
            _stop(unit, delivery, owner, _("The saved report was deleted, or is no longer shared with you."))
        return 0
    recipients = unit.reader.all(Recipient, Recipient.delivery_id == delivery.id, limit=MOST)
    for recipient in recipients:
        actor = _actor(site, recipient.user_id)
        if actor is None:
            with site.speaking(owner.language):
                _note(unit, delivery, recipient, _("This person is no longer active."))
            continue
        enqueue_job(unit.session.connection(), SEND, {"delivery_id": str(delivery.id)}, actor=actor,
                    key=f"{delivery.id} {recipient.user_id}")  # fmt: skip
        asked += 1
    return asked


# One mail ------------------------------------------------------------------------------------------------------------


def send_one(context: JobContext, delivery_id: str) -> str:
    """The job, in the name of the recipient: draw it as they may see it, and hand it to the mail."""
    site, actor = context.site, context.actor
    with site.read(_us()) as reader:
        found = reader.all(Recipient, Recipient.delivery_id == UUID(delivery_id), Recipient.user_id == actor.id)
        if not found:
            return _("They no longer get it.")
        recipient_id = found[0].id
        delivery = reader.get(Delivery, UUID(delivery_id))
        owner = _actor(site, delivery.owner_id)
        report = _report(site, owner, delivery) if owner is not None else None
    try:
        if owner is None or report is None:
            raise NotFound(_("The saved report is gone."))
        _send(context, recipient_id, _letter(site, actor, owner, delivery, report))
    except RapportError as error:  # to try again would say the same
        _tell(site, recipient_id, str(error))
        return str(error)
    except Exception as error:
        if context.attempt >= ATTEMPTS:
            _tell(site, recipient_id, f"{type(error).__name__}: {error}")
        raise
    return ""


def _letter(site: Site, actor: Actor, owner: Actor, delivery: Delivery, report: Report) -> Letter:
    """What one person gets, in their language; what cannot be sent is said in its owner's."""
    if as_of(site) is None:
        raise RuntimeError("The warehouse is not filled yet.")  # which a moment later it may be
    with site.read(actor) as reader:
        with site.speaking(owner.language):
            asked = _asked(reader, report)
        with site.speaking(actor.language):
            found = answer(reader, asked.question)
            content = taken(reader, asked, found, delivery.format, delivery.name)
            return Letter(
                " ".join(delivery.name.split()), _text(reader, owner, delivery, report, asked, found),
                f"{delivery.name}-{reader.today().isoformat()}.{delivery.format}", content,
            )  # fmt: skip


def _asked(reader: Reader, report: Report) -> Asked:
    """The question as far as this person may ask it."""
    if not reader.site.config.mail_url:
        raise Invalid(Problem(None, _("No mail can be sent: mail_url is not set in rapport.toml.")))
    reader.actor.require("warehouse.report.read")
    offer = offered(reader)
    asked = fitting(question_of(report), offer)
    if not {*asked.measures} <= {each.name for each in offer.measures}:
        raise Invalid(Problem(None, _("This person may not see what it counts.")))
    return asked


def _text(reader: Reader, owner: Actor, delivery: Delivery, report: Report, asked: Asked, found: Answer) -> str:
    base = _base(reader.site)
    titles = {each.name: each.title for each in offered(reader).dimensions} if asked.left_out else {}
    return "\n".join([
        delivery.name,
        *(_("“%(name)s” was left out: you may not see it.", name=titles.get(name, name)) for name in asked.left_out),
        _("As of %(when)s. You get what your own rights let you see.",
          when=formats_of(reader.actor).instant(found.as_of)), "",
        _("Look at it: %(url)s", url=f"{base}/warehouse?{question_of(report).query()}"), "",
        _("%(name)s has it sent to you. To have it stop: %(url)s", name=owner.name, url=base + PAGE), "",
    ])  # fmt: skip


def _send(context: JobContext, recipient_id: UUID, letter: Letter) -> None:
    """The mail, that it was sent, and the end of the job are one transaction."""
    site = context.site
    stored = store(site, io.BytesIO(letter.content), letter.file_name, _us())
    with site.write(_us()) as unit:
        recipient = unit.get(Recipient, recipient_id)
        recipient.sent_at, recipient.problem = utcnow(), ""
        unit.flush()
        connection = unit.session.connection()
        enqueue_mail(site, connection, to=context.actor.email, subject=letter.subject, text=letter.text,
                     files=[stored], user_id=context.actor.id)  # fmt: skip
        context.finish_in(connection)


def question_of(report: Report) -> Asked:
    """What a saved report asks."""
    return asked_of(MultiDict(parse_qsl(report.query, keep_blank_values=True)))


# What goes wrong -----------------------------------------------------------------------------------------------------


def _tell(site: Site, recipient_id: UUID, problem: str) -> None:
    with site.write(_us()) as unit:
        for recipient in unit.reader.all(Recipient, Recipient.id == recipient_id):
            _note(unit, unit.get(Delivery, recipient.delivery_id), recipient, problem)
    site.wake()


def _note(unit: Unit, delivery: Delivery, recipient: Recipient, problem: str) -> None:
    """Keep what is wrong with one recipient, and tell the owner once, until it went well again."""
    known, recipient.problem = recipient.problem, problem
    owner = _actor(unit.site, delivery.owner_id)
    if known or owner is None:
        return
    with unit.site.speaking(owner.language):
        name = str(unit.get(User, recipient.user_id))
        subject = _("“%(report)s” was not sent to %(name)s", report=delivery.name, name=name)
    _mail(unit, owner, subject, problem)


def _stop(unit: Unit, delivery: Delivery, owner: Actor | None, problem: str) -> None:
    """Switch a delivery off, and tell its owner why."""
    delivery.active, delivery.problem = False, problem
    if owner is not None:
        _mail(unit, owner, _("“%(report)s” is no longer sent", report=delivery.name), problem)


def _mail(unit: Unit, owner: Actor, subject: str, problem: str) -> None:
    site = unit.site
    text = f"{problem}\n\n{_base(site)}{PAGE}\n"
    enqueue_mail(site, unit.session.connection(), to=owner.email, subject=" ".join(subject.split()), text=text,
                 user_id=owner.id)  # fmt: skip


def _report(site: Site, owner: Actor, delivery: Delivery) -> Report | None:
    """The saved report, if whoever has it sent still finds it."""
    if delivery.report_id is None:
        return None
    with site.read(owner) as reader:
        return next(iter(_found(reader, delivery.report_id)), None)


def _found(reader: Reader, report_id: UUID) -> list[Report]:
    return reader.all(Report, Report.id == report_id, Report.archived_at.is_(None))


def _actor(site: Site, user_id: UUID | None) -> Actor | None:
    return site.actor(user_id) if user_id is not None else None


def _base(site: Site) -> str:
    return site.config.base_url.rstrip("/")


def _us() -> Actor:
    return system("reports by mail")
