"""Feeds: an address under which another calendar reads one's appointments or a team's, until it is revoked."""

from __future__ import annotations

import datetime as dt
import secrets
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import select

from rapport import Forbidden, Membership, Reader, Site, Team, User, system, utcnow
from rapport_calendar.entities import Appointment, Attendee, Feed
from rapport_calendar.ical import write
from rapport_calendar.occurrences import MOST, of_people, within

BACK, AHEAD = dt.timedelta(days=365), dt.timedelta(days=730)
HOURS = 1


def make(site: Site, user_id: UUID, *, team_id: UUID | None, name: str) -> Feed:
    """A new feed of a user's own appointments, or of a team's as that user may read them."""
    with site.write(system("calendar feed")) as unit:
        if team_id is not None and not _is_in(unit.reader, user_id, team_id):
            raise Forbidden("calendar.feed.create", "One makes feeds of one's own teams.")
        feed = unit.create(Feed, {"user_id": user_id, "team_id": team_id, "name": name[:200]})
        feed.stamp = secrets.token_urlsafe(16)
        return feed


def _is_in(reader: Reader, user_id: UUID, team_id: UUID) -> bool:
    here = (Membership.user_id == user_id, Membership.team_id == team_id, Membership.archived_at.is_(None))
    return bool(reader.all(Membership, *here, limit=1))


def of_user(site: Site, user_id: UUID) -> list[Feed]:
    """A user's feeds that still lead somewhere."""
    with site.read(system("calendar feeds")) as reader:
        return reader.all(Feed, Feed.user_id == user_id, Feed.archived_at.is_(None), limit=50)


def revoke(site: Site, user_id: UUID, feed_id: UUID) -> bool:
    """Let the address of a feed lead nowhere, for good. False when it is not this user's."""
    with site.write(system("calendar feed revoked")) as unit:
        found = unit.reader.all(Feed, Feed.id == feed_id, Feed.user_id == user_id)
        for feed in found:
            feed.stamp = ""
            unit.archive(feed)
        return bool(found)


def address(site: Site, feed: Feed) -> str:
    """The address of a feed: whoever knows it reads, so it is shown to its user only."""
    return f"{site.config.base_url.rstrip('/')}/calendar/feed/{_signer(site).dumps([feed.id.hex, feed.stamp])}.ics"


def content(site: Site, token: str) -> bytes | None:
    """What the address of a feed answers with; None when it leads nowhere, or its user may no longer sign in."""
    try:
        feed_id, stamp = _signer(site).loads(token)
        with site.read(system("calendar feed")) as reader:
            found = reader.all(Feed, Feed.id == UUID(feed_id), Feed.archived_at.is_(None))
    except (BadSignature, ValueError, TypeError):
        return None
    if not found or not found[0].stamp or not secrets.compare_digest(found[0].stamp, str(stamp)):
        return None
    feed = found[0]
    actor = site.actor(feed.user_id)
    if actor is None or not actor.may("calendar.appointment.read"):
        return None
    with site.read(actor) as reader:
        if feed.team_id is None:
            return file_of(reader, [feed.user_id], feed.name or actor.name)
        if not _is_in(reader, feed.user_id, feed.team_id):
            return None
        return file_of(reader, members(reader, feed.team_id), feed.name or reader.get(Team, feed.team_id).name)


def members(reader: Reader, team_id: UUID) -> list[UUID]:
    """The people of a team."""
    here = (Membership.team_id == team_id, Membership.archived_at.is_(None))
    return [each.user_id for each in reader.all(Membership, *here, limit=200)]


def file_of(reader: Reader, people: list[UUID], name: str) -> bytes:
    """The appointments of these people for a year back and two ahead, as far as the reader may see them."""
    now = utcnow()
    found = reader.all(
        Appointment, *within(now - BACK, now + AHEAD), of_people(people),
        order=(Appointment.starts_at.desc(), Appointment.id), limit=MOST,
    )  # fmt: skip
    return written(reader, [each for each in found if not _hidden(reader, each)], name=name, hours=HOURS)


def _hidden(reader: Reader, appointment: Appointment) -> bool:
    """What is private stays so for administrators too, whose reader is limited in nothing."""
    return appointment.private and reader.actor.unlimited and appointment.owner_id != reader.actor.id


def written(
    reader: Reader, appointments: list[Appointment], *, name: str = "", hours: int = 0, method: str = ""
) -> bytes:
    """Appointments as a file, with who attends them and whose they are: three queries, however many there are."""
    people: dict[UUID, list[Attendee]] = {}
    here = select(Attendee).where(
        Attendee.appointment_id.in_([each.id for each in appointments]), Attendee.archived_at.is_(None)
    )
    for attendee in reader.session.scalars(here.order_by(Attendee.id)):
        people.setdefault(attendee.appointment_id, []).append(attendee)
    owners = reader.session.scalars(select(User).where(User.id.in_({each.owner_id for each in appointments})))
    organizers = {each.id: (each.name, each.email) for each in owners}
    return write(appointments, name=name, people=people, organizers=organizers, hours=hours, method=method)


def _signer(site: Site) -> URLSafeSerializer:
    return URLSafeSerializer(site.config.secret_key, salt="calendar-feed")
