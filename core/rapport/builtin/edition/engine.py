"""Applying an edition, its next version, and the way back: all of it in one unit of work, or none."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import importlib_metadata
from packaging.version import Version
from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport import lifecycle
from rapport.access import Actor, system
from rapport.builtin.edition import store
from rapport.builtin.edition.folder import Edition, spell, unknown_kinds, wanted_items
from rapport.builtin.edition.items import SETTING, Configuration, Kinds, given_by_plugins, read_configuration
from rapport.builtin.edition.merge import Merger, Plan, Step, equal, plan_return, same
from rapport.builtin.edition.store import Application
from rapport.builtin.edition.writing import Kept, carry_out
from rapport.config import Config
from rapport.db.engine import Database
from rapport.db.tables import plugin_table
from rapport.entities import uuid7
from rapport.errors import Conflict, NotFound, PluginError
from rapport.events import deliver_all
from rapport.plugins import State, discover, in_order
from rapport.site import Site


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an application, a look ahead or a way back did, or would do."""

    name: str
    version: str
    plan: Plan
    modules: tuple[str, ...] = ()
    """Those switched on, or off by the way back."""
    kept: Sequence[Kept] = ()
    digest: str = ""
    """Of the configuration afterwards."""
    later: bool = False
    """Whether more can be said only when the modules are on."""


@dataclass(frozen=True, slots=True)
class OwnChange:
    """One thing in which the site differs from its edition."""

    item: str
    what: str
    """changed, removed, added"""
    field: str = ""
    given: Any = None
    here: Any = None


def diff(config: Config, edition: Edition, take: Collection[str] = ()) -> Outcome:
    """What applying an edition would do; nothing is changed."""
    check_modules(edition)
    with opened(config) as site, site.read(system("rapport edition diff")) as reader:
        now = store.current(reader.session.connection())
        _check_version(now, edition)
        missing = [name for name in edition.modules if not site.active(name)]
        later = bool(missing) and unknown_kinds(edition, Kinds(site))
        plan, here = _plan(reader.session, site, edition, now, take, known_only=bool(missing))
        return Outcome(edition.name, edition.version, plan, tuple(missing), digest=here.digest(), later=later)


def apply_edition(config: Config, edition: Edition, *, actor: Actor, take: Collection[str] = ()) -> Outcome:
    """Fit the site to an edition, or to its next version. Modules come on first; the rest is one unit of work.

    What the site changed itself stays. `take` names items (`stage/sales.opportunity/Sales/New`) where the edition's
    word counts instead. Interrupted, the site is as before, but for modules switched on; saying it again goes on.
    """
    check_modules(edition)
    with _database(config) as db, db.read() as connection:
        _check_version(store.current(connection), edition)
    with application(config, edition.name, edition.version, edition.title, actor) as note:
        switched = switch_on(config, edition.modules)
        with opened(config) as site:
            check_active(site, edition.modules)
            with site.write(actor, batch=note.batch_id) as unit:
                connection = unit.session.connection()
                store.claim(connection, note)
                now = store.current(connection)
                plan, here = _plan(unit.session, site, edition, now, take)
                kept = carry_out(unit, here.kinds, plan.steps)
                unit.flush()
                after = read_configuration(unit.session, site)
                plan.note_made(after)
                store.finish(connection, note, after=after, given=plan.given, clashes=plan.clashes)
    return Outcome(edition.name, edition.version, plan, tuple(switched), kept, after.digest())


