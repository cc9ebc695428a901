"""Bytes that no browser and no library would send, and more of them than anybody wants, to a site as it is served."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rapport import Site
from rapport.config import load_config
from tests.security.kinds import state
from tests.security.raw import UNFINISHED, corpus
from tests.security.served import MEGABYTE, Served, served, status
from tests.torture import tally, tries

LIMIT_MB = 8  # rather than 64: what is refused shows itself in an eighth of the time


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served") / "site", f"max_upload_mb = {LIMIT_MB}\n") as running:
        assert status(running.posts(b"{}")) == 422  # which loads what is loaded by the first
        yield running
    log = running.log.read_text()
    assert "Traceback" not in log, log


@contextlib.contextmanager
def unchanged(running: Served) -> Iterator[None]:
    """Nothing was written, nobody died, no file was left lying about, and no memory was kept."""
    with contextlib.closing(Site.open(load_config(running.home))) as site:
        before, files, memory = state(site), _files(running.home), running.memory()
        yield
        assert running.alive
        assert running.healthy() < 5
        assert state(site) == before
    assert _files(running.home) == files
    assert running.memory() - memory < 50


def _files(home: Path) -> list[Path]:
    return sorted(path for path in home.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))


def test_no_bytes_break_the_server_or_leave_anything(site: Served) -> None:
    found = corpus(site.bearer)
    assert len(found) > 100
    wrong = []
    with unchanged(site):
        for what, sent in found.items():
            began = site.work()
            answer = site.sends(sent, seconds=0.2 if what in UNFINISHED else 20)
            code, took = status(answer), site.work() - began
            if code >= 500 or took > 2:
                wrong.append((what, code, round(took, 1)))
    assert wrong == []
    tally("B1", "bytes at a socket", tried=len(found), failed=len(wrong), died=0)


def test_what_is_written_or_dies_is_noticed(site: Served) -> None:
    """The control of this file."""
    with pytest.raises(AssertionError), unchanged(site):
        assert status(site.posts(b'{"name": "Ada"}')) == 201
    tally("B1", "bytes at a socket", control=1)
    tally("B7", "uploads of a gigabyte", control=1)


# More than anybody wants ---------------------------------------------------------------------------------------------

DOORS = {
    "/api/v1/customer": "application/json",
    "/api/v1/customer/bulk": "application/x-ndjson",
    "/api/v1/file": "multipart/form-data; boundary=b",
    "/sign-in": "application/x-www-form-urlencoded",
    "/import": "multipart/form-data; boundary=b",
}
PIECE = b"x" * MEGABYTE
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'


def upload(to: str, how: str, bearer: str) -> Iterator[bytes]:
    """A request larger than anybody may send: one gigabyte when told to, with an honest length or one that lies."""
    pieces = tries(48, long=1024)
    said = {
        "says so": f"Content-Length: {1024 * MEGABYTE}", "says less": "Content-Length: 10",
        "says more than comes": f"Content-Length: {(LIMIT_MB - 1) * MEGABYTE}",
        "in chunks": "Transfer-Encoding: chunked",
    }  # fmt: skip
    lines = [f"POST {to} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {bearer}", "Connection: close",
             f"Content-Type: {DOORS[to]}", said[how]]  # fmt: skip
    yield "\r\n".join(lines).encode() + b"\r\n\r\n"
    begins = [PART] if "multipart" in DOORS[to] else []
    if how == "in chunks":
        yield from (b"%x\r\n%s\r\n" % (len(each), each) for each in [*begins, *[PIECE] * pieces])
        yield b"0\r\n\r\n"
    else:
        yield from begins
        yield from [PIECE] * (LIMIT_MB - 2 if how == "says more than comes" else pieces)


def test_a_gigabyte_is_refused_at_every_door_quickly_and_in_little_memory(site: Served) -> None:
    tried, wrong = 0, []
    with unchanged(site):
        for to in DOORS:
            for how in ("says so", "says less", "says more than comes", "in chunks"):
                site.forget_peak()
                before, began = site.memory(), site.work()
                answer = site.sends(upload(to, how, site.bearer), ends=how == "says more than comes", seconds=20)
                took, more = site.work() - began, site.memory("VmHWM") - before
                tried += 1
                # Ten bytes of many may be a list of one line, which cannot be read; the rest is not listened to.
                refused = 400 <= status(answer) < 500 or b'"status":400' in answer or not answer
                if not refused or more > 100 or took > tries(2, long=20):
                    wrong.append((to, how, answer[:80], round(took, 1), round(more)))
    assert wrong == []
    tally("B7", "uploads of a gigabyte", tried=tried, taken=len(wrong))


def test_a_list_that_breaks_off_is_not_taken_for_a_whole_one(site: Served) -> None:
    """The server ends a body that breaks off just as it ends a whole one, so that half of it was done."""
    line = b'{"op": "create", "values": {"name": "Half"}}\n'
    head = "\r\n".join([
        "POST /api/v1/customer/bulk?atomic=true HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {site.bearer}",
        "Content-Type: application/x-ndjson", "Connection: close", "",
    ]).encode()  # fmt: skip
    chunk = b"%x\r\n%s\r\n" % (len(line), line)
    with unchanged(site):
        assert status(site.sends(head + b"Content-Length: 500\r\n\r\n" + line, ends=True)) == 400
        for broken in (b"", b"zz\r\n"):
            answer = site.sends(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + broken, ends=not broken)
            assert status(answer) == 411
            assert b"Send the header Content-Length" in answer
    whole = site.posts(line, "/api/v1/customer/bulk?atomic=true", "application/x-ndjson")
    assert status(whole) == 200
    assert b'"status":201' in whole
    tally("B1", "bodies that break off", tried=3, taken=0, control=1)


def test_whoever_is_slow_is_waited_for_and_others_are_served(site: Served) -> None:
    """One of four threads waits for the rest of a body; all of them are kept busy by many such, hence the proxy."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", site.port))) as slow:
        slow.sendall(next(upload("/sign-in", "says more than comes", "")) + b"email=")
        assert max(site.healthy() for _ in range(10)) < 5
    assert site.alive
