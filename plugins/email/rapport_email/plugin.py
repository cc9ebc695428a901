"""What e-mail brings to Rapport: a table of contents."""

from __future__ import annotations

from collections.abc import Sequence

import click
from flask import Blueprint
from sqlalchemy.orm import Session

from rapport import (
    Channel,
    Customer,
    Dimension,
    Entity,
    Interaction,
    Job,
    Measure,
    Message,
    NavItem,
    Panel,
    Problem,
    Schedule,
    Setting,
    hookimpl,
)
from rapport_email import channel, commands, entities, health, inbox, measures, pages
from rapport_email.entities import Account, Mail, Notice, Picture, Place, Template


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [Account, Place, Mail, Picture, Notice, Template]


@hookimpl
def register_channels() -> list[Channel]:
    return [channel.channel()]


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job("email.fetch_all", "Look into all mailboxes", inbox.ask_for_all),
        Job(inbox.FETCH_JOB, "Fetch the mail of an account", inbox.fetch),
    ]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule("email.fetch", "email.fetch_all", "every 1 minutes")]


@hookimpl
def register_pages() -> list[Blueprint]:
    return [pages.make_blueprint()]


@hookimpl
def register_navigation() -> list[NavItem]:
    return [NavItem("Mail to answer", "/email/waiting", "mail-question", "email.mail.read", order=10)]


@hookimpl
def register_panels() -> list[Panel]:
    return [
        Panel("interaction.main", "E-mail", "email/mail.html", pages.mail_facts, "email.mail.read", order=10),
        Panel("interaction.side", "E-mail", "email/answer.html", pages.mail_facts, "email.mail.read", order=10),
        Panel("email.account.side", "How it fares", "email/account.html", pages.account_facts, "email.account.read"),
        Panel("email.template.main", "Preview", "email/template.html", pages.template_facts, "email.template.read"),
        Panel("home", "Mailboxes in trouble", "email/troubled.html", health.troubled, "email.account.read", order=5),
    ]


@hookimpl
def register_measures() -> list[Measure]:
    return measures.measures()


@hookimpl
def register_dimensions() -> list[Dimension]:
    return measures.dimensions()


@hookimpl
def register_settings() -> list[Setting]:
    return [
        Setting("email.ignored", "Mail to leave alone", "longtext",
                help="Addresses and domains, such as bank.example: mail with them is never taken in."),
    ]  # fmt: skip


@hookimpl
def register_commands() -> list[click.Command]:
    return [commands.health]


@hookimpl
def may_contact(message: Message, session: Session) -> Sequence[Problem]:
    return channel.refusals(message, session)


@hookimpl
def erase_personal_data(customer: Customer, session: Session) -> None:
    entities.forget(customer, session)


@hookimpl
def interaction_recorded(interaction: Interaction, session: Session) -> None:
    entities.settled(interaction, session)
