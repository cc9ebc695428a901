"""Whoever follows a document gets what it says: its files are saved, its commands typed, its Python run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .pages import ROOT, Desk, Page, commands, long_commands, pages, walk

PAGES = pages()
ELSEWHERE = {"building-an-edition.md": "tests/editions/test_tutorial.py"}
"""Pages that a test of their own follows."""


@pytest.mark.parametrize("page", [page for page in PAGES if page.walks and page.path.name not in ELSEWHERE], ids=str)
def test_following_a_page_leads_to_what_it_says(page: Page, tmp_path: Path):
    walk(page, Desk.at(tmp_path))


@pytest.mark.parametrize(
    ("page", "command"), [(page, command) for page in PAGES for command in long_commands(page)], ids=str
)
def test_what_a_page_has_made_passes_its_checks(page: Page, command: str, tmp_path: Path):
    """The tutorial's `pytest` is among them: its plugin keeps the contract on both databases."""
    walk(page, Desk.at(tmp_path), until=command)


def test_a_page_that_is_followed_elsewhere_is():
    assert all(page in (ROOT / test).read_text("utf-8") for page, test in ELSEWHERE.items())


@pytest.mark.parametrize("page", [page for page in PAGES if page.python], ids=str)
def test_the_python_of_a_page_runs(page: Page, tmp_path: Path):
    script = tmp_path / f"{page.path.stem}.py"
    script.write_text(page.python, "utf-8")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{page} (lines are those of the page):\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_links_of_a_page_lead_somewhere(page: Page):
    text = re.sub(r"```.*?```", "", page.path.read_text("utf-8"), flags=re.DOTALL)
    targets = [found[1].partition("#")[0] for found in re.finditer(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (page.path.parent / target).exists()] == []


def test_every_document_can_be_reached_from_the_readme():
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop().resolve()
        if page in seen or not page.exists():
            continue
        seen.add(page)
        text = page.read_text("utf-8")
        todo += [page.parent / found[1] for found in re.finditer(r"\]\(([^)\s#]+\.md)", text)]
    assert {page.path for page in PAGES if page.path.parent == ROOT / "docs"} - seen == set()


def test_a_document_is_read_as_it_is_written(tmp_path: Path):
    text = "```python a/b.py\nx = 1\n```\n\n<!-- python\ny = 2\n-->\n\n```python\nprint(y)\n```\n```text\nno\n```\n"
    (tmp_path / "page.md").write_text(text)
    page = Page(tmp_path / "page.md")
    assert [(block.kind, block.path, block.text) for block in page.blocks] == [
        ("python", "a/b.py", "x = 1\n"), ("python", "", "y = 2\n"), ("python", "", "print(y)\n"), ("text", "", "no\n"),
    ]  # fmt: skip
    assert page.python == "\n\n\n\n\ny = 2\n\n\n\nprint(y)\n"
    assert list(commands("$ a b \\\n  c\nyes\n…\n$ d\n")) == [("a b   c", ["yes", "…"]), ("d", [])]
