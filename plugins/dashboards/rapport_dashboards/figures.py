"""What a card shows: the answer to its question within what is asked of all cards, ready for its template."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from rapport_warehouse import (
    Answer,
    Cell,
    Drill,
    MeasureInfo,
    Member,
    NotFilled,
    Question,
    answer,
    as_of,
    members,
    offered,
)
from rapport_warehouse.charts import chart_of
from sqlalchemy import select

from rapport import N_, Field, Formats, Invalid, Reader, gettext, ngettext, stages_of
from rapport_dashboards.boards import Asked, address_of, ask
from rapport_dashboards.entities import KIND_OF_PERIOD, WITHOUT_FIGURES, Card, Target

PERIODS = (
    ("today", N_("Today")), ("this week", N_("This week")), ("this month", N_("This month")),
    ("this quarter", N_("This quarter")), ("this year", N_("This year")), ("last 7 days", N_("Last 7 days")),
    ("last 30 days", N_("Last 30 days")), ("last 90 days", N_("Last 90 days")),
    ("last 12 months", N_("Last 12 months")),
    ("last month", N_("Last month")), ("last quarter", N_("Last quarter")), ("last year", N_("Last year")),
)  # fmt: skip
COMPARED = {"previous": N_("%(value)s before"), "year": N_("%(value)s a year before")}
SLICERS = (
    "core.owner", "core.team", "core.country", "products.family", "products.product", "marketing.campaign",
    "core.customer_source", "core.channel", "service.queue",
)  # fmt: skip
"""What the cards of a dashboard can be sliced by, where it suits any of them; the likeliest first."""
MOST_SLICERS = 5
LIST_SHOWN = 8
TABLE_SHOWN = 50
MANY_TIMES = 10
"""From here on a change is told as so many times the figure before."""
CHARTS = {"bar", "stacked", "line", "area", "pie", "funnel", "heatmap"}
WHOLE = {"pie", "funnel"}
"""Charts that show one series only."""
Number = int | float | Decimal


def periods() -> list[tuple[str, str]]:
    """The times that all cards can be asked for."""
    return [(value, gettext(title)) for value, title in PERIODS]


def comparisons() -> list[tuple[str, str]]:
    """What figures can be compared with."""
    return [("previous", gettext("The time before")), ("year", gettext("A year before")), ("none", gettext("Nothing"))]


def formats_of(reader: Reader) -> Formats:
    """How the reader writes numbers, days and amounts."""
    actor: Any = reader.actor
    return Formats(actor.language, actor.time_zone, actor.calendar or None)


def known_until(reader: Reader) -> dt.datetime | None:
    """The moment up to which the warehouse knows."""
    return as_of(reader.site)


# Questions -----------------------------------------------------------------------------------------------------------


def question_of(reader: Reader, card: Card, asked: Asked) -> tuple[Question, list[str]]:
    """The question of a card within what is asked of all, and the slices that do not suit it."""
    question = Question.from_json(card.question)
    suiting = suits(reader, question.measures) if asked.where else ()
    return ask(question, asked, suiting)


def suits(reader: Reader, measures: Iterable[str]) -> set[str]:
    """The dimensions that suit all of some measures."""
    return {each.name for each in offered(reader).suiting(tuple(measures))}


def analysis_url(reader: Reader, card: Card, asked: Asked) -> str:
    """Where the page of analyses shows the same question; empty for a list."""
    if card.shape in WITHOUT_FIGURES:
        return ""
    try:
        question, _left_out = ask(Question.from_json(card.question), asked, (asked.where or {}).keys())
    except Invalid:
        return ""
    return f"/warehouse?{urlencode(address_of(question, card.shape))}"


def list_url(card: Card) -> str:
    """The list a card shows the beginning of."""
    if card.shape != "list":
        return ""
    query = {key: value for key, value in (("filter", card.filter), ("sort", card.sort)) if value}
    return f"/{card.entity}" + (f"?{urlencode(query)}" if query else "")


# What a card shows ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shown:
    """The inside of a card."""

    kind: str
    """figure, chart, table, list, panel, nothing or waiting."""
    values: list[dict[str, Any]] = field(default_factory=list)
    points: list[float] = field(default_factory=list)
    spark_label: str = ""
    spec: dict[str, Any] | None = None
    columns: list[dict[str, Any]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    goal: dict[str, Any] | None = None
    period: str = ""
    as_of: str = ""
    notes: list[str] = field(default_factory=list)
    more: str = ""


def read_card(reader: Reader, card: Card, asked: Asked) -> Shown:
    """What a card shows to this reader: never more than their own records say."""
    if card.shape == "list":
        return _list(reader, card, asked)
    if card.shape == "panel":
        said = gettext("What is chosen above does not slice what a module shows.")
        return Shown("panel", notes=[said] if asked.period or asked.where else [])
    try:
        question, left_out = question_of(reader, card, asked)
        if card.shape == "figure":
            shown = _figure(reader, question)
        elif card.shape == "gauge":
            shown = _gauge(reader, question)
        else:
            shown = _many(reader, card, question)
    except NotFilled:
        return Shown("waiting")
    shown.period = period_text(question)
    shown.notes += [
        gettext("Not sliced by “%(name)s”, which does not suit this figure.", name=_dimension_title(reader, name))
        for name in left_out
    ]
    if asked.period and not (question.period or question.since):
        shown.notes.append(gettext("As it is now, whatever the time above says."))
    return shown


def _figure(reader: Reader, question: Question) -> Shown:
    found, formats = answer(reader, question), formats_of(reader)
    shown = Shown("figure", as_of=_moment(formats, found.as_of))
    usual = str(reader.site.settings.get("core.currency") or "")
    for info, coin, row, column, cell in _cells(found):
        currency = coin or (usual if info.kind == "money" else "")  # nothing has a currency of its own
        shown.values.append(_value(formats, info, currency, cell, question) | {
            "drill": _drill_query(found, info, row, column),
            "label": info.title if len(found.measures) > 1 else "",
        })  # fmt: skip
    if not shown.values:
        shown.values.append({"text": "–", "change": "", "tone": "neutral", "hint": gettext("Nothing yet"), "drill": ""})
    if len(shown.values) == len(question.measures) == 1:
        shown.points, shown.spark_label = _sparkline(reader, question)
        shown.goal = _goal(reader, formats, question, found)
    return shown


def _sparkline(reader: Reader, question: Question) -> tuple[list[float], str]:
    """The same figure through its time, or through the last twelve months where it has none."""
    if not question.period and question.since is None:
        return [], ""
    step = _step(question)
    through = answer(reader, replace(question, rows=(step,), columns=(), compare="", top=0, order=""))
    if len(through.columns) > 1:
        return [], ""
    (measure,) = question.measures
    cells = [through.cells.get((row, 0, measure)) for row in range(len(through.rows))]
    points = [float(cell.value) if cell is not None and cell.value is not None else 0.0 for cell in cells]
    return (points, step) if len(points) > 2 and any(points) else ([], "")


def _step(question: Question) -> str:
    """Days for a month, weeks for a quarter, months for more."""
    words = question.period.split()
    if question.since is not None and question.until is not None:
        days = (question.until - question.since).days
    elif len(words) == 3 and words[1].isdigit():
        days = int(words[1]) * {"days": 1, "weeks": 7, "months": 30, "years": 365}.get(words[2], 1)
    else:
        days = {"week": 7, "month": 31, "quarter": 92, "year": 366}.get(words[-1] if words else "", 31)
    return "date.day" if days <= 45 else "date.week" if days <= 180 else "date.month"


def _gauge(reader: Reader, question: Question) -> Shown:
    """A figure of this month, quarter or year against its target."""
    formats = formats_of(reader)
    shown = _figure(reader, replace(question, rows=(), columns=()))
    found = answer(reader, replace(question, rows=(), columns=()))
    shown.goal = _goal(reader, formats, question, found)
    shown.points = []
    if shown.goal is not None and shown.goal["value"] is not None:
        goal = shown.goal
        shown.spec = {
            "type": "gauge", "title": found.measures[0].title, "x": [found.measures[0].title],
            "unit": found.measures[0].kind,
            "currency": goal["currency"], "target": float(goal["target"]),
            "series": [{"name": found.measures[0].title, "data": [float(goal["value"])]}],
        }  # fmt: skip
    else:
        shown.notes.append(gettext("No target is set for this figure and time."))
        if reader.actor.may("dashboards.target.create"):
            shown.more = f"/dashboards.target/new?{urlencode({'measure': question.measures[0]})}"
    return shown


def _goal(reader: Reader, formats: Formats, question: Question, found: Answer) -> dict[str, Any] | None:
    """How much of its target a figure has reached; only where the target is for the same time."""
    if len(question.measures) != 1 or question.where:
        return None
    periods = [kind for kind, period in KIND_OF_PERIOD.items() if period == question.period]
    if not periods or not reader.actor.may("dashboards.target.read"):
        return None
    target = reader.session.scalars(
        select(Target)
        .where(Target.measure == question.measures[0], Target.period.in_(periods), Target.archived_at.is_(None))
        .order_by(Target.id).limit(1)
    ).first()  # fmt: skip
    if target is None:
        return None
    (info,) = found.measures
    usual = str(reader.site.settings.get("core.currency") or "")
    wanted = (target.currency or usual) if info.kind == "money" else ""
    value: Number | None = None
    for _info, currency, _row, _column, cell in _cells(found):
        if info.kind != "money" or currency == wanted or not currency:
            value = cell.value
    value = Decimal(0) if value is None else value
    share = float(value) / float(target.value)
    reached = share >= 1 if target.direction == "least" else share <= 1
    said = gettext(
        "%(share)s of %(target)s", share=formats.percent(share), target=write(formats, target.value, info, wanted)
    )
    return {"value": value, "target": target.value, "share": min(share, 1.0), "said": said, "reached": reached,
            "currency": wanted, "name": target.name, "direction": target.direction}  # fmt: skip


def _many(reader: Reader, card: Card, question: Question) -> Shown:
    """A chart or a table: many figures at once."""
    found, formats = answer(reader, question), formats_of(reader)
    if card.shape == "funnel":
        found = _by_stage(reader, found, question)
    shown = Shown("table" if card.shape == "table" else "chart", as_of=_moment(formats, found.as_of))
    if not any(cell.value not in (None, 0) for cell in found.cells.values()):
        shown.kind = "nothing"
        return shown
    shown.columns, shown.rows = table_of(reader, found)
    shown.headings = list(found.row_titles)
    if len(shown.rows) > TABLE_SHOWN and shown.kind == "table":
        left = len(shown.rows) - TABLE_SHOWN
        shown.more = ngettext("%(num)s more row", "%(num)s more rows", left)
        shown.rows = shown.rows[:TABLE_SHOWN]
    if card.shape in CHARTS:
        shown.spec = {**chart_of(found, card.shape), "title": gettext(card.title)}
        if found.compared_since is not None and not question.columns and len(found.columns) > 1:
            shown.spec["series"] += _compared(found, question)
        if shown.spec["type"] == "bar" and not any(name.startswith("date.") for name in question.rows):
            shown.spec.setdefault("horizontal", "auto")
        money = [column["currency"] for column in shown.columns if column["currency"]]
        if card.shape in WHOLE and len(set(money)) > 1:
            shown.notes.append(gettext("Drawn in %(currency)s; the other currencies stand in the figures.",
                                       currency=shown.spec["series"][0].get("currency", money[0])))  # fmt: skip
    return shown


def _compared(found: Answer, question: Question) -> list[dict[str, Any]]:
    """The time before, of amounts in several currencies a line for each of them."""
    (info,), made = found.measures[:1], []
    for at, heading in enumerate(found.columns):
        before = [found.cell(row, at, info.name).compared for row in range(len(found.rows))]
        if any(before):
            name = gettext(COMPARED[question.compare], value=heading[-1].title)
            made.append({"name": name, "data": [None if each is None else float(each) for each in before],
                         "unit": info.kind, "currency": currency_of(info, heading), "compared": True})  # fmt: skip
    return made


def _by_stage(reader: Reader, found: Answer, question: Question) -> Answer:
    """An answer with its rows in the order of the pipeline, where they are stages and no order is asked for."""
    axis = reader.site.dimensions.get(question.rows[0]) if len(question.rows) == 1 and not question.order else None
    field = reader.site.meta_named(axis.of).fields.get(axis.value) if axis is not None else None
    if axis is None or field is None or field.target != "stage":
        return found
    places = {str(stage.id): place for place, stage in enumerate(stages_of(reader.session, axis.of))}
    order = sorted(range(len(found.rows)), key=lambda row: places.get(found.rows[row][0].key, len(places)))
    moved = {row: place for place, row in enumerate(order)}
    cells = {(moved[row], column, name): cell for (row, column, name), cell in found.cells.items()}
    totals = {(moved[row], name): cell for (row, name), cell in found.row_totals.items()}
    return replace(found, rows=[found.rows[row] for row in order], cells=cells, row_totals=totals)


def table_of(reader: Reader, found: Answer) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """An answer as a table: a row for each heading, a column for each measure and column heading, as people read it.

    Where amounts come in several currencies, figures that are no amounts stand in one column only.
    """
    formats = formats_of(reader)
    columns: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for at, heading in enumerate(found.columns):
        for info in found.measures:
            if all(found.value(row, at, info.name) is None for row in range(len(found.rows))):
                continue
            parts = [member.title for member in heading if member.title]
            title = " · ".join([info.title, *parts]) if len(found.measures) > 1 or not parts else " · ".join(parts)
            columns.append({"title": title, "measure": info, "column": at, "currency": currency_of(info, heading)})
    several = len({column["currency"] for column in columns if column["currency"]}) > 1
    for at, heading in enumerate(found.rows):
        cells = []
        for column in columns:
            info, cell = column["measure"], found.cell(at, column["column"], column["measure"].name)
            none = cell.value is None or (several and info.kind == "money" and not cell.value)
            text = "–" if none else write(formats, cell.value or 0, info, column["currency"])
            drill = _drill_query(found, info, at, column["column"]) if cell.value else ""
            share = formats.percent(cell.share) if cell.share is not None and not none else None
            cells.append({"text": text, "drill": drill, "share": share, "value": cell.value})
        rows.append({"heading": [{"title": member.title, "url": member.url} for member in heading], "cells": cells})
    return columns, rows


def rows_of(reader: Reader, card: Card, asked: Asked) -> Iterator[list[Any]] | list[list[Any]]:
    """All figures of a card as rows for a file, with their headings first."""
    if card.shape == "list":
        page, fields = _page(reader, card, 200)
        return [[gettext(each.label) for each in fields],
                *[[getattr(row, each.name) for each in fields] for row in page]]  # fmt: skip
    question, _left_out = question_of(reader, card, asked)
    found = answer(reader, question)
    columns, rows = table_of(reader, found)
    titles = list(found.row_titles)
    head = [*(titles or [""]), *[column["title"] for column in columns]]
    return [head, *[[*([each["title"] for each in row["heading"]] or [""]), *[cell["value"] for cell in row["cells"]]]
                    for row in rows]]  # fmt: skip


def _list(reader: Reader, card: Card, asked: Asked) -> Shown:
    """The first records of a list, each with a few facts."""
    page, fields = _page(reader, card, LIST_SHOWN + 1)
    formats, entity = formats_of(reader), reader.site.entities[card.entity]
    shown, display = Shown("list" if page else "nothing"), entity.meta.display
    if len(page) > LIST_SHOWN:
        shown.more, page = list_url(card), page[:LIST_SHOWN]
    titles = {
        each.name: reader.titles(reader.site.entities[each.target], [getattr(row, each.name) for row in page])
        for each in fields if each.target is not None and each.target in reader.site.entities
    }  # fmt: skip
    for row in page:
        facts = [_brief(formats, each, row, titles.get(each.name, {})) for each in fields if each.name != display]
        title = str(getattr(row, display, "") or gettext(entity.meta.title))
        shown.rows.append(
            {"title": title, "url": f"/{card.entity}/{row.id}", "facts": [each for each in facts if each]}
        )
    if asked.period or asked.where:
        shown.notes.append(gettext("A list of records: what is chosen above does not slice it."))
    return shown


def _page(reader: Reader, card: Card, limit: int) -> tuple[Sequence[Any], list[Field]]:
    """The records of a list card and the fields it shows: its own choice, or the first of the list's."""
    entity = reader.site.entities[card.entity]
    page = reader.page(entity, filter=card.filter or None, sort=card.sort, limit=limit)
    meta = reader.site.meta(entity)
    usual = [each for each in meta.listed_fields if each.kind in {"choice", "money", "date", "instant"}][:2]
    chosen = [meta.fields[name] for name in card.columns if name in meta.fields and not meta.fields[name].secret]
    beside = [each for each in chosen or usual if each.name != meta.display]
    return page.items, [meta.fields[meta.display], *beside] if meta.display in meta.fields else beside


