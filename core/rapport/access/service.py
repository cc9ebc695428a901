"""Accounts: making users, checking passwords and second factors, tokens for programs, and who an actor is."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Column, Connection, Index, Integer, Table, Text, delete, func, insert, select, update

from rapport.access.actors import Actor, Reach, widest
from rapport.access.model import Membership, Role, Team, Token, User, UserRole
from rapport.db.tables import metadata
from rapport.entities import table_of, utcnow
from rapport.entities.types import Instant
from rapport.errors import Conflict, Invalid, NotFound, Problem
from rapport.i18n.catalogs import _

if TYPE_CHECKING:
    from rapport.records import Unit

MIN_PASSWORD = 10
TOKEN_PREFIX = "rpt_"  # noqa: S105 - not a secret: it lets scanners recognise ours
TRIES = 8
WINDOW = dt.timedelta(minutes=10)

attempt_table = Table(
    "sign_in_attempt",
    metadata,
    Column("id", Integer, primary_key=True),
    # "email:…" or "ip:…": tries are counted by account and by address, across all workers
    Column("key", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index("ix_sign_in_attempt_key", "key", "at"),
)


class Passwords:
    """argon2id with the library's recommended cost; cheap in tests, where many users are made."""

    def __init__(self, *, cheap: bool) -> None:
        self._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1) if cheap else PasswordHasher()
        self._nobody = _hash_of_nothing(self._hasher)

    def hash(self, password: str) -> str:
        """The text to keep instead of the password."""
        return self._hasher.hash(password)

    def matches(self, password: str, kept: str) -> bool:
        """Whether it is the password. An unknown user costs the same time, so that timing tells nothing."""
        try:
            self._hasher.verify(kept or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return bool(kept)


def _hash_of_nothing(hasher: PasswordHasher) -> str:
    """A hash that costs as much to compare with as any, and that no password has; made without hashing, since every
    command of the command line opens a site."""

    def noise(length: int) -> str:
        return base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")

    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${cost}${noise(hasher.salt_len)}${noise(hasher.hash_len)}"


def check_password_rules(password: str, user: User) -> None:
    """Length counts, not ornaments; one's own name or address is no secret."""
    if len(password) < MIN_PASSWORD:
        raise Invalid(Problem("password", _("is too short: use at least %(least)s characters.", least=MIN_PASSWORD)))
    if len(password) > 1000:
        raise Invalid(Problem("password", _("is too long.")))
    if password.casefold() in {user.email.casefold(), user.name.casefold()} or len(set(password)) < 4:
        raise Invalid(Problem("password", _("is too easy to guess.")))


def create_user(
    unit: Unit, *, name: str, email: str, password: str = "", roles: Iterable[str] = ("member",),
    teams: Iterable[Team] = (), **values: Any,
) -> User:  # fmt: skip
    """Make somebody who can sign in. Without a password they set one by a reset link."""
    user = unit.create(User, {"name": name, "email": email, **values})
    user.stamp = secrets.token_urlsafe(12)
    if password:
        set_password(unit, user, password)
    for role in roles:
        unit.create(UserRole, {"user_id": user.id, "role": role})
    for team in teams:
        unit.create(Membership, {"user_id": user.id, "team_id": team.id})
    return user


def set_password(unit: Unit, user: User, password: str) -> None:
    """Give a user a new password; sessions and links made before stop working."""
    check_password_rules(password, user)
    user.password_hash = unit.site.passwords.hash(password)
    end_sessions(unit, user)


def end_sessions(unit: Unit, user: User) -> None:
    """Let no session and no link that was made before count any more."""
    user.stamp = secrets.token_urlsafe(12)
    unit.flush()


def find_user(connection: Connection, email: str) -> Any | None:
    """The active user with this address, as a row."""
    users = table_of(User)
    return connection.execute(
        select(users).where(users.c.email == email.strip().lower(), users.c.active, users.c.archived_at.is_(None))
    ).one_or_none()


def too_many_tries(connection: Connection, keys: Iterable[str]) -> bool:
    """Whether one of the keys has failed too often lately."""
    since = utcnow() - WINDOW
    counted = select(func.count()).where(attempt_table.c.at > since)
    return any((connection.scalar(counted.where(attempt_table.c.key == key)) or 0) >= TRIES for key in keys)


def note_failure(connection: Connection, keys: Iterable[str]) -> None:
    """Count a failed try, and forget those long past."""
    now = utcnow()
    connection.execute(delete(attempt_table).where(attempt_table.c.at < now - dt.timedelta(days=1)))
    connection.execute(insert(attempt_table), [{"key": key, "at": now} for key in keys])


def forget_failures(connection: Connection, key: str) -> None:
    """A successful sign-in clears the account's count."""
    connection.execute(delete(attempt_table).where(attempt_table.c.key == key))


def totp_matches(secret: str, code: str) -> bool:
    """Whether a six-digit code fits now, or did half a minute ago."""
    return pyotp.TOTP(secret).verify(code.replace(" ", ""), valid_window=1)


def create_token(
    unit: Unit, user: User, *, name: str, scopes: Iterable[str] = (), expires_at: dt.datetime | None = None
) -> str:
    """Make an API token and return it: the only time it can be seen."""
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token, problems = unit.build(
        Token,
        {"user_id": user.id, "name": name, "scopes": tuple(scopes), "expires_at": expires_at,
         "token_hash": token_hash(secret)},
    )  # fmt: skip
    if problems:
        raise Invalid(problems)
    unit.session.add(token)
    unit.flush()
    return secret


def token_hash(secret: str) -> str:
    """Tokens are long and random, so a plain hash is enough to keep them by."""
    return hashlib.sha256(secret.encode()).hexdigest()


def find_token(connection: Connection, secret: str) -> Any | None:
    """The live token behind a secret, as a row."""
    tokens = table_of(Token)
    row = connection.execute(
        select(tokens.c.user_id, tokens.c.scopes, tokens.c.expires_at, tokens.c.id).where(
            tokens.c.token_hash == token_hash(secret), tokens.c.archived_at.is_(None)
        )
    ).one_or_none()
    return None if row is None or (row.expires_at is not None and row.expires_at <= utcnow()) else row


def load_actor(connection: Connection, user_id: UUID, defaults: Mapping[str, Mapping[str, Reach]]) -> Actor | None:
    """The actor a user is right now; None when they may no longer sign in. `defaults`: the roles' built-in grants."""
    users, memberships, user_roles = table_of(User), table_of(Membership), table_of(UserRole)
    row = connection.execute(
        select(users).where(users.c.id == user_id, users.c.active, users.c.archived_at.is_(None))
    ).one_or_none()
    if row is None:
        return None
    teams = connection.scalars(
        select(memberships.c.team_id).where(memberships.c.user_id == user_id, memberships.c.archived_at.is_(None))
    ).all()
    names = connection.scalars(
        select(user_roles.c.role).where(user_roles.c.user_id == user_id, user_roles.c.archived_at.is_(None))
    ).all()
    return Actor(
        id=user_id,
        name=row.name,
        email=row.email,
        grants=widest(_grants_of_roles(connection, names, defaults)),
        team_ids=frozenset(teams),
        roles=frozenset(names),
        is_admin="admin" in names,
        language=row.language,
        time_zone=row.time_zone,
        calendar=row.calendar,
    )


def _grants_of_roles(
    connection: Connection, names: Iterable[str], defaults: Mapping[str, Mapping[str, Reach]]
) -> list[dict[str, Reach]]:
    """What each role grants: its built-in word, with what an administrator decided on top."""
    roles = table_of(Role)
    wanted = list(names)
    decided = {
        row.name: row.grants
        for row in connection.execute(select(roles.c.name, roles.c.grants).where(roles.c.name.in_(wanted)))
    }
    result = []
    for name in wanted:
        grants = {**defaults.get(name, {}), **(decided.get(name) or {})}
        result.append({permission: reach for permission, reach in grants.items() if reach})
    return result


def remove_role(unit: Unit, user: User, role: str) -> None:
    """Take a role away; the last administrator keeps theirs, so that nobody is locked out."""
    reader = unit.reader
    held = reader.all(UserRole, UserRole.user_id == user.id, UserRole.role == role)
    if not held:
        raise NotFound(_("%(name)s does not have the role '%(role)s'.", name=user.name, role=role))
    if role == "admin" and len(_active_admins(reader)) <= 1:
        raise Conflict(_("%(name)s is the last administrator. Make somebody else administrator first.", name=user.name))
    for each in held:
        unit.delete(each)


def _active_admins(reader: Any) -> list[UserRole]:
    active = select(User.id).where(User.active, User.archived_at.is_(None))
    return list(reader.all(UserRole, UserRole.role == "admin", UserRole.user_id.in_(active)))


def keep_an_admin(connection: Connection) -> None:
    """Conflict when a change would leave nobody who can administer the site. Checked by every unit that could."""
    users, roles = table_of(User), table_of(UserRole)
    left = connection.scalar(
        select(func.count())
        .select_from(roles.join(users, users.c.id == roles.c.user_id))
        .where(roles.c.role == "admin", roles.c.archived_at.is_(None), users.c.active, users.c.archived_at.is_(None))
    )
    if not left:
        raise Conflict(_("This would leave no administrator. Make somebody else administrator first."))


def deactivate(unit: Unit, user: User) -> None:
    """Stop somebody from signing in, at once and everywhere; their records stay theirs until handed over."""
    admins = _active_admins(unit.reader)
    if len(admins) == 1 and admins[0].user_id == user.id:
        raise Conflict(_("%(name)s is the last administrator. Make somebody else administrator first.", name=user.name))
    user.active = False
    user.stamp = secrets.token_urlsafe(12)
    unit.session.connection().execute(
        update(table_of(Token)).where(table_of(Token).c.user_id == user.id).values(archived_at=utcnow())
    )
    unit.flush()
