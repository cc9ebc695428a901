"""How the API says no: one shape for every refusal, with the field, the reason and the way on (RFC 9457)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from rapport.errors import Conflict, Forbidden, Invalid, NotFound, Problem, RapportError, Stale, Unavailable

log = logging.getLogger("rapport.api")
CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = 2
FAULTS = (RapportError, DataError, OperationalError, InterfaceError, PoolTimeout)
"""What becomes a problem that names its reason; anything else is a fault of ours."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of refusal; its name is the stable part of the problem's `type`."""

    name: str
    status: int
    title: str
    advice: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("malformed", 400, "The request cannot be read", "Send one JSON object in UTF-8, without repeated keys."),
        Kind("bad-query", 400, "A query parameter is wrong", "The problem names the parameter and what it takes."),
        Kind("unauthorised", 401, "A token is needed", "Send the header Authorization: Bearer <token>."),
        Kind("forbidden", 403, "Not allowed", "The token's user, or the token's scopes, lack the permission named."),
        Kind("not-found", 404, "Not found", "There is no such record or address, or it is out of your reach."),
        Kind("wrong-method", 405, "This address does not take that method", "The header Allow lists those it takes."),
        Kind("conflict", 409, "In conflict with what there is", "Something unique is taken, or the record is in use."),
        Kind(
            "length-needed", 411, "Say how long it is", "Send Content-Length; a list of lines is not taken in chunks."
        ),
        Kind("stale", 412, "Changed by somebody else", "The problem carries the current values: merge and repeat."),
        Kind("too-large", 413, "Too large", "Send less at once."),
        Kind("wrong-type", 415, "Wrong content type", "Send application/json; for bulk, application/x-ndjson."),
        Kind("invalid", 422, "Some fields are wrong", "Nothing was changed. Each error names its field."),
        Kind("key-reused", 422, "The idempotency key was used for another request", "Use a new key for a new effect."),
        Kind("not-tried", 424, "Another line failed", "In an atomic bulk request, one failing line undoes the others."),
        Kind("version-needed", 428, "Say which version you have seen", 'Send If-Match with the ETag, such as "3".'),
        Kind("too-many", 429, "Too many requests", "Wait as long as the header Retry-After says."),
        Kind("error", 500, "Rapport failed", "It is logged; an administrator can read why."),
        Kind(
            "unavailable", 503, "Something did not answer in time", "Nothing was changed. Try again after Retry-After."
        ),
        Kind("busy", 503, "The database is busy or away", "Nothing was changed. Try again after Retry-After."),
    )
}


class BadQuery(Invalid):
    """Query parameters that cannot be used, whatever the method."""


class Refused(RapportError):
    """A request that the API itself refuses, before any record is looked at."""

    def __init__(self, kind: str, detail: str, field: str | None = None, **headers: str) -> None:
        self.kind = kind
        self.field = field
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}
        super().__init__(detail)


def problem(kind: str, detail: str, errors: Iterable[Problem] = (), **more: Any) -> dict[str, Any]:
    """The problem as an object: for an answer of its own, or for one line of a bulk answer."""
    known = KINDS[kind]
    body: dict[str, Any] = {
        "type": f"/api/#{known.name}", "title": known.title, "status": known.status, "detail": detail,
    }  # fmt: skip
    if listed := [{"field": each.field, "message": each.message} for each in errors]:
        body["errors"] = listed
    body.update(more)
    return body


def describe(error: BaseException) -> dict[str, Any]:
    """The problem behind anything that was raised."""
    match error:
        case Refused():
            return problem(error.kind, str(error), [Problem(error.field, str(error))] if error.field else [])
        case Invalid():
            in_query = isinstance(error, BadQuery) or request.method in {"GET", "HEAD"}
            kind = "bad-query" if in_query else "invalid"
            return problem(kind, str(error), error.problems)
        case Conflict():
            return problem("conflict", str(error), [Problem(error.field, "is already taken.")] if error.field else [])
        case Stale():
            return problem("stale", str(error), current=error.current)
        case Forbidden():
            return problem("forbidden", str(error), permission=error.permission)
        case NotFound():
            return problem("not-found", str(error))
        case RequestEntityTooLarge():
            return problem("too-large", "The request is larger than this address takes.")
        case DataError():
            return problem("invalid", "The database cannot keep one of the values.")
        case OperationalError() | InterfaceError() | PoolTimeout():
            return problem("busy", "The database did not answer in time. Nothing was changed; try again shortly.")
        case Unavailable():
            return problem("unavailable", str(error))
        case RapportError():
            return problem("invalid", str(error))
    return problem("error", "Something went wrong in Rapport. It was logged; nothing was changed.")


def refuse(error: BaseException) -> Response:
    """The answer to anything that was raised in the API."""
    body = describe(error)
    headers = dict(error.headers) if isinstance(error, Refused) else {}
    status = body["status"]
    if status == 503:
        log.warning("nothing answered in time: %s", error)
        headers["Retry-After"] = str(RETRY_SECONDS)
    if status == 412 and "version" in body["current"]:
        headers["ETag"] = f'"{body["current"]["version"]}"'
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, headers, content_type=CONTENT_TYPE)


def handle(blueprint: Blueprint) -> None:
    """Answer every refusal below /api/ as a problem."""
    for kind in FAULTS:
        blueprint.register_error_handler(kind, refuse)
    blueprint.register_error_handler(HTTPException, _refuse_http)


def _refuse_http(error: HTTPException) -> Response:
    """What Flask itself refuses, and the last resort for faults."""
    known = {400: "malformed", 404: "not-found", 405: "wrong-method", 413: "too-large", 415: "wrong-type"}
    code = error.code or 500
    body = problem(known.get(code, "error"), error.description or "")
    if code not in known:
        body = describe(getattr(error, "original_exception", None) or error) | {"status": code}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, code, content_type=CONTENT_TYPE)
