"""The pages of dashboards: looking at one, its cards one by one, and making one's own."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, send_from_directory
from rapport_warehouse import drill
from werkzeug.wrappers import Response as BaseResponse

from rapport import Invalid, Reader, gettext
from rapport.http import current_actor, current_site, needs, public
from rapport_dashboards import figures, making
from rapport_dashboards.boards import (
    Asked,
    asked_of,
    cards_of,
    copy_values,
    dashboards_of,
    free_title,
    panels_for,
    position_after,
    shown_cards,
)
from rapport_dashboards.entities import (
    DASHBOARD,
    SHAPES,
    SHARED,
    SIZES,
    WITHOUT_FIGURES,
    Card,
    Dashboard,
    may_arrange,
)

STATIC = Path(__file__).parent / "static"
READ, CREATE, UPDATE = f"{DASHBOARD}.read", f"{DASHBOARD}.create", f"{DASHBOARD}.update"
AGAIN_SECONDS = 300
"""So often a dashboard on a wall asks for its cards again; the figures themselves move with the warehouse."""
PAGE = 50


def make_blueprint() -> Blueprint:
    """All pages below /dashboards."""
    pages = Blueprint("dashboards", __name__)
    one, card = "/dashboards/<uuid:dashboard_id>", "/dashboards/<uuid:dashboard_id>/card/<uuid:card_id>"
    rules: list[tuple[str, Callable[..., Any], list[str]]] = [
        ("/dashboards", first, ["GET"]),
        ("/dashboards/static/<path:filename>", static_file, ["GET"]),
        ("/dashboards/modules", modules, ["GET"]),
        ("/dashboards/new", new, ["GET", "POST"]),
        (one, show, ["GET"]),
        (f"{one}/filters", filters, ["GET"]),
        (f"{one}/settings", settings, ["GET", "POST"]),
        (f"{one}/arrange", arrange, ["GET", "POST"]),
        (f"{one}/copy", copy, ["POST"]),
        (f"{one}/delete", delete, ["POST"]),
        (f"{one}/card/new", new_card, ["GET", "POST"]),
        (card, show_card, ["GET"]),
        (f"{card}/file", card_file, ["GET"]),
        (f"{card}/records", records, ["GET"]),
        (f"{card}/edit", edit_card, ["GET", "POST"]),
        (f"{card}/delete", delete_card, ["POST"]),
    ]
    for rule, view, methods in rules:
        pages.add_url_rule(rule, view_func=view, methods=methods)
    return pages


@public
def static_file(filename: str) -> BaseResponse:
    """The look of dashboards."""
    return send_from_directory(STATIC, filename, max_age=3600)


# Looking -------------------------------------------------------------------------------------------------------------


@needs(READ)
def first() -> BaseResponse | str:
    """The first dashboard of one's own roles."""
    with current_site().read(current_actor()) as reader:
        found = dashboards_of(reader)
        if found:
            return redirect(f"/dashboards/{found[0].id}")
        return render_template("dashboards/none.html", may_create=reader.actor.may(CREATE), tabs=_tabs(reader, [], ""))


@needs(READ)
def modules() -> str:
    """What modules show by themselves, beside the dashboards that are made of cards."""
    with current_site().read(current_actor()) as reader:
        return render_template("dashboards/modules.html", tabs=_tabs(reader, dashboards_of(reader), "modules"))


