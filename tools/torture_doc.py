"""Write the table of docs/torture.md from the counts that the harnesses noted (tests/torture.py).

    make torture                                             tries everything at length, then writes the table
    python tools/torture_doc.py short.jsonl long.jsonl ...   the same of counts that were kept

Where a thing was tried in its long form, the table shows that, says so, and leaves its short forms out. The text
around the table is ours; what stands between the two markers is made.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "torture.md"
BEGIN, END = "<!-- made by tools/torture_doc.py -->", "<!-- end of what is made -->"

Counts = dict[str, int | float | str]


def read(lines: list[str]) -> dict[tuple[str, str], Counts]:
    """Add up the notes of one line of the plan and one thing tried; words are kept, the last one counts.

    A thing that was tried at length has its long notes only, and `long` among its counts.
    """
    notes = [json.loads(text) for text in lines]
    at_length = {(note["line"], note["what"]) for note in notes if note.get("long")}
    found: dict[tuple[str, str], Counts] = {}
    for note in notes:
        long, key = note.pop("long", False), (note.pop("line"), note.pop("what"))
        if key in at_length and not long:
            continue
        counts = found.setdefault(key, {"long": "long"} if long else {})
        note.pop("test")
        for name, value in note.items():
            before = counts.get(name, 0)
            counts[name] = value if isinstance(value, str) or isinstance(before, str) else before + value
    return found


def table(found: dict[tuple[str, str], Counts]) -> str:
    """The Markdown table, in the order of the plan."""

    def place(key: tuple[str, str]) -> tuple[str, int, str]:
        return key[0][:1], int(key[0][1:]), key[1]

    rows = ["| line | tried on | tried | form | found | what its control caught |", "|---|---|---|---|---|---|"]
    for line, what in sorted(found, key=place):
        counts = dict(found[line, what])
        tried, form, control = (counts.pop(name, "") for name in ("tried", "long", "control"))
        rest = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items())
        rows.append(f"| {line} | {what} | {tried} | {form} | {rest} | {control} |")
    return "\n".join(rows)


def main(notes: list[Path]) -> None:
    """Put the table of all `notes` into the page."""
    made = table(read([line for each in notes for line in each.read_text("utf-8").splitlines()]))
    text = PAGE.read_text("utf-8")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main([Path(each) for each in sys.argv[1:]])
