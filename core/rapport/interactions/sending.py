"""Sending: into the outbox within the caller's transaction, out by a job, nothing lost and nothing twice.

A message is claimed in a transaction of its own, handed to its channel outside of any, and what came of it is written
in another one, together with the interaction. Whoever dies in between leaves a message of which nobody knows whether it
went out: it becomes doubtful, and a person decides. It is never sent again by itself.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import select

from rapport.access import system
from rapport.contributions import Channel, Job, Outgoing, OutgoingFile, Receipt
from rapport.customers.model import Customer
from rapport.entities import Entity, utcnow, uuid7
from rapport.errors import Invalid, PermanentFailure, Problem, TemporaryFailure
from rapport.files import find_files, path_of
from rapport.i18n.catalogs import _
from rapport.interactions.consent import Purpose, Suppression
from rapport.interactions.gate import Question, ask, gather
from rapport.interactions.messages import Message, MessageFile
from rapport.interactions.model import Attachment, Interaction
from rapport.interactions.preferences import link, with_link
from rapport.jobs import LEASE, JobContext, enqueue_job
from rapport.records import Unit
from rapport.records.session import SCOPED

if TYPE_CHECKING:
    from rapport.site import Site

log = logging.getLogger("rapport.sending")
RETRY_SECONDS = (30, 120, 600, 1800, 3600, 4 * 3600, 12 * 3600)
"""How long after each temporary failure it is tried again; after the last one it has failed."""
MAX_REFERENCES = 50
SENDER = "core.send"


# Into the outbox -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be sent, for `send_many`. The fields are those of `send`."""

    channel: str
    customer: Customer | UUID
    purpose: str
    subject: str = ""
    body: str = ""
    html: str = ""
    address: str = ""
    attachments: Sequence[UUID] = ()
    campaign: str = ""
    about: Entity | None = None
    not_before: dt.datetime | None = None
    reply_to: Interaction | None = None
    account: str = ""


def send(
    unit: Unit, *, channel: str, customer: Customer | UUID, purpose: str, subject: str = "", body: str = "",
    html: str = "", address: str = "", attachments: Sequence[UUID] = (), campaign: str = "",
    about: Entity | None = None, not_before: dt.datetime | None = None, reply_to: Interaction | None = None,
    account: str = "",
) -> Message:  # fmt: skip
    """Put a message into the outbox; it goes out if this unit commits. The gate decides, and a refusal is no error:

    the message is kept with the state `refused` and the reason. `attachments` are ids of stored files. Without an
    `address` it goes to the customer's own. Invalid for what can never be: an unknown channel or purpose, no text.
    """
    draft = Draft(channel, customer, purpose, subject, body, html, address, attachments, campaign, about, not_before,
                  reply_to, account)  # fmt: skip
    message = _build(unit, draft, _purposes(unit))
    unit.session.add(message)
    unit.session.add_all(_files(message, draft))
    unit.flush()
    return message


def send_many(unit: Unit, drafts: Sequence[Draft]) -> list[Message]:
    """Put many messages into the outbox with few statements: what they become is as with `send`, in their order."""
    purposes = _purposes(unit)
    info = unit.session.info
    info["gate"] = gather(unit, [_bare(draft, purposes) for draft in drafts])
    try:
        messages = [_build(unit, draft, purposes) for draft in drafts]
    finally:
        del info["gate"]
    unit.session.add_all(messages)
    for message, draft in zip(messages, drafts, strict=True):
        unit.session.add_all(_files(message, draft))
    unit.flush()
    return messages


def _purposes(unit: Unit) -> dict[str, UUID]:
    rows = unit.session.execute(select(Purpose.name, Purpose.id), execution_options=SCOPED)
    return {row.name: row.id for row in rows}


def _bare(draft: Draft, purposes: dict[str, UUID]) -> Message:
    return Message(customer_id=_id_of(draft.customer), channel=draft.channel, address=draft.address,
                   purpose_id=purposes.get(draft.purpose))  # fmt: skip


def _build(unit: Unit, draft: Draft, purposes: dict[str, UUID]) -> Message:
    if draft.purpose not in purposes:
        raise Invalid(Problem("purpose_id", _("There is no purpose “%(name)s”.", name=draft.purpose)))
    about = draft.about
    message, problems = unit.build(Message, {
        "customer_id": _id_of(draft.customer), "channel": draft.channel, "purpose_id": purposes[draft.purpose],
        "subject": draft.subject, "body": draft.body, "html": draft.html, "address": draft.address,
        "campaign": draft.campaign, "not_before": draft.not_before, "account": draft.account,
        "about_entity": about.meta.name if about is not None else "",
        "about_id": about.id if about is not None else None,
        "reply_to_id": draft.reply_to.id if draft.reply_to is not None else None,
        "thread_id": draft.reply_to.thread_id if draft.reply_to is not None else None,
    })  # fmt: skip
    if problems:
        raise Invalid(problems)
    return message


