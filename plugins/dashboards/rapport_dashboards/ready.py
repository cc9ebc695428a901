"""The dashboards that are there from the start: what an owner, a sales manager, a service manager and a marketer ask.

They are data, and belong to everybody: an administrator changes them, an edition brings others, anybody may copy one.
A card whose module is off is kept and left out quietly until the module is on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport import N_
from rapport_dashboards.entities import Card, Dashboard

MONTH, QUARTER, YEAR = "last 30 days", "last 90 days", "last 12 months"


@dataclass(frozen=True, slots=True)
class Ready:
    """A dashboard with its cards, in order."""

    name: str
    note: str
    roles: tuple[str, ...]
    cards: tuple[dict[str, Any], ...]


def _ask(*measures: str, **more: Any) -> dict[str, Any]:
    """A question as it is kept."""
    texts: dict[str, Any] = {name: more[name] for name in ("period", "compare", "order") if name in more}
    lists: dict[str, Any] = {name: list(more[name]) for name in ("rows", "columns") if name in more}
    rest: dict[str, Any] = {name: more[name] for name in ("top", "share", "running", "where") if name in more}
    return {"measures": list(measures), **lists, **texts, **rest}


def _card(title: str, shape: str, size: str, *measures: str, note: str = "", **more: Any) -> dict[str, Any]:
    return {"title": title, "note": note, "shape": shape, "size": size, "question": _ask(*measures, **more)}


def _figure(title: str, measure: str, period: str = MONTH, *, note: str = "") -> dict[str, Any]:
    more = {"period": period, "compare": "previous"} if period else {}
    return _card(title, "figure", "quarter", measure, note=note, **more)


def _list(title: str, entity: str, filter: str, sort: str, *columns: str, note: str = "") -> dict[str, Any]:
    return {"title": title, "note": note, "shape": "list", "size": "half", "entity": entity, "filter": filter,
            "sort": sort, "columns": columns}  # fmt: skip


def _panel(title: str, panel: str, *, note: str = "", size: str = "half") -> dict[str, Any]:
    """What a module shows by itself, on its own terms."""
    return {"title": title, "note": note, "shape": "panel", "size": size, "panel": f"dashboard:{panel}"}


QUOTAS, SEGMENTS = "sales/ranking.html", "insights/segments.html"
WAYS, CONTACT, OBJECTIVES = "strategy/ways_now.html", "marketing/contact.html", "strategy/objectives_now.html"

OWNER = Ready(
    N_("Business"), N_("How is the business, and where does it go?"), ("admin", "manager"),
    (
        _figure(N_("Revenue"), "sales.order_amount", note=N_("Orders placed, by the day they were ordered.")),
        _figure(N_("Orders"), "sales.orders"),
        _figure(N_("Gross profit"), "sales.gross_profit", note=N_("What orders come to, less what they cost us.")),
        _figure(N_("New customers"), "core.new_customers"),
        _card(N_("Revenue by month"), "bar", "half", "sales.order_amount", rows=("date.month",), period=YEAR),
        _card(N_("Customers who bring most"), "table", "half", "sales.order_amount", rows=("core.customer",),
              period=YEAR, top=8, share=True, order="-sales.order_amount"),
        _figure(N_("Amount won"), "sales.won_amount", QUARTER, note=N_("Opportunities that were won.")),
        _figure(N_("Win rate"), "sales.win_rate", QUARTER),
        _figure(N_("Open opportunities, amount"), "sales.pipeline_amount", ""),
        _figure(N_("Quotes sent, amount"), "sales.quote_amount", note=N_("What may become orders next.")),
        _card(N_("Revenue by product"), "bar", "half", "sales.line_amount", rows=("products.product",), period=YEAR,
              top=8,
              order="-sales.line_amount"),
        _card(N_("Revenue by country"), "bar", "half", "sales.order_amount", rows=("core.country",), period=YEAR, top=8,
              order="-sales.order_amount"),
        _figure(N_("Satisfaction with solutions"), "service.satisfaction", QUARTER, note=N_("From 1 to 10.")),
        _figure(N_("Net promoter score"), "service.recommend_score", YEAR),
        _figure(N_("Complaints"), "service.complaints", QUARTER),
        _figure(N_("Returns, worth"), "service.returned_worth", QUARTER),
        _card(N_("New customers by month"), "area", "half", "core.new_customers", rows=("date.month",), period=YEAR),
        _panel(N_("Customers by their purchases"), SEGMENTS),
        _panel(N_("Objectives"), OBJECTIVES, note=N_("What we set out to reach.")),
        _panel(N_("What a new customer costs"), WAYS),
    ),
)  # fmt: skip

SALES = Ready(
    N_("Sales"), N_("Will we make it, who needs help, and which deals are stuck?"), ("member",),
    (
        _figure(N_("Open opportunities, amount"), "sales.pipeline_amount", ""),
        _figure(N_("Amount won"), "sales.won_amount", MONTH),
        _figure(N_("Win rate"), "sales.win_rate", QUARTER, note=N_("Of the opportunities closed, how many were won.")),
        _figure(N_("Days to win"), "sales.cycle_time", QUARTER),
        _card(N_("Pipeline by stage"), "funnel", "half", "sales.pipeline_amount", rows=("sales.stage",)),
        _card(N_("Expected by month"), "bar", "half", "sales.pipeline_amount", rows=("date.month",),
              note=N_("Open opportunities by the day they are expected to close.")),
        _card(N_("People, this quarter"), "table", "wide", "sales.won_amount", "sales.won", "sales.win_rate",
              "sales.cycle_time", rows=("core.owner",), period="this quarter", order="-sales.won_amount"),
        _card(N_("Won this quarter, against the target"), "gauge", "third", "sales.won_amount", period="this quarter"),
        _panel(N_("Quotas, and how far each is"), QUOTAS),
        _list(N_("Deals without a next step"), "sales.opportunity", 'stage.kind = "open" and next_step is empty',
              "-amount", "owner_id", "amount", "expected_close_on"),
        _card(N_("Won by month, and a year before"), "line", "half", "sales.won_amount", rows=("date.month",),
              period=YEAR, compare="year"),
        _card(N_("Why we lose"), "bar", "half", "sales.lost", rows=("sales.reason",), period=YEAR, order="-sales.lost"),
        _list(N_("Stuck deals"), "sales.opportunity", 'stage.kind = "open" and stage_entered_at < now - 30 days',
              "stage_entered_at", "owner_id", "amount", "stage_entered_at",
              note=N_("In their stage for more than 30 days, the longest first.")),
        _card(N_("Activities by person"), "stacked", "half", "core.interactions", rows=("core.owner",),
              columns=("core.interaction_kind",), period=MONTH),
        _card(N_("Lost to whom"), "bar", "half", "sales.lost", rows=("sales.competitor",), period=YEAR, top=8,
              order="-sales.lost"),
        _card(N_("Leads and what becomes of them, by source"), "table", "half", "sales.leads", "sales.leads_of_worth",
              "sales.lead_conversion", rows=("sales.lead_source",), period=YEAR, order="-sales.leads"),
    ),
)  # fmt: skip

SERVICE = Ready(
    N_("Service"), N_("What came in, what is open, and do we keep our word?"), (),
    (
        _figure(N_("Cases opened"), "service.cases"),
        _figure(N_("Cases solved"), "service.solved"),
        _figure(N_("Cases not solved"), "service.waiting", ""),
        _figure(N_("Agreed times kept"), "service.kept_share", QUARTER),
        _card(N_("Opened and solved by week"), "line", "wide", "service.cases", "service.solved", rows=("date.week",),
              period=QUARTER),
        _card(N_("Not solved, by priority"), "pie", "third", "service.waiting", rows=("service.priority",)),
        _figure(N_("Hours to the first answer"), "service.answer_time", QUARTER),
        _figure(N_("Hours to the solution"), "service.solution_time", QUARTER),
        _figure(N_("Solved at the first go"), "service.first_time_right", QUARTER,
                note=N_("Of the cases solved, how many never had to be opened again.")),
        _figure(N_("Satisfaction with solutions"), "service.satisfaction", QUARTER, note=N_("From 1 to 10.")),
        _list(N_("Agreed times missed"), "service.case",
              'on_time in ("late", "missed") and not status in ("solved", "closed")', "due_at", "owner_id", "priority",
              "due_at", note=N_("Not solved, and an agreed time has passed; the most overdue first.")),
        _list(N_("Waiting longest"), "service.case", 'not status in ("solved", "closed")', "opened_at",
              "owner_id", "priority", "opened_at"),
        _card(N_("Calls in and abandoned, by hour"), "bar", "half", "callcenter.calls_in", "callcenter.abandoned",
              rows=("date.hour",), period=QUARTER),
        _card(N_("When people call"), "heatmap", "half", "callcenter.calls_in", rows=("date.hour",),
              columns=("date.weekday",), period=QUARTER),
        _card(N_("Not solved, by age"), "bar", "half", "service.waiting", rows=("date.month",),
              note=N_("By the month in which they were opened.")),
        _card(N_("Not solved, by person"), "stacked", "half", "service.waiting", rows=("core.owner",),
              columns=("service.priority",)),
        _card(N_("Cases by kind"), "bar", "half", "service.cases", rows=("service.kind",), period=YEAR,
              order="-service.cases"),
        _card(N_("Returns by reason"), "bar", "half", "service.returns", rows=("service.return_reason",), period=YEAR,
              order="-service.returns"),
        _figure(N_("Complaints"), "service.complaints", QUARTER),
        _figure(N_("Cases reopened"), "service.reopened", QUARTER),
        _figure(N_("Net promoter score"), "service.recommend_score", YEAR),
        _figure(N_("Surveys answered"), "service.survey_rate", YEAR),
    ),
)  # fmt: skip

MARKETING = Ready(
    N_("Marketing"), N_("Who hears from us, what comes back, and what does it cost?"), (),
    (
        _figure(N_("Messages of campaigns"), "marketing.touches", QUARTER),
        _figure(N_("Responses"), "marketing.responses", QUARTER),
        _figure(N_("Cost of campaigns"), "marketing.costs", QUARTER),
        _figure(N_("Revenue of campaigns"), "marketing.revenue", QUARTER, note=N_("As noted by hand at the campaign.")),
        _card(N_("Campaigns and their return"), "table", "wide", "marketing.costs", "marketing.responses",
              "marketing.cost_per_response", "marketing.revenue", "marketing.revenue_for_cost",
              rows=("marketing.campaign",),
              period=YEAR, order="-marketing.costs"),
        _card(N_("Where the money goes"), "pie", "third", "marketing.costs", rows=("marketing.cost_kind",),
              period=YEAR),
        _panel(N_("Who may be contacted"), CONTACT),
        _panel(N_("Customers by their purchases"), SEGMENTS),
        _panel(N_("What a new customer costs"), WAYS),
        _card(N_("New customers by month and source"), "stacked", "half", "core.new_customers", rows=("date.month",),
              columns=("core.customer_source",), period=YEAR),
        _card(N_("Leads by source"), "bar", "half", "sales.leads", rows=("sales.lead_source",), period=YEAR, top=8,
              order="-sales.leads"),
        _card(N_("Responses by kind"), "bar", "half", "marketing.responses", rows=("marketing.response_kind",),
              period=YEAR, order="-marketing.responses"),
        _figure(N_("Leads converted"), "sales.lead_conversion", YEAR),
        _figure(N_("Web forms filled in"), "marketing.submissions", QUARTER),
        _figure(N_("Messages that did not arrive"), "core.bounce_rate", QUARTER),
        _figure(N_("Complaints and no interest"), "marketing.no_interest", QUARTER),
        _card(N_("Revenue by campaign of the order"), "bar", "half", "sales.order_amount",
              rows=("sales.order_campaign",),
              period=YEAR, top=8, order="-sales.order_amount"),
        _card(N_("Visits to the pages"), "area", "half", "portal.visits", rows=("date.week",), period=QUARTER),
    ),
)  # fmt: skip

READY = (OWNER, SALES, SERVICE, MARKETING)


def make_ready(session: Session) -> None:
    """Put in the dashboards to start from, unless one is there or was: the administrator's word counts."""
    there = select(Dashboard.id).where(Dashboard.name.in_([each.name for each in READY])).limit(1)
    if session.scalar(there) is not None:
        return
    for number, ready in enumerate(READY, start=1):
        made = Dashboard(name=ready.name, note=ready.note, roles=ready.roles, shared="everybody", position=10 * number)
        session.add(made)
        session.flush()
        for at, values in enumerate(ready.cards):
            session.add(Card(dashboard_id=made.id, position=10 * at, **values))
