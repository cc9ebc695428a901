"""Care plans: a call after a week, a handwritten note after a month, for the customers who deserve it.

A job of each morning takes in who meets a plan's filter and does what is due: tasks for people, messages through the
gate. It stops for whoever is archived or has asked to be left alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, exists, func, or_, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    N_,
    Action,
    Choice,
    Consent,
    Customer,
    Draft,
    Entity,
    Invalid,
    JobContext,
    ListFilter,
    Owned,
    Panel,
    Problem,
    Purpose,
    Reader,
    Suppression,
    Task,
    Unit,
    field,
    gettext,
    ngettext,
    ref,
    send_many,
    system,
    utcnow,
)
from rapport import gettext as _
from rapport_service.registration import SCOPED, Registration
from rapport_service.surveys import CONFIGURED, language_of

PURPOSE = "care"
JOB = "service.care"
AT_ONCE = 200
MOST_STEPS = 50
KINDS = [
    Choice("call", "Call", "azure"),
    Choice("note", "Handwritten note", "purple"),
    Choice("visit", "Visit", "teal"),
    Choice("message", "Message", "indigo"),
]


class CarePlan(
    Owned, Entity, name="service.care_plan", title="Care plan", icon="heart-handshake", display="name",
    roles=CONFIGURED, natural_key=("name",),
):  # fmt: skip
    """For whom we do something on dates, and from which day on these count."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    filter: Mapped[str] = field(
        label="For customers", default="", max_length=2000, in_list=True,
        help='In the language of lists: tags has "vip". Left empty: all of them.',
    )  # fmt: skip
    begins: Mapped[str] = field(
        label="Days count from",
        choices=[Choice("filter", "The day they meet the filter"), Choice("created", "The day they became a customer"),
                 Choice("purchase", "Each registered purchase")],
        default="filter",
        in_list=True,
    )  # fmt: skip
    active: Mapped[bool] = field(
        label="In use", default=False, in_list=True, help="Write its steps first, then switch it on."
    )

    def complete(self, session: Session) -> None:
        """See whether the filter can be read."""
        self._wrong: list[Problem] = []
        if self.filter:
            try:
                unit: Any = session.unit  # type: ignore[attr-defined]  # what is saved is saved in a unit
                unit.reader.conditions(Customer, filter=self.filter)
            except Invalid as error:
                self._wrong = [Problem("filter", each.message) for each in error.problems]

    def validate(self) -> Sequence[Problem]:
        """Its filter is one."""
        return getattr(self, "_wrong", [])


class CareStep(
    Entity, name="service.care_step", title="Step", icon="stairs", listed=False, display="title", roles=CONFIGURED,
    natural_key=("care_plan_id", "title"),
):  # fmt: skip
    """What is done so many days after the beginning."""

    __table_args__ = (UniqueConstraint("care_plan_id", "title"),)

    care_plan_id: Mapped[UUID] = ref("service.care_plan", label="Care plan")
    title: Mapped[str] = field(label="What", in_list=True, help="As the task, or the subject of the message.")
    after_days: Mapped[int] = field(label="After days", in_list=True)
    kind: Mapped[str] = field(label="Kind", choices=KINDS, default="call", in_list=True)
    text: Mapped[str] = field(
        label="Text", kind="longtext", default="", help="What to say. {name} stands for the customer."
    )
    channel: Mapped[str] = field(label="Channel", default="email", help="Of a message.")

    def validate(self) -> Sequence[Problem]:
        """It is done on a day, and a message says something."""
        problems = []
        if self.after_days is not None and not 0 <= self.after_days <= 36_600:
            problems.append(Problem("after_days", _("must be between 0 and %(most)s.", most=36_600)))
        if self.kind == "message" and not self.text:
            problems.append(Problem("text", _("is missing. What does the message say?")))
        return problems


