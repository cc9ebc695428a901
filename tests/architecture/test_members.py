"""Every plugin and vertical on disk is a whole distribution, and what it needs is locked."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.subjects import ROOT, Member, members
from tools.lock import members as locked_members
from tools.lock import requirements


@pytest.mark.parametrize("member", members(), ids=str)
def test_a_member_is_a_whole_distribution(member: Member):
    assert member.project, f"{member} has no pyproject.toml"
    project = member.project["project"]
    assert project["name"] == f"rapport-{member.name.replace('_', '-')}"
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert project["description"].endswith("."), "the description is a sentence; administrators read it"
    assert project["requires-python"] == ">=3.11"
    assert project["license"]
    assert (member.folder / "README.md").exists()
    assert list((member.folder / "tests").glob("test_*.py")), f"{member} has no tests"
    assert (member.folder / member.package / "__init__.py").exists()
    assert (member.folder / member.package / "py.typed").exists()


@pytest.mark.parametrize("member", members(), ids=str)
def test_a_member_is_found_by_its_entry_point(member: Member):
    points = member.project["project"]["entry-points"]["rapport.plugins"]
    assert list(points) == [member.name]
    assert points[member.name].split(".")[0] == member.package
    module = points[member.name].replace(".", "/")
    assert (member.folder / f"{module}.py").exists() or (member.folder / module / "__init__.py").exists()


@pytest.mark.parametrize("member", members(), ids=str)
def test_a_member_says_which_rapport_it_needs(member: Member):
    needs = [Requirement(text) for text in member.project["project"]["dependencies"]]
    core = [need for need in needs if need.name == "rapport-crm"]
    assert core, f"{member} does not depend on rapport-crm"
    assert any(each.operator in {">=", "~=", "=="} for each in core[0].specifier), "rapport-crm needs a lower bound"


def test_everything_a_member_needs_is_in_the_lock():
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    pinned = {canonicalize_name(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
    wanted = {canonicalize_name(Requirement(text).name) for text in requirements(locked_members(), groups=["dev"])}
    assert wanted - pinned == set(), "run `make lock`"
