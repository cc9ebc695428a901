"""Beginnings: a package whose tests, types and style are well before anybody has written a line."""

from __future__ import annotations

import keyword
import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from string import Template

import click

from rapport_cli.place import known_plugins
from rapport_cli.speak import Refusal, good, say

SKELETONS = Path(__file__).parent / "skeletons"
NAME = re.compile(r"(?=.{2,30}$)[a-z][a-z0-9]*(_[a-z0-9]+)*")
TOOLS = """
[tool.ruff]
line-length = 120
extend-exclude = ["$package/migrations"]  # written by `rapport db revision`

[tool.ruff.lint]
select = ["E", "F", "W", "I", "UP", "B"]

[tool.ruff.lint.isort]
known-first-party = ["rapport"]

[tool.mypy]
strict = true
files = ["$package", "tests"]

[tool.pytest.ini_options]
testpaths = ["tests"]
addopts = "--strict-markers --import-mode=importlib"
"""
"""What a project of its own sets for its tools. A member of Rapport's repository is read with the settings there."""


@click.group()
def new() -> None:
    """Begin a plugin or a vertical of your own."""


@new.command()
@click.argument("name")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="The new package's directory.")
@click.option("--noun", help="What it keeps records of. Otherwise the singular of NAME: visit, for visits.")
def plugin(name: str, to: Path | None, noun: str | None) -> None:
    """Write a plugin NAME that runs: an entity, a panel, a template, tests.

    In a checkout of Rapport it goes to plugins/NAME, elsewhere to ./rapport-NAME.
    """
    words = words_for(name, noun)
    root = checkout(Path())
    folder = to or (root / "plugins" / name if root else Path(words["distribution"]))
    member = root is not None and folder.resolve().parent == root / "plugins"
    write_package("plugin", folder, {**words, "tools": "" if member else Template(TOOLS).substitute(words)})
    good(f"Written: {folder}")
    say("What next:")
    if member:
        say("  make setup                        install it beside the others")
        say(f"  .venv/bin/pytest plugins/{name}")
    else:
        say(f"  cd {shlex.quote(str(folder))}")
        say("  python -m pip install --no-deps --no-build-isolation --editable .")
        say("  pytest")
    say(f"  rapport plugins enable {name}       in a site of yours")


@new.command()
@click.argument("name")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="The new package's directory.")
def vertical(name: str, to: Path | None) -> None:
    """Write a vertical NAME: an edition with a role, a field, a pipeline, words and sample data, and its test.

    In a checkout of Rapport it goes to verticals/NAME, elsewhere to ./rapport-NAME.
    """
    words = words_for(name)
    root = checkout(Path())
    folder = to or (root / "verticals" / name if root else Path(words["distribution"]))
    member = root is not None and folder.resolve().parent == root / "verticals"
    write_package("vertical", folder, {**words, "tools": "" if member else Template(TOOLS).substitute(words)})
    good(f"Written: {folder}")
    say("What next:")
    if member:
        say("  make setup                          install it beside the others")
        say(f"  .venv/bin/pytest verticals/{name}")
    else:
        say(f"  cd {shlex.quote(str(folder))}")
        say("  python -m pip install --no-deps --no-build-isolation --editable .")
        say("  pytest")
    say(f"  rapport edition diff {name}       in a site of yours")


def words_for(name: str, noun: str | None = None) -> dict[str, str]:
    """The words a skeleton is filled with, for a plugin of this name. Refusal when it cannot have the name."""
    from rapport.builtin import BUILTIN
    from rapport_cli import COMMANDS

    if not NAME.fullmatch(name):
        raise Refusal(f"'{name}' cannot name a plugin. Write 2 to 30 small letters: visits, or site_visits.")
    if name in BUILTIN or name in COMMANDS:
        raise Refusal(f"'{name}' is a word of Rapport's own. Take another.")
    if name in known_plugins():
        raise Refusal(f"There is a plugin '{name}' already. Take another name, or: pip uninstall rapport-{name}")
    noun = noun or (name[:-1] if name.endswith("s") and not name.endswith("ss") else "item")
    if not NAME.fullmatch(noun) or keyword.iskeyword(noun):
        raise Refusal(f"'{noun}' cannot name a kind of record. Write it in small letters: --noun visit")
    title = noun.replace("_", " ").capitalize()
    return {
        "name": name,
        "Name": name.replace("_", " ").capitalize(),
        "distribution": f"rapport-{name.replace('_', '-')}",
        "package": f"rapport_{name}",
        "noun": noun,
        "Class": "".join(part.capitalize() for part in noun.split("_")),
        "Noun": title,
        "Nouns": f"{title}s",
        "nouns": f"{title.lower()}s",
    }


def checkout(start: Path) -> Path | None:
    """The root of Rapport's own repository around a directory; None elsewhere."""
    for folder in (start.resolve(), *start.resolve().parents):
        file = folder / "pyproject.toml"
        if file.is_file() and tomllib.loads(file.read_text("utf-8")).get("project", {}).get("name") == "rapport-crm":
            return folder
    return None


def write_package(skeleton: str, folder: Path, words: Mapping[str, str]) -> list[Path]:
    """Write a skeleton's files into a new directory and return their paths.

    A skeleton is a folder beside this module. In its files `$name` stands for a word, in their paths `NAME` for the
    plugin's name; the ending `.in` is left off. Refusal when there is something in the directory already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise Refusal(f"There is something in {folder} already. Name another directory: --to DIR")
    source = SKELETONS / skeleton
    written = []
    for path in sorted(source.rglob("*.in")):
        target = folder / path.relative_to(source).as_posix().removesuffix(".in").replace("NAME", words["name"])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(path.read_text("utf-8")).substitute(words), "utf-8")
        written.append(target)
    return written
