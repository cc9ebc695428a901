"""Write docs/hooks.md from the hooks themselves, with an example and the real users of each.

Run `python tools/hooks_doc.py` after changing core/rapport/hookspecs.py or docs/every_hook.py, or using a hook.
`--check` changes nothing, and fails when the page is not what they say.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "hooks.md"
SPECS = ROOT / "core" / "rapport" / "hookspecs.py"
EXAMPLES = ROOT / "docs" / "every_hook.py"
HOMES = ("core/rapport/builtin", "plugins", "verticals")

INTRODUCTION = """# The hooks

A hook is a function with a name that Rapport knows. Write it in your plugin's `plugin.py`, mark it with `@hookimpl`,
and Rapport calls it. This page is made from the hooks themselves: `python tools/hooks_doc.py`.

An implementation takes any subset of the arguments, by name. Plugins are asked in the order of their dependencies, then
by name. Hooks never commit, and where there are many records they are asked for all of them at once.

Each hook has a kind, and the kind tells what it may do:

| kind | runs | when it fails | gives back |
|---|---|---|---|
| register | at the start, once | the plugin is quarantined, with those that need it | a list of things |
| prepare | in the transaction, before validation | the operation is refused | nothing |
| ask | in the transaction | the operation is refused: who fails has not agreed | a list of problems |
| choose | in the transaction | it is logged, and the next plugin is asked | the first answer, or None |
| tell | after the commit, in its own transaction | it is logged and tried again; others still hear | nothing |
| show | while a page is made | that piece is left out | a list of pieces |

Whatever a plugin raises stays its own: a plugin that keeps failing is taken out, and the administrator is told.
`RAPPORT_TRACE_HOOKS=1` prints each call with its time. To react to something of another plugin, ask that plugin for a
hook of its own, or use its public functions: nobody's classes are patched.

The examples are one plugin about visits, [every_hook.py](every_hook.py), which the tests run.
"""


def page() -> str:
    """The whole document."""
    used, examples = users(), examples_by_hook()
    parts = [INTRODUCTION]
    for title, functions in sections():
        parts.append(f"## {title}\n")
        parts += [entry(function, examples, used) for function in functions]
    return "\n".join(parts)


def sections() -> Iterator[tuple[str, list[ast.FunctionDef]]]:
    """The hooks by the headings between them, in the order of the file."""
    text = SPECS.read_text("utf-8")
    lines = [
        (text.count("\n", 0, found.start()) + 1, found[1]) for found in re.finditer(r"^# (.+?) -{20,}$", text, re.M)
    ]
    hooks = [
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and any("hook(" in ast.unparse(mark) for mark in node.decorator_list)
    ]
    for (start, title), (end, _) in zip(lines, [*lines[1:], (10**9, "")], strict=True):
        yield title, [hook for hook in hooks if start < hook.lineno < end]


def entry(function: ast.FunctionDef, examples: Mapping[str, str], used: Mapping[str, list[Path]]) -> str:
    """A hook: what it is for, its facts, its arguments, an example, and who uses it."""
    said = inspect.cleandoc(ast.get_docstring(function) or "")
    text, _, facts = said.rpartition("\n\n")
    rows = [f"| {name} | {value} |" for name, value in re.findall(r"\*([\w ]+)\* ([^*]+?)\.?(?=\s*\*|\s*$)", facts)]
    arguments = [f"`{each.arg}: {ast.unparse(each.annotation)}`" for each in function.args.args if each.annotation]
    rows.append(f"| Arguments | {', '.join(arguments) or 'none'} |")
    rows.append(f"| Gives back | `{ast.unparse(function.returns) if function.returns else 'None'}` |")
    links = [f"[{path.relative_to(ROOT)}](../{path.relative_to(ROOT)})" for path in used.get(function.name, ())]
    rows.append(f"| Used by | {', '.join(links) or 'nobody yet'} |")
    example = examples.get(function.name, "")
    table = "\n".join(["| | |", "|---|---|", *rows])
    # Marked as `py`: all examples run together, as the plugin they are taken from.
    return f"### {function.name}\n\n{text}\n\n{table}\n\n```py\n{example}\n```\n"


def examples_by_hook() -> dict[str, str]:
    """From every_hook.py, each hook with the functions that stand below it and serve it."""
    text = EXAMPLES.read_text("utf-8")
    body = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    hooks = [node for node in body if is_hook(node)]
    found = {}
    for hook in hooks:
        named = {node.id for node in ast.walk(hook) if isinstance(node, ast.Name)}
        helpers = [node for node in body if node.name in named and not is_hook(node)]
        found[hook.name] = "\n\n\n".join(source_of(node, text) for node in (hook, *helpers))
    return found


def source_of(node: ast.FunctionDef, text: str) -> str:
    """A function as it is written, with its decorators."""
    first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def users() -> dict[str, list[Path]]:
    """Where each hook is implemented in earnest: in core's own plugins, in plugins and verticals, not in tests."""
    found: dict[str, list[Path]] = {}
    for home in HOMES:
        for path in sorted((ROOT / home).rglob("*.py")):
            if {"tests", "node_modules"} & set(path.parts):
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.FunctionDef) and is_hook(node):
                    found.setdefault(node.name, []).append(path)
    return found


def is_hook(node: ast.FunctionDef) -> bool:
    """Whether a function is marked as an implementation."""
    return any(ast.unparse(mark).partition("(")[0] == "hookimpl" for mark in node.decorator_list)


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; end with 1 when something would change")
    made = page()
    if parser.parse_args().check:
        if PAGE.exists() and PAGE.read_text("utf-8") == made:
            return 0
        sys.stderr.write("docs/hooks.md is not what the hooks say. Run: python tools/hooks_doc.py\n")
        return 1
    PAGE.write_text(made, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