class Care(
    Entity, name="service.care", title="Care", plural="Customers in care", icon="heart", display="started_on",
    roles={"manager": "read update export", "member": "read export", "viewer": "read"},
):  # fmt: skip
    """A customer within a care plan: since when, what comes next, and why it stopped."""

    __table_args__ = (
        UniqueConstraint("care_plan_id", "customer_id", "started_on"),
        Index("ix_service_care_due", "status", "next_on", "id"),
    )

    care_plan_id: Mapped[UUID] = ref("service.care_plan", label="Care plan", readonly=True, in_list=True)
    customer_id: Mapped[UUID] = ref("customer", readonly=True, in_list=True)
    started_on: Mapped[dt.date] = field(label="Since", readonly=True, in_list=True)
    step_id: Mapped[UUID | None] = ref("service.care_step", label="Next step", readonly=True, in_list=True)
    next_on: Mapped[dt.date | None] = field(label="Next step on", readonly=True, in_list=True)
    done: Mapped[int] = field(label="Steps done", default=0, readonly=True)
    status: Mapped[str] = field(
        label="Status",
        choices=[Choice("running", "Going on", "azure"), Choice("finished", "Finished", "green"),
                 Choice("stopped", "Stopped", "secondary")],
        default="running", readonly=True, in_list=True,
    )  # fmt: skip
    why: Mapped[str] = field(label="Why it stopped", default="", readonly=True)


ENTITIES: list[type[Entity]] = [CarePlan, CareStep, Care]


def make_first(session: Session) -> None:
    """The purpose that care is done for. Customers may object to it on their own page."""
    if session.scalar(select(Purpose.id).where(Purpose.name == PURPOSE)) is None:
        session.add(Purpose(
            name=PURPOSE, title=N_("Keeping in touch"), basis="legitimate_interest", quiet=True, capped=True,
            description=N_("How you are doing with what you bought, and whether we can help."), position=4,
        ))  # fmt: skip


# Each morning --------------------------------------------------------------------------------------------------------


def take_care(context: JobContext) -> str:
    """The job: take in who meets a plan now, then do what is due."""
    with context.site.read(context.actor) as reader:
        plans = reader.all(CarePlan, CarePlan.active.is_(True), CarePlan.archived_at.is_(None))
        steps = {plan.id: _steps(reader, plan.id) for plan in plans}
    taken = done = 0
    for plan in plans:
        if steps[plan.id]:
            taken += _take_in(context, plan, steps[plan.id])
    for plan in plans:
        while steps[plan.id]:
            with context.site.write(system("care")) as unit:
                some = _do_due(unit, plan, steps[plan.id])
            done += some
            context.progress(taken + done, taken + done)
            if not some:
                break
    return _("%(taken)s customers are newly cared for, %(done)s steps were taken.", taken=taken, done=done)


def _steps(reader: Reader, plan_id: UUID) -> list[CareStep]:
    where = (CareStep.care_plan_id == plan_id, CareStep.archived_at.is_(None))
    return reader.all(CareStep, *where, order=(CareStep.after_days, CareStep.id), limit=MOST_STEPS)


def _take_in(context: JobContext, plan: CarePlan, steps: Sequence[CareStep]) -> int:
    taken, last = 0, None
    while True:
        with context.site.write(system("care")) as unit:
            found = _beginning(unit, plan, steps[-1].after_days, last)
            today = unit.reader.today()
            records = []
            seen: set[tuple[UUID, dt.date]] = set()
            for _key, customer_id, day in found:
                step = next((each for each in steps if day + dt.timedelta(days=each.after_days) >= today), None)
                if step is None or (customer_id, day) in seen:
                    continue
                seen.add((customer_id, day))
                record, _problems = unit.build(Care, {
                    "care_plan_id": plan.id, "customer_id": customer_id, "started_on": day, "step_id": step.id,
                    "next_on": day + dt.timedelta(days=step.after_days),
                })  # fmt: skip
                records.append(record)
            unit.insert_many(records)
        taken += len(records)
        context.progress(taken, taken)
        if len(found) < AT_ONCE:
            return taken
        last = found[-1][0]


