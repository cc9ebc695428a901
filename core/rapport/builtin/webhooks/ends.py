"""What both ends of Rapport have in common, the one that tells and the one that hears: a secret, and whose rights."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect
from sqlalchemy.orm import Mapped

from rapport.access import Actor
from rapport.builtin.webhooks.signing import new_secret
from rapport.entities import Owned, field, utcnow
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import _

if TYPE_CHECKING:
    from rapport.site import Site

FORMER_FOR = dt.timedelta(days=1)


class Ended(Owned):
    """Something that works by itself with the rights of its owner, and proves itself by a secret."""

    former_until: Mapped[dt.datetime | None] = field(label="Former secret valid until", readonly=True)
    secret: Mapped[str] = field(secret=True, readonly=True, default="")
    former_secret: Mapped[str] = field(secret=True, readonly=True, default="")
    scopes: Mapped[list[Any] | None] = field(secret=True, readonly=True, kind="json", default=None)
    """The limits of the token it was last saved with: it must not do more than that token could."""

    def keep_honest(self, actor: Actor) -> None:
        """It must not become a way to what somebody else may do: only its owner and administrators change it."""
        if actor.id is not None:
            before = inspect(self).attrs.owner_id.history.deleted
            if {self.owner_id, *before} - {actor.id, None} and not actor.is_admin:
                raise Invalid(Problem("owner_id", _("must be you: it has the rights of its owner.")))
            scopes = None if actor.scopes is None else sorted(actor.scopes)
            if self.scopes != scopes:
                self.scopes = scopes
        if not self.secret:
            self.secret = new_secret()

    def secrets_at(self, now: dt.datetime) -> list[str]:
        """The secrets that are valid, the newest first."""
        former = self.former_secret and self.former_until is not None and self.former_until > now
        return [self.secret, self.former_secret] if former else [self.secret]

    def rotate(self) -> str:
        """A new secret; the present one stays valid for a day, so that the other end has time to learn it."""
        self.former_secret, self.former_until = self.secret, utcnow() + FORMER_FOR
        self.secret = new_secret()
        return self.secret

    def rights(self, site: Site) -> Actor | None:
        """Whose rights it has right now; None when its owner is gone."""
        owner = site.actor(self.owner_id) if self.owner_id is not None else None
        if owner is None or self.scopes is None:
            return owner
        return replace(owner, scopes=frozenset(self.scopes))
