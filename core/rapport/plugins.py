"""Plugins: found by their entry points, ordered by what they depend on, loaded one by one, never all or nothing."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import ModuleType
from typing import NamedTuple

import importlib_metadata
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from rapport.builtin import BUILTIN
from rapport.errors import PluginError
from rapport.watchdog import Overdue, limited

GROUP = "rapport.plugins"
HOST = "rapport-crm"
NAME = re.compile(r"[a-z][a-z0-9_]*")
TAKEN = {*BUILTIN, "custom"}
IMPORT_SECONDS = 30
BRIDGE = "with_"
"""How the modules of a plugin are named that count only while another plugin is active: `with_sales`."""
FAULTS = (Exception, SystemExit, Overdue)
log = logging.getLogger("rapport.plugins")


class Obstacle(NamedTuple):
    """Why a plugin cannot run, as half a sentence, and what to do about it. Both empty: nothing is in the way."""

    reason: str = ""
    remedy: str = ""


CLEAR = Obstacle()


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
    fault: Obstacle = CLEAR
    """What is wrong with the distribution itself, such as a name that another one has too."""

    @property
    def package(self) -> str:
        """The import name of its package."""
        return self.module.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Bridge:
    """What a plugin brings only where another one is active too: its module `with_<other>`.

    Everything in it belongs to the plugin. A fault in it leaves the bridge out, and the plugin stays.
    """

    other: str
    state: State
    """Active, disabled (the other one is not active), blocked (its version does not fit) or quarantined (faulty)."""
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin and how it fares on this site."""

    info: PluginInfo
    state: State
    reason: str = ""
    remedy: str = ""
    module: ModuleType | None = field(default=None, repr=False, compare=False)
    enabled: bool = True
    """Whether the site's owner wants it."""
    bridges: tuple[Bridge, ...] = ()
    """How its modules for other plugins fare, while it is active itself."""

    @property
    def name(self) -> str:
        """The word it is enabled by."""
        return self.info.name

    @property
    def troubled_bridges(self) -> list[Bridge]:
        """Those that are left out though the other plugin is there."""
        return [bridge for bridge in self.bridges if bridge.state not in {State.ACTIVE, State.DISABLED}]


def discover() -> dict[str, PluginInfo]:
    """Every installed plugin, by name. Reads metadata only; what is wrong with one is kept with it, as its `fault`."""
    importlib.invalidate_caches()  # something may have been installed since this process began
    return dict(_discovered(tuple((path, _changed_at(path)) for path in sys.path)))


def _changed_at(path: str) -> int:
    """What is installed or removed changes the directory it lies in; importlib-metadata trusts that as well."""
    try:
        return os.stat(path or ".").st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=1)
def _discovered(_places: tuple[tuple[str, int], ...]) -> dict[str, PluginInfo]:
    found: dict[str, PluginInfo] = {}
    for entry in importlib_metadata.entry_points(group=GROUP):
        if entry.dist is None:
            continue
        info = _info(entry.name, entry.value, entry.dist)
        if (other := found.get(entry.name)) and other.distribution != info.distribution:
            fault = Obstacle(
                f"{other.distribution} and {info.distribution} both provide a plugin '{entry.name}'",
                f"Uninstall one of them: rapport plugins uninstall {info.distribution}",
            )
            info = replace(other, fault=fault)
        found[entry.name] = info
    return found


def _info(name: str, module: str, dist: importlib_metadata.Distribution) -> PluginInfo:
    fault, requires = CLEAR, []
    distribution = dist.metadata["Name"]
    if not NAME.fullmatch(name) or name in TAKEN:
        why = "which is a part of Rapport" if name in TAKEN else "which is no word of small letters, digits and _"
        fault = Obstacle(f"{distribution} calls its plugin '{name}', {why}", "Its author must rename it")
    for text in dist.requires or ():
        try:
            requires.append(Requirement(text))
        except InvalidRequirement:
            fault = Obstacle(f"{distribution} {dist.version} says it needs '{text}', which cannot be understood",
                             "Its author must mend that line of its metadata")  # fmt: skip
    return PluginInfo(name, distribution, dist.version, module, tuple(requires), dist.metadata.get("Summary", ""),
                      fault=fault)  # fmt: skip


