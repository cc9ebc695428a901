"""The lines of an iCalendar file, put together again and cut into components, before anything is parsed.

Bounded in every way: a file of a few bytes must not become hours of work, and one that is not well formed in a place
must not take the rest along.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from rapport import gettext as _

MAX_BYTES = 5_000_000
MAX_EVENTS = 5_000
MAX_DEPTH = 10
MAX_LINE = 200_000
MAX_LINES = 2_000
"""Of one event."""


_NAMED_ZONE = re.compile(r"^((?:DTSTART|DTEND|RDATE|EXDATE|RECURRENCE-ID)\b[^:]*;\s*)TZID=", re.IGNORECASE)
"""Which zone a name means is ours to say, not the parser's."""


def _without_spaces(line: str) -> str:
    """Some write spaces into lists of weekdays."""
    return line.replace(" ", "") if line[:6].upper() == "RRULE:" else line


@dataclass(slots=True)
class Component:
    """A piece of the file between BEGIN and END: its kind, the line it begins on, and its lines."""

    kind: str
    line: int
    lines: list[str] = field(default_factory=list)
    ended: bool = False

    @property
    def text(self) -> str:
        """Its lines as a file of its own, for a parser; times are left as their clock shows them."""
        return "\r\n".join(_NAMED_ZONE.sub(r"\1X-TZID=", _without_spaces(each)) for each in self.lines) + "\r\n"


@dataclass(slots=True)
class Cut:
    """A file cut up: the components that count, its method, and what could not be cut."""

    components: list[Component]
    method: str = ""
    problems: list[tuple[int, str]] = field(default_factory=list)


def decoded(data: bytes) -> str:
    """The text of a file; RFC 5545 says UTF-8, and older programs wrote what their machine did."""
    for encoding in ("utf-8-sig", "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Each logical line with the number of the line it begins on."""
    number, held, begun = 0, "", 0
    for raw in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        number += 1
        if raw[:1] in {" ", "\t"} and begun:
            held += raw[1:]
            continue
        if begun:
            yield begun, held
        held, begun = raw, number
    if begun:
        yield begun, held


def cut(text: str, kinds: frozenset[str]) -> Cut:
    """Cut a file into the components of these kinds, at whatever depth they stand."""
    made = Cut([])
    open_: list[Component] = []
    for number, line in unfolded(text):
        if not line.strip():
            continue
        name, _colon, value = line.partition(":")
        name, value = name.strip().upper(), value.strip().upper()
        within = next((each for each in open_ if each.kind in kinds), None)
        if name == "BEGIN":
            if len(open_) >= MAX_DEPTH:
                made.problems.append((number, _("Components stand in each other too deep.")))
                return made
            open_.append(Component(value, number))
            if within is None and value in kinds:
                if len(made.components) >= MAX_EVENTS:
                    made.problems.append((number, _("The file has more than %(most)s appointments.", most=MAX_EVENTS)))
                    return made
                made.components.append(open_[-1])
                within = open_[-1]
        if within is not None:
            if len(line) > MAX_LINE or len(within.lines) >= MAX_LINES:
                made.problems.append((number, _("The appointment is too large.")))
                return made
            within.lines.append(line)
        elif name == "METHOD" and not made.method:
            made.method = value
        if name == "END":
            while open_ and open_[-1].kind != value and any(each.kind == value for each in open_):
                open_.pop()
            if open_ and open_[-1].kind == value:
                open_.pop().ended = True
    made.problems += [(each.line, _("It does not end.")) for each in made.components if not each.ended]
    made.components = [each for each in made.components if each.ended]
    return made
