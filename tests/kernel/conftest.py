"""Plugins made for a test: a real distribution on disk, found by its entry point like any other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import importlib_metadata
import pytest

PluginMaker = Callable[..., str]


@pytest.fixture
def plugin_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginMaker]:
    """Install a plugin for this test: `plugin_on_disk("alpha", code, requires=["rapport-beta>=1"])`."""
    root = tmp_path / "installed"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    made: list[str] = []

    def make(name: str, code: str, *, requires: tuple[str, ...] = (), version: str = "0.3.0", entry: str = "") -> str:
        package = f"rapport_{name}"
        (root / f"{package}.py").write_text(code, "utf-8")
        info = root / f"{package}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: rapport-{name}", f"Version: {version}"]
        (info / "METADATA").write_text(
            "\n".join([*lines, *(f"Requires-Dist: {each}" for each in requires), ""]), "utf-8"
        )
        (info / "entry_points.txt").write_text(f"[rapport.plugins]\n{entry or name} = {package}\n", "utf-8")
        importlib_metadata.MetadataPathFinder.invalidate_caches()
        made.append(package)
        return name

    yield make
    for package in made:
        sys.modules.pop(package, None)
    importlib_metadata.MetadataPathFinder.invalidate_caches()
