"""On whose behalf a command works: the system's own, or a person's, with what that person may do and see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapport_cli.speak import Refusal

if TYPE_CHECKING:
    from rapport.access import Actor
    from rapport.site import Site


def acting(site: Site, command: str, email: str) -> Actor:
    """The actor of a command; Refusal when nobody of this address may sign in."""
    from rapport.access import User, system

    if not email:
        return system(f"rapport {command}").through("cli")
    with site.read(system(f"rapport {command}")) as reader:
        found = reader.all(User, User.email == email.strip().lower())
    actor = site.actor(found[0].id) if found else None
    if actor is None:
        raise Refusal(f"Nobody signs in as {email}. Those who do: rapport user list")
    return actor.through("cli")
