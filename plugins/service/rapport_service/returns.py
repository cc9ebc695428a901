"""Returns: what a customer brings back, what the rules allow for it, and what came of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from rapport_products import Price, PriceBook, Product
from sqlalchemy import Index, func, inspect, or_, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    Action,
    ActionResult,
    Choice,
    Conflict,
    Entity,
    ListFilter,
    Owned,
    Panel,
    Problem,
    Reader,
    Setting,
    Unit,
    field,
    gettext,
    ngettext,
    ref,
    setting_of,
    utcnow,
)
from rapport import gettext as _
from rapport_service.registration import SCOPED, Registration, terms_of

READ = "service.return.read"
DECIDE = "service.return.decide"
CENT = Decimal("0.01")
REASONS = [
    Choice("defective", "Defective", "red"),
    Choice("quality", "Poor quality", "orange"),
    Choice("transport", "Damaged on the way", "yellow"),
    Choice("wrong", "Wrong product", "purple"),
    Choice("unlike", "Not as described", "pink"),
    Choice("mind", "Changed their mind", "azure"),
    Choice("other", "Other", "secondary"),
]
CONDITIONS = [
    Choice("", "Not seen yet"),
    Choice("unopened", "Unopened", "green"),
    Choice("as_new", "As new", "teal"),
    Choice("used", "Used", "azure"),
    Choice("damaged", "Damaged", "orange"),
    Choice("defective", "Defective", "red"),
]
REMEDIES = [
    Choice("repair", "Repair", "azure"),
    Choice("replacement", "Replacement", "indigo"),
    Choice("refund", "Refund", "green"),
    Choice("credit", "Credit", "teal"),
]
STATUSES = [
    Choice("requested", "Requested", "azure"),
    Choice("approved", "Approved", "blue"),
    Choice("refused", "Refused", "red"),
    Choice("received", "Received", "indigo"),
    Choice("inspected", "Inspected", "purple"),
    Choice("repaired", "Repaired", "green"),
    Choice("replaced", "Replaced", "green"),
    Choice("refunded", "Refunded", "green"),
    Choice("credited", "Credited", "green"),
    Choice("closed", "Closed", "secondary"),
]
SETTLED = {"repair": "repaired", "replacement": "replaced", "refund": "refunded", "credit": "credited"}
"""The status that each remedy leads to."""
WAYS: Mapping[str, frozenset[str]] = {
    "requested": frozenset({"approved", "refused"}),
    "approved": frozenset({"received", "inspected", "refused"}),
    "received": frozenset({"inspected", "refused"}),
    "inspected": frozenset({*SETTLED.values(), "refused"}),
    "refused": frozenset({"requested", "closed"}),
    "closed": frozenset(),
    **{settled: frozenset({"closed"}) for settled in SETTLED.values()},
}
"""Where a return may go from where it is."""
DAYS: Mapping[str, str] = {
    "approved": "decided_on", "refused": "decided_on", "received": "received_on", "inspected": "inspected_on",
    "closed": "closed_on", **dict.fromkeys(SETTLED.values(), "settled_on"),
}  # fmt: skip
RULES = [
    Choice("receipt", "In time and with a receipt: refund, credit or replacement", "green"),
    Choice("no_receipt", "Without a receipt: credit or replacement at the lowest recent price", "yellow"),
    Choice("warranty", "Under warranty: repair or replacement", "azure"),
    Choice("none", "No rule covers it: a manager decides", "red"),
]


class Return(
    Owned, Entity, name="service.return", title="Return", icon="package-import", display="number",
    roles={
        "manager": "read create update delete export import decide",
        "member": "read create update export import",
        "viewer": "read",
        "portal": "read",
    },
    verbs={"decide": "Approve beyond the rules"},
):  # fmt: skip
    """A product that comes back. Beyond what the rules allow, or above the limit, a manager decides."""

    __table_args__ = (
        Index("ix_service_return_open", "status", "requested_on"),
        Index("ix_service_return_settled", "settled_on", "remedy"),
    )

    number: Mapped[str] = field(
        label="Number", default="", unique=True, searchable=True, in_list=True, aliases=["rma", "return_id"],
        help="Left empty, it is made up.",
    )  # fmt: skip
    customer_id: Mapped[UUID] = ref("customer", in_list=True)
    product_id: Mapped[UUID] = ref("products.product", label="Product", on_delete="RESTRICT", in_list=True)
    registration_id: Mapped[UUID | None] = ref("service.registration", label="Registered product")
    case_id: Mapped[UUID | None] = ref("service.case", label="Case")
    quantity: Mapped[int] = field(label="Quantity", default=1)
    status: Mapped[str] = field(label="Status", choices=STATUSES, default="requested", in_list=True)
    reason: Mapped[str] = field(label="Reason", choices=REASONS, default="other", in_list=True)
    wish: Mapped[str] = field(label="They want", choices=REMEDIES, default="replacement", in_list=True)
    note: Mapped[str] = field(label="Note", kind="longtext", default="", searchable=True)

    receipt: Mapped[bool] = field(label="With a receipt", default=False, section="Purchase")
    purchased_on: Mapped[dt.date | None] = field(
        label="Purchased on", section="Purchase", help="Left empty: as registered, if it is."
    )
    paid: Mapped[Decimal | None] = field(
        label="Paid for one", kind="money", currency="currency", section="Purchase", help="As the receipt says."
    )
    currency: Mapped[str] = field(
        label="Currency", default="", max_length=3, section="Purchase", help="Left empty, it is the product’s."
    )

    rule: Mapped[str] = field(label="Rule", choices=RULES, default="none", readonly=True, section="Decision")
    allowed: Mapped[tuple[str, ...]] = field(
        label="Allowed by the rules", kind="tags", readonly=True, section="Decision", hidden=True
    )
    remedy: Mapped[str] = field(
        label="What they get", choices=[Choice("", "Not decided"), *REMEDIES], default="", section="Decision"
    )
    amount: Mapped[Decimal] = field(
        label="Worth", kind="money", currency="currency", default=Decimal(0), in_list=True, section="Decision",
        help="Left at 0, it is the price paid, or without a receipt the lowest recent price.",
    )  # fmt: skip
    why: Mapped[str] = field(label="Why so decided", default="", section="Decision")

    condition: Mapped[str] = field(label="Condition of the goods", choices=CONDITIONS, default="", section="Inspection")
    finding: Mapped[str] = field(label="What was found", kind="longtext", default="", section="Inspection")
    replacement_serial: Mapped[str] = field(label="Serial number of the replacement", default="", section="Inspection")

    requested_on: Mapped[dt.date | None] = field(label="Requested on", section="Dates", help="Left empty: today.")
    decided_on: Mapped[dt.date | None] = field(label="Decided on", readonly=True, section="Dates")
    received_on: Mapped[dt.date | None] = field(label="Received on", readonly=True, section="Dates")
    inspected_on: Mapped[dt.date | None] = field(label="Inspected on", readonly=True, section="Dates")
    settled_on: Mapped[dt.date | None] = field(label="Settled on", readonly=True, section="Dates")
    closed_on: Mapped[dt.date | None] = field(label="Closed on", readonly=True, section="Dates")

    def complete(self, session: Session) -> None:
        """Work out what the rules allow, what it is worth, and whether this person may decide so."""
        self.number = self.number or f"R{self.id.hex[-8:].upper()}"
        self.requested_on = self.requested_on or utcnow().date()
        if self.product_id is None:
            return
        had = _registration(session, self.registration_id)
        if had is not None:
            self.purchased_on = self.purchased_on or had.purchased_on
        found = ruling(self, had.warranty_until if had is not None else None, _return_days(session, self.product_id))
        self.rule, self.allowed = found.rule, found.allowed
        product = session.scalars(select(Product).where(Product.id == self.product_id), execution_options=SCOPED).one()
        self.currency = self.currency.upper() or product.currency
        if not self.amount and self.status == "requested":
            self.amount = worth(session, self, product)
        self._moved(session)

    def _moved(self, session: Session) -> None:
        state: Any = inspect(self)
        history = state.attrs["status"].history
        before = next(iter(history.deleted), None) if history.has_changes() else None
        self._from: str | None = before if state.persistent else None
        self._beyond = ""
        day = DAYS.get(self.status)
        if day is not None and getattr(self, day) is None:
            setattr(self, day, utcnow().date())
        if self.status in SETTLED.values():
            self.remedy = next(remedy for remedy, settled in SETTLED.items() if settled == self.status)
        elif self.status == "approved":
            self.remedy = self.remedy or self.wish
        changed = any(state.attrs[name].history.has_changes() for name in ("status", "remedy", "amount", "currency"))
        decided = self.status not in {"requested", "refused", "closed"}
        if decided and (changed or not state.persistent):
            actor: Any = getattr(session, "actor", None)
            if actor is None or not actor.may(DECIDE):
                self._beyond = beyond(self, int(setting_of(session, "service.return_limit") or 0))

    def validate(self) -> Sequence[Problem]:
        """It goes step by step, and what goes beyond the rules is a manager's to decide."""
        problems = []
        before = getattr(self, "_from", None)
        if before is not None and before != self.status and self.status not in WAYS.get(before, frozenset()):
            titles = {choice.value: _(choice.label) for choice in STATUSES}
            ways = ", ".join(titles[each.value] for each in STATUSES if each.value in WAYS.get(before, ()))
            problems.append(Problem("status", _(
                "cannot go from “%(from_)s” to “%(to)s”. From there it goes to: %(ways)s.",
                from_=titles[before], to=titles[self.status], ways=ways or "–",
            )))  # fmt: skip
        if beyond_rules := getattr(self, "_beyond", ""):
            problems.append(Problem("remedy", beyond_rules))
        if (self.quantity or 0) < 1:
            problems.append(Problem("quantity", _("must be at least 1.")))
        problems += [
            Problem(name, _("must not be negative.")) for name in ("paid", "amount") if (getattr(self, name) or 0) < 0
        ]
        return problems


