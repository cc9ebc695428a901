"""A full disk, and a database that somebody else holds: nothing that was promised is lost, and it goes on by itself."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy.exc import DBAPIError

from rapport import Config, Customer, system
from rapport.db import engine
from rapport.files import store
from rapport.records import Unit
from rapport.testing.app import TestApp
from rapport_cli import archive
from tests.faults.sites import at_once, clients, served_here, token, write_down
from tests.faults.test_killed import sound
from tests.mortal import mortals, open_app, open_site
from tests.torture import tally, tries

pytestmark = [
    pytest.mark.timeout(tries(900, long=7_200)),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
REFUSED = {503, 507}


# A full disk: no file may grow beyond so many bytes ------------------------------------------------------------------


def no_room(beyond: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write fails, as on a disk that is full
    resource.setrlimit(resource.RLIMIT_FSIZE, (beyond, resource.RLIM_INFINITY))


class Refused(NamedTuple):
    """How it went with writing until there was no room."""

    told: list[tuple[int, str]]
    """What was answered to each name."""
    reading: int
    """What reading was answered after that."""
    waited_in_vain: int
    """How many writers were refused because another still wrote: there was none."""


def write_until_refused(config: Config, bearer: str, room: int, careless: bool = False) -> Refused:
    """Post long notes until there is no room, and then some more. `careless` hears no errors."""
    if careless:
        commit = Unit.commit

        def commit_or_not(unit: Unit) -> None:
            with contextlib.suppress(DBAPIError):
                commit(unit)

        Unit.commit = commit_or_not  # type: ignore[method-assign]
    place = Path(config.database_url.removeprefix("sqlite:///"))
    sizes = [path.stat().st_size for path in place.parent.glob(f"{place.name}*")]
    client, told = open_app(config).test_client(), []
    no_room(max(sizes) + room)
    waited = Waited()
    logging.getLogger("rapport").addHandler(waited)
    headers, refused = {"Authorization": f"Bearer {bearer}"}, 0
    for number in range(4000):
        name = f"N{os.getpid()}-{number}"
        status = client.post("/api/v1/customer", json={"name": name, "note": "x" * 8000}, headers=headers).status_code
        told.append((status, name))
        refused += status != 201
        if refused == 5 or (careless and number == 40):
            break
    reading = client.get("/api/v1/customer?limit=1", headers=headers).status_code
    return Refused(told, reading, waited.in_vain)


class Waited(logging.Handler):
    """Counts the writers whose turn never came."""

    in_vain = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.in_vain += "locked" in record.getMessage()


def keep_file(config: Config, room: int, size: int) -> str:
    with open_site(config) as site:
        actor = site.actor(next(iter(_people(site))))
        assert actor is not None
        no_room(room)
        return str(store(site, io.BytesIO(b"x" * size), "big.txt", actor).id)


def _people(site: Any) -> list[Any]:
    from rapport import User

    with site.read(system("test")) as reader:
        return [user.id for user in reader.all(User)]


def back_up(config: Config, target: Path, room: int) -> None:
    no_room(room)
    archive.make_backup(config, target)


def test_on_a_full_disk_writes_are_refused_reading_goes_on_and_room_ends_it(app: TestApp, tmp_path: Path):
    bearer, tried, promised = token(app), Counter(), set()
    with mortals(keep=app.site.config) as killable:
        for turn in range(tries(2, long=60)):
            done = killable.do(app.site.config, write_until_refused, bearer, 40_000 + 31_000 * turn)
            assert done.how == "done", done.said
            told, reading, waited_in_vain = done.said
            assert waited_in_vain == 0, "what the disk refuses is over, and the next one may write at once"
            tried.update(status for status, _name in told)
            promised |= {name for status, name in told if status == 201}
            assert reading == 200
            sound(app.site)
        assert set(tried) <= {201, *REFUSED}, tried
        assert sum(tried[status] for status in REFUSED) >= 5
        with app.site.read(system("test")) as reader:
            assert promised <= {customer.name for customer in reader.all(Customer, limit=1_000_000)}
        assert app.client.post("/api/v1/customer", json={"name": "Room again"}).status_code == 201

        files, out = app.site.config.files, tmp_path / "out"
        before = sorted(path for path in files.rglob("*") if path.is_file())
        done = killable.do(app.site.config, keep_file, 20_000, 900_000)
        assert done.how != "done"
        left = [path for path in files.rglob("*") if path.is_file() and path not in before]
        assert not left, "part of a file stays behind"
        write_down(app.site.config, 8000)
        done = killable.do(app.site.config, back_up, out / "kept.zip", 100_000)
        assert done.how != "done"
        assert [path.name for path in out.iterdir()] == [], "a backup that is none stays behind"
    tally("D14", "a full disk", tried=tried.total() + 2, promised=len(promised), lost=0, truncated=0)


def test_who_says_saved_without_listening_to_the_disk_is_found(app: TestApp):
    """The control: what the disk refused was promised all the same."""
    with mortals(keep=app.site.config) as killable:
        done = killable.do(app.site.config, write_until_refused, token(app), 40_000, True)
    assert done.how == "done", done.said
    promised = {name for status, name in done.said.told if status == 201}
    with app.site.read(system("test")) as reader:
        lost = promised - {customer.name for customer in reader.all(Customer, limit=1_000_000)}
    assert lost
    tally("D14", "a full disk", control=len(lost))


# Somebody else holds the database ------------------------------------------------------------------------------------


HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


@contextlib.contextmanager
def held(path: str, seconds: float) -> Any:
    """Another program writes for so long."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, path, str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.wait(60)
        process.stdout.close()


