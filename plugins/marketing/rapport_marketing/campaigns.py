"""Campaigns: what is planned, with whom, for how much, what it cost, who answered, and what was sold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, func, inspect, select
from sqlalchemy.orm import Mapped, Session

from rapport import Choice, Entity, Owned, Problem, field, known_currency, not_negative, ref, setting_of, utcnow
from rapport import gettext as _
from rapport_marketing.common import (
    CURRENCY_HELP,
    DECIDED,
    PART,
    WORK,
    in_order,
    tidy_currency,
)

STATUS = [
    Choice("planned", "Planned", "azure"),
    Choice("running", "Running", "green"),
    Choice("finished", "Finished", "secondary"),
    Choice("cancelled", "Cancelled", "muted"),
]
BUDGET_STATES = [
    Choice("none", "Not asked for"),
    Choice("asked", "Asked for", "yellow"),
    Choice("approved", "Approved", "green"),
    Choice("rejected", "Rejected", "red"),
]
COSTS = [
    Choice("list", "Lists and data", "purple"),
    Choice("design", "Design", "pink"),
    Choice("print", "Printing", "azure"),
    Choice("postage", "Postage", "blue"),
    Choice("media", "Advertising", "orange"),
    Choice("calls", "Calls", "teal"),
    Choice("event", "Events", "yellow"),
    Choice("agency", "Agencies", "indigo"),
    Choice("other", "Other", "secondary"),
]
RESPONSES = [
    Choice("reply", "Answer", "azure"),
    Choice("call", "Call", "teal"),
    Choice("form", "Form", "green"),
    Choice("visit", "Visit", "indigo"),
    Choice("registration", "Registration", "purple"),
    Choice("order", "Order", "green"),
    Choice("no_interest", "No interest", "secondary"),
    Choice("complaint", "Complaint", "red"),
]
NO_INTEREST = ("no_interest", "complaint")
"""Answers too, but none that one hopes for: they do not count as responses of a campaign."""
OVER_BUDGET = ("show", "refuse")


class Campaign(
    Owned, Entity, name="marketing.campaign", title="Campaign", icon="speakerphone", roles=WORK, display="name",
):  # fmt: skip
    """One effort to win, sell or keep: with a team, dates, a budget, and a code that everything it brings carries."""

    __table_args__ = (Index("ix_marketing_campaign_dates", "planned_from", "planned_to"),)

    name: Mapped[str] = field(label="Name", searchable=True, in_list=True, aliases=["campaign"])
    code: Mapped[str] = field(
        label="Code", unique=True, searchable=True, in_list=True, max_length=60, default="", aliases=["campaign_code"],
        help="Short, such as SKIMMER26: leads, calls and orders name it. Left empty, it is made from the name.",
    )  # fmt: skip
    status: Mapped[str] = field(label="Status", choices=STATUS, default="planned", in_list=True)
    goal: Mapped[str] = field(label="Goal", kind="longtext", default="", help="What it is for, and how one will know.")
    planned_from: Mapped[dt.date | None] = field(label="Planned from", in_list=True, section="Dates")
    planned_to: Mapped[dt.date | None] = field(label="Planned to", in_list=True, section="Dates")
    actual_from: Mapped[dt.date | None] = field(label="Began", section="Dates")
    actual_to: Mapped[dt.date | None] = field(label="Ended", section="Dates")
    budget: Mapped[Decimal | None] = field(
        label="Budget", kind="money", currency="currency", in_list=True, section="Money"
    )
    currency: Mapped[str] = field(label="Currency", default="", max_length=3, section="Money", help=CURRENCY_HELP)
    year: Mapped[str | None] = field(
        label="Budget year", max_length=20, section="Money",
        help="Whose annual budget pays: 2026, or 2026/27. Left empty: the year it begins.",
    )  # fmt: skip
    budget_state: Mapped[str] = field(
        label="Budget is", choices=BUDGET_STATES, default="none", readonly=True, section="Money"
    )
    budget_note: Mapped[str] = field(
        label="Compared with the annual budget", kind="longtext", default="", readonly=True, section="Money"
    )
    approver_id: Mapped[UUID | None] = ref(
        "user", label="Approves the budget", on_delete="SET NULL", section="Money", help="Left empty: a manager."
    )
    director_id: Mapped[UUID | None] = ref(
        "user", label="Approves the design", on_delete="SET NULL", section="Design",
        help="Asked after the owner of the campaign has chosen. Left empty: a manager.",
    )  # fmt: skip

    def prepare(self) -> None:
        """A code is one word in capitals."""
        self.code = "-".join((self.code or self.name or "").upper().split())[:60]

    def complete(self, session: Session) -> None:
        """Currency and budget year follow from what is known; another budget has to be asked for anew."""
        self.currency = tidy_currency(session, self.currency)
        if self.year is None:
            self.year = str((self.planned_from or utcnow().date()).year)
        state: Any = inspect(self)
        if not state.persistent:
            return
        asked = state.attrs["budget_state"].history
        if state.attrs["budget"].history.has_changes() and not asked.has_changes() and self.budget_state != "none":
            self.budget_state, self.budget_note = "none", ""

    def validate(self) -> Sequence[Problem]:
        """Its figures make sense, and its code stays: orders and messages know it by that."""
        problems = [
            *not_negative("budget", self.budget), *known_currency(self.currency),
            *in_order("planned_from", self.planned_from, "planned_to", self.planned_to),
            *in_order("actual_from", self.actual_from, "actual_to", self.actual_to),
        ]  # fmt: skip
        state: Any = inspect(self)
        if state.persistent and state.attrs["code"].history.deleted:
            problems.append(Problem("code", _("cannot change any more: leads, messages and orders name it.")))
        return problems


class TeamMember(
    Entity, name="marketing.team_member", title="Member of the team", plural="Team", icon="users", roles=PART,
    listed=False, display="role",
):  # fmt: skip
    """Somebody who works on a campaign, and as what."""

    __table_args__ = (UniqueConstraint("campaign_id", "user_id"),)

    campaign_id: Mapped[UUID] = ref("marketing.campaign", label="Campaign")
    user_id: Mapped[UUID] = ref("user", label="Person", in_list=True)
    role: Mapped[str] = field(label="As what", default="", in_list=True, help="Designer, copy, calls …")


class Budget(
    Entity, name="marketing.budget", title="Annual budget", icon="pig-money", roles=DECIDED, display="title",
):  # fmt: skip
    """What marketing may spend in a year, in one currency."""

    __table_args__ = (UniqueConstraint("year", "currency"),)

    title: Mapped[str] = field(label="Name", default="", searchable=True, in_list=True, help="Left empty: the year.")
    year: Mapped[str] = field(label="Year", max_length=20, in_list=True, help="As campaigns name it: 2026.")
    amount: Mapped[Decimal] = field(label="Planned", kind="money", currency="currency", in_list=True)
    currency: Mapped[str] = field(label="Currency", default="", max_length=3, help=CURRENCY_HELP)
    note: Mapped[str] = field(label="Note", kind="longtext", default="")

    def complete(self, session: Session) -> None:
        """It is in some currency, and called something."""
        self.currency = tidy_currency(session, self.currency)
        self.title = self.title or f"{self.year} {self.currency}"

    def validate(self) -> Sequence[Problem]:
        """An amount in some currency."""
        return [*not_negative("amount", self.amount), *known_currency(self.currency)]


class Asset(
    Entity, name="marketing.asset", title="Asset", icon="palette", roles=PART, listed=False, display="name",
):  # fmt: skip
    """Something a campaign is made of: a leaflet, a picture, a text. Every version of it is kept."""

    campaign_id: Mapped[UUID] = ref("marketing.campaign", label="Campaign", in_list=True)
    name: Mapped[str] = field(label="Name", searchable=True, in_list=True)
    note: Mapped[str] = field(label="Note", kind="longtext", default="")


class AssetVersion(
    Owned, Entity, name="marketing.asset_version", title="Version of an asset", plural="Versions", icon="versions",
    roles=PART, listed=False, display="name",
):  # fmt: skip
    """One version of an asset, as a file, and what was decided about it."""

    __table_args__ = (UniqueConstraint("asset_id", "number"),)

    asset_id: Mapped[UUID] = ref("marketing.asset", label="Asset")
    name: Mapped[str] = field(
        label="Name", default="", in_list=True, help="Left empty, it is the asset with the number."
    )
    number: Mapped[int] = field(label="Number", default=0, readonly=True, in_list=True)
    file: Mapped[UUID | None] = field(label="File", kind="file", in_list=True)
    note: Mapped[str] = field(label="Note", kind="longtext", default="")
    status: Mapped[str] = field(
        label="Status",
        choices=[
            Choice("draft", "Draft"), Choice("asked", "Waits for approval", "yellow"),
            Choice("approved", "Approved", "green"), Choice("rejected", "Rejected", "red"),
            Choice("not_chosen", "Another was chosen", "muted"),
        ],
        default="draft", readonly=True, in_list=True,
    )  # fmt: skip
    marketer_id: Mapped[UUID | None] = ref(
        "user", label="Chosen by", on_delete="SET NULL", help="Left empty: the owner of the campaign."
    )
    director_id: Mapped[UUID | None] = ref(
        "user", label="Approved by", on_delete="SET NULL",
        help="Asked after that. Left empty: as the campaign says.",
    )  # fmt: skip

    def complete(self, session: Session) -> None:
        """Number the versions of an asset, and ask the campaign's owner where nobody else is named."""
        asset = session.get(Asset, self.asset_id)
        if asset is None:
            return
        if not self.number:
            last = session.scalar(
                select(func.max(AssetVersion.number)).where(AssetVersion.asset_id == self.asset_id),
                execution_options={"rapport_scoped": True},
            )
            self.number = (last or 0) + 1
        self.name = self.name or f"{asset.name} {self.number}"
        if (campaign := session.get(Campaign, asset.campaign_id)) is not None:
            self.marketer_id = self.marketer_id or campaign.owner_id
            self.director_id = self.director_id or campaign.director_id

    def validate(self) -> Sequence[Problem]:
        """What was decided about a version was decided about this very file."""
        state: Any = inspect(self)
        if state.persistent and state.attrs["file"].history.deleted and self.status in {"approved", "asked"}:
            return [Problem("file", _("cannot change any more. Add a version instead."))]
        return []


