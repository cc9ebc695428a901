"""What a plugin promises that shows in its files: nothing of it runs here."""

from __future__ import annotations

import re
from collections.abc import Iterator

from importlib_metadata import packages_distributions
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from rapport.plugins import BRIDGE, GROUP, HOST
from rapport.testing.contract.check import Check, Finding
from rapport.testing.contract.plugin import Subject
from rapport.testing.gates import GATES, PAGE_GATES
from rapport.testing.sources import private, public_names, undeclared

Findings = Iterator[Finding]

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_SILENT = re.compile(
    r"\{#.*?#\}|<!--.*?-->|\{%\s*block\s[^%]*%\}[a-z0-9 -]*\{%\s*endblock\s*%\}"
    r"|\{%\s*trans\b.*?endtrans\s*%\}|\{%.*?%\}"
    r"|\{\{.*?\}\}|<(style|script|title)\b.*?</\1>|<[^<>]*>|&[#\w]+;",
    re.DOTALL,
)
"""What nobody reads of a template, and what is translated already."""


def it_says_what_it_is(plugin: Subject) -> Findings:
    """Administrators read the description; version and licence are what package tools need."""
    says = plugin.says
    try:
        Version(str(says.get("version", "")))
    except InvalidVersion:
        yield Finding("version", f"the version '{says.get('version', '')}' is none: write 0.1.0")
    if not str(says.get("description", "")).endswith("."):
        yield Finding("description", "the description is a sentence: it ends with a full stop")
    for key in ("requires-python", "license"):
        if not says.get(key):
            yield Finding(key, f"pyproject.toml does not say '{key}'")


def it_is_found_by_its_entry_point(plugin: Subject) -> Findings:
    """One word names plugin, distribution and package, so that nobody has to look one of them up."""
    points = plugin.says.get("entry-points", {}).get(GROUP, {})
    if list(points) != [plugin.name]:
        yield Finding("entry point", f"under {GROUP} stands {', '.join(points) or 'nothing'}, not '{plugin.name}'")
    if not NAME.fullmatch(plugin.name):
        yield Finding("name", f"'{plugin.name}' is not in small letters and underscores")
    if canonicalize_name(plugin.info.distribution) != canonicalize_name(f"rapport-{plugin.name}"):
        yield Finding("distribution", f"it is called {plugin.info.distribution}, not rapport-{plugin.name}")
    if plugin.package != f"rapport_{plugin.name}":
        yield Finding("package", f"its package is {plugin.package}, not rapport_{plugin.name}")


def it_says_which_rapport_it_needs(plugin: Subject) -> Findings:
    """With a lower bound, an old Rapport refuses it instead of failing somewhere inside."""
    host = [need for need in plugin.needs if canonicalize_name(need.name) == HOST]
    if not host:
        yield Finding(HOST, f"it does not depend on {HOST}")
    elif not any(each.operator in {">=", "~=", "==", ">"} for each in host[0].specifier):
        yield Finding(HOST, f"{HOST} has no lower bound: write {HOST}>=0.1")


def it_has_a_readme(plugin: Subject) -> Findings:
    """What it is for, and how one switches it on."""
    if plugin.project and not (plugin.home / "README.md").is_file():
        yield Finding("README.md", "there is no README.md beside pyproject.toml")


def it_has_tests(plugin: Subject) -> Findings:
    """Where the project is here, its stories are too."""
    if plugin.project and not list((plugin.home / "tests").glob("test_*.py")):
        yield Finding("tests", "there is no tests/test_*.py beside pyproject.toml")


def it_ships_its_types(plugin: Subject) -> Findings:
    """Whoever builds on it has their calls checked."""
    if not (plugin.home / plugin.package / "py.typed").is_file():
        yield Finding("py.typed", f"there is no {plugin.package}/py.typed, an empty file")


def it_imports_public_names_only(plugin: Subject) -> Findings:
    """What is not in `rapport.__all__` may change in any release."""
    for module in plugin.sources:
        yield from (Finding(module.path, said) for said in private([module], public_names()))


def it_imports_only_what_it_declares(plugin: Subject) -> Findings:
    """What happens to be installed here is missing elsewhere."""
    bridges = {module.path: other for other, module in plugin.bridges.items()}
    provided = packages_distributions()
    for module in plugin.sources:
        declared = [str(need) for need in plugin.needs]
        if module.path in bridges:
            declared += plugin.asked_by(bridges[module.path])
        strangers = undeclared([module], "rapport", declared, plugin.extras, provided=provided)
        yield from (Finding(module.path, said) for said in strangers)


def only_its_bridges_know_what_may_be_missing(plugin: Subject) -> Findings:
    """`with_sales` imports rapport_sales, an extra named sales asks for it, and the other modules do without both."""
    for other, module in plugin.bridges.items():
        wanted = f"rapport-{other}"
        if not any(canonicalize_name(Requirement(text).name) == canonicalize_name(wanted)
                   for text in plugin.asked_by(other)):  # fmt: skip
            yield Finding(module.path, f"{module.path} counts only with the extra that asks for it: write "
                                       f'{other} = ["{wanted}"] under [project.optional-dependencies]')  # fmt: skip
    for module in plugin.sources:
        for one in module.imports:
            inner = f"{one.module}.{one.name}"
            if any(name.startswith(f"{plugin.package}.{BRIDGE}") for name in (one.module, inner)):
                yield Finding(module.path, f"{module.path}:{one.line}: nobody imports a bridge. Move what both need "
                                           f"into a module of its own.")  # fmt: skip


def its_code_is_safe(plugin: Subject) -> Findings:
    """No assembled SQL, no trusted markup, no way out of the machine but Rapport's, no error passed over in silence."""
    for module in plugin.sources:
        for gate in GATES:
            yield from (Finding(fault.place, fault.said) for fault in gate.faults(module))


def its_pages_bring_no_style_and_no_script(plugin: Subject) -> Findings:
    """The content security policy would stop them; the design system and htmx do what they would."""
    for path, text in plugin.pages:
        for gate in PAGE_GATES:
            yield from (Finding(fault.place, fault.said) for fault in gate.faults(path, text))


def its_texts_can_be_translated(plugin: Subject) -> Findings:
    """Every word of a template goes through `_("…")`, whichever languages there are translations for."""
    for path, text in plugin.pages:
        if not path.endswith(".html"):
            continue
        seen = _SILENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
        for number, line in enumerate(seen.splitlines(), 1):
            if re.search(r"[^\W\d_]{2}", line):
                yield Finding(path, f"{path}:{number}: '{line.strip()[:40]}' is not translated: write {{{{ _('…') }}}}")


CHECKS = tuple(
    Check(function)
    for function in (
        it_says_what_it_is,
        it_is_found_by_its_entry_point,
        it_says_which_rapport_it_needs,
        it_has_a_readme,
        it_has_tests,
        it_ships_its_types,
        it_imports_public_names_only,
        it_imports_only_what_it_declares,
        only_its_bridges_know_what_may_be_missing,
        its_code_is_safe,
        its_pages_bring_no_style_and_no_script,
        its_texts_can_be_translated,
    )
)
