"""Telling plugins what happened: after the commit, each in its own transaction, again and again until it worked."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from rapport.access import system
from rapport.entities import entity_class, utcnow
from rapport.records.log import change_log, delivery_table

if TYPE_CHECKING:
    from rapport.records import Unit
    from rapport.site import Site

log = logging.getLogger("rapport.events")
MAX_ATTEMPTS = 8
_DUE = (
    select(delivery_table.c.id)
    .where(
        delivery_table.c.state == "waiting",
        delivery_table.c.due_at <= bindparam("now"),
        delivery_table.c.plugin.in_(bindparam("ours", expanding=True)),
    )
    .order_by(delivery_table.c.id)
    .limit(bindparam("most"))
)


def deliver(site: Site, *, limit: int = 200) -> int:
    """Tell what is due; returns how many tellings were tried. Safe to run in many processes at once.

    What is for a plugin that is off, held or gone waits until it is back, or is purged.
    """
    asked = {"now": utcnow(), "ours": site.hooks.names(), "most": limit}
    with site.db.read() as connection:
        due = connection.scalars(_DUE, asked).all()
    return sum(_deliver_one(site, delivery_id) for delivery_id in due)


def deliver_all(site: Site) -> None:
    """Tell until nothing is due: for tests and the command line, where no worker runs."""
    while deliver(site):
        pass


def enqueue(connection: Connection, plugin: str, hook: str, arguments: dict[str, Any]) -> None:
    """Have a plugin told something that is not a record's change, such as that it was enabled."""
    connection.execute(
        insert(delivery_table).values(plugin=plugin, hook=hook, arguments=arguments, due_at=utcnow(), depth=0)
    )


def tell(unit: Unit, spec: Callable[..., None], **arguments: Any) -> None:
    """Tell the plugins that answer a tell hook of one's own, once this unit has committed. The arguments are JSON."""
    for plugin in unit.site.hooks.listeners(spec):
        enqueue(unit.session.connection(), plugin, spec.__name__, arguments)


def _deliver_one(site: Site, delivery_id: int) -> int:
    """The effect and the end of the delivery are one transaction, so it happens once however often we crash."""
    with site.db.read() as connection:
        row = connection.execute(select(delivery_table).where(delivery_table.c.id == delivery_id)).one_or_none()
    if row is None:
        return 0
    actor = system(f"{row.plugin}, on {row.hook}").through("plugin")
    unit = site.write(actor, depth=row.depth)
    error: str | None = None
    try:
        claim = select(delivery_table.c.id).where(
            delivery_table.c.id == delivery_id, delivery_table.c.state == "waiting", delivery_table.c.due_at <= utcnow()
        )
        connection = unit.session.connection()
        if connection.execute(claim.with_for_update(skip_locked=True)).one_or_none() is None:
            return 0
        error = _tell(site, unit, row)
        if error is None:
            connection.execute(delete(delivery_table).where(delivery_table.c.id == delivery_id))
            error = save(site, unit, row.plugin, row.hook)
    finally:
        with contextlib.suppress(SQLAlchemyError):  # of a transaction that the plugin has spoilt
            unit.session.close()
    if error is not None:
        _postpone(site, row, error)
    return 1


def save(site: Site, unit: Unit, plugin: str, what: str) -> str | None:
    """Commit what a plugin did in a unit; None, or why that failed: what cannot be saved is its fault too."""
    why = ["it took too long"]

    def flush() -> bool:
        try:
            unit.flush()
        except (Exception, SystemExit) as failure:
            why[0] = f"{type(failure).__name__}: {failure}"
            raise
        return True

    if not site.hooks.shielded(plugin, f"{what}, when it was saved", flush, False):
        return why[0]
    try:
        unit.commit()
    except (Exception, SystemExit) as failure:  # a constraint that is checked last, or the database is away
        log.exception("%s on %s could not be saved", plugin, what)
        return f"{type(failure).__name__}: {failure}"
    return None


def _tell(site: Site, unit: Unit, row: Any) -> str | None:
    spec = site.hooks.specs.get(row.hook)
    if spec is None or row.plugin not in site.hooks.listeners(spec):
        return None  # the plugin no longer listens: there is nobody to tell
    arguments = dict(row.arguments)
    if row.seq is not None:
        change = unit.session.connection().execute(select(change_log).where(change_log.c.seq == row.seq)).one()
        entity = site.entities.get(change.entity)
        record = unit.session.get(entity, change.record_id) if entity is not None else None
        if record is None:
            return None  # gone in the meantime
        told = _arguments(site, unit, row.hook, record, change)
        if told is None:
            return None
        arguments = told
    return site.hooks.notify(row.plugin, spec, **arguments, session=unit.session)


def _arguments(site: Site, unit: Unit, hook: str, record: Any, change: Any) -> dict[str, Any] | None:
    """What a hook gets; None when what it would be about is gone."""
    if hook == "transition_applied":
        stage, entity = entity_class("stage"), site.entities.get(record.entity)
        moved = unit.session.get(entity, record.record_id) if entity is not None else None
        if moved is None:
            return None
        return {
            "record": moved,
            "source": unit.session.get(stage, record.source_id),
            "target": unit.session.get(stage, record.target_id),
        }
    arguments = {change.entity: record}
    if hook == "message_status_changed":
        return {**arguments, "status": change.changes.get("state", ("", record.state))[1]}
    if change.action == "updated":
        arguments["changes"] = change.changes
    return arguments


def _postpone(site: Site, row: Any, error: str) -> None:
    attempts = row.attempts + 1
    values: dict[str, Any] = {"attempts": attempts, "error": error[:2000]}
    if attempts >= MAX_ATTEMPTS:
        values["state"] = "dead"
        log.error("%s could not be told %s after %d attempts: %s", row.plugin, row.hook, attempts, error)
    else:
        values["due_at"] = utcnow() + dt.timedelta(seconds=min(5 * 4**attempts, 6 * 3600))
    with site.db.write() as connection:
        connection.execute(update(delivery_table).where(delivery_table.c.id == row.id).values(**values))
