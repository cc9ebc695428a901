"""What the call centre keeps: call lists and whom they hold, scripts, dispositions, queues, agents, and every call."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Index, UniqueConstraint, inspect, or_, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    Actor,
    Choice,
    Customer,
    Entity,
    Interaction,
    Invalid,
    Owned,
    Problem,
    Purpose,
    field,
    ref,
    utcnow,
    uuid7,
)
from rapport import gettext as _
from rapport_callcenter.scripts import fault_in, parse_answers

CHANNEL = "call"
"""The channel by which customers say whether they may be called."""
LAID_OUT = {"manager": "read create update delete export import", "member": "read", "viewer": "read"}
WORK = {
    "manager": "read create update delete export import",
    "member": "read create update export",
    "viewer": "read",
}
CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
RESULTS = [
    Choice("", "Open"),
    Choice("reached", "Reached", "azure"),
    Choice("not_reached", "Not reached", "secondary"),
    Choice("success", "Success", "green"),
    Choice("refused", "Declined", "red"),
    Choice("call_back", "Call back", "yellow"),
    Choice("wrong_number", "Wrong number", "orange"),
    Choice("do_not_call", "Do not call", "red"),
]
SPOKEN = ("reached", "success", "refused", "call_back", "do_not_call")
"""The results of calls in which somebody was spoken to."""
STATES = [
    Choice("available", "Available", "green"),
    Choice("busy", "In a call", "azure"),
    Choice("wrap_up", "Wrapping up", "yellow"),
    Choice("pause", "Pause", "orange"),
    Choice("offline", "Offline", "secondary"),
]
TICKS = ("complaint", "quality", "replacement", "refund")
"""What a call may turn out to be about, as the wrap-up says."""


# What is laid out ----------------------------------------------------------------------------------------------------


class Site(Entity, name="callcenter.site", title="Site", icon="building", roles=LAID_OUT, natural_key=("name",)):
    """A place where agents sit. Several sites work as one centre."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)


class Queue(Entity, name="callcenter.queue", title="Queue", icon="phone-incoming", roles=LAID_OUT,
            natural_key=("name",)):  # fmt: skip
    """Where calls wait that came in by a number, until an agent with the right skill is free."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    number: Mapped[str] = field(
        label="Number dialled", kind="phone", default="", indexed=True, in_list=True,
        help="Calls to this number wait here.",
    )  # fmt: skip
    skill: Mapped[str] = field(
        label="Skill", default="", in_list=True, help="Only agents with this skill get its calls. Empty: everybody."
    )
    site_id: Mapped[UUID | None] = ref(
        "callcenter.site", label="Site", in_list=True, help="Whose agents are asked first. Empty: those of all sites."
    )
    overflow_after: Mapped[int] = field(
        label="Other sites after (s)", default=30, help="So long a call waits for its own site before the others help."
    )
    answer_within: Mapped[int] = field(label="Answer within (s)", default=20, in_list=True, section="Service level")
    target: Mapped[int] = field(label="Share to reach in %", default=80, in_list=True, section="Service level")
    priority: Mapped[int] = field(label="Priority", default=0, help="Calls of the higher one are taken first.")
    active: Mapped[bool] = field(label="In use", default=True, in_list=True)

    def validate(self) -> Sequence[Problem]:
        """Seconds count upwards, shares go to 100."""
        problems = [
            Problem(name, _("must be between 0 and 86400."))
            for name in ("overflow_after", "answer_within") if not 0 <= getattr(self, name) <= 86_400
        ]  # fmt: skip
        if not 0 <= self.target <= 100:
            problems.append(Problem("target", _("must be between 0 and 100.")))
        return problems


class WrapUp(Entity, name="callcenter.wrap_up", title="Wrap-up code", icon="checklist", roles=LAID_OUT,
             natural_key=("name",)):  # fmt: skip
    """What a call was about, chosen when it is over."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    about: Mapped[str] = field(
        label="Counts as", default="", in_list=True, help="Ticked by itself when this code is chosen.",
        choices=[Choice("", "Nothing special"), Choice("complaint", "Complaint", "red"),
                 Choice("quality", "Quality problem", "orange"), Choice("replacement", "Replacement", "azure"),
                 Choice("refund", "Refund", "yellow")],
    )  # fmt: skip
    position: Mapped[int] = field(label="Position", default=0)
    active: Mapped[bool] = field(label="In use", default=True, in_list=True)


