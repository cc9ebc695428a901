"""The filter language: `amount >= 1000 and stage.kind = "won"`, read into conditions or refused with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Literal, NamedTuple, cast

from rapport.query.tree import (
    MAX_DEPTH,
    MAX_LIST,
    MAX_TEXT,
    SPANS,
    UNITS,
    And,
    Compare,
    Filter,
    FilterContext,
    Me,
    Moment,
    Not,
    Op,
    Or,
    Period,
    Span,
    Unit,
    Value,
    bounded,
    conditions,
    problem,
)  # fmt: skip

__all__ = ["And", "Compare", "Filter", "FilterContext", "Not", "Or", "conditions", "parse", "parse_value"]

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<string>"(?:[^"\\]|\\.|"")*"|'(?:[^'\\]|\\.|'')*')
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<word>[^\W\d]\w*(?:\.[^\W\d]\w*)*)
    | (?P<sign><=|>=|!=|[=<>(),+-])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)|\"\"", re.DOTALL)
_ESCAPED_SINGLE = re.compile(r"\\(.)|''", re.DOTALL)
_LINE = {"n": "\n", "t": "\t"}
_POWER = {"or": 1, "and": 2}
_PERIODS: dict[str, Literal[-1, 0, 1]] = {"last": -1, "this": 0, "next": 1}
_OPERATORS = "= != < <= > >= in, not in, contains, starts, ends, has, between, is empty, is not empty"
MAX_SHIFT = 10_000
MAX_SHIFTS = 4
MAX_DIGITS = 30


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(text: str) -> Filter:
    """Read a filter. Raises Invalid, naming the place and what could stand there. Fields are checked by `bind`."""
    parser = _Parser(text)
    tree = parser.expression(0)
    parser.finish()
    return bounded(tree)


def parse_value(text: str) -> Value:
    """Read one value, such as `today + 30 days` or `"gold"`."""
    parser = _Parser(text)
    value = parser.value()
    parser.finish()
    return value


def _scan(text: str) -> Iterator[_Token]:
    if len(text) > MAX_TEXT:
        raise problem(f"is {len(text):,} characters long; at most {MAX_TEXT:,} are allowed.")
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            if text[at] in "\"'":
                raise problem("this text in quotes is never closed.", at)
            raise problem(f"'{text[at]}' has no meaning here. Write texts and dates in quotes.", at)
        kind = cast(str, found.lastgroup)
        if kind != "space":
            yield _Token(kind, found.group(), at)
        at = found.end()
    yield _Token("end", "", len(text))


class _Parser:
    """A small Pratt parser: an operator that binds stronger keeps its operands."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_scan(text))
        self.next = 0
        self.nesting = 0

    # Looking ---------------------------------------------------------------------------------------------------------

    def peek(self) -> _Token:
        return self.tokens[self.next]

    def take(self) -> _Token:
        token = self.tokens[self.next]
        if token.kind != "end":
            self.next += 1
        return token

    def accept(self, *words: str) -> str | None:
        """Take the next token if it is one of these words or signs."""
        token = self.peek()
        word = token.text.lower()
        if token.kind in {"word", "sign"} and word in words:
            self.next += 1
            return word
        return None

    def expect(self, word: str, why: str) -> None:
        if not self.accept(word):
            raise self.unexpected(f"'{word}' {why}")

    def unexpected(self, wanted: str) -> Exception:
        token = self.peek()
        found = "the filter ends" if token.kind == "end" else f"'{token.text[:40]}' stands"
        return problem(f"{found} where {wanted} should be.", token.at)

    def finish(self) -> None:
        if self.peek().kind != "end":
            raise self.unexpected("'and', 'or' or the end")

    # Conditions joined -----------------------------------------------------------------------------------------------

    def expression(self, power: int) -> Filter:
        left = self.operand()
        while (joint := self.peek().text.lower()) in _POWER and _POWER[joint] > power and self.peek().kind == "word":
            parts = [left]
            while self.accept(joint):
                parts.append(self.expression(_POWER[joint]))
            left = And(tuple(parts)) if joint == "and" else Or(tuple(parts))
        return left

    def operand(self) -> Filter:
        at = self.peek().at
        if opened := self.accept("not", "("):
            self.nesting += 1
            if self.nesting > 2 * MAX_DEPTH:
                raise problem(f"is nested too deeply; at most {MAX_DEPTH} levels are allowed.", at)
            if opened == "not":
                inner: Filter = Not(self.operand())
            else:
                inner = self.expression(0)
                self.expect(")", "to close the parenthesis")
            self.nesting -= 1
            return inner
        return self.condition()

    def condition(self) -> Filter:
        token = self.peek()
        if token.kind != "word":
            raise self.unexpected("the name of a field")
        self.take()
        path = tuple(token.text.split("."))
        if self.accept("is"):
            negated = self.accept("not")
            self.expect("empty", "(as in 'is empty' or 'is not empty')")
            empty = Compare(path, "empty", (), token.at)
            return Not(empty) if negated else empty
        if self.accept("not"):
            self.expect("in", "(as in 'not in (…)')")
            return Not(Compare(path, "in", self.listed(), token.at))
        op = self.accept("=", "!=", "<", "<=", ">", ">=", "in", "contains", "starts", "ends", "has", "between")
        if op is None:
            raise self.unexpected(f"an operator ({_OPERATORS})")
        return Compare(path, cast(Op, op), self.operands(op), token.at)

    def operands(self, op: str) -> tuple[Value, ...]:
        if op == "in":
            return self.listed()
        if op == "between":
            low = self.value()
            self.expect("and", "(as in 'between 1 and 9')")
            return (low, self.value())
        if op in {"starts", "ends"}:
            self.accept("with")
        return (self.value(),)

    def listed(self) -> tuple[Value, ...]:
        at = self.peek().at
        self.expect("(", '(as in \'in ("gold", "silver")\')')
        values = [self.value()]
        while self.accept(","):
            values.append(self.value())
        self.expect(")", "to close the list")
        if len(values) > MAX_LIST:
            raise problem(f"the list has {len(values)} values; at most {MAX_LIST} are allowed.", at)
        return tuple(values)

    # Values ----------------------------------------------------------------------------------------------------------

    def value(self) -> Value:
        token = self.peek()
        if token.kind == "string":
            self.take()
            return _unquoted(token)
        if token.kind == "number" or token.text in {"-", "+"}:
            negative = self.accept("-", "+") == "-"
            number = self.number()
            return number.copy_negate() if negative else number  # -number would round
        if word := self.accept("true", "false"):
            return word == "true"
        if self.accept("me"):
            return Me()
        if base := self.accept("today", "now"):
            return Moment(cast(Literal["today", "now"], base), self.shifts(base))
        if step := self.accept(*_PERIODS):
            span = self.accept(*SPANS)
            if span is None:
                raise self.unexpected(f"one of {', '.join(SPANS)}")
            return Period(_PERIODS[step], cast(Span, span))
        if token.kind == "word":
            raise problem(
                f"'{token.text[:40]}' is not a value. Write texts and dates in quotes: \"{token.text[:40]}\".", token.at
            )
        raise self.unexpected("a value (text or date in quotes, number, true, false, today, now, me)")

    def number(self) -> Decimal:
        token = self.peek()
        if token.kind != "number":
            raise self.unexpected("a number")
        if len(token.text) > MAX_DIGITS:
            raise problem("the number is too long.", token.at)
        self.take()
        return Decimal(token.text)

    def shifts(self, base: str) -> tuple[tuple[int, Unit], ...]:
        found: list[tuple[int, Unit]] = []
        while sign := self.accept("+", "-"):
            at = self.peek().at
            number = self.number()
            unit = self.accept(*UNITS, *(unit[:-1] for unit in UNITS))
            if unit is None:
                raise self.unexpected(f"one of {', '.join(UNITS)}")
            unit = unit if unit.endswith("s") else unit + "s"
            if number != int(number) or number > MAX_SHIFT or len(found) == MAX_SHIFTS:
                raise problem(f"at most {MAX_SHIFTS} whole numbers up to {MAX_SHIFT:,} can be added to '{base}'.", at)
            if unit == "hours" and base == "today":
                raise problem("hours can be added to 'now', not to 'today'.", at)
            found.append((int(number) if sign == "+" else -int(number), cast(Unit, unit)))
        return tuple(found)


def _unquoted(token: _Token) -> str:
    body = token.text[1:-1]
    if "\\" not in body and token.text[0] not in body:
        return body
    escaped, quote = (_ESCAPED, '"') if token.text[0] == '"' else (_ESCAPED_SINGLE, "'")
    return escaped.sub(lambda found: _LINE.get(found[1], found[1]) if found[1] else quote, body)
