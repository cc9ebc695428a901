"""A site: one business's Rapport, with its database, its plugins and everything they brought. No Flask in here."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection, Select, inspect, select, update
from sqlalchemy.exc import SQLAlchemyError

from rapport import hookspecs
from rapport.access import Actor, User, UserRole
from rapport.access.actors import Reach, default_grants
from rapport.access.service import Passwords, load_actor
from rapport.builtin import BUILTIN
from rapport.config import Config
from rapport.contributions import (
    Action,
    Channel,
    Column,
    Dimension,
    Follower,
    ImportStep,
    InteractionType,
    Job,
    ListFilter,
    Measure,
    NavItem,
    Panel,
    Report,
    SampleData,
    Schedule,
    Setting,
    Slot,
    WorkflowAction,
)
from rapport.db import migrate
from rapport.db.engine import Database
from rapport.db.tables import plugin_data_table, plugin_table, site_table
from rapport.entities import Entity, EntityMeta, Extension, Field, table_of
from rapport.entities.base import Place, extension_fields
from rapport.errors import PluginError, Problem, RapportError, Revoked
from rapport.files import hold_files
from rapport.fit import CUSTOM, Fit
from rapport.followers import take_places
from rapport.hooks import Hooks
from rapport.i18n.catalogs import Texts, _, use_language
from rapport.interactions.messages import keep_content
from rapport.interactions.sending import pass_the_gate
from rapport.mail import send_mail
from rapport.plugins import (
    BRIDGE,
    CLEAR,
    Obstacle,
    Plugin,
    PluginInfo,
    State,
    declared_hooks,
    discover,
    import_plugin,
    load,
)
from rapport.records import Reader, Unit
from rapport.registry import Registry
from rapport.schedules import check_schedules
from rapport.settings import Settings
from rapport.slots import by_slot, check_places
from rapport.workflows.charts import Charts
from rapport.workflows.checking import check_workflow
from rapport.workflows.lifecycles import guard_field
from rapport.workflows.moves import check_stage, guard_move, place_new

if TYPE_CHECKING:
    import click
    from flask import Blueprint

log = logging.getLogger("rapport")
BUILD_STEPS = (place_new, hold_files, pass_the_gate, check_stage, check_workflow)
"""What happens to every new record before it is validated."""
SAVE_STEPS = (guard_move, guard_field, hold_files, keep_content, check_stage, check_workflow)
"""What happens to every changed one."""
ACTOR_SECONDS = 1.0
"""How long a worker trusts what it knows of an actor: a right taken away is gone everywhere within this time."""

ALARM_ATTEMPTS = 60
ALARM_SECONDS = 5.0


class NoSite(RapportError):
    """There is no site where one was expected."""


class Site:
    """One generation of a site. When plugins or settings change, a new generation is built beside it and takes over."""

    def __init__(self, config: Config) -> None:  # noqa: PLR0915 - a line for each registry
        self.config = config
        self.db = Database(config)
        self.hooks = Hooks()
        self.passwords = Passwords(cheap=config.testing)
        self.entities: Registry[type[Entity]] = Registry("entity", lambda entity: entity.meta.name)
        self.slots: Registry[Slot] = Registry("slot", lambda slot: slot.name)
        self.panels: Registry[Panel] = Registry("panel", lambda panel: panel.name)
        self.navigation: Registry[NavItem] = Registry("menu entry", lambda item: item.url)
        self.columns: Registry[Column] = Registry("column", lambda column: f"{column.entity}:{column.name}")
        self.list_filters: Registry[ListFilter] = Registry("list filter", lambda each: f"{each.entity}:{each.name}")
        self.reports: Registry[Report] = Registry("report", lambda report: report.name)
        self.measures: Registry[Measure] = Registry("measure", lambda measure: measure.name)
        self.dimensions: Registry[Dimension] = Registry("dimension", lambda dimension: dimension.name)
        self.import_steps: Registry[ImportStep] = Registry("import step", lambda step: f"{step.entity}:{step.name}")
        self.actions: Registry[Action] = Registry("action", lambda action: f"{action.entity}:{action.name}")
        self.workflow_actions: Registry[WorkflowAction] = Registry("workflow action", lambda action: action.name)
        self.jobs: Registry[Job] = Registry("job", lambda job: job.name)
        self.schedules: Registry[Schedule] = Registry("schedule", lambda schedule: schedule.name)
        self.followers: Registry[Follower] = Registry("follower", lambda follower: follower.name)
        self.channels: Registry[Channel] = Registry("channel", lambda channel: channel.name)
        self.interaction_types: Registry[InteractionType] = Registry("interaction type", lambda kind: kind.name)
        self.pages: Registry[Blueprint] = Registry("blueprint", lambda blueprint: str(blueprint.name))
        self.commands: Registry[click.Group] = Registry("command", lambda group: str(group.name))
        self.sample_data: Registry[SampleData] = Registry("sample data", lambda sample: sample.name)
        self.settings = Settings(Registry[Setting]("setting", lambda setting: setting.name))
        self.brought: dict[str, list[tuple[str, Any]]] = {}
        """What plugins brought for the register hooks that other plugins declare: by hook, each with whose it is."""
        self.metas: dict[str, EntityMeta] = {}
        """What this site knows of each kind of record: what its class says, and how an administrator fitted it."""
        self.row_statements: dict[tuple[str, tuple[str, ...] | None], Select[Any]] = {}
        """How one record is read, by entity and fields; made when first asked for."""
        self.extended: dict[str, dict[str, Place]] = {}
        """Where the fields are kept that extensions add: by entity, by the field's name there."""
        self.plugins: dict[str, Plugin] = {}
        self.modules: dict[str, ModuleType] = {}
        self.grants: dict[str, dict[str, Reach]] = {}
        self.build_steps: list[Callable[[Unit, Entity], list[Problem]]] = list(BUILD_STEPS)
        self.save_steps: list[Callable[[Unit, Entity], list[Problem]]] = list(SAVE_STEPS)
        self.charts = Charts(self)
        """The workflows that are on."""
        self.panels_at: Mapping[str, Sequence[Panel]] = {}
        """The panels of each slot in their order, for pages: a slot that nobody fills costs a look into this."""
        self.terms: dict[str, tuple[tuple[str, str], ...]] = {}
        """What this site calls things, by language: pairs of English text and its own."""
        self.generation = 0
        self.safe = False
        """Whether every plugin was left out on purpose."""
        self._work = threading.Condition()
        self._wakes = 0
        self._alarms: list[threading.Thread] = []
        self.hooks.on_trip = self._take_out
        self._actors: dict[Any, tuple[float, Actor | None]] = {}

    @classmethod
    def open(
        cls, config: Config, *, safe: bool = False, faulty: Mapping[str, str] = MappingProxyType({}),
        trying: Collection[str] = (),
    ) -> Site:  # fmt: skip
        """Open a site that was made by `rapport init`; `safe` leaves every plugin out. NoSite when there is none.

        `faulty` plugins are left out, each for its reason. Those that are merely tried need no tables yet, and what
        is on record against them is forgotten.
        """
        site = cls(config)
        try:
            with site.db.read() as connection:
                site._start(connection, safe=safe, faulty=faulty, trying=trying)
            if not trying:
                take_places(site)
        except BaseException:
            site.db.close()
            raise
        return site

    def _start(self, connection: Connection, *, safe: bool, faulty: Mapping[str, str], trying: Collection[str]) -> None:
        """discover → drop what is not enabled → order → check → import → register → collect → freeze."""
        if not inspect(connection).has_table("site"):
            where = self.config.home if self.config.is_sqlite else "the database that database_url names"
            raise NoSite(f"There is no site in {where}. Make one: rapport init {self.config.home}")
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
        with_data = set(connection.scalars(select(plugin_data_table.c.plugin).distinct()))
        installed = discover()
        quarantined = {row.name: row.quarantine for row in states.values() if row.quarantine}
        for name, fault in faulty.items():
            quarantined[name] = f"{installed[name].distribution} {installed[name].version} cannot load: {fault}"
        self.plugins = load(
            installed,
            enabled,
            quarantined={name: reason for name, reason in quarantined.items() if name not in trying},
            kept={name: _remembered(row) for name, row in states.items() if name in with_data or row.enabled},
            held=lambda info: CLEAR if info.name in trying else _held(connection, info, states.get(info.name)),
            admit=self._admit,
            join=self._take_in,
        )
        self.safe = safe
        if safe:
            for name in {name for name, row in states.items() if row.enabled} & set(self.plugins):
                plugin, left_out = self.plugins[name], "left out by --safe"
                self.plugins[name] = replace(plugin, reason=left_out, remedy="leave --safe away to have it again")
        fit = Fit.load(connection)
        for entity in fit.entities():
            self.entities.add(CUSTOM, entity)
        self._freeze()
        added: dict[str, dict[str, Field]] = {}
        for entity in self.entities:
            if issubclass(entity, Extension):
                fields = extension_fields(entity)
                added.setdefault(entity.meta.extends, {}).update({name: made for name, (made, _) in fields.items()})
                self.extended.setdefault(entity.meta.extends, {}).update({name: at for name, (_, at) in fields.items()})
        fit = fit.among(self.entities.names())
        self.metas = {entity.meta.name: fit.meta(entity, added.get(entity.meta.name, {})) for entity in self.entities}
        self.terms = {lang: tuple(said.items()) for lang, said in fit.terms.items()}
        self.grants = default_grants(self.metas.values())
        self.settings.load(connection)

    def _admit(self, info: PluginInfo, module: ModuleType) -> None:
        """Take in what a plugin brings: all of it, or nothing when one piece does not fit."""
        if (specs := declared_hooks(info)) is not None:
            self.hooks.declare(info.name, specs)
        self._take_in(info, module)
        self.modules[info.name] = module

    def _take_in(self, info: PluginInfo, module: ModuleType, other: str = "") -> None:
        """The hookimpls of a plugin's module, or of its bridge to another plugin, and what they register."""
        self.hooks.add(info.name, module, other)
        try:
            bundle = [
                (registry, self.hooks.registered(info.name, spec, other))
                for spec, registry in self._register_hooks().items()
            ]
            if commands := self.hooks.registered(info.name, hookspecs.register_commands, other):
                bundle.append((self.commands, [_group(info, commands)]))
            if other:
                _refuse_in_bridge(info, other, {registry.what: items for registry, items in bundle})
            own = [
                (name, item)
                for name, spec in self.hooks.own_register_hooks().items()
                for item in self.hooks.registered(info.name, spec, other)
            ]
            for registry, items in bundle:
                for item in items:
                    self._check(info, registry, item)
            brought = {registry.what: items for registry, items in bundle}
            check_places(brought, self.slots, self.entities.names())
            check_schedules(brought["schedule"], [*self.jobs.names(), *(job.name for job in brought["job"])])
            for registry, items in bundle:
                for item in items:
                    registry.add(info.name, item)
            for name, item in own:
                self.brought.setdefault(name, []).append((info.name, item))
        except BaseException:
            self.hooks.remove(info.name, other)
            raise

    def _register_hooks(self) -> dict[Callable[..., Any], Registry[Any]]:
        return {
            hookspecs.register_entities: self.entities,
            hookspecs.register_settings: self.settings.declared,
            hookspecs.register_interaction_types: self.interaction_types,
            hookspecs.register_channels: self.channels,
            hookspecs.register_jobs: self.jobs,
            hookspecs.register_schedules: self.schedules,
            hookspecs.register_followers: self.followers,
            hookspecs.register_pages: self.pages,
            hookspecs.register_navigation: self.navigation,
            hookspecs.register_slots: self.slots,
            hookspecs.register_panels: self.panels,
            hookspecs.register_columns: self.columns,
            hookspecs.register_list_filters: self.list_filters,
            hookspecs.register_reports: self.reports,
            hookspecs.register_measures: self.measures,
            hookspecs.register_dimensions: self.dimensions,
            hookspecs.register_import_steps: self.import_steps,
            hookspecs.register_actions: self.actions,
            hookspecs.register_workflow_actions: self.workflow_actions,
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
            self._check_extension(info, item)
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
        name = registry.name_of(item)
        named_after_owner = registry in (self.slots, self.schedules, self.followers, self.measures, self.dimensions)
        if named_after_owner and not info.builtin and not name.startswith(f"{info.name}."):
            ending = "place" if registry is self.slots else registry.what
            raise PluginError(f"the {registry.what} '{name}' must be named '{info.name}.<{ending}>'. Rename it.")
        if name in registry:
            raise PluginError(
                f"it brings the {registry.what} '{name}', which '{registry.owner(name)}' already brings. "
                f"Rename it, or disable one of the two: rapport plugins disable {info.name}"
            )

    def _check_extension(self, info: PluginInfo, item: type[Entity]) -> None:
        """The fields it adds must not be there already, neither of the entity's own nor from another extension."""
        base = self.entities.get(item.meta.extends)
        if base is None or not issubclass(item, Extension):
            return  # no extension, or the check of references finds that there is no such entity
        names = set(base.meta.fields)
        for other in (*self.entities, *self._brought(info)):
            if other is not item and issubclass(other, Extension) and other.meta.extends == base.meta.name:
                names |= extension_fields(other).keys()
        if taken := sorted(names & extension_fields(item).keys()):
            raise PluginError(
                f"the extension '{item.meta.name}' gives '{base.meta.name}' a second field '{taken[0]}'. "
                f"Rename it in {item.__module__}."
            )

    def _brought(self, info: PluginInfo) -> list[type[Entity]]:
        return self.hooks.registered(info.name, hookspecs.register_entities)

    def _freeze(self) -> None:
        for registry in (*self._register_hooks().values(), self.commands):
            registry.freeze()
        self.panels_at = by_slot(self.panels)

    # Using it --------------------------------------------------------------------------------------------------------

    def meta(self, entity: type[Entity]) -> EntityMeta:
        """What this site knows of a kind of record, with the fields that were added to it here."""
        return self.metas[entity.meta.name]

    def meta_named(self, name: str) -> EntityMeta:
        """The same by name; LookupError when no active plugin has such a kind."""
        try:
            return self.metas[name]
        except KeyError:
            raise LookupError(f"There is no kind of record '{name}' here.") from None

    def read(self, actor: Actor) -> Reader:
        """What an actor may read; use it in a `with`."""
        return Reader(self, actor)

    def write(self, actor: Actor, *, batch: UUID | None = None, depth: int = 0) -> Unit:
        """A unit of work for an actor; use it in a `with`."""
        return Unit(self, actor, batch=batch, depth=depth)

    def actor(self, user_id: UUID) -> Actor | None:
        """Who a user is right now, at most a second old; None when they may not sign in."""
        return self.remembered(("user", user_id), lambda c: load_actor(c, user_id, self.grants))

    def renewed(self, actor: Actor) -> Actor:
        """The same actor with the rights of this moment: for long work, between its steps.

        Revoked when they may not sign in any more. Rapport itself stays as it is.
        """
        if actor.id is None:
            return actor
        found = self.actor(actor.id)
        if found is None:
            raise Revoked(_("%(name)s is no longer active, so this was not gone on with.", name=actor.name))
        return replace(found, via=actor.via, scopes=actor.scopes)

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

    @property
    def wakes(self) -> int:
        """How often `wake` was said: remembered before one looks for work, so that none is overslept."""
        return self._wakes

    def wake(self) -> None:
        """There is work: let the workers of this process look."""
        with self._work:
            self._wakes += 1
            self._work.notify_all()

    def wait_for_work(self, seconds: float, since: int) -> None:
        """Sleep until the next `wake` after `since`, or for this long."""
        with self._work:
            self._work.wait_for(lambda: self._wakes != since, seconds)

    def outdated(self) -> bool:
        """Whether plugins or settings changed since this generation was built."""
        with self.db.read() as connection:
            return (connection.scalar(select(site_table.c.generation)) or 0) != self.generation

    def active(self, plugin: str) -> bool:
        """Whether a plugin is switched on and well."""
        found = self.plugins.get(plugin)
        return found is not None and found.state is State.ACTIVE

    @property
    def packages(self) -> list[str]:
        """The import names of the plugins that are on, whose templates and translations count."""
        return [module.__name__.split(".")[0] for name, module in self.modules.items() if name not in BUILTIN]

    def speaking(self, lang: str) -> AbstractContextManager[Texts]:
        """Speak a language, in a `with`: with all that the plugins say in it, and the business's own words."""
        return use_language(lang, self.packages, self.terms.get(lang, ()))

    def close(self) -> None:
        """Give the database back, once what the breaker has to say is written."""
        for alarm in self._alarms:
            alarm.join(ALARM_SECONDS)
        self.db.close()

    def _take_out(self, plugin: str, reason: str) -> None:
        """The breaker's word, kept where every process and the administrator sees it.

        In a thread of its own: the one that failed may hold the only writing transaction of SQLite.
        """
        alarm = threading.Thread(target=self._keep_out, args=(plugin, reason), name="rapport-alarm", daemon=True)
        self._alarms.append(alarm)
        alarm.start()

    def _tell_admins(self, plugin: str, reason: str) -> None:
        users, roles = table_of(User), table_of(UserRole)
        query = select(users.c.email).where(
            users.c.active, users.c.archived_at.is_(None),
            users.c.id.in_(select(roles.c.user_id).where(roles.c.role == "admin")),
        )  # fmt: skip
        with self.db.read() as connection:
            addresses = connection.scalars(query).all()
        for address in addresses:
            text = (
                f"Rapport has switched off the plugin {plugin} at {self.config.base_url}, because it {reason}.\n\n"
                f"Its data is kept. See {self.config.base_url}/admin/modules, or type: rapport plugins list"
            )
            send_mail(self, to=address, subject=f"Rapport has switched off {plugin}", text=text)

    def _keep_out(self, plugin: str, reason: str) -> None:
        for _attempt in range(ALARM_ATTEMPTS):
            try:
                with self.db.write() as connection:
                    connection.execute(
                        update(plugin_table).where(plugin_table.c.name == plugin).values(quarantine=reason)
                    )
                    connection.execute(update(site_table).values(generation=site_table.c.generation + 1))
                self._tell_admins(plugin, reason)
                return
            except SQLAlchemyError:
                log.warning("the database is busy; %s is taken out of this process meanwhile", plugin)
                time.sleep(1)


def _refuse_in_bridge(info: PluginInfo, other: str, brought: Mapping[str, Sequence[Any]]) -> None:
    """Tables come and go with a plugin, not with the company it keeps; and so do the commands people type."""
    for what, named in (("entity", "kind of record"), ("command", "command")):
        if brought.get(what):
            raise PluginError(
                f"{BRIDGE}{other} brings a {named}, which a plugin must have whether or not '{other}' is there. "
                f"Return it in {info.package}/plugin.py."
            )


def _group(info: PluginInfo, commands: Sequence[click.Command]) -> click.Group:
    """The commands of a plugin as one, under the plugin's name: two plugins may both have an `import`."""
    import click

    return click.Group(info.name, commands=list(commands), help=info.summary)


def _remembered(row: Any) -> PluginInfo:
    """What is known of a plugin whose code is gone."""
    return PluginInfo(row.name, row.distribution or f"rapport-{row.name}", row.version, "")


def _held(connection: Connection, info: PluginInfo, row: Any) -> Obstacle:
    """Why a plugin must wait for its tables."""
    line = migrate.Line(info.name, info.package)
    reason = migrate.pending(connection, line)
    if reason and migrate.ahead(connection, line):
        version = row.version if row is not None else ""
        newer = f"rapport plugins install '{info.distribution}>={version}'"
        return Obstacle(f"{reason} ({info.version}); version {version} made it", f"Install the newer code: {newer}")
    return Obstacle(reason, f"rapport plugins upgrade {info.name}" if reason else "")


def _imported(module: str) -> ModuleType:
    return import_plugin(PluginInfo(module, "rapport-crm", "", module, builtin=True))


__all__ = ["NoSite", "Site"]
