"""The small frozen things that plugins hand over: the nouns are ours, the verbs are theirs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rapport.errors import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from rapport.entities import Entity, EntityMeta, Field
    from rapport.records import Logged, Reader, Unit
    from rapport.site import Site

__all__ = [
    "Action",
    "Channel",
    "Column",
    "Dimension",
    "Follower",
    "ImportStep",
    "Incoming",
    "InteractionType",
    "Job",
    "ListFilter",
    "Measure",
    "NavItem",
    "Outgoing",
    "OutgoingFile",
    "Panel",
    "Party",
    "Problem",
    "Receipt",
    "Report",
    "SampleData",
    "Schedule",
    "SearchResult",
    "Setting",
    "Slot",
    "TimelineItem",
    "WorkflowAction",
]


@dataclass(frozen=True, slots=True)
class Slot:
    """A place of the web that plugins may fill: `Slot("{entity}.side", "Beside a record", "/{entity}/{id}", …)`.

    `{entity}` in a name makes it a place of every kind of record: panels name one of them, as in `customer.side`.
    A plugin that has pages declares places of its own, named `<plugin>.<place>`, and shows them with `slot()`.
    """

    name: str
    where: str
    """What stands there, as a sentence of docs/slots.md."""
    page: str
    """The address of the page, with `{entity}` and `{id}` where those belong."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What a panel's `facts` and template get besides the reader, each with what it is."""
    filled_by: str = "Panel"
    """Which of the things in this module fills it."""
    hook: str = "register_panels"
    """The hook that brings them."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A piece of a page: `Panel(slot="customer.side", title="Open deals", template="sales/open_deals.html", …)`.

    `facts` gathers what the template shows. It gets the reader of the signed-in person, so it cannot show them what
    they may not see, and by name those of the slot's own facts that it asks for: `record` on a record's page. Which
    slots there are, and their facts, is said in docs/slots.md.
    """

    slot: str
    title: str
    template: str
    facts: Callable[..., Mapping[str, Any]] | None = None
    needs: str | None = None
    icon: str = ""
    order: int = 100
    roles: tuple[str, ...] = ()
    """Only for people with one of these roles, and for administrators; empty: for everybody with what it `needs`."""

    @property
    def name(self) -> str:
        """The template in its slot: no other panel has the same."""
        return f"{self.slot}:{self.template}"


@dataclass(frozen=True, slots=True)
class NavItem:
    """An entry of the main menu that leads to a page which is not simply an entity's list."""

    title: str
    url: str
    icon: str
    needs: str | None = None
    order: int = 100
    instead_of: str = ""
    """The address of an entry of Rapport's own that this one takes the place of, such as /dashboard."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column added to somebody else's list. `values` answers for a whole page of records at once."""

    entity: str
    name: str
    title: str
    values: Callable[[Reader, Sequence[UUID]], Mapping[UUID, Any]]
    kind: str = "text"
    needs: str | None = None


@dataclass(frozen=True, slots=True)
class ListFilter:
    """A ready filter above a list, one click away: `ListFilter("customer", "new", "New", "created_at = this month")`.

    `filter` is in the language that people and the API write, and is read when the site starts.
    """

    entity: str
    name: str
    title: str
    filter: str
    needs: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do with records: a button on the record's page and, with `bulk`, above its list.

    `run` works inside the caller's transaction and returns what to tell them. `fields` are asked for first, in a form.
    """

    entity: str
    name: str
    title: str
    icon: str
    needs: str
    run: Callable[[Unit, Sequence[Any], Mapping[str, Any]], str | ActionResult]
    fields: Sequence[Any] = ()
    bulk: bool = False
    applies: Callable[[Any], bool] = lambda record: True
    primary: bool = False


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action has to say, and the record to show next."""

    message: str
    record: Entity | None = None


