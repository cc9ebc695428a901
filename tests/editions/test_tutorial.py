"""docs/building-an-edition.md, done word by word: its files written, its commands typed, its answers compared."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from rapport import Site, Stage, load_config, system
from rapport.access.model import Role
from rapport_cli import cli
from tests.architecture.subjects import ROOT

TEXT = (ROOT / "docs" / "building-an-edition.md").read_text("utf-8")
STEP = re.compile(
    r"^```(toml|console|python)\n(.*?)^```$|^<!-- by hand: (\w+) \"(.*?)\" (\w+) = (.*?) -->$", re.M | re.S
)
KINDS = {"stage": (Stage, Stage.title), "role": (Role, Role.name)}


@pytest.mark.timeout(300)
def test_the_tutorial_says_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    type_('init shop --admin-email ada@example.com --admin-name Ada --password "correct horse battery" --language en')
    told = 0
    for kind, block, *by_hand in STEP.findall(TEXT):
        if kind == "toml":
            path = tmp_path / block.partition("\n")[0].removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block, "utf-8")
        elif kind == "console":
            for command, expected in re.findall(r"^\$ rapport (.*)\n((?:[^$].*\n)*)", block, re.M):
                answer = type_(command)
                pattern = ".*".join(re.escape(part) for part in expected.split("…"))
                assert re.fullmatch(pattern, answer, re.S), f"rapport {command}\n{answer}\ninstead of\n{expected}"
                told += 1
        elif by_hand[0]:
            change(tmp_path / "shop", *by_hand)
    assert told == 11


def type_(command: str) -> str:
    done = CliRunner().invoke(cli, shlex.split(command), prog_name="rapport")
    assert done.exit_code == 0, f"rapport {command}\n{done.output}"
    return done.output


def change(home: Path, kind: str, name: str, field_: str, value: str) -> None:
    entity, column = KINDS[kind]
    site = Site.open(load_config(home))
    with site.write(system("Ada").through("web")) as unit:
        unit.update(unit.reader.all(entity, column == name)[0], {field_: tomllib.loads(f"v = {value}")["v"]})
    site.close()
