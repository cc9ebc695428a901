"""Editions on disk: a folder with an edition.toml and files of configuration, in a vertical or by itself."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from rapport.access.actors import REACHES
from rapport.builtin.edition.items import ARCHIVED, SETTING, Key, Kinds, is_blank
from rapport.builtin.edition.toml import NONE, with_nones
from rapport.entities import Field
from rapport.errors import Invalid, NotFound
from rapport.plugins import discover

ABOUT = "edition.toml"
SAMPLES = "sample_data"
WORKFLOWS = "workflows"
NAME = re.compile(r"[a-z][a-z0-9_]*")
ABSENT, WAS, PAIR = "absent", "was", ""


@dataclass(frozen=True, slots=True)
class Edition:
    """What fits Rapport to one kind of business: modules, and configuration in words any site understands."""

    name: str
    version: str
    folder: Path
    title: str
    summary: str
    modules: Mapping[str, SpecifierSet]
    tables: Sequence[tuple[str, str, Mapping[str, Any]]]
    """What its files say: kind, where it stands, and the table as read."""

    def digest(self) -> str:
        """Changes with any of its files."""
        return digest_of(self.folder)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One item as an edition wants it. What it does not name is not its affair."""

    key: Key
    values: Mapping[str, Any]
    """As JSON; a reference is the key of the other."""
    where: str
    """File and place, for errors."""
    was: Mapping[str, Any] | None = None
    """What its name was in former versions, by field, so that it is renamed, not made anew."""
    absent: bool = False
    """The edition wants it gone: something a module puts in by itself."""


def discover_editions() -> dict[str, Path]:
    """The folders of the editions that installed plugins bring, by name: `edition/` in the package. Nothing runs."""
    found = {}
    for info in discover().values():
        spec = importlib.util.find_spec(info.module.partition(".")[0])
        for root in (spec.submodule_search_locations or ()) if spec else ():
            if (Path(root) / "edition" / ABOUT).is_file():
                found[info.name] = Path(root) / "edition"
    return found


def find_edition(name: str) -> Edition:
    """An installed edition by its name, or one in a folder by its path."""
    known = discover_editions()
    if name in known:
        return read_edition(known[name])
    if (Path(name) / ABOUT).is_file():
        return read_edition(Path(name))
    near = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Installed are: {', '.join(known) or 'none'}."
    raise NotFound(f"There is no edition '{name}', and no folder of that name with an {ABOUT}. {hint}")


def read_edition(folder: Path) -> Edition:
    """Read an edition's files. Invalid names the file and what is wrong with it."""
    about = _toml(folder / ABOUT)
    place = f"{folder.name}/{ABOUT}"
    known = {"name", "version", "title", "summary", "modules"}
    if unknown := sorted(about.keys() - known):
        raise Invalid(f"{place}: '{unknown[0]}' is not known there. Known are: {', '.join(sorted(known))}.")
    if missing := [each for each in ("name", "version") if not isinstance(about.get(each), str)]:
        raise Invalid(f"{place}: '{missing[0]}' is missing. Write it as text: {missing[0]} = \"…\".")
    if not NAME.fullmatch(about["name"]):
        raise Invalid(f"{place}: '{about['name']}' cannot name an edition. Use small letters, digits and underscores.")
    try:
        Version(about["version"])
        modules = {
            name: SpecifierSet("" if text == "*" else text, prereleases=True)
            for name, text in about.get("modules", {}).items()
        }
    except (InvalidVersion, InvalidSpecifier, TypeError) as error:
        raise Invalid(f'{place}: {error}. Write a version as "1.2.0" and a range as ">=1.2,<2".') from None
    tables: list[tuple[str, str, Mapping[str, Any]]] = []
    for path in sorted(folder.glob("*.toml")):
        if path.name != ABOUT:
            tables.extend(_tables(path.name, _toml(path)))
    tables.extend(_workflows(folder))
    return Edition(
        name=about["name"], version=about["version"], folder=folder, title=about.get("title", about["name"]),
        summary=about.get("summary", ""), modules=modules, tables=tables,
    )  # fmt: skip


