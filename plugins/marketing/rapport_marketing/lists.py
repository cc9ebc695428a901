"""Lists of customers: put together by hand, or bought, with where they are from and why we may write to them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import inspect, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    Choice,
    Consent,
    Customer,
    Entity,
    Invalid,
    Link,
    Owned,
    Problem,
    Purpose,
    Unit,
    field,
    known_currency,
    ngettext,
    not_negative,
    utcnow,
)
from rapport import gettext as _
from rapport_marketing.common import CURRENCY_HELP, PART, WORK, tidy_currency

SCOPED = {"rapport_scoped": True}
BASES = [
    Choice("", "Not said"),
    Choice("consent", "Consent", "green"),
    Choice("legitimate_interest", "Legitimate interest", "azure"),
    Choice("contract", "Contract", "teal"),
    Choice("public", "Public register", "purple"),
]


class CustomerList(
    Owned, Entity, name="marketing.list", title="List", plural="Lists", icon="list-check", roles=WORK, display="name",
):  # fmt: skip
    """Customers who were put together: by hand, or bought from somebody who says why they may be written to."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    kind: Mapped[str] = field(
        label="Kind", choices=[Choice("static", "Put together", "azure"), Choice("bought", "Bought", "purple")],
        default="static", in_list=True,
    )  # fmt: skip
    note: Mapped[str] = field(label="Note", kind="longtext", default="")
    source: Mapped[str] = field(
        label="Source", default="", searchable=True, in_list=True, section="Where it is from",
        help="The register, panel or event these people are from.",
    )  # fmt: skip
    vendor: Mapped[str] = field(label="Sold by", default="", searchable=True, section="Where it is from")
    obtained_on: Mapped[dt.date | None] = field(label="Obtained on", section="Where it is from")
    cost: Mapped[Decimal | None] = field(label="Cost", kind="money", currency="currency", section="Where it is from")
    currency: Mapped[str] = field(
        label="Currency", default="", max_length=3, section="Where it is from", help=CURRENCY_HELP
    )
    basis: Mapped[str] = field(
        label="Lawful basis", choices=BASES, default="", in_list=True, section="Why we may write",
        help="With consent, everybody who is put on the list is noted to have agreed, with source and proof.",
    )  # fmt: skip
    purpose: Mapped[str] = field(
        label="Agreed to", default="marketing", section="Why we may write", help="The short name of a purpose."
    )
    proof: Mapped[str] = field(
        label="Proof", kind="longtext", default="", section="Why we may write",
        help="The words they agreed to, and how one knows.",
    )  # fmt: skip
    expires_on: Mapped[dt.date | None] = field(
        label="May be used until", in_list=True, section="Why we may write", help="Left empty: for good."
    )

    def complete(self, session: Session) -> None:
        """A cost is in some currency."""
        self.currency = tidy_currency(session, self.currency)

    def validate(self) -> Sequence[Problem]:
        """Who buys a list knows from whom, where it is from, and why it may be used."""
        problems = [*not_negative("cost", self.cost), *known_currency(self.currency)]
        if self.kind == "bought":
            if not self.source:
                problems.append(Problem("source", _("is missing. Say where a bought list is from.")))
            if not self.basis:
                problems.append(Problem("basis", _("is missing. Say why people on a bought list may be written to.")))
        if self.basis == "consent" and not self.source:
            problems.append(Problem("source", _("is missing. Consent is worth nothing without knowing its source.")))
        return list({problem.field: problem for problem in problems}.values())


class ListMember(
    Link, between=("marketing.list", "customer"), name="marketing.list_member", title="Member of a list",
    plural="Members of lists", icon="user-check", roles=PART,
):  # fmt: skip
    """A customer on a list, each once."""

    if TYPE_CHECKING:  # `between` makes them
        list_id: Mapped[UUID]
        customer_id: Mapped[UUID]

    added_on: Mapped[dt.date] = field(label="Added on", default=lambda: utcnow().date(), readonly=True, in_list=True)

    @classmethod
    def follow_up(cls, records: Sequence[ListMember], session: Any) -> None:
        """Who is put on a list of people who agreed has agreed, unless they have said something themselves."""
        new = [each for each in records if not is_gone(each) and each.version == 1]
        lists = _lists(session, {each.list_id for each in new})
        for list_id, about in lists.items():
            if about.basis == "consent":
                _note_consent(session, about, [each.customer_id for each in new if each.list_id == list_id])


