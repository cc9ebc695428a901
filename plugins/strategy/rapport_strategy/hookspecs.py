"""What other modules tell strategy: what belongs to whom, what comes next for a customer, what they bring and cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from rapport import Entity, Reader, hook


@dataclass(frozen=True, slots=True)
class Duty:
    """What becomes of a reference to somebody who leaves: `Duty("sales.quota", "user_id", "keep", why="…")`.

    Where nobody says anything, what a field that people may change says of somebody is moved, and what Rapport noted
    by itself stays as it was.
    """

    entity: str
    field: str
    what: Literal["move", "end", "keep"]
    """Move it to a successor; end it, as it is of that person alone (it is archived); or keep it, as it is history."""
    open: str = ""
    """For `move`: which records are still to be looked after, in the filter language. Empty: all that are not over."""
    where: Sequence[Any] = ()
    """The same as conditions over the entity, where the filter language does not reach."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class NextStep:
    """Where steps are planned for customers: an entity with what is still before them."""

    entity: type[Entity]
    customer_id: Any
    where: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Worth:
    """What customers bring, and what was decided about them, kept by another module: expressions over its entity."""

    entity: type[Entity]
    customer_id: Any
    profit: Any
    decision: Any
    decided_by: str
    """The address of the page where the decisions are made."""


@dataclass(frozen=True, slots=True)
class Acquired:
    """What was spent to win customers by one way, in a time."""

    channel: str
    """The source that customers were noted with, or the name of the campaign."""
    kind: Literal["source", "campaign"]
    amount: Decimal
    currency: str
    customers: int | None = None
    """How many came by it; None: those who were noted with it as their source."""


@dataclass(frozen=True, slots=True)
class Bought:
    """Where it is kept that a customer came back: an entity with a customer and a day or moment."""

    entity: type[Entity]
    customer_id: Any
    at: Any
    where: Sequence[Any]


@hook("ask", Duty)
def ask_strategy_duties() -> Sequence[Duty]:
    """Say what becomes of your records when somebody leaves who is named in them.

    *Kind* ask. *Transaction* the caller's. *On failure* nothing is handed over.
    """


@hook("ask", NextStep)
def ask_strategy_next_steps(reader: Reader) -> Sequence[NextStep]:
    """Say where a next step is planned with customers, beside tasks.

    *Kind* ask. *Transaction* the caller's. *On failure* the page says so.
    """


@hook("choose", Worth)
def strategy_worth() -> Worth | None:
    """Say where it is kept what customers bring and what was decided about them. First answer wins.

    *Kind* choose. *Transaction* none. *On failure* logged, and the next plugin is asked.
    """


@hook("ask", Acquired)
def ask_strategy_costs(reader: Reader, since: dt.date, until: dt.date) -> Sequence[Acquired]:
    """Say what was spent to win customers from one day to another.

    *Kind* ask. *Transaction* the caller's. *On failure* the page says so.
    """


@hook("choose", Bought)
def strategy_came_back() -> Bought | None:
    """Say where it is kept that customers bought again. Without an answer, being in touch counts. First answer wins.

    *Kind* choose. *Transaction* none. *On failure* logged, and the next plugin is asked.
    """
