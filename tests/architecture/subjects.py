"""What the architecture tests look at: everything on disk, found here, listed nowhere."""

from __future__ import annotations

import ast
import functools
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILT = {"node_modules", "static", "__pycache__", ".venv"}


@dataclass(frozen=True, slots=True)
class Member:
    """A plugin or vertical: a folder with a pyproject.toml."""

    folder: Path
    project: dict[str, Any]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def package(self) -> str:
        return f"rapport_{self.name}"

    @property
    def is_vertical(self) -> bool:
        return self.folder.parent.name == "verticals"

    def __str__(self) -> str:
        return f"{self.folder.parent.name}/{self.name}"


@dataclass(frozen=True, slots=True)
class Source:
    """One Python module, parsed."""

    path: str
    """Relative to the root, with slashes."""
    module: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

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


@functools.cache
def members() -> tuple[Member, ...]:
    """Every plugin and vertical on disk. A folder without a pyproject.toml counts: it is a fault to be found."""
    folders = [path for kind in ("plugins", "verticals") for path in sorted((ROOT / kind).glob("*")) if path.is_dir()]
    return tuple(Member(folder, _toml(folder / "pyproject.toml")) for folder in folders if _has_files(folder))


@functools.cache
def sources() -> tuple[Source, ...]:
    """Every module we ship: core, command line, plugins and verticals, without their tests."""
    homes = [(ROOT / "core", "rapport"), (ROOT / "cli", "rapport_cli"), *((m.folder, m.package) for m in members())]
    found = []
    for home, package in homes:
        for path in sorted((home / package).rglob("*.py")):
            inside = path.relative_to(home)
            if not BUILT & set(inside.parts):
                name = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
                found.append(source(path.relative_to(ROOT).as_posix(), name, path.read_text("utf-8")))
    return tuple(found)


@functools.cache
def templates() -> tuple[tuple[str, str], ...]:
    """Path and text of every template and style sheet that we write."""
    homes = [ROOT / "core", ROOT / "cli", ROOT / "plugins", ROOT / "verticals"]
    paths = [path for home in homes for kind in ("*.html", "*.css", "*.svg") for path in sorted(home.rglob(kind))]
    ours = [path for path in paths if not {"node_modules", "tests"} & set(path.parts) and not _built(path)]
    return tuple((path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in ours)


@functools.cache
def tracked() -> tuple[Path, ...]:
    """Every file that git keeps or would keep."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def imports(module: Source) -> Iterator[Import]:
    """Every import of a module, relative ones made absolute."""
    yield from _imports(module, module.tree, only_types=False, late=False)


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
        else:
            inside = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(module, child, only_types=only_types, late=inside)


def _absolute(module: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.module.split(".")
    if not module.path.endswith("/__init__.py"):
        parts = parts[:-1]
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _built(path: Path) -> bool:
    """Core's static folder is made by `make assets`; a plugin's is written by people."""
    return path.is_relative_to(ROOT / "core" / "rapport" / "builtin" / "web" / "static")


def _has_files(folder: Path) -> bool:
    return any(path.is_file() and "__pycache__" not in path.parts for path in folder.rglob("*"))


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
