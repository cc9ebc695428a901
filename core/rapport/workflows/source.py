"""Workflows as people write them: YAML read into plain values, each with the line it stands on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import yaml

from rapport.i18n.catalogs import _

MAX_TEXT = 100_000
MAX_DEPTH = 20
MAX_NODES = 5_000
Path = tuple[str | int, ...]
_WHOLE = re.compile(r"[-+]?\d{1,15}")
_PLAIN: Mapping[str, Any] = MappingProxyType({"": None, "~": None, "null": None, "true": True, "false": False})


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong with a definition, and where: `states.waiting.after: '30 dys' is not a time.`"""

    path: str
    message: str
    line: int = 0
    """0 where there is no text behind it."""
    warning: bool = False
    """It runs all the same, but probably not as it was meant."""

    def __str__(self) -> str:
        where = _("line %(line)s", line=self.line) + ", " if self.line else ""
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


@dataclass(frozen=True, slots=True)
class Source:
    """Plain values, and the line of each by its path."""

    value: Any
    lines: Mapping[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of a value, or of what it stands in."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


class _Unreadable(Exception):
    def __init__(self, message: str, line: int) -> None:
        self.mistake = Mistake("", message, line)
        super().__init__(message)


def read_yaml(text: str) -> Source | Mistake:
    """Read a text of YAML 1.1 without its traps: no tags, no aliases, and `on` and `no` are words like any other."""
    if len(text) > MAX_TEXT:
        return Mistake("", _("is too long: at most %(most)s characters are read.", most=f"{MAX_TEXT:,}"))
    try:
        return _Tree(yaml.parse(text, Loader=yaml.SafeLoader)).read()
    except _Unreadable as error:
        return error.mistake
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        return Mistake("", _("cannot be read: %(why)s.", why=said), mark.line + 1 if mark else 1)
    except yaml.YAMLError as error:  # characters that no text of YAML may have
        return Mistake("", _("cannot be read: %(why)s.", why=str(error).splitlines()[0]), 1)


class _Tree:
    """Builds the values from the events of the parser, so that depth and number are bounded before anything is made."""

    def __init__(self, events: Iterator[Any]) -> None:
        self.events = events
        self.lines: dict[Path, int] = {}

    def read(self) -> Source:
        found: Any = {}
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                found = self.value(next(self.events), ())
                if not isinstance(next(self.events), yaml.DocumentEndEvent):
                    raise _Unreadable(_("has more than one value."), self._line(event))
            elif isinstance(event, yaml.DocumentEndEvent):
                break
        for rest in self.events:
            if isinstance(rest, yaml.DocumentStartEvent):
                raise _Unreadable(_("holds several documents. Write one workflow only."), self._line(rest))
        return Source(found, self.lines)

    def value(self, event: Any, path: Path) -> Any:
        line = self._line(event)
        self.lines.setdefault(path, line)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Unreadable(_("anchors and aliases (& and *) are not read. Write it out."), line)
        if len(path) > MAX_DEPTH:
            raise _Unreadable(_("is nested too deeply; at most %(most)s levels are read.", most=MAX_DEPTH), line)
        if len(self.lines) > MAX_NODES:
            raise _Unreadable(_("has too many parts; at most %(most)s are read.", most=f"{MAX_NODES:,}"), line)
        if getattr(event, "tag", None) not in {None, "!"}:
            raise _Unreadable(_("tags (!) are not read. Write the value alone."), line)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return event.value if event.style else _plain(event.value)

    def _mapping(self, path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = self._line(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _Unreadable(_("a name must be a word."), line)
            name = event.value
            if name in made:
                raise _Unreadable(_("“%(name)s” stands there twice.", name=name), line)
            self.lines[*path, name] = line
            made[name] = self.value(next(self.events), (*path, name))
        return made

    def _sequence(self, path: Path) -> list[Any]:
        made: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            made.append(self.value(event, (*path, len(made))))
        return made

    def _line(self, event: Any) -> int:
        return int(event.start_mark.line) + 1


def _plain(text: str) -> Any:
    """A value written without quotes. Numbers with a point stay text: fields read them exactly."""
    if text.lower() in _PLAIN:
        return _PLAIN[text.lower()]
    return int(text) if _WHOLE.fullmatch(text) else text
