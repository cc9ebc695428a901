"""The small frozen things that plugins hand over: the nouns are ours, the verbs are theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rapport.errors import Problem

if TYPE_CHECKING:
    from rapport.entities import Entity
    from rapport.records import Reader, Unit

__all__ = [
    "Action",
    "Column",
    "InteractionType",
    "Job",
    "NavItem",
    "Panel",
    "Problem",
    "SampleData",
    "Setting",
    "TimelineItem",
]

SLOTS: Mapping[str, str] = {
    "home": "a card on the start page",
    "{entity}.side": "beside a record",
    "{entity}.main": "below a record's fields",
    "{entity}.tab": "a tab of a record's page",
    "{entity}.list": "above a list",
    "{entity}.board": "above a board",
}
"""Every place of the web a plugin may fill, and what stands there."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A piece of a page: `Panel(slot="customer.side", title="Open deals", template="sales/open_deals.html", …)`.

    `facts` gathers what the template shows. It gets the reader of the signed-in person, so it cannot show them what
    they may not see, and the slot's own facts: `record` on a record's page, nothing on the start page.
    """

    slot: str
    title: str
    template: str
    facts: Callable[..., Mapping[str, Any]] | None = None
    needs: str | None = None
    icon: str = ""
    order: int = 100

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
class Setting:
    """Something an administrator decides for the whole site, such as `sales.currency`."""

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
class InteractionType:
    """A way of being in touch with a customer: call, note, meeting …"""

    name: str
    title: str
    icon: str
    directed: bool = True
    """Whether it goes in or out; a note does neither."""


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
