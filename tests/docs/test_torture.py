"""The table of what was tried: notes are added up, and a long form takes the place of the short ones of its thing."""

from __future__ import annotations

import json

from tools.torture_doc import read, table


def note(what: str, tried: int, **more: int | str) -> str:
    return json.dumps({"line": "D1", "what": what, "test": "t", "tried": tried, **more})


def test_what_was_tried_at_length_stands_instead_of_what_was_tried_shortly():
    notes = [note("a merge", 3, lost=0), note("a merge", 400, lost=0, long=True), note("a backup", 2, long=False)]
    shown = table(read([*notes, note("a merge", 500, lost=1, long=True), note("a backup", 5, control="seen")]))
    assert shown.splitlines()[2:] == [
        "| D1 | a backup | 7 |  |  | seen |",
        "| D1 | a merge | 900 | long | lost 1 |  |",
    ]
