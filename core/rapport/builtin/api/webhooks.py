"""What only webhooks have over the API: their secret, a test, their messages, and messages once more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Response
from sqlalchemy import Row

from rapport.builtin.api.body import arguments, object_body, whole_number
from rapport.builtin.api.keys import once
from rapport.builtin.api.resource import answer, record_id
from rapport.builtin.webhooks import asking, inbound
from rapport.builtin.webhooks.inbound import InboundHook
from rapport.builtin.webhooks.model import Webhook
from rapport.builtin.webhooks.sending import named
from rapport.entities.fields import KINDS, Field
from rapport.errors import Forbidden, Invalid, NotFound, Problem
from rapport.http import current_actor, current_site
from rapport.records import Unit
from rapport.records.reader import MAX_LIMIT

if TYPE_CHECKING:
    from rapport.builtin.api.routes import Route

_instant = KINDS["instant"].dump


def messages(id: str) -> Response:
    """The messages of a webhook, the newest first."""
    given = arguments(("state", "limit", "cursor"))
    limit = whole_number(given, "limit", 50, least=1, most=MAX_LIMIT)
    with current_site().read(current_actor()) as reader:
        hook = reader.get(Webhook, record_id(id, Webhook))
        rows, more = asking.deliveries(
            reader, hook, state=given.get("state", ""), limit=limit, cursor=given.get("cursor", "")
        )
    return answer({"items": [_shown(row) for row in rows], "next": more or None})


def _shown(row: Row[Any]) -> dict[str, Any]:
    def moment(value: Any) -> Any:
        return _instant(value) if _instant is not None and value is not None else None

    return {
        "id": named(row.id), "type": row.type, "seq": row.seq, "entity": row.entity,
        "record_id": str(row.record_id) if row.record_id else None, "timestamp": moment(row.at), "state": row.state,
        "attempts": row.attempts, "status": row.status, "error": row.error, "response": row.response,
        "tried_at": moment(row.tried_at), "due_at": moment(row.due_at) if row.state == "waiting" else None,
    }  # fmt: skip


def secret(id: str) -> Response:
    """The secret that messages are signed with, for the owner and administrators."""
    arguments(())
    actor = current_actor()
    with current_site().read(actor) as reader:
        hook = reader.get(Webhook, record_id(id, Webhook))
        if not actor.is_admin and hook.owner_id != actor.id:
            raise Forbidden("webhook.update", "Only its owner and administrators may see a webhook's secret.")
        until = hook.former_until
        return answer({"secret": hook.secret, "former_until": until and _instant and _instant(until)})


def rotate(id: str) -> Response:
    """A new secret. The former one stays valid for a day: until then, messages are signed with both."""
    arguments(())
    object_body(())
    with current_site().write(current_actor()) as unit:
        made = asking.rotate(unit, unit.get(Webhook, record_id(id, Webhook)))
    return answer({"secret": made})


def test(id: str) -> Response:
    """Send a message that says it is a test; what came of it stands among the messages."""
    arguments(())
    object_body(())
    with current_site().write(current_actor()) as unit:
        hook = unit.get(Webhook, record_id(id, Webhook))
        return once(unit, lambda: answer({"id": named(asking.send_test(unit, hook))}))


def replay(id: str) -> Response:
    """Send again: one `message`, everything that was given up (`failed`), or what happened from `since` to `until`."""
    arguments(())
    given = object_body(("message", "failed", "since", "until"))
    with current_site().write(current_actor()) as unit:
        hook = unit.get(Webhook, record_id(id, Webhook))
        return once(unit, lambda: answer(_sent_again(unit, hook, given)))


def _sent_again(unit: Unit, hook: Webhook, given: dict[str, Any]) -> dict[str, Any]:
    if "message" in given:
        asking.send_again(unit, hook, _delivery_id(given["message"]))
        return {"count": 1}
    if given.get("failed") is True:
        return {"count": asking.send_failed_again(unit, hook)}
    moments = {}
    for name in ("since", "until"):
        try:
            moments[name] = Field(name, name, "instant").load(given.get(name))
        except ValueError as error:
            raise Invalid(Problem(name, str(error))) from None
    return {"job": str(asking.replay(unit, hook, moments["since"], moments["until"]))}


def hook_secret(id: str) -> Response:
    """Where an inbound hook hears, and the secret that messages are signed with; for the owner and administrators."""
    arguments(())
    actor, site = current_actor(), current_site()
    with site.read(actor) as reader:
        hook = reader.get(InboundHook, record_id(id, InboundHook))
        if not actor.is_admin and hook.owner_id != actor.id:
            raise Forbidden("inbound_hook.update", "Only its owner and administrators may see a hook's secret.")
        until = hook.former_until
        return answer({
            "url": f"{site.config.base_url}{inbound.path_of(hook)}", "secret": hook.secret,
            "former_until": until and _instant and _instant(until),
        })  # fmt: skip


def hook_rotate(id: str) -> Response:
    """A new secret. The former one stays valid for a day."""
    arguments(())
    object_body(())
    with current_site().write(current_actor()) as unit:
        made = inbound.rotate(unit, unit.get(InboundHook, record_id(id, InboundHook)))
    return answer({"secret": made})


def hook_messages(id: str) -> Response:
    """What came in by an inbound hook, the newest first."""
    given = arguments(("limit", "cursor"))
    limit = whole_number(given, "limit", 50, least=1, most=MAX_LIMIT)
    before = _event_id(given["cursor"]) if given.get("cursor") else None
    with current_site().read(current_actor()) as reader:
        rows = inbound.events(reader, reader.get(InboundHook, record_id(id, InboundHook)), limit=limit, before=before)
    items = [
        {"id": str(row.id), "message_id": row.message_id, "at": _instant and _instant(row.at), "state": row.state,
         "error": row.error, "entity": row.entity, "record_id": str(row.record_id) if row.record_id else None}
        for row in rows
    ]  # fmt: skip
    return answer({"items": items, "next": items[-1]["id"] if len(items) == limit else None})


def hook_again(id: str) -> Response:
    """Handle once more a `message` that failed."""
    arguments(())
    given = object_body(("message",))
    with current_site().write(current_actor()) as unit:
        hook = unit.get(InboundHook, record_id(id, InboundHook))

        def handle() -> Response:
            inbound.handle_again(unit, hook, _event_id(given.get("message")))
            return answer({"count": 1})

        return once(unit, handle)


def _event_id(text: Any) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        raise NotFound("There is no such message.") from None


def _delivery_id(text: Any) -> UUID:
    try:
        return UUID(str(text).removeprefix("msg_"))
    except ValueError:
        raise NotFound("There is no such message.") from None


def routes(route: type[Route]) -> Iterable[Route]:
    """The routes beside those that every kind of record has."""
    base, change = "/api/v1/webhook/<id>", "webhook.update"
    yield route("GET", f"{base}/messages", "webhook-messages", messages, "webhook.read",
                "List the messages of a webhook", "webhook")  # fmt: skip
    yield route("GET", f"{base}/secret", "webhook-secret", secret, change, "See the secret of a webhook", "webhook")
    yield route("POST", f"{base}/rotate", "webhook-rotate", rotate, change, "Give a webhook a new secret", "webhook")
    yield route("POST", f"{base}/test", "webhook-test", test, change, "Send a test message", "webhook")
    yield route("POST", f"{base}/replay", "webhook-replay", replay, change, "Send messages again", "webhook")
    base, change = "/api/v1/inbound_hook/<id>", "inbound_hook.update"
    yield route("GET", f"{base}/messages", "inbound_hook-heard", hook_messages, "inbound_hook.read",
                "List what came in by an inbound hook", "inbound_hook")  # fmt: skip
    yield route("GET", f"{base}/secret", "inbound_hook-secret", hook_secret, change,
                "See the address and the secret of an inbound hook", "inbound_hook")  # fmt: skip
    yield route("POST", f"{base}/rotate", "inbound_hook-rotate", hook_rotate, change,
                "Give an inbound hook a new secret", "inbound_hook")  # fmt: skip
    yield route("POST", f"{base}/again", "inbound_hook-again", hook_again, change,
                "Handle a message once more that failed", "inbound_hook")  # fmt: skip
