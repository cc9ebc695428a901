"""People and their keys: for the first user, the forgotten password, the program that needs a token."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import click

from rapport_cli.place import Place
from rapport_cli.speak import Refusal, ask, good, note, say, table

if TYPE_CHECKING:
    from rapport.access import Actor, User
    from rapport.records import Unit


@click.group()
def user() -> None:
    """Add people, tokens and passwords."""


@user.command()
@click.argument("email")
@click.option("--name", help="Their name.")
@click.option("--role", "roles", multiple=True, default=("member",), show_default=True, help="May be given again.")
@click.option("--team", "teams", multiple=True, help="A team, made if there is none of that name. May be given again.")
@click.option("--password", envvar="RAPPORT_USER_PASSWORD", help="Without one they get a link to set it.")
@click.option("--language", default="en", show_default=True)
@click.pass_obj
def add(
    place: Place, *, email: str, name: str | None, roles: tuple[str, ...], teams: tuple[str, ...], password: str | None,
    language: str,
) -> None:  # fmt: skip
    """Add somebody who signs in with EMAIL."""
    from rapport.access import Team
    from rapport.access.service import create_user

    with place.site() as site:
        with site.write(_actor("user add")) as unit:
            known = {team.name: team for team in unit.reader.all(Team)}
            their_teams = [known.get(each) or unit.create(Team, {"name": each}) for each in teams]
            _check_roles(unit, roles)
            person = create_user(
                unit, name=name or email.partition("@")[0], email=email, password=password or "", roles=roles,
                teams=their_teams, language=language, time_zone=site.config.time_zone,
            )  # fmt: skip
            name, email = person.name, person.email
        good(f"{name} can sign in at {site.config.base_url} as {email}.")
    if not password:
        say(f"Give them a link to set their password: rapport user reset {email}")


@user.command("list")
@click.pass_obj
def list_(place: Place) -> None:
    """Show everybody, with their roles."""
    from rapport.access import User, UserRole

    with place.site() as site, site.read(_actor("user list")) as reader:
        roles: dict[Any, list[str]] = {}
        for held in reader.all(UserRole):
            roles.setdefault(held.user_id, []).append(held.role)
        people = sorted(reader.all(User), key=lambda person: person.email)
        rows = [
            (person.email, person.name, " ".join(sorted(roles.get(person.id, ()))), "yes" if person.active else "no")
            for person in people
        ]
    table(("e-mail", "name", "roles", "active"), rows)


@user.command()
@click.argument("email")
@click.option("--name", default="command line", show_default=True, help="What it is for.")
@click.option("--scope", "scopes", multiple=True, help="Limit it: 'customer.read', '*.read', … May be given again.")
@click.option("--days", type=click.IntRange(1), help="How long it is good for; without it, until it is withdrawn.")
@click.pass_obj
def token(place: Place, email: str, name: str, scopes: tuple[str, ...], days: int | None) -> None:
    """Make an API token for EMAIL and print it, this once."""
    from rapport.access.service import create_token
    from rapport.entities import utcnow

    with place.site() as site, site.write(_actor("user token")) as unit:
        expires = utcnow() + dt.timedelta(days=days) if days else None
        secret = create_token(unit, _find(unit, email), name=name, scopes=scopes, expires_at=expires)
    say(secret)
    note("Keep it: it cannot be shown again.")


@user.command()
@click.argument("email")
@click.option("--password", envvar="RAPPORT_USER_PASSWORD", help="Or set RAPPORT_USER_PASSWORD; else it is asked.")
@click.pass_obj
def password(place: Place, email: str, password: str | None) -> None:
    """Give EMAIL a new password, and end their sessions."""
    from rapport.access.service import set_password

    with place.site() as site, site.write(_actor("user password")) as unit:
        person = _find(unit, email)
        secret = password or ask("New password", "--password", hide_input=True, confirmation_prompt=True)
        set_password(unit, person, secret)
    good(f"{email} has a new password; sessions begun before are over.")


@user.command()
@click.argument("email")
@click.pass_obj
def reset(place: Place, email: str) -> None:
    """Print a link with which EMAIL sets a new password; it is good for a short time, and once."""
    from rapport.builtin.web.sign_in import reset_link

    with place.site() as site, site.write(_actor("user reset")) as unit:
        link = reset_link(site, _find(unit, email))
    say(link)
    note("Give it to nobody but them.")


@user.command()
@click.argument("email")
@click.pass_obj
def deactivate(place: Place, email: str) -> None:
    """Stop EMAIL from signing in, at once; their records stay."""
    from rapport.access.service import deactivate as stop

    with place.site() as site, site.write(_actor("user deactivate")) as unit:
        stop(unit, _find(unit, email))
    good(f"{email} can no longer sign in; sessions and tokens are void.")


def _actor(reason: str) -> Actor:
    from rapport.access import system

    return system(f"rapport {reason}").through("cli")


def _find(unit: Unit, email: str) -> User:
    import difflib

    from rapport.access import User

    people = {person.email: person for person in unit.reader.all(User)}
    found = people.get(email.strip().lower())
    if found is None:
        near = difflib.get_close_matches(email, people, 1)
        raise Refusal(
            f"There is no user '{email}'."
            + (f" Did you mean {near[0]}?" if near else f" Add them: rapport user add {email}")
        )
    return found


def _check_roles(unit: Unit, roles: tuple[str, ...]) -> None:
    from rapport.access import Role
    from rapport.access.actors import BUILTIN_ROLES

    known = {*BUILTIN_ROLES, *unit.site.grants, *(role.name for role in unit.reader.all(Role))}
    for role in roles:
        if role not in known:
            raise Refusal(f"There is no role '{role}'. Those there are: {', '.join(sorted(known))}.")