def _beginning(unit: Unit, plan: CarePlan, longest: int, last: UUID | None) -> list[tuple[UUID, UUID, dt.date]]:
    """Who is not in the plan yet, and from which day on theirs counts: (place in the list, customer, day)."""
    today = unit.reader.today()
    since = today - dt.timedelta(days=longest)
    conditions = unit.reader.conditions(Customer, filter=plan.filter)
    if plan.begins == "purchase":
        known = exists().where(Care.care_plan_id == plan.id, Care.customer_id == Registration.customer_id,
                               Care.started_on == Registration.purchased_on)  # fmt: skip
        bought = (
            select(Registration.id, Registration.customer_id, Registration.purchased_on)
            .join(Customer, Customer.id == Registration.customer_id)
            .where(*conditions, ~known, Registration.archived_at.is_(None), Registration.purchased_on >= since)
            .order_by(Registration.id)
            .limit(AT_ONCE)
        )
        if last is not None:
            bought = bought.where(Registration.id > last)
        return [(row[0], row[1], row[2]) for row in unit.session.execute(bought)]
    known = exists().where(Care.care_plan_id == plan.id, Care.customer_id == Customer.id)
    theirs = select(Customer.id, Customer.created_at).where(*conditions, ~known).order_by(Customer.id).limit(AT_ONCE)
    if plan.begins == "created":
        theirs = theirs.where(Customer.created_at >= utcnow() - dt.timedelta(days=longest + 1))
    if last is not None:
        theirs = theirs.where(Customer.id > last)
    rows = unit.session.execute(theirs).all()
    return [(row[0], row[0], today if plan.begins == "filter" else row[1].date()) for row in rows]


def _do_due(unit: Unit, plan: CarePlan, steps: Sequence[CareStep]) -> int:
    """Do the next step of those whose day has come; returns how many they were."""
    today = unit.reader.today()
    due = unit.reader.all(
        Care, Care.care_plan_id == plan.id, Care.status == "running", Care.next_on <= today,
        order=(Care.next_on, Care.id), limit=AT_ONCE,
    )  # fmt: skip
    ids = [each.customer_id for each in due]
    customers = {each.id: each for each in unit.reader.all(Customer, Customer.id.in_(ids))}
    silent = opted_out(unit.session, ids)
    by_id = {step.id: step for step in steps}
    drafts: list[Draft] = []
    for each in due:
        customer = customers.get(each.customer_id)
        step = by_id.get(each.step_id) if each.step_id is not None else None
        if customer is None or customer.archived_at is not None:
            _stop(each, _("They are no longer a customer."))
        elif customer.id in silent:
            _stop(each, _("They asked to be left alone."))
        else:
            if step is not None:
                _do(unit, plan, step, each, customer, drafts)
                each.done += 1
            _advance(each, steps, step)
    if drafts:
        send_many(unit, drafts)
    unit.flush()
    return len(due)


def _do(unit: Unit, plan: CarePlan, step: CareStep, care: Care, customer: Customer, drafts: list[Draft]) -> None:
    if step.kind == "message" and step.channel in unit.site.channels:
        with unit.site.speaking(language_of(customer)):
            subject, body = _(step.title), _(step.text).replace("{name}", customer.name)
        drafts.append(Draft(step.channel, customer, PURPOSE, subject=subject, body=body, about=care))
        return
    kind = next(choice.label for choice in KINDS if choice.value == step.kind)
    unit.create(Task, {
        "title": _("%(kind)s: %(what)s", kind=_(kind), what=step.title), "due_on": unit.reader.today(),
        "customer_id": customer.id, "owner_id": plan.owner_id or customer.owner_id,
        "note": step.text.replace("{name}", customer.name), "about_entity": Care.meta.name, "about_id": care.id,
    })  # fmt: skip


