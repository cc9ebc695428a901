"""What the harnesses in tests/security and tests/faults share: how much to try, and where the counts go.

`make test` runs each in its short form, `make torture` in its long one. Each has a control beside it: a defect made on
purpose, which the harness must catch; a zero of one that catches nothing does not count.

    def test_no_reader_sees_anothers_canary(app, ...):
        for _ in range(tries(20, long=5_000)):
            ...
        tally("A3", "two worlds", tried=n, leaked=0)
"""

from __future__ import annotations

import json
import os
from pathlib import Path

LONG = os.environ.get("RAPPORT_TORTURE", "") not in {"", "0"}
"""Whether this is `make torture`."""

TALLY = Path(os.environ.get("RAPPORT_TALLY", Path(__file__).resolve().parents[1] / "artefacts" / "torture.jsonl"))
"""Where the counts go, a line of JSON each; `tools/torture_doc.py` makes the table in docs/torture.md of them."""


def tries(short: int, *, long: int) -> int:
    """How often to try: `short` in every run of the tests, `long` in `make torture`."""
    return long if LONG else short


def in_turn(number: int) -> tuple[str, ...]:
    """The databases to try the subject of this number on: every other subject on PostgreSQL, in the long form on both.

    For what takes seconds for each of many subjects and says nearly the same on both:

        RUNS = [(member, database) for number, member in enumerate(MEMBERS) for database in in_turn(number)]

        @pytest.mark.parametrize(("member", "database_url"), RUNS, indirect=["database_url"])
    """
    both = ("sqlite", "postgresql")
    return both if LONG else (both[number % 2],)


def is_turn(number: int, url: str) -> bool:
    """Whether the subject of this number is tried on the database at this URL: for going through them in one test."""
    return ("sqlite" if url.startswith("sqlite") else "postgresql") in in_turn(number)


def tally(line: str, what: str, **counts: int | float | str) -> None:
    """Note what was tried: `line` of the plan ("A1"), in words, and the counts (tried=, leaked=, lost=, control=).

    `control` says what the harness caught when a defect was made on purpose. Several notes of one line and one `what`
    are added up; those of a long form take the place of those of short ones.
    """
    TALLY.parent.mkdir(parents=True, exist_ok=True)
    test = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
    with TALLY.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"line": line, "what": what, "test": test, "long": LONG, **counts}) + "\n")
