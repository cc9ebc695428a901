"""One plugin in every place of the web: a section for each, named as in docs/slots.md. Copy what you need."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, render_template
from sqlalchemy import func, select

from rapport import (
    UUID,
    Action,
    Column,
    Customer,
    Entity,
    Field,
    ImportStep,
    ListFilter,
    NavItem,
    Panel,
    Problem,
    Reader,
    Report,
    SearchResult,
    Setting,
    Summary,
    Task,
    TimelineItem,
    Unit,
    gettext,
    hookimpl,
    ngettext,
)
from rapport.http import current_actor, current_site, needs
from rapport_showcase.occasions import Occasion, coming, next_by_customer, next_time, with_names, written

READ = "showcase.occasion.read"
Facts = Mapping[str, Any]


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [Occasion]


# Panels: home · dashboard · {entity}.list · {entity}.board · {entity}.tab · {entity}.main · {entity}.side ·
# {entity}.form · settings · portal.block -----------------------------------------------------------------------------


@hookimpl
def register_panels() -> list[Panel]:
    card = "showcase/card.html"
    return [
        Panel("home", "Occasions to come", card, coming_facts, READ, "confetti", 70),
        Panel("dashboard", "Occasions of the month", "showcase/count.html", count_facts, READ, "confetti", 70),
        Panel("customer.list", "Customers to congratulate", card, coming_facts, READ, "confetti"),
        Panel("sales.opportunity.board", "A good day to call", card, coming_facts, READ, "confetti"),
        Panel("customer.tab", "Calendar", card, coming_facts, READ, "confetti"),
        Panel("customer.main", "Days to think of", card, coming_facts, READ, "confetti"),
        Panel("customer.side", "Next occasions", card, coming_facts, READ, "confetti", 40),
        Panel("customer.form", "Birthdays and anniversaries", "showcase/form.html", form_facts, READ, "confetti"),
        Panel("settings", "How far the showcase looks", "showcase/settings.html", count_facts, READ, "confetti"),
        Panel("portal.block", "Days we think of you", card, coming_facts, READ, "confetti"),
    ]


def coming_facts(reader: Reader, record: Customer | None = None, customer: Customer | None = None) -> Facts:
    """The next occasions: of the customer of the page where there is one, of everybody elsewhere."""
    whose = record or customer
    own = [] if whose is None else [Occasion.customer_id == whose.id]
    return {"coming": with_names(reader, coming(reader, *own)), "of_one": whose is not None}


def count_facts(reader: Reader) -> Facts:
    """How many are to come."""
    many = reader.session.scalar(select(func.count(Occasion.id)).where(Occasion.day >= reader.today()))
    return {"many": many, "days": reader.site.settings.get("showcase.days")}


def form_facts(reader: Reader, record: Customer | None) -> Facts:
    """What is known already, while somebody fills in the form; nothing of a customer who is being made."""
    known = [] if record is None else reader.all(Occasion, Occasion.customer_id == record.id, limit=5)
    return {"known": known, "record": record}


# navigation, with the page it leads to -------------------------------------------------------------------------------


@hookimpl
def register_navigation() -> list[NavItem]:
    return [NavItem("Whom to congratulate", "/showcase", "cake", READ)]


@hookimpl
def register_pages() -> list[Blueprint]:
    pages = Blueprint("showcase", __name__)
    pages.add_url_rule("/showcase", view_func=congratulate, methods=["GET"])
    return [pages]


@needs(READ)
def congratulate() -> str:
    """Everybody whose day comes soon."""
    with current_site().read(current_actor()) as reader:
        return render_template("showcase/page.html", coming=with_names(reader, coming(reader, limit=100)))


# {entity}.column · {entity}.filter -----------------------------------------------------------------------------------


@hookimpl
def register_columns() -> list[Column]:
    return [Column("customer", "next_occasion", "Next occasion", next_occasions, needs=READ)]


def next_occasions(reader: Reader, customer_ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """For a whole page of customers at once."""
    return {key: written(reader, each) for key, each in next_by_customer(reader, customer_ids).items()}


@hookimpl
def register_list_filters() -> list[ListFilter]:
    return [ListFilter("showcase.occasion", "soon", "Within a week", "day >= today and day <= today + 7 days")]


# {entity}.action · {entity}.bulk -------------------------------------------------------------------------------------


@hookimpl
def register_actions() -> list[Action]:
    return [Action("customer", "congratulate", "Plan to congratulate", "gift", "task.create", plan, bulk=True)]


def plan(unit: Unit, records: Sequence[Customer], values: Mapping[str, Any]) -> str:
    """A task for each, on the day of their next occasion, or today."""
    days = next_by_customer(unit.reader, [each.id for each in records])
    for each in records:
        due = days[each.id].day if each.id in days else unit.reader.today()
        title = gettext("Congratulate %(name)s", name=each.name)
        unit.create(Task, {"title": title, "customer_id": each.id, "due_on": due})
    return ngettext("%(num)s task is planned.", "%(num)s tasks are planned.", len(records))


# customer.figure · customer.timeline ---------------------------------------------------------------------------------


@hookimpl
def summarize_customers(customer_ids: Sequence[UUID], reader: Reader) -> Sequence[Summary]:
    found = next_by_customer(reader, customer_ids)
    return [Summary(key, gettext("Comes next"), written(reader, each)) for key, each in found.items()]


@hookimpl
def customer_timeline(
    customer_id: UUID, limit: int, before: dt.datetime | None, reader: Reader
) -> Sequence[TimelineItem]:
    own = [Occasion.customer_id == customer_id, *([Occasion.created_at < before] if before is not None else [])]
    newest = reader.all(Occasion, *own, order=(Occasion.created_at.desc(), Occasion.id.desc()), limit=limit)
    return [
        TimelineItem(each.created_at, gettext("A day was noted"), "confetti", f"showcase:{each.id}",
                     text=written(reader, each), url=f"/showcase.occasion/{each.id}", color="pink")
        for each in newest
    ]  # fmt: skip


# search --------------------------------------------------------------------------------------------------------------


@hookimpl
def search_records(query: str, limit: int, reader: Reader) -> Sequence[SearchResult]:
    found = coming(reader, Occasion.title.icontains(query, autoescape=True), limit=limit)
    return [
        SearchResult(each["customer"], f"/customer/{each['occasion'].customer_id}", gettext("To be congratulated soon"),
                     "gift", written(reader, each["occasion"]))
        for each in with_names(reader, found)
    ]  # fmt: skip


# report --------------------------------------------------------------------------------------------------------------


@hookimpl
def register_reports() -> list[Report]:
    columns = [
        Field("day", "Day", "date"), Field("title", "Occasion", "text"),
        Field("customer_id", "Customer", "reference", target="customer"),
    ]  # fmt: skip
    return [
        Report(
            "showcase.calendar", "Calendar of occasions", columns, calendar, READ, icon="calendar-event",
            help="Whom to congratulate, and when.", fields=[Field("days", "Days ahead", "integer", default=90)],
        )
    ]  # fmt: skip


def calendar(reader: Reader, days: int) -> Sequence[Any]:
    """Rows with an attribute for each column."""
    today = reader.today()
    until = today + dt.timedelta(days=min(days, 3660))
    return reader.session.execute(
        select(Occasion.day, Occasion.title, Occasion.customer_id)
        .where(Occasion.day.between(today, until), Occasion.archived_at.is_(None))
        .order_by(Occasion.day, Occasion.id)
        .limit(10_000)
    ).all()


# setting -------------------------------------------------------------------------------------------------------------


@hookimpl
def register_settings() -> list[Setting]:
    return [Setting("showcase.days", "Days to look ahead for occasions", "integer", 30)]


# {entity}.import -----------------------------------------------------------------------------------------------------


@hookimpl
def register_import_steps() -> list[ImportStep]:
    return [
        ImportStep("showcase.occasion", "next_time", "Take the next time of days that are past", come_round,
                   help="A birthday in 1985 becomes this year’s, or next year’s."),
    ]  # fmt: skip


def come_round(reader: Reader, rows: Sequence[dict[str, Any]]) -> Mapping[int, Sequence[Problem]]:
    """Days become their next time; those that lie ahead by more than a year are refused."""
    today, problems = reader.today(), {}
    for at, row in enumerate(rows):
        day = row.get("day")
        if day is not None and day > today + dt.timedelta(days=366):
            problems[at] = [Problem("day", gettext("lies more than a year ahead."))]
        elif day is not None:
            row["day"] = next_time(day, today)
    return problems
