"""Merging and deleting, over every kind of reference there is: found by the registry, custom fields and plugins too."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from rapport import Conflict, Customer, Invalid
from rapport.customers import service
from rapport.customers.service import merge, undo_merge
from rapport.entities import Entity, Field, column_of
from rapport.fit import CustomField
from rapport.plugins import discover
from rapport.records.log import change_log
from rapport.testing.app import TestApp
from rapport.testing.values import Examples
from tests.torture import is_turn, tally, tries

pytestmark = pytest.mark.timeout(1200)
TOUCHED = {"version", "updated_at"}
Way = tuple[str, str]
"""A kind of record, and the name of its field that points at another: `("task", "customer_id")`."""


@pytest.fixture
def everything(make_app: Any) -> Iterator[TestApp]:
    """All that is installed, and a field of an administrator's own that points at a customer."""
    with make_app(plugins=sorted(discover())) as app:
        with app.site.write(app.admin) as unit:
            for entity in ("customer", "task"):
                values = {"entity": entity, "name": "x_known_by", "label": "Known by", "kind": "reference",
                          "target": "customer"}  # fmt: skip
                unit.create(CustomField, values)
        yield app


def ways_to(app: TestApp, target: str) -> list[tuple[type[Entity], Field]]:
    """Every field of every kind of record that may point at such a record."""
    return [
        (entity, reference)
        for entity in app.site.entities
        for reference in app.site.meta(entity).references
        if reference.target == target and not reference.extension
    ]


def abouts(app: TestApp) -> list[type[Entity]]:
    return [entity for entity in app.site.entities if {"about_entity", "about_id"} <= set(entity.meta.fields)]


def point(app: TestApp, examples: Examples, record: Any) -> Counter[Way]:
    """A record of every kind that points at this one, each way that it can; how many there are of each."""
    for entity, reference in ways_to(app, record.meta.name):
        if reference.readonly or not entity.meta.writable:
            continue
        with contextlib.suppress(Invalid, Conflict), app.site.write(app.admin) as unit:
            examples.make(unit, entity, **{reference.name: str(record.id)})
    for entity in abouts(app):
        with contextlib.suppress(Invalid, Conflict), app.site.write(app.admin) as unit:
            examples.make(unit, entity, about_entity=record.meta.name, about_id=str(record.id))
    app.settle()
    return pointing(app, record)


def pointing(app: TestApp, record: Any) -> Counter[Way]:
    """How many records point at this one, by the way they do."""
    found: Counter[Way] = Counter()
    with app.site.db.read() as connection:
        for entity, reference in ways_to(app, record.meta.name):
            where = column_of(entity, reference) == record.id
            found[entity.meta.name, reference.name] = connection.scalar(select(func.count(entity.id)).where(where)) or 0
        for entity in abouts(app):
            columns: Any = entity
            where = (columns.about_entity == record.meta.name) & (columns.about_id == record.id)
            found[entity.meta.name, "about_id"] = connection.scalar(select(func.count(entity.id)).where(where)) or 0
    return +found


def rows(app: TestApp) -> dict[tuple[str, UUID], dict[str, Any]]:
    """Every record, with what its columns hold."""
    found = {}
    with app.site.db.read() as connection:
        for entity in app.site.entities:
            if entity.meta.name == "token":
                continue
            for row in connection.execute(select(entity.__table__)).mappings():
                held = {name: value for name, value in row.items() if name not in TOUCHED}
                held["custom"] = {k: v for k, v in (held.get("custom") or {}).items() if v is not None}
                found[entity.meta.name, row["id"]] = held
    return found


def twins(app: TestApp) -> tuple[Customer, Customer]:
    with app.site.write(app.admin) as unit:
        return unit.create(Customer, {"name": "Ada"}), unit.create(Customer, {"name": "A. Lovelace"})


