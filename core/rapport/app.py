"""The application: a site opened, its pages mounted, safe by default. Read it from top to bottom."""

from __future__ import annotations

import functools
import gc
import logging
import threading
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, g, jsonify
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer
from werkzeug.exceptions import InternalServerError, RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix

from rapport import logs
from rapport.builtin import BUILTIN
from rapport.config import Config
from rapport.http import PageFault, authorise, bare_app, check_policies, current_site, mount, public
from rapport.site import Site

log = logging.getLogger("rapport")
RELOAD_SECONDS = 1.0
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""On every answer, unless a view has its own."""


class Sessions(SecureCookieSessionInterface):
    """Flask's cookie sessions, with the signer made once instead of twice a request."""

    def __init__(self) -> None:
        self._signer = functools.cache(super().get_signing_serializer)

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """The signer of an application; its keys do not change while it runs."""
        return self._signer(app)


class ClientAddress:
    """Says whose address a request has: the sender's, or what a proxy of ours tells of them.

    Tries are counted by address, and consents noted with it. Of nobody else is the header believed.
    """

    def __init__(self, app: Any, proxies: tuple[str, ...]) -> None:
        self._direct, self._told = app, ProxyFix(app, x_for=1, x_proto=0, x_host=0)
        self._proxies = frozenset(proxies)
        self._warned = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        sender = environ.get("REMOTE_ADDR", "")
        if sender in self._proxies:
            return self._told(environ, start_response)
        if "HTTP_X_FORWARDED_FOR" in environ and not self._warned and sender in {"127.0.0.1", "::1"}:
            self._warned = True
            log.warning(
                "A proxy on this machine passes requests on, and all who come through it count as one: eight wrong "
                "passwords make everybody wait. Name it in rapport.toml: trusted_proxies = ['%s']",
                sender,
            )
        answer: Iterable[bytes] = self._direct(environ, start_response)
        return answer


def create_app(config: Config, *, safe: bool = False) -> Flask:
    """Build the application of a site as it is now. `safe` leaves every plugin out.

    A plugin whose pages cannot be taken in is left out whole, as any other faulty plugin.
    """
    faulty: dict[str, str] = {}
    while True:
        site = Site.open(config, safe=safe, faulty=faulty)
        try:
            return assemble(site)
        except PageFault as error:
            site.close()
            if error.plugin in BUILTIN or error.plugin in faulty:
                raise
            faulty[error.plugin] = str(error)
        except BaseException:
            site.close()
            raise


def assemble(site: Site) -> Flask:
    """The application over an open site. PageFault names a plugin whose pages cannot be taken in."""
    app = bare_app("rapport", site)
    _configure(app, site.config)
    app.session_interface = Sessions()
    app.wsgi_app = ClientAddress(app.wsgi_app, site.config.trusted_proxies)  # type: ignore[method-assign]
    for blueprint in site.pages:
        mount(app, site.pages.owner(str(blueprint.name)), blueprint)
    app.add_url_rule("/health", "health", public(_health))
    app.before_request(authorise)
    if site.config.log_format == "json":
        logs.mount(app)
    if site.config.metrics_token:
        from rapport import metrics

        metrics.mount(app)
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


def _add_headers(response: Response) -> Response:
    headers = response.headers
    for name, value in HEADERS.items():
        if name not in headers:
            headers.add(name, value)
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
        self._owed = False
        """Whether somebody has just changed what the site is, and must not be shown the former one."""

    @property
    def site(self) -> Site:
        """The site of the present generation."""
        site: Site = self._app.extensions["rapport"]
        return site

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if self._owed or time.monotonic() >= self._look_at:
            self.refresh(wait=self._owed)
        if environ.get("CONTENT_LENGTH"):
            # The server ends a body that breaks off as it ends a whole one; counted, the two can be told apart.
            environ.pop("wsgi.input_terminated", None)
        try:
            return self._app(environ, start_response)
        except SystemExit:  # of a template or an event handler: it ends the request, not the server's thread
            log.exception("something tried to end Rapport while it answered %s", environ["PATH_INFO"])
            return InternalServerError()(environ, start_response)
        finally:
            if environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"].startswith(("/admin/", "/undo/")):
                self._owed = True  # who switches a module on, or adds a field, sees it on the very next page

    def current(self) -> Site:
        """The site of the day, for whoever works without requests."""
        if time.monotonic() >= self._look_at:
            self.refresh()
        return self.site

    def refresh(self, *, wait: bool = False) -> None:
        """Look whether the site has changed, and if so, change over. One thread looks; the others go on, or wait."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            self._owed = False
            self._look_at = time.monotonic() + RELOAD_SECONDS
            if self.site.outdated():
                old = self.site
                self._app = create_app(self._config, safe=self._safe)
                # The old generation's connections go back as its last requests end.
                old.close()
                gc.unfreeze()  # see rapport.wsgi: what stayed may go now
        except Exception:  # a site that cannot be rebuilt must still be served as it was
            log.exception("the site changed, but the new state cannot be built; the former one goes on")
        finally:
            self._lock.release()
