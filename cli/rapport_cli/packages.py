"""Installing and removing distributions in Rapport's own environment, by pip or uv, whichever is there."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rapport_cli.speak import Refusal


def install_distributions(specs: Sequence[str]) -> None:
    """Install, or nothing at all: what is wanted must fit what is here. Refusal when it does not."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    named = set()
    for spec in specs:
        try:
            named.add(canonicalize_name(Requirement(spec).name))
        except InvalidRequirement:  # a path, an address
            named.add(canonicalize_name(Path(spec).name.split("-", 1)[0]))
    with tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="rapport-keep-") as keep:
        # A plugin that wants another Rapport, or another version of a plugin here, is refused: neither is replaced.
        keep.write("".join(f"{name}=={version}\n" for name, version in _ours() if canonicalize_name(name) not in named))
        keep.flush()
        _run("install", "--constraint", keep.name, *specs)


def uninstall_distribution(name: str) -> None:
    """Remove one distribution, and nothing that it needed."""
    _run("uninstall", name)


def _ours() -> list[tuple[str, str]]:
    from importlib.metadata import version

    from rapport.plugins import HOST, discover

    return [(HOST, version(HOST)), *((info.distribution, info.version) for info in discover().values())]


def _run(verb: str, *words: str) -> None:
    command = [*_installer(verb), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a list, and no shell
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        said = [line for line in said if not line.lower().startswith(("warning", "[notice]"))]
        raise Refusal("\n".join(["Nothing was changed. What the installer says:", *said[-12:]]))


def _installer(verb: str) -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        agreed = ["--yes"] if verb == "uninstall" else []
        return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", verb, *agreed]
    uv = [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else [shutil.which("uv") or ""]
    if not uv[0]:
        raise Refusal("Neither pip nor uv is here. Make one available: python -m ensurepip")
    return [*uv, "pip", verb, "--quiet", "--python", sys.executable]
