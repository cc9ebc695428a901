"""Who may let a large discount go: a workflow that asks managers by mail, and that an administrator may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport import Choice, Field, Unit, Workflow, WorkflowAction
from rapport import gettext as _
from rapport_sales.quotes import Quote, decided

NAME = "quote_discount"
SOURCE = """\
name: quote_discount
title: Approve the discount of a quote
note: Sales starts it when somebody asks for the approval of a quote.
entity: sales.quote
start: {event: updated, when: 'status = "approval"'}
initial: asking
states:
  asking:
    title: Waiting for approval
    approve:
      who: [role:manager, role:admin]
      need: any
      title: "May {name} go out with {discount} % discount?"
      note: "{subject}: {total} instead of {regular}"
      deadline: 5 days
      escalate: {after: 2 days, to: role:admin}
    on:
      approved: granted
      rejected: refused
      overdue: refused
  granted:
    entry:
      - sales.decide_quote: approved
      - notify: {to: owner, subject: "{name} is approved and can be sent"}
    final: true
  refused:
    entry:
      - sales.decide_quote: refused
      - notify: {to: owner, subject: "{name} is not approved with this discount"}
    final: true
"""


def make_workflow(session: Session) -> None:
    """Put it in once; changed, switched off or archived by an administrator it stays as they left it."""
    known = session.scalar(select(Workflow.id).where(Workflow.name == NAME).limit(1))
    if known is None:
        session.add(Workflow(source=SOURCE))


def workflow_actions() -> list[WorkflowAction]:
    """What the workflow does with a quote in the end."""
    answers = (Choice("approved", "Approved", "green"), Choice("refused", "Refused", "red"))
    return [
        WorkflowAction("sales.decide_quote", "Decide on a quote", _decide,
                       fields=[Field("answer", "Answer", "choice", choices=answers, required=True)],
                       help="The quote can be sent then, or goes back to whoever wrote it."),
    ]  # fmt: skip


def _decide(unit: Unit, record: Any, arguments: Mapping[str, Any]) -> str:
    approved = arguments.get("answer") == "approved"
    if isinstance(record, Quote):
        decided(unit, record, approved=approved)
    return _("the quote is approved") if approved else _("the quote is a draft again")
