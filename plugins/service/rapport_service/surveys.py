"""Surveys: what is asked, who is asked once after a purchase, what they answer, and who does something about it.

A survey goes out through the gate with a signed link, or is asked by phone, or waits in the portal. A low mark opens a
case for somebody who can act; what came of it goes back to the customer and to those who make the product.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import make_msgid
from typing import TypeVar
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer
from rapport_products import Product
from sqlalchemy import Index, UniqueConstraint, exists, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    LANGUAGES,
    N_,
    Choice,
    Customer,
    Draft,
    Entity,
    Invalid,
    JobContext,
    Logged,
    Membership,
    Message,
    Owned,
    Problem,
    Purpose,
    Reader,
    Site,
    Task,
    Unit,
    User,
    enqueue_job,
    field,
    ref,
    send_many,
    system,
    utcnow,
)
from rapport import gettext as _
from rapport_service.entities import DONE, Case
from rapport_service.months import months_ago
from rapport_service.registration import SCOPED, Registration

PAGE = "/service/survey/"
PURPOSE = "survey"
JOB = "service.ask_buyers"
GRACE_DAYS = 30
"""Purchases that became known later than this after their month are not asked about any more."""
AT_ONCE = 200
SCALES: Mapping[str, tuple[int, int]] = {
    "product": (1, 10), "service": (1, 10), "purchase": (1, 10), "mark": (1, 10),
    "recommend_product": (0, 10), "recommend_store": (0, 10),
}  # fmt: skip
"""The marks of each kind of question. Recommending goes from 0, as the net promoter score has it."""
KINDS = [
    Choice("product", "Satisfaction with the product, 1 to 10", "azure"),
    Choice("service", "Satisfaction with the service, 1 to 10", "indigo"),
    Choice("purchase", "Experience of the purchase, 1 to 10", "purple"),
    Choice("recommend_product", "Would recommend the product, 0 to 10", "teal"),
    Choice("recommend_store", "Would recommend the store, 0 to 10", "green"),
    Choice("mark", "Another mark, 1 to 10", "cyan"),
    Choice("choice", "One of several answers", "yellow"),
    Choice("text", "In their own words", "secondary"),
]
CONFIGURED = {"manager": "read create update delete export import", "member": "read", "viewer": "read"}
MAX_WORDS = 4000


class Survey(
    Owned, Entity, name="service.survey", title="Survey", icon="clipboard-text", display="name", roles=CONFIGURED,
    natural_key=("name",),
):  # fmt: skip
    """What customers are asked, when, and what follows from a low mark."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    title: Mapped[str] = field(label="Heading", default="", help="What customers read first.")
    introduction: Mapped[str] = field(label="Introduction", kind="longtext", default="")
    thanks: Mapped[str] = field(label="Thanks", kind="longtext", default="", help="What they read in the end.")
    channel: Mapped[str] = field(
        label="Channel", default="email", in_list=True,
        help="By which the link goes out. Who cannot be reached by it is asked by phone. Empty: all are.",
    )  # fmt: skip
    months_after: Mapped[int | None] = field(
        label="Months after purchase", in_list=True,
        help="So long after each purchase its buyer is asked, once. Empty: only when one of us asks.",
    )  # fmt: skip
    after_case: Mapped[bool] = field(
        label="After a case", default=False, help="Whoever’s case was solved is asked. Their mark stands in the case."
    )
    active: Mapped[bool] = field(label="In use", default=True, in_list=True)
    pause_days: Mapped[int] = field(
        label="Days of rest", default=30, help="Nobody is asked the same again within so many days."
    )
    valid_days: Mapped[int] = field(label="Days to answer", default=60)
    low_mark: Mapped[int] = field(
        label="Low mark", default=4, section="When they are not satisfied", help="This mark or a lower one. 0: none."
    )
    low_action: Mapped[str] = field(
        label="Then", choices=[Choice("case", "Open a case"), Choice("task", "Make a task"), Choice("", "Do nothing")],
        default="case", section="When they are not satisfied",
    )  # fmt: skip
    product_team_id: Mapped[UUID | None] = ref(
        "team", label="Team of the product", on_delete="SET NULL", section="When they are not satisfied",
        help="Who is told by mail what came of it.",
    )  # fmt: skip

    def validate(self) -> Sequence[Problem]:
        """Times and marks are what they can be."""
        limits = {"months_after": (0, 120), "pause_days": (0, 3650), "valid_days": (1, 3650), "low_mark": (0, 10)}
        return [
            Problem(name, _("must be between %(least)s and %(most)s.", least=least, most=most))
            for name, (least, most) in limits.items()
            if (value := getattr(self, name)) is not None and not least <= value <= most
        ]


