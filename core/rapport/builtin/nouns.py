"""What the core itself brings: customers, interactions, tasks, stages, users, and the settings of a site."""

from __future__ import annotations

from typing import Any

from rapport.access import Membership, Role, Team, Token, User, UserRole
from rapport.contributions import (
    Action,
    Dimension,
    Follower,
    InteractionType,
    Job,
    ListFilter,
    Measure,
    Schedule,
    Setting,
    WorkflowAction,
)
from rapport.customers import ContactPoint, Customer, Relation
from rapport.customers.retention import COUNT_ACTION, RETENTION_JOB, RETENTION_SCHEDULE, RetentionRule
from rapport.entities import Entity
from rapport.files import SWEEP_JOB, SWEEP_SCHEDULE
from rapport.fit import CustomEntity, CustomField, Layout, Term
from rapport.hookspecs import hookimpl
from rapport.interactions import (
    Attachment,
    Consent,
    FrequencyCap,
    Interaction,
    Message,
    MessageFile,
    Participant,
    Purpose,
    QuietHours,
    Suppression,
    Task,
    outbox,
)
from rapport.interactions.sending import SEND_JOB
from rapport.interactions.tasks import finish, reopen
from rapport.jobs import FORGET_JOB, FORGET_SCHEDULE
from rapport.mail import MAIL_JOB
from rapport.query.lengths import hours_of
from rapport.schedules import ZONE_SETTING
from rapport.workflows import Approval, Pipeline, Stage, Transition, Workflow, WorkflowInstance, WorkflowVersion
from rapport.workflows.actions import ACTIONS, WEBHOOK_JOB
from rapport.workflows.running import TIMER_JOB, ring
from rapport.workflows.starting import CLOCK_JOB, follow, strike, wants


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [
        Customer, ContactPoint, Relation, Interaction, Participant, Attachment, Task, Purpose, Consent, Suppression,
        FrequencyCap, QuietHours, RetentionRule, Message, MessageFile, Pipeline, Stage, Transition, User, Team,
        Membership, Role, UserRole, Token, CustomEntity, CustomField, Term, Layout, Workflow, WorkflowVersion,
        WorkflowInstance, Approval,
    ]  # fmt: skip


@hookimpl
def register_jobs() -> list[Job]:
    return [
        MAIL_JOB, SWEEP_JOB, SEND_JOB, FORGET_JOB, RETENTION_JOB, WEBHOOK_JOB,
        Job(TIMER_JOB, "Go on with a workflow", ring),
        Job(CLOCK_JOB, "Start workflows whose time has come", strike),
    ]  # fmt: skip


@hookimpl
def register_schedules() -> list[Schedule]:
    return [SWEEP_SCHEDULE, FORGET_SCHEDULE, RETENTION_SCHEDULE]


@hookimpl
def register_followers() -> list[Follower]:
    return [Follower("core.workflows", follow, wants)]


@hookimpl
def register_workflow_actions() -> list[WorkflowAction]:
    return list(ACTIONS)


@hookimpl
def register_measures() -> list[Measure]:
    return [
        Measure("core.new_customers", "New customers", of="customer"),
        Measure("core.interactions", "Interactions", of="interaction", at="at"),
        Measure("core.customers_reached", "Customers in touch", of="interaction", how="distinct", value="customer_id",
                at="at"),
        Measure("core.tasks", "Tasks made", of="task"),
        Measure("core.tasks_done", "Tasks done", of="task", at="done_at", filter="done_at is not empty"),
        Measure("core.tasks_open", "Tasks not done", of="task", at="due_on", filter="done_at is empty",
                better="down", help="By the day they are due."),
        Measure("core.messages_sent", "Messages sent", of="message", at="sent_at", filter="sent_at is not empty"),
        Measure("core.messages_bounced", "Messages that did not arrive", of="message", at="sent_at",
                filter='state = "bounced" and sent_at is not empty', better="down"),
        Measure("core.bounce_rate", "Messages that did not arrive, share",
                over=("core.messages_bounced", "core.messages_sent"), kind="percent", better="down"),
        Measure("core.stage_moves", "Stage moves", of="transition", at="at"),
        Measure("core.stage_time", "Hours in the stage before", of="transition", how="average", value=_in_stage,
                at="at", filter="source_id is not empty", kind="hours", better="down"),
    ]  # fmt: skip