class Disposition(Entity, name="callcenter.disposition", title="Disposition", icon="flag", roles=LAID_OUT,
                  natural_key=("name",)):  # fmt: skip
    """How a call of a list ended, and what follows from it."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    result: Mapped[str] = field(label="Result", choices=RESULTS[1:], default="reached", in_list=True)
    position: Mapped[int] = field(label="Position", default=0, help="The order of the buttons.")
    retry_after: Mapped[int | None] = field(
        label="Try again after (minutes)", in_list=True, section="What follows",
        help="Left empty, the customer is done with. Within the attempts of the list.",
    )  # fmt: skip
    suppress: Mapped[bool] = field(
        label="Do not call any more", default=False, section="What follows",
        help="Keeps a do-not-contact entry: for the number where it is wrong, else for the customer.",
    )  # fmt: skip
    event: Mapped[str] = field(
        label="Event for workflows", default="", section="What follows",
        help="Running workflows of the customer hear of it by this name.",
    )  # fmt: skip
    task: Mapped[str] = field(label="Task", default="", section="What follows", help="A task of this title is made.")
    task_days: Mapped[int] = field(label="Task due in days", default=1, section="What follows")
    makes_lead: Mapped[bool] = field(
        label="Makes a lead", default=False, section="What follows", help="Where the module Sales is on."
    )
    active: Mapped[bool] = field(label="In use", default=True, in_list=True)

    def validate(self) -> Sequence[Problem]:
        """Trying again takes some time."""
        problems = []
        if self.retry_after is not None and not 1 <= self.retry_after <= 366 * 24 * 60:
            problems.append(Problem("retry_after", _("must be between a minute and a year.")))
        if self.event and not re.fullmatch(r"[a-z][a-z0-9_]*", self.event):
            problems.append(Problem("event", _("must be small letters, digits and underscores.")))
        return problems


class Script(Entity, name="callcenter.script", title="Script", icon="script", roles=LAID_OUT):
    """What agents say, step by step, with questions that decide how it goes on."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    note: Mapped[str] = field(label="Note", kind="longtext", default="")


class Step(Entity, name="callcenter.step", title="Step of a script", plural="Steps of scripts", icon="list-numbers",
           roles=LAID_OUT, listed=False, display="title"):  # fmt: skip
    """Something to say, and perhaps a question."""

    __table_args__ = (UniqueConstraint("script_id", "key"),)

    script_id: Mapped[UUID] = ref("callcenter.script", label="Script", in_list=True)
    key: Mapped[str] = field(label="Short name", in_list=True, help="By which other steps lead to it: offer")
    title: Mapped[str] = field(label="Title", default="", in_list=True)
    position: Mapped[int] = field(label="Position", default=0, in_list=True)
    text: Mapped[str] = field(
        label="What to say", kind="longtext", default="",
        help="{{ customer.name }} and the like are filled in: customer.given_name, customer.city, agent.name …",
    )  # fmt: skip
    question: Mapped[str] = field(label="Question", default="")
    answers: Mapped[str] = field(
        label="Answers", kind="longtext", default="",
        help="One a line, with the step that follows: Yes > offer. Empty: any words, and the next step follows.",
    )  # fmt: skip

    def validate(self) -> Sequence[Problem]:
        """It can be filled in, and it says something."""
        problems = []
        if fault := fault_in(self.text or ""):
            problems.append(Problem("text", fault))
        if not self.text and not self.question:
            problems.append(Problem("text", _("is missing. What is said in this step?")))
        if self.answers and not self.question:
            problems.append(Problem("question", _("is missing, but there are answers to it.")))
        if any(not answer.text for answer in parse_answers(self.answers or "")):
            problems.append(Problem("answers", _("has a line without an answer. Write: Yes > offer")))
        return problems


