"""What workflows can do by themselves: change a record, give a task, send a message, start another, write to a user."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import select

from rapport.access import system
from rapport.contributions import Job, WorkflowAction
from rapport.entities import EntityMeta, Field, utcnow
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import _
from rapport.interactions.model import Task
from rapport.interactions.sending import send
from rapport.jobs import JobContext, enqueue_job
from rapport.mail import enqueue_mail
from rapport.outbound import NotAllowed, Unreachable, request
from rapport.query.bind import MOMENTS, moment_of
from rapport.query.filter import parse_value
from rapport.records import Unit
from rapport.records.reader import dumper
from rapport.workflows.conditions import context_of, zone_of
from rapport.workflows.definition import Delay
from rapport.workflows.people import address_of, customer_of, meant, wrong_word
from rapport.workflows.reading import near
from rapport.workflows.store import WorkflowInstance, step_table

if TYPE_CHECKING:
    from rapport.site import Site


def set_fields(unit: Unit, record: Any, arguments: Mapping[str, Any]) -> str:
    """Change fields of the record. For days and moments also what conditions say: `today + 30 days`."""
    meta = unit.site.meta(type(record))
    values = {name: said_value(unit.site, meta.fields[name], value) for name, value in arguments.items()}
    unit.update(record, values)
    return _("set %(fields)s", fields=", ".join(_(meta.fields[name].label) for name in values))


def said_value(site: Site, field: Field, value: Any) -> Any:
    """A value as it is written in a workflow: `today + 30 days` is the day that it means now."""
    if field.kind in {"date", "instant"} and isinstance(value, str) and value.split(" ")[0] in MOMENTS:
        return field.dump(moment_of(parse_value(value), field.kind, context_of(site)))
    return value


def check_fields(site: Site, meta: EntityMeta, arguments: Mapping[str, Any]) -> Sequence[Problem]:
    """Unknown fields, those that Rapport sets itself, and values that do not suit."""
    problems = [] if arguments else [Problem(None, _("names no field to set."))]
    for name, value in arguments.items():
        field = meta.fields.get(name)
        if field is None or field.readonly or field.secret:
            problems.append(Problem(name, _("is not a field that can be set.")))
        elif not (isinstance(value, str) and "{" in value):
            try:
                field.load(said_value(site, field, value))
            except ValueError as error:
                problems.append(Problem(name, str(error)))
            except Invalid as error:
                problems += [Problem(name, each.message) for each in error.problems]
    return problems


def create_task(unit: Unit, record: Any, arguments: Mapping[str, Any]) -> str:
    """Give somebody something to do, without waiting for it."""
    people = meant(unit.session, [arguments.get("for") or "owner"], record, instance_of(unit))
    due = Delay.parse(arguments.get("due")) if arguments.get("due") else None
    due_at = due.after(utcnow(), zone_of(unit.site)) if due else None
    customer = customer_of(record)
    task = unit.create(
        Task,
        {
            "title": arguments["title"], "note": arguments.get("note") or "",
            "owner_id": str(people[0]) if people else None,
            "due_on": due_at.astimezone(zone_of(unit.site)).date().isoformat() if due_at else None,
            "customer_id": str(customer) if customer else None,
            "about_entity": record.meta.name, "about_id": str(record.id),
        },
    )  # fmt: skip
    return _("task “%(title)s”", title=task.title)


def notify(unit: Unit, record: Any, arguments: Mapping[str, Any]) -> str:
    """Write a mail to users of Rapport."""
    site = unit.site
    people = meant(unit.session, _words(arguments.get("to")) or ["owner"], record, instance_of(unit))
    url = f"{site.config.base_url.rstrip('/')}/{record.meta.name}/{record.id}"
    for user_id in people:
        _name, email, _language = address_of(unit.session, user_id)
        text = f"{arguments.get('text') or arguments['subject']}\n\n{url}"
        enqueue_mail(
            site, unit.session.connection(), to=email, subject=arguments["subject"], text=text, user_id=user_id
        )
    return _("wrote to %(who)s", who=", ".join(address_of(unit.session, each)[0] for each in people) or "–")


def send_message(unit: Unit, record: Any, arguments: Mapping[str, Any]) -> str:
    """Put a message to the record's customer into the outbox. The gate decides what becomes of it."""
    customer_id = customer_of(record)
    if customer_id is None:
        raise Invalid(_("There is no customer to send it to."))
    message = send(
        unit, channel=arguments["channel"], customer=customer_id, purpose=arguments["purpose"],
        subject=arguments.get("subject") or "", body=arguments.get("body") or "",
        campaign=arguments.get("campaign") or "", about=record,
    )  # fmt: skip
    if message.state == "refused":
        return _("not sent “%(subject)s”: %(reason)s", subject=message.subject, reason=message.reason)
    return _("sends “%(subject)s”", subject=message.subject)