def dependencies(info: PluginInfo, installed: Mapping[str, PluginInfo]) -> list[str]:
    """The names of the plugins a plugin's distribution requires."""
    by_distribution = {canonicalize_name(other.distribution): other.name for other in installed.values()}
    names = (by_distribution.get(canonicalize_name(requirement.name)) for requirement in _applicable(info))
    return [name for name in names if name and name != info.name]


def optional(info: PluginInfo, installed: Mapping[str, PluginInfo]) -> dict[str, Requirement]:
    """The installed plugins with which a plugin does more: those that an extra of their own name asks for."""
    by_distribution = {canonicalize_name(other.distribution): other.name for other in installed.values()}
    found: dict[str, Requirement] = {}
    for requirement in info.requires:
        name, marker = by_distribution.get(canonicalize_name(requirement.name), ""), requirement.marker
        if name and marker is not None and not marker.evaluate({"extra": ""}) and marker.evaluate({"extra": name}):
            found[name] = requirement
    return found


def dependants(name: str, installed: Mapping[str, PluginInfo]) -> list[str]:
    """The installed plugins that need this one, directly or not; what nobody else needs comes first."""
    needing: set[str] = set()
    fresh = {name}
    while fresh:
        fresh = {each for each in installed if fresh & set(dependencies(installed[each], installed))} - needing
        needing |= fresh
    needing -= {name}
    tangled = circles(needing, installed)
    return [*sorted(tangled), *reversed(in_order(needing - set(tangled), installed))]


def needed(names: Iterable[str], installed: Mapping[str, PluginInfo]) -> list[str]:
    """Plugins and all they need, what is needed first; PluginError for a circle."""
    chosen: set[str] = set()
    fresh = {name for name in names if name in installed}
    while fresh:
        chosen |= fresh
        fresh = {each for name in fresh for each in dependencies(installed[name], installed)} - chosen
    return in_order(chosen, installed)


def _applicable(info: PluginInfo) -> Iterable[Requirement]:
    return (r for r in info.requires if r.marker is None or r.marker.evaluate({"extra": ""}))


def circles(names: Iterable[str], installed: Mapping[str, PluginInfo]) -> dict[str, str]:
    """Those that need themselves through others, each with its circle spelled out: `one → two → one`."""
    chosen = {name for name in names if name in installed}
    return {name: " → ".join(circle) for name in sorted(chosen) if (circle := _way_back(name, chosen, installed))}


def _way_back(name: str, chosen: Collection[str], installed: Mapping[str, PluginInfo]) -> list[str]:
    ways = [[name]]
    seen: set[str] = set()
    while ways:  # the shortest way first
        way = ways.pop(0)
        for needed_one in sorted(dependencies(installed[way[-1]], installed)):
            if needed_one == name:
                return [*way, name]
            if needed_one in chosen and needed_one not in seen:
                seen.add(needed_one)
                ways.append([*way, needed_one])
    return []


def in_order(wanted: Iterable[str], installed: Mapping[str, PluginInfo]) -> list[str]:
    """Dependencies first, then by name; PluginError for a circle, which it spells out."""
    chosen = {name for name in wanted if name in installed}
    for circle in circles(chosen, installed).values():
        raise PluginError(f"These plugins depend on each other in a circle: {circle}. One of them must let go.")
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        for each in sorted(dependencies(installed[name], installed)):
            if each in chosen:
                visit(each)
        ordered.append(name)

    for name in sorted(chosen):
        visit(name)
    return ordered


def unmet(info: PluginInfo, installed: Mapping[str, PluginInfo], active: Iterable[str]) -> Obstacle:
    """What keeps a plugin from running beside those active; an empty obstacle when nothing does."""
    if info.fault.reason:
        return info.fault
    active = set(active)
    by_distribution = {canonicalize_name(other.distribution): other for other in installed.values()}
    for requirement in _applicable(info):
        other = by_distribution.get(canonicalize_name(requirement.name))
        version = other.version if other else _version_of(requirement.name)
        if version is None:
            return Obstacle(f"it needs {requirement}, which is not installed",
                            f"Install it: rapport plugins install '{requirement}'")  # fmt: skip
        if not requirement.specifier.contains(version, prereleases=True):
            return _clash(info, requirement, version, [installed[name] for name in sorted(active) if name in installed])
        if other and other.name not in active:
            return Obstacle(f"it needs the plugin '{other.name}', which is not active",
                            f"Switch it on: rapport plugins enable {other.name}")  # fmt: skip
    return CLEAR