class Cost(
    Entity, name="marketing.cost", title="Cost", icon="receipt", roles=PART, display="title",
):  # fmt: skip
    """What was paid for a campaign."""

    __table_args__ = (Index("ix_marketing_cost_on", "on", "campaign_id"),)

    campaign_id: Mapped[UUID] = ref("marketing.campaign", label="Campaign", in_list=True)
    title: Mapped[str] = field(label="For what", default="", searchable=True, in_list=True)
    kind: Mapped[str] = field(label="Kind", choices=COSTS, default="other", in_list=True)
    amount: Mapped[Decimal] = field(label="Amount", kind="money", currency="currency", in_list=True)
    currency: Mapped[str] = field(label="Currency", default="", max_length=3, help="Left empty, it is the campaign’s.")
    on: Mapped[dt.date] = field(label="On", default=lambda: utcnow().date(), in_list=True)
    list_id: Mapped[UUID | None] = ref("marketing.list", label="For the list")
    note: Mapped[str] = field(label="Note", kind="longtext", default="")

    def complete(self, session: Session) -> None:
        """It is in the campaign's currency, and for something."""
        _take_currency(self, session)
        self.title = self.title or next(_(each.label) for each in COSTS if each.value == self.kind)

    def validate(self) -> Sequence[Problem]:
        """Nothing costs less than nothing; what is paid back is another cost, by hand in the books."""
        return [*not_negative("amount", self.amount), *known_currency(self.currency)]


