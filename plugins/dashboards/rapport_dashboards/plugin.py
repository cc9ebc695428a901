"""What dashboards bring to Rapport: a table of contents."""

from __future__ import annotations

from flask import Blueprint
from sqlalchemy.orm import Session

from rapport import Entity, Job, NavItem, Schedule, enqueue_job, hookimpl, system
from rapport_dashboards import alerts, entities, pages, ready


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [entities.Dashboard, entities.Card, entities.Target, entities.Alert, entities.AlertState]


@hookimpl
def register_navigation() -> list[NavItem]:
    return [NavItem("Dashboards", "/dashboards", "dashboard", pages.READ, order=10, instead_of="/dashboard")]


@hookimpl
def register_pages() -> list[Blueprint]:
    return [pages.make_blueprint()]


@hookimpl
def register_jobs() -> list[Job]:
    return [Job(alerts.JOB, "Look whether figures went astray", alerts.check_all)]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule("dashboards.alerts", alerts.JOB, "every 15 minutes")]


@hookimpl
def plugin_enabled(plugin: str, session: Session) -> None:
    if plugin == "dashboards":
        ready.make_ready(session)
        enqueue_job(session.connection(), "warehouse.refresh", {}, actor=system("dashboards"))