def put_on_origins(session: Session, came: Mapping[UUID, UUID]) -> None:
    """Put customers on the lists they came with: the list of each by customer."""
    wanted: dict[UUID, list[UUID]] = {}
    for customer_id, list_id in came.items():
        wanted.setdefault(list_id, []).append(customer_id)
    for list_id, ids in wanted.items():
        session.add_all(_missing(session, list_id, ids))


def is_gone(record: Any) -> bool:
    state: Any = inspect(record)
    return bool(state.deleted or state.was_deleted)


def _lists(session: Session, ids: Iterable[UUID]) -> dict[UUID, CustomerList]:
    found = session.scalars(select(CustomerList).where(CustomerList.id.in_(list(ids))), execution_options=SCOPED)
    return {each.id: each for each in found}


def _missing(session: Session, list_id: UUID, ids: Sequence[UUID]) -> list[ListMember]:
    """Rows for those who are not on a list yet."""
    wanted = dict.fromkeys(ids)
    there = select(ListMember.customer_id).where(ListMember.list_id == list_id, ListMember.customer_id.in_(wanted))
    known = set(session.scalars(there, execution_options=SCOPED))
    return [ListMember(list_id=list_id, customer_id=each) for each in wanted if each not in known]


def _note_consent(session: Session, about: CustomerList, ids: Sequence[UUID]) -> None:
    purpose = session.scalar(select(Purpose.id).where(Purpose.name == about.purpose), execution_options=SCOPED)
    if purpose is None:
        raise Invalid(Problem("purpose", _("names '%(name)s', which is no purpose.", name=about.purpose)))
    said = select(Consent.customer_id).where(
        Consent.customer_id.in_(ids), Consent.purpose_id == purpose, Consent.archived_at.is_(None)
    )
    heard = set(session.scalars(said, execution_options=SCOPED))
    proof = about.proof or _("List “%(name)s”", name=about.name)
    if about.obtained_on is not None:
        proof = f"{proof}\n{about.obtained_on.isoformat()}"
    session.add_all(
        Consent(customer_id=each, purpose_id=purpose, state="granted", at=utcnow(), proof=proof,
                given_by="bought" if about.kind == "bought" else "import",
                source=" · ".join(part for part in (about.source, about.vendor) if part))
        for each in ids if each not in heard
    )  # fmt: skip


def put_on_list(unit: Unit, about: CustomerList, customer_ids: Sequence[UUID]) -> int:
    """Put customers on a list, each once; how many are new on it."""
    unit.actor.require(ListMember.meta.permission("create"))
    new = _missing(unit.session, about.id, customer_ids)
    unit.session.add_all(new)
    unit.flush()
    return len(new)


def is_expired(about: CustomerList, today: dt.date) -> bool:
    """Whether a list may not be used any more."""
    return about.expires_on is not None and about.expires_on < today


# Buttons -------------------------------------------------------------------------------------------------------------


def add_action(unit: Unit, records: Sequence[Customer], values: Mapping[str, Any]) -> str:
    """Above the list of customers: put those that are ticked on a list."""
    about = unit.get(CustomerList, UUID(str(values["list_id"])))
    added = put_on_list(unit, about, [each.id for each in records])
    return ngettext("%(num)s customer was put on “%(name)s”.", "%(num)s customers were put on “%(name)s”.", added,
                    name=about.name)  # fmt: skip


def remove_action(unit: Unit, records: Sequence[Customer], values: Mapping[str, Any]) -> str:
    """Take those that are ticked off a list."""
    about = unit.get(CustomerList, UUID(str(values["list_id"])))
    ids = [each.id for each in records]
    there = select(ListMember).where(ListMember.list_id == about.id, ListMember.customer_id.in_(ids))
    found = list(unit.session.scalars(there))
    for member in found:
        unit.delete(member)
    return ngettext("%(num)s customer was taken off “%(name)s”.", "%(num)s customers were taken off “%(name)s”.",
                    len(found), name=about.name)  # fmt: skip
