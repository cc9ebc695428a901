"""What the warehouse brings to Rapport: a table of contents."""

from __future__ import annotations

import click
from flask import Blueprint

from rapport import Entity, Job, NavItem, Schedule, Setting, hookimpl
from rapport_warehouse import api, commands, deliveries, delivering, jobs, pages
from rapport_warehouse.entities import Delivery, Recipient, Report
from rapport_warehouse.shape import FISCAL_SETTING


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [Report, Delivery, Recipient]


@hookimpl
def register_pages() -> list[Blueprint]:
    return [api.make_blueprint(), pages.make_blueprint(), deliveries.make_blueprint()]


@hookimpl
def register_navigation() -> list[NavItem]:
    return [NavItem("Figures", "/warehouse", "chart-pie", "warehouse.report.read", 5)]


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job(jobs.REFRESH, "Bring the warehouse up to date", jobs.run_refresh, attempts=2),
        Job(delivering.DELIVER, "Have reports sent whose time has come", delivering.deliver_due, attempts=2),
        Job(delivering.SEND, "Send a report by mail", delivering.send_one, attempts=delivering.ATTEMPTS),
    ]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        Schedule("warehouse.refresh", jobs.REFRESH, "every 15 minutes"),
        Schedule("warehouse.remake", jobs.REFRESH, "daily at 02:40", {"full": True}),
        Schedule("warehouse.deliver", delivering.DELIVER, "every 5 minutes"),
    ]


@hookimpl
def register_settings() -> list[Setting]:
    return [FISCAL_SETTING]


@hookimpl
def register_commands() -> list[click.Command]:
    return [commands.refresh_now, commands.show_status, commands.export_tables]