def rollback(config: Config, *, actor: Actor) -> Outcome:
    """Take the last application of an edition back, exactly, but for what people changed since: that is listed."""
    with _database(config) as db, db.read() as connection:
        open_end, now = store.under_way(connection), store.current(connection)
    if open_end is not None:
        return _end(config, open_end)
    if now is None:
        raise NotFound("No edition is applied to this site, so there is nothing to take back.")
    with opened(config) as site, site.write(actor, batch=uuid7()) as unit:
        connection = unit.session.connection()
        store.claim(connection, now)
        here = read_configuration(unit.session, site)
        before, after = store.snapshots(now, here.kinds)
        plan = plan_return(before, after, here)
        kept = carry_out(unit, here.kinds, plan.steps)
        unit.flush()
        digest = read_configuration(unit.session, site).digest()
        store.set_state(connection, now, "leaving")
    off = _leave(config, now)
    return Outcome(now.name, now.version, plan, tuple(off), kept, digest)


def own_changes(session: Session, site: Site, application: Application) -> list[OwnChange]:
    """In what the site differs from the edition it has and from what modules put in: changed, removed, added."""
    here = read_configuration(session, site)
    given = {}
    for each in application.given:
        item = here.items.get(each.identity)
        unnamed = item.values if item is not None and each.made else ()
        if not each.absent:
            beside = {name: here.kinds.default(each.key[0], each.key, name) for name in unnamed}
            given[each.identity] = (each.key, {**beside, **(each.under if each.made else {}), **each.values})
    spoken_of = {each.identity for each in application.given}
    for identity, values in given_by_plugins(session.connection(), here.kinds).items():
        if identity not in spoken_of and identity in here.items:
            given[identity] = (here.items[identity].key, {**dict.fromkeys(here.items[identity].values), **values})
    changes = []
    for identity, (key, values) in given.items():
        item = here.items.get(identity)
        if item is None and key[0] != SETTING:
            changes.append(OwnChange(spell(key), "removed"))
            continue
        for name, value in values.items():
            now = item.values.get(name) if item is not None else here.kinds.default(key[0], key, name)
            if not same(now, value):
                then, now = (here.spelled(key[0], name, each) for each in (value, now))
                changes.append(OwnChange(spell(key), "changed", name, then, now))
    known = given.keys() | spoken_of
    changes += [
        OwnChange(spell(item.key), "added", here=item.values.get("value"))
        for identity, item in here.items.items()
        if identity not in known
    ]
    return changes


def check_modules(edition: Edition) -> None:
    """PluginError with every reason why the modules of an edition cannot be had here."""
    installed = discover()
    reasons = []
    for name, versions in edition.modules.items():
        info = installed.get(name)
        wanted = f"'rapport-{name.replace('_', '-')}{versions}'"
        if info is None:
            reasons.append(f"the module '{name}' is not installed: pip install {wanted}")
        elif not versions.contains(info.version, prereleases=True):
            reasons.append(
                f"it needs {name} {versions}, and {info.version} is installed: pip install --upgrade {wanted}"
            )
    if reasons:
        raise PluginError(f"{edition.name} {edition.version} cannot be applied: {'; '.join(reasons)}.")


def enabled_modules(config: Config) -> list[str]:
    """The names of the modules that are switched on."""
    with _database(config) as db, db.read() as connection:
        return list(connection.scalars(select(plugin_table.c.name).where(plugin_table.c.enabled)))


def switch_on(config: Config, names: Iterable[str]) -> list[str]:
    """Switch modules on and let them put in their first rows. Returns those that were off."""
    before = set(enabled_modules(config))
    switched: list[str] = []
    for name in names:
        if name not in before and name not in switched:
            switched += [each for each in lifecycle.enable(config, name) if each not in before | {*switched}]
    if switched:
        with opened(config) as site:
            deliver_all(site)
    return switched


def rapport_version() -> str:
    """The version of Rapport itself."""
    return str(importlib_metadata.version("rapport-crm"))