ENTITIES: list[type[Entity]] = [Return]


def settings() -> list[Setting]:
    """What an administrator decides about returns."""
    return [
        Setting("service.return_days", "Days to return", "integer", 30,
                help="So long after the purchase a customer gets the money back, where the product says nothing else."),
        Setting("service.return_limit", "Returns up to", "integer", 0,
                help="Whoever works on returns may approve up to this amount, whatever its currency; above it, "
                     "a manager decides. 0: no limit."),
        Setting("service.lowest_price_days", "Recent prices of days", "integer", 90,
                help="Without a receipt, the lowest price of so many days counts."),
    ]  # fmt: skip


# The rules -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rules allow for a return, and by which of them."""

    rule: str
    allowed: tuple[str, ...]


def ruling(record: Return, warranty_until: dt.date | None, return_days: int) -> Ruling:
    """In time with a receipt: anything but repair. Without one: no money. Under warranty: repair or replacement.

    In time is within `return_days` of the purchase. What is not defective has no claim from its warranty.
    """
    asked = record.requested_on or utcnow().date()
    age = (asked - record.purchased_on).days if record.purchased_on is not None else None
    allowed: list[str] = []
    rule = "none"
    if warranty_until is not None and asked <= warranty_until and record.reason in {"defective", "quality"}:
        rule, allowed = "warranty", ["repair", "replacement"]
    if record.receipt and age is not None and 0 <= age <= return_days:
        rule, allowed = "receipt", [*allowed, "refund", "credit", "replacement"]
    elif not record.receipt and (age is None or age <= return_days):
        rule, allowed = rule if allowed else "no_receipt", [*allowed, "credit", "replacement"]
    return Ruling(rule, tuple(choice.value for choice in REMEDIES if choice.value in allowed))


