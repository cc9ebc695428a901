"""Buttons: what one does with a call list, and how customers are put on one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from rapport import Action, ActionResult, Customer, Field, Unit, gettext, ngettext
from rapport_callcenter import lists
from rapport_callcenter.entities import CallList, Entry

Values = Mapping[str, Any]


def actions() -> list[Action]:
    """Fill, pause, go on, close; put on a list."""
    change = "callcenter.call_list.update"
    return [
        Action("callcenter.call_list", "fill", "Fill and open", "users-plus", change, _fill, primary=True,
               applies=lambda each: each.state == "draft"),
        Action("callcenter.call_list", "refill", "Look for new customers", "users-plus", change, _fill,
               applies=lambda each: each.state in {"open", "paused"}),
        Action("callcenter.call_list", "pause", "Pause", "player-pause", change, _to("paused"),
               applies=lambda each: each.state == "open"),
        Action("callcenter.call_list", "open", "Go on", "player-play", change, _to("open"), primary=True,
               applies=lambda each: each.state in {"paused", "closed"}),
        Action("callcenter.call_list", "close", "Close", "circle-check", change, _to("closed"),
               applies=lambda each: each.state in {"open", "paused"}),
        Action("customer", "call", "Put on a call list", "phone-plus", "callcenter.entry.update", _put, bulk=True,
               fields=[Field("list_id", "Call list", "reference", required=True, nullable=False,
                             target="callcenter.call_list")]),
    ]  # fmt: skip


def _fill(unit: Unit, records: Sequence[CallList], values: Values) -> str:
    for call_list in records:
        unit.update(call_list, {})
        lists.begin_filling(unit, call_list)
    return gettext("The list is being filled. It can be called while it grows.")


def _to(state: str) -> Any:
    def change(unit: Unit, records: Sequence[CallList], values: Values) -> str:
        for call_list in records:
            unit.update(call_list, {})
            call_list.state = state
            lists.count(unit, call_list)
        unit.flush()
        return gettext("Saved.")

    return change


def _put(unit: Unit, records: Sequence[Customer], values: Values) -> ActionResult:
    call_list = unit.get(CallList, UUID(str(values["list_id"])))
    ids = [customer.id for customer in records]
    inside = set(unit.session.scalars(
        select(Entry.customer_id).where(Entry.list_id == call_list.id, Entry.customer_id.in_(ids))
    ))  # fmt: skip
    new = [each for each in ids if each not in inside]
    lists.add(unit, call_list, new)
    if call_list.state == "draft":
        call_list.state = "open"
    lists.count(unit, call_list)
    text = ngettext("%(num)s customer was put on the list.", "%(num)s customers were put on the list.", len(new))
    return ActionResult(text, call_list if len(ids) == 1 else None)
