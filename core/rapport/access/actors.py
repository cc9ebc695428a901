"""Actors: everything done is done by somebody, with that somebody's rights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from rapport.entities.base import EntityMeta
from rapport.errors import Forbidden
from rapport.i18n.catalogs import N_, _

Reach = Literal["all", "team", "own"]
REACHES: tuple[Reach, ...] = ("own", "team", "all")
BUILTIN_ROLES = {
    "admin": N_("Everything, including users, plugins and settings"),
    "manager": N_("All records of the business"),
    "member": N_("Daily work with one's own and one's team's records"),
    "viewer": N_("Reading only"),
}
ADMINISTRATIVE = frozenset({"user", "membership", "role", "user_role", "token"})
"""Who may change these could give themselves any right. So no role grants it: only administrators may."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is asking, with their rights as they stood a moment ago.

    `grants` maps a permission ("customer.update") to how far it reaches: "all" rows, the "team"'s, or one's "own".
    """

    id: UUID | None
    name: str
    grants: Mapping[str, Reach] = field(default_factory=dict)
    team_ids: frozenset[UUID] = frozenset()
    roles: frozenset[str] = frozenset()
    is_admin: bool = False
    """Administrators and the system itself: every permission, every row."""
    email: str = ""
    language: str = "en"
    time_zone: str = "UTC"
    calendar: str = ""
    via: str = "web"
    """How they came: web, api, cli, import, plugin. The audit keeps it."""
    scopes: frozenset[str] | None = None
    """For API tokens: the permissions the token is limited to; None means no limit."""
    customer_id: UUID | None = None
    """Set for a customer who is signed in to a portal: whatever they are granted, they reach only what is theirs."""
    kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What follows from these rights and takes time to work out; a copy with other rights begins with nothing."""

    def reach(self, permission: str) -> Reach | None:
        """How far a permission reaches for this actor; None when they do not have it."""
        if self.scopes is not None and not _covered(permission, self.scopes):
            return None
        if self.is_admin:
            return "all"
        reach = self.grants.get(permission)
        if reach is not None and permission.rpartition(".")[0] in ADMINISTRATIVE and not permission.endswith(".read"):
            return None
        return reach

    @property
    def unlimited(self) -> bool:
        """Whether every row of everything is within reach."""
        return self.is_admin and self.scopes is None

    def may(self, permission: str) -> bool:
        """Whether the actor has a permission at all, for whichever rows."""
        return self.reach(permission) is not None

    def require(self, permission: str) -> None:
        """Forbidden unless the actor has the permission."""
        if self.may(permission):
            return
        if self.scopes is not None and replace(self, scopes=None).may(permission):
            text = _("You may, but your token's scopes leave out '%(permission)s'. Make a token with that scope.")
        else:
            text = _("You need the permission '%(permission)s'. Ask an administrator for a role with it.")
        raise Forbidden(permission, text % {"permission": permission})

    def has_rights_of(self, other: Actor) -> bool:
        """Whether both may do the same, whatever else they are."""
        return all(getattr(self, each) == getattr(other, each) for each in _RIGHTS)

    def through(self, via: str) -> Actor:
        """The same actor, working by another way."""
        return replace(self, via=via)


_RIGHTS = ("id", "grants", "team_ids", "is_admin", "scopes", "customer_id")


def _covered(permission: str, scopes: Iterable[str]) -> bool:
    """Scopes are permissions, `sales.opportunity.read`; `sales.opportunity.*`, `*.read` and `*` cover many."""
    entity, _, action = permission.rpartition(".")
    return any(scope in {"*", permission, f"{entity}.*", f"*.{action}"} for scope in scopes)


def system(reason: str) -> Actor:
    """Rapport acting by itself, for a reason that the audit shows."""
    return Actor(id=None, name=reason, is_admin=True, via="system")


def parse_grants(meta: EntityMeta, text: str) -> dict[str, Reach]:
    """`"read create update:own"` for sales.deal → {"sales.deal.read": "all", …, "sales.deal.update": "own"}."""
    grants: dict[str, Reach] = {}
    for word in text.split():
        action, _, reach = word.partition(":")
        if action not in meta.actions or (reach or "all") not in REACHES:
            raise ValueError(
                f"{meta.name}: '{word}' is no grant. Write an action ({', '.join(meta.actions)}), "
                f"with :own or :team to limit its rows."
            )
        grants[meta.permission(action)] = next(r for r in REACHES if r == (reach or "all"))
    return grants


def default_grants(metas: Iterable[EntityMeta]) -> dict[str, dict[str, Reach]]:
    """What each role may do by the entities' own word, before an administrator changes it."""
    roles: dict[str, dict[str, Reach]] = {role: {} for role in BUILTIN_ROLES if role != "admin"}
    for meta in metas:
        for role, text in meta.roles.items():
            roles.setdefault(role, {}).update(parse_grants(meta, text))
    return roles


def widest(grants: Iterable[Mapping[str, Reach]]) -> dict[str, Reach]:
    """The grants of several roles together: the widest reach of each permission."""
    together: dict[str, Reach] = {}
    for each in grants:
        for permission, reach in each.items():
            if REACHES.index(reach) >= REACHES.index(together.get(permission, "own")):
                together[permission] = reach
    return together