def _brief(formats: Formats, each: Field, row: Any, titles: Mapping[Any, str]) -> str:
    """A value in a few letters; empty for what takes more room."""
    value = getattr(row, each.name, None)
    if value in (None, "", ()):
        return ""
    if each.target:
        return titles.get(value, "")
    if each.kind == "money":
        return formats.money(value, getattr(row, each.currency or "", "") or "", compact=True)
    if each.kind == "date":
        return formats.date(value)
    if each.kind == "instant":
        return formats.relative(formats.here(value).date())
    if each.kind == "choice":
        return next((gettext(choice.label) for choice in each.choices if choice.value == value), "")
    if each.kind in {"integer", "decimal"}:
        return formats.number(value)
    return str(value)[:60] if each.kind == "text" else ""


# Records behind a figure ---------------------------------------------------------------------------------------------


def drilled(reader: Reader, found: Drill) -> dict[str, Any]:
    """The records of a figure as a page shows them: each with its day and what it adds."""
    formats, measure = formats_of(reader), reader.site.measures[found.measure]
    rows = []
    for each in found.records:
        at = formats.here(each.at).date() if isinstance(each.at, dt.datetime) else each.at
        if isinstance(each.value, str) or each.value is None:
            value = each.value or ""
        else:
            value = formats.number(each.value, 2 if measure.kind == "money" else None)
        rows.append(
            {"title": each.title, "url": each.url, "at": formats.date(at) if at is not None else "", "value": value}
        )
    title = gettext(reader.site.meta_named(found.entity).plural)
    return {"rows": rows, "title": title, "cursor": found.next, "measure": gettext(measure.title)}


