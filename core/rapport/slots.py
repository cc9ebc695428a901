"""Slots: the places of the web that plugins fill, and whether what a plugin brings has a place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rapport.contributions import Panel, Slot
from rapport.errors import Invalid, PluginError
from rapport.query.filter import parse

ANY = "{entity}."
"""How the name of a slot begins that every kind of record has."""


def find_slot(name: str, slots: Iterable[Slot], entities: Iterable[str]) -> Slot | None:
    """The slot behind a name such as `customer.side`; None when there is no such place."""
    entity, _dot, place = name.rpartition(".")
    for slot in slots:
        if slot.name == name or (slot.name == ANY + place and entity in entities):
            return slot
    return None


def check_places(brought: Mapping[str, Sequence[Any]], slots: Iterable[Slot], entities: Iterable[str]) -> None:
    """Whether everything that a plugin brings for a place has that place; PluginError names the nearest one.

    `brought` are the plugin's things by kind of registry; `slots` and `entities` are those of the plugins before it.
    """
    slots = [*slots, *brought["slot"]]
    entities = [*entities, *(entity.meta.name for entity in brought["entity"])]
    for panel in brought["panel"]:
        _check_panel(panel, slots, entities)
    for ready in brought["list filter"]:
        try:
            parse(ready.filter)
        except Invalid as error:
            raise PluginError(f"its list filter '{ready.name}' cannot be read: {error}") from None
    for what, items in brought.items():
        for item in items:
            entity = getattr(item, "entity", None)
            if isinstance(entity, str) and entity not in entities:
                raise PluginError(
                    f"its {what} '{item.name}' is for the entity '{entity}', which no active plugin has."
                    f"{_nearest(entity, entities)} If another plugin has it, name that one in the dependencies."
                )


def _check_panel(panel: Panel, slots: Sequence[Slot], entities: Sequence[str]) -> None:
    slot = find_slot(panel.slot, slots, entities)
    if slot is None:
        known = [slot.name for slot in slots if ANY not in slot.name and slot.filled_by == "Panel"]
        known += [
            slot.name.replace(ANY, f"{entity}.")
            for slot in slots if ANY in slot.name and slot.filled_by == "Panel" for entity in entities
        ]  # fmt: skip
        raise PluginError(
            f"its panel '{panel.title}' is for the slot '{panel.slot}', which no active plugin has."
            f"{_nearest(panel.slot, known)} docs/slots.md lists them all."
        )
    if slot.filled_by != "Panel":
        raise PluginError(
            f"its panel '{panel.title}' is for the slot '{panel.slot}', which takes no panels. "
            f"Return a {slot.filled_by} from {slot.hook} instead."
        )


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.4)
    return f" Did you mean '{near[0]}'?" if near else ""


def by_slot(panels: Iterable[Panel]) -> dict[str, tuple[Panel, ...]]:
    """The panels of each slot, in the order in which they are shown."""
    found: dict[str, list[Panel]] = {}
    for panel in sorted(panels, key=lambda each: (each.order, each.name)):
        found.setdefault(panel.slot, []).append(panel)
    return {name: tuple(each) for name, each in found.items()}
