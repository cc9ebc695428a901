"""The whole way, as a newcomer goes it: init, serve, a page, stop. Real processes on a free port."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rapport import Customer
from rapport.access import system
from rapport.query.search import forget_entities
from tests.demo import copy_demo

from .conftest import EMAIL, Type, opened


@contextlib.contextmanager
def started(*words: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "rapport_cli", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)
        if process.stdout:
            process.stdout.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer(url: str, process: subprocess.Popen[str], seconds: float = 110) -> bytes:
    """What is at an address, as soon as there is something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=5) as got:
            return bytes(got.read())
    pytest.fail(f"nothing at {url}: {process.stdout.read() if process.poll() is not None else 'still starting'}")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_site_is_made_served_and_stopped(sqlite_home: Path, workers: int) -> None:
    port = free_port()
    with started("--home", sqlite_home, "serve", "--port", port, "--workers", workers) as server:
        assert answer(f"http://127.0.0.1:{port}/health", server) == b'{"status":"ok"}\n'
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate(timeout=15)
        assert server.returncode == 0, output
    assert f"Rapport serves {sqlite_home} at http://127.0.0.1:{port}" in output
    assert "Traceback" not in output
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=1):
        pytest.fail("a process of the server is still there")


def test_it_stops_however_often_it_is_told_to(sqlite_home: Path) -> None:
    port = free_port()
    with started("--home", sqlite_home, "serve", "--port", port) as server:
        answer(f"http://127.0.0.1:{port}/health", server)
        for _ in range(300):  # as of make, a shell and a service manager at once: its handlers interrupt each other
            server.send_signal(signal.SIGTERM)
        server.communicate(timeout=15)


