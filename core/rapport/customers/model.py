"""People and organisations, how to reach them, and how they belong together."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from rapport.config import is_zone
from rapport.entities import Choice, Entity, Owned, field, ref
from rapport.errors import Problem
from rapport.i18n.catalogs import _
from rapport.i18n.names import full_name
from rapport.query.fold import fold

WORK = {
    "manager": "read create update delete export import",
    "member": "read create update:team export import",
    "viewer": "read",
}
PART_OF_CUSTOMER = {"manager": "read create update delete export import", "member": "read create update delete export",
                    "viewer": "read"}  # fmt: skip


class Customer(Owned, Entity, name="customer", title="Customer", icon="address-book", roles=WORK, display="name"):
    """A person or an organisation. A person may work at an organisation, which is a customer too."""

    __table_args__ = (
        Index("ix_customer_listed", "name_key", "id"),
        Index("ix_customer_mine", "owner_id", "name_key", "id"),
        Index("ix_customer_changed", "updated_at", "id"),
    )

    kind: Mapped[str] = field(
        label="Kind", choices=[Choice("person", "Person", "azure"), Choice("organisation", "Organisation", "indigo")],
        default="person",
    )  # fmt: skip
    name: Mapped[str] = field(
        label="Name",
        default="",
        searchable=True,
        in_list=True,
        help="Left empty, it is made of the given and family names.",
    )
    given_name: Mapped[str] = field(label="Given name", default="", section="Person")
    family_name: Mapped[str] = field(label="Family name", default="", section="Person")
    organisation_id: Mapped[UUID | None] = ref("customer", label="Organisation", section="Person", in_list=True)
    job_title: Mapped[str] = field(label="Job title", default="", section="Person")
    email: Mapped[str] = field(label="E-mail", kind="email", default="", indexed=True, searchable=True, in_list=True)
    phone: Mapped[str] = field(label="Phone", kind="phone", default="", indexed=True, searchable=True, in_list=True)
    website: Mapped[str] = field(label="Website", kind="url", default="")
    address: Mapped[dict[str, str]] = field(label="Address", kind="address", default=dict)
    language: Mapped[str] = field(
        label="Language", choices=[Choice("", "Unknown"), Choice("en", "English"), Choice("fr", "French"),
                                   Choice("fa", "Persian"), Choice("he", "Hebrew"), Choice("zh", "Chinese")],
        default="",
    )  # fmt: skip
    time_zone: Mapped[str] = field(
        label="Time zone", default="", help="Such as Europe/Paris: their quiet hours go by it. Empty: the business’s."
    )
    industry: Mapped[str] = field(label="Industry", default="", section="Organisation")
    source: Mapped[str] = field(label="Source", default="")
    tags: Mapped[tuple[str, ...]] = field(label="Tags", kind="tags", searchable=True, in_list=True)
    note: Mapped[str] = field(label="Note", kind="longtext", default="")
    reference: Mapped[str] = field(
        label="Reference", default="", indexed=True, searchable=True, help="The number another system knows them by."
    )
    merged_into_id: Mapped[UUID | None] = ref("customer", label="Merged into", readonly=True)
    name_key: Mapped[str] = field(secret=True, readonly=True, default="")

    def prepare(self) -> None:
        """Name people by their parts, and keep the key that lists sort by."""
        if not self.name:
            self.name = full_name(self.given_name or "", self.family_name or "", self.language or "")
        self.name_key = fold(self.name)

    def validate(self) -> Sequence[Problem]:
        """A customer has a name, and nobody works at themselves."""
        problems = []
        if not self.name:
            problems.append(Problem("name", _("is missing. Give a name, or a given or family name.")))
        if self.organisation_id is not None and self.organisation_id == self.id:
            problems.append(Problem("organisation_id", _("cannot be the customer itself.")))
        if self.time_zone and not is_zone(self.time_zone):
            problems.append(Problem("time_zone", _("is no time zone: write it like Europe/Paris.")))
        return problems


class ContactPoint(
    Entity,
    name="contact_point",
    title="Contact point",
    icon="at",
    roles=PART_OF_CUSTOMER,
    listed=False,
    display="value",
):
    """One more way to reach a customer, beside the main e-mail and phone."""

    customer_id: Mapped[UUID] = ref("customer")
    kind: Mapped[str] = field(
        label="Kind", choices=[Choice("email", "E-mail"), Choice("phone", "Phone"), Choice("url", "Website"),
                               Choice("handle", "Messenger or social network")],
        in_list=True,
    )  # fmt: skip
    value: Mapped[str] = field(label="Address or number", indexed=True, searchable=True, in_list=True)
    label: Mapped[str] = field(label="Label", default="", in_list=True, help="Work, home, mobile …")

    def prepare(self) -> None:
        """Keep e-mail addresses, numbers and links in the form they are compared in."""
        kinds = {"email", "phone", "url"}
        if self.kind in kinds and self.value:
            from rapport.entities.fields import KINDS

            try:
                self.value = KINDS[self.kind].load(self.value, type(self).meta.fields["value"])
            except ValueError as error:
                self._problem: str | None = str(error)
            else:
                self._problem = None

    def validate(self) -> Sequence[Problem]:
        """An address must be one."""
        problem = getattr(self, "_problem", None)
        return [Problem("value", problem)] if problem else []


class Relation(Entity, name="relation", title="Relation", icon="link", roles=PART_OF_CUSTOMER, listed=False,
               display="kind"):  # fmt: skip
    """How two customers belong together: parent company, spouse, partner, referred by."""

    customer_id: Mapped[UUID] = ref("customer", label="Customer")
    other_id: Mapped[UUID] = ref("customer", label="To")
    kind: Mapped[str] = field(
        label="Kind",
        choices=[
            Choice("subsidiary_of", "Subsidiary of"),
            Choice("works_at", "Works at"),
            Choice("partner_of", "Partner of"),
            Choice("family_of", "Family of"),
            Choice("referred_by", "Referred by"),
            Choice("supplier_of", "Supplier of"),
        ],
        in_list=True,
    )
    note: Mapped[str] = field(label="Note", default="")

    def validate(self) -> Sequence[Problem]:
        """A relation joins two."""
        return [Problem("other_id", _("must be another customer."))] if self.customer_id == self.other_id else []
