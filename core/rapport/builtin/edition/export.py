"""An edition out of a site that was fitted by hand: what differs from what its modules put in by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

from rapport.access import system
from rapport.builtin.edition.engine import enabled_modules, opened
from rapport.builtin.edition.folder import ABOUT, ABSENT, NAME, WAS, WORKFLOWS, own_key, spell
from rapport.builtin.edition.items import (
    ARCHIVED,
    SETTING,
    Configuration,
    Item,
    Values,
    given_by_plugins,
    read_configuration,
)
from rapport.builtin.edition.merge import same
from rapport.builtin.edition.toml import NONE, to_toml
from rapport.config import Config
from rapport.errors import Conflict, Invalid
from rapport.plugins import discover

Table = dict[str, Any]


def export_edition(config: Config, folder: Path, *, name: str, title: str = "", version: str = "0.1.0") -> list[Path]:
    """Write a site's configuration as an edition: applied to an empty site, it makes it the equal of this one."""
    if not NAME.fullmatch(name):
        raise Invalid(f"'{name}' cannot name an edition. Use small letters, digits and underscores.")
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty. Name another folder.")
    with opened(config) as site, site.read(system("rapport edition export")) as reader:
        here = read_configuration(reader.session, site)
        defaults = given_by_plugins(reader.session.connection(), here.kinds)
    files = Tables(here, defaults).files()
    installed = discover()
    modules = {
        each: f">={installed[each].version},<{Version(installed[each].version).major + 1}"
        for each in sorted(enabled_modules(config))
        if each in installed
    }
    about = {"name": name, "title": title or name, "version": version, "modules": modules}
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    workflows = files.get("workflow", {}).get("workflow", [])
    for table in [each for each in workflows if set(each) == {"name", "source"}]:
        workflows.remove(table)
        path = folder / WORKFLOWS / f"{table['name']}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(table["source"], "utf-8")
        written.append(path)
    if not workflows:
        files.pop("workflow", None)
    for stem, data in {Path(ABOUT).stem: about, **files}.items():
        path = folder / f"{stem}.toml"
        path.write_text(to_toml(data), "utf-8")
        written.append(path)
    return written


class Tables:
    """A configuration as the tables of an edition's files; what belongs to something stands below it."""

    def __init__(self, here: Configuration, defaults: Mapping[str, Values]) -> None:
        self.here = here
        self.kinds = here.kinds
        self.defaults = defaults
        self._tables: dict[str, Table] = {}
        self._roots: dict[str, list[Table]] = {}

    def files(self) -> dict[str, Any]:
        """The content of the files, by name."""
        settings: Table = {}
        for item in sorted(self.here.items.values(), key=lambda item: (self.kinds.order(item.kind), item.key)):
            if item.kind == SETTING:
                settings[item.key[1]] = item.values.get("value", "")
            else:
                self._item(item)
        for identity, values in self.defaults.items():
            if identity not in self.here.items:
                self._table(identity, values)[ABSENT] = True
        files: dict[str, Any] = {
            kind.replace(".", "_"): {kind: self._shortened(kind, tables)} for kind, tables in self._roots.items()
        }
        return files | ({SETTING: {SETTING: settings}} if settings else {})

    def _shortened(self, kind: str, tables: list[Table]) -> Any:
        """Words and the like are a line each, where every one of them can be said so."""
        names = self.kinds.pair(kind)
        if names is None or any(set(table) != set(names) for table in tables):
            return tables
        short: dict[str, Table] = {}
        for table in tables:
            first, second, said = (table[name] for name in names)
            short.setdefault(str(first), {})[str(second)] = said
        return short

    def _item(self, item: Item) -> None:
        if item.key[-1].startswith("("):
            raise Conflict(f"There are two called {spell(item.key[:-1])}. Rename one, so that they can be told apart.")
        default = self.defaults.get(item.identity)
        portable = self.here.portable(item)
        fields: Table = {}
        for name in (*self.kinds.fields(item.kind), ARCHIVED):
            before = default.get(name) if default is not None else self._default(item, name)
            if not same(item.values.get(name), before):
                fields[name] = portable.get(name, False if name == ARCHIVED else "")
        if not fields and default is not None:
            return
        table = self._table(item.identity, item.values)
        for name, value in fields.items():
            if name != ARCHIVED and self.kinds.fields(item.kind)[name].kind == "json" and _says_none(value):
                raise Conflict(f"{spell(item.key)} holds the text '{NONE}' in {name}, which a file cannot say.")
        table |= {name: value for name, value in fields.items() if name not in self.kinds.natural_key(item.kind)}
        names = own_key(self.kinds, item.kind)
        if default is not None and any(default.get(name) != item.values.get(name) for name in names):
            table[WAS] = [default.get(name, "") for name in names]

    def _default(self, item: Item, name: str) -> Any:
        return None if name == ARCHIVED else self.kinds.default(item.kind, item.key, name)

    def _table(self, identity: str, values: Values) -> Table:
        """The table of an item, below that of what it belongs to."""
        if identity in self._tables:
            return self._tables[identity]
        kind = identity.partition(":")[0]
        table: Table = {name: values.get(name, "") for name in own_key(self.kinds, kind)}
        self._tables[identity] = table
        parents = [name for name in self.kinds.natural_key(kind) if name not in table]
        for name in parents[1:]:
            other = self.here.items.get(f"{self.kinds.target(kind, name)}:{values.get(name)}")
            table[name] = list(other.key[1:]) if other is not None else ""
        if not parents:
            self._roots.setdefault(kind, []).append(table)
            return table
        above = f"{self.kinds.target(kind, parents[0])}:{values.get(parents[0])}"
        item = self.here.items.get(above)
        self._table(above, item.values if item is not None else self.defaults.get(above, {})).setdefault(
            kind, []
        ).append(table)
        return table


def _says_none(value: Any) -> bool:
    """Whether the word that stands for nothing in a file is meant as itself somewhere in a value."""
    if isinstance(value, Mapping):
        return any(map(_says_none, value.values()))
    return any(map(_says_none, value)) if isinstance(value, list) else value == NONE
