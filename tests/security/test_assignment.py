"""What is not for input stays so by every door: the columns of an import, what a workflow sets, forms, bulk edits."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from rapport import Customer, Invalid, Problem
from rapport.builtin.exchange import imports
from rapport.builtin.webhooks.mapping import check_mapping, parse_mapping
from rapport.entities import Field
from rapport.plugins import discover
from rapport.testing import TestApp
from rapport.workflows import Workflow
from rapport.workflows.actions import check_fields
from tests.security.walk import NOTED, Found
from tests.security.world import World
from tests.torture import LONG, tally

SETTING = """name: sets{number}
entity: customer
start: {{event: created}}
initial: one
states:
  one: {{entry: [{{set: {{{name}: 7}}}}], final: true}}
"""
ONE_BY_ONE = "columns that are not for input: one by one, in a new record, in a bulk line, in a form"
NEVER = ("_sa_instance_state", "__class__", "meta", "custom")


def closed(meta: Any) -> list[str]:
    """What nobody may put into a kind of record: what Rapport sets itself, secrets, and what is no field at all."""
    open_ = {f.name for f in meta.writable if not f.secret} | {"id"}
    return [name for name in (*meta.fields, *NEVER) if name not in open_]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestApp]:
    """A site with every plugin, and nothing in it."""
    from rapport.testing.app import make_test_site

    with make_test_site(tmp_path_factory.mktemp("assignment"), plugins=sorted(discover())) as app:
        yield app


def taken_by_imports(app: TestApp) -> tuple[int, list[str]]:
    """How many columns were offered to imports, and those that one took: as a column, as a constant, as a key."""
    tried, taken = 0, []
    for entity in app.site.entities:
        meta = app.site.meta(entity)
        names = closed(meta)
        if not meta.writable or not names:
            continue
        run = imports.start(
            app.site, app.admin, meta.name, f"{';'.join(names)}\n{';7' * len(names)}\n".encode(), "f.csv"
        )
        taken += [f"guessed {meta.name}.{name}" for name in set(run.mapping.values()) & set(names)]
        for name in names:
            for decided in ({"mapping": {name: name}}, {"constants": {name: "7"}}, {"match_by": [name]}):
                tried += 1
                try:
                    imports.decide(app.site, app.admin, run.id, **decided)
                except Invalid:
                    continue
                taken.append(f"{meta.name}.{name} {decided}")
        imports.forget(app.site, app.admin, run.id)
    return tried, taken


def test_imports_take_no_column_that_is_not_for_input(everything: TestApp) -> None:
    tried, taken = taken_by_imports(everything)
    assert taken == []
    tally("A6", "columns that are not for input, offered to imports", tried=tried, written=0)


def test_a_record_that_an_import_makes_on_the_way_has_no_other_columns_either(everything: TestApp) -> None:
    app = everything
    names = closed(app.site.meta(Customer))
    for name in names:
        run = imports.start(app.site, app.admin, "customer", b"Name,Organisation\nAda,Works\n", "f.csv")
        try:
            imports.decide(app.site, app.admin, run.id, constants={f"organisation_id.{name}": "7"},
                           on_missing={"organisation_id": "create"})  # fmt: skip
            done = imports.run(app.site, app.admin, run.id)
        except Invalid:
            continue
        assert (done.added, done.created) == (0, 0), name
    with app.site.read(app.admin) as reader:
        assert reader.all(Customer, Customer.name == "Works") == []
    tally("A6", "columns that are not for input, offered to imports", tried=len(names), written=0)


def all_closed(app: TestApp) -> dict[str, list[str]]:
    """What nobody may put into a record, by its kind."""
    return {entity.meta.name: closed(app.site.meta(entity)) for entity in app.site.entities}


def for_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defect: every field says that it is one for input, and is loaded as one."""

    def load(meta: Any, values: Mapping[str, Any], **_how: bool) -> dict[str, Any]:
        try:
            return {name: meta.fields[name].load(value) for name, value in values.items()}
        except (KeyError, ValueError) as error:
            raise Invalid(Problem(None, str(error))) from None

    for name in ("readonly", "secret"):
        monkeypatch.setattr(Field, name, property(lambda _field: False, lambda _field, _value: None))
    monkeypatch.setattr("rapport.records.unit.load_values", load)


