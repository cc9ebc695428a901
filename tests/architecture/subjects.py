"""What the architecture tests look at: everything on disk, found here, listed nowhere."""

from __future__ import annotations

import functools
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapport.testing.sources import Source, read_package

ROOT = Path(__file__).resolve().parents[2]


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


@functools.cache
def members() -> tuple[Member, ...]:
    """Every plugin and vertical on disk. A folder without a pyproject.toml counts: it is a fault to be found."""
    folders = [path for kind in ("plugins", "verticals") for path in sorted((ROOT / kind).glob("*")) if path.is_dir()]
    return tuple(Member(folder, _toml(folder / "pyproject.toml")) for folder in folders if _has_files(folder))


@functools.cache
def sources() -> tuple[Source, ...]:
    """Every module we ship: core, command line, plugins and verticals, without their tests."""
    homes = [(ROOT / "core", "rapport"), (ROOT / "cli", "rapport_cli"), *((m.folder, m.package) for m in members())]
    return tuple(module for home, package in homes for module in read_package(home, package, ROOT))


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


def _built(path: Path) -> bool:
    """Core's static folder is made by `make assets`; a plugin's is written by people."""
    return path.is_relative_to(ROOT / "core" / "rapport" / "builtin" / "web" / "static")


def _has_files(folder: Path) -> bool:
    return any(path.is_file() and "__pycache__" not in path.parts for path in folder.rglob("*"))


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
