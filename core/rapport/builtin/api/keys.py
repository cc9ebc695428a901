"""Idempotency keys: a POST that is sent twice, because nobody heard the answer, has its effect once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from flask import Response, request

from rapport.builtin.api.problems import Refused
from rapport.records import Unit
from rapport.records import once as records_once

MAX_KEY = 200


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key with what it was sent for. The same key for something else is refused."""

    text: str
    fingerprint: str

    def of_line(self, number: int, line: str) -> Key:
        """The key of one line of a bulk request: a repeated request takes up where it broke off."""
        return Key(f"{self.text}#{number}", _hash(request.full_path.encode() + b"\n" + line.encode()))


def key_of_request() -> Key | None:
    """The Idempotency-Key of this request, if it has one."""
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return None
    text = text.strip().strip('"')
    if not text or len(text) > MAX_KEY or not text.isprintable() or "#" in text:
        raise Refused("malformed", f"Idempotency-Key must be 1 to {MAX_KEY} printable characters without '#'.")
    return Key(text, _hash(request.full_path.encode() + b"\n" + request.get_data()))


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def claim(unit: Unit, key: Key | None) -> Response | None:
    """Take a key within the unit; the kept answer when it has had its effect already."""
    found = None if key is None else records_once.take(unit, key.text, key.fingerprint)
    if key is None or found is None:
        return None
    if found.fingerprint != key.fingerprint:
        raise Refused("key-reused", "This Idempotency-Key was sent before, with another request. Use a new one.")
    return Response(found.body, found.status, {**found.headers, "Idempotency-Replayed": "true"})


def once(unit: Unit, act: Callable[[], Response]) -> Response:
    """What `act` does within the unit, and answers; with an Idempotency-Key that was sent before, the answer then."""
    key = key_of_request()
    before = claim(unit, key)
    return before if before is not None else keep(unit, key, act())


def keep(unit: Unit, key: Key | None, response: Response) -> Response:
    """Keep the answer beside its effect: both are committed, or neither."""
    if key is not None:
        headers = {
            name: text for name, text in response.headers.items() if name in {"Content-Type", "ETag", "Location"}
        }
        body = response.get_data(as_text=True)
        records_once.keep(unit, key.text, status=response.status_code, headers=headers, body=body)
    return response
