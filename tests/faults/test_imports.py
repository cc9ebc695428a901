"""A bad row anywhere in a list: all or none of it where one asked for that, else all but that row, and it is told."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from rapport import Customer
from rapport.builtin.exchange import engine, imports
from rapport.testing.app import TestApp
from tests.torture import tally, tries

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
