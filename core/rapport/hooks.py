"""Calling plugins: each alone, in one order, and never letting one plugin's fault become another's.

This is the only module that catches what a plugin raises. The five methods match the kinds of hooks:

- `run`     prepare hooks: a failure refuses the operation
- `collect` ask hooks: answers joined; a failure is an answer that refuses
- `first`   choose hooks: the first answer; a failure is logged and the next is asked
- `notify`  tell hooks: one plugin at a time, from the event queue, which retries what fails
- `gather`  show hooks: answers joined; a failure leaves out that plugin's piece
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, ParamSpec, TypeVar, get_type_hints

import pluggy

from rapport import hookspecs
from rapport.builtin import BUILTIN
from rapport.db.engine import leftovers
from rapport.errors import Forbidden, Invalid, PluginError, Problem, RapportError, Unavailable
from rapport.watchdog import Overdue, limited

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger("rapport.hooks")

BREAKER_LIMIT = 20
"""Failures in a row at one place after which a plugin is taken out."""
HANG_WEIGHT = 10
"""A hang costs a person's time and a thread, so two in a row are enough."""
SECONDS: dict[str, float] = {
    "register": 30, "prepare": 10, "ask": 10, "choose": 10, "tell": 60, "show": 10, "page": 60,
}  # fmt: skip
"""How long a call into a plugin may take, by the kind of hook; then it is interrupted."""

# A plugin that calls sys.exit() must not take the site along.
FAULTS = (Exception, SystemExit)


class Lent:
    """What a hook gets of ours to work with, such as a session: lent for one call, and looked over when it is back."""

    def lend(self, borrower: str, *, undo: bool = False) -> AbstractContextManager[None]:
        """Within the block it is the plugin's; PluginError at its end when the plugin did with it what it may not.

        `undo` takes back what a plugin changed that fails.
        """
        raise NotImplementedError

    def replace(self) -> None:
        """What was interrupted in the midst of its work is given up: nothing more is done with it."""
        raise NotImplementedError