def _clash(info: PluginInfo, requirement: Requirement, version: str, active: Iterable[PluginInfo]) -> Obstacle:
    """A range that what is installed is not in; another plugin may want it so."""
    reason = f"it needs {requirement}, and {requirement.name} {version} is installed"
    if canonicalize_name(requirement.name) == HOST:
        return Obstacle(reason, f"Install a version of {info.distribution} that is made for {HOST} {version}")
    for other in active:
        for rival in _applicable(other):
            same = canonicalize_name(rival.name) == canonicalize_name(requirement.name) and other.name != info.name
            if same and str(rival.specifier):
                return Obstacle(f"{reason}, where '{other.name}' needs {rival}",
                                f"Install a version of {info.distribution} or {other.distribution} that agrees with "
                                f"the other, or disable one: rapport plugins disable {other.name}")  # fmt: skip
    return Obstacle(reason, f"Install what it needs: rapport plugins install '{requirement}'")


def _version_of(distribution: str) -> str | None:
    try:
        return importlib_metadata.version(distribution)
    except importlib_metadata.PackageNotFoundError:
        return None


def load(
    installed: Mapping[str, PluginInfo],
    enabled: Sequence[str],
    *,
    quarantined: Mapping[str, str],
    kept: Mapping[str, PluginInfo],
    held: Callable[[PluginInfo], Obstacle],
    admit: Callable[[PluginInfo, ModuleType], None],
    join: Callable[[PluginInfo, ModuleType, str], None],
) -> dict[str, Plugin]:
    """Bring up the enabled plugins in order, then their bridges. A fault takes out that plugin and its dependants.

    `kept` are plugins that the site has data of; `held` says why a plugin must wait, such as for its migrations;
    `admit` registers an imported module and takes in what it brings, raising when it cannot; `join` does so with what
    a plugin brings for another one. Since all plugins are there by then, two may have bridges to each other.
    """
    plugins = {
        name: Plugin(info, State.DISABLED, *info.fault, enabled=False) for name, info in sorted(installed.items())
    }
    for name in sorted({*enabled, *kept} - set(installed)):
        plugins[name] = _absent(kept.get(name) or PluginInfo(name, f"rapport-{name}", "", ""), name in enabled)
    tangled = circles(enabled, installed)
    for name, circle in tangled.items():
        plugins[name] = Plugin(
            installed[name], State.BLOCKED, f"plugins need each other in a circle: {circle}",
            f"Install a version of one of them that lets go, or: rapport plugins disable {name}",
        )  # fmt: skip
    active: list[str] = []
    for name in in_order(set(enabled) - set(tangled), installed):
        info = installed[name]
        plugin = Plugin(info, State.ACTIVE)
        if reason := quarantined.get(name, ""):
            plugin = replace(plugin, state=State.QUARANTINED, reason=reason,
                             remedy=f"Mend it, then: rapport plugins enable {name}")  # fmt: skip
        elif (obstacle := unmet(info, installed, active)).reason:
            remedy = f"{obstacle.remedy}, or: rapport plugins disable {name}"
            plugin = replace(plugin, state=State.BLOCKED, reason=obstacle.reason, remedy=remedy)
        else:
            plugin = _bring_up(plugin, held, admit)
        plugins[name] = plugin
        if plugin.state is State.ACTIVE:
            active.append(name)
    for name in active:
        plugins[name] = replace(plugins[name], bridges=tuple(_bridges(installed[name], installed, active, join)))
    return plugins


def bridge_module(info: PluginInfo, other: str) -> str | None:
    """The module that a plugin has for another one; None where it has none. Imports the plugin's package."""
    name = f"{info.package}.{BRIDGE}{other}"
    package = importlib.import_module(info.package)
    return name if hasattr(package, "__path__") and importlib.util.find_spec(name) is not None else None


