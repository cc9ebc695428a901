"""Answers drawn: an answer of the warehouse as the chart that the macro `ui.chart` draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rapport import N_
from rapport import gettext as _
from rapport_warehouse.question import Answer, Cell, Heading, MeasureInfo, Value

TYPES: dict[str, tuple[str, str]] = {
    "bar": (N_("Bars"), "chart-bar"), "stacked": (N_("Stacked bars"), "stack-2"), "line": (N_("Lines"), "chart-line"),
    "area": (N_("Areas"), "chart-area"), "pie": (N_("Shares (ring)"), "chart-donut"),
    "funnel": (N_("Funnel"), "filter"), "heatmap": (N_("Heat map"), "grid-dots"),
    "scatter": (N_("Two measures against each other"), "chart-dots"), "pareto": (N_("Pareto"), "chart-histogram"),
}  # fmt: skip
"""What a chart can be, what people call it, and its icon."""
MOST_LABELS, MOST_SERIES, LONG = 60, 8, 14
"""Beyond these a chart says less than the table; a label longer than that is read better beside a bar lying down."""
UNITS = frozenset({"integer", "decimal", "money", "percent", "hours", "days"})


def chart_of(answer: Answer, type: str = "bar") -> dict[str, Any]:
    """The spec of a chart: rows along it, and a series for each column, or for each measure without columns."""
    rows = range(min(len(answer.rows), MOST_LABELS))
    first = answer.measures[0]
    spec: dict[str, Any] = {
        "type": "bar" if type == "stacked" else type, "title": title_of(answer), "unit": unit_of(first),
        "x": [heading_text(answer.rows[row]) or first.title for row in rows],
    }  # fmt: skip
    if type == "scatter" and len(answer.measures) > 1:
        return spec | _against(answer, rows)
    if type == "scatter":
        spec["type"] = "bar"
    series = _by_column(answer, rows) if any(answer.columns) else _by_measure(answer, rows)
    if type in {"pie", "funnel", "pareto"}:
        series = series[:1]
    if type == "gauge":
        series, spec["x"] = series[:1], []
    if type == "stacked":
        for each in series:
            if not each.get("compared"):
                each["stack"] = each.get("axis", "all")
    spec["series"] = series
    if (
        spec["type"] == "bar"
        and len(series) == 1
        and len(spec["x"]) <= 30
        and max(map(len, spec["x"]), default=0) > LONG
    ):
        spec["horizontal"] = True
    if first.currency:
        spec["currency"] = first.currency
    return spec


def title_of(answer: Answer) -> str:
    """What a table or chart shows: "Won, Win rate by Month and Country"."""
    measures = ", ".join(each.title for each in answer.measures)
    told = [*answer.row_titles, *answer.column_titles]
    if not told:
        return measures
    return _("%(measures)s by %(dimensions)s", measures=measures, dimensions=", ".join(told))


def heading_text(heading: Heading) -> str:
    """A heading in one line; what is counted beside amounts in several currencies has none of them."""
    return " · ".join(member.title for member in heading if member.title)


def unit_of(measure: MeasureInfo) -> str:
    """How a measure is written; what a plugin calls otherwise is a decimal."""
    return measure.kind if measure.kind in UNITS else "decimal"


def currency_of(measure: MeasureInfo, column: Heading) -> str:
    """The currency of an amount: the only one, or that of its column."""
    if measure.kind != "money":
        return ""
    return measure.currency or (column[-1].key if column else "")


def _by_column(answer: Answer, rows: Sequence[int]) -> list[dict[str, Any]]:
    measure = answer.measures[0]
    made = [
        _series(answer, rows, column, measure, heading_text(answer.columns[column]))
        for column in range(min(len(answer.columns), 2 * MOST_SERIES))
    ]
    told = [each for each in made if any(figure is not None for figure in each["data"])]
    return _on_two_axes(told or made)[:MOST_SERIES]


def _on_two_axes(series: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Amounts in another currency stand on an axis of their own; a third currency is told by the table alone."""
    currencies = list(dict.fromkeys(each.get("currency", "") for each in series))
    for each in series:
        if each.get("currency", "") in currencies[1:2]:
            each["axis"] = "right"
    return [each for each in series if each.get("currency", "") in currencies[:2]]


def _by_measure(answer: Answer, rows: Sequence[int]) -> list[dict[str, Any]]:
    first = answer.measures[0]
    made = []
    for measure in answer.measures[:MOST_SERIES]:
        made.append(_series(answer, rows, 0, measure, measure.title))
        if unit_of(measure) != unit_of(first):
            made[-1]["axis"] = "right"
    if answer.compared_since is not None and len(answer.measures) == 1:
        before = [number(answer.cell(row, 0, first.name).compared) for row in rows]
        made.append({"name": _("Before"), "data": before, "compared": True})
    return made


def _series(answer: Answer, rows: Sequence[int], column: int, measure: MeasureInfo, name: str) -> dict[str, Any]:
    cells: list[Cell] = [answer.cell(row, column, measure.name) for row in rows]
    made: dict[str, Any] = {"name": name, "data": [number(cell.value) for cell in cells], "unit": unit_of(measure)}
    if currency := currency_of(measure, answer.columns[column] if answer.columns else ()):
        made["currency"] = currency
    return made


def _against(answer: Answer, rows: Sequence[int]) -> dict[str, Any]:
    across, up = answer.measures[:2]
    points = []
    for row in rows:
        x, y = (number(answer.cell(row, 0, each.name).value) for each in (across, up))
        if x is not None and y is not None:
            points.append([x, y, heading_text(answer.rows[row])])
    return {
        "x": [], "x_title": across.title, "x_unit": unit_of(across), "x_currency": across.currency,
        "unit": unit_of(up), "currency": up.currency, "series": [{"name": up.title, "data": points}],
    }  # fmt: skip


def number(value: Value) -> int | float | None:
    """A figure as a drawing has it: its exact text stands in the table beside it."""
    return value if value is None or isinstance(value, int) else float(value)
