"""Sending messages: one endpoint at a time each, many endpoints at once, so that a bad one delays nobody else.

An endpoint is leased by whoever sends to it, in whichever process. Its messages go one after the other, in their order
as far as they succeed. What fails is tried again over three days; an endpoint that fails is left alone for a while,
longer each time, and is switched off once it has failed for days, or has said that it is gone. A process that dies
while it sends leaves the message waiting: it is sent again, with the same id.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, exists, func, or_, select, update

from rapport import outbound
from rapport.access import User, system
from rapport.builtin.webhooks import signing
from rapport.builtin.webhooks.fanout import change_of
from rapport.builtin.webhooks.model import Webhook, delivery_table, endpoint_table, send_soon
from rapport.entities import table_of, utcnow
from rapport.entities.fields import KINDS
from rapport.errors import NotFound
from rapport.i18n.catalogs import _
from rapport.jobs import JobContext
from rapport.mail import enqueue_mail
from rapport.records.log import Logged
from rapport.records.reach import heard_of
from rapport.records.reader import dumper

if TYPE_CHECKING:
    from rapport.access import Actor
    from rapport.site import Site

log = logging.getLogger("rapport.webhooks")
PAUSES = tuple(
    dt.timedelta(seconds=each) for each in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)  # fmt: skip
"""After each failure, until the message is tried again: ten attempts in a little over three days."""
REST = dt.timedelta(minutes=5)
"""How long an endpoint that fails is left alone at most, unless it asks for more."""
MOST_REST = dt.timedelta(days=1)
FAILED_FOR = dt.timedelta(days=5)
"""An endpoint that failed for so long, whatever it was sent, is switched off."""
SECONDS = 15.0
LEASE = dt.timedelta(seconds=60)
TURN_SECONDS = 20.0
"""How long one endpoint is sent to before others have their turn."""
THREADS = 32
KEPT_FOR = dt.timedelta(days=30)
EXCERPT = 2000
_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="rapport-webhooks")
_lock = threading.Lock()
_busy: set[UUID] = set()
"""The endpoints that this process is sending to."""


def send_due(context: JobContext) -> None:
    """The job: start sending to every endpoint that something is due for, and say when to look again."""
    site, now = context.site, utcnow()
    # Who had the fewest turns comes first, so that nobody waits for ever behind those with much to be told.
    statement = select(endpoint_table.c.webhook_id).where(_ready(now)).order_by(endpoint_table.c.fence)
    with site.db.read() as connection:
        ready = connection.scalars(statement.limit(2 * THREADS)).all()
    with _lock:
        chosen = [each for each in ready if each not in _busy][: THREADS - len(_busy)]
        _busy.update(chosen)
    for webhook_id in chosen:
        if site.config.testing:
            _serve(site, webhook_id)
        else:
            _pool.submit(_serve, site, webhook_id)
    with site.db.write() as connection:
        old = select(delivery_table.c.id).where(delivery_table.c.finished_at < now - KEPT_FOR).limit(500)
        connection.execute(delete(delivery_table).where(delivery_table.c.id.in_(old)))
        # Those just started hold their lease or soon will: somebody looks again whatever becomes of this process.
        _plan(connection, not_before=now + (dt.timedelta(0) if site.config.testing else LEASE / 60))


def _ready(now: dt.datetime) -> ColumnElement[bool]:
    """Endpoints of active webhooks with something due, that are neither resting nor being served."""
    at, hooks = endpoint_table.c, table_of(Webhook)
    due = exists().where(
        delivery_table.c.webhook_id == at.webhook_id,
        delivery_table.c.state == "waiting",
        delivery_table.c.due_at <= now,
    )
    active = exists().where(hooks.c.id == at.webhook_id, hooks.c.active, hooks.c.archived_at.is_(None))
    return and_(_past(at.leased_until, now), _past(at.resting_until, now), due, active)


def _past(moment: Any, now: dt.datetime) -> ColumnElement[bool]:
    return or_(moment.is_(None), moment <= now)


def _plan(connection: Connection, *, not_before: dt.datetime) -> None:
    """Enqueue the next look at the moment when the next message can go out."""
    at, hooks = endpoint_table.c, table_of(Webhook)
    first = (
        select(func.min(delivery_table.c.due_at))
        .where(delivery_table.c.webhook_id == at.webhook_id, delivery_table.c.state == "waiting")
        .scalar_subquery()
    )
    statement = select(first, at.resting_until, at.leased_until).join(hooks, hooks.c.id == at.webhook_id)
    rows = connection.execute(statement.where(hooks.c.active, hooks.c.archived_at.is_(None))).all()
    moments = [max(each for each in row if each is not None) for row in rows if row[0] is not None]
    if moments:
        send_soon(connection, max(min(moments), not_before))


# One endpoint --------------------------------------------------------------------------------------------------------


def _serve(site: Site, webhook_id: UUID) -> None:
    try:
        serve(site, webhook_id)
    except Exception:  # the database is away: the lease ends by itself, and somebody looks again
        log.exception("the messages to webhook %s could not be sent", webhook_id)
    finally:
        with _lock:
            _busy.discard(webhook_id)


def serve(site: Site, webhook_id: UUID) -> None:
    """Send one endpoint what is due for it, one after the other."""
    fence = _take(site, webhook_id)
    if fence is None:
        return
    end = time.monotonic() + TURN_SECONDS
    while time.monotonic() < end:
        row = _next(site, webhook_id)
        if row is None or not _send_one(site, webhook_id, fence, row):
            break
    with site.db.write() as connection:
        mine = (endpoint_table.c.webhook_id == webhook_id, endpoint_table.c.fence == fence)
        connection.execute(update(endpoint_table).where(*mine).values(leased_until=None))
        _plan(connection, not_before=utcnow())
    site.wake()


def _take(site: Site, webhook_id: UUID) -> int | None:
    now = utcnow()
    with site.db.write() as connection:
        return connection.execute(
            update(endpoint_table)
            .where(endpoint_table.c.webhook_id == webhook_id, _ready(now))
            .values(leased_until=now + LEASE, fence=endpoint_table.c.fence + 1)
            .returning(endpoint_table.c.fence)
        ).scalar_one_or_none()


def _next(site: Site, webhook_id: UUID) -> Row[Any] | None:
    rows = delivery_table.c
    statement = (
        select(delivery_table)
        .where(rows.webhook_id == webhook_id, rows.state == "waiting", rows.due_at <= utcnow())
        .order_by(rows.due_at, rows.seq)
        .limit(1)
    )
    with site.db.read() as connection:
        return connection.execute(statement).one_or_none()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt."""

    ok: bool
    status: int | None = None
    error: str = ""
    response: str = ""
    pause: dt.timedelta | None = None
    """What the receiver asked for."""


