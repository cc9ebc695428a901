"""How mailboxes fare: when each was last looked into, what is wrong, and how much still waits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from rapport import Reader, utcnow
from rapport import gettext as _
from rapport_email.entities import Account, Place

LATE = dt.timedelta(minutes=15)
"""A mailbox that was not looked into for so long is not looked into at all."""


def places_of(reader: Reader, account_ids: Iterable[UUID]) -> Mapping[UUID, Sequence[Place]]:
    """The folders of accounts with how they fare, by account; sending is the folder without a name."""
    found: dict[UUID, list[Place]] = {}
    for place in reader.all(Place, Place.account_id.in_(list(account_ids)), order=(Place.folder, Place.id)):
        found.setdefault(place.account_id, []).append(place)
    return found


def troubled(reader: Reader) -> Mapping[str, Any]:
    """The accounts that do not fare well, for the page on which everybody begins; each with one reason."""
    accounts = reader.all(Account, Account.active.is_(True), Account.archived_at.is_(None))
    places = places_of(reader, [each.id for each in accounts])
    found = [(each, trouble) for each in accounts if (trouble := trouble_of(each, places.get(each.id, [])))]
    return {"troubled": found}


def trouble_of(account: Account, places: Sequence[Place]) -> str:
    """What is wrong with an account; empty when nothing is."""
    for place in places:
        if place.error:
            return place.error
    seen = [place.seen_at for place in places if place.folder and place.seen_at is not None]
    if account.imap_host and seen and max(seen) < utcnow() - LATE:
        return _("It was not looked into for a while. Is a worker running?")
    return ""
