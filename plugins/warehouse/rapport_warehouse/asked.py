"""The question of a page: read from its address, put back into one that can be handed to somebody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from rapport import Reader
from rapport_warehouse.axes import ROUND
from rapport_warehouse.question import Offer, Question

AT, ONLY = "at.", "only."
"""`at.core.country=rows` puts a dimension somewhere; `only.core.country=FR` lets through one of its members."""
PLACES = ("rows", "columns", "filter")
FLAGS = ("running", "share")
BETWEEN = "between"
READY = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands in an address: the question, and how its answer is to be shown."""

    measures: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    """Where each dimension is: rows, columns or filter, in their order."""
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)
    """Period, first and last day, comparison, order, top, running and share, as they were typed, and the saved report
    that was opened."""
    chart: str = ""
    left_out: tuple[str, ...] = ()
    """Dimensions that were asked for and do not suit the measures."""

    def at(self, place: str) -> tuple[str, ...]:
        """The dimensions at a place."""
        return tuple(name for name, where in self.places.items() if where == place)

    @property
    def question(self) -> Question:
        """As the warehouse is asked. Invalid names what was typed wrongly."""
        rows, said = self.at("rows"), self.said
        data: dict[str, Any] = {
            "measures": list(self.measures), "rows": list(rows), "columns": list(self.at("columns")),
            "where": {name: list(keys) for name, keys in self.only.items() if keys and name in self.places},
            "compare": said.get("compare", ""), "order": said.get("order", ""),
        }  # fmt: skip
        if said.get("period") == BETWEEN:
            data |= {"since": said.get("since", ""), "until": said.get("until", "")}
        else:
            data["period"] = said.get("period", "")
        if not said.get("period"):
            data["compare"] = ""  # there is no time before all time
        if rows:
            data["top"] = said.get("top") or "0"
        if self.may_run:
            data["running"] = said.get("running", "")
        if data["order"].removeprefix("-") not in {*self.measures, *rows, *self.at("columns")}:
            data["order"] = ""
        data["share"] = said.get("share", "")
        return Question.from_json(data)

    @property
    def may_run(self) -> bool:
        """Whether running totals make sense: along dates that follow one another."""
        rows = self.at("rows")
        return bool(rows) and rows[-1].startswith("date.") and rows[-1].removeprefix("date.") not in ROUND

    def pairs(self, **other: str) -> list[tuple[str, str]]:
        """As an address says it; `other` changes what was typed (`chart="line"`), empty takes it away."""
        said = {**self.said, "chart": self.chart, **other}
        return [
            *(("measure", name) for name in self.measures),
            *((AT + name, place) for name, place in self.places.items()),
            *((ONLY + name, key) for name, keys in self.only.items() for key in keys),
            *((name, value) for name, value in said.items() if value),
        ]

    def query(self, **other: str) -> str:
        """The part of an address behind the question mark."""
        return urlencode(self.pairs(**other))


SAID = ("period", "since", "until", "compare", "order", "top", *FLAGS, "report")


def asked_of(args: MultiDict[str, str]) -> Asked:
    """What an address asks for."""
    places: dict[str, str] = {}
    only: dict[str, tuple[str, ...]] = {}
    for name, value in args.items(multi=True):
        if name.startswith(AT) and value in PLACES:
            places.setdefault(name.removeprefix(AT), value)
        elif name.startswith(ONLY):
            dimension = name.removeprefix(ONLY)
            only[dimension] = (*only.get(dimension, ()), value)
    measures = tuple(dict.fromkeys(each for each in args.getlist("measure") if each))
    said = {name: args[name].strip() for name in SAID if args.get(name, "").strip()}
    return Asked(measures, places, only, said, args.get("chart", ""))


def fitting(asked: Asked, offer: Offer) -> Asked:
    """Without the dimensions that do not suit the chosen measures: they are named in `left_out`."""
    known = {each.name for each in offer.suiting(asked.measures)}
    out = tuple(name for name in asked.places if name not in known)
    return replace(asked, places={name: place for name, place in asked.places.items() if name in known}, left_out=out)


def ready_questions(reader: Reader, offer: Offer) -> Sequence[tuple[str, str]]:
    """A few questions to begin with, for those who look for the first time: titles and addresses. One of each kind."""
    found: list[tuple[str, str]] = []
    told: set[str] = set()
    for measure in offer.measures:
        kind = offer.groups.get(measure.name, "")
        if "date.month" in offer.fits.get(measure.name, ()) and kind not in told and len(found) < READY:
            told.add(kind)
            asked = Asked((measure.name,), {"date.month": "rows"}, {}, {"period": "last 12 months"}, "bar")
            found.append((measure.title, asked.query()))
    return found
