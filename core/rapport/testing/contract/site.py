"""What a plugin promises that shows when it runs: alone, on a fresh site, through the API and the pages.

The checks run in this order on one site, first empty, then filled; the last one leaves nothing of the plugin behind.
"""

from __future__ import annotations

import contextlib
import csv
import inspect as code
import io
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import func, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from rapport.access import system
from rapport.access.actors import BUILTIN_ROLES, parse_grants
from rapport.app import create_app
from rapport.builtin.exchange import imports
from rapport.contributions import Action
from rapport.customers import Customer
from rapport.db.tables import metadata
from rapport.entities import Entity, Field
from rapport.errors import Invalid, Problem
from rapport.events import deliver_all
from rapport.figures import wrong_with_dimension, wrong_with_measure
from rapport.http import policy_of
from rapport.jobs import enqueue_job
from rapport.lifecycle import disable, enable, purge, table_counts
from rapport.plugins import State
from rapport.registry import Registry
from rapport.site import Site
from rapport.testing.app import TestApp
from rapport.testing.contract.channels import watch
from rapport.testing.contract.check import Check, Finding
from rapport.testing.contract.plugin import Subject
from rapport.testing.sources import permissions_in
from rapport.testing.values import Examples, value_of, without

Findings = Iterator[Finding]

WORD = r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*"
ENTITY_NAME = re.compile(rf"({WORD})\.({WORD})")
FEW, MANY = 1, 30
"""Records of each kind, while pages are looked at: once with few, once with many."""
SLACK = 3
"""Queries more that a page may need with many records, such as for one more kind of title."""


