"""The warehouse for other programs: questions and answers, the records behind a figure, and what may be asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState

from rapport import Field, Invalid, Problem
from rapport import gettext as _
from rapport.builtin.api.body import json_body, whole_number
from rapport.builtin.api.problems import handle
from rapport.http import current_actor, current_site, described, needs
from rapport_warehouse.question import Answer, Member, Question

LISTS = ("measures", "rows", "columns")
PLAIN = ("since", "until", "period", "compare", "order", "top", "running", "share")
ASKED = {
    "measures": "Names of measures, separated by commas.",
    "rows": "Names of dimensions, separated by commas; dates are date.day, date.week, date.month and so on.",
    "columns": "The same for the columns.",
    "where": "A slice, such as `core.country:FR`; several of them, and several of one dimension, by repeating it.",
    "since": "The first day, such as 2026-01-01.",
    "until": "The last day.",
    "period": "Instead of these: this month, last quarter, last 90 days, last 12 months, this year.",
    "compare": "previous or year: the same in the period before, or a year earlier.",
    "order": "A measure or dimension of the question; a minus sorts downwards.",
    "top": "The first so many rows; all others stand together.",
    "running": "true: every figure with those before it added, along the dates of the rows.",
    "share": "true: the share of the total beside each figure.",
}
BODY = "The question as an object: measures, rows, columns, where, since, until, period, compare, order, top and so on."
FILES = ("csv", "xlsx")


def make_blueprint() -> Blueprint:
    """The addresses below /api/v1/."""
    api = Blueprint("warehouse_api", __name__, url_prefix="/api/v1")
    handle(api)
    for rule, view, methods in (
        ("/warehouse.cube", cube, ["GET", "POST"]),
        ("/warehouse.drill", records, ["GET", "POST"]),
        ("/warehouse.offer", offer, ["GET"]),
        ("/warehouse.members", choices, ["GET"]),
    ):
        api.add_url_rule(rule, view_func=view, methods=methods)
    api.record_once(_answer_programs)
    return api


def _answer_programs(state: BlueprintSetupState) -> None:
    """Programs prove who they are by their token, not by a form of ours."""
    if (csrf := state.app.extensions.get("csrf")) is not None:
        csrf.exempt(state.blueprint)


@needs("")
@described("Figures by rows and columns", {**ASKED, "format": "json, csv or xlsx."}, body=BODY)
def cube() -> Response:
    """The answer to a question, as JSON or as a file."""
    from rapport.builtin.exchange.download import download_rows
    from rapport_warehouse.cube import answer

    format = request.args.get("format", "json")
    if format not in {"json", *FILES}:
        raise Invalid(Problem("format", _("must be one of %(allowed)s.", allowed="json, csv, xlsx")))
    question = Question.from_json(json_body()) if request.method == "POST" else _question(("format",))
    with current_site().read(current_actor()) as reader:
        found = answer(reader, question)
        if format == "json":
            return _json(found.to_json())
        return download_rows(reader, "warehouse", _("Figures"), *flat(found), format)


@needs("")
@described(
    "The records behind a figure",
    {**ASKED, "row": "The keys of its row heading, each given by repeating it; fewer for a total.",
     "column": "The same of its column heading.", "measure": "Which measure of the question; empty: the first.",
     "limit": "How many records at most.", "cursor": "`next` of the page before."},
    body="An object with `question`, and row, column, measure, limit and cursor.",
)  # fmt: skip
def records() -> Response:
    """A page of the records whose sum a figure is."""
    from rapport_warehouse.drilling import MOST, drill

    if request.method == "POST":
        question, row, column, measure, limit, cursor = _drill_body(json_body(), MOST)
    else:
        question = _question(("row", "column", "measure", "limit", "cursor"))
        row, column = request.args.getlist("row"), request.args.getlist("column")
        measure, cursor = request.args.get("measure", ""), request.args.get("cursor")
        limit = whole_number(request.args.to_dict(), "limit", 50, least=1, most=MOST)
    with current_site().read(current_actor()) as reader:
        return _json(drill(reader, question, row, column, measure, limit=limit, cursor=cursor).to_json())


@needs("")
@described("What may be asked: measures, and the dimensions that suit each")
def offer() -> Response:
    """The measures of whoever asks, with the dimensions that suit each."""
    from rapport_warehouse.offer import offered

    _known(())
    with current_site().read(current_actor()) as reader:
        found = offered(reader)
    return _json({
        "measures": [
            {"name": each.name, "title": each.title, "kind": each.kind, "better": each.better, "help": each.help,
             "of": found.groups[each.name], "dimensions": sorted(found.fits[each.name])}
            for each in found.measures
        ],
        "dimensions": [
            {"name": each.name, "title": each.title, "help": each.help, "group": each.group}
            for each in found.dimensions
        ],
    })  # fmt: skip


@needs("")
@described("What a dimension holds, to slice by", {
    "dimension": "Its name.", "search": "Part of the title.", "limit": "How many at most.",
})  # fmt: skip
def choices() -> Response:
    """The members of a dimension that can be let through."""
    from rapport_warehouse.offer import MOST, members

    _known(("dimension", "search", "limit"))
    limit = whole_number(request.args.to_dict(), "limit", 50, least=1, most=MOST)
    with current_site().read(current_actor()) as reader:
        found = members(
            reader, request.args.get("dimension", ""), search=request.args.get("search", "")[:200], limit=limit
        )
    return _json({"items": [{"key": each.key, "title": each.title, "url": each.url} for each in found]})


def flat(answer: Answer) -> tuple[list[Field], list[SimpleNamespace]]:
    """An answer as a table with one line of headings, and its totals at the end, for a spreadsheet."""
    fields = [Field(f"r{at}", title, "text") for at, title in enumerate(answer.row_titles)] or [Field("r0", "", "text")]
    columns = range(len(answer.columns))
    for column in columns:
        for measure in answer.measures:
            heading = " · ".join([*(member.title for member in answer.columns[column]), measure.title])
            fields.append(Field(f"c{column}_{measure.name}", heading, "text"))
    lines = []
    for row, heads in enumerate(answer.rows):
        cells = {(column, each.name): answer.cell(row, column, each.name).value for column in columns
                 for each in answer.measures}  # fmt: skip
        lines.append(_line(fields, heads, cells))
    if len(answer.rows) > 1:
        totals = {at: cell.value for at, cell in answer.column_totals.items()}
        lines.append(_line(fields, [Member("", _("Total"))], totals))
    kinds = {each.name: "integer" if each.kind == "integer" else "decimal" for each in answer.measures}
    shown = [Field(each.name, each.label, kinds.get(each.name.partition("_")[2], "text")) for each in fields]
    return shown, lines


def _line(fields: Sequence[Field], heads: Sequence[Member], cells: Mapping[tuple[int, str], Any]) -> SimpleNamespace:
    values: dict[str, Any] = dict.fromkeys((each.name for each in fields), None)
    values |= {f"r{at}": member.title for at, member in enumerate(heads)}
    values |= {
        f"c{column}_{name}": Decimal(str(value)) if isinstance(value, float) else value
        for (column, name), value in cells.items()
    }
    return SimpleNamespace(**values)


def _question(more: Sequence[str]) -> Question:
    """The question in the address."""
    _known((*LISTS, "where", *PLAIN, *more))
    given: dict[str, Any] = {name: request.args[name] for name in PLAIN if name in request.args}
    for name in LISTS:
        given[name] = [each for each in request.args.get(name, "").split(",") if each]
    where: dict[str, list[str]] = {}
    for each in request.args.getlist("where"):
        name, colon, key = each.partition(":")
        if not colon:
            raise Invalid(Problem("where", _("is written as dimension:key, such as core.country:FR.")))
        where.setdefault(name, []).append(key)
    return Question.from_json({**given, "where": where})


def _drill_body(body: Any, most: int) -> tuple[Question, list[str], list[str], str, int, str | None]:
    if not isinstance(body, Mapping):
        raise Invalid(Problem(None, _("must be an object with `question`.")))
    known = ("question", "row", "column", "measure", "limit", "cursor")
    problems = [Problem(str(name), _("is unknown.")) for name in body if name not in known]
    keys = []
    for name in ("row", "column"):
        given = body.get(name, [])
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            problems.append(Problem(name, _("must be a list of keys.")))
            given = []
        keys.append(given)
    for name in ("measure", "cursor"):
        if not isinstance(body.get(name) or "", str):
            problems.append(Problem(name, _("must be text.")))
    limit = body.get("limit", 50)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= most:
        problems.append(Problem("limit", _("must be between 1 and %(most)s.", most=most)))
    if problems:
        raise Invalid(problems)
    question = Question.from_json(body.get("question"))
    return question, keys[0], keys[1], body.get("measure") or "", limit, body.get("cursor") or None


def _known(names: Sequence[str]) -> None:
    problems = [
        Problem(name, _("is not a parameter of this address. Known: %(known)s.", known=", ".join(names) or "-"))
        for name in request.args
        if name not in names
    ]
    if problems:
        raise Invalid(problems)


def _json(body: Any) -> Response:
    return Response(json.dumps(body, ensure_ascii=False, separators=(",", ":")), content_type="application/json")
