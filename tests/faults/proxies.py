"""A way between two machines that goes wrong as it is told: slow, cut, or parted from each other without a word."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from typing import Literal

Mood = Literal["well", "slow", "cut", "parted"]
SLOW_SECONDS = 0.05
LOOK_SECONDS = 0.05


class Proxy:
    """Passes bytes between whoever connects and a server.

    `slow` delays every piece on its way. `cut` hangs up and lets nobody in. `parted` takes what is sent and passes
    nothing on, as where packets are lost: what was under way arrives once the way is `well` again.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._mood: Mood = "well"
        self.refused = self.held = 0
        """How many connections were turned away, and how many pieces did not arrive at once."""
        self._ended = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    @property
    def mood(self) -> Mood:
        return self._mood

    @mood.setter
    def mood(self, mood: Mood) -> None:
        self._mood = mood
        if mood == "cut":
            self._hang_up()

    def _listen(self) -> None:
        while True:
            client, _ = self._socket.accept()
            if self._ended.is_set():
                client.close()
                return
            if self._mood == "cut":
                self.refused += 1
                client.close()
                continue
            thread = threading.Thread(target=self._pass_on, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _pass_on(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._server) as server:
            with self._lock:
                self._open |= {client, server}
            try:
                self._both_ways({client: server, server: client})
            finally:
                with self._lock:
                    self._open -= {client, server}

    def _both_ways(self, other: dict[socket.socket, socket.socket]) -> None:
        with selectors.DefaultSelector() as ready:
            for each in other:
                ready.register(each, selectors.EVENT_READ)
            while not self._ended.is_set():
                for key, _events in ready.select(LOOK_SECONDS):
                    end: socket.socket = key.fileobj  # type: ignore[assignment]
                    piece = end.recv(1 << 16)
                    if self._mood == "slow":
                        self.held += 1
                        time.sleep(SLOW_SECONDS)
                    elif self._mood == "parted":
                        self.held += 1
                        while self._mood == "parted" and not self._ended.is_set():
                            self._ended.wait(LOOK_SECONDS)
                    if not piece:
                        return
                    other[end].sendall(piece)

    def _hang_up(self) -> None:
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of everything."""
        self._ended.set()
        self._hang_up()
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self._threads:
            thread.join()
        self._socket.close()