class Heard(logging.Handler):
    """What was logged about a plugin's failures: most of them leave a page standing, and would go unseen."""

    def __init__(self, plugin: str) -> None:
        super().__init__(logging.ERROR)
        self._plugin = plugin
        self._said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what concerns the plugin."""
        text = record.getMessage()
        if text.startswith(f"{self._plugin} "):
            self._said.append(text)

    def taken(self) -> list[str]:
        """What was heard since the last time, each text once."""
        said, self._said = list(dict.fromkeys(self._said)), []
        return said


@dataclass
class Trial:
    """A fresh site with the plugin switched on, and what was put into it so far."""

    plugin: Subject
    app: TestApp
    heard: Heard
    examples: Examples = field(default_factory=Examples)
    first: dict[str, UUID] = field(default_factory=dict)
    """A record of each kind: the one whose page is looked at."""
    accepted: dict[str, list[str]] = field(default_factory=dict)
    """The fields with which a record of each kind could be made."""
    strays: list[str] = field(default_factory=list)
    """What went out by a channel without having been claimed as a message."""

    @property
    def site(self) -> Site:
        """The site of the trial."""
        return self.app.site

    def own(self, registry: Registry[Any]) -> list[Any]:
        """What the plugin brought of one kind."""
        return [item for item in registry if registry.owner(registry.name_of(item)) == self.plugin.name]

    @property
    def entities(self) -> list[type[Entity]]:
        """The kinds of records it brings."""
        return self.own(self.site.entities)

    @property
    def makeable(self) -> list[type[Entity]]:
        """Those that people make: not those which only the plugin itself writes."""
        return [entity for entity in self.entities if entity.meta.writable]

    def touched(self) -> list[type[Entity]]:
        """The kinds of records whose pages it shows something on, its own and customers among them."""
        names = {panel.slot.rpartition(".")[0] for panel in self.own(self.site.panels)}
        names |= {each.entity for each in (*self.own(self.site.columns), *self.own(self.site.actions))}
        known = [entity for entity in self.site.entities if entity.meta.name in names]
        return list(dict.fromkeys([*self.entities, Customer, *known]))

    def fill(self, count: int) -> None:
        """Make records of every kind it touches until there are so many; what they refer to is one of each kind."""
        for entity in self.touched():
            if not entity.meta.writable:
                continue
            # What cannot be made has been found by a check before.
            with contextlib.suppress(Invalid), self.site.write(self.app.admin) as unit:
                self.first[entity.meta.name] = self.examples.parent(unit, entity.meta.name)
                have, _ = unit.reader.count(entity)
                for _number in range(count - have):
                    self.examples.make(unit, entity)
        self.app.settle()

    def addresses(self) -> list[str]:
        """The pages on which it may show something, with the records there are."""
        found: dict[str, None] = {}
        tabs = [panel for panel in self.own(self.site.panels) if panel.slot.endswith(".tab")]
        for slot in self.site.slots:
            for entity in self.touched() if "{entity}" in slot.page else [Customer]:
                name = entity.meta.name
                if "/board" in slot.page and not entity.meta.staged:
                    continue
                known = {"entity": name, "id": str(self.first.get(name, "")), "query": "a"}
                for panel in tabs if "{template}" in slot.page else [None]:
                    words = {**known, "template": panel.template} if panel is not None else known
                    if all(words.get(word) for word in re.findall(r"{(\w+)}", slot.page)):
                        found[slot.page.format(**words)] = None
        for entity in self.makeable:
            found[f"/{entity.meta.name}/new"] = None
        reports = [f"/reports/{report.name}" for report in self.own(self.site.reports)]
        return [*found, *reports, *self._own_pages()]

    def _own_pages(self) -> list[str]:
        """What people open; what programs ask for stands below /api/, behind a token."""
        names = {str(blueprint.name) for blueprint in self.own(self.site.pages)}
        return [
            rule.rule
            for rule in self.app.flask.url_map.iter_rules()
            if rule.endpoint.partition(".")[0] in names
            and "GET" in (rule.methods or ())
            and not rule.arguments
            and not rule.rule.startswith("/api/")
        ]


# Names ---------------------------------------------------------------------------------------------------------------


def it_loads_alone(trial: Trial) -> Findings:
    """On a site with nothing but itself and what it depends on."""
    found = trial.site.plugins[trial.plugin.name]
    if found.state is not State.ACTIVE:
        yield Finding("loading", f"it is {found.state}: {found.reason}. {found.remedy}")
    yield from _failures(trial)


def its_names_follow_the_grammar(trial: Trial) -> Findings:
    """Entity `visits.visit`, table `visits_visit`, setting `visits.goal`, job `visits.remind`, page `/visits/…`."""
    site, name = trial.site, trial.plugin.name
    for entity in trial.entities:
        yield from (Finding(entity.meta.name, said) for said in misnamed(entity, name))
    for what, registry in (
        ("setting", site.settings.declared),
        ("job", site.jobs),
        ("slot", site.slots),
        ("report", site.reports),
        ("measure", site.measures),
        ("dimension", site.dimensions),
    ):
        for item in trial.own(registry):
            if not re.fullmatch(rf"{name}\.{WORD}", item.name):
                yield Finding(item.name, f"the {what} '{item.name}' must be named '{name}.<{what}>'")
    for panel in trial.own(site.panels):
        if not panel.template.startswith(f"{name}/"):
            yield Finding(panel.template, f"the template '{panel.template}' must lie in templates/{name}/")
    for item in (*trial.own(site.columns), *trial.own(site.actions)):
        if not re.fullmatch(WORD, item.name):
            yield Finding(item.name, f"'{item.name}' must be a word in small letters")
    yield from _stray_routes(trial)


def misnamed(entity: type[Entity], owner: str) -> Iterator[str]:
    """What is wrong with the names of an entity of a plugin; `owner` is empty for core's."""
    name = entity.meta.name
    right = ENTITY_NAME.fullmatch(name)
    if not (right and right[1] == owner if owner else re.fullmatch(WORD, name)):
        yield f"the entity '{name}' must be named '{owner}.<noun>', in small letters"
    if entity.__tablename__ != name.replace(".", "_"):
        yield f"{name}: the table is called {entity.__tablename__}"
    for text in (entity.meta.title, entity.meta.plural):
        if not text[:1].isupper():
            yield f"{name}: title and plural begin with a capital: '{text}'"
    for reference in entity.meta.references:
        if reference.name != "id" and not reference.name.endswith("_id"):
            yield f"{name}: the reference '{reference.name}' must be named '{reference.name}_id'"


def _stray_routes(trial: Trial) -> Findings:
    name = trial.plugin.name
    places = (f"/{name}", f"/{name}.", f"/api/v1/{name}.")
    blueprints = {str(blueprint.name) for blueprint in trial.own(trial.site.pages)}
    for rule in trial.app.flask.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] not in blueprints:
            continue
        if rule.rule != places[0] and not rule.rule.startswith((f"{places[0]}/", *places[1:])):
            yield Finding(rule.rule, f"the page {rule.rule} must lie below /{name}")


