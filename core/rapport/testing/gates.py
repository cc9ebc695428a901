"""Things nobody may write, each found by reading the code. Core and plugins are held to the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rapport.testing.sources import Source

Found = Iterator[tuple[int, str]]
"""Line and what stands there."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that may not be written, where, and in which function: `rapport_visits/service.py::send`."""

    place: str
    said: str


@dataclass(frozen=True, slots=True)
class Gate:
    """One thing nobody may write in Python."""

    name: str
    check: Callable[[Source], Found]
    good: str
    bad: str

    def faults(self, module: Source) -> Iterator[Fault]:
        """What this module does wrong, in sentences that say where."""
        for line, what in self.check(module):
            function = function_at(module, line)
            place = f"{module.path}::{function}" if function else module.path
            yield Fault(place, f"{module.path}:{line}: {what} ({self.name})")


@dataclass(frozen=True, slots=True)
class PageGate:
    """One thing nobody may write in a template or style sheet."""

    name: str
    pattern: re.Pattern[str]
    good: str
    bad: str
    in_jinja: bool = False
    """Look inside {{ }} and {% %}; otherwise they are blanked out first."""

    def faults(self, path: str, text: str) -> Iterator[Fault]:
        """What this file does wrong."""
        seen = COMMENT.sub(_blank, text)
        seen = seen if self.in_jinja else JINJA.sub(_blank, seen)
        for found in self.pattern.finditer(seen):
            line = seen.count("\n", 0, found.start()) + 1
            yield Fault(path, f"{path}:{line}: {found[0]!r} ({self.name})")


COMMENT = re.compile(r"\{#.*?#\}|/\*.*?\*/|<!--.*?-->", re.DOTALL)
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
SQL = re.compile(
    r"\b(SELECT\b.+\bFROM|INSERT\s+INTO|UPDATE\b.+\bSET|DELETE\s+FROM|(CREATE|DROP|ALTER)\s+[A-Z]+)\b", re.DOTALL
)
NETWORK = ("aiohttp", "ftplib", "http.client", "httpcore", "httplib2", "httpx", "httpx2", "imap_tools", "imapclient",
           "imaplib", "niquests", "paramiko", "poplib", "pycurl", "requests", "smtplib", "socket", "telnetlib", "treq",
           "urllib.request", "urllib3", "websocket", "websockets", "xmlrpc")  # fmt: skip
CONNECTING = {"asyncio.open_connection", "asyncio.open_unix_connection", "loop.create_connection"}


def _blank(match: re.Match[str]) -> str:
    """Spaces, so that positions and lines stay."""
    return re.sub(r"[^\n]", " ", match[0])