@needs(READ)
def show(dashboard_id: UUID) -> str:
    """The frame of a dashboard: its cards come one by one, so that a slow one holds up nobody."""
    with current_site().read(current_actor()) as reader:
        every = dashboards_of(reader)
        dashboard = next((each for each in every if each.id == dashboard_id), None) or reader.get(
            Dashboard, dashboard_id
        )
        asked, full = asked_of(request.args), request.args.get("full") == "1"
        actor, cards = reader.actor, shown_cards(reader, cards_of(reader, dashboard))
        query = urlencode(asked.query())
        return render_template(
            "dashboards/full.html" if full else "dashboards/show.html",
            dashboard=dashboard, cards=[_framed(reader, card, asked) for card in cards], asked=asked, query=query,
            tabs=_tabs(reader, every, str(dashboard.id), query), periods=figures.periods(), full=full,
            comparisons=figures.comparisons(), again=AGAIN_SECONDS, may_arrange=may_arrange(actor, dashboard),
            may_create=actor.may(CREATE), may_alert=actor.may("dashboards.alert.create"),
            as_of=figures.known_until(reader),
        )  # fmt: skip


def _framed(reader: Reader, card: Card, asked: Asked) -> dict[str, Any]:
    """A card as the frame shows it: its head, and where the rest comes from."""
    return {"card": card, "analysis": figures.analysis_url(reader, card, asked), "entity": card.entity,
            "list_url": figures.list_url(card), "asks": card.shape not in WITHOUT_FIGURES,
            "file": card.shape != "panel"}  # fmt: skip


@needs(READ)
def filters(dashboard_id: UUID) -> str:
    """What all cards can be sliced by, each with its most likely values; read after the page stands."""
    with current_site().read(current_actor()) as reader:
        dashboard = reader.get(Dashboard, dashboard_id)
        cards = shown_cards(reader, cards_of(reader, dashboard))
        slicers = _shielded("filters", lambda: figures.slicers(reader, cards, asked_of(request.args)))
        return render_template("dashboards/_filters.html", slicers=slicers or [])


@needs(READ)
def show_card(dashboard_id: UUID, card_id: UUID) -> str:
    """The inside of one card; what goes wrong with it stays within."""
    with current_site().read(current_actor()) as reader:
        card = _card(reader, dashboard_id, card_id)
        asked, full = asked_of(request.args), request.args.get("full") == "1"
        query = urlencode(asked.query())

        def shown() -> str:
            try:
                read = figures.read_card(reader, card, asked)
            except Invalid:  # what it asks cannot be asked: its maker's mistake, and none of the module's
                return render_template("dashboards/_broken.html", card=card)
            return render_template("dashboards/_card.html", card=card, full=full, query=query, shown=read)

        found: str | None = _shielded(f"card {card.id}", shown)
        if found is None:
            reader.recover()
            return render_template("dashboards/_broken.html", card=card)
        return found


@needs(READ)
def card_file(dashboard_id: UUID, card_id: UUID) -> Response:
    """The figures of a card for a spreadsheet: all of them, as they are, not as they are written."""
    with current_site().read(current_actor()) as reader:
        card = _card(reader, dashboard_id, card_id)
        if card.shape == "panel":
            abort(404)
        rows = figures.rows_of(reader, card, asked_of(request.args))
    text = io.StringIO()
    csv.writer(text).writerows([[_plain(value) for value in row] for row in rows])
    answer = make_response(("\ufeff" + text.getvalue()).encode())  # so that spreadsheets know the letters
    answer.headers["Content-Type"] = "text/csv; charset=utf-8"
    name = "".join(each if each.isalnum() else "-" for each in gettext(card.title)).strip("-") or "card"
    answer.headers.set("Content-Disposition", "attachment", filename=f"{name}.csv")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _plain(value: Any) -> str:
    """No cell begins as a formula would."""
    from rapport.builtin.exchange.formulas import guard

    return guard(value) if isinstance(value, str) else "" if value is None else str(value)


@needs(READ)
def records(dashboard_id: UUID, card_id: UUID) -> str:
    """The records behind a figure: those the reader may see, whose sum or count it is."""
    with current_site().read(current_actor()) as reader:
        card = _card(reader, dashboard_id, card_id)
        if card.shape in WITHOUT_FIGURES:
            abort(404)
        question, _left_out = figures.question_of(reader, card, asked_of(request.args))
        row = tuple(request.args.getlist("row"))
        column = tuple(request.args.getlist("column"))
        measure = request.args.get("measure", "")
        found = drill(reader, question, row, column, measure, limit=PAGE, cursor=request.args.get("cursor") or None)
        return render_template(
            "dashboards/records.html", card=card, dashboard_id=dashboard_id, found=figures.drilled(reader, found),
            query=urlencode(asked_of(request.args).query()), path=request.path,
            arguments=[(key, value) for key, value in request.args.items(multi=True) if key != "cursor"],
        )  # fmt: skip


