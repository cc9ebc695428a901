"""Beside sales: a call that brought somebody who may buy makes a lead of them, for the campaign of the list."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rapport_sales import Lead
from sqlalchemy import select

from rapport import Customer, hookimpl
from rapport_callcenter.entities import Call, CallList, Disposition


@hookimpl
def callcenter_call_ended(call_id: str, session: Any) -> None:
    make_lead(UUID(call_id), session)


def make_lead(call_id: UUID, session: Any) -> None:
    """One lead for each customer and campaign that is still open, whoever calls how often."""
    call = session.get(Call, call_id)
    if call is None or call.disposition_id is None or call.customer_id is None:
        return
    disposition = session.get(Disposition, call.disposition_id)
    customer = session.get(Customer, call.customer_id)
    if disposition is None or not disposition.makes_lead or customer is None:
        return
    call_list = session.get(CallList, call.list_id) if call.list_id is not None else None
    campaign = call_list.campaign if call_list is not None else ""
    known = select(Lead.id).where(Lead.customer_id == customer.id, Lead.campaign == campaign,
                                  Lead.converted_at.is_(None), Lead.archived_at.is_(None))  # fmt: skip
    if session.scalar(known.limit(1)) is not None:
        return
    lead = {
        "name": customer.name, "email": customer.email, "phone": customer.phone or call.number,
        "language": customer.language, "customer_id": customer.id, "campaign": campaign, "note": call.note,
        "source": call_list.name if call_list is not None else "", "owner_id": call.agent_id,
    }  # fmt: skip
    session.unit.create(Lead, lead)
