"""What the portal brings to Rapport: a table of contents."""

from __future__ import annotations

from typing import Any

from flask import Blueprint
from sqlalchemy.orm import Session

from rapport import Customer, Dimension, Entity, Job, Measure, Report, SampleData, Schedule, Setting, Slot, hookimpl
from rapport_portal import accounts, look, measures, pages, reports, sample, visits


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [accounts.Account, visits.Visit, visits.Visitor]


@hookimpl
def register_settings() -> list[Setting]:
    return [
        *look.settings(),
        Setting("portal.count_visits", "Count visits", "flag", default=True,
                help="Without cookies and addresses, and never of who asks not to be tracked."),
        Setting("portal.web_sites", "Your own web sites", help="Their names, such as www.example.com, with commas "
                "between them. Only their visits are counted."),
    ]  # fmt: skip


@hookimpl
def register_pages() -> list[Blueprint]:
    return [pages.make_blueprint()]


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job("portal.link", "Mail a customer the link to sign in", accounts.mail_links),
        Job("portal.forget_visitors", "Forget the visitors of yesterday", visits.forget_visitors),
    ]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [visits.FORGET]


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
    return [SampleData("portal.visits", sample.load, order=400)]


@hookimpl
def customer_updated(customer: Customer, changes: dict[str, list[Any]], session: Session) -> None:
    if "email" in changes:
        accounts.void_link(customer, session)


@hookimpl
def register_slots() -> list[Slot]:
    return [Slot("portal.block", "A card on a customer's own page in the portal", "/portal/",
                 {"customer": "the customer who is signed in"})]  # fmt: skip