# Beginning and ending ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def application(config: Config, name: str, version: str, title: str, actor: Actor) -> Iterator[Application]:
    """Note what the site is like, do the work, and should it fail, switch off again what was switched on for it."""
    with _database(config) as db, db.read() as connection:
        note = store.under_way(connection)
    if note is not None and (note.state, note.name, note.version) != ("applying", name, version):
        _end(config, note)
        note = None
    if note is None:
        with opened(config) as site, site.write(actor) as unit:
            before = read_configuration(unit.session, site)
            note = store.begin(
                unit.session.connection(), name=name, version=version, title=title, actor=actor.name,
                modules=enabled_modules(config), before=before,
            )  # fmt: skip
    try:
        yield note
    except BaseException:
        with _database(config) as db, db.read() as connection:
            mine = store.under_way(connection)
        if mine is not None and mine.id == note.id:  # else somebody else has ended it already
            _end(config, note)
        raise


def _end(config: Config, note: Application) -> Outcome:
    """Bring what was begun to an end: finish a way back; leave no trace of an application that did not come about."""
    plan = Plan()
    kept: Sequence[Kept] = ()
    if note.state == "applying":
        with opened(config) as site, site.write(system(f"edition {note.name}").through("cli")) as unit:
            here = read_configuration(unit.session, site)
            before, _after = store.snapshots(note, here.kinds)
            defaults = given_by_plugins(unit.session.connection(), here.kinds)
            plan.steps = [
                Step("remove", item.key, identity, {}, item.values)
                for identity, item in here.items.items()
                if identity not in before.items and identity in defaults and equal(item.values, defaults[identity])
            ]
            kept = carry_out(unit, here.kinds, plan.sort(here.kinds).steps)
    return Outcome(note.name, note.version, plan, tuple(_leave(config, note)), kept)


def _leave(config: Config, note: Application) -> list[str]:
    """Switch off what was switched on for an application, and close its note. What others need stays on."""
    off = []
    now = set(enabled_modules(config)) - set(note.modules)
    for name in reversed(in_order(now, discover())):
        with contextlib.suppress(Conflict):
            lifecycle.disable(config, name)
            off.append(name)
    with _database(config) as db, db.write() as connection:
        if note.state == "applying":
            store.forget(connection, note)
        else:
            store.set_state(connection, note, "left")
    return off


# Planning ------------------------------------------------------------------------------------------------------------


def _plan(
    session: Session, site: Site, edition: Edition, now: Application | None, take: Collection[str], *,
    known_only: bool = False,
) -> tuple[Plan, Configuration]:  # fmt: skip
    here = read_configuration(session, site)
    wanted = wanted_items(edition, here.kinds, known_only=known_only)
    _check_take(take, [spell(each.key) for each in wanted], [spell(each.key) for each in (now.given if now else ())])
    defaults = given_by_plugins(session.connection(), here.kinds)
    merger = Merger(here, now.given if now is not None else (), defaults, take)
    return merger.merge(wanted), here


def _check_take(take: Collection[str], *known: Collection[str]) -> None:
    import difflib

    names = [name for group in known for name in group]
    for each in take:
        if each not in names:
            near = difflib.get_close_matches(each, names, 1)
            hint = f"Did you mean '{near[0]}'?" if near else "rapport edition diff names them."
            raise NotFound(f"The edition has no item '{each}'. {hint}")


def _check_version(now: Application | None, edition: Edition) -> None:
    if now is not None and now.name == edition.name and Version(now.version) > Version(edition.version):
        raise Conflict(
            f"This site has {now.name} {now.version}, which is newer than {edition.version}. "
            f"To go back to what was before it: rapport edition rollback"
        )


def check_active(site: Site, modules: Mapping[str, Any]) -> None:
    for name in modules:
        plugin = site.plugins.get(name)
        if plugin is None or plugin.state is not State.ACTIVE:
            told = f"{plugin.state}: {plugin.reason}. {plugin.remedy}" if plugin is not None else "not installed."
            raise PluginError(f"The edition needs the module '{name}', and it is {told}")


@contextlib.contextmanager
def opened(config: Config) -> Iterator[Site]:
    with contextlib.closing(Site.open(config)) as site:
        yield site


@contextlib.contextmanager
def _database(config: Config) -> Iterator[Database]:
    with contextlib.closing(Database(config)) as db:
        yield db