def _send_one(site: Site, webhook_id: UUID, fence: int, row: Row[Any]) -> bool:
    """One attempt and what follows from it; False when the endpoint is to be left alone now."""
    with site.read(system("webhooks")) as reader:
        try:
            hook = reader.get(Webhook, webhook_id)
        except NotFound:
            return False
        url, secrets, actor = hook.url, hook.secrets_at(utcnow()), hook.rights(site)
    body = body_of(site, actor, row)
    if body is None:
        _finish(site, row, fence, state="dropped", error=_("The owner of the webhook may not read this record."))
        return True
    outcome = _attempt(site, url, secrets, row.id, body)
    if outcome.ok:
        _finish(site, row, fence, state="sent", status=outcome.status, attempts=row.attempts + 1)
        return True
    _failed(site, webhook_id, fence, row, outcome)
    return False


def body_of(site: Site, actor: Actor | None, row: Any) -> bytes | None:
    """A message as it is sent now; None when its owner may not read the record, or is gone.

    Made when it is sent, from the log and the record as it stands, so that nothing is kept of what was sent, and a
    right that was taken away counts at once.
    """
    if actor is None:
        return None
    if row.seq is None:
        data: dict[str, Any] = {"message": "This is a test."}
    else:
        try:
            change = change_of(site, row.seq)
        except NotFound:
            return None
        found = _data(site, actor, change)
        if found is None:
            return None
        data = found
    instant = KINDS["instant"].dump
    assert instant is not None
    message = {"id": named(row.id), "type": row.type, "timestamp": instant(row.at), "data": data}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _data(site: Site, actor: Actor, change: Logged) -> dict[str, Any] | None:
    entity = site.entities.get(change.entity)
    if entity is None:
        return None
    with site.read(actor) as reader:
        if change.seq not in heard_of(reader, [change]):
            return None
        meta, record = site.meta(entity), None
        if change.action != "deleted":
            try:
                record = dumper(meta)(reader.row(entity, change.record_id))
            except NotFound:  # it is gone since; that has a message of its own
                record = None
    return {
        "entity": change.entity, "record_id": str(change.record_id), "version": change.version, "by": change.actor,
        "via": change.via, "seq": change.seq, "record": record, "changes": dict(change.changes),
    }  # fmt: skip


def named(delivery_id: UUID) -> str:
    """A message's id as receivers see it."""
    return f"msg_{delivery_id.hex}"


