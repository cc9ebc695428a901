"""A plugin as the contract looks at it: what is known of it without running it."""

from __future__ import annotations

import functools
import importlib.util
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import importlib_metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rapport.errors import NotFound
from rapport.plugins import BRIDGE, GROUP, PluginInfo, discover
from rapport.testing.sources import Source, read_package


@dataclass(frozen=True)
class Subject:
    """An installed plugin: its package, and the project it is written in when that is on this machine."""

    info: PluginInfo
    home: Path
    """The directory its package is in: the project's, or site-packages."""
    project: Mapping[str, Any]
    """Its pyproject.toml; empty when only the installed package is here."""

    @property
    def name(self) -> str:
        """The word it is enabled by."""
        return self.info.name

    @property
    def package(self) -> str:
        """Its import name."""
        return self.info.module.partition(":")[0].partition(".")[0]

    @functools.cached_property
    def sources(self) -> list[Source]:
        """Its modules. Migrations are left out: they were written by a program and must not change."""
        found = read_package(self.home, self.package)
        return [module for module in found if ".migrations." not in module.module]

    @functools.cached_property
    def pages(self) -> list[tuple[str, str]]:
        """Path and text of its templates, style sheets and drawings."""
        paths = [path for kind in ("*.html", "*.css", "*.svg") for path in (self.home / self.package).rglob(kind)]
        return [(path.relative_to(self.home).as_posix(), path.read_text("utf-8")) for path in sorted(paths)]

    @functools.cached_property
    def says(self) -> Mapping[str, Any]:
        """Its metadata, as under [project]: from the pyproject.toml that is being edited, else as it was installed."""
        if self.project:
            written: Mapping[str, Any] = self.project["project"]
            return written
        data = importlib_metadata.metadata(self.info.distribution)
        return {
            "name": data["Name"],
            "version": data["Version"],
            "description": data.get("Summary", ""),
            "requires-python": data.get("Requires-Python", ""),
            "license": data.get("License-Expression") or data.get("License", ""),
            "dependencies": [str(need) for need in self.info.requires
                             if need.marker is None or need.marker.evaluate({"extra": ""})],
            "optional-dependencies": _extras(data, self.info.requires),
            "entry-points": {GROUP: {self.info.name: self.info.module}},
        }  # fmt: skip

    @property
    def needs(self) -> list[Requirement]:
        """The distributions it depends on."""
        return [Requirement(text) for text in self.says.get("dependencies", ())]

    @property
    def optional(self) -> Mapping[str, Sequence[str]]:
        """What it can use where somebody has installed it, by the name of the extra."""
        found: Mapping[str, Sequence[str]] = self.says.get("optional-dependencies", {})
        return found

    @property
    def extras(self) -> list[str]:
        """All of that but other plugins, such as a server for tests: any module may use it, late."""
        texts = [text for texts in self.optional.values() for text in texts]
        return [text for text in texts if not canonicalize_name(Requirement(text).name).startswith("rapport-")]

    def asked_by(self, extra: str) -> Sequence[str]:
        """What one extra asks for, however its name is written."""
        return next((texts for each, texts in self.optional.items() if _same(each, extra)), ())

    @property
    def bridges(self) -> dict[str, Source]:
        """Its modules for other plugins, by the other's name."""
        start = f"{self.package}.{BRIDGE}"
        return {each.module.removeprefix(start): each for each in self.sources if each.module.startswith(start)}

    @property
    def exemptions(self) -> Mapping[str, Any]:
        """What it does not keep, and why: [tool.rapport.exemptions] in its pyproject.toml."""
        found: Mapping[str, Any] = self.project.get("tool", {}).get("rapport", {}).get("exemptions", {})
        return found


def _same(one: str, other: str) -> bool:
    return canonicalize_name(one) == canonicalize_name(other)


def _extras(data: importlib_metadata.PackageMetadata, needs: Sequence[Requirement]) -> dict[str, list[str]]:
    names = data.get_all("Provides-Extra") or []
    return {
        name: [f"{need.name}{need.specifier}" for need in needs
               if need.marker is not None and not need.marker.evaluate({"extra": ""})
               and need.marker.evaluate({"extra": name})]
        for name in names
    }  # fmt: skip


def subject(name: str) -> Subject:
    """The installed plugin of this name; NotFound when there is none."""
    installed = discover()
    if name not in installed:
        raise NotFound(f"There is no installed plugin '{name}'. Install it first: pip install rapport-{name}")
    info = installed[name]
    package = info.module.partition(":")[0].partition(".")[0]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise NotFound(f"The plugin '{name}' names the package '{package}', which is not there. Install it anew.")
    origin = Path(spec.origin)
    home = origin.parent.parent if spec.submodule_search_locations else origin.parent
    return Subject(info, home, _project(home, info))


def _project(home: Path, info: PluginInfo) -> Mapping[str, Any]:
    file = home / "pyproject.toml"
    found = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    name = found.get("project", {}).get("name", "")
    return found if canonicalize_name(name) == canonicalize_name(info.distribution) else {}
