"""Filling the warehouse and keeping it up to date: by what the log of changes says, or whole."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection, func, select

from rapport import utcnow
from rapport.records.log import change_log, settle
from rapport_warehouse import calendars, generations, history
from rapport_warehouse.generations import Current
from rapport_warehouse.reading import Source
from rapport_warehouse.shape import Shape, fingerprint, fiscal_start, shapes

if TYPE_CHECKING:
    from rapport import Site


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh has done."""

    full: bool
    """Whether everything was read anew."""
    rows: int
    """So many rows were read."""
    seconds: float
    as_of: dt.datetime


Tell = Callable[[str], object]


@functools.lru_cache(maxsize=1)
def _days(until: dt.date, fiscal_start: int) -> Any:
    """The days for Arrow to hand over. They change once a year, and a process that fills again need not count anew."""
    import pyarrow

    made = calendars.days(until=until, fiscal_start=fiscal_start)
    return pyarrow.table(dict(zip(calendars.COLUMNS, zip(*made, strict=True), strict=True)))


@contextlib.contextmanager
def warehouse(site: Site) -> Iterator[Connection]:
    """The warehouse to read from, as it stands at this moment: NotFilled before the first refresh.

    Give the connection to a `ScopedSession`, so that nobody gets to see more than their own.
    """
    with generations.reading(site) as connection:
        yield connection


def as_of(site: Site) -> dt.datetime | None:
    """The moment up to which the warehouse knows what happened; None when it was never filled."""
    now = generations.current(site)
    return None if now is None else now.as_of


def refresh(site: Site, *, full: bool = False, tell: Tell | None = None) -> Refreshed:
    """Bring the warehouse up to date with everything committed so far; the first time, or with `full`, fill it anew.

    `tell` is called again and again with what is being done: a job says its progress by it.
    """
    say = tell or (lambda what: None)
    with generations.alone(site, lambda: say("waiting")) as folder:
        begun = time.monotonic()
        generations.sweep(site)
        every = shapes(site)
        mark = fingerprint(every, fiscal_start(site))
        now = generations.current(site)
        moment, end = _end(site)
        going_on = now is not None and not full and _fits(site, now, mark, end)
        if now is not None and going_on and now.seq == end and not _has_more_than_logged(every, now):
            generations.point_at(site, replace(now, as_of=moment))
            return Refreshed(False, 0, time.monotonic() - begun, moment)
        number = 1 if now is None else now.number + 1
        making = folder / f"warehouse-{number}.duckdb.making"
        made = _Filling(site, making, every, say)
        before = made.take_over(folder / now.file) if now is not None and going_on else None
        try:
            if before is None:
                made.fill()
                before = end
                moment, end = _end(site)  # while it was filled, work went on
            made.follow(before, end)
            made.keep()
        finally:
            made.close()
        generations.finish(making)
        seconds = time.monotonic() - begun
        filled_at = moment if made.full or now is None else now.filled_at
        known = Current(
            file=making.stem, number=number, seq=end, mark=mark, change=_change(site, end), as_of=moment,
            filled_at=filled_at, seconds=round(seconds, 3), rows=made.counts,
        )  # fmt: skip
        generations.point_at(site, known)
        generations.sweep(site)
        return Refreshed(made.full, made.read, seconds, moment)


def _end(site: Site) -> tuple[dt.datetime, int]:
    """This moment, and the last change that was committed before it, with none missing before that."""
    with site.db.read() as connection:
        settle(connection)
        return utcnow(), connection.scalar(select(func.max(change_log.c.seq))) or 0


def _has_more_than_logged(every: Mapping[str, Shape], now: Current) -> bool:
    """Whether there are records that may have changed although the log says nothing."""
    return any(shape.past_log and now.rows.get(shape.table) for shape in every.values())


def _fits(site: Site, now: Current, mark: str, end: int) -> bool:
    """Whether one can go on from a filling: for these tables, and from this database rather than a restored backup."""
    return now.mark == mark and now.seq <= end and now.change == _change(site, now.seq)


def _change(site: Site, seq: int) -> str:
    """What tells a change of this database from one of the same number in another."""
    with site.db.read() as connection:
        row = connection.execute(
            select(change_log.c.record_id, change_log.c.at).where(change_log.c.seq == seq)
        ).one_or_none()
    return "" if row is None else f"{row.record_id} {row.at.isoformat()}"


