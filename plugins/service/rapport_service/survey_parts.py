"""What surveys show on other pages, and the buttons by which one asks and clears."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, select

from rapport import (
    Action,
    ActionResult,
    Customer,
    Field,
    Formats,
    ListFilter,
    Panel,
    Reader,
    Summary,
    Unit,
    gettext,
)
from rapport_service import surveys
from rapport_service.surveys import Answer, Invitation, Survey

READ = "service.invitation.read"
DAYS = 90
SATISFACTION = ("product", "service", "purchase")


def actions() -> list[Action]:
    """Ask somebody, note that they do not want to, and clear what was wrong."""
    change = "service.invitation.update"
    survey = replace(Invitation.meta.fields["survey_id"], required=True, nullable=False)
    product = Invitation.meta.fields["product_id"]
    result = replace(Invitation.meta.fields["result"], required=True, nullable=False)
    return [
        Action("customer", "survey", "Ask a survey", "clipboard-text", "service.invitation.create", _ask,
               fields=[survey, product, Field("phone", "On the phone, now", "flag")]),
        Action("service.invitation", "clear", "Cleared", "circle-check", change, _clear, primary=True,
               applies=lambda each: each.loop == "open",
               fields=[result, Field("tell", "Tell the customer", "flag", default=True)]),
        Action("service.invitation", "decline", "Does not want to answer", "hand-stop", change, _decline,
               applies=lambda each: each.state in {"call", "sent", "refused"}),
    ]  # fmt: skip


def _ask(unit: Unit, records: Sequence[Customer], values: Mapping[str, Any]) -> ActionResult:
    survey = unit.get(Survey, UUID(str(values["survey_id"])))
    made = surveys.ask_one(unit, survey, records[0].id, product_id=values.get("product_id"),
                           phone=bool(values.get("phone")))  # fmt: skip
    told = {
        "call": gettext("Ask now: the questions are on the page."),
        "sent": gettext("The link is on its way."),
    }
    return ActionResult(told.get(made.state, gettext("It was not sent. The message says why.")), made)


def _clear(unit: Unit, records: Sequence[Invitation], values: Mapping[str, Any]) -> str:
    told = surveys.clear(unit, records[0], str(values["result"]), tell_customer=bool(values.get("tell")))
    if told is None:
        return gettext("Cleared.")
    return gettext("Cleared, and the customer hears of it.") if told.state != "refused" else (
        gettext("Cleared. The customer was not told: %(reason)s", reason=told.reason)
    )  # fmt: skip


def _decline(unit: Unit, records: Sequence[Invitation], values: Mapping[str, Any]) -> str:
    surveys.decline(unit, records[0])
    return gettext("They are not asked again about this.")


def list_filters() -> list[ListFilter]:
    """What one looks for among those who are asked."""
    return [
        ListFilter("service.invitation", "call", "To be asked by phone", 'state = "call" and expires_on >= today'),
        ListFilter("service.invitation", "open_loop", "To be cleared", 'loop = "open"'),
    ]


def panels() -> list[Panel]:
    """The way to the questions, how many answer, and how satisfied customers are."""
    return [
        Panel("service.invitation.side", "Ask on the phone", "service/ask_now.html", ask_now,
              "service.invitation.update", "phone", 10),
        Panel("service.survey.side", "How many answer", "service/survey_state.html", state_of, READ, "message-check"),
        Panel("customer.side", "To be asked", "service/to_ask.html", to_ask, "service.invitation.update", "star", 47),
        Panel("home", "Not satisfied", "service/unhappy.html", unhappy, READ, "mood-sad", 50),
        Panel("dashboard", "Satisfaction", "service/satisfaction.html", satisfaction, READ, "mood-smile", 60),
    ]  # fmt: skip


def ask_now(reader: Reader, record: Invitation) -> Mapping[str, Any]:
    """The way to the questions, while they can be answered."""
    customer = reader.get(Customer, record.customer_id)
    return {"open": record.open(reader.today()), "record": record, "phone": customer.phone}


def to_ask(reader: Reader, record: Customer) -> Mapping[str, Any]:
    """The surveys that a customer can still answer, for whoever talks with them now."""
    found = reader.all(
        Invitation, Invitation.customer_id == record.id, Invitation.state.in_(["call", "sent", "refused"]),
        Invitation.expires_on >= reader.today(), Invitation.archived_at.is_(None), order=Invitation.id.desc(), limit=3,
    )  # fmt: skip
    return {"rows": found}


def state_of(reader: Reader, record: Survey) -> Mapping[str, Any]:
    """Whether anybody is asked, and how many of them answered."""
    asked, answered = reader.session.execute(
        select(func.count(), func.coalesce(func.sum(case((Invitation.state == "answered", 1), else_=0)), 0)).where(
            Invitation.survey_id == record.id, Invitation.state != "refused", Invitation.archived_at.is_(None)
        )
    ).one()
    return {"survey": record, "asked": asked, "answered": answered}


def unhappy(reader: Reader) -> Mapping[str, Any]:
    """Low marks that nobody has cleared yet, the newest first."""
    found = reader.all(Invitation, Invitation.loop == "open", Invitation.archived_at.is_(None),
                       order=Invitation.id.desc(), limit=6)  # fmt: skip
    return {"rows": found[:5], "more": len(found) > 5,
            "names": reader.titles(Customer, [each.customer_id for each in found])}  # fmt: skip


def satisfaction(reader: Reader) -> Mapping[str, Any]:
    """The marks of the last 90 days: means, and the net promoter score of product and store."""
    since = reader.today() - dt.timedelta(days=DAYS)
    found = {row.kind: row for row in reader.session.execute(
        select(
            Answer.kind, func.count().label("answers"), func.avg(Answer.mark).label("mean"),
            func.sum(case((Answer.mark >= 9, 1), else_=0)).label("promoters"),
            func.sum(case((Answer.mark <= 6, 1), else_=0)).label("detractors"),
        )
        .join(Invitation, Invitation.id == Answer.invitation_id)
        .where(Invitation.answered_on >= since, Answer.mark.is_not(None), Invitation.archived_at.is_(None))
        .group_by(Answer.kind)
    )}  # fmt: skip
    means = [(choice, float(found[choice.value].mean)) for choice in surveys.KINDS
             if choice.value in found and choice.value in SATISFACTION]  # fmt: skip
    scores = [(choice, nps(row.promoters, row.detractors, row.answers)) for choice in surveys.KINDS
              if choice.value.startswith("recommend") and (row := found.get(choice.value)) is not None]  # fmt: skip
    return {"means": means, "scores": scores}


def nps(promoters: int, detractors: int, answers: int) -> float:
    """The net promoter score: the share of 9 and 10 less the share of 0 to 6, in points from -100 to 100."""
    return 100 * (promoters - detractors) / answers if answers else 0.0


def summarize(reader: Reader, customer_ids: Sequence[UUID]) -> list[Summary]:
    """How satisfied each customer said they are, on average: one query for all of them."""
    if not reader.actor.may(READ) or not reader.actor.may("service.answer.read"):
        return []
    rows = reader.session.execute(
        select(Invitation.customer_id, func.avg(Answer.mark))
        .join(Answer, Answer.invitation_id == Invitation.id)
        .where(Invitation.customer_id.in_(list(customer_ids)), Answer.kind.in_(SATISFACTION))
        .group_by(Invitation.customer_id)
    )
    actor: Any = reader.actor
    number = Formats(actor.language, actor.time_zone, actor.calendar or None).number
    return [Summary(row[0], gettext("Satisfaction"), gettext("%(mark)s of 10", mark=number(round(float(row[1]), 1))),
                    f"/service.invitation?filter=customer_id+%3D+%22{row[0]}%22") for row in rows]  # fmt: skip
