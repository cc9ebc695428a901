"""The documents, as something to be run: their files, their commands, their Python.

In a page, a fenced block says by its first line what it is:

- ```` ```python visits/plugin.py ```` (or another language): a file, as the reader saves it;
- ```` ```console ````: what is typed after `$ `, and below it what is answered; `…` stands for anything;
- ```` ```python ````: a piece of Python. All pieces of a page run one after the other, in one process;
- anything else is for the eyes only.

What a piece needs, and would bore the reader, stands in a comment: `<!-- python`, lines, `-->`; or `<!-- console`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.subjects import ROOT, members
from tests.desk import Desk

BLOCK = re.compile(r"^(?:```(\w+)(?: (\S+))?\n(.*?)^```$|<!-- (python|console)\n(.*?)^-->$)", re.MULTILINE | re.DOTALL)
TYPED = ("rapport", "pytest", "mypy", "ruff", "python", "cd")
"""What is really typed. Other commands, such as `make`, are for the eyes only."""
LONG = ("pytest", "mypy")
"""What takes so long that each is a test of its own."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    kind: str
    path: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Page:
    """A document."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def blocks(self) -> list[Block]:
        """Its blocks, in order."""
        text = self.path.read_text("utf-8")
        return [
            Block(
                found[1] or found[4], found[2] or "", found[3] or found[5] or "", text.count("\n", 0, found.start()) + 2
            )
            for found in BLOCK.finditer(text)
        ]

    @property
    def walks(self) -> bool:
        """Whether the reader saves files or types commands."""
        return any(block.path or block.kind == "console" for block in self.blocks)

    @property
    def python(self) -> str:
        """All its pieces of Python as one program, each on the line where it stands in the page."""
        lines: list[str] = []
        for block in self.blocks:
            if block.kind == "python" and not block.path:
                lines += [""] * (block.line - 1 - len(lines))
                lines += block.text.splitlines()
        return "\n".join(lines) + "\n" if lines else ""


def pages() -> list[Page]:
    """Every document there is."""
    homes = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(path) for path in (*homes, *(m.folder / "README.md" for m in members())) if path.exists()]


def walk(page: Page, desk: Desk, until: str = "") -> None:
    """Do what the page says, in its order: save the files, type the commands, compare the answers.

    With `until`, only as far as that long command, and past what is asked of a site on the way.
    """
    at = Path()
    for block in page.blocks:
        where = f"{page}:{block.line}"
        if block.path:
            file = desk.folder / at / block.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, "utf-8")
            continue
        for typed, expected in commands(block.text) if block.kind == "console" else ():
            words = shlex.split(typed)
            if words[0] == "cd":
                at = at / words[1]
                assert (desk.folder / at).is_dir(), f"{where}: there is no directory {at}"
            elif typed == until or (words[0] in TYPED and words[0] not in LONG and not (until and "--home" in words)):
                _compare(where, typed, expected, desk.do(*words, at=at))
            if typed == until:
                return


def long_commands(page: Page) -> list[str]:
    """The commands of a page that take long."""
    typed = [typed for block in page.blocks if block.kind == "console" for typed, _ in commands(block.text)]
    return [each for each in typed if each.split()[0] in LONG]


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """What is typed in a console, each with the lines of its answer."""
    typed, answer = "", []
    for line in text.replace("\\\n", "").splitlines():
        if line.startswith("$ "):
            if typed:
                yield typed, answer
            typed, answer = line[2:], []
        else:
            answer.append(line)
    if typed:
        yield typed, answer


def _compare(where: str, typed: str, expected: list[str], said: str) -> None:
    """Whether the lines of the document are there, in this order; `…` stands for anything."""
    rest = said
    for line in expected:
        if not line.strip() or line.strip() == "…":
            continue
        pattern = ".*?".join(re.escape(part) for part in line.strip().split("…"))
        found = re.search(pattern, rest)
        assert found, f"{where}: `{typed}` does not answer {line!r} but:\n{said}"
        rest = rest[found.end() :]
