"""Do the tests bite? Each defect of `mutants.py`, made in a copy of the sources, is found by the test beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.faults.mutants import MUTANTS, Mutant
from tests.torture import LONG, tally, tries

pytestmark = pytest.mark.timeout(tries(1200, long=7200))
ROOT = Path(__file__).parents[2]
CHOSEN = [each for each in MUTANTS if LONG or each.quick]


def copy_with(mutant: Mutant, folder: Path) -> None:
    """The package of the changed file, found before our own: links to its files, and one that is written anew."""
    file = ROOT / mutant.file
    package = next(each for each in file.parents if not (each.parent / "__init__.py").exists())
    for place, folders, names in os.walk(package):
        if "node_modules" in folders:
            folders.remove("node_modules")
        at = folder / Path(place).relative_to(package.parent)
        at.mkdir(parents=True)
        for name in names:
            (at / name).symlink_to(Path(place) / name)
    changed = folder / file.relative_to(package.parent)
    changed.unlink()
    changed.write_text(changed_text(mutant), "utf-8")


def changed_text(mutant: Mutant) -> str:
    """The file as the defect has it, which is Python like any other: a test must fail by what it sees."""
    text = (ROOT / mutant.file).read_text("utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.name}: {mutant.file} no longer has what this defect changes, once"
    made = text.replace(mutant.old, mutant.new)
    compile(made, mutant.file, "exec")
    return made


def run(tests: Iterable[str], sources: str, on: str = "sqlite") -> subprocess.CompletedProcess[str]:
    """The named tests on one database, in a process that finds these sources first and writes nothing beside ours."""
    other = "postgresql" if on == "sqlite" else "sqlite"
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "RAPPORT_T"))}
    with tempfile.TemporaryDirectory() as scratch:
        aside = {
            "PYTHONPATH": sources, "PYTHONDONTWRITEBYTECODE": "1", "RAPPORT_TALLY": f"{scratch}/tally",
            "HYPOTHESIS_STORAGE_DIRECTORY": scratch,
        }  # fmt: skip
        if "RAPPORT_TEST_POSTGRES" in os.environ:
            aside["RAPPORT_TEST_POSTGRES"] = os.environ["RAPPORT_TEST_POSTGRES"]
        words = ["-q", "-x", "-k", f"not {other}", "-p", "no:cacheprovider", "-o", "timeout=120", "--tb=short"]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *words, *dict.fromkeys(tests)],
            cwd=ROOT, env=ours | aside, capture_output=True, text=True, timeout=tries(900, long=7000), check=False,
        )  # fmt: skip


def killed(mutant: Mutant, folder: Path) -> bool:
    """Whether the test sees the defect: it fails, not the way to it."""
    copy_with(mutant, folder)
    done = run([mutant.test], str(folder), mutant.on)
    failed = re.search(r"^FAILED ", done.stdout, re.MULTILINE) is not None
    assert failed or done.returncode == 0, f"{mutant.name}: neither passed nor failed\n{done.stdout}{done.stderr}"
    return failed


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_a_defect_is_still_one_of_what_is_there(mutant: Mutant):
    """What it changes is in its file, and the test that is to find it is in its own."""
    assert changed_text(mutant) != (ROOT / mutant.file).read_text("utf-8")
    file, _, name = mutant.test.partition("::")
    assert f"\ndef {name}(" in (ROOT / file).read_text("utf-8"), f"{mutant.name}: no {mutant.test}"


@pytest.mark.parametrize("mutant", CHOSEN, ids=lambda each: each.name)
def test_a_defect_is_found(mutant: Mutant, tmp_path: Path):
    assert killed(mutant, tmp_path), f"{mutant.name}: {mutant.test} does not notice it"
    tally("D22", "defects made on purpose in the sources", tried=1, killed=1)


def test_without_a_defect_the_same_tests_pass(tmp_path: Path):
    """The control: a change that changes nothing is found by none of them."""
    nothing = Mutant("nothing", "core/rapport/records/unit.py", "MAX_DEPTH = 8\n", "MAX_DEPTH = 8  \n", "")
    copy_with(nothing, tmp_path)
    done = run([each.test for each in CHOSEN], str(tmp_path))
    assert done.returncode == 0, done.stdout
    tally("D22", "defects made on purpose in the sources", control="a change that changes nothing passes")


def test_there_are_enough_of_them():
    assert len(MUTANTS) >= 60
    assert len({each.name for each in MUTANTS}) == len(MUTANTS)
    assert len({each.file for each in MUTANTS}) > 20
    assert sum(each.quick for each in MUTANTS) == 7