class Hooks:
    """The hooks of one site. Plugins are asked in dependency order, then by name."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self.specs: dict[str, Callable[..., Any]] = {name: getattr(hookspecs, name) for name in hookspecs.KINDS}
        """Every hook there is, by name: Rapport's, and those that active plugins declare."""
        self._owners: dict[str, str] = {}
        self._order: dict[str, int] = {}
        self._bridges: dict[str, str] = {}
        """Whose each bridge is, by the name under which its hookimpls are kept."""
        self._known: dict[str, list[tuple[str, Callable[..., Any]]]] = {}
        self.failures: Counter[tuple[str, str]] = Counter()
        """Failures in a row, by plugin and place; the circuit breaker counts here."""
        self.out: dict[str, str] = {}
        """Plugins the breaker has taken out of this process, each with the reason."""
        self.on_trip: Callable[[str, str], None] = lambda plugin, reason: None
        """Told once when a plugin is taken out, with the reason."""
        self.seconds = dict(SECONDS)
        self.trace = os.environ.get("RAPPORT_TRACE_HOOKS", "") not in {"", "0"}
        self.times: Counter[tuple[str, str]] = Counter()
        """While tracing: microseconds, by hook and plugin."""

    def add(self, plugin: str, module: ModuleType | object, other: str = "") -> None:
        """Take in a plugin's hookimpls: all of them, or PluginError when one of them fits no hook.

        With `other` they are those of its bridge to that plugin: they are the plugin's too, and asked after all others.
        """
        key = _key(plugin, other)
        self._known.clear()
        self._order.setdefault(key, len(self._order))
        if other:
            self._bridges[key] = plugin
        try:
            self._manager.register(module, key)
            self._manager.check_pending()
            self._refuse_wrappers(key)
        except pluggy.PluginValidationError as error:
            self.remove(plugin, other)
            raise PluginError(f"{plugin} implements a hook that does not exist: {error}. See docs/hooks.md.") from error
        except BaseException:
            self.remove(plugin, other)
            raise

    def declare(self, plugin: str, module: ModuleType) -> None:
        """Take in the hooks that a plugin declares for others, before anybody answers them."""
        for name, spec in vars(module).items():
            if getattr(spec, "__module__", "") != module.__name__ or not hasattr(spec, f"{hookspecs.PROJECT}_spec"):
                continue
            if f"_{plugin}_" not in f"_{name}_":
                raise PluginError(
                    f"the hook '{name}' must name its plugin: {hookspecs.kind_of(spec)}_{plugin}_… or {plugin}_…. "
                    f"Rename it in {module.__name__}."
                )
            if name in self.specs:
                owner = self._owners.get(name, "rapport")
                raise PluginError(f"it declares the hook '{name}', which {owner} declares already. Rename it.")
            self.specs[name] = spec
            self._owners[name] = plugin
        self._manager.add_hookspecs(module)

    def own_register_hooks(self) -> dict[str, Callable[..., Any]]:
        """The register hooks that active plugins declare for others, by name."""
        return {name: self.specs[name] for name in self._owners if hookspecs.kind_of(self.specs[name]) == "register"}

    def _refuse_wrappers(self, plugin: str) -> None:
        for caller in self._manager.get_hookcallers(self._manager.get_plugin(plugin)) or ():
            for impl in caller.get_hookimpls():
                if impl.plugin_name == plugin and (impl.wrapper or impl.hookwrapper):
                    raise PluginError(f"{plugin} wraps the hook {caller.name}. Answer it without wrapper=True.")

    def remove(self, plugin: str, other: str = "") -> None:
        """Forget a plugin that turned out to be unusable, or its bridge to another one."""
        if self._manager.has_plugin(_key(plugin, other)):
            self._manager.unregister(name=_key(plugin, other))
        self._known.clear()

    def names(self) -> list[str]:
        """The plugins that may be called."""
        owners = dict.fromkeys(self._owner(name) for name, _ in self._manager.list_name_plugin())
        return [name for name in owners if name not in self.out]

    def _owner(self, name: str) -> str:
        return self._bridges.get(name, name)

    def implementations(self, spec: Callable[..., Any]) -> list[tuple[str, Callable[..., Any]]]:
        """The plugins that implement a hook, in order, each with a function that takes every argument of it."""
        name = spec.__name__
        if name not in self._known:
            impls = getattr(self._manager.hook, name).get_hookimpls()
            impls = sorted(impls, key=lambda impl: self._order.get(impl.plugin_name, 0))
            self._known[name] = [
                (self._owner(impl.plugin_name), _taking_all(impl.function, impl.argnames))
                for impl in impls if self._owner(impl.plugin_name) not in self.out
            ]  # fmt: skip
        return self._known[name]

    def listeners(self, spec: Callable[..., Any]) -> list[str]:
        """The plugins that implement a hook, each once, in order."""
        return list(dict.fromkeys(plugin for plugin, _ in self.implementations(spec)))

    def concern(self, spec: Callable[..., Any], kind: type) -> bool:
        """Whether anybody has a say about records of this kind: see `first`."""
        return any(issubclass(kind, about_of(function)) for _, function in self.implementations(spec))

    def registered(self, plugin: str, spec: Callable[[], Sequence[T]], other: str = "") -> list[T]:
        """What a plugin, or its bridge to another one, returns from a register hook. Faults reach the loader."""
        found: list[T] = []
        for impl in getattr(self._manager.hook, spec.__name__).get_hookimpls():
            if impl.plugin_name == _key(plugin, other):
                try:
                    found.extend(_list(plugin, spec, self._call(plugin, spec, impl.function, {})))
                except Unavailable as error:
                    raise PluginError(str(error)) from error
        return found

    def run(self, spec: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Prepare: every plugin in turn; the first failure refuses the operation."""
        for plugin, function in self.implementations(spec):
            try:
                self._call(plugin, spec, function, kwargs)
            except (Invalid, Forbidden, Unavailable):
                raise
            except FAULTS as error:
                self._failed(plugin, spec.__name__, error)
                raise Invalid(Problem(None, _refusal(plugin, spec.__name__, error))) from error

    def collect(self, spec: Callable[P, Sequence[T]], *args: P.args, **kwargs: P.kwargs) -> list[T]:
        """Ask: every plugin's answers. A plugin that fails has not agreed, so its failure is a Problem."""
        answers: list[T] = []
        for plugin, function in self.implementations(spec):
            try:
                answers.extend(_list(plugin, spec, self._call(plugin, spec, function, kwargs)))
            except Unavailable:
                raise
            except FAULTS as error:
                self._failed(plugin, spec.__name__, error)
                answers.append(Problem(None, _refusal(plugin, spec.__name__, error)))  # type: ignore[arg-type]
        return answers

    def first(self, spec: Callable[P, T | None], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Choose: the first answer that is not None.

        Who annotates `record` with a class of its own is asked about records of that class only.
        """
        record = kwargs.get("record")
        for plugin, function in self.implementations(spec):
            if record is not None and not isinstance(record, about_of(function)):
                continue
            try:
                answer: T | None = self._call(plugin, spec, function, kwargs)
                if answer is not None:
                    _check_type(plugin, spec, answer)
            except Unavailable:
                raise
            except FAULTS as error:
                self._failed(plugin, spec.__name__, error)
                continue
            if answer is not None:
                return answer
        return None

    def gather(self, spec: Callable[P, Sequence[T]], *args: P.args, **kwargs: P.kwargs) -> list[T]:
        """Show: every plugin's pieces; one that fails leaves out only its own."""
        pieces: list[T] = []
        for plugin, function in self.implementations(spec):
            try:
                pieces.extend(_list(plugin, spec, self._call(plugin, spec, function, kwargs)))
            except FAULTS as error:
                self._failed(plugin, spec.__name__, error)
                if (reader := kwargs.get("reader")) is not None:
                    reader.recover()  # type: ignore[attr-defined]  # the next plugin reads with the same one
        return pieces

    def notify(self, plugin: str, spec: Callable[..., None], /, **kwargs: Any) -> str | None:
        """Tell one plugin. Returns None when it was told, else why not: the event queue tries again later."""
        for name, function in self.implementations(spec):
            if name == plugin:
                try:
                    self._call(name, spec, function, kwargs)
                except FAULTS as error:
                    self._failed(name, spec.__name__, error)
                    return f"{type(error).__name__}: {error}"
        return None

    def follow(self, plugin: str, what: str, function: Callable[[], None], session: Lent) -> str | None:
        """As `notify`, for a function that a plugin contributed, and that works in a session lent to it."""
        try:
            self._with_lent(plugin, what, self.seconds["tell"], session, function)
        except FAULTS as error:
            self._failed(plugin, what, error)
            return f"{type(error).__name__}: {error}"
        self.failures.pop((plugin, what), None)
        return None

    def shielded(self, plugin: str, what: str, function: Callable[[], T], placeholder: T) -> T:
        """Call something a plugin contributed (a panel's facts, a column's values) with a show hook's isolation."""
        if plugin in self.out:
            return placeholder
        try:
            answer = self._limited(plugin, what, self.seconds["show"], function)
        except FAULTS as error:
            self._failed(plugin, what, error)
            return placeholder
        if self.failures:
            self.failures.pop((plugin, what), None)
        return answer

    def required(self, plugin: str, what: str, function: Callable[[], T]) -> T:
        """Call something a plugin contributed without which the work must not go on: a failure refuses the work."""
        try:
            return self._limited(plugin, what, self.seconds["ask"], function)
        except (Invalid, Forbidden, Unavailable):
            raise
        except FAULTS as error:
            self._failed(plugin, what, error)
            raise Invalid(Problem(None, _refusal(plugin, what, error))) from error

    def page(self, plugin: str, what: str, view: Callable[[], T]) -> T:
        """Run a plugin's own page: what it raises is answered as ever, but counts; it neither hangs nor exits."""
        try:
            return self._limited(plugin, what, self.seconds["page"], view)
        except RapportError:
            raise
        except SystemExit as error:
            self._failed(plugin, what, error)
            raise PluginError(f"The plugin {plugin} tried to end Rapport in {what}.") from error

    def _call(
        self, plugin: str, spec: Callable[..., Any], function: Callable[..., Any], kwargs: Mapping[str, Any]
    ) -> Any:
        name = spec.__name__
        seconds = self.seconds[hookspecs.kind_of(spec)]
        lent = kwargs.get("session")
        if lent is None:
            lent = kwargs.get("reader")
        start = time.perf_counter() if self.trace else 0.0
        try:
            if isinstance(lent, Lent):
                undo = hookspecs.kind_of(spec) == "choose"
                answer = self._with_lent(plugin, name, seconds, lent, lambda: function(**kwargs), undo=undo)
            else:
                answer = self._limited(plugin, name, seconds, lambda: function(**kwargs))
        finally:
            if self.trace:
                self._traced(plugin, name, time.perf_counter() - start)
        if self.failures:
            self.failures.pop((plugin, name), None)
        return answer

    def _with_lent(
        self, plugin: str, name: str, seconds: float, lent: Lent, function: Callable[[], T], *, undo: bool = False
    ) -> T:
        try:
            # Whoever is asked after a choose hook that failed works in the same transaction: it must be as it was.
            with lent.lend(f"{plugin} in {name}", undo=undo), leftovers() as left:
                answer = self._limited(plugin, name, seconds, function)
        except Unavailable:
            lent.replace()
            raise
        if left():
            raise PluginError(f"{plugin} left {left()} connection(s) of the database open in {name}. They were closed. "
                              f"Use the session it is given.")  # fmt: skip
        return answer

    def _limited(self, plugin: str, where: str, seconds: float, function: Callable[[], T]) -> T:
        try:
            return limited(seconds, lambda stack: self._hung(plugin, where, seconds, stack), function)
        except Overdue:
            raise Unavailable(
                f"The plugin {plugin} took longer than {seconds:g} seconds in {where} and was interrupted. Nothing was "
                f"saved; try again in a while."
            ) from None

    def _traced(self, plugin: str, hook: str, seconds: float) -> None:
        self.times[hook, plugin] += round(seconds * 1_000_000)
        sys.stderr.write(f"hook {hook:<24} {plugin:<16} {seconds * 1000:8.2f} ms\n")

    def _failed(self, plugin: str, where: str, error: BaseException) -> None:
        if isinstance(error, Unavailable):
            return  # the watchdog has told of it, and counted it
        log.error("%s failed in %s: %s", plugin, where, error, exc_info=error)
        self._count(plugin, where, 1, f"{type(error).__name__}: {error}")

    def _hung(self, plugin: str, where: str, seconds: float, stack: str) -> None:
        """Told by the watchdog, from its own thread: the plugin's may never come back."""
        log.error("%s takes longer than %g seconds in %s. It is here:\n%s", plugin, seconds, where, stack)
        at = stack.strip().splitlines()[-2].strip() if stack.count("\n") > 1 else "?"
        self._count(plugin, where, HANG_WEIGHT, f"took longer than {seconds:g} seconds at {at}")

    def _count(self, plugin: str, where: str, weight: int, why: str) -> None:
        self.failures[plugin, where] += weight
        if self.failures[plugin, where] < BREAKER_LIMIT or plugin in self.out or plugin in BUILTIN:
            return
        times = f"failed {BREAKER_LIMIT} times in a row" if weight == 1 else "hung twice in a row"
        self.out[plugin] = f"{times} in {where}, the last time: {why}"[:1000]
        self._known.clear()
        log.error("%s is taken out: it %s", plugin, self.out[plugin])
        self.on_trip(plugin, self.out[plugin])


def _key(plugin: str, other: str) -> str:
    return f"{plugin} with {other}" if other else plugin


def _taking_all(function: Callable[..., Any], wanted: Sequence[str]) -> Callable[..., Any]:
    """A plugin names the arguments it wants; we always pass all."""
    names = tuple(wanted)

    def call(**kwargs: Any) -> Any:
        return function(**{name: kwargs[name] for name in names})

    call.__wrapped__ = function  # type: ignore[attr-defined]  # for `about_of`
    return call


def about_of(function: Callable[..., Any]) -> type:
    """Which records an implementation is about: any, unless its hookimpl annotates `record` with a class."""
    return _about(function.__wrapped__)  # type: ignore[attr-defined]


@functools.cache
def _about(function: Callable[..., Any]) -> type:
    try:
        found = get_type_hints(function).get("record")
    except (NameError, TypeError, AttributeError):  # it names what is there for the type checker only
        return object
    return found if isinstance(found, type) else object


def _list(plugin: str, spec: Callable[..., Any], answer: Any) -> list[Any]:
    if answer is None:
        return []
    if isinstance(answer, str | bytes | dict) or not isinstance(answer, Sequence):
        raise PluginError(f"{plugin} returned {type(answer).__name__} from {spec.__name__}. Return a list.")
    for item in answer:
        _check_type(plugin, spec, item)
    return list(answer)


def _check_type(plugin: str, spec: Callable[..., Any], item: Any) -> None:
    """A text where a Problem belongs would fail later, where nobody knows whose it is."""
    wanted = hookspecs.GIVES.get(spec.__name__)
    if wanted is not None and not isinstance(item, wanted):
        raise PluginError(
            f"{plugin} returned {item!r:.80} from {spec.__name__}, which is {type(item).__name__}. "
            f"Return {wanted.__name__}."
        )


def _refusal(plugin: str, where: str, error: BaseException) -> str:
    if isinstance(error, RapportError):
        return str(error)
    return (
        f"The plugin {plugin} failed in {where}, so nothing was saved. "
        f"An administrator can read why in the log, or disable it: rapport plugins disable {plugin}"
    )
