"""Improvements: what anybody of us would do better, what was decided, and what the figures say it brought."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from email.utils import make_msgid
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, func, inspect, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    LANGUAGES,
    Action,
    Choice,
    Entity,
    Invalid,
    JobContext,
    ListFilter,
    Logged,
    Membership,
    Owned,
    Panel,
    Problem,
    Reader,
    Task,
    Unit,
    User,
    UserRole,
    enqueue_job,
    field,
    ref,
    setting_of,
    system,
    utcnow,
)
from rapport import gettext as _
from rapport_strategy.common import SCOPED, check_measure, formats_of, written
from rapport_strategy.measuring import value_of

JOB = "strategy.effects"
READ = "strategy.suggestion.read"
DAYS_TO_DECIDE = 14
ABOUT = [
    Choice("customer", "Customers", "blue"),
    Choice("product", "A product", "azure"),
    Choice("process", "How we work", "purple"),
    Choice("tool", "This system", "teal"),
    Choice("other", "Something else", "secondary"),
]
STATUSES = [
    Choice("heard", "Heard", "azure"),
    Choice("accepted", "Decided: we do it", "teal"),
    Choice("refused", "Decided: we do not", "secondary"),
    Choice("done", "Done", "green"),
]
DECIDED = ("accepted", "refused")
PART = {
    "manager": "read create update delete export import",
    "member": "read create update:own export",
    "viewer": "read",
}
VOTES = {"manager": "read create delete", "member": "read create", "viewer": "read"}


class Suggestion(
    Owned, Entity, name="strategy.suggestion", title="Improvement", icon="bulb", roles=PART, display="title"
):
    """Something that could be better. Its owner is who decides; whoever had the idea hears what became of it."""

    __table_args__ = (Index("ix_strategy_suggestion_status", "status", "id"),)

    title: Mapped[str] = field(label="What could be better", searchable=True, in_list=True)
    text: Mapped[str] = field(label="In detail", kind="longtext", default="", searchable=True)
    about: Mapped[str] = field(label="About", choices=ABOUT, default="process", in_list=True)
    customer_id: Mapped[UUID | None] = ref("customer", label="Customer")
    made_by_id: Mapped[UUID | None] = ref("user", label="From", on_delete="SET NULL", readonly=True, in_list=True)
    votes: Mapped[int] = field(label="Votes", default=0, readonly=True, in_list=True)
    status: Mapped[str] = field(
        label="Status", choices=STATUSES, default="heard", readonly=True, in_list=True, section="Decision"
    )
    reason: Mapped[str] = field(label="Reason", kind="longtext", default="", readonly=True, section="Decision")
    decided_by_id: Mapped[UUID | None] = ref(
        "user", label="Decided by", on_delete="SET NULL", readonly=True, section="Decision"
    )
    decided_on: Mapped[dt.date | None] = field(label="Decided on", readonly=True, section="Decision")
    result: Mapped[str] = field(label="Result", kind="longtext", default="", readonly=True, section="Result")
    done_on: Mapped[dt.date | None] = field(label="Done on", readonly=True, section="Result")
    measure: Mapped[str] = field(
        label="Told by the measure", default="", section="Result",
        help="The name of a measure, such as sales.win_rate: it is looked at before the decision and after it is done.",
    )  # fmt: skip
    days: Mapped[int] = field(label="Over days", default=30, section="Result")
    before: Mapped[Decimal | None] = field(label="Before", readonly=True, section="Result")
    after: Mapped[Decimal | None] = field(label="After", readonly=True, section="Result")
    origin_entity: Mapped[str] = field(label="Came from (kind)", default="", readonly=True, hidden=True)
    origin_id: Mapped[UUID | None] = field(label="Came from", kind="id", readonly=True, indexed=True, hidden=True)

    def complete(self, session: Session) -> None:
        """Remember who had the idea; a measure has to be one of this site."""
        check_measure(session, self.measure)
        state: Any = inspect(self)
        if not state.persistent and self.made_by_id is None:
            actor: Any = getattr(session, "actor", None)
            self.made_by_id = actor.id if actor is not None else None

    def validate(self) -> Sequence[Problem]:
        """The measure is looked at over some days."""
        return [] if 1 <= (self.days or 0) <= 366 else [Problem("days", _("must be between 1 and 366."))]


class Vote(
    Entity, name="strategy.vote", title="Vote for an improvement", plural="Votes for improvements", icon="thumb-up",
    roles=VOTES, listed=False, display="created_at",
):  # fmt: skip
    """Somebody finds an improvement good."""

    __table_args__ = (UniqueConstraint("suggestion_id", "voter_id"),)

    suggestion_id: Mapped[UUID] = ref("strategy.suggestion")
    voter_id: Mapped[UUID | None] = ref("user", label="By", on_delete="CASCADE", readonly=True)

    def complete(self, session: Session) -> None:
        """A vote is of whoever gives it."""
        actor: Any = getattr(session, "actor", None)
        state: Any = inspect(self)
        if not state.persistent and self.voter_id is None and actor is not None:
            self.voter_id = actor.id

    @classmethod
    def follow_up(cls, records: Sequence[Vote], session: Any) -> None:
        """Count them."""
        ids = {each.suggestion_id for each in records}
        rows = session.execute(
            select(Vote.suggestion_id, func.count())
            .where(Vote.suggestion_id.in_(ids), Vote.archived_at.is_(None)).group_by(Vote.suggestion_id),
            execution_options=SCOPED,
        )  # fmt: skip
        counts = {row[0]: row[1] for row in rows}
        for each in session.scalars(select(Suggestion).where(Suggestion.id.in_(ids)), execution_options=SCOPED):
            if each.votes != counts.get(each.id, 0):
                each.votes = counts.get(each.id, 0)


def choose_owner(record: Entity, session: Session) -> UUID | None:
    """Who decides about a new one: whom the settings name, else a manager of a team of whoever had the idea, else any.

    It does not stay with its maker: an idea that only its maker hears of is not heard.
    """
    if not isinstance(record, Suggestion):
        return None
    decider = str(setting_of(session, "strategy.decider") or "").strip().lower()
    active = (User.active.is_(True), User.archived_at.is_(None))
    if decider:
        found = session.scalar(select(User.id).where(User.email == decider, *active), execution_options=SCOPED)
        if found is not None:
            return found
    actor: Any = getattr(session, "actor", None)
    managers = (
        select(User.id)
        .join(UserRole, UserRole.user_id == User.id)
        .where(UserRole.role == "manager", UserRole.archived_at.is_(None), *active)
        .order_by(User.id)
    )
    teams = list(getattr(actor, "team_ids", ()))
    near = managers.join(Membership, Membership.user_id == User.id).where(Membership.team_id.in_(teams))
    return session.scalar(near.limit(1), execution_options=SCOPED) or session.scalar(
        managers.limit(1), execution_options=SCOPED
    )


# What follows --------------------------------------------------------------------------------------------------------


def follow(unit: Unit, changes: Sequence[Logged]) -> None:
    """Whoever decides gets a task for something new; whoever had the idea hears what became of it."""
    for change in changes:
        found = unit.reader.all(Suggestion, Suggestion.id == change.record_id, limit=1)
        if not found or found[0].archived_at is not None:
            continue
        if change.action == "created" and found[0].status == "heard":
            _ask(unit, found[0])
        elif "status" in change.changes and change.changes["status"][1] in {*DECIDED, "done"}:
            _tell(unit, found[0], str(change.changes["status"][1]))


def _ask(unit: Unit, it: Suggestion) -> None:
    if it.owner_id is None or it.owner_id == it.made_by_id:
        return
    unit.create(Task, {
        "title": _("Decide: %(what)s", what=it.title), "owner_id": it.owner_id, "customer_id": it.customer_id,
        "due_on": unit.reader.today() + dt.timedelta(days=DAYS_TO_DECIDE), "note": it.text,
        "about_entity": Suggestion.meta.name, "about_id": it.id,
    })  # fmt: skip


def _tell(unit: Unit, it: Suggestion, status: str) -> None:
    for task in unit.reader.all(Task, Task.about_id == it.id, Task.about_entity == Suggestion.meta.name,
                                Task.done_at.is_(None)):  # fmt: skip
        unit.update(task, {"done_at": utcnow()})
    if it.made_by_id is None or it.made_by_id == it.decided_by_id:
        return
    person = unit.get(User, it.made_by_id)
    if not person.active:
        return
    with unit.site.speaking(person.language if person.language in LANGUAGES else "en"):
        became = {"accepted": _("We do it"), "refused": _("We do not do it"), "done": _("It is done")}[status]
        facts = {"name": person.name, "became": became, "title": it.title,
                 "why": it.result if status == "done" else it.reason}  # fmt: skip
        subject = _("%(became)s: %(title)s", **facts)
        text = _("Hello %(name)s,\n\n%(became)s: %(title)s\n\n%(why)s\n\nThank you for the idea!", **facts)
    if unit.site.config.mail_url:
        mail = {"to": person.email, "subject": subject, "text": text,
                "message_id": make_msgid(domain="rapport.invalid")}  # fmt: skip
        enqueue_job(unit.session.connection(), "core.mail", mail, actor=system("improvements"))


def look_at_effects(context: JobContext) -> str:
    """Look at the measures of what was decided and done: before, and once the days after it are over."""
    with context.site.read(context.actor) as reader:
        open_ = (
            Suggestion.measure != "",
            Suggestion.archived_at.is_(None),
            Suggestion.status.in_(("accepted", "done")),
        )
        waiting = Suggestion.before.is_(None) | Suggestion.after.is_(None)
        found, today = reader.all(Suggestion, *open_, waiting), reader.today()
    seen = 0
    for each in found:
        values = _effects(context, each, today)
        if values:
            seen += 1
            with context.site.write(context.actor) as unit:
                kept = unit.get(Suggestion, each.id)
                for name, value in values.items():
                    setattr(kept, name, value)
    return _("The figures of %(num)s improvements are there.", num=seen)


def _effects(context: JobContext, it: Suggestion, today: dt.date) -> dict[str, Decimal]:
    """Measured with the rights of whoever decided, as with an objective."""
    who = it.decided_by_id or it.owner_id
    actor = context.site.actor(who) if who is not None else None
    if actor is None or it.decided_on is None:
        return {}
    wanted: dict[str, dt.date] = {}
    if it.before is None:
        wanted["before"] = it.decided_on - dt.timedelta(days=1)
    if it.after is None and it.done_on is not None and today > it.done_on + dt.timedelta(days=it.days):
        wanted["after"] = it.done_on + dt.timedelta(days=it.days)
    found = {}
    try:
        with context.site.read(actor) as reader:
            for name, until in wanted.items():
                value = value_of(reader, it.measure, until=until, days=it.days)
                if value is not None:
                    found[name] = value
    except Invalid:  # whoever decided may not ask for it any more: then nobody is told
        return {}
    return found


# Buttons and panels --------------------------------------------------------------------------------------------------


def actions() -> list[Action]:
    """Vote, decide, say what came of it."""
    fields, update = Suggestion.meta.fields, "strategy.suggestion.update"
    reason = replace(fields["reason"], readonly=False, required=True, nullable=False)
    result = replace(fields["result"], readonly=False, required=True, nullable=False)
    return [
        Action("strategy.suggestion", "vote", "Good idea", "thumb-up", "strategy.vote.create", _vote,
               applies=_at("heard", "accepted")),
        Action("strategy.suggestion", "accept", "We do it", "circle-check", update, _accept, primary=True,
               fields=[reason], applies=_at("heard")),
        Action("strategy.suggestion", "refuse", "We do not do it", "circle-x", update, _refuse, fields=[reason],
               applies=_at("heard", "accepted")),
        Action("strategy.suggestion", "done", "It is done", "checks", update, _done, primary=True, fields=[result],
               applies=_at("accepted")),
    ]  # fmt: skip


def _at(*statuses: str) -> Any:
    return lambda record: record.status in statuses


def _vote(unit: Unit, records: Sequence[Suggestion], values: Mapping[str, Any]) -> str:
    (it,) = records
    mine = (Vote.suggestion_id == it.id, Vote.voter_id == unit.actor.id)
    if unit.session.scalar(select(Vote.id).where(*mine), execution_options=SCOPED) is not None:
        raise Invalid(Problem(None, _("You have said so already.")))
    unit.create(Vote, {"suggestion_id": it.id})
    return _("Thank you. Whoever decides sees how many think so.")


def _accept(unit: Unit, records: Sequence[Suggestion], values: Mapping[str, Any]) -> str:
    return _decide(unit, records[0], "accepted", values)


def _refuse(unit: Unit, records: Sequence[Suggestion], values: Mapping[str, Any]) -> str:
    return _decide(unit, records[0], "refused", values)


def _decide(unit: Unit, it: Suggestion, status: str, values: Mapping[str, Any]) -> str:
    reason = _said(unit, it, values, "reason")
    it.status, it.reason, it.decided_by_id, it.decided_on = status, reason, unit.actor.id, unit.reader.today()
    unit.flush()
    if it.measure and status == "accepted":
        enqueue_job(unit.session.connection(), JOB, {}, actor=system("improvements"), key="now")
    return _("Decided. Whoever had the idea hears of it.")


def _done(unit: Unit, records: Sequence[Suggestion], values: Mapping[str, Any]) -> str:
    (it,) = records
    it.status, it.result, it.done_on = "done", _said(unit, it, values, "result"), unit.reader.today()
    unit.flush()
    return _("Well done. Whoever had the idea hears of it.")


def _said(unit: Unit, it: Suggestion, values: Mapping[str, Any], name: str) -> str:
    """What was said with a decision, by somebody who may decide on this very one."""
    unit.update(it, {})  # refuses who may change only their own
    said = str(values.get(name) or "").strip()
    if not said:
        raise Invalid(Problem(name, _("is missing. Whoever had the idea gets to read it.")))
    return said


def list_filters() -> list[ListFilter]:
    """What one looks for among improvements."""
    return [
        ListFilter("strategy.suggestion", "open", "Open", 'status in ("heard", "accepted")'),
        ListFilter("strategy.suggestion", "mine", "Mine to decide", "owner_id = me"),
        ListFilter("strategy.suggestion", "my_ideas", "My ideas", "made_by_id = me"),
    ]


def panels() -> list[Panel]:
    """My ideas and what became of them; what the figures say."""
    return [
        Panel("home", "My ideas", "strategy/my_ideas.html", mine, READ, "bulb", 72),
        Panel("strategy.suggestion.side", "What the figures say", "strategy/effect.html", effect, READ, "ruler", 10),
    ]


def mine(reader: Reader) -> Mapping[str, Any]:
    """The newest ideas of mine, with their result."""
    theirs = (Suggestion.made_by_id == reader.actor.id, Suggestion.archived_at.is_(None))
    found = reader.all(Suggestion, *theirs, order=Suggestion.id.desc(), limit=5)
    return {"rows": [{"it": each, "status": _status(each)} for each in found]}


def effect(reader: Reader, record: Suggestion) -> Mapping[str, Any]:
    """The measure before and after."""
    measure = reader.site.measures.get(record.measure)
    if measure is None:
        return {"measure": "", "status": _status(record)}
    formats, currency = formats_of(reader), str(reader.site.settings.get("core.currency"))
    both = record.before is not None and record.after is not None
    better = None
    if both and record.before is not None and record.after is not None and record.after != record.before:
        better = (record.after > record.before) == (measure.better == "up")
    return {
        "measure": _(measure.title), "status": _status(record), "better": better,
        "before": written(formats, record.before, measure.kind, currency),
        "after": written(formats, record.after, measure.kind, currency),
        "delta": written(formats, record.after - record.before, measure.kind, currency)
        if record.before is not None and record.after is not None else "",
    }  # fmt: skip


def _status(it: Suggestion) -> Choice:
    return next(choice for choice in STATUSES if choice.value == it.status)