class Question(
    Entity, name="service.question", title="Question", icon="help", listed=False, display="text", roles=CONFIGURED,
    natural_key=("survey_id", "name"),
):  # fmt: skip
    """One question of a survey, of a kind that reports know."""

    __table_args__ = (UniqueConstraint("survey_id", "name"),)

    survey_id: Mapped[UUID] = ref("service.survey", label="Survey")
    name: Mapped[str] = field(label="Short name", default="", help="Left empty, it is the kind.")
    text: Mapped[str] = field(label="Question", in_list=True, max_length=1000)
    kind: Mapped[str] = field(label="Kind", choices=KINDS, default="product", in_list=True)
    choices: Mapped[str] = field(label="Answers", kind="longtext", default="", help="One in each line.")
    required: Mapped[bool] = field(label="Must be answered", default=False)
    position: Mapped[int] = field(label="Position", default=0, in_list=True)

    def prepare(self) -> None:
        """A question without a short name is called as its kind."""
        self.name = self.name or self.kind

    def validate(self) -> Sequence[Problem]:
        """Where one may choose there are answers to choose from."""
        if self.kind == "choice" and len(self.options) < 2:
            return [Problem("choices", _("are missing. Write at least two, one in each line."))]
        return []

    @property
    def options(self) -> list[str]:
        """The answers to choose from."""
        return list(dict.fromkeys(line.strip() for line in (self.choices or "").splitlines() if line.strip()))

    @property
    def scale(self) -> tuple[int, int] | None:
        """The lowest and the highest mark; None for other kinds."""
        return SCALES.get(self.kind)


class Invitation(
    Entity, name="service.invitation", title="Survey of a customer", plural="Surveys of customers", icon="star",
    display="name",
    roles={
        "manager": "read create update delete export import",
        "member": "read create update export",
        "viewer": "read",
        "portal": "read",
    },
):  # fmt: skip
    """A customer is asked a survey about one purchase, once. It holds their answers and what came of them."""

    __table_args__ = (
        Index("ix_service_invitation_answered", "answered_on", "survey_id"),
        Index("ix_service_invitation_asked", "asked_on", "survey_id"),
        Index("ix_service_invitation_pause", "customer_id", "survey_id", "asked_on"),
        UniqueConstraint("survey_id", "customer_id", "about"),
    )

    name: Mapped[str] = field(label="Name", default="", readonly=True, searchable=True, in_list=True)
    survey_id: Mapped[UUID] = ref("service.survey", label="Survey", in_list=True)
    customer_id: Mapped[UUID] = ref("customer", in_list=True)
    product_id: Mapped[UUID | None] = ref("products.product", label="Product", in_list=True)
    registration_id: Mapped[UUID | None] = ref("service.registration", label="Registered product")
    asked_case_id: Mapped[UUID | None] = ref("service.case", label="About the case")
    purchased_on: Mapped[dt.date | None] = field(label="Purchased on")
    bought_at: Mapped[str] = field(label="Bought at", default="", indexed=True)
    about: Mapped[str | None] = field(label="Asked about", readonly=True)
    """What tells this asking from others of the same customer, such as a day of purchase: each is asked about once."""
    state: Mapped[str] = field(
        label="State",
        choices=[
            Choice("call", "To be asked by phone", "orange"),
            Choice("sent", "Asked", "azure"),
            Choice("refused", "Not sent", "red"),
            Choice("answered", "Answered", "green"),
            Choice("declined", "Does not want to answer", "secondary"),
        ],
        default="call",
        in_list=True,
    )
    asked_on: Mapped[dt.date | None] = field(label="Asked on", in_list=True, help="Left empty: today.")
    expires_on: Mapped[dt.date | None] = field(label="Can be answered until", readonly=True)
    message_id: Mapped[UUID | None] = ref("message", on_delete="SET NULL", readonly=True)
    answered_on: Mapped[dt.date | None] = field(label="Answered on", in_list=True, section="Answer")
    answered_by: Mapped[str] = field(
        label="Answered",
        choices=[Choice("", ""), Choice("link", "By the link"), Choice("phone", "By phone"),
                 Choice("portal", "In the portal"), Choice("import", "Elsewhere")],
        default="", section="Answer",
    )  # fmt: skip
    lowest: Mapped[int | None] = field(label="Lowest mark", readonly=True, in_list=True, section="Answer")
    loop: Mapped[str] = field(
        label="Follow-up",
        choices=[Choice("", "None"), Choice("open", "To be cleared", "red"), Choice("closed", "Cleared", "green")],
        default="", readonly=True, in_list=True, section="Follow-up",
    )  # fmt: skip
    case_id: Mapped[UUID | None] = ref("service.case", label="Case", readonly=True, section="Follow-up")
    result: Mapped[str] = field(label="What came of it", kind="longtext", default="", section="Follow-up")

    def complete(self, session: Session) -> None:
        """It is asked today and can be answered for some time; it is called as the survey and the product are."""
        survey = _known(session, Survey, self.survey_id)
        self.asked_on = self.asked_on or utcnow().date()
        if survey is not None and self.expires_on is None:
            self.expires_on = self.asked_on + dt.timedelta(days=survey.valid_days)
        if not self.name:
            product = _known(session, Product, self.product_id) if self.product_id is not None else None
            self.name = " · ".join(str(each) for each in (survey, product) if each is not None)

    def open(self, today: dt.date) -> bool:
        """Whether it may still be answered."""
        return (
            self.state not in {"answered", "declined"}
            and self.archived_at is None
            and (self.expires_on is None or today <= self.expires_on)
        )


