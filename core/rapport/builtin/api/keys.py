"""Idempotency keys: a POST that is sent twice, because nobody heard the answer, has its effect once."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Response, request
from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from rapport.builtin.api.problems import Refused
from rapport.entities import utcnow
from rapport.records import Unit
from rapport.records.log import idempotency_table as kept

KEPT_FOR = dt.timedelta(days=3)
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
    """Take a key within the unit; the kept answer when it has had its effect already.

    A second request with the same key waits here until the first has committed or given up.
    """
    if key is None:
        return None
    connection = unit.session.connection()
    row: dict[str, Any] = {
        "actor_id": unit.actor.id, "key": key.text, "fingerprint": key.fingerprint, "status": 0, "headers": {},
        "body": "", "created_at": utcnow(),
    }  # fmt: skip
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    taken = dialect.insert(kept).values(row).on_conflict_do_nothing().returning(kept.c.id)
    if connection.scalar(taken) is not None:
        oldest = select(kept.c.id).order_by(kept.c.id).limit(10)  # a few at a time: nobody waits for the sweeping
        connection.execute(delete(kept).where(kept.c.id.in_(oldest), kept.c.created_at < utcnow() - KEPT_FOR))
        return None
    found = connection.execute(select(kept).where(kept.c.actor_id == unit.actor.id, kept.c.key == key.text)).one()
    if found.fingerprint != key.fingerprint:
        raise Refused("key-reused", "This Idempotency-Key was sent before, with another request. Use a new one.")
    headers = {**found.headers, "Idempotency-Replayed": "true"}
    return Response(found.body, found.status, headers)


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
        unit.session.connection().execute(
            update(kept)
            .where(kept.c.actor_id == unit.actor.id, kept.c.key == key.text)
            .values(status=response.status_code, headers=headers, body=response.get_data(as_text=True))
        )
    return response
