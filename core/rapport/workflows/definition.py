"""What a workflow is: states, what leads from one to the next, and what is done on the way."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as made_by
from functools import cached_property
from typing import Any, Literal
from zoneinfo import ZoneInfo

Unit = Literal["minutes", "hours", "days", "weeks", "months", "years"]
UNITS: tuple[Unit, ...] = ("minutes", "hours", "days", "weeks", "months", "years")
_DELAY = re.compile(r"(\d{1,5}) *(minute|hour|day|week|month|year)s?")

RECORD_EVENTS = ("created", "updated", "archived", "restored")
"""What happens to the record itself."""
OWN_EVENTS = ("approved", "rejected", "overdue", "done", "completed")
"""What comes of a state's own approval, task or parallel parts."""
MESSAGE_EVENTS = ("answered", "sent", "delivered", "opened", "bounced", "failed", "refused")
"""What becomes of a message that was sent on the way."""
KNOWN_EVENTS = (*RECORD_EVENTS, *OWN_EVENTS, *MESSAGE_EVENTS)


@dataclass(frozen=True, slots=True)
class Delay:
    """A stretch of time: `30 days`. Hours are exact; days and more keep the hour of the day in the business's zone."""

    number: int
    unit: Unit

    def __str__(self) -> str:
        return f"{self.number} {self.unit if self.number != 1 else self.unit[:-1]}"

    @classmethod
    def parse(cls, text: Any) -> Delay | None:
        """The stretch that a text says; None when it says none."""
        found = _DELAY.fullmatch(text.strip().lower()) if isinstance(text, str) else None
        return None if found is None else cls(int(found[1]), found[2] + "s")  # type: ignore[arg-type]

    def after(self, moment: dt.datetime, zone: ZoneInfo) -> dt.datetime:
        """The moment this much later."""
        return self.shift(moment, zone, 1)

    def before(self, moment: dt.datetime, zone: ZoneInfo) -> dt.datetime:
        """The moment this much earlier."""
        return self.shift(moment, zone, -1)

    def shift(self, moment: dt.datetime, zone: ZoneInfo, direction: int) -> dt.datetime:
        """The moment this much later (1) or earlier (-1)."""
        number = self.number * direction
        try:
            if self.unit in {"minutes", "hours"}:
                return moment + dt.timedelta(**{self.unit: number})
            local = moment.astimezone(zone)
            return dt.datetime.combine(self.shift_date(local.date(), direction), local.time(), zone).astimezone(dt.UTC)
        except OverflowError:
            return dt.datetime.max.replace(tzinfo=dt.UTC) if direction > 0 else dt.datetime.min.replace(tzinfo=dt.UTC)

    def shift_date(self, day: dt.date, direction: int) -> dt.date:
        """The same for a day; a month later is the same day of that month, or its last."""
        number = self.number * direction
        if self.unit in {"days", "weeks"}:
            return day + dt.timedelta(**{self.unit: number})
        if self.unit in {"minutes", "hours"}:
            return day
        months = day.year * 12 + day.month - 1 + number * (12 if self.unit == "years" else 1)
        first = dt.date(months // 12, months % 12 + 1, 1)
        after = dt.date(first.year + first.month // 12, first.month % 12 + 1, 1)
        return first.replace(day=min(day.day, (after - first).days))


@dataclass(frozen=True, slots=True)
class Action:
    """Something done on the way: the name of a registered action, and its arguments."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Edge:
    """A way out of a state: on an event, after a time, or at once; only when its guard holds."""

    event: str
    """"" for one that is taken at once, as soon as its guard holds."""
    target: str | None
    """The path of a state; None: the state stays, only the actions are done."""
    guard: str = ""
    actions: tuple[Action, ...] = ()
    delay: Delay | None = None


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who is asked too when nobody has acted for so long."""

    after: Delay
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """A task for one person. Finishing it is the event `done`; its deadline passing is `overdue`."""

    who: tuple[str, ...]
    title: str
    note: str = ""
    deadline: Delay | None = None
    escalate: Escalation | None = None


@dataclass(frozen=True, slots=True)
class Approve:
    """A question to several people: `approved` once enough agree, `rejected` once that is impossible."""

    who: tuple[str, ...]
    need: Literal["all", "any"] | int = "all"
    title: str = ""
    note: str = ""
    deadline: Delay | None = None
    escalate: Escalation | None = None
    delegate: bool = True


@dataclass(frozen=True, slots=True)
class State:
    """Where an instance may be."""

    path: str
    title: str
    entry: tuple[Action, ...] = ()
    exit: tuple[Action, ...] = ()
    on: tuple[Edge, ...] = ()
    after: tuple[Edge, ...] = ()
    always: tuple[Edge, ...] = ()
    task: Work | None = None
    approve: Approve | None = None
    regions: tuple[Region, ...] = ()
    """What goes on at the same time while in this state."""
    final: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """Its own name, the last part of its path."""
        return self.path.rpartition(".")[2]

    @property
    def parent(self) -> str:
        """The state it is a part of; "" for none."""
        return ".".join(self.path.split(".")[:-2])

    @property
    def region(self) -> str:
        """The region it stands in; "" for the workflow itself."""
        return self.path.rpartition(".")[0]

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every way out, in the order they are tried."""
        return (*self.on, *self.after, *self.always)


@dataclass(frozen=True, slots=True)
class Region:
    """States of which one holds at a time."""

    path: str
    """"" for the workflow itself; `both.legal` for a part of the state `both`."""
    initial: str
    states: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """One way in which instances begin."""

    kind: Literal["event", "date", "schedule", "segment", "api", "person"]
    events: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    """For the event `updated`: only when one of these changed."""
    when: str = ""
    date: str = ""
    offset: Delay | None = None
    before: bool = False
    yearly: bool = False
    rule: str = ""
    segment: str = ""


@dataclass(frozen=True)
class Definition:
    """A whole workflow."""

    name: str
    title: str
    entity: str
    root: Region
    starts: tuple[Start, ...] = ()
    field: str = ""
    """For the life cycle of a choice field: each state is one of its values."""
    facts: Mapping[str, str] = made_by(default_factory=dict)
    """What events may bring along, each with its kind; conditions call them `fact_<name>`."""
    note: str = ""

    @cached_property
    def states(self) -> Mapping[str, State]:
        """Every state by its path, outer ones first, in the order written."""
        return {each.path: each for each in _states(self.root)}

    def chain(self, path: str) -> Iterator[State]:
        """A state and those it is a part of, from the inside out."""
        while path:
            found = self.states[path]
            yield found
            path = found.parent

    def conditions(self) -> Iterator[str]:
        """Every condition of its states, to know which fields of the record they ask for."""
        for each in self.states.values():
            yield from (edge.guard for edge in each.edges if edge.guard)

    def actions(self) -> Iterator[tuple[State, Action]]:
        """Every action, with the state it stands in."""
        for each in self.states.values():
            found = (*each.entry, *each.exit, *(action for edge in each.edges for action in edge.actions))
            yield from ((each, action) for action in found)

    def has_start(self, kind: str) -> bool:
        """Whether it may begin in this way."""
        return any(each.kind == kind for each in self.starts)

    def events(self) -> list[str]:
        """The names of the events that lead somewhere, without those of time."""
        return sorted({edge.event for each in self.states.values() for edge in each.on})


def _states(region: Region) -> Iterator[State]:
    for each in region.states:
        yield each
        for inner in each.regions:
            yield from _states(inner)