class Answer(
    Entity, name="service.answer", title="Answer", icon="message-star", listed=False, display="text",
    roles={"manager": "read export import create", "member": "read export", "viewer": "read"},
):  # fmt: skip
    """What a customer said to one question."""

    __table_args__ = (Index("ix_service_answer_marks", "kind", "mark"),)

    invitation_id: Mapped[UUID] = ref("service.invitation", label="Survey of a customer")
    question_id: Mapped[UUID] = ref("service.question", label="Question", on_delete="RESTRICT", in_list=True)
    kind: Mapped[str] = field(label="Kind", choices=KINDS, default="text", readonly=True)
    mark: Mapped[int | None] = field(label="Mark", in_list=True)
    text: Mapped[str] = field(label="Answer", kind="longtext", default="", in_list=True)

    def complete(self, session: Session) -> None:
        """It is of its question's kind, so that figures need not ask for it."""
        question = _known(session, Question, self.question_id)
        self.kind = question.kind if question is not None else self.kind
        self.mark = self.mark if self.kind in SCALES else None

    def validate(self) -> Sequence[Problem]:
        """A mark is on its scale."""
        scale = SCALES.get(self.kind)
        if scale is not None and self.mark is not None and not scale[0] <= self.mark <= scale[1]:
            return [Problem("mark", _("must be between %(least)s and %(most)s.", least=scale[0], most=scale[1]))]
        return []


ENTITIES: list[type[Entity]] = [Survey, Question, Invitation, Answer]


E = TypeVar("E", bound=Entity)


def _known(session: Session, entity: type[E], record_id: UUID | None) -> E | None:
    """A record that rules need, read once in a unit of work whoever works in it."""
    if record_id is None:
        return None
    known: dict[UUID, E | None] = session.info.setdefault(f"service.known.{entity.meta.name}", {})
    if record_id not in known:
        asked = select(entity).where(entity.id == record_id)
        known[record_id] = session.scalars(asked, execution_options=SCOPED).one_or_none()
    return known[record_id]


# What comes with the plugin ------------------------------------------------------------------------------------------

MONTH_AFTER = N_("A month after the purchase")
FIRST_QUESTIONS: tuple[tuple[str, str, bool], ...] = (
    ("product", N_("How satisfied are you with the product?"), True),
    ("service", N_("How satisfied are you with our service?"), True),
    ("purchase", N_("How was buying it?"), False),
    ("recommend_product", N_("How likely are you to recommend the product to a friend?"), False),
    ("recommend_store", N_("How likely are you to recommend the store to a friend?"), False),
    ("text", N_("What should we do better?"), False),
)


