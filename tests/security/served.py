"""A site as `rapport serve` serves it, in processes of its own, and a plain socket to it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from rapport.plugins import discover
from rapport_cli import cli

MEGABYTE = 1 << 20


@dataclass
class Served:
    """Where it is, a token of its administrator's, and the process that answers."""

    home: Path
    port: int
    bearer: str
    worker: int
    log: Path

    def sends(self, sent: bytes | Iterable[bytes], *, seconds: float = 10, ends: bool = False) -> bytes:
        """What comes back for these bytes: until the server hangs up, falls silent, or has given one whole answer."""
        parts = [sent] if isinstance(sent, bytes) else sent
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.port), seconds)) as connected:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
                for part in parts:
                    connected.sendall(part)
                if ends:
                    connected.shutdown(socket.SHUT_WR)
            return _heard(connected)

    def posts(self, body: bytes, to: str = "/api/v1/customer", kind: str = "application/json", **how: Any) -> bytes:
        """The answer to an ordinary request of the administrator's."""
        head = (
            f"POST {to} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.bearer}\r\nConnection: close\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return self.sends(head.encode() + body, **how)

    def healthy(self) -> float:
        """Seconds that a neighbour waits for the shortest of all answers."""
        began = time.monotonic()
        assert status(self.sends(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")) == 200
        return time.monotonic() - began

    @property
    def alive(self) -> bool:
        """Whether the process that answered first is still the one that answers: none died, none took its place."""
        return _children(int(Path(f"/proc/{self.worker}/stat").read_text().split()[3])) == [self.worker]

    def memory(self, what: str = "VmRSS") -> float:
        """Megabytes: VmRSS now, VmHWM at the most since `forget_peak`."""
        found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{self.worker}/status").read_text())
        assert found is not None
        return int(found[1]) / 1024

    def work(self) -> float:
        """Seconds that the processor has worked for it: on a busy machine the clock on the wall tells little."""
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self) -> None:
        """Measure VmHWM anew."""
        Path(f"/proc/{self.worker}/clear_refs").write_text("5")


def status(answer: bytes) -> int:
    """The number in an answer's first line; 0 when the server hung up without a word."""
    found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    return int(found[1]) if found else 0


def _heard(connected: socket.socket) -> bytes:
    heard = b""
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        while piece := connected.recv(65536):
            heard += piece
            head, blank, body = heard.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if blank and length and len(body) >= int(length[1]):
                break
    return heard


def _children(process: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@contextlib.contextmanager
def served(home: Path, toml: str = "") -> Iterator[Served]:
    """Every plugin, one process, four threads, no worker beside it: as small as a site may be.

    `toml` are further lines of its rapport.toml.
    """
    runner = CliRunner()
    for words in (
        ["init", str(home), "--admin-email", "ada@example.com", "--admin-name", "Ada", "--password",
         "correct horse battery", "--language", "en"],
        ["--home", str(home), "plugins", "enable", *sorted(discover())],
    ):  # fmt: skip
        done = runner.invoke(cli, words, prog_name="rapport")
        assert done.exit_code == 0, done.output
    done = runner.invoke(cli, ["--home", str(home), "user", "token", "ada@example.com"], prog_name="rapport")
    bearer = done.stdout.split()[-1]
    with (home / "rapport.toml").open("a") as file:
        file.write(toml)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = home.with_suffix(".log")
    with log.open("wb") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", "rapport_cli", "--home", str(home), "serve", "--port", str(port), "--no-worker"],
            stdout=said, stderr=said, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        until = time.monotonic() + 110
        while True:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            with contextlib.suppress(OSError, AssertionError):
                made = Served(home, port, bearer, 0, log)
                made.healthy()
                break
            time.sleep(0.1)
        made.worker = _children(server.pid)[0]
        yield made
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)