def _attempt(site: Site, url: str, secrets: list[str], delivery_id: UUID, body: bytes) -> Outcome:
    headers = signing.headers(secrets, named(delivery_id), int(utcnow().timestamp()), body)
    headers["Content-Type"] = "application/json"
    try:
        answer = outbound.request(site, "POST", url, headers=headers, body=body, seconds=SECONDS)
    except outbound.Unreachable as failure:
        return Outcome(False, error=str(failure))
    if 200 <= answer.status < 300:
        return Outcome(True, answer.status)
    error = _("It answered %(status)s.", status=answer.status)
    if 300 <= answer.status < 400:
        error = _("It answered %(status)s, a redirect. Those are not followed: write the address it leads to.",
                  status=answer.status)  # fmt: skip
    return Outcome(False, answer.status, error, answer.text[:EXCERPT].replace("\x00", ""), _asked_pause(answer))


def _asked_pause(answer: outbound.Answer) -> dt.timedelta | None:
    """Retry-After, in seconds or as a date, with 429 and 503."""
    text = answer.headers.get("retry-after", "").strip()
    if answer.status not in {429, 503} or not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return min(dt.timedelta(seconds=int(text)), MOST_REST)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
    return min(max(moment - utcnow(), dt.timedelta(0)), MOST_REST)


# What follows from it ------------------------------------------------------------------------------------------------


def _finish(site: Site, row: Row[Any], fence: int, **values: Any) -> None:
    """It went out, or need not: the endpoint is well."""
    now = utcnow()
    with site.db.write() as connection:
        _note(connection, row, now, finished_at=now, **{"response": "", "error": "", **values})
        well = {"failures": 0, "failing_since": None, "resting_until": None} if values["state"] == "sent" else {}
        _keep_lease(connection, row.webhook_id, fence, now, **well)


def _note(connection: Connection, row: Row[Any], now: dt.datetime, **values: Any) -> None:
    """Keep what came of an attempt, unless it was sent again by hand meanwhile, or by somebody who took over."""
    unchanged = (delivery_table.c.id == row.id, delivery_table.c.state == "waiting",
                 delivery_table.c.attempts == row.attempts, delivery_table.c.due_at == row.due_at)  # fmt: skip
    connection.execute(update(delivery_table).where(*unchanged).values(tried_at=now, **values))


def _keep_lease(connection: Connection, webhook_id: UUID, fence: int, now: dt.datetime, **values: Any) -> None:
    mine = (endpoint_table.c.webhook_id == webhook_id, endpoint_table.c.fence == fence)
    connection.execute(update(endpoint_table).where(*mine).values(leased_until=now + LEASE, **values))


def _failed(site: Site, webhook_id: UUID, fence: int, row: Row[Any], outcome: Outcome) -> None:
    now, gone = utcnow(), outcome.status == 410
    with site.db.write() as connection:
        at = connection.execute(select(endpoint_table).where(endpoint_table.c.webhook_id == webhook_id)).one()
        since = at.failing_since or now
        rest = outcome.pause or min(dt.timedelta(seconds=2 ** min(at.failures, 20)), REST)
        last = gone or row.attempts >= len(PAUSES)
        values: dict[str, Any] = {"attempts": row.attempts + 1, "status": outcome.status, "error": outcome.error,
                                  "response": outcome.response}  # fmt: skip
        if last:
            values |= {"state": "dead", "finished_at": now}
        else:
            values["due_at"] = now + max(PAUSES[row.attempts], rest)
        _note(connection, row, now, **values)
        _keep_lease(connection, webhook_id, fence, now, failures=at.failures + 1, failing_since=since,
                    resting_until=now + rest)  # fmt: skip
    if gone:
        _switch_off(site, webhook_id, _("The receiver says that it is gone (410)."))
    elif now - since >= FAILED_FOR:
        days = FAILED_FOR.days
        _switch_off(site, webhook_id, _("It has failed for %(days)s days: %(why)s", days=days, why=outcome.error))


def _switch_off(site: Site, webhook_id: UUID, reason: str) -> None:
    """Stop telling a receiver that does not listen, keep what it missed for a replay, and tell its owner."""
    now = utcnow()
    with site.write(system("webhooks")) as unit:
        hook = unit.get(Webhook, webhook_id)
        if not hook.active:
            return
        hook.active, hook.stopped_because = False, reason
        left = (delivery_table.c.webhook_id == webhook_id, delivery_table.c.state == "waiting")
        unit.session.connection().execute(
            update(delivery_table).where(*left).values(state="dead", finished_at=now, error=reason)
        )
        for owner in unit.reader.all(User, User.id == hook.owner_id, User.active.is_(True)):
            with site.speaking(owner.language):
                text = _("Rapport no longer sends messages to the webhook “%(name)s”. %(reason)s\n\n"
                         "What it missed can be sent again once it is switched on: %(url)s",
                         name=hook.name, reason=reason, url=f"{site.config.base_url}/webhook/{webhook_id}")  # fmt: skip
                subject = _("The webhook “%(name)s” was switched off", name=hook.name)
                enqueue_mail(site, unit.session.connection(), to=owner.email, subject=subject, text=text)