def _advance(care: Care, steps: Sequence[CareStep], done: CareStep | None) -> None:
    """To the step after this one; where the plan was changed meanwhile, to the first that is still to come."""
    if done is not None:
        after = steps[[step.id for step in steps].index(done.id) + 1 :]
    else:
        today = utcnow().date()
        after = [step for step in steps if care.started_on + dt.timedelta(days=step.after_days) > today]
    if not after:
        care.status, care.step_id, care.next_on = "finished", None, None
        return
    care.step_id, care.next_on = after[0].id, care.started_on + dt.timedelta(days=after[0].after_days)


def _stop(care: Care, why: str) -> None:
    care.status, care.why, care.step_id, care.next_on = "stopped", why, None, None


def opted_out(session: Session, customer_ids: Iterable[UUID]) -> set[UUID]:
    """Those who want to be left alone: whoever is not to be contacted at all, or has declined care by any channel."""
    ids = list(customer_ids)
    standing = select(Suppression.customer_id).where(
        Suppression.customer_id.in_(ids), Suppression.address == "", Suppression.channel == "",
        Suppression.archived_at.is_(None), or_(Suppression.until.is_(None), Suppression.until > utcnow()),
    )  # fmt: skip
    silent = {found for found in session.scalars(standing, execution_options=SCOPED) if found is not None}
    said = (
        select(Consent.customer_id, Consent.channel, Consent.state)
        .join(Purpose, Purpose.id == Consent.purpose_id)
        .where(Consent.customer_id.in_(ids), Purpose.name == PURPOSE, Consent.archived_at.is_(None))
        .order_by(Consent.at, Consent.id)
    )
    newest = {(row[0], row[1]): row[2] for row in session.execute(said, execution_options=SCOPED)}
    return silent | {customer_id for (customer_id, _channel), state in newest.items() if state == "denied"}


# Buttons and panels --------------------------------------------------------------------------------------------------


def actions() -> list[Action]:
    """Stop caring for somebody, by hand."""
    return [
        Action("service.care", "stop", "Stop", "player-stop", "service.care.update", _stop_by_hand, bulk=True,
               applies=lambda each: each.status == "running"),
    ]  # fmt: skip


def _stop_by_hand(unit: Unit, records: Sequence[Care], values: Mapping[str, Any]) -> str:
    running = [each for each in records if each.status == "running"]
    for each in running:
        _stop(each, gettext("One of us stopped it."))
    unit.flush()
    return ngettext("It is stopped.", "%(num)s are stopped.", len(running))


def list_filters() -> list[ListFilter]:
    """What one looks for among care plans."""
    return [ListFilter("service.care_plan", "active", "In use", "active = true")]


def panels() -> list[Panel]:
    """How many are in a plan, and what is planned for a customer."""
    return [
        Panel("service.care_plan.side", "In care", "service/in_care.html", in_care, "service.care_plan.read", "heart"),
        Panel("customer.side", "Care", "service/care.html", of_customer, "service.care.read", "heart", 46),
    ]


def in_care(reader: Reader, record: CarePlan) -> Mapping[str, Any]:
    """Whether it is in use, and how many customers are within it, have been through it, and left it."""
    rows = reader.session.execute(
        select(Care.status, func.count()).where(Care.care_plan_id == record.id).group_by(Care.status)
    )
    return {"plan": record, "many": {row[0]: row[1] for row in rows}}


def of_customer(reader: Reader, record: Customer) -> Mapping[str, Any]:
    """What comes next for a customer."""
    found = reader.all(Care, Care.customer_id == record.id, Care.status == "running", order=Care.next_on, limit=5)
    return {"rows": found, "plans": reader.titles(CarePlan, [each.care_plan_id for each in found]),
            "steps": reader.titles(CareStep, [each.step_id for each in found])}  # fmt: skip
