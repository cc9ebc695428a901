"""Beside sales: whoever ordered is asked a month later too, and what they ordered stands beside their products."""

from __future__ import annotations

from uuid import UUID

from rapport_sales import Order, OrderLine
from sqlalchemy import exists, select

from rapport import Job, JobContext, Schedule, Unit, gettext, hookimpl, system
from rapport_service.surveys import AT_ONCE, Invitation, Purchase, Survey, due_days, invite

JOB = "service.ask_orderers"
BOUGHT = ("placed", "fulfilled")
"""The statuses of orders that are purchases."""


@hookimpl
def register_jobs() -> list[Job]:
    return [Job(JOB, "Ask those who ordered a month ago", ask)]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule("service.order_surveys", JOB, "daily at 09:15")]  # after those who registered what they bought


def ask(context: JobContext) -> str:
    """The job of each morning: ask the buyers of orders that are as old as a survey in use wants it."""
    asked = 0
    with context.site.read(context.actor) as reader:
        in_use = (Survey.active.is_(True), Survey.months_after.is_not(None), Survey.archived_at.is_(None))
        wanted = reader.all(Survey, *in_use)
    for survey in wanted:
        last: UUID | None = None
        while True:
            with context.site.write(system("surveys")) as unit:
                found = _ordered(unit, survey, last)
                asked += len(invite(unit, unit.get(Survey, survey.id), _purchases(unit, found)))
            context.progress(asked, asked)
            if len(found) < AT_ONCE:
                break
            last = found[-1].id
    return gettext("%(num)s customers were asked.", num=asked)


def _ordered(unit: Unit, survey: Survey, last: UUID | None) -> list[Order]:
    """Orders that are due and whose buyer has not been asked about that day."""
    first_day, last_day = due_days(survey, unit.reader.today())
    asked = exists().where(Invitation.customer_id == Order.customer_id, Invitation.survey_id == survey.id,
                           Invitation.purchased_on == Order.ordered_on)  # fmt: skip
    where = [Order.status.in_(BOUGHT), Order.ordered_on > first_day, Order.ordered_on <= last_day,
             Order.archived_at.is_(None), ~asked]  # fmt: skip
    if last is not None:
        where.append(Order.id > last)
    return unit.reader.all(Order, *where, order=Order.id, limit=AT_ONCE)


def _purchases(unit: Unit, orders: list[Order]) -> list[Purchase]:
    """What they are asked about is what cost most in the order."""
    lines = unit.session.execute(
        select(OrderLine.order_id, OrderLine.product_id)
        .where(OrderLine.order_id.in_([each.id for each in orders]), OrderLine.archived_at.is_(None),
               OrderLine.product_id.is_not(None))
        .order_by(OrderLine.total, OrderLine.id)
    )  # fmt: skip
    products = {row[0]: row[1] for row in lines}
    return [Purchase(each.customer_id, each.ordered_on, products.get(each.id)) for each in orders]
