"""Visits: how many people came to the portal and to the company's own web site, counted without knowing who they are.

What is kept are counts for a day, a page, a campaign and the site somebody came from. Whether it is somebody's first
page of the day tells a mark: a hash of address and browser with a salt of the day. Marks and salt are deleted when the
day is over, so that nobody can work out afterwards who came. Only of customers who agreed we keep who they were.
Whoever asks not to be tracked (DNT, GPC) is not counted at all.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Request
from sqlalchemy import Connection, Table, delete, func, insert, select, update
from sqlalchemy.orm import Mapped

from rapport import Entity, JobContext, Schedule, Site, field, ref, utcnow

MOST_LINES = 2000
"""So many kinds of lines a day are told apart; what somebody makes up beyond them counts as "other"."""
OTHER = "other"
OWN_SITE = "portal"
ROBOTS = re.compile(r"bot|crawl|spider|slurp|preview|monitor|curl|wget|python|headless", re.I)
CODE = re.compile(r"[\w.-]{1,60}")
LONGEST = 200


class Visit(
    Entity,
    name="portal.visit",
    title="Web visit",
    icon="world-www",
    listed=False,
    display="page",
    roles={"manager": "read export", "member": "read", "viewer": "read"},
):
    """A day's visits of one page, from one campaign and one place; with a customer only where they agreed to it."""

    past_log = True  # they are counted

    day: Mapped[dt.date] = field(label="Day", readonly=True, indexed=True, in_list=True)
    site: Mapped[str] = field(label="Web site", readonly=True, default="", in_list=True)
    page: Mapped[str] = field(label="Page", readonly=True, default="", in_list=True)
    campaign: Mapped[str] = field(label="Campaign", readonly=True, default="", indexed=True, in_list=True)
    referrer: Mapped[str] = field(label="Came from", readonly=True, default="")
    customer_id: Mapped[UUID | None] = ref("customer", readonly=True)
    visits: Mapped[int] = field(label="Visits", readonly=True, default=0, in_list=True)
    views: Mapped[int] = field(label="Pages seen", readonly=True, default=0, in_list=True)


class Visitor(Entity, name="portal.visitor", title="Visitor of today", listed=False, display="day", roles={}):
    """The mark of somebody who was here today, and the day's salt; both are gone tomorrow."""

    past_log = True  # they are counted

    day: Mapped[dt.date] = field(label="Day", readonly=True, indexed=True)
    mark: Mapped[str] = field(secret=True, readonly=True, default="", indexed=True)
    salt: Mapped[str] = field(secret=True, readonly=True, default="")


FORGET = Schedule("portal.forget_visitors", "portal.forget_visitors", "daily at 00:05")


@dataclass(frozen=True, slots=True)
class Seen:
    """A page that somebody opened."""

    site: str
    page: str
    campaign: str = ""
    referrer: str = ""
    customer_id: UUID | None = None


def may_count(request: Request) -> bool:
    """Whether somebody may be counted at all: not who asks not to be, and no program."""
    headers = request.headers
    declined = headers.get("DNT") == "1" or headers.get("Sec-GPC") == "1"
    agent = headers.get("User-Agent", "")
    return not declined and bool(agent) and not ROBOTS.search(agent)


def code_of(text: str) -> str:
    """A campaign's code as it may stand in an address; nothing for what is none."""
    return text if CODE.fullmatch(text) else ""


def host_of(address: str) -> str:
    """The web site an address belongs to: of where somebody came from, no more than that is kept."""
    try:
        return (urlsplit(address).hostname or "")[:LONGEST]
    except ValueError:
        return ""


def count(site: Site, seen: Seen, request: Request) -> None:
    """Count a page. These are counts, not records: they are added up where they lie, and no log says by whom."""
    visits = _table(Visit)
    day = today(site)
    with site.db.write() as connection:
        first = int(_is_first(connection, day, seen, request))
        if not _add(connection, day, seen, first):
            if (connection.scalar(select(func.count()).where(visits.c.day == day)) or 0) >= MOST_LINES:
                seen = Seen(seen.site, OTHER)
            if not _add(connection, day, seen, first):
                connection.execute(insert(visits).values(day=day, visits=first, views=1, **_line(seen)))


def _add(connection: Connection, day: dt.date, seen: Seen, first: int) -> bool:
    visits = _table(Visit)
    same = [visits.c.day == day, *(visits.c[name].is_not_distinct_from(value) for name, value in _line(seen).items())]
    more = update(visits).where(*same).values(views=visits.c.views + 1, visits=visits.c.visits + first)
    return connection.execute(more).rowcount > 0


def _line(seen: Seen) -> Mapping[str, Any]:
    return {
        "site": seen.site, "page": seen.page[:LONGEST], "campaign": seen.campaign, "referrer": seen.referrer,
        "customer_id": seen.customer_id,
    }  # fmt: skip


def _is_first(connection: Connection, day: dt.date, seen: Seen, request: Request) -> bool:
    """Whether it is the visitor's first page of this day on this web site."""
    visitors = _table(Visitor)
    salts = select(visitors.c.salt).where(visitors.c.day == day, visitors.c.mark == "").order_by(visitors.c.id)
    salt = connection.scalar(salts.limit(1))
    if salt is None:
        salt = secrets.token_hex(16)
        connection.execute(insert(visitors).values(day=day, mark="", salt=salt))
    who = "\n".join((salt, seen.site, request.remote_addr or "", request.headers.get("User-Agent", "")))
    mark = hashlib.sha256(who.encode()).hexdigest()[:32]
    known = select(visitors.c.id).where(visitors.c.day == day, visitors.c.mark == mark).limit(1)
    if connection.scalar(known) is not None:
        return False
    connection.execute(insert(visitors).values(day=day, mark=mark))
    return True


def forget_visitors(context: JobContext) -> None:
    """The job of every night: marks and salts of days that are over are deleted."""
    visitors = _table(Visitor)
    with context.site.db.write() as connection:
        connection.execute(delete(visitors).where(visitors.c.day < today(context.site)))


def forget_name(site: Site, customer_id: UUID) -> None:
    """A customer takes their consent back: the counts stay, who it was does not."""
    visits = _table(Visit)
    with site.db.write() as connection:
        connection.execute(update(visits).where(visits.c.customer_id == customer_id).values(customer_id=None))


def today(site: Site) -> dt.date:
    """The day at the place of business."""
    zone = site.settings.get("core.zone") or site.config.time_zone
    return utcnow().astimezone(ZoneInfo(zone)).date()


def _table(entity: type[Entity]) -> Table:
    return cast("Table", entity.__table__)
