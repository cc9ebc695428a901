"""From a change to the messages about it: which webhooks want to hear of it, and may."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from sqlalchemy import select

from rapport.builtin.webhooks.model import Webhook, delivery_table, insert_new, send_soon, waiting
from rapport.entities import table_of, utcnow
from rapport.errors import NotFound
from rapport.i18n.catalogs import _
from rapport.jobs import JobContext
from rapport.records.log import Logged, change_log, logged, settle
from rapport.records.reach import heard_of

if TYPE_CHECKING:
    from rapport.records import Unit
    from rapport.site import Site

AT_ONCE = 200
"""How many webhooks, or changes, are looked at together."""
AGAIN = ("state", "attempts", "due_at", "error", "response", "finished_at")


def wanted_entities(site: Site) -> Collection[str]:
    """The kinds of records that some active webhook hears of."""
    hooks = table_of(Webhook)
    statement = select(hooks.c.events).where(hooks.c.active, hooks.c.archived_at.is_(None)).distinct()
    with site.db.read() as connection:
        events = {event for (each,) in connection.execute(statement) for event in each}
    return site.entities.names() if "*" in events else {event.rpartition(".")[0] for event in events}


def follow(unit: Unit, changes: Sequence[Logged]) -> None:
    """Put a message for every webhook that wants to hear of a change, and may, beside the follower's place."""
    connection, any_new = unit.session.connection(), False
    for hook in _active(unit):
        # What happened while it was switched off is not its business, unless somebody asks for it.
        new = [change for change in changes if hook.active_since is None or change.at >= hook.active_since]
        if rows := messages(unit.site, hook, new):
            insert_new(connection, delivery_table, rows)
            any_new = True
    if any_new:
        send_soon(connection)


def _active(unit: Unit) -> Iterator[Webhook]:
    """Every active webhook, some hundred at a time."""
    last: UUID | None = None
    while True:
        statement = select(Webhook).where(Webhook.active, Webhook.archived_at.is_(None)).order_by(Webhook.id)
        if last is not None:
            statement = statement.where(Webhook.id > last)
        page = unit.session.scalars(statement.limit(AT_ONCE)).all()
        yield from page
        if len(page) < AT_ONCE:
            return
        last = page[-1].id
        unit.session.expunge_all()


def messages(site: Site, hook: Webhook, changes: Sequence[Logged]) -> list[dict[str, Any]]:
    """The messages to one webhook about some changes."""
    wanted = [change for change in changes if hook.hears(change.entity, change.action)]
    actor = hook.rights(site) if wanted else None
    if actor is None:
        return []
    with site.read(actor) as reader:
        heard = heard_of(reader, wanted, hook.condition)
    now = utcnow()
    return [
        waiting(hook.id, message_id(hook.id, change.seq), f"{change.entity}.{change.action}", change, now)
        for change in wanted
        if change.seq in heard
    ]


def message_id(webhook_id: UUID, seq: int) -> UUID:
    """The same for the same change and webhook, however often it is sent."""
    return uuid5(webhook_id, str(seq))


def replay(context: JobContext, *, webhook: str, since: str, until: str) -> str:
    """Send again what happened between two moments, also what was never sent: a job, in steps it can go on from."""
    first, last = dt.datetime.fromisoformat(since), dt.datetime.fromisoformat(until)
    site, found, after = context.site, 0, 0
    while True:
        with site.db.read() as connection:
            settle(connection)
            statement = select(change_log).where(
                change_log.c.seq > after, change_log.c.at >= first, change_log.c.at <= last
            )
            changes = [logged(row) for row in connection.execute(statement.order_by(change_log.c.seq).limit(AT_ONCE))]
        if not changes:
            return _("%(count)s messages are sent again.", count=found)
        after = changes[-1].seq
        with site.read(context.actor) as reader:
            hook = reader.get(Webhook, UUID(webhook))
            rows = messages(site, hook, changes)
        found += len(rows)
        with site.db.write() as connection:
            if rows:
                insert_new(connection, delivery_table, rows, again=AGAIN)
                send_soon(connection)
            context.progress_in(connection, found)
        site.wake()


def change_of(site: Site, seq: int) -> Logged:
    """One entry of the log."""
    with site.db.read() as connection:
        row = connection.execute(select(change_log).where(change_log.c.seq == seq)).one_or_none()
    if row is None:
        raise NotFound(_("There is no such change."))
    return logged(row)
