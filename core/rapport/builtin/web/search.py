"""Finding things: the search box, and the suggestions of reference fields."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, abort, g, render_template, request
from markupsafe import escape
from sqlalchemy import select

from rapport import hookspecs
from rapport.builtin.web.context import meta_of, other_day, reader
from rapport.customers import ContactPoint, Customer
from rapport.entities import Entity
from rapport.http import current_actor, current_site, needs

SUGGESTIONS = 8


def add_pages(web: Blueprint) -> None:
    """The answers to what is typed."""
    web.add_url_rule("/search", view_func=search, methods=["GET"])
    web.add_url_rule("/day/<kind>", view_func=day, methods=["GET"])
    web.add_url_rule("/suggest/<target>", view_func=suggest, methods=["GET"])


@needs("")
def search() -> str:
    """What matches the words, by kind; with nothing typed, the places one can go."""
    query = request.args.get("q", "").strip()
    if len(query) < 2:
        return render_template("pages/_search.html", groups=[])
    names = [e.meta.name for e in current_site().entities if e.meta.listed or e is ContactPoint]
    found = reader().search(query, entities=names, limit=20)
    by_kind: dict[str, list[tuple[UUID, str]]] = {}
    for name, record_id, title in found:
        by_kind.setdefault(name, []).append((record_id, title))
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, records in by_kind.items():
        entity: type[Entity] = current_site().entities[name]
        whose = _customers_of(entity, [record_id for record_id, _title in records])
        for record_id, title in records:
            customer_id, customer = whose.get(record_id, (None, ""))
            url = f"/{name}/{record_id}"
            if entity is ContactPoint:  # it has no page; its customer has
                if customer_id is None:
                    continue
                url = f"/customer/{customer_id}"
            item = {"title": title, "url": url, "icon": meta_of(entity).icon, "subtitle": customer}
            groups.setdefault(name, []).append(item)
    shown = [{"title": g.texts.gettext(current_site().meta_named(name).plural), "items": items}
             for name, items in groups.items()]  # fmt: skip
    return render_template("pages/_search.html", groups=[*shown, *_found_by_plugins(query)])


def _found_by_plugins(query: str) -> list[dict[str, Any]]:
    """What plugins find beside records, under headings of their own."""
    groups: dict[str, list[dict[str, Any]]] = {}
    hooks = current_site().hooks
    for each in hooks.gather(hookspecs.search_records, query=query, limit=SUGGESTIONS, reader=reader()):
        groups.setdefault(g.texts.gettext(each.group), []).append(
            {"title": each.title, "url": each.url, "icon": each.icon, "subtitle": each.subtitle}
        )
    return [{"title": title, "items": items[:SUGGESTIONS]} for title, items in groups.items()]


def _customers_of(entity: Any, ids: list[UUID]) -> dict[UUID, tuple[UUID, str]]:
    """Whose records are, by their id: ten opportunities of one name are told apart by their customers."""
    field = meta_of(entity).fields.get("customer_id")
    may_know = current_actor().may(Customer.meta.permission("read"))
    if field is None or field.target != Customer.meta.name or not may_know or not ids:
        return {}
    statement = select(entity.id, Customer.id, Customer.name).join(Customer, Customer.id == entity.customer_id)
    return {row[0]: (row[1], row[2]) for row in reader().session.execute(statement.where(entity.id.in_(ids)))}


@needs("")
def day(kind: str) -> str:
    """What was typed in one's own calendar, as a day of the calendar of the rest of the world."""
    return str(escape(other_day(request.args.get(request.args.get("name", ""), ""))))


@needs("")
def suggest(target: str) -> str:
    """Records to choose from in a form; the newest ones until something is typed."""
    entity: Any = current_site().entities.get(target)
    if entity is None or not current_actor().may(entity.meta.permission("read")):
        abort(404)
    query = request.args.get("q", "").strip()
    display = getattr(entity, entity.meta.display)
    if query and any(f.searchable for f in meta_of(entity).fields.values()):
        found: list[tuple[UUID, str]] = [
            (i, t) for _, i, t in reader().search(query, entities=[target], limit=SUGGESTIONS)
        ]
    else:
        statement = select(entity.id, display).where(entity.archived_at.is_(None)).order_by(entity.id.desc())
        if query:
            statement = statement.where(display.icontains(query, autoescape=True))
        found = [(row[0], str(row[1])) for row in reader().session.execute(statement.limit(SUGGESTIONS))]
    whose = _customers_of(entity, [record_id for record_id, _title in found])
    items = [{"value": i, "title": t, "subtitle": whose[i][1] if i in whose else ""} for i, t in found]
    return render_template("pages/_suggest.html", items=items)
