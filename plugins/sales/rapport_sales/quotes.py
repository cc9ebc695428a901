"""Quotes: what we offer a customer, at which price and until when; in versions, with an answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from rapport_products import CURRENCY_HELP, tidy_currency
from sqlalchemy import Index, UniqueConstraint, inspect, select
from sqlalchemy.orm import Mapped, Session

from rapport import LANGUAGES as SPOKEN
from rapport import (
    Choice,
    Customer,
    Entity,
    Invalid,
    Owned,
    Problem,
    Task,
    Unit,
    User,
    field,
    known_currency,
    ref,
    setting_of,
    utcnow,
)
from rapport import gettext as _
from rapport_sales import orders
from rapport_sales.entities import LANGUAGES, PART_OF_OPPORTUNITY, WORK, Line, Opportunity
from rapport_sales.lines import Priced, add_up, copied
from rapport_sales.numbers import next_numbers
from rapport_sales.service import win

STATUS = [
    Choice("draft", "Draft", "secondary"),
    Choice("approval", "Waiting for approval", "orange"),
    Choice("approved", "Approved", "teal"),
    Choice("sent", "Sent", "blue"),
    Choice("accepted", "Accepted", "green"),
    Choice("declined", "Declined", "red"),
    Choice("replaced", "Replaced", "secondary"),
]
FIXED = ("currency", "price_book_id", "subject", "text", "terms", "valid_until", "language")
"""What stays as it is once a quote is no draft any more: the customer has seen it."""


class Quote(Owned, Entity, name="sales.quote", title="Quote", icon="file-text",
            roles={**WORK, "portal": "read"}, display="name"):  # fmt: skip
    """What we offer: lines with prices, until a day. What was sent is kept; a change is a new version."""

    __table_args__ = (
        UniqueConstraint("number", "revision"),
        Index("ix_sales_quote_status", "status", "valid_until"),
        Index("ix_sales_quote_customer", "customer_id", "status"),
        Index("ix_sales_quote_mine", "owner_id", "status"),
    )

    name: Mapped[str] = field(label="Quote", default="", readonly=True, searchable=True, in_list=True)
    number: Mapped[str | None] = field(label="Number", readonly=True, indexed=True)
    revision: Mapped[int] = field(label="Revision", default=1, readonly=True)
    subject: Mapped[str] = field(
        label="Subject", default="", searchable=True, in_list=True, help="Left empty, it is the opportunity’s name."
    )
    customer_id: Mapped[UUID] = ref("customer", label="Customer", on_delete="RESTRICT", in_list=True)
    contact_id: Mapped[UUID | None] = ref("customer", label="Contact person", help="Who gets it.")
    opportunity_id: Mapped[UUID | None] = ref("sales.opportunity", label="Opportunity")
    status: Mapped[str] = field(label="Status", choices=STATUS, default="draft", readonly=True, in_list=True)
    total: Mapped[Decimal] = field(
        label="Total", kind="money", currency="currency", default=Decimal(0), readonly=True, in_list=True
    )
    valid_until: Mapped[dt.date | None] = field(
        label="Valid until", in_list=True, section="Offer", help="The last day on which it can be accepted."
    )
    currency: Mapped[str] = field(label="Currency", default="", max_length=3, section="Offer", help=CURRENCY_HELP)
    price_book_id: Mapped[UUID | None] = ref("products.price_book", label="Price book", section="Offer")
    language: Mapped[str] = field(
        label="Language", choices=LANGUAGES, default="", section="Offer",
        help="Of the paper and of the page on which it is accepted. Left empty, it is the customer’s.",
    )  # fmt: skip
    text: Mapped[str] = field(
        label="Text before the lines", kind="longtext", default="", section="Offer", help="Seen by the customer."
    )
    terms: Mapped[str] = field(
        label="Text after the lines", kind="longtext", default="", section="Offer",
        help="Terms of payment and delivery, and whatever else counts. Seen by the customer.",
    )  # fmt: skip
    campaign: Mapped[str] = field(
        label="Campaign", default="", indexed=True, section="Offer", help="The code of the campaign that brought it."
    )
    regular: Mapped[Decimal] = field(
        label="Regular total", kind="money", currency="currency", default=Decimal(0), readonly=True, section="Figures",
        help="Without any discount.",
    )  # fmt: skip
    discount: Mapped[Decimal] = field(
        label="Discount in %", default=Decimal(0), readonly=True, section="Figures",
        help="How much less the total is than at the prices of price book or list.",
    )  # fmt: skip
    cost: Mapped[Decimal] = field(
        label="Cost", kind="money", currency="currency", default=Decimal(0), readonly=True, section="Figures"
    )
    file: Mapped[UUID | None] = field(label="As it was sent", kind="file", readonly=True, section="Answer")
    sent_at: Mapped[dt.datetime | None] = field(label="Sent", readonly=True, section="Answer")
    answered_at: Mapped[dt.datetime | None] = field(label="Answered", readonly=True, section="Answer")
    answered_by: Mapped[str] = field(label="Answered by", default="", readonly=True, section="Answer")
    answered_from: Mapped[str] = field(
        label="Answered from", default="", readonly=True, section="Answer", help="The address of the computer."
    )
    answer_note: Mapped[str] = field(
        label="What they said", kind="longtext", default="", readonly=True, section="Answer"
    )

    @property
    def is_open(self) -> bool:
        """Whether it may still be written."""
        return self.status == "draft"

    def complete(self, session: Session) -> None:
        """What is left empty follows from opportunity, customer and settings."""
        self.currency = tidy_currency(session, self.currency)
        if inspect(self).persistent:
            if inspect(self).attrs["currency"].history.has_changes() and self.is_open:
                for line in session.scalars(select(QuoteLine).where(QuoteLine.quote_id == self.id)):
                    line.currency = self.currency
            return
        if self.opportunity_id and not self.subject:
            opportunity = session.get(Opportunity, self.opportunity_id)
            self.subject = opportunity.name if opportunity is not None else ""
        if not self.language:
            for customer_id in (self.contact_id, self.customer_id):
                customer = session.get(Customer, customer_id) if customer_id else None
                self.language = self.language or (customer.language if customer is not None else "")
        if self.valid_until is None and (days := setting_of(session, "sales.quote_days")):
            self.valid_until = utcnow().date() + dt.timedelta(days=days)

    def prepare(self) -> None:
        """Its name is the number, with the version from the second on; its discount follows from the totals."""
        self.name = "" if self.number is None else self.number + (f"/{self.revision}" if self.revision > 1 else "")
        less = (self.regular - self.total) * 100 / self.regular if self.regular else Decimal(0)
        self.discount = less.quantize(Decimal("0.01"))

    def validate(self) -> Sequence[Problem]:
        """What the customer has seen does not change behind their back."""
        problems = known_currency(self.currency)
        state = inspect(self)
        if not state.persistent:
            return problems
        before = state.attrs["status"].history.deleted
        if (before[0] if before else self.status) != "draft":
            changed = [name for name in FIXED if state.attrs[name].history.has_changes()]
            told = _("cannot change any more: the quote is no draft. Revise it: that makes the next version.")
            problems += [Problem(name, told) for name in changed]
        return problems

    @classmethod
    def follow_up(cls, records: Sequence[Quote], session: Session) -> None:
        """Number those that have no number yet: only now is it sure that they are kept."""
        _number(session, cls, "Q", records)


class QuoteLine(Priced, Entity, name="sales.quote_line", title="Line of a quote", plural="Lines of quotes",
                icon="list-details", roles=PART_OF_OPPORTUNITY, listed=False, display="description"):  # fmt: skip
    """A product within a quote: how many, at which price, less which discount."""

    PARENT: ClassVar[str] = "quote_id"

    quote_id: Mapped[UUID] = ref("sales.quote", label="Quote")

    def parent(self, session: Session) -> Quote | None:
        """Its quote."""
        return session.get(Quote, self.quote_id)

    @classmethod
    def follow_up(cls, records: Sequence[QuoteLine], session: Session) -> None:
        """A quote is the total of its lines."""
        add_up(session, Quote, QuoteLine, {line.quote_id for line in records})


def _number(session: Session, entity: Any, kind: str, records: Sequence[Any]) -> None:
    ids = [record.id for record in records]
    bare = session.scalars(select(entity).where(entity.id.in_(ids), entity.number.is_(None)).order_by(entity.id)).all()
    for record, number in zip(bare, next_numbers(session, kind, len(bare)) if bare else (), strict=True):
        record.number = number


# From the opportunity to the order -----------------------------------------------------------------------------------


def lines_of(session: Session, quote: Quote) -> Sequence[QuoteLine]:
    """The lines of a quote, in order. Who may see the quote may see them."""
    statement = select(QuoteLine).where(QuoteLine.quote_id == quote.id, QuoteLine.archived_at.is_(None))
    ordered = statement.order_by(QuoteLine.position, QuoteLine.id)
    return session.scalars(ordered, execution_options={"rapport_scoped": True}).all()


def quote_for(unit: Unit, opportunity: Opportunity) -> Quote:
    """A quote of an opportunity with its lines; without lines, of its main product or its amount."""
    quote = unit.create(Quote, {
        "customer_id": opportunity.customer_id, "contact_id": opportunity.contact_id, "opportunity_id": opportunity.id,
        "currency": opportunity.currency, "price_book_id": opportunity.price_book_id, "subject": opportunity.name,
        "campaign": opportunity.campaign, "owner_id": opportunity.owner_id, "team_id": opportunity.team_id,
    })  # fmt: skip
    lines = [copied(line) for line in unit.reader.all(
        Line, Line.opportunity_id == opportunity.id, Line.archived_at.is_(None), order=Line.position)]  # fmt: skip
    if not lines and (opportunity.product_id or opportunity.amount):
        lines = [{"product_id": opportunity.product_id, "price": opportunity.amount,
                  "description": "" if opportunity.product_id else opportunity.name}]  # fmt: skip
    for values in lines:
        unit.create(QuoteLine, {"quote_id": quote.id, **values})
    return quote


def revise(unit: Unit, quote: Quote) -> Quote:
    """The next version of a quote, a draft; the one before is kept, and cannot be accepted any more."""
    if quote.status in {"draft", "replaced", "accepted"}:
        raise Invalid(Problem("status", {
            "draft": _("is “Draft”: change the quote itself."),
            "replaced": _("is “Replaced”: revise the newest version."),
            "accepted": _("is “Accepted”: make the order, and change that."),
        }[quote.status]))  # fmt: skip
    unit.update(quote, {})
    made, problems = unit.build(Quote, {
        **{name: getattr(quote, name) for name in ("customer_id", "contact_id", "opportunity_id", "subject", "currency",
           "price_book_id", "language", "text", "terms", "campaign", "owner_id", "team_id")},
        "number": quote.number, "revision": quote.revision + 1,
    })  # fmt: skip
    if problems:
        raise Invalid(problems)
    unit.session.add(made)
    quote.status = "replaced"
    unit.flush()
    for line in lines_of(unit.session, quote):
        unit.create(QuoteLine, {"quote_id": made.id, **copied(line)})
    return made


def limit_of(session: Session) -> Decimal:
    """From which discount on somebody has to approve."""
    return Decimal(str(setting_of(session, "sales.discount_limit")))


def obstacles(session: Session, quote: Quote) -> list[Problem]:
    """Why a quote cannot go out."""
    problems = []
    if quote.status not in {"draft", "approved"}:
        problems.append(Problem("status", _("is not “Draft” or “Approved”. Revise the quote to send it anew.")))
    if not lines_of(session, quote):
        problems.append(Problem(None, _("The quote has no lines yet. Add what is offered.")))
    if quote.valid_until is not None and quote.valid_until < utcnow().date():
        problems.append(Problem("valid_until", _("is past. Choose a day to come.")))
    if quote.status == "draft" and quote.discount > limit_of(session):
        told = _("is more than %(limit)s: ask for approval before it is sent.", limit=f"{limit_of(session):f} %")
        problems.append(Problem("discount", told))
    return problems


def ask_approval(unit: Unit, quote: Quote) -> None:
    """Have the discount decided; the workflow of approvals asks those who may."""
    if quote.status != "draft":
        raise Invalid(Problem("status", _("is not “Draft”.")))
    if not lines_of(unit.session, quote):
        raise Invalid(Problem(None, _("The quote has no lines yet. Add what is offered.")))
    unit.update(quote, {})
    quote.status = "approval"
    unit.flush()


def decided(unit: Unit, quote: Quote, *, approved: bool) -> None:
    """The discount was approved, or the quote goes back to whoever wrote it."""
    if quote.status == "approval":
        quote.status = "approved" if approved else "draft"
        unit.flush()


def newest(session: Session, quote: Quote) -> bool:
    """Whether there is no later version."""
    later = select(Quote.id).where(Quote.number == quote.number, Quote.revision > quote.revision).limit(1)
    return session.scalar(later, execution_options={"rapport_scoped": True}) is None


def is_expired(quote: Quote) -> bool:
    """Whether its last day has passed."""
    return quote.valid_until is not None and quote.valid_until < utcnow().date()


def can_be_answered(session: Session, quote: Quote) -> bool:
    """Sent, the newest version, and still valid."""
    return quote.status == "sent" and quote.archived_at is None and not is_expired(quote) and newest(session, quote)


def answer(
    unit: Unit, quote: Quote, *, accepted: bool, by: str, note: str = "", address: str = "", task: bool = True
) -> None:
    """Keep what the customer said, who said it, when, and from where. Invalid when it is too late for that."""
    if not can_be_answered(unit.session, quote):
        raise Invalid(Problem("status", _("cannot change: only the newest version of a quote that was sent and is "
                                          "still valid can be accepted or declined.")))  # fmt: skip
    quote.status = "accepted" if accepted else "declined"
    quote.answered_at, quote.answered_by, quote.answered_from = utcnow(), by[:200], address[:100]
    quote.answer_note = note[:4000]
    unit.flush()
    if task:
        with unit.site.speaking(_language_of_owner(unit, quote)):  # here it is the customer's that is spoken
            told = _("%(quote)s was accepted: make the order") if accepted else _("%(quote)s was declined: ask why")
        unit.session.add(
            Task(title=told % {"quote": quote.name}, note=note[:4000], customer_id=quote.customer_id,
                 owner_id=quote.owner_id, team_id=quote.team_id, due_on=utcnow().date(),
                 about_entity="sales.quote", about_id=quote.id)
        )  # fmt: skip
        unit.flush()


def _language_of_owner(unit: Unit, quote: Quote) -> str:
    known = unit.session.scalar(select(User.language).where(User.id == quote.owner_id),
                                execution_options={"rapport_scoped": True})  # fmt: skip
    return known if known is not None and known in SPOKEN else unit.site.config.language


def order_of(unit: Unit, quote: Quote) -> orders.Order:
    """The order of an accepted quote, with its lines; its opportunity is won. Once: a second time gives the same."""
    if quote.status != "accepted":
        raise Invalid(Problem("status", _("is not “Accepted”: an order follows from a quote that was accepted.")))
    theirs = (orders.Order.quote_id == quote.id, orders.Order.status != "cancelled")
    known = unit.reader.all(orders.Order, *theirs, limit=1)
    if known:
        return known[0]
    order = unit.create(orders.Order, {
        **{name: getattr(quote, name) for name in ("customer_id", "contact_id", "opportunity_id", "subject", "currency",
           "price_book_id", "campaign", "owner_id", "team_id")},
        "quote_id": quote.id,
    })  # fmt: skip
    for line in lines_of(unit.session, quote):
        unit.create(orders.OrderLine, {"order_id": order.id, **copied(line)})
    opportunity = unit.session.get(Opportunity, quote.opportunity_id) if quote.opportunity_id else None
    if opportunity is not None and opportunity.closed_on is None:
        win(unit, opportunity, amount=quote.total)
    return order


def forget(customer: Customer, session: Session) -> None:
    """Of an erased customer keep what was offered and sold, and not who answered, from where and with which words."""
    scoped = {"rapport_scoped": True}
    offered = select(Quote).where((Quote.customer_id == customer.id) | (Quote.contact_id == customer.id))
    for quote in session.scalars(offered, execution_options=scoped):
        quote.answered_by = quote.answered_from = quote.answer_note = ""
        quote.file = None
    order = orders.Order
    ordered = select(order).where((order.customer_id == customer.id) | (order.contact_id == customer.id))
    for each in session.scalars(ordered, execution_options=scoped):
        each.address, each.note = {}, ""
