"""Every pattern that reads what people send, found in the code: none takes long over a text made to make it slow."""

from __future__ import annotations

import ast
import importlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from tests.architecture.subjects import sources
from tests.torture import tally, tries

LONGEST = 10_000
MOST = 0.15
ALLOWED = {
    r"core/rapport/i18n/reading.py (?P<before>\D*?)(?P<number>": "no more than 100 signs are read as an amount",
    r"core/rapport/builtin/web/forms.py (.+?)[\s": "no more than 100 signs are read as a moment",
}
"""By place and pattern's beginning: patterns that are slow, and why nothing long reaches them."""


@dataclass(frozen=True)
class Found:
    """A pattern, where it is written, and whether it looks for itself anywhere in a text."""

    place: str
    pattern: str
    flags: int
    anywhere: bool


def patterns() -> list[Found]:
    """Every pattern that is written in core, command line, plugins and verticals."""
    found = []
    # What only tests use reads our own files.
    for module in (each for each in sources() if ".testing" not in each.module):
        uses: dict[str, set[str]] = {}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute):
                uses.setdefault(ast.unparse(node.value).rpartition(".")[2], set()).add(node.attr)
        named = {
            id(node.value): target.id for node in ast.walk(module.tree) if isinstance(node, ast.Assign)
            for target in node.targets if isinstance(target, ast.Name)
        }  # fmt: skip
        for node in ast.walk(module.tree):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.") and node.args):
                continue
            how = ast.unparse(node.func).removeprefix("re.")
            if how not in {"compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"}:
                continue
            try:
                pattern = ast.literal_eval(node.args[0])
            except ValueError:
                made = getattr(importlib.import_module(module.module), named.get(id(node), ""), None)
                if not isinstance(made, re.Pattern):  # put together when it runs, of parts that are escaped
                    continue
                pattern = made.pattern
            flags = sum({int(getattr(re, name)) for name in re.findall(r"re\.([A-Z]+)\b", ast.unparse(node))})
            used = uses.get(named.get(id(node), ""), set()) if how == "compile" else {how}
            anywhere = bool(used - {"match", "fullmatch", "pattern"}) or not used
            text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
            found.append(Found(f"{module.path}:{node.lineno}", text, flags, anywhere))
    return found


def samples(pattern: str, flags: int) -> list[str]:
    """What its repeated parts are made of: each pumped up is an attack."""
    made: dict[str, None] = {}

    def one(items: Any) -> str:
        text = ""
        for code, value in items:
            if code in {ops.LITERAL}:
                text += chr(value)
            elif code is ops.NOT_LITERAL or code is ops.ANY:
                text += "a" if value != ord("a") else "b"
            elif code is ops.IN:
                text += member(value)
            elif code in {ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT}:
                body = one(value[2])
                before = text
                text += body * min(max(value[0], 1), 3)
                if value[1] > 8 or value[1] is ops.MAXREPEAT:
                    made[body] = None
                    made[before or body] = None  # each beginning is followed to the end of the text
                    made.update(dict.fromkeys(each for each in others(value[2])))
            elif code is ops.SUBPATTERN:
                text += one(value[3])
            elif code is ops.ATOMIC_GROUP:
                text += one(value)
            elif code is ops.BRANCH:
                parts = [one(branch) for branch in value[1]]
                text += parts[0]
        return text

    def member(value: Any) -> str:
        negated = value[0][0] is ops.NEGATE
        for code, each in value:
            if code is ops.LITERAL and not negated:
                return chr(each)
            if code is ops.RANGE and not negated:
                return chr(each[0])
            if code is ops.CATEGORY and not negated:
                return {ops.CATEGORY_DIGIT: "1", ops.CATEGORY_SPACE: " ", ops.CATEGORY_WORD: "a"}.get(each, "-")
        taken = {chr(each) for code, each in value if code is ops.LITERAL}
        return next(each for each in "a1 -.x" if each not in taken)

    def others(items: Any) -> Iterator[str]:
        for code, value in items:
            if code is ops.IN:
                yield from (chr(each) for kind, each in value if kind is ops.LITERAL)
                yield from ("1 a" if any(kind is ops.CATEGORY for kind, _ in value) else "")

    whole = one(parser.parse(pattern, flags))
    return [each for each in dict.fromkeys([whole, *made, *(a + b for a in [*made][:4] for b in [*made][:4])]) if each]


def seconds(match: Callable[[str], object], text: str) -> float:
    """The processor time that it takes."""
    began = time.process_time()
    match(text)
    return time.process_time() - began


def slowest(found: Found) -> tuple[float, str]:
    """Seconds for the worst of the attacks, and which that was. It grows in steps, so that nothing runs for minutes."""
    compiled = re.compile(found.pattern, found.flags)
    worst, why = 0.0, ""
    for body in samples(found.pattern, found.flags)[: tries(10, long=40)]:
        for before in ("", body[:1] + "\0"):
            for length in (16, 22, 26, 100, 1000, LONGEST):
                text = before + (body * (length // len(body) + 1))[:length] + "\0"
                match = compiled.search if found.anywhere else compiled.fullmatch
                took = min(seconds(match, text) for _ in range(3)) if seconds(match, text) > MOST else 0.0
                if took > worst:
                    worst, why = took, f"{body[:20]!r} × {length}"
                if took > MOST:
                    return worst, why
    return worst, why


def test_no_pattern_takes_long_over_any_text() -> None:
    every = patterns()
    assert len(every) > 150
    slow, excused = {}, set()
    for found in every:
        took, why = slowest(found)
        if took > MOST:
            place = f"{found.place.partition(':')[0]} {found.pattern}"
            reasons = {each for each in ALLOWED if place.startswith(each)}
            excused |= reasons
            if not reasons:
                slow[found.place] = (found.pattern[:80], round(took, 2), why)
    assert excused == set(ALLOWED), "every exception is still needed"
    assert slow == {}
    tally("B4", "patterns", tried=len(every), slow=0)


def test_a_slow_pattern_is_found() -> None:
    """The control."""
    bad = [r"\s+$", r"(\w|-)*!", r"(a+)+$", r"<!--(?:.|\n)*?-->"]
    caught = [each for each in bad if slowest(Found("here", each, re.DOTALL, True))[0] > MOST]
    assert len(caught) == len(bad), set(bad) - set(caught)
    tally("B4", "patterns", control=len(caught))
