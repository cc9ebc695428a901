"""kill -9 before any write, and at any moment: what was promised is there, and nothing is half done.

Beside it stand those of workers (tests/kernel/test_killed_workers.py), workflows (tests/workflows/test_killed.py),
sending (tests/interactions/test_crashes.py), plugins and their migrations (tests/kernel/test_life.py), the warehouse
(plugins/warehouse/tests/test_killed.py), editions (tests/editions/test_interrupted.py) and webhooks
(tests/webhooks/test_killed.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import inspect, select, text, update

from rapport import Config, Customer, Interaction, Site, Task, system
from rapport.builtin.exchange import imports
from rapport.config import load_config
from rapport.customers.service import merge, undo_merge
from rapport.entities import table_of
from rapport.records import Unit
from rapport.records.log import change_log
from rapport.testing.app import TestApp
from rapport_cli import archive
from rapport_cli.place import Place
from tests.faults.sites import token, write_down
from tests.mortal import Done, Mortals, mortals, open_app, open_site, step
from tests.torture import tally, tries

pytestmark = pytest.mark.timeout(tries(1200, long=14_400))
BESIDE = {"token", "idempotency"}
"""What is noted beside the work, in transactions of its own."""


def digest(site: Site) -> str:
    """Every row of every table."""
    found = hashlib.sha256()
    with site.db.read() as connection:
        for table in sorted(inspect(connection).get_table_names()):
            if table not in BESIDE:
                rows = sorted(map(repr, connection.execute(text(f'SELECT * FROM "{table}"'))))
                found.update(f"{table}:{rows}".encode())
    return found.hexdigest()


def sound(site: Site) -> None:
    """The database says of itself that it is whole, and takes writes."""
    with site.db.read() as connection:
        if site.db.is_sqlite:
            assert connection.exec_driver_sql("PRAGMA quick_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    with site.db.write() as connection:
        connection.execute(update(table_of(Customer)).where(Customer.name == "").values(version=1))


def spread(writes: int, most: int) -> Sequence[int]:
    """So many of the places to die at, the first and the last among them."""
    if writes <= most:
        return range(1, writes + 1)
    return sorted({1 + number * (writes - 1) // (most - 1) for number in range(most)})


# In the processes ----------------------------------------------------------------------------------------------------


def post(config: Config, bearer: str, name: str) -> int:
    """A record over the API."""
    client = open_app(config).test_client()
    body = {"name": name, "email": "ada@example.com", "tags": ["vip"]}
    return client.post("/api/v1/customer", json=body, headers={"Authorization": f"Bearer {bearer}"}).status_code


def post_many(config: Config, bearer: str, acked: str, split: bool) -> None:
    """Record after record, each noted when it was promised; `split` commits the record before its log, as one must not."""  # noqa: E501
    if split:
        flush = Unit.flush

        def flush_and_commit(unit: Unit) -> None:
            flush(unit)
            unit.session.commit()

        Unit.flush = flush_and_commit  # type: ignore[method-assign]
    for number in range(10_000):
        name = f"N{os.getpid()}-{number}"
        if post(config, bearer, name) == 201:
            with open(acked, "a", encoding="utf-8") as file:
                file.write(name + "\n")


def make_one(config: Config, survivor: UUID, absorbed: UUID) -> UUID:
    with open_site(config) as site:
        return merge(site, system("test"), survivor, [absorbed])


def make_two(config: Config, batch: UUID) -> list[str]:
    with open_site(config) as site:
        return undo_merge(site, system("test"), batch)


def erase_one(config: Config, customer: UUID) -> None:
    from rapport.customers.erasing import erase

    with open_site(config) as site:
        erase(site, system("test"), customer)


def import_all(config: Config, run_id: int) -> str:
    from rapport.builtin.exchange import engine, undoing

    engine.CHUNK = undoing.CHUNK = 40
    with open_site(config) as site:
        return str(imports.run(site, system("test"), run_id).state)


def undo_all(config: Config, run_id: int) -> str:
    from rapport.builtin.exchange import undoing

    undoing.CHUNK = 40
    with open_site(config) as site:
        return str(imports.undo(site, system("test"), run_id).state)


def stepping() -> None:
    """Count what is done to files, too: between any two of these it may die."""
    for owner, name in ((os, "fsync"), (os, "open"), (os, "rename"), (os, "replace"), (os, "mkdir"), (os, "unlink")):
        done = getattr(owner, name)

        def counted(*given: Any, done: Callable[..., Any] = done, **named: Any) -> Any:
            step()
            return done(*given, **named)

        setattr(owner, name, counted)


def back_up(config: Config, target: Path) -> None:
    stepping()
    archive.make_backup(load_config(config.home), target)


def bring_back(_config: Config, source: Path, home: Path) -> None:
    stepping()
    archive.restore(source, home, "sqlite")


def put_in_its_place(_config: Config, source: Path, home: Path) -> None:
    stepping()
    archive.restore(source, home, "sqlite", replace=True)


# The harness ---------------------------------------------------------------------------------------------------------


class Killing:
    """Does one thing to its end on the last try, and dies in the midst of it on all before."""

    def __init__(self, mortals: Mortals, config: Config, most: int) -> None:
        self.mortals, self.config, self.most = mortals, config, most
        self.tried = 0

    def each(self, deed: Callable[..., Any], *words: Any, writes: int = 0) -> Iterator[Done]:
        """Killed at places spread over all there are, the last time not: the look comes after each."""
        for number in (*spread(writes, self.most), 0):
            done = self.mortals.do(self.config, deed, *words, kill_at=number)
            assert done.how in {"done", "killed"}, done.said
            self.tried += done.how == "killed"
            yield done
            if done.how == "done":
                return


@pytest.fixture
def killing(app: TestApp) -> Iterator[Killing]:
    with mortals(keep=app.site.config) as made:
        yield Killing(made, app.site.config, tries(7, long=400))


def writes_of(app: TestApp, deed: Callable[[], Any]) -> int:
    """How many places there are to die at, seen by doing the like of it here."""
    from sqlalchemy import Engine, event

    from tests.mortal import READS

    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not READS.match(statement):
            seen.append(statement)

    def commit(_connection: Any) -> None:
        seen.append("commit")

    event.listen(Engine, "before_cursor_execute", note)
    event.listen(Engine, "commit", commit)
    try:
        deed()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        event.remove(Engine, "commit", commit)
    return len(seen)


def pair(app: TestApp, number: int) -> tuple[UUID, UUID]:
    """Two customers with a past, who are one."""
    with app.site.write(system("test")) as unit:
        ada = unit.create(Customer, {"name": f"Ada {number}", "email": f"ada{number}@example.com", "tags": ["vip"]})
        twin = unit.create(
            Customer, {"name": f"A. {number}", "email": f"a{number}@example.com", "phone": "+33170189900"}
        )
        unit.create(Interaction, {"customer_id": twin.id, "kind": "call", "subject": "Asked"})
        unit.create(Task, {"title": "Call back", "customer_id": twin.id})
        return ada.id, twin.id


def test_a_write_is_done_whole_or_not_at_all(app: TestApp, killing: Killing):
    """One transaction each: as long as it is killed in it, the database is to the last row what it was before."""
    from rapport.customers.erasing import erase

    site, one, other, third, fourth = app.site, *(pair(app, number) for number in range(1, 5))
    batches = [merge(site, app.admin, survivor, [absorbed]) for survivor, absorbed in (third, fourth)]
    bearer, api = token(app), app.client
    acts: list[tuple[str, Callable[[], Any], Callable[..., Any], tuple[Any, ...]]] = [
        ("a record over the API", lambda: api.post("/api/v1/customer", json={"name": "First"}), post, (bearer, "Ada")),
        ("a merge", lambda: merge(site, app.admin, one[0], [one[1]]), make_one, other),
        ("the undoing of a merge", lambda: undo_merge(site, app.admin, batches[0]), make_two, (batches[1],)),
        ("an erasure", lambda: erase(site, app.admin, one[0]), erase_one, (other[0],)),
    ]
    for what, here, deed, words in acts:
        app.settle()
        writes = writes_of(app, here)
        app.settle()
        before = digest(site)
        for done in killing.each(deed, *words, writes=writes):
            assert (digest(site) == before) == (done.how == "killed"), f"{what} is torn"
            sound(site)
        tally("D1", what, tried=killing.tried, lost=0, torn=0)
        killing.tried = 0


@pytest.mark.parametrize("split", [False, True])
def test_what_was_promised_is_there_whenever_the_process_is_killed(app: TestApp, tmp_path: Path, split: bool):
    """Record after record, killed at any moment. The control commits the record apart from its log."""
    acked, bearer, chance = tmp_path / "acked", token(app), random.Random(7)
    acked.touch()
    count = 3 if split else tries(6, long=3_000)
    with mortals(keep=app.site.config) as killable:
        for number in range(count):
            at_a_write = split or number % 2
            how = {"kill_at": 3 * (number % 100) + 4} if at_a_write else {"kill_after": chance.uniform(0.05, 0.5)}
            done = killable.do(app.site.config, post_many, bearer, str(acked), split, **how)
            assert done.how == "killed", done.said
    promised = set(acked.read_text("utf-8").split())
    with app.site.read(system("test")) as reader:
        there = {customer.id: customer.name for customer in reader.all(Customer, limit=1_000_000)}
    with app.site.db.read() as connection:
        logged = set(connection.scalars(select(change_log.c.record_id).where(change_log.c.entity == "customer")))
        words = set(connection.scalars(text("SELECT record_id FROM search_document WHERE entity = 'customer'")))
    torn = there.keys() ^ logged
    sound(app.site)
    if split:
        assert torn
        tally("D1", "records promised while killed", control=len(torn))
        return
    assert promised <= set(there.values())
    assert not torn
    assert len(words) == len(there)
    tally("D1", "records promised while killed", tried=count, promised=len(promised), lost=0, torn=0)


def test_an_import_and_its_undoing_go_on_where_they_were_killed(app: TestApp, killing: Killing):
    rows = 130
    file = "Name,Reference\n" + "".join(f"Customer {number},R{number}\n" for number in range(rows))
    run = imports.start(app.site, app.admin, "customer", file.encode(), "people.csv")
    references = select(table_of(Customer).c.reference)
    for _done in killing.each(import_all, run.id, writes=tries(24, long=400)):
        with app.site.db.read() as connection:
            there = connection.scalars(references).all()
        assert len(there) == len(set(there)), "a row came twice"
        reached = imports.get(app.site, app.admin, run.id)
        assert len(there) == reached.created, "what it says of itself is not what it did"
    assert sorted(there) == sorted(f"R{number}" for number in range(rows))
    ended = ""
    for done in killing.each(undo_all, run.id, writes=tries(24, long=400)):
        sound(app.site)
        ended = done.said
    assert ended == "undone"
    with app.site.db.read() as connection:
        assert connection.scalars(references).all() == []
    tally("D1", "an import and its undoing", tried=killing.tried, lost=0, twice=0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_backup_or_restore_that_was_killed_is_none(app: TestApp, killing: Killing, tmp_path: Path):
    write_down(app.site.config, 8000)
    pair(app, 1)
    app.site.config.files.mkdir(exist_ok=True)
    (app.site.config.files / "letter").write_text("Dear Ada")
    target, sound_one = tmp_path / "out" / "kept.zip", tmp_path / "sound.zip"
    archive.make_backup(load_config(app.site.config.home), sound_one)
    for done in killing.each(back_up, target, writes=tries(30, long=400)):
        assert target.exists() or done.how == "killed"
        if target.exists():  # it gets its name when it is whole; what is killed after that is only the sweeping
            archive.verify(target)
        if done.how == "killed":
            target.unlink(missing_ok=True)
    assert [path.name for path in target.parent.iterdir()] == [target.name], "what killed ones left is not swept"
    there = tmp_path / "there"
    for done in killing.each(bring_back, target, there, writes=tries(60, long=400)):
        assert there.exists() or done.how == "killed"
        if there.exists():
            assert digest_in(there) == digest(app.site), "half a site"
            shutil.rmtree(there)
    assert [path.name for path in tmp_path.glob(".rapport-*")] == [], "what killed ones left is not swept"
    tally("D1", "a backup and a restore", tried=killing.tried, lost=0, corrupt=0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_site_that_was_being_replaced_is_there_after_the_next_command(
    app: TestApp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Killed at every step of its end: the old site stands, or the next command puts the new one there and says so."""
    write_down(app.site.config, 8000)
    kept, there, away, tried = tmp_path / "kept.zip", tmp_path / "there", 0, 0
    archive.make_backup(load_config(app.site.config.home), kept)
    archive.restore(kept, there, "sqlite")
    former = digest_in(there)
    pair(app, 1)
    app.settle()
    kept.unlink()
    archive.make_backup(load_config(app.site.config.home), kept)
    wanted = digest(app.site)
    assert wanted != former
    with mortals() as killable:
        steps = killable.do(app.site.config, put_in_its_place, kept, there).writes
        assert digest_in(there) == wanted
        for number in range(max(1, steps - tries(6, long=200)), steps + 1):
            shutil.rmtree(there)
            (aside,) = tmp_path.glob("there.before-*")
            aside.rename(there)
            done = killable.do(app.site.config, put_in_its_place, kept, there, kill_at=number)
            assert done.how == "killed", done.said
            away += not there.exists()
            if not there.exists():
                assert Place(there).config().home == there
                assert "cut off before its last step. It is finished now" in capsys.readouterr().err
                assert digest_in(there) == wanted
            if digest_in(there) == former:
                archive.restore(kept, there, "sqlite", replace=True)
            assert digest_in(there) == wanted
            assert [digest_in(old) for old in tmp_path.glob("there.before-*")] == [former]
            tried += 1
    assert [path.name for path in tmp_path.glob(".rapport-*")] == []
    assert away, "the control: it was killed where there is no site at its place"
    tally("D1", "a site that is being replaced", tried=tried, lost=0, control=away)


def digest_in(home: Path) -> str:
    with contextlib.closing(Site.open(load_config(home))) as site:
        return digest(site)
