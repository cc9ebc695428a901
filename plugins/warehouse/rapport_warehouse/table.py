"""Answers as people read them: the table of a pivot, with subtotals, totals, changes, and the way to the records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from rapport import Field, Formats
from rapport import gettext as _
from rapport_warehouse.asked import Asked
from rapport_warehouse.charts import currency_of, heading_text, unit_of
from rapport_warehouse.question import HIDDEN, NOTHING, Answer, Cell, Heading, MeasureInfo, Member, Value

MOST_SHOWN = 400
"""Rows on the page; the file has all of them."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the table."""

    text: str
    url: str = ""
    """Where its records are listed."""
    delta: str = ""
    tone: str = "neutral"
    share: str = ""
    value: Value = None


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table: its headings and figures."""

    heads: Sequence[Member]
    figures: Sequence[Figure]
    kind: str = "row"
    """row, subtotal or total."""
    repeated: int = 0
    """So many headings are those of the line above."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """An answer as a table."""

    row_titles: Sequence[str]
    groups: Sequence[tuple[str, int]]
    """The headings above, each over so many figures; empty without columns."""
    measures: Sequence[MeasureInfo]
    """The measure of every figure of a line."""
    lines: Sequence[Line] = field(default_factory=list)


def sheet_of(answer: Answer, formats: Formats, asked: Asked) -> Sheet:
    """The table of an answer."""
    told = any(answer.columns)
    columns = range(len(answer.columns))
    with_totals = told and len(answer.columns) > 1 and bool(answer.row_totals)
    pairs = _told_columns(answer)
    widths = [sum(at == column for at, _measure in pairs) for column in columns]
    groups = [(heading_text(answer.columns[at]), wide) for at, wide in enumerate(widths) if wide] if told else []
    if with_totals:
        groups.append((_("Total"), len(answer.measures)))
    made = _Writer(answer, formats, asked)
    lines: list[Line] = []
    deep = max(len(answer.row_titles), 0)

    def line(heads: Sequence[Member], keys: Sequence[str], cell: Any, total: Any, kind: str, repeated: int = 0) -> Line:
        figures = [
            made.figure(cell(column, measure.name), measure, answer.columns[column], keys)
            for column, measure in pairs
        ]  # fmt: skip
        if with_totals:
            figures += [made.figure(total(measure.name), measure, (), keys) for measure in answer.measures]
        return Line(heads, figures, kind, repeated)

    for at, heading in enumerate(answer.rows):
        keys = tuple(member.key for member in heading)
        before = tuple(member.key for member in answer.rows[at - 1]) if at else ()
        repeated = next((n for n, pair in enumerate(zip(keys, before, strict=False)) if pair[0] != pair[1]), 0)
        lines.append(line(
            heading, keys, lambda column, name, at=at: answer.cell(at, column, name),
            lambda name, at=at: answer.row_totals.get((at, name), NOTHING), "row", repeated,
        ))  # fmt: skip
        after = tuple(member.key for member in answer.rows[at + 1]) if at + 1 < len(answer.rows) else ()
        if deep > 1 and keys[:1] != after[:1] and any(part[0] == keys[:1] for part in answer.subtotals):
            whole = Member("", _("Together: %(name)s", name=heading[0].title))
            lines.append(line(
                (whole,), keys[:1],
                lambda column, name, keys=keys: answer.subtotals.get((keys[:1], column, name), NOTHING),
                lambda name: NOTHING, "subtotal",
            ))  # fmt: skip
    if deep and len(answer.rows) > 1:
        lines.append(line(
            (Member("", _("Total")),), (), lambda column, name: answer.column_totals.get((column, name), NOTHING),
            lambda name: answer.total.get(name, NOTHING), "total",
        ))  # fmt: skip
    every = [measure for _column, measure in pairs] + ([*answer.measures] if with_totals else [])
    return Sheet(answer.row_titles, groups, every, lines)


def _told_columns(answer: Answer) -> list[tuple[int, MeasureInfo]]:
    """The columns of the table. Beside amounts in several currencies, counts stand once and amounts in their own."""
    every = [(column, measure) for column in range(len(answer.columns)) for measure in answer.measures]
    filled = [
        (column, measure)
        for column, measure in every
        if any(answer.value(row, column, measure.name) is not None for row in range(len(answer.rows)))
    ]
    return filled or every


class _Writer:
    """Writes figures of one answer for one reader."""

    def __init__(self, answer: Answer, formats: Formats, asked: Asked) -> None:
        self.answer, self.formats = answer, formats
        self.base = "/warehouse/records?" + asked.query(chart="")
        self.depth = len(asked.at("rows"))

    def figure(self, cell: Cell, measure: MeasureInfo, column: Heading, keys: Sequence[str]) -> Figure:
        text = text_of(cell.value, measure, currency_of(measure, column), self.formats)
        delta, tone = self._change(cell, measure)
        share = self.formats.percent(cell.share, 1) if cell.share is not None else ""
        ways = [*keys, *(member.key for member in column)]
        url = ""
        if cell.value and HIDDEN not in ways:
            pairs = [("r", key) for key in keys] + [("c", member.key) for member in column] + [("m", measure.name)]
            url = f"{self.base}&{urlencode(pairs)}"
        return Figure(text, url, delta, tone, share, cell.value)

    def _change(self, cell: Cell, measure: MeasureInfo) -> tuple[str, str]:
        if cell.compared is None or cell.value is None:
            return "", "neutral"
        now, before = Decimal(cell.value), Decimal(cell.compared)
        if now == before:
            return "=" if now else "", "neutral"
        good = (now > before) == (measure.better == "up")
        sign = "+" if now > before else "−"
        if not before:
            return _("new"), "green" if good else "red"
        return sign + self.formats.percent(abs(now - before) / abs(before)), "green" if good else "red"


def text_of(value: Value, measure: MeasureInfo, currency: str, formats: Formats) -> str:
    """A figure as its reader writes it."""
    if value is None:
        return "–"
    exact = Decimal(value)
    write: dict[str, Callable[[], str]] = {
        "integer": lambda: formats.number(exact), "percent": lambda: formats.percent(exact, 1),
        "money": lambda: formats.money(exact, currency) if currency else formats.number(exact, 2),
        "hours": lambda: _("%(number)s h", number=formats.number(round(exact, 1))),
        "days": lambda: _("%(number)s d", number=formats.number(round(exact, 1))),
    }  # fmt: skip
    return write.get(unit_of(measure), lambda: formats.number(round(exact, 2)))()


def rows_to_take_away(answer: Answer) -> tuple[list[Field], list[Any]]:
    """The answer as columns and rows of a file: plain figures, no subtotals, so that a spreadsheet can go on."""
    fields = [Field(f"r{at}", title, "text") for at, title in enumerate(answer.row_titles)]
    many = len(answer.measures) > 1
    for column, heading in enumerate(answer.columns):
        for at, measure in enumerate(answer.measures):
            parts = [heading_text(heading), measure.title if many or not heading else "",
                     f"({measure.currency})" if measure.kind == "money" and measure.currency else ""]  # fmt: skip
            fields.append(Field(f"c{column}_{at}", " ".join(part for part in parts if part), _kind(measure)))
    rows = []
    for row, heading in enumerate(answer.rows):
        values: dict[str, Any] = {f"r{at}": member.title for at, member in enumerate(heading)}
        for column in range(len(answer.columns)):
            for at, measure in enumerate(answer.measures):
                values[f"c{column}_{at}"] = answer.value(row, column, measure.name)
        rows.append(SimpleNamespace(**values))
    return fields, rows


def _kind(measure: MeasureInfo) -> str:
    return "integer" if measure.kind == "integer" else "decimal"
