"""A new plugin is well from its first minute: its tests, its types, its style."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.architecture.subjects import ROOT
from tests.desk import Desk

from .conftest import Type


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.at(tmp_path)


def begun(desk: Desk) -> str:
    answer = desk.do("rapport", "new", "plugin", "visits")
    desk.install("rapport-visits")
    return answer


def test_the_tests_of_a_new_plugin_pass_at_once(desk: Desk) -> None:
    answer = begun(desk)
    assert answer.startswith("Written: rapport-visits\nWhat next:\n  cd rapport-visits\n")
    # Two stories and the contract, each on two databases.
    assert "6 passed" in desk.do("pytest", "-q", at="rapport-visits")


def test_the_types_and_the_style_of_a_new_plugin_are_well_at_once(desk: Desk) -> None:
    begun(desk)
    assert "Success" in desk.do("mypy", at="rapport-visits")
    desk.do("ruff", "check", at="rapport-visits")
    desk.do("ruff", "format", "--check", at="rapport-visits")


@pytest.mark.parametrize("name", ["visits", "inspections_of_heavy_machinery"])
def test_in_the_repository_a_new_plugin_is_a_member_like_the_others(desk: Desk, name: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", desk.folder)
    answer = desk.do("rapport", "new", "plugin", name)
    assert "make setup" in answer
    assert "[tool." not in (desk.folder / "plugins" / name / "pyproject.toml").read_text()
    desk.do("ruff", "check", "--no-cache", "plugins")  # by the repository's rules
    desk.do("ruff", "format", "--check", "--no-cache", "plugins")


def test_a_plugin_may_keep_records_of_anything(type_: Type, tmp_path: Path) -> None:
    assert type_("new", "plugin", "horses", "--noun", "race_horse", "--to", tmp_path / "stable").exit_code == 0
    entities = (tmp_path / "stable" / "rapport_horses" / "entities.py").read_text()
    assert 'class RaceHorse(\n    Entity,\n    name="horses.race_horse",\n    title="Race horse",' in entities


def test_a_name_that_cannot_be_is_refused_with_what_to_do(type_: Type) -> None:
    said = {name: type_("new", "plugin", name).stderr for name in ("Visits", "import", "sales")}
    assert said == {
        "Visits": "'Visits' cannot name a plugin. Write 2 to 30 small letters: visits, or site_visits.\n",
        "import": "'import' is a word of Rapport's own. Take another.\n",
        "sales": "There is a plugin 'sales' already. Take another name, or: pip uninstall rapport-sales\n",
    }


def test_what_is_there_is_not_written_over(type_: Type, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    answer = type_("new", "plugin", "visits", "--to", "mine")
    assert answer.stderr == "There is something in mine already. Name another directory: --to DIR\n"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.timeout(300)
def test_a_new_vertical_is_green_at_once_without_a_network(desk: Desk) -> None:
    answer = desk.do("rapport", "new", "vertical", "guest_houses")
    assert answer.startswith("Written: rapport-guest-houses\nWhat next:\n  cd rapport-guest-houses\n")
    desk.install("rapport-guest-houses")
    assert "4 passed" in desk.do("pytest", "-q", at="rapport-guest-houses")
    assert "Success" in desk.do("mypy", at="rapport-guest-houses")
    desk.do("ruff", "check", at="rapport-guest-houses")
    desk.do("ruff", "format", "--check", at="rapport-guest-houses")