# Lists ---------------------------------------------------------------------------------------------------------------


class CallList(Owned, Entity, name="callcenter.call_list", title="Call list", icon="list-check",
               roles={**WORK, "member": "read create update:team export"}):  # fmt: skip
    """Whom to call, for which campaign, in which order, by whom, when, and how often at most."""

    name: Mapped[str] = field(label="Name", searchable=True, in_list=True)
    campaign: Mapped[str] = field(label="Campaign", default="", indexed=True, searchable=True, in_list=True)
    state: Mapped[str] = field(
        label="State", default="draft", readonly=True, in_list=True,
        choices=[Choice("draft", "Being prepared", "secondary"), Choice("filling", "Being filled", "azure"),
                 Choice("open", "Calling", "green"), Choice("paused", "Paused", "orange"),
                 Choice("closed", "Closed", "muted")],
    )  # fmt: skip
    filter: Mapped[str] = field(
        label="Customers", kind="longtext", default="", section="Whom to call",
        help='In the language of filters, such as: tags has "pool" and address.city = "Lyon". Empty: everybody.',
    )  # fmt: skip
    ordering: Mapped[str] = field(
        label="Order", default="listed", section="Whom to call",
        choices=[Choice("listed", "As they come"), Choice("sorted", "By a field"), Choice("random", "At random")],
    )  # fmt: skip
    sort: Mapped[str] = field(
        label="By which field", default="", section="Whom to call", help="Such as name, or -x_score: the highest first."
    )
    seed: Mapped[int] = field(
        label="Seed", default=1, section="Whom to call", help="The same number gives the same order at random."
    )
    script_id: Mapped[UUID | None] = ref("callcenter.script", label="Script", section="How")
    purpose: Mapped[str] = field(
        label="Purpose", default="marketing", section="How",
        help="The short name of what they are called for: it decides whether they must have agreed.",
    )  # fmt: skip
    hours_from: Mapped[str] = field(label="From", default="09:00", section="How", help="By the clock of the business.")
    hours_to: Mapped[str] = field(label="Until", default="20:00", section="How")
    days: Mapped[tuple[str, ...]] = field(
        label="Days", kind="tags", section="How", help="mon, tue, wed, thu, fri, sat, sun; empty: every day."
    )
    most_attempts: Mapped[int] = field(label="Attempts at most", default=3, section="How")
    source_entity: Mapped[str] = field(
        label="Made from", default="", readonly=True, hidden=True, section="Whom to call"
    )
    source_id: Mapped[UUID | None] = field(label="Made from (id)", kind="id", readonly=True, hidden=True)
    """The record whose customers it holds, such as a segment; a module says who they are."""
    cursor: Mapped[str] = field(secret=True, readonly=True, default="")
    """How far the job that fills it has come."""
    members: Mapped[int] = field(label="Customers in it", default=0, readonly=True, in_list=True, section="So far")
    refused: Mapped[int] = field(label="Not to be called", default=0, readonly=True, section="So far")

    def complete(self, session: Session) -> None:
        """What they are called for is a purpose of this site."""
        if _changed(self, "purpose") and session.scalar(select(Purpose.id).where(Purpose.name == self.purpose)) is None:
            raise Invalid(Problem("purpose", _("is no purpose: see Settings → Contacting customers.")))

    def validate(self) -> Sequence[Problem]:
        """Hours of a day, days of a week, some attempts."""
        problems = [
            Problem(name, _("must be a time, such as 09:00."))
            for name in ("hours_from", "hours_to") if not CLOCK.fullmatch(getattr(self, name) or "")
        ]  # fmt: skip
        if not problems and self.hours_from >= self.hours_to:
            problems.append(Problem("hours_to", _("must be later than the beginning.")))
        if unknown := [day for day in self.days or () if day not in WEEKDAYS]:
            problems.append(Problem("days", _("has an unknown day '%(day)s'.", day=unknown[0])))
        if not 1 <= self.most_attempts <= 100:
            problems.append(Problem("most_attempts", _("must be between 1 and 100.")))
        if self.ordering == "sorted" and not self.sort:
            problems.append(Problem("sort", _("is missing. By which field?")))
        return problems