def function_at(module: Source, line: int) -> str:
    """The innermost function around a line."""
    around = [
        node
        for node in module.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return max(around, key=lambda node: node.lineno).name if around else ""


def _assembled(node: ast.expr) -> bool:
    """Whether a text is put together from parts that are not written there."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        constant = isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant)
        return not constant and (isinstance(node.op, ast.Mod) or _texty(node))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in {"format", "join", "replace", "format_map"}
    return False


def _texty(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _texty(node.left) or _texty(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _broad(handler: ast.ExceptHandler, module: Source) -> bool:
    """Whether it catches everything, be it by a name the module gave to a tuple with Exception in it."""
    everything = {"Exception", "BaseException"}
    for node in module.tree.body:
        values = node.value.elts if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple) else []
        if isinstance(node, ast.Assign) and everything & {ast.unparse(each) for each in values}:
            everything |= {ast.unparse(target) for target in node.targets}
    names = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(name is not None and ast.unparse(name) in everything for name in names)


def _handlers(module: Source) -> Iterator[ast.ExceptHandler]:
    return (node for node in module.nodes if isinstance(node, ast.ExceptHandler))


def bare_except(module: Source) -> Found:
    for handler in _handlers(module):
        if handler.type is None:
            yield handler.lineno, "except without a type"


def silent_except(module: Source) -> Found:
    for handler in _handlers(module):
        idle = all(
            isinstance(step, ast.Pass | ast.Continue)
            or (isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant))
            for step in handler.body
        )
        if idle and (handler.type is None or _broad(handler, module)):
            yield handler.lineno, "an error of any kind is passed over in silence"


def unexplained_except(module: Source) -> Found:
    """What tidies up and raises again is fine; what goes on says why on its line."""
    for handler in _handlers(module):
        raises = any(isinstance(node, ast.Raise) for node in ast.walk(handler))
        line = module.lines[handler.lineno - 1]
        reason = re.sub(r"noqa(: [A-Z0-9, ]+)?|pragma: no cover", "", line.partition("#")[2]).strip(" -")
        if _broad(handler, module) and not raises and len(reason) < 10:
            yield handler.lineno, "every error is caught, and no comment says why"


def assembled_sql(module: Source) -> Found:
    for node, name in module.calls:
        short = name.rpartition(".")[2]
        if short in {"text", "literal_column", "exec_driver_sql"} and node.args and _assembled(node.args[0]):
            yield node.lineno, f"{short}() of an assembled text"
    for each in module.nodes:
        if isinstance(each, ast.JoinedStr) and _assembled(each):
            written = "{}".join(str(part.value) for part in each.values if isinstance(part, ast.Constant))
            if SQL.search(written):
                yield each.lineno, "SQL in an f-string"


def trusted_markup(module: Source) -> Found:
    for node, name in module.calls:
        if name.rpartition(".")[2] == "Markup" and node.args and not isinstance(node.args[0], ast.Constant):
            yield node.lineno, "Markup() of something not written there"


def template_from_text(module: Source) -> Found:
    for node, name in module.calls:
        if name.rpartition(".")[2] in {"render_template_string", "from_string"}:
            yield node.lineno, "a template made at run time"


def network(module: Source) -> Found:
    for one in module.imports:
        for banned in NETWORK:
            if f"{one.module}.{one.name}.".startswith(banned + "."):
                yield one.line, f"{banned} reaches out of the machine: use rapport.outbound"
    for node, name in module.calls:
        if name in CONNECTING:
            yield node.lineno, f"{name}() reaches out of the machine: use rapport.outbound"


def past_the_gate(module: Source) -> Found:
    """Only the core makes an Outgoing and hands it to a channel; everybody else asks for it with `send`."""
    for node, name in module.calls:
        short = name.rpartition(".")[2]
        if short == "Outgoing":
            yield node.lineno, "an Outgoing made past the gate: use send()"
        elif isinstance(node.func, ast.Attribute) and short == "send" and "channel" in ast.unparse(node.func.value):
            yield node.lineno, f"{name}() sends past the gate: use send()"


def unsafe_loading(module: Source) -> Found:
    for one in module.imports:
        if one.module.split(".", 1)[0] in {"pickle", "cPickle", "dill", "marshal", "shelve", "jsonpickle"}:
            yield one.line, f"{one.module} runs what it reads"
    for node, name in module.calls:
        if name in {"yaml.load", "yaml.unsafe_load", "yaml.full_load"}:
            yield node.lineno, f"{name}() runs what it reads: yaml.safe_load"


def running_text(module: Source) -> Found:
    for node, name in module.calls:
        if name in {"eval", "exec", "os.system", "os.popen", "builtins.eval", "builtins.exec"}:
            yield node.lineno, f"{name}()"
        if any(word.arg == "shell" and ast.unparse(word.value) == "True" for word in node.keywords):
            yield node.lineno, "a shell"


def naive_time(module: Source) -> Found:
    for node, name in module.calls:
        short = name.rpartition(".")[2]
        naive = short in {"now", "fromtimestamp"} and len(node.args) + len(node.keywords) < (1 if short == "now" else 2)
        if short in {"utcnow", "utcfromtimestamp"} and "datetime" in name:
            yield node.lineno, f"{name}() knows no time zone"
        elif naive and "datetime" in name:
            yield node.lineno, f"{name}() without a time zone"


def csrf_exemption(module: Source) -> Found:
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr == "exempt" and "csrf" in ast.unparse(node.value).lower():
            yield node.lineno, "a view taken out of the CSRF check"


GATES = (
    Gate(
        "no bare except", bare_except,
        good="try:\n    f()\nexcept ValueError:\n    g()\n",
        bad="try:\n    f()\nexcept:\n    raise\n",
    ),
    Gate(
        "no silence about errors", silent_except,
        good="try:\n    f()\nexcept KeyError:\n    pass\n",
        bad="try:\n    f()\nexcept (OSError, Exception):\n    pass\n",
    ),
    Gate(
        "only hooks.py catches everything, or the line says why", unexplained_except,
        good="try:\n    f()\nexcept Exception:\n    tidy()\n    raise\n"
        "try:\n    f()\nexcept Exception:  # the database is away\n    g()\n",
        bad="try:\n    f()\nexcept Exception as error:  # noqa: BLE001\n    log(error)\n",
    ),
    Gate(
        "SQL is never assembled", assembled_sql,
        good='text("SELECT 1 FROM a WHERE b = :b")\nprint(f"select from {x}")\ntext("a" "b")\n',
        bad='text(f"SELECT {c} FROM a")\ntext("DROP TABLE " + name)\nx = f"DELETE FROM {t}"\ntext("SELECT %s" % a)\n',
    ),
    Gate(
        "markup is written, never trusted", trusted_markup,
        good='Markup("<b>{}</b>").format(name)\n',
        bad='Markup(f"<b>{name}</b>")\nmarkupsafe.Markup(text)\n',
    ),
    Gate(
        "templates are files", template_from_text,
        good='render_template("a.html")\n',
        bad="flask.render_template_string(x)\nenvironment.from_string(x)\n",
    ),
    Gate(
        "one gate out", network,
        good="import urllib.parse\nfrom urllib.parse import quote\n",
        bad="import requests\nfrom urllib import request\nfrom http.client import X\nimport smtplib as s\n"
        "asyncio.open_connection(host, 80)\n",
    ),
    Gate(
        "only the gate sends", past_the_gate,
        good='send(unit, channel="email", customer=ada, purpose="service", body="Hello")\nserver.send(text)\n',
        bad='site.channels["email"].send(x, site)\nchannel.send(x)\nrapport.Outgoing(address="a@example.com")\n',
    ),
    Gate(
        "what is read never runs", unsafe_loading,
        good="import json\nyaml.safe_load(x)\n",
        bad="import pickle\nfrom marshal import loads\nyaml.load(x)\n",
    ),
    Gate("text never runs", running_text, good="evaluate(x)\nself.exec(x)\n", bad="eval(x)\nrun(c, shell=True)\n"),
    Gate(
        "every time has a zone", naive_time,
        good="dt.datetime.now(dt.UTC)\nutcnow()\ndatetime.now(tz=zone)\n",
        bad="dt.datetime.now()\ndatetime.utcnow()\ndatetime.fromtimestamp(1)\n",
    ),
    Gate(
        "every form is checked for CSRF", csrf_exemption,
        good="csrf.init_app(app)\n",
        bad="csrf.exempt(view)\n",
    ),
)  # fmt: skip

PAGE_GATES = (
    PageGate(
        "no style of its own on an element", re.compile(r"<[a-zA-Z][^<>]*?\sstyle\s*="),
        good='<p class="a">{{ "style=" }}</p>', bad='<p class="{{ a > b }}" style="x">',
    ),
    PageGate(
        "no script on an element", re.compile(r"<[a-zA-Z][^<>]*?\s(on[a-z]+|hx-on[a-z:-]*)\s*="),
        good='<p data-on="x" content="a">', bad='<p onclick="x()">',
    ),
    PageGate(
        "no script in a page", re.compile(r"<script(?![^<>]*\ssrc\s*=)[^<>]*>"),
        good='<script src="{{ asset("app.js") }}" defer></script>', bad="<script>x()</script>",
    ),
    PageGate(
        "nothing from outside",
        re.compile(r"(?:\b(?:src|srcset|poster|xlink:href)\s*=\s*[\"']?|<link[^<>]*\shref\s*=\s*[\"']?|url\(\s*[\"']?"
                   r"|@import\s+[\"'])\s*(?:https?:)?//[^\s\"')>]*"),
        good='<a href="https://example.com">x</a><svg xmlns="http://www.w3.org/2000/svg"/>',
        bad='<link rel="stylesheet" href="https://example.com/a.css">',
    ),
    PageGate(
        "everything is escaped", re.compile(r"(?<![\"'])(?<![\"']\s)\|\s*safe\b|autoescape\s+false"), in_jinja=True,
        good='{{ "</a>" | safe }}', bad="{{ customer.name|safe }}",
    ),
)  # fmt: skip
