"""What webhooks bring, through public hooks."""

from __future__ import annotations

from flask import Blueprint

from rapport.builtin.webhooks import asking, fanout, inbound, pages, sending
from rapport.builtin.webhooks.model import SEND, Webhook
from rapport.contributions import Action, Follower, Job, Panel
from rapport.entities import Entity, Field
from rapport.hookspecs import hookimpl


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [Webhook, inbound.InboundHook]


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job(SEND, "Send webhooks", sending.send_due),
        Job(asking.REPLAY, "Send webhooks again", fanout.replay),
        Job(inbound.RECEIVE, "Handle what an inbound hook heard", inbound.handle),
    ]


@hookimpl
def register_followers() -> list[Follower]:
    return [Follower("webhooks.changes", fanout.follow, fanout.wanted_entities)]


@hookimpl
def register_actions() -> list[Action]:
    change = "webhook.update"
    return [
        Action("webhook", "test", "Send a test", "send", change, asking.test_button, primary=True,
               applies=lambda hook: hook.active),
        Action("webhook", "failed", "Send again what was given up", "refresh", change, asking.failed_button, bulk=True),
        Action("webhook", "replay", "Send again a stretch of time", "player-track-prev", change, asking.replay_button,
               fields=[Field("since", "From", "instant", required=True), Field("until", "Until", "instant")]),
        Action("webhook", "rotate", "New secret", "key", change, asking.rotate_button),
        Action("inbound_hook", "rotate", "New secret", "key", "inbound_hook.update", inbound.rotate_button),
    ]  # fmt: skip


@hookimpl
def register_panels() -> list[Panel]:
    return [
        Panel("webhook.main", "Messages", "webhooks/messages.html", pages.newest, "webhook.read", "mail-forward", 10),
        Panel("webhook.side", "Signature", "webhooks/secret.html", pages.secret, "webhook.update", "key", 10),
        Panel("inbound_hook.main", "Messages", "webhooks/heard.html", pages.newest_heard, "inbound_hook.read",
              "mail-down", 10),
        Panel("inbound_hook.side", "Where it hears", "webhooks/secret.html", pages.secret, "inbound_hook.update",
              "key", 10),
    ]  # fmt: skip


@hookimpl
def register_pages() -> list[Blueprint]:
    return [pages.make_blueprint()]