def its_permissions_exist(trial: Trial) -> Findings:
    """What nobody can be granted locks everybody out but administrators."""
    site, app = trial.site, trial.app.flask
    known = {"", "public", *(e.meta.permission(action) for e in site.entities for action in e.meta.actions)}
    asked = [
        (each.title, each.needs or "")
        for registry in (site.panels, site.navigation, site.columns, site.actions, site.reports)
        for each in trial.own(registry)
    ]
    blueprints = {str(blueprint.name) for blueprint in trial.own(site.pages)}
    asked += [
        (endpoint, policy_of(view) or "")
        for endpoint, view in app.view_functions.items()
        if endpoint.partition(".")[0] in blueprints
    ]
    asked += [(module.path, found) for module in trial.plugin.sources for _line, found in permissions_in(module)]
    for what, permission in asked:
        if permission not in known:
            yield Finding(permission, f"{what}: there is no permission '{permission}'")


def its_roles_are_granted_what_fits(trial: Trial) -> Findings:
    """Every grant is an action with a reach, and whoever only views changes nothing."""
    for entity in trial.entities:
        for role, text in entity.meta.roles.items():
            try:
                granted = parse_grants(entity.meta, text)
            except ValueError as error:
                yield Finding(entity.meta.name, str(error))
                continue
            changing = [each for each in granted if each.rpartition(".")[2] not in {"read", "export"}]
            if role == "viewer" and changing:
                yield Finding(entity.meta.name, f"{entity.meta.name}: viewers are granted {', '.join(changing)}")
            if role not in BUILTIN_ROLES and not re.fullmatch(WORD, role):
                yield Finding(entity.meta.name, f"{entity.meta.name}: '{role}' cannot name a role")


def its_figures_name_what_exists(trial: Trial) -> Findings:
    """Every measure and dimension: kinds of records, fields, filters and currencies, and a value the database knows."""
    site = trial.site
    for dimension in trial.own(site.dimensions):
        yield from (Finding(dimension.name, said) for said in wrong_with_dimension(site, dimension))
    for measure in trial.own(site.measures):
        found = wrong_with_measure(site, measure)
        yield from (Finding(measure.name, said) for said in found)
        if not found and callable(measure.value):
            entity = site.entities[measure.of]
            with site.read(trial.app.admin) as reader:
                try:
                    value = measure.value(entity)
                    reader.session.execute(select(func.min(value)).where(*reader.conditions(entity))).all()
                except (SQLAlchemyError, AttributeError, TypeError) as error:
                    said = str(error).partition("\n")[0]
                    yield Finding(measure.name, f"{measure.name}: its value cannot be worked out: {said}")


# Tables --------------------------------------------------------------------------------------------------------------


