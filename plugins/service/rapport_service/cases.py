"""Working on cases: from what customers say to a case, answering, handing over, opening again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from rapport import Attachment, Customer, Interaction, Invalid, Message, Problem, Reader, Unit, send, utcnow
from rapport import gettext as _
from rapport_service import clocks
from rapport_service.entities import DONE, PAUSED, SCOPED, Case
from rapport_service.queues import Queue, choose_queues, hand_out, meeting, queues_in_use

ENTITY = Case.meta.name
NO_SUBJECT = 80
"""So many letters of what was said name a case that came without a subject."""


# From what was said to a case ----------------------------------------------------------------------------------------


def case_from(unit: Unit, interaction: Interaction, **values: Any) -> Case:
    """Make what a customer said, or a call with them, a case; everything in its thread is about it from now on."""
    words = " ".join((interaction.subject or interaction.body).split())
    case = unit.create(Case, {
        "customer_id": interaction.customer_id, "subject": words[:NO_SUBJECT] or _("(no subject)"),
        "description": interaction.body[:20_000], "channel": interaction.channel or interaction.kind,
        "opened_at": interaction.at, **values,
    })  # fmt: skip
    adopt(unit, case, thread_of(unit, interaction))
    return case


def thread_of(unit: Unit, interaction: Interaction) -> Sequence[Interaction]:
    """Everything in the thread of something that was said, as far as it is about nothing else."""
    if interaction.thread_id is None:
        return [interaction]
    return unit.session.scalars(
        select(Interaction)
        .where(Interaction.thread_id == interaction.thread_id, Interaction.about_id.is_(None))
        .order_by(Interaction.at, Interaction.id).limit(1000),
        execution_options=SCOPED,
    ).all()  # fmt: skip


def adopt(unit: Unit, case: Case, interactions: Iterable[Interaction]) -> None:
    """Make what was said be about a case."""
    for each in interactions:
        each.about_entity, each.about_id = ENTITY, case.id
        if each.direction == "in":
            _waits(unit, case, each)
        elif each.direction == "out" and each.at >= case.opened_at:
            _answered(unit, case, each)
    unit.flush()


def take_in(unit: Unit, interactions: Sequence[Interaction]) -> None:
    """What was just said or written: it belongs to its case, or becomes one where a queue says so."""
    known = cases_of_threads(unit, interactions)
    fresh = [each for each in interactions if each.direction == "in" and each.about_id is None
             and each.thread_id not in known]  # fmt: skip
    wanted: dict[UUID, Queue] = {}
    for queue in queues_in_use(unit.reader) if fresh else []:
        if queue.takes:
            left = [each.id for each in fresh if each.id not in wanted]
            wanted |= dict.fromkeys(meeting(unit.reader, Interaction, queue.takes, left), queue)
    made: dict[UUID, Case] = {}
    for each in interactions:
        if each.about_id is not None and each.about_entity != ENTITY:
            continue  # it is about something else
        thread = each.thread_id or each.id
        case_id = each.about_id or known.get(thread)
        case = made.get(thread) or (_case(unit, case_id) if case_id is not None else None)
        if case is not None:
            _heard(unit, case, each)
        elif each.id in wanted:
            made[thread] = case_from(unit, each, queue_id=wanted[each.id].id)


def cases_of_threads(unit: Unit, interactions: Iterable[Interaction]) -> dict[UUID | None, UUID]:
    """The case of each thread that has one: the newest, where there are several."""
    threads = {each.thread_id for each in interactions if each.thread_id is not None and each.about_id is None}
    if not threads:
        return {}
    rows = unit.session.execute(
        select(Interaction.thread_id, Interaction.about_id)
        .where(Interaction.thread_id.in_(threads), Interaction.about_entity == ENTITY)
        .order_by(Interaction.at, Interaction.id),
        execution_options=SCOPED,
    )
    return {row[0]: row[1] for row in rows if row[1] is not None}


def _case(unit: Unit, case_id: UUID) -> Case | None:
    """A case, or the one it was merged into."""
    found = unit.reader.all(Case, Case.id == case_id, limit=1)
    while found and found[0].merged_into_id is not None:
        found = unit.reader.all(Case, Case.id == found[0].merged_into_id, limit=1)
    return found[0] if found else None


def _heard(unit: Unit, case: Case, interaction: Interaction) -> None:
    """Something more was said in a case: by them, and we are to act; or by us, and they are answered."""
    if interaction.about_id != case.id:
        interaction.about_entity, interaction.about_id = ENTITY, case.id
    if interaction.at < case.opened_at:
        return
    if interaction.direction == "in":
        if _is_old(case, interaction):
            return
        if case.status in (*PAUSED, *DONE):
            unit.update(case, {"status": "open"})
            clocks.resume(unit, case, interaction.at)
        _waits(unit, case, interaction)
        if case.first_response_at is not None:
            clocks.await_response(unit, case, interaction.at)
    elif interaction.direction == "out":
        _answered(unit, case, interaction)
        clocks.finish(unit, case, interaction.at, "first_response", "next_response")
        if case.status == "new":
            unit.update(case, {"status": "open"})


def _is_old(case: Case, interaction: Interaction) -> bool:
    """Whether it was answered or solved since it was said, as with what is imported later."""
    since = [each for each in (case.first_response_at, case.solved_at) if each is not None]
    return any(interaction.at <= each for each in since)


def _waits(unit: Unit, case: Case, interaction: Interaction) -> None:
    case.waiting_since = case.waiting_since or interaction.at
    unit.flush()


def _answered(unit: Unit, case: Case, interaction: Interaction) -> None:
    case.first_response_at = case.first_response_at or interaction.at
    case.waiting_since = None
    unit.flush()


# What follows when a case changes ------------------------------------------------------------------------------------


def welcome(unit: Unit, cases: Sequence[Case]) -> None:
    """New cases find their queue, their service level and, where it hands out, somebody."""
    choose_queues(unit, cases)
    clocks.begin(unit, cases)
    hand_out(unit, {each.queue_id for each in cases if each.owner_id is None and each.status not in DONE})


# What people do ------------------------------------------------------------------------------------------------------


def conversation(reader: Reader, case: Case, limit: int = 100) -> list[Interaction]:
    """What was said in a case, the newest first."""
    about = (Interaction.about_entity == ENTITY, Interaction.about_id == case.id)
    order = (Interaction.at.desc(), Interaction.id.desc())
    return reader.all(Interaction, *about, Interaction.archived_at.is_(None), order=order, limit=limit)


def answer(unit: Unit, case: Case, text: str, *, status: str = "", attachments: Sequence[UUID] = ()) -> Message | None:
    """Write to the customer by the way they wrote last, through the gate, and set the status along.

    Invalid where there is no way to write to them. What the gate refuses is no error: see the message's state. None:
    nothing was sent, as they asked in the portal and read the answer there.
    """
    if not text.strip():
        raise Invalid(Problem("text", _("is missing.")))
    said = conversation(unit.reader, case)
    try:
        channel, last = way_to_answer(unit, case, said)
    except Invalid:
        if case.channel != "portal":
            raise
        _leave(unit, case, text, attachments)
        if status and status != case.status:
            unit.update(case, {"status": status})
        return None
    subject = case.subject if case.subject.lower().startswith("re:") else f"Re: {case.subject}"
    message = send(unit, channel=channel, customer=last.customer_id if last is not None else case.customer_id,
                   purpose="service", subject=f"{subject} [{case.number}]" if last is None else subject, body=text,
                   about=case, reply_to=last, attachments=attachments)  # fmt: skip
    if status and status != case.status and message.state != "refused":
        unit.update(case, {"status": status})
    return message


def _leave(unit: Unit, case: Case, text: str, attachments: Sequence[UUID]) -> None:
    """Leave an answer where the customer reads it: on their own page."""
    said = unit.create(Interaction, {
        "customer_id": case.customer_id, "kind": "request", "direction": "out", "subject": f"Re: {case.subject}",
        "body": text, "channel": "portal", "about_entity": ENTITY, "about_id": case.id, "owner_id": unit.actor.id,
    })  # fmt: skip
    for each in attachments:
        unit.create(Attachment, {"interaction_id": said.id, "file": each, "owner_id": unit.actor.id})


def way_to_answer(unit: Unit, case: Case, said: Sequence[Interaction]) -> tuple[str, Interaction | None]:
    """The channel, and what is answered: what they wrote last; where they did not write, by e-mail or what there is."""
    channels = unit.site.channels
    for each in said:
        if each.direction == "in" and channels.get(each.channel) is not None:
            return each.channel, each
    if case.channel and channels.get(case.channel) is not None:
        return case.channel, None
    customer = unit.get(Customer, case.customer_id)
    for channel in channels:
        if channel.point in {"email", "phone"} and getattr(customer, channel.point):
            return channel.name, None
    raise Invalid(Problem(None, _(
        "%(customer)s cannot be written to: there is no channel for what we know of them. Note an e-mail address, or "
        "call them and log the call.", customer=customer.name,
    )))  # fmt: skip


def note(unit: Unit, case: Case, text: str) -> Interaction:
    """Write something down that only we read."""
    if not text.strip():
        raise Invalid(Problem("text", _("is missing.")))
    return unit.create(Interaction, {
        "customer_id": case.customer_id, "kind": "note", "subject": " ".join(text.split())[:NO_SUBJECT], "body": text,
        "about_entity": ENTITY, "about_id": case.id, "owner_id": unit.actor.id, "at": utcnow(),
    })  # fmt: skip


def set_status(unit: Unit, cases: Iterable[Case], status: str) -> int:
    """Bring cases to a status; returns how many were in another."""
    todo = [each for each in cases if each.status != status]
    for each in todo:
        unit.update(each, {"status": status})
    return len(todo)
