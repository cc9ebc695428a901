"""The pages of webhooks beside those that every kind of record has: messages, one message, and its reception."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, g, render_template, request
from werkzeug.wrappers import Response

from rapport.builtin.web.context import go, reader, toast
from rapport.builtin.webhooks import asking, inbound
from rapport.builtin.webhooks.inbound import InboundHook
from rapport.builtin.webhooks.model import STATES, Webhook
from rapport.builtin.webhooks.sending import body_of, named
from rapport.entities import utcnow
from rapport.http import current_actor, current_site, needs
from rapport.records import Reader

PAGE = 50
NEWEST = 10


def make_blueprint() -> Blueprint:
    """Pages below a webhook's own."""
    pages = Blueprint("webhooks", __name__, template_folder="templates")
    for rule, view, methods in (
        ("/webhook/<uuid:hook_id>/messages", messages, ["GET"]),
        ("/webhook/<uuid:hook_id>/messages/<uuid:delivery_id>", message, ["GET"]),
        ("/webhook/<uuid:hook_id>/messages/<uuid:delivery_id>/again", again, ["POST"]),
        ("/inbound_hook/<uuid:hook_id>/messages", heard, ["GET"]),
        ("/inbound_hook/<uuid:hook_id>/messages/<uuid:event_id>/again", handle_again, ["POST"]),
    ):
        pages.add_url_rule(rule, view_func=view, methods=methods)
    return pages


def newest(reader: Reader, record: Webhook) -> Mapping[str, Any]:
    """The newest messages of a webhook, and how its endpoint fares; for its page."""
    rows, more = asking.deliveries(reader, record, limit=NEWEST)
    return {"rows": rows, "more": more, "states": STATES, "hook": record, **asking.figures(reader, record)}


def secret(reader: Reader, record: Webhook | InboundHook) -> Mapping[str, Any]:
    """What the other end needs to know; for the owner and administrators."""
    shown = reader.actor.is_admin or reader.actor.id == record.owner_id
    address = f"{reader.site.config.base_url}{inbound.path_of(record)}" if isinstance(record, InboundHook) else ""
    return {"secret": record.secret if shown else "", "former_until": record.former_until, "now": utcnow(),
            "address": address if shown else ""}  # fmt: skip


def newest_heard(reader: Reader, record: InboundHook) -> Mapping[str, Any]:
    """What came in last; for the page of an inbound hook."""
    rows = inbound.events(reader, record, limit=NEWEST)
    return {"rows": rows, "more": len(rows) == NEWEST, "states": inbound.STATES, "hook": record,
            "may_change": reader.actor.may("inbound_hook.update"), "may_look": _may_look(reader, record)}  # fmt: skip


def _may_look(reader: Reader, hook: InboundHook) -> bool:
    """What could not be handled is shown to those whose rights it would have had, and administrators."""
    return reader.actor.is_admin or reader.actor.id == hook.owner_id


@needs("webhook.read")
def messages(hook_id: UUID) -> str:
    """All messages of a webhook, page by page."""
    hook = reader().get(Webhook, hook_id)
    state, cursor = request.args.get("state", ""), request.args.get("cursor", "")
    rows, more = asking.deliveries(reader(), hook, state=state, cursor=cursor, limit=PAGE)
    return render_template("webhooks/all.html", hook=hook, rows=rows, more=more, state=state, states=STATES)


@needs("webhook.read")
def message(hook_id: UUID, delivery_id: UUID) -> str:
    """One message: what is sent, and what was said to it."""
    hook = reader().get(Webhook, hook_id)
    row = asking.delivery(reader(), hook, delivery_id)
    body = None
    if current_actor().id == hook.owner_id or current_actor().unlimited:
        body = body_of(current_site(), hook.rights(current_site()), row)
    sent = json.dumps(json.loads(body), ensure_ascii=False, indent=2) if body is not None else ""
    return render_template("webhooks/message.html", hook=hook, row=row, sent=sent, states=STATES, id=named(row.id))


@needs("webhook.update")
def again(hook_id: UUID, delivery_id: UUID) -> Response:
    """Send it once more."""
    with current_site().write(current_actor()) as unit:
        asking.send_again(unit, unit.get(Webhook, hook_id), delivery_id)
    toast(g.texts.gettext("It is sent again."))
    return go(f"/webhook/{hook_id}/messages/{delivery_id}")


@needs("inbound_hook.read")
def heard(hook_id: UUID) -> str:
    """All that came in by a hook, page by page."""
    hook = reader().get(InboundHook, hook_id)
    try:
        before = UUID(request.args["before"]) if "before" in request.args else None
    except ValueError:
        before = None
    rows = inbound.events(reader(), hook, limit=PAGE, before=before)
    return render_template(
        "webhooks/heard_all.html", hook=hook, rows=rows, more=rows[-1].id if len(rows) == PAGE else "",
        states=inbound.STATES, may_change=current_actor().may("inbound_hook.update"),
        may_look=_may_look(reader(), hook),
    )  # fmt: skip


@needs("inbound_hook.update")
def handle_again(hook_id: UUID, event_id: UUID) -> Response:
    """Handle once more what failed."""
    with current_site().write(current_actor()) as unit:
        inbound.handle_again(unit, unit.get(InboundHook, hook_id), event_id)
    toast(g.texts.gettext("It is handled again."))
    return go(f"/inbound_hook/{hook_id}")
