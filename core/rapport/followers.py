"""Following the log of changes: each follower has its place in it, and gets every change once, in order.

The place moves in the same transaction as what the follower does, so it is exactly once whatever process dies when.
A follower that fails is tried again with growing pauses; the others do not wait for it. What still fails then is set
aside, where an administrator finds it and has it followed again, and the follower goes on.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    Row,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from rapport.access import system
from rapport.db.tables import metadata
from rapport.entities.types import Instant, utcnow
from rapport.errors import NotFound
from rapport.events import save
from rapport.i18n.catalogs import _
from rapport.records.log import Logged, change_log, kind_logged, logged, settle

if TYPE_CHECKING:
    from rapport.contributions import Follower
    from rapport.records import Unit
    from rapport.site import Site

log = logging.getLogger("rapport.followers")
AT_ONCE = 100
"""How many changes a follower gets in one unit at most."""
MAX_ATTEMPTS = 5
STRIDE = 1000
"""A place is moved past changes nobody wants only every so many, which costs one write."""

follower_table = Table(
    "follower",
    metadata,
    Column("name", Text, primary_key=True),
    # The last change it has followed, or that it does not want
    Column("seq", BigInteger, nullable=False),
    # Some change up to here failed in company: until then they are followed one by one
    Column("careful_to", BigInteger, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", Instant, nullable=False),
    Column("error", Text, nullable=False, default=""),
)

set_aside_table = Table(
    "follower_set_aside",
    metadata,
    # Changes that a follower failed to follow again and again
    Column("name", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("error", Text, nullable=False),
)

_BEHIND = select(follower_table).where(
    follower_table.c.name.in_(bindparam("names", expanding=True)),
    follower_table.c.seq < select(func.max(change_log.c.seq)).scalar_subquery(),
    follower_table.c.due_at <= bindparam("now"),
)
_WANTED = (
    select(change_log)
    .where(
        change_log.c.seq > bindparam("after"),
        change_log.c.seq <= bindparam("end"),
        kind_logged().in_(bindparam("kinds", expanding=True)),
    )
    .order_by(change_log.c.seq)
    .limit(bindparam("most"))
)


def take_places(site: Site) -> None:
    """Give followers that are new here a place at the end of the log: what happened before is not their business."""
    with site.db.read() as connection:
        known = set(connection.scalars(select(follower_table.c.name)))
    if not (new := [name for name in site.followers.names() if name not in known]):
        return
    dialect: Any = sqlite if site.db.is_sqlite else postgresql
    with site.db.write() as connection:
        end, now = _end(connection), utcnow()
        connection.execute(
            dialect.insert(follower_table).on_conflict_do_nothing(),
            [{"name": name, "seq": end, "due_at": now} for name in new],
        )


def forget_places(connection: Connection, plugin: str) -> None:
    """Forget where the followers of a plugin stood: it is purged, or was off and must not hear what it missed."""
    for table in (follower_table, set_aside_table):
        connection.execute(delete(table).where(table.c.name.startswith(f"{plugin}.", autoescape=True)))


def follow(site: Site) -> int:
    """Give every follower that is behind its next changes; returns how many were given some.

    Safe to run in many processes at once: who has a follower's place locked is the only one who moves it.
    """
    behind = _behind(site)
    if not behind:
        return 0
    with site.db.read() as connection:
        settle(connection)
        end = _end(connection)
    return sum(_follow_one(site, site.followers[place.name], place, end) for place in behind)


def follow_all(site: Site) -> None:
    """Follow until nobody is behind: for tests and the command line, where no worker runs."""
    while follow(site):
        pass


def follow_again(site: Site, name: str, seq: int) -> str | None:
    """Have a change followed that was set aside; None when that worked, else why not: then it stays set aside."""
    follower = site.followers[name]
    one = (set_aside_table.c.name == name, set_aside_table.c.seq == seq)
    unit = _unit(site, name)
    try:
        connection = unit.session.connection()
        if connection.execute(delete(set_aside_table).where(*one)).rowcount != 1:
            raise NotFound(_("There is no such change set aside."))
        change = connection.execute(select(change_log).where(change_log.c.seq == seq)).one()
        error = _give(site, unit, follower, [logged(change)])
    finally:
        _close(unit)
    if error is not None:
        with site.db.write() as connection:
            connection.execute(update(set_aside_table).where(*one).values(error=error[:2000], at=utcnow()))
    return error


def drop_set_aside(connection: Connection, name: str, seq: int) -> None:
    """Let a change that was set aside go for good."""
    one = (set_aside_table.c.name == name, set_aside_table.c.seq == seq)
    connection.execute(delete(set_aside_table).where(*one))


def _behind(site: Site) -> Sequence[Row[Any]]:
    if not len(site.followers):
        return []
    names = [name for name in site.followers.names() if site.followers.owner(name) not in site.hooks.out]
    with site.db.read() as connection:
        return connection.execute(_BEHIND, {"names": names, "now": utcnow()}).all()


def _end(connection: Connection) -> int:
    return connection.scalar(select(func.max(change_log.c.seq))) or 0


def _follow_one(site: Site, follower: Follower, seen: Row[Any], end: int) -> int:
    plugin = site.followers.owner(follower.name)
    wants = site.hooks.shielded(
        plugin, f"{follower.name}, asked what it wants", lambda: set(follower.wants(site)), None
    )
    if wants is None:
        return 0  # the failure is logged and counted; its place stays
    asked = {"after": seen.seq, "end": end, "kinds": sorted(wants)}
    if not wants or not _any(site, asked):
        if end - seen.seq >= STRIDE:
            with site.db.write() as connection:
                connection.execute(update(follower_table).where(*_at(seen)).values(seq=end))
        return 0
    unit = _unit(site, follower.name)
    changes: list[Logged] = []
    try:
        connection = unit.session.connection()
        claim = select(follower_table).where(*_at(seen), follower_table.c.due_at <= utcnow())
        place = connection.execute(claim.with_for_update(skip_locked=True)).one_or_none()
        if place is None:
            return 0  # another worker is at it
        limit = 1 if place.seq < place.careful_to else AT_ONCE
        found = [logged(row) for row in connection.execute(_WANTED, {**asked, "most": limit})]
        changes = list(itertools.takewhile(lambda change: change.depth == found[0].depth, found))
        to = end if len(changes) < limit and len(changes) == len(found) else changes[-1].seq
        connection.execute(update(follower_table).where(*_at(seen)).values(seq=to, attempts=0, error=""))
        error = _give(site, unit, follower, changes)
    finally:
        _close(unit)
    if error is not None:
        _postpone(site, place, changes, error)
    return 1


def _any(site: Site, asked: Mapping[str, Any]) -> bool:
    """Looking costs no write lock."""
    with site.db.read() as connection:
        return connection.execute(_WANTED, {**asked, "most": 1}).first() is not None


def _at(place: Row[Any]) -> tuple[Any, ...]:
    return follower_table.c.name == place.name, follower_table.c.seq == place.seq


def _unit(site: Site, name: str) -> Unit:
    return site.write(system(f"{site.followers.owner(name)}, following").through("plugin"))


def _give(site: Site, unit: Unit, follower: Follower, changes: Sequence[Logged]) -> str | None:
    plugin = site.followers.owner(follower.name)
    unit.depth = changes[0].depth + 1
    error = site.hooks.follow(plugin, follower.name, lambda: follower.follow(unit, changes), unit.session)
    return error if error is not None else save(site, unit, plugin, follower.name)


def _close(unit: Unit) -> None:
    with contextlib.suppress(SQLAlchemyError):  # of a transaction that the plugin has spoilt
        unit.session.close()


def _postpone(site: Site, place: Row[Any], changes: Sequence[Logged], error: str) -> None:
    now, attempts = utcnow(), place.attempts + 1
    with site.db.write() as connection:
        if len(changes) > 1:  # which of them is it? One by one, at once
            values: dict[str, Any] = {"careful_to": changes[-1].seq}
        elif attempts < MAX_ATTEMPTS:
            pause = dt.timedelta(seconds=4**attempts)
            values = {"attempts": attempts, "error": error[:2000], "due_at": now + pause}
        else:
            values = {"seq": changes[0].seq, "attempts": 0, "error": ""}
        moved = connection.execute(update(follower_table).where(*_at(place)).values(**values))
        if "seq" in values and moved.rowcount:
            log.error("%s cannot follow change %d, which is set aside: %s", place.name, changes[0].seq, error)
            connection.execute(
                insert(set_aside_table).values(name=place.name, seq=changes[0].seq, at=now, error=error[:2000])
            )
