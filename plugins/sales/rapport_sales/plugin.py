"""What sales brings to Rapport: a table of contents."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from rapport import (
    Action,
    Column,
    Entity,
    Panel,
    Problem,
    Reader,
    SampleData,
    Setting,
    Stage,
    Summary,
    TimelineItem,
    hookimpl,
)
from rapport_sales import actions, customers, leads, panels, sample, service
from rapport_sales.entities import Lead, Line, Opportunity, Price, PriceBook, Product, Turn


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [Lead, Opportunity, Product, PriceBook, Price, Line, Turn]


@hookimpl
def register_settings() -> list[Setting]:
    return [
        Setting("sales.currency", "Currency of sales", help="ISO 4217 code. Left empty: the currency of the business."),
        Setting("sales.default_close_days", "Days until the expected close", "integer", 30,
                help="New opportunities expect to close after this many days; 0 leaves the date empty."),
        Setting("sales.lead_assignment", "Hand out leads", default="off", choices=("off", "round_robin"),
                help="round_robin gives each new lead without an owner to the next person of the team below."),
        Setting("sales.lead_team", "Team that takes leads", help="The name of the team."),
    ]  # fmt: skip


@hookimpl
def register_panels() -> list[Panel]:
    return panels.panels()


@hookimpl
def register_columns() -> list[Column]:
    return [Column("customer", "open_deals", "Open deals", customers.open_counts, "integer", "sales.opportunity.read")]


@hookimpl
def register_actions() -> list[Action]:
    return [*actions.lead_actions(), *actions.opportunity_actions()]


@hookimpl
def register_sample_data() -> list[SampleData]:
    return [SampleData("sales", sample.load, order=50)]


@hookimpl
def plugin_enabled(plugin: str, session: Session) -> None:
    if plugin == "sales":
        service.make_default_pipeline(session)


@hookimpl
def assign_owner(record: Entity, session: Session) -> UUID | None:
    return leads.choose_owner(record, session)


@hookimpl
def guard_transition(record: Entity, target: Stage) -> Sequence[Problem]:
    return service.guard(record, target)


@hookimpl
def apply_transition(record: Entity, source: Stage, target: Stage) -> None:
    service.apply(record, source, target)


@hookimpl
def summarize_customers(customer_ids: Sequence[UUID], reader: Reader) -> Sequence[Summary]:
    return customers.summarize(reader, customer_ids)


@hookimpl
def customer_timeline(
    customer_id: UUID, limit: int, before: dt.datetime | None, reader: Reader
) -> Sequence[TimelineItem]:
    return customers.timeline(reader, customer_id, limit, before)
