"""What service brings to Rapport: a table of contents."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from flask import Blueprint
from sqlalchemy.orm import Session

from rapport import (
    Action,
    Column,
    Customer,
    Dimension,
    Entity,
    Follower,
    InteractionType,
    Job,
    ListFilter,
    Measure,
    NavItem,
    Panel,
    Reader,
    Report,
    SampleData,
    Schedule,
    Setting,
    Summary,
    hookimpl,
)
from rapport_service import (
    actions,
    care_contents,
    care_sample,
    clocks,
    following,
    measures,
    pages,
    panels,
    reports,
    sample,
    suggestions,
    survey_parts,
)
from rapport_service.entities import Case, Counter
from rapport_service.knowledge import Article, Version, Vote
from rapport_service.macros import Macro
from rapport_service.merging import Merging
from rapport_service.queues import Agent, Queue
from rapport_service.sla import Clock, Escalation, Holiday, Hours, Sla, Target


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [
        Case,
        Article,
        Queue,
        Agent,
        Macro,
        Sla,
        Target,
        Escalation,
        Hours,
        Holiday,
        Clock,
        Merging,
        Version,
        Vote,
        Counter,
        *care_contents.ENTITIES,
    ]


@hookimpl
def register_interaction_types() -> list[InteractionType]:
    return [
        InteractionType("request", "Message in the portal", "world"),
    ]


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job(clocks.JOB, "Note that the agreed time of a case is up", clocks.strike),
        *care_contents.jobs(),
    ]


@hookimpl
def register_followers() -> list[Follower]:
    return [
        Follower("service.follow", following.follow, following.wants),
        *care_contents.followers(),
    ]


@hookimpl
def register_pages() -> list[Blueprint]:
    return [
        pages.make_blueprint(),
        *care_contents.pages(),
    ]


@hookimpl
def register_navigation() -> list[NavItem]:
    return [
        NavItem("Help desk", "/service", "headset", "service.case.read", 20),
    ]


@hookimpl
def register_panels() -> list[Panel]:
    return [
        *panels.panels(),
        *care_contents.panels(),
    ]


@hookimpl
def register_columns() -> list[Column]:
    return [
        Column("service.case", "left", "Time left", panels.countdowns, needs="service.case.read"),
    ]


@hookimpl
def register_list_filters() -> list[ListFilter]:
    return [
        ListFilter("service.case", "mine", "Mine", 'owner_id = me and status in ("new", "open")'),
        ListFilter("service.case", "nobodys", "Nobody’s", 'owner_id is empty and status in ("new", "open")'),
        ListFilter("service.case", "late", "Late", 'on_time = "late"'),
        *care_contents.list_filters(),
    ]


@hookimpl
def register_measures() -> list[Measure]:
    return measures.measures()


@hookimpl
def register_dimensions() -> list[Dimension]:
    return measures.dimensions()


@hookimpl
def register_reports() -> list[Report]:
    return [
        *reports.reports(),
        *care_contents.reports(),
    ]


@hookimpl
def register_actions() -> list[Action]:
    return [
        *actions.actions(),
        *care_contents.actions(),
    ]


@hookimpl
def register_sample_data() -> list[SampleData]:
    return [
        SampleData("service", sample.load, order=60),
        SampleData("service_care", care_sample.load, order=61),
    ]


@hookimpl
def register_settings() -> list[Setting]:
    return [
        *care_contents.settings(),
    ]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        *care_contents.schedules(),
    ]


@hookimpl
def plugin_enabled(plugin: str, session: Session) -> None:
    if plugin == "service":
        care_contents.put_in_first(session)


@hookimpl
def assign_owner(record: suggestions.Suggestion, session: Session) -> UUID | None:
    return suggestions.choose_owner(record, session)


@hookimpl
def erase_personal_data(customer: Customer, session: Session) -> None:
    suggestions.forget(customer, session)


@hookimpl
def summarize_customers(customer_ids: Sequence[UUID], reader: Reader) -> Sequence[Summary]:
    return survey_parts.summarize(reader, customer_ids)