# One's own -----------------------------------------------------------------------------------------------------------


@needs(CREATE)
def new() -> str | BaseResponse | tuple[str, int]:
    """A dashboard of one's own: a name, and who else may see it."""
    return _dashboard_form(None)


@needs(UPDATE)
def settings(dashboard_id: UUID) -> str | BaseResponse | tuple[str, int]:
    """The name of a dashboard, who may see it, and for whom it comes first."""
    return _dashboard_form(dashboard_id)


def _dashboard_form(dashboard_id: UUID | None) -> str | BaseResponse | tuple[str, int]:
    site, actor = current_site(), current_actor()
    names = ("name", "note", "shared", "team_id", "roles", "position")
    errors: Mapping[str, list[str]] = {}
    with site.read(actor) as reader:
        dashboard = reader.get(Dashboard, dashboard_id) if dashboard_id is not None else None
        decides = actor.reach(UPDATE) == "all"
        teams = making.teams_of(reader)
        values: dict[str, Any] = (
            {name: getattr(dashboard, name) for name in names} if dashboard else {"shared": "nobody"}
        )
    if request.method == "POST":
        form = request.form
        values = {"name": form.get("name", "").strip(), "note": form.get("note", ""),
                  "shared": form.get("shared", "nobody"),
                  "team_id": form.get("team_id") or (str(teams[0][0]) if len(teams) == 1 else None)}  # fmt: skip
        if decides:
            values["roles"] = making.words(form.get("roles", ""))
        try:
            with site.write(actor) as unit:
                if dashboard_id is None:
                    made = unit.create(Dashboard, values)
                else:
                    made = unit.update(unit.get(Dashboard, dashboard_id), values)
                target = f"/dashboards/{made.id}" + ("/arrange" if dashboard_id is None else "")
            return redirect(target)
        except Invalid as error:
            errors = making.by_field(error)
    page = render_template("dashboards/dashboard_form.html", dashboard=dashboard, values=values, errors=errors,
                           teams=teams, decides=decides, shared=SHARED)  # fmt: skip
    return (page, 422) if errors else page


@needs(CREATE)
def copy(dashboard_id: UUID) -> BaseResponse:
    """The same dashboard, as one's own, to change it."""
    with current_site().write(current_actor()) as unit:
        found = unit.get(Dashboard, dashboard_id)
        taken = [each.name for each in unit.reader.all(Dashboard)]
        name = free_title(taken, gettext(found.name))
        made = unit.create(
            Dashboard, {"name": name, "note": gettext(found.note) if found.note else "", "shared": "nobody"}
        )
        for card in cards_of(unit.reader, found):
            unit.create(Card, copy_values(card, made.id))
        target = f"/dashboards/{made.id}/arrange"
    return redirect(target)


@needs(UPDATE)
def delete(dashboard_id: UUID) -> BaseResponse:
    """Take a dashboard away; it can be restored from its archive."""
    with current_site().write(current_actor()) as unit:
        unit.archive(unit.get(Dashboard, dashboard_id))
    return redirect("/dashboards")


