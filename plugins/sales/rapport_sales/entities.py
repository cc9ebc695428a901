"""What sales keeps records of: leads, and opportunities with their lines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from rapport_products import CURRENCY_HELP, Product, find_price, tidy_currency
from sqlalchemy import Index, func, inspect, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    Choice,
    Customer,
    Entity,
    Owned,
    Problem,
    Stage,
    Staged,
    field,
    known_currency,
    not_negative,
    ref,
    setting_of,
    utcnow,
)
from rapport import gettext as _
from rapport_sales import rating

WORK = {
    "manager": "read create update delete export import",
    "member": "read create update:team delete:own export import",
    "viewer": "read",
}
PART_OF_OPPORTUNITY = {
    "manager": "read create update delete export import",
    "member": "read create update delete export",
    "viewer": "read",
}
LANGUAGES = [
    Choice("", "Unknown"),
    Choice("en", "English"),
    Choice("fr", "French"),
    Choice("fa", "Persian"),
    Choice("he", "Hebrew"),
    Choice("zh", "Chinese"),
]
REASONS = [
    Choice("", "Not said"),
    Choice("price", "Price", "orange"),
    Choice("fit", "How well it fits", "azure"),
    Choice("relationship", "Relationship and trust", "teal"),
    Choice("delivery", "Delivery time", "yellow"),
    Choice("competitor", "Competitor", "red"),
    Choice("budget", "Budget", "pink"),
    Choice("no_decision", "No decision", "purple"),
    Choice("no_answer", "No answer any more", "secondary"),
    Choice("other", "Other", "secondary"),
]
FORECASTS = [
    Choice("", "By its probability"),
    Choice("pipeline", "Pipeline", "azure"),
    Choice("best_case", "Best case", "indigo"),
    Choice("commit", "Commit", "teal"),
    Choice("omitted", "Left out", "secondary"),
]


class Lead(Owned, Entity, name="sales.lead", title="Lead", icon="user-search", roles=WORK, display="name"):
    """Somebody who may want something: not yet a customer, and perhaps never one."""

    past_log = True  # scores and territories, all at once

    __table_args__ = (
        Index("ix_sales_lead_status", "status", "created_at"),
        Index("ix_sales_lead_mine", "owner_id", "status", "created_at"),
        Index("ix_sales_lead_score", "score", "id"),
    )

    name: Mapped[str] = field(
        label="Name", default="", searchable=True, in_list=True, aliases=["contact", "full_name"],
        help="Of the person. Left empty, it is the company’s.",
    )  # fmt: skip
    company: Mapped[str] = field(
        label="Company", default="", searchable=True, in_list=True, aliases=["account", "organisation", "organization"]
    )
    job_title: Mapped[str] = field(label="Job title", default="", aliases=["position", "role"])
    email: Mapped[str] = field(label="E-mail", kind="email", default="", indexed=True, searchable=True, in_list=True)
    phone: Mapped[str] = field(label="Phone", kind="phone", default="", indexed=True, searchable=True)
    language: Mapped[str] = field(label="Language", choices=LANGUAGES, default="")
    address: Mapped[dict[str, str]] = field(label="Address", kind="address", default=dict)
    industry: Mapped[str] = field(label="Industry", default="", aliases=["sector"])
    status: Mapped[str] = field(
        label="Status",
        choices=[
            Choice("new", "New", "azure"),
            Choice("working", "In conversation", "blue"),
            Choice("qualified", "Qualified", "teal"),
            Choice("unqualified", "Not suitable", "secondary"),
            Choice("converted", "Converted", "green"),
        ],
        default="new",
        in_list=True,
        section="Interest",
    )
    rating: Mapped[str] = field(
        label="Rating",
        choices=[
            Choice("", "Unrated"),
            Choice("hot", "Hot", "red"),
            Choice("warm", "Warm", "orange"),
            Choice("cold", "Cold", "blue"),
        ],
        default="",
        in_list=True,
        section="Interest",
    )
    source: Mapped[str] = field(
        label="Source", default="", indexed=True, in_list=True, section="Interest", aliases=["lead_source", "origin"],
        help="Where they heard of us: website, fair, recommendation …",
    )  # fmt: skip
    campaign: Mapped[str] = field(
        label="Campaign", default="", indexed=True, section="Interest", help="The code of the campaign that brought it."
    )
    interest: Mapped[str] = field(label="Interested in", default="", searchable=True, section="Interest")
    note: Mapped[str] = field(label="Note", kind="longtext", default="", section="Interest")
    customer_id: Mapped[UUID | None] = ref(
        "customer", label="Customer", help="Of somebody who is a customer already. Otherwise converting fills it in."
    )
    score: Mapped[int | None] = field(label="Score", readonly=True, in_list=True, section="Result")
    territory_id: Mapped[UUID | None] = ref("sales.territory", label="Territory", readonly=True, section="Result")
    assignment: Mapped[str] = field(label="Why this owner", default="", readonly=True, section="Result")
    converted_at: Mapped[dt.datetime | None] = field(label="Converted", readonly=True, section="Result")
    contact_id: Mapped[UUID | None] = ref("customer", label="Contact person", readonly=True, section="Result")
    opportunity_id: Mapped[UUID | None] = ref("sales.opportunity", readonly=True, section="Result")

    def complete(self, session: Session) -> None:
        """Score it, say in whose territory it lies, and why its owner has it."""
        rating.rate(self, session)
        made = vars(self).pop(rating.ASSIGNED, None)
        if made is not None:
            self.assignment, self.team_id = made.why, self.team_id or made.team_id
        elif inspect(self).persistent and inspect(self).attrs["owner_id"].history.has_changes():
            self.assignment = ""
        if not self.name and self.customer_id and (customer := session.get(Customer, self.customer_id)):
            self.name = customer.name

    def prepare(self) -> None:
        """Every lead can be called something."""
        self.name = self.name or self.company or self.email or self.phone

    def validate(self) -> Sequence[Problem]:
        """A lead has a name or a way to find one out, and is converted only by converting it."""
        problems = []
        if not self.name:
            problems.append(Problem("name", _("is missing. Give a name, a company, an e-mail or a phone.")))
        if (self.status == "converted") != (self.converted_at is not None):
            told = _("cannot be changed any more: the lead has been converted.") if self.converted_at else (
                _("becomes “Converted” by converting the lead: use the button Convert.")
            )  # fmt: skip
            problems.append(Problem("status", told))
        return problems


class Opportunity(
    Owned, Staged, Entity, name="sales.opportunity", title="Opportunity", plural="Opportunities", icon="target-arrow",
    roles=WORK, display="name",
):  # fmt: skip
    """What a customer may buy: how much, how likely, by when, and what to do next."""

    __table_args__ = (
        Index("ix_sales_opportunity_board", "stage_id", "expected_close_on", "id"),
        Index("ix_sales_opportunity_ageing", "stage_id", "stage_entered_at"),
        Index("ix_sales_opportunity_mine", "owner_id", "stage_id", "next_step_on"),
        Index("ix_sales_opportunity_customer", "customer_id", "stage_id"),
        Index("ix_sales_opportunity_closed", "closed_on", "stage_id"),
        Index("ix_sales_opportunity_expected", "expected_close_on", "id"),
        Index("ix_sales_opportunity_amount", "amount", "id"),
        Index("ix_sales_opportunity_changed", "updated_at", "id"),
        Index(
            "ix_sales_opportunity_totals", "stage_id", "owner_id", "currency", "probability", "amount", "archived_at"
        ),
    )

    name: Mapped[str] = field(
        label="Name", default="", searchable=True, in_list=True, aliases=["opportunity", "deal", "deal_name"],
        help="Left empty, it is the product’s or the customer’s.",
    )  # fmt: skip
    customer_id: Mapped[UUID] = ref(
        "customer", in_list=True, on_delete="RESTRICT", aliases=["account", "company", "client"]
    )
    contact_id: Mapped[UUID | None] = ref("customer", label="Contact person", aliases=["contact"])
    stage_id: Mapped[UUID] = ref(
        "stage", label="Stage", on_delete="RESTRICT", in_list=True, aliases=["deal_stage", "stage_name", "phase"]
    )
    amount: Mapped[Decimal | None] = field(
        label="Amount", kind="money", currency="currency", in_list=True, aliases=["close_value", "value", "deal_value"],
        help="Where there are lines, it is their total.",
    )  # fmt: skip
    currency: Mapped[str] = field(label="Currency", default="", max_length=3, help=CURRENCY_HELP)
    probability: Mapped[int | None] = field(label="Probability in %", help="Left empty, it is the stage’s.")
    expected_close_on: Mapped[dt.date | None] = field(
        label="Expected close", in_list=True, aliases=["expected_close", "expected_close_date"]
    )
    next_step: Mapped[str] = field(label="Next step", default="", section="Next step")
    next_step_on: Mapped[dt.date | None] = field(label="Next step on", in_list=True, section="Next step")
    product_id: Mapped[UUID | None] = ref(
        "products.product", label="Main product", section="Offer", aliases=["product", "product_name"]
    )
    price_book_id: Mapped[UUID | None] = ref(
        "products.price_book", label="Price book", section="Offer",
        help="Whose prices new lines get. Left empty, it is the newest valid one in this currency.",
    )  # fmt: skip
    source: Mapped[str] = field(label="Source", default="", section="Offer", aliases=["lead_source", "origin"])
    campaign: Mapped[str] = field(
        label="Campaign", default="", indexed=True, section="Offer", help="The code of the campaign that brought it."
    )
    forecast: Mapped[str] = field(
        label="Forecast", choices=FORECASTS, default="", section="Offer",
        help="How far you commit yourself to it. Left empty, it follows from the probability.",
    )  # fmt: skip
    reference: Mapped[str] = field(
        label="Reference", default="", indexed=True, searchable=True, section="Offer",
        aliases=["opportunity_id", "deal_id"], help="The number another system knows it by.",
    )  # fmt: skip
    note: Mapped[str] = field(label="Note", kind="longtext", default="", section="Offer")
    started_on: Mapped[dt.date | None] = field(
        label="Started on", section="Result", aliases=["engage_date", "start_date"], help="The day work on it began."
    )
    closed_on: Mapped[dt.date | None] = field(
        label="Closed on", section="Result", aliases=["close_date", "won_date", "lost_date"]
    )
    reason: Mapped[str] = field(
        label="Reason", choices=REASONS, default="", section="Result", help="What decided that it was won or lost.",
        aliases=["loss_reason", "lost_reason", "win_reason"],
    )  # fmt: skip
    reason_note: Mapped[str] = field(label="More about the reason", kind="longtext", default="", section="Result")
    competitor: Mapped[str] = field(label="Competitor", default="", section="Result")
    owner_id: Mapped[UUID | None] = ref(
        "user", label="Owner", on_delete="SET NULL", in_list=True,
        aliases=["sales_agent", "sales_rep", "salesperson", "account_manager"],
    )  # fmt: skip

    def complete(self, session: Session) -> None:
        """Currency and dates follow the site's customs; the amount follows the lines."""
        self.currency = tidy_currency(session, self.currency)
        if inspect(self).persistent:
            self._keep_with_lines(session)
            return
        today = utcnow().date()
        self.started_on = self.started_on or today
        if stage_kinds(session).get(self.stage_id, "open") != "open":
            self.closed_on = self.closed_on or today
        elif self.expected_close_on is None and (days := setting_of(session, "sales.default_close_days")):
            self.expected_close_on = today + dt.timedelta(days=days)
        if not self.name:
            self.name = self._name_from(session)

    def validate(self) -> Sequence[Problem]:
        """Figures stay within what they mean."""
        problems = [*not_negative("amount", self.amount), *known_currency(self.currency)]
        if self.probability is not None and not 0 <= self.probability <= 100:
            problems.append(Problem("probability", _("must be between 0 and 100.")))
        if not self.name:
            problems.append(Problem("name", _("is missing.")))
        return problems

    def _name_from(self, session: Session) -> str:
        for entity, record_id in ((Product, self.product_id), (Customer, self.customer_id)):
            if record_id is not None and (record := session.get(entity, record_id)) is not None:
                return str(record)
        return ""

    def _keep_with_lines(self, session: Session) -> None:
        changed = inspect(self).attrs
        if changed["amount"].history.has_changes():
            total = session.scalar(select(func.sum(Line.total)).where(Line.opportunity_id == self.id))
            self.amount = self.amount if total is None else total
        if changed["currency"].history.has_changes():
            for line in session.scalars(select(Line).where(Line.opportunity_id == self.id)):
                line.currency = self.currency


