"""What others may bring to marketing: where sales are kept, and what follows from a form that was filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from rapport import Customer, Entity, hook

if TYPE_CHECKING:
    from rapport_marketing.forms import Submission


@dataclass(frozen=True, slots=True)
class Sales:
    """Where sales are kept: an entity, and what marketing needs of it as expressions over that entity.

    Marketing selects and sums them with the scopes of whoever reads, so that nobody sees more than elsewhere.
    """

    entity: type[Entity]
    customer_id: Any
    campaign: Any
    """The code of the campaign it came from, or an empty text."""
    on: Any
    """The day it was ordered."""
    currency: Any
    revenue: Any
    profit: Any
    """Gross profit: revenue less what the goods cost."""
    where: Sequence[Any] = ()
    """What counts: no drafts, nothing cancelled."""


@hook("choose", Sales)
def marketing_sales() -> Sales | None:
    """Say where orders are kept, so that marketing knows what its campaigns brought. First answer wins.

    *Kind* choose. *Transaction* none. *On failure* logged, and the next plugin is asked.
    """


@hook("prepare")
def apply_marketing_submission(submission: Submission, customer: Customer, campaign: str, session: Session) -> None:
    """Do what follows from a web form that was filled in and confirmed, such as making a lead.

    *Kind* prepare. *Transaction* the caller's; never commit. *On failure* the confirmation is refused.
    """
