"""Users, teams, roles and API tokens."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from rapport.entities import Choice, Entity, field, ref
from rapport.i18n.catalogs import LANGUAGES

LANGUAGE_CHOICES = [Choice(language.code, language.name) for language in LANGUAGES.values()]
EVERYONE = {"manager": "read", "member": "read", "viewer": "read"}


class Team(Entity, name="team", title="Team", icon="users-group", roles=EVERYONE):
    """People who share customers and work."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)


class User(Entity, name="user", title="User", icon="user", roles=EVERYONE):
    """Somebody who signs in."""

    name: Mapped[str] = field(label="Name", searchable=True, in_list=True)
    email: Mapped[str] = field(label="E-mail", kind="email", unique=True, searchable=True, in_list=True)
    active: Mapped[bool] = field(label="Active", default=True, in_list=True)
    language: Mapped[str] = field(label="Language", choices=LANGUAGE_CHOICES, default="en")
    time_zone: Mapped[str] = field(label="Time zone", default="UTC")
    calendar: Mapped[str] = field(
        label="Calendar",
        choices=[
            Choice("", "As usual in the language"),
            Choice("gregorian", "Gregorian calendar"),
            Choice("persian", "Persian calendar"),
            Choice("hebrew", "Hebrew calendar"),
        ],
        default="",
    )
    theme: Mapped[str] = field(
        label="Theme", choices=[Choice("auto", "As the device"), Choice("light", "Light"), Choice("dark", "Dark")],
        default="auto",
    )  # fmt: skip
    password_hash: Mapped[str] = field(secret=True, readonly=True, default="")
    totp_secret: Mapped[str] = field(secret=True, readonly=True, default="")
    stamp: Mapped[str] = field(secret=True, readonly=True, default="")
    """Changes with the password and on "sign out everywhere": sessions and reset links made before stop working."""
    last_seen_at: Mapped[dt.datetime | None] = field(label="Last seen", readonly=True)


class Membership(Entity, name="membership", title="Membership", icon="users", roles=EVERYONE, listed=False):
    """A user belongs to a team."""

    __table_args__ = (UniqueConstraint("user_id", "team_id"),)
    user_id: Mapped[UUID] = ref("user")
    team_id: Mapped[UUID] = ref("team")


class Role(Entity, name="role", title="Role", icon="shield", listed=False, natural_key=("name",)):
    """What people with this role may do. `grants` replaces the entities' own word for the permissions it names."""

    name: Mapped[str] = field(label="Name", unique=True, in_list=True)
    title: Mapped[str] = field(label="Title", default="", in_list=True)
    grants: Mapped[dict[str, Any]] = field(label="Permissions", kind="json", default=dict)
    """Permission to "all", "team", "own", or null for none."""


class UserRole(
    Entity, name="user_role", title="Role of a user", plural="Roles of users", icon="shield-check", listed=False
):
    """A user has a role, by its name."""

    __table_args__ = (UniqueConstraint("user_id", "role"),)
    user_id: Mapped[UUID] = ref("user")
    role: Mapped[str] = field(label="Role")


class Token(Entity, name="token", title="API token", icon="key", listed=False):
    """A key for programs. Only its hash is kept; it can do what its user can, within its scopes."""

    past_log = True  # when it was last used

    user_id: Mapped[UUID] = ref("user")
    name: Mapped[str] = field(label="Name", in_list=True)
    token_hash: Mapped[str] = field(secret=True, readonly=True, unique=True)
    scopes: Mapped[tuple[str, ...]] = field(label="Scopes", kind="tags", in_list=True)
    expires_at: Mapped[dt.datetime | None] = field(label="Expires", in_list=True)
    last_used_at: Mapped[dt.datetime | None] = field(label="Last used", readonly=True, in_list=True)