def make_first(session: Session) -> None:
    """A survey to begin with, which nobody is asked before it is switched on, and the purpose it is asked for."""
    if session.scalar(select(Purpose.id).where(Purpose.name == PURPOSE)) is None:
        session.add(Purpose(
            name=PURPOSE, title=N_("Questions about your satisfaction"), basis="legitimate_interest", quiet=True,
            capped=True, description=N_("A few questions after you bought something, so that we get better."),
            position=3,
        ))  # fmt: skip
    if session.scalar(select(Survey.id).limit(1)) is not None:
        return
    survey = Survey(
        name=MONTH_AFTER, title=N_("How do you like it?"), months_after=1, active=False,
        introduction=N_("You have had it for a month now. Tell us how it is: it takes two minutes."),
        thanks=N_("Thank you for your time. We read every answer."),
    )  # fmt: skip
    session.add(survey)
    session.flush()
    session.add_all(
        Question(survey_id=survey.id, kind=kind, name=kind, text=text, required=required, position=position)
        for position, (kind, text, required) in enumerate(FIRST_QUESTIONS)
    )


# Asking --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Purchase:
    """Who bought what and when, or had a case solved: what a customer may be asked about."""

    customer_id: UUID
    purchased_on: dt.date | None
    product_id: UUID | None = None
    registration_id: UUID | None = None
    bought_at: str = ""
    case_id: UUID | None = None
    """For those who are asked about a solved case instead."""

    @property
    def about(self) -> str:
        """What tells it from other times the same customer is asked."""
        return f"case {self.case_id}" if self.case_id is not None else str(self.purchased_on)


def invite(unit: Unit, survey: Survey, purchases: Sequence[Purchase]) -> list[Invitation]:
    """Ask the buyers of these purchases, each once for a day of purchase and never within their days of rest.

    Who cannot be reached by the survey's channel is put down to be called. The gate decides about each message.
    """
    fresh = _not_asked_yet(unit, survey, purchases)
    customers = _customers(unit, [each.customer_id for each in fresh])
    invitations = []
    for purchase in fresh:
        if (customer := customers.get(purchase.customer_id)) is None:
            continue
        values = {
            "survey_id": survey.id, "customer_id": customer.id, "product_id": purchase.product_id,
            "registration_id": purchase.registration_id, "purchased_on": purchase.purchased_on,
            "bought_at": purchase.bought_at, "about": purchase.about,
            "asked_case_id": purchase.case_id, "asked_on": unit.reader.today(), "state": "call",
        }  # fmt: skip
        invitation, problems = unit.build(Invitation, values)
        if problems:
            raise Invalid(problems)
        invitations.append(invitation)
    unit.session.add_all(invitations)
    unit.flush()
    _send(unit, survey, [each for each in invitations if _reached(unit.site, survey, customers[each.customer_id])])
    return invitations


def _not_asked_yet(unit: Unit, survey: Survey, purchases: Sequence[Purchase]) -> list[Purchase]:
    """One purchase of each customer, of those who were not asked lately nor about that day."""
    ids = {each.customer_id for each in purchases}
    rest = unit.reader.today() - dt.timedelta(days=survey.pause_days)
    rows = unit.session.execute(
        select(Invitation.customer_id, Invitation.about, Invitation.asked_on).where(
            Invitation.survey_id == survey.id, Invitation.customer_id.in_(ids)
        ),
        execution_options=SCOPED,
    ).all()
    asked = {(row.customer_id, row.about) for row in rows}
    resting = {row.customer_id for row in rows if row.asked_on is not None and row.asked_on > rest}
    chosen: dict[UUID, Purchase] = {}
    for each in sorted(purchases, key=lambda one: one.about):
        if each.customer_id not in resting and (each.customer_id, each.about) not in asked:
            chosen.setdefault(each.customer_id, each)
    return list(chosen.values())


def _customers(unit: Unit, ids: Iterable[UUID]) -> dict[UUID, Customer]:
    found = unit.reader.all(Customer, Customer.id.in_(list(ids)), Customer.archived_at.is_(None))
    return {each.id: each for each in found}


