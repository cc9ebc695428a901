"""Any two plugins run together, and two of which one knows the other keep the contract together."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from rapport import Config, Site
from rapport.app import assemble
from rapport.lifecycle import make_site
from rapport.plugins import State, circles, dependencies, discover, needed, optional
from tests.architecture.subjects import members

NAMES = sorted(member.name for member in members())
PAIRS = list(itertools.combinations(NAMES, 2))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """An empty site: two plugins at a time are tried on it, and need no tables for that."""
    home: Path = tmp_path_factory.mktemp("pairs")
    made = Config(home=home, secret_key="k" * 32, testing=True)
    make_site(made)
    return made


def test_any_two_run_together_with_what_they_need_and_their_bridges_hold(config: Config) -> None:
    """What each promises alone, and with those it knows, the contract tests: `its_bridges_stand_…` among them."""
    installed, wrong = discover(), []
    for pair in [*PAIRS, NAMES]:
        wanted = needed(pair, installed)
        site = Site.open(replace(config, plugins=tuple(wanted)), trying=wanted)
        try:
            if pair is NAMES:  # pages that go together at all go together by twos
                assemble(site)
            for plugin in (site.plugins[name] for name in wanted):
                if plugin.state is not State.ACTIVE:
                    wrong.append(f"{' and '.join(pair)}: {plugin.name} is {plugin.state}: {plugin.reason}")
                wrong += [
                    f"{plugin.name} with {bridge.other}: {bridge.state}: {bridge.reason}"
                    for bridge in plugin.bridges
                    if (bridge.state is State.ACTIVE) != (bridge.other in wanted)
                ]
        finally:
            site.close()
    assert wrong == []


def test_nobody_needs_whom_it_can_do_without_and_nobody_goes_in_circles() -> None:
    installed = discover()
    assert circles(NAMES, installed) == {}
    assert [
        f"{name} both needs '{other}' and has it as an extra"
        for name in NAMES
        for other in optional(installed[name], installed)
        if other in dependencies(installed[name], installed)
    ] == []
