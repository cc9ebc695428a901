"""What people and programs ask of a webhook: a test, a new secret, messages once more, and how they fared."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, tuple_, update

from rapport.builtin.webhooks.model import STATES, Webhook, delivery_table, endpoint_table, send_soon, waiting
from rapport.entities import utcnow, uuid7
from rapport.errors import Conflict, Invalid, NotFound, Problem
from rapport.i18n.catalogs import _, ngettext
from rapport.jobs import enqueue_job

if TYPE_CHECKING:
    from rapport.records import Reader, Unit

REPLAY = "webhooks.replay"
AFRESH = {"state": "waiting", "attempts": 0, "error": "", "response": "", "finished_at": None}


def may_change(unit: Unit, hook: Webhook) -> Connection:
    """The unit's connection, once it is sure that its actor may change this very webhook, and speak for its owner."""
    unit.update(hook, {})
    hook.complete(unit.session)
    return unit.session.connection()


def send_test(unit: Unit, hook: Webhook) -> UUID:
    """A message that says it is a test."""
    connection = may_change(unit, hook)
    if not hook.active:
        raise Conflict(_("The webhook “%(name)s” is switched off. Switch it on first.", name=hook.name))
    delivery_id = uuid7()
    connection.execute(delivery_table.insert().values(waiting(hook.id, delivery_id, "webhook.test", None, utcnow())))
    _wake(connection, hook)
    return delivery_id


def rotate(unit: Unit, hook: Webhook) -> str:
    """A new secret; the former one stays valid for a day."""
    may_change(unit, hook)
    secret = hook.rotate()
    unit.flush()
    return secret


def send_again(unit: Unit, hook: Webhook, delivery_id: UUID) -> None:
    """One message once more, with the same id: whether it was given up, dropped, sent, or waits for its time."""
    connection = may_change(unit, hook)
    one = (delivery_table.c.webhook_id == hook.id, delivery_table.c.id == delivery_id)
    if connection.execute(update(delivery_table).where(*one).values(due_at=utcnow(), **AFRESH)).rowcount != 1:
        raise NotFound(_("There is no such message."))
    _wake(connection, hook)


def send_failed_again(unit: Unit, hook: Webhook) -> int:
    """Everything that was given up."""
    connection = may_change(unit, hook)
    dead = (delivery_table.c.webhook_id == hook.id, delivery_table.c.state == "dead")
    count = connection.execute(update(delivery_table).where(*dead).values(due_at=utcnow(), **AFRESH)).rowcount
    _wake(connection, hook)
    return count


def replay(unit: Unit, hook: Webhook, since: dt.datetime | None, until: dt.datetime | None) -> UUID:
    """Everything that happened between two moments, as a job."""
    connection = may_change(unit, hook)
    if since is None:
        raise Invalid(Problem("since", _("is missing.")))
    until = until or utcnow()
    if until < since:
        raise Invalid(Problem("until", _("is before the beginning.")))
    arguments = {"webhook": str(hook.id), "since": since.isoformat(), "until": until.isoformat()}
    return enqueue_job(connection, REPLAY, arguments, actor=unit.actor)


def _wake(connection: Connection, hook: Webhook) -> None:
    """Somebody waits for it: an endpoint that rests is tried at once."""
    connection.execute(update(endpoint_table).where(endpoint_table.c.webhook_id == hook.id).values(resting_until=None))
    send_soon(connection)


# Looking -------------------------------------------------------------------------------------------------------------


def deliveries(
    reader: Reader, hook: Webhook, *, state: str = "", limit: int = 50, cursor: str = ""
) -> tuple[Sequence[Row[Any]], str]:
    """A page of a webhook's messages, the newest first, and the cursor of the next. The reader has read the webhook."""
    rows = delivery_table.c
    statement = select(delivery_table).where(rows.webhook_id == hook.id)
    if state:
        if state not in STATES:
            raise Invalid(Problem("state", _("must be one of %(states)s.", states=", ".join(STATES))))
        statement = statement.where(rows.state == state)
    if cursor:
        at, delivery_id = _read_cursor(cursor)
        statement = statement.where(tuple_(rows.at, rows.id) < tuple_(at, delivery_id))
    statement = statement.order_by(rows.at.desc(), rows.id.desc()).limit(limit)
    with reader.site.db.read() as connection:
        found = connection.execute(statement).all()
    return found, _cursor(found[-1]) if len(found) == limit else ""


def delivery(reader: Reader, hook: Webhook, delivery_id: UUID) -> Row[Any]:
    """One of them."""
    one = (delivery_table.c.webhook_id == hook.id, delivery_table.c.id == delivery_id)
    with reader.site.db.read() as connection:
        row = connection.execute(select(delivery_table).where(*one)).one_or_none()
    if row is None:
        raise NotFound(_("There is no such message."))
    return row


def figures(reader: Reader, hook: Webhook) -> dict[str, Any]:
    """How the endpoint fares: what waits and what was given up (counted up to a thousand), and since when it fails."""
    with reader.site.db.read() as connection:
        at = connection.execute(select(endpoint_table).where(endpoint_table.c.webhook_id == hook.id)).one_or_none()
        counts = {
            state: connection.scalar(
                select(func.count()).select_from(
                    select(delivery_table.c.id)
                    .where(delivery_table.c.webhook_id == hook.id, delivery_table.c.state == state)
                    .limit(1000)
                    .subquery()
                )
            )
            for state in ("waiting", "dead")
        }
    return {"counts": counts, "failing_since": at and at.failing_since, "resting_until": at and at.resting_until}


def _cursor(row: Row[Any]) -> str:
    return base64.urlsafe_b64encode(f"{row.at.isoformat()} {row.id}".encode()).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[dt.datetime, UUID]:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
        at, _space, delivery_id = raw.partition(" ")
        moment = dt.datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError
        return moment, UUID(delivery_id)
    except (ValueError, binascii.Error):
        raise Invalid(Problem("cursor", _("is none that was given out here."))) from None


# Buttons -------------------------------------------------------------------------------------------------------------

Values = Mapping[str, Any]


def test_button(unit: Unit, records: Sequence[Webhook], values: Values) -> str:
    for hook in records:
        send_test(unit, hook)
    return _("A test is on its way. Look below what comes of it.")


def rotate_button(unit: Unit, records: Sequence[Webhook], values: Values) -> str:
    for hook in records:
        rotate(unit, hook)
    return _("There is a new secret. The former one stays valid for a day.")


def failed_button(unit: Unit, records: Sequence[Webhook], values: Values) -> str:
    count = sum(send_failed_again(unit, hook) for hook in records)
    return ngettext("%(num)s message is sent again.", "%(num)s messages are sent again.", count)


def replay_button(unit: Unit, records: Sequence[Webhook], values: Values) -> str:
    for hook in records:
        replay(unit, hook, values.get("since"), values.get("until"))
    return _("What happened then is sent again, message by message.")
