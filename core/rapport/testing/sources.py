"""Reading a plugin's code without running it: its modules, what they import, and whether they may."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from importlib_metadata import packages_distributions, requires

BUILT = {"node_modules", "static", "__pycache__", ".venv"}
# What a plugin may import of ours, beside the names in `rapport.__all__`, and for what.
PUBLIC_MODULES = {
    "rapport": "the public names",
    "rapport.testing": "tests of plugins",
    "rapport.http": "views: the site and the actor of the request, and who may call them",
    "rapport.hookspecs": "the hooks, for plugins that call them",
    "rapport.outbound": "calls to other servers, tested and bounded",
    "rapport.figures": "measures and dimensions, and what it takes to work them out",
    "rapport.documents": "papers as PDF, in any script",
    "rapport.interactions.preferences": "what customers choose to hear of, on pages of theirs",
    "rapport.wording": "texts that people write, with places to fill in",
    "rapport.builtin.api.body": "what programs send, read within limits",
    "rapport.builtin.api.problems": "refusals as programs get them",
    "rapport.builtin.exchange.download": "tables as files for spreadsheets",
    "rapport.builtin.exchange.formulas": "cells that no spreadsheet takes for a formula",
    "rapport.builtin.webhooks.signing": "signatures of Standard Webhooks",
    "rapport.i18n": "words, dates and numbers in the reader's language",
}


@dataclass(frozen=True)
class Source:
    """One Python module, parsed. A dozen gates look at each: what they look for is looked up once."""

    path: str
    """Relative to the root, with slashes."""
    module: str
    text: str
    tree: ast.Module

    @functools.cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @functools.cached_property
    def nodes(self) -> list[ast.AST]:
        """Everything in the module."""
        return list(ast.walk(self.tree))

    @functools.cached_property
    def calls(self) -> list[tuple[ast.Call, str]]:
        """Every call, with what is called as it is written."""
        return [(node, _written(node.func)) for node in self.nodes if isinstance(node, ast.Call)]

    @functools.cached_property
    def imports(self) -> list[Import]:
        """Every import, relative ones made absolute."""
        return list(_imports(self, self.tree, only_types=False, late=False))

    @property
    def package(self) -> str:
        """The top-level import name."""
        return self.module.split(".", 1)[0]


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name: `from module import name`, or `import module` with no name."""

    module: str
    name: str
    line: int
    only_types: bool
    """Under `if TYPE_CHECKING:`."""
    late: bool
    """Inside a function, so that it runs only when called."""


def source(path: str, module: str, text: str) -> Source:
    """Parse a module; also for the bad examples of the tests."""
    return Source(path, module, text, ast.parse(text, path))


def read_package(home: Path, package: str, root: Path | None = None) -> list[Source]:
    """Every module of the package in `home`, their paths relative to `root`; a package may be a single file."""
    single = home / f"{package}.py"
    found = []
    for path in [single] if single.is_file() else sorted((home / package).rglob("*.py")):
        inside = path.relative_to(home)
        if not BUILT & set(inside.parts):
            name = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
            found.append(source(path.relative_to(root or home).as_posix(), name, path.read_text("utf-8")))
    return found


def _written(node: ast.expr) -> str:
    """The source of an expression: names with dots, as nearly all are, without the way that is long."""
    parts: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    return ".".join([inner.id, *reversed(parts)]) if isinstance(inner, ast.Name) else ast.unparse(node)


def _imports(module: Source, node: ast.AST, *, only_types: bool, late: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, "", child.lineno, only_types, late)
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                yield Import(_absolute(module, child), alias.name, child.lineno, only_types, late)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for each in child.body:
                yield from _imports(module, ast.Module([each], []), only_types=True, late=late)
            for each in child.orelse:
                yield from _imports(module, ast.Module([each], []), only_types=only_types, late=late)
        elif not isinstance(child, ast.expr):  # in which no import can stand
            inside = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(module, child, only_types=only_types, late=inside)


def _absolute(module: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.module.split(".")
    if not module.path.endswith("/__init__.py"):
        parts = parts[:-1]
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def permissions_in(module: Source) -> Iterator[tuple[int, str]]:
    """Permissions written out: `@needs("…")`, `needs="…"`, `.require("…")`, `.may("…")`, `.reach("…")`."""
    for node, name in module.calls:
        called = name.rpartition(".")[2]
        given = node.args[:1] if called in {"needs", "require", "may", "reach"} else []
        for value in [*given, *(word.value for word in node.keywords if word.arg == "needs")]:
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                yield value.lineno, value.value


def private(modules: Sequence[Source], public: Mapping[str, frozenset[str] | None]) -> list[str]:
    """Imports by plugins of what is not public: `public` maps a module to its names, or None for all of them."""
    problems = []
    for module in modules:
        for one in module.imports:
            if one.module.split(".", 1)[0] not in {"rapport", "rapport_cli"}:
                continue
            names = public.get(one.module, frozenset())
            inner = f"{one.module}.{one.name}" if one.name else one.module
            if inner not in public and (names is not None and one.name not in names):
                problems.append(f"{module.path}:{one.line}: '{inner}' is not public. See rapport.__all__.")
    return problems


def undeclared(
    modules: Sequence[Source],
    ours: str,
    declared: Iterable[str],
    optional: Iterable[str] = (),
    *,
    provided: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Imports of what the distribution does not depend on. Extras may be imported late only.

    Who asks for one module after the other hands over what `packages_distributions` says: it reads every file list.
    """
    provided = packages_distributions() if provided is None else provided
    wanted, extra = {_canonical(name) for name in declared}, {_canonical(name) for name in optional}
    if wanted & {"flask", "rapport-crm"}:  # Flask is made of these, and its own documentation has you import them
        wanted |= {_canonical(name) for name in requires("flask") or ()}
    problems = []
    for module in modules:
        for one in module.imports:
            top = one.module.split(".", 1)[0]
            if top in sys.stdlib_module_names or top in {module.package, *ours.split()}:
                continue
            names = {_canonical(name) for name in provided.get(top, [top])}
            if names & wanted or (names & extra and (one.late or one.only_types)):
                continue
            problems.append(f"{module.path}:{one.line}: '{top}' is not among the dependencies in pyproject.toml.")
    return problems


def public_names() -> dict[str, frozenset[str] | None]:
    """The modules a plugin may import with their names: those in `__all__`, or None where a module has no such list."""
    found: dict[str, frozenset[str] | None] = {}
    for name in PUBLIC_MODULES:
        listed = getattr(importlib.import_module(name), "__all__", None)
        found[name] = frozenset(listed) if listed is not None else None
    return found


def _canonical(name: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", name)
    return re.sub(r"[-_.]+", "-", found[0] if found else name).lower()