def _drill_query(found: Answer, info: MeasureInfo, row: int, column: int) -> str:
    """What leads to the records of one cell."""
    pairs = [("row", member.key) for member in found.rows[row]] if found.rows else []
    pairs += [("column", member.key) for member in found.columns[column]] if found.columns else []
    return urlencode([*pairs, ("measure", info.name)])


# Slices --------------------------------------------------------------------------------------------------------------


def slicers(reader: Reader, cards: Sequence[Card], asked: Asked) -> list[dict[str, Any]]:
    """What suits at least one of the cards, with its values: the choices above a dashboard."""
    offer, suiting = offered(reader), set[str]()
    for card in cards:
        if card.shape not in WITHOUT_FIGURES:
            try:
                names = Question.from_json(card.question).measures
            except Invalid:
                continue
            suiting |= {each.name for each in offer.suiting(names)}
    wanted = [name for name in SLICERS if name in suiting][:MOST_SLICERS]
    wanted += [name for name in (asked.where or {}) if name in suiting and name not in wanted]
    shown = []
    for name in wanted:
        values = [(each.key, each.title) for each in members(reader, name, limit=100)
                  if each.key and not each.key.startswith("?")]  # fmt: skip
        chosen = (asked.where or {}).get(name, ())
        if len(values) > 1 or chosen:
            shown.append({"name": name, "title": _dimension_title(reader, name), "values": values,
                          "chosen": chosen[0] if chosen else ""})  # fmt: skip
    return shown


