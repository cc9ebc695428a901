"""Every address of the API, for every kind of record there is; what is not listed here does not exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, current_app, request, send_from_directory
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException

from rapport.builtin.api import customers, feed, files, page, tokens, webhooks, workflows
from rapport.builtin.api.bulk import bulk
from rapport.builtin.api.openapi import Document
from rapport.builtin.api.problems import Refused, handle, refuse
from rapport.builtin.api.resource import Resource
from rapport.builtin.api.sign_in import Bearer
from rapport.builtin.webhooks.inbound import hear
from rapport.http import needs, public, sign_in_by

if TYPE_CHECKING:
    from rapport.site import Site

HERE = Path(__file__).parent
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


@dataclass(frozen=True, slots=True)
class Route:
    """One address and method, what it needs, and the view behind it. OpenAPI and the tests of access read them."""

    method: str
    rule: str
    name: str
    view: Callable[..., Response]
    needs: str
    """A permission; "" for whoever has a token."""
    summary: str
    entity: str | None = None


def make_blueprint() -> Blueprint:
    """The blueprint of the API. Its addresses are made when a site mounts it: they follow the site's entities."""
    blueprint = Blueprint("api", __name__, template_folder="templates")
    handle(blueprint)
    blueprint.record_once(_mount)
    return blueprint


def _mount(state: BlueprintSetupState) -> None:
    app: Flask = state.app  # type: ignore[assignment]  # Flask says it is an App; ours is never less than a Flask
    site: Site = app.extensions["rapport"]
    bearer = Bearer(site)
    sign_in_by(app, "/api/", bearer.sign_in)
    if (csrf := app.extensions.get("csrf")) is not None:
        # Said once, at the start: no browser sends a token by itself, so no other page can misuse one.
        csrf.exempt(state.blueprint)
    routes = list(all_routes(site))
    for route in routes:
        state.add_url_rule(
            route.rule, route.name, needs(route.needs)(_view(route.name, route.view)), methods=[route.method]
        )
    document = Document(site, routes)
    state.add_url_rule("/api/openapi.json", "openapi", public(_view("openapi", document.view)))
    state.add_url_rule("/api/", "reference", public(_view("reference", partial(page.view, document))))
    state.add_url_rule("/hooks/in/<token>", "hear", public(_view("hear", hear)), methods=["POST"])
    state.add_url_rule("/api/static/<path:filename>", "static", public(_view("static", _static)))
    state.add_url_rule(
        "/api/<path:rest>",
        "nowhere",
        public(_view("nowhere", _nowhere)),
        methods=METHODS,
        provide_automatic_options=False,
    )


def all_routes(site: Site) -> Iterable[Route]:
    """Every route that a token opens."""
    yield Route("GET", "/api/v1/me", "me", feed.me, "", "Whose token this is, and what it may do")
    yield Route("GET", "/api/v1/search", "search", feed.search, "", "Search every kind of record")
    yield Route("GET", "/api/v1/changes", "changes", feed.changes, "", "Follow what changes")
    yield Route("POST", "/api/v1/file", "file-upload", files.upload, "attachment.create",
                "Upload a file, to be put into a field of a record", "attachment")  # fmt: skip
    yield Route("POST", "/api/v1/token", "token-create", tokens.create, "", "Make a token of your own", "token")
    for entity in site.entities:
        for route in entity_routes(Resource(site, entity)):
            if route.name not in LEFT_OUT:
                yield route
    yield from customers.routes(Route)
    yield from workflows.routes(Route)
    yield from webhooks.routes(Route)


LEFT_OUT = {"token-create", "token-update", "token-bulk"}
"""Tokens are made by the route above, for oneself; what is made is revoked, never widened."""


def entity_routes(resource: Resource) -> Iterable[Route]:
    """The routes that every kind of record has."""
    meta, path = resource.meta, resource.path
    slug = meta.name.replace(".", "-")
    one, many = f"{path}/<id>", meta.plural.lower()
    title = meta.title.lower()

    def route(method: str, rule: str, name: str, view: Callable[..., Response], action: str, summary: str) -> Route:
        permission = meta.permission(action) if action else ""
        return Route(method, rule, f"{slug}-{name}", view, permission, summary, meta.name)

    yield route("GET", path, "list", resource.list, "read", f"List {many}")
    yield route("POST", path, "create", resource.create, "create", f"Create a {title}")
    yield route(
        "POST", f"{path}/bulk", "bulk", partial(bulk, resource), "", f"Change many {many}, one operation a line"
    )
    yield route("GET", f"{path}/export", "export", resource.export, "export", f"Export {many} as a file")
    yield route("GET", one, "get", resource.get, "read", f"Read a {title}")
    for field in meta.visible:
        if field.kind == "file":
            yield route("GET", f"{one}/{field.name}", f"{field.name}-file", partial(files.send, resource, field.name),
                        "read", f"Download {field.label.lower()} of a {title}")  # fmt: skip
    yield route("PATCH", one, "update", resource.update, "update", f"Change a {title}")
    yield route("DELETE", one, "delete", resource.delete, "delete", f"Delete a {title} for good")
    yield route("POST", f"{one}/archive", "archive", resource.archive, "delete", f"Archive a {title}")
    yield route("POST", f"{one}/restore", "restore", resource.restore, "delete", f"Restore an archived {title}")


def _view(name: str, act: Callable[..., Response]) -> Callable[..., Response]:
    """A function of its own for each route: policies are put on it, and other code asks for its name."""

    def view(**values: str) -> Response:
        return act(**values)

    view.__name__ = view.__qualname__ = name.replace("-", "_")
    return view


def _static(filename: str) -> Response:
    return send_from_directory(HERE / "static", filename)


def _nowhere(rest: str) -> Response:
    """Every other address below /api/: it does not exist, or not with this method."""
    adapter: Any = current_app.create_url_adapter(request)
    allowed = []
    for method in METHODS:
        try:
            rule, _ = adapter.match(method=method, return_rule=True)
        except HTTPException:
            continue
        if rule.endpoint != request.endpoint:
            allowed.append(method)
    if allowed:
        text = f"{request.method} cannot be used here. Use {' or '.join(allowed)}."
        return refuse(Refused("wrong-method", text, Allow=", ".join(allowed)))
    return refuse(Refused("not-found", f"There is nothing at /api/{rest[:200]}. See /api/ for what there is."))
