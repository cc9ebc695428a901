"""Every plugin and vertical on disk keeps the contract; exemptions stand in its pyproject.toml.

They take turns: each second one runs on PostgreSQL, and `make torture` has all of them on both databases.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rapport.testing import contract
from tests.architecture.subjects import Member, members
from tests.torture import in_turn

RUNS = [(member, database) for number, member in enumerate(members()) for database in in_turn(number)]


@pytest.mark.parametrize("member", members(), ids=str)
def test_a_member_keeps_the_contract_in_its_files(member: Member) -> None:
    assert _broken(contract.read(contract.subject(member.name))) == []


@pytest.mark.parametrize(("member", "database_url"), RUNS, indirect=["database_url"], ids=str)
def test_a_member_keeps_the_contract_when_it_runs(member: Member, database_url: str, tmp_path: Path) -> None:
    assert _broken(contract.run(contract.subject(member.name), database_url, tmp_path)) == []


def _broken(results) -> list[str]:
    return [f"{result.check.name}: {finding.said}" for result in results for finding in result.findings]