def beyond(record: Return, limit: int) -> str:
    """Why somebody without the right to decide may not approve it; empty when they may."""
    titles = {choice.value: _(choice.label) for choice in REMEDIES}
    if record.remedy not in record.allowed:
        allowed = ", ".join(titles[each] for each in record.allowed)
        return _(
            "is beyond the rules, which allow: %(allowed)s. Ask somebody who may approve beyond the rules.",
            allowed=allowed or "–",
        )
    if limit and record.remedy != "repair" and record.amount > limit:
        return _("is worth more than %(limit)s. Ask somebody who may approve beyond the rules.", limit=limit)
    return ""


def worth(session: Session, record: Return, product: Product) -> Decimal:
    """What it is worth: the price on the receipt, else the lowest recent price, for all pieces."""
    one = record.paid if record.receipt and record.paid is not None else None
    if one is None:
        one = lowest_price(session, product, record.currency, record.requested_on or utcnow().date())
    return ((one or Decimal(0)) * (record.quantity or 1)).quantize(CENT)


def lowest_price(session: Session, product: Product, currency: str, on: dt.date) -> Decimal | None:
    """The lowest price of a product in any price book that was valid lately, or its list price where that is lower."""
    since = on - dt.timedelta(days=int(setting_of(session, "service.lowest_price_days") or 0))
    found = session.scalar(
        select(func.min(Price.price))
        .join(PriceBook, PriceBook.id == Price.price_book_id)
        .where(
            Price.product_id == product.id, Price.archived_at.is_(None), PriceBook.archived_at.is_(None),
            PriceBook.currency == currency,
            or_(PriceBook.valid_from.is_(None), PriceBook.valid_from <= on),
            or_(PriceBook.valid_to.is_(None), PriceBook.valid_to >= since),
        ),
        execution_options=SCOPED,
    )  # fmt: skip
    prices = [Decimal(found)] if found is not None else []
    if product.price is not None and product.currency == currency:
        prices.append(product.price)
    return min(prices, default=None)


