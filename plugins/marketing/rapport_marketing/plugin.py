"""What marketing brings to Rapport: a table of contents."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from flask import Blueprint
from sqlalchemy.orm import Session

from rapport import (
    Action,
    Customer,
    Dimension,
    Entity,
    Interaction,
    Job,
    ListFilter,
    Measure,
    Message,
    NavItem,
    Panel,
    Problem,
    Reader,
    Report,
    SampleData,
    Schedule,
    Setting,
    Summary,
    WorkflowAction,
    hookimpl,
)
from rapport_marketing import (
    actions,
    approvals,
    campaigns,
    executions,
    form_pages,
    forms,
    journeys,
    lists,
    measures,
    pages,
    panels,
    reports,
    sample,
    segments,
    strategy,
)
from rapport_marketing.common import site_of


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [
        campaigns.Campaign, segments.Segment, lists.CustomerList, campaigns.Response, campaigns.Cost, campaigns.Sale,
        campaigns.Budget, strategy.Strategy, campaigns.TeamMember, campaigns.Asset, campaigns.AssetVersion,
        segments.SegmentMember, lists.ListMember, strategy.Standing, executions.Execution, executions.Variant,
        executions.Recipient, forms.Form, forms.Submission,
    ]  # fmt: skip


@hookimpl
def register_settings() -> list[Setting]:
    return [
        Setting("marketing.profit_field", "Field with the profit",
                help="The name of a number of customers, such as x_profit, that customer strategy goes by. "
                     "Left empty: what was sold to them."),
        Setting("marketing.profit_months", "Months of sales that count", "integer", 12,
                help="For customer strategy, in the currency of the business; 0: all there ever were."),
        Setting("marketing.margin_percent", "Gross profit in % of revenue", "decimal", 0,
                help="For sales that are noted by hand without their profit."),
        Setting("marketing.over_budget", "Asking for more than is left", default="show",
                choices=campaigns.OVER_BUDGET,
                help="Show: whoever approves sees it. Refuse: it cannot be asked for."),
        Setting("marketing.attribution_days", "Days before a sale that count", "integer", 90,
                help="Only what reached a customer within so many days is said to have led to a sale."),
        Setting("marketing.half_life_days", "Half-life of a touch in days", "decimal", 7,
                help="With time decay: so many days earlier, and it counts half."),
        Setting("marketing.form_seconds", "Seconds to fill in a web form", "integer", 3,
                help="Who sends one sooner is taken for a robot."),
    ]  # fmt: skip


@hookimpl
def register_panels() -> list[Panel]:
    return panels.panels()


@hookimpl
def register_list_filters() -> list[ListFilter]:
    return [
        ListFilter("customer", "invest", "Invest", 'marketing_decision = "invest"', "customer.read"),
        ListFilter("marketing.campaign", "running", "Running", 'status = "running"'),
        ListFilter("marketing.list", "bought", "Bought", 'kind = "bought"'),
    ]


@hookimpl
def register_actions() -> list[Action]:
    return actions.actions()


@hookimpl
def register_workflow_actions() -> list[WorkflowAction]:
    return approvals.workflow_actions()


@hookimpl
def register_measures() -> list[Measure]:
    return measures.measures()


@hookimpl
def register_dimensions() -> list[Dimension]:
    return measures.dimensions()


@hookimpl
def register_reports() -> list[Report]:
    return reports.reports()


@hookimpl
def register_sample_data() -> list[SampleData]:
    return [SampleData("marketing", sample.load, order=60)]


@hookimpl
def register_navigation() -> list[NavItem]:
    return [NavItem("Campaign calendar", "/marketing/calendar", "calendar-stats", "marketing.campaign.read", order=60)]


@hookimpl
def register_pages() -> list[Blueprint]:
    return [pages.make_blueprint(), form_pages.make_blueprint()]


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job("marketing.decide", "Decide by what customers bring", strategy.decide_all),
        Job(executions.JOB, "Send a mailing", executions.send_execution, attempts=20),
        Job("marketing.forget", "Forget forms that nobody confirmed", forms.forget_unconfirmed),
        Job("marketing.track", "Count segments, and note who comes and goes", segments.track_all),
    ]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        Schedule("marketing.strategy", "marketing.decide", "daily at 02:30"),
        Schedule("marketing.unconfirmed", "marketing.forget", "daily at 03:20"),
        Schedule("marketing.segments", "marketing.track", "daily at 03:00"),
    ]


@hookimpl
def plugin_enabled(plugin: str, session: Session) -> None:
    if plugin == "marketing":
        strategy.make_first_strategies(session)
        approvals.make_first_workflows(session, approvals.FIRST)
    if plugin in {"marketing", "email"}:
        approvals.make_first_workflows(session, journeys.first(site_of(session)))


@hookimpl
def may_contact(message: Message, customer: Customer, session: Session) -> Sequence[Problem]:
    return strategy.refusals(message, customer, session)


@hookimpl
def interaction_recorded(interaction: Interaction, session: Session) -> None:
    executions.answered(interaction, session)


@hookimpl
def summarize_customers(customer_ids: Sequence[UUID], reader: Reader) -> Sequence[Summary]:
    return strategy.summarize(reader, customer_ids)
