"""An error at any statement that makes or changes tables, of the core and of every plugin: the old ones or the new.

That a process is killed there, with migrations of Alembic's, is in tests/kernel/test_life.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.pool import NullPool

from rapport import Config, Site
from rapport.db.tables import metadata
from rapport.lifecycle import enable, make_site, upgrade_site
from rapport.plugins import discover
from rapport.testing.values import Examples
from tests.faults.sites import fill
from tests.mortal import READS
from tests.torture import tally, tries

pytestmark = pytest.mark.timeout(tries(1200, long=36_000))


class Broken(Exception):
    """What goes wrong."""


@dataclass
class Fault:
    """Something goes wrong right before the n-th write, or the n-th of each transaction."""

    at: int
    seen: int = 0
    struck: int = 0

    def begin(self, _conn: Any) -> None:
        self.seen = 0

    def __call__(self, _conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if READS.match(statement):
            return
        self.seen += 1
        if self.seen == self.at:
            self.struck += 1
            raise Broken(statement)


@contextlib.contextmanager
def fault(at: int, *, each: bool = False) -> Iterator[Fault]:
    """Within the block the n-th write fails, on whichever connection; with `each`, that of every transaction."""
    made = Fault(at)
    event.listen(Engine, "before_cursor_execute", made)
    if each:
        event.listen(Engine, "begin", made.begin)
    try:
        yield made
    finally:
        if each:
            event.remove(Engine, "begin", made.begin)
        event.remove(Engine, "before_cursor_execute", made)


def structure(url: str, *, rows: bool = True) -> dict[str, Any]:
    """Every table: its columns, indexes and references, and what is in it."""
    engine = create_engine(url, poolclass=NullPool)
    found: dict[str, Any] = {}
    with engine.connect() as connection:
        inspector = inspect(connection)
        columns, indexes = inspector.get_multi_columns(), inspector.get_multi_indexes()
        for (_schema, name), each in sorted(columns.items(), key=lambda item: str(item[0])):
            shape = sorted(f"{column['name']} {column['type']} {column['nullable']}" for column in each)
            named = sorted(str(index["name"]) for index in indexes.get((None, name), []))
            there = sorted(map(repr, connection.execute(text(f'SELECT * FROM "{name}"')))) if rows else []
            found[str(name)] = (shape, named, there)
    return found


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Config:
    return Config(home=tmp_path, database_url=database_url, secret_key="k" * 32, testing=True)


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
def test_a_site_is_made_and_every_plugin_switched_on_whole_or_not_at_all(config: Config):
    """Somewhere in the hundreds of statements it breaks; the next try begins from what was there before."""
    tried = 0
    every = sorted(discover())
    for what, make, stride in (
        ("making a site", lambda: make_site(config), tries(90, long=1)),
        ("enabling every plugin", lambda: enable(config, *every), tries(400, long=7)),
    ):
        at = 1
        while True:
            before = structure(config.database_url)
            with fault(at) as broken, contextlib.suppress(Broken):
                make()
            if not broken.struck:
                break
            tried += 1
            after = structure(config.database_url)
            if what == "making a site" and len(after) > len(before):
                # The tables stand, what every site starts with does not yet: the next try puts it in.
                assert not before
            else:
                assert after == before, f"{what}, broken at {at}, leaves something"
            at += stride
        assert at > 2 * stride
    with contextlib.closing(Site.open(config)) as site:
        assert sorted(name for name in site.plugins if site.active(name)) == every
    tally("D9", "tables made", tried=tried, plugins=len(every), between=0)


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
def test_a_new_version_with_more_columns_keeps_every_row_wherever_it_breaks(make_app: Any):
    """Every table of every plugin loses a column that may be empty, as if it were from a version before."""
    with make_app(plugins=sorted(discover())) as app:
        fill(app, Examples())
        config = Config(home=app.site.config.home, database_url=app.site.config.database_url, testing=True,
                        secret_key=app.site.config.secret_key)  # fmt: skip
    head = structure(config.database_url, rows=False)
    aged = _age(config)
    before = structure(config.database_url)
    owners = {table.name: table.info.get("owner", "core") for table in metadata.sorted_tables}
    at, tried, done = 1, 0, set()
    while True:
        with fault(at, each=True) as broken:
            try:
                steps = upgrade_site(config)
            except Broken:
                steps = []  # core's own stops everything
        tried += broken.struck
        after = structure(config.database_url)
        done |= {step.plugin for step in steps if not step.problem}
        for table in aged:
            now, old, new = (part[table][:2] for part in (after, before, head))
            assert now == (new if owners[table] in done else old), f"{table} stands in between"
        for step in steps:
            assert not step.problem or step.problem.endswith(("Nothing of it was changed.", "comes first.")), step
        if not broken.struck:
            break
        at += tries(8, long=1)
    after = structure(config.database_url)
    assert {name: part[:2] for name, part in after.items()} == {name: part[:2] for name, part in head.items()}
    for table in aged:
        assert len(after[table][2]) == len(before[table][2]), f"{table} has lost rows"
    assert len(aged) > 40
    assert tried > tries(8, long=20)
    tally("D9", "columns added", tried=tried, tables=len(aged), between=0, rows_lost=0)


def _age(config: Config) -> list[str]:
    """Take a column out of each table that can do without."""
    engine = create_engine(config.database_url, poolclass=NullPool)
    aged = []
    here = set(inspect(engine).get_table_names())  # other tests of this process may have made plugins of their own
    for table in (each for each in metadata.sorted_tables if each.name in here):
        bound = {column.name for index in table.indexes for column in index.columns}
        bound |= {column.name for constraint in table.constraints for column in constraint.columns}
        free = [each.name for each in table.columns if each.nullable and each.name not in {*bound, "custom"}]
        if free and table.info.get("owner", "core") != "core":
            with engine.begin() as connection:
                connection.execute(text(f'ALTER TABLE "{table.name}" DROP COLUMN "{free[-1]}"'))
            aged.append(table.name)
    with engine.begin() as connection:
        connection.execute(text("UPDATE plugin SET fingerprint = 'of a version before'"))
    return aged


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_where_each_statement_is_kept_the_same_error_leaves_half(config: Config, monkeypatch: pytest.MonkeyPatch):
    """The control: SQLite's own way, in which every CREATE is a transaction by itself."""
    make_site(config)
    before = structure(config.database_url)
    monkeypatch.setattr("rapport.db.engine._begin_immediate", lambda _turns, _connection: None)
    with fault(40), pytest.raises(Broken):
        enable(config, "sales")
    left = structure(config.database_url).keys() - before.keys()
    assert left
    tally("D9", "tables made", control=len(left))
