"""Links by which people decide from a mail: signed, for one person, one answer and one state of things, and once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from itsdangerous import BadSignature, URLSafeTimedSerializer

from rapport.errors import Conflict, NotFound
from rapport.i18n.catalogs import _

if TYPE_CHECKING:
    from rapport.site import Site
    from rapport.workflows.store import Approval

DECISIONS = ("approved", "rejected")
EXPIRES_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a link says: whose answer it is to which question, and what both looked like when it was written."""

    approval_id: UUID
    user_id: UUID
    decision: str
    approval_version: int
    record_version: int


def decision_links(site: Site, approval: Approval, record_version: int) -> dict[str, str]:
    """The link for each answer, as it is good until the question, its person or the record changes."""
    base = site.config.base_url.rstrip("/")
    return {
        decision: f"{base}/decide/{_signer(site).dumps([str(approval.id), str(approval.owner_id), decision, approval.version, record_version])}"  # noqa: E501
        for decision in DECISIONS
    }


def read_ticket(site: Site, text: str) -> Ticket:
    """What a link says; NotFound when it is not ours or too old."""
    try:
        approval, user, decision, version, record = _signer(site).loads(text, max_age=EXPIRES_SECONDS)
        return Ticket(UUID(approval), UUID(user), str(decision), int(version), int(record))
    except (BadSignature, ValueError, TypeError):
        raise NotFound(_("This link is not valid, or too old. Sign in to see what is asked of you.")) from None


def check_ticket(ticket: Ticket, approval: Any, record: Any) -> None:
    """Conflict, with the reason, when things are no longer as they were when the link was written."""
    if approval is None or record is None or ticket.decision not in DECISIONS:
        raise NotFound(_("This is no longer asked."))
    if approval.decision == "withdrawn":
        raise Conflict(_("This is no longer asked."))
    if approval.decision:
        raise Conflict(_("This is answered already."))
    if approval.owner_id != ticket.user_id or approval.version != ticket.approval_version:
        raise Conflict(_("This question was handed over to somebody else."))
    if record.version != ticket.record_version:
        raise Conflict(
            _("What it is about was changed after the mail was sent. Sign in, look at it, and decide there.")
        )


def _signer(site: Site) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(site.config.secret_key, salt="workflow-decision")