class Entry(Entity, name="callcenter.entry", title="Place on a call list", plural="Places on call lists",
            icon="user-check", listed=False, display="state",
            roles={"manager": "read update delete export", "member": "read update export",
                   "viewer": "read"}):  # fmt: skip
    """A customer on a call list: how often they were tried, when they come next, and whose call they are now."""

    __table_args__ = (
        UniqueConstraint("list_id", "customer_id"),
        Index("ix_callcenter_entry_next", "list_id", "state", "position"),
        Index("ix_callcenter_entry_due", "list_id", "state", "next_at"),
        Index("ix_callcenter_entry_held", "agent_id", "lease_until"),
    )

    list_id: Mapped[UUID] = ref("callcenter.call_list", label="Call list", readonly=True, in_list=True)
    customer_id: Mapped[UUID] = ref("customer", readonly=True, in_list=True)
    position: Mapped[int] = field(label="Position", default=0, readonly=True)
    state: Mapped[str] = field(
        label="State", default="new", readonly=True, in_list=True,
        choices=[Choice("new", "To be called", "azure"), Choice("again", "To be tried again", "yellow"),
                 Choice("call_back", "To be called back", "orange"), Choice("done", "Done", "green"),
                 Choice("refused", "Not to be called", "red"), Choice("given_up", "Given up", "secondary")],
    )  # fmt: skip
    attempts: Mapped[int] = field(label="Attempts", default=0, readonly=True, in_list=True)
    next_at: Mapped[dt.datetime | None] = field(label="Not before", readonly=True, in_list=True)
    wished_id: Mapped[UUID | None] = ref("user", label="Wished agent", on_delete="SET NULL", readonly=True)
    """Who was promised to call back."""
    agent_id: Mapped[UUID | None] = ref("user", label="Agent", on_delete="SET NULL", readonly=True)
    lease_until: Mapped[dt.datetime | None] = field(label="Taken until", readonly=True)
    """Nobody else gets them before; whoever left without a word loses them then."""
    disposition_id: Mapped[UUID | None] = ref(
        "callcenter.disposition", label="Disposition", on_delete="SET NULL", readonly=True, in_list=True
    )
    note: Mapped[str] = field(label="Note", kind="longtext", default="", readonly=True)
    """Why they are to be called, for whoever calls."""
    reason: Mapped[str] = field(label="Why not", default="", readonly=True, in_list=True)


# Agents --------------------------------------------------------------------------------------------------------------


class Agent(Entity, name="callcenter.agent", title="Agent", icon="headset", roles={**LAID_OUT, "member": "read update"},
            display="name"):  # fmt: skip
    """Somebody who takes calls: where they sit, what they can, and what they are doing now."""

    user_id: Mapped[UUID] = ref("user", unique=True, in_list=True)
    name: Mapped[str] = field(label="Name", default="", readonly=True, searchable=True)
    site_id: Mapped[UUID | None] = ref("callcenter.site", label="Site", in_list=True)
    skills: Mapped[tuple[str, ...]] = field(label="Skills", kind="tags", in_list=True)
    extension: Mapped[str] = field(label="Extension", default="", indexed=True, in_list=True)
    state: Mapped[str] = field(label="State", choices=STATES, default="offline", readonly=True, in_list=True)
    reason: Mapped[str] = field(label="Reason", default="", readonly=True)
    since: Mapped[dt.datetime] = field(label="Since", default=utcnow, readonly=True, in_list=True)
    active: Mapped[bool] = field(label="In use", default=True)

    def complete(self, session: Session) -> None:
        """They are called as they are called everywhere."""
        if not self.name:
            from rapport import User

            user = session.get(User, self.user_id)
            self.name = user.name if user is not None else ""


