"""A business at random, beside a model of it that is a dictionary: records, merges, imports, and ways back.

After every step the log, replayed, is what there is; the search finds what is there and nothing else; nothing points
at nothing. Plugins that come and go at random are in tests/kernel/test_life.py.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import func, select, text

from rapport import Conflict, Customer, Stale, Task
from rapport.builtin.exchange import imports
from rapport.customers.service import merge, undo_merge
from rapport.records import Unit
from rapport.records.log import change_log
from rapport.testing.app import TestApp
from tests.torture import LONG, tally, tries

pytestmark = pytest.mark.timeout(tries(1200, long=36_000))
WORDS = st.sampled_from(["Ada", "دریا", "O'Brien", "王伟", "Zoë", "100% _x_"])
WHICH = st.integers(0, 50)


class Business(RuleBasedStateMachine):
    """Records are addressed by where they stand among those of this walk, so that each step fits."""

    app: TestApp
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.customers: dict[UUID, dict[str, Any]] = {}
        self.tasks: dict[UUID, UUID | None] = {}
        self.merges: list[tuple[UUID, dict[UUID, dict[str, Any]], dict[UUID, UUID | None]]] = []
        self.runs: list[tuple[int, set[UUID]]] = []
        with self.app.site.db.read() as connection:  # what other walks left is not looked at again and again
            self.begun: int = connection.scalar(select(func.max(change_log.c.seq))) or 0

    def pick(self, which: int) -> UUID:
        return list(self.customers)[which % len(self.customers)]

    def write(self) -> Unit:
        type(self).steps += 1
        return self.app.site.write(self.app.admin)

    def forget_ways_back(self) -> None:
        """What is changed meanwhile stays when a merge is undone; the model takes back only what nobody touched."""
        self.merges.clear()

    @rule(name=WORDS, note=WORDS)
    def create(self, name: str, note: str) -> None:
        with self.write() as unit:
            made = unit.create(Customer, {"name": name, "note": note})
        self.customers[made.id] = {"name": name, "note": note, "archived": False}

    @precondition(lambda self: self.customers)
    @rule(which=WHICH, note=WORDS, stale=st.booleans())
    def update(self, which: int, note: str, stale: bool) -> None:
        record_id = self.pick(which)
        try:
            with self.write() as unit:
                record = unit.get(Customer, record_id)
                unit.update(record, {"note": note}, version=record.version - stale)
        except Stale:
            assert stale
            return
        assert not stale
        self.customers[record_id]["note"] = note
        self.forget_ways_back()

    @precondition(lambda self: self.customers)
    @rule(which=WHICH)
    def put_away_or_back(self, which: int) -> None:
        record_id = self.pick(which)
        away = self.customers[record_id]["archived"]
        with self.write() as unit:
            record = unit.get(Customer, record_id)
            (unit.restore if away else unit.archive)(record)
        self.customers[record_id]["archived"] = not away
        self.forget_ways_back()

    @precondition(lambda self: self.customers)
    @rule(which=WHICH)
    def remind(self, which: int) -> None:
        with self.write() as unit:
            task = unit.create(Task, {"title": "Call", "customer_id": str(self.pick(which))})
        self.tasks[task.id] = self.pick(which)
        self.forget_ways_back()

    @precondition(lambda self: self.customers)
    @rule(which=WHICH)
    def delete(self, which: int) -> None:
        record_id = self.pick(which)
        try:
            with self.write() as unit:
                unit.delete(unit.get(Customer, record_id))
        except Conflict:
            return
        del self.customers[record_id]
        self.forget_ways_back()
        with self.app.site.db.read() as connection:  # what was part of it went with it
            table = Task.__table__
            there = dict(connection.execute(select(table.c.id, table.c.customer_id)).all())
        gone = {each for each, owner in self.tasks.items() if owner == record_id}
        assert all(each not in there or there[each] is None for each in gone)
        self.tasks = {each: there[each] if each in gone else owner for each, owner in self.tasks.items()
                      if each in there}  # fmt: skip

    @precondition(lambda self: sum(not each["archived"] for each in self.customers.values()) > 1)
    @rule(which=WHICH)
    def make_one(self, which: int) -> None:
        here = [each for each, held in self.customers.items() if not held["archived"]]
        survivor, absorbed = here[which % len(here)], here[(which + 1) % len(here)]
        before = ({each: dict(held) for each, held in self.customers.items()}, dict(self.tasks))
        type(self).steps += 1
        batch = merge(self.app.site, self.app.admin, survivor, [absorbed])
        self.merges.append((batch, *before))
        one, other = self.customers[survivor], self.customers[absorbed]
        if other["note"] not in one["note"]:
            one["note"] = f"{one['note']}\n\n{other['note']}".strip()
        other["archived"] = True
        self.tasks = {task: survivor if owner == absorbed else owner for task, owner in self.tasks.items()}

    @precondition(lambda self: self.merges)
    @rule()
    def make_two(self) -> None:
        batch, self.customers, self.tasks = self.merges.pop()
        type(self).steps += 1
        assert undo_merge(self.app.site, self.app.admin, batch) == []

    @rule(names=st.lists(WORDS, min_size=1, max_size=3))
    def bring_in(self, names: list[str]) -> None:
        file = "Name,Reference\n" + "".join(f'"{name}",x\n' for name in names)
        run = imports.start(self.app.site, self.app.admin, "customer", file.encode(), "list.csv")
        known = self.ids()
        type(self).steps += 1
        assert imports.run(self.app.site, self.app.admin, run.id).created == len(names)
        new = sorted(self.ids() - known)
        self.customers |= {each: {"name": name, "note": "", "archived": False}
                           for each, name in zip(new, names, strict=True)}  # fmt: skip
        self.runs.append((run.id, set(new)))
        self.forget_ways_back()

    @precondition(lambda self: self.runs)
    @rule()
    def take_out(self) -> None:
        run_id, made = self.runs.pop()
        type(self).steps += 1
        imports.undo(self.app.site, self.app.admin, run_id)
        there = self.ids()
        for record_id in made & self.customers.keys():
            if record_id not in there:
                del self.customers[record_id]
        self.forget_ways_back()

    def ids(self) -> set[UUID]:
        with self.app.site.db.read() as connection:
            return set(connection.scalars(select(Customer.__table__.c.id)))

    @invariant()
    def what_is_there_is_what_the_model_says(self) -> None:
        table, tasks = Customer.__table__.c, Task.__table__.c
        with self.app.site.db.read() as connection:
            held_now = select(table.id, table.name, table.note, table.archived_at).where(table.id.in_(self.customers))
            rows = connection.execute(held_now).all()
            asked = select(tasks.id, tasks.customer_id).where(tasks.id.in_(self.tasks))
            owners = dict(connection.execute(asked).all())
            found = set(connection.scalars(text("SELECT record_id FROM search_document WHERE entity = 'customer'")))
            orphans = connection.execute(text("PRAGMA foreign_key_check")).all() if self.app.site.db.is_sqlite else []
            log = connection.execute(
                select(change_log.c.record_id, change_log.c.action, change_log.c.changes)
                .where(change_log.c.entity == "customer", change_log.c.seq > self.begun).order_by(change_log.c.seq)
            ).all()  # fmt: skip
        ours = {row.id: {"name": row.name, "note": row.note, "archived": row.archived_at is not None}
                for row in rows}  # fmt: skip
        assert ours == self.customers
        assert owners == self.tasks
        assert orphans == []
        replayed: dict[UUID, dict[str, Any]] = {}
        for row in log:
            if row.action == "deleted":
                replayed.pop(row.record_id, None)
                continue
            state = replayed.setdefault(row.record_id, {})
            state.update({name: new for name, (_old, new) in row.changes.items()})
        for record_id, held in self.customers.items():
            state = replayed.get(record_id, {})
            told = {"name": state.get("name"), "note": state.get("note") or "",
                    "archived": bool(state.get("archived_at"))}  # fmt: skip
            assert told == held, "the log does not say what there is"
        names = {str(each).replace("-", "") for each in found}
        for record_id, held in self.customers.items():
            assert (record_id.hex in names) != held["archived"], "the search says otherwise"


def walk(app: TestApp, examples: int, steps: int) -> int:
    machine = type("BusinessHere", (Business,), {"app": app})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None, derandomize=not LONG,
            suppress_health_check=list(HealthCheck), phases=list(Phase) if LONG else [Phase.explicit, Phase.generate],
        ),
    )  # fmt: skip
    return int(machine.steps)


def test_a_business_at_random_is_what_its_model_says(app: TestApp):
    steps = walk(app, tries(6, long=500), tries(20, long=60))
    assert steps > 50
    tally("D6", "a business at random", tried=steps, broken=0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_log_that_forgets_is_found(app: TestApp, monkeypatch: pytest.MonkeyPatch):
    """The control: changes of notes are not written down."""
    write = Unit._write_log

    def forgetful(unit: Unit) -> None:
        for change in unit._changes:
            change.changes.pop("note", None) if change.action == "updated" else None
        write(unit)

    monkeypatch.setattr(Unit, "_write_log", forgetful)
    with pytest.raises(AssertionError, match="the log does not say what there is"):
        walk(app, 20, 20)
    tally("D6", "a business at random", control=1)
