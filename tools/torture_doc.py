"""Write the table of docs/torture.md from the counts that the harnesses noted (tests/torture.py).

    make torture            tries everything at length, then writes the table

The text around the table is ours; what stands between the two markers is made.
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
    """Add up the notes of one line of the plan and one thing tried; words are kept, the last one counts."""
    found: dict[tuple[str, str], Counts] = {}
    for text in lines:
        note = json.loads(text)
        counts = found.setdefault((note.pop("line"), note.pop("what")), {})
        note.pop("test")
        for name, value in note.items():
            before = counts.get(name, 0)
            counts[name] = value if isinstance(value, str) or isinstance(before, str) else before + value
    return found


def table(found: dict[tuple[str, str], Counts]) -> str:
    """The Markdown table, in the order of the plan."""

    def place(key: tuple[str, str]) -> tuple[str, int, str]:
        return key[0][:1], int(key[0][1:]), key[1]

    rows = ["| line | tried on | tried | found | what its control caught |", "|---|---|---|---|---|"]
    for line, what in sorted(found, key=place):
        counts = dict(found[line, what])
        tried, control = counts.pop("tried", ""), counts.pop("control", "")
        rest = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items())
        rows.append(f"| {line} | {what} | {tried} | {rest} | {control} |")
    return "\n".join(rows)


def main(notes: Path) -> None:
    """Put the table of `notes` into the page."""
    made = table(read(notes.read_text("utf-8").splitlines()))
    text = PAGE.read_text("utf-8")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
