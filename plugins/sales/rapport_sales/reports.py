"""The reports of sales: what was won and lost, and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select

from rapport import Choice, Field, Reader, Report, Stage
from rapport_sales import analysis, forecast, ranking
from rapport_sales.entities import Opportunity

DAYS = 90


def reports() -> list[Report]:
    """Every report of sales."""
    reason = Opportunity.meta.fields["reason"]
    return [
        Report(
            "sales.results", "Won and lost, by reason", needs="sales.opportunity.read", icon="trophy",
            help="Closed opportunities since a day, with the reasons given.",
            fields=[Field("since", "Since", "date", help="Left empty: the last 90 days.")],
            columns=[
                Field("result", "Result", "choice",
                      choices=(Choice("won", "Won", "green"), Choice("lost", "Lost", "red"))),
                replace(reason, choices=tuple(replace(choice, color="secondary") for choice in reason.choices)),
                Field("deals", "Opportunities", "integer"),
                Field("amount", "Amount", "money", currency="currency"),
                Field("currency", "Currency", "text"),
            ],
            rows=results,
        ),
        forecast.report(),
        ranking.report(),
        *analysis.reports(),
    ]  # fmt: skip


def results(reader: Reader, since: dt.date | None) -> Sequence[Any]:
    """Won and lost since a day, one line for each reason and currency: amounts of two currencies are never added up."""
    keys = (Stage.kind.label("result"), Opportunity.reason, Opportunity.currency)
    deals = func.count().label("deals")
    statement = (
        select(*keys, deals, func.sum(Opportunity.amount).label("amount"))
        .join(Stage, Stage.id == Opportunity.stage_id)
        .where(
            Opportunity.closed_on >= (since or reader.today() - dt.timedelta(days=DAYS)),
            Stage.kind != "open",
            Opportunity.archived_at.is_(None),
        )
        .group_by(*keys)
        .order_by(Stage.kind.desc(), deals.desc(), Opportunity.reason, Opportunity.currency)
    )
    return reader.session.execute(statement).all()
