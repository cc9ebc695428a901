"""The page where a manager asks: measures by what tells them apart, as a table and a chart, down to the records."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, send_from_directory
from sqlalchemy import or_
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from rapport import Formats, Invalid, NotFound, Reader, Team, enqueue_job
from rapport import gettext as _
from rapport.documents import can_draw
from rapport.http import current_actor, current_site, needs, public
from rapport_warehouse.asked import BETWEEN, Asked, asked_of, fitting, ready_questions
from rapport_warehouse.entities import DELIVERY, SHARED, Report
from rapport_warehouse.going import go
from rapport_warehouse.jobs import REFRESH
from rapport_warehouse.question import Answer, Offer

STATIC = Path(__file__).parent / "static"
READ, CREATE, DELETE = "warehouse.report.read", "warehouse.report.create", "warehouse.report.delete"
PERIODS = (
    "today", "yesterday", "this week", "last 7 days", "this month", "last month", "last 30 days", "last 90 days",
    "this quarter", "last quarter", "last 12 months", "this year", "last year",
)  # fmt: skip
CHOICES = 40
"""Members of a slicer that are shown before somebody searches."""


def make_blueprint() -> Blueprint:
    """The pages of the warehouse."""
    pages = Blueprint("warehouse", __name__)
    for rule, view, methods in (
        ("", pivot, ["GET"]),
        ("/records", records, ["GET"]),
        ("/members", choices, ["GET"]),
        ("/export", export, ["GET"]),
        ("/refresh", refresh_now, ["POST"]),
        ("/filling", filling, ["GET"]),
        ("/reports", save, ["GET", "POST"]),
        ("/reports/<uuid:report_id>", open_report, ["GET"]),
        ("/reports/<uuid:report_id>/delete", delete_report, ["POST"]),
        ("/static/<path:filename>", static_file, ["GET"]),
    ):
        pages.add_url_rule(f"/warehouse{rule}", view_func=view, methods=methods)
    return pages


@public
def static_file(filename: str) -> Response:
    """The look of the page and its script."""
    return send_from_directory(STATIC, filename, max_age=3600)


# Asking --------------------------------------------------------------------------------------------------------------


@needs(READ)
def pivot() -> str | tuple[str, int]:
    """What can be asked, what was asked, and the answer."""
    from rapport_warehouse.offer import offered
    from rapport_warehouse.store import as_of

    actor, site = current_actor(), current_site()
    with site.read(actor) as reader:
        known = as_of(site)
        if known is None:
            return render_template("warehouse/filling.html", waiting=False)
        offer = offered(reader)
        asked = fitting(asked_of(request.args), offer)
        facts: dict[str, Any] = {
            "offer": offer, "asked": asked, "errors": [], "as_of": known, "periods": _periods(),
            "dimensions": offer.suiting(asked.measures), "reports": _reports(reader), "report": _opened(reader),
            "may_save": actor.may(CREATE), "may_send": actor.may(f"{DELIVERY}.create"), "can_draw": can_draw(),
            "slicers": _slicers(reader, asked), "BETWEEN": BETWEEN,
            "titles": {each.name: each.title for each in offer.dimensions}, "orders": _orders(asked, offer),
            **_drawn_kinds(),
        }  # fmt: skip
        if not asked.measures:
            return render_template("warehouse/pivot.html", ready=ready_questions(reader, offer), **facts)
        try:
            facts |= _answered(reader, asked)
        except Invalid as error:
            facts["errors"] = [_said(problem, facts["titles"]) for problem in error.problems]
            return render_template("warehouse/pivot.html", **facts), 422
        return render_template("warehouse/pivot.html", **facts)


def _answered(reader: Reader, asked: Asked) -> dict[str, Any]:
    from rapport_warehouse.charts import TYPES, chart_of, title_of
    from rapport_warehouse.cube import answer
    from rapport_warehouse.table import MOST_SHOWN, sheet_of

    found = answer(reader, asked.question)
    sheet = sheet_of(found, formats(), asked)
    facts: dict[str, Any] = {"answer": found, "sheet": sheet, "most_shown": MOST_SHOWN, "title": title_of(found)}
    if asked.chart in TYPES and found.rows:
        facts["chart"] = chart_of(found, asked.chart)
    return facts


def _said(problem: Any, titles: dict[str, str]) -> str:
    """A problem of a question, with the names of dimensions as people know them."""
    labels = {"since": _("First day"), "until": _("Last day"), "top": _("Only the first"),
              "compare": _("Compared with"), "period": _("Period"), "running": _("Running totals"),
              "share": _("Shares")}  # fmt: skip
    text = str(problem.message)
    for name, title in titles.items():
        text = text.replace(f"'{name}'", f"“{title}”")
    return f"{labels[problem.field]}: {text}" if problem.field in labels else text


def _drawn_kinds() -> dict[str, Any]:
    from rapport_warehouse.charts import TYPES

    return {"kinds": [(name, _(title), icon) for name, (title, icon) in TYPES.items()]}


def _periods() -> list[tuple[str, str]]:
    words = {
        "today": _("Today"), "yesterday": _("Yesterday"), "this week": _("This week"), "last 7 days": _("Last 7 days"),
        "this month": _("This month"), "last month": _("Last month"), "last 30 days": _("Last 30 days"),
        "last 90 days": _("Last 90 days"), "this quarter": _("This quarter"), "last quarter": _("Last quarter"),
        "last 12 months": _("Last 12 months"), "this year": _("This year"), "last year": _("Last year"),
    }  # fmt: skip
    return [(name, words[name]) for name in PERIODS] + [(BETWEEN, _("From … to …"))]


def _orders(asked: Asked, offer: Offer) -> list[tuple[str, str]]:
    """By what rows can be put in order."""
    found = []
    for each in offer.measures:
        if each.name in asked.measures:
            found.append((f"-{each.name}", _("%(name)s, largest first", name=each.title)))
            found.append((each.name, _("%(name)s, smallest first", name=each.title)))
    titles = {each.name: each.title for each in offer.dimensions}
    return found + [(name, titles[name]) for name in asked.at("rows")]


def _slicers(reader: Reader, asked: Asked) -> dict[str, Any]:
    """What can be chosen from in each dimension that filters, what was chosen first."""
    return {name: _choices(reader, name, asked.only.get(name, ()), "") for name in asked.at("filter")}


def _choices(reader: Reader, name: str, chosen: Sequence[str], search: str) -> dict[str, Any]:
    from rapport_warehouse.offer import members

    found = members(reader, name, search=search, limit=CHOICES)
    known = {member.key for member in found}
    if missing := [key for key in chosen if key not in known]:
        every = {member.key: member for member in members(reader, name, limit=1000)}
        found = [*(every[key] for key in missing if key in every), *found]
    return {"members": sorted(found, key=lambda member: member.key not in chosen), "chosen": set(chosen)}


def _nothing_asked(wanted: str) -> Response | None:
    """To the page where questions are asked, for who comes without one, or before anything was counted."""
    from rapport_warehouse.store import as_of

    return None if request.args.get(wanted) and as_of(current_site()) else redirect("/warehouse")


@needs(READ)
def choices() -> str | Response:
    """The members of a dimension whose titles have the typed text."""
    if elsewhere := _nothing_asked("dimension"):
        return elsewhere
    asked, name = asked_of(request.args), request.args.get("dimension", "")
    with current_site().read(current_actor()) as reader:
        found = _choices(reader, name, asked.only.get(name, ()), request.args.get("q", "").strip())
    return render_template("warehouse/_choices.html", name=name, slicer=found)


# Down to the records -------------------------------------------------------------------------------------------------


@needs(READ)
def records() -> str | Response:
    """The records behind a figure, as far as the one who looks may see them."""
    if elsewhere := _nothing_asked("measure"):
        return elsewhere
    from rapport_warehouse.drilling import drill
    from rapport_warehouse.offer import offered

    args = request.args
    with current_site().read(current_actor()) as reader:
        asked = fitting(asked_of(args), offered(reader))
        found = drill(
            reader, asked.question, tuple(args.getlist("r")), tuple(args.getlist("c")), args.get("m", ""),
            cursor=args.get("cursor") or None,
        )  # fmt: skip
        measure = reader.site.measures[found.measure]
        meta = reader.site.meta_named(found.entity)
        more = ""
        if found.next:
            pairs = MultiDict(args)
            pairs["cursor"] = found.next
            more = "/warehouse/records?" + _encoded(pairs)
    template = "_rows" if args.get("cursor") else "_records" if request.headers.get("HX-Request") else "records"
    return render_template(
        f"warehouse/{template}.html", found=found, measure=measure, meta=meta, more=more, text=_value_text,
        back="/warehouse?" + asked.query(), day=_day_text,
    )  # fmt: skip


def _encoded(pairs: MultiDict[str, str]) -> str:
    from urllib.parse import urlencode

    return urlencode(list(pairs.items(multi=True)))


def _value_text(value: Any) -> str:
    return "" if value is None else formats().number(value)


def _day_text(at: Any) -> str:
    return formats().instant(at) if isinstance(at, dt.datetime) else formats().date(at) if at else ""


# Taking away ---------------------------------------------------------------------------------------------------------


@needs(READ)
def export() -> Response:
    """The answer as a file for a spreadsheet, or on paper."""
    if elsewhere := _nothing_asked("measure"):
        return elsewhere
    from rapport.builtin.exchange.download import download_rows
    from rapport_warehouse.charts import title_of
    from rapport_warehouse.cube import answer
    from rapport_warehouse.offer import offered
    from rapport_warehouse.table import rows_to_take_away

    with current_site().read(current_actor()) as reader:
        asked = fitting(asked_of(request.args), offered(reader))
        found = answer(reader, asked.question)
        opened = _opened(reader)
        title = opened.name if opened is not None else title_of(found)
        if request.args.get("format") == "pdf":
            return _on_paper(reader, asked, found, title)
        fields, rows = rows_to_take_away(found)
        return download_rows(reader, "report", title[:80], fields, rows, request.args.get("format", "xlsx"))


def _on_paper(reader: Reader, asked: Asked, found: Answer, title: str) -> Response:
    from rapport_warehouse.taking import taken

    if not can_draw():
        raise NotFound(_('PDF cannot be made here: pip install "rapport-crm[documents]" on the server.'))
    answer = Response(taken(reader, asked, found, "pdf", title), mimetype="application/pdf")
    answer.headers["Content-Disposition"] = f'attachment; filename="report-{reader.today().isoformat()}.pdf"'
    answer.headers["Cache-Control"] = "private, no-store"
    return answer


# Filling -------------------------------------------------------------------------------------------------------------


@needs(READ)
def refresh_now() -> Response:
    """Have the warehouse brought up to date, and come back."""
    site = current_site()
    with site.db.write() as connection:
        enqueue_job(connection, REFRESH, {}, actor=current_actor(), key=REFRESH)
    site.wake()
    return redirect(f"/warehouse/filling?{request.query_string.decode()}")


@needs(READ)
def filling() -> str | Response:
    """Wait until a job has brought the warehouse up to date, then go on to the question."""
    from rapport_warehouse.store import as_of

    back = f"/warehouse?{_without_since(request.args)}"
    known = as_of(current_site())
    since = request.args.get("than", "")
    stamp = known.isoformat() if known else "never"
    if since and stamp != since:
        return go(back)
    pairs = MultiDict(request.args)
    pairs["than"] = since or stamp
    template = "_waiting" if request.headers.get("HX-Request") else "filling"
    return render_template(f"warehouse/{template}.html", waiting=True, again=f"/warehouse/filling?{_encoded(pairs)}",
                           back=back)  # fmt: skip


def _without_since(args: MultiDict[str, str]) -> str:
    return _encoded(MultiDict([pair for pair in args.items(multi=True) if pair[0] != "than"]))


# Saved reports -------------------------------------------------------------------------------------------------------


def _reports(reader: Reader) -> list[Report]:
    """One's own, one's teams' and everybody's: also who may read all of them finds no more."""
    actor = reader.actor
    found = reader.all(
        Report, Report.archived_at.is_(None),
        or_(Report.owner_id == actor.id, Report.shared == "everybody",
            (Report.shared == "team") & Report.team_id.in_(actor.team_ids)),
    )  # fmt: skip
    return sorted(found, key=lambda each: each.name.casefold())


def _opened(reader: Reader) -> Report | None:
    """The saved report that the page was opened from."""
    try:
        wanted = UUID(request.args.get("report", ""))
    except ValueError:
        return None
    return next((each for each in _reports(reader) if each.id == wanted), None)


@needs(CREATE)
def save() -> str | Response | tuple[str, int]:
    """Keep a question under a name: as a report of its own, or as what an opened one asks from now on."""
    actor, asked = current_actor(), asked_of(request.args)
    with current_site().read(actor) as reader:
        opened = _opened(reader)
        mine = opened if opened is not None and opened.owner_id == actor.id else None
        titles = reader.titles(Team, actor.team_ids)
        teams = sorted(((str(key), title) for key, title in titles.items()), key=lambda pair: pair[1])
    values: dict[str, Any] = {"name": "", "shared": "me", "team_id": "", "anew": False}
    if mine is not None:
        values |= {"name": mine.name, "shared": mine.shared, "team_id": mine.team_id}
    values["team_id"] = str(values["team_id"] or (teams[0][0] if teams else ""))
    errors: dict[str, list[str]] = {}
    if request.method == "POST":
        values = {name: request.form.get(name, "").strip() for name in values}
        try:
            return go(f"/warehouse/reports/{_kept(values, asked, None if values['anew'] else mine)}")
        except Invalid as error:
            for problem in error.problems:
                errors.setdefault(problem.field or "", []).append(str(problem.message))
    shared = [each for each in SHARED if each.value != "team" or teams]
    page = render_template("warehouse/save.html", asked=asked, values=values, errors=errors, mine=mine, teams=teams,
                           shared=shared)  # fmt: skip
    return (page, 422) if errors else page


def _kept(typed: dict[str, Any], asked: Asked, report: Report | None) -> UUID:
    for_team = typed["shared"] == "team"
    values = {"name": typed["name"], "shared": typed["shared"], "query": asked.query(report=""),
              "team_id": (typed["team_id"] or None) if for_team else None}  # fmt: skip
    with current_site().write(current_actor()) as unit:
        if report is None:
            return unit.create(Report, values).id
        return unit.update(unit.get(Report, report.id), values).id


@needs(READ)
def open_report(report_id: UUID) -> Response:
    """Ask a saved question again."""
    with current_site().read(current_actor()) as reader:
        report = reader.get(Report, report_id)
        return redirect(f"/warehouse?{_one_line(report.query)}&report={report.id}")


@needs(DELETE)
def delete_report(report_id: UUID) -> Response:
    """Forget a saved question."""
    with current_site().write(current_actor()) as unit:
        report = unit.get(Report, report_id)
        query = _one_line(report.query)
        unit.delete(report)
    return go(f"/warehouse?{query}")


def _one_line(query: str) -> str:
    """A saved question as part of an address: programs may save any text, and an address has one line."""
    return urlencode(parse_qsl(query, keep_blank_values=True))


def formats() -> Formats:
    """How the person who looks reads numbers and days."""
    if "warehouse_formats" not in g:
        actor = current_actor()
        g.warehouse_formats = Formats(g.lang, actor.time_zone, actor.calendar or None)  # type: ignore[arg-type]
    made: Formats = g.warehouse_formats
    return made
