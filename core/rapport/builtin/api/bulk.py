"""Many changes in one request: one operation a line, and one answer a line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Response

from rapport.builtin.api.body import arguments, flag, ndjson_lines, parse
from rapport.builtin.api.keys import Key, claim, keep, key_of_request
from rapport.builtin.api.problems import FAULTS, Refused, describe, problem
from rapport.builtin.api.resource import Resource, agreed, encode, record_id
from rapport.entities import uuid7
from rapport.errors import Invalid, Problem
from rapport.http import current_actor, renewed_actor
from rapport.records import Unit

if TYPE_CHECKING:
    from uuid import UUID

MAX_OPERATIONS = 1000
CONTENT_TYPE = "application/x-ndjson"
KEYS = {
    "create": ("op", "values"),
    "update": ("op", "id", "version", "values"),
    "delete": ("op", "id", "version"),
    "archive": ("op", "id", "version"),
    "restore": ("op", "id", "version"),
}


class Failed(Exception):
    """One line of an atomic request failed, so the whole is taken back."""


@dataclass(slots=True)
class Line:
    """One operation, as text, and what became of it."""

    number: int
    text: str
    outcome: dict[str, Any] | None = None


def bulk(resource: Resource) -> Response:
    """Run the operations of an NDJSON body in order. `atomic=true`: all of them, or none."""
    atomic = flag(arguments(("atomic",)), "atomic")
    lines = [Line(number, text) for number, text in enumerate(ndjson_lines(MAX_OPERATIONS), 1)]
    if not lines:
        raise Refused("malformed", "There is no operation in the body: send one JSON object a line.")
    key, batch = key_of_request(), uuid7()
    if atomic:
        return _all_or_none(resource, lines, key, batch)
    for line in lines:
        _by_itself(resource, line, key.of_line(line.number, line.text) if key else None, batch)
    return _answer(lines, 200)


def _all_or_none(resource: Resource, lines: Sequence[Line], key: Key | None, batch: UUID) -> Response:
    try:
        with resource.site.write(current_actor(), batch=batch) as unit:
            if (before := claim(unit, key)) is not None:
                return before
            for line in lines:
                try:
                    line.outcome = _run(resource, unit, line.text)
                except FAULTS as error:
                    line.outcome = _refused(error)
                    raise Failed from error
            return keep(unit, key, _answer(lines, 200))
    except Failed:
        undone = problem("not-tried", "Another line failed, so nothing was changed.")
        for line in lines:
            if line.outcome is None or line.outcome["status"] < 400:
                line.outcome = {"status": undone["status"], "problem": undone}
        return _answer(lines, 422)


def _by_itself(resource: Resource, line: Line, key: Key | None, batch: UUID) -> None:
    try:
        with resource.site.write(renewed_actor(), batch=batch) as unit:
            if (before := claim(unit, key)) is not None:
                line.outcome = {**before.get_json(), "replayed": True}
                return
            outcome = _run(resource, unit, line.text)
            keep(unit, key, Response(encode(outcome), outcome["status"], content_type="application/json"))
    except FAULTS as error:
        outcome = _refused(error)
    line.outcome = outcome


def _run(resource: Resource, unit: Unit, text: str) -> dict[str, Any]:
    """Do what one line says, within the unit."""
    op, given = _operation(text)
    entity = resource.entity
    if op == "create":
        record = unit.create(entity, given.get("values"))  # type: ignore[arg-type]
        return {"status": 201, "id": str(record.id), "version": record.version}
    unit.actor.require(entity.meta.permission("update" if op == "update" else "delete"))
    record = unit.get(entity, record_id(str(given.get("id", "")), entity))
    version = _version(given, needed=op in {"update", "delete"})
    if version is not None:
        version = agreed(record, frozenset([version]))
    match op:
        case "update":
            unit.update(record, given.get("values"), version=version)  # type: ignore[arg-type]
        case "delete":
            unit.delete(record, version=version)
            return {"status": 204, "id": str(record.id)}
        case "archive":
            unit.archive(record, version=version)
        case "restore":
            unit.restore(record, version=version)
    return {"status": 200, "id": str(record.id), "version": record.version}


def _operation(text: str) -> tuple[str, dict[str, Any]]:
    given = parse(text)
    if not isinstance(given, dict):
        raise Refused("malformed", 'An operation is an object, such as {"op": "create", "values": {…}}.')
    op = given.get("op")
    if not isinstance(op, str) or op not in KEYS:
        raise Invalid(Problem("op", f"must be one of {', '.join(KEYS)}."))
    if unknown := [name for name in given if name not in KEYS[op]]:
        near = difflib.get_close_matches(unknown[0], KEYS[op], 1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise Invalid(Problem(unknown[0], f"is no part of '{op}'; that takes {', '.join(KEYS[op])}.{hint}"))
    return op, given


def _version(given: dict[str, Any], *, needed: bool) -> int | None:
    version = given.get("version")
    if version is None:
        if needed:
            raise Refused("version-needed", "Say in 'version' which version of the record you have seen.", "version")
        return None
    if isinstance(version, bool) or not isinstance(version, int):
        raise Invalid(Problem("version", "must be a whole number."))
    return version


def _refused(error: BaseException) -> dict[str, Any]:
    described = describe(error)
    return {"status": described["status"], "problem": described}


def _answer(lines: Sequence[Line], status: int) -> Response:
    text = "".join(encode({"line": line.number, **(line.outcome or {})}) + "\n" for line in lines)
    return Response(text, status, content_type=CONTENT_TYPE)