def test_a_merge_moves_every_kind_of_reference_and_its_undoing_brings_it_back(everything: TestApp):
    app, examples = everything, Examples()
    ada, twin = twins(app)
    theirs = point(app, examples, twin)
    before = rows(app)
    batch = merge(app.site, app.admin, ada.id, [twin.id])
    left, now, after = pointing(app, twin), pointing(app, ada), rows(app)
    assert not left, "still at who was absorbed"
    for way, count in theirs.items():
        lost = before.keys() - after.keys()  # what there may be only once, such as a membership both have
        assert now[way] >= count - len([key for key in lost if key[0] == way[0]]) - (way == ("relation", "other_id")), (
            way
        )
    for key, held in before.items():
        if key in after and key[1] not in {ada.id, twin.id}:
            moved = {name for name, value in held.items() if after[key][name] != value}
            wrong = [name for name in moved if held[name] != twin.id and name != "custom"]
            assert not wrong, f"{key}: {wrong} changed with it"
    app.settle()
    assert undo_merge(app.site, app.admin, batch) == []
    again = rows(app)
    assert {key: held for key, held in again.items() if key in before} == before
    assert pointing(app, twin) == theirs
    assert len(theirs) > 30, theirs
    tally("D8", "a merge and its undoing", tried=len(theirs), lost=0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_merge_that_forgets_a_plugin_is_found(everything: TestApp, monkeypatch: pytest.MonkeyPatch):
    """The control: one kind of record less in the loop that moves."""
    repoint = service._repoint

    def forgetful(unit: Any, entity: type[Entity], *rest: Any) -> int:
        return 0 if entity.meta.name.startswith("sales.") else repoint(unit, entity, *rest)

    monkeypatch.setattr(service, "_repoint", forgetful)
    ada, twin = twins(everything)
    point(everything, Examples(), twin)
    merge(everything.site, everything.admin, ada.id, [twin.id])
    left = pointing(everything, twin)
    assert left
    tally("D8", "a merge and its undoing", control=len(left))


def test_a_deletion_takes_its_parts_and_nothing_else_and_leaves_nobody_pointing_at_nothing(everything: TestApp):
    app, examples = everything, Examples()
    deleted, refused, ways, dangling = [], [], 0, []
    browser, api = app.browser(), app.client
    kinds = sorted(app.site.entities, key=lambda each: each.meta.name)
    kinds = [each for each in kinds if each.meta.writable and (ways_to(app, each.meta.name) or each is Customer)]
    for number, entity in enumerate(kinds):
        if entity is not Customer and not is_turn(number, app.site.db.url):
            continue
        try:
            with app.site.write(app.admin) as unit:
                record = examples.make(unit, entity)
        except (Invalid, Conflict):
            continue
        there = point(app, examples, record)
        ways += len(there)
        before = rows(app)
        try:
            with app.site.write(app.admin) as unit:
                unit.delete(unit.get(entity, record.id))
        except (Conflict, Invalid):
            assert rows(app) == before, f"{entity.meta.name}: refused, and changed all the same"
            refused.append(entity.meta.name)
            continue
        after = rows(app)
        deleted.append(entity.meta.name)
        # What a record is about is a word and an id, no reference: its history outlives what it was about.
        dangling += [(entity.meta.name, way) for way in pointing(app, record) if way[1] != "about_id"]
        gone = before.keys() - after.keys()
        assert (entity.meta.name, record.id) in gone
        with app.site.db.read() as connection:
            logged = {
                (row.entity, row.record_id) for row in
                connection.execute(select(change_log.c.entity, change_log.c.record_id)
                                   .where(change_log.c.action == "deleted"))
            }  # fmt: skip
            assert gone <= logged, f"{entity.meta.name}: gone, and the log does not know: {gone - logged}"
            if app.site.db.is_sqlite:
                assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        for key, held in before.items():
            if key in after:
                changed = {name for name, value in held.items() if after[key][name] != value}
                wrong = [name for name in changed if held[name] != record.id and name != "custom"]
                assert not wrong, f"{entity.meta.name}: with it, {key} lost {wrong}"
    assert not dangling, "they point at nothing"
    for about in abouts(app):
        with app.site.read(app.admin) as reader:
            for left in reader.all(about):
                name = f"{about.meta.name}/{left.id}"
                assert api.get(f"/api/v1/{name}").status_code < 500
                assert browser.get(f"/{name}").status_code < 500
    assert len(deleted) > tries(5, long=10)
    tally("D8", "deletions", tried=ways, kinds=len(deleted), refused=len(refused), lost=0)