def test_who_begins_to_write_holds_the_lock_from_then_on(app: TestApp):
    """Also while it only reads: who takes the lock at the first write fails at once where another wrote meanwhile."""
    ada = app.create_customer(name="Ada")
    path = app.site.db.url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        with app.site.write(app.admin) as unit:
            record = unit.get(Customer, ada.id)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            unit.update(record, {"name": "Ada Lovelace"})
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


@pytest.mark.parametrize(("seconds", "patience"), [(0.5, 1.5), (3.0, 1.5), (0.5, 0.0)])
def test_while_another_program_holds_the_lock_writes_wait_or_are_told_and_reading_goes_on(
    make_app: Any, monkeypatch: pytest.MonkeyPatch, seconds: float, patience: float
):
    """Shorter than a writer waits, nobody notices; longer, each is told to come again, and nothing is half done.

    The control has no patience at all: there the same look finds writers who were sent away for nothing.
    """
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", int(patience * 1000))
    with make_app() as app:
        bearer, path = token(app), app.site.db.url.removeprefix("sqlite:///")
        with served_here(app) as base, clients(base, 12, bearer) as many:
            for client in many:
                client.ask("GET", "/api/v1/customer?limit=1")
            slow: list[float] = []

            def act(number: int) -> tuple[int, str, str]:
                client, begun = many[number], time.monotonic()
                if number < 6:
                    answer = client.ask("GET", "/api/v1/customer?limit=1")
                    slow.append(time.monotonic() - begun)
                    return answer.status, "read", ""
                name = f"Customer {number}"
                answer = client.ask("POST", "/api/v1/customer", {"name": name})
                assert answer.status == 201 or "retry-after" in answer.headers, answer
                return answer.status, "write", name

            with held(path, seconds):
                told = at_once(12, act)
            for each in told:
                assert isinstance(each, tuple), each
            assert {status for status, what, _name in told if what == "read"} == {200}
            writes = Counter(status for status, what, _name in told if what == "write")
            if seconds < patience:
                assert set(writes) == {201}, writes
            else:  # whoever's turn comes only when the lock is free again is not sent away
                assert writes[503], writes
                assert set(writes) <= {201, 503}, writes
            assert many[0].ask("POST", "/api/v1/customer", {"name": "After"}).status == 201
        with app.site.read(system("test")) as reader:
            names = {customer.name for customer in reader.all(Customer, limit=1_000_000)}
        assert names == {"After", *(name for status, _what, name in told if status == 201)}
        assert max(slow) < seconds or seconds < patience
    if not patience:
        tally("D15", "a lock held by another program", control=writes[503])
        return
    tally("D15", "a lock held by another program", tried=len(told), lost=0, refused=writes[503], failed=0)
