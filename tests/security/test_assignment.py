"""What is not for input stays so by every door: the columns of an import, what a workflow sets, forms, bulk edits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rapport import Customer, Invalid
from rapport.builtin.exchange import imports
from rapport.builtin.webhooks.mapping import check_mapping, parse_mapping
from rapport.plugins import discover
from rapport.testing import TestApp
from rapport.workflows import Workflow
from rapport.workflows.actions import check_fields
from tests.security.world import World
from tests.torture import LONG, tally

SETTING = """name: sets
entity: customer
start: {{event: created}}
initial: one
states:
  one: {{entry: [{{set: {{{name}: 7}}}}], final: true}}
"""
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


def test_no_step_of_a_workflow_sets_them(everything: TestApp) -> None:
    app, tried = everything, 0
    for entity in app.site.entities:
        meta = app.site.meta(entity)
        for name in closed(meta):
            assert check_fields(app.site, meta, {name: "7"}), f"{meta.name}.{name}"
            tried += 1
    for name in closed(app.site.meta(Customer)):
        with pytest.raises(Invalid), app.site.write(app.admin) as unit:
            unit.create(Workflow, {"source": SETTING.format(name=name)})
        tried += 1
    tally("A6", "columns that are not for input, set by workflows", tried=tried, written=0)


def test_no_line_of_an_inbound_hook_fills_them(everything: TestApp) -> None:
    app, tried = everything, 0
    for entity in app.site.entities:
        meta = app.site.meta(entity)
        for name in closed(meta):
            with pytest.raises(Invalid):
                check_mapping(app.site, meta, parse_mapping(f'{name} = "7"'))
            tried += 1
    for name in closed(app.site.meta(Customer)):
        with pytest.raises(Invalid):
            check_mapping(app.site, app.site.meta_named("task"), parse_mapping(f'customer.{name} = "7"'))
        tried += 1
    tally("A6", "columns that are not for input, in mappings of inbound hooks", tried=tried, written=0)


@pytest.mark.timeout(3600 if LONG else 500)
def test_bulk_edits_and_cells_of_lists_set_none_of_them(world: World) -> None:
    manager, tried, wrong = world.principals["manager"], 0, []
    assert manager.browser is not None
    listed = [each for each in world.site.entities if each.meta.listed and each.meta.name in world.north]
    for place, entity in enumerate(listed):
        meta, record_id = world.site.meta(entity), world.north[entity.meta.name]
        for number, name in enumerate(closed(meta)):
            if not LONG and (place + number) % 8:
                continue
            world.touched()
            form = {"ids": str(record_id), "do": "set", "field": name, name: "7", "version": "1"}
            for path in (f"/{meta.name}/bulk", f"/{meta.name}/{record_id}/cell/{name}"):
                answer = manager.browser.post(path, data=form)
                tried += 1
                if answer.status_code < 400 and world.touched() and world.changed():
                    wrong.append(f"{path} {name}")
                    world.put_back()
    assert wrong == []
    tally("A6", "columns that are not for input, in bulk edits and cells", tried=tried, written=0)


def test_an_import_that_takes_every_column_is_found(everything: TestApp, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = imports.targets_of

    def all_of(meta: Any) -> Any:
        return [*targets(meta), *(imports.Target(name, name, "text") for name in meta.fields)]

    monkeypatch.setattr(imports, "targets_of", all_of)
    _tried, taken = taken_by_imports(everything)
    assert len(taken) > 100
    tally("A6", "columns that are not for input, offered to imports", tried=0, control=len(taken))
