"""Every edition on disk keeps what editions promise, on the databases in turn; and the promises bite."""

from __future__ import annotations

from pathlib import Path

import pytest

from rapport.testing.edition import broken
from tests.architecture.subjects import Member, members
from tests.torture import in_turn

EDITIONS = [member for member in members() if (member.folder / member.package / "edition" / "edition.toml").exists()]


@pytest.mark.parametrize(
    ("member", "database_url"),
    [(member, database) for number, member in enumerate(EDITIONS, 1) for database in in_turn(number)],
    indirect=["database_url"],
    ids=str,
)
def test_an_edition_keeps_its_promises(member: Member, database_url: str, tmp_path: Path) -> None:
    assert broken(member.name, database_url, tmp_path) == []


def test_the_promises_bite(tmp_path: Path) -> None:
    folder = tmp_path / "careless"
    (folder / "sample_data").mkdir(parents=True)
    (folder / "edition.toml").write_text('name = "careless"\nversion = "1.0.0"\n', "utf-8")
    (folder / "all.toml").write_text(
        '[[role]]\nname = "buyers"\n[role.grants]\n"customer.reed" = "all"\n'
        '[[view]]\nname = "All"\nentity = "customer"\nfilter = "nonsense ="\ncolumns = ["nmae"]\nshared = true\n'
        '[layout.customer]\nlist = ["name", "fone"]\n', "utf-8",
    )  # fmt: skip
    told = broken(str(folder), f"sqlite:///{tmp_path / 'careless.db'}", tmp_path)
    assert told[:2] == [
        "the role buyers is granted 'customer.reed', which is no permission here.",
        "the view All has a column 'nmae' nobody has.",
    ]
    assert told[2].startswith("the filter of the view All cannot be read: ")
    assert told[3:] == ["the layout of customer names a field 'fone' nobody has."]
