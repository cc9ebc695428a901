"""Making a card by hand: which figures there are, by what they are told apart, and reading what somebody chose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rapport_warehouse import Question, offered

from rapport import Invalid, Problem, Reader, Team, gettext
from rapport_dashboards.boards import panels_for, question_at
from rapport_dashboards.entities import SHAPES, SIZES, Card
from rapport_dashboards.figures import DATE_TITLES, comparisons, periods

SAVED = "warehouse.report"
MOST_MEASURES = 4


def choices(reader: Reader) -> dict[str, Any]:
    """What the form of a card offers this person: figures, what tells them apart, kinds of records, saved analyses."""
    site, offer = reader.site, offered(reader)
    measures = sorted(((each.name, each.title) for each in offer.measures), key=lambda pair: pair[1])
    dates = [(name, gettext(title)) for name, title in DATE_TITLES.items()]
    apart = sorted(((each.name, each.title) for each in offer.dimensions if not each.name.startswith("date.")),
                   key=lambda pair: pair[1])  # fmt: skip
    kinds = [
        (entity.meta.name, gettext(site.meta(entity).plural)) for entity in site.entities
        if entity.meta.listed and reader.actor.may(entity.meta.permission("read"))
    ]  # fmt: skip
    panels = [(panel.name, gettext(panel.title)) for panel in panels_for(site, reader.actor)]
    return {"measures": measures, "dimensions": [*dates, *apart], "entities": kinds, "panels": panels,
            "shapes": SHAPES, "sizes": SIZES, "periods": periods(), "comparisons": comparisons()[:2],
            "saved": saved(reader)}  # fmt: skip


def saved(reader: Reader) -> list[tuple[str, str]]:
    """The analyses that were saved, where the warehouse keeps any."""
    entity = reader.site.entities.get(SAVED)
    if entity is None or not reader.actor.may(f"{SAVED}.read"):
        return []
    found = reader.all(entity, entity.archived_at.is_(None), limit=200)
    return [(str(each.id), str(each)) for each in found]


def typed_of(card: Card | None) -> dict[str, Any]:
    """What the form holds for a card as it is."""
    if card is None:
        return {"shape": "bar", "size": "half", "period": "last 12 months"}
    kept = card.question or {}
    measures = list(kept.get("measures", ()))
    return {
        "title": card.title, "note": card.note, "shape": card.shape, "size": card.size, "entity": card.entity,
        "panel": card.panel, "filter": card.filter, "sort": card.sort, "columns": ", ".join(card.columns),
        **{f"measure{at}": name for at, name in enumerate(measures, start=1)},
        "row": next(iter(kept.get("rows", ())), ""), "column": next(iter(kept.get("columns", ())), ""),
        "period": kept.get("period", ""), "compare": kept.get("compare", ""), "top": kept.get("top") or "",
        "share": bool(kept.get("share")),
    }  # fmt: skip


def read(reader: Reader, form: Mapping[str, str], card: Card | None) -> dict[str, Any]:
    """The values of a card as somebody filled in its form; Invalid says what is missing."""
    values: dict[str, Any] = {name: form.get(name, "").strip() for name in ("title", "note", "shape", "size")}
    if not values["title"]:
        raise Invalid(Problem("title", gettext("is needed.")))
    values |= {"entity": "", "panel": "", "filter": "", "sort": "", "question": {}}
    if values["shape"] == "panel":
        return values | {"panel": form.get("panel", "")}
    if values["shape"] == "list":
        return values | {"entity": form.get("entity", ""), "filter": form.get("filter", "").strip(),
                         "sort": form.get("sort", "").strip(), "columns": words(form.get("columns", ""))}  # fmt: skip
    if chosen := form.get("saved"):
        return values | {"question": _saved_question(reader, chosen)}
    names = [form.get(f"measure{at}", "") for at in range(1, MOST_MEASURES + 1)]
    measures = tuple(dict.fromkeys(name for name in names if name))
    if not measures:
        raise Invalid(Problem("measure1", gettext("is needed: what does the card show?")))
    kept = Question.from_json(card.question) if card is not None and card.question else None
    top = form.get("top", "").strip()
    question = Question(
        measures=measures, rows=_one(form.get("row")), columns=_one(form.get("column")), period=form.get("period", ""),
        compare=form.get("compare", "") if form.get("period") else "",
        top=int(top) if top.isascii() and top.isdigit() else 0,
        share=form.get("share") == "true",
        where=kept.where if kept is not None else {},
        order=kept.order if kept is not None and kept.order.lstrip("-") in {*measures, *_one(form.get("row"))} else "",
    )  # fmt: skip
    return values | {"question": question.to_json()}


def _saved_question(reader: Reader, chosen: str) -> dict[str, Any]:
    entity = reader.site.entities[SAVED]
    found: Any = reader.get(entity, UUID(chosen))
    return question_at(found.query).to_json()


def _one(name: str | None) -> tuple[str, ...]:
    return (name,) if name else ()


def teams_of(reader: Reader) -> list[tuple[str, str]]:
    """The teams somebody is in: those a dashboard may be for."""
    teams = reader.titles(Team, reader.actor.team_ids)
    return sorted(((str(key), title) for key, title in teams.items()), key=lambda pair: pair[1])


def words(text: str) -> list[str]:
    """Words with commas between them."""
    return [word for each in text.split(",") if (word := each.strip())]


def by_field(error: Invalid) -> dict[str, list[str]]:
    """What is wrong, by the field it is wrong with."""
    found: dict[str, list[str]] = {}
    for each in error.problems:
        found.setdefault(each.field or "", []).append(each.message)
    return found
