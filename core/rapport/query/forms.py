"""A filter as text for people and links, and as JSON for the filter builder on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from rapport.query.filter import parse_value
from rapport.query.tree import (
    MAX_DEPTH,
    MAX_LIST,
    OPS,
    And,
    Compare,
    Filter,
    Me,
    Moment,
    Not,
    Op,
    Or,
    Period,
    Value,
    bounded,
    problem,
)  # fmt: skip

_STEPS = {-1: "last", 0: "this", 1: "next"}
_COUNTS = {"empty": 0, "between": 2}


def to_text(filter: Filter) -> str:
    """The filter as somebody would type it. Parsing it gives the same filter again."""
    match filter:
        case Compare(path, op, values):
            return _condition(".".join(path), op, values)
        case Not(part):
            return _opposite(part)
        case And(parts):
            return " and ".join(f"({to_text(p)})" if isinstance(p, And | Or) else to_text(p) for p in parts)
        case Or(parts):
            return " or ".join(f"({to_text(p)})" if isinstance(p, Or) else to_text(p) for p in parts)


def _opposite(part: Filter) -> str:
    match part:
        case Compare(path, "empty"):
            return f"{'.'.join(path)} is not empty"
        case Compare(path, "in", values):
            return _condition(".".join(path), "not in", values)
        case And() | Or():
            return f"not ({to_text(part)})"
        case _:
            return f"not {to_text(part)}"


def _condition(name: str, op: str, values: Sequence[Value]) -> str:
    if op == "empty":
        return f"{name} is empty"
    if op in {"in", "not in"}:
        return f"{name} {op} ({', '.join(map(value_text, values))})"
    return f"{name} {op} {' and '.join(map(value_text, values))}"


def value_text(value: Value) -> str:
    """One value as it stands in a filter."""
    match value:
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
            return f'"{escaped}"'
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case Me():
            return "me"
        case Moment(base, shifts):
            return base + "".join(f" {'-' if n < 0 else '+'} {abs(n)} {unit}" for n, unit in shifts)
        case Period(step, span):
            return f"{_STEPS[step]} {span}"


# JSON ----------------------------------------------------------------------------------------------------------------


def to_json(filter: Filter) -> dict[str, Any]:
    """The filter as plain data: `{"all": [{"field": "amount", "op": ">=", "value": 1000}, …]}`."""
    match filter:
        case And(parts):
            return {"all": [to_json(part) for part in parts]}
        case Or(parts):
            return {"any": [to_json(part) for part in parts]}
        case Not(part):
            return {"not": to_json(part)}
        case Compare(path, op, values):
            shown: dict[str, Any] = {"field": ".".join(path), "op": op}
            if op in {"in", "between"}:
                return shown | {"value": [_value_to_json(value) for value in values]}
            return shown | {"value": _value_to_json(values[0])} if values else shown


def _value_to_json(value: Value) -> Any:
    match value:
        case str() | bool():
            return value
        case Decimal():
            if value == value.to_integral_value() and abs(value) < 2**53:
                return int(value)
            return float(value) if Decimal(str(float(value))) == value else {"number": f"{value:f}"}
        case _:
            return {"relative": value_text(value)}


def from_json(data: Any) -> Filter:
    """The filter behind what `to_json` gives. Raises Invalid for anything else."""
    return bounded(_from_json(data, 1))


def _from_json(data: Any, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise problem(f"is nested too deeply; at most {MAX_DEPTH} levels are allowed.")
    if not isinstance(data, Mapping):
        raise problem('must be an object with "all", "any", "not" or "field".')
    for name, made in (("all", And), ("any", Or)):
        if name in data:
            parts = data[name]
            if not isinstance(parts, list) or not parts or len(data) > 1:
                raise problem(f'"{name}" must be a list of conditions, and nothing beside it.')
            made_of = tuple(_from_json(part, depth + 1) for part in parts)
            return made_of[0] if len(made_of) == 1 else made(made_of)
    if "not" in data:
        return Not(_from_json(data["not"], depth + 1))
    return _condition_from_json(data)


def _condition_from_json(data: Mapping[str, Any]) -> Compare:
    name, op = data.get("field"), data.get("op")
    if not isinstance(name, str) or not name or len(name) > 200:
        raise problem('a condition needs "field", the name of a field.')
    if op not in OPS:
        raise problem(f"'{op}' is not an operator. Operators: {', '.join(OPS)}.")
    value = data.get("value")
    given = value if op in {"in", "between"} else [value] if "value" in data and op != "empty" else []
    if not isinstance(given, list) or len(given) > MAX_LIST:
        raise problem(f"{name} {op} needs a list of at most {MAX_LIST} values.")
    wanted = max(1, len(given)) if op == "in" else _COUNTS.get(op, 1)
    if len(given) != wanted:
        raise problem(f"{name} {op} needs {wanted} value{'s' if wanted > 1 else ''}, not {len(given)}.")
    return Compare(tuple(name.split(".")), cast(Op, op), tuple(map(_value_from_json, given)))


def _value_from_json(value: Any) -> Value:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float) and abs(value) < 10**20:  # also refuses NaN and infinity
        return Decimal(str(value))
    if isinstance(value, Mapping) and len(value) == 1:
        ((kind, text),) = value.items()
        if kind in {"relative", "number"} and isinstance(text, str):
            return parse_value(text)
    raise problem('a value must be a text, a number, true, false or {"relative": "today + 30 days"}.')
