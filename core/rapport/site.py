"""A site: one business's Rapport, with its database, its plugins and everything they brought. No Flask in here."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection, inspect, select

from rapport import hookspecs
from rapport.access import Actor
from rapport.access.actors import Reach, default_grants
from rapport.access.service import Passwords, load_actor
from rapport.builtin import BUILTIN
from rapport.config import Config
from rapport.contributions import Action, Column, InteractionType, Job, NavItem, Panel, SampleData, Setting
from rapport.db import migrate
from rapport.db.engine import Database
from rapport.db.tables import plugin_table, site_table
from rapport.entities import Entity
from rapport.errors import PluginError, Problem, RapportError
from rapport.hooks import Hooks
from rapport.plugins import Plugin, PluginInfo, State, discover, import_plugin, load
from rapport.records import Reader, Unit
from rapport.registry import Registry
from rapport.settings import Settings
from rapport.workflows.moves import guard_move, place_new

if TYPE_CHECKING:
    import click
    from flask import Blueprint

log = logging.getLogger("rapport")
ACTOR_SECONDS = 1.0
"""How long a worker trusts what it knows of an actor: a right taken away is gone everywhere within this time."""


class NoSite(RapportError):
    """There is no site where one was expected."""


class Site:
    """One generation of a site. When plugins or settings change, a new generation is built beside it and takes over."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.db = Database(config)
        self.hooks = Hooks()
        self.passwords = Passwords(cheap=config.testing)
        self.entities: Registry[type[Entity]] = Registry("entity", lambda entity: entity.meta.name)
        self.panels: Registry[Panel] = Registry("panel", lambda panel: panel.name)
        self.navigation: Registry[NavItem] = Registry("menu entry", lambda item: item.url)
        self.columns: Registry[Column] = Registry("column", lambda column: f"{column.entity}:{column.name}")
        self.actions: Registry[Action] = Registry("action", lambda action: f"{action.entity}:{action.name}")
        self.jobs: Registry[Job] = Registry("job", lambda job: job.name)
        self.interaction_types: Registry[InteractionType] = Registry("interaction type", lambda kind: kind.name)
        self.pages: Registry[Blueprint] = Registry("blueprint", lambda blueprint: str(blueprint.name))
        self.commands: Registry[click.Command] = Registry("command", lambda command: str(command.name))
        self.sample_data: Registry[SampleData] = Registry("sample data", lambda sample: sample.name)
        declared: Registry[Setting] = Registry("setting", lambda setting: setting.name)
        self.settings = Settings(declared)
        self.plugins: dict[str, Plugin] = {}
        self.modules: dict[str, ModuleType] = {}
        self.grants: dict[str, dict[str, Reach]] = {}
        self.build_steps: list[Callable[[Unit, Entity], list[Problem]]] = [place_new]
        self.save_steps: list[Callable[[Unit, Entity], list[Problem]]] = [guard_move]
        self.generation = 0
        self._work = threading.Event()
        self._actors: dict[Any, tuple[float, Actor | None]] = {}

    @classmethod
    def open(cls, config: Config, *, safe: bool = False) -> Site:
        """Open a site that was made by `rapport init`; `safe` leaves every plugin out. NoSite when there is none."""
        site = cls(config)
        try:
            with site.db.read() as connection:
                site._start(connection, safe=safe)
        except BaseException:
            site.db.close()
            raise
        return site

    def _start(self, connection: Connection, *, safe: bool) -> None:
        """discover → drop what is not enabled → order → check → import → register → collect → freeze."""
        if not inspect(connection).has_table("site"):
            raise NoSite(f"There is no site in {self.config.home}. Make one: rapport init {self.config.home}")
        for name, module in BUILTIN.items():
            self._admit(PluginInfo(name, "rapport-crm", "", module, builtin=True), _imported(module))
        if reason := migrate.pending(connection, migrate.core_line()):
            raise RapportError(f"The site must be brought up to date first: {reason}. Run: rapport db upgrade")
        self.generation = connection.scalar(select(site_table.c.generation)) or 0
        states = {row.name: row for row in connection.execute(select(plugin_table))}
        enabled = [row.name for row in states.values() if row.enabled]
        if self.config.plugins is not None:
            enabled = list(self.config.plugins)
        if safe:
            enabled = []
        self.plugins = load(
            discover(),
            enabled,
            quarantined={row.name: row.quarantine for row in states.values() if row.quarantine},
            held=lambda info: migrate.pending(connection, migrate.Line(info.name, _package(info))),
            admit=self._admit,
        )
        self._freeze()
        self.settings.load(connection)

    def _admit(self, info: PluginInfo, module: ModuleType) -> None:
        """Take in what a plugin brings: all of it, or nothing when one piece does not fit."""
        self.hooks.add(info.name, module)
        try:
            bundle = [
                (registry, self.hooks.registered(info.name, spec)) for spec, registry in self._register_hooks().items()
            ]
            for registry, items in bundle:
                for item in items:
                    self._check(info, registry, item)
            for registry, items in bundle:
                for item in items:
                    registry.add(info.name, item)
        except BaseException:
            self.hooks.remove(info.name)
            raise
        self.modules[info.name] = module

    def _register_hooks(self) -> dict[Callable[..., Any], Registry[Any]]:
        return {
            hookspecs.register_entities: self.entities,
            hookspecs.register_settings: self.settings.declared,
            hookspecs.register_interaction_types: self.interaction_types,
            hookspecs.register_jobs: self.jobs,
            hookspecs.register_pages: self.pages,
            hookspecs.register_navigation: self.navigation,
            hookspecs.register_panels: self.panels,
            hookspecs.register_columns: self.columns,
            hookspecs.register_actions: self.actions,
            hookspecs.register_commands: self.commands,
            hookspecs.register_sample_data: self.sample_data,
        }

    def _check(self, info: PluginInfo, registry: Registry[Any], item: Any) -> None:
        """One name, one owner, and the owner's name in front."""
        if registry is self.entities:
            if not (isinstance(item, type) and issubclass(item, Entity)):
                raise PluginError(f"{item!r} is not an entity. Return subclasses of rapport.Entity.")
            if not info.builtin and not item.meta.name.startswith(f"{info.name}."):
                noun = item.meta.name.rpartition(".")[2]
                raise PluginError(
                    f"the entity '{item.meta.name}' must be named '{info.name}.<something>'. "
                    f"Rename it to '{info.name}.{noun}' in {item.__module__}."
                )
            default_grants([item.meta])  # a misspelt grant is found now, not when somebody is refused
            for reference in item.meta.references:
                assert reference.target is not None
                if reference.target not in self.entities and reference.target != item.meta.name:
                    brought = [other.meta.name for other in self._brought(info)]
                    if not info.builtin and reference.target not in brought:
                        raise PluginError(
                            f"the entity '{item.meta.name}' refers to '{reference.target}', which no active plugin "
                            f"has. Name the plugin that has it in this one's dependencies."
                        )
        name = registry._name_of(item)
        if name in registry:
            raise PluginError(
                f"it brings the {registry.what} '{name}', which '{registry.owner(name)}' already brings. "
                f"Rename it, or disable one of the two: rapport plugins disable {info.name}"
            )

    def _brought(self, info: PluginInfo) -> list[type[Entity]]:
        return self.hooks.registered(info.name, hookspecs.register_entities)

    def _freeze(self) -> None:
        for registry in self._register_hooks().values():
            registry.freeze()
        self.grants = default_grants(entity.meta for entity in self.entities)

    # Using it --------------------------------------------------------------------------------------------------------

    def read(self, actor: Actor) -> Reader:
        """What an actor may read; use it in a `with`."""
        return Reader(self, actor)

    def write(self, actor: Actor, *, batch: UUID | None = None, depth: int = 0) -> Unit:
        """A unit of work for an actor; use it in a `with`."""
        return Unit(self, actor, batch=batch, depth=depth)

    def actor(self, user_id: UUID) -> Actor | None:
        """Who a user is right now, at most a second old; None when they may not sign in."""
        return self.remembered(("user", user_id), lambda c: load_actor(c, user_id, self.grants))

    def remembered(self, key: Any, find: Callable[[Connection], Actor | None]) -> Actor | None:
        """An actor found by whichever key (a user's id, a token), kept for ACTOR_SECONDS."""
        now = time.monotonic()
        kept = self._actors.get(key)
        if kept is not None and kept[0] > now:
            return kept[1]
        with self.db.read() as connection:
            actor = find(connection)
        if len(self._actors) > 10_000:
            self._actors.clear()
        self._actors[key] = (now + ACTOR_SECONDS, actor)
        return actor

    def forget_actors(self) -> None:
        """Read rights anew at once; called where they change."""
        self._actors.clear()

    def wake(self) -> None:
        """There is work: let the worker of this process look."""
        self._work.set()

    def wait_for_work(self, seconds: float) -> None:
        """Sleep until `wake`, or for this long."""
        self._work.wait(seconds)
        self._work.clear()

    def outdated(self) -> bool:
        """Whether plugins or settings changed since this generation was built."""
        with self.db.read() as connection:
            return (connection.scalar(select(site_table.c.generation)) or 0) != self.generation

    def active(self, plugin: str) -> bool:
        """Whether a plugin is switched on and well."""
        found = self.plugins.get(plugin)
        return found is not None and found.state is State.ACTIVE

    def close(self) -> None:
        """Give the database back."""
        self.db.close()


def _imported(module: str) -> ModuleType:
    return import_plugin(PluginInfo(module, "rapport-crm", "", module, builtin=True))


def _package(info: PluginInfo) -> str:
    return info.module.partition(":")[0]


__all__ = ["NoSite", "Site"]
