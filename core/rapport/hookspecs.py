"""Every hook, in the order things happen. The first word of a name tells its kind.

Each docstring ends with three facts: *Kind* (what it may do), *Transaction* (whose), *On failure* (who suffers).
An implementation takes any subset of the arguments, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from uuid import UUID

import pluggy

from rapport.contributions import SearchResult, Summary, TimelineItem
from rapport.errors import Problem

if TYPE_CHECKING:
    import click
    from flask import Blueprint
    from sqlalchemy.orm import Session

    from rapport.contributions import (
        Action,
        Channel,
        Column,
        Dimension,
        Follower,
        ImportStep,
        Incoming,
        InteractionType,
        Job,
        ListFilter,
        Measure,
        NavItem,
        Panel,
        Report,
        SampleData,
        Schedule,
        Setting,
        Slot,
        WorkflowAction,
    )
    from rapport.customers.model import Customer
    from rapport.entities import Entity
    from rapport.interactions.messages import Message
    from rapport.interactions.model import Interaction
    from rapport.records import Reader
    from rapport.workflows.model import Stage

Kind = Literal["register", "prepare", "ask", "choose", "tell", "show"]
F = TypeVar("F", bound=Callable[..., Any])

PROJECT = "rapport"
hookimpl = pluggy.HookimplMarker(PROJECT)
_hookspec = pluggy.HookspecMarker(PROJECT)
_KIND = "rapport_kind"
KINDS: dict[str, Kind] = {}
GIVES: dict[str, type] = {}
"""What a hook's answers are made of, where the site does not look at them itself as it does at the start."""


def hook(kind: Kind, gives: type | None = None) -> Callable[[F], F]:
    """Mark a function as a hook of that kind, whose answers are of one type.

    In this module they are Rapport's hooks. A plugin that lets others take part in its own work has such functions in
    its `hookspecs` module, named `<kind or event>_<plugin>_…`: `validate_sales_quote`, `sales_lead_converted`.
    """

    def mark(function: F) -> F:
        setattr(function, _KIND, kind)
        if function.__module__ == __name__:
            KINDS[function.__name__] = kind
        if gives is not None:
            GIVES[function.__name__] = gives
        return _hookspec(function)

    return mark


def kind_of(spec: Callable[..., Any]) -> Kind:
    """The kind of a hook, be it ours or a plugin's."""
    kind: Kind = getattr(spec, _KIND)
    return kind


# At boot: what a plugin brings ----------------------------------------------------------------------------------------


