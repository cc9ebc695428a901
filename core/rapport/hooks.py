"""Calling plugins: each alone, in one order, and never letting one plugin's fault become another's.

This is the only module that catches what a plugin raises. The five methods match the kinds of hooks:

- `run`     prepare hooks: a failure refuses the operation
- `collect` ask hooks: answers joined; a failure is an answer that refuses
- `first`   choose hooks: the first answer; a failure is logged and the next is asked
- `notify`  tell hooks: one plugin at a time, from the event queue, which retries what fails
- `gather`  show hooks: answers joined; a failure leaves out that plugin's piece
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

import pluggy

from rapport import hookspecs
from rapport.errors import Forbidden, Invalid, PluginError, Problem, RapportError

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger("rapport.hooks")

BREAKER_LIMIT = 20
"""Failures in a row after which a plugin's show and choose hooks are no longer called."""

# A plugin that calls sys.exit() must not take the site along.
FAULTS = (Exception, SystemExit)


class Hooks:
    """The hooks of one site. Plugins are asked in dependency order, then by name."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._order: dict[str, int] = {}
        self.failures: dict[str, int] = {}
        """Failures in a row, by plugin; the circuit breaker counts here."""
        self.on_trip: Callable[[str, str], None] = lambda plugin, reason: None
        """Told once when a plugin is taken out, with the reason."""
        self.trace = os.environ.get("RAPPORT_TRACE_HOOKS", "") not in {"", "0"}

    def add(self, plugin: str, module: ModuleType | object) -> None:
        """Take in a plugin's hookimpls; PluginError when one of them fits no hook."""
        self._manager.register(module, plugin)
        self._order[plugin] = len(self._order)
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            self._manager.unregister(module)
            raise PluginError(f"{plugin} implements a hook that does not exist: {error}. See docs/hooks.md.") from error

    def remove(self, plugin: str) -> None:
        """Forget a plugin that turned out to be unusable."""
        if self._manager.has_plugin(plugin):
            self._manager.unregister(name=plugin)

    def implementations(self, spec: Callable[..., Any]) -> list[tuple[str, Callable[..., Any]]]:
        """The plugins that implement a hook, in order, each with a function that takes every argument of it."""
        caller = getattr(self._manager.hook, spec.__name__)
        impls = sorted(caller.get_hookimpls(), key=lambda impl: self._order.get(impl.plugin_name, 0))
        return [(impl.plugin_name, _taking_all(impl.function, impl.argnames)) for impl in impls]

    def listeners(self, spec: Callable[..., Any]) -> list[str]:
        """The plugins that implement a hook, in order."""
        return [plugin for plugin, _ in self.implementations(spec)]

    def registered(self, plugin: str, spec: Callable[[], Sequence[T]]) -> list[T]:
        """What one plugin returns from a register hook. Faults reach the loader, which quarantines the plugin."""
        found: list[T] = []
        for name, function in self.implementations(spec):
            if name == plugin:
                found.extend(_list(plugin, spec, self._timed(name, spec, function, {})))
        return found

    def run(self, spec: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Prepare: every plugin in turn; the first failure refuses the operation."""
        for plugin, function in self.implementations(spec):
            try:
                self._timed(plugin, spec, function, kwargs)
            except (Invalid, Forbidden):
                raise
            except FAULTS as error:
                self._failed(plugin, spec, error)
                raise Invalid(Problem(None, _refusal(plugin, spec, error))) from error

    def collect(self, spec: Callable[P, Sequence[T]], *args: P.args, **kwargs: P.kwargs) -> list[T]:
        """Ask: every plugin's answers. A plugin that fails has not agreed, so its failure is a Problem."""
        answers: list[T] = []
        for plugin, function in self.implementations(spec):
            try:
                answers.extend(_list(plugin, spec, self._timed(plugin, spec, function, kwargs)))
            except FAULTS as error:
                self._failed(plugin, spec, error)
                answers.append(Problem(None, _refusal(plugin, spec, error)))  # type: ignore[arg-type]
        return answers

    def first(self, spec: Callable[P, T | None], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Choose: the first answer that is not None."""
        for plugin, function in self.implementations(spec):
            if self._tripped(plugin):
                continue
            try:
                answer: T | None = self._timed(plugin, spec, function, kwargs)
            except FAULTS as error:
                self._failed(plugin, spec, error)
                continue
            if answer is not None:
                return answer
        return None

    def gather(self, spec: Callable[P, Sequence[T]], *args: P.args, **kwargs: P.kwargs) -> list[T]:
        """Show: every plugin's pieces; one that fails leaves out only its own."""
        pieces: list[T] = []
        for plugin, function in self.implementations(spec):
            if self._tripped(plugin):
                continue
            try:
                pieces.extend(_list(plugin, spec, self._timed(plugin, spec, function, kwargs)))
            except FAULTS as error:
                self._failed(plugin, spec, error)
        return pieces

    def notify(self, plugin: str, spec: Callable[..., None], /, **kwargs: Any) -> str | None:
        """Tell one plugin. Returns None when it was told, else why not: the event queue tries again later."""
        for name, function in self.implementations(spec):
            if name == plugin:
                try:
                    self._timed(name, spec, function, kwargs)
                except FAULTS as error:
                    self._failed(name, spec, error)
                    return f"{type(error).__name__}: {error}"
        return None

    def shielded(self, plugin: str, what: str, function: Callable[[], T], placeholder: T) -> T:
        """Call something a plugin contributed (a panel's facts, a column's values) with a show hook's isolation."""
        if self._tripped(plugin):
            return placeholder
        try:
            return function()
        except FAULTS as error:
            self._failed_at(plugin, what, error)
            return placeholder

    def _timed(self, plugin: str, spec: Callable[..., Any], function: Callable[..., Any], kwargs: Any) -> Any:
        if not self.trace:
            answer = function(**kwargs)
        else:
            start = time.perf_counter()
            try:
                answer = function(**kwargs)
            finally:
                milliseconds = (time.perf_counter() - start) * 1000
                sys.stderr.write(f"hook {spec.__name__:<24} {plugin:<16} {milliseconds:8.2f} ms\n")
        self.failures.pop(plugin, None)
        return answer

    def _tripped(self, plugin: str) -> bool:
        return self.failures.get(plugin, 0) >= BREAKER_LIMIT

    def _failed(self, plugin: str, spec: Callable[..., Any], error: BaseException) -> None:
        self._failed_at(plugin, spec.__name__, error)

    def _failed_at(self, plugin: str, where: str, error: BaseException) -> None:
        log.error("%s failed in %s: %s", plugin, where, error, exc_info=error)
        self.failures[plugin] = count = self.failures.get(plugin, 0) + 1
        if count == BREAKER_LIMIT:
            self.on_trip(plugin, f"failed {count} times in a row, last in {where}: {type(error).__name__}: {error}")


def _taking_all(function: Callable[..., Any], wanted: Sequence[str]) -> Callable[..., Any]:
    """A plugin names the arguments it wants; we always pass all."""
    names = tuple(wanted)
    return lambda **kwargs: function(**{name: kwargs[name] for name in names})


def _list(plugin: str, spec: Callable[..., Any], answer: Any) -> list[Any]:
    if answer is None:
        return []
    if isinstance(answer, str | bytes | dict) or not isinstance(answer, Sequence):
        raise PluginError(f"{plugin} returned {type(answer).__name__} from {spec.__name__}. Return a list.")
    return list(answer)


def _refusal(plugin: str, spec: Callable[..., Any], error: BaseException) -> str:
    if isinstance(error, RapportError):
        return str(error)
    return (
        f"The plugin {plugin} failed in {spec.__name__}, so nothing was saved. "
        f"An administrator can read why in the log, or disable it: rapport plugins disable {plugin}"
    )
