"""How many requests a server answers: keep-alive connections, each asking again as soon as it is answered.

    python benchmarks/http_load.py http://127.0.0.1:8000/health --seconds 10 --connections 8

Each connection is a process of its own with one plain socket, so that the driver costs little beside the server.
`run.py` uses `drive` with stories that read the answers and go on from them.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import socket
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, whole. Those that only prepare the next are not counted."""

    raw: bytes
    expected: int = 200
    counted: bool = True


Story = Callable[[int], Generator[Ask, Answer, None]]
"""Given the number of the connection, asks for ever; each `yield` gives the answer."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured, all connections together."""

    answered: int
    seconds: float
    p50: float
    """Milliseconds in which half were answered."""
    p95: float
    asked: int = 0
    """All that was answered, the warm-up and what only prepares included."""
    wrong: Mapping[str, int] = field(default_factory=dict)
    """Answers of another status than expected, by status; connections lost."""

    @property
    def per_second(self) -> float:
        """Right answers a second."""
        return self.answered / self.seconds if self.seconds else 0.0


def request(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *,
    host: str = "127.0.0.1", expected: int = 200, counted: bool = True,
) -> Ask:  # fmt: skip
    """Write a request out."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        *(f"{key}: {value}" for key, value in (headers or {}).items()),
    ]
    if body or method in {"POST", "PUT", "PATCH"}:
        lines.append(f"Content-Length: {len(body)}")
    return Ask("\r\n".join([*lines, "", ""]).encode() + body, expected, counted)


class Line:
    """One keep-alive connection."""

    def __init__(self, host: str, port: int, timeout: float = 30) -> None:
        self._address = (host, port)
        self._timeout = timeout
        self._open()

    def _open(self) -> None:
        self._socket = socket.create_connection(self._address, self._timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def ask(self, raw: bytes) -> Answer:
        """Send and wait for the whole answer."""
        self._socket.sendall(raw)
        head = self._until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split(" ", 2)[1])
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if status in {204, 304}:
            body = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks()
        else:
            body = self._exactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
            self._open()
        return Answer(status, headers, body)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server hung up")
        self._rest += data

    def _until(self, mark: bytes) -> bytes:
        while (end := self._rest.find(mark)) < 0:
            self._more()
        found, self._rest = self._rest[:end], self._rest[end + len(mark) :]
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._more()
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            parts.append(self._exactly(size))
            self._exactly(2)
        self._until(b"\r\n")
        return b"".join(parts)


def drive(
    host: str, port: int, story: Story, *, connections: int = 8, seconds: float = 10, warm_up: float = 2
) -> Outcome:
    """Let the connections tell the story until the time is up; the warm-up is not measured."""
    context = multiprocessing.get_context("fork")  # stories are closures
    begin = time.monotonic() + 0.2
    spans = (begin, begin + warm_up, begin + warm_up + seconds)
    ends, workers = [], []
    for number in range(connections):
        near, far = context.Pipe(duplex=False)
        worker = context.Process(target=_tell, args=((host, port), story, number, spans, far))
        worker.start()
        far.close()
        ends.append(near)
        workers.append(worker)
    times: list[float] = []
    wrong: collections.Counter[str] = collections.Counter()
    asked = 0
    for near in ends:
        try:
            own, count, faults = near.recv()
        except EOFError:
            own, count, faults = [], 0, {"a driver process ended early": 1}
        times.extend(own)
        asked += count
        wrong.update(faults)
    for worker in workers:
        worker.join()
    times.sort()
    return Outcome(len(times), seconds, _share(times, 0.5), _share(times, 0.95), asked, dict(wrong))


def _tell(
    address: tuple[str, int], story: Story, number: int, spans: tuple[float, float, float], end: Connection
) -> None:
    begin, measured_from, stop = spans
    time.sleep(max(0.0, begin - time.monotonic()))
    times: list[float] = []
    wrong: collections.Counter[str] = collections.Counter()
    asked = 0
    line = Line(*address)
    telling = story(number)
    ask = next(telling)
    while True:
        start = time.monotonic()
        if start >= stop:
            break
        try:
            answer = line.ask(ask.raw)
        except OSError as error:
            wrong[type(error).__name__] += 1
            line = Line(*address)
            continue
        ended = time.monotonic()
        asked += 1
        if answer.status != ask.expected:
            wrong[str(answer.status)] += 1
        elif ask.counted and measured_from <= start and ended <= stop:
            times.append((ended - start) * 1000)
        ask = telling.send(answer)
    line.close()
    end.send((times, asked, dict(wrong)))
    end.close()


def _share(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))] if times else float("nan")


def same(ask: Ask) -> Story:
    """A story of one request, asked again and again."""

    def story(number: int) -> Generator[Ask, Answer, None]:
        while True:
            yield ask

    return story


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how many requests a server answers.")
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm-up", type=float, default=2)
    parser.add_argument("--header", action="append", default=[], help="'Name: value', may be given again")
    options = parser.parse_args()
    parts = urlsplit(options.url)
    headers = dict(header.split(": ", 1) for header in options.header)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    outcome = drive(
        parts.hostname or "127.0.0.1", parts.port or 80, same(request("GET", path, headers, host=parts.netloc)),
        connections=options.connections, seconds=options.seconds, warm_up=options.warm_up,
    )  # fmt: skip
    print(f"{outcome.per_second:,.0f} a second, p50 {outcome.p50:.2f} ms, p95 {outcome.p95:.2f} ms")
    if outcome.wrong:
        print(f"wrong answers: {dict(outcome.wrong)}")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