@hook("register")
def register_entities() -> Sequence[type[Entity]]:
    """Kinds of records. Each gets API, pages, permissions, audit, search, import, export and tables.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_settings() -> Sequence[Setting]:
    """What an administrator decides for the whole site; named `<plugin>.<setting>`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_interaction_types() -> Sequence[InteractionType]:
    """Ways of being in touch with a customer that can be logged.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_channels() -> Sequence[Channel]:
    """Ways messages go out to customers and come in from them, such as e-mail. Only the core sends by them.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_jobs() -> Sequence[Job]:
    """Work that runs outside requests; named `<plugin>.<job>`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_schedules() -> Sequence[Schedule]:
    """Jobs that come round, at a time of day of the business; named `<plugin>.<schedule>`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_followers() -> Sequence[Follower]:
    """Those who follow the log of changes, in order and each change once; named `<plugin>.<follower>`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_pages() -> Sequence[Blueprint]:
    """Flask blueprints with pages or API routes of the plugin's own. Every view names what it needs with `@needs`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_navigation() -> Sequence[NavItem]:
    """Entries of the main menu beyond the lists of entities, which are there by themselves.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_slots() -> Sequence[Slot]:
    """Places on a plugin's own pages that other plugins may fill; named `<plugin>.<place>`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_panels() -> Sequence[Panel]:
    """Pieces for the slots of pages: `home`, `customer.side`, `sales.opportunity.main` …

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_columns() -> Sequence[Column]:
    """Columns for other entities' lists, computed for a page of records at once.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_list_filters() -> Sequence[ListFilter]:
    """Ready filters above lists, in the filter language.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_actions() -> Sequence[Action]:
    """Buttons on records and above lists.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_workflow_actions() -> Sequence[WorkflowAction]:
    """What workflows may do with records; named `<plugin>.<action>`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_reports() -> Sequence[Report]:
    """Tables of figures with a page of their own and a file to take away; named `<plugin>.<report>`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_measures() -> Sequence[Measure]:
    """Figures of the business that can be asked for by any dimension; named `<plugin>.<measure>`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_dimensions() -> Sequence[Dimension]:
    """What measures can be told apart by; named `<plugin>.<dimension>`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_import_steps() -> Sequence[ImportStep]:
    """Checks and changes of rows that people may switch on for an import.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_commands() -> Sequence[click.Command]:
    """Commands for the `rapport` command line, under the plugin's name.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_sample_data() -> Sequence[SampleData]:
    """Believable records for `rapport demo`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


# When a plugin is switched on -----------------------------------------------------------------------------------------


@hook("tell")
def plugin_enabled(plugin: str, session: Session) -> None:
    """A plugin was switched on and its tables stand: the moment to put in first rows, such as a default pipeline.

    Every plugin hears of every plugin; compare `plugin` with your own name. It may happen again after a disable.

    *Kind* tell. *Transaction* own. *On failure* logged and retried; the plugin stays on.
    """


# When a record is saved -----------------------------------------------------------------------------------------------


@hook("prepare")
def prepare_customer(customer: Customer, session: Session) -> None:
    """Fill in or tidy a customer's facts before they are validated.

    *Kind* prepare. *Transaction* the caller's; never commit. *On failure* the save is refused.
    """


@hook("ask", Problem)
def validate_customer(customer: Customer, session: Session) -> Sequence[Problem]:
    """Say what is wrong with a customer that is about to be saved; nothing wrong: an empty list.

    *Kind* ask. *Transaction* the caller's; never commit. *On failure* the save is refused.
    """


@hook("choose", UUID)
def assign_owner(record: Entity, session: Session) -> UUID | None:
    """Choose the owner of a new record that came without one, such as a lead from a web form. First answer wins.

    Annotate `record` with the class you have a say about (`record: Lead`): then nobody waits for you about others.

    *Kind* choose. *Transaction* the caller's. *On failure* logged, and the next plugin is asked.
    """


@hook("ask", Problem)
def guard_transition(record: Entity, source: Stage, target: Stage, session: Session) -> Sequence[Problem]:
    """Say why a record may not move to a stage yet.

    *Kind* ask. *Transaction* the caller's; never commit. *On failure* the move is refused.
    """


@hook("prepare")
def apply_transition(record: Entity, source: Stage, target: Stage, session: Session) -> None:
    """Change what follows from a move, such as the closing date of what was won.

    *Kind* prepare. *Transaction* the caller's; never commit. *On failure* the move is refused.
    """


@hook("prepare")
def erase_personal_data(customer: Customer, session: Session) -> None:
    """Blank what a plugin knows of a person who is being erased, beyond the records that are part of the customer.

    Those are deleted without your doing, and what you change here is logged without its values.

    *Kind* prepare. *Transaction* the caller's; never commit. *On failure* nothing is erased.
    """


# When customers are contacted -----------------------------------------------------------------------------------------


@hook("ask", Problem)
def may_contact(message: Message, customer: Customer, session: Session) -> Sequence[Problem]:
    """Say why a message may not go out to a customer. You can refuse what the gate would let pass, never the reverse.

    It is asked when the message is put into the outbox, and again when it is about to be sent.

    *Kind* ask. *Transaction* the caller's; never commit. *On failure* the message is refused.
    """


@hook("choose", UUID)
def resolve_party(incoming: Incoming, session: Session) -> UUID | None:
    """Say which customer something came from whose address nobody has. Without an answer a new customer is made.

    *Kind* choose. *Transaction* the caller's; never commit. *On failure* logged, and the next plugin is asked.
    """


# After the commit -----------------------------------------------------------------------------------------------------


@hook("tell")
def customer_created(customer: Customer, session: Session) -> None:
    """A customer came into being. Work in `session`; it is committed for you.

    *Kind* tell. *Transaction* own, after the caller's commit. *On failure* logged and retried; others still hear.
    """


@hook("tell")
def customer_updated(customer: Customer, changes: dict[str, list[Any]], session: Session) -> None:
    """A customer's fields changed: `changes` maps each to its old and new JSON value.

    *Kind* tell. *Transaction* own, after the caller's commit. *On failure* logged and retried; others still hear.
    """


@hook("tell")
def interaction_recorded(interaction: Interaction, session: Session) -> None:
    """There is a new interaction, whoever noted, sent or received it.

    *Kind* tell. *Transaction* own, after the caller's commit. *On failure* logged and retried; others still hear.
    """


@hook("tell")
def message_status_changed(message: Message, status: str, session: Session) -> None:
    """A message got a new state: `refused`, `sent`, `bounced` …; `message.state` may have moved on since.

    *Kind* tell. *Transaction* own, after the caller's commit. *On failure* logged and retried; others still hear.
    """


@hook("tell")
def transition_applied(record: Entity, source: Stage, target: Stage, session: Session) -> None:
    """A record arrived at a stage.

    *Kind* tell. *Transaction* own, after the caller's commit. *On failure* logged and retried; others still hear.
    """


# When a page is shown -------------------------------------------------------------------------------------------------


@hook("show", Summary)
def summarize_customers(customer_ids: Sequence[UUID], reader: Reader) -> Sequence[Summary]:
    """Figures for the heads of customers' pages and for their cards in search; asked for many at once.

    *Kind* show. *Transaction* read only. *On failure* this plugin's figures are left out and the failure is logged.
    """


@hook("show", TimelineItem)
def customer_timeline(customer_id: UUID, limit: int, before: Any, reader: Reader) -> Sequence[TimelineItem]:
    """The newest `limit` moments with a customer that are older than `before` (None: the newest there are).

    Give equal moments the same order each time; a page of the timeline may end in the midst of them.

    *Kind* show. *Transaction* read only. *On failure* this plugin's moments are left out and the failure is logged.
    """


@hook("show", SearchResult)
def search_records(query: str, limit: int, reader: Reader) -> Sequence[SearchResult]:
    """What a plugin finds for the words in the search box beyond its records, which are found by themselves.

    At most `limit` results, from one query or two: it is asked at every few letters.

    *Kind* show. *Transaction* read only. *On failure* this plugin's results are left out and the failure is logged.
    """
