"""Watching the channels of a site: whether anything goes out that the gate has not let pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from sqlalchemy import select

from rapport.contributions import Outgoing, Receipt
from rapport.entities import table_of
from rapport.interactions.messages import Message
from rapport.site import Site


def watch(site: Site, *, really: bool = False) -> tuple[list[str], Callable[[], None]]:
    """From now on, note every call of a channel that is not the sending of a claimed message. Returns the notes, which
    grow, and what ends it. Unless `really`, nothing leaves the site meanwhile."""
    strays: list[str] = []
    former = {channel.name: channel.send for channel in site.channels}
    for channel in site.channels:
        _replace(channel, "send", _watched(site, channel.name, former[channel.name], strays, really=really))

    def end() -> None:
        for channel in site.channels:
            _replace(channel, "send", former[channel.name])

    return strays, end


def _watched(
    site: Site, name: str, send: Callable[[Outgoing, Site], Receipt], strays: list[str], *, really: bool
) -> Callable[[Outgoing, Site], Receipt]:
    def noted(outgoing: Outgoing, asked: Site) -> Receipt:
        messages = table_of(Message)
        with site.db.read() as connection:
            claimed = connection.execute(
                select(messages.c.id).where(
                    messages.c.id == outgoing.message_id, messages.c.state == "sending", messages.c.channel == name,
                    messages.c.attempts == outgoing.attempt,
                )
            ).one_or_none()  # fmt: skip
        if claimed is None:
            strays.append(f"something went to {outgoing.address} by the channel '{name}' past the gate: use send()")
        return send(outgoing, asked) if really else Receipt(f"watched-{outgoing.message_id}")

    return noted


def _replace(item: Any, name: str, value: Any) -> None:
    """Contributions are frozen; only whoever watches them may do this."""
    assert name in {each.name for each in fields(item)}
    object.__setattr__(item, name, value)
