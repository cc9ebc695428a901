"""The figures of customer care: how satisfied customers are, what comes back and why, and what they suggest.

The net promoter score is the share of those who answer 9 or 10 to "would you recommend" less the share of those who
answer 0 to 6, in points from -100 to 100: F. Reichheld, "The One Number You Need to Grow", Harvard Business Review,
December 2003.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from rapport_products import Product
from sqlalchemy import Numeric, String, case, cast, func, select

from rapport import Choice, Field, Reader, Report
from rapport_service.registration import Registration
from rapport_service.returns import REASONS, Return
from rapport_service.suggestions import ABOUT, Suggestion
from rapport_service.surveys import Answer, Invitation, Survey

DAYS = 365
MARKED = (
    Choice("product", "Satisfaction with the product"),
    Choice("service", "Satisfaction with the service"),
    Choice("purchase", "Experience of the purchase"),
    Choice("recommend_product", "Recommend the product"),
    Choice("recommend_store", "Recommend the store"),
    Choice("mark", "Another mark"),
)
PRODUCT = Field("product", "Product", "text")
MONTH = Field("month", "Month", "text")
QUESTION = Field("question", "Question", "choice", choices=MARKED)
SPAN = (
    Field("since", "Since", "date", help="Left empty: the last 365 days."),
    Field("until", "Until", "date", help="Left empty: today."),
)


def reports() -> list[Report]:
    """Every report of customer care."""
    asked, back = "service.answer.read", "service.return.read"
    return [
        Report("service.satisfaction", "Satisfaction by product and month", needs=asked, icon="mood-smile",
               help="Means of the marks that customers gave. Recommending is marked from 0, all else from 1, to 10.",
               fields=SPAN, rows=satisfaction,
               columns=[MONTH, PRODUCT, QUESTION, Field("answers", "Answers", "integer"),
                        Field("mean", "Mean", "decimal"), Field("low", "Marks up to 4", "integer")]),
        Report("service.marks", "How marks are distributed", needs=asked, icon="chart-histogram",
               help="How often each mark was given.", fields=SPAN, rows=marks,
               columns=[QUESTION, Field("mark", "Mark", "integer"), Field("answers", "Answers", "integer"),
                        Field("share", "Share in %", "decimal")]),
        Report("service.nps", "Net promoter score of product and store", needs=asked, icon="thumb-up",
               help="The share of marks 9 and 10 less the share of 0 to 6, from -100 to 100 (F. Reichheld, Harvard "
                    "Business Review, December 2003).",
               fields=SPAN, rows=net_promoters,
               columns=[MONTH, QUESTION, PRODUCT, Field("answers", "Answers", "integer"),
                        Field("promoters", "Promoters (9, 10)", "integer"),
                        Field("passives", "Passives (7, 8)", "integer"),
                        Field("detractors", "Detractors (0 to 6)", "integer"),
                        Field("score", "Net promoter score", "decimal")]),
        Report("service.response", "How many answer", needs="service.invitation.read", icon="message-check",
               help="Of those who were asked in a month: answered, whenever that was. Who was refused by the gate was "
                    "not asked.",
               fields=SPAN, rows=response,
               columns=[MONTH, Field("survey", "Survey", "text"), PRODUCT, Field("asked", "Asked", "integer"),
                        Field("answered", "Answered", "integer"), Field("rate", "Rate in %", "decimal"),
                        Field("cleared", "Low marks cleared", "integer"),
                        Field("waiting", "To be cleared", "integer")]),
        Report("service.returns", "Returns by product and reason", needs=back, icon="package-import",
               help="Returns requested in a time, and what came of them. Worth is of what was refunded or credited.",
               fields=SPAN, rows=returned,
               columns=[PRODUCT, Field("reason", "Reason", "choice", choices=tuple(REASONS)),
                        Field("returns", "Returns", "integer"), Field("repairs", "Repairs", "integer"),
                        Field("replacements", "Replacements", "integer"), Field("refunds", "Refunds", "integer"),
                        Field("credits", "Credits", "integer"), Field("refused", "Refused", "integer"),
                        Field("worth", "Worth", "money", currency="currency"),
                        Field("currency", "Currency", "text")]),
        Report("service.warranty", "Warranty claims", needs=back, icon="shield-check",
               help="Products registered, under warranty today, and returns requested in a time for a defect or poor "
                    "quality while under warranty.",
               fields=SPAN, rows=warranty,
               columns=[PRODUCT, Field("registered", "Registered", "integer"),
                        Field("covered", "Under warranty", "integer"), Field("claims", "Claims", "integer"),
                        Field("rate", "Claims per 100", "decimal")]),
        Report("service.suggestions", "Suggestions and their results", needs="service.suggestion.read", icon="bulb",
               help="Suggestions made in a time, by what they are about and what became of them.",
               fields=SPAN, rows=suggested,
               columns=[Field("about", "About", "choice", choices=tuple(ABOUT)),
                        Field("suggestions", "Suggestions", "integer"), Field("open", "Open", "integer"),
                        Field("accepted", "Accepted", "integer"), Field("refused", "Not taken up", "integer"),
                        Field("done", "Done", "integer"), Field("from_customers", "From customers", "integer")]),
    ]  # fmt: skip


def _span(reader: Reader, since: dt.date | None, until: dt.date | None) -> tuple[dt.date, dt.date]:
    last = until or reader.today()
    return since or last - dt.timedelta(days=DAYS), last


def _month(day: Any) -> Any:
    return func.substr(cast(day, String), 1, 7).label("month")  # both databases write days as 2026-03-21


def _count(condition: Any, name: str) -> Any:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0).label(name)


def _rounded(value: Any, name: str) -> Any:
    return cast(func.round(cast(value, Numeric(12, 4)), 2), Numeric(12, 2)).label(name)


def satisfaction(reader: Reader, since: dt.date | None, until: dt.date | None) -> Sequence[Any]:
    """Means by month, product and question, of what was answered in a time."""
    first, last = _span(reader, since, until)
    keys = (_month(Invitation.answered_on), Product.name.label("product"),
            Answer.kind.label("question"))  # fmt: skip
    return reader.session.execute(
        select(*keys, func.count().label("answers"), _rounded(func.avg(Answer.mark), "mean"),
               _count(Answer.mark <= 4, "low"))
        .select_from(Answer)
        .join(Invitation, Invitation.id == Answer.invitation_id)
        .outerjoin(Product, Product.id == Invitation.product_id)
        .where(Answer.mark.is_not(None), Invitation.answered_on.between(first, last), Invitation.archived_at.is_(None))
        .group_by(*keys)
        .order_by(*keys)
    ).all()  # fmt: skip


def marks(reader: Reader, since: dt.date | None, until: dt.date | None) -> Sequence[Any]:
    """How often each mark was given to each kind of question."""
    first, last = _span(reader, since, until)
    many = func.count()
    keys = (Answer.kind.label("question"), Answer.mark)
    share = 100.0 * many / func.sum(many).over(partition_by=Answer.kind)
    return reader.session.execute(
        select(*keys, many.label("answers"), _rounded(share, "share"))
        .join(Invitation, Invitation.id == Answer.invitation_id)
        .where(Answer.mark.is_not(None), Invitation.answered_on.between(first, last), Invitation.archived_at.is_(None))
        .group_by(Answer.kind, Answer.mark)
        .order_by(*keys)
    ).all()  # fmt: skip


def net_promoters(reader: Reader, since: dt.date | None, until: dt.date | None) -> Sequence[Any]:
    """Promoters, passives and detractors, and their score, by month and product."""
    first, last = _span(reader, since, until)
    keys = (_month(Invitation.answered_on), Answer.kind.label("question"),
            Product.name.label("product"))  # fmt: skip
    many = func.count()
    promoters = func.sum(case((Answer.mark >= 9, 1), else_=0))
    detractors = func.sum(case((Answer.mark <= 6, 1), else_=0))
    return reader.session.execute(
        select(*keys, many.label("answers"), promoters.label("promoters"),
               (many - promoters - detractors).label("passives"), detractors.label("detractors"),
               _rounded(100.0 * (promoters - detractors) / many, "score"))
        .select_from(Answer)
        .join(Invitation, Invitation.id == Answer.invitation_id)
        .outerjoin(Product, Product.id == Invitation.product_id)
        .where(Answer.kind.in_(["recommend_product", "recommend_store"]), Answer.mark.is_not(None),
               Invitation.answered_on.between(first, last), Invitation.archived_at.is_(None))
        .group_by(*keys)
        .order_by(*keys)
    ).all()  # fmt: skip


def response(reader: Reader, since: dt.date | None, until: dt.date | None) -> Sequence[Any]:
    """How many of those who were asked in a month answered."""
    first, last = _span(reader, since, until)
    keys = (_month(Invitation.asked_on), Survey.name.label("survey"),
            Product.name.label("product"))  # fmt: skip
    asked = func.count()
    answered = func.sum(case((Invitation.state == "answered", 1), else_=0))
    return reader.session.execute(
        select(*keys, asked.label("asked"), answered.label("answered"), _rounded(100.0 * answered / asked, "rate"),
               _count(Invitation.loop == "closed", "cleared"), _count(Invitation.loop == "open", "waiting"))
        .select_from(Invitation)
        .join(Survey, Survey.id == Invitation.survey_id)
        .outerjoin(Product, Product.id == Invitation.product_id)
        .where(Invitation.asked_on.between(first, last), Invitation.state != "refused",
               Invitation.archived_at.is_(None))
        .group_by(*keys)
        .order_by(*keys)
    ).all()  # fmt: skip


def returned(reader: Reader, since: dt.date | None, until: dt.date | None) -> Sequence[Any]:
    """What came back by product and reason, and how often it was repaired, replaced, refunded or credited."""
    first, last = _span(reader, since, until)
    settled = Return.settled_on.is_not(None)
    paid = case((settled & Return.remedy.in_(["refund", "credit"]), Return.amount), else_=0)
    keys = (Product.name.label("product"), Return.reason, Return.currency)
    return reader.session.execute(
        select(*keys, func.count().label("returns"),
               _count(settled & (Return.remedy == "repair"), "repairs"),
               _count(settled & (Return.remedy == "replacement"), "replacements"),
               _count(settled & (Return.remedy == "refund"), "refunds"),
               _count(settled & (Return.remedy == "credit"), "credits"),
               _count((Return.status == "refused") | ((Return.status == "closed") & ~settled), "refused"),
               func.sum(paid).label("worth"))
        .select_from(Return)
        .join(Product, Product.id == Return.product_id)
        .where(Return.requested_on.between(first, last), Return.archived_at.is_(None))
        .group_by(*keys)
        .order_by(*keys)
    ).all()  # fmt: skip


def warranty(reader: Reader, since: dt.date | None, until: dt.date | None) -> Sequence[Any]:
    """Registered products and how many were claimed for while under warranty."""
    first, last = _span(reader, since, until)
    registered = (
        select(Registration.product_id, func.count().label("registered"),
               _count(Registration.warranty_until >= reader.today(), "covered"))
        .where(Registration.archived_at.is_(None))
        .group_by(Registration.product_id)
        .subquery()
    )  # fmt: skip
    claimed = (
        select(Return.product_id, func.count().label("claims"))
        .join(Registration, Registration.id == Return.registration_id)
        .where(Return.requested_on.between(first, last), Return.archived_at.is_(None),
               Return.reason.in_(["defective", "quality"]), Return.requested_on <= Registration.warranty_until)
        .group_by(Return.product_id)
        .subquery()
    )  # fmt: skip
    claims = func.coalesce(claimed.c.claims, 0)
    return reader.session.execute(
        select(Product.name.label("product"), registered.c.registered, registered.c.covered, claims.label("claims"),
               _rounded(100.0 * claims / registered.c.registered, "rate"))
        .join(registered, registered.c.product_id == Product.id)
        .outerjoin(claimed, claimed.c.product_id == Product.id)
        .order_by(Product.name)
    ).all()  # fmt: skip


def suggested(reader: Reader, since: dt.date | None, until: dt.date | None) -> Sequence[Any]:
    """Suggestions of a time by what they are about and what became of them."""
    first, last = _span(reader, since, until)
    begin = dt.datetime.combine(first, dt.time(), dt.UTC)
    end = dt.datetime.combine(last + dt.timedelta(days=1), dt.time(), dt.UTC)
    return reader.session.execute(
        select(Suggestion.about, func.count().label("suggestions"),
               _count(Suggestion.status.in_(["new", "considered"]), "open"),
               _count(Suggestion.status == "accepted", "accepted"), _count(Suggestion.status == "refused", "refused"),
               _count(Suggestion.status == "done", "done"),
               _count(Suggestion.customer_id.is_not(None), "from_customers"))
        .where(Suggestion.created_at >= begin, Suggestion.created_at < end, Suggestion.archived_at.is_(None))
        .group_by(Suggestion.about)
        .order_by(Suggestion.about)
    ).all()  # fmt: skip