def taken_by_workflows(app: TestApp, columns: Mapping[str, Sequence[str]]) -> tuple[int, list[str]]:
    """How many columns were named in steps that set fields, and those that one may set."""
    tried, taken = 0, []
    for kind, names in columns.items():
        for name in names:
            tried += 1
            if not check_fields(app.site, app.site.meta_named(kind), {name: "7"}):
                taken.append(f"{kind}.{name}")
    for number, name in enumerate(columns["customer"]):
        tried += 1
        with contextlib.suppress(Invalid), app.site.write(app.admin) as unit:
            unit.create(Workflow, {"source": SETTING.format(number=number, name=name)})
            taken.append(f"a definition: customer.{name}")
    return tried, taken


def taken_by_hooks(app: TestApp, columns: Mapping[str, Sequence[str]]) -> tuple[int, list[str]]:
    """How many columns were named in mappings of inbound hooks, and those that a line may fill."""
    customers = {f"customer.{name}": "task" for name in columns["customer"]}
    lines = [*((name, kind) for kind, names in columns.items() for name in names), *customers.items()]
    taken = []
    for name, kind in lines:
        with contextlib.suppress(Invalid):
            check_mapping(app.site, app.site.meta_named(kind), parse_mapping(f'{name} = "7"'))
            taken.append(f"{kind}: {name}")
    return len(lines), taken


DOORS = [
    ("set by workflows", taken_by_workflows, "a definition"),
    ("in mappings of inbound hooks", taken_by_hooks, "task: customer."),
]
"""How columns are named there, how many are taken, and how the rarer way of naming them begins."""


@pytest.mark.parametrize(("how", "taken_by", "_rarer"), DOORS, ids=["workflows", "hooks"])
def test_no_such_column_is_taken(everything: TestApp, how: str, taken_by: Any, _rarer: str) -> None:
    tried, taken = taken_by(everything, all_closed(everything))
    assert taken == []
    tally("A6", f"columns that are not for input, {how}", tried=tried, written=0)


@pytest.mark.parametrize(("how", "taken_by", "rarer"), DOORS, ids=["workflows", "hooks"])
def test_what_takes_such_columns_is_found(
    everything: TestApp, monkeypatch: pytest.MonkeyPatch, how: str, taken_by: Any, rarer: str
) -> None:
    columns = all_closed(everything)
    for_input(monkeypatch)
    _tried, taken = taken_by(everything, columns)
    assert len(taken) > 100
    assert [each for each in taken if each.startswith(rarer)]
    tally("A6", f"columns that are not for input, {how}", tried=0, control=len(taken))


def written_in_lists(world: World, offers: Iterable[tuple[str, str]]) -> tuple[int, list[str]]:
    """How often a column was offered to a bulk edit and to a cell of a list, and what was written by that."""
    manager, tried, wrong = world.principals["manager"], 0, []
    assert manager.browser is not None
    for kind, name in offers:
        record_id = world.north[kind]
        with world.site.read(world.app.admin) as reader:
            version = reader.get(world.site.entities[kind], record_id).version
        world.touched()
        form = {"ids": str(record_id), "do": "set", "field": name, name: "7", "version": str(version)}
        for path in (f"/{kind}/bulk", f"/{kind}/{record_id}/cell/{name}"):
            answer = manager.browser.post(path, data=form)
            tried += 1
            if answer.status_code < 400 and world.touched() and world.changed():
                wrong.append(f"{path} {name}")
                world.put_back()
    return tried, wrong


@pytest.mark.timeout(3600 if LONG else 500)
def test_bulk_edits_and_cells_of_lists_set_none_of_them(world: World) -> None:
    listed = [each for each in world.site.entities if each.meta.listed and each.meta.name in world.north]
    offers = [
        (entity.meta.name, name)
        for place, entity in enumerate(listed)
        for number, name in enumerate(closed(world.site.meta(entity)))
        if LONG or (place + number) % 8 == 0
    ]
    tried, wrong = written_in_lists(world, offers)
    assert wrong == []
    tally("A6", "columns that are not for input, in bulk edits and cells", tried=tried, written=0)


def test_a_bulk_edit_and_a_cell_that_set_whatever_is_named_are_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers = [("customer", name) for name in closed(world.site.meta(Customer))]
    for_input(monkeypatch)
    try:
        _tried, wrong = written_in_lists(world, offers)
    finally:
        monkeypatch.undo()
        world.put_back()
    assert {"bulk" in each for each in wrong} == {True, False}
    tally("A6", "columns that are not for input, in bulk edits and cells", tried=0, control=len(wrong))


