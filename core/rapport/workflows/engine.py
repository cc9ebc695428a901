"""The engine: where a workflow stands, and what happens there, makes where it stands next. It touches nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from rapport.errors import RapportError
from rapport.i18n.catalogs import _
from rapport.workflows.definition import Action, Definition, Edge, Region, State

Active = tuple[str, ...]
"""The paths of the states that hold, outer ones first, in the order of the definition."""
Holds = Callable[[str], bool]
"""Whether a condition holds at this moment."""
MAX_MOVES = 50
"""Transitions that may follow each other at once: more is a circle without a way out."""
COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; with `state` it concerns that state alone, as its own deadline does."""

    name: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something to be done because of a transition.

    "act" runs an action; "enter" a state begins: its timers start, its task is given, its people are asked; "leave"
    takes all that back.
    """

    kind: Literal["act", "enter", "leave"]
    state: str
    action: Action | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """One transition that was taken. A start has no source, and one that stays no target."""

    source: str
    event: str
    target: str | None


@dataclass(frozen=True, slots=True)
class Micro:
    """One transition, or one for each parallel part: where it leads, and what is to be done, in order."""

    active: Active
    moves: tuple[Move, ...]
    effects: tuple[Effect, ...]


def begin(definition: Definition) -> Micro:
    """The first states."""
    active: set[str] = set()
    effects: list[Effect] = []
    _enter(definition, definition.states[definition.root.initial], active, effects)
    return Micro(_ordered(definition, active), (Move("", "start", definition.root.initial),), tuple(effects))


def take(definition: Definition, active: Active, event: Event, holds: Holds) -> Micro | None:
    """What an event leads to; None when nothing waits for it, or no guard holds."""
    return _apply(definition, active, list(_chosen(definition, active, event, holds)))


def follow_up(definition: Definition, active: Active, holds: Holds) -> Micro | None:
    """What is to be taken at once: a transition under `always`, or that all parallel parts have ended."""
    if (micro := take(definition, active, Event(""), holds)) is not None:
        return micro
    for path in active:
        state = definition.states[path]
        if state.regions and all(_ended(region, active) for region in state.regions):
            micro = take(definition, active, Event(COMPLETED, path), holds)
            if micro is not None:
                return micro
    return None


def jump(definition: Definition, active: Active, target: str) -> Micro | None:
    """Straight to a state of the outermost level, whichever holds: somebody else has brought it about."""
    outermost = next((path for path in active if "." not in path), None)
    if outermost is None:
        effects: list[Effect] = []
        now: set[str] = set()
        _enter(definition, definition.states[target], now, effects)
        return Micro(_ordered(definition, now), (Move("", "changed", target),), tuple(effects))
    return _apply(definition, active, [(definition.states[outermost], Edge("changed", target))])


def follow_to(definition: Definition, active: Active, target: str, holds: Holds) -> tuple[Micro, Event] | None:
    """What it takes to be in a state that somebody else has brought about: the transition that leads there, if one
    may be taken, or straight there; None when it is there already."""
    if target in active:
        return None
    for path in active:
        for edge in definition.states[path].edges:
            if edge.target == target and (not edge.guard or holds(edge.guard)):
                micro = _apply(definition, active, [(definition.states[path], edge)])
                return None if micro is None else (micro, Event(edge.event, path))
    straight = jump(definition, active, target)
    return None if straight is None else (straight, Event("changed"))


def waits_for(definition: Definition, active: Active) -> set[str]:
    """The events that lead somewhere from here."""
    return {edge.event for path in active for edge in definition.states[path].on}


def has_ended(definition: Definition, active: Active) -> bool:
    """Whether nothing can follow."""
    return _ended(definition.root, active)


def _ended(region: Region, active: Active) -> bool:
    return any(state.final and state.path in active for state in region.states)


def _chosen(definition: Definition, active: Active, event: Event, holds: Holds) -> Iterator[tuple[State, Edge]]:
    """The transitions an event enables: from the innermost state outwards, one for each parallel part."""
    asked: set[str] = set()
    starts: Iterable[str] = [event.state] if event.state else _leaves(active)
    for leaf in starts:
        if leaf not in active:
            continue
        for state in definition.chain(leaf):
            if state.path in asked:
                break  # decided by a part beside this one
            asked.add(state.path)
            edge = next((e for e in state.edges if e.event == event.name and (not e.guard or holds(e.guard))), None)
            if edge is not None:
                yield state, edge
                break


def _leaves(active: Active) -> list[str]:
    return [path for path in active if not any(other.startswith(f"{path}.") for other in active)]


def _apply(definition: Definition, active: Active, chosen: list[tuple[State, Edge]]) -> Micro | None:
    now, moves, effects = set(active), list[Move](), list[Effect]()
    for state, edge in chosen:
        if state.path not in now:
            continue  # left by the transition of a part beside it
        moves.append(Move(state.path, edge.event, edge.target))
        if edge.target is None:
            effects += [Effect("act", state.path, action) for action in edge.actions]
            continue
        target = definition.states[edge.target]
        for path in reversed(_ordered(definition, now)):
            if _within(path, state, target.region):
                effects += [Effect("act", path, action) for action in definition.states[path].exit]
                effects.append(Effect("leave", path))
                now.discard(path)
        effects += [Effect("act", state.path, action) for action in edge.actions]
        _enter(definition, target, now, effects)
    return Micro(_ordered(definition, now), tuple(moves), tuple(effects)) if moves else None


def _within(path: str, source: State, region: str) -> bool:
    """Whether a state ends when one leads from a source to a state of a region: all of what the source is in there."""
    depth = len(region.split(".")) if region else 0
    outermost = ".".join(source.path.split(".")[: depth + 1])
    return path == outermost or path.startswith(f"{outermost}.")


def _enter(definition: Definition, state: State, active: set[str], effects: list[Effect]) -> None:
    active.add(state.path)
    effects += [Effect("act", state.path, action) for action in state.entry]
    effects.append(Effect("enter", state.path))
    for region in state.regions:
        _enter(definition, definition.states[region.initial], active, effects)


def _ordered(definition: Definition, active: Iterable[str]) -> Active:
    among = set(active)
    return tuple(path for path in definition.states if path in among)


# A whole step --------------------------------------------------------------------------------------------------------


class World(Protocol):
    """What the engine works in: the real one changes records, the one of a simulation notes what would be done."""

    def holds(self, condition: str) -> bool:
        """Whether a condition holds for the record as it is now."""

    def act(self, state: State, action: Action) -> str:
        """Do something; returns what to tell of it."""

    def enter(self, state: State) -> list[str]:
        """A state begins; returns what to tell of it."""

    def leave(self, state: State) -> None:
        """A state ends."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a step has led, by which transitions, and what was done."""

    active: Active
    moves: tuple[Move, ...]
    done: tuple[str, ...]


class Circle(RapportError):
    """Transitions follow each other without end."""


def carry_out(definition: Definition, micro: Micro, world: World) -> Outcome:
    """Do what a transition asks for, and what follows from it at once. Circle when that finds no end."""
    moves: list[Move] = []
    done: list[str] = []
    following: Micro | None = micro
    while following is not None:
        micro = following
        moves += micro.moves
        if len(moves) > MAX_MOVES:
            way = " → ".join(dict.fromkeys(move.target or move.source for move in moves))
            raise Circle(_("Transitions follow each other without end: %(way)s. Give one a guard.", way=way))
        for effect in micro.effects:
            state = definition.states[effect.state]
            if effect.kind == "act" and effect.action is not None:
                done.append(world.act(state, effect.action))
            elif effect.kind == "enter":
                done += world.enter(state)
            else:
                world.leave(state)
        following = follow_up(definition, micro.active, world.holds)
    return Outcome(micro.active, tuple(moves), tuple(each for each in done if each))
