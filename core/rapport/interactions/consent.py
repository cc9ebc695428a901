"""Whether customers may be contacted: what for, what they agreed to, what they asked to be spared, and when."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from rapport.entities import Choice, Entity, field, ref, utcnow
from rapport.errors import Problem
from rapport.i18n.catalogs import N_, _
from rapport.i18n.values import normalise_email, normalise_phone

DECIDED_BY_MANAGERS = {"manager": "read create update delete", "member": "read", "viewer": "read"}
KEPT_BY_EVERYBODY = {"manager": "read create update delete export import", "member": "read create update export",
                     "viewer": "read"}  # fmt: skip
TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Purpose(Entity, name="purpose", title="Purpose", icon="target-arrow", roles=DECIDED_BY_MANAGERS, display="title",
              listed=False, natural_key=("name",)):  # fmt: skip
    """What customers are contacted for. It says on which ground that is done, and what holds for it."""

    name: Mapped[str] = field(
        label="Short name", unique=True, in_list=True, help="Small letters, as plugins and programs name it: marketing."
    )
    title: Mapped[str] = field(label="Title", in_list=True, help="As customers read it on their preference page.")
    description: Mapped[str] = field(label="Description", default="", help="What they get, in a sentence.")
    basis: Mapped[str] = field(
        label="Legal basis",
        choices=[
            Choice("consent", "Consent: only those who agreed", "azure"),
            Choice("legitimate_interest", "Legitimate interest: unless they object", "indigo"),
            Choice("contract", "Contract: needed for what they ordered", "green"),
            Choice("legal_obligation", "Legal obligation", "secondary"),
        ],
        default="consent",
        in_list=True,
    )
    quiet: Mapped[bool] = field(label="Waits in quiet hours", default=True, in_list=True)
    capped: Mapped[bool] = field(label="Counts for caps", default=True, in_list=True)
    needs_approval: Mapped[bool] = field(label="Needs approval", default=False, in_list=True)
    position: Mapped[int] = field(label="Position", default=0)

    @property
    def may_be_declined(self) -> bool:
        """Whether a customer's no counts: nobody can decline the invoice for what they ordered."""
        return self.basis in {"consent", "legitimate_interest"}

    def validate(self) -> Sequence[Problem]:
        """Programs name purposes, so a name is one plain word."""
        plain = re.fullmatch(r"[a-z][a-z0-9_]*", self.name or "")
        return [] if plain else [Problem("name", _("must be small letters, digits and underscores: marketing."))]


FIRST_PURPOSES = (
    {"name": "service", "title": N_("Service"), "basis": "contract", "quiet": False, "capped": False, "position": 1,
     "description": N_("Answers to your questions, appointments, and what concerns your orders.")},
    {"name": "marketing", "title": N_("News and offers"), "basis": "consent", "quiet": True, "capped": True,
     "position": 2, "description": N_("What is new, and offers that may be of use to you.")},
)  # fmt: skip
"""What every site starts with."""


class Consent(Entity, name="consent", title="Consent", icon="checkup-list", roles=KEPT_BY_EVERYBODY, listed=False,
              display="state"):  # fmt: skip
    """What a customer said about being contacted for a purpose. The newest word counts; the older ones are kept."""

    __table_args__ = (Index("ix_consent_newest", "customer_id", "purpose_id", "at", "id"),)

    customer_id: Mapped[UUID] = ref("customer", in_list=True)
    purpose_id: Mapped[UUID] = ref("purpose", in_list=True)
    channel: Mapped[str] = field(label="Channel", default="", in_list=True, help="Empty: whichever channel.")
    state: Mapped[str] = field(
        label="Answer",
        choices=[Choice("granted", "Agreed", "green"), Choice("denied", "Declined", "red")],
        in_list=True,
    )
    at: Mapped[dt.datetime] = field(label="When", default=utcnow, in_list=True)
    given_by: Mapped[str] = field(
        label="How",
        choices=[
            Choice("form", "Form or checkbox"), Choice("preferences", "Preference page"),
            Choice("reply", "Their message"), Choice("in_person", "In person"),
            Choice("phone", "By phone"), Choice("paper", "On paper"),
            Choice("import", "Imported"), Choice("bought", "Bought list"),
        ],
        default="in_person",
        in_list=True,
    )  # fmt: skip
    source: Mapped[str] = field(
        label="Source", default="", help="The form, event, file or seller it came from.", in_list=True
    )
    proof: Mapped[str] = field(
        label="Proof", kind="longtext", default="", help="The words they agreed to, and how one knows."
    )

    def validate(self) -> Sequence[Problem]:
        """Consent that comes from elsewhere says from where: else nobody could show it was given."""
        if self.given_by in {"import", "bought"} and self.state == "granted" and not self.source:
            return [Problem("source", _("is missing. Consent that was imported or bought must say where it is from."))]
        return []


