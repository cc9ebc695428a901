"""Texts that people write with places to fill in: a small part of Liquid, over plain texts, bounded in every direction.

A text gets words, never records: nothing can be called, walked into or changed. The filters are those that cannot make
much out of little, and there are no loops, so a text takes no longer than it is long. Whoever uses this names
python-liquid among their dependencies, or `rapport-crm[wording]`; it is loaded when the first text is read.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rapport.i18n.catalogs import _

if TYPE_CHECKING:
    from liquid import BoundTemplate, Environment

_SIGNS = re.compile(r"\{\{|\}\}|\{%|%\}")
_WHOLE = re.compile(r"\{%-?\s*+(?:raw|doc)\b")
_ENDS = {"{{": "}}", "{%": "%}"}
MAX_PLACE = 2000
"""How long one place may be."""
TAGS = ("if", "unless", "case", "comment", "#")
FILTERS = ("capitalize", "default", "downcase", "escape", "strip", "truncate", "truncatewords", "upcase")


@dataclass(frozen=True, slots=True)
class Wording:
    """What texts of one kind may say: `Wording(("customer.name", "today"))`."""

    names: tuple[str, ...]
    """The places there are: `customer.name` is a name within `customer`."""
    filters: tuple[str, ...] = FILTERS
    max_source: int = 100_000
    max_output: int = 400_000
    strict: bool = True
    """Whether a name without a value is a fault when the text is filled in; else it is empty."""

    def fault_in(self, source: str) -> str:
        """What is wrong with a text, as a sentence that follows its name; empty when nothing is."""
        from liquid.exceptions import LiquidError

        if len(source) > self.max_source:
            return _("is too long.")
        if fault := _open_place(source):
            return fault
        try:
            template = self.read(source)
            wanted, filters = template.global_variable_paths(), template.filter_names()
        except (LiquidError, RecursionError, ValueError) as error:
            return said(error)
        if odd := sorted(set(filters) - set(self.filters)):
            return _("has an unknown filter “%(name)s”. Known filters: %(known)s.", name=odd[0],
                     known=", ".join(self.filters))  # fmt: skip
        if unknown := sorted({_path(each) for each in wanted} - set(self.names)):
            return _("has an unknown name “%(name)s”. Known names: %(known)s.", name=unknown[0],
                     known=", ".join(self.names))  # fmt: skip
        return ""

    def read(self, source: str) -> BoundTemplate:
        """A text, read once to be filled in often. LiquidError when it cannot be read."""
        from liquid.exceptions import LiquidSyntaxError

        if fault := _open_place(source):
            raise LiquidSyntaxError(fault, token=None)
        return _environment(self.filters, self.max_output, self.strict).from_string(source)

    def fill(self, source: str, values: Mapping[str, str]) -> str:
        """The text for these values, by name. LiquidError when it cannot be filled in."""
        return self.read(source).render(**nested(values))


def nested(values: Mapping[str, str]) -> dict[str, Any]:
    """`customer.name` as a name within `customer`, as a text that was read is rendered with."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        outer, dot, inner = name.partition(".")
        if dot:
            out.setdefault(outer, {})[inner] = value
        else:
            out[outer] = value
    return out


def said(error: Exception) -> str:
    """Liquid's word on an error, without the excerpt of the text that it draws."""
    text = str(getattr(error, "message", "") or error).strip().splitlines()
    why = text[0][:200] if text else type(error).__name__
    if line := _line_of(error):
        return _("cannot be read, in line %(line)s: %(why)s", line=line, why=why)
    return _("cannot be read: %(why)s", why=why)


def _open_place(source: str) -> str:
    """What is wrong with how places begin and end. Liquid looks from each beginning to the end of the whole text."""
    begun, at = "", 0
    for sign in _SIGNS.finditer(source):
        if begun and (sign[0] != _ENDS[begun] or sign.start() - at > MAX_PLACE):
            break
        if not begun and sign[0] in _ENDS:
            begun, at = sign[0], sign.start()
        else:
            begun = ""
    if begun:
        line = source.count("\n", 0, at) + 1
        return _("cannot be read, in line %(line)s: %(why)s", line=line,
                 why=_("a place begins with %(begin)s and does not end.", begin=begun))  # fmt: skip
    if whole := _WHOLE.search(source):
        return _("cannot be read, in line %(line)s: %(why)s", line=source.count("\n", 0, whole.start()) + 1,
                 why=_("“%(name)s” is not known here.", name=whole[0].strip("{%- \n")))  # fmt: skip
    return ""


def _line_of(error: Exception) -> int:
    token = getattr(error, "token", None)
    if token is None:
        return 0
    source, start = str(getattr(token, "source", "")), int(getattr(token, "start_index", 0))
    return source.count("\n", 0, max(start, 0)) + 1


def _path(path: Any) -> str:
    return path if isinstance(path, str) else ".".join(str(each) for each in path)


@functools.cache
def _environment(filters: Collection[str], max_output: int, strict: bool) -> Environment:
    from liquid import Environment, Mode, StrictUndefined, Undefined

    class Small(Environment):
        output_stream_limit = max_output
        block_nesting_limit = 20
        context_depth_limit = 20
        loop_iteration_limit = 1
        local_namespace_limit = 10_000

    made = Small(tolerance=Mode.STRICT, undefined=StrictUndefined if strict else Undefined)
    made.tags = {name: tag for name, tag in made.tags.items() if name in {"content", "output", "illegal", *TAGS}}
    made.filters = {name: each for name, each in made.filters.items() if name in filters}
    return made
