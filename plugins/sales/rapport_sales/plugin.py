"""What sales brings to Rapport: a table of contents."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

import click
from flask import Blueprint
from sqlalchemy.orm import Session

from rapport import (
    Action,
    Column,
    Customer,
    Dimension,
    Entity,
    ImportStep,
    Job,
    ListFilter,
    Measure,
    Panel,
    Problem,
    Reader,
    Report,
    SampleData,
    Schedule,
    Setting,
    Stage,
    Summary,
    TimelineItem,
    WorkflowAction,
    hookimpl,
)
from rapport_sales import (
    actions,
    api,
    approvals,
    assignment,
    commands,
    customers,
    deal_actions,
    deal_panels,
    deal_reports,
    deal_timeline,
    leads,
    measures,
    orders,
    pages,
    panels,
    papers,
    quotas,
    quotes,
    reports,
    sample,
    scoring,
    service,
    training,
)
from rapport_sales.assignment import AssignmentRule
from rapport_sales.entities import Lead, Line, Opportunity, Turn
from rapport_sales.numbers import Counter
from rapport_sales.orders import Order, OrderLine
from rapport_sales.quotas import Quota
from rapport_sales.quotes import Quote, QuoteLine
from rapport_sales.sample import targets
from rapport_sales.scoring import ScoreModel, ScoreRule
from rapport_sales.territories import Territory


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [
        Lead,
        Opportunity,
        Line,
        Turn,
        Counter,
        Quote,
        QuoteLine,
        Order,
        OrderLine,
        ScoreRule,
        ScoreModel,
        Territory,
        AssignmentRule,
        Quota,
    ]


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job(papers.JOB, "Draw and mail a quote", papers.deliver),
        Job(scoring.RATE_JOB, "Score leads anew", training.rate_all),
        Job(scoring.TRAIN_JOB, "Train the score of leads", training.train, attempts=2),
    ]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule("sales.rate_leads", scoring.RATE_JOB, "daily at 03:10")]


@hookimpl
def register_settings() -> list[Setting]:
    return [
        Setting("sales.default_close_days", "Days until the expected close", "integer", 30,
                help="New opportunities expect to close after this many days; 0 leaves the date empty."),
        Setting("sales.discount_limit", "Discount without approval, in %", "integer", 15,
                help="A quote with more discount than this goes out only after somebody has approved it."),
        Setting("sales.lead_assignment", "Hand out leads", default="off", choices=("off", "round_robin"),
                help="Round robin gives each new lead without an owner to the next person of the team below."),
        Setting("sales.lead_team", "Team that takes leads", help="The name of the team."),
        Setting("sales.best_case_from", "Best case from a probability of", "integer", 50,
                help="From this probability on, an opportunity is forecast as best case, unless it says otherwise."),
        Setting("sales.commit_from", "Commit from a probability of", "integer", 75,
                help="From this probability on, an opportunity is forecast as committed, unless it says otherwise."),
        Setting("sales.results_from", "Quotas and ranking count", default="opportunities",
                choices=("opportunities", "orders"),
                help="Opportunities count on the day they are won, orders on the day they are placed."),
        Setting("sales.ranking_measure", "People are ranked by", default="amount",
                choices=("amount", "margin", "units", "customers"),
                help="What the card Team ranking goes by: margins and customers won reward other work than amounts."),
        Setting("sales.order_needs", "What an order needs", default="address",
                help="Fields that must be filled in before an order is placed, by name, with commas between them."),
        Setting("sales.quote_days", "Days a quote is valid", "integer", 30,
                help="So many days from when it is made; 0 leaves the day empty."),
        Setting("sales.thanks_after_days", "Days until a thank-you", "integer", 0,
                help="So many days after a deal is won, its owner is reminded to write a note by hand; 0: never."),
    ]  # fmt: skip


@hookimpl
def register_panels() -> list[Panel]:
    return [*panels.panels(), *deal_panels.deal_panels()]


@hookimpl
def register_columns() -> list[Column]:
    return [
        Column("customer", "open_deals", "Open deals", customers.open_counts, "integer", "sales.opportunity.read"),
        Column("sales.quota", "attained", "Attained in %", quotas.attainment_column, "integer"),
    ]


@hookimpl
def register_list_filters() -> list[ListFilter]:
    return [
        ListFilter("sales.opportunity", "no_next_step", "No next step", "next_step is empty and closed_on is empty"),
        ListFilter(
            "sales.quote",
            "waiting",
            "Waiting for an answer",
            'status = "sent" and (valid_until is empty or valid_until >= today)',
        ),
        ListFilter("sales.quote", "expired", "Expired", 'status = "sent" and valid_until < today'),
        ListFilter("sales.order", "stopped", "Stopped by the check", 'status = "draft" and loops > 0'),
        ListFilter("sales.lead", "unassigned", "Nobody’s", 'owner_id is empty and status != "converted"'),
    ]


@hookimpl
def register_measures() -> list[Measure]:
    return measures.measures()


@hookimpl
def register_dimensions() -> list[Dimension]:
    return measures.dimensions()


@hookimpl
def register_reports() -> list[Report]:
    return [*reports.reports(), *deal_reports.deal_reports()]


@hookimpl
def register_actions() -> list[Action]:
    return [
        *actions.lead_actions(),
        *actions.opportunity_actions(),
        *deal_actions.deal_actions(),
        *training.model_actions(),
        *actions.rule_actions(),
    ]


@hookimpl
def register_workflow_actions() -> list[WorkflowAction]:
    return approvals.workflow_actions()


@hookimpl
def register_import_steps() -> list[ImportStep]:
    return [ImportStep("sales.order", "placed", "They were placed, in another system", orders.placed_before)]


@hookimpl
def register_pages() -> list[Blueprint]:
    return [api.make_blueprint(), pages.make_blueprint()]


@hookimpl
def register_sample_data() -> list[SampleData]:
    return [
        SampleData("sales", sample.load, order=50),
        SampleData("sales_targets", targets.load, order=55),
    ]


@hookimpl
def register_commands() -> list[click.Command]:
    return [commands.pipeline]


@hookimpl
def plugin_enabled(plugin: str, session: Session) -> None:
    if plugin == "sales":
        service.make_default_pipeline(session)
        approvals.make_workflow(session)


@hookimpl
def assign_owner(record: Lead, session: Session) -> UUID | None:
    return assignment.choose_owner(record, session)


@hookimpl
def guard_transition(record: Entity, target: Stage) -> Sequence[Problem]:
    return service.guard(record, target)


@hookimpl
def apply_transition(record: Entity, source: Stage, target: Stage) -> None:
    service.apply(record, source, target)


@hookimpl
def transition_applied(record: Entity, target: Stage, session: Session) -> None:
    service.plan_thanks(record, target, session)


@hookimpl
def erase_personal_data(customer: Customer, session: Session) -> None:
    leads.forget(customer, session)
    quotes.forget(customer, session)


@hookimpl
def summarize_customers(customer_ids: Sequence[UUID], reader: Reader) -> Sequence[Summary]:
    return customers.summarize(reader, customer_ids)


@hookimpl
def customer_timeline(
    customer_id: UUID, limit: int, before: dt.datetime | None, reader: Reader
) -> Sequence[TimelineItem]:
    moves = customers.timeline(reader, customer_id, limit, before)
    bought = deal_timeline.timeline(reader, customer_id, limit, before)
    return sorted([*moves, *bought], key=lambda item: item.at, reverse=True)[:limit]
