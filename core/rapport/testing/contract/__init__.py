"""The contract: what every plugin promises its users, as checks that find out by themselves.

`rapport plugins check NAME` runs them. In a plugin's tests:

    def test_it_keeps_the_contract(database_url, tmp_path):
        assert broken("visits", database_url, tmp_path) == []

A plugin that must break a promise says so, with the reason, in its pyproject.toml:

    [tool.rapport.exemptions]
    its_queries_do_not_grow_with_the_records = "Each row shows the weather at its place, asked for one by one."

A reason for one thing only stands under its name, as the check tells it:

    [tool.rapport.exemptions.its_code_is_safe]
    "rapport_visits/weather.py::ask" = "The weather service is the one place this plugin calls."
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from rapport.testing.app import make_test_site
from rapport.testing.contract import code, site
from rapport.testing.contract.channels import watch
from rapport.testing.contract.check import Check, Finding, Result, judge
from rapport.testing.contract.plugin import Subject, subject
from rapport.testing.contract.site import Heard, Trial

__all__ = ["CHECKS", "Check", "Finding", "Result", "Subject", "broken", "read", "run", "subject"]

CHECKS: tuple[Check, ...] = (*code.CHECKS, *site.CHECKS)
"""Every promise, in the order they are tried."""


def read(plugin: Subject) -> Iterator[Result]:
    """The promises that show in the files."""
    for check in code.CHECKS:
        yield judge(check, check.function(plugin), plugin.exemptions)
    strangers = sorted(set(plugin.exemptions) - {check.name for check in CHECKS})
    found = [Finding(name, f"there is no check '{name}' to be exempt from") for name in strangers]
    yield Result(Check(its_exemptions_name_checks), tuple(found))


def its_exemptions_name_checks(_plugin: Subject) -> Iterator[Finding]:
    """A misspelt exemption exempts from nothing. `read` finds them: it alone knows every check."""
    yield from ()


def run(plugin: Subject, database_url: str, home: Path) -> Iterator[Result]:
    """The promises that show when it runs, on a fresh site in the empty directory and database given."""
    heard = Heard(plugin.name)
    log = logging.getLogger("rapport")
    log.addHandler(heard)
    with contextlib.ExitStack() as stack:
        stack.callback(log.removeHandler, heard)
        loads, *others = site.CHECKS
        try:
            app = stack.enter_context(make_test_site(home, database_url, plugins=[plugin.name]))
        except Exception as error:  # whatever a plugin raises while it is switched on is what we came to find
            yield judge(loads, [Finding("loading", f"{type(error).__name__}: {error}")], plugin.exemptions)
            return
        strays, end = watch(app.site)
        stack.callback(end)
        trial = Trial(plugin, app, heard, strays=strays)
        loaded = _tried(loads, trial)
        yield loaded
        for check in others if loaded.kept else ():
            yield _tried(check, trial)


def broken(name: str, database_url: str, home: Path) -> list[str]:
    """The promises an installed plugin does not keep, in sentences; for its tests."""
    plugin = subject(name)
    return [
        f"{result.check.sentence}: {finding.said}"
        for results in (read(plugin), run(plugin, database_url, home))
        for result in results
        for finding in result.findings
    ]


def _tried(check: Check, trial: Trial) -> Result:
    try:
        found = list(check.function(trial))
    except Exception as error:  # a plugin's fault may come up anywhere, and is a finding, not the end of the others
        found = [Finding("error", f"{type(error).__name__}: {error}")]
    return judge(check, found, trial.plugin.exemptions)
