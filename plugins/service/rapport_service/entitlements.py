"""Entitlements: the hours, visits and calls a customer has paid for, and how much of that is left."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Index, func, or_, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    Action,
    Choice,
    Customer,
    Entity,
    Field,
    Formats,
    Invalid,
    ListFilter,
    Panel,
    Problem,
    Reader,
    Unit,
    field,
    ref,
    utcnow,
)
from rapport import gettext as _
from rapport_service.registration import SCOPED

READ = "service.entitlement.read"
KINDS = [
    Choice("hours", "Support hours", "azure"),
    Choice("visits", "Visits", "indigo"),
    Choice("calls", "Calls", "teal"),
    Choice("cases", "Cases", "purple"),
    Choice("repairs", "Repairs", "orange"),
]


class Entitlement(
    Entity, name="service.entitlement", title="Entitlement", icon="ticket", display="name",
    roles={
        "manager": "read create update delete export import",
        "member": "read export",
        "viewer": "read",
        "portal": "read",
    },
):  # fmt: skip
    """So many units of help for one customer, within a time. What was used is counted from its uses."""

    __table_args__ = (Index("ix_service_entitlement_current", "customer_id", "kind", "valid_to"),)

    name: Mapped[str] = field(label="Name", default="", searchable=True, in_list=True, help="Left empty, it is what.")
    customer_id: Mapped[UUID] = ref("customer", in_list=True)
    kind: Mapped[str] = field(label="What", choices=KINDS, default="hours", in_list=True)
    units: Mapped[Decimal] = field(label="Units", in_list=True)
    used: Mapped[Decimal] = field(label="Used", default=Decimal(0), readonly=True, in_list=True)
    remaining: Mapped[Decimal] = field(label="Left", default=Decimal(0), readonly=True, in_list=True)
    valid_from: Mapped[dt.date] = field(label="Valid from", in_list=True)
    valid_to: Mapped[dt.date | None] = field(label="Valid to", in_list=True, help="The last day. Empty: open end.")
    when_used_up: Mapped[str] = field(
        label="When it is used up",
        choices=[Choice("warn", "Go on, and say so", "yellow"), Choice("refuse", "Refuse more", "red")],
        default="warn",
    )
    product_id: Mapped[UUID | None] = ref("products.product", label="Product")
    note: Mapped[str] = field(label="Note", kind="longtext", default="")

    def prepare(self) -> None:
        """It can be called something, and what is left follows from what was used."""
        labels = {choice.value: choice.label for choice in KINDS}
        self.name = self.name or _(labels.get(self.kind, self.kind))
        self.remaining = (self.units or Decimal(0)) - (self.used or Decimal(0))

    def validate(self) -> Sequence[Problem]:
        """There is something to use, and it does not end before it begins."""
        problems = []
        if self.units is not None and self.units <= 0:
            problems.append(Problem("units", _("must be more than 0.")))
        if self.valid_to is not None and self.valid_from is not None and self.valid_to < self.valid_from:
            problems.append(Problem("valid_to", _("is before the first day.")))
        return problems

    def valid(self, on: dt.date) -> bool:
        """Whether it may be used on a day."""
        return self.archived_at is None and self.valid_from <= on and (self.valid_to is None or on <= self.valid_to)


class EntitlementUse(
    Entity, name="service.entitlement_use", title="Use", icon="ticket-off", listed=False, display="note",
    roles={
        "manager": "read create update delete export import",
        "member": "read create export",
        "viewer": "read",
    },
):  # fmt: skip
    """Some units of an entitlement, used on a day for a case, a repair or a visit."""

    entitlement_id: Mapped[UUID] = ref("service.entitlement", label="Entitlement", in_list=True)
    units: Mapped[Decimal] = field(label="Units", default=Decimal(1), in_list=True)
    used_on: Mapped[dt.date | None] = field(label="On", in_list=True, help="Left empty: today.")
    about_entity: Mapped[str] = field(label="For (kind)", default="")
    about_id: Mapped[UUID | None] = field(label="For", kind="id", indexed=True)
    note: Mapped[str] = field(label="What for", default="", in_list=True)

    def complete(self, session: Session) -> None:
        """See whether as much is left. The row is held until the end, so that two cannot take the last unit."""
        self._refused: list[Problem] = []
        self.used_on = self.used_on or utcnow().date()
        found = session.scalars(
            select(Entitlement).where(Entitlement.id == self.entitlement_id).with_for_update(),
            execution_options={**SCOPED, "populate_existing": True},
        ).one_or_none()
        if found is None:
            return
        refuses = found.when_used_up == "refuse"
        if refuses and not found.valid(self.used_on):
            self._refused.append(Problem("used_on", _("is not within the time of “%(name)s”.", name=found.name)))
        others = session.scalar(
            select(func.coalesce(func.sum(EntitlementUse.units), 0)).where(
                EntitlementUse.entitlement_id == found.id, EntitlementUse.id != self.id,
                EntitlementUse.archived_at.is_(None),
            ),
            execution_options=SCOPED,
        )  # fmt: skip
        rest = found.units - Decimal(others or 0)
        if refuses and self.units > rest:
            told = _("is more than the %(rest)s that are left of “%(name)s”.", rest=f"{rest:f}", name=found.name)
            self._refused.append(Problem("units", told))

    def validate(self) -> Sequence[Problem]:
        """Something is used, and no more than there is where that is refused."""
        problems = list(getattr(self, "_refused", []))
        if self.units is not None and self.units <= 0:
            problems.append(Problem("units", _("must be more than 0.")))
        return problems

    @classmethod
    def follow_up(cls, records: Sequence[EntitlementUse], session: Session) -> None:
        """What was used of an entitlement is the sum of its uses."""
        ids = {each.entitlement_id for each in records}
        rows = session.execute(
            select(cls.entitlement_id, func.sum(cls.units))
            .where(cls.entitlement_id.in_(ids), cls.archived_at.is_(None))
            .group_by(cls.entitlement_id),
            execution_options=SCOPED,
        )
        sums = {row[0]: Decimal(row[1]) for row in rows}
        touched = select(Entitlement).where(Entitlement.id.in_(ids))
        for entitlement in session.scalars(touched, execution_options=SCOPED):
            entitlement.used = sums.get(entitlement.id, Decimal(0))


ENTITIES: list[type[Entity]] = [Entitlement, EntitlementUse]


def current(reader: Reader, customer_id: UUID, kind: str = "", on: dt.date | None = None) -> list[Entitlement]:
    """What a customer may use on a day, first what ends first; what is used up comes last."""
    day = on or reader.today()
    where = [
        Entitlement.customer_id == customer_id, Entitlement.archived_at.is_(None), Entitlement.valid_from <= day,
        or_(Entitlement.valid_to.is_(None), Entitlement.valid_to >= day),
    ]  # fmt: skip
    if kind:
        where.append(Entitlement.kind == kind)
    order = (Entitlement.remaining <= 0, Entitlement.valid_to.asc().nulls_last(), Entitlement.id)
    return reader.all(Entitlement, *where, order=order, limit=20)


def use(unit: Unit, entitlement: Entitlement, units: Decimal, *, note: str = "", about: Entity | None = None) -> str:
    """Take units of an entitlement, and say what is left. Invalid when it is used up and more is refused."""
    unit.create(EntitlementUse, {
        "entitlement_id": entitlement.id, "units": units, "note": note, "used_on": unit.reader.today(),
        "about_entity": about.meta.name if about is not None else "", "about_id": about.id if about else None,
    })  # fmt: skip
    actor: Any = unit.actor
    number = Formats(actor.language, actor.time_zone).number
    facts = {"used": number(entitlement.used), "units": number(entitlement.units), "name": entitlement.name}
    if entitlement.remaining < 0:
        return _("Used up: %(used)s of %(units)s of “%(name)s”. Offer the customer more.", **facts)
    return _("%(used)s of %(units)s of “%(name)s” are used.", **facts)


# Buttons and panels --------------------------------------------------------------------------------------------------

WHAT_FOR = [
    Field("units", "Units", "decimal", required=True, nullable=False, default=Decimal(1)),
    Field("note", "What for", "text"),
]


def actions() -> list[Action]:
    """Use something of it, from its own page or from a case or return."""
    kinds = Field("kind", "What", "choice", choices=tuple(KINDS), required=True, nullable=False, default="hours")
    needs = "service.entitlement_use.create"
    return [
        Action("service.entitlement", "use", "Use", "ticket-off", needs, _use, fields=WHAT_FOR, primary=True),
        Action("service.case", "entitlement", "Use an entitlement", "ticket-off", needs, _use_for,
               fields=[kinds, *WHAT_FOR]),
        Action("service.return", "entitlement", "Use an entitlement", "ticket-off", needs, _use_for,
               fields=[kinds, *WHAT_FOR]),
    ]  # fmt: skip


def _use(unit: Unit, records: Sequence[Entitlement], values: Mapping[str, Any]) -> str:
    return _take(unit, records[0], values, None)


def _use_for(unit: Unit, records: Sequence[Any], values: Mapping[str, Any]) -> str:
    record = records[0]
    found = current(unit.reader, record.customer_id, values.get("kind") or "") if record.customer_id else []
    if not found:
        return _("Nothing was taken: the customer has nothing of this kind today. Offer it, or help without.")
    return _take(unit, found[0], values, record)


def _take(unit: Unit, entitlement: Entitlement, values: Mapping[str, Any], about: Entity | None) -> str:
    note = values.get("note") or (str(about) if about is not None else "")
    try:
        return use(unit, entitlement, values.get("units") or Decimal(1), note=note, about=about)
    except Invalid as refused:
        return _("Nothing was taken: %(why)s", why=" ".join(each.message for each in refused.problems))


def list_filters() -> list[ListFilter]:
    """What one looks for among entitlements."""
    return [
        ListFilter("service.entitlement", "used_up", "Used up", "remaining <= 0"),
        ListFilter("service.entitlement", "ending", "Ends soon", "valid_to >= today and valid_to <= today + 30 days"),
    ]


def panels() -> list[Panel]:
    """What a customer may use, on their page and on their case's."""
    return [
        Panel("customer.side", "Entitlements", "service/entitlements.html", of_customer, READ, "ticket", 42),
        Panel("service.case.side", "Entitlements", "service/entitlements.html", of_case, READ, "ticket", 32),
    ]


def of_customer(reader: Reader, record: Customer) -> Mapping[str, Any]:
    """What a customer may use today."""
    return {"rows": current(reader, record.id)}


def of_case(reader: Reader, record: Any) -> Mapping[str, Any]:
    """What the customer of a case may use today."""
    return {"rows": current(reader, record.customer_id) if record.customer_id else []}
