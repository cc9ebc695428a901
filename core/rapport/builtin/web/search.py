"""Finding things: the search box, and the suggestions of reference fields."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, abort, g, render_template, request
from markupsafe import escape
from sqlalchemy import select

from rapport.builtin.web.context import other_day, reader
from rapport.customers import ContactPoint
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
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, record_id, title in reader().search(query, entities=names, limit=20):
        entity: type[Entity] = current_site().entities[name]
        url, subtitle = f"/{name}/{record_id}", ""
        if entity is ContactPoint:
            found = reader().session.scalar(select(ContactPoint.customer_id).where(ContactPoint.id == record_id))
            url, subtitle = f"/customer/{found}", g.texts.gettext(entity.meta.title)
        groups.setdefault(name, []).append({"title": title, "url": url, "icon": entity.meta.icon, "subtitle": subtitle})
    shown = [{"title": g.texts.gettext(current_site().entities[name].meta.plural), "items": items}
             for name, items in groups.items()]  # fmt: skip
    return render_template("pages/_search.html", groups=shown)


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
    if query and any(f.searchable for f in entity.meta.fields.values()):
        found: list[tuple[UUID, str]] = [
            (i, t) for _, i, t in reader().search(query, entities=[target], limit=SUGGESTIONS)
        ]
    else:
        statement = select(entity.id, display).where(entity.archived_at.is_(None)).order_by(entity.id.desc())
        if query:
            statement = statement.where(display.icontains(query, autoescape=True))
        found = [(row[0], str(row[1])) for row in reader().session.execute(statement.limit(SUGGESTIONS))]
    return render_template("pages/_suggest.html", items=[{"value": i, "title": t} for i, t in found])
