"""A developer's desk: a directory with an environment of its own, in which packages are installed as people do it."""

from __future__ import annotations

import os
import site
import subprocess
import venv
from dataclasses import dataclass, field
from pathlib import Path

from rapport.testing.databases import SHARED
from tests.architecture.subjects import ROOT, members


@dataclass(frozen=True, slots=True)
class Desk:
    """Type commands as a plugin's author does. Nothing that is installed here is seen by other tests."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, folder: Path, **variables: str) -> Desk:
        """Set up a desk. What is installed for Rapport is there, and no registry can be asked."""
        venv.create(folder / ".venv", with_pip=False)
        packages = next((folder / ".venv").glob("lib/python3*/site-packages"))
        ours = [ROOT / "core", ROOT / "cli", *(member.folder for member in members())]
        homes = [*site.getsitepackages(), *map(str, ours)]
        (packages / "here.pth").write_text("\n".join(homes), "utf-8")
        return cls(folder, variables)

    def run(self, *words: str, at: str | Path = ".") -> subprocess.CompletedProcess[str]:
        """Type one command. Its answer, with what it said on standard error after what it said on standard output."""
        command, *rest = words
        modules = {"rapport": "rapport_cli"}
        typed = [self._python, "-m", modules.get(command, command), *rest] if command != "python" else [
            self._python, *rest,
        ]  # fmt: skip
        kept = {name: value for name, value in os.environ.items() if name not in {"RAPPORT_HOME", "PYTHONPATH"}}
        environment = {
            **kept, "PYTHONDONTWRITEBYTECODE": "1", "PIP_NO_INDEX": "1",
            "MYPY_CACHE_DIR": f"{os.environ[SHARED]}/mypy",  # what it knows of Rapport, it knows at every desk
            **self.variables,
        }  # fmt: skip
        return subprocess.run(
            typed, cwd=self.folder / at, env=environment, capture_output=True, text=True, check=False, timeout=600
        )

    def do(self, *words: str, at: str | Path = ".") -> str:
        """Type one command that must succeed; what it said."""
        done = self.run(*words, at=at)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def install(self, folder: str | Path) -> None:
        """Install a package from its directory, editable, without asking a registry."""
        offline = ("--quiet", "--no-deps", "--no-build-isolation")
        self.do("pip", "install", *offline, "--editable", str(self.folder / folder))

    @property
    def _python(self) -> str:
        return str(self.folder / ".venv" / "bin" / "python")
