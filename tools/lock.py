"""Write down the exact versions everybody installs: requirements.lock, and requirements-node.lock for Node.

Run `make lock` after changing dependencies, and `make lock UPGRADE=1` to move everything to its newest version.
uv.lock would name the package registry it was made from; these files hold names, versions and hashes only, so they
install from whichever registry a machine is set to use.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = "3.11"
ADDRESS = re.compile(r"\b(?:https?|file|git\+\w+)://|^-", re.MULTILINE)


class CannotLock(Exception):
    """Says what stopped the lock and what to do about it."""


def members(root: Path = ROOT) -> list[Path]:
    """The pyproject.toml of every distribution of the workspace, the root's first."""
    return [
        root / "pyproject.toml",
        *sorted(root.glob("plugins/*/pyproject.toml")),
        *sorted(root.glob("verticals/*/pyproject.toml")),
    ]


def requirements(files: Sequence[Path], *, groups: Sequence[str] = ()) -> list[str]:
    """What the distributions ask of others, extras included; our own distributions come from the tree."""
    projects = [tomllib.loads(path.read_text("utf-8")) for path in files]
    ours = {project["project"]["name"].lower() for project in projects}
    wanted: set[str] = set()
    for project in projects:
        about = project["project"]
        wanted.update(about.get("dependencies", ()))
        for extra in about.get("optional-dependencies", {}).values():
            wanted.update(extra)
    for group in groups:
        wanted.update(projects[0]["dependency-groups"][group])
    return sorted(text for text in wanted if _name(text) not in ours)


def compile_lock(wanted: Sequence[str], lock: Path, *, upgrade: bool = False) -> None:
    """Resolve for every platform and every Python we support; pins in the lock stay unless `upgrade`."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "requirements.in"
        source.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        made = Path(scratch) / lock.name
        if lock.exists():
            made.write_bytes(lock.read_bytes())
        options = [
            "--universal",
            "--python-version",
            OLDEST_PYTHON,
            "--generate-hashes",
            "--no-annotate",
            "--no-header",
        ]
        quiet = ["--no-emit-index-url", "--no-emit-find-links", "--quiet", *(["--upgrade"] if upgrade else [])]
        command = [_uv(), "pip", "compile", str(source), "--output-file", str(made), *options, *quiet]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)  # noqa: S603 - our own
        if done.returncode != 0:
            raise CannotLock(
                f"{lock.name} was left as it is, because uv found no versions that fit:\n{done.stderr.strip()}"
            )
        text = made.read_text("utf-8")
    if found := ADDRESS.search(text):
        line = text[: found.start()].count("\n") + 1
        raise CannotLock(
            f"{lock.name} was left as it is: line {line} would name an address or an option of this machine."
        )
    lock.write_text(
        "# Made by `make lock`; do not edit.\n" + text.removeprefix("# Made by `make lock`; do not edit.\n"), "utf-8"
    )


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return found[0].lower() if found else requirement


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


def main() -> int:
    parser = argparse.ArgumentParser(description="Lock the versions of what we depend on.")
    parser.add_argument("--upgrade", action="store_true", help="move everything to its newest version")
    options = parser.parse_args()
    try:
        compile_lock(requirements(members(), groups=["dev"]), ROOT / "requirements.lock", upgrade=options.upgrade)
        node = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]["node"]
        compile_lock(node, ROOT / "requirements-node.lock", upgrade=options.upgrade)
    except CannotLock as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
