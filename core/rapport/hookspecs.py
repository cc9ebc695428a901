"""Every hook, in the order things happen. The first word of a name tells its kind.

Each docstring ends with three facts: *Kind* (what it may do), *Transaction* (whose), *On failure* (who suffers).
An implementation takes any subset of the arguments, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from uuid import UUID

import pluggy

if TYPE_CHECKING:
    import click
    from flask import Blueprint
    from sqlalchemy.orm import Session

    from rapport.contributions import (
        Action,
        Column,
        InteractionType,
        Job,
        NavItem,
        Panel,
        SampleData,
        Setting,
        Summary,
        TimelineItem,
    )
    from rapport.customers.model import Customer
    from rapport.entities import Entity
    from rapport.errors import Problem
    from rapport.records import Reader
    from rapport.workflows.model import Stage

Kind = Literal["register", "prepare", "ask", "choose", "tell", "show"]
F = TypeVar("F", bound=Callable[..., Any])

PROJECT = "rapport"
hookimpl = pluggy.HookimplMarker(PROJECT)
_hookspec = pluggy.HookspecMarker(PROJECT)
KINDS: dict[str, Kind] = {}


def hook(kind: Kind) -> Callable[[F], F]:
    """Mark a function of this module as a hook of that kind."""

    def mark(function: F) -> F:
        KINDS[function.__name__] = kind
        return _hookspec(function)

    return mark


# At boot: what a plugin brings ----------------------------------------------------------------------------------------


@hook("register")
def register_entities() -> Sequence[type[Entity]]:  # type: ignore[empty-body]
    """Kinds of records. Each gets API, pages, permissions, audit, search, import, export and tables.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_settings() -> Sequence[Setting]:  # type: ignore[empty-body]
    """What an administrator decides for the whole site; named `<plugin>.<setting>`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_interaction_types() -> Sequence[InteractionType]:  # type: ignore[empty-body]
    """Ways of being in touch with a customer that can be logged.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_jobs() -> Sequence[Job]:  # type: ignore[empty-body]
    """Work that runs outside requests; named `<plugin>.<job>`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_pages() -> Sequence[Blueprint]:  # type: ignore[empty-body]
    """Flask blueprints with pages or API routes of the plugin's own. Every view names what it needs with `@needs`.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_navigation() -> Sequence[NavItem]:  # type: ignore[empty-body]
    """Entries of the main menu beyond the lists of entities, which are there by themselves.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_panels() -> Sequence[Panel]:  # type: ignore[empty-body]
    """Pieces for the slots of pages: `home`, `customer.side`, `sales.opportunity.main` …

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_columns() -> Sequence[Column]:  # type: ignore[empty-body]
    """Columns for other entities' lists, computed for a page of records at once.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_actions() -> Sequence[Action]:  # type: ignore[empty-body]
    """Buttons on records and above lists.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_commands() -> Sequence[click.Command]:  # type: ignore[empty-body]
    """Commands for the `rapport` command line, under the plugin's name.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined.
    """


@hook("register")
def register_sample_data() -> Sequence[SampleData]:  # type: ignore[empty-body]
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


@hook("ask")
def validate_customer(customer: Customer, session: Session) -> Sequence[Problem]:  # type: ignore[empty-body]
    """Say what is wrong with a customer that is about to be saved; nothing wrong: an empty list.

    *Kind* ask. *Transaction* the caller's; never commit. *On failure* the save is refused.
    """


@hook("choose")
def assign_owner(record: Entity, session: Session) -> UUID | None:
    """Choose the owner of a new record that came without one, such as a lead from a web form. First answer wins.

    *Kind* choose. *Transaction* the caller's. *On failure* logged, and the next plugin is asked.
    """


@hook("ask")
def guard_transition(record: Entity, source: Stage, target: Stage, session: Session) -> Sequence[Problem]:  # type: ignore[empty-body]
    """Say why a record may not move to a stage yet.

    *Kind* ask. *Transaction* the caller's; never commit. *On failure* the move is refused.
    """


@hook("prepare")
def apply_transition(record: Entity, source: Stage, target: Stage, session: Session) -> None:
    """Change what follows from a move, such as the closing date of what was won.

    *Kind* prepare. *Transaction* the caller's; never commit. *On failure* the move is refused.
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
def transition_applied(record: Entity, source: Stage, target: Stage, session: Session) -> None:
    """A record arrived at a stage.

    *Kind* tell. *Transaction* own, after the caller's commit. *On failure* logged and retried; others still hear.
    """


# When a page is shown -------------------------------------------------------------------------------------------------


@hook("show")
def summarize_customers(customer_ids: Sequence[UUID], reader: Reader) -> Sequence[Summary]:  # type: ignore[empty-body]
    """Figures for the heads of customers' pages and for their cards in search; asked for many at once.

    *Kind* show. *Transaction* read only. *On failure* this plugin's figures are left out and the failure is logged.
    """


@hook("show")
def customer_timeline(customer_id: UUID, limit: int, before: Any, reader: Reader) -> Sequence[TimelineItem]:  # type: ignore[empty-body]
    """The newest `limit` moments with a customer that are older than `before` (None: the newest there are).

    *Kind* show. *Transaction* read only. *On failure* this plugin's moments are left out and the failure is logged.
    """