@needs(UPDATE)
def arrange(dashboard_id: UUID) -> str | BaseResponse:
    """The order and size of the cards: by dragging them, or with their arrows."""
    site, actor = current_site(), current_actor()
    if request.method == "POST":
        with site.write(actor) as unit:
            dashboard = unit.get(Dashboard, dashboard_id)
            order = {key: number * 10 for number, key in enumerate(request.form.getlist("item"))}
            for card in cards_of(unit.reader, dashboard):
                size = request.form.get(f"size.{card.id}", card.size)
                position = order.get(str(card.id), card.position)
                if (size, position) != (card.size, card.position):
                    unit.update(card, {"size": size, "position": position})
        return redirect(f"/dashboards/{dashboard_id}")
    with site.read(actor) as reader:
        dashboard = reader.get(Dashboard, dashboard_id)
        if not may_arrange(actor, dashboard):
            abort(403)
        cards = cards_of(reader, dashboard)
        there = {card.id for card in shown_cards(reader, cards)}
        return render_template("dashboards/arrange.html", dashboard=dashboard, cards=cards, there=there, sizes=SIZES,
                               shapes={each.value: each.label for each in SHAPES})  # fmt: skip


@needs("dashboards.card.create")
def new_card(dashboard_id: UUID) -> str | BaseResponse | tuple[str, int]:
    """A question and the shape of its answer."""
    return _card_form(dashboard_id, None)


@needs("dashboards.card.update")
def edit_card(dashboard_id: UUID, card_id: UUID) -> str | BaseResponse | tuple[str, int]:
    """Another question, shape or title of a card."""
    return _card_form(dashboard_id, card_id)


def _card_form(dashboard_id: UUID, card_id: UUID | None) -> str | BaseResponse | tuple[str, int]:
    site, actor = current_site(), current_actor()
    errors: Mapping[str, list[str]] = {}
    with site.read(actor) as reader:
        dashboard = reader.get(Dashboard, dashboard_id)
        if not may_arrange(actor, dashboard):
            abort(403)
        card = _card(reader, dashboard_id, card_id) if card_id is not None else None
        cards = cards_of(reader, dashboard)
        choices = making.choices(reader)
        typed = making.typed_of(card)
    if request.method == "POST":
        typed = {**typed, **{key: value for key, value in request.form.items() if key != "csrf_token"}}
        try:
            with site.write(actor) as unit:
                values = making.read(unit.reader, request.form, card)
                if card_id is None:
                    unit.create(Card, {**values, "dashboard_id": str(dashboard_id), "position": position_after(cards)})
                else:
                    unit.update(unit.get(Card, card_id), values)
            return redirect(f"/dashboards/{dashboard_id}")
        except Invalid as error:
            errors = making.by_field(error)
    page = render_template("dashboards/card_form.html", dashboard=dashboard, card=card, typed=typed, errors=errors,
                           choices=choices)  # fmt: skip
    return (page, 422) if errors else page


@needs("dashboards.card.delete")
def delete_card(dashboard_id: UUID, card_id: UUID) -> BaseResponse:
    """Take a card off its dashboard."""
    with current_site().write(current_actor()) as unit:
        unit.delete(_card(unit.reader, dashboard_id, card_id))
    return redirect(f"/dashboards/{dashboard_id}/arrange")


def _card(reader: Reader, dashboard_id: UUID, card_id: UUID) -> Card:
    """A card of that dashboard; one of another is none."""
    card = reader.get(Card, card_id)
    if card.dashboard_id != dashboard_id:
        abort(404)
    return card


def _tabs(reader: Reader, dashboards: list[Dashboard], active: str, query: str = "") -> list[dict[str, Any]]:
    """All dashboards there are for somebody, and what modules show by themselves as one of them."""
    end = f"?{query}" if query else ""
    tabs = [
        {"title": gettext(each.name), "url": f"/dashboards/{each.id}{end}", "active": str(each.id) == active}
        for each in dashboards
    ]
    if panels_for(reader.site, reader.actor):
        tabs.append({"title": gettext("From the modules"), "url": "/dashboards/modules", "active": active == "modules"})
    return tabs


def _shielded(what: str, function: Callable[[], Any]) -> Any:
    """A piece of a page that may fail alone."""
    return current_site().hooks.shielded("dashboards", what, function, None)
