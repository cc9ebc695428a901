"""The copy says what the records say: after anything that may happen to them, of every kind of record there is."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import traceback
import warnings
from collections import Counter
from decimal import Decimal
from typing import Any, ClassVar
from uuid import uuid4

import pyarrow
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from rapport_warehouse import (
    Question,
    answer,
    calendars,
    drill,
    generations,
    history,
    offered,
    reading,
    refresh,
    store,
    warehouse,
)
from rapport_warehouse.cube import Working, asking
from rapport_warehouse.shape import shapes
from sqlalchemy import func, select

from rapport import Customer, Invalid, RapportError, Staged, move, stages_of
from rapport.access import Role
from rapport.customers.erasing import erase
from rapport.customers.service import merge, undo_merge
from rapport.entities import table_of
from rapport.plugins import discover
from rapport.records.log import change_log
from rapport.records.session import ScopedSession
from rapport.testing.values import Examples, value_of
from tests.torture import tally, tries

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

    def happen(self, name):
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


class Walk(RuleBasedStateMachine):
    """Things that happen, refreshes in between, and refreshes that are killed. At the end everything is looked at."""

    app: Any
    narrow: Any
    counted: ClassVar[Counter[str]] = Counter()

    def __init__(self):
        super().__init__()
        self.business = Business(self.app, Examples(), seed=0)

    # One rule for all: Hypothesis leaves out rules here and there, and there are few walks.
    @rule(things=st.lists(st.sampled_from(THINGS), min_size=3, max_size=10), seed=st.integers(0, 2**32 - 1),
          then=st.sampled_from(("refreshed", "killed", "asked")))  # fmt: skip
    def things_happen(self, things, seed, then):
        self.business.chance.seed(seed)
        for thing in things:
            self.business.happen(thing)
        getattr(self, then)(self.business.chance)

    def refreshed(self, _chance):
        assert not refresh(self.app.site).full
        self.counted["refreshed"] += 1

    def killed(self, chance):
        """The refresh dies at one of its steps, if it has as many."""
        before = generations.current(self.app.site)
        self.counted["killed"] += dies(self.app.site, chance.randint(1, 25), full=chance.random() < 0.3)
        assert generations.current(self.app.site).number in {before.number, before.number + 1}

    def asked(self, chance):
        self.refreshed(chance)
        for actor in (self.app.admin, self.narrow):
            self.counted["drilled"] += drill_something(self.app.site, actor, chance)
        self.counted["compared"] += compare_without_hidden(
            self.app.site, self.narrow, lambda reader: question_of(reader, chance)
        )

    def teardown(self):
        self.counted.update(self.business.done)
        compare_with_anew(self.app.site)


def compare_with_anew(site):
    """That what was followed holds what filling anew would."""
    refresh(site)
    followed = holds(site)
    assert refresh(site, full=True).full
    anew = holds(site)
    assert [table for table in anew if anew[table] != followed[table]] == []


def dies(site, step, *, full):
    """Refresh in a process of its own that is killed at some step; whether it came to that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of DuckDB's threads, which do not wait
        child = os.fork()
    if not child:
        signal.alarm(60)
        for engine in (site.db.reading, site.db.writing):
            engine.dispose(close=False)  # they are our parent's
        left = [step]

        def say(_what):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            refresh(site, full=full, tell=say)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(99)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, -signal.SIGKILL}
    return code != 0


def question_of(reader, chance):
    """Some measure by some dimensions that suit it."""
    offer = offered(reader)
    measure = chance.choice(sorted(offer.fits))
    fitting = sorted(offer.fits[measure] - {"date.day", "date.hour"})
    names = chance.sample(fitting, min(len(fitting), chance.randint(0, 3)))
    rows = chance.randint(min(1, len(names)), len(names)) if names else 0
    return Question((measure,), rows=tuple(names[:rows]), columns=tuple(names[rows:]))


def made_of(how, records):
    """What a measure makes of the records behind a figure."""
    values = [each.value for each in records if each.value is not None]
    match how:
        case "count":
            return len(records)
        case "distinct":
            return len(set(values))
        case "average":
            return (Decimal(sum(values)) / len(values)).quantize(Decimal("0.0001"))
        case "sum":
            return sum(values)
        case _:
            return (min if how == "least" else max)(values)


def drill_something(site, actor, chance):
    """That the records behind some figures make these figures; gives how many figures were drilled."""
    drilled = 0
    with site.read(actor) as reader:
        for _question in range(4):
            question = question_of(reader, chance)
            measure = site.measures[question.measures[0]]
            if measure.over is not None:
                continue
            found = answer(reader, question)
            filled = [at for at, cell in found.cells.items() if cell.value]
            for row, column, name in chance.sample(filled, min(2, len(filled))):
                keys = [tuple(member.key for member in each) for each in (found.rows[row], found.columns[column])]
                records, cursor = [], None
                while not records or cursor:
                    page = drill(reader, question, *keys, limit=200, cursor=cursor)
                    records, cursor = [*records, *page.records], page.next
                assert made_of(measure.how, records) == found.value(row, column, name), (question, keys)
                drilled += 1
    return drilled


