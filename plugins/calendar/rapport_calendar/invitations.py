"""Invitations: who is asked to come hears of it by mail, of each change too, and answers by mail or by a link."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import make_msgid
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import select

from rapport import (
    LANGUAGES,
    Customer,
    Formats,
    JobContext,
    NotFound,
    Reader,
    Site,
    Unit,
    User,
    enqueue_job,
    send,
    store,
    system,
    use_language,
    utcnow,
)
from rapport import gettext as _
from rapport_calendar import feeds, service
from rapport_calendar.entities import Appointment, Attendee
from rapport_calendar.ical import read

ANSWERS = ("accepted", "tentative", "declined")
JOB = "calendar.invite"
PURPOSE = "service"
MOST_BYTES = 500_000
"""A reply is small."""


def invite(unit: Unit, appointment: Appointment) -> None:
    """Have everybody who has not heard of an appointment as it is now told, once this is committed."""
    arguments = {"appointment_id": str(appointment.id), "method": "REQUEST"}
    enqueue_job(unit.session.connection(), JOB, arguments, actor=unit.actor)


def tell_cancelled(unit: Unit, appointment: Appointment) -> None:
    """Have those who were invited told that an appointment does not take place."""
    arguments = {"appointment_id": str(appointment.id), "method": "CANCEL"}
    enqueue_job(unit.session.connection(), JOB, arguments, actor=unit.actor)


# Sending -------------------------------------------------------------------------------------------------------------


def send_invitations(context: JobContext, *, appointment_id: str, method: str) -> str:
    """The job behind `invite`: to customers through the gate, to colleagues as any mail to them."""
    site = context.site
    with site.read(context.actor) as reader:
        try:
            appointment = reader.get(Appointment, UUID(appointment_id))
        except NotFound:
            return _("The appointment is gone.")
        changed = reader.all(Appointment, Appointment.series_id == appointment.id, Appointment.archived_at.is_(None))
        body = feeds.written(reader, [appointment, *changed], method=method)
        waiting = [each.id for each in _untold(reader, appointment, method)]
    for told, attendee_id in enumerate(waiting, 1):
        stored = store(site, io.BytesIO(body), "invite.ics" if method == "REQUEST" else "cancel.ics", context.actor)
        with site.write(context.actor) as unit:
            _tell_one(unit, unit.get(Attendee, attendee_id), method, stored.id)
        context.progress(told, len(waiting))
    return ""


def _untold(reader: Reader, appointment: Appointment, method: str) -> Sequence[Attendee]:
    told = Attendee.told_sequence < appointment.sequence if method == "REQUEST" else Attendee.told_sequence >= 0
    here = (Attendee.appointment_id == appointment.id, Attendee.archived_at.is_(None), Attendee.answer != "declined")
    return reader.all(Attendee, *here, told, order=Attendee.id, limit=200)


def _tell_one(unit: Unit, attendee: Attendee, method: str, file_id: UUID) -> None:
    appointment = unit.get(Appointment, attendee.appointment_id)
    if attendee.user_id is not None:
        user = unit.get(User, attendee.user_id)
        if user.id != appointment.owner_id:
            subject, text = _words(unit.site, appointment, attendee, method, user.language, user.time_zone)
            mail_user(unit, user.email, subject, text)
    elif (channel := mail_channel(unit.site)) is None:
        return  # they stay untold until there is a way
    elif (customer := _customer_of(unit, attendee)) is not None:
        subject, text = _words(unit.site, appointment, attendee, method, customer.language, appointment.zone)
        send(
            unit,
            channel=channel,
            customer=customer,
            purpose=PURPOSE,
            subject=subject,
            body=text,
            address=attendee.email,
            attachments=[file_id],
            about=appointment,
        )
    attendee.told_sequence = -1 if method == "CANCEL" else appointment.sequence


def mail_channel(site: Site) -> str | None:
    """The channel by which customers get mail; None where no module brings one."""
    names = [each.name for each in site.channels if each.point == "email"]
    return "email" if "email" in names else next(iter(names), None)


def _customer_of(unit: Unit, attendee: Attendee) -> Customer | None:
    """The customer an attendee is; one who is known by an address only becomes one, as all we write to are."""
    if attendee.customer_id is not None:
        return unit.get(Customer, attendee.customer_id)
    if not attendee.email:
        return None
    known = unit.reader.all(Customer, Customer.email == attendee.email, Customer.archived_at.is_(None), limit=1)
    customer = known[0] if known else unit.create(
        Customer, {"name": attendee.name or attendee.email, "email": attendee.email, "source": "calendar"}
    )  # fmt: skip
    attendee.customer_id = customer.id
    return customer


def mail_user(unit: Unit, to: str, subject: str, text: str) -> None:
    """A mail to one of us, which goes out if this unit commits."""
    if unit.site.config.mail_url:
        arguments = {"to": to, "subject": subject, "text": text, "message_id": make_msgid(domain="rapport.invalid")}
        enqueue_job(unit.session.connection(), "core.mail", arguments, actor=system("calendar"))


def _words(
    site: Site, appointment: Appointment, attendee: Attendee, method: str, language: str, zone: str
) -> tuple[str, str]:
    """Subject and text, in the language and on the clock of the one who reads them."""
    lang = language if language in LANGUAGES else "en"
    with use_language(lang, ["rapport_calendar"]):
        facts = {"title": appointment.title, "when": when(appointment, Formats(lang, zone)), "place": appointment.place}
        if method == "CANCEL":
            subject = _("Cancelled: %(title)s", **facts)
            return subject, _("%(title)s does not take place.\n\nIt was planned for %(when)s.", **facts)
        changed = attendee.told_sequence >= 0
        subject = _("Changed: %(title)s", **facts) if changed else _("Invitation: %(title)s", **facts)
        lines = [appointment.title, facts["when"], *([appointment.place] if appointment.place else [])]
        if appointment.note:
            lines += ["", appointment.note]
        lines += ["", _("Say here whether you come:"), address(site, attendee)]
        return subject, "\n".join(lines)


def when(appointment: Appointment, formats: Formats) -> str:
    """When it is, in words: the days, or the moments with the zone they are meant in."""
    assert appointment.ends_at is not None
    if appointment.all_day:
        assert appointment.starts_on is not None
        first = formats.date(appointment.starts_on, "full")
        if appointment.ends_on in {None, appointment.starts_on}:
            return first
        assert appointment.ends_on is not None
        return f"{first} – {formats.date(appointment.ends_on, 'full')}"
    begin, end = formats.here(appointment.starts_at), formats.here(appointment.ends_at)
    last = formats.time(end) if begin.date() == end.date() else formats.instant(end, "full")
    return f"{formats.instant(begin, 'full')} – {last} ({formats.zone})"


# Answering -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody without an account sees of an appointment they were asked to."""

    title: str
    place: str
    note: str
    appointment: Appointment
    answer: str
    name: str
    over: bool