class Spell(Entity, name="callcenter.spell", title="Time in a state", plural="Times in states", icon="clock",
            listed=False, display="state",
            roles={"manager": "read export", "member": "read", "viewer": "read"}):  # fmt: skip
    """How long an agent was available, in calls, wrapping up or in a pause."""

    __table_args__ = (Index("ix_callcenter_spell_begun", "began_at", "agent_id"),)

    agent_id: Mapped[UUID] = ref("callcenter.agent", label="Agent", readonly=True, in_list=True)
    state: Mapped[str] = field(label="State", choices=STATES, default="available", readonly=True, in_list=True)
    reason: Mapped[str] = field(label="Reason", default="", readonly=True, in_list=True)
    began_at: Mapped[dt.datetime] = field(label="From", default=utcnow, readonly=True, in_list=True)
    ended_at: Mapped[dt.datetime | None] = field(label="Until", readonly=True, in_list=True)
    seconds: Mapped[int | None] = field(label="Seconds", readonly=True, in_list=True)


# Calls ---------------------------------------------------------------------------------------------------------------


class Call(Entity, name="callcenter.call", title="Call", icon="phone", roles=WORK, display="number"):
    """One call, in or out: who, when, how long it waited and was talked, and what came of it.

    Once it is known whose call it is, it stands on their timeline as an interaction of the kind call.
    """

    __table_args__ = (
        Index("ix_callcenter_call_at", "rang_at", "id"),
        Index("ix_callcenter_call_listed", "list_id", "rang_at"),
        Index("ix_callcenter_call_of_agent", "agent_id", "rang_at"),
        Index("ix_callcenter_call_now", "status", "rang_at"),
    )

    direction: Mapped[str] = field(
        label="Direction", choices=[Choice("out", "Outgoing"), Choice("in", "Incoming")], default="out", in_list=True
    )
    status: Mapped[str] = field(
        label="Status", default="ended", in_list=True,
        choices=[Choice("ringing", "Ringing", "yellow"), Choice("talking", "Talking", "azure"),
                 Choice("ended", "Ended", "green"), Choice("abandoned", "Abandoned", "red")],
    )  # fmt: skip
    customer_id: Mapped[UUID | None] = ref("customer", in_list=True)
    number: Mapped[str] = field(
        label="Number", default="", indexed=True, searchable=True, in_list=True, aliases=["phone", "caller"],
        help="Theirs.",
    )  # fmt: skip
    rang_at: Mapped[dt.datetime] = field(
        label="Rang", default=utcnow, in_list=True, aliases=["date", "started", "start_time"]
    )
    answered_at: Mapped[dt.datetime | None] = field(label="Answered")
    ended_at: Mapped[dt.datetime | None] = field(label="Ended")
    waited: Mapped[int | None] = field(
        label="Waited (s)", in_list=True, aliases=["speed_of_answer", "speed_of_answer_in_seconds"]
    )
    talked: Mapped[int | None] = field(label="Talked (s)", in_list=True, aliases=["duration", "talk_time"])
    line: Mapped[str] = field(label="Kind of line", default="", help="Mobile, landline …", aliases=["contact"])
    agent_id: Mapped[UUID | None] = ref("user", label="Agent", on_delete="SET NULL", in_list=True)
    queue_id: Mapped[UUID | None] = ref("callcenter.queue", label="Queue", section="Came in")
    site_id: Mapped[UUID | None] = ref("callcenter.site", label="Site", section="Came in")
    wrap_up_id: Mapped[UUID | None] = ref(
        "callcenter.wrap_up", label="Wrap-up code", section="What came of it", aliases=["topic", "wrap_up_code"]
    )
    list_id: Mapped[UUID | None] = ref("callcenter.call_list", label="Call list", section="Of a list")
    disposition_id: Mapped[UUID | None] = ref(
        "callcenter.disposition", label="Disposition", section="Of a list", in_list=True
    )
    result: Mapped[str] = field(
        label="Result", choices=RESULTS, default="", section="What came of it", in_list=True,
        help="Left empty, it is the disposition’s.",
    )  # fmt: skip
    resolved: Mapped[bool | None] = field(label="Resolved", section="What came of it")
    satisfaction: Mapped[int | None] = field(
        label="Satisfaction", section="What came of it", aliases=["satisfaction_rating", "rating"]
    )
    complaint: Mapped[bool] = field(label="Complaint", default=False, section="What came of it")
    quality: Mapped[bool] = field(label="Quality problem", default=False, section="What came of it")
    replacement: Mapped[bool] = field(label="Replacement", default=False, section="What came of it")
    refund: Mapped[bool] = field(label="Refund", default=False, section="What came of it")
    note: Mapped[str] = field(label="Note", kind="longtext", default="", section="What came of it")
    recording: Mapped[str] = field(label="Recording", kind="url", default="", section="From the telephone system")
    external_id: Mapped[str | None] = field(
        label="Known outside as", unique=True, section="From the telephone system", aliases=["call_id"]
    )
    offered_id: Mapped[UUID | None] = ref(
        "user", label="Rings at", on_delete="SET NULL", readonly=True, section="From the telephone system"
    )
    offered_at: Mapped[dt.datetime | None] = field(label="Rings since", readonly=True, hidden=True)
    interaction_id: Mapped[UUID | None] = field(label="Interaction", kind="id", readonly=True, hidden=True)
    """Its place on the timeline. No reference: the call is kept when that is erased."""

    def complete(self, session: Session) -> None:
        """Take the result from the disposition, and what it is about from the wrap-up code."""
        if self.disposition_id is not None and not self.result:
            self.result = _laid_out(session, Disposition, "result").get(self.disposition_id, "")
        if self.wrap_up_id is not None:
            about = _laid_out(session, WrapUp, "about").get(self.wrap_up_id, "")
            if about in TICKS and _changed(self, "wrap_up_id"):
                setattr(self, about, True)

    def prepare(self) -> None:
        """Waiting and talking follow from the moments, the moments from the lengths; whoever has a customer is on
        their timeline."""
        if self.answered_at is None and self.talked is not None and self.talked >= 0:
            self.answered_at = self.rang_at + dt.timedelta(seconds=self.waited or 0)
        if self.waited is None and self.answered_at is not None:
            self.waited = int((self.answered_at - self.rang_at).total_seconds())
        if self.ended_at is None and self.answered_at is not None and self.talked is not None:
            self.ended_at = self.answered_at + dt.timedelta(seconds=self.talked)
        if self.talked is None and self.answered_at is not None and self.ended_at is not None:
            self.talked = int((self.ended_at - self.answered_at).total_seconds())
        if self.waited is None and self.status == "abandoned" and self.ended_at is not None:
            self.waited = int((self.ended_at - self.rang_at).total_seconds())
        if self.customer_id is not None and self.interaction_id is None:
            self.interaction_id = uuid7()

    def validate(self) -> Sequence[Problem]:
        """Time runs forwards, and who hung up before was not answered."""
        problems = [
            Problem(name, _("must not be negative."))
            for name in ("waited", "talked") if (getattr(self, name) or 0) < 0
        ]  # fmt: skip
        if self.status == "abandoned" and self.answered_at is not None:
            problems.append(Problem("status", _("cannot be “Abandoned”: the call was answered.")))
        if self.satisfaction is not None and not 1 <= self.satisfaction <= 10:
            problems.append(Problem("satisfaction", _("must be between 1 and 10.")))
        return problems

    @classmethod
    def row_scope(cls, scope: ColumnElement[bool] | None, actor: Actor, action: str) -> ColumnElement[bool] | None:
        """Who may not see a customer does not see their calls."""
        customers = limits_of(actor)
        if customers is None:
            return scope
        allowed = or_(cls.customer_id.is_(None), cls.customer_id.in_(customers))
        return allowed if scope is None else scope & allowed

    @classmethod
    def follow_up(cls, records: Sequence[Any], session: Any) -> None:
        """Keep each call's place on the timeline of its customer."""
        from rapport_callcenter.timeline import keep

        keep(session.unit, [call for call in records if not inspect(call).deleted])