@dataclass(frozen=True, slots=True)
class WorkflowAction:
    """Something a workflow may do with its record: `- visits.plan: {within: 7 days}` in a definition.

    `run(unit, record, arguments)` works in the step's own transaction, with the rights of workflows, and returns what
    to tell of it. `fields` say which arguments there are; a single text stands for the first of them.
    """

    name: str
    """`<plugin>.<action>`."""
    title: str
    run: Callable[[Unit, Any, Mapping[str, Any]], str]
    fields: Sequence[Field] = ()
    help: str = ""
    icon: str = "bolt"
    check: Callable[[Site, EntityMeta, Mapping[str, Any]], Sequence[Problem]] | None = None
    """What else is wrong with arguments as they are written, before anything runs."""
    open_ended: bool = False
    """Its arguments are not those of `fields`, but such as the check knows."""

    def named(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by name: one that was given without goes to the first field."""
        return {name or (self.fields[0].name if self.fields else "value"): value for name, value in arguments.items()}


@dataclass(frozen=True, slots=True)
class Report:
    """A table of figures with a page of its own under /reports, and as CSV and Excel the same rows.

    `rows` reads them with the reader of the person who looks: things with one attribute for each column, such as what
    `reader.session.execute(select(…))` gives. `fields` are asked for above the table, and arrive by name; a field
    that was left empty arrives as its default. `template` may show the `rows` in a picture above the table.
    """

    name: str
    """`<plugin>.<report>`."""
    title: str
    columns: Sequence[Field]
    rows: Callable[..., Sequence[Any]]
    needs: str
    help: str = ""
    icon: str = "report"
    fields: Sequence[Field] = ()
    template: str = ""
    order: int = 100


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of the business that can be asked for by any dimension and period.

        Measure("sales.won_amount", "Won", of="sales.opportunity", how="sum", value="amount", currency="currency",
                at="closed_on", filter='stage.kind = "won"')
        Measure("sales.win_rate", "Win rate", over=("sales.won", "sales.closed"), kind="percent")

    It is told of records, never kept: whoever asks gets what their own records say. A ratio has no records of its own,
    it divides one measure by another. Where nobody asks (no module works it out) it costs nothing.
    """

    name: str
    """`<plugin>.<measure>`."""
    title: str
    of: str = ""
    """The kind of record that is counted: each one that `filter` lets through, once, on the day of `at`."""
    how: str = "count"
    """What is made of them: count, sum, average, least, most, or distinct (how many different values)."""
    value: str | Callable[[Any], Any] = ""
    """The field it is made of, or a function that makes an SQL expression of the entity's class."""
    at: str = "created_at"
    """The field with the day or moment it happened: a date or an instant, or one of the record that a reference leads
    to (`order.ordered_on` of an order's lines)."""
    filter: str = ""
    """Which records count, in the filter language; empty: all. Those that are archived never do."""
    over: tuple[str, str] | None = None
    """For a ratio: the measure above the line and the one below, by name."""
    kind: str = "integer"
    """How it is shown: integer, decimal, money, percent (0.25 is 25 %), hours or days."""
    currency: str = ""
    """For money: the field with the currency. Amounts of two currencies are never added up."""
    better: str = "up"
    """Which way is good: up or down."""
    help: str = ""


@dataclass(frozen=True, slots=True)
class Dimension:
    """What measures are told apart by: `Dimension("sales.reason", "Reason", of="sales.opportunity", value="reason")`.

    It suits every measure of the same kind of record, and of every kind that leads to it by references: a field of
    customers tells orders apart, and the lines of orders too. Days, months and years are there for every measure.
    """

    name: str
    """`<plugin>.<dimension>`."""
    title: str
    of: str
    """The kind of record that has the field."""
    value: str
    """The field: a choice, a text, a flag, a reference or a stage, or one part of an address (`address.country`).
    `id` stands for the record itself."""
    via: str = ""
    """The reference that leads there, where there is more than one way. Without it the shortest way is taken; of
    several as short, the one by references named after what they point at (`customer_id` before `contact_id`)."""
    help: str = ""
    then: bool = False
    """Whether it is what held when each thing happened, instead of what holds now: only of a customer's owner or team,
    and only the warehouse knows."""


@dataclass(frozen=True, slots=True)
class ImportStep:
    """A check or a change of rows that people may switch on for their import, after its columns are decided.

    `run(reader, rows)` gets up to two thousand rows at a time, each a dict of fields and read values. It changes them
    in place, and returns the problems of those rows that are to be refused, by position in the list.
    """

    entity: str
    name: str
    title: str
    run: Callable[[Reader, Sequence[dict[str, Any]]], Mapping[int, Sequence[Problem]]]
    needs: str | None = None
    help: str = ""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Something found by the search box beside the records it finds by itself, under the heading `group`."""

    title: str
    url: str
    group: str
    icon: str = "search"
    subtitle: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """Something an administrator decides for the whole site, such as `products.currency`."""

    name: str
    label: str
    kind: str = "text"
    default: Any = ""
    choices: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """Work that runs outside a request. `run(context, **arguments)`; arguments are JSON."""

    name: str
    title: str
    run: Callable[..., Any]
    attempts: int = 5


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that comes round: `Schedule("visits.morning", "visits.remind", "weekly on monday at 08:00")`.

    The rule keeps the time of the business, `core.zone`: one run for each local date, whatever the clocks do. It is
    said as `every 15 minutes`, `daily at 03:30`, `weekly on monday, friday at 08:00` or `monthly on 1 at 06:00`.
    """

    name: str
    """`<plugin>.<schedule>`."""
    job: str
    rule: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Follower:
    """Somebody who follows the log of changes: gets each change once, in order, after it was committed.

    `follow(unit, changes)` works in a unit of its own, which also moves the follower's place in the log: what it does
    in `unit` is done exactly once, whatever process dies when. Effects outside the database belong into a job that it
    enqueues. Changes made in `unit` have a `depth` one more than those it answers.
    """

    name: str
    """`<plugin>.<follower>`."""
    follow: Callable[[Unit, Sequence[Logged]], None]
    wants: Callable[[Site], Collection[str]]
    """The entities whose changes it gets. None of them: it has nothing to do now, and what happens passes it by."""


@dataclass(frozen=True, slots=True)
class InteractionType:
    """A way of being in touch with a customer: call, note, meeting …"""

    name: str
    title: str
    icon: str
    directed: bool = True
    """Whether it goes in or out; a note does neither."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A way messages go out and come in: e-mail, letters, SMS.

    `send(outgoing, site)` hands one message over, outside of any transaction. What it returns means that the message
    went out. TemporaryFailure and PermanentFailure mean that it did not; anything else it raises leaves the message in
    doubt, and a person decides. Only the core calls it, after the gate has let the message pass.
    """

    name: str
    title: str
    icon: str
    point: str
    """The kind of contact point it needs: email, phone, address (by post) or handle."""
    send: Callable[[Outgoing, Site], Receipt]
    normalize: Callable[[str], str] | None = None
    """Brings an address into the form it is compared in; Invalid for what is none. None: as the kind of point has."""
    kind: str = ""
    """The interaction type of what goes out and comes in; empty: the one of the channel's own name."""
    page: str = ""
    """The channel's own page to write on, if it has one. It gets `customer_id` and, for an answer, `reply_to`."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as a channel gets it: everything it needs, and no database behind it."""

    message_id: UUID
    """The same at every attempt. A channel whose other side knows ids passes it on, so that nothing is taken twice."""
    attempt: int
    channel: str
    address: str
    name: str
    """Of the customer."""
    subject: str
    body: str
    html: str
    language: str
    """The customer's, or the site's where nobody knows theirs."""
    account: str
    files: Sequence[OutgoingFile] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    """For channels that have headers, such as those by which mail programs unsubscribe with one click."""
    in_reply_to: str = ""
    """What the message it answers is known as outside."""
    references: Sequence[str] = ()
    """The messages of the thread before it, the oldest first, by what they are known as outside."""
    preferences_url: str = ""
    """The customer's own page, where they choose what they want to hear of."""
    purpose: str = ""
    campaign: str = ""
    customer_id: UUID | None = None
    sender_id: UUID | None = None
    """The user it is from; None for what Rapport sends by itself."""


@dataclass(frozen=True, slots=True)
class OutgoingFile:
    """A file that goes out with a message, and where its bytes lie."""

    name: str
    media_type: str
    path: Path


@dataclass(frozen=True, slots=True)
class Receipt:
    """The other side has taken a message; `external_id` is what it is known as there, by which its fate is reported."""

    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody else who took part in what came in: `Party("bob@example.com", "Bob", "cc")`."""

    address: str
    name: str = ""
    role: str = "to"


@dataclass(frozen=True, slots=True)
class Incoming:
    """What came in by a channel, for `receive`. With `direction="out"`, what somebody sent past Rapport."""

    channel: str
    external_id: str
    """What it is known as outside; the same one twice is received once."""
    address: str
    """Of whoever sent it."""
    name: str = ""
    subject: str = ""
    body: str = ""
    at: Any = None
    """When it was sent; None: now."""
    parties: Sequence[Party] = ()
    references: Sequence[str] = ()
    """The messages that it answers, as they are known outside: it joins their thread."""
    files: Sequence[UUID] = ()
    """Stored files."""
    direction: str = "in"
    source: str = ""
    """Where it was found, such as a mailbox."""
    outcome: str = ""
    owner_id: UUID | None = None
    language: str = ""


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One moment on a customer's timeline."""

    at: Any
    title: str
    icon: str
    id: str
    text: str = ""
    who: str = ""
    url: str = ""
    kind: str = "event"
    color: str = "secondary"
    quoted: str = ""
    """What the text repeats of earlier ones: shown when asked for."""
    thread: str = ""
    """Moments of one thread are shown together, at the place of the newest."""
    answer: str = ""
    """Where one answers it."""


@dataclass(frozen=True, slots=True)
class SampleData:
    """Believable records for trying a module out. Loaders run in order within one transaction each."""

    name: str
    load: Callable[[Unit], None]
    order: int = 100
    needs: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Summary:
    """A figure about a customer, shown at the head of their page: `Summary(id, "Open deals", "3 · €12,000")`."""

    customer_id: UUID
    title: str
    value: str
    url: str = ""
