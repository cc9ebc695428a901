"""Making a token over the API: for oneself only, and the secret is shown once."""

from __future__ import annotations

import difflib
from dataclasses import replace

from flask import Response
from sqlalchemy import select

from rapport.access import Token, User
from rapport.access.service import create_token, token_hash
from rapport.builtin.api.body import arguments, object_body
from rapport.builtin.api.problems import Refused
from rapport.builtin.api.resource import answer
from rapport.entities import utcnow
from rapport.errors import Invalid, Problem
from rapport.http import current_actor, current_site
from rapport.records.reader import dumper

dump_token = dumper(Token.meta)


def create() -> Response:
    """A new token of the caller's own. A token with scopes cannot make one: it could only be wider or useless."""
    arguments(())
    actor, site = current_actor(), current_site()
    if actor.scopes is not None:
        raise Refused("forbidden", "A token that is limited to scopes cannot make tokens. Sign in to make one.")
    given = object_body(("name", "scopes", "expires_at"))
    problems, fields = [], Token.meta.fields
    values = {}
    for name in ("name", "scopes", "expires_at"):
        try:
            values[name] = fields[name].load(given.get(name))
        except ValueError as error:
            problems.append(Problem(name, str(error)))
    problems += [Problem("scopes", text) for scope in values.get("scopes", ()) if (text := _unknown_scope(scope))]
    if not problems and values["expires_at"] is not None and values["expires_at"] <= utcnow():
        problems.append(Problem("expires_at", "is in the past."))
    if problems:
        raise Invalid(problems)
    # To make a token of one's own needs no permission over tokens.
    with site.write(replace(actor, is_admin=True)) as unit:
        user = unit.session.scalars(select(User).where(User.id == actor.id)).one()
        secret = create_token(unit, user, **values)
        token = unit.session.scalars(select(Token).where(Token.token_hash == token_hash(secret))).one()
        return answer({**dump_token(token), "token": secret}, 201, Location=f"/api/v1/token/{token.id}")


def _unknown_scope(scope: str) -> str:
    if scope == "*":
        return ""
    entity, _, action = scope.rpartition(".")
    known = [meta.permission(each) for meta in current_site().metas.values() for each in (*meta.actions, "*")]
    if scope in known or (entity == "*" and any(each.endswith(f".{action}") for each in known)):
        return ""
    near = difflib.get_close_matches(scope, known, 1)
    return f"has '{scope}', which is no permission." + (f" Did you mean '{near[0]}'?" if near else "")