def _id_of(customer: Customer | UUID) -> UUID:
    return customer.id if isinstance(customer, Customer) else customer


def _files(message: Message, draft: Draft) -> list[MessageFile]:
    return [MessageFile(message_id=message.id, file=file_id) for file_id in draft.attachments]


def pass_the_gate(unit: Unit, record: Entity) -> list[Problem]:
    """A build step: whichever way a message comes into being, by `send`, a form, the API, an import or a plugin, the
    gate is asked, and what may go out is given to the job that sends."""
    if not isinstance(record, Message):
        return []
    if unit.site.channels.get(record.channel) is None:
        return [Problem("channel", _("There is no channel “%(channel)s”.", channel=record.channel))]
    record.sender_id = unit.actor.id
    return _decide(unit, record, may_send=unit.actor.may("message.send"))


def _decide(unit: Unit, message: Message, *, may_send: bool) -> list[Problem]:
    facts = unit.session.info.get("gate") or gather(unit, [message])
    if message.purpose_id not in facts.purposes:
        return [Problem("purpose_id", _("points at a record that does not exist (%(kind)s).", kind=_("Purpose")))]
    verdict = ask(Question(unit, message, facts, may_send=may_send, claiming=False))
    message.state, message.reason = verdict.state, verdict.reason
    if message.state == "waiting":
        message.not_before = verdict.not_before or message.not_before
        _enqueue(unit, message, message.not_before)
    return []


def _enqueue(unit: Unit, message: Message, due_at: dt.datetime | None) -> None:
    # The job is Rapport's own: it must be done even when the sender has left, if only to say why it is not.
    enqueue_job(unit.session.connection(), SENDER, {"message_id": str(message.id)}, actor=system("send"),
                due_at=due_at, key=str(message.id))  # fmt: skip


# Out of it -----------------------------------------------------------------------------------------------------------


def send_message(context: JobContext, *, message_id: str) -> str:
    """Send one message, if the gate still lets it pass."""
    site = context.site
    claimed = _claim(site, UUID(message_id))
    if claimed is None:
        return ""
    channel, outgoing = claimed
    try:
        receipt = channel.send(outgoing, site)
    except TemporaryFailure as failure:
        _try_again(site, outgoing, failure.reason)
        return failure.reason
    except PermanentFailure as failure:
        _give_up(site, outgoing, failure)
        return failure.reason
    except Exception as error:  # nobody knows whether it went out, so a person decides
        log.exception("the channel %s left the message %s in doubt", channel.name, message_id)
        _doubt(site, outgoing, f"{type(error).__name__}: {error}")
        return f"{type(error).__name__}: {error}"
    _keep(site, outgoing, receipt)
    return ""


SEND_JOB = Job(SENDER, "Send a message to a customer", send_message, attempts=100)


def _claim(site: Site, message_id: UUID) -> tuple[Channel, Outgoing] | None:
    """Say, for every process to see, that this message is being sent from now on; None when it is not to be."""
    with site.write(system("send")) as unit:
        message = _held(unit, message_id)
        if message is None:
            return None
        now = utcnow()
        if message.state == "sending":
            assert message.claimed_at is not None
            if message.claimed_at + LEASE > now:  # somebody else is at it, and has not yet lost it
                _enqueue(unit, message, message.claimed_at + LEASE)
            else:
                message.state = "doubtful"
                message.reason = _("Rapport ended while it was being sent. Nobody knows whether it went out.")
            return None
        if message.state != "waiting":
            return None
        facts = gather(unit, [message])
        verdict = ask(Question(unit, message, facts, may_send=_may_still_send(site, message), claiming=True))
        if verdict.state != "waiting" or verdict.not_before is not None:
            message.state, message.reason = verdict.state, verdict.reason
            if verdict.not_before is not None:
                message.not_before = verdict.not_before
                _enqueue(unit, message, verdict.not_before)
            return None
        message.state, message.reason = "sending", ""
        message.claimed_at, message.attempts = now, message.attempts + 1
        message.thread_id = message.thread_id or uuid7()
        unit.flush()
        customer, purpose = facts.customers[message.customer_id], facts.purposes[message.purpose_id]
        return site.channels[message.channel], _outgoing(unit, message, customer, purpose)


