"""What calendar brings to Rapport: a table of contents."""

from __future__ import annotations

from flask import Blueprint
from sqlalchemy.orm import Session

from rapport import (
    Action,
    Customer,
    Dimension,
    Entity,
    Field,
    Follower,
    Job,
    ListFilter,
    Measure,
    NavItem,
    Panel,
    SampleData,
    Setting,
    hookimpl,
)
from rapport_calendar import following, invitations, measures, pages, panels, reminders, sample, service
from rapport_calendar.entities import Appointment, Attendee, Feed, Repetition


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [Appointment, Attendee, Feed, Repetition]


@hookimpl
def register_measures() -> list[Measure]:
    return measures.measures()


@hookimpl
def register_dimensions() -> list[Dimension]:
    return measures.dimensions()


@hookimpl
def register_settings() -> list[Setting]:
    return [
        Setting("calendar.day_begins", "Working hours begin at", "integer", 9, help="The hour, for finding a time."),
        Setting("calendar.day_ends", "Working hours end at", "integer", 17, help="The hour, for finding a time."),
    ]


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job(invitations.JOB, "Send invitations", invitations.send_invitations),
        Job(reminders.JOB, "Remind of an appointment", reminders.remind),
    ]


@hookimpl
def register_followers() -> list[Follower]:
    return [Follower("calendar.follow", following.follow, following.wants)]


@hookimpl
def register_pages() -> list[Blueprint]:
    return [pages.make_blueprint()]


@hookimpl
def register_navigation() -> list[NavItem]:
    return [NavItem("Calendar", "/calendar", "calendar", "calendar.appointment.read", 10)]


@hookimpl
def register_panels() -> list[Panel]:
    return panels.panels()


@hookimpl
def register_list_filters() -> list[ListFilter]:
    return [ListFilter("calendar.appointment", "mine", "Mine", "owner_id = me"),
            ListFilter("calendar.appointment", "series", "Those that repeat", "rule is not empty")]  # fmt: skip


@hookimpl
def register_actions() -> list[Action]:
    return [
        Action(
            "calendar.appointment",
            "hold",
            "It took place",
            "circle-check",
            "calendar.appointment.update",
            service.hold,
            fields=[Field("outcome", "What came of it", "text")],
            bulk=True,
            primary=True,
            applies=lambda appointment: appointment.status in ("confirmed", "tentative"),
        ),
        Action(
            "calendar.appointment",
            "miss",
            "It did not happen",
            "calendar-off",
            "calendar.appointment.update",
            service.miss,
            applies=lambda appointment: appointment.status in ("confirmed", "tentative"),
        ),
    ]


@hookimpl
def register_sample_data() -> list[SampleData]:
    return [SampleData("calendar", sample.load, order=70)]


@hookimpl
def erase_personal_data(customer: Customer, session: Session) -> None:
    service.forget(customer, session)
