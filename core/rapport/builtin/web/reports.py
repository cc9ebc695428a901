"""Reports: tables of figures that plugins bring, each with a page of its own and as a file to take away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, abort, g, render_template, request
from werkzeug.wrappers import Response

from rapport.builtin.exchange.download import download_rows
from rapport.builtin.web import forms
from rapport.builtin.web.context import problem, reader, show_piece
from rapport.builtin.web.present import Presenter
from rapport.contributions import Report
from rapport.entities import Entity
from rapport.errors import Invalid
from rapport.http import current_actor, current_site, needs
from rapport.i18n.catalogs import N_

SHOWN = 500
"""Rows on the page; the file has all of them."""


def add_pages(web: Blueprint) -> None:
    """The pages of reports."""
    web.add_url_rule("/reports", view_func=list_reports, methods=["GET"])
    web.add_url_rule("/reports/<name>", view_func=show_report, methods=["GET"])
    web.add_url_rule("/reports/<name>/export", view_func=export_report, methods=["GET"])


@needs("")
def list_reports() -> str:
    """The reports that the person who looks may see."""
    actor = current_actor()
    every = sorted(current_site().reports, key=lambda each: (each.order, each.name))
    return render_template("pages/reports.html", reports=[each for each in every if actor.may(each.needs)])


@needs("")
def show_report(name: str) -> str | tuple[str, int]:
    """What to ask for, and the table."""
    report, owner = _report(name)
    values, errors = _asked(report)
    typed = values if errors else {each.name: forms.control_value(each, values[each.name]) for each in report.fields}
    facts = {
        "report": report, "values": typed, "texts": forms.reference_texts(report.fields, values), "errors": errors,
        "query": request.query_string.decode(),
    }  # fmt: skip
    if errors:
        return render_template("pages/report.html", table="", **facts), 422

    def shown() -> str:
        rows = list(report.rows(reader(), **values))
        presenter = Presenter(Entity, rows[:SHOWN], report.columns)
        return render_template("pages/_report.html", rows=rows, shown=rows[:SHOWN], presenter=presenter, **facts)

    table = show_piece(owner, f"report {name}", report.title, shown)
    return render_template("pages/report.html", table=table, **facts)


@needs("")
def export_report(name: str) -> Response:
    """The same rows, all of them, for a spreadsheet."""
    report, owner = _report(name)
    values, errors = _asked(report)
    if errors:
        abort(400)
    rows = current_site().hooks.shielded(owner, f"report {name}", lambda: list(report.rows(reader(), **values)), None)
    if rows is None:
        text = N_("The module %(name)s could not show this. An administrator finds the reason in the log.")
        return problem(g.texts.gettext(text, name=owner), 500)
    format = request.args.get("format", "csv")
    return download_rows(reader(), name, g.texts.gettext(report.title), report.columns, rows, format)


def _report(name: str) -> tuple[Report, str]:
    """The report of an address, and its plugin; what nobody brings, or may not be seen, is no page."""
    report = current_site().reports.get(name)
    if report is None or not current_actor().may(report.needs):
        abort(404)
    return report, current_site().reports.owner(name)


def _asked(report: Report) -> tuple[dict[str, Any], Mapping[str, list[str]]]:
    """What was asked for above the table; a field that was left empty has its default."""
    usual = {each.name: each.default() if callable(each.default) else each.default for each in report.fields}
    try:
        read = forms.read_form(None, request.args, report.fields)
        given = {each.name: each.load(read[each.name]) for each in report.fields if read.get(each.name)}
    except Invalid as error:
        return usual | forms.retyped(request.args, report.fields), forms.errors_by_field(error.problems)
    except ValueError as error:
        return usual, {"": [str(error)]}
    return usual | given, {}
