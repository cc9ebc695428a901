"""Which dashboards somebody has, which comes first, and which cards they may see on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from rapport_warehouse import Question

from rapport import Actor, Invalid, Measure, Panel, Reader, Site
from rapport_dashboards.entities import Card, Dashboard

MOST = 100
DATES = "date."
COMPARISONS = ("", "previous", "year")


def dashboards_of(reader: Reader) -> list[Dashboard]:
    """The dashboards somebody may see: those of their roles first, then their own, then the others."""
    found = reader.all(
        Dashboard, Dashboard.archived_at.is_(None), order=(Dashboard.position, Dashboard.name), limit=MOST
    )
    roles = reader.actor.roles | ({"admin"} if reader.actor.is_admin else set())

    def rank(each: Dashboard) -> int:
        if not roles.isdisjoint(each.roles):
            return 0
        return 1 if each.owner_id == reader.actor.id and each.owner_id is not None else 2

    return sorted(found, key=rank)


def cards_of(reader: Reader, dashboard: Dashboard) -> list[Card]:
    """All cards of a dashboard, in order."""
    return reader.all(
        Card, Card.dashboard_id == dashboard.id, Card.archived_at.is_(None), order=(Card.position, Card.id), limit=MOST
    )


def shown_cards(reader: Reader, cards: Iterable[Card]) -> list[Card]:
    """The cards that somebody can be told something by: what a module that is off would show is left out quietly."""
    return [card for card in cards if may_ask(reader.site, reader.actor, card)]


def may_ask(site: Site, actor: Actor, card: Card) -> bool:
    """Whether everything that a card asks for is there and may be read by somebody."""
    if card.shape == "list":
        return card.entity in site.entities and actor.may(f"{card.entity}.read")
    if card.shape == "panel":
        return any(panel.name == card.panel for panel in panels_for(site, actor))
    try:
        question = Question.from_json(card.question)
    except Invalid:
        return True  # it is shown, and says what is wrong with it
    parts = {*question.rows, *question.columns, *question.where}
    known = all(name in site.dimensions for name in parts if not name.startswith(DATES))
    return known and all(_may_measure(site, actor, name) for name in question.measures)


def _may_measure(site: Site, actor: Actor, name: str) -> bool:
    measure: Measure | None = site.measures.get(name)
    if measure is None:
        return False
    if measure.over is not None:
        return all(_may_measure(site, actor, each) for each in measure.over)
    return measure.of in site.entities and actor.may(f"{measure.of}.read")


def panels_for(site: Site, actor: Actor) -> list[Panel]:
    """What modules show this person by themselves, each a card on a dashboard that wants it."""
    return [
        panel for panel in site.panels_at.get("dashboard", ())
        if (panel.needs is None or actor.may(panel.needs))
        and (not panel.roles or actor.is_admin or not actor.roles.isdisjoint(panel.roles))
    ]  # fmt: skip


# What is asked across all cards --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """What the reader of a dashboard wants to see of all cards: a time, a comparison, and slices."""

    period: str = ""
    compare: str = ""
    where: Mapping[str, tuple[str, ...]] | None = None

    def query(self) -> list[tuple[str, str]]:
        """As it stands in an address."""
        slices = [(f"f.{name}", key) for name, keys in sorted((self.where or {}).items()) for key in keys]
        return [
            *((key, value) for key, value in (("period", self.period), ("compare", self.compare)) if value),
            *slices,
        ]


def asked_of(arguments: Any) -> Asked:
    """What an address asks for."""
    where: dict[str, tuple[str, ...]] = {}
    for name in arguments:
        if name.startswith("f.") and (keys := tuple(key for key in arguments.getlist(name) if key)):
            where[name[2:]] = keys
    compare = arguments.get("compare", "")
    return Asked(arguments.get("period", ""), compare if compare in {*COMPARISONS, "none"} else "", where)


def ask(question: Question, asked: Asked, suiting: Iterable[str]) -> tuple[Question, list[str]]:
    """A card's question within what is asked of all cards, and the slices that do not suit it.

    A card that shows how things stand now, whenever they began, has no period, and gets none.
    """
    if asked.period and (question.period or question.since or question.until):
        question = replace(question, period=asked.period, since=None, until=None)
    if asked.compare and (question.period or question.since):
        question = replace(question, compare="" if asked.compare == "none" else asked.compare)
    slices, suits = dict(asked.where or {}), set(suiting)
    fitting = {name: keys for name, keys in slices.items() if name in suits}
    if fitting:
        question = replace(question, where={**question.where, **fitting})
    return question, [name for name in slices if name not in suits]


# A question as an address of the page of analyses --------------------------------------------------------------------

PLACES = ("rows", "columns")
DRAWN = ("bar", "stacked", "line", "area", "pie", "funnel", "heatmap")


def address_of(question: Question, shape: str = "") -> list[tuple[str, str]]:
    """A question as the page of analyses has it in its address."""
    said = question.to_json()
    placed = [(f"at.{name}", place) for place in PLACES for name in said.get(place, ())]
    sliced = [(f"at.{name}", "filter") for name in question.where if name not in {*question.rows, *question.columns}]
    only = [(f"only.{name}", key) for name, keys in question.where.items() for key in keys]
    plain = [
        (name, str(said[name])) for name in ("period", "since", "until", "compare", "order", "top") if name in said
    ]
    if "since" in said or "until" in said:
        plain.append(("period", "between"))
    flags = [(name, "true") for name in ("running", "share") if name in said]
    chart = [("chart", shape)] if shape in DRAWN else []
    return [*(("measure", name) for name in question.measures), *placed, *sliced, *only, *plain, *flags, *chart]


def question_at(address: str) -> Question:
    """The question of an address of the page of analyses, such as a saved one keeps."""
    data: dict[str, Any] = {"measures": [], "rows": [], "columns": [], "where": {}}
    for name, value in parse_qsl(address):
        if name == "measure":
            data["measures"].append(value)
        elif name.startswith("at.") and value in PLACES:
            data[value].append(name[3:])
        elif name.startswith("only."):
            data["where"].setdefault(name[5:], []).append(value)
        elif name in {"period", "since", "until", "compare", "order", "top", "running", "share"} and value != "between":
            data[name] = value
    if not data.get("period") and not data.get("since"):
        data.pop("compare", None)
    return Question.from_json(data)


def position_after(cards: Sequence[Card]) -> int:
    """Where a card goes that is added."""
    return max((card.position for card in cards), default=0) + 10


def free_title(taken: Iterable[str], wanted: str) -> str:
    """A title that nobody has yet: Sales (2)."""
    names, number, title = set(taken), 2, wanted
    while title in names:
        title, number = f"{wanted[:70]} ({number})", number + 1
    return title


def copy_values(card: Card, dashboard_id: UUID) -> dict[str, Any]:
    """What makes the same card on another dashboard."""
    names = ("title", "note", "shape", "question", "entity", "panel", "filter", "sort", "columns", "size", "position")
    return {"dashboard_id": str(dashboard_id), **{name: getattr(card, name) for name in names}}
