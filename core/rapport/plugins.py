"""Plugins: found by their entry points, ordered by what they depend on, loaded one by one, never all or nothing."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import ModuleType

import importlib_metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rapport.errors import PluginError

GROUP = "rapport.plugins"
HOST = "rapport-crm"


class State(StrEnum):
    """Where a plugin stands; every state but active and disabled comes with a reason and a remedy."""

    ACTIVE = "active"
    DISABLED = "disabled"
    HELD = "held"
    BLOCKED = "blocked"
    QUARANTINED = "quarantined"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What is known of a plugin without importing it."""

    name: str
    distribution: str
    version: str
    module: str
    requires: tuple[Requirement, ...] = ()
    summary: str = ""
    builtin: bool = False


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin and how it fares on this site."""

    info: PluginInfo
    state: State
    reason: str = ""
    remedy: str = ""
    module: ModuleType | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The word it is enabled by."""
        return self.info.name


def discover() -> dict[str, PluginInfo]:
    """Every installed plugin, by name. Reads metadata only. Two distributions with one name are an error."""
    found: dict[str, PluginInfo] = {}
    for entry in importlib_metadata.entry_points(group=GROUP):
        dist = entry.dist
        if dist is None:
            continue
        info = PluginInfo(
            name=entry.name,
            distribution=dist.metadata["Name"],
            version=dist.version,
            module=entry.value,
            requires=tuple(Requirement(text) for text in dist.requires or ()),
            summary=dist.metadata.get("Summary", ""),
        )
        if (other := found.get(entry.name)) and other.distribution != info.distribution:
            raise PluginError(
                f"{other.distribution} and {info.distribution} both provide a plugin '{entry.name}'. "
                f"Uninstall one of them: pip uninstall {info.distribution}"
            )
        found[entry.name] = info
    return found


def dependencies(info: PluginInfo, installed: Mapping[str, PluginInfo]) -> list[str]:
    """The names of the plugins a plugin's distribution requires."""
    by_distribution = {canonicalize_name(other.distribution): other.name for other in installed.values()}
    names = (by_distribution.get(canonicalize_name(requirement.name)) for requirement in _applicable(info))
    return [name for name in names if name and name != info.name]


def _applicable(info: PluginInfo) -> Iterable[Requirement]:
    return (r for r in info.requires if r.marker is None or r.marker.evaluate({"extra": ""}))


def in_order(wanted: Iterable[str], installed: Mapping[str, PluginInfo]) -> list[str]:
    """Dependencies first, then by name; PluginError for a circle, which it spells out."""
    ordered: list[str] = []
    path: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        if name in path:
            circle = " → ".join([*path[path.index(name) :], name])
            raise PluginError(f"These plugins depend on each other in a circle: {circle}. One of them must let go.")
        path.append(name)
        for needed in sorted(dependencies(installed[name], installed)):
            if needed in chosen:
                visit(needed)
        path.pop()
        ordered.append(name)

    chosen = {name for name in wanted if name in installed}
    for name in sorted(chosen):
        visit(name)
    return ordered


def unmet(info: PluginInfo, installed: Mapping[str, PluginInfo], active: Iterable[str]) -> str:
    """Why a plugin cannot run beside those active, in one sentence; empty when it can."""
    active = set(active)
    by_distribution = {canonicalize_name(other.distribution): other for other in installed.values()}
    for requirement in _applicable(info):
        wanted = canonicalize_name(requirement.name)
        if wanted == HOST:
            version = importlib_metadata.version(HOST)
            if not requirement.specifier.contains(version, prereleases=True):
                return f"it needs {requirement}, and this is {HOST} {version}"
            continue
        other = by_distribution.get(wanted)
        if other is None:
            if wanted.startswith("rapport-"):
                return f"it needs {requirement}, which is not installed"
            continue
        if not requirement.specifier.contains(other.version, prereleases=True):
            return f"it needs {requirement}, and {other.distribution} {other.version} is installed"
        if other.name not in active:
            return f"it needs the plugin '{other.name}', which is not active"
    return ""


def load(
    installed: Mapping[str, PluginInfo],
    enabled: Sequence[str],
    *,
    quarantined: Mapping[str, str],
    held: Callable[[PluginInfo], str],
    admit: Callable[[PluginInfo, ModuleType], None],
) -> dict[str, Plugin]:
    """Bring up the enabled plugins in order. A fault takes out that plugin and its dependants, nobody else.

    `held` says why a plugin must wait (pending migrations) or nothing; `admit` registers an imported module and takes
    in what it brings, raising when it cannot.
    """
    plugins = {name: Plugin(info, State.DISABLED) for name, info in sorted(installed.items())}
    for name in set(enabled) - set(installed):
        info = PluginInfo(name, f"rapport-{name}", "", "")
        plugins[name] = Plugin(
            info, State.ABSENT, "it is enabled, but its code is not installed; its data is kept",
            f"pip install {info.distribution}, or: rapport plugins disable {name}",
        )  # fmt: skip
    active: list[str] = []
    for name in in_order(enabled, installed):
        info = installed[name]
        plugin = Plugin(info, State.ACTIVE)
        if reason := quarantined.get(name, ""):
            plugin = replace(plugin, state=State.QUARANTINED, reason=reason,
                             remedy=f"Mend it, then: rapport plugins enable {name}")  # fmt: skip
        elif reason := unmet(info, installed, active):
            remedy = f"Install or enable what is missing, or: rapport plugins disable {name}"
            plugin = replace(plugin, state=State.BLOCKED, reason=reason, remedy=remedy)
        else:
            plugin = _bring_up(plugin, held, admit)
        plugins[name] = plugin
        if plugin.state is State.ACTIVE:
            active.append(name)
    return plugins


def _bring_up(
    plugin: Plugin, held: Callable[[PluginInfo], str], admit: Callable[[PluginInfo, ModuleType], None]
) -> Plugin:
    info = plugin.info
    try:
        module = import_plugin(info)
        if reason := held(info):
            return replace(plugin, state=State.HELD, reason=reason, remedy="rapport db upgrade", module=module)
        admit(info, module)
    except (Exception, SystemExit) as error:  # one plugin's fault stays its own
        reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        remedy = f"Mend it, or: rapport plugins disable {info.name}"
        message = f"{info.distribution} {info.version} cannot load: {reason}"
        return replace(plugin, state=State.QUARANTINED, reason=message, remedy=remedy)
    return replace(plugin, module=module)


def import_plugin(info: PluginInfo) -> ModuleType:
    """The module that holds a plugin's hookimpls: the entry point's, or its `plugin` submodule where there is one."""
    package = importlib.import_module(info.module)
    name = f"{info.module}.plugin"
    if hasattr(package, "__path__") and importlib.util.find_spec(name) is not None:
        return importlib.import_module(name)
    return sys.modules[info.module]