def _registration(session: Session, registration_id: UUID | None) -> Registration | None:
    if registration_id is None:
        return None
    asked = select(Registration).where(Registration.id == registration_id)
    return session.scalars(asked, execution_options=SCOPED).one_or_none()


def _return_days(session: Session, product_id: UUID) -> int:
    days = terms_of(session, product_id).return_days
    return int(setting_of(session, "service.return_days")) if days is None else days


# Buttons and panels --------------------------------------------------------------------------------------------------


def actions() -> list[Action]:
    """Ask for a return from a case or a registered product, and bring it to its end step by step."""
    change, fields = "service.return.update", Return.meta.fields
    remedy = replace(fields["remedy"], choices=tuple(REMEDIES), required=True, nullable=False, default=None)
    needed = [replace(fields["reason"], default=None, required=True, nullable=False), fields["wish"], fields["receipt"]]
    product = replace(fields["product_id"], required=True, nullable=False)
    return [
        Action("service.case", "return", "Take something back", "package-import", "service.return.create", _from_case,
               fields=[product, *needed, fields["purchased_on"]]),
        Action("service.registration", "return", "Take it back", "package-import", "service.return.create",
               _from_registration, fields=needed, applies=lambda each: each.archived_at is None),
        Action("service.return", "approve", "Approve", "check", change, _approve, primary=True,
               applies=_at("requested"), fields=[remedy, fields["amount"], fields["why"]]),
        Action("service.return", "refuse", "Refuse", "x", change, _refuse,
               applies=_at("requested", "approved", "received", "inspected"),
               fields=[replace(fields["why"], required=True, nullable=False)]),
        Action("service.return", "receive", "It is here", "package", change, _receive, bulk=True, primary=True,
               applies=_at("approved")),
        Action("service.return", "inspect", "Inspected", "zoom-check", change, _inspect, primary=True,
               applies=_at("received"), fields=[fields["condition"], fields["finding"]]),
        Action("service.return", "settle", "Done", "circle-check", change, _settle, primary=True,
               applies=_at("inspected"), fields=[remedy, fields["amount"], fields["replacement_serial"]]),
        Action("service.return", "close", "Close", "archive", change, _close, bulk=True,
               applies=_at("refused", *SETTLED.values())),
    ]  # fmt: skip


def _at(*statuses: str) -> Any:
    return lambda record: record.status in statuses


def _from_case(unit: Unit, records: Sequence[Any], values: Mapping[str, Any]) -> ActionResult:
    case = records[0]
    made = unit.create(Return, {**_given(values), "customer_id": case.customer_id, "case_id": case.id})
    return ActionResult(gettext("The return is noted."), made)


