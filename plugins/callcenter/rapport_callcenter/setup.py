"""What a call centre starts with: dispositions and wrap-up codes that fit most, for an administrator to change."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport import N_
from rapport_callcenter.entities import Disposition, WrapUp

DISPOSITIONS: tuple[dict[str, Any], ...] = (
    {"name": N_("Interested"), "result": "success", "makes_lead": True},
    {"name": N_("Not interested"), "result": "refused"},
    {"name": N_("Call back"), "result": "call_back"},
    {"name": N_("No answer"), "result": "not_reached", "retry_after": 240},
    {"name": N_("Busy line"), "result": "not_reached", "retry_after": 20},
    {"name": N_("Reached, nothing decided"), "result": "reached"},
    {"name": N_("Wrong number"), "result": "wrong_number", "suppress": True},
    {"name": N_("Do not call"), "result": "do_not_call", "suppress": True},
)
WRAP_UPS: tuple[dict[str, Any], ...] = (
    {"name": N_("Question answered")},
    {"name": N_("Order")},
    {"name": N_("Complaint"), "about": "complaint"},
    {"name": N_("Quality problem"), "about": "quality"},
    {"name": N_("Replacement"), "about": "replacement"},
    {"name": N_("Refund"), "about": "refund"},
)


def make_first_records(session: Session) -> None:
    """Put them in, unless there are some, also archived ones: the administrator's word counts."""
    for entity, rows in ((Disposition, DISPOSITIONS), (WrapUp, WRAP_UPS)):
        if session.scalar(select(entity.id).limit(1)) is None:
            session.add_all(entity(position=number, **facts) for number, facts in enumerate(rows, 1))