# Writing -------------------------------------------------------------------------------------------------------------


def _cells(found: Answer) -> Iterator[tuple[MeasureInfo, str, int, int, Cell]]:
    """Each figure of an answer without rows, with its currency."""
    for column, heading in enumerate(found.columns):
        for info in found.measures:
            cell = found.cells.get((0, column, info.name))
            if cell is not None:
                yield info, currency_of(info, heading), 0, column, cell


def currency_of(info: MeasureInfo, heading: Sequence[Member]) -> str:
    """The currency of a column: that of the measure, or what the innermost heading says where there are several."""
    if info.kind != "money":
        return ""
    return info.currency or (heading[-1].key if heading else "")


def write(formats: Formats, value: Number, info: MeasureInfo, currency: str = "", *, compact: bool = False) -> str:
    """A figure as people read it."""
    if info.kind == "money":
        return formats.money(value, currency, compact)
    if info.kind == "percent":
        return formats.percent(value, 1)
    if info.kind == "integer":
        return formats.number(round(value))
    if info.kind == "hours":
        return gettext("%(number)s h", number=formats.number(round(float(value), 1)))
    if info.kind == "days":
        return gettext("%(number)s days", number=formats.number(round(float(value), 1)))
    return formats.number(round(float(value), 2))


def _value(formats: Formats, info: MeasureInfo, currency: str, cell: Cell, question: Question) -> dict[str, Any]:
    text = "–" if cell.value is None else write(formats, cell.value, info, currency, compact=True)
    full = "" if cell.value is None else write(formats, cell.value, info, currency)
    change, tone = change_of(formats, info, cell)
    hint = ""
    if question.compare and cell.compared is not None:
        said = write(formats, cell.compared, info, currency, compact=True)
        hint = gettext(COMPARED[question.compare], value=said)
    elif question.compare:
        hint = gettext("nothing to compare with")
    return {"text": text, "full": full if full != text else "", "change": change, "tone": tone, "hint": hint,
            "value": cell.value}  # fmt: skip


