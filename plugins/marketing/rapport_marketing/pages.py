"""The pages of marketing: the calendar of campaigns, and who is in a segment."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from babel.dates import format_skeleton
from flask import Blueprint, render_template, request, send_from_directory
from sqlalchemy import func, select
from werkzeug.wrappers import Response as BaseResponse

from rapport import LANGUAGES, Customer, Formats, Reader
from rapport.http import current_actor, current_site, needs, public
from rapport.i18n import calendars
from rapport_marketing.campaigns import STATUS, Campaign
from rapport_marketing.common import formats_of
from rapport_marketing.segments import Segment, SegmentMember, members

STATIC = Path(__file__).parent / "static"
PAGE = 100
MOST = 200


def make_blueprint() -> Blueprint:
    """All pages below /marketing/."""
    pages = Blueprint("marketing", __name__)
    for rule, view in (
        ("calendar", calendar),
        ("segment/<uuid:segment_id>", segment),
        ("static/<path:filename>", static_file),
    ):
        pages.add_url_rule(f"/marketing/{rule}", view_func=view, methods=["GET"])
    return pages


@public
def static_file(filename: str) -> BaseResponse:
    """The look of what only marketing has."""
    return send_from_directory(STATIC, filename, max_age=3600)


# The calendar --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the picture, as the reader's calendar counts months."""

    name: str
    first: dt.date
    after: dt.date


@dataclass(frozen=True, slots=True)
class Bar:
    """A campaign in the picture: from where to where, in hundredths of a month."""

    campaign: Campaign
    begin: int
    width: int
    tone: str
    dates: str


@needs("marketing.campaign.read")
def calendar() -> str:
    """A year, or a quarter of it, with the campaigns as bars."""
    with current_site().read(current_actor()) as reader:
        formats, today = formats_of(reader), reader.today()
        this_year = calendars.parts(today, formats.calendar)[0]
        year = _number(request.args.get("year"), this_year, 1000, 9000)
        quarter = _number(request.args.get("quarter"), 0, 0, 4)
        months = _months(year, formats)
        if quarter:
            months = months[3 * quarter - 3 : 3 * quarter if quarter < 4 else None]
        now = _place(months, today) if months[0].first <= today < months[-1].after else None
        return render_template(
            "marketing/calendar.html", year=year, this_year=this_year, quarter=quarter, months=months, now=now,
            bars=_bars(reader, months), may_create=reader.actor.may("marketing.campaign.create"),
        )  # fmt: skip


def _months(year: int, formats: Formats) -> list[Month]:
    found, first = [], calendars.date_of(year, 1, 1, formats.calendar)
    while calendars.parts(first, formats.calendar)[0] == year:
        later = first + dt.timedelta(days=32)
        after = later - dt.timedelta(days=calendars.parts(later, formats.calendar)[2] - 1)
        found.append(Month(_name(first, formats), first, after))
        first = after
    return found


def _name(day: dt.date, formats: Formats) -> str:
    """The month of a day, shortly where its calendar has a short way."""
    if formats.calendar == "gregorian":
        return str(format_skeleton("MMM", dt.datetime.combine(day, dt.time()), locale=LANGUAGES[formats.lang].locale))
    year, month, _day_of_month = calendars.parts(day, formats.calendar)
    return calendars.month_name(year, month, formats.calendar, formats.lang)


def _bars(reader: Reader, months: list[Month]) -> list[Bar]:
    first, after = months[0].first, months[-1].after
    begin = func.coalesce(Campaign.actual_from, Campaign.planned_from)
    end = func.coalesce(Campaign.actual_to, Campaign.planned_to, begin)
    found = reader.all(
        Campaign, Campaign.archived_at.is_(None), begin < after, end >= first, order=(begin, Campaign.id), limit=MOST
    )
    tones, formats = {choice.value: choice.color for choice in STATUS}, formats_of(reader)
    bars = []
    for each in found:
        began = each.actual_from or each.planned_from
        assert began is not None, "those without a day are not found"
        ended = max(each.actual_to or each.planned_to or began, began)
        left = _place(months, max(began, first))
        width = max(_place(months, min(ended + dt.timedelta(days=1), after)) - left, 8)
        dates = formats.date(began) if ended == began else f"{formats.date(began)} – {formats.date(ended)}"
        bars.append(Bar(each, left, width, tones[each.status], dates))
    return bars


def _place(months: list[Month], day: dt.date) -> int:
    """Where a day stands in the picture, in hundredths of a month."""
    for number, month in enumerate(months):
        if day < month.after:
            return 100 * number + round(100 * (day - month.first).days / (month.after - month.first).days)
    return 100 * len(months)


def _number(text: str | None, default: int, least: int, most: int) -> int:
    number = int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 6 else default
    return number if least <= number <= most else default


# Segments ------------------------------------------------------------------------------------------------------------


@needs("marketing.segment.read")
def segment(segment_id: UUID) -> str:
    """Who is in a segment now, who is new in it, or who left it since a day."""
    with current_site().read(current_actor()) as reader:
        found = reader.get(Segment, segment_id)
        show = request.args.get("show", "")
        since = _day(request.args.get("since")) or reader.today() - dt.timedelta(days=30)
        after = request.args.get("after", "")
        days: dict[UUID, Any] = {}
        if show in {"new", "left"}:
            day = SegmentMember.entered_on if show == "new" else SegmentMember.left_on
            rows = reader.session.execute(
                select(SegmentMember.customer_id, day)
                .where(SegmentMember.segment_id == found.id, day >= since,
                       *([SegmentMember.left_on.is_(None)] if show == "new" else []))
                .order_by(day.desc(), SegmentMember.customer_id).limit(PAGE)
            )  # fmt: skip
            days = {row[0]: row[1] for row in rows}
            who = Customer.id.in_(days)
        else:
            who = Customer.id.in_(members(reader, found))
        beyond = [Customer.name_key > after] if after else []
        people = reader.all(Customer, who, *beyond, order=(Customer.name_key, Customer.id), limit=PAGE + 1)
        more = people[PAGE - 1].name_key if len(people) > PAGE else ""
        return render_template("marketing/members.html", segment=found, people=people[:PAGE], show=show, since=since,
                               days=days, more=more)  # fmt: skip


def _day(text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text or "")
    except ValueError:
        return None
