"""The copy says what the records say: after anything that may happen to them, of every kind of record there is."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import pytest
from rapport_warehouse import calendars, history, reading, refresh, warehouse
from rapport_warehouse.shape import shapes
from sqlalchemy import func, select

from rapport import Customer, Invalid, RapportError, Staged, move, stages_of
from rapport.customers.erasing import erase
from rapport.customers.service import merge, undo_merge
from rapport.entities import table_of
from rapport.plugins import discover
from rapport.records.session import ScopedSession
from rapport.testing.values import Examples, value_of

EVERYTHING = pytest.mark.plugins(*discover())


def holds(site):
    """Every table of the warehouse, whole."""
    tables = [*(shape.table for shape in shapes(site).values()), history.TABLE, calendars.TABLE]
    with warehouse(site) as connection:
        return {table: Counter(map(repr, connection.exec_driver_sql(f'SELECT * FROM "{table}"'))) for table in tables}


def fill(app, examples, actors):
    """Some records of every kind, as far as they can be made without knowing it."""
    made = Counter()
    for entity in app.site.entities:
        for owner in (actors.member, actors.stranger):
            mine = {"owner_id": str(owner.id)} if entity.meta.owned else {}
            try:
                with app.site.write(app.admin) as unit:
                    examples.make(unit, entity, **mine)
                    made[entity.meta.name] += 1
            except RapportError:  # its rules ask for more
                break
    return made


THINGS = ("make", "edit", "edit", "archive", "restore", "delete", "move", "merge", "part", "erase")


class Business:
    """Things that happen to records, by chance."""

    def __init__(self, app, examples, seed):
        self.app, self.site, self.examples = app, app.site, examples
        self.chance = random.Random(seed)
        self.entities = sorted(app.site.entities, key=lambda entity: entity.meta.name)
        self.done = Counter()
        self.merged = []

    def some(self, unit, entity):
        ids = unit.session.scalars(select(entity.id).order_by(entity.id)).all()
        return unit.get(entity, self.chance.choice(ids)) if ids else None

    def happen(self):
        name = self.chance.choice(THINGS)
        try:
            getattr(self, name)()
            self.done[name] += 1
        except RapportError:  # a rule is against it: then nothing happens
            pass

    def make(self):
        with self.site.write(self.app.admin) as unit:
            self.examples.make(unit, self.chance.choice(self.entities))

    def edit(self):
        with self.site.write(self.app.admin) as unit:
            record = self.some(unit, entity := self.chance.choice(self.entities))
            fields = [
                f for f in entity.meta.writable if not f.secret and f.target is None and f.kind not in {"file", "id"}
            ]
            if record is None or not fields:
                raise Invalid(())
            field = self.chance.choice(fields)
            unit.update(record, {field.name: value_of(field, self.chance.randrange(9999))})

    def _with_one(self, what):
        with self.site.write(self.app.admin) as unit:
            record = self.some(unit, self.chance.choice(self.entities))
            if record is None or record.meta.name in {"user", "user_role", "role"}:
                raise Invalid(())
            getattr(unit, what)(record)

    def archive(self):
        self._with_one("archive")

    def restore(self):
        self._with_one("restore")

    def delete(self):
        self._with_one("delete")

    def move(self):
        with self.site.write(self.app.admin) as unit:
            staged = [entity for entity in self.entities if issubclass(entity, Staged)]
            record = self.some(unit, self.chance.choice(staged)) if staged else None
            stages = stages_of(unit.session, record.meta.name) if record is not None else ()
            if not stages:
                raise Invalid(())
            move(unit, record, self.chance.choice(stages).id)

    def merge(self):
        with self.site.read(self.app.admin) as reader:
            ids = reader.session.scalars(select(Customer.id).where(Customer.archived_at.is_(None))).all()
        if len(ids) < 2:
            raise Invalid(())
        survivor, absorbed = self.chance.sample(ids, 2)
        self.merged.append(merge(self.site, self.app.admin, survivor, [absorbed]))

    def part(self):
        if not self.merged:
            raise Invalid(())
        undo_merge(self.site, self.app.admin, self.merged.pop())

    def erase(self):
        with self.site.read(self.app.admin) as reader:
            ids = reader.session.scalars(select(Customer.id).order_by(Customer.id)).all()
        erase(self.site, self.app.admin, self.chance.choice(ids))


@pytest.mark.timeout(300)
@EVERYTHING
def test_after_anything_a_refresh_holds_what_filling_anew_would(app, actors, monkeypatch):
    monkeypatch.setattr(reading, "AT_FIRST", 3)
    monkeypatch.setattr(reading, "AT_ONCE", 4)
    examples = Examples()
    assert len(fill(app, examples, actors)) > 30
    refresh(app.site)
    business = Business(app, examples, seed=20261127)
    for _round in range(2):
        for _thing in range(40):
            business.happen()
        assert not refresh(app.site).full
    assert len(business.done) >= 7, business.done
    followed = holds(app.site)
    assert refresh(app.site, full=True).full
    anew = holds(app.site)
    assert [table for table in anew if anew[table] != followed[table]] == []


@pytest.mark.timeout(300)
@EVERYTHING
def test_the_copy_gives_everybody_the_same_records_and_values(app, actors):
    made = fill(app, Examples(), actors)
    refresh(app.site)
    assert compare_values(app.site) >= len(made)
    granted = {entity.meta.permission("read") for entity in app.site.entities}
    narrow = [
        dataclasses.replace(actors.member, grants=dict.fromkeys(granted, reach), roles=frozenset())
        for reach in ("own", "team")
    ]
    hidden = sum(compare_ids(app.site, actor) for actor in (actors.manager, actors.viewer, actors.stranger, *narrow))
    assert hidden > 20


def compare_values(site):
    compared = 0
    for name, shape in shapes(site).items():
        table = table_of(site.entities[name])
        statement = select(*(table.c[column.name] for column in shape.columns)).order_by(table.c.id)
        with site.db.read() as connection:
            theirs = connection.execute(statement).all()
        with warehouse(site) as connection:
            ours = connection.execute(statement).all()
        assert [tuple(map(typed, row)) for row in ours] == [tuple(map(typed, row)) for row in theirs], name
        compared += bool(ours)
    return compared


def typed(value):
    return type(value), value


def compare_ids(site, actor):
    """That somebody sees the same ids of every kind; gives how many kinds they see in part."""
    partly = 0
    with (
        site.read(actor) as reader,
        warehouse(site) as connection,
        ScopedSession(connection, actor, site.entities) as session,
    ):
        for entity in site.entities:
            ids = select(entity.id).order_by(entity.id)
            seen = reader.session.scalars(ids).all()
            assert session.scalars(ids).all() == seen, (actor.name, entity.meta.name)
            there = connection.scalar(select(func.count()).select_from(table_of(entity)))
            partly += len(seen) < there
    return partly