class _Filling:
    """A file that is being made."""

    def __init__(self, site: Site, path: Path, every: Mapping[str, Shape], say: Tell) -> None:
        self.site = site
        self.path = path
        self.every = every
        self.say = say
        self.source = Source(site)
        self.full = True
        self.read = 0
        self.counts: dict[str, int] = {}
        self.raw: Any = None

    def close(self) -> None:
        """Let the file go, whole or not."""
        self.source.close()
        if self.raw is not None:
            self.raw.close()

    def take_over(self, path: Path) -> int | None:
        """Begin with a copy of another file; gives the last change that is in it, or None when it cannot be read."""
        import duckdb

        try:
            shutil.copyfile(path, self.path)
            self.raw = generations.open_to_write(self.path)
            (seq,) = self.raw.execute("SELECT seq FROM warehouse_state").fetchone()
        except (duckdb.Error, FileNotFoundError):  # another version of DuckDB made it, or somebody removed it
            self.close()
            self.path.unlink(missing_ok=True)
            return None
        self.full = False
        return int(seq)

    def fill(self) -> None:
        """Make every table and read it whole."""
        self.raw = generations.open_to_write(self.path)
        self.raw.execute("BEGIN")
        self.raw.execute("CREATE TABLE warehouse_state (seq BIGINT)")
        for shape in self.every.values():
            self.raw.execute(f'CREATE TABLE "{shape.table}" ({shape.definition})')
        self.raw.execute(f"CREATE TABLE {history.TABLE} ({history.definition()})")
        self._fill_days()
        self.raw.execute("COMMIT")
        for shape in self.every.values():
            self.say(shape.entity)
            with self.site.db.read() as connection:
                for rows in self.source.stretches(connection, shape):
                    self._put(shape, rows)
        with self.site.db.read() as connection:
            self.say(history.TABLE)
            moved = history.moved(connection)
            with self._given("moved", moved):
                self.raw.execute(history.unmoved())
            self._put_history(connection, moved)

    def _fill_days(self) -> None:
        types = {"date": "DATE", "integer": "BIGINT", "text": "VARCHAR"}
        columns = ", ".join(f'"{name}" {types[kind]}' for name, kind in calendars.COLUMNS.items())
        self.raw.execute(f"CREATE TABLE {calendars.TABLE} ({columns})")
        self._insert(calendars.TABLE, _days(calendars.last_day(), fiscal_start(self.site)))

    def _put_history(self, connection: Connection, ids: Sequence[UUID]) -> None:
        import pyarrow

        names = [column.name for column in history.history.c]
        moment, text = pyarrow.timestamp("us", "UTC"), pyarrow.string()
        schema = pyarrow.schema([(name, moment if name.startswith("valid") else text) for name in names])
        for some in history.intervals(connection, ids):
            self.say(history.TABLE)
            if some:
                rows = [[str(each) if isinstance(each, UUID) else each for each in row] for row in some]
                columns = [list(column) for column in zip(*rows, strict=True)]
                self._insert(history.TABLE, pyarrow.table(columns, schema=schema))

    def _insert(self, table: str, rows: Any) -> None:
        self.raw.register("made_rows", rows)
        self.raw.execute(f"INSERT INTO {table} SELECT * FROM made_rows")  # noqa: S608 - names of ours
        self.raw.unregister("made_rows")

    def follow(self, before: int, end: int) -> None:
        """Read every record anew that a change between the two speaks of."""
        changed = self._changed(before, end)
        self.raw.execute("BEGIN")
        with self.site.db.snapshot() as connection:
            for name, ids in changed.items():
                shape = self.every.get(name)
                if shape is not None and not shape.past_log:
                    self.say(name)
                    self._take_out(shape.table, "id", ids)
                    for rows in self.source.rows(connection, shape, ids):
                        self._put(shape, rows)
            if customers := changed.get("customer"):
                self._take_out(history.TABLE, "customer_id", customers)
                self._put_history(connection, customers)
            if not self.full:
                self._read_whole(connection)
        self.raw.execute("DELETE FROM warehouse_state")
        self.raw.execute("INSERT INTO warehouse_state VALUES (?)", [end])
        self.raw.execute("COMMIT")

    def _changed(self, before: int, end: int) -> dict[str, list[UUID]]:
        entity, record = change_log.c.entity, change_log.c.record_id
        between = select(entity, record).where(change_log.c.seq > before, change_log.c.seq <= end).distinct()
        found: dict[str, list[UUID]] = {}
        with self.site.db.read() as connection:
            for row in connection.execute(between.order_by(entity, record)):
                found.setdefault(row.entity, []).append(row.record_id)
        return found

    def _read_whole(self, connection: Connection) -> None:
        """The log does not tell of every change of these."""
        for shape in self.every.values():
            if shape.past_log:
                self.say(shape.entity)
                self.raw.execute(f'DELETE FROM "{shape.table}"')  # noqa: S608 - names of ours
                for rows in self.source.stretches(connection, shape):
                    self._put(shape, rows)

    def _take_out(self, table: str, key: str, ids: list[UUID]) -> None:
        with self._given("gone", ids):
            self.raw.execute(f'DELETE FROM "{table}" WHERE {key} IN (SELECT CAST(id AS UUID) FROM gone)')  # noqa: S608 - names of ours

    @contextlib.contextmanager
    def _given(self, name: str, ids: Sequence[UUID]) -> Iterator[None]:
        """Ids under a name, for a statement to read."""
        import pyarrow

        self.raw.register(name, pyarrow.table({"id": pyarrow.array([str(each) for each in ids], pyarrow.string())}))
        yield
        self.raw.unregister(name)

    def _put(self, shape: Shape, rows: Any) -> None:
        self.raw.register("read_rows", rows)
        columns = ", ".join(f'"{column.name}"' for column in shape.columns)
        values = ", ".join(self.source.converted(column) for column in shape.columns)
        self.raw.execute(f'INSERT INTO "{shape.table}" ({columns}) SELECT {values} FROM read_rows')  # noqa: S608 - names of ours
        self.raw.unregister("read_rows")
        self.read += rows.num_rows
        self.say(shape.entity)

    def keep(self) -> None:
        """Count what there is, and put all of it on disk."""
        tables = [*(shape.table for shape in self.every.values()), history.TABLE, calendars.TABLE]
        each = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM \"{table}\"" for table in tables)  # noqa: S608
        self.counts = dict(self.raw.execute(each).fetchall())
        self.raw.execute("CHECKPOINT")
