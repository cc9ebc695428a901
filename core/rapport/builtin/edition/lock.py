"""Lock files: a site's modules and configuration, with which another site becomes its equal, or is told why not."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rapport.access import Actor, system
from rapport.builtin.edition import store
from rapport.builtin.edition.engine import (
    Outcome,
    application,
    check_active,
    enabled_modules,
    opened,
    rapport_version,
    switch_on,
)
from rapport.builtin.edition.folder import digest_of, spell
from rapport.builtin.edition.items import Configuration, given_by_plugins, keys_given, read_configuration
from rapport.builtin.edition.merge import Given, equal, plan_exact, translated
from rapport.builtin.edition.writing import carry_out
from rapport.config import Config
from rapport.errors import Conflict, Invalid, NotFound
from rapport.plugins import PluginInfo, discover

FORMAT = 1


def build_lock(config: Config) -> dict[str, Any]:
    """What `apply_lock` needs to make another site the same as this one."""
    with opened(config) as site, site.read(system("rapport edition build")) as reader:
        now = store.current(reader.session.connection())
        if now is None:
            raise NotFound(
                "No edition is applied to this site. Make one of what the site is: rapport edition export FOLDER"
            )
        here = read_configuration(reader.session, site)
        given = given_by_plugins(reader.session.connection(), here.kinds)
        by_modules = keys_given(here.kinds, given)
    installed = discover()
    return {
        "format": FORMAT,
        "rapport": rapport_version(),
        "edition": {"name": now.name, "version": now.version, "title": now.title},
        "modules": {name: _module(installed[name]) for name in sorted(enabled_modules(config)) if name in installed},
        "configuration": here.digest(),
        "items": here.kept(),
        "given": [each.kept() for each in now.given],
        "by_modules": [[list(key), identity] for identity, key in by_modules.items()],
    }


def write_lock(lock: Mapping[str, Any], path: Path) -> None:
    """Write a lock so that a version control system shows what changed: a line for each item."""
    lines = [f"  {json.dumps(name)}: {_lines(value)}" for name, value in lock.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def _lines(value: Any) -> str:
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return "[\n" + ",\n".join("    " + json.dumps(each, ensure_ascii=False, sort_keys=True) for each in value) + "\n  ]"


def read_lock(path: Path) -> dict[str, Any]:
    """Read a lock. Invalid when it is none, or of another kind of Rapport."""
    try:
        lock = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.") from None
    except ValueError as error:
        raise Invalid(f"{path} is not a lock file: {error}.") from None
    if not isinstance(lock, dict) or lock.get("format") != FORMAT:
        raise Invalid(f"{path} is not a lock file of this version of Rapport. Build it anew: rapport edition build")
    return lock


def apply_lock(config: Config, lock: Mapping[str, Any], *, actor: Actor) -> Outcome:
    """Make this site the equal of the one the lock was built on, or change nothing and say every reason."""
    about, modules = lock["edition"], lock["modules"]
    if reasons := _reasons(config, lock):
        raise Conflict(f"The lock of {about['name']} {about['version']} cannot be applied here: {'; '.join(reasons)}.")
    _refuse_own(config)
    with application(config, about["name"], about["version"], about["title"], actor) as note:
        switched = switch_on(config, modules)
        with opened(config) as site:
            check_active(site, modules)
            with site.write(actor, batch=note.batch_id) as unit:
                connection = unit.session.connection()
                store.claim(connection, note)
                here = read_configuration(unit.session, site)
                wanted = Configuration.of(lock["items"], here.kinds)
                by_modules = keys_given(here.kinds, given_by_plugins(connection, here.kinds))
                known = {key: identity for identity, key in by_modules.items()}
                alike = {theirs: known.get(tuple(key), theirs) for key, theirs in lock["by_modules"]}
                plan, became = plan_exact(wanted, here, alike)
                kept = carry_out(unit, here.kinds, plan.steps)
                unit.flush()
                after = read_configuration(unit.session, site)
                if after.digest() != lock["configuration"]:
                    raise Conflict(_difference(wanted, after))
                given = [
                    replace(
                        each,
                        identity=became.get(each.identity, each.identity),
                        values=translated(each.key[0], each.values, here.kinds, became),
                        under=translated(each.key[0], each.under, here.kinds, became),
                    )
                    for each in map(Given.of, lock["given"])
                ]
                store.finish(connection, note, after=after, given=given, clashes=[])
    return Outcome(about["name"], about["version"], plan, tuple(switched), kept, after.digest())


def _module(info: PluginInfo) -> dict[str, str]:
    return {"version": info.version, "hash": _hash(info)}


def _hash(info: PluginInfo) -> str:
    spec = importlib.util.find_spec(info.module)
    if spec is None or spec.origin is None:
        return ""
    origin = Path(spec.origin)
    return digest_of(origin.parent if spec.submodule_search_locations else origin)


def _reasons(config: Config, lock: Mapping[str, Any]) -> list[str]:
    reasons = []
    if lock["rapport"] != rapport_version():
        reasons.append(f"it is of rapport-crm {lock['rapport']}, and this is {rapport_version()}")
    installed = discover()
    for name, wanted in lock["modules"].items():
        info = installed.get(name)
        if info is None:
            reasons.append(f"the module '{name}' {wanted['version']} is not installed")
        elif info.version != wanted["version"]:
            reasons.append(f"it has {name} {wanted['version']}, and {info.version} is installed")
        elif _hash(info) != wanted["hash"]:
            reasons.append(f"the code of {name} {info.version} is not the same here")
    reasons += [
        f"the module '{name}' is on here and not in the lock: rapport plugins disable {name}"
        for name in enabled_modules(config)
        if name not in lock["modules"]
    ]
    return reasons


def _refuse_own(config: Config) -> None:
    """Conflict where somebody configured the site by hand: a lock would throw that away."""
    with opened(config) as site, site.read(system("rapport edition apply")) as reader:
        here = read_configuration(reader.session, site)
        now = store.current(reader.session.connection())
        if now is not None:
            before = store.snapshots(now, here.kinds)[1]
            there = {identity: item.values for identity, item in before.items.items()}
        else:
            there = dict(given_by_plugins(reader.session.connection(), here.kinds))
    own = [
        spell(item.key)
        for identity, item in here.items.items()
        if identity not in there or not equal(item.values, there[identity])
    ]
    own += [identity for identity in there if identity not in here.items]
    if own:
        raise Conflict(
            f"This site was configured by hand ({', '.join(own[:5])}{' …' if len(own) > 5 else ''}), and a lock makes "
            f"it exactly another. Apply the lock to a new site: rapport init"
        )


def _difference(wanted: Configuration, after: Configuration) -> str:
    one, other = dict(wanted.listed()), dict(after.listed())
    keys = [spell(key) for key in sorted({*one, *other}) if one.get(key) != other.get(key)]
    return (
        f"The site would not be the same as the locked one, so nothing was changed. It differs in: {', '.join(keys)}."
    )