def _bridges(
    info: PluginInfo, installed: Mapping[str, PluginInfo], active: Collection[str],
    join: Callable[[PluginInfo, ModuleType, str], None],
) -> Iterable[Bridge]:  # fmt: skip
    for other, requirement in sorted(optional(info, installed).items()):
        if (module := bridge_module(info, other)) is None:
            continue
        version = installed[other].version
        if other not in active:
            yield Bridge(other, State.DISABLED, f"'{other}' is not active")
        elif not requirement.specifier.contains(version, prereleases=True):
            wanted = f"{requirement.name}{requirement.specifier}"
            yield Bridge(other, State.BLOCKED, f"it needs {wanted}, and {requirement.name} {version} is installed",
                         f"Install what it needs: rapport plugins install '{wanted}'")  # fmt: skip
        elif reason := _fault(info, module, other, join):
            yield Bridge(other, State.QUARANTINED, f"{module} cannot load: {reason}",
                         f"Mend it; until then {info.name} runs without it")  # fmt: skip
        else:
            yield Bridge(other, State.ACTIVE)


def _absent(info: PluginInfo, enabled: bool) -> Plugin:
    install = f"rapport plugins install {info.distribution}"
    if enabled:
        return Plugin(info, State.ABSENT, "it is enabled, but its code is not installed; its data is kept",
                      f"{install}, or: rapport plugins disable {info.name}")  # fmt: skip
    return Plugin(info, State.ABSENT, "its code is not installed; its data is kept",
                  f"{install}, or delete its data: rapport plugins purge {info.name}", enabled=False)  # fmt: skip


def _bring_up(
    plugin: Plugin, held: Callable[[PluginInfo], Obstacle], admit: Callable[[PluginInfo, ModuleType], None]
) -> Plugin:
    info = plugin.info
    try:
        module = _in_time(info, lambda: import_plugin(info))
        if (obstacle := outgrown(info, module)).reason or (obstacle := held(info)).reason:
            return replace(plugin, state=State.HELD, reason=obstacle.reason, remedy=obstacle.remedy, module=module)
        admit(info, module)
    except FAULTS as error:  # one plugin's fault stays its own
        remedy = f"Mend it, or: rapport plugins disable {info.name}"
        message = f"{info.distribution} {info.version} cannot load: {_said(error)}"
        return replace(plugin, state=State.QUARANTINED, reason=message, remedy=remedy)
    return replace(plugin, module=module)


def _fault(
    info: PluginInfo, module: str, other: str, join: Callable[[PluginInfo, ModuleType, str], None]
) -> str:  # fmt: skip
    """Import a bridge and take it in; what is wrong with it, or nothing."""
    try:
        join(info, _in_time(info, lambda: importlib.import_module(module)), other)
    except FAULTS as error:  # a bridge's fault costs the bridge alone
        log.exception("%s: %s cannot load", info.name, module)
        return _said(error)
    return ""


def _in_time(info: PluginInfo, load_module: Callable[[], ModuleType]) -> ModuleType:
    return limited(
        IMPORT_SECONDS, lambda stack: log.error("%s hangs in its import:\n%s", info.name, stack), load_module
    )


def _said(error: BaseException) -> str:
    if isinstance(error, Overdue):
        return f"its import takes longer than {IMPORT_SECONDS} seconds"
    return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"


def outgrown(info: PluginInfo, module: ModuleType) -> Obstacle:
    """Whether another version was installed since this process imported the plugin: one cannot take the code back."""
    running = vars(module).setdefault("__rapport_version__", info.version)
    if running == info.version:
        return CLEAR
    return Obstacle(f"version {info.version} is installed, but this process still runs {running}",
                    "Restart `rapport serve` and `rapport worker`")  # fmt: skip


def import_plugin(info: PluginInfo) -> ModuleType:
    """The module that holds a plugin's hookimpls: the entry point's, or its `plugin` submodule where there is one."""
    package = importlib.import_module(info.package)
    name = f"{info.package}.plugin"
    if hasattr(package, "__path__") and importlib.util.find_spec(name) is not None:
        return importlib.import_module(name)
    return sys.modules[info.package]


def declared_hooks(info: PluginInfo) -> ModuleType | None:
    """The `hookspecs` submodule in which a plugin declares hooks for others; None where it has none."""
    package = sys.modules.get(info.module)
    name = f"{info.module}.hookspecs"
    if info.builtin or not hasattr(package, "__path__") or importlib.util.find_spec(name) is None:
        return None
    return importlib.import_module(name)
