"""Processes that may be killed: each does one thing to a site, and dies at a chosen write if told to.

Started once as a process of its own, it forks a fresh one for every thing to do, so that each sees the plugins that are
installed at that moment, as a process that begins then.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
READS = re.compile(r"\s*(SELECT|PRAGMA|SHOW|WITH)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Done:
    """How it ended: "done" with what came of it, "refused" with the words, or "killed"."""

    how: str
    said: Any = None


class Mortals:
    """The way to them from a test: `mortals.do("enable", "base", kill_at=3)`."""

    def __init__(self, installed: Path) -> None:
        self.installed = installed
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kernel.mortal"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip

    def do(self, home: Path, url: str, what: str, *names: str, kill_at: int = 0) -> Done:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"home": str(home), "url": url, "what": what, "names": names, "kill_at": kill_at,
                 "installed": str(self.installed)}  # fmt: skip
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that forks the others has ended"
        return Done(**json.loads(line))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


@contextlib.contextmanager
def mortals(installed: Path) -> Iterator[Mortals]:
    """The forking process, for as long as the block lasts."""
    made = Mortals(installed)
    try:
        yield made
    finally:
        made.close()


# In the process itself -----------------------------------------------------------------------------------------------


def _serve() -> None:
    _warm_up()
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _live(order, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            said = json.dumps({"how": "killed", "said": os.WTERMSIG(status)}).encode()
        sys.stdout.write((said.decode() or json.dumps({"how": "vanished"})) + "\n")
        sys.stdout.flush()


def _warm_up() -> None:
    """Import once what every forked process would import: all but plugins. No thread and no connection may be left."""
    import tempfile

    import alembic.autogenerate
    import psycopg  # noqa: F401

    from rapport import Config
    from rapport.app import create_app
    from rapport.lifecycle import make_site

    with tempfile.TemporaryDirectory() as scratch:
        config = Config(home=Path(scratch), secret_key="k" * 32, testing=True)
        make_site(config)
        create_app(config).extensions["rapport"].close()
    del alembic


def _live(order: dict[str, Any], writing: int) -> None:
    from rapport import Config, RapportError

    sys.path.insert(0, order["installed"])
    if order["kill_at"]:
        _die_at(order["kill_at"])
    config = Config(home=Path(order["home"]), database_url=order["url"], secret_key="k" * 32, testing=True,
                    base_url="http://localhost")  # fmt: skip
    try:
        answer = {"how": "done", "said": DEEDS[order["what"]](config, *order["names"])}
    except RapportError as error:
        answer = {"how": "refused", "said": str(error)}
    except BaseException as error:  # told to the test, which fails by it
        import traceback

        answer = {"how": "failed", "said": f"{error!r}\n{traceback.format_exc()}"}
    os.write(writing, json.dumps(answer, default=str).encode())
    os._exit(0)


def _die_at(number: int) -> None:
    """Kill -9 of oneself right before the n-th write, or the commit, whichever is counted there."""
    from sqlalchemy import Engine, event

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


def _enable(config: Any, *names: str) -> list[str]:
    from rapport.lifecycle import enable

    return enable(config, *names)


def _disable(config: Any, name: str) -> list[str]:
    from rapport.lifecycle import disable

    return disable(config, name, with_dependants=True)


def _upgrade(config: Any, name: str) -> bool:
    from rapport.lifecycle import upgrade

    return upgrade(config, name)


def _upgrade_site(config: Any) -> dict[str, str]:
    from rapport.lifecycle import upgrade_site

    return {step.plugin: step.problem for step in upgrade_site(config)}


def _purge(config: Any, name: str) -> dict[str, int]:
    from rapport.lifecycle import purge

    return purge(config, name)


def _make(config: Any) -> None:
    from rapport.lifecycle import make_site

    make_site(config)


def _boot(config: Any, *pages: str) -> dict[str, list[str]]:
    """Open the site, and with an address also its application; how the plugins fare, and the answers."""
    from rapport import Site
    from rapport.app import create_app

    if not pages:
        with contextlib.closing(Site.open(config)) as site:
            return {name: [plugin.state, plugin.reason, plugin.remedy] for name, plugin in site.plugins.items()}
    app = create_app(config)
    client = app.test_client()
    return {page: [client.get(page).status_code] for page in pages}


def _write(config: Any, entity: str, label: str) -> str:
    """A record of a plugin, made as ever."""
    from rapport import Site, system

    with contextlib.closing(Site.open(config)) as site, site.write(system("test")) as unit:
        record = unit.create(site.entities[entity], {"label": label})
        return str(record.id)


def _facts(config: Any) -> dict[str, list[str]]:
    """What a plugin brings to where people and programs find it."""
    from rapport.app import create_app

    app = create_app(config)
    site = app.extensions["rapport"]
    return {
        "entities": site.entities.names(), "menu": site.navigation.names(), "jobs": site.jobs.names(),
        "commands": site.commands.names(), "settings": site.settings.declared.names(),
        "pages": sorted({str(rule) for rule in app.url_map.iter_rules()}),
    }  # fmt: skip


def _ask(config: Any, name: str, how: str) -> None:
    """A customer, and the job that greets them: in one transaction, or apart."""
    from rapport import Customer, Site, enqueue_job, system

    actor = system("test")
    with contextlib.closing(Site.open(config)) as site:
        with site.write(actor) as unit:
            unit.create(Customer, {"name": name})
            if how == "together":
                enqueue_job(unit.session.connection(), "effects.greet", {"name": name}, actor=actor)
        if how == "apart":
            with site.db.write() as connection:
                enqueue_job(connection, "effects.greet", {"name": name}, actor=actor)


def _work(config: Any) -> None:
    """All that a worker does, until there is nothing to do."""
    from rapport import Site
    from rapport.worker import work

    with contextlib.closing(Site.open(config)) as site:
        while work(site):
            pass


DEEDS: dict[str, Callable[..., Any]] = {
    "make": _make, "enable": _enable, "disable": _disable, "upgrade": _upgrade, "upgrade site": _upgrade_site,
    "purge": _purge, "boot": _boot, "write": _write, "facts": _facts, "ask": _ask, "work": _work,
}  # fmt: skip

if __name__ == "__main__":
    _serve()
