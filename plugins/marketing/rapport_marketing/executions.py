"""Mailings of a campaign: to a segment or a list, by any channel, through the gate, to everybody once."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, UniqueConstraint, func, insert, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    Choice,
    Customer,
    Draft,
    Entity,
    Interaction,
    Invalid,
    JobContext,
    Message,
    Owned,
    Problem,
    Reader,
    Unit,
    enqueue_job,
    field,
    ref,
    send_many,
    utcnow,
    uuid7,
)
from rapport import gettext as _
from rapport_marketing import experiments, strategy
from rapport_marketing.campaigns import Campaign, Response
from rapport_marketing.common import PART, WORK, WRITTEN_BY_ITSELF
from rapport_marketing.lists import CustomerList, ListMember, is_expired
from rapport_marketing.segments import Segment, members
from rapport_marketing.wording import Words, fault_in, values_for

JOB = "marketing.send"
AT_ONCE = 500
STATUS = [
    Choice("draft", "Draft"), Choice("scheduled", "Scheduled", "azure"), Choice("sending", "Being sent", "yellow"),
    Choice("done", "Done", "green"), Choice("stopped", "Stopped", "red"),
]  # fmt: skip
UNDER_WAY = ("scheduled", "sending")


class Execution(
    Owned, Entity, name="marketing.execution", title="Mailing", plural="Mailings", icon="send-2", roles=WORK,
    display="name",
):  # fmt: skip
    """One mailing of a campaign: whom, by which channel, what it says, and when."""

    campaign_id: Mapped[UUID] = ref("marketing.campaign", label="Campaign", in_list=True)
    name: Mapped[str] = field(label="Name", searchable=True, in_list=True)
    segment_id: Mapped[UUID | None] = ref("marketing.segment", label="To the segment", on_delete="RESTRICT")
    list_id: Mapped[UUID | None] = ref("marketing.list", label="To the list", on_delete="RESTRICT")
    channel: Mapped[str] = field(
        label="Channel", default="email", in_list=True, help="The short name of a channel, such as email or letter."
    )
    purpose: Mapped[str] = field(label="Purpose", default="marketing", help="The short name of a purpose.")
    account: Mapped[str] = field(label="Account", default="", help="Which of the channel’s accounts sends it.")
    scheduled_at: Mapped[dt.datetime | None] = field(label="Send at", in_list=True, help="Left empty: at once.")
    subject: Mapped[str] = field(label="Subject", default="", section="What it says")
    body: Mapped[str] = field(
        label="Text", kind="longtext", default="", section="What it says",
        help="Names in braces: {{ customer.name }}. Which there are stands beside the mailing.",
    )  # fmt: skip
    html: Mapped[str] = field(
        label="HTML", kind="longtext", default="", section="What it says", help="Left empty, the text alone is sent."
    )
    expected_percent: Mapped[int] = field(
        label="Answers expected in %", default=5, section="Test of variants", help="Of the usual wording."
    )
    difference_points: Mapped[int] = field(
        label="Difference that matters, in points", default=2, section="Test of variants",
        help="The smallest one that would make you choose: 2 means from 5 % to 7 %.",
    )  # fmt: skip
    days_to_answer: Mapped[int] = field(
        label="Days to answer", default=14, section="Test of variants", help="Only after them is a test judged."
    )
    seed: Mapped[int] = field(label="Seed", readonly=True, default=lambda: secrets.randbelow(2**31), hidden=True)
    status: Mapped[str] = field(
        label="Status", choices=STATUS, default="draft", readonly=True, in_list=True, section="Result"
    )
    begun_at: Mapped[dt.datetime | None] = field(label="Begun", readonly=True, section="Result")
    done_at: Mapped[dt.datetime | None] = field(label="Done", readonly=True, section="Result")

    def validate(self) -> Sequence[Problem]:
        """To somebody, with words that can be filled in; what is under way stays as it is."""
        problems = []
        if (self.segment_id is None) == (self.list_id is None):
            problems.append(Problem("segment_id", _("or a list is needed: one of them.")))
        problems += [
            Problem(name, fault)
            for name in ("subject", "body", "html") if (fault := fault_in(getattr(self, name) or ""))
        ]  # fmt: skip
        if not 1 <= (self.expected_percent or 0) <= 99:
            problems.append(Problem("expected_percent", _("must be between 1 and 99.")))
        elif not 1 <= (self.difference_points or 0) <= 99 - self.expected_percent:
            problems.append(Problem("difference_points", _("must be at least 1, and both together less than 100.")))
        if not 0 <= (self.days_to_answer or 0) <= 366:
            problems.append(Problem("days_to_answer", _("must be between 0 and 366.")))
        return problems


class Variant(
    Entity, name="marketing.variant", title="Variant", icon="arrows-split", roles=PART, listed=False, display="name",
):  # fmt: skip
    """One of several wordings of a mailing. Everybody gets one of them, by chance."""

    __table_args__ = (UniqueConstraint("execution_id", "name"),)

    execution_id: Mapped[UUID] = ref("marketing.execution", label="Mailing")
    name: Mapped[str] = field(label="Name", in_list=True, help="A, B …")
    share: Mapped[int] = field(label="Share", default=1, in_list=True, help="2 gets twice as many as 1.")
    subject: Mapped[str] = field(label="Subject", default="", in_list=True, help="Left empty: as the mailing has it.")
    body: Mapped[str] = field(label="Text", kind="longtext", default="", help="Left empty: as the mailing has it.")
    html: Mapped[str] = field(label="HTML", kind="longtext", default="")

    def validate(self) -> Sequence[Problem]:
        """Words that can be filled in, for a share of the people."""
        problems = [
            Problem(name, fault)
            for name in ("subject", "body", "html") if (fault := fault_in(getattr(self, name) or ""))
        ]  # fmt: skip
        if not 1 <= (self.share or 0) <= 100:
            problems.append(Problem("share", _("must be between 1 and 100.")))
        return problems


class Recipient(
    Entity, name="marketing.recipient", title="Recipient", icon="user-share", roles=WRITTEN_BY_ITSELF, listed=False,
    display="execution_id",
):  # fmt: skip
    """Who was put to the gate for a mailing, each once, and which variant it was."""

    past_log = True  # they follow from the messages

    __table_args__ = (UniqueConstraint("execution_id", "customer_id"),)

    execution_id: Mapped[UUID] = ref("marketing.execution", label="Mailing", readonly=True)
    customer_id: Mapped[UUID] = ref("customer", readonly=True, in_list=True)
    variant_id: Mapped[UUID | None] = field(label="Variant", kind="id", readonly=True)
    message_id: Mapped[UUID | None] = ref("message", label="Message", on_delete="SET NULL", readonly=True, in_list=True)


# Beginning and stopping ----------------------------------------------------------------------------------------------


def schedule(unit: Unit, records: Sequence[Execution], values: Mapping[str, Any]) -> str:
    """A button: send it at its time, or at once. Whoever presses it is the sender, with their rights."""
    for execution in records:
        _check(unit, execution)
        execution.status = "scheduled"
        unit.flush()
        enqueue_job(unit.session.connection(), JOB, {"execution_id": str(execution.id)}, actor=unit.actor,
                    due_at=execution.scheduled_at, key=str(execution.id))  # fmt: skip
    return _("It will be sent.")


def _check(unit: Unit, execution: Execution) -> None:
    campaign = unit.get(Campaign, execution.campaign_id)
    if campaign.status in {"cancelled", "finished"}:
        raise Invalid(Problem("campaign_id", _("is over. Nothing is sent for it any more.")))
    if unit.site.channels.get(execution.channel) is None:
        known = ", ".join(sorted(unit.site.channels.names()))
        raise Invalid(Problem("channel", _("is unknown. There is: %(known)s.", known=known or "–")))
    if execution.list_id is not None:
        about = unit.get(CustomerList, execution.list_id)
        if is_expired(about, unit.reader.today()):
            raise Invalid(Problem("list_id", _("may not be used any more: it was until %(day)s.",
                                               day=about.expires_on)))  # fmt: skip
    if not _variants(unit, execution) and not (execution.subject or execution.body or execution.html):
        raise Invalid(Problem("body", _("is missing.")))


def stop(unit: Unit, records: Sequence[Execution], values: Mapping[str, Any]) -> str:
    """A button: nobody more gets it. What is in the outbox already goes out."""
    for execution in records:
        execution.status, execution.done_at = "stopped", utcnow()
    unit.flush()
    return _("Stopped.")


def _variants(unit: Unit, execution: Execution) -> list[Variant]:
    return unit.reader.all(
        Variant, Variant.execution_id == execution.id, Variant.archived_at.is_(None), order=(Variant.name, Variant.id)
    )


# Sending -------------------------------------------------------------------------------------------------------------


def send_execution(context: JobContext, execution_id: str) -> str:
    """Put a mailing to the gate, some hundred customers at a time. A batch is kept whole or not at all, with its place:
    whoever takes over after a kill goes on with the next customer."""
    site, wanted = context.site, UUID(execution_id)
    with site.write(context.actor) as unit:
        execution = unit.get(Execution, wanted)
        if execution.status not in UNDER_WAY:
            return ""
        _check(unit, execution)
        execution.status, execution.begun_at = "sending", execution.begun_at or utcnow()
    done = 0
    while True:
        with site.write(context.actor) as unit:
            execution = unit.get(Execution, wanted)
            if execution.status != "sending":
                return _("stopped")
            batch = _next(unit, execution)
            if not batch:
                execution.status, execution.done_at = "done", utcnow()
                context.finish_in(unit.session.connection())
                return ""
            _send(unit, execution, batch)
            done += len(batch)
            context.progress_in(unit.session.connection(), done)


def audience(reader: Reader, execution: Execution) -> Select[UUID]:
    """The ids of those a mailing goes to, as a select."""
    if execution.segment_id is not None:
        return members(reader, reader.get(Segment, execution.segment_id))
    return (
        select(Customer.id)
        .join(ListMember, ListMember.customer_id == Customer.id)
        .where(
            ListMember.list_id == execution.list_id, ListMember.archived_at.is_(None), Customer.archived_at.is_(None)
        )
    )


def _next(unit: Unit, execution: Execution) -> list[Customer]:
    """The customers after those that were put to the gate already, in the order of their ids."""
    last = unit.session.scalar(
        select(Recipient.customer_id)
        .where(Recipient.execution_id == execution.id)
        .order_by(Recipient.customer_id.desc())
        .limit(1)
    )
    ids = audience(unit.reader, execution).order_by(Customer.id).limit(AT_ONCE)
    if last is not None:
        ids = ids.where(Customer.id > last)
    wanted = list(unit.session.scalars(ids))
    found = unit.session.scalars(select(Customer).where(Customer.id.in_(wanted)).order_by(Customer.id))
    return list(found)


def _send(unit: Unit, execution: Execution, batch: Sequence[Customer]) -> None:
    campaign = unit.get(Campaign, execution.campaign_id)
    variants = _variants(unit, execution)
    words: dict[UUID | None, Words] = {each.id: _words(execution, each) for each in variants}
    words[None] = _words(execution, None)
    values = values_for(unit.reader, batch, campaign.name)
    chosen = {each.id: choose(execution.seed, each.id, variants) for each in batch}
    strategy.remember(unit.session, [each.id for each in batch])
    drafts = []
    for each in batch:
        said = words[chosen[each.id]].filled(values[each.id])
        drafts.append(
            Draft(execution.channel, each, execution.purpose, said["subject"], said["body"], said["html"],
                  campaign=campaign.code, about=execution, account=execution.account)
        )  # fmt: skip
    messages = send_many(unit, drafts)
    now = utcnow()
    # Who got which follows from the messages, so it is kept without a log.
    unit.session.connection().execute(insert(Recipient), [
        {"id": uuid7(), "version": 1, "created_at": now, "updated_at": now, "execution_id": execution.id,
         "customer_id": each.id, "variant_id": chosen[each.id], "message_id": message.id}
        for each, message in zip(batch, messages, strict=True)
    ])  # fmt: skip


def _words(execution: Execution, variant: Variant | None) -> Words:
    own = (variant.subject, variant.body, variant.html) if variant is not None else ("", "", "")
    subject, body = own[0] or execution.subject, own[1] or execution.body
    html = own[2] or ("" if own[1] else execution.html)  # another text with the old HTML would be read by nobody
    return Words(subject, body, html)


def choose(seed: int, customer_id: UUID, variants: Sequence[Variant]) -> UUID | None:
    """Which variant a customer gets: by chance, and the same one whenever it is asked."""
    total = sum(each.share for each in variants)
    if not total:
        return None
    drawn = int.from_bytes(hashlib.sha256(f"{seed}:{customer_id}".encode()).digest()[:8], "big") % total
    for each in variants:
        drawn -= each.share
        if drawn < 0:
            return each.id
    return None


# What comes back -----------------------------------------------------------------------------------------------------


def answered(interaction: Interaction, session: Session) -> None:
    """Somebody wrote back to a mailing: that is a response of its campaign, once for each thread."""
    if interaction.direction != "in" or interaction.thread_id is None:
        return
    message = session.scalars(
        select(Message).where(Message.thread_id == interaction.thread_id, Message.campaign != "").limit(1)
    ).first()
    if message is None:
        return
    campaign = session.scalar(select(Campaign.id).where(Campaign.code == message.campaign))
    if campaign is None:
        return
    mailing = message.about_id if message.about_entity == Execution.meta.name else None
    known = select(Response.id).where(
        Response.campaign_id == campaign, Response.customer_id == interaction.customer_id, Response.kind == "reply",
        Response.execution_id == mailing if mailing is not None else Response.execution_id.is_(None),
    )  # fmt: skip
    if session.scalar(known.limit(1)) is None:
        session.add(Response(campaign_id=campaign, customer_id=interaction.customer_id, kind="reply",
                             at=interaction.at, execution_id=mailing))  # fmt: skip


def results(reader: Reader, execution: Execution, variants: Sequence[Variant]) -> list[experiments.Arm]:
    """For each variant: to how many it went out, and how many of them answered, within the days to answer."""
    from rapport_marketing.campaigns import NO_INTEREST
    from rapport_marketing.figures import REACHED

    if execution.begun_at is None:
        return []
    went = dict(_pairs(reader.session.execute(
        select(Recipient.variant_id, func.count())
        .join(Message, Message.id == Recipient.message_id)
        .where(Recipient.execution_id == execution.id, Message.state.in_(REACHED))
        .group_by(Recipient.variant_id)
    )))  # fmt: skip
    until = (execution.done_at or utcnow()) + dt.timedelta(days=execution.days_to_answer)
    came = dict(_pairs(reader.session.execute(
        select(Recipient.variant_id, func.count(Response.customer_id.distinct()))
        .join(Message, Message.id == Recipient.message_id)
        .join(Response, Response.customer_id == Recipient.customer_id)
        .where(Recipient.execution_id == execution.id, Message.state.in_(REACHED),
               Response.campaign_id == execution.campaign_id, Response.kind.not_in(NO_INTEREST),
               Response.archived_at.is_(None), Response.at >= execution.begun_at, Response.at <= until)
        .group_by(Recipient.variant_id)
    )))  # fmt: skip
    return [experiments.Arm(each.name, went.get(each.id, 0), came.get(each.id, 0)) for each in variants]


def _pairs(rows: Any) -> list[tuple[Any, int]]:
    return [(row[0], int(row[1])) for row in rows]


def judged(reader: Reader, execution: Execution, variants: Sequence[Variant]) -> experiments.Verdict:
    """What a test of variants tells, if it may tell anything yet."""
    needed = experiments.sample_size(execution.expected_percent / 100,
                                     (execution.expected_percent + execution.difference_points) / 100)  # fmt: skip
    ready_at = (
        execution.done_at + dt.timedelta(days=execution.days_to_answer) if execution.done_at is not None else None
    )
    arms = results(reader, execution, variants)
    return experiments.judge(arms, needed, over=ready_at is not None and utcnow() >= ready_at)
