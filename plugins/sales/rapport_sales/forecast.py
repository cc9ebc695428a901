"""What is likely to come in: open opportunities by how far one commits oneself, beside what is closed already."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, case, extract, func, or_, select

from rapport import Choice, Field, Membership, Reader, Report, Stage, Team, User, stages_of
from rapport import gettext as _
from rapport_sales.entities import Opportunity
from rapport_sales.results import PERIODS, period_of

CATEGORIES = ("pipeline", "best_case", "commit", "closed")
BY = [Choice("person", "Person"), Choice("team", "Team"), Choice("month", "Month")]


def report() -> Report:
    """The forecast, with a picture."""
    return Report(
        "sales.forecast", "Forecast", needs="sales.opportunity.read", icon="chart-arrows",
        help="Open opportunities that are to close in a period, by category, and what is won already. What is overdue "
        "counts in the present period. Somebody in two teams counts in both.",
        fields=[
            Field("by", "Grouped by", "choice", choices=tuple(BY), default="person"),
            Field("period", "Period", "choice", choices=tuple(PERIODS), default="quarter"),
            Field("on", "Day in it", "date", help="Left empty: today."),
        ],
        columns=[
            Field("who", "For", "text"),
            *(Field(name, label, "money", currency="currency") for name, label in (
                ("closed", "Closed"), ("commit", "Commit"), ("best_case", "Best case"), ("pipeline", "Pipeline"),
                ("expected", "Closed and commit"),
            )),
            Field("deals", "Opportunities", "integer"),
            Field("currency", "Currency", "text"),
        ],
        rows=rows, template="sales/forecast_picture.html", order=10,
    )  # fmt: skip


def category(reader: Reader) -> ColumnElement[Any]:
    """The category of an opportunity: closed when won, else what somebody chose, else by its probability."""
    settings = reader.site.settings
    probability = func.coalesce(Opportunity.probability, Stage.probability)
    return case(
        (Stage.kind == "won", "closed"),
        (Opportunity.forecast != "", Opportunity.forecast),
        (probability >= int(settings.get("sales.commit_from")), "commit"),
        (probability >= int(settings.get("sales.best_case_from")), "best_case"),
        else_="pipeline",
    )


def rows(reader: Reader, by: str = "person", period: str = "quarter", on: dt.date | None = None) -> Sequence[Any]:
    """One line for each person, team or month and currency; amounts of two currencies are never added up."""
    today = reader.today()
    first, last = period_of(period, on or today)
    stages = {kind: [s.id for s in stages_of(reader.session, Opportunity.meta.name) if s.kind == kind]
              for kind in ("open", "won")}  # fmt: skip
    due = case((Opportunity.expected_close_on < today, today), else_=Opportunity.expected_close_on)
    falls = or_(
        and_(Opportunity.stage_id.in_(stages["open"]), due.between(first, last)),
        and_(Opportunity.stage_id.in_(stages["won"]), Opportunity.closed_on.between(first, last)),
    )
    kind = category(reader)
    amount = func.coalesce(Opportunity.amount, 0)
    sums = [func.sum(case((kind == each, amount), else_=0)).label(each) for each in CATEGORIES]
    day = case((Stage.kind == "won", Opportunity.closed_on), else_=due)
    keys: Sequence[ColumnElement[Any]]
    if by == "month":
        keys = (extract("year", day).label("in_year"), extract("month", day).label("in_month"))
    elif by == "team":
        keys = (Team.name.label("who"), Team.id.label("whose"))
    else:
        keys = (User.name.label("who"), User.id.label("whose"))
    labels = [key.key for key in keys]  # grouped by their names: PostgreSQL would take the day of today for two days
    statement = (
        select(*keys, Opportunity.currency, func.count(Opportunity.id).label("deals"), *sums)
        .join(Stage, Stage.id == Opportunity.stage_id)
        .where(falls, Opportunity.archived_at.is_(None), kind != "omitted")
    )
    if by == "person":
        statement = statement.outerjoin(User, User.id == Opportunity.owner_id)
    elif by == "team":
        statement = statement.outerjoin(Membership, Membership.user_id == Opportunity.owner_id).outerjoin(
            Team, Team.id == Membership.team_id
        )
    found = reader.session.execute(
        statement.group_by(*labels, Opportunity.currency).order_by(*labels, Opportunity.currency)
    )
    return [_Line(row, by) for row in found]


class _Line:
    """A line of the report: the sums of a row, and whose they are."""

    def __init__(self, row: Any, by: str) -> None:
        self.who = f"{int(row.in_year)}-{int(row.in_month):02}" if by == "month" else row.who or _("Nobody")
        self.closed, self.commit, self.best_case, self.pipeline = row.closed, row.commit, row.best_case, row.pipeline
        self.expected = row.closed + row.commit
        self.deals, self.currency = row.deals, row.currency