class Event(Entity, name="callcenter.event", title="Event of a telephone system",
            plural="Events of telephone systems", icon="bell-ringing", listed=False, display="kind",
            roles={"manager": "read create", "member": "read", "viewer": "read"}):  # fmt: skip
    """What a telephone system tells: it rings, somebody answered, somebody hung up. Calls follow from it."""

    kind: Mapped[str] = field(
        label="What happened", in_list=True,
        choices=[Choice("ringing", "It rings"), Choice("answered", "Somebody answered"),
                 Choice("hung_up", "Somebody hung up")],
    )  # fmt: skip
    call: Mapped[str] = field(label="Call", indexed=True, in_list=True, help="What the telephone system calls it.")
    number: Mapped[str] = field(label="Number of the caller", default="", in_list=True)
    dialled: Mapped[str] = field(label="Number dialled", default="", in_list=True, help="It says which queue.")
    extension: Mapped[str] = field(label="Extension", default="", in_list=True, help="Of the agent who answered.")
    at: Mapped[dt.datetime] = field(label="When", default=utcnow, in_list=True)
    recording: Mapped[str] = field(label="Recording", kind="url", default="")

    @classmethod
    def follow_up(cls, records: Sequence[Any], session: Any) -> None:
        """Let the calls follow, in the same transaction: an event is heard whole or not at all."""
        from rapport_callcenter.incoming import hear

        for event in records:
            if not inspect(event).deleted:
                hear(session.unit, event)


