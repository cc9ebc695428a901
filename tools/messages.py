"""Collect every text that people read and keep the files of the translators (`translations/<language>.po`) up to date.

Run `python tools/messages.py` after changing texts: it finds the core, every plugin and every vertical by itself, keeps
what is translated, and drops what is no longer said. `--check` changes nothing and fails when a text lacks its
translation or a translation lost a placeholder.

Collected are `_("…")` and its relatives in Python and templates, `Problem(field, "…")`, and the words of definitions:
labels, titles, plurals, helps, sections and choices, those included that Rapport derives from a field's name; also
the words of editions, and what a package calls itself.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "core"))

from rapport import contributions  # noqa: E402 - found through the line above
from rapport.entities.fields import Choice, Field  # noqa: E402
from rapport.i18n.catalogs import LANGUAGES  # noqa: E402

TRANSLATED = [language for language in LANGUAGES if language != "en"]
KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None, "gettext": None, "N_": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}  # fmt: skip
# The names under which definitions say what people read.
WORDS = ("label", "title", "plural", "help", "section")
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?[sdrif]")

Key = tuple[str, str | None]
Said = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Package:
    """One place with texts of its own: the core, a plugin or a vertical."""

    name: str
    folder: Path

    def catalog_file(self, lang: str) -> Path:
        """Where its translations into a language are kept."""
        return self.folder / "translations" / f"{lang}.po"


def packages(root: Path = ROOT) -> list[Package]:
    """The core first, then every plugin and vertical on disk."""
    found = sorted(
        folder.parent for kind in ("plugins", "verticals") for folder in root.glob(f"{kind}/*/rapport_*/__init__.py")
    )
    return [Package("rapport", root / "core" / "rapport"), *(Package(folder.name, folder) for folder in found)]


# Collecting ----------------------------------------------------------------------------------------------------------


def messages_of(package: Package) -> dict[Key, Said]:
    """Every text of a package with its context, and its plural where it has one."""
    said: dict[Key, Said] = {(text, None): text for text in _own_words(package)}
    for file in sorted(package.folder.rglob("*")):
        found: Iterable[tuple[Key, Said]] = ()
        if file.suffix == ".py":
            found = [*_called(file, "python"), *(((word, None), word) for word in words_of(file))]
        elif file.suffix in {".html", ".txt"} and "templates" in file.parts:
            found = _called(file, babel_extract)
        elif file.suffix == ".toml" and (file.parent / "edition.toml").exists():
            found = [((word, None), word) for word in _words_of_edition(tomllib.loads(file.read_text("utf-8")))]
        for key, message in found:
            if key[0].strip() and not isinstance(said.get(key), tuple):
                said[key] = message
    return said


def _own_words(package: Package) -> Iterator[str]:
    """What menus and settings call a plugin, and what the list of modules says about it."""
    about = package.folder.parent / "pyproject.toml"
    if package.name.startswith("rapport_"):
        yield _capital(package.name.removeprefix("rapport_"))
        if about.exists() and (summary := tomllib.loads(about.read_text("utf-8"))["project"].get("description")):
            yield summary


def _words_of_edition(table: Mapping[str, Any], kind: str = "") -> Iterator[str]:
    """What an edition calls things. Names are shown of pipelines and views; of others they are for programs."""
    for name, value in table.items():
        if isinstance(value, str) and (
            name in (*WORDS, "summary") or (name == "name" and kind in {"pipeline", "view"})
        ):
            yield value
        elif name == "choices":
            yield from value
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict) and name not in {"term", "setting"}:
                yield from _words_of_edition(each, name)


def _called(file: Path, method: str | Callable[..., Any]) -> Iterator[tuple[Key, Said]]:
    """What `_()` and its relatives are called with."""
    options = {"silent": "false", "trimmed": "true", "newstyle_gettext": "true", "encoding": "utf-8"}
    source = file.read_bytes()
    if method == "python" and b"_(" not in source and b"gettext(" not in source:
        return  # most files say nothing, and reading them costs time
    with io.BytesIO(source) as stream:
        for _line, message, _comments, context in extract(method, stream, KEYWORDS, options=options):
            if isinstance(message, str):
                yield (message, context), message
            else:
                yield (message[0], context), tuple(message)


def words_of(file: Path) -> Iterator[str]:
    """The words of the definitions in a Python file, as Rapport will show them."""
    tree = ast.parse(file.read_text("utf-8"), str(file))
    constants = {
        target.id: node.value
        for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target]) if isinstance(target, ast.Name)
    }  # fmt: skip
    spoken = set(_names_of_gettext(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in spoken and node.args:
            yield _text(node.args[0]) or ""
        if isinstance(node, ast.ClassDef):
            yield from _words_of_class(node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Call):
            yield from _derived_label(node.target.id, node.value)
        if isinstance(node, ast.Call):
            yield from _words_of_call(node, constants)


def _names_of_gettext(tree: ast.Module) -> Iterator[str]:
    """`text` after `text = g.texts.gettext`, also among others: `text, url = g.texts.gettext, "/"`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names, values = (getattr(side, "elts", [side]) for side in (target, node.value))
                for name, value in zip(names, values, strict=False):
                    if isinstance(name, ast.Name) and isinstance(value, ast.Attribute) and value.attr == "gettext":
                        yield name.id


