"""For tests of what plugins put into pages: what a plugin brings for a slot, on which page it stands, and its words."""

from __future__ import annotations

import html
from typing import Any
from uuid import UUID

from rapport import hookspecs
from rapport.access import Actor
from rapport.contributions import Slot
from rapport.site import Site


def brought_for(site: Site, plugin: str, slot: Slot, actor: Actor, **asked: Any) -> list[Any]:
    """What a plugin brings for a slot. `asked` are the arguments of show hooks: `customer_id`, `query`."""
    spec = getattr(hookspecs, slot.hook)
    if not slot.hook.startswith("register_"):
        asked = {"limit": 9, "before": None, "customer_ids": [asked["customer_id"]], **asked}
        with site.read(actor) as reader:
            return [piece for name, function in site.hooks.implementations(spec) if name == plugin
                    for piece in function(reader=reader, **asked)]  # fmt: skip
    found = site.hooks.registered(plugin, spec)
    place = slot.name.removeprefix("{entity}.")
    if slot.filled_by == "Panel":
        of_any = slot.name.startswith("{entity}")
        return [each for each in found if (each.slot.rpartition(".")[2] if of_any else each.slot) == place]
    return [each for each in found if place != "bulk" or each.bulk]


def address_of(slot: Slot, item: Any, *, record_id: UUID, query: str = "", run: int = 0) -> str:
    """The page on which something stands that fills a slot."""
    entity = getattr(item, "entity", None) or str(getattr(item, "slot", "")).rpartition(".")[0] or "customer"
    return slot.page.format(
        entity=entity, id=record_id, name=getattr(item, "name", ""), template=getattr(item, "template", ""), run=run,
        query=query,
    )  # fmt: skip


def words_of(item: Any) -> str:
    """By what people recognise it on a page, as HTML has it."""
    text = getattr(item, "label", None) or getattr(item, "group", None) or item.title
    return html.escape(str(text), quote=False)
