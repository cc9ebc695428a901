"""What every view builds on: the site and the actor of the request, and the policy that no view may be without."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Flask, Response, current_app, g, request

from rapport.access import Actor
from rapport.errors import PluginError

if TYPE_CHECKING:
    from rapport.site import Site

F = TypeVar("F", bound=Callable[..., Any])
_POLICY = "_rapport_policy"


def current_site() -> Site:
    """The site this request is for."""
    site: Site = current_app.extensions["rapport"]
    return site


def current_actor() -> Actor:
    """Who is asking. Views marked `@public` must not ask for it."""
    actor: Actor = g.actor
    return actor


def public(view: F) -> F:
    """Let anybody call a view, signed in or not. Listed by `rapport doctor`."""
    setattr(view, _POLICY, "public")
    return view


def needs(permission: str) -> Callable[[F], F]:
    """Let only those call a view who have the permission; an empty one means everybody who is signed in."""

    def mark(view: F) -> F:
        setattr(view, _POLICY, permission)
        return view

    return mark


def current_view() -> Callable[..., Any] | None:
    """The view function of this request, if it has one."""
    return current_app.view_functions.get(request.endpoint) if request.endpoint else None


SignIn = Callable[[], "Actor | Response"]


def sign_in_by(app: Flask, prefix: str, sign_in: SignIn) -> None:
    """Say how requests below a path prove who they are: `sign_in` returns the actor, or the answer that asks for it."""
    app.extensions.setdefault("rapport.sign_in", {})[prefix] = sign_in


def authorise() -> Response | None:
    """The policy of the view, checked before it runs. The longest prefix that fits decides how one signs in."""
    view = current_view()
    policy = None if view is None else policy_of(view)
    if policy in {None, "public"}:
        return None
    ways: dict[str, SignIn] = current_app.extensions.get("rapport.sign_in", {})
    prefix = max((each for each in ways if request.path.startswith(each)), key=len, default=None)
    found = ways[prefix]() if prefix is not None else Response("There is no way to sign in here.", 401)
    if isinstance(found, Response):
        return found
    g.actor = found
    if policy:
        found.require(policy)
    return None


def policy_of(view: Callable[..., Any]) -> str | None:
    """What a view declared: "public", a permission, "" for signed in; None when it declared nothing."""
    policy = getattr(view, _POLICY, None)
    if policy is None and (view_class := getattr(view, "view_class", None)) is not None:
        policy = getattr(view_class, _POLICY, None)
    return policy


def check_policies(app: Flask) -> None:
    """Deny by default: a view without a policy stops the start."""
    for rule in app.url_map.iter_rules():
        if policy_of(app.view_functions[rule.endpoint]) is None:
            raise PluginError(
                f"The view '{rule.endpoint}' at {rule.rule} does not say who may call it. "
                f'Put @needs("…") or @public on it.'
            )
