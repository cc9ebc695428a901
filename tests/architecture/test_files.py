"""What the repository keeps: nothing of the machine it was written on, notes for users."""

from __future__ import annotations

import re
from pathlib import Path

from tests.architecture.subjects import ROOT, tracked

FRAGMENT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.(feature|fix|migration|removal|misc)\.md")
# Written in two parts, so that this file does not find itself.
HOSTS = ["pypi" + ".org", "pypi" + ".python.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com",
         "yarn" + "pkg.com", "npm" + "mirror.com", "crates" + ".io", "conda" + ".anaconda.org"]  # fmt: skip
PLACES = [
    "/" + "work/",
    "/" + "root/",
    "/opt" + "/pypi",
    "/opt" + "/wheels",
    "/Us" + "ers/",
    "shared/" + ".library",
    "file:" + "//",
]


def _texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data[:4096]:
            found.append((path, data.decode("utf-8", "replace")))
    return found


def test_no_file_names_a_registry_or_a_place_on_somebodys_machine():
    marks = re.compile("|".join([*map(re.escape, HOSTS), *(rf"(?<![\w.}}$-]){re.escape(place)}" for place in PLACES)]))
    faults = [
        f"{path.relative_to(ROOT).as_posix()}:{text.count(chr(10), 0, found.start()) + 1}: {found[0]}"
        for path, text in _texts()
        if (found := marks.search(text))
    ]
    assert faults == []


def test_notes_for_users_are_named_after_what_they_tell():
    notes = [path for path in (ROOT / "changes").glob("*") if path.name not in {"README.md", ".gitkeep"}]
    assert [note.name for note in notes if not FRAGMENT.fullmatch(note.name)] == []
    assert [note.name for note in notes if not note.read_text("utf-8").strip()] == []


def test_names_of_notes_are_checked_for_their_kind():
    assert FRAGMENT.fullmatch("merge-keeps-tags.fix.md")
    assert not FRAGMENT.fullmatch("Merge_keeps.md")
    assert not FRAGMENT.fullmatch("merge.bugfix.md")