def _in_stage(move: Any) -> Any:
    return hours_of(move.seconds)


@hookimpl
def register_dimensions() -> list[Dimension]:
    return [
        Dimension("core.customer", "Customer", of="customer", value="id"),
        Dimension("core.customer_kind", "Person or organisation", of="customer", value="kind"),
        Dimension("core.country", "Country", of="customer", value="address.country"),
        Dimension("core.region", "Region", of="customer", value="address.region"),
        Dimension("core.city", "City", of="customer", value="address.city"),
        Dimension("core.industry", "Industry", of="customer", value="industry"),
        Dimension("core.customer_source", "Source of the customer", of="customer", value="source"),
        Dimension("core.language", "Language", of="customer", value="language"),
        Dimension("core.customer_owner", "Customer’s owner", of="customer", value="owner_id"),
        Dimension(
            "core.customer_owner_then",
            "Customer’s owner at the time",
            of="customer",
            value="owner_id",
            then=True,
            help="Whose the customer was when it happened, as far as the log of changes tells.",
        ),
        Dimension("core.owner", "Owner", of="user", value="id", via="owner_id"),
        Dimension("core.team", "Team", of="team", value="id", via="team_id"),
        Dimension("core.interaction_kind", "Kind of interaction", of="interaction", value="kind"),
        Dimension("core.direction", "Direction", of="interaction", value="direction"),
        Dimension("core.outcome", "Outcome of the interaction", of="interaction", value="outcome"),
        Dimension("core.channel", "Channel", of="message", value="channel"),
        Dimension("core.message_state", "State of the message", of="message", value="state"),
        Dimension("core.purpose", "Purpose", of="message", value="purpose_id"),
        Dimension("core.task_priority", "Priority of the task", of="task", value="priority"),
        Dimension("core.stage_before", "Stage before", of="transition", value="source_id"),
        Dimension("core.stage_after", "Stage after", of="transition", value="target_id"),
    ]


@hookimpl
def register_interaction_types() -> list[InteractionType]:
    return [
        InteractionType("call", "Call", "phone"),
        InteractionType("meeting", "Meeting", "users", directed=False),
        InteractionType("email", "E-mail", "mail"),
        InteractionType("note", "Note", "note", directed=False),
    ]


@hookimpl
def register_list_filters() -> list[ListFilter]:
    return [
        ListFilter("customer", "mine", "Mine", "owner_id = me"),
        ListFilter("task", "mine", "Mine to do", "owner_id = me and done_at is empty"),
        ListFilter("task", "overdue", "Overdue", "done_at is empty and due_on < today"),
        ListFilter("interaction", "mine", "Mine", "owner_id = me"),
        *outbox.LIST_FILTERS,
    ]


@hookimpl
def register_actions() -> list[Action]:
    return [
        Action("task", "finish", "Done", "circle-check", "task.update", finish, bulk=True, primary=True,
               applies=lambda task: task.done_at is None),
        Action("task", "reopen", "Open again", "rotate", "task.update", reopen,
               applies=lambda task: task.done_at is not None),
        *outbox.ACTIONS,
        COUNT_ACTION,
    ]  # fmt: skip


@hookimpl
def register_settings() -> list[Setting]:
    return [
        Setting("core.name", "Name of the business", default="Rapport"),
        ZONE_SETTING,
        Setting("core.currency", "Currency", default="EUR", help="The ISO 4217 code amounts are in by default."),
    ]