def test_an_import_that_takes_every_column_is_found(everything: TestApp, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = imports.targets_of

    def all_of(meta: Any) -> Any:
        return [*targets(meta), *(imports.Target(name, name, "text") for name in meta.fields)]

    monkeypatch.setattr(imports, "targets_of", all_of)
    _tried, taken = taken_by_imports(everything)
    assert len(taken) > 100
    tally("A6", "columns that are not for input, offered to imports", tried=0, control=len(taken))


def one_by_one(world: World, found: Found, offers: Mapping[str, Sequence[str]]) -> None:
    """As the manager, who may change most records: each column in a request and in a line of its own, and all of them
    in a new record and in a form."""
    manager = world.principals["manager"]
    assert manager.api is not None
    assert manager.browser is not None
    for kind, names in offers.items():
        path, record_id, fields = f"/api/v1/{kind}", world.north[kind], world.site.meta_named(kind).fields
        before = _values(world, kind)
        version = before["version"]
        for name in names:
            answer = manager.api.patch(f"{path}/{record_id}", json={name: "7"}, headers={"If-Match": f'"{version}"'})
            _refused(world, found, f"{kind}.{name}", answer.status_code)
        answer = manager.api.post(path, json=dict.fromkeys(names, "7"))
        _refused(world, found, f"a new {kind}", answer.status_code, columns=len(names))
        if answer.status_code == 422 and (untold := {*names} - {each["field"] for each in answer.json["errors"]}):
            found.wrong[f"a new {kind}"] = f"may have {sorted(untold)}"
        lines = [{"op": "update", "id": str(record_id), "version": version, "values": {name: "7"}} for name in names]
        answer = manager.api.post(f"{path}/bulk", data="\n".join(map(json.dumps, lines)),
                                  content_type="application/x-ndjson")  # fmt: skip
        told = [json.loads(line)["status"] for line in answer.get_data(as_text=True).splitlines()]
        _refused(world, found, f"lines of {kind}", *told, columns=len(names))
        if world.site.meta_named(kind).listed:
            meant = _meant(fields[name] for name in names if name in fields)
            form = {**dict.fromkeys({*NEVER, *meant}, "7"), "version": version}
            manager.browser.post(f"/{kind}/{record_id}/edit", data=form)
            found.cells += len(form) - 1
            after = _values(world, kind)
            if taken := [name for name in meant if after[name] == meant[name] != before[name]]:
                found.wrong[f"form of {kind}"] = str(taken)
        world.put_back()


def _meant(fields: Iterable[Field]) -> dict[str, Any]:
    """What these become by "7"; those for which that cannot be meant are left out, as they would spoil a form."""
    meant = {}
    for field in fields:
        with contextlib.suppress(ValueError, Invalid):
            meant[field.name] = field.load("7")
    return meant


def _values(world: World, kind: str) -> dict[str, Any]:
    """All that one of a kind holds, also what is kept beside it."""
    with world.site.read(world.app.admin) as reader:
        record = reader.get(world.site.entities[kind], world.north[kind])
        return {name: getattr(record, name) for name in world.site.meta_named(kind).fields}


def _refused(world: World, found: Found, what: str, *statuses: int, columns: int = 1) -> None:
    """Note it when something was not refused, and when it changed anything."""
    found.cells += columns
    if wrong := [status for status in statuses if not 400 <= status < 500]:
        found.wrong[what] = str(wrong)
    if world.touched() and (changed := set(world.changed()) - NOTED.keys()):
        found.wrong[f"changed by {what}"] = str(changed)
        world.put_back()


def test_fields_that_are_not_for_input_are_refused_whichever_way_they_come(world: World) -> None:
    found = Found()
    one_by_one(world, found, {kind: names for kind, names in all_closed(world.app).items() if kind in world.north})
    assert found.wrong == {}
    tally("A6", ONE_BY_ONE, tried=found.cells, written=0)


def test_a_record_that_takes_every_column_is_found_whichever_way_they_come(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, offers = Found(), {"customer": closed(world.site.meta(Customer))}
    for_input(monkeypatch)
    try:
        one_by_one(world, found, offers)
    finally:
        monkeypatch.undo()
        world.put_back()
    ways = {"customer.insights_purchases", "a new customer", "lines of customer", "form of customer"}
    assert found.wrong.keys() >= ways
    tally("A6", ONE_BY_ONE, tried=0, control=len(found.wrong))
    tally("D22", "defects of access made on purpose", tried=1, killed=1)