def _words_of_class(node: ast.ClassDef) -> Iterator[str]:
    given = {keyword.arg: _text(keyword.value) for keyword in node.keywords if keyword.arg}
    if "name" in given and any(_name(base) == "Entity" for base in node.bases):
        title = given.get("title") or node.name
        yield title
        yield given.get("plural") or f"{title}s"


def _derived_label(name: str, call: ast.Call) -> Iterator[str]:
    """`field()` and `ref()` without a label take it from the field's or the other entity's name."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    secret = isinstance(given.get("secret"), ast.Constant)
    if "label" in given or secret:
        return
    if _name(call.func) == "field":
        yield _capital(name.removesuffix("_id"))
    elif _name(call.func) == "ref" and call.args and (target := _text(call.args[0])):
        yield _capital(target.rpartition(".")[2])


def _words_of_call(node: ast.Call, constants: Mapping[str, ast.expr]) -> Iterator[str]:
    function = _name(node.func)
    if _is_command_line(node.func) or function in KEYWORDS:
        return
    positions = {position: argument for argument, position in _positions().get(function, {}).items()}
    arguments = [(positions.get(index), value) for index, value in enumerate(node.args)]
    for name, value in (*arguments, *((keyword.arg, keyword.value) for keyword in node.keywords)):
        named = constants.get(value.id, value) if isinstance(value, ast.Name) else value
        if name in WORDS and (text := _text(named)):
            yield text
        elif name == "choices" and function in {"field", "Setting", "Field"}:
            for choice in named.elts if isinstance(named, ast.List | ast.Tuple) else ():
                if text := _text(choice):
                    yield _capital(text)
    if function == "Problem" and len(node.args) > 1 and (text := _text(node.args[1])):
        yield text


def _positions() -> dict[str, dict[str, int]]:
    """For each of the frozen things plugins return: at which place its words stand."""
    made = {
        name: thing for name, thing in vars(contributions).items() if isinstance(thing, type) and is_dataclass(thing)
    }
    return {
        name: {part.name: place for place, part in enumerate(fields(thing)) if part.name in WORDS}
        for name, thing in {**made, "Choice": Choice, "Field": Field}.items()
    }


def _is_command_line(function: ast.expr) -> bool:
    """Options of commands: the command line speaks English."""
    return isinstance(function, ast.Attribute) and _name(function) in {
        "option",
        "argument",
        "command",
        "group",
        "add_argument",
    }


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _capital(name: str) -> str:
    return name.replace("_", " ").capitalize()


# Keeping -------------------------------------------------------------------------------------------------------------


def wanted(root: Path = ROOT) -> dict[Package, dict[Key, Said]]:
    """What each package must have translated: its own texts, without those the core says already."""
    core, *others = packages(root)
    own = {core: messages_of(core)}
    for package in others:
        own[package] = {key: said for key, said in messages_of(package).items() if key not in own[core]}
    return own


def kept(file: Path) -> dict[Key, Message]:
    """The translations there are."""
    if not file.exists():
        return {}
    with file.open("rb") as stream:
        return {_key(message): message for message in read_po(stream) if message.id}


def _key(message: Message) -> Key:
    return str(message.id[0] if isinstance(message.id, list | tuple) else message.id), message.context


def _forms(message: Message | None) -> tuple[str, ...]:
    if message is None:
        return ()
    return tuple(message.string) if isinstance(message.string, list | tuple) else (str(message.string or ""),)


def updated(lang: str, own: Mapping[Key, Said], known: Mapping[Key, Message]) -> bytes:
    """A .po file: sorted, without line numbers and dates, so that only a changed text changes it."""
    catalog = Catalog(locale=LANGUAGES[lang].locale)
    # Rapport's own count of plural forms: Babel's differs for Persian, and would lose one of the two.
    catalog.mime_headers = [("Plural-Forms", LANGUAGES[lang].plural_forms)]
    for (_first, context), said in own.items():
        forms = _forms(known.get((_first, context)))
        plural = isinstance(said, tuple)
        count = int(re.findall(r"nplurals=(\d)", LANGUAGES[lang].plural_forms)[0]) if plural else 1
        forms = forms if len(forms) == count else (*forms, "", "")[:count] if forms and not plural else ("",) * count
        catalog.add(said, forms if plural else forms[0], context=context)
    body = io.BytesIO()
    write_po(body, catalog, width=0, no_location=True, omit_header=True, sort_output=True)
    header = (
        'msgid ""\nmsgstr ""\n'
        f'"Language: {lang}\\n"\n'
        '"MIME-Version: 1.0\\n"\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n'
        '"Content-Transfer-Encoding: 8bit\\n"\n'
        f'"Plural-Forms: {LANGUAGES[lang].plural_forms}\\n"\n\n'
    )
    return header.encode() + body.getvalue().strip() + b"\n"


def update(everything: Mapping[Package, Mapping[Key, Said]]) -> None:
    """Bring every .po file up to date. A text that moved to another package takes its translation along."""
    for lang in TRANSLATED:
        memory: dict[Key, Message] = {}
        for package in everything:
            memory |= {key: one for key, one in kept(package.catalog_file(lang)).items() if any(_forms(one))}
        for package, own in everything.items():
            file = package.catalog_file(lang)
            known = {**memory, **{key: one for key, one in kept(file).items() if any(_forms(one))}}
            if own:
                file.parent.mkdir(exist_ok=True)
                content = updated(lang, own, known)
                if not file.exists() or file.read_bytes() != content:
                    file.write_bytes(content)
            elif file.exists():
                file.unlink()


def shortcomings(everything: Mapping[Package, Mapping[Key, Said]]) -> Iterator[str]:
    """Everything that keeps a reader from reading all in their language."""
    for package, own in everything.items():
        for lang in TRANSLATED:
            known = kept(package.catalog_file(lang))
            for (first, context), said in own.items():
                forms = _forms(known.get((first, context)))
                place = f"{package.name} in {lang}: {first!r}"
                if not forms or not all(forms):
                    yield f"{place} is not translated."
                elif not _same_placeholders(said, forms):
                    yield f"{place} has other placeholders than its translation {forms[-1]!r}."


def _same_placeholders(said: Said, forms: Iterable[str]) -> bool:
    """One of several counts may be said in a word ("a deal"), so there only an unknown placeholder is wrong."""
    if isinstance(said, str):
        return all(Counter(_PLACEHOLDER.findall(form)) == Counter(_PLACEHOLDER.findall(said)) for form in forms)
    allowed = {name for form in said for name in _PLACEHOLDER.findall(form)}
    return all(set(_PLACEHOLDER.findall(form)) <= allowed for form in forms)


def main(arguments: list[str] | None = None) -> int:
    """Update, or with `--check` look only."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a translation is missing")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to work on")
    options = parser.parse_args(arguments)
    everything = wanted(options.root)
    if not options.check:
        update(everything)
    missing = list(shortcomings(everything))
    if options.check:
        sys.stderr.writelines(f"{line}\n" for line in missing)
    counted = sum(map(len, everything.values()))
    sys.stdout.write(f"{counted} texts, {len(missing)} translations to do in {', '.join(TRANSLATED)}.\n")
    if missing and options.check:
        sys.stderr.write("Run `python tools/messages.py`, then translate the empty entries: see docs/translating.md.\n")
    return 1 if missing and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
