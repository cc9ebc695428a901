"""What customer care brings to the module, part by part: `plugin.py` puts it together with the help desk's."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint
from sqlalchemy.orm import Session

from rapport import Action, Entity, Follower, Job, ListFilter, Panel, Report, Schedule, Setting
from rapport_service import (
    care,
    care_reports,
    entitlements,
    registration,
    returns,
    suggestions,
    survey_pages,
    survey_parts,
    surveys,
)

ENTITIES: list[type[Entity]] = [
    *registration.ENTITIES, *entitlements.ENTITIES, *returns.ENTITIES, *surveys.ENTITIES, *care.ENTITIES,
    *suggestions.ENTITIES,
]  # fmt: skip


def settings() -> list[Setting]:
    """What an administrator decides."""
    return returns.settings()


def panels() -> list[Panel]:
    """What is shown on other pages."""
    return [*registration.panels(), *entitlements.panels(), *returns.panels(), *survey_parts.panels(), *care.panels(),
            *suggestions.panels()]  # fmt: skip


def actions() -> list[Action]:
    """Buttons."""
    return [*entitlements.actions(), *returns.actions(), *survey_parts.actions(), *care.actions(),
            *suggestions.actions()]  # fmt: skip


def list_filters() -> list[ListFilter]:
    """Ready filters above lists."""
    return [*registration.list_filters(), *entitlements.list_filters(), *returns.list_filters(),
            *survey_parts.list_filters(), *care.list_filters(), *suggestions.list_filters()]  # fmt: skip


def reports() -> list[Report]:
    """Figures."""
    return care_reports.reports()


def pages() -> list[Blueprint]:
    """The survey, for customers and for those who ask on the phone."""
    return [survey_pages.make_blueprint(), survey_pages.make_desk_blueprint()]


def jobs() -> list[Job]:
    """What is done each morning."""
    return [
        Job(surveys.JOB, "Ask those who bought a month ago", surveys.ask_buyers),
        Job(care.JOB, "Take care of customers", care.take_care),
    ]


def schedules() -> list[Schedule]:
    """When."""
    return [
        Schedule("service.surveys", surveys.JOB, "daily at 09:00"),
        Schedule("service.care", care.JOB, "daily at 07:00"),
    ]


def followers() -> list[Follower]:
    """Results that go back to whoever waits for them."""
    return [
        Follower("service.suggestions", suggestions.follow, lambda site: ["service.suggestion"]),
        Follower("service.loops", surveys.follow_cases, lambda site: ["service.case"]),
    ]


def choose_owner(record: Entity, session: Session) -> UUID | None:
    """Who can act on a new suggestion."""
    return suggestions.choose_owner(record, session)


def put_in_first(session: Session) -> None:
    """What is there from the start."""
    surveys.make_first(session)
    care.make_first(session)
