"""Processes that may be killed: each does one thing to a site, and dies at a chosen write, or after a while.

    with mortals() as killable:
        done = killable.do(config, work, kill_at=3)
        assert done.how in {"done", "killed"}

What is to be done is a function of a module, with the site's configuration before its other arguments. One process,
started once, forks a fresh one for each, so that it sees the plugins that are installed at that moment, as a process
that begins then. With `keep` the application is opened before the fork: quicker, where the plugins stay the same.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from flask import Flask

from rapport import Config, Site

ROOT = Path(__file__).parents[1]
READS = re.compile(r"\s*(SELECT|PRAGMA|SHOW|WITH)\b", re.IGNORECASE)
UNTIL_DONE = 0


@dataclass(frozen=True)
class Done:
    """How it ended: "done" with what came of it, "refused" with the words, "killed", or "failed" with the trace."""

    how: str
    said: Any = None
    writes: int = 0
    """How many places there were to die at, where it came to its end."""


class Mortals:
    """The way to them from a test."""

    def __init__(self, installed: Path | None = None, keep: Config | None = None) -> None:
        self.installed = installed
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mortal"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        self._send((str(installed or ""), keep))

    def do(
        self, config: Config, deed: Callable[..., Any], *words: Any, kill_at: int = UNTIL_DONE, kill_after: float = 0
    ) -> Done:
        """Have it done: to its end, to the n-th write, or for so many seconds."""
        self.start(config, deed, *words, kill_at=kill_at, kill_after=kill_after)
        return self.end()

    def start(
        self, config: Config, deed: Callable[..., Any], *words: Any, kill_at: int = UNTIL_DONE, kill_after: float = 0
    ) -> None:
        """Let it begin; `end` waits for it."""
        self._send((config, deed, words, kill_at, kill_after))

    def end(self) -> Done:
        """How what was started has ended."""
        try:
            return cast(Done, pickle.load(self._out))
        except EOFError:
            raise AssertionError("the process that forks the others has ended") from None

    @property
    def _out(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _send(self, what: Any) -> None:
        assert self._process.stdin is not None
        pickle.dump(what, self._process.stdin)
        self._process.stdin.flush()

    def close(self) -> None:
        """No more of them."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(120)  # on a machine that may have much else to do
        self._out.close()


@contextlib.contextmanager
def mortals(installed: Path | None = None, keep: Config | None = None) -> Iterator[Mortals]:
    """The forking process, for as long as the block lasts. `installed` is where plugins lie that a test has written."""
    made = Mortals(installed, keep)
    try:
        yield made
    finally:
        made.close()


def each_point(do: Callable[[int], Done], *, most: int = 400, step: int = 1) -> Iterator[int]:
    """Do it again and again, killed a write later each time (or `step` of them), until it comes to its end.

    Yields after every death, which is the time to look at what there is.
    """
    for number in range(1, most, step):
        done = do(number)
        if done.how != "killed":
            assert done.how == "done", done.said
            assert number > 1, "nothing was written?"
            return
        yield number
    raise AssertionError("it never comes to its end")


# In the process itself -----------------------------------------------------------------------------------------------

_kept: list[Flask] = []
_seen = 0
_last = UNTIL_DONE


def open_app(config: Config) -> Flask:
    """The application of a site: the kept one, or a new one."""
    from rapport.app import create_app

    return _kept[0] if _kept else create_app(config)


@contextlib.contextmanager
def open_site(config: Config) -> Iterator[Site]:
    """A site: the kept one, or one that is opened now."""
    if _kept:
        yield _kept[0].extensions["rapport"]
        return
    with contextlib.closing(Site.open(config)) as site:
        yield site


def step() -> None:
    """One more place at which to die; for what is written elsewhere than in the database."""
    global _seen  # noqa: PLW0603 - one count a process
    _seen += 1
    if _seen == _last:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    orders, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed does not get between the answers
    installed, keep = pickle.load(orders)
    if installed:
        sys.path.insert(0, installed)
    _warm_up(keep)
    gc.freeze()  # no fork looks for rubbish among what is loaded: that took most of opening a site
    while True:
        try:
            order = pickle.load(orders)
        except EOFError:
            return
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _live(writing, *order)
        os.close(writing)
        if order[-1] and not select.select([reading], [], [], order[-1])[0]:
            os.kill(child, signal.SIGKILL)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            said = pickle.dumps(Done("killed", os.WTERMSIG(status)))
        answers.write(said or pickle.dumps(Done("vanished")))
        answers.flush()


def _warm_up(keep: Config | None) -> None:
    """Import once what every forked process would import: all but plugins. No thread and no connection may be left."""
    import tempfile

    import alembic.autogenerate
    import psycopg  # noqa: F401

    import rapport.testing.paper  # noqa: F401
    from rapport.app import create_app
    from rapport.lifecycle import make_site

    if keep is not None:
        _kept.append(create_app(keep))
        database = _kept[0].extensions["rapport"].db
        for engine in (database.reading, database.writing):
            engine.dispose()
        return
    with tempfile.TemporaryDirectory() as scratch:
        config = Config(home=Path(scratch), secret_key="k" * 32, testing=True)
        make_site(config)
        create_app(config).extensions["rapport"].close()
    del alembic


def _live(
    writing: int, config: Config, deed: Callable[..., Any], words: tuple[Any, ...], kill_at: int, _after: float
) -> None:
    from rapport import RapportError

    _die_at(kill_at)
    try:
        answer = Done("done", deed(config, *words), _seen)
    except RapportError as error:
        answer = Done("refused", str(error), _seen)
    except BaseException as error:  # told to the test, which fails by it
        import traceback

        answer = Done("failed", f"{error!r}\n{traceback.format_exc()}")
    with os.fdopen(writing, "wb") as pipe, contextlib.suppress(BrokenPipeError):
        pickle.dump(answer, pipe)
    os._exit(0)


def _die_at(number: int) -> None:
    """Kill -9 of oneself right before the n-th write, or the commit, whichever is counted there."""
    from sqlalchemy import Engine, event

    global _last  # noqa: PLW0603 - one count a process
    _last = number

    @event.listens_for(Engine, "before_cursor_execute")
    def _write(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not READS.match(statement):
            step()

    @event.listens_for(Engine, "commit")
    def _commit(_conn: Any) -> None:
        step()


# What several tests have done ----------------------------------------------------------------------------------------


def work(config: Config) -> None:
    """All that a worker does, until there is nothing to do."""
    from rapport.worker import work

    with open_site(config) as site:
        while work(site):
            pass


if __name__ == "__main__":
    from tests.mortal import main as main_of_the_module  # the one that others import

    main_of_the_module()
