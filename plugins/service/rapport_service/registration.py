"""Registrations: which customer has which product, bought when and where, and until when it is under warranty."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from rapport_products import Product
from sqlalchemy import Index, UniqueConstraint, inspect, select
from sqlalchemy.orm import Mapped, Session

from rapport import Choice, Customer, Entity, Extension, ListFilter, Panel, Problem, Reader, field, ref, utcnow
from rapport import gettext as _
from rapport_service.months import add_months

READ = "service.registration.read"
SCOPED = {"rapport_scoped": True}
"""What a rule needs to know does not depend on what the person may see."""
SHOWN = 6


class Terms(Extension, of="products.product", name="service.terms", title="Warranty and returns"):
    """What the business promises with a product. Those who have it already keep what they were promised."""

    warranty_months: Mapped[int | None] = field(
        label="Warranty in months", help="From the day of purchase. Left empty: no warranty."
    )
    return_days: Mapped[int | None] = field(
        label="Days to return", help="From the day of purchase. Left empty: as many as the settings say."
    )

    def validate(self) -> Sequence[Problem]:
        """Promises count from nothing upwards, and end within a lifetime."""
        fits = {"warranty_months": 1200, "return_days": 36_600}
        return [
            Problem(name, _("must be between 0 and %(most)s.", most=most))
            for name, most in fits.items()
            if (value := getattr(self, name)) is not None and not 0 <= value <= most
        ]


class Registration(
    Entity, name="service.registration", title="Registered product", icon="certificate", display="name",
    roles={
        "manager": "read create update delete export import",
        "member": "read create update export import",
        "viewer": "read",
        "portal": "read",
    },
):  # fmt: skip
    """One piece of a product in a customer's hands. Its serial number is there once for each product."""

    __table_args__ = (
        UniqueConstraint("product_id", "serial"),
        Index("ix_service_registration_bought", "purchased_on", "id"),
    )

    name: Mapped[str] = field(label="Name", default="", readonly=True, searchable=True, in_list=True)
    customer_id: Mapped[UUID] = ref("customer", in_list=True, aliases=["client", "buyer", "account"])
    product_id: Mapped[UUID] = ref("products.product", label="Product", on_delete="RESTRICT", aliases=["model"])
    serial: Mapped[str | None] = field(
        label="Serial number", searchable=True, in_list=True, aliases=["serial_no", "serial_number", "sn"]
    )
    purchased_on: Mapped[dt.date] = field(
        label="Purchased on", in_list=True, aliases=["purchase_date", "bought_on", "date_of_purchase"]
    )
    bought_at: Mapped[str] = field(
        label="Bought at", default="", indexed=True, in_list=True, aliases=["store", "shop", "dealer", "channel"],
        help="The store, dealer or web shop.",
    )  # fmt: skip
    order_reference: Mapped[str] = field(
        label="Order", default="", indexed=True, searchable=True, aliases=["order_number", "receipt_number"],
        help="The number of the order or receipt.",
    )  # fmt: skip
    source: Mapped[str] = field(
        label="Registered by",
        choices=[Choice("staff", "One of us"), Choice("portal", "The customer, in the portal", "teal"),
                 Choice("card", "Warranty card", "azure"), Choice("order", "Order", "indigo")],
        default="staff",
    )  # fmt: skip
    extra_months: Mapped[int] = field(
        label="Further months of warranty", default=0, section="Warranty", help="Bought or given beyond the product’s."
    )
    warranty_until: Mapped[dt.date | None] = field(
        label="Warranty until", readonly=True, in_list=True, section="Warranty",
        help="The day of purchase and the months of the product at that time.",
    )  # fmt: skip
    note: Mapped[str] = field(label="Note", kind="longtext", default="")

    def complete(self, session: Session) -> None:
        """Promise the product's warranty of today; it stays as it is when the product's terms change later."""
        if self.product_id is None or self.purchased_on is None:
            return
        self.prepare()
        self.name = " · ".join(part for part in (terms_of(session, self.product_id).product, self.serial) if part)
        state: Any = inspect(self)
        asked = ("product_id", "purchased_on", "extra_months")
        if not state.persistent or any(state.attrs[name].history.has_changes() for name in asked):
            months = terms_of(session, self.product_id).warranty_months + (self.extra_months or 0)
            self.warranty_until = add_months(self.purchased_on, months) if months > 0 else None

    def prepare(self) -> None:
        """Serial numbers are compared as they are written on the product: in capitals, without spaces around."""
        self.serial = (self.serial or "").strip().upper() or None

    def validate(self) -> Sequence[Problem]:
        """A day of purchase is one: what was ordered for later may be registered, what is years away is a mistake."""
        problems = []
        if self.purchased_on is not None and self.purchased_on > (utcnow() + dt.timedelta(days=366)).date():
            problems.append(Problem("purchased_on", _("is in the future.")))
        if not 0 <= (self.extra_months or 0) <= 1200:
            problems.append(Problem("extra_months", _("must be between 0 and %(most)s.", most=1200)))
        return problems

    def covered(self, on: dt.date) -> bool:
        """Whether it is under warranty on a day."""
        return self.warranty_until is not None and self.purchased_on <= on <= self.warranty_until