def _from_registration(unit: Unit, records: Sequence[Registration], values: Mapping[str, Any]) -> ActionResult:
    had = records[0]
    facts = {"customer_id": had.customer_id, "product_id": had.product_id, "registration_id": had.id}
    return ActionResult(gettext("The return is noted."), unit.create(Return, {**_given(values), **facts}))


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "")}


def _approve(unit: Unit, records: Sequence[Return], values: Mapping[str, Any]) -> str:
    return _go(unit, records, "approved", values)


def _refuse(unit: Unit, records: Sequence[Return], values: Mapping[str, Any]) -> str:
    return _go(unit, records, "refused", values)


def _receive(unit: Unit, records: Sequence[Return], values: Mapping[str, Any]) -> str:
    return _go(unit, [each for each in records if each.status == "approved"], "received", values)


def _inspect(unit: Unit, records: Sequence[Return], values: Mapping[str, Any]) -> str:
    return _go(unit, records, "inspected", values)


def _close(unit: Unit, records: Sequence[Return], values: Mapping[str, Any]) -> str:
    return _go(unit, [each for each in records if "closed" in WAYS[each.status]], "closed", values)


def _go(unit: Unit, records: Sequence[Return], status: str, values: Mapping[str, Any]) -> str:
    for record in records:
        unit.update(record, {**_given(values), "status": status})
    return ngettext("The return has moved on.", "%(num)s returns have moved on.", len(records))


def _settle(unit: Unit, records: Sequence[Return], values: Mapping[str, Any]) -> str:
    """What they get decides the status; a replacement takes the place of what was registered."""
    record = records[0]
    remedy = str(values.get("remedy") or record.remedy or record.wish)
    if remedy not in SETTLED:
        raise Conflict(gettext("Say what they get."))
    unit.update(record, {**_given(values), "status": SETTLED[remedy]})
    if remedy == "replacement" and record.replacement_serial and record.registration_id is not None:
        unit.update(unit.get(Registration, record.registration_id), {"serial": record.replacement_serial})
    return gettext("Settled: %(what)s.", what=gettext(next(each.label for each in REMEDIES if each.value == remedy)))


def list_filters() -> list[ListFilter]:
    """What one looks for among returns."""
    open_ = 'status in ("requested", "approved", "received", "inspected")'
    return [
        ListFilter("service.return", "open", "Open", open_),
        ListFilter("service.return", "undecided", "To decide", 'status = "requested"'),
        ListFilter("service.return", "beyond", "Beyond the rules", f'rule = "none" and {open_}'),
    ]


def panels() -> list[Panel]:
    """The returns of a customer and of a case."""
    return [
        Panel("service.return.side", "What the rules allow", "service/ruling.html", rules_of, READ, "scale", 10),
        Panel("customer.side", "Returns", "service/returns.html", of_customer, READ, "package-import", 44),
        Panel("service.case.side", "Returns", "service/returns.html", of_case, READ, "package-import", 34),
    ]


def rules_of(reader: Reader, record: Return) -> Mapping[str, Any]:
    """What whoever works on returns may approve, and what that would be worth."""
    return {"remedies": [choice for choice in REMEDIES if choice.value in record.allowed], "record": record,
            "limit": int(reader.site.settings.get("service.return_limit") or 0)}  # fmt: skip


def of_customer(reader: Reader, record: Any) -> Mapping[str, Any]:
    """A customer's returns, the newest first."""
    return _rows(reader, Return.customer_id == record.id)


def of_case(reader: Reader, record: Any) -> Mapping[str, Any]:
    """The returns that belong to a case."""
    return _rows(reader, Return.case_id == record.id)


def _rows(reader: Reader, whose: Any) -> Mapping[str, Any]:
    found = reader.all(Return, whose, Return.archived_at.is_(None), order=Return.id.desc(), limit=5)
    choices = {choice.value: choice for choice in STATUSES}
    names = reader.titles(Product, [each.product_id for each in found])
    return {"rows": [{"it": each, "status": choices[each.status], "product": names.get(each.product_id, "")}
                     for each in found]}  # fmt: skip