def _reached(site: Site, survey: Survey, customer: Customer) -> bool:
    channel = site.channels.get(survey.channel) if survey.channel else None
    points = {"email": customer.email, "phone": customer.phone, "address": customer.address}
    return channel is not None and bool(points.get(channel.point, True))


def _send(unit: Unit, survey: Survey, invitations: Sequence[Invitation]) -> None:
    """Mail the links, each in its customer's language, and keep what the gate says of it."""
    if not invitations:
        return
    customers = _customers(unit, [each.customer_id for each in invitations])
    products = unit.reader.titles(Product, [each.product_id for each in invitations])
    drafts = []
    for each in invitations:
        customer = customers[each.customer_id]
        with unit.site.speaking(language_of(customer)):
            facts = {"name": customer.name, "link": address(unit.site, each),
                     "text": _(survey.introduction) if survey.introduction else ""}  # fmt: skip
            product = products.get(each.product_id) if each.product_id is not None else None
            subject = _(survey.title) if survey.title else _("How satisfied are you?")
            subject = f"{subject} – {product}" if product else subject
            body = _("Hello %(name)s,\n\n%(text)s\n\n%(link)s", **facts)
        drafts.append(Draft(survey.channel, customer, PURPOSE, subject=subject, body=body, about=each))
    for invitation, message in zip(invitations, send_many(unit, drafts), strict=True):
        _note(invitation, message)
    unit.flush()


def _note(invitation: Invitation, message: Message) -> None:
    invitation.message_id = message.id
    invitation.state = "refused" if message.state == "refused" else "sent"


def ask_one(
    unit: Unit, survey: Survey, customer_id: UUID, *, product_id: UUID | str | None = None, phone: bool
) -> Invitation:  # fmt: skip
    """Ask one customer because one of us wants to know: by the link, or at once on the phone."""
    made = unit.create(Invitation, {"survey_id": survey.id, "customer_id": customer_id, "product_id": product_id,
                                    "state": "call"})  # fmt: skip
    if not phone:
        customer = unit.get(Customer, customer_id)
        if not _reached(unit.site, survey, customer):
            raise Invalid(Problem("survey_id", _(
                "cannot be sent: the customer has no address for it. Ask on the phone instead."
            )))  # fmt: skip
        _send(unit, survey, [made])
    return made


def ask_buyers(context: JobContext) -> str:
    """The job of each morning: ask everybody whose purchase is as old as a survey in use wants it."""
    asked = 0
    with context.site.read(context.actor) as reader:
        wanted = reader.all(
            Survey, Survey.active.is_(True), Survey.months_after.is_not(None), Survey.archived_at.is_(None)
        )
    for survey in wanted:
        last: UUID | None = None
        while True:
            with context.site.write(system("surveys")) as unit:
                found = _registered(unit, survey, last)
                asked += len(invite(unit, unit.get(Survey, survey.id), [_purchase(each) for each in found]))
            context.progress(asked, asked)
            if len(found) < AT_ONCE:
                break
            last = found[-1].id
    return _("%(num)s customers were asked.", num=asked)


def due_days(survey: Survey, today: dt.date) -> tuple[dt.date, dt.date]:
    """The days of purchase a survey asks about today: those that are old enough, and not too old."""
    latest = months_ago(today, survey.months_after or 0)
    return latest - dt.timedelta(days=GRACE_DAYS), latest


def _registered(unit: Unit, survey: Survey, last: UUID | None) -> list[Registration]:
    first_day, last_day = due_days(survey, unit.reader.today())
    asked = exists().where(Invitation.registration_id == Registration.id, Invitation.survey_id == survey.id)
    where = [Registration.purchased_on > first_day, Registration.purchased_on <= last_day,
             Registration.archived_at.is_(None), ~asked]  # fmt: skip
    if last is not None:
        where.append(Registration.id > last)
    return unit.reader.all(Registration, *where, order=Registration.id, limit=AT_ONCE)


def _purchase(each: Registration) -> Purchase:
    return Purchase(each.customer_id, each.purchased_on, each.product_id, each.id, each.bought_at)


# The link ------------------------------------------------------------------------------------------------------------


def address(site: Site, invitation: Invitation) -> str:
    """The page where a customer answers. Nobody can make one up, and whoever has it needs no password."""
    return site.config.base_url.rstrip("/") + path(site, invitation)


