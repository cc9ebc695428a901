"""Visits to customers, with every hook there is: the examples of docs/hooks.md, run by the tests as a plugin."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import click
from flask import Blueprint
from sqlalchemy import func, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    UUID,
    Action,
    Channel,
    Column,
    Customer,
    Dimension,
    Entity,
    Field,
    Follower,
    ImportStep,
    Incoming,
    Interaction,
    InteractionType,
    Job,
    JobContext,
    ListFilter,
    Logged,
    Measure,
    Message,
    NavItem,
    Outgoing,
    Owned,
    Panel,
    Pipeline,
    Problem,
    Reader,
    Receipt,
    Report,
    SampleData,
    Schedule,
    SearchResult,
    Setting,
    Site,
    Slot,
    Stage,
    Staged,
    Summary,
    Task,
    TimelineItem,
    Unit,
    WorkflowAction,
    enqueue_job,
    field,
    gettext,
    hookimpl,
    ref,
    setting_of,
    utcnow,
)
from rapport.http import current_actor, current_site, needs

READ = "visits.visit.read"


class Visit(Owned, Staged, Entity, name="visits.visit", title="Visit", roles={"member": "read create update"}):
    """What the examples are about: a visit belongs to a customer, and goes from planned to done."""

    customer_id: Mapped[UUID] = ref("customer", in_list=True)
    title: Mapped[str] = field(label="Title", searchable=True, in_list=True)
    planned_on: Mapped[dt.date | None] = field(label="Planned for", in_list=True)


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [Visit]


@hookimpl
def register_settings() -> list[Setting]:
    return [Setting("visits.days", "Days until the first visit", "integer", 7, help="0 plans none.")]


@hookimpl
def register_interaction_types() -> list[InteractionType]:
    return [InteractionType("coffee", "Coffee", "coffee", directed=False)]


@hookimpl
def register_channels() -> list[Channel]:
    return [Channel("card", "Visiting card", "id", "address", leave_card, kind="coffee")]


def leave_card(outgoing: Outgoing, site: Site) -> Receipt:
    """Here a printer or another service gets it. Failures are TemporaryFailure("…") and PermanentFailure("…")."""
    card = site.config.files / f"card-{outgoing.message_id}.txt"
    card.write_text(f"{outgoing.address}\n\n{outgoing.body}", "utf-8")
    return Receipt(external_id=card.name)


@hookimpl
def register_jobs() -> list[Job]:
    return [Job("visits.remind", "Remind of visits", remind)]


def remind(context: JobContext, days: int = 1) -> str:
    """What it returns is shown beside the job. A long one calls `context.progress(done, total)` now and then."""
    with context.site.read(context.actor) as reader:
        due = reader.all(Visit, Visit.planned_on == reader.today() + dt.timedelta(days=days))
    return f"{len(due)} visits are due"


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule("visits.morning", "visits.remind", "weekly on monday, thursday at 08:00", {"days": 1})]


@hookimpl
def register_followers() -> list[Follower]:
    return [Follower("visits.days", look_at_new_days, wants=lambda site: ["visits.visit"])]


def look_at_new_days(unit: Unit, changes: Sequence[Logged]) -> None:
    """What it does in `unit` is done once for each change; mails and the like are left to a job."""
    if any("planned_on" in change.changes for change in changes):
        enqueue_job(unit.session.connection(), "visits.remind", {"days": 0}, actor=unit.actor, key="today")


@hookimpl
def register_pages() -> list[Blueprint]:
    pages = Blueprint("visits", __name__)
    pages.add_url_rule("/visits", view_func=today, methods=["GET"])
    return [pages]


@needs(READ)
def today() -> str:
    """A view says what it needs; without that the site does not start."""
    with current_site().read(current_actor()) as reader:
        count, _exact = reader.count(Visit, Visit.planned_on == reader.today())
    return str(count)


@hookimpl
def register_navigation() -> list[NavItem]:
    return [NavItem("Visits of today", "/visits", "map-pin", needs=READ)]


@hookimpl
def register_slots() -> list[Slot]:
    return [Slot("visits.route", "Beside the visits of today", "/visits")]


@hookimpl
def register_panels() -> list[Panel]:
    return [Panel("customer.side", "Visits", "visits/next.html", next_visits, needs=READ, icon="map-pin")]


def next_visits(reader: Reader, record: Customer) -> Mapping[str, Any]:
    """What the template shows; `reader` sees what the person who looks may see."""
    return {"visits": reader.all(Visit, Visit.customer_id == record.id, order=Visit.planned_on, limit=5)}


@hookimpl
def register_columns() -> list[Column]:
    return [Column("customer", "visits", "Visits", count_visits, "integer", needs=READ)]


def count_visits(reader: Reader, customer_ids: Sequence[UUID]) -> Mapping[UUID, int]:
    """For a whole page of customers, with one query."""
    counted = select(Visit.customer_id, func.count()).where(Visit.customer_id.in_(list(customer_ids)))
    return {row[0]: row[1] for row in reader.session.execute(counted.group_by(Visit.customer_id))}


@hookimpl
def register_list_filters() -> list[ListFilter]:
    return [ListFilter("visits.visit", "today", "Today", "planned_on = today")]


@hookimpl
def register_actions() -> list[Action]:
    return [Action("customer", "visit", "Plan a visit", "map-pin", "visits.visit.create", plan, bulk=True)]


def plan(unit: Unit, records: Sequence[Customer], values: Mapping[str, Any]) -> str:
    """For one customer or for all that were chosen; what it returns is said on the next page."""
    for customer in records:
        unit.create(Visit, {"customer_id": customer.id, "title": f"Visit {customer.name}"})
    return gettext("The visits are planned.")


@hookimpl
def register_workflow_actions() -> list[WorkflowAction]:
    within = Field("within", "Within days", "integer", required=True)
    return [WorkflowAction("visits.plan", "Plan a visit", plan_soon, fields=[within], icon="map-pin")]


def plan_soon(unit: Unit, record: Customer, arguments: Mapping[str, Any]) -> str:
    """Part of a workflow's step, with the rights of workflows; what it returns is told in the run's history."""
    day = unit.reader.today() + dt.timedelta(days=int(arguments["within"]))
    visit = unit.create(
        Visit, {"customer_id": record.id, "title": f"Visit {record.name}", "planned_on": day.isoformat()}
    )
    return f"planned a visit on {visit.planned_on}"


@hookimpl
def register_reports() -> list[Report]:
    columns = [Field("planned_on", "Day", "date"), Field("visits", "Visits", "integer")]
    return [Report("visits.calendar", "Visits by day", columns, by_day, needs=READ)]


def by_day(reader: Reader) -> Sequence[Any]:
    """Rows with an attribute for each column."""
    days = select(Visit.planned_on, func.count().label("visits")).group_by(Visit.planned_on)
    return reader.session.execute(days.order_by(Visit.planned_on).limit(1000)).all()


@hookimpl
def register_measures() -> list[Measure]:
    """Figures that a warehouse, dashboards and objectives ask for; records that count, and how."""
    return [Measure("visits.visits", "Visits", of="visits.visit", at="planned_on")]


@hookimpl
def register_dimensions() -> list[Dimension]:
    """It suits every measure of visits, and of whatever refers to a visit."""
    return [Dimension("visits.stage", "Stage", of="visits.visit", value="stage_id")]


@hookimpl
def register_import_steps() -> list[ImportStep]:
    return [ImportStep("visits.visit", "future", "Refuse days that are past", refuse_past)]


def refuse_past(reader: Reader, rows: Sequence[dict[str, Any]]) -> Mapping[int, Sequence[Problem]]:
    """Rows may be changed in place; those that are named here are refused."""
    past = [at for at, row in enumerate(rows) if row.get("planned_on") and row["planned_on"] < reader.today()]
    return {at: [Problem("planned_on", "is past.")] for at in past}


@hookimpl
def register_commands() -> list[click.Command]:
    return [remaining]


@click.command()
@click.pass_obj
def remaining(site: Site) -> None:
    """`rapport visits remaining`: the open site is handed over."""
    click.echo(f"{len(site.entities)} kinds of records")


@hookimpl
def register_sample_data() -> list[SampleData]:
    return [SampleData("visits", load_sample, order=60)]


def load_sample(unit: Unit) -> None:
    """Believable records for `rapport demo`, in one transaction."""
    customer = unit.create(Customer, {"name": "Sophie Germain"})
    unit.create(Visit, {"customer_id": customer.id, "title": "Visit Sophie"})


@hookimpl
def plugin_enabled(plugin: str, session: Session) -> None:
    if plugin == "visits" and session.scalar(select(Pipeline.id).where(Pipeline.entity == "visits.visit")) is None:
        pipeline = Pipeline(entity="visits.visit", name="Visits")
        session.add(pipeline)
        session.flush()
        for position, title in enumerate(["Planned", "Done"]):
            session.add(Stage(pipeline_id=pipeline.id, title=title, position=position))


@hookimpl
def prepare_customer(customer: Customer) -> None:
    customer.industry = customer.industry.strip().capitalize()


@hookimpl
def validate_customer(customer: Customer) -> list[Problem]:
    if "?" in customer.name:
        return [Problem("name", "has a question mark. Ask them.")]
    return []


@hookimpl
def assign_owner(record: Entity, session: Session) -> UUID | None:
    if isinstance(record, Visit):
        return session.scalar(select(Customer.owner_id).where(Customer.id == record.customer_id))
    return None


@hookimpl
def guard_transition(record: Entity, target: Stage) -> list[Problem]:
    if isinstance(record, Visit) and target.title == "Done" and record.planned_on is None:
        return [Problem("planned_on", "is missing. When was it?")]
    return []


@hookimpl
def apply_transition(record: Entity, target: Stage) -> None:
    if isinstance(record, Visit) and target.title == "Done":
        record.title = f"✓ {record.title}"


@hookimpl
def may_contact(message: Message, customer: Customer, session: Session) -> list[Problem]:
    today = select(Visit.id).where(Visit.customer_id == customer.id, Visit.planned_on == utcnow().date())
    if message.channel == "card" and session.scalar(today.limit(1)) is not None:
        return [Problem(None, "They are visited today: say it there.")]
    return []


@hookimpl
def resolve_party(incoming: Incoming, session: Session) -> UUID | None:
    if incoming.channel == "card":
        return session.scalar(select(Customer.id).where(Customer.name == incoming.name).limit(1))
    return None


@hookimpl
def erase_personal_data(customer: Customer, session: Session) -> None:
    for visit in session.scalars(select(Visit).where(Visit.customer_id == customer.id)):
        visit.title = ""


@hookimpl
def customer_created(customer: Customer, session: Session) -> None:
    if days := setting_of(session, "visits.days"):
        day = (utcnow() + dt.timedelta(days=days)).date()
        session.add(Visit(customer_id=customer.id, title=f"Get to know {customer.name}", planned_on=day))


@hookimpl
def customer_updated(customer: Customer, changes: dict[str, list[Any]], session: Session) -> None:
    if "address" in changes:
        session.add(Task(title=f"{customer.name} has moved: look at the way there", customer_id=customer.id))


@hookimpl
def interaction_recorded(interaction: Interaction, session: Session) -> None:
    if interaction.channel == "card" and interaction.direction == "in":
        session.add(Task(title=f"Answer: {interaction.body}", customer_id=interaction.customer_id))


@hookimpl
def message_status_changed(message: Message, status: str, session: Session) -> None:
    if message.channel == "card" and status == "refused":
        session.add(Task(title=f"Not left: {message.reason}", customer_id=message.customer_id))


@hookimpl
def transition_applied(record: Entity, target: Stage, session: Session) -> None:
    if isinstance(record, Visit) and target.title == "Done":
        session.add(Task(title=f"Thank them: {record.title}", customer_id=record.customer_id))


@hookimpl
def summarize_customers(customer_ids: Sequence[UUID], reader: Reader) -> list[Summary]:
    counts = count_visits(reader, customer_ids)
    return [Summary(customer_id, gettext("Visits"), str(count)) for customer_id, count in counts.items()]


@hookimpl
def customer_timeline(customer_id: UUID, limit: int, before: dt.datetime | None, reader: Reader) -> list[TimelineItem]:
    own = [Visit.customer_id == customer_id, *([Visit.created_at < before] if before is not None else [])]
    visits = reader.all(Visit, *own, order=(Visit.created_at.desc(), Visit.id.desc()), limit=limit)
    return [TimelineItem(each.created_at, each.title, "map-pin", f"visits:{each.id}") for each in visits]


@hookimpl
def search_records(query: str, limit: int, reader: Reader) -> list[SearchResult]:
    if query.lower() in "visits of today" and reader.actor.may(READ):
        return [SearchResult("Visits of today", "/visits", "Pages", "map-pin")]
    return []