def compare_without_hidden(site, actor, ask, seen_by=None):
    """That somebody is told the same when what they may not see is not there at all; gives how many rows that were."""
    beside = generations.folder_of(site) / "without.duckdb"
    now = generations.current(site)
    shutil.copyfile(generations.folder_of(site) / now.file, beside)
    raw, gone = generations.open_to_write(beside), 0
    with warehouse(site) as connection, ScopedSession(connection, seen_by or actor, site.entities) as session:
        for entity in site.entities:
            seen = [str(each) for each in session.scalars(select(entity.id))]
            raw.register("seen", pyarrow.table({"id": pyarrow.array(seen, pyarrow.string())}))
            ((count,),) = raw.execute(
                f'DELETE FROM "{table_of(entity).name}" WHERE id NOT IN (SELECT CAST(id AS UUID) FROM seen)'
            ).fetchall()  # fmt: skip
            gone += count
    raw.close()
    opened = generations._open(beside)
    try:
        with site.read(actor) as reader, opened.engine.connect() as connection:
            for _question in range(3):
                question = ask(reader)
                with asking(reader, connection) as session:
                    without = Working(reader, session, question, now.as_of).answer()
                assert answer(reader, question).to_json() == without.to_json(), question
    finally:
        opened.close()
        beside.unlink()
    return gone


@pytest.fixture
def walk(app, actors, monkeypatch):
    """The machine, on a site with some records of every kind."""
    monkeypatch.setattr(reading, "AT_FIRST", 3)
    monkeypatch.setattr(reading, "AT_ONCE", 4)
    monkeypatch.setattr(Walk, "app", app, raising=False)
    with app.site.write(app.admin) as unit:
        own = {"customer.read", "interaction.read", "sales.opportunity.read", "task.read"}
        every = sorted({entity.meta.permission("read") for entity in app.site.entities} - {"user.read"})
        unit.create(Role, {"name": "narrow", "title": "Narrow",
                           "grants": {name: "own" if name in own else "all" for name in every}})  # fmt: skip
    monkeypatch.setattr(Walk, "narrow", app.user("Nina Narrow", roles=["narrow"]), raising=False)
    monkeypatch.setattr(Walk, "counted", Counter(), raising=False)
    assert len(fill(app, Examples(), actors)) > 30
    refresh(app.site)
    return Walk


@pytest.mark.timeout(7200)
@EVERYTHING
def test_after_anything_a_refresh_holds_what_filling_anew_would_and_figures_are_their_records(walk):
    steps = settings(
        max_examples=tries(2, long=50), stateful_step_count=tries(6, long=30), deadline=None, derandomize=True,
        database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(walk, settings=steps)
    tally("W1", "warehouse: anything, refreshed and killed", tried=sum(walk.counted.values()), wrong=0)
    assert len([thing for thing in set(THINGS) if walk.counted[thing]]) >= 6, walk.counted
    assert all(walk.counted[what] for what in ("killed", "drilled", "compared")), walk.counted


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.plugins("warehouse", "sales")
def test_the_walk_finds_what_was_not_applied_and_who_sees_too_much(app, monkeypatch):
    customer = app.create_customer(name="Ada")
    monkeypatch.setattr(Walk, "app", app, raising=False)
    refresh(app.site)
    changed = store._Filling._changed

    def forgetful(self, before, end):
        logged = select(change_log.c.record_id).where(change_log.c.seq > before, change_log.c.action != "archived")
        with self.site.db.read() as connection:
            told = set(connection.scalars(logged))
        return {name: [each for each in ids if each in told] for name, ids in changed(self, before, end).items()}

    monkeypatch.setattr(store._Filling, "_changed", forgetful)
    with app.site.write(app.admin) as unit:
        unit.archive(unit.get(Customer, customer.id))
    with pytest.raises(AssertionError, match="customer"):
        Walk().teardown()
    monkeypatch.undo()
    stranger = dataclasses.replace(app.admin, id=uuid4(), is_admin=False, grants={}, roles=frozenset())
    app.create_customer(name="Bob")
    refresh(app.site)
    with pytest.raises(AssertionError, match="new_customers"):  # as if one were told of what somebody else may see
        compare_without_hidden(app.site, app.admin, lambda _reader: Question(("core.new_customers",)), stranger)
    tally("W1", "warehouse: anything, refreshed and killed", control="a change not applied; rows out of reach")


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