def _may_still_send(site: Site, message: Message) -> bool:
    """Rights are read anew: who was let go since does not write to customers any more."""
    if message.sender_id is None:
        return True
    sender = site.actor(message.sender_id)
    return sender is not None and sender.may("message.send")


def _held(unit: Unit, message_id: UUID) -> Message | None:
    """The message, held against everybody else until the end of the transaction. The customer is held first, as by
    everything that counts contacts: in the other order two could wait for each other."""
    customer = select(Customer.id).join(Message, Message.customer_id == Customer.id).where(Message.id == message_id)
    unit.session.execute(customer.with_for_update(of=Customer, key_share=True), execution_options=SCOPED).all()
    statement = select(Message).where(Message.id == message_id).with_for_update()
    return unit.session.scalars(statement, execution_options=SCOPED).one_or_none()


def _outgoing(unit: Unit, message: Message, customer: Customer, purpose: Purpose) -> Outgoing:
    site = unit.site
    rows = _records(unit, select(MessageFile).where(MessageFile.message_id == message.id).order_by(MessageFile.id))
    stored = find_files(unit.session, [each.file for each in rows])
    references: list[str] = []
    if message.reply_to_id is not None:
        earlier = (
            select(Interaction.external_id)
            .where(Interaction.thread_id == message.thread_id, Interaction.channel == message.channel,
                   Interaction.external_id.is_not(None))
            .order_by(Interaction.at.desc(), Interaction.id.desc())
            .limit(MAX_REFERENCES)
        )  # fmt: skip
        references = [each for each in reversed(_records(unit, earlier)) if each]
    answered = unit.session.get(Interaction, message.reply_to_id) if message.reply_to_id is not None else None
    outgoing = Outgoing(
        message_id=message.id,
        attempt=message.attempts,
        channel=message.channel,
        address=message.address,
        name=customer.name,
        subject=message.subject,
        body=message.body,
        html=message.html,
        language=customer.language or site.config.language,
        account=message.account,
        files=[
            OutgoingFile(each.name or file.name, file.media_type, path_of(site.config, file.id))
            for each in rows if (file := stored.get(each.file)) is not None
        ],
        in_reply_to=(answered.external_id or "") if answered is not None else "",
        references=references,
        preferences_url=link(site, customer.id),
        purpose=purpose.name,
        campaign=message.campaign,
        customer_id=customer.id,
        sender_id=message.sender_id,
    )  # fmt: skip
    return with_link(site, outgoing, purpose)


# What came of it -----------------------------------------------------------------------------------------------------


def _mine(unit: Unit, outgoing: Outgoing, *states: str) -> Message | None:
    """The message as this attempt left it; None when it is in other hands since."""
    message = _held(unit, outgoing.message_id)
    if message is None or message.attempts != outgoing.attempt or message.state not in states:
        log.warning("the message %s is in other hands by now", outgoing.message_id)
        return None
    return message


def _keep(site: Site, outgoing: Outgoing, receipt: Receipt) -> None:
    """It went out: that, and the interaction, are one transaction."""
    with site.write(system("send")) as unit:
        # A certain end counts more than a doubt that somebody else noted meanwhile.
        if (message := _mine(unit, outgoing, "sending", "doubtful")) is not None:
            record_sent(unit, message, receipt.external_id, at=utcnow())


def record_sent(unit: Unit, message: Message, external_id: str, *, at: dt.datetime) -> Interaction:
    """Note that a message went out, and put it on the timeline."""
    channel = unit.site.channels.get(message.channel)
    interaction = Interaction(
        customer_id=message.customer_id, kind=(channel.kind if channel else "") or message.channel, direction="out",
        at=at, subject=message.subject, body=message.body, channel=message.channel,
        external_id=external_id or None, thread_id=message.thread_id or uuid7(), owner_id=message.sender_id,
        about_entity=message.about_entity, about_id=message.about_id,
        source=message.campaign or message.account,
    )  # fmt: skip
    unit.session.add(interaction)
    unit.flush()
    files = _records(unit, select(MessageFile).where(MessageFile.message_id == message.id))
    unit.session.add_all(
        Attachment(interaction_id=interaction.id, file=each.file, name=each.name, owner_id=message.sender_id)
        for each in files
    )
    message.state, message.reason, message.sent_at = "sent", "", at
    message.external_id, message.interaction_id, message.thread_id = external_id, interaction.id, interaction.thread_id
    unit.flush()
    return interaction