def test_a_port_that_is_taken_is_said_in_one_line(type_: Type, sqlite_home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answered = type_("--home", sqlite_home, "serve", "--port", port)
    assert answered.exit_code == 1
    assert answered.stderr == (
        f"Port {port} on 127.0.0.1 cannot be used: Address already in use. Choose another: --port {port + 1}\n"
    )


def test_the_worker_tells_plugins_what_happened_and_stops_when_asked(type_: Type, sqlite_home: Path) -> None:
    type_("--home", sqlite_home, "plugins", "enable", "loyalty")
    with opened(sqlite_home) as site, site.write(system("test")) as unit:
        unit.create(Customer, {"name": "Bob"})
    with started("--home", sqlite_home, "worker") as worker:
        cards = 0
        until = time.monotonic() + 20
        with opened(sqlite_home) as site:
            card = site.entities["loyalty.card"]
            while not cards and time.monotonic() < until and worker.poll() is None:
                with site.read(system("test")) as reader:
                    cards = len(reader.all(card))
        assert cards == 1
        worker.send_signal(signal.SIGTERM)
        output, _ = worker.communicate(timeout=15)
        assert worker.returncode == 0, output
        assert "Finishing what is being done" in output


def test_enabling_shows_in_every_process_without_a_restart(type_: Type, home: Path) -> None:
    bearer = f"Bearer {type_('--home', home, 'user', 'token', EMAIL).stdout.split()[-1]}"
    port = free_port()

    def answers(path: str) -> set[int]:
        """What the processes answer: new connections, so that each is asked."""
        found = set()
        for _ in range(6):
            asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": bearer})
            try:
                with urllib.request.urlopen(asked, timeout=20) as got:
                    found.add(got.status)
            except urllib.error.HTTPError as error:
                found.add(error.code)
        return found

    def agree(status: int) -> None:
        until = time.monotonic() + 60
        while (found := answers("/api/v1/loyalty.card")) != {status}:
            assert time.monotonic() < until, f"{found} instead of {status}"

    with (
        started("--home", home, "serve", "--port", port, "--workers", 2, "--no-worker") as server,
        started("--home", home, "worker") as worker,
    ):
        answer(f"http://127.0.0.1:{port}/health", server)
        agree(404)
        assert type_("--home", home, "plugins", "enable", "loyalty").exit_code == 0
        agree(200)
        with opened(home) as site:
            with site.write(system("test")) as unit:
                unit.create(Customer, {"name": "Bob"})
            until = time.monotonic() + 60
            cards = 0
            while not cards and time.monotonic() < until and worker.poll() is None:
                with site.read(system("test")) as reader:
                    cards = len(reader.all(site.entities["loyalty.card"]))
            assert cards == 1  # the worker, which began without the plugin, has told it
        assert type_("--home", home, "plugins", "disable", "loyalty").exit_code == 0
        agree(404)
        assert server.poll() is None
        assert worker.poll() is None


def test_the_demo_is_made_once_and_goes_on(type_: Type, tmp_path: Path) -> None:
    copy_demo(tmp_path / "shop")
    with opened(tmp_path / "shop") as site, site.write(system("test")) as unit:
        unit.create(Customer, {"name": "Mine"})
    again = type_("demo", "shop", "--no-serve")
    assert f"The demo in {tmp_path / 'shop'} goes on. Begin anew with --fresh." in again.output
    with opened(tmp_path / "shop") as site, site.read(system("test")) as reader:
        assert "Mine" in {customer.name for customer in reader.all(Customer)}
    fresh = type_("demo", "shop", "--no-serve", "--fresh")
    assert fresh.exit_code == 0, fresh.output
    assert f"The demo is ready in {tmp_path / 'shop'}." in fresh.output
    assert "as ada@demo.example  with the password: rapport demo" in fresh.output
    with opened(tmp_path / "shop") as site, site.read(system("test")) as reader:
        assert "Mine" not in {customer.name for customer in reader.all(Customer)}


def test_a_newcomer_signs_in_to_the_demo_and_sees_the_sample_business(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    if database_url.startswith("sqlite"):
        copy_demo(tmp_path / "shop")
    else:
        monkeypatch.setenv("RAPPORT_DATABASE_URL", database_url.replace("postgresql+psycopg:", "postgresql:"))
        with started("demo", tmp_path / "shop", "--no-serve") as made:
            assert made.wait(110) == 0
        monkeypatch.delenv("RAPPORT_DATABASE_URL")  # where the data is must not be forgotten with the terminal
    with started("demo", tmp_path / "shop", "--port", port) as server:
        site = f"http://127.0.0.1:{port}"
        answer(f"{site}/sign-in", server)
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        form = browser.open(f"{site}/sign-in").read().decode()
        token = form.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
        said = {"email": "ada@demo.example", "password": "rapport demo", "csrf_token": token}
        signed_in = urllib.request.Request(
            f"{site}/sign-in", urllib.parse.urlencode(said).encode(), {"Referer": f"{site}/sign-in"}
        )
        assert "Ada Martin" in browser.open(signed_in).read().decode()
        board = browser.open(f"{site}/sales.opportunity/board").read().decode()
        assert board.count('class="r-card"') > 10
        assert "دریا کریمی" in board
        server.send_signal(signal.SIGTERM)  # it takes its processes along
        assert server.wait(15) == 0


def test_the_demo_never_takes_anothers_directory(type_: Type, sqlite_home: Path) -> None:
    assert type_("demo", sqlite_home, "--no-serve").stderr == (
        f"{sqlite_home} is not empty and not a demo. Name another directory: rapport demo OTHER\n"
    )
    assert type_("demo", sqlite_home, "--no-serve", "--fresh").stderr == (
        f"{sqlite_home} is not a demo, so --fresh does not delete it.\n"
    )
    assert EMAIL in type_("--home", sqlite_home, "user", "list").output


def test_the_doctor_finds_a_sound_site_sound(type_: Type, home: Path) -> None:
    seen = type_("--home", home, "doctor")
    assert seen.exit_code == 0, seen.output
    assert "\nfail" not in seen.output
    assert "warn mail         is not set up: mails wait in the outbox" in seen.output


def test_the_doctor_leaves_plugins_alone_in_safe_mode(type_: Type, sqlite_home: Path) -> None:
    """The day it is needed is the day on which one of them must not be touched."""
    assert type_("--home", sqlite_home, "plugins", "enable", "sales").exit_code == 0
    told = type_("--home", sqlite_home, "--safe", "doctor")
    assert told.exit_code == 0, told.output
    assert "sales is disabled: left out by --safe" in told.output
    assert "active: none" in told.output
    assert "left out by --safe" in type_("--home", sqlite_home, "--safe", "plugins", "list").output
    assert "active: products, sales" in type_("--home", sqlite_home, "doctor").output


def test_the_doctor_says_what_is_wrong_and_what_to_type(type_: Type, sqlite_home: Path) -> None:
    (sqlite_home / "secret.key").chmod(0o644)
    toml = sqlite_home / "rapport.toml"
    toml.write_text(toml.read_text().replace("http://127.0.0.1:8000", "http://crm.example.com"))
    for name, days in (("warehouse", 3), ("thumbs", 0)):
        (sqlite_home / name).mkdir()
        (sqlite_home / name / "CACHEDIR.TAG").touch()
        (sqlite_home / name / "data").write_bytes(b"x" * 1_500_000)
        at = time.time() - days * 86_400
        os.utime(sqlite_home / name / "data", (at, at))
    with opened(sqlite_home) as site:
        with site.write(system("test")) as unit:
            unit.create(Customer, {"name": "Lost"})
        with site.db.write() as connection:
            forget_entities(connection, ["customer"])
    seen = type_("--home", sqlite_home, "doctor")
    assert seen.exit_code == 1
    assert f"fail secret key   can be read by other users of this machine\n{'':18}→ chmod 600 " in seen.output
    assert "warn address      http://crm.example.com is not encrypted" in seen.output
    assert "warn warehouse    takes 1.5 MB, and is 3 days old" in seen.output
    assert "ok   thumbs       takes 1.5 MB, and is 0 minutes old" in seen.output
    assert "warn search       0 of 1 records of customer can be found" in seen.output
    assert "2 records can be found." in type_("--home", sqlite_home, "db", "reindex").output
    assert "ok   search" in type_("--home", sqlite_home, "doctor").output


def _as_json(line: str) -> dict[str, Any]:
    return json.loads(line) if line.startswith("{") else {}


def test_two_workers_count_together_and_say_everything_in_json(sqlite_home: Path) -> None:
    settings = sqlite_home / "rapport.toml"
    token = "figures for the monitoring only"
    settings.write_text(
        settings.read_text("utf-8") + f'\nmetrics_token = "{token}"\nlog_format = "json"\n', encoding="utf-8"
    )
    port = free_port()
    output, healthy, asked = "", [], 0
    with started("--home", sqlite_home, "serve", "--port", port, "--workers", 2) as server:
        assert server.stdout is not None
        answer(f"http://127.0.0.1:{port}/sign-in?secret=in-the-address", server)
        while len({line["process"] for line in healthy}) < 2:
            assert asked < 4000, "one process answered everything"
            # On a connection of its own, so that either process may get it. One of them may be there later.
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10).close()
            asked += 1
            while len(healthy) < asked:
                said = server.stdout.readline()
                assert said, f"the server has ended: {output}"
                output += said
                if (line := _as_json(said)).get("route") == "/health":
                    healthy.append(line)
        figures = urllib.request.Request(
            f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(figures, timeout=10) as page:
            shown = page.read().decode()
        server.send_signal(signal.SIGTERM)
        output += server.communicate(timeout=20)[0]
    assert f'rapport_requests_total{{method="GET",route="/health",status="200"}} {asked}.0' in shown
    assert len([line for line in map(_as_json, output.splitlines()) if line.get("route") == "/health"]) == asked
    assert all(line["status"] == 200 and line["milliseconds"] >= 0 and line["level"] == "info" for line in healthy)
    assert "in-the-address" not in output
    assert not [line for line in output.splitlines()[1:] if line and not line.startswith("{")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('log_format = "xml"', 'log_format (in rapport.toml, or RAPPORT_LOG_FORMAT) must be "text" or "json".'),
        ('metrics_token = "short"', "must be 20 or more letters and digits that nobody guesses."),
    ],
)
def test_a_way_of_watching_that_cannot_be_is_said(type_: Type, tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "rapport.toml").write_text(line + "\n", "utf-8")
    answered = type_("--home", tmp_path, "serve")
    assert answered.exit_code == 1
    assert said in answered.stderr