class Response(
    Entity, name="marketing.response", title="Response", icon="message-reply", roles=PART, display="kind",
):  # fmt: skip
    """Somebody answered a campaign."""

    __table_args__ = (
        Index("ix_marketing_response_at", "campaign_id", "at"),
        Index("ix_marketing_response_way", "customer_id", "at"),
    )

    campaign_id: Mapped[UUID] = ref("marketing.campaign", label="Campaign", in_list=True, aliases=["campaign"])
    customer_id: Mapped[UUID] = ref("customer", in_list=True)
    kind: Mapped[str] = field(label="Kind", choices=RESPONSES, default="reply", in_list=True)
    at: Mapped[dt.datetime] = field(label="When", default=utcnow, in_list=True)
    value: Mapped[Decimal | None] = field(
        label="Value", kind="money", currency="currency", help="What it may be worth, where one can tell."
    )
    currency: Mapped[str] = field(label="Currency", default="", max_length=3)
    list_id: Mapped[UUID | None] = ref(
        "marketing.list", label="From the list", help="Left empty: a list of the campaign’s that they are on."
    )
    execution_id: Mapped[UUID | None] = field(label="Mailing", kind="id", readonly=True, indexed=True)
    note: Mapped[str] = field(label="Note", kind="longtext", default="")

    def complete(self, session: Session) -> None:
        """It is in the campaign's currency."""
        _take_currency(self, session)

    def validate(self) -> Sequence[Problem]:
        """A value counts from nothing upwards."""
        return [*not_negative("value", self.value), *known_currency(self.currency)]


