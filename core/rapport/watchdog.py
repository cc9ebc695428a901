"""Calls into plugins may not take for ever: what takes too long is shown in the log and interrupted.

One thread of the process looks after all calls under way. It can interrupt what runs Python, also a loop that catches
every `Exception`. What waits inside a C function (a sleep, a socket without a timeout) ends only when that returns,
and is interrupted then; its thread is lost until that time, and the others go on.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger("rapport.watchdog")
TICK = 0.05
"""Seconds between two looks, while anything runs at all."""


class Overdue(BaseException):
    """Raised within a call that took too long. No Exception, because those are what plugins catch."""


class Call:
    """One call into a plugin, from `begin` to `end`, in one thread. Calls may stand within calls."""

    __slots__ = ("_outer", "_settled", "_started", "_thread", "due", "fired", "hung", "seconds")

    def __init__(self, seconds: float, hung: Callable[[str], None]) -> None:
        self.seconds = seconds
        self.hung = hung
        self.fired = False
        self._settled = True

    def begin(self) -> None:
        """The call begins: from now on it is watched."""
        self._thread = threading.get_ident()
        self._outer = _running.get(self._thread)
        self._started = time.monotonic()
        self.due = self._started + self.seconds
        _running[self._thread] = self
        if not _awake.is_set():
            _wake()

    def end(self) -> None:
        """The call is over, however it ended. Saying it twice does no harm; nothing interrupts this thread after."""
        if _running.get(self._thread) is self:
            if self._outer is None:
                del _running[self._thread]
            else:
                self._outer.due += time.monotonic() - self._started  # it waited for us, and is not to blame
                _running[self._thread] = self._outer
        if self.fired:
            while not self._settled:  # the watcher is between its look and its interruption
                time.sleep(0)
            _raise_in(self._thread, None)

    def extend(self) -> None:
        """There is progress: the time begins anew."""
        self.due = time.monotonic() + self.seconds

    def interrupt(self) -> None:
        """Called by the watcher: raise Overdue where the call is, unless it ended this moment."""
        # First the flag, then the look: `end` does it the other way round, so one of the two sees the other.
        self._settled = False
        first, self.fired = not self.fired, True
        frame = sys._current_frames().get(self._thread)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        if _running.get(self._thread) is self:
            _raise_in(self._thread, Overdue)
        self.due = time.monotonic() + max(self.seconds, 1.0)  # once more, if that was caught
        self._settled = True
        if first:
            self.hung(stack)


_running: dict[int, Call] = {}
_awake = threading.Event()
_starting = threading.Lock()
_watcher: threading.Thread | None = None


def limited(seconds: float, hung: Callable[[str], None], function: Callable[[], T]) -> T:
    """Call something under watch; Overdue when it took too long and could be interrupted."""
    call = Call(seconds, hung)
    call.begin()
    try:
        try:
            return function()
        finally:
            call.end()
    except Overdue:
        call.end()  # the interruption may have come within the first `end`
        raise


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error)
    )


def _wake() -> None:
    global _watcher  # noqa: PLW0603 - one watcher per process
    _awake.set()
    if _watcher is None or not _watcher.is_alive():
        with _starting:
            if _watcher is None or not _watcher.is_alive():
                _watcher = threading.Thread(target=_watch, name="rapport-watchdog", daemon=True)
                _watcher.start()


def _watch() -> None:
    idle = 0
    while True:
        _awake.wait()
        time.sleep(TICK)
        idle = 0 if _running else idle + 1
        if idle > 1 / TICK:  # a second without calls: sleep until there is one
            _awake.clear()
            if _running:
                _awake.set()
        now = time.monotonic()
        for call in list(_running.values()):
            if now >= call.due:
                try:
                    call.interrupt()
                except Exception:  # the watch over the other calls goes on
                    log.exception("a call that takes too long could not be interrupted")


def _begin_anew() -> None:
    """A forked process has the calls of its parent, and no watcher."""
    global _awake, _starting, _watcher
    _running.clear()
    _awake, _starting, _watcher = threading.Event(), threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