def change_of(formats: Formats, info: MeasureInfo, cell: Cell) -> tuple[str, str]:
    """How a figure moved against the one it is compared with, and whether that is good: for a share, in points."""
    if cell.value is None or cell.compared is None:
        return "", "neutral"
    before, now = float(cell.compared), float(cell.value)
    if now == before:
        return gettext("unchanged"), "neutral"
    good = (now > before) == (info.better != "down")
    tone = "green" if good else "red"
    sign = "+" if now > before else "\N{MINUS SIGN}"
    if info.kind == "percent":
        points = formats.number(round(abs(now - before) * 100, 1))
        return gettext("%(sign)s%(number)s points", sign=sign, number=points), tone
    if before == 0:
        return "", tone
    if now / before >= MANY_TIMES:
        return f"×{formats.number(round(now / before))}", tone
    return f"{sign}{formats.percent(abs(now - before) / abs(before))}", tone


def _moment(formats: Formats, at: dt.datetime) -> str:
    """A moment of today by its time alone."""
    now = formats.here(dt.datetime.now(dt.UTC)).date()
    return formats.time(at) if formats.here(at).date() == now else formats.instant(at, "short")


def period_text(question: Question) -> str:
    """The time of a question, in words."""
    if question.period:
        return next((gettext(title) for value, title in PERIODS if value == question.period), question.period)
    return ""


def _dimension_title(reader: Reader, name: str) -> str:
    dimension = reader.site.dimensions.get(name)
    if dimension is not None:
        return gettext(dimension.title)
    return gettext(DATE_TITLES.get(name, name))


DATE_TITLES = {
    "date.day": N_("Day"), "date.week": N_("Week"), "date.month": N_("Month"), "date.quarter": N_("Quarter"),
    "date.year": N_("Year"), "date.weekday": N_("Weekday"), "date.hour": N_("Hour"),
}  # fmt: skip
