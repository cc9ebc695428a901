"""Reading what programs send: JSON within limits, or a refusal that says where it went wrong."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, NoReturn

from flask import request

from rapport.builtin.api.problems import BadQuery, Refused
from rapport.errors import Invalid, Problem

MAX_BODY = 1024 * 1024
MAX_DEPTH = 32
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_DOUBTFUL = re.compile(r"\\u(?:0000|[dD][89abABcCdDeEfF])")  # escapes of NUL and of surrogates, paired or lone
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")


def arguments(known: Collection[str]) -> dict[str, str]:
    """The query parameters, each known and given once. Problems name the parameter, and the one probably meant."""
    if not request.query_string:
        return {}
    given: dict[str, str] = {}
    problems = []
    for name, values in request.args.lists():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean '{near[0]}'?" if near else f" Known here: {', '.join(sorted(known)) or 'none'}."
            problems.append(Problem(name, f"is not a query parameter of this address.{hint}"))
        elif len(values) > 1:
            problems.append(Problem(name, "is given more than once."))
        elif _NOT_TEXT.search(values[0]):
            problems.append(Problem(name, "contains characters that cannot be used."))
        given[name] = values[0]
    if problems:
        raise BadQuery(problems)
    return given


def whole_number(given: dict[str, str], name: str, default: int, *, least: int, most: int) -> int:
    """A number among the query parameters."""
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise BadQuery(Problem(name, f"must be a whole number from {least} to {most}."))
    return int(text)


def flag(given: dict[str, str], name: str) -> bool:
    """A yes or no among the query parameters."""
    text = given.get(name, "false")
    if text not in {"true", "false"}:
        raise BadQuery(Problem(name, "must be true or false."))
    return text == "true"


def json_body() -> Any:
    """The JSON a request carries. Checked before it is parsed: type, size, encoding, depth."""
    _require_type("application/json")
    request.max_content_length = MAX_BODY
    return parse(decode(request.get_data()))


def object_body(known: Collection[str] | None = None) -> dict[str, Any]:
    """A JSON object; nothing at all counts as an empty one. With `known`, other keys are problems."""
    request.max_content_length = MAX_BODY
    if not request.get_data():
        return {}
    body = json_body()
    if not isinstance(body, dict):
        raise Refused("malformed", "The body must be a JSON object.")
    if known is not None and (unknown := [name for name in body if name not in known]):
        near = difflib.get_close_matches(unknown[0], known, 1)
        hint = f" Did you mean '{near[0]}'?" if near else f" Known here: {', '.join(sorted(known)) or 'nothing'}."
        raise Invalid(Problem(unknown[0], f"is not known here.{hint}"))
    return body


def ndjson_lines(most: int) -> Iterator[str]:
    """The lines of an NDJSON body, empty ones left out."""
    _require_type("application/x-ndjson", "application/jsonl", "application/json-lines")
    if request.content_length is None and request.headers.get("Transfer-Encoding"):
        # A list that broke off between two lines would look like a whole one.
        raise Refused(
            "length-needed", "Send the header Content-Length: a list that breaks off must not be taken for a whole one."
        )
    lines = [line for line in decode(request.get_data()).splitlines() if line.strip()]
    if len(lines) > most:
        raise Refused("too-large", f"At most {most:,} operations fit into one request; these are {len(lines):,}.")
    yield from lines


def _require_type(*allowed: str) -> None:
    if request.mimetype not in allowed:
        raise Refused("wrong-type", f"Send the header Content-Type: {allowed[0]}.")


def decode(raw: bytes) -> str:
    """Bytes as text: JSON is UTF-8, always."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("malformed", f"The body is not UTF-8: byte {error.start} does not fit.") from None


def parse(text: str) -> Any:
    """JSON text as values; nothing that databases or other programs would choke on later."""
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text)
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_short
        )
    except json.JSONDecodeError as error:
        raise Refused(
            "malformed", f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    if _DOUBTFUL.search(text):
        _check_texts(value)
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        first = found.group()[0]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise Refused("malformed", f"The body is nested too deeply: at most {MAX_DEPTH} levels are read.")
        elif first in "]}":
            depth -= 1


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        if _NOT_TEXT.search(value):
            raise Refused("malformed", "A text contains NUL or half a surrogate pair, which cannot be kept.")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_texts(key)
            _check_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_texts(inner)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise Refused("malformed", f"The key '{repeated[:100]}' is given twice in one object.", repeated[:100])
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise Refused("malformed", f"{name} is not JSON. Leave the field out or send null.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Refused("malformed", f"The number {text[:20]} is too large.")
    return number


def _short(text: str) -> int:
    if len(text) > 40:
        raise Refused("malformed", f"The number {text[:20]}… is too large.")
    return int(text)
