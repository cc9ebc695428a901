"""Beside sales: orders tell what campaigns brought, and whoever fills in a web form becomes a lead."""

from __future__ import annotations

from rapport_sales import Lead, Order
from sqlalchemy import type_coerce
from sqlalchemy.orm import Session

from rapport import Customer, hookimpl
from rapport_marketing.forms import Form, Submission
from rapport_marketing.hookspecs import Sales

COUNT = ("placed", "fulfilled")
"""Orders that are orders: no drafts, and nothing that was cancelled."""


@hookimpl
def marketing_sales() -> Sales:
    """Orders, each with its gross profit: the total less what the goods cost."""
    profit = type_coerce(Order.total - Order.cost, Order.__table__.c.total.type)  # a difference is no amount by itself
    return Sales(
        entity=Order, customer_id=Order.customer_id, campaign=Order.campaign, on=Order.ordered_on,
        currency=Order.currency, revenue=Order.total, profit=profit,
        where=(Order.status.in_(COUNT), Order.ordered_on.is_not(None), Order.archived_at.is_(None)),
    )  # fmt: skip


@hookimpl
def apply_marketing_submission(submission: Submission, customer: Customer, campaign: str, session: Session) -> None:
    """A lead of the customer, to be handed out and scored like any other."""
    form = session.get(Form, submission.form_id)
    values = submission.values
    session.add(
        Lead(
            name=customer.name, company=str(values.get("organisation", "")), email=submission.email,
            phone=str(values.get("phone", "")), job_title=str(values.get("job_title", "")),
            source=form.title if form is not None else "", note=str(values.get("message", "")), campaign=campaign,
            customer_id=customer.id,
        )
    )  # fmt: skip
