"""Hearing from other programs: an address for each, where only who knows its secret is heard, and each message once.

What arrives is kept and answered at once; a job makes it into a record, with the rights of the hook's owner. Whatever
is wrong with a request that does not prove itself, the answer is the same: it does not tell whether there is a hook.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Response, request
from sqlalchemy import Column, ForeignKey, Index, Row, Table, Text, UniqueConstraint, Uuid, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped
from werkzeug.exceptions import RequestEntityTooLarge

from rapport.access import system
from rapport.builtin.webhooks import signing
from rapport.builtin.webhooks.ends import Ended
from rapport.builtin.webhooks.mapping import check_mapping, parse_mapping, values_of
from rapport.db.tables import metadata
from rapport.entities import Choice, Entity, column_of, entity_class, field, table_of, utcnow, uuid7
from rapport.entities.types import Instant
from rapport.errors import Invalid, NotFound, Problem, RapportError
from rapport.http import current_site
from rapport.i18n.catalogs import N_, _
from rapport.jobs import JobContext, enqueue_job

if TYPE_CHECKING:
    from rapport.records import Reader, Unit

log = logging.getLogger("rapport.webhooks")
RECEIVE = "webhooks.receive"
MAX_BODY = 256 * 1024
KEPT_FOR = dt.timedelta(days=90)
"""How long ids are remembered, and what failed is listed."""
_ID = re.compile(r"[!-~]{1,200}")
_NOBODY = signing.new_secret()


class InboundHook(Ended, Entity, name="inbound_hook", title="Inbound hook", icon="plug-connected"):
    """An address where a program elsewhere tells what happened there, which becomes a record here."""

    name: Mapped[str] = field(label="Name", searchable=True, in_list=True)
    makes: Mapped[str] = field(
        label="Makes", in_list=True, help="The kind of record that each message becomes: customer, interaction, task."
    )
    mapping: Mapped[str] = field(
        label="Fields", kind="longtext",
        help="One line each: name = customer.name, or source = \"Shop\". A field of what it belongs to: "
             "customer.email = buyer.email finds that customer, or makes one.",
    )  # fmt: skip
    match_on: Mapped[str] = field(
        label="Same record", default="",
        help="The field that tells which record is meant, such as reference. Found, it is changed; else made.",
    )  # fmt: skip
    signature: Mapped[str] = field(
        label="Signature", default="standard",
        choices=[Choice("standard", "Standard Webhooks"), Choice("hmac", "HMAC-SHA256 of the body in a header")],
    )  # fmt: skip
    header: Mapped[str] = field(label="Header of the signature", default="X-Hub-Signature-256")
    active: Mapped[bool] = field(label="Active", default=True, in_list=True)
    token: Mapped[str] = field(secret=True, readonly=True, unique=True, default=lambda: secrets.token_urlsafe(24))

    def complete(self, session: Any) -> None:
        self.keep_honest(session.actor)
        site = session.unit.site
        if not self.makes or not self.mapping:
            return  # that they are missing is said elsewhere
        try:
            meta = site.meta_named(self.makes)
        except LookupError:
            raise Invalid(Problem("makes", _("is no kind of record here."))) from None
        check_mapping(site, meta, parse_mapping(self.mapping))
        if self.match_on and (self.match_on not in meta.fields or meta.fields[self.match_on].secret):
            raise Invalid(Problem("match_on", _("is no field of that kind of record.")))


event_table = Table(
    "inbound_event",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("hook_id", Uuid, ForeignKey("inbound_hook.id", ondelete="CASCADE"), nullable=False),
    # What the sender calls it, or the digest of its body: a second one with the same has no effect
    Column("message_id", Text, nullable=False),
    Column("at", Instant, nullable=False),
    # waiting, done, failed
    Column("state", Text, nullable=False),
    # Kept until it is done
    Column("body", Text, nullable=False),
    Column("error", Text, nullable=False, default=""),
    Column("entity", Text),
    Column("record_id", Uuid),
    UniqueConstraint("hook_id", "message_id"),
    Index("ix_inbound_event_at", "hook_id", "at"),
    Index("ix_inbound_event_all_at", "at"),
)

STATES = {"waiting": (N_("Waiting"), "blue"), "done": (N_("Done"), "green"), "failed": (N_("Failed"), "red")}


def path_of(hook: InboundHook) -> str:
    """Where a hook hears."""
    return f"/hooks/in/{hook.token}"


# The address ---------------------------------------------------------------------------------------------------------


def hear(token: str) -> Response:
    """Keep a message that proves itself, and answer at once. The API gives it its address."""
    request.max_content_length = MAX_BODY
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return Response(status=413)
    site, now, hooks = current_site(), utcnow(), table_of(InboundHook)
    statement = select(InboundHook.__table__).where(
        hooks.c.token == token[:100], hooks.c.active, hooks.c.archived_at.is_(None)
    )
    with site.db.read() as connection:
        row = connection.execute(statement).one_or_none()
    message_id = _proven(row, body, now)
    if row is None or message_id is None:
        return Response(status=401)
    if row.signature == "standard" and not _is_fresh(now):
        return _said("The timestamp is too old, or in the future.", 400)
    if (why := _unreadable(body)) is not None:
        return _said(why, 400)
    kept = {"id": uuid7(), "hook_id": row.id, "message_id": message_id, "at": now, "state": "waiting",
            "body": body.decode(), "error": ""}  # fmt: skip
    dialect: Any = sqlite if site.db.is_sqlite else postgresql
    with site.db.write() as connection:
        once = dialect.insert(event_table).values(kept).on_conflict_do_nothing(
            index_elements=["hook_id", "message_id"]
        )  # fmt: skip
        if connection.scalar(once.returning(event_table.c.id)) is None:
            return _said("Heard before.", 202)
        _enqueue(connection, kept["id"])
    site.wake()
    return _said("Heard.", 202)


def _proven(row: Row[Any] | None, body: bytes, now: dt.datetime) -> str | None:
    """What the message is known by, if it proves itself. It takes as long when there is no hook to prove it to."""
    valid = [_NOBODY]
    if row is not None:
        former = row.former_secret and row.former_until is not None and row.former_until > now
        valid = [row.secret, row.former_secret] if former else [row.secret]
    if row is not None and row.signature == "hmac":
        proven = signing.is_plain_hmac(valid, body, request.headers.get(row.header or "", ""))
        # Nothing else is signed, so nothing else can tell a repetition from a new message.
        return hashlib.sha256(body).hexdigest() if proven else None
    message_id, timestamp, given = (
        request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
    )
    proven = signing.is_signed(valid, message_id, timestamp, body, given)
    return message_id if proven and _ID.fullmatch(message_id) else None


def _is_fresh(now: dt.datetime) -> bool:
    return abs(now.timestamp() - int(request.headers["webhook-timestamp"])) <= signing.TOLERANCE_SECONDS


def _unreadable(body: bytes) -> str | None:
    """Why a body cannot be kept; the same limits as for the API."""
    from rapport.builtin.api.body import decode, parse
    from rapport.builtin.api.problems import Refused

    try:
        parse(decode(body))
    except Refused as error:
        return str(error)
    return None


def _said(text: str, status: int) -> Response:
    return Response(json.dumps({"message": text}), status, content_type="application/json")


def _enqueue(connection: Any, event_id: UUID) -> None:
    enqueue_job(connection, RECEIVE, {"event": str(event_id)}, actor=system("webhooks"), key=str(event_id))


# What becomes of it --------------------------------------------------------------------------------------------------


def handle(context: JobContext, *, event: str) -> None:
    """The job: make a record of a message. Its effect and its end are one transaction."""
    site, event_id = context.site, UUID(event)
    with site.db.read() as connection:
        row = connection.execute(select(event_table).where(event_table.c.id == event_id)).one_or_none()
    if row is None or row.state != "waiting":
        return
    try:
        with site.read(system("webhooks")) as reader:
            hook = reader.get(InboundHook, row.hook_id)
        actor = hook.rights(site)
        if actor is None:
            raise NotFound(_("The owner of the hook is no longer active."))
        with site.write(actor.through("hook")) as unit:
            connection = unit.session.connection()
            record = _apply(unit, hook, json.loads(row.body))
            unit.flush()
            done = {"state": "done", "body": "", "error": "", "entity": hook.makes, "record_id": record.id}
            mine = (event_table.c.id == event_id, event_table.c.state == "waiting")
            if connection.execute(update(event_table).where(*mine).values(done)).rowcount != 1:
                raise NotFound(_("Somebody else has handled it."))
    except (RapportError, LookupError, TypeError, ValueError) as error:  # a module is off, or a value is odd
        log.info("a message to the inbound hook %s could not be handled: %s", row.hook_id, error)
        with site.db.write() as connection:
            connection.execute(
                update(event_table)
                .where(event_table.c.id == event_id, event_table.c.state == "waiting")
                .values(state="failed", error=(str(error) or type(error).__name__)[:2000])
            )
    with site.db.write() as connection:
        old = select(event_table.c.id).where(event_table.c.at < utcnow() - KEPT_FOR).limit(500)
        connection.execute(delete(event_table).where(event_table.c.id.in_(old)))


def _apply(unit: Unit, hook: InboundHook, message: Any) -> Entity:
    """The record that a message becomes: changed where it is known, made where it is not."""
    entity = entity_class(hook.makes)
    meta = unit.site.meta(entity)
    own, behind = values_of(unit.site, meta, parse_mapping(hook.mapping), message)
    for name, values in behind.items():
        target = entity_class(str(meta.fields[name].target))
        key = next(iter(values))
        known = _known(unit, target, key, values[key])
        own[name] = str((known or unit.create(target, values)).id)
    if hook.match_on and own.get(hook.match_on) not in (None, ""):
        record = _known(unit, entity, hook.match_on, own[hook.match_on])
        if record is not None:
            return unit.update(record, own)
    return unit.create(entity, own)


def _known(unit: Unit, entity: type[Entity], name: str, value: Any) -> Entity | None:
    """The oldest record within reach whose field holds this value."""
    wanted = unit.site.meta(entity).fields[name]
    try:
        loaded = wanted.load(value)
    except ValueError as error:
        raise Invalid(Problem(name, str(error))) from None
    unit.actor.require(entity.meta.permission("read"))
    statement = select(entity).where(column_of(entity, wanted) == loaded, entity.archived_at.is_(None))
    return unit.session.scalars(statement.order_by(entity.id).limit(1)).one_or_none()


# Asking --------------------------------------------------------------------------------------------------------------


def events(reader: Reader, hook: InboundHook, *, limit: int, before: UUID | None = None) -> list[Row[Any]]:
    """What came in, the newest first. The reader has read the hook."""
    statement = select(event_table).where(event_table.c.hook_id == hook.id)
    if before is not None:
        statement = statement.where(event_table.c.id < before)
    with reader.site.db.read() as connection:
        return list(connection.execute(statement.order_by(event_table.c.id.desc()).limit(limit)))


def handle_again(unit: Unit, hook: InboundHook, event_id: UUID) -> None:
    """Try once more what failed, now that the hook or its owner's rights were put right."""
    unit.update(hook, {})
    hook.complete(unit.session)
    connection = unit.session.connection()
    one = (event_table.c.hook_id == hook.id, event_table.c.id == event_id, event_table.c.state == "failed")
    if connection.execute(update(event_table).where(*one).values(state="waiting", error="")).rowcount != 1:
        raise NotFound(_("There is no such message that failed."))
    _enqueue(connection, event_id)


def rotate(unit: Unit, hook: InboundHook) -> str:
    """A new secret; the former one stays valid for a day."""
    unit.update(hook, {})
    secret = hook.rotate()
    unit.flush()
    return secret


def rotate_button(unit: Unit, records: Sequence[InboundHook], values: Mapping[str, Any]) -> str:
    """A new secret, from the page of the hook."""
    for hook in records:
        rotate(unit, hook)
    return _("There is a new secret. The former one stays valid for a day.")