def its_tables_equal_its_migrations(trial: Trial) -> Findings:
    """What `rapport db upgrade` makes is what the entities say, so that no change is forgotten."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    name = trial.plugin.name
    own = {table.name for table in metadata.sorted_tables if table.info.get("owner") == name}

    def ours(_object: Any, table: str | None, kind: str, reflected: bool, _other: Any) -> bool:
        stray = reflected and str(table).startswith(f"{name}_") and table not in metadata.tables
        return kind != "table" or table in own or stray

    with trial.site.db.read() as connection:
        options = {"include_object": ours, "compare_type": True}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    for difference in differences:
        said = str(difference[0] if isinstance(difference, list) else difference)
        yield Finding("tables", f"{said[:200]}. Write what is missing: rapport db revision {name}")


# Pages, while there is nothing ---------------------------------------------------------------------------------------


def its_pages_stand_while_there_is_nothing(trial: Trial) -> Findings:
    """The first minute after it was switched on."""
    yield from _look(trial, trial.app.browser())


def _look(trial: Trial, browser: FlaskClient) -> Findings:
    """Whether every page stands on which it may show something, and whether none of its pieces failed."""
    for address in trial.addresses():
        answer = browser.get(address)
        if answer.status_code >= 400:
            yield Finding(address, f"{address} answers {answer.status_code}")
        yield from (replace(finding, said=f"{address}: {finding.said}") for finding in _failures(trial))


def _failures(trial: Trial) -> Findings:
    for said in trial.heard.taken():
        yield Finding(said.partition(":")[0], said)


# Records -------------------------------------------------------------------------------------------------------------


def every_kind_of_record_can_be_made_listed_and_changed(trial: Trial) -> Findings:
    """Through the API, with values that fit the fields."""
    client = trial.app.client
    for entity in trial.makeable:
        name, url = entity.meta.name, f"/api/v1/{entity.meta.name}"
        made, why = _post(trial, client, entity)
        if made is None:
            yield Finding(name, f"{name} cannot be made: {why}")
            continue
        trial.first.setdefault(name, UUID(made["id"]))
        listed = client.get(url, query_string={"filter": f'id = "{made["id"]}"'})
        if [item["id"] for item in listed.get_json().get("items", ())] != [made["id"]]:
            yield Finding(name, f"{name} was made, and the list does not show it: {listed.get_data(as_text=True)}")
        if why := _change(trial, client, entity, made["id"]):
            yield Finding(name, f"{name} cannot be changed: {why}")
    yield from _failures(trial)


def _post(trial: Trial, client: FlaskClient, entity: type[Entity]) -> tuple[dict[str, Any] | None, str]:
    """Make a record with everything that may be given; what a rule of its own refuses is left out."""
    why = ""
    with trial.site.write(trial.app.admin) as unit:
        tries = [trial.examples.values(unit, entity, whole=whole) for whole in (True, False)]
    while tries:
        values = tries.pop(0)
        answer = client.post(f"/api/v1/{entity.meta.name}", json=values)
        said = answer.get_json()
        if answer.status_code == 201:
            trial.accepted[entity.meta.name] = list(values)
            return said, ""
        why = why or f"{answer.status_code} {said.get('detail', '')}"
        problems = [Problem(each["field"], each["message"]) for each in said.get("errors", ())]
        try:
            tries.insert(0, without(entity, values, Invalid(problems)))
        except Invalid:
            continue
    return None, why


def _change(trial: Trial, client: FlaskClient, entity: type[Entity], record_id: str) -> str:
    """Change one field after the other until one may be changed; why none could."""
    url, why = f"/api/v1/{entity.meta.name}/{record_id}", "none of its fields can be changed"
    simple = [each for each in entity.meta.writable if each.target is None and each.kind not in {"file", "id", "json"}]
    for each in simple:
        trial.examples.number += 1
        tag = client.get(url).headers["ETag"]
        currency = each.name in {other.currency for other in entity.meta.fields.values()}
        values = {each.name: value_of(each, trial.examples.number, currency=currency)}
        answer = client.patch(url, json=values, headers={"If-Match": tag})
        if answer.status_code == 200:
            return ""
        why = answer.get_data(as_text=True)
    return why if simple else ""


def every_kind_of_record_can_be_exported_and_imported(trial: Trial) -> Findings:
    """What was exported comes in again without a change, and a new list makes records."""
    for entity in trial.makeable:
        name = entity.meta.name
        answer = trial.app.client.get(f"/api/v1/{name}/export", query_string={"format": "csv"}, buffered=True)
        if answer.status_code != 200:
            yield Finding(name, f"{name} cannot be exported: {answer.get_data(as_text=True)}")
            continue
        again = _import(trial, entity, answer.get_data())
        if again.refused or again.created:
            why = _reasons(trial, again)
            yield Finding(name, f"{name}: what was exported does not come in again as it was: {why}")
        for _attempt in range(2):  # one example may hold a choice that a rule refuses, such as a lead's “Converted”
            with trial.site.write(trial.app.admin) as unit:
                fitting = trial.examples.values(unit, entity, whole=True)
            accepted = trial.accepted.get(name, ())
            values = {key: value for key, value in fitting.items() if key in accepted and not isinstance(value, dict)}
            new = _import(trial, entity, _as_csv(values))
            if new.created == 1:
                break
        else:
            yield Finding(name, f"{name}: a list with {', '.join(values)} does not come in: {_reasons(trial, new)}")
    yield from _failures(trial)


def _import(trial: Trial, entity: type[Entity], file: bytes) -> imports.Run:
    site, admin = trial.site, trial.app.admin
    return imports.run(site, admin, imports.start(site, admin, entity.meta.name, file, "list.csv").id)


def _reasons(trial: Trial, run: imports.Run) -> str:
    found = imports.problems(trial.site, trial.app.admin, run.id, limit=3)
    return "; ".join(f"{each.field} {each.message}" for each in found) or f"created {run.created}"


def _as_csv(values: Mapping[str, Any]) -> bytes:
    written = io.StringIO()
    table = csv.DictWriter(written, list(values))
    table.writeheader()
    table.writerow({name: ", ".join(value) if isinstance(value, list) else value for name, value in values.items()})
    return written.getvalue().encode()


def a_viewer_changes_nothing(trial: Trial) -> Findings:
    """Whoever has the role viewer makes, changes and deletes no record, and presses no button."""
    viewer = trial.app.actors().viewer
    client = trial.app.api(viewer)
    for entity in trial.makeable:
        name, url = entity.meta.name, f"/api/v1/{entity.meta.name}"
        one = f"{url}/{trial.first.get(name, UUID(int=0))}"
        tag = {"If-Match": '"1"'}
        for said, answer in (
            ("make", client.post(url, json={})),
            ("change", client.patch(one, json={}, headers=tag)),
            ("delete", client.delete(one, headers=tag)),
            ("archive", client.post(f"{one}/archive")),
        ):
            if answer.status_code not in {403, 404}:
                yield Finding(name, f"a viewer may {said} {name}: {answer.status_code}")
    for action in trial.own(trial.site.actions):
        if viewer.may(action.needs):
            yield Finding(action.name, f"a viewer may press '{action.title}' on {action.entity}")


# Pages, while there are records --------------------------------------------------------------------------------------


def its_pages_stand_when_there_are_records(trial: Trial) -> Findings:
    """Panels, columns, figures and moments, for an administrator and for a viewer."""
    trial.fill(FEW)
    yield from _failures(trial)
    yield from _look(trial, trial.app.browser())
    viewer = trial.app.browser(trial.app.actors().viewer)
    for address in trial.addresses():
        if viewer.get(address).status_code >= 500:
            yield Finding(address, f"{address} fails for a viewer")
        yield from (replace(finding, said=f"{address}: {finding.said}") for finding in _failures(trial))


def its_queries_do_not_grow_with_the_records(trial: Trial) -> Findings:
    """A list is one query plus one for each kind of thing beside it, however many rows it has."""
    browser = trial.app.browser()
    trial.fill(FEW)
    few = {address: _queries(trial, browser, address) for address in trial.addresses()}
    trial.fill(MANY)
    for address, usual in few.items():
        # Now and then a request also looks up who asks; another look tells.
        many = _queries(trial, browser, address)
        if many > usual + SLACK:
            many = min(_queries(trial, browser, address) for _ in range(3))
        if many > usual + SLACK:
            said = f"{address} needs {usual} queries with a record of each kind, and {many} with {MANY}"
            yield Finding(address, said)


def _queries(trial: Trial, browser: FlaskClient, address: str) -> int:
    with trial.app.queries() as sent:
        browser.get(address)
    return len(sent)


def every_button_works(trial: Trial) -> Findings:
    """On a record it applies to, with values that fit what it asks for."""
    browser = trial.app.browser()
    for action in trial.own(trial.site.actions):
        record = _applicable(trial, action)
        if record is None:
            continue
        form = _form(trial, action.fields)
        answer = trial.app.submit(browser, f"/{action.entity}/{record.id}/do/{action.name}", form)
        if answer.status_code >= 400:
            said = re.sub(r"<[^>]*>|\s+", " ", answer.get_data(as_text=True))[:300]
            yield Finding(action.name, f"'{action.title}' on {action.entity} answers {answer.status_code}: {said}")
    trial.app.settle()
    yield from _failures(trial)


def _applicable(trial: Trial, action: Action) -> Any:
    """A record on which the button stands; a fresh one, as buttons change what they are pressed on."""
    entity = trial.site.entities[action.entity]
    with trial.site.write(trial.app.admin) as unit:
        fresh = trial.examples.make(unit, entity) if entity.meta.writable else None
        return next(
            (each for each in (fresh, *unit.reader.all(entity)) if each is not None and action.applies(each)), None
        )


def _form(trial: Trial, fields: Sequence[Field]) -> dict[str, str]:
    """What somebody types who fills in everything."""
    trial.examples.number += 1
    typed: dict[str, str] = {}
    for each in fields:
        if each.target is not None:
            with trial.site.write(trial.app.admin) as unit:
                pointed = trial.examples.parent(unit, each.target) if each.target != "user" else trial.app.admin.id
            typed[each.name] = str(pointed)
        elif each.kind == "address":
            value = value_of(each, trial.examples.number)
            typed |= {f"{each.name}.{part}": text for part, text in value.items()}
        elif each.kind not in {"file", "json", "id"}:
            value = value_of(each, trial.examples.number)
            typed[each.name] = {True: "true", False: "false"}.get(value, "") if isinstance(value, bool) else (
                ", ".join(value) if isinstance(value, list) else str(value)
            )  # fmt: skip
    return typed


def nothing_goes_out_past_the_gate(trial: Trial) -> Findings:
    """Whatever its pages, buttons, events and jobs did so far, its channels were handed claimed messages only."""
    for job in trial.own(trial.site.jobs):
        if not _asks_for_more(job.run):
            with trial.site.db.write() as connection:
                enqueue_job(connection, job.name, {}, actor=system("contract"))
    trial.app.settle()
    for stray in dict.fromkeys(trial.strays):
        yield Finding("channels", stray)


def _asks_for_more(run: Callable[..., Any]) -> bool:
    """Whether a job needs arguments beside its context, so that nobody could start it just so."""
    _context, *others = code.signature(run).parameters.values()
    return any(each.default is each.empty and each.kind is not each.VAR_KEYWORD for each in others)


# Beside others -------------------------------------------------------------------------------------------------------


def its_bridges_stand_where_the_others_are_there(trial: Trial) -> Findings:
    """With every installed plugin that it has a bridge to, what it brings for them loads and keeps these promises."""
    others = [bridge.other for bridge in trial.site.plugins[trial.plugin.name].bridges]
    if not others:
        return
    config = replace(trial.site.config, plugins=None)
    fresh = enable(config, *others)
    app = create_app(config)
    site: Site = app.extensions["rapport"]
    strays, end = watch(site)
    try:
        deliver_all(site)
        together = replace(trial, app=TestApp(site, app), strays=strays)
        for bridge in site.plugins[trial.plugin.name].bridges:
            if bridge.state is not State.ACTIVE:
                yield Finding(f"with {bridge.other}", f"with {bridge.other} it is {bridge.state}: {bridge.reason}")
        for check in (
            its_names_follow_the_grammar,
            its_permissions_exist,
            its_figures_name_what_exists,
            its_pages_stand_when_there_are_records,
            every_button_works,
            nothing_goes_out_past_the_gate,
        ):
            yield from (replace(each, said=f"together: {each.said}") for each in check(together))
    finally:
        end()
        site.close()
        for each in reversed(fresh):
            disable(config, each)


# Off, on, away -------------------------------------------------------------------------------------------------------


def what_is_switched_off_keeps_its_rows(trial: Trial) -> Findings:
    """Off, nothing of it is there but its rows; on again, they are as they were."""
    name, config = trial.plugin.name, replace(trial.site.config, plugins=None)
    before = _rows(trial)
    disable(config, name)
    site = Site.open(config)
    stayed = [entity.meta.name for entity in trial.entities if entity.meta.name in site.entities]
    site.close()
    if stayed:
        yield Finding("off", f"switched off, it still brings {', '.join(stayed)}")
    if _rows(trial) != before:
        yield Finding("off", f"switched off, its rows are {_rows(trial)}; they were {before}")
    enable(config, name)
    site = Site.open(config)
    if not site.active(name):
        yield Finding("on", f"switched on again, it is {site.plugins[name].state}: {site.plugins[name].reason}")
    site.close()
    trial.app.settle()
    after = _rows(trial)
    if lost := {table: rows for table, rows in before.items() if after.get(table, 0) < rows}:
        yield Finding("on", f"switched on again, rows are missing: {lost}")
    yield from _failures(trial)


def purging_takes_all_its_tables_along(trial: Trial) -> Findings:
    """Whoever asks for its data to be deleted finds nothing of it afterwards."""
    name, config = trial.plugin.name, replace(trial.site.config, plugins=None)
    disable(config, name)
    purge(config, name)
    with trial.site.db.read() as connection:
        its = re.compile(rf"{re.escape(name)}(_.*)?|alembic_version_{re.escape(name)}")
        left = [table for table in inspect(connection).get_table_names() if its.fullmatch(table)]
    for table in left:
        yield Finding(table, f"the table {table} is still there after a purge")


def _rows(trial: Trial) -> dict[str, int]:
    with trial.site.db.read() as connection:
        return table_counts(connection, trial.plugin.name)


CHECKS = tuple(
    Check(function)
    for function in (
        it_loads_alone,
        its_names_follow_the_grammar,
        its_permissions_exist,
        its_roles_are_granted_what_fits,
        its_figures_name_what_exists,
        its_tables_equal_its_migrations,
        its_pages_stand_while_there_is_nothing,
        every_kind_of_record_can_be_made_listed_and_changed,
        every_kind_of_record_can_be_exported_and_imported,
        a_viewer_changes_nothing,
        its_pages_stand_when_there_are_records,
        its_queries_do_not_grow_with_the_records,
        every_button_works,
        nothing_goes_out_past_the_gate,
        its_bridges_stand_where_the_others_are_there,
        what_is_switched_off_keeps_its_rows,
        purging_takes_all_its_tables_along,
    )
)
