"""Every folder of plugins and verticals is a distribution, and what it needs is locked."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.subjects import ROOT, Member, members
from tools.lock import members as locked_members
from tools.lock import requirements


@pytest.mark.parametrize("member", members(), ids=str)
def test_a_folder_among_the_members_is_one(member: Member):
    """What its metadata must say is in the contract, which every member keeps."""
    assert member.project, f"{member} has no pyproject.toml"
    assert member.project["project"]["name"] == f"rapport-{member.name.replace('_', '-')}"


def test_everything_a_member_needs_is_in_the_lock():
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    pinned = {canonicalize_name(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
    wanted = {canonicalize_name(Requirement(text).name) for text in requirements(locked_members(), groups=["dev"])}
    assert wanted - pinned == set(), "run `make lock`"
