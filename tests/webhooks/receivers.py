"""Servers of other people: good ones, slow ones and bad ones, each in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Heard:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A server with what it heard. `reply` says what it answers: the next request gets what it is then."""

    port: int
    heard: list[Heard] = field(default_factory=list)
    reply: Callable[[Heard], Reply] = lambda heard: (204, {}, b"")
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def at(self) -> str:
        """For `outbound_allow`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.at}/in"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever calls may hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def setup(self) -> None:
        with self.server.receiver.lock:
            self.server.receiver.connections += 1
        super().setup()

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        heard = Heard(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        with self.server.receiver.lock:
            self.server.receiver.heard.append(heard)
        status, headers, content = self.server.receiver.reply(heard)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_CONNECT = answer

    def log_message(self, *_: object) -> None:
        """Not into the output of the tests."""


@contextlib.contextmanager
def receiver(*, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Somebody else's server."""
    server = _Server(("127.0.0.1", 0), _Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.receiver = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextlib.contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that says whatever `talk` says, be it HTTP or not. Gives its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connected, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_talk, args=(talk, connected), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def _talk(talk: Callable[[socket.socket], None], connected: socket.socket) -> None:
    with connected, contextlib.suppress(OSError):
        talk(connected)