def path(site: Site, invitation: Invitation) -> str:
    """The same without the site's name."""
    return PAGE + _signer(site).dumps(invitation.id.hex)


def invitation_of(reader: Reader, token: str) -> Invitation | None:
    """What a link asks; None for one that we did not make, or whose customer is gone."""
    try:
        invitation_id = UUID(_signer(reader.site).loads(token))
    except (BadSignature, ValueError, TypeError, AttributeError):
        return None
    return next(iter(reader.all(Invitation, Invitation.id == invitation_id, limit=1)), None)


def _signer(site: Site) -> URLSafeSerializer:
    return URLSafeSerializer(site.config.secret_key, salt="service-survey")


def language_of(customer: Customer) -> str:
    """The language a customer is written to in."""
    return customer.language if customer.language in LANGUAGES else "en"


# Answering -----------------------------------------------------------------------------------------------------------


def questions_of(reader: Reader, survey_id: UUID) -> list[Question]:
    """The questions of a survey, in order."""
    where = (Question.survey_id == survey_id, Question.archived_at.is_(None))
    return reader.all(Question, *where, order=(Question.position, Question.id), limit=50)


Values = dict[UUID, tuple[int | None, str]]
"""What was said to each question: a mark, or words."""


def read_form(questions: Sequence[Question], form: Mapping[str, str]) -> tuple[Values, dict[str, str]]:
    """What somebody filled in, and what is wrong with it by the name of the field."""
    values: Values = {}
    errors: dict[str, str] = {}
    for question in questions:
        name = f"q-{question.id}"
        typed = (form.get(name) or "").strip()
        if not typed:
            if question.required:
                errors[name] = _("Please answer this one.")
            continue
        if question.scale is not None:
            least, most = question.scale
            if not typed.isdecimal() or not least <= int(typed) <= most:
                errors[name] = _("Choose a mark from %(least)s to %(most)s.", least=least, most=most)
            else:
                values[question.id] = (int(typed), "")
        elif question.kind == "choice" and typed not in question.options:
            errors[name] = _("Choose one of the answers.")
        else:
            values[question.id] = (None, typed[:MAX_WORDS])
    if not values and not errors:
        errors[""] = _("Nothing is filled in yet.")
    return values, errors


def answer(unit: Unit, invitation: Invitation, values: Values, *, by: str) -> None:
    """Keep what a customer said, once, and see that a low mark reaches somebody. Invalid when it is no longer open."""
    if not invitation.open(unit.reader.today()):
        raise Invalid(Problem("state", _("cannot be answered any more: it was answered before, or the time is over.")))
    survey = unit.get(Survey, invitation.survey_id)
    answers = []
    for question_id, (mark, text) in values.items():
        made, problems = unit.build(Answer, {
            "invitation_id": invitation.id, "question_id": question_id, "mark": mark, "text": text,
        })  # fmt: skip
        if problems:
            raise Invalid(problems)
        answers.append(made)
    unit.session.add_all(answers)
    marks = [each.mark for each in answers if each.mark is not None]
    invitation.state, invitation.answered_on, invitation.answered_by = "answered", unit.reader.today(), by
    invitation.lowest = min(marks, default=None)
    served = [each.mark for each in answers if each.kind == "service" and each.mark is not None]
    if invitation.asked_case_id is not None and served:
        unit.get(Case, invitation.asked_case_id).satisfaction = served[0]
    unit.flush()
    if survey.low_action and invitation.lowest is not None and invitation.lowest <= survey.low_mark:
        _see_to_it(unit, survey, invitation, answers)


def decline(unit: Unit, invitation: Invitation) -> None:
    """They would rather not answer, and are not asked about this again."""
    if invitation.open(unit.reader.today()):
        invitation.state = "declined"
        unit.flush()