class Suppression(Entity, name="suppression", title="Do not contact", plural="Do not contact", icon="hand-stop",
                  roles=KEPT_BY_EVERYBODY, display="address"):  # fmt: skip
    """Whom or what address not to contact, whatever for. Of people who were erased only a fingerprint is kept."""

    customer_id: Mapped[UUID | None] = ref("customer", on_delete="CASCADE", in_list=True)
    address: Mapped[str] = field(
        label="Address or number", default="", in_list=True, help="Left empty, it holds for all of the customer's."
    )
    fingerprint: Mapped[str] = field(secret=True, readonly=True, indexed=True, default="")
    channel: Mapped[str] = field(label="Channel", default="", in_list=True, help="Empty: whichever channel.")
    reason: Mapped[str] = field(
        label="Reason",
        choices=[
            Choice("asked", "They asked"), Choice("bounced", "It came back", "orange"),
            Choice("complaint", "They complained", "red"), Choice("legal", "A court or an authority"),
            Choice("erased", "Erased", "muted"), Choice("other", "Another reason"),
        ],
        default="asked",
        in_list=True,
    )  # fmt: skip
    note: Mapped[str] = field(label="Note", default="")
    until: Mapped[dt.datetime | None] = field(label="Until", in_list=True, help="Left empty, it holds for good.")

    def prepare(self) -> None:
        """An address is compared by its fingerprint, so that it need not be kept itself."""
        self.address = _as_kept((self.address or "").strip())
        if self.address:
            self.fingerprint = fingerprint(self.address)

    def validate(self) -> Sequence[Problem]:
        """It is about somebody or some address."""
        if self.customer_id is None and not self.address and not self.fingerprint:
            return [Problem("address", _("is missing. Name an address or a customer."))]
        return []


def _as_kept(address: str) -> str:
    """An address in the form customers' are kept in, if it is an e-mail address or a number."""
    with contextlib.suppress(ValueError):
        return normalise_email(address) if "@" in address else normalise_phone(address)
    return address


def fingerprint(address: str) -> str:
    """By what an address is known again without being kept. How people write it makes no difference."""
    plain = re.sub(r"\s+", "", address).casefold()
    return hashlib.sha256(plain.encode()).hexdigest()


class FrequencyCap(Entity, name="frequency_cap", title="Frequency cap", icon="gauge", roles=DECIDED_BY_MANAGERS,
                   listed=False, natural_key=("name",)):  # fmt: skip
    """How often a customer may be contacted within some days."""

    name: Mapped[str] = field(label="Name", unique=True, in_list=True)
    most: Mapped[int] = field(label="At most", default=3, in_list=True)
    days: Mapped[int] = field(label="Within days", default=7, in_list=True)
    channel: Mapped[str] = field(label="Channel", default="", in_list=True, help="Empty: all channels together.")
    purpose_id: Mapped[UUID | None] = ref(
        "purpose", in_list=True, on_delete="CASCADE", help="Empty: all purposes that count for caps together."
    )
    per_campaign: Mapped[bool] = field(label="Each campaign by itself", default=False, in_list=True)

    def validate(self) -> Sequence[Problem]:
        """Within a day or more, and within a year: older messages are not looked at."""
        problems = []
        if not 0 <= (self.most or 0) <= 1000:
            problems.append(Problem("most", _("must be between 0 and 1000.")))
        if not 1 <= (self.days or 0) <= 366:
            problems.append(Problem("days", _("must be between 1 and 366.")))
        return problems


class QuietHours(Entity, name="quiet_hours", title="Quiet hours", plural="Quiet hours", icon="moon",
                 roles=DECIDED_BY_MANAGERS, listed=False, natural_key=("name",)):  # fmt: skip
    """When customers are left in peace, by their own clock. What would be sent then waits until it is over."""

    name: Mapped[str] = field(label="Name", unique=True, in_list=True)
    begins: Mapped[str] = field(label="From", default="21:00", in_list=True)
    ends: Mapped[str] = field(label="Until", default="08:00", in_list=True, help="The same as “From”: the whole day.")
    days: Mapped[tuple[str, ...]] = field(
        label="Days", kind="tags", in_list=True, help="mon, tue, wed, thu, fri, sat, sun; empty: every day."
    )
    channel: Mapped[str] = field(label="Channel", default="", in_list=True, help="Empty: all channels.")

    def validate(self) -> Sequence[Problem]:
        """Times of a clock, and days of a week."""
        values: dict[str, Any] = {"begins": self.begins, "ends": self.ends}
        problems = [
            Problem(name, _("must be a time, such as 21:00."))
            for name, value in values.items() if not TIME.fullmatch(value or "")
        ]  # fmt: skip
        if unknown := [day for day in self.days or () if day not in WEEKDAYS]:
            problems.append(Problem("days", _("has an unknown day '%(day)s'.", day=unknown[0])))
        return problems

    def covers(self, local: dt.datetime) -> bool:
        """Whether a moment of somebody's clock lies within."""
        time = local.strftime("%H:%M")
        today, yesterday = (self._on(local.weekday() - back) for back in (0, 1))
        if self.begins < self.ends:
            return today and self.begins <= time < self.ends
        if self.begins == self.ends:
            return today
        return (today and time >= self.begins) or (yesterday and time < self.ends)

    def over_after(self, local: dt.datetime) -> dt.datetime:
        """When the hours that cover a moment end, by the same clock."""
        later = self.begins == self.ends or (self.begins > self.ends and local.strftime("%H:%M") >= self.begins)
        day = local.date() + dt.timedelta(days=1 if later else 0)
        end = dt.time() if self.begins == self.ends else dt.time.fromisoformat(self.ends)
        return dt.datetime.combine(day, end, local.tzinfo)

    def _on(self, weekday: int) -> bool:
        return not self.days or WEEKDAYS[weekday % 7] in self.days


FIRST_QUIET_HOURS = ({"name": N_("Night"), "begins": "21:00", "ends": "08:00", "days": []},)
FIRST_RECORDS: dict[type[Entity], Sequence[dict[str, Any]]] = {
    Purpose: FIRST_PURPOSES,
    QuietHours: FIRST_QUIET_HOURS,
}
