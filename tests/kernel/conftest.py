"""Plugins made for a test: a real distribution on disk, found by its entry point like any other."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import importlib_metadata
import pytest

PluginMaker = Callable[..., str]


@pytest.fixture
def plugin_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginMaker]:
    """Install a plugin for this test: `plugin_on_disk("alpha", code, requires=["rapport-beta>=1"])`.

    Installing it again replaces it, as for a process that begins then.
    """
    root = tmp_path / "installed"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # else code written anew within a second is not read
    made: list[str] = []

    def make(
        name: str, code: str, *, requires: tuple[str, ...] = (), version: str = "0.3.0", entry: str = "",
        templates: Mapping[str, str] | None = None, modules: Mapping[str, str] | None = None,
    ) -> str:  # fmt: skip
        package = f"rapport_{name}"
        _remove(root, package)
        if templates is None and modules is None:
            (root / f"{package}.py").write_text(code, "utf-8")
        else:
            (root / package).mkdir()
            (root / package / "__init__.py").write_text(code, "utf-8")
            for module, text in (modules or {}).items():
                (root / package / f"{module}.py").write_text(text, "utf-8")
            for path, text in (templates or {}).items():
                file = root / package / "templates" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, "utf-8")
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
        for module in [each for each in sys.modules if each == package or each.startswith(f"{package}.")]:
            del sys.modules[module]
    importlib_metadata.MetadataPathFinder.invalidate_caches()


def _remove(root: Path, package: str) -> None:
    for path in (*root.glob(f"{package}-*.dist-info"), root / package):
        shutil.rmtree(path, ignore_errors=True)
    (root / f"{package}.py").unlink(missing_ok=True)
    sys.modules.pop(package, None)