ENTITIES: list[type[Entity]] = [Terms, Registration]


@dataclass(frozen=True, slots=True)
class Promise:
    """What the business promises with a product."""

    product: str
    warranty_months: int
    return_days: int | None
    """None: as many as the settings say."""


def terms_of(session: Session, product_id: UUID) -> Promise:
    """What the business promises with a product: read once for each, as terms hold still during a unit of work."""
    known: dict[UUID, Promise] = session.info.setdefault("service.terms", {})
    if product_id not in known:
        row = session.execute(
            select(Product.name, Terms.warranty_months, Terms.return_days)
            .outerjoin(Terms, Terms.of_id == Product.id)
            .where(Product.id == product_id),
            execution_options=SCOPED,
        ).one_or_none()
        known[product_id] = Promise("", 0, None) if row is None else Promise(row[0], row[1] or 0, row[2])
    return known[product_id]


def list_filters() -> list[ListFilter]:
    """What one looks for among registered products."""
    return [
        ListFilter("service.registration", "covered", "Under warranty", "warranty_until >= today"),
        ListFilter(
            "service.registration", "ending", "Warranty ends soon",
            "warranty_until >= today and warranty_until <= today + 30 days",
        ),
    ]  # fmt: skip


# On other pages ------------------------------------------------------------------------------------------------------


def panels() -> list[Panel]:
    """What a customer has, on their page and on their case's."""
    return [
        Panel("customer.side", "Products and warranty", "service/products.html", of_customer, READ, "certificate", 40),
        Panel("service.case.side", "Products and warranty", "service/products.html", of_case, READ, "certificate", 30),
    ]


def of_customer(reader: Reader, record: Customer) -> Mapping[str, Any]:
    """What a customer has, the newest first, and whether it is under warranty today."""
    return {**_shown(reader, record.id), "may_create": reader.actor.may("service.registration.create")}


def of_case(reader: Reader, record: Any) -> Mapping[str, Any]:
    """The same beside a case: its own product first."""
    return {**_shown(reader, record.customer_id, getattr(record, "product_id", None)), "may_create": False}


def _shown(reader: Reader, customer_id: UUID | None, first: UUID | None = None) -> dict[str, Any]:
    today = reader.today()
    theirs = (Registration.customer_id == customer_id, Registration.archived_at.is_(None))
    order = (Registration.purchased_on.desc(), Registration.id.desc())
    found = reader.all(Registration, *theirs, order=order, limit=SHOWN + 1)
    if first is not None:
        found.sort(key=lambda each: each.product_id != first)
    return {
        "rows": [{"it": each, "covered": each.covered(today)} for each in found[:SHOWN]],
        "more": len(found) > SHOWN,
        "customer_id": customer_id,
    }
