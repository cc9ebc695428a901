"""What every view builds on: the site and the actor of the request, and the policy that no view may be without."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Blueprint, Flask, Response, current_app, g, request, send_file
from werkzeug.routing import Rule

from rapport.access import Actor
from rapport.access.service import note_failure, too_many_tries
from rapport.builtin import BUILTIN
from rapport.errors import Forbidden, NotFound, PluginError
from rapport.files import StoredFile, path_of
from rapport.i18n.catalogs import _

if TYPE_CHECKING:
    from rapport.site import Site

F = TypeVar("F", bound=Callable[..., Any])
_LEFT_OUT = re.compile(r"[\x00-\x1f\x7f]")
_POLICY = "_rapport_policy"
_DESCRIBED = "_rapport_described"


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


@dataclass(frozen=True, slots=True)
class Described:
    """What the API's own description says of a view that a plugin brings below /api/v1/."""

    summary: str
    parameters: Mapping[str, str]
    body: str


def described(summary: str, parameters: Mapping[str, str] | None = None, *, body: str = "") -> Callable[[F], F]:
    """Put a view below /api/v1/ into the OpenAPI document: what it does, its query parameters, and what is posted."""

    def mark(view: F) -> F:
        setattr(view, _DESCRIBED, Described(summary, dict(parameters or {}), body))
        return view

    return mark


def description_of(view: Callable[..., Any]) -> Described | None:
    """What a view says of itself to programs."""
    found: Described | None = getattr(view, _DESCRIBED, None)
    return found


def current_view() -> Callable[..., Any] | None:
    """The view function of this request, if it has one."""
    return current_app.view_functions.get(request.endpoint) if request.endpoint else None


SignIn = Callable[[], "Actor | Response"]


def sign_in_by(app: Flask, prefix: str, sign_in: SignIn) -> None:
    """Say how requests below a path prove who they are: `sign_in` returns the actor, or the answer that asks for it."""
    app.extensions.setdefault("rapport.sign_in", {})[prefix] = sign_in


def way_in(path: str) -> str | None:
    """The longest prefix of a path that has a way to sign in: "/" is that of the people who work here."""
    ways: dict[str, SignIn] = current_app.extensions.get("rapport.sign_in", {})
    return max((each for each in ways if path.startswith(each)), key=len, default=None)


def speak(actor: Actor) -> None:
    """From here on the request speaks the actor's language; for ways to sign in that plugins bring."""
    current_app.extensions["rapport.speak"](actor)


def too_many(*keys: str) -> bool:
    """Count a try under each key, such as an address and `request.remote_addr`; True when one was tried too often."""
    with current_site().db.write() as connection:
        found = too_many_tries(connection, keys)
        note_failure(connection, keys)
    return found


def authorise() -> Response | None:
    """The policy of the view, checked before it runs. The longest prefix that fits decides how one signs in."""
    view = current_view()
    policy = None if view is None else policy_of(view)
    if policy in {None, "public"}:
        return None
    ways: dict[str, SignIn] = current_app.extensions.get("rapport.sign_in", {})
    prefix = way_in(request.path)
    found = ways[prefix]() if prefix is not None else Response("There is no way to sign in here.", 401)
    if isinstance(found, Response):
        return found
    g.actor = found
    if policy:
        found.require(policy)
    return None


def renewed_actor() -> Actor:
    """Who is asking, with the rights of this moment: for what takes long, between its steps.

    Forbidden when their session or token has ended since the request came.
    """
    ways: dict[str, SignIn] = current_app.extensions.get("rapport.sign_in", {})
    prefix = way_in(request.path)
    found = ways[prefix]() if prefix is not None else None
    if not isinstance(found, Actor):
        raise Forbidden("", _("Your access has ended or changed meanwhile. Sign in, and begin anew."))
    return found


def same_rights(actor: Actor) -> None:
    """Forbidden when whoever asks has not the rights any more with which they began."""
    if not renewed_actor().has_rights_of(actor):
        raise Forbidden("", _("Your access has ended or changed meanwhile. Sign in, and begin anew."))


def policy_of(view: Callable[..., Any]) -> str | None:
    """What a view declared: "public", a permission, "" for signed in; None when it declared nothing."""
    policy = getattr(view, _POLICY, None)
    if policy is None and (view_class := getattr(view, "view_class", None)) is not None:
        policy = getattr(view_class, _POLICY, None)
    return policy


class PageFault(PluginError):
    """The pages of one plugin cannot be taken in; the site goes on without that plugin."""

    def __init__(self, plugin: str, message: str) -> None:
        self.plugin = plugin
        super().__init__(message)