class Answer(Entity, name="callcenter.answer", title="Answer", icon="message-2", roles=WORK, listed=False,
             display="question"):  # fmt: skip
    """What a customer answered to a question of the script, kept with the words of the question."""

    __table_args__ = (UniqueConstraint("call_id", "key"),)

    call_id: Mapped[UUID] = ref("callcenter.call", label="Call", in_list=True)
    key: Mapped[str] = field(label="Step", in_list=True)
    question: Mapped[str] = field(label="Question", default="", in_list=True)
    answer: Mapped[str] = field(label="Answer", kind="longtext", default="", in_list=True)


# What several share --------------------------------------------------------------------------------------------------


def limits_of(actor: Actor) -> Any:
    """A select of the customers an actor may see; None where nothing limits them."""
    reach = actor.reach("customer.read")
    if reach == "all" and actor.customer_id is None:
        return None
    customers = Customer.__table__.alias()
    if reach is None or actor.customer_id is not None:
        return select(customers.c.id).where(customers.c.id == actor.customer_id)
    mine: ColumnElement[bool] = customers.c.owner_id == actor.id
    if reach == "team" and actor.team_ids:
        mine = or_(mine, customers.c.team_id.in_(actor.team_ids))
    return select(customers.c.id).where(mine)


def _laid_out(session: Session, entity: Any, name: str) -> dict[UUID, Any]:
    """A field of every disposition or wrap-up code: few, and they hold still during a unit of work."""
    key = f"callcenter.{entity.__tablename__}.{name}"
    known: dict[UUID, Any] | None = session.info.get(key)
    if known is None:
        rows = session.execute(select(entity.id, getattr(entity, name)))
        known = session.info[key] = {row[0]: row[1] for row in rows}
    return known


def _changed(record: Any, name: str) -> bool:
    state: Any = inspect(record)
    return not state.persistent or state.attrs[name].history.has_changes()


__all__ = [
    "CHANNEL", "RESULTS", "SPOKEN", "STATES", "TICKS", "Agent", "Answer", "Call", "CallList", "Disposition", "Entry",
    "Event", "Interaction", "Queue", "Script", "Site", "Spell", "Step", "WrapUp",
]  # fmt: skip