def _see_to_it(unit: Unit, survey: Survey, invitation: Invitation, answers: Sequence[Answer]) -> None:
    """A low mark becomes a case or a task of whoever sees to the survey, else of the customer's own person."""
    customer = unit.get(Customer, invitation.customer_id)
    owner = survey.owner_id or customer.owner_id
    subject = _("Not satisfied: %(name)s", name=invitation.name)
    words = _told(unit, answers)
    if survey.low_action == "case":
        case = unit.create(Case, {
            "customer_id": customer.id, "subject": subject, "description": words, "kind": "complaint",
            "priority": "high", **({"owner_id": owner} if owner else {}),
        })  # fmt: skip
        invitation.case_id = case.id
    else:
        unit.create(Task, {
            "title": subject, "note": words, "customer_id": customer.id, "owner_id": owner, "priority": "high",
            "due_on": unit.reader.today() + dt.timedelta(days=1), "about_entity": Invitation.meta.name,
            "about_id": invitation.id,
        })  # fmt: skip
    invitation.loop = "open"
    unit.flush()


def _told(unit: Unit, answers: Sequence[Answer]) -> str:
    texts = unit.reader.titles(Question, [each.question_id for each in answers])
    said = ((texts.get(each.question_id, ""), each.text if each.mark is None else str(each.mark)) for each in answers)
    return "\n".join(f"{_(question)} {answer}" for question, answer in said)


# The loop ------------------------------------------------------------------------------------------------------------


def clear(unit: Unit, invitation: Invitation, result: str, *, tell_customer: bool) -> Message | None:
    """What came of a low mark: kept, told to those who make the product, and to the customer where that is wanted."""
    invitation.loop = "closed"
    unit.update(invitation, {"result": result})
    survey = unit.get(Survey, invitation.survey_id)
    if survey.product_team_id is not None:
        _tell_team(unit, survey.product_team_id, invitation)
    if not tell_customer:
        return None
    customer = unit.get(Customer, invitation.customer_id)
    if not _reached(unit.site, survey, customer):
        return None
    with unit.site.speaking(language_of(customer)):
        draft = Draft(
            survey.channel, customer, "service", subject=_("What we did about your answer"), about=invitation,
            body=_("Hello %(name)s,\n\nthank you for telling us. This came of it:\n\n%(result)s", name=customer.name,
                   result=result),
        )  # fmt: skip
    return send_many(unit, [draft])[0]


def _tell_team(unit: Unit, team_id: UUID, invitation: Invitation) -> None:
    people = select(User).join(Membership, Membership.user_id == User.id).where(
        Membership.team_id == team_id, User.active.is_(True), User.archived_at.is_(None)
    )  # fmt: skip
    for user in unit.session.scalars(people.order_by(User.id), execution_options=SCOPED):
        with unit.site.speaking(user.language if user.language in LANGUAGES else "en"):
            subject = _("A customer was not satisfied: %(name)s", name=invitation.name)
            text = f"{invitation.result}\n\n{unit.site.config.base_url.rstrip('/')}/service.invitation/{invitation.id}"
        mail_user(unit, user.email, subject, text)


def mail_user(unit: Unit, to: str, subject: str, text: str) -> None:
    """A mail to one of us, which goes out if this unit commits."""
    if unit.site.config.mail_url and to:
        arguments = {"to": to, "subject": subject, "text": text, "message_id": make_msgid(domain="rapport.invalid")}
        enqueue_job(unit.session.connection(), "core.mail", arguments, actor=system("service"))


def follow_cases(unit: Unit, changes: Sequence[Logged]) -> None:
    """A case that is solved clears what it was opened for; whoever asks about solved cases asks about this one."""
    solved = [each.record_id for each in changes if _solved(each)]
    if not solved:
        return
    opened = unit.reader.all(Invitation, Invitation.case_id.in_(solved))
    for invitation in opened:
        if invitation.loop == "open":
            invitation.loop = "closed"
            invitation.result = invitation.result or _("The case was solved.")
    unit.flush()
    after = (Survey.after_case.is_(True), Survey.active.is_(True), Survey.archived_at.is_(None))
    surveys = unit.reader.all(Survey, *after)
    if not surveys:
        return
    answered = {invitation.case_id for invitation in opened}  # nobody is asked how we took their last answer
    found = [case for case in unit.reader.all(Case, Case.id.in_(solved), Case.merged_into_id.is_(None))
             if case.id not in answered]  # fmt: skip
    for survey in surveys:
        invite(unit, survey, [Purchase(case.customer_id, None, case.product_id, case_id=case.id) for case in found])


def _solved(change: Logged) -> bool:
    before, after = change.changes.get("status", ("", ""))
    return change.action == "updated" and after in DONE and before not in DONE
