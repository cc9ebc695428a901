"""The application: a site opened, its pages mounted, safe by default. Read it from top to bottom."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, g, jsonify
from werkzeug.exceptions import RequestEntityTooLarge

from rapport.config import Config
from rapport.errors import PluginError
from rapport.http import authorise, check_policies, current_site, public
from rapport.site import Site

log = logging.getLogger("rapport")
RELOAD_SECONDS = 1.0
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def create_app(config: Config, *, safe: bool = False) -> Flask:
    """Build the application of a site as it is now. `safe` leaves every plugin out."""
    site = Site.open(config, safe=safe)
    app = Flask("rapport", static_folder=None, template_folder=None)
    app.extensions["rapport"] = site
    _configure(app, config)
    for blueprint in site.pages:
        _mount(app, site, blueprint)
    app.add_url_rule("/health", "health", public(_health))
    app.before_request(authorise)
    app.after_request(_add_headers)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    check_policies(app)
    return app


def _configure(app: Flask, config: Config) -> None:
    parts = urlsplit(config.base_url)
    app.config.update(
        SECRET_KEY=config.secret_key,
        TESTING=config.testing,
        TRUSTED_HOSTS=[*dict.fromkeys([parts.hostname or "127.0.0.1", *_local(parts.hostname), *config.trusted_hosts])],
        MAX_CONTENT_LENGTH=config.max_upload_mb * 1024 * 1024,
        MAX_FORM_MEMORY_SIZE=2 * 1024 * 1024,
        MAX_FORM_PARTS=2000,
        SESSION_COOKIE_NAME="rapport",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=parts.scheme == "https",
        PERMANENT_SESSION_LIFETIME=14 * 24 * 3600,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.compact = True  # type: ignore[attr-defined]


def _local(host: str | None) -> list[str]:
    """A site on this machine answers to all its names for itself."""
    return ["127.0.0.1", "localhost"] if host in {"127.0.0.1", "localhost"} else []


def _mount(app: Flask, site: Site, blueprint: Any) -> None:
    """One plugin's pages; a clash of routes or a view without a policy is that plugin's fault, and named so."""
    owner = site.pages.owner(str(blueprint.name))
    try:
        app.register_blueprint(blueprint)
    except (ValueError, AssertionError) as error:
        raise PluginError(f"The pages of {owner} cannot be mounted: {error}.") from error


def _add_headers(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if "Cache-Control" not in headers:
        headers["Cache-Control"] = "no-store" if "actor" in g else "no-cache"
    return response


def _too_large(error: RequestEntityTooLarge) -> tuple[Response, int]:
    limit = current_site().config.max_upload_mb
    text = f"That is too large: at most {limit} MB can be sent at once."
    answer = jsonify({"type": "about:blank", "title": "Content Too Large", "status": 413, "detail": text})
    answer.content_type = "application/problem+json"
    return answer, 413


def _health() -> Response:
    """Whether this process serves and reaches its database."""
    from sqlalchemy import text

    with current_site().db.read() as connection:
        connection.execute(text("SELECT 1"))
    return jsonify({"status": "ok"})


class LiveApp:
    """The WSGI application that follows its site: when plugins or settings change, it builds itself anew.

    Requests under way end on the generation they began on. A new generation that cannot be built is logged, and the
    old one goes on.
    """

    def __init__(self, config: Config, *, safe: bool = False) -> None:
        self._config = config
        self._safe = safe
        self._app = create_app(config, safe=safe)
        self._lock = threading.Lock()
        self._look_at = time.monotonic() + RELOAD_SECONDS

    @property
    def site(self) -> Site:
        """The site of the present generation."""
        site: Site = self._app.extensions["rapport"]
        return site

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if time.monotonic() >= self._look_at:
            self.refresh()
        if environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"].startswith("/admin/"):
            self._look_at = 0.0  # who switches a module on sees it on the very next page
        return self._app(environ, start_response)

    def refresh(self) -> None:
        """Look whether the site has changed, and if so, change over. One thread looks; the others go on."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._look_at = time.monotonic() + RELOAD_SECONDS
            if self.site.outdated():
                old = self.site
                self._app = create_app(self._config, safe=self._safe)
                # The old generation's connections go back as its last requests end.
                old.close()
        except Exception:  # a site that cannot be rebuilt must still be served as it was
            log.exception("the site changed, but the new state cannot be built; the former one goes on")
        finally:
            self._lock.release()
