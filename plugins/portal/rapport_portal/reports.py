"""The reports of the portal: how many came day by day, and what brought them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select

from rapport import Field, Reader, Report
from rapport_portal.visits import Visit

DAYS = 30
LONGEST = 400
"""Days that are shown at most, the last ones: a picture of more could not be read."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day's visits."""

    day: dt.date
    visits: int
    views: int
    peak: bool = False
    """Whether no day had more."""


def reports() -> list[Report]:
    """Both reports ask for the same."""
    asked = [
        Field("since", "Since", "date", help="Left empty: the last 30 days. At most 400."),
        Field("until", "Until", "date", help="Left empty: today."),
        Field("campaign", "Campaign", "text", help="Its code. Left empty: all visits."),
    ]
    visits, views = Field("visits", "Visits", "integer"), Field("views", "Pages seen", "integer")
    return [
        Report("portal.visits", "Web visits", [
            Field("day", "Day", "date"), visits, views, Field("peak", "Peak", "flag"),
        ], days, "portal.visit.read", icon="world-www", fields=asked, template="portal/visits.html",
               help="Visits of the portal and of your own web site, each person once a day. Nobody is followed."),
        Report("portal.sources", "Where visits come from", [
            Field("campaign", "Campaign", "text"), Field("referrer", "Came from", "text"),
            Field("site", "Web site", "text"), Field("page", "First page", "text"), visits, views,
        ], sources, "portal.visit.read", icon="route", fields=asked, help="By campaign, web site and page."),
    ]  # fmt: skip


def days(reader: Reader, since: dt.date | None, until: dt.date | None, campaign: str) -> Sequence[Day]:
    """Every day of the time asked for, the newest first, also those on which nobody came."""
    since, until = _span(reader, since, until)
    counted = {row.day: row for row in reader.session.execute(
        select(Visit.day, func.sum(Visit.visits).label("visits"), func.sum(Visit.views).label("views"))
        .where(*_asked(since, until, campaign)).group_by(Visit.day)
    )}  # fmt: skip
    most = max((int(row.visits) for row in counted.values()), default=0)
    found = []
    for number in range((until - since).days + 1):
        day = until - dt.timedelta(days=number)
        visits, views = (int(counted[day].visits), int(counted[day].views)) if day in counted else (0, 0)
        found.append(Day(day, visits, views, peak=bool(visits) and visits == most))
    return found


def sources(reader: Reader, since: dt.date | None, until: dt.date | None, campaign: str) -> Sequence[Any]:
    """One line for each campaign, place, web site and page, what brought most first."""
    since, until = _span(reader, since, until)
    keys = (Visit.campaign, Visit.referrer, Visit.site, Visit.page)
    visits = func.sum(Visit.visits).label("visits")
    return reader.session.execute(
        select(*keys, visits, func.sum(Visit.views).label("views"))
        .where(*_asked(since, until, campaign)).group_by(*keys).order_by(visits.desc(), *keys)
    ).all()  # fmt: skip


def _span(reader: Reader, since: dt.date | None, until: dt.date | None) -> tuple[dt.date, dt.date]:
    until = until or reader.today()
    since = since or until - dt.timedelta(days=DAYS - 1)
    return max(min(since, until), until - dt.timedelta(days=LONGEST - 1)), until


def _asked(since: dt.date, until: dt.date, campaign: str) -> list[ColumnElement[bool]]:
    asked = [Visit.day >= since, Visit.day <= until]
    code = (campaign or "").strip().lower()
    return [*asked, func.lower(Visit.campaign) == code] if code else asked