def _workflows(folder: Path) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Workflows, each in a file of its own: workflows/approval.yaml."""
    for path in sorted((folder / WORKFLOWS).glob("*.yaml")):
        try:
            source = path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise Invalid(f"{path}: {error}.") from None
        yield "workflow", f"{WORKFLOWS}/{path.name}", {"name": path.stem, "source": source}


def digest_of(folder: Path) -> str:
    """A fingerprint of every file below a folder, or of one file; what Python leaves behind does not count."""
    made = hashlib.sha256()
    paths = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    for path in paths:
        if "__pycache__" not in path.parts:
            made.update(f"{path.relative_to(folder.parent).as_posix()}\0{path.stat().st_size}\0".encode())
            made.update(path.read_bytes())
    return made.hexdigest()


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise NotFound(f"There is no {path.name} in {path.parent}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: {error}.") from None


def _tables(file: str, data: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for kind, value in data.items():
        if kind == SETTING and isinstance(value, Mapping):
            for name, decided in value.items():
                yield kind, f"{file}, setting {name}", {"name": name, "value": decided}
        elif isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
            for number, table in enumerate(value, 1):
                yield kind, f"{file}, {kind} number {number}", table
        elif isinstance(value, Mapping) and all(isinstance(each, Mapping) for each in value.values()):
            for first, named in value.items():
                for second, said in named.items():
                    yield kind, f"{file}, {kind} {first} {second}", {PAIR: (first, second, said)}
        else:
            raise Invalid(f"{file}: '{kind}' must be written as [[{kind}]] with its fields below, once for each.")


# From what the files say to what is wanted ---------------------------------------------------------------------------


def wanted_items(edition: Edition, kinds: Kinds, *, known_only: bool = False) -> list[Wanted]:
    """What an edition wants, checked against what the site knows. Invalid says which file is wrong and how.

    `known_only` passes over what belongs to modules that are still off.
    """
    found: dict[Key, Wanted] = {}
    for kind, where, table in edition.tables:
        if known_only and not _known(kinds, kind, table):
            continue
        for each in _wanted(kinds, kind, where, table, {}):
            if (other := found.get(each.key)) is not None:
                raise Invalid(f"{each.where} and {other.where} are both {spell(each.key)}. Take one out.")
            found[each.key] = each
    return list(found.values())


def unknown_kinds(edition: Edition, kinds: Kinds) -> bool:
    """Whether an edition says something of what its modules only bring when they are on."""
    return not all(_known(kinds, kind, table) for kind, _where, table in edition.tables)


def _known(kinds: Kinds, kind: str, table: Mapping[str, Any]) -> bool:
    return kinds.has_setting(table["name"]) if kind == SETTING else kind in kinds


def _wanted(
    kinds: Kinds, kind: str, where: str, table: Mapping[str, Any], given: Mapping[str, Any]
) -> Iterable[Wanted]:
    if kind not in kinds:
        near = difflib.get_close_matches(kind, kinds.names(), 1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known are: {', '.join(kinds.names())}."
        raise Invalid(f"{where}: there is no configuration of the kind '{kind}' here. {hint}")
    if kind == SETTING and not kinds.has_setting(table["name"]):
        raise Invalid(f"{where}: no active plugin has this setting. Name the plugin that has it under [modules].")
    if PAIR in table:
        if (names := kinds.pair(kind)) is None:
            raise Invalid(f"{where}: a {kind} must be written as [[{kind}]] with its fields below.")
        table = dict(zip(names, table[PAIR], strict=True))
    fields = kinds.fields(kind, (kind, str(table.get("name"))))
    children = {name: link for name in table if name not in fields and (link := _link(kinds, name, kind)) is not None}
    values: dict[str, Any] = dict(given)
    for name, value in table.items():
        if name in {WAS, ABSENT, *children} or (kind == SETTING and name == "name"):
            continue
        if name == ARCHIVED:
            values[ARCHIVED] = True if value else None
        elif name in fields:
            said = _spelt_out(value) if (kind, name) == ("role", "grants") and isinstance(value, Mapping) else value
            values[name] = _read(fields[name], name, said, where)
        else:
            near = difflib.get_close_matches(name, fields, 1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Its fields are: {', '.join(fields)}."
            raise Invalid(f"{where}: '{name}' is not a field of {kind}. {hint}")
    key = _key(kinds, kind, {**values, "name": table["name"]} if kind == SETTING else values, where)
    yield Wanted(key, values, where, _former(kinds, kind, table.get(WAS), where), bool(table.get(ABSENT)))
    for name, link in children.items():
        for number, child in enumerate(table[name], 1):
            yield from _wanted(kinds, name, f"{where}, {name} number {number}", child, {link: key})


def _spelt_out(grants: Mapping[str, Any]) -> dict[str, Any]:
    """A permission a line, also where one line says what a role may do with a kind: `task = "read update:own"`."""
    found: dict[str, Any] = {}
    for name, said in grants.items():
        if not isinstance(said, str) or said in {*REACHES, NONE}:
            found[name] = said
            continue
        for part in said.split():
            action, _, reach = part.partition(":")
            found[f"{name}.{action}"] = reach or "all"
    return found


def _link(kinds: Kinds, name: str, parent: str) -> str | None:
    """The field by which items of a kind belong to one of another, so that they may be written below it."""
    if name not in kinds.entities:
        return None
    return next((f for f in kinds.natural_key(name) if kinds.target(name, f) == parent), None)


def _read(field: Field, name: str, value: Any, where: str) -> Any:
    if field.target is not None:
        parts = [value] if isinstance(value, str) else value
        if parts in ([], [""]):
            return None
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise Invalid(f'{where}: \'{name}\' names a {field.target} by its key, such as ["…", "…"].')
        return (field.target, *parts)
    try:
        read = field.dump(field.load(with_nones(value) if field.kind == "json" else value))
    except ValueError as error:
        raise Invalid(f"{where}: {name} {error}") from None
    return None if is_blank(read) else read


def _key(kinds: Kinds, kind: str, values: Mapping[str, Any], where: str) -> Key:
    parts: list[str] = [kind]
    for name in kinds.natural_key(kind):
        value = values.get(name)
        f = kinds.fields(kind).get(name)
        if value is None and f is not None and f.required:
            named = ", ".join(kinds.natural_key(kind))
            raise Invalid(f"{where}: '{name}' is missing. A {kind} is told from others by its {named}.")
        parts.extend(value[1:] if isinstance(value, tuple) else [str("" if value is None else value)])
    return tuple(parts)


def own_key(kinds: Kinds, kind: str) -> list[str]:
    """The fields of a natural key that are an item's own, not what it belongs to."""
    return [name for name in kinds.natural_key(kind) if kinds.target(kind, name) is None]


def _former(kinds: Kinds, kind: str, was: Any, where: str) -> Mapping[str, Any] | None:
    """The former name: every own part of the key as a list, or its last part alone, which is what mostly changes."""
    if was is None:
        return None
    names = own_key(kinds, kind)
    parts = was if isinstance(was, list) else [was]
    if not names or len(parts) > len(names):
        raise Invalid(f"{where}: 'was' is the former {' and '.join(names) or 'name'}, as a text or a list of texts.")
    return dict(zip(names[-len(parts) :], parts, strict=True))


def spell(key: Key) -> str:
    """A key as people read and type it: `stage/sales.opportunity/Sales/New`."""
    return "/".join(key)
