"""The edition of a site on a page: which one it is, what the site made of it, and where the two clashed."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, g, render_template

from rapport.access import system
from rapport.builtin.edition import discover_editions, own_changes, read_edition
from rapport.builtin.edition.items import SETTING
from rapport.builtin.edition.store import current
from rapport.builtin.web.admin import admin_only
from rapport.builtin.web.context import meta_of
from rapport.http import current_site, needs

SHOWN = 200
"""Rows of a table on the page; the rest is counted."""


def add_pages(web: Blueprint) -> None:
    """The page of the edition, for administrators."""
    web.add_url_rule("/admin/edition", view_func=edition, methods=["GET"])


@needs("")
def edition() -> str:
    """What fits this site to its business."""
    admin_only()
    site = current_site()
    with site.read(system("edition page")) as reader:
        connection = reader.session.connection()
        now = current(connection)
        own = own_changes(reader.session, site, now) if now is not None else []
    known = [read_edition(folder) for folder in discover_editions().values()]
    clashes = [(*_named(each.item, each.field), _text(each.wanted), _text(each.here), each.why)
               for each in (now.clashes if now is not None else ())]  # fmt: skip
    changes = [(*_named(each.item, each.field), each.what, _text(each.given), _text(each.here)) for each in own]
    return render_template(
        "pages/admin/edition.html", now=now, known=known, clashes=clashes[:SHOWN], changes=changes[:SHOWN],
        more=len(changes) - SHOWN,
    )  # fmt: skip


def _named(item: str, field: str) -> tuple[str, str, str]:
    """What an item is, what it is called, and which field of it is meant, in the reader's words."""
    kind, _slash, name = item.partition("/")
    site, say = current_site(), g.texts.gettext
    if kind == SETTING:
        setting = site.settings.declared.get(name)
        return say("Setting"), say(setting.label) if setting is not None else name, ""
    name = " / ".join(say(site.metas[part].plural) if part in site.metas else part for part in name.split("/"))
    if kind not in site.entities:
        return kind, name, field
    meta = meta_of(site.entities[kind])
    first, _space, part = field.partition(" ")
    label = say(meta.fields[first].label) if first in meta.fields else say("Archived") if first == "archived" else first
    return say(meta.title), name, f"{label} {part}".strip()


def _text(value: Any) -> str:
    """A value as people read it."""
    if value is None or isinstance(value, str):
        return str(value or "")
    if isinstance(value, bool):
        return str(g.texts.gettext("yes") if value else g.texts.gettext("no"))
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)