class Address(Rule):
    """A rule that writes the functions behind `url_for` when they are first asked for.

    Werkzeug writes two for every rule at once. There are hundreds of rules, and few whose address is ever built: that
    was four fifths of the time it took to assemble an application.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        return _first_build_unknown if append_unknown else _first_build


def _first_build(rule: Rule, **values: Any) -> tuple[str, str]:
    rule._build = Rule._compile_builder(rule, append_unknown=False).__get__(rule)
    return rule._build(**values)


def _first_build_unknown(rule: Rule, **values: Any) -> tuple[str, str]:
    rule._build_unknown = Rule._compile_builder(rule, append_unknown=True).__get__(rule)
    return rule._build_unknown(**values)


def bare_app(name: str, site: Site) -> Flask:
    """An application over a site, to `mount` pages on."""
    app = Flask(name, static_folder=None, template_folder=None)
    app.url_rule_class = Address
    app.extensions["rapport"] = site
    return app


def mount(app: Flask, owner: str, blueprint: Blueprint) -> None:
    """Take in the pages of one plugin: with a policy each, at addresses of their own, and for themselves only."""
    owners: dict[tuple[str, str], str] = app.extensions.setdefault("rapport.addresses", {})
    before, for_all = set(app.view_functions), _for_all(app)
    try:
        app.register_blueprint(blueprint)
    except (Exception, SystemExit) as error:  # whatever it says when it is taken in, it is this plugin's fault
        raise PageFault(owner, f"its pages cannot be mounted: {error}") from error
    if owner not in BUILTIN and _for_all(app) != for_all:
        raise PageFault(owner, f"the blueprint '{blueprint.name}' hooks into everybody's pages. Use before_request, "
                               f"after_request and errorhandler, not their app_ kin.")  # fmt: skip
    for rule in [rule for rule in app.url_map.iter_rules() if rule.endpoint not in before]:
        if policy_of(app.view_functions[rule.endpoint]) is None:
            raise PageFault(owner, f"the view '{rule.endpoint}' at {rule.rule} does not say who may call it. "
                                   f'Put @needs("…") or @public on it.')  # fmt: skip
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            if (other := owners.setdefault((rule.rule, method), owner)) != owner:
                raise PageFault(
                    owner,
                    f"it brings the page {method} {rule.rule}, which '{other}' already brings. Move it, or disable one "
                    f"of the two: rapport plugins disable {owner}",
                )
    if owner not in BUILTIN:
        site = app.extensions["rapport"]
        for endpoint in set(app.view_functions) - before:
            app.view_functions[endpoint] = _shielded(site, owner, endpoint, app.view_functions[endpoint])


def _for_all(app: Flask) -> list[int]:
    """How much hangs on every request, whoever's page it is for."""
    hooks = (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs, app.url_value_preprocessors,
             app.url_default_functions)  # fmt: skip
    return [len(each.get(None, ())) for each in hooks] + [
        sum(len(kinds) for kinds in app.error_handler_spec.get(None, {}).values())
    ]


def _shielded(site: Site, owner: str, endpoint: str, view: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(view)
    def page(**arguments: Any) -> Any:
        return site.hooks.page(owner, f"the page {endpoint}", lambda: view(**arguments))

    return page


def check_policies(app: Flask) -> None:
    """Deny by default: a view without a policy stops the start."""
    for rule in app.url_map.iter_rules():
        if policy_of(app.view_functions[rule.endpoint]) is None:
            raise PluginError(
                f"The view '{rule.endpoint}' at {rule.rule} does not say who may call it. "
                f'Put @needs("…") or @public on it.'
            )


def own_path(wanted: str, otherwise: str) -> str:
    """Where to lead somebody: to `wanted` if that is an address of this site for every browser, else `otherwise`.

    Browsers read "/\\" as "//", which begins another server's name, and leave out tabs and line ends.
    """
    ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not _LEFT_OUT.search(wanted)
    return wanted if ours else otherwise


def send_stored(stored: StoredFile) -> Response:
    """A file that somebody uploaded, for saving. No browser runs it, guesses at it, or shows it as a page of ours."""
    path = path_of(current_site().config, stored.id)
    if not path.exists():
        raise NotFound(
            _("The file “%(name)s” is not where it was kept. An administrator finds it in a backup.", name=stored.name)
        )
    answer = send_file(
        path, stored.media_type, as_attachment=True, download_name=stored.name, etag=stored.id.hex, conditional=True
    )
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    answer.headers["Cache-Control"] = "private, no-cache"
    return answer
