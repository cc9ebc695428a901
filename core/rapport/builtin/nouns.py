"""What the core itself brings: customers, interactions, tasks, stages, users, and the settings of a site."""

from __future__ import annotations

from rapport.access import Membership, Role, Team, Token, User, UserRole
from rapport.contributions import InteractionType, Job, Setting
from rapport.customers import ContactPoint, Customer, Relation
from rapport.entities import Entity
from rapport.hookspecs import hookimpl
from rapport.interactions import Interaction, Task
from rapport.mail import MAIL_JOB
from rapport.workflows import Pipeline, Stage, Transition


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [
        Customer, ContactPoint, Relation, Interaction, Task, Pipeline, Stage, Transition,
        User, Team, Membership, Role, UserRole, Token,
    ]  # fmt: skip


@hookimpl
def register_jobs() -> list[Job]:
    return [MAIL_JOB]


@hookimpl
def register_interaction_types() -> list[InteractionType]:
    return [
        InteractionType("call", "Call", "phone"),
        InteractionType("meeting", "Meeting", "users", directed=False),
        InteractionType("email", "E-mail", "mail"),
        InteractionType("note", "Note", "note", directed=False),
    ]


@hookimpl
def register_settings() -> list[Setting]:
    return [
        Setting("core.name", "Name of the business", default="Rapport"),
        Setting("core.currency", "Currency", default="EUR", help="The ISO 4217 code amounts are in by default."),
    ]
