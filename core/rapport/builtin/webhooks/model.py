"""What is kept of webhooks: whom to tell what, how each endpoint fares, and every delivery."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, Uuid
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped

from rapport.access import system
from rapport.builtin.webhooks.ends import Ended
from rapport.db.tables import metadata
from rapport.entities import Entity, entity_class, field, utcnow
from rapport.entities.types import Instant
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import N_, _
from rapport.jobs import enqueue_job
from rapport.outbound import NotAllowed, parse_url
from rapport.query.bind import check
from rapport.query.filter import Filter, parse

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rapport.records.log import Logged
    from rapport.site import Site

ACTIONS = ("created", "updated", "archived", "restored", "deleted")
SEND = "webhooks.send"


class Webhook(Ended, Entity, name="webhook", title="Webhook", icon="webhook"):
    """A program elsewhere that is told what happens here: whatever its owner may read, and nothing else."""

    name: Mapped[str] = field(label="Name", searchable=True, in_list=True)
    url: Mapped[str] = field(
        label="Address", in_list=True, help="Where messages are sent: an address of the web that answers to POST."
    )
    events: Mapped[tuple[str, ...]] = field(
        label="Events", kind="tags", in_list=True,
        help="Such as customer.created, customer.* or *. An event is created, updated, archived, restored or deleted.",
    )  # fmt: skip
    filter: Mapped[str] = field(
        label="Only where", default="",
        help='A filter, as in lists: tags has "vip". It needs events of one kind of record only.',
    )  # fmt: skip
    active: Mapped[bool] = field(label="Active", default=True, in_list=True)
    stopped_because: Mapped[str] = field(label="Switched off because", readonly=True, default="")
    active_since: Mapped[dt.datetime | None] = field(label="Active since", readonly=True)

    def validate(self) -> list[Problem]:
        problems = []
        try:
            parse_url(self.url or "")
        except NotAllowed as error:
            problems.append(Problem("url", _("cannot be called: %(why)s", why=str(error))))
        if not self.events:
            problems.append(Problem("events", _("names no event: write customer.created, or * for everything.")))
        problems += [Problem("events", text) for event in self.events or () if (text := _unknown(event))]
        return problems

    def complete(self, session: Any) -> None:
        self.keep_honest(session.actor)
        if self.active and (self.active_since is None or self.stopped_because):
            self.active_since, self.stopped_because = utcnow(), ""
        elif not self.active:
            self.active_since = None
        if self.filter:
            site: Site = session.unit.site
            try:
                names = self.entities
                if len(names) != 1:
                    raise Invalid(Problem("filter", _("needs events of one kind of record only.")))
                check(parse(self.filter), site.meta_named(names[0]), site.meta_named)
            except Invalid as error:
                raise Invalid([Problem("filter", each.message) for each in error.problems]) from None

    @classmethod
    def follow_up(cls, records: Any, session: Any) -> None:
        """An endpoint for each, fresh after every change by a person; what waits is sent."""
        connection = session.connection()
        for record in records:
            if session.actor.id is not None and record in session:
                fresh_endpoint(connection, record.id)
        send_soon(connection)

    @property
    def entities(self) -> list[str]:
        """The kinds of records it hears of; ["*"] for all."""
        return sorted({event.rpartition(".")[0] or "*" for event in self.events})

    @property
    def condition(self) -> Filter | None:
        """Its filter, read."""
        return parse(self.filter) if self.filter else None

    def hears(self, entity: str, action: str) -> bool:
        """Whether it is to be told of such a change, whenever it was."""
        return not {"*", f"{entity}.*", f"{entity}.{action}"}.isdisjoint(self.events)


def _unknown(event: str) -> str:
    if event == "*":
        return ""
    entity, _dot, action = event.rpartition(".")
    try:
        entity_class(entity)
    except LookupError:
        return _("has “%(event)s”, which names no kind of record: write customer.created.", event=event)
    if action not in {*ACTIONS, "*"}:
        return _("has “%(event)s”: an event ends with %(actions)s or *.", event=event, actions=", ".join(ACTIONS))
    return ""


endpoint_table = Table(
    "webhook_endpoint",
    metadata,
    Column("webhook_id", Uuid, ForeignKey("webhook.id", ondelete="CASCADE"), primary_key=True),
    # How many attempts in a row have failed, and since when; a success sets both back
    Column("failures", Integer, nullable=False, default=0),
    Column("failing_since", Instant),
    # Nothing is sent before: it failed just now, or asked for a pause
    Column("resting_until", Instant),
    # One sender at a time: who holds the lease. Each holder takes a higher number
    Column("leased_until", Instant),
    Column("fence", Integer, nullable=False, default=0),
)

delivery_table = Table(
    "webhook_delivery",
    metadata,
    # Made of the webhook and the change, so that it is the same each time: receivers tell repetitions by it
    Column("id", Uuid, primary_key=True),
    Column("webhook_id", Uuid, ForeignKey("webhook.id", ondelete="CASCADE"), nullable=False),
    # The change in the log; a test message has none
    Column("seq", BigInteger),
    Column("type", Text, nullable=False),
    Column("entity", Text),
    Column("record_id", Uuid),
    Column("at", Instant, nullable=False),
    # waiting, sent, dead (given up), dropped (its owner may not read the record any more)
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", Instant, nullable=False),
    Column("tried_at", Instant),
    Column("status", Integer),
    Column("error", Text, nullable=False, default=""),
    # The beginning of what a receiver said that did not take it
    Column("response", Text, nullable=False, default=""),
    Column("finished_at", Instant),
    Index("ix_webhook_delivery_due", "webhook_id", "state", "due_at"),
    Index("ix_webhook_delivery_at", "webhook_id", "at"),
    Index("ix_webhook_delivery_finished_at", "finished_at"),
)

STATES = {
    "waiting": (N_("Waiting"), "blue"),
    "sent": (N_("Sent"), "green"),
    "dead": (N_("Given up"), "red"),
    "dropped": (N_("Not for its owner"), "neutral"),
}


def insert_new(
    connection: Connection, table: Table, rows: list[dict[str, Any]], *, again: tuple[str, ...] = ()
) -> None:
    """Insert rows; those that are there already are left as they are, or get the values of `again`."""
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    new = dialect.insert(table)
    key = [column.name for column in table.primary_key]
    if again:
        statement = new.on_conflict_do_update(index_elements=key, set_={name: new.excluded[name] for name in again})
    else:
        statement = new.on_conflict_do_nothing(index_elements=key)
    connection.execute(statement, rows)


def fresh_endpoint(connection: Connection, webhook_id: UUID) -> None:
    """Forget how an endpoint fared: its webhook is new, or was put right."""
    row = {"webhook_id": webhook_id, "failures": 0, "failing_since": None, "resting_until": None, "fence": 0}
    insert_new(connection, endpoint_table, [row], again=("failures", "failing_since", "resting_until"))


def send_soon(connection: Connection, at: dt.datetime | None = None) -> None:
    """Have a worker look at what waits to be sent, now or at a moment."""
    enqueue_job(connection, SEND, {}, actor=system("webhooks"), due_at=at, key="next")


def waiting(webhook_id: UUID, delivery_id: UUID, kind: str, change: Logged | None, now: dt.datetime) -> dict[str, Any]:
    """A row for a message that is to be sent."""
    return {
        "id": delivery_id, "webhook_id": webhook_id, "type": kind, "seq": change and change.seq,
        "entity": change and change.entity, "record_id": change and change.record_id,
        "at": change.at if change else now,
        "state": "waiting", "attempts": 0, "due_at": now, "error": "", "response": "", "finished_at": None,
    }  # fmt: skip