def check_message(site: Site, meta: EntityMeta, arguments: Mapping[str, Any]) -> Sequence[Problem]:
    """A channel that is there, a customer to write to, and something to say."""
    problems = []
    if (channel := arguments.get("channel")) and channel not in site.channels:
        text = _("'%(name)s' is no channel.", name=channel)
        problems.append(Problem("channel", f"{text} {near(str(channel), site.channels.names())}"))
    if meta.name != "customer" and getattr(meta.fields.get("customer_id"), "target", None) != "customer":
        problems.append(Problem(None, _("has nobody to write to: such records have no customer.")))
    if not arguments.get("subject") and not arguments.get("body"):
        problems.append(Problem(None, _("says nothing. Write a subject or a body.")))
    return problems


def call_webhook(unit: Unit, record: Any, arguments: Mapping[str, Any]) -> str:
    """Have another server told, once this step has happened; it is tried again until it answers."""
    meta = unit.site.meta(type(record))
    body = {"workflow_step": str(unit.batch), "entity": meta.name, "record": dumper(meta)(record)}
    enqueue_job(unit.session.connection(), WEBHOOK_JOB.name, {"url": arguments["url"], "body": body},
                actor=system("workflow"))  # fmt: skip
    return _("calls %(url)s", url=arguments["url"])


def deliver_webhook(context: JobContext, url: str, body: dict[str, Any]) -> str:
    """The job of a call. The id of the step goes with it: the other side knows by it what it has had already."""
    headers = {"Content-Type": "application/json", "Webhook-Id": body["workflow_step"]}
    try:
        answer = request(context.site, "POST", url, headers=headers, body=json.dumps(body).encode())
    except NotAllowed:
        raise
    except Unreachable as error:
        raise RuntimeError(str(error)) from error  # a job tries again what is no refusal of ours
    if not 200 <= answer.status < 300:
        raise RuntimeError(f"{url} answered {answer.status}")
    return f"{answer.status}"


WEBHOOK_JOB = Job("core.workflow_webhook", "Tell another server of a workflow's step", deliver_webhook, attempts=8)


def start_another(unit: Unit, record: Any, arguments: Mapping[str, Any]) -> str:
    """Begin another workflow with the same record."""
    from rapport.workflows.running import start

    started = start(unit, arguments["workflow"], record)
    return _("started “%(name)s”", name=arguments["workflow"]) if started is not None else ""


def check_people(*names: str) -> Any:
    """A check that the words under these arguments name somebody."""

    def check(site: Site, meta: EntityMeta, arguments: Mapping[str, Any]) -> Sequence[Problem]:
        found = [(name, word) for name in names for word in _words(arguments.get(name))]
        return [Problem(name, why) for name, word in found if (why := wrong_word(meta, word))]

    return check


def check_task(site: Site, meta: EntityMeta, arguments: Mapping[str, Any]) -> Sequence[Problem]:
    """Who is meant, and a time that is one."""
    problems = list(check_people("for")(site, meta, arguments))
    due = arguments.get("due")
    if due is not None and Delay.parse(due) is None:
        problems.append(Problem("due", _("'%(text)s' is not a time. Write 30 days.", text=due)))
    return problems


def _words(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def instance_of(unit: Unit) -> WorkflowInstance:
    """The instance whose step this is; for actions that ask who started it."""
    session: Any = unit.session
    instance_id = session.connection().scalar(select(step_table.c.instance_id).where(step_table.c.id == unit.batch))
    found: WorkflowInstance | None = (
        session.get(WorkflowInstance, instance_id) if isinstance(instance_id, UUID) else None
    )
    if found is None:
        raise Invalid(_("This can only be done by a workflow."))
    return found


ACTIONS = [
    WorkflowAction("set", "Set fields", set_fields, help="The fields of the record, each with its value.",
                   open_ended=True, check=check_fields, icon="edit"),
    WorkflowAction(
        "task", "Create a task", create_task, icon="checkbox", check=check_task,
        fields=[
            Field("title", "Task", "text", required=True), Field("for", "Who", "text"), Field("due", "Within", "text"),
            Field("note", "Note", "longtext"),
        ],
        help="Something to do that the workflow does not wait for.",
    ),
    WorkflowAction(
        "notify", "Write to a user", notify, icon="bell", check=check_people("to"),
        fields=[
            Field("subject", "Subject", "text", required=True), Field("text", "Text", "longtext"),
            Field("to", "To", "json"),
        ],
        help="A mail to people who work with Rapport; without to, to the record's owner.",
    ),
    WorkflowAction(
        "send", "Send a message", send_message, icon="send", check=check_message,
        fields=[
            Field("channel", "Channel", "text", required=True), Field("purpose", "Purpose", "text", required=True),
            Field("subject", "Subject", "text"), Field("body", "Text", "longtext"),
            Field("campaign", "Campaign", "text"),
        ],
        help="To the record's customer, through the gate. What becomes of it are the events sent, delivered, bounced, "
             "failed, refused and answered.",
    ),
    WorkflowAction("webhook", "Tell another server", call_webhook, icon="webhook",
                   fields=[Field("url", "Address", "url", required=True)],
                   help="A POST with the record as JSON, after the step has happened."),
    WorkflowAction("start", "Start another workflow", start_another, icon="player-play",
                   fields=[Field("workflow", "Workflow", "text", required=True)], help="With the same record."),
]  # fmt: skip
"""The actions of the core. Those of plugins are named `<plugin>.<action>`."""