def _try_again(site: Site, outgoing: Outgoing, reason: str) -> None:
    with site.write(system("send")) as unit:
        if (message := _mine(unit, outgoing, "sending")) is None:
            return
        message.reason, message.claimed_at = reason, None
        if message.attempts > len(RETRY_SECONDS):
            message.state = "failed"
            return
        message.state = "waiting"
        message.not_before = utcnow() + dt.timedelta(seconds=RETRY_SECONDS[message.attempts - 1])
        _enqueue(unit, message, message.not_before)


def _give_up(site: Site, outgoing: Outgoing, failure: PermanentFailure) -> None:
    with site.write(system("send")) as unit:
        if (message := _mine(unit, outgoing, "sending")) is None:
            return
        message.state, message.reason, message.claimed_at = "failed", failure.reason, None
        if failure.suppress:
            suppress(unit, message, failure.reason)


def _doubt(site: Site, outgoing: Outgoing, reason: str) -> None:
    with site.write(system("send")) as unit:
        if (message := _mine(unit, outgoing, "sending")) is not None:
            message.state = "doubtful"
            message.reason = _("Nobody knows whether it went out: %(why)s", why=reason)


def suppress(unit: Unit, message: Message, note: str, reason: str = "bounced") -> None:
    """Use an address no more, by this channel."""
    unit.session.add(
        Suppression(customer_id=message.customer_id, address=message.address, channel=message.channel, reason=reason,
                    note=note[:400])
    )  # fmt: skip
    unit.flush()


def message_status(unit: Unit, channel: str, external_id: str, status: str, reason: str = "") -> Message | None:
    """What the other side reports of a message: delivered, bounced or failed. None when it is none of ours.

    A bounce means that the address does not work, now and later: it is not used again. For a message that merely could
    not be delivered this time, say `failed`.
    """
    if status not in {"delivered", "bounced", "failed"}:
        raise Invalid(Problem("status", _("must be delivered, bounced or failed.")))
    ours = select(Message.id).where(Message.channel == channel, Message.external_id == external_id).limit(1)
    message_id = unit.session.scalar(ours, execution_options=SCOPED) if external_id else None
    message = _held(unit, message_id) if message_id is not None else None
    if message is None or message.state == status or (message.state == "bounced" and status == "delivered"):
        return message
    message.state, message.reason = status, reason
    if status == "bounced":
        suppress(unit, message, reason)
    unit.flush()
    return message


# What people decide --------------------------------------------------------------------------------------------------


def approve(unit: Unit, messages: Iterable[Message]) -> int:
    """Let held messages go; the gate is asked again. Returns how many."""
    count = 0
    for held in _those_in(unit, messages, "held"):
        held.approved_at, held.approved_by_id = utcnow(), unit.actor.id
        _decide(unit, held, may_send=True)
        count += 1
    unit.flush()
    return count


def send_again(unit: Unit, messages: Iterable[Message]) -> int:
    """A person has decided that messages did not go out, or that what stood in the way is gone. The gate is asked."""
    count = 0
    for held in _those_in(unit, messages, "doubtful", "failed", "bounced", "refused", "cancelled"):
        held.claimed_at = None
        _decide(unit, held, may_send=unit.actor.may("message.send"))
        count += 1
    unit.flush()
    return count


def it_went_out(unit: Unit, messages: Iterable[Message]) -> int:
    """A person has found out that doubtful messages did go out."""
    count = 0
    for held in _those_in(unit, messages, "doubtful"):
        record_sent(unit, held, held.external_id, at=held.claimed_at or utcnow())
        count += 1
    return count


def cancel(unit: Unit, messages: Iterable[Message]) -> int:
    """Take messages back that have not been sent."""
    count = 0
    for held in _those_in(unit, messages, "waiting", "held"):
        held.state, held.reason = "cancelled", ""
        count += 1
    unit.flush()
    return count


def _those_in(unit: Unit, messages: Iterable[Message], *states: str) -> Iterator[Message]:
    """Each message that is still in one of these states, held while something is decided about it."""
    for message in messages:
        held = _held(unit, message.id)
        if held is not None and held.state in states:
            yield held


def _records(unit: Unit, statement: Any) -> list[Any]:
    return list(unit.session.scalars(statement, execution_options=SCOPED))
