"""Who calls the API: the bearer of a token, and nobody else; cookies are not looked at."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from flask import Response, after_this_request, request
from sqlalchemy import Connection, or_, update
from sqlalchemy.exc import OperationalError

from rapport.access import Actor, Token
from rapport.access.service import TOKEN_PREFIX, find_token, load_actor, token_hash
from rapport.builtin.api.problems import Refused, refuse
from rapport.entities import table_of, utcnow

if TYPE_CHECKING:
    from rapport.site import Site

log = logging.getLogger("rapport.api")
NOTE_SECONDS = 60.0
"""How exact "last used" is: a token in constant use costs one small write a minute."""


class Bearer:
    """Signs requests in by their token, and keeps when each token was last used."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._noted: dict[str, float] = {}
        self._lock = threading.Lock()

    def sign_in(self) -> Actor | Response:
        """The actor behind the request's token, or 401 and how to do better."""
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            return _unauthorised("Send the header Authorization: Bearer <token>. Tokens are made in your profile.")
        if not secret.startswith(TOKEN_PREFIX) or len(secret) > 200 or not secret.isascii():
            return _unauthorised("This is not a token of Rapport.", "invalid_token")
        hashed = token_hash(secret)
        actor = self.site.remembered(("token", hashed), lambda connection: self._find(connection, secret))
        if actor is None:
            return _unauthorised("The token is unknown, revoked or expired, or its user is no longer active.",
                                 "invalid_token")  # fmt: skip
        if self._noted.get(hashed, 0.0) <= time.monotonic():
            # Once the answer is on its way: no request waits for the note.
            after_this_request(lambda answer: _after(answer, lambda: self._note(hashed)))
        return actor

    def _find(self, connection: Connection, secret: str) -> Actor | None:
        token = find_token(connection, secret)
        actor = None if token is None else load_actor(connection, token.user_id, self.site.grants)
        if token is None or actor is None:
            return None
        return replace(actor, via="api", scopes=frozenset(token.scopes) if token.scopes else None)

    def _note(self, hashed: str) -> None:
        with self._lock:
            if self._noted.get(hashed, 0.0) > time.monotonic():
                return
            if len(self._noted) > 10_000:
                self._noted.clear()
            self._noted[hashed] = time.monotonic() + NOTE_SECONDS
        tokens, now = table_of(Token), utcnow()
        stale = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at < now - dt.timedelta(seconds=NOTE_SECONDS))
        try:
            with self.site.db.write() as connection:
                connection.execute(update(tokens).where(tokens.c.token_hash == hashed, stale).values(last_used_at=now))
        except OperationalError as error:  # the answer is out; a busy database only costs the note
            log.info("could not note the use of a token: %s", error)


def _after(answer: Response, act: Callable[[], None]) -> Response:
    answer.call_on_close(act)
    return answer


def _unauthorised(text: str, error: str = "") -> Response:
    challenge = 'Bearer realm="Rapport"' + (f', error="{error}"' if error else "")
    return refuse(Refused("unauthorised", text, WWW_Authenticate=challenge))