def address(site: Site, attendee: Attendee) -> str:
    """The link by which an attendee answers."""
    return f"{site.config.base_url.rstrip('/')}/calendar/answer/{_signer(site).dumps(attendee.id.hex)}"


def asked_by(site: Site, token: str) -> Asked | None:
    """What a link asks; None when it is none of ours, or what it asks for is gone."""
    with site.read(system("an invitation")) as reader:
        found = _attendee_of(site, reader, token)
        if found is None:
            return None
        appointment = reader.get(Appointment, found.appointment_id)
    over = appointment.status == "cancelled" or (appointment.over_at is not None and appointment.over_at < utcnow())
    return Asked(appointment.title, appointment.place, appointment.note, appointment, found.answer, found.name, over)


def answer_by(site: Site, token: str, said: str) -> None:
    """Take the answer that somebody gave by a link."""
    with site.write(system("an answer to an invitation").through("web")) as unit:
        found = _attendee_of(site, unit.reader, token)
        if found is not None:
            _take_answer(unit, found, said)


def answer_as_user(site: Site, appointment_id: UUID, user_id: UUID, said: str) -> None:
    """Take the answer of one of us. NotFound when they were not asked."""
    if said not in ANSWERS:
        raise NotFound(_("There is no such answer."))
    with site.write(system("an answer to an invitation").through("web")) as unit:
        here = (Attendee.appointment_id == appointment_id, Attendee.user_id == user_id, Attendee.archived_at.is_(None))
        found = unit.reader.all(Attendee, *here, limit=1)
        if not found:
            raise NotFound(_("You were not asked to this appointment."))
        _take_answer(unit, found[0], said)


def _attendee_of(site: Site, reader: Reader, token: str) -> Attendee | None:
    try:
        attendee_id = UUID(_signer(site).loads(token))
    except (BadSignature, ValueError, TypeError, AttributeError):
        return None
    here = (Attendee.id == attendee_id, Attendee.archived_at.is_(None))
    return next(iter(reader.all(Attendee, *here, limit=1)), None)


def _take_answer(unit: Unit, attendee: Attendee, said: str, comment: str = "") -> None:
    """Note an answer, and let the one who asked know."""
    if attendee.answer == said and (not comment or attendee.comment == comment):
        return
    attendee.answer, attendee.answered_at = said, utcnow()
    attendee.comment = comment or attendee.comment
    unit.flush()
    appointment = unit.get(Appointment, attendee.appointment_id)
    if appointment.owner_id is None or appointment.owner_id == attendee.user_id:
        return
    owner = unit.get(User, appointment.owner_id)
    with use_language(owner.language, ["rapport_calendar"]):
        says = {"accepted": _("%(name)s comes: %(title)s"), "tentative": _("%(name)s comes perhaps: %(title)s"),
                "declined": _("%(name)s does not come: %(title)s")}[said]  # fmt: skip
        subject = says % {"name": attendee.name or attendee.email, "title": appointment.title}
        mail_user(unit, owner.email, subject, when(appointment, Formats(owner.language, owner.time_zone)))


def take_reply(unit: Unit, ics: bytes, *, sender: str = "") -> int:
    """Take the answers in a file that came by mail (METHOD:REPLY), and return how many they were.

    Only who was asked is heard, and, where the mail's `sender` is known, only about themselves. An answer to an older
    state of the appointment than the present one counts for nothing: they have been asked anew.
    """
    if len(ics) > MOST_BYTES:
        return 0
    found = read(ics)
    if found.method != "REPLY":
        return 0
    taken = 0
    for event in found.events[:50]:
        where = (
            Appointment.uid == event.uid,
            Appointment.occurrence == event.occurrence,
            Appointment.archived_at.is_(None),
        )
        appointments = unit.session.scalars(select(Appointment).where(*where).limit(20)).all() if event.uid else []
        for appointment in appointments:
            if event.sequence < appointment.sequence:
                continue
            for attendee in service.attendees_of(unit, appointment):
                said = next((each for each in event.people if each.email and each.email == attendee.email), None)
                if said is None or said.answer not in ANSWERS or (sender and sender.strip().lower() != attendee.email):
                    continue
                _take_answer(unit, attendee, said.answer, said.comment)
                taken += 1
    return taken


def _signer(site: Site) -> URLSafeSerializer:
    return URLSafeSerializer(site.config.secret_key, salt="calendar-answer")
