"""A worker that may be killed: it follows the log and runs jobs until nothing is due, and dies at a chosen write.

python -m tests.workflows.mortal HOME URL NOW WRITE
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from rapport import Config, Site
from rapport.entities import types
from rapport.followers import follow
from rapport.jobs import run_next

READS = re.compile(r"\s*(SELECT|PRAGMA|SHOW|WITH)\b", re.IGNORECASE)


def die_at(number: int) -> None:
    """Kill -9 of oneself right before the n-th write, or the commit, whichever is counted there."""
    left = [number]

    def one_more() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    @event.listens_for(Engine, "before_cursor_execute")
    def _write(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not READS.match(statement):
            one_more()

    @event.listens_for(Engine, "commit")
    def _commit(_conn: Any) -> None:
        one_more()


def live(site: Site, now: str, write: str) -> None:
    """Work until nothing is due, or until the n-th write."""
    for engine in (site.db.reading, site.db.writing):
        engine.dispose(close=False)  # what the mother process had open is hers
    moment = dt.datetime.fromisoformat(now)
    types.clock = lambda: moment
    die_at(int(write))
    while follow(site) + run_next(site):
        pass


def mother(home: str, url: str) -> None:
    """Open the site once, and fork a life for each line of NOW and WRITE."""
    config = Config(home=Path(home), database_url=url, secret_key="test " * 8, testing=True)
    with contextlib.closing(Site.open(config)) as site:
        for engine in (site.db.reading, site.db.writing):
            engine.dispose()
        for line in sys.stdin:
            child = os.fork()
            if child == 0:
                live(site, *line.rstrip("\n").split("\t"))
                os._exit(0)
            _, status = os.waitpid(child, 0)
            sys.stdout.write(f"{'killed' if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    mother(*sys.argv[1:])
