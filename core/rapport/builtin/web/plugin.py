"""What the web brings, through public hooks."""

from __future__ import annotations

from flask import Blueprint

from rapport.builtin.web import (
    account,
    admin,
    approvals,
    board,
    contact,
    dashboard,
    editions,
    fitting,
    home,
    imports,
    jobs,
    lists,
    pipelines,
    preferences,
    records,
    reports,
    search,
    sign_in,
    workflows,
)
from rapport.builtin.web.context import make_blueprint
from rapport.builtin.web.slots import SLOTS
from rapport.builtin.web.views import View
from rapport.contributions import Job, Panel, Slot
from rapport.entities import Entity
from rapport.hookspecs import hookimpl


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [View]


@hookimpl
def register_jobs() -> list[Job]:
    return [sign_in.RESET_JOB]


@hookimpl
def register_slots() -> list[Slot]:
    return list(SLOTS)


@hookimpl
def register_panels() -> list[Panel]:
    return [
        Panel(slot="customer.side", title="Contact", icon="send", template="pages/_contact.html",
              facts=contact.of_customer, needs="consent.read", order=50),
        Panel(slot="customer.side", title="Files", icon="paperclip", template="pages/_files.html",
              facts=records.files_of_customer, needs="attachment.read"),
        Panel(slot="home", title="Waiting for your approval", icon="rubber-stamp", template="pages/_approvals.html",
              facts=approvals.waiting_for_me, order=10),
    ]  # fmt: skip


@hookimpl
def register_pages() -> list[Blueprint]:
    return [
        make_blueprint(
            sign_in,
            account,
            home,
            dashboard,
            reports,
            search,
            admin,
            editions,
            approvals,
            workflows,
            jobs,
            pipelines,
            fitting,
            imports,
            board,
            contact,
            lists,
            records,
        ),
        preferences.make_blueprint(),
    ]