class Sale(
    Entity, name="marketing.sale", title="Sale noted by hand", plural="Sales noted by hand", icon="coins", roles=PART,
    display="on",
):  # fmt: skip
    """What a campaign sold, where no module of orders tells: revenue, and the gross profit of it."""

    __table_args__ = (
        Index("ix_marketing_sale_on", "on", "customer_id"),
        Index("ix_marketing_sale_campaign", "campaign", "currency"),
    )

    campaign_id: Mapped[UUID] = ref("marketing.campaign", label="Campaign", in_list=True)
    campaign: Mapped[str] = field(label="Code of the campaign", default="", readonly=True)
    customer_id: Mapped[UUID | None] = ref("customer", in_list=True)
    on: Mapped[dt.date] = field(label="On", default=lambda: utcnow().date(), in_list=True)
    revenue: Mapped[Decimal] = field(label="Revenue", kind="money", currency="currency", in_list=True)
    profit: Mapped[Decimal | None] = field(
        label="Gross profit", kind="money", currency="currency", in_list=True,
        help="Revenue less what the goods cost. Left empty: the share that the settings say.",
    )  # fmt: skip
    currency: Mapped[str] = field(label="Currency", default="", max_length=3, help="Left empty, it is the campaign’s.")
    note: Mapped[str] = field(label="Note", default="", searchable=True)

    def complete(self, session: Session) -> None:
        """It carries the campaign's code and currency; its profit is the usual one where nobody knows better."""
        campaign = session.get(Campaign, self.campaign_id)
        self.campaign = campaign.code if campaign is not None else ""
        _take_currency(self, session)
        if self.profit is None and self.revenue is not None:
            share = Decimal(str(setting_of(session, "marketing.margin_percent") or 0))
            self.profit = (self.revenue * share / 100).quantize(Decimal("0.01"))

    def validate(self) -> Sequence[Problem]:
        """Revenue counts from nothing upwards; a profit may be a loss."""
        return [*not_negative("revenue", self.revenue), *known_currency(self.currency)]


def _take_currency(record: Any, session: Session) -> None:
    """The currency of its campaign where none is given."""
    if not record.currency and (campaign := session.get(Campaign, record.campaign_id)) is not None:
        record.currency = campaign.currency
    record.currency = tidy_currency(session, record.currency)
