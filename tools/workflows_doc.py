"""Write the reference in docs/workflows.md from the grammar itself.

Run `python tools/workflows_doc.py` after changing core/rapport/workflows/reading.py. `--check` changes nothing, and
fails when the page is not what the grammar says.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rapport.workflows.reading import grammar_tables

PAGE = Path(__file__).resolve().parent.parent / "docs" / "workflows.md"
BEGIN, END = "<!-- grammar -->\n", "<!-- /grammar -->\n"


def page(text: str) -> str:
    """The page with the tables as they are now."""
    before, _begin, rest = text.partition(BEGIN)
    _tables, _end, after = rest.partition(END)
    return f"{before}{BEGIN}\n{grammar_tables()}\n{END}{after}"


def main() -> int:
    """Write the page, or say whether it is as it should be."""
    now = PAGE.read_text("utf-8")
    wanted = page(now)
    if "--check" in sys.argv[1:]:
        return int(now != wanted)
    PAGE.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
