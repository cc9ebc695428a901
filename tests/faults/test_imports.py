"""A bad row anywhere in a list: all or none of it where one asked for that, else all but that row, and it is told."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, select

from rapport import Customer
from rapport.builtin.exchange import engine, imports
from rapport.entities import table_of
from rapport.testing.app import TestApp
from tests.faults.test_killed import import_all
from tests.mortal import mortals
from tests.torture import tally, tries

pytestmark = pytest.mark.timeout(tries(600, long=7_200))
ROWS = 23


def file_with(bad: int, rows: int) -> bytes:
    lines = [f"{'' if number == bad else f'Customer {number}'},c{number}@example.com" for number in range(rows)]
    return "\n".join(["Name,E-mail", *lines, ""]).encode()


def count(app: TestApp) -> int:
    with app.site.db.read() as connection:
        return connection.scalar(select(func.count(Customer.id))) or 0


def test_a_bad_row_anywhere_costs_itself_or_everything_as_one_asked(app: TestApp, monkeypatch: pytest.MonkeyPatch):
    """Within a chunk, at its edges, and in the last one; a second go at the mended file makes nobody twice."""
    monkeypatch.setattr(engine, "CHUNK", 5)
    tried = 0
    for bad in range(0, ROWS, tries(4, long=1)):
        for strict in (False, True):
            known = count(app)
            run = imports.start(app.site, app.admin, "customer", file_with(bad, ROWS), "list.csv")
            imports.decide(app.site, app.admin, run.id, stop_at_refusal=strict)
            done = imports.run(app.site, app.admin, run.id)
            told = imports.problems(app.site, app.admin, run.id)
            if strict:
                assert str(bad + 2) in done.message, done.message
                assert done.state in {"stopped", "failed"}, done.state
                assert (count(app) - known) == done.created
                imports.undo(app.site, app.admin, run.id)
                assert count(app) == known, "something of it stays"
            else:
                assert [(each.line, each.field) for each in told] == [(bad + 2, "name")]
                assert (done.state, done.created, done.refused) == ("done", ROWS - 1, 1)
                assert count(app) - known == ROWS - 1
                imports.undo(app.site, app.admin, run.id)
                assert count(app) == known
            tried += 1
    tally("D7", "a bad row at any place", tried=tried, half_kept=0, untold=0)


def references(app: TestApp) -> Counter[str]:
    with app.site.db.read() as connection:
        return Counter(connection.scalars(select(table_of(Customer).c.reference)))


def begun(app: TestApp, file: bytes, **decided: Any) -> imports.Run:
    run = imports.start(app.site, app.admin, "customer", file, "list.csv")
    return imports.decide(app.site, app.admin, run.id, **decided)


def cancelled(app: TestApp, run: imports.Run, chunks: int) -> None:
    """Stopped by somebody after so many chunks."""

    def stop(done: int, _total: int) -> None:
        if done >= chunks * engine.CHUNK:
            imports.stop(app.site, app.admin, run.id)

    assert imports.run(app.site, app.admin, run.id, progress=stop).state == "stopped"


def test_what_was_cancelled_or_killed_comes_in_whole_from_the_same_file(app: TestApp, monkeypatch: pytest.MonkeyPatch):
    """Brought in anew with what tells its rows apart, and gone on with besides: every row is there, and none twice."""
    rows, chance = tries(200, long=100_000), random.Random(11)
    monkeypatch.setattr(engine, "CHUNK", tries(40, long=1000))
    file = ("Name,Reference\n" + "".join(f"Customer {number},R{number}\n" for number in range(rows))).encode()
    whole = Counter(f"R{number}" for number in range(rows))
    same = {"match_by": ["reference"], "on_match": "skip"}
    tried = 0
    with mortals(keep=app.site.config) as killable:
        for _ in range(tries(1, long=3)):
            for way in ("cancelled", "killed"):
                first = begun(app, file, **same)
                if way == "cancelled":
                    cancelled(app, first, chance.randrange(1, rows // engine.CHUNK))
                else:
                    at = chance.randrange(6, 24)
                    assert killable.do(app.site.config, import_all, first.id, kill_at=at).how == "killed"
                part = references(app)
                assert part.total() == imports.get(app.site, app.admin, first.id).done < rows
                again = imports.run(app.site, app.admin, begun(app, file, **same).id)
                assert (again.state, again.created, again.skipped) == ("done", rows - part.total(), part.total())
                assert references(app) == whole, way
                gone_on = imports.run(app.site, app.admin, first.id)
                assert (gone_on.state, gone_on.created + gone_on.skipped) == ("done", rows)
                assert references(app) == whole, way
                for run in (again, gone_on):
                    assert imports.undo(app.site, app.admin, run.id).state == "undone"
                assert references(app) == Counter()
                tried += 1
    twice = begun(app, file)
    cancelled(app, twice, 1)
    imports.run(app.site, app.admin, begun(app, file).id)
    control = references(app).total() - rows
    assert control == engine.CHUNK, "the control: where nothing tells rows apart, those that were there come twice"
    tally("D7", "a list cancelled or killed, and the same file again", tried=tried, rows=rows, lost=0, twice=0,
          control=control)  # fmt: skip


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_undoing_that_forgets_a_chunk_is_found(app: TestApp, monkeypatch: pytest.MonkeyPatch):
    """The control: it stops after its first chunk."""
    from rapport.builtin.exchange import undoing

    monkeypatch.setattr(undoing, "CHUNK", 5)
    take_back = undoing.Undoing.take_back

    def once(self: Any, unit: Any, below: int) -> tuple[int, int]:
        if getattr(self, "again", False):
            return below, 0
        self.again = True
        return take_back(self, unit, below)

    monkeypatch.setattr(undoing.Undoing, "take_back", once)
    run = imports.start(app.site, app.admin, "customer", file_with(-1, ROWS), "list.csv")
    imports.run(app.site, app.admin, run.id)
    imports.undo(app.site, app.admin, run.id)
    assert count(app) > 0
    tally("D7", "a bad row at any place", control=count(app))