class Line(
    Entity, name="sales.line", title="Line", icon="list-details", roles=PART_OF_OPPORTUNITY, listed=False,
    display="description",
):  # fmt: skip
    """A product within an opportunity: how many, at which price, less which discount."""

    opportunity_id: Mapped[UUID] = ref("sales.opportunity", label="Opportunity")
    product_id: Mapped[UUID | None] = ref("products.product", label="Product")
    description: Mapped[str] = field(
        label="Description", default="", in_list=True, help="Left empty, it is the product’s name."
    )
    quantity: Mapped[Decimal] = field(label="Quantity", default=Decimal(1), in_list=True)
    price: Mapped[Decimal | None] = field(
        label="Price", kind="money", currency="currency", in_list=True,
        help="Of one unit. Left empty, it comes from the price book, else the product’s list price.",
    )  # fmt: skip
    discount: Mapped[Decimal] = field(label="Discount in %", default=Decimal(0))
    total: Mapped[Decimal] = field(
        label="Total", kind="money", currency="currency", default=Decimal(0), readonly=True, in_list=True
    )
    currency: Mapped[str] = field(label="Currency", default="", readonly=True)
    position: Mapped[int] = field(label="Position", default=0)

    def complete(self, session: Session) -> None:
        """Take the currency from the opportunity, the words and the price from the product."""
        opportunity = session.get(Opportunity, self.opportunity_id)
        if opportunity is None:
            return
        self.currency = opportunity.currency
        product = session.get(Product, self.product_id) if self.product_id else None
        if product is None:
            return
        self.description = self.description or product.name
        if self.price is None:
            self.price = find_price(
                session, product, self.quantity, price_book_id=opportunity.price_book_id, on=utcnow().date(),
                currency=self.currency,
            )  # fmt: skip

    def prepare(self) -> None:
        """Quantity times price, less the discount, to the cent."""
        kept = (self.price or Decimal(0)) * self.quantity * (100 - self.discount) / 100
        self.total = kept.quantize(Decimal("0.01"))

    def validate(self) -> Sequence[Problem]:
        """A line is about something, and its figures make sense."""
        problems = [*not_negative("price", self.price)]
        if not self.description:
            problems.append(Problem("description", _("is missing. Name a product, or describe what is offered.")))
        if self.price is None:
            problems.append(Problem("price", _("is missing: neither price book nor product has one in this currency.")))
        if self.quantity <= 0:
            problems.append(Problem("quantity", _("must be more than 0.")))
        if not 0 <= self.discount <= 100:
            problems.append(Problem("discount", _("must be between 0 and 100.")))
        if inspect(self).persistent and inspect(self).attrs["opportunity_id"].history.deleted:
            problems.append(Problem("opportunity_id", _("cannot change. Add a line to the other opportunity instead.")))
        return problems

    @classmethod
    def follow_up(cls, records: Sequence[Line], session: Session) -> None:
        """An opportunity's amount is the total of its lines; without the last of them it stays as it was."""
        ids = {line.opportunity_id for line in records}
        sums = session.execute(
            select(Line.opportunity_id, func.sum(Line.total))
            .where(Line.opportunity_id.in_(ids))
            .group_by(Line.opportunity_id)
        )
        totals: Mapping[UUID, Decimal] = {row[0]: row[1] for row in sums}
        for opportunity in session.scalars(select(Opportunity).where(Opportunity.id.in_(totals))):
            if opportunity.amount != totals[opportunity.id]:
                opportunity.amount = totals[opportunity.id]


class Turn(Entity, name="sales.turn", title="Turn", icon="repeat", roles={}, listed=False):
    """Whose turn it is to get the next lead: how many a team has taken in rotation. Written only by `next_in_turn`."""

    past_log = True  # it counts in a statement of its own

    team_id: Mapped[UUID] = ref("team", unique=True, readonly=True)
    taken: Mapped[int] = field(label="Taken", default=0, readonly=True)


# Rules that several share --------------------------------------------------------------------------------------------


def stage_kinds(session: Session) -> Mapping[UUID, str]:
    """open, won or lost, by stage. There are few stages, and they hold still during a unit of work."""
    known: dict[UUID, str] | None = session.info.get("sales.stage_kinds")
    if known is None:
        rows = session.execute(select(Stage.id, Stage.kind))
        known = session.info["sales.stage_kinds"] = {row.id: row.kind for row in rows}
    return known
